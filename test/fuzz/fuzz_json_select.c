/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json_select.c: a line with a pointer to times, a line with one to ids,
 * and a body. What is JSON is what jansson says it is. */
#include <string.h>

#include <jansson.h>

#include "lib/json_pointer.h"
#include "lib/json_select.h"
#include "test/fuzz/fuzz.h"

/* Reals, so that large whole numbers are no error. */
static void check_document(etg_bytes json, apr_pool_t *p)
{
    const etg_json_document *document;
    json_error_t error;
    json_t *whole = json_loadb((const char *)json.data, json.length,
                               JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL,
                               &error);
    apr_status_t rv = etg_json_document_read(json, p, &document);

    if (whole != NULL) {
        /* It passes over a zero byte that ends a number. */
        FUZZ_CHECK(rv == APR_SUCCESS
                   || memchr(json.data, '\0', json.length) != NULL);
        json_decref(whole);
    }
    else {
        FUZZ_CHECK(rv != APR_SUCCESS
                   || json_error_code(&error) == json_error_numeric_overflow);
    }
}

static void check_match(const etg_json_match *match, const char *pointer,
                        apr_pool_t *p)
{
    const char *place = apr_pstrmemdup(p, (const char *)match->place.data,
                                       match->place.length);
    const char *text;

    FUZZ_CHECK(match->kind >= ETG_JSON_STRING
               && match->kind <= ETG_JSON_NULL);
    FUZZ_CHECK(match->text.data != NULL
               && memchr(match->text.data, '\0', match->text.length) == NULL);
    FUZZ_CHECK(*place == '\0'
               || etg_json_pointer_is_valid(apr_pstrcat(p, "/", place, NULL)));
    if (strchr(pointer, '*') == NULL) {
        FUZZ_CHECK(*place == '\0');
    }
    if (match->kind == ETG_JSON_NUMBER) {
        text = apr_pstrmemdup(p, (const char *)match->text.data,
                              match->text.length);
        FUZZ_CHECK(strspn(text, "0123456789+-.eE") == match->text.length);
    }
}

/* One without a star leads to one string, the same by either way. */
static void check_string(etg_bytes json, const char *pointer,
                         const etg_json_match *match, apr_pool_t *p)
{
    const char *text = NULL;

    if (strchr(pointer, '*') != NULL) {
        return;
    }
    FUZZ_CHECK(etg_json_pointer_text(json, pointer, p, &text) == APR_SUCCESS);
    FUZZ_CHECK((text != NULL) == (match->kind == ETG_JSON_STRING));
    FUZZ_CHECK(text == NULL
               || (strlen(text) == match->text.length
                   && !memcmp(text, match->text.data, match->text.length)));
}

static void check_selection(etg_bytes json, const char *times,
                            const char *ids, apr_pool_t *p)
{
    const apr_array_header_t *rows = NULL;
    etg_json_selection outcome = etg_json_select(json, times, ids, p, &rows);

    FUZZ_CHECK((outcome == ETG_JSON_SELECTED) == (rows != NULL));
    if (rows == NULL) {
        return;
    }
    FUZZ_CHECK(rows->nelts > 0 && rows->nelts <= ETG_JSON_MATCHES_MAX);
    for (int i = 0; i < rows->nelts; i++) {
        const etg_json_row *row = &APR_ARRAY_IDX(rows, i, etg_json_row);

        check_match(&row->time, times, p);
        if (ids != NULL) {
            check_match(&row->id, ids, p);
        }
        else {
            FUZZ_CHECK(row->id.kind == ETG_JSON_ABSENT);
        }
    }
    check_string(json, times, &APR_ARRAY_IDX(rows, 0, etg_json_row).time, p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes rest = { data, size };
    const char *times = fuzz_line(&rest, p);
    const char *ids = fuzz_line(&rest, p);

    if (times != NULL && ids != NULL && etg_json_pointer_is_valid(times)) {
        check_document(rest, p);
        check_selection(rest, times, NULL, p);
        if (etg_json_pointer_is_valid(ids)) {
            check_selection(rest, times, ids, p);
        }
    }
    apr_pool_destroy(p);
    return 0;
}
