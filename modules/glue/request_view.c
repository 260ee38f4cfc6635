/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_view.c: reads a request_rec into the plain structs of lib/.
 *
 * Called on the request's own thread; nothing is kept beyond the request.
 */
#include "modules/glue/request_view.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <http_ssl.h>

#include "lib/cookie.h"
#include "lib/field_list.h"

static unsigned privacy_of(request_rec *r, const apr_array_header_t *fields,
                           const apr_array_header_t *ignored_cookies);
static void add_languages(apr_table_t *fields, request_rec *r);
static int overrides_method(request_rec *r);

request_rec *etg_first_request(request_rec *r)
{
    while (r->prev != NULL) {
        r = r->prev;
    }
    return r;
}

const char *etg_key_scheme_of(request_rec *r)
{
    const char *scheme = ap_http_scheme(r);
    const server_rec *s = r->server;

    if (!s->is_virtual) {
        return scheme;
    }
    return apr_psprintf(r->pool, "%s!%s:%u", scheme,
                        s->server_hostname ? s->server_hostname : "",
                        s->addrs ? (unsigned)s->addrs->host_port : 0u);
}

void etg_request_view_of(etg_request_view *view, request_rec *r,
                         const apr_array_header_t *private_fields,
                         const apr_array_header_t *ignored_cookies)
{
    view->method = r->method;
    view->fields = r->headers_in;
    view->arrived_at = r->request_time;
    view->collapsed = 0;
    view->privacy = privacy_of(r, private_fields, ignored_cookies);
    etg_cache_control_of(&view->cc, r->headers_in, 1, r->pool);
}

static unsigned privacy_of(request_rec *r, const apr_array_header_t *fields,
                           const apr_array_header_t *ignored_cookies)
{
    unsigned privacy = 0;

    for (int i = 0; i < fields->nelts; i++) {
        const char *name = APR_ARRAY_IDX(fields, i, const char *);
        /* All lines: modules may have added some. */
        const char *value = etg_field_joined(r->headers_in, name, "; ",
                                             r->pool);

        if (value == NULL) {
            continue;
        }
        if (!ap_cstr_casecmp(name, "Authorization")) {
            privacy |= ETG_PRIVATE_AUTHORIZATION;
        }
        else if (ap_cstr_casecmp(name, "Cookie")
                 || etg_cookie_without(value, ignored_cookies, r->pool)) {
            privacy |= ETG_PRIVATE_OTHER;
        }
    }
    /* A user that httpd itself authenticated by the Authorization field adds
     * nothing to that field; one known by other means does. */
    if ((r->user != NULL && !(privacy & ETG_PRIVATE_AUTHORIZATION))
        || etg_request_has_certificate(r)) {
        privacy |= ETG_PRIVATE_OTHER;
    }
    return privacy;
}

int etg_request_has_certificate(request_rec *r)
{
    const char *verified;

    if (!ap_ssl_conn_is_ssl(r->connection)) {
        return 0;
    }
    verified = ap_ssl_var_lookup(r->pool, r->server, r->connection, r,
                                 "SSL_CLIENT_VERIFY");
    return verified != NULL && *verified != '\0' && strcmp(verified, "NONE");
}

apr_table_t *etg_response_fields_of(request_rec *r)
{
    apr_table_t *fields = apr_table_overlay(r->pool, r->err_headers_out,
                                            r->headers_out);
    const char *type = ap_make_content_type(r, r->content_type);

    if (type != NULL) {
        apr_table_setn(fields, "Content-Type", type);
    }
    if (r->content_encoding != NULL) {
        apr_table_setn(fields, "Content-Encoding", r->content_encoding);
    }
    if (r->content_languages != NULL && r->content_languages->nelts > 0) {
        add_languages(fields, r);
    }
    if (apr_table_get(r->notes, "no-etag") != NULL) {
        apr_table_unset(fields, "ETag");
    }
    return fields;
}

static void add_languages(apr_table_t *fields, request_rec *r)
{
    if (apr_table_get(fields, "Content-Language") == NULL) {
        apr_table_setn(fields, "Content-Language",
                       apr_array_pstrcat(r->pool, r->content_languages, ','));
    }
}

int etg_request_has_body(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    if (apr_table_get(r->headers_in, "Transfer-Encoding") != NULL) {
        return 1;
    }
    return length != NULL && strcmp(length, "0");
}

int etg_request_may_be_looked_up(request_rec *r)
{
    return !etg_request_has_body(r)
        && apr_table_get(r->headers_in, "Upgrade") == NULL
        && !overrides_method(r)
        && apr_table_get(r->headers_in, "Host") != NULL
        && r->proto_num >= HTTP_VERSION(1, 0);
}

/* Frameworks that see fields as environment variables take '_' for '-'. */
static int overrides_method(request_rec *r)
{
    static const char *const names[] = {
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
        "X_HTTP_Method_Override", "X_HTTP_Method", "X_Method_Override", NULL
    };

    for (int i = 0; names[i] != NULL; i++) {
        if (apr_table_get(r->headers_in, names[i]) != NULL) {
            return 1;
        }
    }
    return 0;
}

void etg_request_forget_range_by_date(request_rec *r)
{
    const char *condition = apr_table_get(r->headers_in, "If-Range");

    if (condition != NULL && ap_strchr_c(condition, '"') == NULL) {
        apr_table_unset(r->headers_in, "Range");
    }
}
