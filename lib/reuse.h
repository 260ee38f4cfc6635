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
    int is_by_data;            /* `reason` is one of the "data" kind */
    int is_validated;          /* "data": just held against the data. Age is 0
                                * then, and ttl the lifetime: it is as if the
                                * backend had said 304 now */
    int needs_full_fetch;      /* its trust has ended: the backend is to be
                                * asked without validators */
    const char *reason;        /* static token for the log and detail=, as
                                * listed below; NULL for a plain fresh hit */
} etg_reuse;

/* What a freshness source says of the data that the response shows, read
 * after the request arrived. */
typedef struct etg_reuse_data {
    int is_known;              /* else RFC rules alone decide */
    unsigned char digest[ETG_STORED_DATA_BYTES];
    apr_interval_time_t trust; /* how long after stored->fetched_at the digest
                                * may decide */
    int is_by_request;         /* requests of one URL may have different data:
                                * what is new need not be ours */
} etg_reuse_data;

/* What the primary record says (0: never), what the store has found, and what
 * is known of the data. */
typedef struct etg_reuse_marks {
    apr_time_t invalidated_at; /* must be validated, never served stale */
    apr_time_t soft_purged_at; /* stale from then on; stale rules apply */
    etg_store_mark mark;       /* of the response's tags or the namespace;
                                * never ETG_STORE_MARK_GONE */
    apr_time_t marked_at;      /* when that was, about */
    const etg_reuse_data *data;/* NULL: the route has no source */
} etg_reuse_marks;

/*
 * Decides; neither allocates nor parses. The tests in their order:
 *
 *   UNUSABLE  "private"              a private request that the response does
 *                                    not permit (etg_may_serve_private)
 *   VALIDATE  "invalidated"          invalidated_at, or the store's mark
 *   for a stored 200 with data->is_known, here (unless soft-purged or marked by
 *   the store: then the tests below alone):
 *     VALIDATE "request-no-cache"    allow_reload
 *     FRESH    "data-new"            it was asked for (requested_at) since the
 *                                    request arrived, and not later than now,
 *                                    by a clock ahead of ours; unless
 *                                    data->is_by_request
 *     VALIDATE "data-unknown"        stored without a digest
 *                                    (or, with data->is_by_request and no
 *                                    Vary, stale and perhaps another's: nor
 *                                    on errors)
 *     VALIDATE "data-changed"        another digest: stale at once (ttl at most
 *                                    0), never served while it is refreshed
 *     FRESH    "data"                the same digest, and fetched_at less than
 *                                    `trust` from now (either way: clocks are
 *                                    set back): whatever its lifetime, and
 *                                    no-cache or not
 *     otherwise needs_full_fetch, and the tests below
 *   VALIDATE  "no-cache"             the response says so
 *   VALIDATE  "request-no-cache"     allow_reload (Pragma counts as well)
 *   FRESH     "collapsed"            the request waited for a fetch, and this
 *                                    was received since it arrived: whatever
 *                                    its lifetime
 *   VALIDATE  "request-max-age"      allow_revalidate: older than that
 *   VALIDATE  "request-min-fresh"    allow_revalidate: fresh, not for so long
 *   FRESH     NULL                   lifetime > age
 *   STALE     "stale-while-revalidate"  within that window; the caller may
 *                                    serve it and see to a validation, or
 *                                    treat it as VALIDATE
 *   STALE     "request-max-stale"    allow_revalidate
 *   VALIDATE  "soft-purged", "stale"
 *
 * The primary's marks compare with stored->requested_at: what was requested
 * at or before a mark is hit by it. The store has compared its own. After a
 * soft mark a response has been stale since the mark, if not longer.
 * stale_on_error holds while the response is fresh (a
 * request asked for validation), and past expiry for etg_error_window or
 * etg_revalidate_window, or for what a request's own stale-if-error says if
 * allow_revalidate; never with no-cache, when invalidated or unusable, and
 * past expiry never with a must-revalidate kind.
 */
etg_reuse etg_reuse_decide(const etg_stored_response *stored,
                           const etg_reuse_marks *marks,
                           const etg_request_view *request,
                           const etg_policy *policy, apr_time_t now);

#endif
