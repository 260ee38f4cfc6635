/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_ask.c: what parts are asked for, with which fields, and for whom.
 */
#include "modules/composite/composite.h"

#include <poll.h>

#include <apr_portable.h>

#include "etg_cache.h"
#include "lib/freshness_params.h"
#include "lib/steady_clock.h"

static void make_url(etg_composite *c, etg_composite_had *part);
static const char *variable(void *baton, const char *name);
static void forward(etg_composite *c);
static int is_private(const etg_composite *c);
static int is_of_one_user(const etg_from_param *param);
static int is_credentials(const char *name);
static int is_wanted(const etg_composite *c, const etg_composite_had *part);
static int wants_any(const etg_composite *c);
static void send_all(etg_composite *c, etg_composite_gathering *gathering);
static apr_interval_time_t stand_in_time(const etg_composite *c,
                                         const etg_composite_had *part);
static apr_table_t *fields_of(etg_composite *c, apr_pool_t *p);
static int is_fatal(void *baton, unsigned place,
                    const etg_composite_result *result);
static int is_gone(void *baton);
static int client_is_gone(conn_rec *connection);
static int is_followed(request_rec *r);

void etg_composite_prepare(etg_composite *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        make_url(c, &c->parts[i]);
    }
    etg_composite_forward(c);
}

void etg_composite_forward(etg_composite *c)
{
    forward(c);
    c->is_private = is_private(c);
}

/* The params are what the request says, so it is the request that is wrong
 * where they will not do. */
static void make_url(etg_composite *c, etg_composite_had *part)
{
    const etg_composite_line *line = part->line;
    request_rec *r = c->r;
    const apr_array_header_t *values = NULL;
    etg_params_view view = {
        .query = r->args,
        .fields = r->headers_in,
        .variable = variable,
        .baton = r->subprocess_env,
        .user = r->user,
    };
    const char *reason = etg_section_path_values(&line->path, r->uri, r->pool,
                                                 &view.groups);

    if (reason == NULL && line->part.params != NULL) {
        reason = etg_freshness_params(line->part.params, &view, r->pool,
                                      &values);
    }
    if (reason != NULL) {
        etg_composite_fail(c, part, HTTP_BAD_REQUEST,
                           apr_psprintf(r->pool, "the request %s", reason));
        return;
    }
    if (values == NULL) {
        values = apr_array_make(r->pool, 1, sizeof(const char *));
    }
    part->url = etg_composite_part_url(&line->part, values, r->pool);
    if (part->url == NULL) {
        etg_composite_fail(c, part, HTTP_BAD_REQUEST,
                           "the request has no fit value for a param");
    }
}

static const char *variable(void *baton, const char *name)
{
    return apr_table_get(baton, name);
}

static void forward(etg_composite *c)
{
    const apr_array_header_t *rows = apr_table_elts(c->r->headers_in);

    c->forwarded = apr_table_make(c->r->pool, 4);
    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row = &APR_ARRAY_IDX(rows, i,
                                                      apr_table_entry_t);

        for (int n = 0; n < c->dir->forward->nelts; n++) {
            if (!ap_cstr_casecmp(row->key, APR_ARRAY_IDX(
                                     c->dir->forward, n, const char *))) {
                apr_table_addn(c->forwarded, row->key, row->val);
                break;
            }
        }
    }
}

/* A variable may stand for whatever the admin makes it of. */
static int is_private(const etg_composite *c)
{
    if (c->r->user != NULL
        || apr_table_get(c->forwarded, "Authorization") != NULL
        || apr_table_get(c->forwarded, "Cookie") != NULL) {
        return 1;
    }
    for (unsigned i = 0; i < c->count; i++) {
        const apr_array_header_t *params = c->parts[i].line->part.params;

        for (int n = 0; params != NULL && n < params->nelts; n++) {
            if (is_of_one_user(&APR_ARRAY_IDX(params, n, etg_from_param))) {
                return 1;
            }
        }
    }
    return 0;
}

static int is_of_one_user(const etg_from_param *param)
{
    return param->kind == ETG_PARAM_USER || param->kind == ETG_PARAM_ENV
        || (param->kind == ETG_PARAM_HEADER && is_credentials(param->name));
}

static int is_credentials(const char *name)
{
    return !ap_cstr_casecmp(name, "Authorization")
        || !ap_cstr_casecmp(name, "Cookie");
}

const etg_composite_had *etg_composite_ask(etg_composite *c)
{
    etg_composite_gathering *gathering;
    int fatal;

    if (!wants_any(c)) {
        return NULL;
    }
    if (etg_composite_gathering_make(
            &gathering, c->count,
            (apr_uint64_t)c->dir->max_bytes - c->body_bytes - c->held_bytes,
            c->runtime->memory, c->pool != NULL ? c->pool : c->r->pool)
        != APR_SUCCESS) {
        etg_composite_fail(c, &c->parts[0], HTTP_SERVICE_UNAVAILABLE,
                           "there is no memory to ask for it");
        return &c->parts[0];
    }
    send_all(c, gathering);
    fatal = etg_composite_gathering_wait(gathering, is_fatal, is_gone, c);
    if (fatal == ETG_COMPOSITE_GONE) {
        c->has_left = 1;
        c->r->connection->aborted = 1;
        return NULL;
    }
    for (unsigned i = 0; i < c->count; i++) {
        if (is_wanted(c, &c->parts[i])
            && (fatal == ETG_COMPOSITE_ALL_ENDED || fatal == (int)i)) {
            etg_composite_take(c, &c->parts[i],
                               etg_composite_gathering_result(gathering, i));
        }
    }
    for (unsigned i = 0; i < c->count; i++) {
        if (c->parts[i].failure != NULL
            && !c->parts[i].line->part.is_optional) {
            return &c->parts[i];
        }
    }
    return NULL;
}

static int is_wanted(const etg_composite *c, const etg_composite_had *part)
{
    return !part->is_answered && !(c->is_round_one && part->is_known);
}

static int wants_any(const etg_composite *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (is_wanted(c, &c->parts[i])) {
            return 1;
        }
    }
    return 0;
}

/* The pool is full before the first job reads in it. */
static void send_all(etg_composite *c, etg_composite_gathering *gathering)
{
    apr_pool_t *p = etg_composite_gathering_pool(gathering);
    const char **targets = apr_palloc(p, c->count * sizeof(*targets));
    etg_internal_ask ask;

    etg_composite_ask_fill(c, &ask, p);
    for (unsigned i = 0; i < c->count; i++) {
        targets[i] = c->parts[i].url == NULL
            ? NULL : apr_pstrdup(p, c->parts[i].url);
    }
    for (unsigned i = 0; i < c->count; i++) {
        const etg_composite_had *part = &c->parts[i];

        if (is_wanted(c, part)) {
            ask.target = targets[i];
            ask.limit = part->line->part.timeout;
            ask.backend_limit = stand_in_time(c, part);
            etg_composite_gathering_send(gathering, i, &ask, c->until,
                                         c->runtime->internal,
                                         c->runtime->workers);
        }
    }
}

/* The same in both rounds: where the first has waited for a backend all the
 * time there was, the second has what stood in at once. */
static apr_interval_time_t stand_in_time(const etg_composite *c,
                                         const etg_composite_had *part)
{
    apr_interval_time_t own = part->line->part.timeout;

    return etg_composite_stand_in_time(
        own > 0 && own < c->dir->deadline ? own : c->dir->deadline);
}

void etg_composite_ask_fill(etg_composite *c, etg_internal_ask *ask,
                            apr_pool_t *p)
{
    request_rec *r = c->r;
    const etg_internal_ask *outer = etg_internal_ask_of(r);

    memset(ask, 0, sizeof(*ask));
    ask->server = r->server;
    ask->is_https = !strcmp(ap_http_scheme(r), "https");
    ask->method = "GET";
    ask->fields = fields_of(c, p);
    ask->client_ip = apr_pstrdup(p, r->useragent_ip);
    if (apr_sockaddr_info_copy(&ask->local, r->connection->local_addr, p)
        != APR_SUCCESS) {
        ask->local = NULL;
    }
    ask->purpose = ETG_INTERNAL_PART;
    ask->depth = outer == NULL ? 0 : outer->depth + 1;
}

/* A part is read, so it is asked for as it is written. */
static apr_table_t *fields_of(etg_composite *c, apr_pool_t *p)
{
    apr_table_t *fields = apr_table_clone(p, c->forwarded);
    const char *host = apr_table_get(c->r->headers_in, "Host");

    /* HTTP/1.0 may have an empty one. */
    apr_table_set(fields, "Host", host != NULL && *host != '\0'
                                  ? host : ap_get_server_name(c->r));
    apr_table_setn(fields, "Accept-Encoding", "identity");
    etg_composite_loop_add(fields, c->r);
    if (c->is_round_one) {
        apr_table_setn(fields, "If-None-Match", "*");
    }
    if (c->plan == NULL) {
        apr_table_setn(fields, "Surrogate-Capability",
                       ETG_COMPOSITE_CAPABILITY);
    }
    return fields;
}

/* What nothing can be made of, at a glance: bodies are looked at later. */
static int is_fatal(void *baton, unsigned place,
                    const etg_composite_result *result)
{
    const etg_composite *c = baton;
    int is_fit = result->outcome == ETG_COMPOSITE_ANSWERED
        && (etg_composite_is_whole(result->status)
            || (c->is_round_one
                && (result->status == HTTP_NOT_MODIFIED
                    || etg_composite_is_puzzled(result->status))));

    return !is_fit && !c->parts[place].line->part.is_optional;
}

static int is_gone(void *baton)
{
    const etg_composite *c = baton;

    return etg_internal_is_cut(c->r)
        || (client_is_gone(c->r->connection) && !is_followed(c->r));
}

/* A client that has closed its side, or the stream of HTTP/2 that is reset.
 * mod_http2's own connections, and internal ones, have no socket to ask. */
static int client_is_gone(conn_rec *connection)
{
    apr_socket_t *socket = connection->master == NULL
        ? ap_get_conn_socket(connection) : NULL;
    struct pollfd one = { .fd = -1, .events = POLLRDHUP };

    if (connection->aborted || socket == NULL
        || apr_os_sock_get(&one.fd, socket) != APR_SUCCESS || one.fd < 0) {
        return connection->aborted;
    }
    return poll(&one, 1, 0) > 0
        && (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* By others in our cache, which goes on for them without the client. */
static int is_followed(request_rec *r)
{
    APR_OPTIONAL_FN_TYPE(etg_cache_is_followed) *ask =
        APR_RETRIEVE_OPTIONAL_FN(etg_cache_is_followed);

    return ask != NULL && ask(r);
}
