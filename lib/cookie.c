/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookie.c: leaves ignored cookies out of a Cookie value.
 *
 * The value is split at ';' only, as RFC 6265 says: a comma or a quote is
 * part of a cookie. What is kept is kept byte for byte.
 */
#include "lib/cookie.h"

#include <string.h>

#include <apr_fnmatch.h>
#include <apr_strings.h>

#include "lib/field_list.h"

static int next_pair(const char **rest, etg_bytes *pair);
static int is_ignored(etg_bytes pair, const apr_array_header_t *patterns,
                      apr_pool_t *p);
static int may_be_several(etg_bytes pair);

const char *etg_cookie_without(const char *value,
                               const apr_array_header_t *patterns,
                               apr_pool_t *p)
{
    const char *rest = value;
    etg_bytes pair;
    char *kept;
    char *at;
    int removed = 0;

    if (value == NULL) {
        return NULL;
    }
    if (patterns == NULL || patterns->nelts == 0) {
        return next_pair(&rest, &pair) ? value : NULL;
    }
    /* Grows by one blank a pair at most: "a;b" becomes "a; b". */
    kept = apr_palloc(p, strlen(value) * 2 + 1);
    at = kept;
    while (next_pair(&rest, &pair)) {
        if (is_ignored(pair, patterns, p)) {
            removed = 1;
            continue;
        }
        if (at != kept) {
            *at++ = ';';
            *at++ = ' ';
        }
        memcpy(at, pair.data, pair.length);
        at += pair.length;
    }
    *at = '\0';
    if (at == kept) {
        return NULL;
    }
    return removed ? kept : value;
}

/* Takes the next pair that is not empty off *rest. */
static int next_pair(const char **rest, etg_bytes *pair)
{
    while (**rest != '\0') {
        const char *end = strchr(*rest, ';');
        apr_size_t length = end != NULL ? (apr_size_t)(end - *rest)
                                        : strlen(*rest);

        pair->data = (const unsigned char *)*rest;
        pair->length = length;
        *rest += length + (end != NULL);
        *pair = etg_bytes_trim(*pair);
        if (pair->length > 0) {
            return 1;
        }
    }
    return 0;
}

static int is_ignored(etg_bytes pair, const apr_array_header_t *patterns,
                      apr_pool_t *p)
{
    const unsigned char *equals;
    const char *name;
    int i;

    if (may_be_several(pair)) {
        return 0;
    }
    equals = memchr(pair.data, '=', pair.length);
    if (equals != NULL) {
        pair.length = equals - pair.data;
        pair = etg_bytes_trim(pair);
    }
    name = apr_pstrmemdup(p, (const char *)pair.data, pair.length);
    for (i = 0; i < patterns->nelts; i++) {
        const char *pattern = APR_ARRAY_IDX(patterns, i, const char *);

        if (apr_fnmatch(pattern, name, 0) == APR_SUCCESS) {
            return 1;
        }
    }
    return 0;
}

/* httpd joins several Cookie lines with ", ", which no cookie may hold. */
static int may_be_several(etg_bytes pair)
{
    apr_size_t i;

    for (i = 0; i + 1 < pair.length; i++) {
        if (pair.data[i] == ',' && pair.data[i + 1] == ' ') {
            return 1;
        }
    }
    return 0;
}
