/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_part.h: one line of ETagCompositePart, and the URL it asks for.
 *
 *   products "/api/products?page=%s" query:page=1 timeout=300ms optional
 *            default=[] pointer=/items
 */
#ifndef ETG_LIB_COMPOSITE_PART_H
#define ETG_LIB_COMPOSITE_PART_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "etg_bytes.h"

#define ETG_COMPOSITE_PARTS_MAX 32
#define ETG_COMPOSITE_NAME_MAX 64

typedef struct etg_composite_part {
    const char *name;           /* of the member: letters, digits, '_', '-',
                                 * '.'; unique in its composite */
    const char *url;            /* path and query of this server; "%s" in
                                 * place of params, "%%" a percent sign */
    const apr_array_header_t *params;   /* etg_from_param rows, as many as
                                 * the URL has "%s" (lib/freshness_from.h) */
    int is_optional;
    const char *default_value;  /* JSON; NULL: none was given (null) */
    apr_interval_time_t timeout;/* 0: none of its own */
    const char *pointer;        /* the piece to take (RFC 6901); NULL: all */
} etg_composite_part;

/* Reads what stands behind the directive's name; words and quotes as in
 * etg_freshness_from_parse. Options come in any order behind the URL; each at
 * most once. NULL, or a sentence for the admin, in `p`, and *part is left:
 * no URL of a path of this server ("//host", "http://..."), ".." segments, a
 * fragment, bytes that a URL does not have, a count that does not fit,
 * default without optional or no JSON, a timeout outside 1ms to 1h, a bad
 * pointer. */
const char *etg_composite_part_parse(const char *line, apr_pool_t *p,
                                     etg_composite_part *part);

/* The URL with the values in place, in `p`: all bytes but RFC 3986's
 * unreserved ones percent-encoded, so that no value can end its place in the
 * path or query. In the path a value that is "." or ".." would be a step and
 * is refused, as is an empty one. `values`: const char * rows, as
 * etg_freshness_params gives them. NULL: a value is missing or refused, or
 * the URL is longer than 8,000 bytes. */
const char *etg_composite_part_url(const etg_composite_part *part,
                                   const apr_array_header_t *values,
                                   apr_pool_t *p);

#endif
