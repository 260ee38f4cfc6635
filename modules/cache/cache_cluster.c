/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_cluster.c: one fetch per key among the hosts that share a store.
 *
 * Whoever leads on its host asks the store for a lease on the fetch. The
 * lease keeps nobody from anything: it says that another host is about to
 * store what we want, and is worth as long a wait as a leader on this host
 * would be. Therefore whatever the store cannot say means: fetch. Only leaders
 * wait for leases, so a host polls once per key; its other requests sleep in
 * the collapse table meanwhile.
 *
 * A lease is held from the moment it was taken until the fetch's outcome is
 * known: etg_cache_release gives it back beside the ticket, and the request
 * pool's cleanup at the latest. What a dead process held ends by itself in a
 * few seconds, and those who took over from it here wait for that.
 */
#include "modules/cache/cache_cluster.h"

#include "lib/lease_wait.h"
#include "modules/cache/cache_background.h"

static int is_shared(const etg_cache_context *ctx);
static apr_status_t ask(etg_cache_context *ctx, etg_store_lease_state *state);
static apr_interval_time_t patience(const etg_cache_context *ctx,
                                    apr_time_t since);
static int sleep_before_asking(apr_interval_time_t *waited,
                               apr_interval_time_t limit);

etg_collapse_role etg_cache_cluster_join(etg_cache_context *ctx,
                                         apr_time_t since)
{
    apr_interval_time_t limit, waited = 0;
    etg_store_lease_state state;
    apr_status_t rv;

    if (!is_shared(ctx)) {
        return ETG_COLLAPSE_LEAD;
    }
    if (ctx->found.trouble != APR_SUCCESS) {
        /* One timeout per request is enough; an open breaker costs none. */
        return ctx->found.trouble == ETG_STORE_OPEN_BREAKER
            ? ETG_COLLAPSE_LEAD : ETG_COLLAPSE_ALONE;
    }
    if (ctx->body_trouble != APR_SUCCESS
        && ctx->body_trouble != ETG_STORE_OPEN_BREAKER) {
        return ETG_COLLAPSE_ALONE;
    }
    limit = patience(ctx, since);
    rv = ask(ctx, &state);
    while (rv == APR_SUCCESS && state == ETG_STORE_LEASE_HELD) {
        if (!sleep_before_asking(&waited, limit)) {
            ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, ctx->first,
                          ETGLOGNO(0130) "another host's fetch took longer "
                          "than ETagCacheCollapseWait; fetching: %s",
                          ctx->key.text);
            return ETG_COLLAPSE_ALONE;
        }
        rv = ask(ctx, &state);
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, rv, ctx->first,
                      ETGLOGNO(0131) "the store does not say whether another "
                      "host fetches; fetching: %s", ctx->key.text);
        return ETG_COLLAPSE_ALONE;
    }
    if (state == ETG_STORE_LEASE_UNCACHEABLE) {
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_SHAREABLE);
        return ETG_COLLAPSE_UNCACHEABLE;
    }
    return waited > 0 ? ETG_COLLAPSE_DONE : ETG_COLLAPSE_LEAD;
}

etg_collapse_role etg_cache_cluster_try(etg_cache_context *ctx,
                                        apr_interval_time_t wait)
{
    apr_interval_time_t waited = 0;
    etg_store_lease_state state;

    if (!is_shared(ctx) || ctx->found.trouble != APR_SUCCESS) {
        return ETG_COLLAPSE_LEAD;
    }
    do {
        if (ask(ctx, &state) != APR_SUCCESS
            || state == ETG_STORE_LEASE_TAKEN) {
            return ETG_COLLAPSE_LEAD;
        }
        if (state == ETG_STORE_LEASE_UNCACHEABLE) {
            etg_cache_release(ctx, ETG_COLLAPSE_NOT_SHAREABLE);
            return ETG_COLLAPSE_UNCACHEABLE;
        }
    } while (sleep_before_asking(&waited, wait));
    return ETG_COLLAPSE_ALONE;
}

void etg_cache_cluster_release(etg_cache_context *ctx,
                               etg_collapse_outcome outcome)
{
    const etg_cache_store *meta = &ctx->server->meta;

    if (ctx->lease.token != 0) {
        meta->provider->lease_release(
            meta->instance, &ctx->lease,
            outcome == ETG_COLLAPSE_NOT_SHAREABLE);
        ctx->lease.token = 0;
    }
}

static int is_shared(const etg_cache_context *ctx)
{
    return ctx->server->meta.provider->lease_take != NULL;
}

static apr_status_t ask(etg_cache_context *ctx, etg_store_lease_state *state)
{
    const etg_cache_store *meta = &ctx->server->meta;

    return meta->provider->lease_take(meta->instance, &ctx->collapse_key,
                                      &ctx->lease, state);
}

/* What was waited for a leader on this host counts, and a part of a composite
 * has its own time. */
static apr_interval_time_t patience(const etg_cache_context *ctx,
                                    apr_time_t since)
{
    apr_interval_time_t spent = apr_time_now() - since;

    return etg_cache_time_left(ctx, ctx->dir->collapse_wait
                                    - (spent > 0 ? spent : 0));
}

/* 0: the time is up. Sleeps are added up, so that a wall clock that is set
 * makes no wait longer. */
static int sleep_before_asking(apr_interval_time_t *waited,
                               apr_interval_time_t limit)
{
    apr_interval_time_t sleep = etg_lease_wait_next(
        *waited, limit, ap_random_pick(0, APR_UINT16_MAX));

    if (sleep > 0) {
        apr_sleep(sleep);
        *waited += sleep;
    }
    return sleep > 0;
}
