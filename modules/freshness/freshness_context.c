/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_context.c: makes and finds the context of a client request. */
#include "modules/freshness/freshness.h"

#include "modules/glue/request_view.h"

static etg_freshness_context *make(request_rec *first,
                                   const etg_freshness_dir_conf *dir);
static int is_salted_by_request(const apr_array_header_t *salts);
static int is_by_request(const apr_array_header_t *params);

/* An ErrorDocument's request_rec has its status from the start. */
etg_freshness_context *etg_freshness_context_of(request_rec *r)
{
    request_rec *first = etg_first_request(r);
    const etg_freshness_dir_conf *dir;
    etg_freshness_context *ctx;

    if (first->main != NULL || first->proxyreq == PROXYREQ_PROXY
        || first->method_number != M_GET || r->status != HTTP_OK) {
        return NULL;
    }
    ctx = etg_freshness_context_found(r);
    if (ctx != NULL) {
        return ctx;
    }
    dir = ap_get_module_config(first->per_dir_config, &etag_freshness_module);
    if (!dir->is_on || dir->lines->nelts == 0) {
        return NULL;
    }
    return make(first, dir);
}

etg_freshness_context *etg_freshness_context_found(request_rec *r)
{
    return ap_get_module_config(etg_first_request(r)->request_config,
                                &etag_freshness_module);
}

int etg_freshness_cache_asks(const etg_freshness_context *ctx,
                             const request_rec *r)
{
    return apr_table_get(r->notes, ETG_FRESHNESS_NOTE_CACHE_ASKS) != NULL
        || apr_table_get(ctx->first->notes, ETG_FRESHNESS_NOTE_CACHE_ASKS)
           != NULL;
}

/* A log reads those of the last request_rec. */
void etg_freshness_note(etg_freshness_context *ctx, const char *word)
{
    const char *took = apr_psprintf(ctx->pool, "%" APR_TIME_T_FMT,
                                    ctx->early.took);

    for (request_rec *r = ctx->first; r != NULL; r = r->next) {
        apr_table_setn(r->notes, "etag-freshness", word);
        if (ctx->is_read) {
            apr_table_setn(r->notes, "etag-freshness-us", took);
        }
    }
}

static etg_freshness_context *make(request_rec *first,
                                   const etg_freshness_dir_conf *dir)
{
    etg_freshness_context *ctx = apr_pcalloc(first->pool, sizeof(*ctx));

    ctx->first = first;
    ctx->pool = first->pool;
    ctx->dir = dir;
    ctx->server = ap_get_module_config(first->server->module_config,
                                       &etag_freshness_module);
    ctx->runtime = ctx->server->runtime;
    ctx->vary_rules.ignored_cookies = dir->ignored_cookies;
    etg_request_view_of(&ctx->request, first, ctx->server->private_headers,
                        dir->ignored_cookies);
    ctx->is_by_request = is_salted_by_request(dir->salt);
    for (int i = 0; i < dir->lines->nelts; i++) {
        const etg_freshness_line *line = APR_ARRAY_IDX(
            dir->lines, i, etg_freshness_line *);

        if (etg_freshness_from_is_early(line->from.kind)) {
            ctx->is_early = 1;
            ctx->is_by_request |= is_by_request(line->from.params);
        }
        else {
            ctx->is_late = 1;
        }
    }
    ap_set_module_config(first->request_config, &etag_freshness_module, ctx);
    return ctx;
}

/* May requests have different salts? Not of text, files and httpd's own
 * environment; whatever else expressions read may be the client's. */
static int is_salted_by_request(const apr_array_header_t *salts)
{
    static const char file[] = "%{file:/";
    static const char environment[] = "%{osenv:";

    for (int i = 0; i < salts->nelts; i++) {
        const char *at = APR_ARRAY_IDX(salts, i, const char *);

        while ((at = ap_strstr_c(at, "%{")) != NULL) {
            if (strncmp(at, file, sizeof(file) - 1)
                && strncmp(at, environment, sizeof(environment) - 1)) {
                return 1;
            }
            at += 2;
        }
    }
    return 0;
}

static int is_by_request(const apr_array_header_t *params)
{
    for (int i = 0; params != NULL && i < params->nelts; i++) {
        if (etg_from_param_is_by_request(
                &APR_ARRAY_IDX(params, i, const etg_from_param))) {
            return 1;
        }
    }
    return 0;
}
