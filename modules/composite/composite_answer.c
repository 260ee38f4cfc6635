/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_answer.c: what the client gets: the composite, the 304 in its
 * place, or a problem document.
 */
#include "modules/composite/composite.h"

#include "lib/coded_tag.h"
#include "lib/field_list.h"
#include "lib/problem_document.h"
#include "modules/glue/bodiless.h"
#include "modules/glue/request_view.h"

/* Of names in one field, about. */
#define NAMES_MAX 4096

static int is_for_cache(const request_rec *r);
static void set_purge_tags(etg_composite *c);
static const char *vary_of(const etg_composite *c, const char *vary);
static const char *missing(const etg_composite *c);
static void note(const etg_composite *c, const char *word);
static int pass(ap_filter_t *next, request_rec *r, apr_bucket_brigade *bb);

/* What is included (mod_include) or stands in for an error is there whatever
 * the client has: its preconditions are about what it asked for. */
int etg_composite_is_conditional(const request_rec *r)
{
    return r->main == NULL && r->status == HTTP_OK;
}

/* Last-Modified stays when a part is replaced by an older one, so no date is
 * held against it. */
int etg_composite_answer_conditions(etg_composite *c)
{
    request_rec *r = c->r;
    const char *matched = NULL;
    apr_bucket_brigade *bb;
    etg_precondition condition;

    if (c->is_incomplete || !etg_composite_is_conditional(r)) {
        return DECLINED;
    }
    condition = etg_coded_precondition_decide(r->headers_in, HTTP_OK, c->tag,
                                              NULL, r->request_time, r->pool,
                                              &matched);
    if (condition == ETG_PRECONDITION_PASS) {
        return DECLINED;
    }
    note(c, condition == ETG_PRECONDITION_FAILED ? "412" : "304");
    etg_composite_set_fields(c);
    if (matched != NULL) {
        /* Of what the client holds, coded by a filter behind us. */
        apr_table_setn(r->headers_out, "ETag", matched);
    }
    etg_bodiless_make(r, condition == ETG_PRECONDITION_FAILED
                         ? HTTP_PRECONDITION_FAILED : HTTP_NOT_MODIFIED);
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return pass(c->next, r, bb);
}

int etg_composite_answer(etg_composite *c)
{
    apr_off_t length;
    apr_bucket_brigade *bb = etg_composite_assemble(c, &length);

    ap_set_content_type(c->r, "application/json");
    return etg_composite_send(c, bb, length);
}

int etg_composite_send(etg_composite *c, apr_bucket_brigade *bb,
                       apr_off_t length)
{
    note(c, c->is_incomplete ? "incomplete" : "whole");
    etg_composite_set_fields(c);
    ap_set_content_length(c->r, length);
    etg_request_forget_range_by_date(c->r);
    return pass(c->next, c->r, bb);
}

void etg_composite_set_fields(etg_composite *c)
{
    request_rec *r = c->r;
    apr_array_header_t *parts = apr_array_make(r->pool, (int)c->count + 1,
                                               sizeof(const apr_table_t *));
    etg_composite_policy policy;
    const char *vary;

    for (unsigned i = 0; i < c->count; i++) {
        if (c->parts[i].fields != NULL) {
            APR_ARRAY_PUSH(parts, const apr_table_t *) = c->parts[i].fields;
        }
    }
    if (c->others != NULL) {
        apr_array_cat(parts, c->others);
    }
    etg_composite_policy_of(&policy, parts, c->is_private, c->is_incomplete,
                            apr_time_now(), r->pool);
    vary = vary_of(c, policy.vary);
    apr_table_setn(r->headers_out, "Cache-Control", policy.cache_control);
    if (policy.age >= 0) {
        apr_table_setn(r->headers_out, "Age",
                       apr_psprintf(r->pool, "%" APR_INT64_T_FMT,
                                    policy.age));
    }
    if (vary != NULL) {
        apr_table_mergen(r->headers_out, "Vary", vary);
    }
    if (policy.last_modified != NULL) {
        apr_table_setn(r->headers_out, "Last-Modified",
                       policy.last_modified);
    }
    if (c->tag != NULL) {
        apr_table_setn(r->headers_out, "ETag", c->tag);
    }
    set_purge_tags(c);
    if (c->is_incomplete && missing(c) != NULL) {
        apr_table_setn(r->headers_out, "ETag-Composite",
                       apr_psprintf(r->pool, "incomplete; parts=\"%s\"",
                                    missing(c)));
    }
}

/* Is our cache going to store it? It keeps tags from clients. */
static int is_for_cache(const request_rec *r)
{
    for (ap_filter_t *f = r->output_filters; f != NULL; f = f->next) {
        if (!ap_cstr_casecmp(f->frec->name, "ETAG_CACHE_SAVE")) {
            return 1;
        }
    }
    return 0;
}

/* So that what purges a part purges the whole. Behind our cache, as pages
 * with ESI are, they are for others like it that get the page's own. */
static void set_purge_tags(etg_composite *c)
{
    unsigned first = c->plan != NULL ? 0 : 1;
    int is_wanted = c->plan != NULL && is_for_cache(c->r);
    static const char *const names[] = {
        "Surrogate-Key", "Cache-Tag", "xkey", "Cache-Groups"
    };

    for (unsigned n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        if (!is_wanted && (c->plan != NULL
                           || apr_table_get(c->r->headers_out, names[n])
                              == NULL)) {
            continue;
        }
        for (unsigned i = first; i < c->count; i++) {
            const char *value = c->parts[i].fields == NULL ? NULL
                : etg_field_combined(c->parts[i].fields, names[n],
                                     c->r->pool);

            if (value != NULL) {
                /* A copy: those of a portion end with it. */
                apr_table_add(c->r->headers_out, names[n], value);
            }
        }
    }
}

/* With the fields that parts' URLs are made of. */
static const char *vary_of(const etg_composite *c, const char *vary)
{
    for (unsigned i = 0; i < c->count; i++) {
        const apr_array_header_t *params = c->parts[i].line->part.params;

        for (int n = 0; params != NULL && n < params->nelts; n++) {
            const etg_from_param *param = &APR_ARRAY_IDX(params, n,
                                                         etg_from_param);

            if (param->kind == ETG_PARAM_HEADER
                && !(vary != NULL && !strcmp(vary, "*"))
                && !ap_find_token(c->r->pool, vary, param->name)) {
                vary = vary == NULL ? param->name
                    : apr_pstrcat(c->r->pool, vary, ", ", param->name, NULL);
            }
        }
    }
    return vary;
}

static const char *missing(const etg_composite *c)
{
    const char *names = NULL;

    for (unsigned i = 0; i < c->count; i++) {
        const char *name = c->parts[i].line->part.name;

        if (c->parts[i].failure != NULL
            && (names == NULL || strlen(names) < NAMES_MAX)) {
            names = names == NULL ? name
                : apr_pstrcat(c->r->pool, names, ", ", name, NULL);
        }
    }
    return names;
}

/* For access logs. */
static void note(const etg_composite *c, const char *word)
{
    apr_table_setn(c->r->notes, "etag-composite", word);
    apr_table_setn(c->r->notes, "etag-composite-bytes",
                   apr_psprintf(c->r->pool, "%" APR_UINT64_T_FMT,
                                c->body_bytes));
}

int etg_composite_answer_problem(request_rec *r, int status,
                                 const char *detail, const char *part)
{
    return etg_composite_send_problem(NULL, r, status, detail, part);
}

int etg_composite_send_problem(ap_filter_t *next, request_rec *r, int status,
                               const char *detail, const char *part)
{
    const char *line = ap_get_status_line(status);
    etg_problem problem = {
        .status = status,
        .title = strlen(line) > 4 ? line + 4 : NULL,
        .detail = detail,
        .part = part,
    };
    const char *text = etg_problem_document(&problem, r->pool);
    apr_bucket_brigade *bb = apr_brigade_create(
        r->pool, r->connection->bucket_alloc);

    r->status = status;
    r->status_line = NULL;
    ap_set_content_type(r, ETG_PROBLEM_TYPE);
    ap_set_content_length(r, (apr_off_t)strlen(text));
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(
        text, strlen(text), r->pool, bb->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return pass(next, r, bb);
}

/* `next` NULL: to all filters there are now. */
static int pass(ap_filter_t *next, request_rec *r, apr_bucket_brigade *bb)
{
    apr_status_t rv = ap_pass_brigade(next != NULL ? next : r->output_filters,
                                      bb);

    return rv == APR_SUCCESS || r->connection->aborted ? OK
                                                       : AP_FILTER_ERROR;
}
