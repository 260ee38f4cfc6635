/* SPDX-License-Identifier: Apache-2.0 */
/*
 * churn.c: a small store and many more objects than fit, for a long time.
 *
 *   churn [requests]     (2,000,000)
 *
 * 64 MB, 500,000 objects of mixed sizes, asked for by Zipf(0.9); a miss is
 * fetched and stored. Checks, and exits with 1 if one does not hold:
 *   - what is on disk never exceeds the size
 *   - no wrong byte
 *   - the hit ratio is at least that of an LRU list of the same bytes that
 *     has no overhead at all (body and records, nothing else)
 *   - getting and putting cost at the end at most 1.5 times what they cost
 *     a store at its beginning (CPU time of the process, measured turn about)
 *   - an entry with a 3 KB body and typical records takes at most 700 bytes
 *     more than its body, everything counted
 */
#include <apr_pools.h>
#include <apr_strings.h>

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "modules/store_local/local_store.h"

#define OBJECTS 500000u
#define BUDGET (64ull << 20)
#define PRIMARY_BYTES 150
#define RESPONSE_BYTES 330
#define FAR apr_time_from_sec(4000000000ll)
#define BODY_MAX (256u << 10)

typedef struct response_text {
    etg_entity_id id;
    uint32_t length;
    uint32_t object;
    unsigned char fields[RESPONSE_BYTES - 40];
} response_text;

typedef struct lru {
    uint32_t previous[OBJECTS + 1];
    uint32_t next[OBJECTS + 1];
    unsigned char is_in[OBJECTS + 1];
    uint64_t bytes;
} lru;

static etg_store *store;
static apr_pool_t *p;
static unsigned char filler[BODY_MAX];
static double popularity[OBJECTS];
static lru list;
static int failures;
static uint64_t random_state = 42;

static apr_pool_t *store_open(const char *dir, etg_store_env *env,
                              apr_pool_t **pconf);

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint32_t object_length(uint32_t object)
{
    uint64_t h = (object + 1) * 0x9e3779b97f4a7c15ull;
    h ^= h >> 29;
    uint32_t kind = (uint32_t)(h % 100);
    uint32_t part = (uint32_t)(h >> 20);
    if (kind < 60) {
        return 300 + part % 2700;
    }
    if (kind < 90) {
        return 3000 + part % 9000;
    }
    if (kind < 99) {
        return 12000 + part % 36000;
    }
    return 66000 + part % 190000;
}

static void popularity_set(void)
{
    double sum = 0;
    for (unsigned int i = 0; i < OBJECTS; i++) {
        sum += pow(i + 1, -0.9);
        popularity[i] = sum;
    }
    for (unsigned int i = 0; i < OBJECTS; i++) {
        popularity[i] /= sum;
    }
}

static uint32_t object_next(void)
{
    double at = (double)(random_next() >> 11) / 9007199254740992.0;
    uint32_t low = 0, high = OBJECTS - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (popularity[middle] < at) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low;
}

static etg_store_key key_of(uint32_t object, char kind)
{
    etg_store_key key;
    memset(&key, 0, sizeof(key));
    key.bytes[0] = (unsigned char)kind;
    memcpy(key.bytes + 4, &object, 4);
    return key;
}

static apr_status_t update(etg_store_write *write, etg_bytes old,
                           apr_pool_t *scratch, etg_bytes *fresh,
                           apr_time_t *expires_at)
{
    unsigned char *primary = apr_pcalloc(scratch, PRIMARY_BYTES);
    (void)old;
    memcpy(primary, &write->response_key, sizeof(write->response_key));
    fresh->data = primary;
    fresh->length = PRIMARY_BYTES;
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

static int put(uint32_t object, uint32_t length, apr_interval_time_t wait)
{
    const etg_store_provider *local = &etg_local_provider;
    etg_entity_writer *writer;
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    etg_entity_id id;
    apr_pool_clear(p);
    memcpy(filler, &object, 4);
    apr_status_t rv = local->entity_begin(store, length, p, &writer);
    if (rv == APR_SUCCESS) {
        local->entity_append(writer, filler, length);
        rv = local->entity_finish(writer, FAR, &id);
    }
    if (rv != APR_SUCCESS) {
        return 0;
    }
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
    response_text *text = apr_pcalloc(pool, sizeof(*text));
    text->id = id;
    text->length = length;
    text->object = object;
    write->pool = pool;
    write->primary_key = key_of(object, 'p');
    write->response_key = key_of(object, 'r');
    write->update = update;
    write->response.data = (const unsigned char *)text;
    write->response.length = sizeof(*text);
    write->response_expires_at = FAR;
    write->moment.of[0] = 1;   /* nobody purges here */
    return local->meta_write(store, write, wait) == APR_SUCCESS;
}

static void body_check(uint32_t object, uint32_t length,
                       const etg_entity *entity)
{
    const unsigned char *bytes = entity->bytes;
    if (bytes == NULL) {
        unsigned char *read = apr_palloc(p, length);
        apr_file_read_full(entity->file, read, length, NULL);
        bytes = read;
    }
    memcpy(filler, &object, 4);
    if (memcmp(bytes, filler, length) != 0) {
        printf("FAILED: wrong bytes for object %u\n", object);
        failures++;
    }
}

static int get(uint32_t object)
{
    const etg_store_provider *local = &etg_local_provider;
    etg_store_key key = key_of(object, 'p');
    etg_store_answer answer = ETG_STORE_MISS;
    etg_store_found found = { .answer = ETG_STORE_MISS };
    etg_entity entity;
    apr_pool_clear(p);
    if (local->meta_lookup(store, &key, choose, NULL, ETG_STORE_NEAREST, p,
                           &found) != APR_SUCCESS
        || found.answer != ETG_STORE_HIT) {
        return 0;
    }
    const response_text *text = (const response_text *)found.response.data;
    if (text->object != object) {
        printf("FAILED: foreign record for object %u\n", object);
        failures++;
        return 0;
    }
    if (local->entity_read(store, &text->id, text->length, p, &answer,
                           &entity) != APR_SUCCESS
        || answer != ETG_STORE_HIT) {
        return 0;
    }
    body_check(object, text->length, &entity);
    return 1;
}

static void lru_unlink(uint32_t at)
{
    list.next[list.previous[at]] = list.next[at];
    list.previous[list.next[at]] = list.previous[at];
}

static void lru_push(uint32_t at)
{
    list.next[at] = list.next[OBJECTS];
    list.previous[at] = OBJECTS;
    list.previous[list.next[OBJECTS]] = at;
    list.next[OBJECTS] = at;
}

static uint64_t lru_cost(uint32_t object)
{
    return object_length(object) + PRIMARY_BYTES + RESPONSE_BYTES;
}

static int lru_ask(uint32_t object)
{
    if (list.is_in[object]) {
        lru_unlink(object);
        lru_push(object);
        return 1;
    }
    list.bytes += lru_cost(object);
    while (list.bytes > BUDGET) {
        uint32_t oldest = list.previous[OBJECTS];
        lru_unlink(oldest);
        list.is_in[oldest] = 0;
        list.bytes -= lru_cost(oldest);
    }
    list.is_in[object] = 1;
    lru_push(object);
    return 0;
}

static uint64_t disk_bytes;

static int disk_add(const char *path, const struct stat *info, int type,
                    struct FTW *where)
{
    (void)path;
    (void)type;
    (void)where;
    disk_bytes += (uint64_t)info->st_blocks * 512;
    return 0;
}

static void size_check(const char *dir, uint64_t *largest)
{
    disk_bytes = 0;
    nftw(dir, disk_add, 16, FTW_PHYS);
    if (disk_bytes > *largest) {
        *largest = disk_bytes;
    }
}

static uint64_t counter(const char *name)
{
    apr_array_header_t *rows;
    apr_pool_clear(p);
    if (etg_local_provider.counters(store, p, &rows) != APR_SUCCESS) {
        return 0;
    }
    for (int i = 0; i < rows->nelts; i++) {
        etg_store_counter *row = &APR_ARRAY_IDX(rows, i, etg_store_counter);
        if (strcmp(row->name, name) == 0) {
            return row->value;
        }
    }
    return 0;
}

static void counters_print(void)
{
    apr_array_header_t *rows;
    apr_pool_clear(p);
    etg_local_provider.counters(store, p, &rows);
    for (int i = 0; i < rows->nelts; i++) {
        etg_store_counter *row = &APR_ARRAY_IDX(rows, i, etg_store_counter);
        printf("  %-20s %llu\n", row->name, (unsigned long long)row->value);
    }
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

#define ROUNDS 25

/* CPU time to put 200 new objects of 3 KB, and to get each ten times. */
static void round_measure(double *put_us, double *get_us)
{
    static uint32_t object = OBJECTS;   /* beyond the catalogue */
    uint32_t first = object;
    double began = cpu_us();
    for (int i = 0; i < 200; i++) {
        put(object++, 3072, i % 20 == 19 ? apr_time_from_sec(10) : 0);
    }
    double between = cpu_us();
    for (int i = 0; i < 2000; i++) {
        get(first + (uint32_t)i % 200);
    }
    *put_us = (between - began) / 200;
    *get_us = (cpu_us() - between) / 2000;
}

/* Medians of a store at its beginning and of this one, turn about, so that
 * whatever else the machine does falls on both. */
static void costs_measure(const char *base, double puts[2], double gets[2])
{
    char dir[300];
    etg_store_env env;
    apr_pool_t *pconf;
    double put_us[2][ROUNDS], get_us[2][ROUNDS];
    etg_store *worn = store;
    memset(&env, 0, sizeof(env));
    snprintf(dir, sizeof(dir), "%s/fresh", base);
    apr_pool_t *pchild = store_open(dir, &env, &pconf);
    etg_store *fresh = store;
    for (int round = 0; round < ROUNDS; round++) {
        store = fresh;
        round_measure(&put_us[0][round], &get_us[0][round]);
        store = worn;
        round_measure(&put_us[1][round], &get_us[1][round]);
    }
    for (int i = 0; i < 2; i++) {
        qsort(put_us[i], ROUNDS, sizeof(double), compare_doubles);
        qsort(get_us[i], ROUNDS, sizeof(double), compare_doubles);
        puts[i] = put_us[i][ROUNDS / 2];
        gets[i] = get_us[i][ROUNDS / 2];
    }
    apr_pool_destroy(pchild);
    apr_pool_destroy(pconf);
}

static apr_pool_t *store_open(const char *dir, etg_store_env *env,
                              apr_pool_t **pconf)
{
    apr_pool_t *pchild;
    apr_pool_create(pconf, NULL);
    apr_pool_create(&pchild, NULL);
    env->default_dir = dir;
    env->server_root = "/";
    env->owner = getuid();
    env->group = getgid();
    etg_local_provider.configure(&store, "local:?size=64M", env, *pconf);
    etg_local_provider.prepare(store, *pconf);
    if (etg_local_provider.open(store, pchild) != APR_SUCCESS) {
        printf("FAILED: the store does not open in %s\n", dir);
        exit(1);
    }
    return pchild;
}

static void verdict(int holds, const char *what, double is, double bound)
{
    printf("%-9s %s: %.3f (bound %.3f)\n", holds ? "ok" : "FAILED", what, is,
           bound);
    failures += !holds;
}

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static void entry_size_run(const char *base)
{
    char dir[300];
    etg_store_env env;
    apr_pool_t *pconf;
    unsigned int entries = 12000;
    unsigned int there = 0;
    memset(&env, 0, sizeof(env));
    snprintf(dir, sizeof(dir), "%s/entries", base);
    apr_pool_t *pchild = store_open(dir, &env, &pconf);
    for (unsigned int i = 0; i < entries; i++) {
        put(i, 3072, i % 64 == 63 ? apr_time_from_sec(10) : 0);
    }
    put(0, 3072, apr_time_from_sec(10));
    for (unsigned int i = 0; i < entries; i++) {
        there += (unsigned int)get(i);
    }
    double bytes = (double)(counter("metadata_bytes")
                            + counter("packed_bytes")
                            + counter("file_bytes")
                            + counter("control_bytes"));
    printf("%u of %u entries with 3072-byte bodies: metadata %.1f, bodies "
           "%.1f, control %.1f bytes each\n", there, entries,
           (double)counter("metadata_bytes") / there,
           (double)counter("packed_bytes") / there,
           (double)counter("control_bytes") / there);
    verdict(there == entries && bytes / there - 3072 <= 700,
            "bytes per entry over its body", bytes / there - 3072, 700);
    for (unsigned int i = entries; i < 60000; i++) {
        put(i, 3072, i % 64 == 63 ? apr_time_from_sec(10) : 0);
    }
    there = 0;
    for (unsigned int i = 0; i < 60000; i++) {
        there += (unsigned int)get(i);
    }
    bytes = (double)(counter("metadata_bytes") + counter("packed_bytes")
                     + counter("file_bytes") + counter("control_bytes"));
    printf("full store: %u whole entries, %.0f bytes in use each, %.0f bytes "
           "of size= each\n", there, bytes / there,
           (double)BUDGET / there);
    counters_print();
    apr_pool_destroy(pchild);
    apr_pool_destroy(pconf);
}

static void trace_run(const char *base, unsigned int requests)
{
    char dir[300];
    etg_store_env env;
    apr_pool_t *pconf;
    double puts[2], gets[2];
    uint64_t largest = 0;
    unsigned int hits = 0, lru_hits = 0, counted = 0;
    memset(&env, 0, sizeof(env));
    snprintf(dir, sizeof(dir), "%s/trace", base);
    apr_pool_t *pchild = store_open(dir, &env, &pconf);
    list.next[OBJECTS] = list.previous[OBJECTS] = OBJECTS;
    popularity_set();
    for (unsigned int i = 0; i < requests; i++) {
        uint32_t object = object_next();
        int lru_hit = lru_ask(object);
        int hit = get(object);
        if (!hit) {
            put(object, object_length(object), apr_time_from_sec(1));
        }
        if (i >= requests / 4) {   /* both are full by then */
            counted++;
            hits += (unsigned int)hit;
            lru_hits += (unsigned int)lru_hit;
        }
        if (i % 20000 == 0) {
            size_check(dir, &largest);
        }
    }
    size_check(dir, &largest);
    costs_measure(base, puts, gets);
    printf("%u requests, cost of a put %.2f -> %.2f us, of a get %.2f -> %.2f "
           "us\n", requests, puts[0], puts[1], gets[0], gets[1]);
    counters_print();
    verdict(largest <= BUDGET, "largest size on disk, MB",
            (double)largest / 1048576, (double)BUDGET / 1048576);
    verdict(hits >= lru_hits, "hit ratio against LRU's",
            (double)hits / counted, (double)lru_hits / counted);
    verdict(puts[1] <= 1.5 * puts[0], "put at the end, us", puts[1],
            1.5 * puts[0]);
    verdict(gets[1] <= 1.5 * gets[0], "get at the end, us", gets[1],
            1.5 * gets[0]);
    apr_pool_destroy(pchild);
    apr_pool_destroy(pconf);
}

int main(int argc, char **argv)
{
    char base[256];
    const char *tmp = getenv("TMPDIR");
    unsigned int requests = argc > 1 ? (unsigned int)atoi(argv[1]) : 2000000;
    apr_initialize();
    apr_pool_create(&p, NULL);
    snprintf(base, sizeof(base), "%s/etg-churn-XXXXXX",
             tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(base) == NULL || requests == 0) {
        printf("FAILED: no folder, or no number of requests\n");
        return 1;
    }
    for (unsigned int i = 0; i < BODY_MAX; i++) {
        filler[i] = (unsigned char)(random_next() >> 32);
    }
    entry_size_run(base);
    trace_run(base, requests);
    nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("%s\n", failures == 0 ? "churn: passed" : "churn: FAILED");
    return failures == 0 ? 0 : 1;
}
