/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_handler.c: one request's way: 304, or on to the backend.
 *
 * Where validators in the response are ours, the client's preconditions say
 * nothing to the backend, or the wrong thing: a date of ours stays when a
 * member is deleted, so the backend would call old pages unmodified. They are
 * kept from it, and the filter decides them. The cache, while it asks for
 * itself, has done all that.
 */
#include "modules/freshness/freshness.h"

#include "modules/glue/request_view.h"

static int will_be_redirected(const request_rec *r);
static int answer(etg_freshness_context *ctx, request_rec *r);
static const char *word_of(const etg_freshness_context *ctx);
static void keep_fields(etg_freshness_context *ctx, request_rec *r);
static apr_table_t *fields_for_backend(const etg_freshness_context *ctx,
                                       const request_rec *r);
static void keep_tags(apr_table_t *fields);

int etg_freshness_handler(request_rec *r)
{
    etg_freshness_context *ctx = etg_freshness_context_of(r);

    if (ctx == NULL || will_be_redirected(r)
        || !etg_request_may_be_looked_up(r)) {
        return DECLINED;
    }
    if (ctx->is_early) {
        etg_freshness_read_early(ctx);
    }
    if (!etg_freshness_cache_asks(ctx, r) && answer(ctx, r) == OK) {
        return OK;
    }
    etg_freshness_note(ctx, word_of(ctx));
    if (ctx->fetched_at == 0) {
        ctx->fetched_at = apr_time_now();
    }
    etg_freshness_filter_insert(ctx, r);
    if (!etg_freshness_cache_asks(ctx, r)) {
        keep_fields(ctx, r);
    }
    return DECLINED;
}

/* mod_rewrite's handler for rules of a directory: the redirected request
 * comes by us again. */
static int will_be_redirected(const request_rec *r)
{
    return r->handler != NULL && !strcmp(r->handler, "redirect-handler");
}

static int answer(etg_freshness_context *ctx, request_rec *r)
{
    if (ctx->early.outcome != ETG_SOURCE_READ) {
        return DECLINED;
    }
    if (ctx->seen == NULL) {
        etg_freshness_recall(ctx);
    }
    return etg_freshness_answer(ctx, r);
}

static const char *word_of(const etg_freshness_context *ctx)
{
    if (!ctx->is_early) {
        return "late";
    }
    if (ctx->early.outcome != ETG_SOURCE_READ) {
        return "unknown";
    }
    return ctx->seen != NULL
           && memcmp(ctx->seen->data, ctx->early.digest.sha256,
                     sizeof(ctx->seen->data)) != 0 ? "moved" : "known";
}

static void keep_fields(etg_freshness_context *ctx, request_rec *r)
{
    if (ctx->client_fields == NULL) {
        ctx->client_fields = r->headers_in;
        ctx->backend_fields = fields_for_backend(ctx, r);
    }
    r->headers_in = ctx->backend_fields;
}

/* With Override no validator the client has is the backend's. Without, a tag
 * may be, and is left to the backend, which does not know ours; a date may
 * be ours unless we remember that it is not. */
static apr_table_t *fields_for_backend(const etg_freshness_context *ctx,
                                       const request_rec *r)
{
    apr_table_t *fields = apr_table_copy(r->pool, r->headers_in);

    if (ctx->dir->is_override) {
        keep_tags(fields);
    }
    if (ctx->dir->is_override || ctx->seen == NULL
        || ctx->seen->is_last_modified_ours) {
        apr_table_unset(fields, "If-Modified-Since");
        apr_table_unset(fields, "If-Unmodified-Since");
    }
    return fields;
}

/* A part that depends on a tag is cut by core, from the whole page. */
static void keep_tags(apr_table_t *fields)
{
    static const char *const names[] = {
        "If-Match", "If-None-Match", "If-Range", NULL
    };

    for (int i = 0; names[i] != NULL; i++) {
        if (apr_table_get(fields, names[i]) != NULL) {
            apr_table_unset(fields, names[i]);
            apr_table_unset(fields, "Range");
        }
    }
}

void etg_freshness_restore_fields(etg_freshness_context *ctx, request_rec *r)
{
    if (ctx->client_fields == NULL) {
        return;
    }
    for (; r != NULL; r = r->prev) {
        if (r->headers_in == ctx->backend_fields) {
            r->headers_in = ctx->client_fields;
        }
    }
    ctx->client_fields = NULL;
}

void etg_freshness_restore_for_error(request_rec *r)
{
    etg_freshness_context *ctx = etg_freshness_context_found(r);

    if (ctx != NULL) {
        etg_freshness_restore_fields(ctx, r);
    }
}
