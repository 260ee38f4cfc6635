/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_content_coding.c: lines of Content-Type, Cache-Control,
 * Content-Encoding and Vary; the rest is an Accept-Encoding. */
#include <string.h>
#include <strings.h>

#include "lib/content_coding.h"
#include "lib/field_list.h"
#include "test/fuzz/fuzz.h"

static void set(apr_table_t *fields, const char *name, const char *value)
{
    if (value != NULL) {
        apr_table_setn(fields, name, value);
    }
}

static void check_response(apr_table_t *fields, apr_pool_t *p)
{
    const char *coding = apr_table_get(fields, "Content-Encoding");
    const char *type = apr_table_get(fields, "Content-Type");

    if (etg_coding_suits(fields, 0, -1, p)) {
        FUZZ_CHECK(coding == NULL && etg_type_is_text_like(type));
        FUZZ_CHECK(!etg_coding_suits(fields, 0, ETG_CODING_BYTES_MIN - 1, p));
    }
    if (etg_coding_of_backend(fields, 0, p) == ETG_CODING_GZIP) {
        FUZZ_CHECK(coding != NULL && strcasestr(coding, "gzip") != NULL);
        FUZZ_CHECK(etg_type_is_text_like(type));
    }
    FUZZ_CHECK(!etg_coding_suits(fields, ETG_FRESH_NO_TRANSFORM, -1, p));
    etg_vary_add_accept_encoding(fields, p);
    FUZZ_CHECK(etg_list_has_token(apr_table_get(fields, "Vary"), "*")
               || strcasestr(apr_table_get(fields, "Vary"),
                             "accept-encoding") != NULL);
}

static void check_choice(const char *accepted, apr_pool_t *p)
{
    apr_table_t *request = apr_table_make(p, 1);
    etg_stored_response stored;
    etg_representation chosen;

    memset(&stored, 0, sizeof(stored));
    stored.has_body = 1;
    stored.coding = ETG_CODING_GZIP;
    stored.is_coded_here = 1;
    stored.body_length = 100;
    stored.plain_length = 1000;
    stored.etag = "\"a\"";
    apr_table_setn(request, "Accept-Encoding", accepted);
    etg_representation_choose(&stored, request, p, &chosen);
    FUZZ_CHECK(chosen.is_negotiated);
    FUZZ_CHECK((chosen.coding == ETG_CODING_GZIP)
               == etg_gzip_is_wanted(accepted));
    FUZZ_CHECK(chosen.is_inflated == (chosen.coding != ETG_CODING_GZIP));
    FUZZ_CHECK(chosen.length == (chosen.is_inflated ? 1000u : 100u));
    if (chosen.coding == ETG_CODING_GZIP) {
        FUZZ_CHECK(strcasestr(accepted, "gzip") != NULL
                   || strchr(accepted, '*') != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    apr_table_t *fields = apr_table_make(p, 4);
    etg_bytes rest = { data, size };

    set(fields, "Content-Type", fuzz_line(&rest, p));
    set(fields, "Cache-Control", fuzz_line(&rest, p));
    set(fields, "Content-Encoding", fuzz_line(&rest, p));
    set(fields, "Vary", fuzz_line(&rest, p));
    check_response(fields, p);
    check_choice(apr_pstrmemdup(p, rest.length > 0 ? (const char *)rest.data
                                                   : "", rest.length), p);
    apr_pool_destroy(p);
    return 0;
}
