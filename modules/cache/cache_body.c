/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_body.c: bytes on their way from the backend to the store and to the
 * client.
 *
 * Buckets are read one after the other and leave in portions, so that a
 * response of any length passes through in bounded memory. A client that
 * cannot take more right now holds up nobody who waits for this fetch: its
 * bytes are kept back until the response is stored, or, once HELD_BYTES_MAX
 * are, the others are let go to fetch for themselves. When the client leaves
 * and the rest is worth having, the filter goes on storing and hides the abort
 * from the backend's handler.
 */
#include "modules/cache/cache_body.h"

#include <apr_poll.h>

#include "modules/cache/cache_cluster.h"
#include "modules/cache/cache_compress.h"

#define PORTION_BYTES (64 * 1024)
#define HELD_BYTES_MAX (8 * 1024 * 1024)
/* The same while only other hosts may wait: whether they do is not known. */
#define HELD_FOR_HOSTS_MAX (1024 * 1024)
/* How often a wait for the client looks whether others wait for us. */
#define GLANCE apr_time_from_msec(20)
/* Squid's rule: a client that leaves near the end does not cost the rest. */
#define WORTH_FINISHING_BYTES (16 * 1024)
#define WORTH_FINISHING_PERCENT 95

static apr_status_t take_bucket(etg_cache_context *ctx, ap_filter_t *f,
                                apr_bucket *e, apr_bucket_brigade *out);
static apr_status_t read_bucket(etg_cache_context *ctx, ap_filter_t *f,
                                apr_bucket *e, apr_bucket_brigade *out,
                                const char **data, apr_size_t *length);
static void store_bytes(etg_cache_context *ctx, const char *data,
                        apr_size_t length);
static void stop_storing(etg_cache_context *ctx, etg_collapse_outcome outcome);
static void finish_storing(etg_cache_context *ctx);
static apr_status_t send_portion(etg_cache_context *ctx, ap_filter_t *f,
                         apr_bucket_brigade *out);
static apr_status_t hold(etg_cache_context *ctx, ap_filter_t *f,
                         apr_bucket_brigade *out);
static apr_status_t drain_held(etg_cache_context *ctx, ap_filter_t *f);
static apr_status_t client_left(etg_cache_context *ctx, conn_rec *c,
                                apr_status_t rv);
static int must_hold(etg_cache_context *ctx, conn_rec *c);
static int must_hold_for_hosts(etg_cache_context *ctx, const conn_rec *c);
static int followers_of(const etg_cache_context *ctx);
static int client_takes_more(conn_rec *c, apr_interval_time_t wait);
static void flush_pending(conn_rec *c);
static int is_worth_finishing(const etg_cache_context *ctx);

apr_status_t etg_cache_body_pass(etg_cache_context *ctx, ap_filter_t *f,
                                 apr_bucket_brigade *bb)
{
    apr_bucket_brigade *out;

    if (ctx->save.writer == NULL && ctx->save.held == NULL
        && !ctx->save.client_gone) {
        if (APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb))) {
            ctx->save.eos_seen = 1;
        }
        return ap_pass_brigade(f->next, bb);
    }
    out = apr_brigade_create(f->r->pool, bb->bucket_alloc);
    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);
        apr_status_t rv = take_bucket(ctx, f, e, out);

        if (rv != APR_SUCCESS) {
            stop_storing(ctx, ETG_COLLAPSE_NOT_STORED);
            return rv;
        }
    }
    return APR_BRIGADE_EMPTY(out) ? APR_SUCCESS : send_portion(ctx, f, out);
}

/* Moves one bucket to `out`, its bytes to the store; sends `out` when it has
 * grown to a portion. */
static apr_status_t take_bucket(etg_cache_context *ctx, ap_filter_t *f,
                                apr_bucket *e, apr_bucket_brigade *out)
{
    etg_cache_save *save = &ctx->save;
    const char *data;
    apr_size_t length = 0;

    if (APR_BUCKET_IS_EOS(e)) {
        save->eos_seen = 1;
        finish_storing(ctx);
    }
    else if (AP_BUCKET_IS_ERROR(e) || AP_BUCKET_IS_EOC(e)) {
        save->failed = 1;
        stop_storing(ctx, ETG_COLLAPSE_NOT_STORED);
    }
    else if (!APR_BUCKET_IS_METADATA(e)) {
        apr_status_t rv = read_bucket(ctx, f, e, out, &data, &length);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        store_bytes(ctx, data, length);
    }
    APR_BUCKET_REMOVE(e);
    if (length > 0 && save->bodiless) {
        apr_bucket_destroy(e);       /* a 304 or 412 of ours has none */
        return APR_SUCCESS;
    }
    APR_BRIGADE_INSERT_TAIL(out, e);
    save->portion += length;
    if (save->portion >= PORTION_BYTES || APR_BUCKET_IS_FLUSH(e)) {
        return send_portion(ctx, f, out);
    }
    return APR_SUCCESS;
}

/* A pipe that has nothing yet must not hold back what came before it. */
static apr_status_t read_bucket(etg_cache_context *ctx, ap_filter_t *f,
                                apr_bucket *e, apr_bucket_brigade *out,
                                const char **data, apr_size_t *length)
{
    apr_status_t rv = apr_bucket_read(e, data, length, APR_NONBLOCK_READ);

    if (!APR_STATUS_IS_EAGAIN(rv)) {
        return rv;
    }
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_flush_create(out->bucket_alloc));
    rv = send_portion(ctx, f, out);
    return rv != APR_SUCCESS
        ? rv : apr_bucket_read(e, data, length, APR_BLOCK_READ);
}

static void store_bytes(etg_cache_context *ctx, const char *data,
                        apr_size_t length)
{
    etg_cache_save *save = &ctx->save;
    apr_status_t rv;

    save->received += length;
    if (save->writer == NULL || length == 0) {
        return;
    }
    if ((apr_int64_t)save->received > ctx->policy.max_object) {
        stop_storing(ctx, ETG_COLLAPSE_NOT_SHAREABLE);
        return;
    }
    rv = etg_cache_compress_add(ctx, data, length);
    if (rv != APR_SUCCESS) {
        stop_storing(ctx, ETG_COLLAPSE_NOT_STORED);
    }
}

static void stop_storing(etg_cache_context *ctx, etg_collapse_outcome outcome)
{
    etg_cache_save *save = &ctx->save;

    if (save->writer != NULL) {
        ctx->server->entity.provider->entity_abandon(save->writer);
        save->writer = NULL;
        etg_cache_compress_abandon(ctx);
    }
    etg_cache_release(ctx, outcome);
}

static void finish_storing(etg_cache_context *ctx)
{
    etg_cache_save *save = &ctx->save;
    etg_stored_response *record = &save->record;
    apr_status_t rv;

    if (save->writer == NULL) {
        return;
    }
    if (save->failed || (save->expected >= 0
                         && (apr_uint64_t)save->expected != save->received)
        || etg_cache_compress_end(ctx) != APR_SUCCESS) {
        stop_storing(ctx, ETG_COLLAPSE_NOT_STORED);
        return;
    }
    record->fields = (const etg_field *)save->fields->elts;
    record->field_count = save->fields->nelts;
    record->has_body = 1;
    rv = ctx->server->entity.provider->entity_finish(
        save->writer, etg_keep_until(record, &ctx->policy), &record->entity);
    save->writer = NULL;
    if (rv == APR_SUCCESS) {
        rv = etg_cache_write_response(ctx, record, save->decision.vary);
    }
    if (rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv)) {
        etg_cache_trace(ctx, "store");
        etg_cache_release(ctx, ETG_COLLAPSE_STORED);
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, rv, ctx->first,
                  ETGLOGNO(0110) "not stored: %s", ctx->key.text);
    etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
}

static apr_status_t send_portion(etg_cache_context *ctx, ap_filter_t *f,
                         apr_bucket_brigade *out)
{
    etg_cache_save *save = &ctx->save;
    conn_rec *c = f->r->connection;
    apr_time_t began;
    apr_status_t rv;

    if (save->client_gone) {
        apr_brigade_cleanup(out);
        save->portion = 0;
        return APR_SUCCESS;
    }
    if (!save->eos_seen && must_hold(ctx, c)) {
        rv = hold(ctx, f, out);
        return rv == APR_SUCCESS ? drain_held(ctx, f) : rv;
    }
    if (save->held != NULL) {
        APR_BRIGADE_PREPEND(out, save->held);
        save->held = NULL;
        save->held_bytes = 0;
    }
    save->portion = 0;
    began = apr_time_now();
    rv = ap_pass_brigade(f->next, out);
    save->has_blocked |= apr_time_now() - began > GLANCE;
    apr_brigade_cleanup(out);
    return rv != APR_SUCCESS || c->aborted ? client_left(ctx, c, rv) : rv;
}

/* Without its FLUSH buckets: they would make a later pass block. */
static apr_status_t hold(etg_cache_context *ctx, ap_filter_t *f,
                         apr_bucket_brigade *out)
{
    etg_cache_save *save = &ctx->save;
    apr_bucket *e = APR_BRIGADE_FIRST(out);

    while (e != APR_BRIGADE_SENTINEL(out)) {
        apr_bucket *next = APR_BUCKET_NEXT(e);

        if (APR_BUCKET_IS_FLUSH(e)) {
            apr_bucket_delete(e);
        }
        e = next;
    }
    save->held_bytes += save->portion;
    save->portion = 0;
    return ap_save_brigade(f, &save->held, &out, f->r->pool);
}

/* Sends of what is held as much as goes without blocking. */
static apr_status_t drain_held(etg_cache_context *ctx, ap_filter_t *f)
{
    etg_cache_save *save = &ctx->save;
    conn_rec *c = f->r->connection;

    while (save->held_bytes > 0 && c->master == NULL
           && client_takes_more(c, 0)) {
        apr_bucket_brigade *part = save->held;
        apr_bucket *rest;
        apr_status_t rv = apr_brigade_partition(part, PORTION_BYTES, &rest);

        if (rv == APR_SUCCESS && rest != APR_BRIGADE_SENTINEL(part)) {
            save->held = apr_brigade_split(part, rest);
            save->held_bytes -= PORTION_BYTES;
        }
        else if (rv == APR_SUCCESS || rv == APR_INCOMPLETE) {
            save->held = NULL;
            save->held_bytes = 0;
        }
        else {
            return rv;
        }
        rv = ap_pass_brigade(f->next, part);
        apr_brigade_cleanup(part);
        if (rv != APR_SUCCESS || c->aborted) {
            return client_left(ctx, c, rv);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t client_left(etg_cache_context *ctx, conn_rec *c,
                                apr_status_t rv)
{
    if (ctx->save.eos_seen || ctx->save.writer == NULL) {
        return rv;
    }
    if (ctx->errand != NULL || !is_worth_finishing(ctx)) {
        stop_storing(ctx, ETG_COLLAPSE_NOT_STORED);
        return rv;
    }
    ctx->save.client_gone = 1;
    c->aborted = 0;                  /* or the handler would stop reading */
    return APR_SUCCESS;
}

/* Would sending now make waiting requests wait for this client? While nobody
 * waits, the backend is read no faster than the client reads. */
static int must_hold(etg_cache_context *ctx, conn_rec *c)
{
    apr_time_t end = apr_time_now() + ctx->first->server->timeout;

    if (ctx->save.writer == NULL || ctx->ticket.number == 0
        || ctx->errand != NULL) {
        return 0;
    }
    while (ctx->save.held == NULL && c->master == NULL) {
        int followers = followers_of(ctx);

        if (client_takes_more(c, followers > 0 ? 0 : GLANCE)) {
            return 0;
        }
        if (followers > 0 || ctx->lease.token != 0
            || apr_time_now() >= end) {
            break;
        }
    }
    if (followers_of(ctx) == 0 && ctx->lease.token != 0) {
        return must_hold_for_hosts(ctx, c);
    }
    if (followers_of(ctx) == 0) {
        return ctx->save.held != NULL
            && ctx->save.held_bytes < HELD_BYTES_MAX;
    }
    if (ctx->save.held_bytes < HELD_BYTES_MAX) {
        return 1;
    }
    etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
    return 0;
}

/* Other hosts wait for the lease, which says nothing of them: it is given up
 * before much is held. What a client of HTTP/2 can take shows only by sending
 * to it. */
static int must_hold_for_hosts(etg_cache_context *ctx, const conn_rec *c)
{
    if (c->master != NULL && !ctx->save.has_blocked) {
        return 0;
    }
    if (ctx->save.held_bytes < HELD_FOR_HOSTS_MAX) {
        return 1;
    }
    etg_cache_cluster_release(ctx, ETG_COLLAPSE_NOT_STORED);
    return 0;
}

static int followers_of(const etg_cache_context *ctx)
{
    return (int)etg_collapse_followers(ctx->runtime->collapse, &ctx->ticket);
}

/* Errors count as yes: passing data on finds them out. */
static int client_takes_more(conn_rec *c, apr_interval_time_t wait)
{
    apr_pollfd_t client = { 0 };
    apr_int32_t ready = 0;

    client.p = c->pool;
    client.desc_type = APR_POLL_SOCKET;
    client.desc.s = ap_get_conn_socket(c);
    client.reqevents = APR_POLLOUT;
    if (apr_poll(&client, 1, &ready, wait) != APR_SUCCESS) {
        return 0;
    }
    if (c->data_in_output_filters) {
        flush_pending(c);
    }
    return !c->data_in_output_filters || c->aborted;
}

/* Sends what core has set aside as far as that goes without blocking, as the
 * event MPM does on write completion. */
static void flush_pending(conn_rec *c)
{
    ap_filter_t *last = c->output_filters;

    while (last->next != NULL) {
        last = last->next;
    }
    last->frec->filter_func.out_func(last, NULL);
}

static int is_worth_finishing(const etg_cache_context *ctx)
{
    const etg_cache_save *save = &ctx->save;
    apr_uint64_t expected;

    if (save->writer == NULL) {
        return 0;
    }
    if (ctx->ticket.number != 0 && followers_of(ctx) > 0) {
        return 1;
    }
    if (save->expected < 0) {
        return 0;
    }
    expected = (apr_uint64_t)save->expected;
    return expected - save->received <= WORTH_FINISHING_BYTES
        || save->received >= expected / 100 * WORTH_FINISHING_PERCENT;
}
