/* SPDX-License-Identifier: Apache-2.0 */
/* json_pointer.c: a string inside a JSON text, read by jansson. */
#include "lib/json_pointer.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

/* More digits are beyond any array. */
#define INDEX_DIGITS_MAX 9

static const json_t *step(const json_t *value, const char *token,
                          apr_size_t length, apr_pool_t *p);
static const json_t *element(const json_t *array, const char *token,
                             apr_size_t length);
static const char *unescaped(const char *token, apr_size_t length,
                             apr_pool_t *p);

int etg_json_pointer_is_valid(const char *pointer)
{
    if (*pointer != '/') {
        return 0;
    }
    for (; *pointer != '\0'; pointer++) {
        if (*pointer == '~' && pointer[1] != '0' && pointer[1] != '1') {
            return 0;
        }
    }
    return 1;
}

apr_status_t etg_json_pointer_text(etg_bytes json, const char *pointer,
                                   apr_pool_t *p, const char **text)
{
    json_t *whole;
    const json_t *value;

    if (json.length > ETG_JSON_BYTES_MAX) {
        return APR_ENOSPC;
    }
    whole = json_loadb((const char *)json.data, json.length,
                       JSON_DECODE_ANY, NULL);
    if (whole == NULL) {
        return APR_EINVAL;
    }
    value = whole;
    while (value != NULL && *pointer == '/') {
        apr_size_t length = strcspn(++pointer, "/");

        value = step(value, pointer, length, p);
        pointer += length;
    }
    *text = json_is_string(value)
        ? apr_pstrmemdup(p, json_string_value(value),
                         json_string_length(value)) : NULL;
    json_decref(whole);
    return APR_SUCCESS;
}

static const json_t *step(const json_t *value, const char *token,
                          apr_size_t length, apr_pool_t *p)
{
    return json_is_array(value)
        ? element(value, token, length)
        : json_object_get(value, unescaped(token, length, p));
}

/* "0", or digits without a leading zero (§4); "-" is the one after the last,
 * which is not there. */
static const json_t *element(const json_t *array, const char *token,
                             apr_size_t length)
{
    apr_size_t index = 0;

    if (length == 0 || length > INDEX_DIGITS_MAX
        || (token[0] == '0' && length > 1)) {
        return NULL;
    }
    for (apr_size_t i = 0; i < length; i++) {
        if (token[i] < '0' || token[i] > '9') {
            return NULL;
        }
        index = index * 10 + (apr_size_t)(token[i] - '0');
    }
    return json_array_get(array, index);
}

/* "~01" is "~1", so in one pass. */
static const char *unescaped(const char *token, apr_size_t length,
                             apr_pool_t *p)
{
    char *name = apr_pstrmemdup(p, token, length);
    char *out = name;

    for (const char *in = name; *in != '\0'; in++) {
        if (*in == '~') {
            in++;
            *out++ = *in == '1' ? '/' : '~';
        }
        else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return name;
}
