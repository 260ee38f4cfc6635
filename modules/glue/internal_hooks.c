/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_hooks.c: what else httpd wants to know of an internal request:
 * whether it is secure, what the log calls it, and when its child ends.
 *
 * Every hook but the last runs for clients' requests as well; those leave at
 * the first test (HTTP/2: at the second).
 */
#include "modules/glue/internal_run.h"

#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>
#include <mpm_common.h>

static int is_ssl(conn_rec *c);
static const char *ssl_variable(apr_pool_t *p, server_rec *s, conn_rec *c,
                                request_rec *r, const char *name);
static const char *scheme(const request_rec *r);
static apr_port_t default_port(const request_rec *r);
static int tell_https(request_rec *r);
static int mark(request_rec *r);
static void stop_with_child(apr_pool_t *pchild, int is_graceful);

void etg_internal_hooks_register(void)
{
    /* Before mod_ssl, which asks our master. */
    ap_hook_ssl_conn_is_ssl(is_ssl, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_ssl_var_lookup(ssl_variable, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_http_scheme(scheme, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_default_port(default_port, NULL, NULL, APR_HOOK_FIRST);
    /* Before mod_headers, whose fields may depend on it. */
    ap_hook_fixups(tell_https, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_log_transaction(mark, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_child_stopping(stop_with_child, NULL, NULL, APR_HOOK_FIRST);
}

etg_internal_run *etg_internal_run_of(const conn_rec *c)
{
    void *run = NULL;

    if (c->master != NULL) {
        apr_pool_userdata_get(&run, ETG_INTERNAL_KEY, c->pool);
    }
    return run;
}

static int is_ssl(conn_rec *c)
{
    const etg_internal_run *run = etg_internal_run_of(c);

    return run != NULL && run->ask->is_https ? OK : DECLINED;
}

static const char *ssl_variable(apr_pool_t *p, server_rec *s, conn_rec *c,
                                request_rec *r, const char *name)
{
    const etg_internal_run *run = c != NULL ? etg_internal_run_of(c) : NULL;

    (void)p;
    (void)s;
    (void)r;
    if (run == NULL || ap_cstr_casecmp(name, "HTTPS") != 0) {
        return NULL;
    }
    return run->ask->is_https ? "on" : "off";
}

/* mod_ssl says https of its own connections only. */
static const char *scheme(const request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    return ask != NULL && ask->is_https ? "https" : NULL;
}

static apr_port_t default_port(const request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    return ask != NULL && ask->is_https ? 443 : 0;
}

/* As mod_ssl does for its own connections: FastCGI backends and CGI scripts
 * make their links of it. */
static int tell_https(request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    if (ask != NULL && ask->is_https) {
        apr_table_setn(r->subprocess_env, "HTTPS", "on");
    }
    return DECLINED;
}

/* Internal redirects have notes of their own, and the last is logged. */
static int mark(request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    for (request_rec *turn = r; ask != NULL && turn != NULL;
         turn = turn->next) {
        apr_table_setn(turn->notes, ETG_INTERNAL_NOTE,
                       apr_pstrdup(turn->pool, ask->purpose));
    }
    return DECLINED;
}

/* A child that ends gracefully lets them run; its pool's cleanup is next. */
static void stop_with_child(apr_pool_t *pchild, int is_graceful)
{
    void *data = NULL;

    if (is_graceful || pchild == NULL) {
        return;
    }
    apr_pool_userdata_get(&data, ETG_INTERNAL_KEY, pchild);
    for (etg_internal *internal = data; internal; internal = internal->other) {
        etg_internal_stop(internal);
    }
}
