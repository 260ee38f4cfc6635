/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_serve.c: answers with a stored response.
 *
 * The fields were made ready when the response was stored, so they go out as
 * they are, behind every filter that would add them a second time. Only
 * compression still works on a hit: entities are stored without it.
 */
#include "modules/cache/cache.h"

#include "lib/byte_range.h"
#include "lib/field_list.h"
#include "lib/freshness.h"
#include "lib/precondition.h"

static int is_beyond(request_rec *r, const etg_stored_response *stored);
static int if_range_holds(request_rec *r, const etg_stored_response *stored);
static const char *date_of(const etg_stored_response *stored);
static void set_fields(etg_cache_context *ctx, request_rec *r,
                       const etg_stored_response *stored);
static void drop_applied_filters(request_rec *r);
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
    drop_applied_filters(r);
    if (ap_pass_brigade(r->output_filters, bb) != APR_SUCCESS) {
        return AP_FILTER_ERROR;
    }
    return OK;
}

int etg_cache_serve_into(etg_cache_context *ctx, request_rec *r,
                         apr_bucket_brigade *bb)
{
    const etg_stored_response *stored = ctx->found.stored;
    etg_precondition condition = etg_precondition_decide(
        r->headers_in, stored->status, stored->etag,
        stored->last_modified != NULL ? stored->last_modified
                                      : date_of(stored),
        r->request_time, r->pool);

    if (condition == ETG_PRECONDITION_FAILED) {
        etg_cache_say_status(ctx, r->err_headers_out);
        return HTTP_PRECONDITION_FAILED;
    }
    if (condition == ETG_PRECONDITION_PASS && is_beyond(r, stored)) {
        etg_cache_say_status(ctx, r->err_headers_out);
        return HTTP_RANGE_NOT_SATISFIABLE;
    }
    if (condition == ETG_PRECONDITION_PASS && !r->header_only
        && stored->has_body
        && add_body(ctx, r, stored, bb) != APR_SUCCESS) {
        return DECLINED;
    }
    set_fields(ctx, r, stored);
    if (condition == ETG_PRECONDITION_NOT_MODIFIED) {
        etg_cache_make_bodiless(r, HTTP_NOT_MODIFIED);
    }
    else if (stored->has_body || stored->status == HTTP_OK) {
        ap_set_content_length(r, stored->body_length);
    }
    if (!if_range_holds(r, stored)) {
        apr_table_unset(r->headers_in, "Range");
    }
    apr_table_unset(r->headers_in, "If-Range");   /* decided */
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return OK;
}

/* Said here, as errors that core's filter finds do not keep our fields. What
 * core reads in its own way (no byte at all, the last 0 bytes) is left to it.
 */
static int is_beyond(request_rec *r, const etg_stored_response *stored)
{
    const char *range = apr_table_get(r->headers_in, "Range");
    unsigned count;

    return range != NULL && !r->header_only && stored->status == HTTP_OK
        && stored->body_length > 0 && strstr(range, "-0") == NULL
        && if_range_holds(r, stored)
        && etg_range_judge(etg_bytes_of(range), stored->body_length, &count)
           == ETG_RANGE_UNSATISFIABLE;
}

static int if_range_holds(request_rec *r, const etg_stored_response *stored)
{
    return etg_if_range_holds(r->headers_in, stored->etag,
                              stored->last_modified, stored->freshness.date,
                              r->request_time);
}

/* Stands in for a missing Last-Modified (RFC 9111 §4.3.2). */
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

static void set_fields(etg_cache_context *ctx, request_rec *r,
                       const etg_stored_response *stored)
{
    apr_table_t *fields = apr_table_make(r->pool, stored->field_count + 4);
    apr_interval_time_t age = etg_age_of(stored, apr_time_now());

    r->content_type = NULL;
    for (unsigned i = 0; i < stored->field_count; i++) {
        const etg_field *field = &stored->fields[i];

        /* mod_headers' "early" has said it again for this request. */
        apr_table_unset(r->err_headers_out, field->name);
        if (!ap_cstr_casecmp(field->name, "Content-Type")) {
            r->content_type = field->value;
        }
        else if (ctx->policy.store_set_cookie
                 || ap_cstr_casecmp(field->name, "Set-Cookie")) {
            /* (Set-Cookie is there from a time when the route said Store.) */
            apr_table_addn(fields, field->name, field->value);
        }
    }
    apr_table_addn(fields, "Age", apr_ltoa(r->pool, apr_time_sec(age)));
    etg_cache_say_status(ctx, fields);
    r->headers_out = fields;
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

void etg_cache_make_bodiless(request_rec *r, int status)
{
    static const char *const of_the_body[] = {
        "Content-Encoding", "Content-Language", "Content-Length",
        "Content-Range", "Content-Type", NULL
    };

    for (int i = 0; of_the_body[i] != NULL; i++) {
        apr_table_unset(r->headers_out, of_the_body[i]);
    }
    r->content_type = NULL;
    r->status = status;
    r->status_line = NULL;
    if (status != HTTP_NOT_MODIFIED) {
        ap_set_content_length(r, 0);
    }
}

/* The content filters have done their work when the response was stored; and
 * ours must not take it for a response of the backend. */
static void drop_applied_filters(request_rec *r)
{
    ap_filter_t *filter = r->output_filters;
    /* Ranges are of what the validator names: the stored bytes. */
    int compress = apr_table_get(r->headers_in, "Range") == NULL;

    while (filter != NULL && filter->frec->ftype <= ETG_CACHE_FILTER_TYPE) {
        ap_filter_t *next = filter->next;

        if (filter->frec->ftype <= AP_FTYPE_CONTENT_SET
            ? !compress || !is_compressor(filter->frec)
            : !ap_cstr_casecmp(filter->frec->name, ETG_CACHE_FILTER)) {
            ap_remove_output_filter(filter);
        }
        filter = next;
    }
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
