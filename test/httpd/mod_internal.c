/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_internal.c: fires internal requests, for test_7*.py. Not installed.
 *
 * A request to a Location with `SetHandler internal` says in its query what
 * to ask, and gets one line per answer when all have come:
 *
 *     target=/x   (escaped)      host=localhost  https=1  ip=203.0.113.5
 *     method=GET  purpose=test   limit=10000 (ms)  depth=0
 *     count=1     parallel=1     (that many threads)
 *     leave=N     takes N bytes and no more
 *     stall=N     is N ms busy with each piece of the body
 *     field=Name:value           (escaped, any number)
 *     body=1      shows the body (escaped) of each answer
 *     brief=1     one line for all: how many of each outcome
 *     wait=0      answers at once, without waiting for any
 *
 * One line: "APR status, HTTP status, body bytes, is_whole, microseconds", then
 * fields and body. The answers live in the client's request (wait=1) or with
 * the job.
 */
#include <stdlib.h>
#include <string.h>

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>

#include "lib/workers.h"
#include "modules/glue/internal_request.h"

#define THREADS 16

module AP_MODULE_DECLARE_DATA internal_module;
APLOG_USE_MODULE(internal);

static etg_internal *internal;
static etg_workers *workers;
static apr_status_t created;
static server_rec *main_server;

/* What one client asked for; malloc'ed, the last to leave frees it. */
typedef struct order {
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *done;
    apr_pool_t *pool;
    int left;                     /* jobs */
    int has_client;
    int asks;                     /* not yet begun */
    int shows_body;
    int is_brief;
    int leave;
    int stall;
    etg_internal_ask ask;
    char *lines;
    apr_size_t length;
    apr_size_t room;
    int outcomes[4];              /* ok, cut, stopped, else */
    apr_uint64_t statuses[600];
} order;

typedef struct body {
    apr_pool_t *pool;
    char *text;
    apr_size_t length;
    int leave;
    int stall;
} body;

static void say(order *o, const char *text)
{
    apr_size_t length = strlen(text);

    if (o->length + length + 1 > o->room) {
        o->room = 2 * (o->length + length + 1);
        o->lines = realloc(o->lines, o->room);
    }
    memcpy(o->lines + o->length, text, length + 1);
    o->length += length;
}

static apr_status_t take(void *baton, const char *data, apr_size_t length)
{
    body *b = baton;
    char *longer;

    if (b->stall > 0) {
        apr_sleep(apr_time_from_msec(b->stall));
    }
    if (b->leave >= 0 && b->length + length > (apr_size_t)b->leave) {
        return APR_EOF;
    }
    if (b->text == NULL || b->length + length < 100000) {
        longer = apr_palloc(b->pool, b->length + length + 1);
        if (b->length > 0) {
            memcpy(longer, b->text, b->length);
        }
        memcpy(longer + b->length, data, length);
        longer[b->length + length] = '\0';
        b->text = longer;
    }
    b->length += length;
    return APR_SUCCESS;
}

static int show_field(void *baton, const char *name, const char *value)
{
    apr_array_header_t *parts = baton;

    APR_ARRAY_PUSH(parts, const char *) =
        apr_psprintf(parts->pool, " %s: %s\n", name, value);
    return 1;
}

static void tell(order *o, apr_status_t rv, const etg_internal_answer *answer,
                 const body *b, apr_interval_time_t took, apr_pool_t *p)
{
    apr_array_header_t *parts = apr_array_make(p, 8, sizeof(char *));
    const char *outcome = rv == APR_SUCCESS ? "ok"
        : APR_STATUS_IS_TIMEUP(rv) ? "timeup" : rv == APR_EOF ? "eof"
        : rv == APR_EINVAL ? "einval" : "other";

    apr_thread_mutex_lock(o->lock);
    o->outcomes[rv == APR_SUCCESS ? 0 : APR_STATUS_IS_TIMEUP(rv) ? 1
                : rv == APR_EOF ? 2 : 3]++;
    if (!o->is_brief) {
        APR_ARRAY_PUSH(parts, const char *) =
            apr_psprintf(p, "%s %d %" APR_UINT64_T_FMT " %d %"
                         APR_TIME_T_FMT "\n", outcome, answer->status,
                         answer->body_bytes, answer->is_whole, took);
        if (answer->fields != NULL) {
            apr_table_do(show_field, parts, answer->fields, NULL);
        }
        if (o->shows_body && b->text != NULL) {
            APR_ARRAY_PUSH(parts, const char *) =
                apr_pstrcat(p, "=", ap_escape_uri(p, b->text), "\n", NULL);
        }
        say(o, apr_array_pstrcat(p, parts, 0));
    }
    if (answer->status > 0 && answer->status < 600) {
        o->statuses[answer->status]++;
    }
    apr_thread_mutex_unlock(o->lock);
}

static void leave(order *o, int is_client)
{
    int is_last;

    apr_thread_mutex_lock(o->lock);
    if (is_client) {
        o->has_client = 0;
    }
    else {
        o->left--;
        apr_thread_cond_signal(o->done);
    }
    is_last = o->left == 0 && !o->has_client;
    apr_thread_mutex_unlock(o->lock);
    if (is_last) {
        apr_pool_destroy(o->pool);
        free(o->lines);
        free(o);
    }
}

static apr_status_t leave_job(void *data)
{
    leave(data, 0);
    return APR_SUCCESS;
}

static void work(void *baton, apr_pool_t *pool)
{
    order *o = baton;
    apr_pool_t *turn;

    apr_pool_create(&turn, pool);
    for (;;) {
        etg_internal_answer answer = { .status = 0 };
        body b = { .pool = turn, .leave = o->leave,
                   .stall = o->stall };
        etg_internal_ask ask = o->ask;
        apr_time_t began = apr_time_now();
        apr_status_t rv;
        int mine;

        apr_thread_mutex_lock(o->lock);
        mine = o->asks > 0;
        o->asks--;
        apr_thread_mutex_unlock(o->lock);
        if (!mine || etg_workers_are_stopping(workers)) {
            return;
        }
        ask.take = o->shows_body || o->leave >= 0 || o->stall > 0
            ? take : NULL;
        ask.take_baton = &b;
        rv = etg_internal_request(internal, &ask, turn, &answer);
        tell(o, rv, &answer, &b, apr_time_now() - began, turn);
        apr_pool_clear(turn);
    }
}

/* The order's own pool, whose memory other threads read. */
static apr_pool_t *lone_pool(void)
{
    apr_pool_t *pool;

    if (etg_job_pool_create(&pool, "order") != APR_SUCCESS) {
        abort();
    }
    return pool;
}

static void add_field(order *o, char *text)
{
    char *colon = strchr(text, ':');

    if (colon != NULL) {
        *colon = '\0';
        apr_table_add((apr_table_t *)o->ask.fields, text, colon + 1);
    }
}

static int parse(order *o, request_rec *r, int *parallel, int *waits)
{
    apr_pool_t *p = o->pool;
    char *rest = apr_pstrdup(p, r->args != NULL ? r->args : "");
    const char *host = "localhost";
    char *last, *word;

    o->ask.fields = apr_table_make(p, 5);
    for (word = apr_strtok(rest, "&", &last); word != NULL;
         word = apr_strtok(NULL, "&", &last)) {
        char *value = strchr(word, '=');

        if (value == NULL) {
            return 0;
        }
        *value++ = '\0';
        ap_unescape_url(value);
        if (!strcmp(word, "target")) {
            o->ask.target = value;
        }
        else if (!strcmp(word, "method")) {
            o->ask.method = value;
        }
        else if (!strcmp(word, "host")) {
            host = value;
        }
        else if (!strcmp(word, "ip")) {
            o->ask.client_ip = value;
        }
        else if (!strcmp(word, "purpose")) {
            o->ask.purpose = value;
        }
        else if (!strcmp(word, "https")) {
            o->ask.is_https = atoi(value);
        }
        else if (!strcmp(word, "limit")) {
            o->ask.limit = apr_time_from_msec(atoi(value));
        }
        else if (!strcmp(word, "depth")) {
            o->ask.depth = (unsigned)atoi(value);
        }
        else if (!strcmp(word, "count")) {
            o->asks = atoi(value);
        }
        else if (!strcmp(word, "parallel")) {
            *parallel = atoi(value);
        }
        else if (!strcmp(word, "leave")) {
            o->leave = atoi(value);
        }
        else if (!strcmp(word, "stall")) {
            o->stall = atoi(value);
        }
        else if (!strcmp(word, "body")) {
            o->shows_body = atoi(value);
        }
        else if (!strcmp(word, "brief")) {
            o->is_brief = atoi(value);
        }
        else if (!strcmp(word, "wait")) {
            *waits = atoi(value);
        }
        else if (!strcmp(word, "field")) {
            add_field(o, value);
        }
        else {
            return 0;
        }
    }
    if (apr_table_get(o->ask.fields, "Host") == NULL) {
        apr_table_setn((apr_table_t *)o->ask.fields, "Host", host);
    }
    return o->ask.target != NULL;
}

/* The virtual host of that name on this port, else the client's own. */
static server_rec *server_named(const char *name, request_rec *r)
{
    server_rec *s;

    for (s = main_server; s != NULL; s = s->next) {
        if (s->is_virtual && s->server_hostname != NULL
            && !strcmp(s->server_hostname, name)) {
            return s;
        }
    }
    return r->server;
}

static void start(order *o, int parallel)
{
    o->left = parallel;
    for (int i = 0; i < parallel; i++) {
        apr_pool_t *pool = lone_pool();

        apr_pool_cleanup_register(pool, o, leave_job, apr_pool_cleanup_null);
        etg_workers_submit(workers, pool, work, o);
    }
}

static void answer_client(order *o, request_rec *r)
{
    if (o->is_brief) {
        ap_rprintf(r, "ok %d timeup %d eof %d other %d", o->outcomes[0],
                   o->outcomes[1], o->outcomes[2], o->outcomes[3]);
        for (int i = 0; i < 600; i++) {
            if (o->statuses[i] > 0) {
                ap_rprintf(r, " %d:%" APR_UINT64_T_FMT, i, o->statuses[i]);
            }
        }
        ap_rputs("\n", r);
    }
    else if (o->lines != NULL) {
        ap_rputs(o->lines, r);
    }
}

static int internal_handler(request_rec *r)
{
    int parallel = 1, waits = 1;
    order *o;

    if (r->handler == NULL || strcmp(r->handler, "internal") != 0) {
        return DECLINED;
    }
    ap_set_content_type(r, "text/plain");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    if (created != APR_SUCCESS) {
        ap_rprintf(r, "unsupported %d\n", APR_STATUS_IS_ENOTIMPL(created));
        return OK;
    }
    o = calloc(1, sizeof(*o));
    o->pool = lone_pool();
    o->leave = -1;
    o->asks = 1;
    o->has_client = 1;
    o->ask = (etg_internal_ask){
        .method = "GET", .purpose = "test",
        .limit = apr_time_from_sec(10), .server = r->server
    };
    apr_thread_mutex_create(&o->lock, APR_THREAD_MUTEX_DEFAULT, o->pool);
    apr_thread_cond_create(&o->done, o->pool);
    if (!parse(o, r, &parallel, &waits)) {
        leave(o, 1);
        return HTTP_BAD_REQUEST;
    }
    o->ask.server = server_named(apr_table_get(o->ask.fields, "Host"), r);
    start(o, parallel);
    apr_thread_mutex_lock(o->lock);
    while (waits && o->left > 0) {
        apr_thread_cond_wait(o->done, o->lock);
    }
    if (waits) {
        answer_client(o, r);
    }
    apr_thread_mutex_unlock(o->lock);
    leave(o, 1);
    if (!waits) {
        ap_rputs("begun\n", r);
    }
    return OK;
}

/* `SetHandler whoami`: what a script of this server would know. */
static int whoami_handler(request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    if (r->handler == NULL || strcmp(r->handler, "whoami") != 0) {
        return DECLINED;
    }
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "client %s useragent %s local %s internal %s subrequest %d "
               "redirected %d server %s port %u\n", r->connection->client_ip,
               r->useragent_ip, r->connection->local_ip,
               ask != NULL ? ask->purpose : "no", r->main != NULL,
               r->prev != NULL, r->server->server_hostname,
               (unsigned)ap_get_server_port(r));
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    main_server = s;
    created = etg_internal_is_possible()
        ? etg_workers_create(&workers, THREADS, 1024, pchild) : APR_ENOTIMPL;
    if (created == APR_SUCCESS) {
        created = etg_internal_create(&internal, s, pchild);
    }
}

static void register_hooks(apr_pool_t *p)
{
    etg_internal_register(p);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(internal_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(whoami_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA internal_module = {
    STANDARD20_MODULE_STUFF,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    register_hooks,
    0
};
