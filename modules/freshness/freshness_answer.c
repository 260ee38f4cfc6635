/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_answer.c: a 304 that no backend was asked for, and one in place
 * of what the backend sent.
 */
#include "modules/freshness/freshness.h"

#include "lib/field_words.h"
#include "lib/precondition.h"
#include "modules/glue/bodiless.h"

static void set_fields(request_rec *r, const etg_seen_response *seen);
static void set_field(request_rec *r, const char *name, const char *value);
static void drop_content_filters(request_rec *r);
static const char *field_of(const request_rec *r, const char *name);

int etg_freshness_answer(etg_freshness_context *ctx, request_rec *r)
{
    apr_bucket_brigade *bb;

    if (ctx->seen == NULL || ctx->is_late
        || ctx->early.outcome != ETG_SOURCE_READ
        || !etg_seen_answers(ctx->seen, ctx->early.digest.sha256,
                             ctx->dir->trust, r->headers_in,
                             apr_time_now(), ctx->pool)) {
        return DECLINED;
    }
    etg_freshness_note(ctx, "304");
    r->content_type = NULL;
    r->status = HTTP_NOT_MODIFIED;
    set_fields(r, ctx->seen);
    drop_content_filters(r);
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return ap_pass_brigade(r->output_filters, bb) == APR_SUCCESS
        ? OK : AP_FILTER_ERROR;
}

int etg_freshness_decide_conditions(etg_freshness_context *ctx,
                                    request_rec *r)
{
    etg_precondition condition;

    if (r->status != HTTP_OK) {
        return 0;
    }
    condition = etg_precondition_decide(
        r->headers_in, r->status, field_of(r, "ETag"),
        etg_precondition_date(field_of(r, "Last-Modified"),
                              ctx->stamp.is_last_modified_ours, NULL, 1),
        r->request_time, r->pool);
    if (condition == ETG_PRECONDITION_PASS) {
        return 0;
    }
    etg_bodiless_make(r, condition == ETG_PRECONDITION_FAILED
                         ? HTTP_PRECONDITION_FAILED : HTTP_NOT_MODIFIED);
    return 1;
}

/* What RFC 9110 §15.4.5 wants of the 200's fields. Core's Date is that of the
 * request. */
static void set_fields(request_rec *r, const etg_seen_response *seen)
{
    apr_time_t date = r->request_time - r->request_time % APR_USEC_PER_SEC;

    set_field(r, "ETag", seen->etag);
    apr_table_unset(r->notes, "no-etag");   /* of files, by mod_include */
    set_field(r, "Vary", seen->vary);
    set_field(r, "Cache-Control", seen->cache_control);
    set_field(r, "Content-Location", seen->content_location);
    if (seen->has_expires) {
        char *expires = apr_palloc(r->pool, ETG_DATE_BYTES);

        set_field(r, "Expires",
                  etg_date_write(expires, date + seen->expires_in) ? expires
                                                                   : "0");
    }
}

/* In place of what other modules have said of the request already: the 200
 * was remembered with it. */
static void set_field(request_rec *r, const char *name, const char *value)
{
    apr_table_unset(r->err_headers_out, name);
    if (value != NULL) {
        apr_table_setn(r->headers_out, name, value);
    }
    else {
        apr_table_unset(r->headers_out, name);
    }
}

/* They did their work on the 200. */
static void drop_content_filters(request_rec *r)
{
    ap_filter_t *filter = r->output_filters;

    while (filter != NULL && filter->frec->ftype <= AP_FTYPE_CONTENT_SET) {
        ap_filter_t *next = filter->next;

        ap_remove_output_filter(filter);
        filter = next;
    }
}

static const char *field_of(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_out, name);

    return value != NULL ? value : apr_table_get(r->err_headers_out, name);
}
