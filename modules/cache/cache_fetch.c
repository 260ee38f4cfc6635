/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_fetch.c: runs the handlers behind the cache and concludes.
 *
 * While they run, r->headers_in may be our own (plan ETG_CACHE_FETCH: without
 * the client's preconditions, with the stored response's validators); the
 * save filter puts the client's back before anything goes downstream, and so
 * does the conclusion if nothing came by.
 */
#include "modules/cache/cache_background.h"

#include "lib/coded_tag.h"
#include "lib/invalidation.h"
#include "lib/validation.h"
#include "modules/cache/cache_cluster.h"
#include "modules/cache/cache_data.h"
#include "modules/glue/request_view.h"

/* Whom a part's fetch has: read on another thread, and never changed. */
typedef struct etg_cache_awaited {
    etg_collapse *collapse;
    etg_collapse_ticket ticket;
} etg_cache_awaited;

static int is_awaited(void *baton);
static void end_response(const etg_cache_context *ctx, request_rec *r,
                         int status);
static int fetch_again(etg_cache_context *ctx, request_rec *r);
static int renew_filters(request_rec *r);
static void swap_fields(etg_cache_context *ctx, request_rec *r);
static void map_tags_back(etg_cache_context *ctx, request_rec *r);
static int conclude(etg_cache_context *ctx, request_rec *r, int status);
static int conclude_silent(etg_cache_context *ctx, request_rec *r,
                           int status);
static int serve_on_error(etg_cache_context *ctx, request_rec *r);
static void say_status(etg_cache_context *ctx, request_rec *r, int status);

int etg_cache_fetch(etg_cache_context *ctx, request_rec *r)
{
    ctx->requested_at = apr_time_now();
    if (ctx->plan == ETG_CACHE_FETCH) {
        swap_fields(ctx, r);
        if (etg_cache_may_serve_on_error(ctx, HTTP_GATEWAY_TIME_OUT)) {
            etg_internal_stand_in(r);
        }
    }
    else {
        map_tags_back(ctx, r);
    }
    return etg_cache_fetch_redirected(ctx, r);
}

int etg_cache_fetch_redirected(etg_cache_context *ctx, request_rec *r)
{
    int status;

    etg_cache_save_insert(ctx, r);
    etg_cache_data_asks(ctx, r, ctx->plan == ETG_CACHE_FETCH);
    /* Tells our own hook to decline in the run that follows. */
    ap_set_module_config(r->request_config, &etag_cache_module, ctx);
    status = ap_run_handler(r);
    etg_cache_data_asks(ctx, r, 0);
    etg_cache_restore_fields(ctx, r);
    if (r->next != NULL) {
        return status;           /* an inner request_rec has concluded */
    }
    end_response(ctx, r, status);
    if (ctx->save.retry) {
        return fetch_again(ctx, r);
    }
    return conclude(ctx, r, status);
}

/* A handler with nothing but a head to send may leave the end to core, which
 * comes after us: without it the filter never sees that response. */
static void end_response(const etg_cache_context *ctx, request_rec *r,
                         int status)
{
    if (!ctx->save.headers_seen && (status == OK || status == DONE)
        && !r->connection->aborted) {
        ap_finalize_request_protocol(r);
    }
}

/* The backend's 304 spoke of another response than the one we hold, or of one
 * whose body the store cannot give: asked without validators it has to send
 * what it means (RFC 9111 §4.3.3). */
static int fetch_again(etg_cache_context *ctx, request_rec *r)
{
    memset(&ctx->save, 0, sizeof(ctx->save));
    ctx->save.expected = -1;
    ctx->found.stored = NULL;
    ctx->status.stored = 0;
    ctx->requested_at = apr_time_now();
    apr_table_clear(r->headers_out);
    apr_table_clear(r->err_headers_out);
    r->status = HTTP_OK;
    r->status_line = NULL;
    r->eos_sent = 0;
    if (renew_filters(r) != OK) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    swap_fields(ctx, r);
    return etg_cache_fetch_redirected(ctx, r);
}

/* The content filters have had their response, ours among them. The next one
 * gets its own, as that of an internal redirect would. */
static int renew_filters(request_rec *r)
{
    r->output_filters = r->proto_output_filters;
    r->input_filters = r->proto_input_filters;
    ap_run_insert_filter(r);
    for (ap_filter_t *f = r->output_filters; f != NULL; f = f->next) {
        if (f->frec->filter_init_func != NULL
            && f->frec->filter_init_func(f) != OK) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

static void swap_fields(etg_cache_context *ctx, request_rec *r)
{
    const etg_stored_response *held = etg_cache_data_needs_full(ctx)
        ? NULL : ctx->found.stored;

    ctx->client_fields = r->headers_in;
    r->headers_in = etg_fetch_fields(r->headers_in, held, NULL,
                                     ctx->dir->ignored_cookies, r->pool);
}

/* What goes to the backend as it is still must not name tags it never gave. */
static void map_tags_back(etg_cache_context *ctx, request_rec *r)
{
    apr_table_t *mapped;

    if (ctx->dir->compress != 0
        && etg_coded_part_is_possible(r->headers_in, r->pool)) {
        /* For core's own filter as well. */
        apr_table_unset(r->headers_in, "If-Range");
        apr_table_unset(r->headers_in, "Range");
    }
    mapped = etg_coded_tags_map_back(r->headers_in, r->pool);
    if (mapped != NULL) {
        ctx->client_fields = r->headers_in;
        ctx->tags_mapped = 1;
        r->headers_in = mapped;
    }
}

void etg_cache_restore_fields(etg_cache_context *ctx, request_rec *r)
{
    if (ctx->client_fields != NULL) {
        r->headers_in = ctx->client_fields;
        for (request_rec *outer = r->prev; outer != NULL;
             outer = outer->prev) {
            outer->headers_in = ctx->client_fields;
        }
        ctx->client_fields = NULL;
    }
}

static int conclude(etg_cache_context *ctx, request_rec *r, int status)
{
    etg_cache_save *save = &ctx->save;

    if (status == DECLINED || status == SUSPENDED) {
        return status;
    }
    if (!save->headers_seen) {
        return conclude_silent(ctx, r, status);
    }
    /* A handler that returns OK may leave EOS to core (mod_proxy_fcgi and
     * whoever writes with ap_rwrite do), unless it gave up: for its client,
     * or saying so by its result. */
    if (!save->eos_seen
        && ((status != OK && status != DONE) || r->connection->aborted)) {
        save->failed = 1;
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
    }
    if (save->client_gone) {
        r->connection->aborted = 1;
    }
    return status;
}

/* The handlers answered by their return value alone: httpd is about to make
 * a response of it. */
static int conclude_silent(etg_cache_context *ctx, request_rec *r,
                           int status)
{
    int code = status == OK || status == DONE ? r->status : status;

    if (code == HTTP_NOT_MODIFIED && ctx->plan == ETG_CACHE_FETCH
        && ctx->found.stored != NULL) {
        int rv = etg_cache_revalidated(ctx, r, etg_response_fields_of(r))
            ? etg_cache_serve(ctx, r) : DECLINED;

        /* Without its body the 304 is of no use. */
        return rv == DECLINED ? fetch_again(ctx, r) : rv;
    }
    if (etg_cache_may_serve_on_error(ctx, code)) {
        return serve_on_error(ctx, r);
    }
    if (ctx->errand != NULL) {
        etg_cache_errand_conclude(ctx, code);
    }
    if (code == HTTP_NOT_MODIFIED) {
        etg_cache_say_held_tag(ctx, r);
    }
    etg_cache_invalidate_after(ctx, r, code, etg_response_fields_of(r));
    say_status(ctx, r, code);
    /* What httpd makes of a bare status is stored by nobody; 5xx aside, the
     * next one will be the same. */
    if (code >= HTTP_INTERNAL_SERVER_ERROR || code == AP_FILTER_ERROR) {
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
    }
    else {
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_SHAREABLE);
    }
    return status;
}

static int serve_on_error(etg_cache_context *ctx, request_rec *r)
{
    int rv;

    ctx->status.hit = 1;
    ctx->status.forward = NULL;
    ctx->status.detail = "stale-if-error";
    rv = etg_cache_serve(ctx, r);
    etg_cache_trace(ctx, "stale-if-error");
    return rv == DECLINED ? HTTP_BAD_GATEWAY : rv;
}

static void say_status(etg_cache_context *ctx, request_rec *r, int status)
{
    if (ctx->plan != ETG_CACHE_PASS && status > 0) {
        ctx->status.forward_status = status;
    }
    etg_cache_say_status(ctx, r->err_headers_out);
}

void etg_cache_say_followed(etg_cache_context *ctx)
{
    const etg_internal_ask *ask = etg_internal_ask_of(ctx->first);

    if (ask == NULL || strcmp(ask->purpose, ETG_INTERNAL_PART) != 0
        || ctx->ticket.number == 0) {
        return;
    }
    ctx->awaited = apr_palloc(ctx->pool, sizeof(*ctx->awaited));
    ctx->awaited->collapse = ctx->runtime->collapse;
    ctx->awaited->ticket = ctx->ticket;
    etg_internal_awaited_by(ctx->first, is_awaited, ctx->awaited);
}

static int is_awaited(void *baton)
{
    const etg_cache_awaited *awaited = baton;

    return etg_collapse_followers(awaited->collapse, &awaited->ticket) > 0;
}

int etg_cache_is_followed(request_rec *r)
{
    const etg_cache_context *ctx = etg_cache_context_of(r);

    return ctx != NULL && ctx->ticket.number != 0
        && etg_collapse_followers(ctx->runtime->collapse, &ctx->ticket) > 0;
}

void etg_cache_release(etg_cache_context *ctx, etg_collapse_outcome outcome)
{
    if (ctx->awaited != NULL) {
        etg_internal_awaited_by(ctx->first, NULL, NULL);
        ctx->awaited = NULL;
    }
    etg_cache_cluster_release(ctx, outcome);
    if (ctx->errand != NULL && ctx->ticket.number != 0
        && outcome != ETG_COLLAPSE_STORED) {
        /* Before the next may lead. */
        etg_cache_refresh_pause(ctx->runtime, &ctx->collapse_key,
                                !ctx->errand->is_answered);
    }
    if (ctx->ticket.number != 0) {
        etg_collapse_finish(ctx->runtime->collapse, &ctx->ticket, outcome,
                            ETG_CACHE_UNCACHEABLE_FOR);
        ctx->ticket.number = 0;
    }
    else if (outcome == ETG_COLLAPSE_NOT_SHAREABLE
             && ctx->plan == ETG_CACHE_FETCH_PLAIN
             && ctx->runtime->collapse != NULL) {
        etg_collapse_remember(ctx->runtime->collapse, &ctx->collapse_key,
                              apr_time_now() + ETG_CACHE_UNCACHEABLE_FOR);
    }
}
