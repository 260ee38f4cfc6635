/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_policy.h: how long, and by whom, a response made of several may be
 * kept: the fields Cache-Control, Age, Vary and Last-Modified of the whole.
 */
#ifndef ETG_LIB_COMPOSITE_POLICY_H
#define ETG_LIB_COMPOSITE_POLICY_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

/* The response fields of each part: const apr_table_t * rows, in order;
 * `now` for dates. */
typedef struct etg_composite_policy {
    const char *cache_control;  /* never NULL */
    apr_int64_t age;            /* seconds, the oldest part's; -1: no Age */
    const char *vary;           /* the union; NULL: none; "*" if any has it */
    const char *last_modified;  /* the newest, if all have a valid one; NULL */
} etg_composite_policy;

/*
 * Works it out. Lifetime: the smallest of what is left of each part's
 * (s-maxage before max-age before Expires, less Age); a part that says none
 * leaves 0. It goes out as max-age of what is left, without Age then being
 * counted twice: Age is that of the oldest part, and max-age what is left plus
 * that Age. The worst flag wins: no-store > private > no-cache >
 * must-revalidate; public only if all parts are, and `is_private` is 0;
 * s-maxage is not passed on. stale-while-revalidate and stale-if-error: the
 * smallest, if all have one. With `is_private`: private. With
 * `is_incomplete`: no-store alone, and neither Age nor Last-Modified.
 */
void etg_composite_policy_of(etg_composite_policy *policy,
                             const apr_array_header_t *parts, int is_private,
                             int is_incomplete, apr_time_t now,
                             apr_pool_t *p);

#endif
