/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_body.c: holds a body in memory, up to a limit.
 *
 * Data is copied, many small pieces into few large ones: a handler's buckets
 * die with its call, and of a body that comes byte by byte the buckets would
 * take more than the bytes. Metadata stays between the data where it was, so
 * that a body which turns out too long or broken goes on as if it had never
 * been held.
 *
 * Runs on the request's thread, from the filter.
 */
#include "modules/freshness/freshness.h"

#include <http_connection.h>

#include "modules/freshness/freshness_body.h"

static etg_body_state take_data(etg_freshness_body *body, apr_bucket *e);
static int is_failure(const apr_bucket *e);

void etg_freshness_body_begin(etg_freshness_body *body, apr_off_t limit,
                              apr_off_t expected, apr_pool_t *p,
                              apr_bucket_alloc_t *alloc)
{
    body->held = apr_brigade_create(p, alloc);
    body->length = 0;
    body->limit = limit;
    body->expected = expected;
}

etg_body_state etg_freshness_body_take(etg_freshness_body *body,
                                       apr_bucket_brigade *bb)
{
    etg_body_state state = ETG_BODY_PART;

    while (state == ETG_BODY_PART && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);

        if (!APR_BUCKET_IS_METADATA(e)) {
            state = take_data(body, e);
            continue;
        }
        if (APR_BUCKET_IS_EOS(e)) {
            state = body->expected < 0 || body->expected == body->length
                ? ETG_BODY_WHOLE : ETG_BODY_BROKEN;
        }
        else if (is_failure(e)) {
            state = ETG_BODY_BROKEN;
        }
        APR_BUCKET_REMOVE(e);
        APR_BRIGADE_INSERT_TAIL(body->held, e);
    }
    APR_BRIGADE_CONCAT(body->held, bb);
    return state;
}

/* Takes the bytes of e, and e away; it stays if they cannot be had or are too
 * many. */
static etg_body_state take_data(etg_freshness_body *body, apr_bucket *e)
{
    const char *data;
    apr_size_t length;
    apr_status_t rv = apr_bucket_read(e, &data, &length, APR_BLOCK_READ);

    if (rv != APR_SUCCESS) {
        return ETG_BODY_BROKEN;
    }
    if ((apr_off_t)length > body->limit - body->length) {
        return ETG_BODY_TOO_LONG;
    }
    rv = apr_brigade_write(body->held, NULL, NULL, data, length);
    if (rv != APR_SUCCESS) {
        return ETG_BODY_BROKEN;
    }
    body->length += (apr_off_t)length;
    apr_bucket_delete(e);
    return ETG_BODY_PART;
}

static int is_failure(const apr_bucket *e)
{
    return AP_BUCKET_IS_ERROR(e) || AP_BUCKET_IS_EOC(e);
}

apr_status_t etg_freshness_body_bytes(const etg_freshness_body *body,
                                      apr_pool_t *p, etg_bytes *bytes)
{
    apr_size_t length = (apr_size_t)body->length;
    char *data = apr_palloc(p, length + 1);
    apr_status_t rv = apr_brigade_flatten(body->held, data, &length);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    bytes->data = (const unsigned char *)data;
    bytes->length = length;
    return APR_SUCCESS;
}
