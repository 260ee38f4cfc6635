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

typedef struct etg_composite_policy {
    const char *cache_control;  /* never NULL */
    apr_int64_t age;            /* seconds, the oldest part's; -1: no Age */
    const char *vary;           /* the union; NULL: none; "*" if any has it */
    const char *last_modified;  /* the newest, if all have a valid one; NULL */
} etg_composite_policy;

/*
 * Works it out from the response fields of each part (const apr_table_t *
 * rows, in order), all of them there at `now`.
 *
 * Age is that of the oldest part, as RFC 9111 §4.2.3 has it: its Age, or what
 * has passed since its Date. A part has left what it says less its age; one
 * that says nothing has 0 left, and so has a composite of none. max-age is the
 * smallest that is left for everybody (max-age before Expires; s-maxage is not
 * for browsers) plus the Age that goes with it; 0 if nothing is left. If any
 * part has s-maxage the composite has one: the smallest that is left for
 * shared caches (s-maxage before max-age before Expires), plus Age.
 *
 * Flags add up but for no-store, which stands alone: private (also with
 * `is_private`, or a part that sets a cookie, which is not passed on; then
 * there is no s-maxage), no-cache (Pragma's, too),
 * must-revalidate (proxy-revalidate counts as it) and no-transform if any part
 * has them; public only if all have it and there is no private. With names of
 * fields, private and no-cache do not count: no field of a part is passed on.
 * stale-while-revalidate and stale-if-error: the smallest, if all have one,
 * less what a part is stale already, and none with no-cache or
 * must-revalidate. Immutable is never passed on.
 *
 * Vary that is malformed, or of more than ETG_VARY_NAMES_MAX names, is "*".
 * Last-Modified in the future is none. With `is_incomplete`: no-store, and
 * neither Age nor Last-Modified.
 */
void etg_composite_policy_of(etg_composite_policy *policy,
                             const apr_array_header_t *parts, int is_private,
                             int is_incomplete, apr_time_t now,
                             apr_pool_t *p);

#endif
