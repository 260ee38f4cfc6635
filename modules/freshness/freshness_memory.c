/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_memory.c: the last 200 of each URL, in shared memory.
 *
 * Records of lib/seen_response in a cache of httpd's shmcb provider, which all
 * children share and which drops the oldest when it is full. A graceful
 * restart begins with a new one. What it cannot give is not remembered, so
 * nothing here ever fails a request, and none waits: the mutex is held for
 * microseconds, and who does not get it soon goes without.
 *
 * A child that is killed while it changes the cache may leave it half
 * changed, and shmcb does not check what it finds. So a mark in shared memory
 * says that somebody is at work; whoever gets the mutex and finds it set
 * knows that he died, and from then on nobody uses the cache.
 */
#include "modules/freshness/freshness.h"

#include <ap_provider.h>
#include <ap_socache.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <util_mutex.h>

#include "lib/field_list.h"
#include "lib/http_date.h"
#include "modules/glue/request_view.h"

#define MUTEX_TYPE "etag-freshness"
#define TRIES 40
#define TRIES_AT_ONCE 4
#define PAUSE 50                /* µs */

/* The usual record and its key; shmcb makes its index by them. */
static const struct ap_socache_hints hints = { ETG_SEEN_KEY_BYTES, 300,
                                         apr_time_from_sec(3600) };

typedef enum memory_state {
    MEMORY_IDLE,
    MEMORY_BUSY,
    MEMORY_LOST
} memory_state;

typedef struct etg_freshness_memory {
    const ap_socache_provider_t *provider;
    ap_socache_instance_t *instance;
    apr_global_mutex_t *mutex;
    memory_state *state;        /* shared, under the mutex */
    server_rec *server;
} etg_freshness_memory;

static int is_wanted(apr_pool_t *pconf);
static int cache_open(etg_freshness_memory *memory, apr_int64_t size,
                      apr_pool_t *pconf);
static int lock(etg_freshness_memory *memory);
static apr_status_t get(etg_freshness_memory *memory, const etg_seen_key *key,
                        apr_pool_t *p, etg_bytes *record);
static apr_status_t put(etg_freshness_memory *memory, const etg_seen_key *key,
                        apr_time_t expires_at, etg_bytes record,
                        apr_pool_t *p);
static etg_bytes url_of(etg_freshness_context *ctx);
static void seen_of(etg_freshness_context *ctx, const apr_table_t *fields,
                    etg_seen_response *seen);
static const char *vary_names_of(const apr_table_t *fields, apr_pool_t *p);

int etg_freshness_memory_register(apr_pool_t *pconf)
{
    return ap_mutex_register(pconf, MUTEX_TYPE, NULL, APR_LOCK_DEFAULT, 0)
           == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

int etg_freshness_memory_prepare(etg_freshness_runtime *runtime,
                                 apr_int64_t size, apr_pool_t *pconf,
                                 server_rec *s)
{
    etg_freshness_memory *memory;

    if (!is_wanted(pconf)) {
        return OK;
    }
    memory = apr_pcalloc(pconf, sizeof(*memory));
    memory->server = s;
    memory->provider = ap_lookup_provider(AP_SOCACHE_PROVIDER_GROUP, "shmcb",
                                          AP_SOCACHE_PROVIDER_VERSION);
    if (memory->provider == NULL) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     ETGLOGNO(0195) "freshness: nothing is remembered and no "
                     "304 is answered without the backend, since "
                     "mod_socache_shmcb is not loaded");
        return OK;
    }
    if (!cache_open(memory, size, pconf)) {
        return OK;
    }
    runtime->memory = memory;
    return OK;
}

void etg_freshness_memory_open(etg_freshness_runtime *runtime,
                               apr_pool_t *pchild, server_rec *s)
{
    etg_freshness_memory *memory = runtime->memory;
    apr_status_t rv;

    if (memory == NULL) {
        return;
    }
    rv = apr_global_mutex_child_init(&memory->mutex,
                                     apr_global_mutex_lockfile(memory->mutex),
                                     pchild);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     ETGLOGNO(0197) "freshness: the mutex %s cannot be "
                     "opened; this child remembers nothing", MUTEX_TYPE);
        runtime->memory = NULL;
    }
}

void etg_freshness_recall(etg_freshness_context *ctx)
{
    etg_freshness_memory *memory = ctx->runtime->memory;
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
    etg_freshness_memory *memory = ctx->runtime->memory;
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

/* 0: said why, and nothing is remembered. */
static int cache_open(etg_freshness_memory *memory, apr_int64_t size,
                      apr_pool_t *pconf)
{
    const char *wrong = memory->provider->create(
        &memory->instance,
        apr_psprintf(pconf, "etag-freshness(%" APR_INT64_T_FMT ")", size),
        pconf, pconf);
    apr_shm_t *shared;
    apr_status_t rv = APR_EGENERAL;

    if (wrong == NULL) {
        rv = ap_global_mutex_create(&memory->mutex, NULL, MUTEX_TYPE, NULL,
                                    memory->server, pconf, 0);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_shm_create(&shared, sizeof(*memory->state), NULL, pconf);
    }
    if (rv == APR_SUCCESS) {
        memory->state = apr_shm_baseaddr_get(shared);
        *memory->state = MEMORY_IDLE;
        rv = memory->provider->init(memory->instance, MUTEX_TYPE, &hints,
                                    memory->server, pconf);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, memory->server,
                     ETGLOGNO(0196) "freshness: nothing is remembered and no "
                     "304 is answered without the backend, since there is no "
                     "shared memory%s%s", wrong != NULL ? ": " : "",
                     wrong != NULL ? wrong : "");
    }
    return rv == APR_SUCCESS;
}

/* 1: it is ours until it is unlocked, and nobody died in the cache. Every kind
 * of mutex that httpd knows can be tried, and not every kind is given back by
 * the death of its holder. */
static int lock(etg_freshness_memory *memory)
{
    int tries = 0;

    while (apr_global_mutex_trylock(memory->mutex) != APR_SUCCESS) {
        if (++tries == TRIES) {
            return 0;
        }
        if (tries < TRIES_AT_ONCE) {
            apr_thread_yield();
        }
        else {
            apr_sleep(PAUSE);
        }
    }
    if (*memory->state == MEMORY_BUSY) {
        *memory->state = MEMORY_LOST;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, memory->server,
                     ETGLOGNO(0198) "freshness: a child died while it changed "
                     "what is remembered; no 304 is answered without the "
                     "backend until the next restart");
    }
    if (*memory->state == MEMORY_LOST) {
        apr_global_mutex_unlock(memory->mutex);
        return 0;
    }
    return 1;
}

static apr_status_t get(etg_freshness_memory *memory, const etg_seen_key *key,
                        apr_pool_t *p, etg_bytes *record)
{
    unsigned char *bytes = apr_palloc(p, ETG_SEEN_MAX);
    unsigned length = ETG_SEEN_MAX;
    apr_status_t rv;

    if (!lock(memory)) {
        return APR_EBUSY;
    }
    rv = memory->provider->retrieve(memory->instance, memory->server,
                                    key->bytes, sizeof(key->bytes), bytes,
                                    &length, p);
    apr_global_mutex_unlock(memory->mutex);
    if (rv == APR_SUCCESS) {
        record->data = bytes;
        record->length = length;
    }
    return rv;
}

static apr_status_t put(etg_freshness_memory *memory, const etg_seen_key *key,
                        apr_time_t expires_at, etg_bytes record,
                        apr_pool_t *p)
{
    apr_status_t rv;

    if (!lock(memory)) {
        return APR_EBUSY;
    }
    *memory->state = MEMORY_BUSY;
    rv = memory->provider->store(memory->instance, memory->server, key->bytes,
                                 sizeof(key->bytes), expires_at,
                                 (unsigned char *)record.data,
                                 (unsigned)record.length, p);
    *memory->state = MEMORY_IDLE;
    apr_global_mutex_unlock(memory->mutex);
    return rv;
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
