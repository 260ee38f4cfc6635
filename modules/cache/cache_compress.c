/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_compress.c: the coding that a body gets on its way into the store.
 *
 * The client that caused the fetch gets the backend's bytes as they are; only
 * what is stored is coded. Up to TRIAL_BYTES are held in both forms, for the
 * end of a shorter body, or the ratio so far of a longer one, to say which of
 * them goes to the writer; after that nothing is held but zlib's windows. A
 * body the backend sent gzip-coded is stored as it is and inflated beside:
 * what is whole may be undone for clients that do not take it; what is damaged
 * stays an opaque coding that is passed on as it came.
 *
 * Runs on the request's thread, from the save filter.
 */
#include "modules/cache/cache_compress.h"

#include "lib/content_coding.h"
#include "lib/gzip.h"

#define TRIAL_BYTES (256 * 1024)
#define STEP_BYTES (64 * 1024)
/* What a backend's gzip may become and still be looked into. */
#define INFLATED_BYTES_MAX (256 * 1024 * 1024)
#define DEFAULT_LEVEL 6

struct etg_cache_coder {
    apr_pool_t *pool;             /* zlib's */
    apr_pool_t *trial;            /* not yet decided: what is held; or NULL */
    apr_array_header_t *plain;    /* etg_bytes rows in `trial` */
    apr_array_header_t *coded;
    etg_cache_coding_plan plan;
    etg_deflater *deflater;
    etg_inflater *inflater;
    const etg_store_provider *store;
    etg_entity_writer *writer;
    apr_uint64_t taken;           /* of the backend's bytes */
    apr_uint64_t written;         /* to the writer */
};

static etg_cache_coding_plan plan(const etg_cache_context *ctx,
                                  const etg_response_view *response);
static apr_int64_t length_of(const etg_response_view *response);
static void begin_making(etg_cache_context *ctx, struct etg_cache_coder *coder);
static apr_status_t make(struct etg_cache_coder *coder, const char *data,
                         apr_size_t length);
static apr_status_t take_coded(void *baton, const void *data,
                               apr_size_t length);
static apr_status_t drop_plain(void *baton, const void *data,
                               apr_size_t length);
static void push(struct etg_cache_coder *coder, apr_array_header_t *rows,
                 const void *data, apr_size_t length);
static apr_status_t decide(struct etg_cache_coder *coder, int pays);
static apr_status_t append(struct etg_cache_coder *coder, const void *data,
                           apr_size_t length);
static void check(struct etg_cache_coder *coder, const char *data,
                  apr_size_t length);
static apr_status_t end_making(struct etg_cache_coder *coder);
static int is_whole_gzip(struct etg_cache_coder *coder);
static const char *vary_of(const apr_array_header_t *fields, apr_pool_t *p);

etg_cache_coding_plan etg_cache_compress_plan(
    etg_cache_context *ctx, const etg_response_view *response)
{
    if (ctx->save.coding_plan == ETG_CACHE_CODING_UNPLANNED) {
        ctx->save.coding_plan = plan(ctx, response);
    }
    return ctx->save.coding_plan;
}

static etg_cache_coding_plan plan(const etg_cache_context *ctx,
                                  const etg_response_view *response)
{
    apr_uint32_t flags = ctx->save.decision.freshness.flags;

    if (ctx->dir->compress == 0) {
        return ETG_CACHE_CODING_KEEP;
    }
    if (etg_coding_of_backend(response->fields, flags, ctx->pool)
        == ETG_CODING_GZIP) {
        return ETG_CACHE_CODING_CHECK;
    }
    return etg_coding_suits(response->fields, flags, length_of(response),
                            ctx->pool)
        ? ETG_CACHE_CODING_MAKE : ETG_CACHE_CODING_KEEP;
}

/* Of the whole body; what a part's length is says nothing of that. */
static apr_int64_t length_of(const etg_response_view *response)
{
    const char *text = apr_table_get(response->fields, "Content-Length");
    apr_off_t length;

    if (response->status == HTTP_PARTIAL_CONTENT || text == NULL
        || !ap_parse_strict_length(&length, text)) {
        return -1;
    }
    return length;
}

apr_int64_t etg_cache_compress_expected(etg_cache_context *ctx,
                                        const etg_response_view *response)
{
    return etg_cache_compress_plan(ctx, response) == ETG_CACHE_CODING_MAKE
        ? -1 : length_of(response);
}

void etg_cache_compress_begin(etg_cache_context *ctx,
                              const etg_response_view *response)
{
    struct etg_cache_coder *coder = apr_pcalloc(ctx->pool, sizeof(*coder));

    apr_pool_create(&coder->pool, ctx->pool);
    apr_pool_tag(coder->pool, "etg_cache_coder");
    coder->store = ctx->server->entity.provider;
    coder->writer = ctx->save.writer;
    coder->plan = etg_cache_compress_plan(ctx, response);
    ctx->save.coder = coder;
    if (coder->plan == ETG_CACHE_CODING_MAKE) {
        begin_making(ctx, coder);
    }
    else if (coder->plan == ETG_CACHE_CODING_CHECK
             && etg_inflater_begin(&coder->inflater, INFLATED_BYTES_MAX,
                                   drop_plain, NULL, coder->pool)
                != APR_SUCCESS) {
        coder->inflater = NULL;
    }
}

static void begin_making(etg_cache_context *ctx, struct etg_cache_coder *coder)
{
    int level = ctx->dir->compress > 1 ? ctx->dir->compress - 1
                                       : DEFAULT_LEVEL;

    if (etg_deflater_begin(&coder->deflater, level, take_coded, coder,
                           coder->pool) != APR_SUCCESS) {
        coder->plan = ETG_CACHE_CODING_KEEP;
        return;
    }
    apr_pool_create(&coder->trial, coder->pool);
    coder->plain = apr_array_make(coder->trial, 8, sizeof(etg_bytes));
    coder->coded = apr_array_make(coder->trial, 8, sizeof(etg_bytes));
}

apr_status_t etg_cache_compress_add(etg_cache_context *ctx, const char *data,
                                    apr_size_t length)
{
    struct etg_cache_coder *coder = ctx->save.coder;

    while (length > 0) {
        apr_size_t step = length < STEP_BYTES ? length : STEP_BYTES;
        apr_status_t rv;

        if (coder->plan == ETG_CACHE_CODING_MAKE) {
            rv = make(coder, data, step);
        }
        else {
            check(coder, data, step);
            rv = append(coder, data, step);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
        coder->taken += step;
        data += step;
        length -= step;
    }
    return APR_SUCCESS;
}

static apr_status_t make(struct etg_cache_coder *coder, const char *data,
                         apr_size_t length)
{
    apr_uint64_t taken = coder->taken + length;
    apr_status_t rv = etg_deflater_add(coder->deflater, data, length);

    if (rv != APR_SUCCESS || coder->trial == NULL) {
        return rv;
    }
    push(coder, coder->plain, data, length);
    return taken < TRIAL_BYTES ? APR_SUCCESS
        : decide(coder, etg_coding_pays(
                     taken, etg_deflater_written(coder->deflater)));
}

static apr_status_t take_coded(void *baton, const void *data,
                               apr_size_t length)
{
    struct etg_cache_coder *coder = baton;

    if (coder->trial == NULL) {
        return append(coder, data, length);
    }
    push(coder, coder->coded, data, length);
    return APR_SUCCESS;
}

static apr_status_t drop_plain(void *baton, const void *data,
                               apr_size_t length)
{
    (void)baton;
    (void)data;
    (void)length;
    return APR_SUCCESS;
}

static void push(struct etg_cache_coder *coder, apr_array_header_t *rows,
                 const void *data, apr_size_t length)
{
    etg_bytes *row = apr_array_push(rows);

    row->data = apr_pmemdup(coder->trial, data, length);
    row->length = length;
}

/* The form that is kept goes to the writer, the other one away. */
static apr_status_t decide(struct etg_cache_coder *coder, int pays)
{
    const apr_array_header_t *kept = pays ? coder->coded : coder->plain;
    apr_status_t rv = APR_SUCCESS;

    if (!pays) {
        coder->plan = ETG_CACHE_CODING_KEEP;
    }
    for (int i = 0; i < kept->nelts && rv == APR_SUCCESS; i++) {
        const etg_bytes *row = &APR_ARRAY_IDX(kept, i, etg_bytes);

        rv = append(coder, row->data, row->length);
    }
    apr_pool_destroy(coder->trial);
    coder->trial = NULL;
    return rv;
}

static apr_status_t append(struct etg_cache_coder *coder, const void *data,
                           apr_size_t length)
{
    coder->written += length;
    return coder->store->entity_append(coder->writer, data, length);
}

static void check(struct etg_cache_coder *coder, const char *data,
                  apr_size_t length)
{
    if (coder->inflater != NULL
        && etg_inflater_add(coder->inflater, data, length) != APR_SUCCESS) {
        coder->inflater = NULL;
    }
}

apr_status_t etg_cache_compress_end(etg_cache_context *ctx)
{
    struct etg_cache_coder *coder = ctx->save.coder;
    etg_stored_response *record = &ctx->save.record;

    if (coder->plan == ETG_CACHE_CODING_MAKE) {
        apr_status_t rv = end_making(coder);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    if (coder->plan == ETG_CACHE_CODING_MAKE) {
        record->coding = ETG_CODING_GZIP;
        record->is_coded_here = 1;
        record->plain_length = coder->taken;
    }
    else if (is_whole_gzip(coder)) {
        record->coding = ETG_CODING_GZIP;
        record->plain_length = etg_inflater_written(coder->inflater);
        etg_coding_take_off(ctx->save.fields);
        ctx->save.decision.vary = vary_of(ctx->save.fields, ctx->pool);
    }
    else if (coder->plan == ETG_CACHE_CODING_CHECK) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, ctx->first,
                      ETGLOGNO(0176) "not the gzip it is said to be, stored "
                      "as it came: %s", ctx->key.text);
    }
    record->body_length = coder->written;
    etg_cache_compress_abandon(ctx);
    return APR_SUCCESS;
}

static apr_status_t end_making(struct etg_cache_coder *coder)
{
    apr_status_t rv = etg_deflater_end(coder->deflater);

    if (rv != APR_SUCCESS || coder->trial == NULL) {
        return rv;
    }
    return decide(coder, coder->taken >= ETG_CODING_BYTES_MIN
                         && etg_coding_pays(
                                coder->taken,
                                etg_deflater_written(coder->deflater)));
}

static int is_whole_gzip(struct etg_cache_coder *coder)
{
    return coder->inflater != NULL
        && etg_inflater_end(coder->inflater) == APR_SUCCESS;
}

/* Who takes which coding no longer picks the response: it is for all. */
static const char *vary_of(const apr_array_header_t *fields, apr_pool_t *p)
{
    apr_table_t *lines = apr_table_make(p, 2);

    for (int i = 0; i < fields->nelts; i++) {
        const etg_field *field = &APR_ARRAY_IDX(fields, i, etg_field);

        if (!ap_cstr_casecmp(field->name, "Vary")) {
            apr_table_addn(lines, field->name, field->value);
        }
    }
    return etg_vary_names(lines, p);
}

void etg_cache_compress_abandon(etg_cache_context *ctx)
{
    if (ctx->save.coder != NULL) {
        apr_pool_destroy(ctx->save.coder->pool);
        ctx->save.coder = NULL;
    }
}
