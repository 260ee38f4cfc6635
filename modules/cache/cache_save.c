/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_save.c: the filter that sees a backend's response on its way out.
 *
 * It sits right behind the content filters, so it judges and stores what the
 * admin's mod_headers and mod_expires made of the response. The first brigade
 * decides: pass, store, replace by a stored response. Bytes then go to the
 * store first and to the client after, in the same call; the brigade with the
 * last bytes waits up to ETG_CACHE_COMMIT_WAIT for the commit, so that the
 * client's next request finds what this one stored.
 *
 * Runs on the request's thread. A response that does not arrive whole (error
 * or EOC bucket, wrong length, no EOS) is never stored.
 */
#include "modules/cache/cache_background.h"

#include "lib/coded_tag.h"
#include "lib/field_list.h"
#include "lib/freshness.h"
#include "lib/invalidation.h"
#include "lib/precondition.h"
#include "lib/storable.h"
#include "lib/validation.h"
#include "modules/cache/cache_body.h"
#include "modules/cache/cache_compress.h"
#include "modules/cache/cache_data.h"
#include "modules/cache/cache_raw_expires.h"
#include "modules/glue/bodiless.h"
#include "modules/glue/request_view.h"

static apr_status_t save_filter(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t first_brigade(ap_filter_t *f, apr_bucket_brigade *bb);
static int failure_of(apr_bucket_brigade *bb);
static apr_status_t backend_failed(ap_filter_t *f, apr_bucket_brigade *bb,
                                   int status);
static apr_status_t pass_error(ap_filter_t *f, apr_bucket_brigade *bb,
                               int status);
static apr_status_t serve_stale(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t replace(ap_filter_t *f, apr_bucket_brigade *bb);
static void judge(etg_cache_context *ctx, request_rec *r,
                  const etg_response_view *view);
static int is_for_nobody_else(const etg_cache_context *ctx);
static void judge_post(etg_cache_context *ctx, request_rec *r,
                       const etg_response_view *view);
static int is_as_we_would_ask(const etg_cache_context *ctx,
                              const request_rec *r);
static void begin_storing(etg_cache_context *ctx, request_rec *r,
                          const etg_response_view *view);
static void tell_client(etg_cache_context *ctx, request_rec *r,
                        const etg_response_view *view);
static void tell_of_codings(etg_cache_context *ctx, request_rec *r,
                            const etg_response_view *view);
static void decide_conditions(etg_cache_context *ctx, request_rec *r,
                              const etg_response_view *view);
static void apply_override(etg_cache_context *ctx, request_rec *r);
static void strip_for_client(request_rec *r);

void etg_cache_save_register(void)
{
    ap_register_output_filter(ETG_CACHE_FILTER, save_filter, NULL,
                              ETG_CACHE_FILTER_TYPE);
}

void etg_cache_save_insert(etg_cache_context *ctx, request_rec *r)
{
    ap_add_output_filter(ETG_CACHE_FILTER, ctx, r, r->connection);
}

static apr_status_t save_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    etg_cache_context *ctx = f->ctx;

    if (APR_BRIGADE_EMPTY(bb)) {
        return APR_SUCCESS;
    }
    if (ctx->save.replaced) {
        apr_brigade_cleanup(bb);     /* the rest of what was replaced */
        return APR_SUCCESS;
    }
    if (!ctx->save.headers_seen) {
        return first_brigade(f, bb);
    }
    return etg_cache_body_pass(ctx, f, bb);
}

static apr_status_t first_brigade(ap_filter_t *f, apr_bucket_brigade *bb)
{
    etg_cache_context *ctx = f->ctx;
    request_rec *r = f->r;
    etg_response_view view = {
        .status = r->status,
        .requested_at = ctx->requested_at,
        .received_at = apr_time_now(),
        .to_head = r->header_only
    };
    int failure = ctx->plan == ETG_CACHE_PASS ? 0 : failure_of(bb);
    apr_table_t *fields;

    ctx->save.headers_seen = 1;
    etg_cache_restore_fields(ctx, r);
    if (failure) {
        return backend_failed(f, bb, failure);
    }
    fields = etg_response_fields_of(r);
    etg_cache_raw_expires_restore(ctx, fields);
    etg_cache_data_see(ctx, r);
    view.fields = fields;
    view.has_data = etg_cache_data_is_of_use(ctx, r->status);
    view.is_last_modified_ours = ctx->save.stamp.is_last_modified_ours;
    if (r->status == HTTP_NOT_MODIFIED && ctx->plan == ETG_CACHE_FETCH
        && ctx->found.stored != NULL) {
        ctx->save.retry = !etg_cache_revalidated(ctx, r, view.fields);
        return replace(f, bb);
    }
    if (etg_cache_may_serve_on_error(ctx, r->status)) {
        return serve_stale(f, bb);
    }
    judge(ctx, r, &view);
    tell_client(ctx, r, &view);
    return etg_cache_body_pass(ctx, f, bb);
}

/* The status of a backend that broke before a byte of its response was of
 * use; 0: it did not. */
static int failure_of(apr_bucket_brigade *bb)
{
    int status = 0;

    for (apr_bucket *e = APR_BRIGADE_FIRST(bb);
         e != APR_BRIGADE_SENTINEL(bb);
         e = APR_BUCKET_NEXT(e)) {
        if (AP_BUCKET_IS_EOC(e)) {
            return HTTP_GATEWAY_TIME_OUT;
        }
        if (AP_BUCKET_IS_ERROR(e)) {
            status = ((ap_bucket_error *)e->data)->status;
        }
        else if (!APR_BUCKET_IS_METADATA(e)) {
            return 0;                /* body bytes came first */
        }
    }
    return status;
}

/* mod_proxy_http would close a kept-alive client without an answer (EOC);
 * the client gets what is stored, or an error it can read. */
static apr_status_t backend_failed(ap_filter_t *f, apr_bucket_brigade *bb,
                                   int status)
{
    etg_cache_context *ctx = f->ctx;
    request_rec *r = f->r;

    if (etg_cache_may_serve_on_error(ctx, status)) {
        return serve_stale(f, bb);
    }
    etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
    ctx->status.forward_status = status;
    etg_cache_say_status(ctx, r->err_headers_out);
    ctx->save.replaced = 1;
    ctx->save.eos_seen = 1;
    return pass_error(f, bb, status);
}

static apr_status_t pass_error(ap_filter_t *f, apr_bucket_brigade *bb,
                               int status)
{
    apr_brigade_cleanup(bb);
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(
        status, NULL, f->r->pool, bb->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return ap_pass_brigade(f->next, bb);
}

static apr_status_t serve_stale(ap_filter_t *f, apr_bucket_brigade *bb)
{
    etg_cache_context *ctx = f->ctx;

    ctx->status.hit = 1;
    ctx->status.forward = NULL;
    ctx->status.detail = "stale-if-error";
    etg_cache_trace(ctx, "stale-if-error");
    return replace(f, bb);
}

/* Sends the stored response in place of what the backend said. A 304 that is
 * of no use is swallowed (RFC 9111 §4.3.3). */
static apr_status_t replace(ap_filter_t *f, apr_bucket_brigade *bb)
{
    etg_cache_context *ctx = f->ctx;
    request_rec *r = f->r;
    int is_valid = r->status == HTTP_NOT_MODIFIED;
    int rv;

    apr_brigade_cleanup(bb);
    ctx->save.replaced = 1;
    if (ctx->save.retry) {
        return APR_SUCCESS;
    }
    apr_table_clear(r->err_headers_out);
    rv = etg_cache_serve_into(ctx, r, bb);
    if (rv == DECLINED && is_valid) {
        ctx->save.retry = 1;         /* its body is gone */
        return APR_SUCCESS;
    }
    ctx->save.eos_seen = 1;
    ctx->done = 1;
    etg_cache_release(ctx, ETG_COLLAPSE_STORED);
    if (rv != OK) {
        /* Its body is gone, or a precondition failed. */
        return pass_error(f, bb, rv == DECLINED ? HTTP_BAD_GATEWAY : rv);
    }
    return ap_pass_brigade(f->next, bb);
}

/* What this response means for the store. */
static void judge(etg_cache_context *ctx, request_rec *r,
                  const etg_response_view *view)
{
    etg_cache_save *save = &ctx->save;

    if (ctx->plan == ETG_CACHE_PASS) {
        etg_cache_invalidate_after(ctx, r, r->status, view->fields);
        if (r->method_number == M_POST) {
            judge_post(ctx, r, view);
        }
        return;
    }
    etg_storable_decide(&save->decision, &ctx->request, view, &ctx->policy,
                        ctx->pool);
    if (ctx->redirected) {
        /* Where a script's Location led may have access rules of its own,
         * which a hit on the first URL would not ask. */
        save->decision.yes = 0;
        save->decision.reason = "redirected";
        save->decision.uncacheable = 1;
    }
    if (ctx->errand != NULL && etg_cache_errand_judge(ctx, r, view)) {
        return;
    }
    if (view->to_head) {
        etg_cache_head_seen(ctx, view);
        return;
    }
    if (ctx->found.stored != NULL) {
        etg_cache_trace(ctx, "invalid");
    }
    if (!save->decision.yes) {
        ctx->status.detail = save->decision.reason;
        etg_cache_release(ctx, is_for_nobody_else(ctx)
                               ? ETG_COLLAPSE_NOT_SHAREABLE
                               : ETG_COLLAPSE_NOT_STORED);
        return;
    }
    if (ctx->plan == ETG_CACHE_FETCH_PLAIN && !ctx->observe) {
        /* It has become cacheable: the next request fetches as its leader. */
        if (ctx->runtime->collapse != NULL) {
            etg_collapse_remember(ctx->runtime->collapse, &ctx->collapse_key,
                                  0);
        }
        return;
    }
    begin_storing(ctx, r, view);
}

/* Private requests queue apart from the others: that none of them may have
 * the answer to another is remembered for them alone. */
static int is_for_nobody_else(const etg_cache_context *ctx)
{
    return ctx->save.decision.uncacheable
        || !etg_may_serve_private(ctx->save.decision.freshness.flags,
                                  ctx->request.privacy);
}

/* What a POST returns as the new state of its own URL serves later GETs
 * (RFC 9110 §9.3.3). It is newer than the invalidation the POST has caused. */
static void judge_post(etg_cache_context *ctx, request_rec *r,
                       const etg_response_view *view)
{
    etg_response_view after = *view;

    if (ctx->server->meta.provider == NULL || r != ctx->first
        || ctx->key.changed_query || etg_cache_is_bypassed(ctx, r)
        || apr_table_get(r->headers_in, "Host") == NULL) {
        return;
    }
    after.requested_at = apr_time_now() + 1;
    after.received_at = after.requested_at;
    etg_post_storable_decide(&ctx->save.decision, &ctx->request, &after,
                             &ctx->policy, ap_http_scheme(r),
                             apr_table_get(r->headers_in, "Host"),
                             r->unparsed_uri, ctx->pool);
    if (ctx->save.decision.yes) {
        /* For the store's moment: of after what the POST itself has marked. */
        etg_cache_look_up(ctx, ETG_STORE_SHARED, after.requested_at);
        begin_storing(ctx, r, &after);
    }
}

static void begin_storing(etg_cache_context *ctx, request_rec *r,
                          const etg_response_view *view)
{
    etg_cache_save *save = &ctx->save;
    const etg_cache_store *store = &ctx->server->entity;
    const char *length = apr_table_get(view->fields, "Content-Length");
    etg_cache_control cc;
    etg_cc_source source;
    apr_status_t rv;

    if (ctx->plan != ETG_CACHE_FETCH
        && (apr_table_get(view->fields, "Content-Encoding") != NULL
            || !is_as_we_would_ask(ctx, r))) {
        return;                      /* made for this client alone */
    }
    if (ctx->found.failed) {
        return;                      /* without a moment nothing is stored */
    }
    if (length == NULL || !ap_parse_strict_length(&save->expected, length)) {
        save->expected = -1;
    }
    rv = store->provider->entity_begin(
        store->instance, etg_cache_compress_expected(ctx, view), ctx->pool,
        &save->writer);
    if (rv != APR_SUCCESS) {
        save->writer = NULL;
        ctx->status.detail = "store-down";
        etg_cache_release(ctx, ETG_COLLAPSE_NOT_STORED);
        return;
    }
    source = etg_governing_cache_control(&cc, view, &ctx->policy, ctx->pool);
    save->fields = etg_storable_fields(view, &cc, source, &ctx->policy,
                                       ctx->pool);
    save->record.status = view->status;
    save->record.status_line = r->status_line != NULL
        ? r->status_line : ap_get_status_line(r->status);
    save->record.requested_at = view->requested_at;
    save->record.received_at = view->received_at;
    save->record.freshness = save->decision.freshness;
    save->record.etag = apr_table_get(view->fields, "ETag");
    save->record.last_modified = apr_table_get(view->fields, "Last-Modified");
    etg_cache_data_stamp(ctx, &save->record);
    etg_cache_compress_begin(ctx, view);
    ctx->status.stored = 1;
}

/* Was what the client sent, and we passed on, free of all that a fetch of our
 * own leaves out? Fields named in Connection are in the key, but the backend
 * did not get them. */
static int is_as_we_would_ask(const etg_cache_context *ctx,
                              const request_rec *r)
{
    const char *connection = etg_field_combined(r->headers_in, "Connection",
                                                r->pool);
    etg_bytes rest = etg_bytes_of(connection);
    etg_bytes member;

    while (etg_list_next(&rest, &member)) {
        if (!etg_bytes_is(member, "close")
            && !etg_field_is_hop_by_hop(apr_pstrmemdup(
                   r->pool, (const char *)member.data, member.length))) {
            return 0;
        }
    }
    return !etg_is_conditional(r->headers_in)
        && (ctx->dir->ignored_cookies == NULL
            || ctx->dir->ignored_cookies->nelts == 0
            || apr_table_get(r->headers_in, "Cookie") == NULL);
}

/* The response goes on to the client as the backend and the admin made it,
 * but for the override, Cache-Status, and preconditions we kept back. */
static void tell_client(etg_cache_context *ctx, request_rec *r,
                        const etg_response_view *view)
{
    if (ctx->plan != ETG_CACHE_PASS) {
        ctx->status.forward_status = r->status;
        strip_for_client(r);
        apply_override(ctx, r);
        tell_of_codings(ctx, r, view);
    }
    etg_cache_say_status(ctx, r->headers_out);
    if (ctx->plan == ETG_CACHE_FETCH && r->status == HTTP_OK) {
        decide_conditions(ctx, r, view);
    }
    else if (r->status == HTTP_NOT_MODIFIED) {
        etg_cache_say_held_tag(ctx, r);
    }
}

/* This answer has the backend's bytes, another hit may have others: whoever
 * keeps it must know. And a part that this client holds by its date alone may
 * be of the other coding. */
static void tell_of_codings(etg_cache_context *ctx, request_rec *r,
                            const etg_response_view *view)
{
    if (ctx->observe
        || (!ctx->save.decision.yes && r->status != HTTP_PARTIAL_CONTENT)
        || etg_cache_compress_plan(ctx, view) == ETG_CACHE_CODING_KEEP) {
        return;
    }
    etg_vary_add_accept_encoding(r->headers_out, r->pool);
    if (etg_coded_part_is_possible(r->headers_in, r->pool)) {
        apr_table_unset(r->headers_in, "Range");
    }
}

/* Those that we kept back from the backend. */
static void decide_conditions(etg_cache_context *ctx, request_rec *r,
                              const etg_response_view *view)
{
    const char *held = NULL;
    etg_precondition condition = etg_coded_precondition_decide(
        r->headers_in, r->status, apr_table_get(view->fields, "ETag"),
        etg_precondition_date(apr_table_get(view->fields, "Last-Modified"),
                              ctx->save.stamp.is_last_modified_ours,
                              apr_table_get(view->fields, "Date"),
                              ctx->has_data),
        r->request_time, r->pool, &held);

    if (condition == ETG_PRECONDITION_PASS) {
        return;
    }
    ctx->save.bodiless = 1;
    if (held != NULL) {
        apr_table_unset(r->err_headers_out, "ETag");
        apr_table_setn(r->headers_out, "ETag", held);
    }
    etg_bodiless_make(r, condition == ETG_PRECONDITION_FAILED
                         ? HTTP_PRECONDITION_FAILED : HTTP_NOT_MODIFIED);
}

/* Not on errors, and not on what sets a cookie: such a page is one client's,
 * whatever the route says. */
static void apply_override(etg_cache_context *ctx, request_rec *r)
{
    static const char *const replaced[] = {
        "Expires", "Pragma", "Cache-Control", NULL
    };

    if (ctx->policy.override == NULL || r->status >= HTTP_BAD_REQUEST
        || apr_table_get(r->headers_out, "Set-Cookie") != NULL
        || apr_table_get(r->err_headers_out, "Set-Cookie") != NULL) {
        return;
    }
    for (int i = 0; replaced[i] != NULL; i++) {
        apr_table_unset(r->err_headers_out, replaced[i]);
        apr_table_unset(r->headers_out, replaced[i]);
    }
    apr_table_setn(r->headers_out, "Cache-Control", ctx->policy.override);
}

/* What is for this cache alone goes no further. */
static void strip_for_client(request_rec *r)
{
    apr_table_unset(r->headers_out, "Etagere-Cache-Control");
    apr_table_unset(r->err_headers_out, "Etagere-Cache-Control");
}
