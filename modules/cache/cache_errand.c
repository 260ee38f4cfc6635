/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_errand.c: an errand's way through the cache.
 *
 * Runs on one of the background's threads: etg_cache_errand_run asks, and
 * inside of that our handler comes by with a context like any client's, but
 * for ctx->errand. It takes the lead that was handed over, or joins without
 * waiting, and asks the backend as a leader would. It never answers from the
 * store, never waits for others, and causes no further errands.
 */
#include "modules/cache/cache_background.h"

#include "lib/background.h"
#include "lib/freshness.h"
#include "lib/invalidation.h"
#include "modules/cache/cache_cluster.h"

/* Compared as pointers: only the cache's own asks carry an errand. */
static const char *const purposes[] = {
    [ETG_CACHE_REFRESH] = "refresh",
    [ETG_CACHE_WARM] = "warm",
    [ETG_CACHE_PREFETCH] = "prefetch"
};

static int lead(etg_cache_context *ctx);
static int is_new_enough(const etg_cache_context *ctx);
static int do_nothing(etg_cache_context *ctx, request_rec *r);
static int ask_backend(etg_cache_context *ctx, request_rec *r);
static int is_answer(int status);
static int leads_to_itself(const etg_cache_context *ctx, request_rec *r,
                           const etg_response_view *view);
static void invalidate(etg_cache_context *ctx);

apr_status_t etg_cache_errand_run(etg_cache_runtime *runtime,
                                  etg_cache_errand *errand,
                                  etg_internal_ask *ask, apr_pool_t *p,
                                  etg_internal_answer *answer)
{
    apr_status_t rv;

    ask->purpose = purposes[errand->purpose];
    ask->baton = errand;
    memset(answer, 0, sizeof(*answer));
    rv = etg_internal_request(runtime->internal, ask, p, answer);
    ap_log_error(APLOG_MARK, APLOG_DEBUG, rv, ask->server,
                 ETGLOGNO(0164) "%s in the background: status %d, %s: %s",
                 ask->purpose, answer->status,
                 errand->is_stored ? "stored" : "not stored", ask->target);
    etg_cache_errand_end(runtime, errand);
    return rv;
}

void etg_cache_errand_end(etg_cache_runtime *runtime,
                          etg_cache_errand *errand)
{
    if (errand->purpose == ETG_CACHE_REFRESH && !errand->is_stored) {
        etg_cache_refresh_pause(runtime, &errand->collapse_key,
                                !errand->is_answered);
    }
    if (errand->ticket.number != 0) {
        etg_collapse_finish(runtime->collapse, &errand->ticket,
                            ETG_COLLAPSE_NOT_STORED, 0);
    }
}

etg_cache_errand *etg_cache_errand_of(const request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    for (unsigned i = 0; ask != NULL
         && i < sizeof(purposes) / sizeof(purposes[0]); i++) {
        if (ask->purpose == purposes[i]) {
            return ask->baton;
        }
    }
    return NULL;
}

int etg_cache_handle_errand(etg_cache_context *ctx, request_rec *r)
{
    etg_cache_look_up(ctx, ETG_STORE_NEAREST, apr_time_now());
    if (ctx->found.failed || ctx->observe
        || (ctx->errand->purpose == ETG_CACHE_PREFETCH
            && is_new_enough(ctx))
        || !lead(ctx)) {
        return do_nothing(ctx, r);
    }
    if (ctx->found.is_copy || ctx->lease.token != 0
        || ctx->errand->purpose != ETG_CACHE_REFRESH) {
        /* Another may have stored it before we led. */
        etg_cache_look_up(ctx, ETG_STORE_SHARED, apr_time_now());
    }
    return ctx->found.failed || is_new_enough(ctx)
        ? do_nothing(ctx, r) : ask_backend(ctx, r);
}

/* A lead that was handed over counts for the key it was taken for: what the
 * admin's rules make of this request may have another. */
static int lead(etg_cache_context *ctx)
{
    etg_cache_errand *errand = ctx->errand;

    etg_cache_collapse_key_make(ctx);
    if (errand->ticket.number != 0) {
        if (memcmp(&errand->collapse_key, &ctx->collapse_key,
                   sizeof(ctx->collapse_key)) != 0) {
            ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, ctx->first,
                          ETGLOGNO(0162) "the client's request had another "
                          "key than the background's: %s", ctx->key.text);
            return 0;
        }
        ctx->ticket = errand->ticket;
        errand->ticket.number = 0;
    }
    else if (etg_collapse_is_uncacheable(ctx->runtime->collapse,
                                         &ctx->collapse_key, apr_time_now())
             || etg_collapse_join(ctx->runtime->collapse, &ctx->collapse_key,
                                  0, &ctx->ticket) != ETG_COLLAPSE_LEAD) {
        return 0;
    }
    /* As long as a client here may wait for it, another host's will do. */
    return etg_cache_cluster_try(ctx, etg_cache_patience(ctx))
           == ETG_COLLAPSE_LEAD;
}

static int is_new_enough(const etg_cache_context *ctx)
{
    const etg_stored_response *stored = ctx->found.stored;
    const etg_reuse *reuse = &ctx->found.reuse;

    if (stored == NULL) {
        return 0;
    }
    if (ctx->errand->purpose == ETG_CACHE_PREFETCH) {
        return reuse->verdict == ETG_REUSE_FRESH;
    }
    return stored->received_at >= ctx->errand->asked_at
        && (reuse->verdict == ETG_REUSE_FRESH
            || (reuse->reason != NULL && !strcmp(reuse->reason, "stale")));
}

static int do_nothing(etg_cache_context *ctx, request_rec *r)
{
    etg_cache_errand *errand = ctx->errand;

    if (!ctx->found.failed && is_new_enough(ctx)) {
        errand->is_stored = 1;
        errand->ttl = ctx->found.reuse.ttl;
    }
    etg_cache_release(ctx, errand->is_stored ? ETG_COLLAPSE_STORED
                                             : ETG_COLLAPSE_NOT_STORED);
    ctx->done = 1;
    r->status = HTTP_NO_CONTENT;
    ap_finalize_request_protocol(r);
    return DONE;
}

static int ask_backend(etg_cache_context *ctx, request_rec *r)
{
    etg_cache_lookup *found = &ctx->found;

    if (found->stored != NULL
        && found->reuse.verdict == ETG_REUSE_UNUSABLE) {
        found->stored = NULL;
    }
    if (found->stored != NULL) {
        ctx->status.forward = "stale";
        ctx->status.has_ttl = 1;
        ctx->status.ttl = found->reuse.ttl;
    }
    else {
        ctx->status.forward = found->is_vary_miss ? "vary-miss" : "uri-miss";
    }
    ctx->status.detail = purposes[ctx->errand->purpose];
    etg_cache_trace(ctx, found->stored != NULL ? "stale" : "miss");
    ctx->errand->was_fetched = 1;
    ctx->plan = ETG_CACHE_FETCH;
    return etg_cache_fetch(ctx, r);
}

int etg_cache_errand_judge(etg_cache_context *ctx, request_rec *r,
                           const etg_response_view *view)
{
    etg_storable *decision = &ctx->save.decision;

    ctx->errand->is_answered = is_answer(view->status) && !decision->yes;
    switch (etg_background_effect_of(view->status, decision->yes,
                                     leads_to_itself(ctx, r, view))) {
    case ETG_BACKGROUND_NOTHING:
        decision->yes = 0;
        ctx->errand->is_answered = is_answer(view->status);
        ctx->status.detail = "background";
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
        return 1;
    case ETG_BACKGROUND_INVALIDATE:
        invalidate(ctx);
        return 0;
    default:
        if (ctx->errand->purpose == ETG_CACHE_PREFETCH) {
            decision->freshness.flags |= ETG_FRESH_PREFETCHED;
        }
        return 0;
    }
}

/* Not a failure that a stale response may stand in for (RFC 5861 §4). */
static int is_answer(int status)
{
    return status > 0 && status < HTTP_INTERNAL_SERVER_ERROR;
}

void etg_cache_errand_conclude(etg_cache_context *ctx, int status)
{
    ctx->errand->is_answered = is_answer(status);
    switch (etg_background_effect_of(status > 0 ? status : 500, 0, 0)) {
    case ETG_BACKGROUND_NOTHING:
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
        break;
    case ETG_BACKGROUND_INVALIDATE:
        invalidate(ctx);
        break;
    default:
        break;
    }
}

static int leads_to_itself(const etg_cache_context *ctx, request_rec *r,
                           const etg_response_view *view)
{
    const char *location = apr_table_get(view->fields, "Location");
    const char *host = apr_table_get(r->headers_in, "Host");
    const char *target;
    etg_cache_key key;

    if (location == NULL || host == NULL || view->status / 100 != 3) {
        return 0;
    }
    target = etg_target_resolve(location, ap_http_scheme(r), host,
                                ctx->first->unparsed_uri, ctx->pool);
    if (target == NULL) {
        return 0;
    }
    etg_cache_key_of(ctx, target, &key);
    return key.length == ctx->key.length
        && !memcmp(key.text, ctx->key.text, key.length);
}

/* Before those who wait are let go, so that they see it. */
static void invalidate(etg_cache_context *ctx)
{
    if (ctx->found.stored != NULL
        || ctx->errand->purpose == ETG_CACHE_REFRESH) {
        etg_cache_write_mark(ctx->server, &ctx->key, ETG_STORE_MARK_INVALID,
                             apr_time_now(), ETG_CACHE_COMMIT_WAIT);
    }
}
