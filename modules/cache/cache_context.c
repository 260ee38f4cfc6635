/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_context.c: makes and finds the context of a client request.
 *
 * The context belongs to the request_rec that the client's own request made;
 * internal redirects (FallbackResource, per-directory rewriting, DirectoryIndex
 * in the handler phase) find it through r->prev and never make another, so
 * that a request is looked up and collapsed once, under the URL it asked for.
 */
#include "modules/cache/cache_background.h"

#include "modules/glue/request_view.h"

static void fill_policy(etg_cache_context *ctx);
static int may_refresh_behind(const etg_cache_context *ctx);
static const char *host_of(request_rec *r);
static apr_status_t leave(void *context);

etg_cache_context *etg_cache_context_of(request_rec *r)
{
    return ap_get_module_config(etg_first_request(r)->request_config,
                                &etag_cache_module);
}

etg_cache_context *etg_cache_context_make(request_rec *r,
                                          const etg_cache_dir_conf *dir)
{
    etg_cache_context *ctx = apr_pcalloc(r->pool, sizeof(*ctx));

    ctx->first = r;
    ctx->pool = r->pool;
    ctx->dir = dir;
    ctx->server = ap_get_module_config(r->server->module_config,
                                       &etag_cache_module);
    ctx->runtime = ctx->server->runtime;
    ctx->observe = dir->mode == ETG_CACHE_OBSERVE;
    ctx->is_head = r->header_only;
    ctx->found.spec = "";
    ctx->save.expected = -1;
    ctx->vary_rules.languages = dir->languages;
    ctx->vary_rules.ignored_cookies = dir->ignored_cookies;
    ctx->errand = etg_cache_errand_of(r);
    etg_request_view_of(&ctx->request, r, ctx->server->private_headers,
                        dir->ignored_cookies);
    fill_policy(ctx);
    etg_cache_key_of(ctx, r->unparsed_uri, &ctx->key);
    if (dir->status == ETG_CACHE_STATUS_KEY) {
        ctx->status.key = ctx->key.text;
    }
    ap_set_module_config(r->request_config, &etag_cache_module, ctx);
    apr_pool_cleanup_register(r->pool, ctx, leave, apr_pool_cleanup_null);
    return ctx;
}

void etg_cache_key_of(const etg_cache_context *ctx, const char *target,
                      etg_cache_key *key)
{
    request_rec *r = ctx->first;

    etg_cache_key_make(key, etg_key_scheme_of(r), host_of(r), target,
                       ctx->request.fields, &ctx->server->key_rules,
                       ctx->pool);
}

/* Private requests never queue with public ones, and a known Vary splits
 * the queue, so that nobody waits for an answer he may not have. */
void etg_cache_collapse_key_make(etg_cache_context *ctx)
{
    etg_vary_hash vary;

    etg_vary_hash_of(&vary, ctx->found.spec, ctx->request.fields,
                     &ctx->vary_rules, ctx->pool);
    etg_response_key(&ctx->collapse_key, &ctx->key.hash,
                     ctx->request.privacy, &vary);
}

void etg_cache_origin_of(const etg_cache_context *ctx, const char **scheme,
                         const char **host)
{
    *scheme = etg_key_scheme_of(ctx->first);
    *host = host_of(ctx->first);
}

/* Whatever happened to the request, nobody waits for it any longer. */
static apr_status_t leave(void *context)
{
    etg_cache_release(context, ETG_COLLAPSE_NOT_STORED);
    return APR_SUCCESS;
}

static void fill_policy(etg_cache_context *ctx)
{
    const etg_cache_dir_conf *dir = ctx->dir;
    etg_policy *policy = &ctx->policy;

    policy->default_ttl = dir->default_ttl;
    policy->max_ttl = dir->max_ttl;
    policy->heuristic_fraction = dir->heuristic_fraction;
    policy->heuristic_max = dir->heuristic_max;
    policy->stale_if_error = dir->stale_if_error;
    policy->stale_while_revalidate = dir->stale_while_revalidate;
    policy->refreshes_behind = may_refresh_behind(ctx);
    policy->keep = dir->keep;
    policy->max_object = dir->max_object;
    /* What the admin says of a route never speaks for one client's own
     * page: a private request keeps what the backend said. */
    policy->override = ctx->request.privacy ? NULL : dir->override;
    policy->targeted = dir->targeted;
    policy->strip_set_cookie = dir->set_cookie == ETG_CACHE_SET_COOKIE_STRIP;
    policy->store_set_cookie = dir->set_cookie == ETG_CACHE_SET_COOKIE_STORE;
    policy->refused_statuses = dir->refused_statuses;
    policy->allow_reload = dir->allow_reload;
    policy->allow_revalidate = dir->allow_revalidate;
}

/* A background's request is another's in one thing: it has no certificate. */
static int may_refresh_behind(const etg_cache_context *ctx)
{
    return etg_cache_background_is_on(ctx->runtime) && ctx->errand == NULL
        && !ctx->observe
        && !((ctx->request.privacy & ETG_PRIVATE_OTHER)
             && etg_request_has_certificate(ctx->first));
}

static const char *host_of(request_rec *r)
{
    const char *host = apr_table_get(r->headers_in, "Host");

    return host != NULL ? host : "";
}

const char *etg_cache_pass_reason(const etg_cache_context *ctx,
                                  request_rec *r)
{
    if (r->method_number != M_GET) {
        return "method";
    }
    if (!etg_request_may_be_looked_up(r)) {
        return "request";
    }
    if (ctx->server->meta.provider == NULL) {
        return "bypass";
    }
    if (etg_cache_is_bypassed(ctx, r)) {
        return "bypass";
    }
    return NULL;
}

int etg_cache_is_bypassed(const etg_cache_context *ctx, request_rec *r)
{
    const char *error = NULL;

    return ctx->dir->bypass != NULL
        && ap_expr_exec(r, ctx->dir->bypass, &error) != 0;
}

void etg_cache_say_status(const etg_cache_context *ctx, apr_table_t *fields)
{
    if (ctx->dir->status != ETG_CACHE_STATUS_OFF) {
        apr_table_mergen(fields, "Cache-Status",
                         etg_cache_status_format(&ctx->status, ctx->pool));
    }
}

void etg_cache_trace(etg_cache_context *ctx, const char *word)
{
    ctx->trace = ctx->trace == NULL
        ? word : apr_pstrcat(ctx->pool, ctx->trace, ", ", word, NULL);
    apr_table_setn(ctx->first->notes, "etag-cache", ctx->trace);
}
