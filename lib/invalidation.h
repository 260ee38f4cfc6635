/* SPDX-License-Identifier: Apache-2.0 */
/* invalidation.h: what an unsafe request makes invalid (RFC 9111 §4.4). */
#ifndef ETG_LIB_INVALIDATION_H
#define ETG_LIB_INVALIDATION_H

#include <apr_pools.h>
#include <apr_tables.h>

/* GET, HEAD, OPTIONS, TRACE, and the registered safe ones (PRI, PROPFIND,
 * QUERY, REPORT, SEARCH); every other method, unknown ones included, is
 * unsafe. Case-sensitive. */
int etg_method_is_safe(const char *method);

/* The targets (path and query, const char * rows in `p`, without repeats)
 * that a non-error answer (2xx, 3xx) to an unsafe request invalidates: its
 * own first, then Location and Content-Location of the same origin. Empty if
 * there is nothing to do. `scheme` is "http" or "https", `host` the request's
 * Host as sent, `target` its path and query (an absolute-form target is
 * reduced to them before). */
apr_array_header_t *etg_invalidation_targets(const char *method, int status,
                                             const apr_table_t *response_fields,
                                             const char *scheme,
                                             const char *host,
                                             const char *target,
                                             apr_pool_t *p);

/* The path and query, in `p`, that a URI reference means beside this request
 * (RFC 3986 §5.2, without fragment), or NULL if it is of another origin or no
 * http reference at all. A port left out is the scheme's. Bytes are not
 * recoded: %2D and - stay two targets, as they are two keys. */
const char *etg_target_resolve(const char *reference, const char *scheme,
                               const char *host, const char *target,
                               apr_pool_t *p);

#endif
