/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_stamp_list.c: a field that lists times. Whatever was read is read the
 * same again when everything is in quotes. */
#include <string.h>

#include "lib/stamp_list.h"
#include "test/fuzz/fuzz.h"

static unsigned char *put_quoted(unsigned char *to, etg_bytes text)
{
    *to++ = '"';
    for (apr_size_t i = 0; i < text.length; i++) {
        *to++ = '\\';
        *to++ = text.data[i];
    }
    *to++ = '"';
    return to;
}

static int is_same(etg_bytes a, etg_bytes b)
{
    return (a.data == NULL) == (b.data == NULL) && a.length == b.length
           && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static void check_again(const apr_array_header_t *stamps, apr_size_t size,
                        apr_pool_t *p)
{
    unsigned char *text = apr_palloc(p, 8 * size + 8);
    unsigned char *to = text;
    const apr_array_header_t *again;
    etg_bytes value;

    for (int i = 0; i < stamps->nelts; i++) {
        const etg_stamp *stamp = &APR_ARRAY_IDX(stamps, i, etg_stamp);

        if (stamp->id.data != NULL) {
            FUZZ_CHECK(stamp->id.length > 0);
            to = put_quoted(to, stamp->id);
            *to++ = '=';
        }
        FUZZ_CHECK(stamp->time.length > 0);
        to = put_quoted(to, stamp->time);
        *to++ = ',';
    }
    value.data = text;
    value.length = (apr_size_t)(to - text);
    FUZZ_CHECK(etg_stamp_list_parse(value, p, &again));
    FUZZ_CHECK(again->nelts == stamps->nelts);
    for (int i = 0; i < stamps->nelts; i++) {
        FUZZ_CHECK(is_same(APR_ARRAY_IDX(stamps, i, etg_stamp).id,
                           APR_ARRAY_IDX(again, i, etg_stamp).id));
        FUZZ_CHECK(is_same(APR_ARRAY_IDX(stamps, i, etg_stamp).time,
                           APR_ARRAY_IDX(again, i, etg_stamp).time));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes value = { data, size };
    const apr_array_header_t *stamps;

    if (etg_stamp_list_parse(value, p, &stamps)) {
        FUZZ_CHECK(stamps->nelts > 0);
        check_again(stamps, size, p);
    }
    apr_pool_destroy(p);
    return 0;
}
