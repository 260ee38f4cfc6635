/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_slice.c: goes down a JSON text, one step of the pointer at a time.
 *
 * A step reads the value it is in to its end (a later member of the same name
 * may follow), and the next one only what was found; so a text is read at
 * most once per step, and never copied.
 */
#include "lib/json_slice.h"

#include <string.h>

#include "lib/json_pointer.h"
#include "lib/json_scan.h"

static etg_bytes inside(etg_bytes value, const char *token,
                        apr_size_t length, char *scratch);
static etg_bytes member(etg_json_scan *scan, etg_bytes name);
static etg_bytes element(etg_json_scan *scan, apr_size_t index);
static etg_bytes unescape(const char *token, apr_size_t length, char *name);

etg_bytes etg_json_slice(etg_bytes text, const char *pointer, apr_pool_t *p)
{
    char *scratch = apr_palloc(p, strlen(pointer) + 1);
    etg_json_scan scan;
    etg_bytes value;

    etg_json_scan_begin(&scan, text);
    value = etg_json_scan_value(&scan);
    while (value.data != NULL && *pointer == '/') {
        apr_size_t length = strcspn(++pointer, "/");

        value = inside(value, pointer, length, scratch);
        pointer += length;
    }
    return value;
}

static etg_bytes inside(etg_bytes value, const char *token,
                        apr_size_t length, char *scratch)
{
    etg_bytes none = { NULL, 0 };
    etg_json_scan scan;
    apr_size_t index;

    etg_json_scan_begin(&scan, value);
    switch (etg_json_scan_next(&scan)) {
    case ETG_JSON_TOKEN_OBJECT:
        return member(&scan, unescape(token, length, scratch));
    case ETG_JSON_TOKEN_ARRAY:
        return etg_json_pointer_index(token, length, &index)
               ? element(&scan, index) : none;
    default:
        return none;
    }
}

static etg_bytes member(etg_json_scan *scan, etg_bytes name)
{
    etg_bytes last = { NULL, 0 };

    while (etg_json_scan_next(scan) == ETG_JSON_TOKEN_NAME) {
        int is_it = etg_json_string_is(scan->token, name);
        etg_bytes value = etg_json_scan_value(scan);

        if (is_it) {
            last = value;
        }
    }
    return last;
}

static etg_bytes element(etg_json_scan *scan, apr_size_t index)
{
    etg_bytes value = etg_json_scan_value(scan);

    while (value.data != NULL && index-- > 0) {
        value = etg_json_scan_value(scan);
    }
    return value;
}

/* "~01" is "~1", so in one pass. */
static etg_bytes unescape(const char *token, apr_size_t length, char *name)
{
    etg_bytes read = { (const unsigned char *)name, 0 };

    for (apr_size_t i = 0; i < length; i++) {
        if (token[i] == '~' && i + 1 < length) {
            i++;
            name[read.length++] = token[i] == '1' ? '/' : '~';
        }
        else {
            name[read.length++] = token[i];
        }
    }
    return read;
}
