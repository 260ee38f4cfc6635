/* SPDX-License-Identifier: Apache-2.0 */
/* test_utf8.c: every character, and what is none. */
#include <string.h>

#include "http_views.h"

#include "lib/field_list.h"
#include "lib/utf8.h"

static apr_size_t write_character(unsigned char *to, unsigned point,
                                  unsigned more)
{
    static const unsigned char leads[] = { 0x00, 0xc0, 0xe0, 0xf0 };

    for (unsigned i = more; i > 0; i--) {
        to[i] = (unsigned char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    to[0] = (unsigned char)(leads[more] | point);
    return more + 1;
}

static unsigned more_of(unsigned point)
{
    return point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
}

/* Its length where it is whole, whatever comes behind it; 0 where not. */
static int has_length(unsigned point, apr_size_t expected)
{
    unsigned char bytes[5] = { 0, 0, 0, 0, 0x80 };
    etg_bytes text = { bytes, write_character(bytes, point, more_of(point)) };
    apr_size_t length = text.length;
    int is_right = etg_utf8_length(text) == expected;

    text.length = 5;
    is_right &= etg_utf8_length(text) == expected;
    text.length = length - 1;
    return is_right && etg_utf8_length(text) == 0;
}

START_TEST(every_character_has_its_length)
{
    for (unsigned point = 0; point < 0x110000; point++) {
        int is_surrogate = point >= 0xd800 && point < 0xe000;

        if (!has_length(point, is_surrogate ? 0 : more_of(point) + 1)) {
            ck_abort_msg("U+%04X", point);
        }
    }
}
END_TEST

START_TEST(overlong_forms_are_none)
{
    static const unsigned limits[] = { 0x80, 0x800, 0x10000 };

    for (unsigned more = 1; more < 4; more++) {
        for (unsigned point = 0; point < limits[more - 1]; point++) {
            unsigned char bytes[4];
            etg_bytes text = { bytes, write_character(bytes, point, more) };

            if (etg_utf8_length(text) != 0) {
                ck_abort_msg("U+%04X in %u bytes", point, more + 1);
            }
        }
    }
}
END_TEST

START_TEST(other_bytes_begin_none)
{
    static const char *const texts[] = {
        "\x80", "\xbf\x80", "\xc3", "\xc3(", "\xe2\x82", "\xe2(\x82",
        "\xe2\x82(", "\xf0\x9f\x98", "\xf0\x9f\x98(", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff"
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_uint_eq(etg_utf8_length(etg_bytes_of(texts[i])), 0);
    }
    ck_assert_uint_eq(etg_utf8_length(etg_bytes_of("")), 0);
    ck_assert_uint_eq(etg_utf8_length(etg_bytes_of(NULL)), 0);
}
END_TEST

START_TEST(a_text_is_characters_to_its_end)
{
    ck_assert(etg_is_utf8(etg_bytes_of(NULL)));
    ck_assert(etg_is_utf8(etg_bytes_of("")));
    ck_assert(etg_is_utf8(etg_bytes_of("a\xc3\xa4\xe2\x82\xac"
                                       "\xf0\x9f\x98\x80 b")));
    ck_assert(!etg_is_utf8(etg_bytes_of("a\xc3\xa4\xe2\x82")));
    ck_assert(!etg_is_utf8(etg_bytes_of("a\x80z")));
    ck_assert(!etg_is_utf8(etg_bytes_of("\xff" "a")));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_character_has_its_length,
        overlong_forms_are_none,
        other_bytes_begin_none,
        a_text_is_characters_to_its_end,
        NULL
    };

    return run_tests("utf8", tests);
}
