/* SPDX-License-Identifier: Apache-2.0 */
/* storable.h: may this response be stored, and what of it (RFC 9111 §3)? */
#ifndef ETG_LIB_STORABLE_H
#define ETG_LIB_STORABLE_H

#include "lib/freshness.h"
#include "lib/http_view.h"
#include "lib/stored_response.h"

typedef struct etg_storable {
    int yes;
    const char *reason;        /* if not: a static token for Cache-Status
                                * detail and the log; NULL if yes */
    int uncacheable;           /* if not: is it likely to be so next time, so
                                * that others need not queue? */
    etg_freshness freshness;   /* set in both cases */
    const char *vary;          /* etg_vary_names form; NULL: Vary: * */
} etg_storable;

/*
 * Decides for the response to a GET or HEAD. The tests, in this order, and
 * what *decision says if one fails (+: uncacheable, too):
 *
 *   "method"            the request is neither GET nor HEAD
 *   "status"            not 200..599, or 206, 304, 416, or one of
 *                       policy->refused_statuses
 *   "must-understand"   that directive, and a status we have no rules for
 *   "request-no-store"  the client forbids it
 *   "no-store" +        unless with must-understand and a known status
 *   "private" +         without a field list
 *   "set-cookie" +      unless the policy strips or stores it, or the
 *                       backend itself names it in private="..." or
 *                       no-cache="..."
 *   "vary-star" +       Vary: * or one that cannot be kept
 *   "too-large" +       Content-Length over policy->max_object
 *   "private-request"   as etg_may_serve_private says; and if Set-Cookie were
 *                       stored with it, for every private request
 *   "not-cacheable" (+) neither explicit freshness nor `public` nor a
 *                       heuristically cacheable status (RFC 9111 §3)
 *   "error" (+)         status >= 400 that is not fresh for a time, by
 *                       explicit freshness or the heuristic
 *   "no-freshness" (+)  no lifetime, no validator and no stale window: it
 *                       could never be used; not asked of a 200 with
 *                       response->has_data, nor is "not-cacheable": the data
 *                       says whether it holds
 *
 * (+): but not for server errors and 408, 425, 429, which pass.
 * Unknown statuses are treated as the x00 of their class, so that with
 * explicit freshness they are stored. Set-Cookie2 alone refuses nothing: no
 * client acts on it any more (RFC 6265 made it historic).
 */
void etg_storable_decide(etg_storable *decision,
                         const etg_request_view *request,
                         const etg_response_view *response,
                         const etg_policy *policy, apr_pool_t *p);

/*
 * Decides for the response to a POST, which may be stored for later GETs of
 * its own target (RFC 9110 §9.3.3). On top of the tests above, of which
 * "method" wants POST here, it must be a 200 ("status"), with explicit
 * freshness > 0 from the backend itself ("no-freshness"), and with a Content-
 * Location that is the request's own target ("content-location"). `scheme`,
 * `host` and `target` are the request's, as in etg_invalidation_targets.
 * Never uncacheable: a POST says nothing of the GETs.
 */
void etg_post_storable_decide(etg_storable *decision,
                              const etg_request_view *request,
                              const etg_response_view *response,
                              const etg_policy *policy, const char *scheme,
                              const char *host, const char *target,
                              apr_pool_t *p);

/* May a response with these flags be stored from, or serve, a request with
 * this privacy? (RFC 9111 §3.5; design: private requests.) */
int etg_may_serve_private(apr_uint32_t freshness_flags, unsigned privacy);

/* The fields to store, etg_field rows in `p`, in order: all but hop-by-hop
 * fields (RFC 9111 §3.1, RFC 9110 §7.6.1: Connection and what it names,
 * Keep-Alive, Proxy-Authenticate, Proxy-Authentication-Info, Proxy-
 * Authorization, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade),
 * Age (of one answer, not of the response; Cache-Status stays: it is what
 * caches before us said of this response, RFC 9211 §2), Set-Cookie (and
 * Set-Cookie2 beside it) unless the policy stores it, fields named by
 * private="" and no-cache="", and Content-Length (the entity knows it). With
 * an override, Cache-Control is the override, in its old place or last, and
 * Expires and Pragma are gone.
 * Our own targeted field, Etagere-Cache-Control, goes as well; others
 * (CDN-Cache-Control) may be meant for caches after us. */
apr_array_header_t *etg_storable_fields(const etg_response_view *response,
                                        const etg_cache_control *cc,
                                        etg_cc_source source,
                                        const etg_policy *policy,
                                        apr_pool_t *p);

/* Is the field of one connection only (the names listed above), whatever
 * Connection says? */
int etg_field_is_hop_by_hop(const char *name);

#endif
