/* SPDX-License-Identifier: Apache-2.0 */
/* store_rig.c: see store_rig.h. */
#include "store_rig.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/entity_digest.h"

#define FAR apr_time_from_sec(4000000000ll)
#define RESPONSE_HEAD 8
#define LOG_BYTES 65536

typedef struct primary_baton {
    etg_store_key response_key;
    int remove;
} primary_baton;

static void log_keep(void *baton, etg_log_level level, apr_status_t rv,
                     const char *message)
{
    store_rig *rig = baton;
    size_t used = strlen(rig->log);
    (void)level;
    snprintf(rig->log + used, LOG_BYTES - used, "%s (%d)\n", message,
             rv);
}

static void configure(store_rig *rig, const etg_store_provider *provider,
                      const char *query)
{
    rig->provider = provider;
    if (rig->log == NULL) {
        rig->log = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(rig->log, MAP_FAILED);
    }
    rig->env.default_dir = rig->dir;
    rig->env.server_root = "/nonexistent";
    rig->env.owner = getuid();
    rig->env.group = getgid();
    rig->env.log.write = log_keep;
    rig->env.log.baton = rig;
    snprintf(rig->uri, sizeof(rig->uri), "%s:%s", provider->scheme, query);
    apr_pool_create(&rig->pconf, NULL);
    apr_pool_create(&rig->p, NULL);
    const char *problem = provider->configure(&rig->store, rig->uri,
                                              &rig->env, rig->pconf);
    ck_assert_msg(problem == NULL, "%s", problem);
}

void rig_init(store_rig *rig, const etg_store_provider *provider,
              const char *query)
{
    const char *base = getenv("TMPDIR");
    memset(rig, 0, sizeof(*rig));
    apr_initialize();
    snprintf(rig->dir, sizeof(rig->dir), "%s/etg-store-XXXXXX",
             base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(rig->dir));
    configure(rig, provider, query);
}

void rig_beside(store_rig *rig, const store_rig *other, const char *query)
{
    memset(rig, 0, sizeof(*rig));
    memcpy(rig->dir, other->dir, sizeof(rig->dir));
    configure(rig, other->provider, query);
}

apr_status_t rig_start(store_rig *rig)
{
    rig->provider->prepare(rig->store, rig->pconf);
    apr_pool_create(&rig->pchild, NULL);
    return rig->provider->open(rig->store, rig->pchild);
}

void rig_open(store_rig *rig)
{
    apr_status_t rv = rig_start(rig);
    ck_assert_msg(rv == APR_SUCCESS, "open: %d\n%s", rv, rig->log);
}

void rig_close(store_rig *rig)
{
    if (rig->pchild != NULL) {
        apr_pool_destroy(rig->pchild);
        rig->pchild = NULL;
    }
}

void rig_reopen(store_rig *rig)
{
    char kept[sizeof(rig->uri)];
    snprintf(kept, sizeof(kept), "%s",
             rig->uri + strlen(rig->provider->scheme) + 1);
    rig_close(rig);
    apr_pool_destroy(rig->p);
    apr_pool_destroy(rig->pconf);
    configure(rig, rig->provider, kept);
    rig_open(rig);
}

void rig_end(store_rig *rig)
{
    rig_close(rig);
    apr_pool_destroy(rig->p);
    apr_pool_destroy(rig->pconf);
    rig_remove_tree(rig->dir);
}

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

void rig_remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int rig_logged(const store_rig *rig, const char *text)
{
    return strstr(rig->log, text) != NULL;
}

int rig_poll(int (*check)(void *baton), void *baton)
{
    const struct timespec pause = { 0, 2000000L };
    apr_time_t deadline = apr_time_now() + apr_time_from_sec(10);
    while (!check(baton)) {
        if (apr_time_now() > deadline) {
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    return 1;
}

etg_store_key rig_key(unsigned int n, char kind)
{
    etg_store_key key;
    memset(&key, 0, sizeof(key));
    key.bytes[0] = (unsigned char)kind;
    memcpy(key.bytes + 12, &n, sizeof(n));
    return key;
}

static apr_status_t update(etg_store_write *write, etg_bytes old,
                           apr_pool_t *scratch, etg_bytes *fresh,
                           apr_time_t *expires_at)
{
    primary_baton *baton = write->baton;
    (void)old;
    if (baton->remove) {
        fresh->length = 0;
        return APR_SUCCESS;
    }
    fresh->data = apr_pmemdup(scratch, &baton->response_key,
                              sizeof(baton->response_key));
    fresh->length = sizeof(baton->response_key);
    write->response_key = baton->response_key;
    *expires_at = FAR;
    return APR_SUCCESS;
}

static apr_status_t choose(void *baton, etg_bytes primary,
                           etg_store_key *next)
{
    (void)baton;
    if (primary.length != sizeof(*next)) {
        return APR_NOTFOUND;
    }
    memcpy(next, primary.data, sizeof(*next));
    return APR_SUCCESS;
}

static unsigned char filler(unsigned int n, unsigned int version, size_t i)
{
    return (unsigned char)(n * 31 + version * 7 + i);
}

static etg_store_write *write_make(unsigned int n, apr_pool_t **made)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
    primary_baton *baton = apr_pcalloc(pool, sizeof(*baton));
    write->pool = pool;
    write->primary_key = rig_key(n, 'p');
    write->update = update;
    write->baton = baton;
    baton->response_key = rig_key(n, 'r');
    *made = pool;
    return write;
}

apr_status_t rig_look(store_rig *rig, unsigned int n, etg_store_depth depth,
                      etg_store_found *found)
{
    etg_store_key key = rig_key(n, 'p');
    apr_pool_clear(rig->p);
    return rig->provider->meta_lookup(rig->store, &key, choose, NULL, depth,
                                      rig->p, found);
}

etg_store_moment rig_moment(store_rig *rig, unsigned int n)
{
    etg_store_found found = { .answer = ETG_STORE_MISS };
    if (rig_look(rig, n, ETG_STORE_SHARED, &found) != APR_SUCCESS) {
        /* So that the write finds out for itself. */
        for (int tier = 0; tier < ETG_STORE_TIERS_MAX; tier++) {
            found.moment.of[tier] = 1;
        }
    }
    return found.moment;
}

apr_status_t rig_put(store_rig *rig, unsigned int n, unsigned int version,
                     apr_size_t length, apr_interval_time_t wait)
{
    etg_store_moment moment = rig_moment(rig, n);
    return rig_put_tagged(rig, n, version, length, wait, &moment, NULL, 0);
}

apr_status_t rig_put_tagged(store_rig *rig, unsigned int n,
                            unsigned int version, apr_size_t length,
                            apr_interval_time_t wait,
                            const etg_store_moment *moment,
                            const etg_store_tag *tags, unsigned int count)
{
    apr_pool_t *pool;
    etg_store_write *write = write_make(n, &pool);
    if (length < RESPONSE_HEAD) {
        length = RESPONSE_HEAD;
    }
    unsigned char *bytes = apr_palloc(pool, length);
    memcpy(bytes, &n, 4);
    memcpy(bytes + 4, &version, 4);
    for (size_t i = RESPONSE_HEAD; i < length; i++) {
        bytes[i] = filler(n, version, i);
    }
    write->response.data = bytes;
    write->response.length = length;
    write->response_expires_at = rig->expires_at != 0 ? rig->expires_at : FAR;
    write->moment = *moment;
    write->tags = apr_pmemdup(pool, tags, count * sizeof(*tags));
    write->tag_count = count;
    return rig->provider->meta_write(rig->store, write, wait);
}

apr_status_t rig_remove(store_rig *rig, unsigned int n)
{
    apr_pool_t *pool;
    etg_store_write *write = write_make(n, &pool);
    ((primary_baton *)write->baton)->remove = 1;
    return rig->provider->meta_write(rig->store, write,
                                     apr_time_from_sec(10));
}

apr_status_t rig_get(store_rig *rig, unsigned int n, etg_store_answer *answer,
                     unsigned int *version)
{
    etg_store_found found = { .answer = ETG_STORE_MISS };
    unsigned int found_n, found_version;
    apr_status_t rv = rig_look(rig, n, ETG_STORE_NEAREST, &found);
    etg_bytes response = found.response;
    *answer = found.answer;
    if (rv != APR_SUCCESS || *answer != ETG_STORE_HIT) {
        return rv;
    }
    ck_assert_uint_ge(response.length, RESPONSE_HEAD);
    ck_assert_uint_eq((size_t)response.data % 8, 0);
    memcpy(&found_n, response.data, 4);
    memcpy(&found_version, response.data + 4, 4);
    ck_assert_uint_eq(found_n, n);
    apr_size_t wrong = 0;
    for (size_t i = RESPONSE_HEAD; i < response.length; i++) {
        wrong += response.data[i] != filler(n, found_version, i);
    }
    ck_assert_uint_eq(wrong, 0);
    if (version != NULL) {
        *version = found_version;
    }
    return rv;
}

int rig_has(store_rig *rig, unsigned int n)
{
    etg_store_answer answer = ETG_STORE_MISS;
    apr_status_t rv = rig_get(rig, n, &answer, NULL);
    ck_assert_msg(rv == APR_SUCCESS, "lookup: %d\n%s", rv, rig->log);
    return answer == ETG_STORE_HIT;
}

unsigned char *rig_body(apr_pool_t *p, unsigned int n, apr_size_t length)
{
    unsigned char *bytes = apr_palloc(p, length + 1);
    apr_uint64_t state = (apr_uint64_t)n * 0x9e3779b97f4a7c15ull + length;
    for (apr_size_t i = 0; i < length; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        bytes[i] = (unsigned char)(state >> 56);
    }
    return bytes;
}

apr_status_t rig_body_put(store_rig *rig, unsigned int n, apr_size_t length,
                          etg_entity_id *id)
{
    etg_entity_writer *writer;
    etg_entity_id found;
    apr_pool_t *p;
    apr_pool_create(&p, rig->p);
    unsigned char *bytes = rig_body(p, n, length);
    apr_status_t rv = rig->provider->entity_begin(rig->store, -1, p, &writer);
    for (apr_size_t at = 0; rv == APR_SUCCESS && at < length; at += 8000) {
        apr_size_t part = length - at < 8000 ? length - at : 8000;
        rv = rig->provider->entity_append(writer, bytes + at, part);
    }
    if (rv == APR_SUCCESS) {
        rv = rig->provider->entity_finish(writer, FAR, &found);
    }
    apr_pool_destroy(p);
    if (rv == APR_SUCCESS && id != NULL) {
        *id = found;
    }
    return rv;
}

static void file_read(etg_entity *entity, unsigned char *bytes)
{
    apr_size_t length = (apr_size_t)entity->length;
    apr_off_t offset = entity->offset;
    ck_assert_ptr_nonnull(entity->file);
    ck_assert_int_eq(apr_file_seek(entity->file, APR_SET, &offset),
                     APR_SUCCESS);
    ck_assert_int_eq(apr_file_read_full(entity->file, bytes, length, NULL),
                     APR_SUCCESS);
}

apr_status_t rig_body_get(store_rig *rig, unsigned int n, apr_size_t length,
                          etg_store_answer *answer)
{
    etg_entity_id id;
    etg_entity entity = { 0, NULL, NULL, 0 };
    apr_pool_clear(rig->p);
    unsigned char *bytes = rig_body(rig->p, n, length);
    etg_sha256(bytes, length, id.bytes);
    apr_status_t rv = rig->provider->entity_read(rig->store, &id, length,
                                                 rig->p, answer, &entity);
    if (rv != APR_SUCCESS || *answer != ETG_STORE_HIT) {
        return rv;
    }
    ck_assert_uint_eq(entity.length, length);
    if (entity.bytes == NULL) {
        unsigned char *read = apr_palloc(rig->p, length + 1);
        file_read(&entity, read);
        entity.bytes = read;
    }
    ck_assert_int_eq(memcmp(entity.bytes, bytes, length), 0);
    return rv;
}

int rig_body_has(store_rig *rig, unsigned int n, apr_size_t length)
{
    etg_store_answer answer = ETG_STORE_MISS;
    apr_status_t rv = rig_body_get(rig, n, length, &answer);
    ck_assert_msg(rv == APR_SUCCESS, "read: %d\n%s", rv, rig->log);
    return answer == ETG_STORE_HIT;
}

void rig_settle(store_rig *rig)
{
    apr_status_t rv = rig_put(rig, 0xffffffffu, 0, 0, apr_time_from_sec(20));
    ck_assert_msg(rv == APR_SUCCESS, "settle: %d\n%s", rv, rig->log);
}

apr_uint64_t rig_counter(store_rig *rig, const char *name)
{
    apr_array_header_t *rows;
    apr_pool_clear(rig->p);
    ck_assert_int_eq(rig->provider->counters(rig->store, rig->p, &rows),
                     APR_SUCCESS);
    for (int i = 0; i < rows->nelts; i++) {
        etg_store_counter *row = &APR_ARRAY_IDX(rows, i, etg_store_counter);
        if (strcmp(row->name, name) == 0) {
            return row->value;
        }
    }
    ck_abort_msg("no counter %s", name);
    return 0;
}
