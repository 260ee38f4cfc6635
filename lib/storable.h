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
                                * detail and the log: "no-store", "private",
                                * "set-cookie", "vary-star", "status", ... */
    int uncacheable;           /* if not: is this likely to be so next time,
                                * so that others need not queue? */
    etg_freshness freshness;
    const char *vary;          /* etg_vary_names form */
} etg_storable;

/*
 * Decides for the response to a GET (or to a HEAD: never stored, decided all
 * the same). Order of tests and the answers are listed in
 * test/unit/test_storable.c. Stored are only: final statuses that are
 * understood (every status from 200 to 599 except 206 and 304; unknown ones only with explicit
 * freshness or validators... and never with must-understand); without
 * no-store (unless must-understand and a known status), private, Vary: *,
 * Set-Cookie (unless the policy strips it), Content-Range, Trailer needs;
 * statuses 400, 413, 431 never; error statuses (>= 400) only with explicit
 * freshness, or heuristics on and heuristically cacheable; with a validator or a lifetime > 0;
 * request without no-store; private requests as etg_may_serve_private says.
 * A Content-Length over policy->max_object refuses ("too-large").
 */
void etg_storable_decide(etg_storable *decision,
                         const etg_request_view *request,
                         const etg_response_view *response,
                         const etg_policy *policy, apr_pool_t *p);

/* May a response with these flags be stored from, or serve, a request with
 * this privacy? (RFC 9111 §3.5; design: private requests.) */
int etg_may_serve_private(apr_uint32_t freshness_flags, unsigned privacy);

/* The fields to store, etg_field rows in `p`: all but hop-by-hop fields
 * (RFC 9111 §3.1, RFC 9110 §7.6.1: Connection and what it names, Keep-Alive,
 * Proxy-Authenticate, Proxy-Authentication-Info, Proxy-Authorization,
 * Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade), Age,
 * Cache-Status of our own, Set-Cookie, fields named by private="" and no-cache="", and
 * Content-Length (the entity knows it). With an override, Cache-Control is
 * the override and Expires and Pragma are gone. The targeted fields in
 * policy->targeted that are ours (Etagere-Cache-Control) go as well. */
apr_array_header_t *etg_storable_fields(const etg_response_view *response,
                                        const etg_cache_control *cc,
                                        etg_cc_source source,
                                        const etg_policy *policy,
                                        apr_pool_t *p);

#endif
