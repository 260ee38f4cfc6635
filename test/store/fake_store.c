/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_store.c: a store in one process's memory: two hash tables under one
 * mutex, everything done at once, nothing ever evicted. It exists to show
 * that the conformance list asks for nothing that only the embedded store
 * does, and to test callers against a store that can be told to be down.
 */
#include "fake_store.h"

#include <apr_hash.h>
#include <apr_strings.h>

#include <pthread.h>
#include <string.h>

#include "lib/entity_digest.h"

struct etg_store {
    apr_pool_t *pool;
    apr_hash_t *records;
    apr_hash_t *bodies;
    pthread_mutex_t lock;
    int down;
};

struct etg_entity_writer {
    etg_store *store;
    apr_pool_t *pool;
    etg_entity_digest *digest;
    apr_array_header_t *bytes;
};

static const char *fake_configure(etg_store **store, const char *uri,
                                  const etg_store_env *env,
                                  apr_pool_t *pconf)
{
    (void)env;
    if (strncmp(uri, "fake:", 5) != 0) {
        return apr_psprintf(pconf, "\"%s\" does not begin with fake:", uri);
    }
    *store = apr_pcalloc(pconf, sizeof(**store));
    return NULL;
}

static apr_status_t fake_prepare(etg_store *store, apr_pool_t *pconf)
{
    (void)store;
    (void)pconf;
    return APR_SUCCESS;
}

static apr_status_t fake_open(etg_store *store, apr_pool_t *pchild)
{
    apr_allocator_t *allocator;
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&store->pool, pchild, NULL, allocator);
    apr_allocator_owner_set(allocator, store->pool);
    store->records = apr_hash_make(store->pool);
    store->bodies = apr_hash_make(store->pool);
    pthread_mutex_init(&store->lock, NULL);
    return APR_SUCCESS;
}

/* Under the lock. Hash tables keep pointers, so everything is copied. */
static void table_set(etg_store *store, apr_hash_t *table, const void *key,
                      apr_ssize_t key_bytes, etg_bytes value)
{
    etg_bytes *kept = apr_palloc(store->pool, sizeof(*kept));
    kept->data = apr_pmemdup(store->pool, value.data, value.length);
    kept->length = value.length;
    apr_hash_set(table, apr_pmemdup(store->pool, key, (apr_size_t)key_bytes),
                 key_bytes, kept);
}

static apr_status_t fake_meta_lookup(etg_store *store,
                                     const etg_store_key *key,
                                     etg_store_choose *choose, void *baton,
                                     etg_store_depth depth, apr_pool_t *p,
                                     etg_store_found *result)
{
    etg_store_key next;
    (void)depth;
    if (store->down) {
        return APR_EGENERAL;
    }
    memset(result, 0, sizeof(*result));
    result->moment.of[0] = 1;
    pthread_mutex_lock(&store->lock);
    etg_bytes *found = apr_hash_get(store->records, key, sizeof(*key));
    if (found != NULL && choose(baton, *found, &next) == APR_SUCCESS) {
        found = apr_hash_get(store->records, &next, sizeof(next));
    }
    else {
        found = NULL;
    }
    if (found != NULL) {
        result->answer = ETG_STORE_HIT;
        result->response.data = apr_pmemdup(p, found->data, found->length);
        result->response.length = found->length;
    }
    pthread_mutex_unlock(&store->lock);
    return APR_SUCCESS;
}

static void change(etg_store *store, etg_store_write *write)
{
    etg_bytes none = { NULL, 0 };
    etg_bytes fresh = { NULL, 0 };
    apr_time_t expires_at;
    etg_bytes *old = apr_hash_get(store->records, &write->primary_key,
                                  sizeof(write->primary_key));
    if (write->update(write, old != NULL ? *old : none, write->pool, &fresh,
                      &expires_at) != APR_SUCCESS) {
        return;
    }
    if (fresh.length == 0) {
        apr_hash_set(store->records, &write->primary_key,
                     sizeof(write->primary_key), NULL);
        return;
    }
    table_set(store, store->records, &write->primary_key,
              sizeof(write->primary_key), fresh);
    if (write->response.data != NULL) {
        table_set(store, store->records, &write->response_key,
                  sizeof(write->response_key), write->response);
    }
}

static apr_status_t fake_meta_write(etg_store *store, etg_store_write *write,
                                    apr_interval_time_t wait)
{
    (void)wait;
    if (!store->down) {
        pthread_mutex_lock(&store->lock);
        change(store, write);
        pthread_mutex_unlock(&store->lock);
    }
    apr_pool_destroy(write->pool);
    return store->down ? APR_EGENERAL : APR_SUCCESS;
}

static apr_status_t fake_entity_read(etg_store *store,
                                     const etg_entity_id *id,
                                     apr_uint64_t length, apr_pool_t *p,
                                     etg_store_answer *answer,
                                     etg_entity *entity)
{
    if (store->down) {
        return APR_EGENERAL;
    }
    pthread_mutex_lock(&store->lock);
    etg_bytes *found = apr_hash_get(store->bodies, id, sizeof(*id));
    *answer = found != NULL && found->length == length ? ETG_STORE_HIT
                                                       : ETG_STORE_MISS;
    if (*answer == ETG_STORE_HIT) {
        memset(entity, 0, sizeof(*entity));
        entity->length = length;
        entity->bytes = apr_pmemdup(p, found->data, found->length + 1);
    }
    pthread_mutex_unlock(&store->lock);
    return APR_SUCCESS;
}

static apr_status_t fake_entity_begin(etg_store *store, apr_int64_t expected,
                                      apr_pool_t *p,
                                      etg_entity_writer **made)
{
    (void)expected;
    if (store->down) {
        return APR_EGENERAL;
    }
    etg_entity_writer *writer = apr_pcalloc(p, sizeof(*writer));
    writer->store = store;
    writer->pool = p;
    writer->bytes = apr_array_make(p, 4096, 1);
    *made = writer;
    return etg_entity_digest_begin(&writer->digest, p);
}

static apr_status_t fake_entity_append(etg_entity_writer *writer,
                                       const void *data, apr_size_t length)
{
    const char *bytes = data;
    for (apr_size_t i = 0; i < length; i++) {
        APR_ARRAY_PUSH(writer->bytes, char) = bytes[i];
    }
    return etg_entity_digest_add(writer->digest, data, length);
}

static apr_status_t fake_entity_finish(etg_entity_writer *writer,
                                       apr_time_t expires_at,
                                       etg_entity_id *id)
{
    etg_store *store = writer->store;
    (void)expires_at;
    apr_status_t rv = etg_entity_digest_end(writer->digest, id);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    APR_ARRAY_PUSH(writer->bytes, char) = '\0';
    etg_bytes body = { (unsigned char *)writer->bytes->elts,
                       (apr_size_t)writer->bytes->nelts };
    pthread_mutex_lock(&store->lock);
    table_set(store, store->bodies, id, sizeof(*id), body);
    ((etg_bytes *)apr_hash_get(store->bodies, id, sizeof(*id)))->length--;
    pthread_mutex_unlock(&store->lock);
    return APR_SUCCESS;
}

static void fake_entity_abandon(etg_entity_writer *writer)
{
    writer->bytes->nelts = 0;
}

static apr_status_t fake_mark(etg_store *store, const etg_store_tag *tags,
                              unsigned count, etg_store_mark mark,
                              apr_interval_time_t wait, unsigned *moved)
{
    (void)tags;
    (void)mark;
    (void)wait;
    *moved = count == 0 ? 1 : count;
    return store->down ? APR_EGENERAL : APR_SUCCESS;
}

static apr_status_t fake_counters(etg_store *store, apr_pool_t *p,
                                  apr_array_header_t **rows)
{
    *rows = apr_array_make(p, 1, sizeof(etg_store_counter));
    etg_store_counter *row = apr_array_push(*rows);
    row->name = "records";
    row->value = apr_hash_count(store->records);
    return APR_SUCCESS;
}

const etg_store_provider etg_fake_provider = {
    .scheme = "fake",
    .configure = fake_configure,
    .prepare = fake_prepare,
    .open = fake_open,
    .meta_lookup = fake_meta_lookup,
    .meta_write = fake_meta_write,
    .entity_read = fake_entity_read,
    .entity_begin = fake_entity_begin,
    .entity_append = fake_entity_append,
    .entity_finish = fake_entity_finish,
    .entity_abandon = fake_entity_abandon,
    .mark = fake_mark,
    .counters = fake_counters
};

void etg_fake_set_down(etg_store *store, int down)
{
    store->down = down;
}
