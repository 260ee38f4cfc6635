/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_body.h: a response's body that is held until its end. */
#ifndef ETG_FRESHNESS_BODY_H
#define ETG_FRESHNESS_BODY_H

#include <apr_buckets.h>

#include "etg_bytes.h"

typedef enum etg_body_state {
    ETG_BODY_PART,          /* more is to come */
    ETG_BODY_WHOLE,         /* its end has come */
    ETG_BODY_TOO_LONG,
    ETG_BODY_BROKEN         /* an error, or not the length that was said */
} etg_body_state;

typedef struct etg_freshness_body {
    apr_bucket_brigade *held;     /* all that was taken, in its order */
    apr_off_t length;             /* of the data in it */
    apr_off_t limit;
    apr_off_t expected;           /* Content-Length; -1: not said */
} etg_freshness_body;

/* Begins a body of at most `limit` bytes, in `p`. */
void etg_freshness_body_begin(etg_freshness_body *body, apr_off_t limit,
                              apr_off_t expected, apr_pool_t *p,
                              apr_bucket_alloc_t *alloc);

/* Takes all of `bb`, and waits for bytes that a bucket has not got yet. In
 * the last two states nothing more is to be taken, and what is held goes on
 * as it came. */
etg_body_state etg_freshness_body_take(etg_freshness_body *body,
                                       apr_bucket_brigade *bb);

/* The data of a whole body in one piece, in `p`. */
apr_status_t etg_freshness_body_bytes(const etg_freshness_body *body,
                                      apr_pool_t *p, etg_bytes *bytes);

#endif
