/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_composite_template.c: a template for three parts. What it becomes is
 * JSON if the parts are, and its text is what was in it. */
#include <string.h>

#include <apr_strings.h>

#include "lib/composite_template.h"
#include "lib/json_scan.h"
#include "test/fuzz/fuzz.h"

static const apr_array_header_t *names(apr_pool_t *p)
{
    apr_array_header_t *rows = apr_array_make(p, 3, sizeof(const char *));

    APR_ARRAY_PUSH(rows, const char *) = "a";
    APR_ARRAY_PUSH(rows, const char *) = "b";
    APR_ARRAY_PUSH(rows, const char *) = "user";
    return rows;
}

static void check_pieces(const etg_composite_template *read, etg_bytes text,
                         apr_pool_t *p)
{
    unsigned char *whole = apr_palloc(p, text.length + 1);
    etg_bytes made = { whole, 0 };
    apr_size_t from = 0;

    for (int i = 0; i < read->pieces->nelts; i++) {
        const etg_composite_piece *piece
            = &APR_ARRAY_IDX(read->pieces, i, etg_composite_piece);

        FUZZ_CHECK(piece->part >= -1 && piece->part < 3);
        FUZZ_CHECK(from + piece->text.length <= text.length);
        FUZZ_CHECK(!memcmp(text.data + from, piece->text.data,
                           piece->text.length));
        memcpy(whole + made.length, piece->text.data, piece->text.length);
        made.length += piece->text.length;
        from += piece->text.length;
        if (piece->part >= 0) {
            const unsigned char *end = memchr(text.data + from, '}',
                                              text.length - from);

            FUZZ_CHECK(text.data[from] == '{' && end != NULL);
            from = (apr_size_t)(end - text.data) + 1;
            whole[made.length++] = '0';
        }
    }
    FUZZ_CHECK(from == text.length);
    FUZZ_CHECK(etg_json_is_valid(made));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes text = { data, size };
    etg_composite_template read = { .pieces = NULL };
    const char *error = etg_composite_template_parse(text, names(p), p,
                                                     &read);

    FUZZ_CHECK((error == NULL) == (read.pieces != NULL));
    if (error == NULL) {
        FUZZ_CHECK(etg_json_is_valid(text));
        check_pieces(&read, text, p);
    }
    else {
        FUZZ_CHECK(strlen(error) < 300);
    }
    apr_pool_destroy(p);
    return 0;
}
