/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c: checks UTF-8, character by character; decodes nothing. */
#include "lib/utf8.h"

apr_size_t etg_utf8_length(etg_bytes text)
{
    static const unsigned least[] = { 0, 0x80, 0x800, 0x10000 };
    unsigned byte = text.length > 0 ? text.data[0] : 0xff;
    unsigned more = byte < 0x80 ? 0 : byte < 0xc0 ? 4 : byte < 0xe0 ? 1
                    : byte < 0xf0 ? 2 : byte < 0xf8 ? 3 : 4;
    unsigned point = more == 0 ? byte : byte & (0x3fu >> more);

    if (more > 3 || more >= text.length) {
        return 0;
    }
    for (unsigned i = 1; i <= more; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (text.data[i] & 0x3f);
    }
    return point < least[more] || point > 0x10ffff
           || (point >= 0xd800 && point <= 0xdfff) ? 0 : more + 1;
}

int etg_is_utf8(etg_bytes text)
{
    while (text.length > 0) {
        apr_size_t length = etg_utf8_length(text);

        if (length == 0) {
            return 0;
        }
        text.data += length;
        text.length -= length;
    }
    return 1;
}
