/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_write.c: changes of the metastore.
 *
 * Each change is an etg_store_write in a pool of its own that the store takes
 * over; its update function runs on the store's thread, with nothing of the
 * request but what was copied into that pool.
 */
#include "modules/cache/cache_prefetch.h"

#include "lib/freshness.h"
#include "lib/invalidation.h"
#include "modules/cache/cache_tags.h"

/* What an update function needs; in the write's pool. */
typedef struct change {
    const char *key;
    apr_size_t key_length;
    /* a response */
    const char *spec;
    etg_primary_row row;
    unsigned max_rows;
    apr_time_t invalidated_at;    /* the marks that our look-up saw */
    apr_time_t purged_at;
    /* a mark */
    etg_store_mark mark;
    apr_time_t now;
} change;

/* The end of a collapsed fetch, handed over to a write. */
typedef struct turn {
    etg_collapse *collapse;
    etg_collapse_ticket ticket;
} turn;

static void release_with(etg_cache_context *ctx, etg_store_write *write);
static apr_status_t release_waiting(void *data);
static etg_store_write *begin_write(const etg_cache_key *key, change **c);
static apr_status_t put_response(etg_store_write *write, etg_bytes old,
                                 apr_pool_t *scratch, etg_bytes *fresh,
                                 apr_time_t *expires_at);
static apr_status_t put_mark(etg_store_write *write, etg_bytes old,
                             apr_pool_t *scratch, etg_bytes *fresh,
                             apr_time_t *expires_at);
static int read_primary(const change *c, etg_bytes old, apr_pool_t *scratch,
                        etg_primary *primary);
static apr_time_t last_expiry(const etg_primary *primary);

apr_status_t etg_cache_write_response(etg_cache_context *ctx,
                                      const etg_stored_response *record,
                                      const char *spec)
{
    const etg_cache_store *meta = &ctx->server->meta;
    etg_stored_response final = *record;
    change *c;
    etg_store_write *write;
    apr_status_t rv;

    final.key = ctx->key.text;
    final.key_length = ctx->key.length;
    etg_vary_hash_of(&final.vary, spec, ctx->request.fields,
                     &ctx->vary_rules, ctx->pool);
    etg_cache_prefetch_mark(ctx, &final);
    write = begin_write(&ctx->key, &c);
    rv = etg_stored_response_pack(&final, write->pool, &write->response);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(write->pool);
        return rv;
    }
    write->update = put_response;
    write->response_expires_at = etg_keep_until(&final, &ctx->policy);
    write->moment = ctx->found.moment;
    etg_cache_tags_put(ctx, &final, write);
    c->spec = apr_pstrdup(write->pool, spec);
    c->row.vary = final.vary;
    c->row.received_at = final.received_at;
    c->row.date = final.freshness.date;
    c->row.expires_at = write->response_expires_at;
    c->row.etag = final.etag != NULL && *spec != '\0'
        ? apr_pstrdup(write->pool, final.etag) : NULL;
    c->max_rows = ctx->dir->max_variants;
    c->invalidated_at = ctx->found.marks.invalidated_at;
    c->purged_at = ctx->found.marks.soft_purged_at;
    c->now = final.received_at;
    release_with(ctx, write);
    rv = meta->provider->meta_write(meta->instance, write,
                                    ETG_CACHE_COMMIT_WAIT);
    if (ctx->errand != NULL
        && (rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv))) {
        ctx->errand->is_stored = 1;
        ctx->errand->ttl = etg_lifetime_of(record, &ctx->policy)
                         - etg_age_of(record, apr_time_now());
    }
    return rv;
}

/* Those who wait for this fetch look up when its write is done, and not
 * before: the store destroys the write's pool after the commit. */
static void release_with(etg_cache_context *ctx, etg_store_write *write)
{
    turn *owed;

    if (ctx->ticket.number == 0) {
        return;
    }
    owed = apr_palloc(write->pool, sizeof(*owed));
    owed->collapse = ctx->runtime->collapse;
    owed->ticket = ctx->ticket;
    ctx->ticket.number = 0;
    apr_pool_cleanup_register(write->pool, owed, release_waiting,
                              apr_pool_cleanup_null);
}

static apr_status_t release_waiting(void *data)
{
    turn *owed = data;

    etg_collapse_finish(owed->collapse, &owed->ticket, ETG_COLLAPSE_STORED,
                        0);
    return APR_SUCCESS;
}

static etg_store_write *begin_write(const etg_cache_key *key, change **c)
{
    apr_pool_t *pool;
    etg_store_write *write;

    /* Outside the tree of pools: another thread destroys it. Its allocator
     * is its own, and goes with it. */
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    write = apr_pcalloc(pool, sizeof(*write));
    *c = apr_pcalloc(pool, sizeof(**c));
    write->pool = pool;
    write->primary_key = key->hash;
    write->baton = *c;
    (*c)->key = apr_pstrmemdup(pool, key->text, key->length);
    (*c)->key_length = key->length;
    return write;
}

/* 1: there is a primary of this very key. */
static int read_primary(const change *c, etg_bytes old, apr_pool_t *scratch,
                        etg_primary *primary)
{
    return old.data != NULL
        && etg_primary_unpack(old, scratch, primary) == APR_SUCCESS
        && primary->key_length == c->key_length
        && !memcmp(primary->key, c->key, c->key_length);
}

static apr_status_t put_response(etg_store_write *write, etg_bytes old,
                                 apr_pool_t *scratch, etg_bytes *fresh,
                                 apr_time_t *expires_at)
{
    const change *c = write->baton;
    etg_primary primary;
    unsigned dropped = 0;
    apr_status_t rv;

    if (!read_primary(c, old, scratch, &primary)) {
        etg_primary_init(&primary, c->key, c->key_length, c->now, 0);
    }
    else if (etg_primary_is_marked_since(&primary, c->invalidated_at,
                                         c->purged_at)) {
        return APR_EGENERAL;      /* begun before the write or the purge */
    }
    rv = etg_primary_put(&primary, c->spec, &c->row, c->max_rows, c->now,
                         scratch, &dropped);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_response_key(&write->response_key, &write->primary_key,
                     primary.generation, &c->row.vary);
    *expires_at = last_expiry(&primary);
    return etg_primary_pack(&primary, scratch, fresh);
}

/* A mark stays as long as fetches that began before it may still come. */
static apr_time_t last_expiry(const etg_primary *primary)
{
    apr_time_t last = primary->invalidated_at > primary->purged_at
        ? primary->invalidated_at : primary->purged_at;

    if (last != 0) {
        last += ETG_CACHE_TOMBSTONE_FOR;
    }

    for (unsigned i = 0; i < primary->row_count; i++) {
        if (primary->rows[i].expires_at > last) {
            last = primary->rows[i].expires_at;
        }
    }
    return last;
}

apr_status_t etg_cache_write_mark(const etg_cache_server_conf *server,
                                  const etg_cache_key *key,
                                  etg_store_mark mark, apr_time_t now,
                                  apr_interval_time_t wait)
{
    change *c;
    etg_store_write *write = begin_write(key, &c);

    write->update = put_mark;
    c->mark = mark;
    c->now = now;
    return server->meta.provider->meta_write(server->meta.instance, write,
                                             wait);
}

/* The mark stays behind even where nothing is stored: a fetch that began
 * before it may still be under way. */
static apr_status_t put_mark(etg_store_write *write, etg_bytes old,
                             apr_pool_t *scratch, etg_bytes *fresh,
                             apr_time_t *expires_at)
{
    const change *c = write->baton;
    etg_primary primary;

    if (!read_primary(c, old, scratch, &primary)) {
        etg_primary_init(&primary, c->key, c->key_length, c->now, 0);
    }
    etg_primary_mark(&primary, c->mark, c->now);
    *expires_at = last_expiry(&primary);
    return etg_primary_pack(&primary, scratch, fresh);
}

void etg_cache_invalidate_after(etg_cache_context *ctx, request_rec *r,
                                int status, const apr_table_t *fields)
{
    const char *host = apr_table_get(r->headers_in, "Host");
    apr_array_header_t *targets;
    apr_time_t now = apr_time_now();

    if (ctx->server->meta.provider == NULL || host == NULL
        || etg_method_is_safe(ctx->first->method)) {
        return;
    }
    targets = etg_invalidation_targets(ctx->first->method, status, fields,
                                       ap_http_scheme(r), host,
                                       ctx->first->unparsed_uri, ctx->pool);
    for (int i = 0; i < targets->nelts; i++) {
        etg_cache_key key;

        etg_cache_key_of(ctx, APR_ARRAY_IDX(targets, i, const char *), &key);
        etg_cache_write_mark(ctx->server, &key, ETG_STORE_MARK_INVALID, now,
                             ETG_CACHE_COMMIT_WAIT);
    }
    if (targets->nelts > 0) {
        etg_cache_invalidate_groups(ctx, fields);
        etg_cache_trace(ctx, "invalidate");
    }
}
