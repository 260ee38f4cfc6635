/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_params.h: what the params of a source are in one request.
 *
 * The values choose what is looked up, so they must be the ones the backend
 * goes by. Where that is in doubt (a parameter given twice, an escape that is
 * none) the params are refused, and the caller treats the data as unknown.
 */
#ifndef ETG_LIB_FRESHNESS_PARAMS_H
#define ETG_LIB_FRESHNESS_PARAMS_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "lib/freshness_from.h"

#define ETG_FRESHNESS_KEY_MAX 250

/* A request, as far as params go. Everything may be NULL: there is none. */
typedef struct etg_params_view {
    const char *query;                  /* as it came, without "?" */
    const apr_array_header_t *groups;   /* const char * rows: path:0, path:1...
                                         * NULL: the group took no part */
    const apr_table_t *fields;
    const char *(*variable)(void *baton, const char *name);
    void *baton;
    const char *user;
} etg_params_view;

/*
 * The value of each param in order, in `p` or in the view: an array of `const
 * char *`; NULL where the request has none and there is no default. They are
 * bytes as they come: of any encoding, with control characters, but without
 * NUL, so they are to be bound, and never to be pasted.
 *
 * A query parameter is percent-decoded with "+" for a space, name and value
 * alike, and the names compared byte by byte. Given more than once, it counts
 * if all its values are the same. Several lines of a field are joined by ", ".
 *
 * Returns NULL, or why the params are refused (static, the end of a sentence
 * about the request): a parameter with several values (also if it has them
 * only where ";" separates parameters, as it does for some backends), one
 * without "=", a "%" that begins no escape, NUL, or more than
 * ETG_PARAM_VALUE_MAX bytes.
 */
const char *etg_freshness_params(const apr_array_header_t *params,
                                 const etg_params_view *view, apr_pool_t *p,
                                 const apr_array_header_t **values);

/*
 * The key of a memcached source: its text (read by etg_freshness_from_parse)
 * with the values in place of "%s", in `p`. In the values, bytes up to the
 * space, "%", and those from 0x7f on are written "%20", in capitals, as
 * applications with Rails' memcached store do; the text stays as it is. NULL:
 * there is none, as a value is NULL, or the key empty or longer than
 * ETG_FRESHNESS_KEY_MAX: applications shorten keys in ways of their own.
 */
const char *etg_freshness_key(const char *text,
                              const apr_array_header_t *values,
                              apr_pool_t *p);

#endif
