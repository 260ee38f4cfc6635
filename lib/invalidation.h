/* SPDX-License-Identifier: Apache-2.0 */
/* invalidation.h: what an unsafe request makes invalid (RFC 9111 §4.4). */
#ifndef ETG_LIB_INVALIDATION_H
#define ETG_LIB_INVALIDATION_H

#include <apr_pools.h>
#include <apr_tables.h>

/* GET, HEAD, OPTIONS, TRACE, and the registered safe ones (PROPFIND,
 * REPORT, SEARCH, PRI, QUERY); every other method, unknown ones included, is
 * unsafe. Case-sensitive. */
int etg_method_is_safe(const char *method);

/* The targets (path and query, const char * rows in `p`, without repeats)
 * that a non-error answer (2xx, 3xx) to an unsafe request invalidates: its
 * own, and Location and Content-Location of the same origin. Empty if there
 * is nothing to do. */
apr_array_header_t *etg_invalidation_targets(const char *method, int status,
                                             const apr_table_t *response_fields,
                                             const char *scheme,
                                             const char *host,
                                             const char *target,
                                             apr_pool_t *p);

#endif
