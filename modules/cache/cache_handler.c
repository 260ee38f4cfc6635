/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_handler.c: one request's way: pass, purge, hit, follow or fetch.
 *
 * When the backend is to be asked, the handler runs the other handlers itself
 * (ap_run_handler) instead of declining: it then knows when they returned and
 * with what, so a handler that ended without EOS, a 304 or a 5xx by return
 * value, and an ErrorDocument redirect are all told apart before anything
 * reaches the client.
 */
#include "modules/cache/cache_handler.h"

#include "lib/precondition.h"
#include "modules/cache/cache_background.h"
#include "modules/cache/cache_cluster.h"
#include "modules/cache/cache_refresh_ahead.h"
#include "modules/cache/cache_prefetch.h"
#include "modules/glue/request_view.h"

/* Looking up, waiting for another's fetch and looking up again has an end. */
#define ROUNDS_MAX 4

static int handle_first(request_rec *r, const etg_cache_dir_conf *dir);
static int handle_known(etg_cache_context *ctx, request_rec *r);
static int handle_redirected(etg_cache_context *ctx, request_rec *r);
static int handle_pass(etg_cache_context *ctx, request_rec *r,
                       const char *reason);
static int handle_cacheable(etg_cache_context *ctx, request_rec *r);
static etg_collapse_role join(etg_cache_context *ctx);
static etg_collapse_role join_here(etg_cache_context *ctx);
static int has_gone(void *r);
static int answer_from_store(etg_cache_context *ctx, request_rec *r);
static const char *word_of(const etg_reuse *reuse);
static int is_refreshed_behind(const etg_cache_context *ctx);
static int may_have_body(etg_cache_context *ctx);
static void forget_stored(etg_cache_context *ctx);
static int refuse_to_fetch(etg_cache_context *ctx, request_rec *r);
static int plan_fetch(etg_cache_context *ctx, request_rec *r);
static int may_collapse(const etg_cache_context *ctx);

int etg_cache_handler(request_rec *r)
{
    const etg_cache_dir_conf *dir = ap_get_module_config(r->per_dir_config,
                                                         &etag_cache_module);
    etg_cache_context *ctx;

    if (r->main != NULL || r->proxyreq == PROXYREQ_PROXY
        || ap_get_module_config(r->request_config,
                                &etag_cache_module) != NULL) {
        return DECLINED;             /* the last: our own inner run */
    }
    if (r->prev != NULL) {
        ctx = etg_cache_context_of(r);
        return ctx == NULL ? DECLINED : handle_redirected(ctx, r);
    }
    return dir->mode == ETG_CACHE_OFF ? DECLINED : handle_first(r, dir);
}

static int handle_first(request_rec *r, const etg_cache_dir_conf *dir)
{
    etg_cache_context *ctx = etg_cache_context_make(r, dir);

    if (!strcmp(r->method, "PURGE") && dir->purge != ETG_CACHE_PURGE_OFF) {
        return etg_cache_purge(ctx, r);
    }
    return handle_known(ctx, r);
}

/* The first request_rec, or that of a redirect that was waited for. */
static int handle_known(etg_cache_context *ctx, request_rec *r)
{
    const char *reason;
    int rv;

    ctx->deferred = etg_cache_will_be_redirected(r);
    if (ctx->deferred) {
        return DECLINED;
    }
    reason = etg_cache_pass_reason(ctx, r);
    if (reason != NULL) {
        return handle_pass(ctx, r, reason);
    }
    if (ctx->errand != NULL) {
        return etg_cache_handle_errand(ctx, r);
    }
    rv = handle_cacheable(ctx, r);
    if (rv == OK || rv == DONE) {
        etg_cache_prefetch_after(ctx, r);   /* an error has no next page */
    }
    return rv;
}

/* mod_rewrite in a directory redirects only in its handler: what it leads to
 * may have access rules of its own, which are asked before we answer. */
int etg_cache_will_be_redirected(const request_rec *r)
{
    return r->handler != NULL && !strcmp(r->handler, "redirect-handler");
}

/* An ErrorDocument's page is nobody's stored response. */
static int handle_redirected(etg_cache_context *ctx, request_rec *r)
{
    if (ctx->done || r->status != HTTP_OK) {
        return DECLINED;
    }
    if (ctx->deferred) {
        return handle_known(ctx, r);
    }
    ctx->redirected = 1;
    return etg_cache_fetch_redirected(ctx, r);
}

static int handle_pass(etg_cache_context *ctx, request_rec *r,
                       const char *reason)
{
    ctx->plan = ETG_CACHE_PASS;
    ctx->status.forward = reason;
    etg_cache_trace(ctx, "pass");
    return etg_cache_fetch(ctx, r);
}

static int handle_cacheable(etg_cache_context *ctx, request_rec *r)
{
    int late;

    for (int round = 0; round < ROUNDS_MAX; round++) {
        etg_collapse_role role;
        int rv;

        etg_cache_look_up_well(ctx, round == 0 ? r->request_time
                                               : apr_time_now());
        rv = answer_from_store(ctx, r);
        if (rv == DECLINED && round == 0) {
            rv = etg_cache_be_patient(ctx, r);
            rv = rv == DECLINED ? answer_from_store(ctx, r) : rv;
        }
        if (rv != DECLINED) {
            return rv;
        }
        if (!may_collapse(ctx) || ctx->ticket.number != 0) {
            break;
        }
        etg_cache_collapse_key_make(ctx);
        if (etg_collapse_is_uncacheable(ctx->runtime->collapse,
                                        &ctx->collapse_key,
                                        r->request_time)) {
            ctx->status.forward = ctx->found.stored != NULL ? "stale"
                                                            : "uri-miss";
            ctx->status.detail = "uncacheable";
            etg_cache_trace(ctx, "miss");
            ctx->plan = ETG_CACHE_FETCH_PLAIN;
            return etg_cache_fetch(ctx, r);
        }
        role = join(ctx);
        if (role == ETG_COLLAPSE_UNCACHEABLE
            || role == ETG_COLLAPSE_ALONE) {
            break;
        }
        if (role == ETG_COLLAPSE_DONE) {
            /* RFC 9211 §2.6: collapsed says how a forwarded one fared. */
            ctx->request.collapsed = 1;
            ctx->status.collapsed = 1;
            ctx->status.forward = ctx->found.stored != NULL
                ? "stale" : "uri-miss";
        }
        /* LEAD looks up once more: the last leader may just have stored. */
    }
    late = etg_cache_be_late(ctx, r);
    return late == DECLINED ? plan_fetch(ctx, r) : late;
}

/* Joins the fetch of the key on this host and, leading here, among hosts. */
static etg_collapse_role join(etg_cache_context *ctx)
{
    apr_time_t began = apr_time_now();
    etg_collapse_role role = join_here(ctx);

    if (role != ETG_COLLAPSE_LEAD) {
        return role;
    }
    etg_cache_say_followed(ctx);
    return etg_cache_cluster_join(ctx, began);
}

/* Who has less time than others is no leader when it is up: he could fetch
 * nothing, neither for them. */
static etg_collapse_role join_here(etg_cache_context *ctx)
{
    apr_interval_time_t patience = ctx->dir->collapse_wait;
    apr_interval_time_t left = etg_cache_time_left(ctx, patience);
    etg_collapse_role role = etg_collapse_join_until(
        ctx->runtime->collapse, &ctx->collapse_key,
        left < patience ? 0 : patience, has_gone, ctx->first, &ctx->ticket);

    return role == ETG_COLLAPSE_ALONE && left < patience
        ? etg_collapse_follow_until(ctx->runtime->collapse,
                                    &ctx->collapse_key, left, has_gone,
                                    ctx->first)
        : role;
}

/* A part of a composite that has been given up. */
static int has_gone(void *r)
{
    return etg_internal_is_cut(r);
}

static int answer_from_store(etg_cache_context *ctx, request_rec *r)
{
    const etg_cache_lookup *found = &ctx->found;
    int rv;

    if (!ctx->observe && etg_cache_is_usable(ctx) && may_have_body(ctx)) {
        ctx->status.hit = !ctx->status.collapsed;
        ctx->status.has_ttl = 1;
        ctx->status.ttl = found->reuse.ttl;
        if (found->reuse.is_by_data && found->trouble == APR_SUCCESS) {
            ctx->status.detail = found->reuse.reason;
        }
        etg_cache_trace(ctx, word_of(&found->reuse));
        if (is_refreshed_behind(ctx)) {
            ctx->status.detail = found->reuse.reason;
            etg_cache_refresh_behind(ctx, r);
        }
        etg_cache_refresh_ahead(ctx, r);
        rv = etg_cache_serve(ctx, r);
        if (rv != DECLINED) {
            etg_cache_release(ctx, ETG_COLLAPSE_STORED);
            return rv;
        }
        ctx->status.hit = 0;
        ctx->status.has_ttl = 0;
        if (found->is_copy && ctx->body_trouble == APR_SUCCESS) {
            /* For a moment of the shared store: what is fetched now is to
             * be stored there as well. */
            etg_cache_look_up(ctx, ETG_STORE_SHARED, apr_time_now());
        }
        forget_stored(ctx);
    }
    if ((ctx->request.cc.flags & ETG_CC_ONLY_IF_CACHED) && !ctx->observe) {
        return refuse_to_fetch(ctx, r);
    }
    return DECLINED;
}

static const char *word_of(const etg_reuse *reuse)
{
    if (reuse->is_validated) {
        return "valid";
    }
    return reuse->verdict == ETG_REUSE_FRESH ? "fresh" : "stale";
}

static int is_refreshed_behind(const etg_cache_context *ctx)
{
    const etg_reuse *reuse = &ctx->found.reuse;

    return reuse->verdict == ETG_REUSE_STALE
        && !strcmp(reuse->reason, "stale-while-revalidate");
}

/* A store that could not give the body a moment ago is not waited for again,
 * unless another's fetch came in between. */
static int may_have_body(etg_cache_context *ctx)
{
    if (ctx->body_trouble == APR_SUCCESS || ctx->status.collapsed) {
        return 1;
    }
    forget_stored(ctx);
    return 0;
}

/* Without its body it is a miss. */
static void forget_stored(etg_cache_context *ctx)
{
    ctx->found.stored = NULL;
    ctx->status.detail = ctx->body_trouble == APR_SUCCESS
        ? "no-body" : etg_cache_store_trouble(ctx->body_trouble);
}

/* RFC 9111 §5.2.1.7 */
static int refuse_to_fetch(etg_cache_context *ctx, request_rec *r)
{
    ctx->done = 1;
    ctx->status.detail = "only-if-cached";
    etg_cache_trace(ctx, "miss");
    etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
    etg_cache_say_status(ctx, r->err_headers_out);
    return HTTP_GATEWAY_TIME_OUT;
}

static int plan_fetch(etg_cache_context *ctx, request_rec *r)
{
    const etg_cache_lookup *found = &ctx->found;
    int has_range = apr_table_get(r->headers_in, "Range") != NULL;

    ctx->status.collapsed = 0;       /* what was waited for does not do */
    if (found->stored != NULL
        && found->reuse.verdict == ETG_REUSE_UNUSABLE) {
        ctx->found.stored = NULL;
    }
    if (ctx->observe && found->stored != NULL
        && found->reuse.verdict == ETG_REUSE_FRESH) {
        ctx->status.forward = "bypass";
        ctx->status.detail = "would-hit";
        etg_cache_trace(ctx, "fresh");
    }
    else if (found->stored != NULL) {
        ctx->status.forward = found->reuse.ttl > 0 && found->reuse.reason
            && !strncmp(found->reuse.reason, "request", 7)
            ? "request" : "stale";
        if (found->trouble == APR_SUCCESS) {
            ctx->status.detail = found->reuse.reason;
        }
        ctx->status.has_ttl = 1;
        ctx->status.ttl = found->reuse.ttl;
        etg_cache_trace(ctx, "stale");
    }
    else {
        ctx->status.forward = found->is_vary_miss ? "vary-miss" : "uri-miss";
        etg_cache_trace(ctx, "miss");
    }
    if (ctx->observe || found->failed
        || (found->stored == NULL && (has_range || ctx->is_head))) {
        ctx->plan = ETG_CACHE_FETCH_PLAIN;
        /* What is not stored serves nobody who waits. */
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
    }
    else {
        ctx->plan = ETG_CACHE_FETCH;
    }
    return etg_cache_fetch(ctx, r);
}

/* A Range or HEAD that misses goes its own way: what comes back answers
 * nobody else. */
static int may_collapse(const etg_cache_context *ctx)
{
    if (ctx->runtime->collapse == NULL || !ctx->dir->collapse
        || ctx->observe || ctx->found.failed
        || (ctx->request.cc.flags & ETG_CC_NO_STORE)) {
        return 0;
    }
    return ctx->found.stored != NULL
        ? !ctx->is_head
        : !ctx->is_head
          && apr_table_get(ctx->request.fields, "Range") == NULL;
}
