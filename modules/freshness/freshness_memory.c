/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_memory.c: the last 200 of each URL, in shared memory.
 *
 * Records of lib/seen_response in modules/glue/shared_memory, which all
 * children share. What it cannot give is not remembered, so nothing here ever
 * fails a request.
 */
#include "modules/freshness/freshness.h"

#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/http_date.h"
#include "modules/glue/request_view.h"
#include "modules/glue/shared_memory.h"

static void say_lost(server_rec *s);

static const etg_shared_memory_kind kind = {
    .name = "etag-freshness",
    .hints = { ETG_SEEN_KEY_BYTES, 300, apr_time_from_sec(3600) },
    .record_max = ETG_SEEN_MAX,
    .say_lost = say_lost,
};

static int is_wanted(apr_pool_t *pconf);
static apr_status_t get(etg_shared_memory *memory, const etg_seen_key *key,
                        apr_pool_t *p, etg_bytes *record);
static apr_status_t put(etg_shared_memory *memory, const etg_seen_key *key,
                        apr_time_t expires_at, etg_bytes record,
                        apr_pool_t *p);
static etg_bytes url_of(etg_freshness_context *ctx);
static void seen_of(etg_freshness_context *ctx, const apr_table_t *fields,
                    etg_seen_response *seen);
static const char *vary_names_of(const apr_table_t *fields, apr_pool_t *p);

int etg_freshness_memory_register(apr_pool_t *pconf)
{
    return etg_shared_memory_register(&kind, pconf);
}

int etg_freshness_memory_prepare(etg_freshness_runtime *runtime,
                                 apr_int64_t size, apr_pool_t *pconf,
                                 server_rec *s)
{
    const char *wrong;
    apr_status_t rv;

    if (!is_wanted(pconf)) {
        return OK;
    }
    rv = etg_shared_memory_make(&runtime->memory, &kind, size, s, pconf,
                                &wrong);
    if (APR_STATUS_IS_ENOTIMPL(rv)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     ETGLOGNO(0195) "freshness: nothing is remembered and no "
                     "304 is answered without the backend, since "
                     "mod_socache_shmcb is not loaded");
    }
    else if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     ETGLOGNO(0196) "freshness: nothing is remembered and no "
                     "304 is answered without the backend, since there is no "
                     "shared memory%s%s", wrong != NULL ? ": " : "",
                     wrong != NULL ? wrong : "");
    }
    return OK;
}

static void say_lost(server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 ETGLOGNO(0198) "freshness: a child died while it changed "
                 "what is remembered; no 304 is answered without the "
                 "backend until the next restart");
}

void etg_freshness_memory_open(etg_freshness_runtime *runtime,
                               apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv;

    if (runtime->memory == NULL) {
        return;
    }
    rv = etg_shared_memory_open(runtime->memory, pchild);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     ETGLOGNO(0197) "freshness: the mutex %s cannot be "
                     "opened; this child remembers nothing", kind.name);
        runtime->memory = NULL;
    }
}

void etg_freshness_recall(etg_freshness_context *ctx)
{
    etg_shared_memory *memory = ctx->runtime->memory;
    etg_seen_response *seen = apr_palloc(ctx->pool, sizeof(*seen));
    etg_data_tag_scope scope;
    const char *names;
    etg_bytes record, url;
    etg_seen_key key;

    ctx->seen = NULL;
    if (memory == NULL) {
        return;
    }
    url = url_of(ctx);
    etg_seen_url_key(&key, url);
    if (get(memory, &key, ctx->pool, &record) != APR_SUCCESS
        || etg_seen_unpack_names(record, &key, ctx->pool, &names)
           != APR_SUCCESS) {
        return;
    }
    etg_freshness_scope_of(ctx, names, &scope);
    if (etg_seen_variant_key(&key, url, &scope, ctx->pool)
        && get(memory, &key, ctx->pool, &record) == APR_SUCCESS
        && etg_seen_unpack(record, &key, ctx->pool, seen) == APR_SUCCESS) {
        ctx->seen = seen;
    }
}

void etg_freshness_remember(etg_freshness_context *ctx, request_rec *r)
{
    etg_shared_memory *memory = ctx->runtime->memory;
    apr_time_t expires_at = ctx->fetched_at + ctx->dir->trust;
    apr_table_t *fields;
    etg_data_tag_scope scope;
    etg_seen_response seen;
    etg_bytes names, response, url;
    etg_seen_key first, second;

    if (memory == NULL || ctx->is_late || ctx->fetched_at == 0
        || ctx->early.outcome != ETG_SOURCE_READ
        || expires_at <= apr_time_now() || etg_freshness_cache_asks(ctx, r)) {
        return;
    }
    fields = etg_response_fields_of(r);
    if (!etg_seen_is_memorable(fields, ctx->pool)) {
        return;
    }
    etg_freshness_scope_of(ctx, vary_names_of(fields, ctx->pool), &scope);
    seen_of(ctx, fields, &seen);
    url = url_of(ctx);
    etg_seen_url_key(&first, url);
    if (etg_seen_variant_key(&second, url, &scope, ctx->pool)
        && etg_seen_pack(&second, &seen, ctx->pool, &response) == APR_SUCCESS
        && etg_seen_pack_names(&first, scope.vary_names, ctx->pool, &names)
           == APR_SUCCESS
        && put(memory, &second, expires_at, response, ctx->pool)
           == APR_SUCCESS) {
        put(memory, &first, expires_at, names, ctx->pool);
    }
}

/* Is a line read before the backend? Only then is there a 304 without it. */
static int is_wanted(apr_pool_t *pconf)
{
    const apr_array_header_t *lines = etg_freshness_all_lines(pconf);

    for (int i = 0; i < lines->nelts; i++) {
        const etg_freshness_line *line = APR_ARRAY_IDX(
            lines, i, const etg_freshness_line *);

        if (etg_freshness_from_is_early(line->from.kind)) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t get(etg_shared_memory *memory, const etg_seen_key *key,
                        apr_pool_t *p, etg_bytes *record)
{
    etg_bytes bytes = { key->bytes, sizeof(key->bytes) };

    return etg_shared_memory_get(memory, bytes, p, record);
}

static apr_status_t put(etg_shared_memory *memory, const etg_seen_key *key,
                        apr_time_t expires_at, etg_bytes record,
                        apr_pool_t *p)
{
    etg_bytes bytes = { key->bytes, sizeof(key->bytes) };

    return etg_shared_memory_put(memory, bytes, expires_at, record, p);
}

/* Made when it is first wanted: a hit in the cache never wants it. */
static etg_bytes url_of(etg_freshness_context *ctx)
{
    request_rec *first = ctx->first;

    if (ctx->url.text == NULL) {
        etg_cache_key_make(&ctx->url, etg_key_scheme_of(first),
                           apr_table_get(ctx->request.fields, "Host"),
                           first->unparsed_uri, ctx->request.fields, NULL,
                           ctx->pool);
    }
    return (etg_bytes){ (const unsigned char *)ctx->url.text,
                        ctx->url.length };
}

static void seen_of(etg_freshness_context *ctx, const apr_table_t *fields,
                    etg_seen_response *seen)
{
    const char *expires = apr_table_get(fields, "Expires");
    const char *date = apr_table_get(fields, "Date");
    apr_time_t now = apr_time_now();
    apr_time_t sent_at, until;

    memset(seen, 0, sizeof(*seen));
    memcpy(seen->data, ctx->early.digest.sha256, sizeof(seen->data));
    seen->fetched_at = ctx->fetched_at;
    seen->etag = apr_table_get(fields, "ETag");
    seen->is_last_modified_ours = ctx->stamp.is_last_modified_ours;
    seen->vary = etg_field_combined(fields, "Vary", ctx->pool);
    seen->cache_control = etg_field_combined(fields, "Cache-Control",
                                             ctx->pool);
    seen->content_location = apr_table_get(fields, "Content-Location");
    if (expires == NULL) {
        return;
    }
    if (!etg_http_date_parse(etg_bytes_of(date), now, &sent_at)) {
        sent_at = now - now % APR_USEC_PER_SEC;
    }
    /* "0" and the like: has expired. */
    seen->has_expires = 1;
    seen->expires_in = etg_http_date_parse(etg_bytes_of(expires), now, &until)
        ? until - sent_at : -apr_time_from_sec(1);
}

/* The fetch carried its client's own Accept-Encoding, so that counts like
 * other fields. */
static const char *vary_names_of(const apr_table_t *fields, apr_pool_t *p)
{
    apr_table_t *coded = apr_table_copy(p, fields);

    apr_table_setn(coded, "Content-Encoding", "gzip");
    return etg_vary_names(coded, p);
}
