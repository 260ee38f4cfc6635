/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_lookup.c: from the key to a stored response and the verdict on it.
 *
 * One call of the store reads both records in one view: it shows the primary
 * to choose(), which names the response record of the variant that fits. The
 * data behind it is read before, if there is who can: so the verdict is of
 * data that is no older than the request.
 */
#include "modules/cache/cache_data.h"

typedef struct chooser {
    etg_cache_context *ctx;
    etg_vary_hash vary;           /* of the row that was chosen */
} chooser;

static apr_status_t choose(void *baton, etg_bytes primary,
                           etg_store_key *next);
static void keep_primary(etg_cache_context *ctx, const etg_primary *primary);
static int is_ours(const etg_cache_context *ctx, const chooser *c,
                   const etg_stored_response *stored);

void etg_cache_look_up(etg_cache_context *ctx, etg_store_depth depth,
                       apr_time_t now)
{
    const etg_cache_store *meta = &ctx->server->meta;
    etg_cache_lookup *found = &ctx->found;
    chooser c = { .ctx = ctx };
    etg_store_found answer = { .answer = ETG_STORE_MISS };
    etg_stored_response *stored;
    apr_status_t rv;

    etg_cache_data_read(ctx);
    memset(found, 0, sizeof(*found));
    found->spec = "";
    rv = meta->provider->meta_lookup(meta->instance, &ctx->key.hash, choose,
                                     &c, depth, ctx->pool, &answer);
    if (rv != APR_SUCCESS) {
        found->failed = 1;
        ctx->status.detail = etg_cache_store_trouble(rv);
        return;
    }
    found->moment = answer.moment;
    found->is_copy = answer.is_copy;
    found->trouble = answer.trouble;
    if (answer.trouble != APR_SUCCESS) {
        ctx->status.detail = etg_cache_store_trouble(answer.trouble);
    }
    if (answer.answer != ETG_STORE_HIT) {
        return;
    }
    found->marks.mark = answer.mark;
    found->marks.marked_at = answer.marked_at;
    found->marks.data = ctx->has_data ? &ctx->data : NULL;
    stored = apr_palloc(ctx->pool, sizeof(*stored));
    if (etg_stored_response_unpack(answer.response, ctx->pool, stored)
        != APR_SUCCESS
        || !is_ours(ctx, &c, stored)) {
        return;
    }
    found->stored = stored;
    found->reuse = etg_reuse_decide(stored, &found->marks, &ctx->request,
                                    &ctx->policy, now);
}

/* Another host may have refreshed it there. */
void etg_cache_look_up_well(etg_cache_context *ctx, apr_time_t now)
{
    etg_cache_look_up(ctx, ETG_STORE_NEAREST, now);
    if (ctx->found.is_copy && ctx->found.trouble == APR_SUCCESS
        && !etg_cache_is_usable(ctx)) {
        etg_cache_look_up(ctx, ETG_STORE_SHARED, now);
    }
}

int etg_cache_is_usable(const etg_cache_context *ctx)
{
    return ctx->found.stored != NULL
        && (ctx->found.reuse.verdict == ETG_REUSE_FRESH
            || ctx->found.reuse.verdict == ETG_REUSE_STALE);
}

const char *etg_cache_store_trouble(apr_status_t rv)
{
    if (rv == ETG_STORE_OPEN_BREAKER) {
        return "store-breaker-open";
    }
    return APR_STATUS_IS_TIMEUP(rv) ? "store-timeout" : "store-down";
}

static apr_status_t choose(void *baton, etg_bytes record, etg_store_key *next)
{
    chooser *c = baton;
    etg_cache_context *ctx = c->ctx;
    etg_primary primary;
    const etg_primary_row *row;

    if (etg_primary_unpack(record, ctx->pool, &primary) != APR_SUCCESS
        || primary.key_length != ctx->key.length
        || memcmp(primary.key, ctx->key.text, ctx->key.length)) {
        return APR_NOTFOUND;
    }
    keep_primary(ctx, &primary);
    row = etg_primary_choose(&primary, ctx->request.fields, &ctx->vary_rules,
                             ctx->pool);
    if (row == NULL) {
        ctx->found.is_vary_miss = primary.row_count > 0;
        return APR_NOTFOUND;
    }
    c->vary = row->vary;
    etg_response_key(next, &ctx->key.hash, primary.generation, &row->vary);
    return APR_SUCCESS;
}

/* The record is gone after choose(): what is needed later is copied. */
static void keep_primary(etg_cache_context *ctx, const etg_primary *primary)
{
    etg_cache_lookup *found = &ctx->found;

    found->marks.invalidated_at = primary->invalidated_at;
    found->marks.soft_purged_at = primary->purged_at;
    if (primary->row_count > 0) {
        const char *spec = primary->specs[primary->rows[0].spec];

        found->spec = *spec == '\0' ? "" : apr_pstrdup(ctx->pool, spec);
    }
}

/* Hashes only address records; whose they are is compared in full. */
static int is_ours(const etg_cache_context *ctx, const chooser *c,
                   const etg_stored_response *stored)
{
    return stored->key_length == ctx->key.length
        && !memcmp(stored->key, ctx->key.text, ctx->key.length)
        && !memcmp(&stored->vary, &c->vary, sizeof(c->vary));
}
