/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_request.c: from an ask to its answer.
 *
 * Does for a request without a client what httpd's ap_read_request and
 * process_connection do for one with: with public functions only, in the same
 * order, so that every module's hooks see what they see for a client.
 */
#include "modules/glue/internal_run.h"

#include <stdlib.h>
#include <string.h>

#include <ap_mpm.h>
#include <apr_optional.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_vhost.h>
#include <util_filter.h>

static int is_request(const etg_internal_ask *ask);
static int is_clean(const char *text, int may_have_blanks);
static int field_is_clean(void *baton, const char *name, const char *value);
static apr_status_t ask_on(etg_internal_run *run, conn_rec *c);
static void fill(request_rec *r, const etg_internal_ask *ask);
static request_rec *make_request(etg_internal_run *run, conn_rec *c);
static int prepare(request_rec *r);
static int admit(request_rec *r);
static void refuse(request_rec *r, int status);
static apr_status_t close_at_last(void *data);

void etg_internal_register(apr_pool_t *p)
{
    (void)p;
    etg_internal_connection_register();
    etg_internal_deadline_register();
    etg_internal_hooks_register();
}

int etg_internal_is_possible(void)
{
    int threads = AP_MPMQ_NOT_SUPPORTED;
    int count = 1;

    /* Where a child has one thread (ThreadsPerChild 1), mod_proxy does as
     * under prefork: one connection per worker, and no lock. */
    return ap_mpm_query(AP_MPMQ_IS_THREADED, &threads) == APR_SUCCESS
        && threads != AP_MPMQ_NOT_SUPPORTED
        && ap_mpm_query(AP_MPMQ_MAX_THREADS, &count) == APR_SUCCESS
        && count > 1;
}

apr_status_t etg_internal_create(etg_internal **internal, server_rec *s,
                                 apr_pool_t *pchild)
{
    void *other = NULL;
    etg_internal *made;
    apr_status_t rv;

    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return APR_ENOMEM;
    }
    rv = apr_pool_create(&made->pool, pchild);
    if (rv == APR_SUCCESS) {
        apr_pool_tag(made->pool, ETG_INTERNAL_KEY);
        rv = etg_internal_master_make(made, s);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_internal_deadline_open(made);
    }
    if (rv != APR_SUCCESS) {
        free(made);
        return rv;
    }
    made->count_out = (etg_internal_count *)
        apr_dynamic_fn_retrieve("ap_logio_add_bytes_out");
    apr_pool_userdata_get(&other, ETG_INTERNAL_KEY, pchild);
    made->other = other;
    apr_pool_userdata_setn(made, ETG_INTERNAL_KEY, NULL, pchild);
    /* Before the pools go that mod_proxy has its connections in. */
    apr_pool_pre_cleanup_register(pchild, made, close_at_last);
    *internal = made;
    return APR_SUCCESS;
}

/* The struct itself stays, lock and all: jobs that are still queued find it
 * stopped, and a thread that does not come back from a backend's read (FastCGI)
 * still has its run in the list. */
static apr_status_t close_at_last(void *data)
{
    etg_internal *internal = data;

    etg_internal_stop(internal);
    etg_internal_deadline_close(internal);
    return APR_SUCCESS;
}

apr_status_t etg_internal_request(etg_internal *internal,
                                  const etg_internal_ask *ask, apr_pool_t *p,
                                  etg_internal_answer *answer)
{
    etg_internal_run run = {
        .ask = ask, .internal = internal, .p = p, .fd = -1
    };
    conn_rec *c;
    apr_status_t rv;

    if (!is_request(ask)) {
        return APR_EINVAL;
    }
    rv = etg_internal_run_begin(&run);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    run.answer.fields = apr_table_make(p, 12);
    rv = etg_internal_connection_make(&run, &c);
    if (rv == APR_SUCCESS) {
        rv = ask_on(&run, c);
        etg_internal_connection_end(internal, c);
    }
    etg_internal_run_end(&run);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_internal_answer_end(&run);
    if (!run.answer.is_whole && run.cut != APR_SUCCESS) {
        return run.cut;
    }
    *answer = run.answer;
    answer->is_backend_cut = run.is_backend_cut;
    return APR_SUCCESS;
}

apr_status_t etg_internal_look(etg_internal *internal,
                               const etg_internal_ask *ask,
                               etg_internal_see *see, void *baton)
{
    etg_internal_run run = { .ask = ask, .internal = internal, .fd = -1 };
    apr_status_t rv = APR_EINVAL;
    request_rec *r;
    conn_rec *c;

    if (is_request(ask)) {
        rv = etg_internal_connection_make(&run, &c);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* For what a hook might write. */
    run.p = c->pool;
    run.answer.fields = apr_table_make(run.p, 12);
    r = make_request(&run, c);
    if (r == NULL) {
        rv = APR_EINVAL;
    }
    else if (admit(r) == OK && ap_process_request_internal(r) == OK) {
        see(baton, r);
    }
    else {
        rv = APR_EACCES;
    }
    etg_internal_connection_end(internal, c);
    return rv;
}

const etg_internal_ask *etg_internal_ask_of(const request_rec *r)
{
    const etg_internal_run *run = etg_internal_run_of(r->connection);

    return run != NULL ? run->ask : NULL;
}

static int is_request(const etg_internal_ask *ask)
{
    return ask->depth <= ETG_INTERNAL_DEPTH_MAX && ask->target[0] == '/'
        && ask->method[0] != '\0' && is_clean(ask->method, 0)
        && is_clean(ask->target, 0)
        && apr_table_do(field_is_clean, NULL, ask->fields, NULL);
}

static int is_clean(const char *text, int may_have_blanks)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == 0x7f
            || (*at <= ' ' && !(may_have_blanks
                                && (*at == ' ' || *at == '\t')))) {
            return 0;
        }
    }
    return 1;
}

static int field_is_clean(void *baton, const char *name, const char *value)
{
    (void)baton;
    return name[0] != '\0' && is_clean(name, 0) && is_clean(value, 1);
}

/* The response is in `run` when this returns: the request's end goes through
 * our filter like all that came before it. */
static apr_status_t ask_on(etg_internal_run *run, conn_rec *c)
{
    request_rec *r = make_request(run, c);

    if (r == NULL) {
        return APR_EINVAL;
    }
    if (prepare(r)) {
        ap_process_request(r);
    }
    return APR_SUCCESS;
}

/* NULL: it is none. */
static request_rec *make_request(etg_internal_run *run, conn_rec *c)
{
    request_rec *r = ap_create_request(c);

    fill(r, run->ask);
    ap_run_pre_read_request(r, c);
    if (!ap_parse_request_line(r)) {
        apr_pool_destroy(r->pool);
        return NULL;
    }
    return r;
}

static void fill(request_rec *r, const etg_internal_ask *ask)
{
    /* There is no body and no connection to go on with. */
    static const char *const hop[] = {
        "Connection", "Content-Length", "Expect", "HTTP2-Settings",
        "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade"
    };

    r->request_time = apr_time_now();
    r->the_request = apr_psprintf(r->pool, "%s %s HTTP/1.1", ask->method,
                                  ask->target);
    r->headers_in = apr_table_clone(r->pool, ask->fields);
    for (size_t i = 0; i < sizeof(hop) / sizeof(hop[0]); i++) {
        apr_table_unset(r->headers_in, hop[i]);
    }
    apr_table_setn(r->notes, ETG_INTERNAL_NOTE,
                   apr_pstrdup(r->pool, ask->purpose));
}

/* Returns whether there is something to process. Otherwise r is gone. */
static int prepare(request_rec *r)
{
    int status = admit(r);

    if (status != OK) {
        refuse(r, status);
        return 0;
    }
    return 1;
}

/* OK, or the status to refuse it with. */
static int admit(request_rec *r)
{
    conn_rec *c = r->connection;
    int status;

    ap_add_input_filter("HTTP_IN", NULL, r, c);
    if (!ap_check_request_header(r)) {
        r->per_dir_config = r->server->lookup_defaults;
        status = r->status;
        r->status = HTTP_OK;
        return status;
    }
    r->per_dir_config = r->server->lookup_defaults;
    status = ap_post_read_request(r);
    /* What mod_remoteip has read from a field. */
    if (status == OK
        && etg_internal_address_is_own(r->useragent_addr, c->local_addr)) {
        r->useragent_addr = c->client_addr;
        r->useragent_ip = c->client_ip;
    }
    return status;
}

static void refuse(request_rec *r, int status)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *end;

    ap_die(status, r);
    end = apr_brigade_create(c->pool, c->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(end, ap_bucket_eor_create(c->bucket_alloc, r));
    ap_pass_brigade(c->output_filters, end);
    apr_brigade_cleanup(end);
}
