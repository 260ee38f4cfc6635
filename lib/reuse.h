/* SPDX-License-Identifier: Apache-2.0 */
/* reuse.h: may this stored response answer this request (RFC 9111 §4)? */
#ifndef ETG_LIB_REUSE_H
#define ETG_LIB_REUSE_H

#include "lib/http_view.h"
#include "lib/stored_response.h"

typedef enum etg_reuse_verdict {
    ETG_REUSE_FRESH,        /* answer with it */
    ETG_REUSE_STALE,        /* stale, but may be served without asking */
    ETG_REUSE_VALIDATE,     /* ask the backend, with its validators */
    ETG_REUSE_UNUSABLE      /* not for this request: as a miss */
} etg_reuse_verdict;

typedef struct etg_reuse {
    etg_reuse_verdict verdict;
    apr_interval_time_t age;
    apr_interval_time_t ttl;   /* lifetime - age; negative when stale */
    int stale_on_error;        /* may it be served if the backend fails now? */
    const char *reason;        /* static token for the log and detail=; NULL
                                * for a plain fresh hit: "stale",
                                * "no-cache", "purged", "invalidated",
                                * "request-no-cache", "request-max-age",
                                * "private", ... */
} etg_reuse;

/* What the primary record and the namespace say. 0: never. */
typedef struct etg_reuse_marks {
    apr_time_t invalidated_at; /* must be validated, never served stale */
    apr_time_t soft_purged_at; /* stale from then on; stale rules apply */
    apr_time_t hard_purged_at; /* unusable */
} etg_reuse_marks;

/*
 * Marks compare with stored->requested_at: what was requested at or before
 * a mark is hit by it. Request directives (no-cache, max-age, min-fresh,
 * max-stale; Pragma) count only as far as the policy allows reload and
 * revalidate. A collapsed request takes a response received after it arrived
 * as fresh whatever its lifetime, unless no-cache or private. stale_on_error:
 * the larger of response's stale-if-error and, when the response says
 * nothing, the policy's, counted from expiry; never with must-revalidate
 * kinds, no-cache, or when invalidated.
 */
etg_reuse etg_reuse_decide(const etg_stored_response *stored,
                           const etg_reuse_marks *marks,
                           const etg_request_view *request,
                           const etg_policy *policy, apr_time_t now);

#endif
