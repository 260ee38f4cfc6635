/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_handler.c: one request's way, round by round.
 */
#include "modules/composite/composite.h"

#include "lib/steady_clock.h"

static int refuse(request_rec *r, const etg_composite_runtime *runtime,
                  const etg_composite_plan *plan);
static void begin(etg_composite *c, request_rec *r,
                  const etg_composite_dir_conf *dir,
                  const etg_composite_runtime *runtime);
static int answer(etg_composite *c);
static int answer_first(etg_composite *c);
static int leave(etg_composite *c);
static int fail(etg_composite *c, const etg_composite_had *part);

int etg_composite_handler(request_rec *r)
{
    const etg_composite_server_conf *server;
    const etg_composite_dir_conf *dir;
    etg_composite c;
    int status;

    if (r->handler == NULL || strcmp(r->handler, ETG_COMPOSITE_HANDLER)) {
        return DECLINED;
    }
    ap_allow_methods(r, MERGE_ALLOW, "GET", NULL);
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    status = ap_discard_request_body(r);
    if (status != OK) {
        return status;
    }
    server = ap_get_module_config(r->server->module_config,
                                  &etag_composite_module);
    dir = ap_get_module_config(r->per_dir_config, &etag_composite_module);
    status = refuse(r, server->runtime, dir->plan);
    if (status != DECLINED) {
        return status;
    }
    begin(&c, r, dir, server->runtime);
    return answer(&c);
}

/* DECLINED: it is not refused. */
static int refuse(request_rec *r, const etg_composite_runtime *runtime,
                  const etg_composite_plan *plan)
{
    if (plan == NULL || plan->lines->nelts == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      ETGLOGNO(0504) "%s has the handler " ETG_COMPOSITE_HANDLER
                      " and no ETagCompositePart", r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (etg_composite_is_part(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      ETGLOGNO(0505) "%s is a composite, and so no part of "
                      "one", r->uri);
        return etg_composite_answer_problem(
            r, HTTP_LOOP_DETECTED, "a composite is no part of another", NULL);
    }
    if (etg_composite_is_loop(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      ETGLOGNO(0529) "%s is a part of composites already, one "
                      "of the other: a part leads back here", r->uri);
        return etg_composite_answer_problem(
            r, HTTP_LOOP_DETECTED, "its parts lead back to composites", NULL);
    }
    if (runtime->internal == NULL) {
        return etg_composite_answer_problem(
            r, HTTP_SERVICE_UNAVAILABLE, "parts cannot be asked for", NULL);
    }
    return DECLINED;
}

/* Then it runs on one of our threads, and would wait for others of them; or
 * on the only one, with a part under way. */
int etg_composite_is_part(const request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    return ask != NULL && !strcmp(ask->purpose, ETG_INTERNAL_PART);
}

static void begin(etg_composite *c, request_rec *r,
                  const etg_composite_dir_conf *dir,
                  const etg_composite_runtime *runtime)
{
    memset(c, 0, sizeof(*c));
    c->r = r;
    c->dir = dir;
    c->plan = dir->plan;
    c->runtime = runtime;
    c->until = etg_steady_now() + dir->deadline;
    c->count = (unsigned)dir->plan->lines->nelts;
    c->parts = apr_pcalloc(r->pool, c->count * sizeof(*c->parts));
    for (unsigned i = 0; i < c->count; i++) {
        c->parts[i].line = &APR_ARRAY_IDX(dir->plan->lines, i,
                                          const etg_composite_line);
    }
    c->is_round_one = etg_composite_is_conditional(r)
        && apr_table_get(r->headers_in, "If-None-Match") != NULL;
    etg_composite_prepare(c);
}

static int answer(etg_composite *c)
{
    const etg_composite_had *failed = NULL;
    int status;

    for (unsigned i = 0; i < c->count && failed == NULL; i++) {
        failed = c->parts[i].failure != NULL
                 && !c->parts[i].line->part.is_optional ? &c->parts[i] : NULL;
    }
    if (failed == NULL && c->is_round_one) {
        etg_composite_peek(c);
        failed = etg_composite_ask(c);
        status = failed == NULL ? answer_first(c) : DECLINED;
        if (status != DECLINED) {
            return status;
        }
    }
    if (failed == NULL) {
        c->is_round_one = 0;
        failed = etg_composite_ask(c);
    }
    if (failed != NULL) {
        return fail(c, failed);
    }
    if (c->has_left) {
        return leave(c);
    }
    c->tag = etg_composite_tag_of(c);
    status = etg_composite_answer_conditions(c);
    return status != DECLINED ? status : etg_composite_answer(c);
}

/* By what the parts' fields say. */
static int answer_first(etg_composite *c)
{
    if (c->has_left) {
        return leave(c);
    }
    c->tag = etg_composite_tag_of(c);
    return c->tag != NULL ? etg_composite_answer_conditions(c) : DECLINED;
}

/* There is nobody to answer. */
static int leave(etg_composite *c)
{
    apr_table_setn(c->r->notes, "etag-composite", "left");
    return OK;
}

static int fail(etg_composite *c, const etg_composite_had *part)
{
    const char *name = part->line->part.name;

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, c->r,
                  ETGLOGNO(0506) "part %s (%s): %s", name,
                  part->url != NULL ? part->url : "no URL", part->failure);
    apr_table_setn(c->r->notes, "etag-composite", "failed");
    return etg_composite_answer_problem(c->r, part->failure_status,
                                        part->failure, name);
}
