/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_revalidate.c: what the backend's answer to a validation does to the
 * stored response (RFC 9111 §4.3.3 to §4.3.5, RFC 5861 §4).
 */
#include "modules/cache/cache_data.h"

#include "lib/freshness.h"
#include "lib/validation.h"

static apr_status_t refresh(etg_cache_context *ctx,
                            const apr_table_t *fresh_fields, int is_304);
static void set_fields(etg_cache_context *ctx, etg_stored_response *stored,
                       apr_table_t *fields);
static void fill_response(etg_response_view *view,
                          const etg_cache_context *ctx,
                          const apr_table_t *fields, int status);

int etg_cache_revalidated(etg_cache_context *ctx, request_rec *r,
                          const apr_table_t *fields)
{
    (void)r;
    if (ctx->found.stored == NULL
        || !etg_validation_selects(ctx->found.stored, fields)) {
        return 0;
    }
    ctx->status.forward_status = HTTP_NOT_MODIFIED;
    etg_cache_trace(ctx, "valid");
    if (refresh(ctx, fields, 1) == APR_SUCCESS) {
        ctx->status.stored = 1;
        etg_cache_trace(ctx, "store");
    }
    ctx->status.has_ttl = 1;
    ctx->status.ttl = etg_lifetime_of(ctx->found.stored, &ctx->policy)
                      - etg_age_of(ctx->found.stored, apr_time_now());
    return 1;
}

/* Makes found.stored what the 304 says it now is, and writes it unless it may
 * not be stored any longer. It answers this request in any case. */
static apr_status_t refresh(etg_cache_context *ctx,
                            const apr_table_t *fresh_fields, int is_304)
{
    const etg_stored_response *old = ctx->found.stored;
    etg_stored_response *now = apr_pmemdup(ctx->pool, old, sizeof(*old));
    apr_table_t *fields = etg_validation_update(old, fresh_fields, ctx->pool);
    etg_response_view fresh;
    etg_storable decision;

    fill_response(&fresh, ctx, fresh_fields, old->status);
    etg_validation_decide(&decision, old, &ctx->request, &fresh, fields,
                          &ctx->policy, ctx->pool);
    set_fields(ctx, now, fields);
    now->requested_at = fresh.requested_at;
    now->received_at = fresh.received_at;
    now->freshness = decision.freshness;
    if (is_304) {
        etg_validation_renew_backend(now, fresh_fields);
        if (etg_age_field(fresh_fields) == 0) {
            etg_cache_data_renew(ctx, now);
        }
    }
    ctx->found.stored = now;
    if (decision.yes) {
        return etg_cache_write_response(ctx, now, decision.vary);
    }
    if (decision.uncacheable) {
        etg_cache_write_mark(ctx->server, &ctx->key, ETG_STORE_MARK_INVALID,
                             apr_time_now(), ETG_CACHE_COMMIT_WAIT);
    }
    return APR_EGENERAL;
}

/* The updated fields, as they may be stored. */
static void set_fields(etg_cache_context *ctx, etg_stored_response *stored,
                       apr_table_t *fields)
{
    etg_response_view view;
    etg_cache_control cc;
    etg_cc_source source;
    apr_array_header_t *rows;

    if (apr_table_get(fields, "Date") == NULL) {
        char *date = apr_palloc(ctx->pool, APR_RFC822_DATE_LEN);

        apr_rfc822_date(date, apr_time_now());
        apr_table_setn(fields, "Date", date);
    }
    fill_response(&view, ctx, fields, stored->status);
    source = etg_governing_cache_control(&cc, &view, &ctx->policy, ctx->pool);
    rows = etg_storable_fields(&view, &cc, source, &ctx->policy, ctx->pool);
    stored->fields = (const etg_field *)rows->elts;
    stored->field_count = rows->nelts;
    stored->etag = apr_table_get(fields, "ETag");
    stored->last_modified = apr_table_get(fields, "Last-Modified");
}

static void fill_response(etg_response_view *view,
                          const etg_cache_context *ctx,
                          const apr_table_t *fields, int status)
{
    view->status = status;
    view->fields = fields;
    view->requested_at = ctx->requested_at;
    view->received_at = apr_time_now();
    view->to_head = 0;
    view->has_data = 0;
    view->is_last_modified_ours = 0;
}

int etg_cache_may_serve_on_error(const etg_cache_context *ctx, int status)
{
    if (ctx->plan != ETG_CACHE_FETCH || ctx->found.stored == NULL
        || ctx->errand != NULL   /* who gets nothing stale from it either */
        || !ctx->found.reuse.stale_on_error) {
        return 0;
    }
    switch (status) {
    case HTTP_INTERNAL_SERVER_ERROR:
    case HTTP_BAD_GATEWAY:
    case HTTP_SERVICE_UNAVAILABLE:
    case HTTP_GATEWAY_TIME_OUT:
        return 1;
    default:
        return 0;
    }
}

void etg_cache_head_seen(etg_cache_context *ctx,
                         const etg_response_view *response)
{
    if (ctx->found.stored == NULL || response->status != HTTP_OK) {
        return;
    }
    if (etg_head_agrees(ctx->found.stored, response->fields)) {
        if (!etg_cache_data_needs_full(ctx)) {
            refresh(ctx, response->fields, 0);
        }
        return;
    }
    etg_cache_write_mark(ctx->server, &ctx->key, ETG_STORE_MARK_INVALID,
                         apr_time_now(), ETG_CACHE_COMMIT_WAIT);
}
