/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_part.h: one line of ETagCompositePart, and the URL it asks for.
 *
 *   products "/api/products?page=%s" query:page=1 timeout=300ms optional
 *            default=[] pointer=/items
 *
 * The URL is one of this server, whatever the values: they can neither end
 * their place in it, nor lead out of the folder they stand in.
 */
#ifndef ETG_LIB_COMPOSITE_PART_H
#define ETG_LIB_COMPOSITE_PART_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "lib/from_param.h"
#include "lib/option_value.h"

#define ETG_COMPOSITE_PARTS_MAX 32
#define ETG_COMPOSITE_NAME_MAX 64
#define ETG_COMPOSITE_URL_MAX 8000
#define ETG_COMPOSITE_TIMEOUT_MIN ETG_MILLISECOND
#define ETG_COMPOSITE_TIMEOUT_MAX ETG_HOUR

typedef struct etg_composite_part {
    const char *name;           /* of the member: letters, digits, '_', '-',
                                 * '.'; unique in its composite */
    const char *url;            /* path and query of this server; "%s" in
                                 * place of params, "%%" a percent sign */
    const apr_array_header_t *params;   /* etg_from_param rows, as many as
                                 * the URL has "%s", in their order */
    int is_optional;
    const char *default_value;  /* JSON; NULL: none was given (null) */
    apr_interval_time_t timeout;/* 0: none of its own */
    const char *pointer;        /* the piece to take (RFC 6901); NULL: all */
} etg_composite_part;

/* Reads what stands behind the directive's name; words as lib/quoted_words.h
 * has them (so a default with quotes is quoted as a whole:
 * 'default={"a": 1}'). Behind the URL are the params, in its order, and among
 * them the options, each at most once. NULL, or a sentence for the admin, in
 * `p`, and *part is left: a bad name, no URL of a path of this server
 * ("//host", "http://..."), a "." or ".." in it (escaped ones, too), a
 * fragment, bytes that a URL does not have, an escape that is none or ends in
 * a "%s", a count of params that does not fit, a default without optional or
 * that is no JSON, a timeout outside 1ms to 1h, a bad pointer. */
const char *etg_composite_part_parse(const char *line, apr_pool_t *p,
                                     etg_composite_part *part);

/* The URL with the values in place, in `p`: all their bytes but RFC 3986's
 * unreserved ones are percent-encoded. In the path, a value that is empty is
 * refused, and so is one by which a step becomes "." or "..", also where only
 * what an escape stands for separates steps ("a/../b" for a backend that
 * undoes %2F, "..;" for one that cuts off what follows a semicolon).
 * `values`: const char * rows, as etg_freshness_params gives them. NULL: a
 * value is missing or refused, or the URL is longer than
 * ETG_COMPOSITE_URL_MAX. */
const char *etg_composite_part_url(const etg_composite_part *part,
                                   const apr_array_header_t *values,
                                   apr_pool_t *p);

#endif
