/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_store.c: a store in one process's memory: hash tables under one mutex,
 * everything done at once, nothing evicted unless a test asks for it. It
 * exists to show that the conformance list asks for nothing that only the
 * embedded store does, and to test callers against a store that can be told
 * to fail.
 *
 * Tag generations are as etg_store.h says to the letter: made by the first
 * write that carries the tag, and what is missing counts as invalid.
 */
#include "fake_store.h"

#include <apr_hash.h>
#include <apr_strings.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/entity_digest.h"

#define KINDS 3                /* etg_store_mark without NONE */
#define LEASE apr_time_from_sec(3)
#define UNCACHEABLE apr_time_from_sec(5)

typedef struct record {
    etg_bytes bytes;
    apr_uint64_t moment;
    const etg_store_tag *tags;
    unsigned int tag_count;
    apr_time_t expires_at;
} record;

typedef struct generation {
    apr_uint64_t marked[KINDS];
} generation;

typedef struct lease_row {
    apr_uint64_t token;
    const etg_store *holder;   /* NULL: runs out at */
    apr_time_t ends_at;
    int is_uncacheable;
} lease_row;

typedef struct engine {
    struct engine *next;
    const char *name;
    apr_allocator_t *allocator;/* pools are no place to be found in by who
                                * looks for leaks */
    apr_pool_t *pool;
    pthread_mutex_t lock;      /* guards all below */
    apr_hash_t *records;       /* key -> record */
    apr_hash_t *bodies;        /* id -> etg_bytes */
    apr_hash_t *tags;          /* tag -> generation */
    apr_hash_t *leases;        /* key -> lease_row */
    apr_uint64_t reading;
    generation everything;
    apr_uint64_t last_token;
    apr_time_t ahead;          /* of the wall clock */
} engine;

struct etg_store {
    engine *engine;
    apr_status_t failure;
    unsigned int calls[ETG_FAKE_CALLS];
};

struct etg_entity_writer {
    etg_store *store;
    apr_pool_t *pool;
    etg_entity_digest *digest;
    apr_array_header_t *bytes;
};

static pthread_mutex_t engines_lock = PTHREAD_MUTEX_INITIALIZER;
static engine *engines;

static void engine_empty(engine *made)
{
    made->records = apr_hash_make(made->pool);
    made->bodies = apr_hash_make(made->pool);
}

static engine *engine_make(const char *name)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    apr_allocator_create(&allocator);
    apr_pool_create_unmanaged_ex(&pool, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    engine *made = calloc(1, sizeof(*made));
    made->allocator = allocator;
    made->pool = pool;
    made->name = apr_pstrdup(pool, name);
    made->tags = apr_hash_make(pool);
    made->leases = apr_hash_make(pool);
    made->reading = (apr_uint64_t)apr_time_now();
    engine_empty(made);
    pthread_mutex_init(&made->lock, NULL);
    return made;
}

static engine *engine_named(const char *name)
{
    pthread_mutex_lock(&engines_lock);
    engine *found = engines;
    while (found != NULL && strcmp(found->name, name) != 0) {
        found = found->next;
    }
    if (found == NULL) {
        found = engine_make(name);
        found->next = engines;
        engines = found;
    }
    pthread_mutex_unlock(&engines_lock);
    return found;
}

static const char *fake_configure(etg_store **store, const char *uri,
                                  const etg_store_env *env,
                                  apr_pool_t *pconf)
{
    if (strncmp(uri, "fake:", 5) != 0) {
        return apr_psprintf(pconf, "\"%s\" does not begin with fake:", uri);
    }
    *store = apr_pcalloc(pconf, sizeof(**store));
    (*store)->engine = engine_named(apr_psprintf(pconf, "%s %s",
                                                 env->default_dir, uri));
    return NULL;
}

static apr_status_t fake_prepare(etg_store *store, apr_pool_t *pconf)
{
    (void)pconf;
    return store->failure;
}

/* Nobody renews its leases any longer. */
static apr_status_t fake_close(void *data)
{
    etg_store *store = data;
    engine *e = store->engine;
    pthread_mutex_lock(&e->lock);
    for (apr_hash_index_t *at = apr_hash_first(NULL, e->leases); at != NULL;
         at = apr_hash_next(at)) {
        lease_row *row = apr_hash_this_val(at);
        if (row->holder == store) {
            row->holder = NULL;
            row->ends_at = apr_time_now() + e->ahead + LEASE;
        }
    }
    pthread_mutex_unlock(&e->lock);
    return APR_SUCCESS;
}

static apr_status_t fake_open(etg_store *store, apr_pool_t *pchild)
{
    apr_pool_cleanup_register(pchild, store, fake_close,
                              apr_pool_cleanup_null);
    return store->failure;
}

/* Counts a call and takes the lock, unless the store has been told to fail. */
static apr_status_t enter(etg_store *store, etg_fake_call call)
{
    pthread_mutex_lock(&store->engine->lock);
    store->calls[call]++;
    apr_status_t failure = store->failure;
    if (failure != APR_SUCCESS) {
        pthread_mutex_unlock(&store->engine->lock);
    }
    return failure;
}

static void leave(etg_store *store)
{
    pthread_mutex_unlock(&store->engine->lock);
}

/* Hash tables keep pointers, so everything is copied. */
static void table_set(engine *e, apr_hash_t *table, const void *key,
                      apr_size_t key_bytes, const void *value)
{
    apr_hash_set(table, apr_pmemdup(e->pool, key, key_bytes),
                 (apr_ssize_t)key_bytes, value);
}

static void compare(const generation *marks, const record *response,
                    etg_store_found *found)
{
    for (int kind = 0; kind < KINDS; kind++) {
        etg_store_mark mark = (etg_store_mark)(ETG_STORE_MARK_SOFT + kind);
        apr_uint64_t at = marks->marked[kind];
        if (at <= response->moment || mark < found->mark) {
            continue;
        }
        if (mark > found->mark || (apr_time_t)at < found->marked_at) {
            found->mark = mark;
            found->marked_at = (apr_time_t)at;
        }
    }
}

static void marks_compare(const engine *e, const record *response,
                          etg_store_found *found)
{
    generation missing = { { 0, e->reading + 1, 0 } };
    compare(&e->everything, response, found);
    for (unsigned int i = 0; i < response->tag_count; i++) {
        const generation *known = apr_hash_get(
            e->tags, &response->tags[i], sizeof(response->tags[i]));
        compare(known != NULL ? known : &missing, response, found);
    }
}

static const record *response_choose(engine *e, const etg_store_key *key,
                                     etg_store_choose *choose, void *baton)
{
    etg_store_key next;
    const record *primary = apr_hash_get(e->records, key, sizeof(*key));
    if (primary == NULL
        || choose(baton, primary->bytes, &next) != APR_SUCCESS) {
        return NULL;
    }
    return apr_hash_get(e->records, &next, sizeof(next));
}

static void hit_make(etg_store_found *found, const record *response,
                     apr_pool_t *p)
{
    found->answer = ETG_STORE_HIT;
    found->response.data = apr_pmemdup(p, response->bytes.data,
                                       response->bytes.length + 1);
    found->response.length = response->bytes.length;
    found->expires_at = response->expires_at;
    found->tag_count = response->tag_count;
    if (response->tag_count > 0) {
        found->tags = apr_pmemdup(p, response->tags, response->tag_count
                                                     * sizeof(*found->tags));
    }
}

static apr_status_t fake_meta_lookup(etg_store *store,
                                     const etg_store_key *key,
                                     etg_store_choose *choose, void *baton,
                                     etg_store_depth depth, apr_pool_t *p,
                                     etg_store_found *result)
{
    (void)depth;
    etg_store_found found = { .answer = ETG_STORE_MISS };
    apr_status_t rv = enter(store, ETG_FAKE_LOOKUP);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    found.moment.of[0] = store->engine->reading;
    const record *response = response_choose(store->engine, key, choose,
                                             baton);
    if (response != NULL) {
        marks_compare(store->engine, response, &found);
    }
    if (found.mark == ETG_STORE_MARK_GONE) {
        found.mark = ETG_STORE_MARK_NONE;
        found.marked_at = 0;
    }
    else if (response != NULL) {
        hit_make(&found, response, p);
    }
    leave(store);
    *result = found;
    return APR_SUCCESS;
}

static record *record_set(engine *e, const etg_store_key *key,
                          etg_bytes bytes, apr_time_t expires_at)
{
    record *made = apr_pcalloc(e->pool, sizeof(*made));
    unsigned char *copy = apr_palloc(e->pool, bytes.length + 1);
    memcpy(copy, bytes.data, bytes.length);
    made->bytes.data = copy;
    made->bytes.length = bytes.length;
    made->expires_at = expires_at;
    table_set(e, e->records, key, sizeof(*key), made);
    return made;
}

static void generation_need(engine *e, etg_store_tag tag)
{
    if (apr_hash_get(e->tags, &tag, sizeof(tag)) == NULL) {
        generation *made = apr_pcalloc(e->pool, sizeof(*made));
        made->marked[0] = made->marked[1] = e->reading;
        table_set(e, e->tags, &tag, sizeof(tag), made);
    }
}

static void response_set(engine *e, const etg_store_write *write)
{
    record *made = record_set(e, &write->response_key, write->response,
                              write->response_expires_at);
    made->moment = write->moment.of[0];
    made->tag_count = write->tag_count;
    if (write->tag_count > 0) {
        made->tags = apr_pmemdup(e->pool, write->tags, write->tag_count
                                                       * sizeof(*made->tags));
    }
    for (unsigned int i = 0; i < write->tag_count; i++) {
        generation_need(e, write->tags[i]);
    }
}

static void change(engine *e, etg_store_write *write)
{
    etg_bytes none = { NULL, 0 };
    etg_bytes fresh = { NULL, 0 };
    apr_time_t expires_at;
    const record *old = apr_hash_get(e->records, &write->primary_key,
                                     sizeof(write->primary_key));
    if (write->response.data != NULL && write->moment.of[0] == 0) {
        return;
    }
    if (write->update(write, old != NULL ? old->bytes : none, write->pool,
                      &fresh, &expires_at) != APR_SUCCESS) {
        return;
    }
    if (fresh.length == 0) {
        apr_hash_set(e->records, &write->primary_key,
                     sizeof(write->primary_key), NULL);
        return;
    }
    record_set(e, &write->primary_key, fresh, expires_at);
    if (write->response.data != NULL) {
        response_set(e, write);
    }
}

static apr_status_t fake_meta_write(etg_store *store, etg_store_write *write,
                                    apr_interval_time_t wait)
{
    (void)wait;
    apr_status_t rv = enter(store, ETG_FAKE_WRITE);
    if (rv == APR_SUCCESS) {
        change(store->engine, write);
        leave(store);
    }
    apr_pool_destroy(write->pool);
    return rv;
}

static apr_status_t fake_entity_read(etg_store *store,
                                     const etg_entity_id *id,
                                     apr_uint64_t length, apr_pool_t *p,
                                     etg_store_answer *answer,
                                     etg_entity *entity)
{
    apr_status_t rv = enter(store, ETG_FAKE_ENTITY_READ);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    const etg_bytes *found = apr_hash_get(store->engine->bodies, id,
                                          sizeof(*id));
    *answer = found != NULL && found->length == length ? ETG_STORE_HIT
                                                       : ETG_STORE_MISS;
    if (*answer == ETG_STORE_HIT) {
        memset(entity, 0, sizeof(*entity));
        entity->length = length;
        entity->bytes = apr_pmemdup(p, found->data, found->length + 1);
    }
    leave(store);
    return APR_SUCCESS;
}

static apr_status_t fake_entity_begin(etg_store *store, apr_int64_t expected,
                                      apr_pool_t *p,
                                      etg_entity_writer **made)
{
    (void)expected;
    apr_status_t rv = enter(store, ETG_FAKE_ENTITY_BEGIN);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    leave(store);
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
    (void)expires_at;
    etg_store *store = writer->store;
    apr_status_t rv = etg_entity_digest_end(writer->digest, id);
    if (rv == APR_SUCCESS) {
        rv = enter(store, ETG_FAKE_ENTITY_FINISH);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    engine *e = store->engine;
    etg_bytes *body = apr_palloc(e->pool, sizeof(*body));
    body->length = (apr_size_t)writer->bytes->nelts;
    APR_ARRAY_PUSH(writer->bytes, char) = '\0';
    body->data = apr_pmemdup(e->pool, writer->bytes->elts, body->length + 1);
    table_set(e, e->bodies, id, sizeof(*id), body);
    leave(store);
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
    (void)wait;
    *moved = 0;
    if (mark == ETG_STORE_MARK_NONE || count > ETG_STORE_TAGS_MAX) {
        return APR_EINVAL;
    }
    apr_status_t rv = enter(store, ETG_FAKE_MARK);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    engine *e = store->engine;
    apr_uint64_t now = (apr_uint64_t)apr_time_now();
    unsigned int kind = (unsigned int)mark - ETG_STORE_MARK_SOFT;
    for (unsigned int i = 0; i < count; i++) {
        generation_need(e, tags[i]);
    }
    e->reading = now > e->reading ? now : e->reading + 1;
    for (unsigned int i = 0; i < count; i++) {
        generation *known = apr_hash_get(e->tags, &tags[i], sizeof(tags[i]));
        known->marked[kind] = e->reading;
    }
    if (count == 0) {
        e->everything.marked[kind] = e->reading;
    }
    *moved = count == 0 ? 1 : count;
    leave(store);
    return APR_SUCCESS;
}

static lease_row *lease_present(engine *e, const etg_store_key *key)
{
    lease_row *row = apr_hash_get(e->leases, key, sizeof(*key));
    if (row != NULL && row->holder == NULL
        && row->ends_at <= apr_time_now() + e->ahead) {
        apr_hash_set(e->leases, key, sizeof(*key), NULL);
        row = NULL;
    }
    return row;
}

static apr_status_t fake_lease_take(etg_store *store,
                                    const etg_store_key *key,
                                    etg_store_lease *lease,
                                    etg_store_lease_state *state)
{
    apr_status_t rv = enter(store, ETG_FAKE_LEASE_TAKE);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    engine *e = store->engine;
    const lease_row *present = lease_present(e, key);
    if (present == NULL) {
        lease_row *row = apr_pcalloc(e->pool, sizeof(*row));
        row->token = ++e->last_token;
        row->holder = store;
        table_set(e, e->leases, key, sizeof(*key), row);
        lease->key = *key;
        lease->token = row->token;
        *state = ETG_STORE_LEASE_TAKEN;
    }
    else {
        *state = present->is_uncacheable ? ETG_STORE_LEASE_UNCACHEABLE
                                         : ETG_STORE_LEASE_HELD;
    }
    leave(store);
    return APR_SUCCESS;
}

static void fake_lease_release(etg_store *store, etg_store_lease *lease,
                               int is_uncacheable)
{
    engine *e = store->engine;
    apr_uint64_t token = lease->token;
    lease->token = 0;
    apr_status_t rv = enter(store, ETG_FAKE_LEASE_RELEASE);
    if (rv != APR_SUCCESS) {
        pthread_mutex_lock(&e->lock);
    }
    lease_row *row = lease_present(e, &lease->key);
    if (row != NULL && row->token == token && row->holder == store) {
        row->holder = NULL;
        row->ends_at = apr_time_now() + e->ahead;
        if (rv != APR_SUCCESS) {
            row->ends_at += LEASE; /* not heard: it runs out */
        }
        else if (is_uncacheable) {
            row->ends_at += UNCACHEABLE;
            row->is_uncacheable = 1;
        }
    }
    leave(store);
}

static apr_status_t fake_counters(etg_store *store, apr_pool_t *p,
                                  apr_array_header_t **rows)
{
    *rows = apr_array_make(p, 1, sizeof(etg_store_counter));
    etg_store_counter *row = apr_array_push(*rows);
    row->name = "records";
    row->value = apr_hash_count(store->engine->records);
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
    .lease_take = fake_lease_take,
    .lease_release = fake_lease_release,
    .counters = fake_counters
};

void etg_fake_set_failure(etg_store *store, apr_status_t status)
{
    pthread_mutex_lock(&store->engine->lock);
    store->failure = status;
    leave(store);
}

void etg_fake_set_down(etg_store *store, int down)
{
    etg_fake_set_failure(store, down ? APR_EGENERAL : APR_SUCCESS);
}

unsigned int etg_fake_calls(etg_store *store, etg_fake_call call)
{
    pthread_mutex_lock(&store->engine->lock);
    unsigned int calls = store->calls[call];
    leave(store);
    return calls;
}

void etg_fake_evict(etg_store *store)
{
    pthread_mutex_lock(&store->engine->lock);
    engine_empty(store->engine);
    leave(store);
}

void etg_fake_evict_tag(etg_store *store, etg_store_tag tag)
{
    pthread_mutex_lock(&store->engine->lock);
    apr_hash_set(store->engine->tags, &tag, sizeof(tag), NULL);
    leave(store);
}

void etg_fake_pass_time(etg_store *store, apr_interval_time_t by)
{
    pthread_mutex_lock(&store->engine->lock);
    store->engine->ahead += by;
    leave(store);
}

void etg_fake_drop_leases(etg_store *store)
{
    pthread_mutex_lock(&store->engine->lock);
    apr_hash_clear(store->engine->leases);
    leave(store);
}
