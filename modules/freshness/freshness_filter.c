/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_filter.c: gives the backend's response its validators.
 *
 * Only a 200 is touched. Its head goes on at once, unless a line needs the
 * body: then head and body wait for the end, and go on together. What is read
 * a second time is read as late as it can be, and once.
 *
 * Then the client's own preconditions are decided, which the backend was not
 * asked for or could not know; if they make a 304 of the response, its body
 * is read to the end and dropped here.
 *
 * Runs on the request's thread. It must never change a byte of a body, nor
 * keep one back that is not held for its digest.
 */
#include "modules/freshness/freshness.h"

#include <apr_atomic.h>
#include <apr_date.h>
#include <http_connection.h>

#include "etg_log.h"
#include "lib/freshness.h"
#include "modules/freshness/freshness_body.h"
#include "modules/glue/bodiless.h"
#include "modules/glue/request_view.h"

typedef enum stage {
    AT_HEAD,
    HOLDING,                      /* the body, for its digest */
    DROPPING                      /* it: a 304 has gone out */
} stage;

/* One response's way through the filter. */
typedef struct passage {
    etg_freshness_context *ctx;
    stage stage;
    int is_for_cache;             /* the cache asks: preconditions are its */
    const apr_table_t *fields;    /* of the backend's response */
    etg_freshness_body body;
} passage;

/* A reason that nobody needs to be told of. */
static const char stream[] = "is a stream";

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t see_head(ap_filter_t *f, apr_bucket_brigade *bb);
static int is_broken(const apr_bucket_brigade *bb);
static int is_held(const passage *way, request_rec *r, apr_off_t *expected,
                   const char **reason);
static int is_of_use(const etg_freshness_context *ctx);
static int is_stream(const char *type);
static apr_status_t hold(ap_filter_t *f, apr_bucket_brigade *bb);
static void label(passage *way, request_rec *r, const etg_bytes *body,
                  const char *reason);
static int is_of_early(const passage *way);
static int digest_of(etg_freshness_context *ctx, request_rec *r,
                     const etg_bytes *body, etg_data_digest *digest,
                     int *is_strong, const char **reason);
static void put_validators(passage *way, request_rec *r,
                           const etg_data_digest *digest, int is_strong);
static void put(request_rec *r, const char *name, const char *value);
static const char *tag_of(passage *way, request_rec *r,
                          const etg_data_digest *digest, int is_strong);
static const char *date_of(request_rec *r, const etg_data_digest *digest);
static apr_status_t go_on(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t end_early(ap_filter_t *f, apr_bucket_brigade *bb);
static void say_unknown(etg_freshness_context *ctx, request_rec *r,
                        const char *reason);

void etg_freshness_filter_register(void)
{
    ap_register_output_filter(ETG_FRESHNESS_FILTER, filter, NULL,
                              ETG_FRESHNESS_FILTER_TYPE);
}

void etg_freshness_filter_insert(etg_freshness_context *ctx, request_rec *r)
{
    passage *fresh;

    for (ap_filter_t *f = r->output_filters; f != NULL; f = f->next) {
        if (f->r == r && f->frec->filter_func.out_func == filter) {
            return;
        }
    }
    fresh = apr_pcalloc(r->pool, sizeof(*fresh));
    fresh->ctx = ctx;
    ap_add_output_filter(ETG_FRESHNESS_FILTER, fresh, r, r->connection);
}

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    const passage *way = f->ctx;

    if (APR_BRIGADE_EMPTY(bb)) {
        return APR_SUCCESS;
    }
    switch (way->stage) {
    case AT_HEAD:
        return see_head(f, bb);
    case HOLDING:
        return hold(f, bb);
    default:
        apr_brigade_cleanup(bb);
        return APR_SUCCESS;
    }
}

static apr_status_t see_head(ap_filter_t *f, apr_bucket_brigade *bb)
{
    passage *way = f->ctx;
    etg_freshness_context *ctx = way->ctx;
    request_rec *r = f->r;
    const char *reason = NULL;
    apr_off_t expected;

    way->is_for_cache = etg_freshness_cache_asks(ctx, r);
    memset(&ctx->stamp, 0, sizeof(ctx->stamp));
    ctx->is_filtered = 1;
    if (!way->is_for_cache) {
        etg_freshness_restore_fields(ctx, r);
    }
    if (r->status != HTTP_OK || is_broken(bb)) {
        return pass(f, bb);
    }
    way->fields = etg_response_fields_of(r);
    ctx->stamp.backend_etag = apr_table_get(way->fields, "ETag");
    ctx->stamp.backend_last_modified = apr_table_get(way->fields,
                                                     "Last-Modified");
    if (is_held(way, r, &expected, &reason)) {
        etg_freshness_body_begin(&way->body, ctx->dir->max_body,
                                 expected, r->pool, bb->bucket_alloc);
        way->stage = HOLDING;
        return hold(f, bb);
    }
    label(way, r, NULL, reason);
    return go_on(f, bb);
}

/* Has the backend failed before a byte of its response was of use? */
static int is_broken(const apr_bucket_brigade *bb)
{
    for (const apr_bucket *e = APR_BRIGADE_FIRST(bb);
         e != APR_BRIGADE_SENTINEL(bb);
         e = APR_BUCKET_NEXT(e)) {
        if (AP_BUCKET_IS_EOC(e) || AP_BUCKET_IS_ERROR(e)) {
            return 1;
        }
    }
    return 0;
}

/* Is the body to be held? If it should be and cannot, *reason says why. */
static int is_held(const passage *way, request_rec *r, apr_off_t *expected,
                   const char **reason)
{
    const etg_freshness_context *ctx = way->ctx;
    const char *length = apr_table_get(way->fields, "Content-Length");

    if (r->header_only || !etg_freshness_wants_body(ctx)
        || !is_of_use(ctx)) {
        return 0;
    }
    *expected = -1;
    if (length != NULL && !ap_parse_strict_length(expected, length)) {
        *expected = -1;
    }
    if (is_stream(r->content_type)) {
        *reason = stream;
    }
    else if (*expected > ctx->dir->max_body) {
        *reason = "is longer than ETagFreshnessMaxBody";
    }
    return *reason == NULL;
}

/* Would anything come of what is read from it? */
static int is_of_use(const etg_freshness_context *ctx)
{
    return (!ctx->is_early || ctx->early.outcome == ETG_SOURCE_READ)
        && (ctx->dir->is_override || ctx->stamp.backend_etag == NULL
            || ctx->stamp.backend_last_modified == NULL);
}

/* Nobody waits for the end of these. */
static int is_stream(const char *type)
{
    static const char *const types[] = {
        "text/event-stream", "multipart/x-mixed-replace", NULL
    };

    for (int i = 0; type != NULL && types[i] != NULL; i++) {
        apr_size_t length = strlen(types[i]);

        if (!ap_cstr_casecmpn(type, types[i], length)
            && (type[length] == '\0' || strchr("; \t", type[length]))) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t hold(ap_filter_t *f, apr_bucket_brigade *bb)
{
    passage *way = f->ctx;
    etg_body_state state = etg_freshness_body_take(&way->body, bb);
    const char *reason = NULL;
    etg_bytes bytes;
    apr_pool_t *p;

    if (state == ETG_BODY_PART) {
        return APR_SUCCESS;
    }
    if (state == ETG_BODY_TOO_LONG) {
        reason = "is longer than ETagFreshnessMaxBody";
    }
    else if (state == ETG_BODY_BROKEN) {
        reason = "ends before its end";
    }
    apr_pool_create(&p, f->r->pool);
    apr_pool_tag(p, "etg_freshness_body");
    if (reason == NULL) {
        reason = etg_freshness_body_bytes(&way->body, p, &bytes)
                 == APR_SUCCESS ? NULL : "cannot be read";
    }
    label(way, f->r, reason == NULL ? &bytes : NULL, reason);
    apr_pool_destroy(p);
    return go_on(f, way->body.held);
}

/* Gives the response its validators. `reason`: why nothing can be read from
 * it; NULL: it can. What early lines say decides nothing by itself where late
 * ones belong to the data too. */
static void label(passage *way, request_rec *r, const etg_bytes *body,
                  const char *reason)
{
    etg_freshness_context *ctx = way->ctx;
    etg_data_digest digest;
    int is_strong = 0;
    int is_known = !ctx->is_early || is_of_early(way);

    if (is_known && !ctx->is_late) {
        ctx->stamp.has_data = 1;
        memcpy(ctx->stamp.digest, ctx->early.digest.sha256,
               sizeof(ctx->stamp.digest));
    }
    if (is_known && reason == NULL) {
        is_known = digest_of(ctx, r, body, &digest, &is_strong, &reason);
    }
    if (reason != NULL) {
        is_known = 0;
        say_unknown(ctx, r, reason);
    }
    put_validators(way, r, is_known ? &digest : NULL, is_strong);
    if (ctx->stamp.is_last_modified_ours && !way->is_for_cache) {
        etg_request_forget_range_by_date(r);
    }
    if (ctx->stamp.has_data) {
        etg_freshness_remember(ctx, r);
    }
}

/* Is the response of the data that was read before it? Not if a cache between
 * the backend and us has kept it: it is older than what was read. */
static int is_of_early(const passage *way)
{
    return etg_age_field(way->fields) == 0
        && etg_freshness_is_unmoved(way->ctx);
}

static int digest_of(etg_freshness_context *ctx, request_rec *r,
                     const etg_bytes *body, etg_data_digest *digest,
                     int *is_strong, const char **reason)
{
    if (!ctx->is_late) {
        *digest = ctx->early.digest;
        return 1;
    }
    if (body == NULL && etg_freshness_wants_body(ctx)) {
        return 0;                 /* a HEAD, or of no use */
    }
    if (!etg_freshness_late(ctx, r, body, digest, is_strong, reason)) {
        return 0;
    }
    if (!ctx->is_early) {
        etg_freshness_note(ctx, "late");
    }
    return 1;
}

/* `digest` NULL: the data is unknown. */
static void put_validators(passage *way, request_rec *r,
                           const etg_data_digest *digest, int is_strong)
{
    etg_freshness_context *ctx = way->ctx;
    const char *tag = digest == NULL ? NULL
                                     : tag_of(way, r, digest, is_strong);
    const char *date = digest == NULL ? NULL : date_of(r, digest);
    int is_override = ctx->dir->is_override;

    if (is_override || (ctx->stamp.backend_etag == NULL && tag != NULL)) {
        put(r, "ETag", tag);
        ctx->stamp.is_etag_ours = 1;
    }
    if (is_override
        || (ctx->stamp.backend_last_modified == NULL && date != NULL)) {
        put(r, "Last-Modified", date);
        ctx->stamp.is_last_modified_ours = 1;
    }
}

/* NULL: there is to be none. */
static void put(request_rec *r, const char *name, const char *value)
{
    apr_table_unset(r->err_headers_out, name);
    apr_table_unset(r->headers_out, name);
    if (value != NULL) {
        apr_table_setn(r->headers_out, name, value);
        /* FileETag None is about tags of files. */
        apr_table_unset(r->notes, "no-etag");
    }
}

static const char *tag_of(passage *way, request_rec *r,
                          const etg_data_digest *digest, int is_strong)
{
    etg_data_tag_scope scope;

    etg_freshness_scope_of(way->ctx, etg_vary_names(way->fields, r->pool),
                           &scope);
    return etg_data_tag(digest, &scope, is_strong, r->pool);
}

/* The newest member's, and no later than the response says it was made. */
static const char *date_of(request_rec *r, const etg_data_digest *digest)
{
    const char *date = apr_table_get(r->headers_out, "Date");
    apr_time_t made = date == NULL ? 0 : apr_date_parse_http(date);
    apr_time_t now = apr_time_now();
    apr_time_t last = etg_data_last_modified(
        digest, made > 0 && made < now ? made : now);
    char *text;

    if (last == 0) {
        return NULL;
    }
    text = apr_palloc(r->pool, APR_RFC822_DATE_LEN);
    apr_rfc822_date(text, last);
    return text;
}

static apr_status_t go_on(ap_filter_t *f, apr_bucket_brigade *bb)
{
    passage *way = f->ctx;

    if (!way->is_for_cache
        && etg_freshness_decide_conditions(way->ctx, f->r)) {
        return end_early(f, bb);
    }
    return pass(f, bb);
}

static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb)
{
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/* The answer is complete without the body, and its client is not to wait for
 * the end of that. */
static apr_status_t end_early(ap_filter_t *f, apr_bucket_brigade *bb)
{
    passage *way = f->ctx;

    way->stage = DROPPING;
    return etg_bodiless_end(f, bb);
}

/* At most once a second in a process. */
static void say_unknown(etg_freshness_context *ctx, request_rec *r,
                        const char *reason)
{
    etg_freshness_runtime *all = ctx->runtime;
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t last = apr_atomic_read32(&all->unlabelled_said_at);

    etg_freshness_note(ctx, "unknown");
    if (reason == stream) {
        return;
    }
    apr_atomic_inc32(&all->unlabelled);
    if (last == now || apr_atomic_cas32(&all->unlabelled_said_at, now, last)
                       != last) {
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  ETGLOGNO(0190) "freshness: the response to %s %s; it goes on "
                  "without a tag of ours (%u such responses since the last "
                  "of these lines)", ctx->first->unparsed_uri, reason,
                  apr_atomic_xchg32(&all->unlabelled, 0));
}
