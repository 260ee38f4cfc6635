/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_local.c: what a call of the embedded store costs.
 *
 *   store_local [threads]      (1)
 *
 * 10,000 entries with 4 KB bodies in a 256 MB store; prints wall time per
 * call and thread: look-ups of responses without tags, then with eight, first
 * where nothing was ever purged by tag, then where 10,000 other tags were. A
 * benchmark: it passes no judgement.
 */
#include <apr_pools.h>
#include <apr_strings.h>

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "modules/store_local/local_store.h"

#define ENTRIES 10000u
#define BODY_BYTES 4195
#define READS 500000u
#define TAGS 8u
#define PURGES 10000u
#define FAR apr_time_from_sec(4000000000ll)

static const etg_store_provider *const local = &etg_local_provider;
static etg_store *store;
static etg_entity_id ids[ENTRIES];
static unsigned int tag_count; /* of what is put */

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static etg_store_key key_of(uint32_t n, char kind)
{
    etg_store_key key;
    memset(&key, 0, sizeof(key));
    key.bytes[0] = (unsigned char)kind;
    memcpy(key.bytes + 4, &n, 4);
    return key;
}

static apr_status_t update(etg_store_write *write, etg_bytes old,
                           apr_pool_t *scratch, etg_bytes *fresh,
                           apr_time_t *expires_at)
{
    (void)old;
    unsigned char *primary = apr_pcalloc(scratch, 150);
    memcpy(primary, &write->response_key, sizeof(write->response_key));
    fresh->data = primary;
    fresh->length = 150;
    *expires_at = FAR;
    return APR_SUCCESS;
}

static apr_status_t choose(void *baton, etg_bytes primary,
                           etg_store_key *next)
{
    (void)baton;
    memcpy(next, primary.data, sizeof(*next));
    return APR_SUCCESS;
}

static void record_put(uint32_t n, apr_interval_time_t wait)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
    write->pool = pool;
    write->primary_key = key_of(n, 'p');
    write->response_key = key_of(n, 'r');
    write->update = update;
    write->response.data = apr_pcalloc(pool, 330);
    write->response.length = 330;
    write->response_expires_at = FAR;
    write->moment.of[0] = 1;   /* older than any purge */
    etg_store_tag *tags = apr_pcalloc(pool, TAGS * sizeof(*tags));
    for (uint32_t i = 0; i < tag_count; i++) {
        tags[i] = ((uint64_t)n * TAGS + i + 1) * 0x9e3779b97f4a7c15ull;
    }
    write->tags = tags;
    write->tag_count = tag_count;
    local->meta_write(store, write, wait);
}

static void body_put(uint32_t n, apr_pool_t *p)
{
    static unsigned char body[BODY_BYTES];
    etg_entity_writer *writer;
    memcpy(body, &n, sizeof(n));
    if (local->entity_begin(store, BODY_BYTES, p, &writer) == APR_SUCCESS) {
        local->entity_append(writer, body, BODY_BYTES);
        local->entity_finish(writer, FAR, &ids[n % ENTRIES]);
    }
}

static void purge(uint32_t n)
{
    etg_store_tag tag = (n + 0x100000000ull) * 0x9e3779b97f4a7c15ull;
    unsigned int moved;
    if (local->mark(store, &tag, 1, ETG_STORE_MARK_SOFT,
                    apr_time_from_sec(10), &moved) != APR_SUCCESS) {
        printf("a purge failed: the figures are of no use\n");
    }
}

/* What a look-up alone costs. */
static void look_ups_print(const char *what, apr_pool_t *p)
{
    unsigned int misses = 0;
    double began = now_ns();
    for (uint32_t i = 0; i < READS; i++) {
        etg_store_key key = key_of(i * 7919 % ENTRIES, 'p');
        etg_store_found found = { .answer = ETG_STORE_MISS };
        apr_pool_clear(p);
        local->meta_lookup(store, &key, choose, NULL, ETG_STORE_NEAREST, p,
                           &found);
        misses += found.answer == ETG_STORE_MISS
                  || found.mark != ETG_STORE_MARK_NONE;
    }
    printf("meta_lookup, %-24s %6.0f ns\n", what,
           (now_ns() - began) / READS);
    if (misses > 0) {
        printf("%u misses: the figures are of no use\n", misses);
    }
}

static void tags_measure(apr_pool_t *p)
{
    unsigned int moved;
    look_ups_print("no tags", p);
    tag_count = TAGS;
    for (uint32_t n = 0; n < ENTRIES; n++) {
        record_put(n, n % 64 == 63 ? apr_time_from_sec(10) : 0);
    }
    look_ups_print("8 tags", p);
    double began = now_ns();
    for (uint32_t n = 0; n < PURGES; n++) {
        purge(n);
    }
    printf("mark by tag, waiting %8.0f ns\n", (now_ns() - began) / PURGES);
    look_ups_print("8 tags, 10,000 purged", p);
    began = now_ns();
    for (uint32_t n = 0; n < PURGES; n++) {
        local->mark(store, NULL, 0, ETG_STORE_MARK_SOFT, 0, &moved);
    }
    printf("mark everything      %8.0f ns\n", (now_ns() - began) / PURGES);
}

static void *reader(void *data)
{
    double *ns = data;
    unsigned int misses = 0;
    apr_pool_t *p;
    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    double began = now_ns();
    for (uint32_t i = 0; i < READS; i++) {
        etg_store_key key = key_of(i * 7919 % ENTRIES, 'p');
        etg_store_found found = { .answer = ETG_STORE_MISS };
        apr_pool_clear(p);
        local->meta_lookup(store, &key, choose, NULL, ETG_STORE_NEAREST, p,
                           &found);
        misses += found.answer == ETG_STORE_MISS;
    }
    double between = now_ns();
    for (uint32_t i = 0; i < READS; i++) {
        etg_store_answer answer = ETG_STORE_MISS;
        etg_entity entity;
        apr_pool_clear(p);
        local->entity_read(store, &ids[i * 7919 % ENTRIES], BODY_BYTES, p,
                           &answer, &entity);
        misses += answer == ETG_STORE_MISS;
    }
    ns[0] = (between - began) / READS;
    ns[1] = (now_ns() - between) / READS;
    if (misses > 0) {
        printf("%u misses: the figures are of no use\n", misses);
    }
    apr_pool_destroy(p);
    return NULL;
}

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

int main(int argc, char **argv)
{
    unsigned int threads = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;
    const char *tmp = getenv("TMPDIR");
    char base[256];
    etg_store_env env;
    apr_pool_t *pconf, *pchild, *p;
    pthread_t crew[64];
    double ns[64][2];
    apr_initialize();
    apr_pool_create(&pconf, NULL);
    apr_pool_create(&pchild, NULL);
    apr_pool_create(&p, NULL);
    snprintf(base, sizeof(base), "%s/etg-bench-XXXXXX",
             tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(base) == NULL || threads < 1 || threads > 64) {
        return 1;
    }
    memset(&env, 0, sizeof(env));
    env.default_dir = base;
    env.server_root = "/";
    env.owner = getuid();
    env.group = getgid();
    local->configure(&store, "local:", &env, pconf);
    local->prepare(store, pconf);
    if (local->open(store, pchild) != APR_SUCCESS) {
        return 1;
    }
    double began = now_ns();
    for (uint32_t n = 0; n < ENTRIES; n++) {
        apr_pool_clear(p);
        body_put(n, p);
        record_put(n, n % 64 == 63 ? apr_time_from_sec(10) : 0);
    }
    printf("put, 64 in flight    %8.0f ns\n", (now_ns() - began) / ENTRIES);
    began = now_ns();
    for (uint32_t n = 0; n < ENTRIES; n++) {
        record_put(n, apr_time_from_sec(10));
    }
    printf("record put, waiting  %8.0f ns\n", (now_ns() - began) / ENTRIES);
    for (unsigned int i = 0; i < threads; i++) {
        pthread_create(&crew[i], NULL, reader, ns[i]);
    }
    for (unsigned int i = 0; i < threads; i++) {
        pthread_join(crew[i], NULL);
        printf("thread %2u: meta_lookup %6.0f ns, entity_read of %d bytes "
               "%6.0f ns\n", i, ns[i][0], BODY_BYTES, ns[i][1]);
    }
    tags_measure(p);
    apr_pool_destroy(pchild);
    nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
