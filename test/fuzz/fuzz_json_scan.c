/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json_scan.c: a line with a pointer, and a text. What is JSON is what
 * jansson says it is, but for its limits; and a slice is JSON. */
#include <string.h>

#include <jansson.h>

#include "lib/json_pointer.h"
#include "lib/json_scan.h"
#include "lib/json_slice.h"
#include "test/fuzz/fuzz.h"

static int has_surrogate(etg_bytes text)
{
    for (apr_size_t i = 0; i + 3 < text.length; i++) {
        if (text.data[i] == '\\' && text.data[i + 1] == 'u'
            && (text.data[i + 2] | 0x20) == 'd' && text.data[i + 3] >= '8') {
            return 1;
        }
    }
    return 0;
}

static unsigned deepest(etg_bytes text)
{
    unsigned depth = 0;

    for (apr_size_t i = 0; i < text.length; i++) {
        depth += text.data[i] == '[' || text.data[i] == '{';
    }
    return depth;
}

/* It passes over a zero byte that ends a number or a word. */
static void check_validity(etg_bytes text, int is_valid)
{
    json_error_t error;
    json_t *value = json_loadb((const char *)text.data, text.length,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (value != NULL) {
        FUZZ_CHECK(is_valid || deepest(text) > ETG_JSON_DEPTH_MAX
                   || memchr(text.data, '\0', text.length) != NULL);
    }
    else {
        FUZZ_CHECK(!is_valid || has_surrogate(text)
                   || json_error_code(&error) == json_error_numeric_overflow
                   || json_error_code(&error) == json_error_null_byte_in_key);
    }
    json_decref(value);
}

/* The string that jansson finds there is the one that the slice is. */
static void check_string(etg_bytes text, const char *pointer, etg_bytes slice,
                         apr_pool_t *p)
{
    const char *found = NULL;
    etg_bytes expected;

    if (etg_json_pointer_text(text, pointer, p, &found) != APR_SUCCESS) {
        return;
    }
    FUZZ_CHECK((found != NULL)
               == (slice.data != NULL && slice.data[0] == '"'));
    if (found != NULL) {
        expected.data = (const unsigned char *)found;
        expected.length = strlen(found);
        FUZZ_CHECK(etg_json_string_is(slice, expected));
    }
}

static void check_slice(etg_bytes text, const char *pointer, int is_valid,
                        apr_pool_t *p)
{
    etg_bytes slice = etg_json_slice(text, pointer, p);

    if (slice.data != NULL) {
        FUZZ_CHECK(slice.length > 0 && slice.data >= text.data
                   && slice.data + slice.length <= text.data + text.length);
        FUZZ_CHECK(etg_json_is_valid(slice));
    }
    if (is_valid) {
        check_string(text, pointer, slice, p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes rest = { data, size };
    const char *pointer = fuzz_line(&rest, p);
    int is_valid = etg_json_is_valid(rest);

    check_validity(rest, is_valid);
    FUZZ_CHECK((etg_json_slice(rest, "", p).data != NULL) >= is_valid);
    if (pointer != NULL && etg_json_pointer_is_valid(pointer)) {
        check_slice(rest, pointer, is_valid, p);
    }
    apr_pool_destroy(p);
    return 0;
}
