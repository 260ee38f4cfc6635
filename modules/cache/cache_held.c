/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_held.c: says to other modules what a request would be answered with,
 * without answering it (include/etg_cache.h).
 *
 * Goes the handler's way up to its answer, with a context of its own that
 * nobody finds afterwards. What the handler would do more than look up, read
 * data or ask somebody, is a 0 here.
 */
#include "modules/cache/cache_held.h"

#include "etg_cache.h"
#include "modules/cache/cache_data.h"
#include "modules/cache/cache_handler.h"
#include "modules/cache/cache_refresh_ahead.h"

static int may_be_asked(request_rec *r, const etg_cache_dir_conf *dir);
static int look_up(etg_cache_context *ctx, request_rec *r);
static const apr_table_t *fields_of(etg_cache_context *ctx, request_rec *r);

static int etg_cache_held_fresh(request_rec *r, const apr_table_t **fields)
{
    const etg_cache_dir_conf *dir = ap_get_module_config(r->per_dir_config,
                                                         &etag_cache_module);
    etg_cache_context *before = ap_get_module_config(r->request_config,
                                                     &etag_cache_module);
    etg_cache_context *ctx;
    int is_held;

    if (!may_be_asked(r, dir)) {
        return 0;
    }
    ctx = etg_cache_context_make(r, dir);
    is_held = look_up(ctx, r);
    ap_set_module_config(r->request_config, &etag_cache_module, before);
    if (is_held) {
        *fields = fields_of(ctx, r);
    }
    return is_held;
}

void etg_cache_held_register(void)
{
    APR_REGISTER_OPTIONAL_FN(etg_cache_held_fresh);
}

static int may_be_asked(request_rec *r, const etg_cache_dir_conf *dir)
{
    return dir->mode == ETG_CACHE_ON && r->proxyreq != PROXYREQ_PROXY
        && r->method_number == M_GET && !r->header_only
        && !etg_cache_will_be_redirected(r);
}

/* Is it a 200 that is fresh by time alone? */
static int look_up(etg_cache_context *ctx, request_rec *r)
{
    const etg_cache_lookup *found = &ctx->found;

    if (ctx->errand != NULL || etg_cache_data_comes_first(ctx)
        || etg_cache_pass_reason(ctx, r) != NULL) {
        return 0;
    }
    etg_cache_look_up_well(ctx, r->request_time);
    return found->stored != NULL && found->stored->status == HTTP_OK
        && found->reuse.verdict == ETG_REUSE_FRESH
        && !found->reuse.is_by_data;
}

static const apr_table_t *fields_of(etg_cache_context *ctx, request_rec *r)
{
    const char *type = NULL;
    apr_table_t *fields;

    ctx->status.hit = 1;
    ctx->status.has_ttl = 1;
    ctx->status.ttl = ctx->found.reuse.ttl;
    etg_cache_refresh_ahead(ctx, r);
    fields = etg_cache_serve_fields(ctx, r, &type);
    if (type != NULL) {
        apr_table_setn(fields, "Content-Type", type);
    }
    etg_cache_say_status(ctx, fields);
    return fields;
}
