/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_scope.c: whose response it is: what it depends on besides the
 * data. No request outside of it is given the same tag, or is answered by
 * what is remembered of it.
 */
#include "modules/freshness/freshness.h"

#include <http_ssl.h>

#include "lib/cookie.h"
#include "lib/field_list.h"
#include "modules/glue/request_view.h"

static const apr_table_t *without_ignored_cookies(
    const etg_freshness_context *ctx);

/* The certificate is a user's where nothing else is. */
void etg_freshness_scope_of(etg_freshness_context *ctx,
                            const char *vary_names, etg_data_tag_scope *scope)
{
    request_rec *r = ctx->first;

    memset(scope, 0, sizeof(*scope));
    scope->request_fields = without_ignored_cookies(ctx);
    scope->vary_names = vary_names;
    scope->vary_rules = &ctx->vary_rules;
    scope->is_private = ctx->request.privacy != 0;
    scope->user = r->user;
    scope->private_names = ctx->server->private_headers;
    scope->key = ctx->runtime->secret;
    if (scope->is_private && etg_request_has_certificate(r)) {
        const char *certificate = ap_ssl_var_lookup(
            ctx->pool, r->server, r->connection, r, "SSL_CLIENT_CERT");

        scope->user = apr_pstrcat(ctx->pool, r->user != NULL ? r->user : "",
                                  "\n", certificate, NULL);
    }
}

static const apr_table_t *without_ignored_cookies(
    const etg_freshness_context *ctx)
{
    const apr_table_t *fields = ctx->request.fields;
    const char *cookies = etg_field_joined(fields, "Cookie", "; ",
                                           ctx->pool);
    const char *kept = etg_cookie_without(cookies, ctx->dir->ignored_cookies,
                                          ctx->pool);
    apr_table_t *copy;

    if (kept == cookies) {
        return fields;
    }
    copy = apr_table_copy(ctx->pool, fields);
    apr_table_unset(copy, "Cookie");
    if (kept != NULL) {
        apr_table_setn(copy, "Cookie", kept);
    }
    return copy;
}
