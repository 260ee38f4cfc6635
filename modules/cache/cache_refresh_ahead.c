/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_refresh_ahead.c: what a fresh hit does for the next ones.
 *
 * Only clients' own hits count: what the background fetches would otherwise
 * keep itself alive. A HEAD fetches nothing that could be stored. What was
 * just held against its data has no age that would matter.
 */
#include "modules/cache/cache_refresh_ahead.h"

#include "lib/hit_table.h"
#include "lib/refresh_ahead.h"
#include "modules/cache/cache_background.h"

static int is_counted(const etg_cache_context *ctx);
static unsigned count_hit(const etg_cache_context *ctx);

void etg_cache_refresh_ahead(etg_cache_context *ctx, request_rec *r)
{
    const etg_reuse *reuse = &ctx->found.reuse;
    etg_refresh_ahead state;

    if (ctx->dir->refresh_ahead <= 0 || !is_counted(ctx)) {
        return;
    }
    state.stay = reuse->age
               - ctx->found.stored->freshness.initial_age;
    state.ttl = reuse->ttl;
    state.fraction = ctx->dir->refresh_ahead;
    state.hits = count_hit(ctx);
    if (etg_refresh_ahead_is_due(&state, ap_random_pick(
            0, ETG_REFRESH_AHEAD_RANDOM_MOST))) {
        etg_cache_refresh_behind(ctx, r);
    }
}

static int is_counted(const etg_cache_context *ctx)
{
    return ctx->errand == NULL && !ctx->observe && !ctx->is_head
        && ctx->found.stored != NULL
        && ctx->found.reuse.verdict == ETG_REUSE_FRESH
        && !ctx->found.reuse.is_validated
        && ctx->runtime->hits != NULL
        && etg_cache_background_is_on(ctx->runtime);
}

static unsigned count_hit(const etg_cache_context *ctx)
{
    const etg_stored_response *stored = ctx->found.stored;
    etg_store_key key;

    etg_response_key(&key, &ctx->key.hash, stored->generation,
                     &stored->vary);
    return etg_hit_table_count(ctx->runtime->hits,
                               etg_hit_table_hash(&key,
                                                  stored->received_at));
}
