/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_inflate.c: a body that is stored gzip-coded, for a client that does
 * not take that.
 *
 * Portions go on one after the other, so that a body of any length passes in
 * bounded memory; only for a Range it is made as a whole, since core's filter
 * for them takes nothing else. Its length was announced from the record, and a
 * body that turns out to be something else ends as a broken answer, never as a
 * short one that looks whole.
 */
#include "modules/cache/cache_inflate.h"

#include "lib/gzip.h"

#define PORTION_BYTES (64 * 1024)

typedef struct inflating {
    request_rec *r;
    ap_filter_t *after;
    apr_bucket_brigade *out;
    apr_size_t held;              /* bytes in `out` */
    int as_a_whole;
    apr_status_t client;          /* what sending said */
} inflating;

static apr_status_t pass(request_rec *r, ap_filter_t *after,
                         apr_bucket_brigade *bb);
static apr_status_t take_plain(void *baton, const void *data,
                               apr_size_t length);
static apr_status_t inflate_all(inflating *state, apr_bucket_brigade *bb,
                                apr_uint64_t length);
static apr_status_t end_broken(inflating *state, apr_status_t rv);

apr_status_t etg_cache_inflate_pass(etg_cache_context *ctx, request_rec *r,
                                    ap_filter_t *after,
                                    apr_bucket_brigade *bb)
{
    inflating state = { .r = r, .after = after };
    apr_status_t rv;

    if (!ctx->inflates) {
        return pass(r, after, bb);
    }
    ctx->inflates = 0;
    state.out = apr_brigade_create(r->pool, bb->bucket_alloc);
    state.as_a_whole = apr_table_get(r->headers_in, "Range") != NULL;
    rv = inflate_all(&state, bb, ctx->shown.length);
    apr_brigade_cleanup(bb);
    if (state.client != APR_SUCCESS) {
        return state.client;
    }
    if (rv != APR_SUCCESS) {
        return end_broken(&state, rv);
    }
    APR_BRIGADE_INSERT_TAIL(state.out,
                            apr_bucket_eos_create(bb->bucket_alloc));
    return pass(r, after, state.out);
}

/* Filters may take themselves out while the first portion goes by. */
static apr_status_t pass(request_rec *r, ap_filter_t *after,
                         apr_bucket_brigade *bb)
{
    return ap_pass_brigade(after != NULL ? after->next : r->output_filters,
                           bb);
}

static apr_status_t inflate_all(inflating *state, apr_bucket_brigade *bb,
                                apr_uint64_t length)
{
    etg_inflater *inflater;
    apr_status_t rv = etg_inflater_begin(&inflater, length, take_plain, state,
                                         state->r->pool);

    while (rv == APR_SUCCESS && !APR_BUCKET_IS_EOS(APR_BRIGADE_FIRST(bb))) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);
        const char *data;
        apr_size_t bytes;

        if (APR_BUCKET_IS_FILE(e)) {
            apr_bucket_file_enable_mmap(e, 0);   /* it may be cut: SIGBUS */
        }
        rv = apr_bucket_read(e, &data, &bytes, APR_BLOCK_READ);
        if (rv == APR_SUCCESS) {
            rv = etg_inflater_add(inflater, data, bytes);
        }
        apr_bucket_delete(e);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_inflater_end(inflater);
    }
    if (rv == APR_SUCCESS && etg_inflater_written(inflater) != length) {
        rv = APR_EINVAL;
    }
    return rv;
}

static apr_status_t take_plain(void *baton, const void *data,
                               apr_size_t length)
{
    inflating *state = baton;

    APR_BRIGADE_INSERT_TAIL(state->out, apr_bucket_heap_create(
        data, length, NULL, state->out->bucket_alloc));
    state->held += length;
    if (state->as_a_whole || state->held < PORTION_BYTES) {
        return APR_SUCCESS;
    }
    state->held = 0;
    state->client = pass(state->r, state->after, state->out);
    apr_brigade_cleanup(state->out);
    if (state->client == APR_SUCCESS && state->r->connection->aborted) {
        state->client = APR_ECONNABORTED;
    }
    return state->client;
}

/* As a proxy ends what its backend has broken off. */
static apr_status_t end_broken(inflating *state, apr_status_t rv)
{
    request_rec *r = state->r;
    apr_bucket_alloc_t *alloc = state->out->bucket_alloc;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r, ETGLOGNO(0175)
                  "stored gzip does not inflate to what was stored; the "
                  "answer is broken off");
    apr_brigade_cleanup(state->out);
    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(state->out, ap_bucket_error_create(
        HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(state->out, apr_bucket_eos_create(alloc));
    return pass(r, state->after, state->out);
}
