/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_patience.c: a client that waits for a slow backend for so long and no
 * longer.
 *
 * The fetch is the background's, so that it goes on when the client has its
 * stale answer; the client only follows it, on its own thread, and never
 * takes it over.
 */
#include "modules/cache/cache_background.h"

static int may_be_patient(const etg_cache_context *ctx);
static int may_stand_in(const etg_cache_context *ctx);
static int has_for_errors(const etg_cache_context *ctx);
static int serve_stale(etg_cache_context *ctx, request_rec *r,
                       const char *detail);

int etg_cache_be_patient(etg_cache_context *ctx, request_rec *r)
{
    etg_collapse_role role;

    if (!may_be_patient(ctx)) {
        return DECLINED;
    }
    if (!etg_cache_refresh_behind(ctx, r)) {
        /* The backend has failed a moment ago, or the queue takes no more. */
        return etg_cache_refresh_has_failed(ctx)
            ? serve_stale(ctx, r, "stale-if-error") : DECLINED;
    }
    role = etg_collapse_follow(ctx->runtime->collapse, &ctx->collapse_key,
                               etg_cache_patience(ctx));
    if (role == ETG_COLLAPSE_DONE) {
        ctx->request.collapsed = 1;
        ctx->status.collapsed = 1;
        ctx->status.forward = "stale";
    }
    etg_cache_look_up(ctx, ETG_STORE_NEAREST, apr_time_now());
    if (role == ETG_COLLAPSE_UNCACHEABLE || !may_stand_in(ctx)) {
        return DECLINED;
    }
    if (etg_cache_refresh_has_failed(ctx)) {
        return serve_stale(ctx, r, "stale-if-error");
    }
    /* What the backend said and we may not store, it says to this client,
     * too. */
    return etg_cache_refresh_is_paused(ctx) || role != ETG_COLLAPSE_ALONE
        ? DECLINED : serve_stale(ctx, r, "patience");
}

apr_interval_time_t etg_cache_patience(const etg_cache_context *ctx)
{
    const etg_cache_dir_conf *dir = ctx->dir;

    return etg_cache_time_left(ctx, dir->patience < dir->collapse_wait
                                    ? dir->patience : dir->collapse_wait);
}

apr_interval_time_t etg_cache_time_left(const etg_cache_context *ctx,
                                        apr_interval_time_t otherwise)
{
    return etg_internal_time_left(ctx->first, has_for_errors(ctx), otherwise);
}

static int has_for_errors(const etg_cache_context *ctx)
{
    return ctx->found.stored != NULL && ctx->found.reuse.stale_on_error
        && ctx->errand == NULL && !ctx->observe
        && ctx->body_trouble == APR_SUCCESS;
}

/* What it leads ends: a fetch would be cut. */
int etg_cache_be_late(etg_cache_context *ctx, request_rec *r)
{
    int rv = DECLINED;

    if (ctx->errand != NULL || etg_cache_time_left(ctx, 1) > 0) {
        return DECLINED;
    }
    ctx->status.collapsed = 0;
    if (has_for_errors(ctx)) {
        rv = serve_stale(ctx, r, "stale-if-error");
    }
    if (rv == DECLINED) {
        ctx->done = 1;
        ctx->status.detail = "late";
        etg_cache_trace(ctx, "miss");
        etg_cache_say_status(ctx, r->err_headers_out);
        rv = HTTP_GATEWAY_TIME_OUT;
    }
    etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
    return rv;
}

static int may_be_patient(const etg_cache_context *ctx)
{
    return ctx->dir->patience >= 0 && ctx->policy.refreshes_behind
        && ctx->ticket.number == 0 && !ctx->status.collapsed
        && ctx->body_trouble == APR_SUCCESS && may_stand_in(ctx);
}

/* A client that asks for more than a fresh response gets what it wants; and
 * what is not of the data as it is now is for errors alone. */
static int may_stand_in(const etg_cache_context *ctx)
{
    const etg_reuse *reuse = &ctx->found.reuse;

    return ctx->found.stored != NULL
        && reuse->verdict == ETG_REUSE_VALIDATE && reuse->stale_on_error
        && reuse->ttl <= 0 && !reuse->is_by_data
        && (reuse->reason == NULL || strncmp(reuse->reason, "request", 7));
}

static int serve_stale(etg_cache_context *ctx, request_rec *r,
                       const char *detail)
{
    int rv;

    ctx->status.hit = 1;
    ctx->status.forward = NULL;
    ctx->status.detail = detail;
    ctx->status.has_ttl = 1;
    ctx->status.ttl = ctx->found.reuse.ttl;
    rv = etg_cache_serve(ctx, r);
    if (rv == DECLINED) {
        ctx->status.hit = 0;
        ctx->status.has_ttl = 0;
        ctx->status.detail = NULL;
        ctx->found.stored = NULL;
        return rv;
    }
    etg_cache_trace(ctx, strcmp(detail, "patience") ? detail : "stale");
    return rv;
}
