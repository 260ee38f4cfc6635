/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_serve.c: answers with a stored response.
 *
 * The fields were made ready when the response was stored, so they go out as
 * they are, behind every filter that would add them a second time. The form
 * of the body, stored or inflated, is the client's choice, and its tag with
 * it. Other modules' compression still works on what goes out plain.
 */
#include "modules/cache/cache.h"

#include "lib/byte_range.h"
#include "lib/coded_tag.h"
#include "lib/field_list.h"
#include "lib/field_words.h"
#include "lib/freshness.h"
#include "lib/http_date.h"
#include "lib/precondition.h"
#include "modules/cache/cache_inflate.h"
#include "modules/glue/bodiless.h"

static void choose_form(etg_cache_context *ctx, request_rec *r,
                        const etg_stored_response *stored);
static etg_precondition decide_conditions(etg_cache_context *ctx,
                                          request_rec *r,
                                          const etg_stored_response *stored);
static int is_beyond(const etg_cache_context *ctx, request_rec *r,
                     const etg_stored_response *stored);
static int if_range_holds(const etg_cache_context *ctx, request_rec *r,
                          const etg_stored_response *stored);
static const char *date_of(const etg_stored_response *stored);
static apr_table_t *fields_of(const etg_cache_context *ctx, apr_pool_t *p,
                              const char **type);
static void set_fields(etg_cache_context *ctx, request_rec *r,
                       const etg_stored_response *stored);
static void forget_early(request_rec *r, const etg_stored_response *stored);
static void move_dates(apr_table_t *fields, apr_time_t date, apr_time_t now,
                       apr_pool_t *p);
static void set_date(apr_table_t *fields, const char *name, apr_time_t when,
                     apr_pool_t *p);
static int may_go_out(const etg_cache_context *ctx, const etg_field *field);
static void drop_applied_filters(etg_cache_context *ctx, request_rec *r);
static int may_compress(const etg_cache_context *ctx, request_rec *r,
                        const ap_filter_rec_t *filter);
static int is_compressor(const ap_filter_rec_t *filter);
static apr_status_t add_body(etg_cache_context *ctx, request_rec *r,
                             const etg_stored_response *stored,
                             apr_bucket_brigade *bb);

int etg_cache_serve(etg_cache_context *ctx, request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool,
                                                r->connection->bucket_alloc);
    int rv = etg_cache_serve_into(ctx, r, bb);

    if (rv != OK) {
        return rv;
    }
    ctx->plan = ETG_CACHE_SERVED;
    ctx->done = 1;
    etg_cache_release(ctx, ETG_COLLAPSE_STORED);
    drop_applied_filters(ctx, r);
    if (ap_pass_brigade(r->output_filters, bb) != APR_SUCCESS) {
        return AP_FILTER_ERROR;
    }
    return OK;
}

int etg_cache_serve_into(etg_cache_context *ctx, request_rec *r,
                         apr_bucket_brigade *bb)
{
    const etg_stored_response *stored = ctx->found.stored;
    etg_precondition condition;

    choose_form(ctx, r, stored);
    condition = decide_conditions(ctx, r, stored);
    if (condition == ETG_PRECONDITION_FAILED) {
        etg_cache_say_status(ctx, r->err_headers_out);
        return HTTP_PRECONDITION_FAILED;
    }
    if (condition == ETG_PRECONDITION_PASS && is_beyond(ctx, r, stored)) {
        etg_cache_say_status(ctx, r->err_headers_out);
        return HTTP_RANGE_NOT_SATISFIABLE;
    }
    if (condition == ETG_PRECONDITION_PASS && !r->header_only
        && stored->has_body && ctx->errand == NULL
        && add_body(ctx, r, stored, bb) != APR_SUCCESS) {
        return DECLINED;
    }
    set_fields(ctx, r, stored);
    if (condition == ETG_PRECONDITION_NOT_MODIFIED) {
        etg_bodiless_make(r, HTTP_NOT_MODIFIED);
    }
    else if (stored->has_body || stored->status == HTTP_OK) {
        ap_set_content_length(r, ctx->shown.length);
    }
    if (!if_range_holds(ctx, r, stored)) {
        apr_table_unset(r->headers_in, "Range");
    }
    apr_table_unset(r->headers_in, "If-Range");   /* decided */
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return OK;
}

static void choose_form(etg_cache_context *ctx, request_rec *r,
                        const etg_stored_response *stored)
{
    const apr_table_t *fields = r->headers_in;

    if (apr_table_get(r->subprocess_env, "no-gzip") != NULL) {
        /* What administrators say to mod_deflate of broken clients. */
        apr_table_t *plain = apr_table_copy(r->pool, fields);

        apr_table_unset(plain, "Accept-Encoding");
        fields = plain;
    }
    etg_representation_choose(stored, fields, r->pool, &ctx->shown);
}

/* A client that holds another form of the same is told so by its own tag. */
static etg_precondition decide_conditions(etg_cache_context *ctx,
                                          request_rec *r,
                                          const etg_stored_response *stored)
{
    const char *date = stored->last_modified == NULL ? date_of(stored) : NULL;
    const char *held = NULL;
    etg_precondition condition = etg_coded_precondition_decide(
        r->headers_in, stored->status, ctx->shown.etag,
        etg_precondition_date(stored->last_modified,
                              stored->is_last_modified_ours, date,
                              ctx->has_data),
        r->request_time, r->pool, &held);

    if (condition == ETG_PRECONDITION_NOT_MODIFIED && held != NULL) {
        ctx->shown.etag = held;
    }
    return condition;
}

/* Said here, as errors that core's filter finds do not keep our fields. What
 * core reads in its own way (no byte at all, the last 0 bytes) is left to it.
 */
static int is_beyond(const etg_cache_context *ctx, request_rec *r,
                     const etg_stored_response *stored)
{
    const char *range = apr_table_get(r->headers_in, "Range");
    unsigned count;

    return range != NULL && !r->header_only && stored->status == HTTP_OK
        && ctx->shown.length > 0 && strstr(range, "-0") == NULL
        && if_range_holds(ctx, r, stored)
        && etg_range_judge(etg_bytes_of(range), ctx->shown.length, &count)
           == ETG_RANGE_UNSATISFIABLE;
}

/* A date says nothing of which coding the client holds. */
static int if_range_holds(const etg_cache_context *ctx, request_rec *r,
                          const etg_stored_response *stored)
{
    return etg_if_range_holds(r->headers_in, ctx->shown.etag,
                              ctx->shown.is_made ? NULL
                                  : etg_precondition_date(
                                        stored->last_modified,
                                        stored->is_last_modified_ours,
                                        NULL, 1),
                              stored->freshness.date, r->request_time);
}

static const char *date_of(const etg_stored_response *stored)
{
    for (unsigned i = 0; i < stored->field_count; i++) {
        if (!ap_cstr_casecmp(stored->fields[i].name, "Date")) {
            return stored->fields[i].value;
        }
    }
    return NULL;
}

static apr_status_t add_body(etg_cache_context *ctx, request_rec *r,
                             const etg_stored_response *stored,
                             apr_bucket_brigade *bb)
{
    const etg_cache_store *store = &ctx->server->entity;
    etg_store_answer answer = ETG_STORE_MISS;
    etg_entity entity;
    apr_status_t rv;

    if (stored->body_length == 0) {
        return APR_SUCCESS;
    }
    rv = store->provider->entity_read(store->instance, &stored->entity,
                                      stored->body_length, r->pool, &answer,
                                      &entity);
    ctx->body_trouble = rv;
    if (rv != APR_SUCCESS || answer != ETG_STORE_HIT) {
        return rv != APR_SUCCESS ? rv : APR_NOTFOUND;
    }
    if (ctx->shown.is_inflated) {
        return etg_cache_inflate_insert(r, &entity, ctx->shown.length, bb);
    }
    if (entity.bytes != NULL) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(
            (const char *)entity.bytes, entity.length, r->pool,
            bb->bucket_alloc));
    }
    else {
        apr_brigade_insert_file(bb, entity.file, entity.offset,
                                entity.length, r->pool);
    }
    return APR_SUCCESS;
}

apr_table_t *etg_cache_serve_fields(etg_cache_context *ctx, request_rec *r,
                                    const char **type)
{
    choose_form(ctx, r, ctx->found.stored);
    return fields_of(ctx, r->pool, type);
}

static apr_table_t *fields_of(const etg_cache_context *ctx, apr_pool_t *p,
                              const char **type)
{
    const etg_stored_response *stored = ctx->found.stored;
    apr_table_t *fields = apr_table_make(p, stored->field_count + 4);
    apr_time_t now = apr_time_now();
    apr_interval_time_t age = ctx->found.reuse.is_validated
        ? 0 : etg_age_of(stored, now);

    for (unsigned i = 0; i < stored->field_count; i++) {
        const etg_field *field = &stored->fields[i];
        const char *value = ap_cstr_casecmp(field->name, "ETag")
            ? field->value : ctx->shown.etag;

        if (!ap_cstr_casecmp(field->name, "Content-Type")) {
            *type = value;
        }
        else if (value != NULL && may_go_out(ctx, field)) {
            apr_table_addn(fields, field->name, value);
        }
    }
    if (ctx->shown.coding == ETG_CODING_GZIP) {
        apr_table_setn(fields, "Content-Encoding", "gzip");
    }
    if (ctx->found.reuse.is_validated) {
        move_dates(fields, stored->freshness.date, now, p);
    }
    if (ctx->shown.is_negotiated) {
        etg_vary_add_accept_encoding(fields, p);
    }
    apr_table_addn(fields, "Age", apr_ltoa(p, apr_time_sec(age)));
    return fields;
}

/* (Set-Cookie is there from a time when the route said Store.) */
static int may_go_out(const etg_cache_context *ctx, const etg_field *field)
{
    return ctx->policy.store_set_cookie
        || ap_cstr_casecmp(field->name, "Set-Cookie");
}

static void set_fields(etg_cache_context *ctx, request_rec *r,
                       const etg_stored_response *stored)
{
    const char *type = NULL;
    apr_table_t *fields = fields_of(ctx, r->pool, &type);

    forget_early(r, stored);
    if (ctx->shown.coding == ETG_CODING_GZIP) {
        apr_table_unset(r->err_headers_out, "Content-Encoding");
    }
    etg_cache_say_status(ctx, fields);
    r->headers_out = fields;
    r->content_type = type;
    r->content_encoding = NULL;
    r->content_languages = NULL;
    r->status = stored->status;
    r->status_line = stored->status_line;
    /* Core replaces Date unless a proxy made the response. (RESPONSE would
     * be the better word, but makes core read the request as a response.) */
    if (r->proxyreq == PROXYREQ_NONE) {
        r->proxyreq = PROXYREQ_REVERSE;
    }
}

/* mod_headers' "early" has said them again for this request; and mod_include
 * means a file's tag, of each request. */
static void forget_early(request_rec *r, const etg_stored_response *stored)
{
    for (unsigned i = 0; i < stored->field_count; i++) {
        const char *name = stored->fields[i].name;

        apr_table_unset(r->err_headers_out, name);
        if (!ap_cstr_casecmp(name, "ETag")) {
            apr_table_unset(r->notes, "no-etag");
        }
    }
}

/* It is as if the backend had said now that the response still holds. */
static void move_dates(apr_table_t *fields, apr_time_t date, apr_time_t now,
                       apr_pool_t *p)
{
    const char *value = apr_table_get(fields, "Expires");
    apr_int64_t moved = apr_time_sec(now) - apr_time_sec(date);
    apr_time_t expires;

    if (value != NULL
        && etg_http_date_parse(etg_bytes_of(value), now, &expires)
        && expires > date) {
        set_date(fields, "Expires", expires + apr_time_from_sec(moved), p);
    }
    set_date(fields, "Date", apr_time_from_sec(apr_time_sec(now)), p);
}

/* Behind the year 9999, which a backend's dates may lead to, there are no
 * dates: the field stays as it is. */
static void set_date(apr_table_t *fields, const char *name, apr_time_t when,
                     apr_pool_t *p)
{
    char *text = apr_palloc(p, ETG_DATE_BYTES);

    if (etg_date_write(text, when)) {
        apr_table_setn(fields, name, text);
    }
}

void etg_cache_say_held_tag(const etg_cache_context *ctx, request_rec *r)
{
    const char *etag = apr_table_get(r->headers_out, "ETag");
    const char *held = NULL;

    if (!ctx->tags_mapped || etag == NULL) {
        return;
    }
    etg_coded_precondition_decide(r->headers_in, HTTP_OK, etag, NULL,
                                  r->request_time, r->pool, &held);
    if (held != NULL) {
        apr_table_setn(r->headers_out, "ETag", held);
    }
}

/* The content filters have done their work when the response was stored; and
 * ours must not take it for a response of the backend. */
static void drop_applied_filters(etg_cache_context *ctx, request_rec *r)
{
    ap_filter_t *filter = r->output_filters;

    while (filter != NULL && filter->frec->ftype <= ETG_CACHE_FILTER_TYPE) {
        ap_filter_t *next = filter->next;

        if (filter->frec->ftype <= AP_FTYPE_CONTENT_SET
            ? !may_compress(ctx, r, filter->frec)
            : !ap_cstr_casecmp(filter->frec->name, ETG_CACHE_FILTER)) {
            ap_remove_output_filter(filter);
        }
        filter = next;
    }
}

/* Ranges are of what the validator names. A 304 names what the client holds:
 * a compressor would change the tag, so only its Vary is said in its place. */
static int may_compress(const etg_cache_context *ctx, request_rec *r,
                        const ap_filter_rec_t *filter)
{
    if (!is_compressor(filter) || ctx->shown.coding != ETG_CODING_IDENTITY
        || apr_table_get(r->headers_in, "Range") != NULL) {
        return 0;
    }
    if (r->status == HTTP_NOT_MODIFIED) {
        etg_vary_add_accept_encoding(r->headers_out, r->pool);
        return 0;
    }
    return 1;
}

static int is_compressor(const ap_filter_rec_t *filter)
{
    /* AddOutputFilterByType wraps a filter in one named BYTYPE:name. */
    const char *name = filter->name;

    if (!ap_cstr_casecmpn(name, "bytype:", 7)) {
        name += 7;
    }
    return !ap_cstr_casecmp(name, "deflate")
        || !ap_cstr_casecmp(name, "brotli_compress");
}
