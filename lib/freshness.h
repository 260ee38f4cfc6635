/* SPDX-License-Identifier: Apache-2.0 */
/* freshness.h: lifetimes and ages (RFC 9111 §4.2, RFC 5861, RFC 9213). */
#ifndef ETG_LIB_FRESHNESS_H
#define ETG_LIB_FRESHNESS_H

#include "lib/http_view.h"
#include "lib/stored_response.h"

/* Which field governs a response: the nearest targeted field that parses,
 * then the policy's override, then Cache-Control (with Expires and Pragma
 * only in this last case). */
typedef enum etg_cc_source {
    ETG_CC_FROM_TARGETED,
    ETG_CC_FROM_OVERRIDE,
    ETG_CC_FROM_FIELD
} etg_cc_source;

/* Reads the governing directives of a response into *cc. */
etg_cc_source etg_governing_cache_control(etg_cache_control *cc,
                                          const etg_response_view *response,
                                          const etg_policy *policy,
                                          apr_pool_t *p);

/* Works out *freshness for a response governed by `cc` from `source`:
 * lifetime = s-maxage, max-age, Expires - Date (only FROM_FIELD; an invalid
 * or repeated differing Expires is in the past), heuristic (if the policy has one, the
 * status is heuristically cacheable or `public` was said, and Last-Modified
 * exists), else default_ttl. Not capped by max_ttl: that is applied on read.
 * Age per §4.2.3: an invalid Age counts as 0 only where RFC 9111 §5.1 says so;
 * with several, the first; never negative. `own` is the backend's own Cache-Control or targeted
 * field, never the override: it alone grants the FOR_ flags (§3.5). */
void etg_freshness_of(etg_freshness *freshness, const etg_cache_control *cc,
                      etg_cc_source source, const etg_cache_control *own,
                      const etg_response_view *response,
                      const etg_policy *policy, apr_pool_t *p);

/* current_age at `now` (§4.2.3), never negative. */
apr_interval_time_t etg_age_of(const etg_stored_response *stored,
                               apr_time_t now);

/* The lifetime that counts under the present policy (max_ttl applied). */
apr_interval_time_t etg_lifetime_of(const etg_stored_response *stored,
                                    const etg_policy *policy);

/* When the store may drop the response: expiry + the longest stale window
 * + policy->keep. */
apr_time_t etg_keep_until(const etg_stored_response *stored,
                          const etg_policy *policy);

/* Is the status heuristically cacheable (RFC 9110 §15.1)? */
int etg_status_is_heuristic(int status);

#endif
