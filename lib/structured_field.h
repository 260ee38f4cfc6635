/* SPDX-License-Identifier: Apache-2.0 */
/*
 * structured_field.h: Structured Fields dictionaries and lists (RFC 9651
 * §4.2), as strict as the RFC: one error and the whole field is refused.
 */
#ifndef ETG_LIB_STRUCTURED_FIELD_H
#define ETG_LIB_STRUCTURED_FIELD_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

/* As many keys or members as every parser must take (RFC 9651 §3.1, §3.2);
 * more are refused. */
#define ETG_SF_KEYS_MAX 1024

typedef enum etg_sf_type {
    ETG_SF_BOOLEAN,
    ETG_SF_INTEGER,
    ETG_SF_DECIMAL,
    ETG_SF_STRING,      /* text without quotes, unescaped */
    ETG_SF_TOKEN,
    ETG_SF_BYTES,       /* checked, not decoded: text is base64 */
    ETG_SF_DATE,
    ETG_SF_DISPLAY,     /* text is decoded UTF-8 */
    ETG_SF_INNER_LIST   /* checked and skipped */
} etg_sf_type;

typedef struct etg_sf_member {
    const char *key;    /* NULL in a list */
    etg_sf_type type;
    apr_int64_t number; /* integer, date, boolean 0/1, decimal × 1000 */
    const char *text;   /* string, token, bytes, display; else NULL */
} etg_sf_member;

/* Parses a dictionary. On APR_SUCCESS *members holds etg_sf_member rows in
 * `p`, a repeated key once with its last value; parameters are checked and
 * skipped. APR_EINVAL: malformed, or more than ETG_SF_KEYS_MAX keys. An empty
 * value is an empty dictionary. */
apr_status_t etg_sf_dictionary(etg_bytes value, apr_pool_t *p,
                               apr_array_header_t **members);

/* Parses a list, in the same way: members have no key, and equal ones stay.
 * More than ETG_SF_KEYS_MAX are refused. */
apr_status_t etg_sf_list(etg_bytes value, apr_pool_t *p,
                         apr_array_header_t **members);

/* Appends `text` as an sf-string (quoted, escaped) to a buffer of `size`
 * bytes at *used, without a terminator; bytes outside 0x20-0x7e become '?'.
 * Returns 0 if it did not fit (nothing is written then). */
int etg_sf_put_string(char *buffer, apr_size_t size, apr_size_t *used,
                      const char *text);

#endif
