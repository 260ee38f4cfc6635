/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_data.c: asks mod_etag_freshness of the data behind a request.
 *
 * The order: the data is read when the request has arrived and before the
 * store and the backend are asked (ctx->data). A response that is fetched
 * after that gets this digest, if the module has read it a second time after
 * the response's head and found it unmoved (save.stamp). So a stored body may
 * be newer than its digest and is never older.
 */
#include "modules/cache/cache_data.h"

/* Functions of another module; in pconf. */
typedef struct etg_cache_data_source {
    APR_OPTIONAL_FN_TYPE(etg_freshness_is_read) *is_read;
    APR_OPTIONAL_FN_TYPE(etg_freshness_read) *read;
    APR_OPTIONAL_FN_TYPE(etg_freshness_holds) *holds;
    APR_OPTIONAL_FN_TYPE(etg_freshness_stamp_of) *stamp_of;
} etg_cache_data_source;

void etg_cache_data_open(etg_cache_runtime *runtime, apr_pool_t *pconf)
{
    etg_cache_data_source *source = apr_palloc(pconf, sizeof(*source));

    source->is_read = APR_RETRIEVE_OPTIONAL_FN(etg_freshness_is_read);
    source->read = APR_RETRIEVE_OPTIONAL_FN(etg_freshness_read);
    source->holds = APR_RETRIEVE_OPTIONAL_FN(etg_freshness_holds);
    source->stamp_of = APR_RETRIEVE_OPTIONAL_FN(etg_freshness_stamp_of);
    if (source->is_read != NULL && source->read != NULL && source->holds != NULL
        && source->stamp_of != NULL) {
        runtime->data = source;
    }
}

int etg_cache_data_comes_first(const etg_cache_context *ctx)
{
    return ctx->runtime->data != NULL
        && ctx->runtime->data->is_read(ctx->first);
}

void etg_cache_data_read(etg_cache_context *ctx)
{
    etg_freshness_data now;

    if (ctx->runtime->data == NULL || ctx->is_data_read) {
        return;
    }
    ctx->is_data_read = 1;
    ctx->runtime->data->read(ctx->first, &now);
    ctx->has_data = now.outcome != ETG_FRESHNESS_NONE;
    ctx->data.is_known = now.outcome == ETG_FRESHNESS_KNOWN;
    ctx->data.trust = now.trust;
    ctx->data.is_by_request = now.is_by_request;
    memcpy(ctx->data.digest, now.digest, sizeof(ctx->data.digest));
    ctx->policy.data_trust = now.trust;
}

void etg_cache_data_asks(const etg_cache_context *ctx, request_rec *r,
                         int asks)
{
    if (ctx->runtime->data == NULL) {
        return;
    }
    if (asks) {
        apr_table_setn(r->notes, ETG_FRESHNESS_NOTE_CACHE_ASKS, "1");
    }
    else {
        apr_table_unset(r->notes, ETG_FRESHNESS_NOTE_CACHE_ASKS);
    }
}

/* Once the data has moved, or may have, a date alone proves nothing: it stays
 * when a member goes or changes twice in a second. */
int etg_cache_data_needs_full(const etg_cache_context *ctx)
{
    const etg_cache_lookup *found = &ctx->found;

    return found->stored != NULL
        && (found->reuse.needs_full_fetch
            || (ctx->data.is_known
                && etg_stored_backend_etag(found->stored) == NULL));
}

void etg_cache_data_see(etg_cache_context *ctx, request_rec *r)
{
    if (ctx->runtime->data != NULL && r->status == HTTP_OK) {
        ctx->runtime->data->stamp_of(r, &ctx->save.stamp);
    }
}

int etg_cache_data_is_of_use(const etg_cache_context *ctx, int status)
{
    return status == HTTP_OK
        && (ctx->save.stamp.has_data || ctx->data.is_known);
}

/* A validator that was taken off the response, with none of ours in its
 * place, is not there for clients either: it counts as one of ours. */
void etg_cache_data_stamp(const etg_cache_context *ctx,
                          etg_stored_response *record)
{
    const etg_freshness_stamp *stamp = &ctx->save.stamp;

    record->fetched_at = record->requested_at;
    record->has_data = stamp->has_data;
    memcpy(record->data, stamp->digest, sizeof(record->data));
    record->is_etag_ours = stamp->is_etag_ours
        || (record->etag == NULL && stamp->backend_etag != NULL);
    if (record->is_etag_ours) {
        record->backend_etag = stamp->backend_etag;
    }
    record->is_last_modified_ours = stamp->is_last_modified_ours
        || (record->last_modified == NULL
            && stamp->backend_last_modified != NULL);
    if (record->is_last_modified_ours) {
        record->backend_last_modified = stamp->backend_last_modified;
    }
}

void etg_cache_data_renew(const etg_cache_context *ctx,
                          etg_stored_response *record)
{
    if (ctx->data.is_known && record->status == HTTP_OK
        && ctx->runtime->data->holds(ctx->first)) {
        record->has_data = 1;
        memcpy(record->data, ctx->data.digest, sizeof(record->data));
    }
}
