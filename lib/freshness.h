/* SPDX-License-Identifier: Apache-2.0 */
/* freshness.h: lifetimes and ages (RFC 9111 §4.2, RFC 5861, RFC 9213). */
#ifndef ETG_LIB_FRESHNESS_H
#define ETG_LIB_FRESHNESS_H

#include "lib/http_view.h"
#include "lib/stored_response.h"

typedef enum etg_cc_source {
    ETG_CC_FROM_TARGETED,   /* the nearest targeted field that parses */
    ETG_CC_FROM_OVERRIDE,   /* the policy's */
    ETG_CC_FROM_FIELD       /* Cache-Control, Expires and Pragma */
} etg_cc_source;

/* Reads the directives that govern a response into *cc and says where they
 * are from, in the order of etg_cc_source. The override does not reach error
 * statuses (>= 400): a route that caches its pages for ten minutes must not
 * keep an outage for ten minutes. A response without Cache-Control but with
 * `Pragma: no-cache` counts as no-cache: RFC 9111 §5.4 leaves it open, and a
 * legacy backend that says nothing else means it. */
etg_cc_source etg_governing_cache_control(etg_cache_control *cc,
                                          const etg_response_view *response,
                                          const etg_policy *policy,
                                          apr_pool_t *p);

/*
 * Works out *freshness for a response governed by `cc` from `source`.
 *
 * Lifetime, the first that there is of: s-maxage; max-age; Expires - Date
 * (FROM_FIELD only; an Expires that is invalid or repeated with another value
 * is in the past); heuristic (if the policy has one, the status is
 * heuristically cacheable or `public` was said, and Last-Modified is a date
 * before Date); the policy's default_ttl (for statuses below 400 that are
 * heuristically cacheable or `public`). ETG_FRESH_EXPLICIT says that one of
 * the first three was there. Not capped by max_ttl: that is applied on read.
 *
 * Age as in §4.2.3: the first member of the first Age line, ignored if it is
 * not delta-seconds (§5.1). Never negative.
 *
 * `own` is what the backend itself said (its targeted field or Cache-Control,
 * never the override): it alone grants the FOR_ flags (§3.5), and none at all
 * if it says private or no-store. Where an override replaces it, its
 * must-revalidate or s-maxage=0 is no grant any more: it asked for a check of
 * every use, and the override drops that check.
 */
void etg_freshness_of(etg_freshness *freshness, const etg_cache_control *cc,
                      etg_cc_source source, const etg_cache_control *own,
                      const etg_response_view *response,
                      const etg_policy *policy, apr_pool_t *p);

/* What a response's Age says (above; 0: nothing). More than 0: a cache has kept
 * it, so it was made before anybody asked for it now. */
apr_interval_time_t etg_age_field(const apr_table_t *fields);

/* current_age at `now` (§4.2.3), never negative. */
apr_interval_time_t etg_age_of(const etg_stored_response *stored,
                               apr_time_t now);

/* The lifetime that counts under the present policy (max_ttl applied). */
apr_interval_time_t etg_lifetime_of(const etg_stored_response *stored,
                                    const etg_policy *policy);

/* May the response ever be served stale? Not with no-cache or a
 * must-revalidate kind, and not if it is itself a server error. */
int etg_may_be_stale(const etg_stored_response *stored);

/* How long past expiry it may be served when the backend fails: what the
 * response says, else the policy's; 0 if it may never be stale. */
apr_interval_time_t etg_error_window(const etg_stored_response *stored,
                                     const etg_policy *policy);

/* Likewise for serving it while it is validated in the background. */
apr_interval_time_t etg_revalidate_window(const etg_stored_response *stored,
                                          const etg_policy *policy);

/* When the store may drop the response: expiry + the longer stale window
 * + policy->keep, and with the digest of its data not before fetched_at +
 * policy->data_trust. */
apr_time_t etg_keep_until(const etg_stored_response *stored,
                          const etg_policy *policy);

/* When the fetch of the response's body began. */
apr_time_t etg_fetched_at(const etg_stored_response *stored);

/* Is the status heuristically cacheable (RFC 9110 §15.1)? 206 is not, here:
 * partial responses are never stored. */
int etg_status_is_heuristic(int status);

#endif
