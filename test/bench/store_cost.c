/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_cost.c: what a call of a store costs; test/bench/store runs it.
 *
 *   store_cost ENTRIES ROUNDS NAME=URI...
 *
 * A NAME is a row of the table; two URIs with a blank between them are tiers,
 * nearest first. Each round goes over all stores and both sizes of body, so
 * that what drifts on the machine drifts for all. One line per measurement:
 * round, name, bytes of a body, operation, µs of wall time and of this
 * process's CPU time (all its threads) per call, separated by tabs. A
 * benchmark: it passes no judgement, but a call without an answer ends it.
 */
#include <apr_pools.h>
#include <apr_strings.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "modules/tiers/tiers.h"

/* Not by the stores' own headers: each has its own struct etg_store. */
extern const etg_store_provider etg_local_provider;
extern const etg_store_provider etg_memcached_provider;

#define STORES_MAX 8
#define PRIMARY_BYTES 150
#define RESPONSE_BYTES 330
#define AT_ONCE 64
#define LONG_WAIT apr_time_from_sec(10)
#define ONE_DAY apr_time_from_sec(86400)

/* One row: a store, and what is in it. */
typedef struct subject {
    const char *name;
    const etg_store_provider *provider;
    etg_store *store;
    int is_tiered;
    etg_store_moment *moments;       /* one per entry */
    etg_entity_id *ids;
} subject;

typedef struct stopwatch {
    double wall_us;
    double cpu_us;
} stopwatch;

static const apr_size_t sizes[] = { 4195, 42977 };
static unsigned entries, rounds;
static unsigned char *body;

static void open_subject(subject *one, char *argument, apr_pool_t *pconf,
                         apr_pool_t *pchild);
static etg_tier open_store(const char *uri, apr_pool_t *pconf,
                           apr_pool_t *pchild);
static void measure(subject *one, unsigned round, apr_size_t length,
                    apr_pool_t *p);
static void need(int holds, const char *name, const char *what);
static void write_log(void *baton, etg_log_level level, apr_status_t rv,
                      const char *message);

int main(int argc, char **argv)
{
    subject subjects[STORES_MAX];
    unsigned count = argc > 3 ? (unsigned)argc - 3 : 0;
    apr_pool_t *pconf, *pchild, *p;

    if (count < 1 || count > STORES_MAX) {
        fputs("usage: store_cost ENTRIES ROUNDS NAME=URI...\n", stderr);
        return 2;
    }
    entries = (unsigned)atoi(argv[1]);
    rounds = (unsigned)atoi(argv[2]);
    apr_initialize();
    apr_pool_create(&pconf, NULL);
    apr_pool_create(&pchild, NULL);
    apr_pool_create(&p, NULL);
    body = apr_pcalloc(pconf, sizes[1]);
    for (unsigned i = 0; i < count; i++) {
        open_subject(&subjects[i], argv[i + 3], pconf, pchild);
    }
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < 2 * count; i++) {
            measure(&subjects[i / 2], round, sizes[i % 2], p);
        }
    }
    apr_pool_destroy(pchild);
    return 0;
}

static void open_subject(subject *one, char *argument, apr_pool_t *pconf,
                         apr_pool_t *pchild)
{
    etg_tier tiers[ETG_STORE_TIERS_MAX];
    unsigned count = 0;
    char *state;
    char *uris = strchr(argument, '=');

    need(uris != NULL, argument, "NAME=URI");
    *uris++ = '\0';
    for (char *uri = apr_strtok(uris, " ", &state);
         uri != NULL && count < ETG_STORE_TIERS_MAX;
         uri = apr_strtok(NULL, " ", &state)) {
        tiers[count++] = open_store(uri, pconf, pchild);
    }
    need(count > 0, argument, "a URI");
    memset(one, 0, sizeof(*one));
    one->name = argument;
    one->provider = tiers[0].provider;
    one->store = tiers[0].store;
    one->is_tiered = count > 1;
    if (one->is_tiered) {
        etg_tiers_make(&one->provider, &one->store, tiers, count, ONE_DAY,
                       pconf);
    }
    one->moments = apr_pcalloc(pconf, entries * sizeof(*one->moments));
    one->ids = apr_pcalloc(pconf, entries * sizeof(*one->ids));
}

static etg_tier open_store(const char *uri, apr_pool_t *pconf,
                           apr_pool_t *pchild)
{
    etg_store_env *env = apr_pcalloc(pconf, sizeof(*env));
    etg_tier tier;
    const char *error;

    env->default_dir = "/nonexistent";
    env->server_root = "/";
    env->owner = getuid();
    env->group = getgid();
    env->log.write = write_log;
    tier.provider = strncmp(uri, "local:", 6) == 0
        ? &etg_local_provider : &etg_memcached_provider;
    error = tier.provider->configure(&tier.store, uri, env, pconf);
    need(error == NULL, uri, error);
    need(tier.provider->prepare(tier.store, pconf) == APR_SUCCESS, uri,
         "cannot be prepared");
    need(tier.provider->open(tier.store, pchild) == APR_SUCCESS, uri,
         "cannot be opened");
    return tier;
}

static void need(int holds, const char *name, const char *what)
{
    if (!holds) {
        fprintf(stderr, "store_cost: %s: %s\n", name, what);
        exit(1);
    }
}

static void write_log(void *baton, etg_log_level level, apr_status_t rv,
                      const char *message)
{
    (void)baton;
    if (level <= ETG_LOG_WARNING) {
        fprintf(stderr, "store_cost: (%d) %s\n", rv, message);
    }
}

/* --- calls ------------------------------------------------------------- */

/* Keys are hashes, so these look like some (SplitMix64). */
static etg_store_key key_of(unsigned n, apr_size_t length, char kind)
{
    etg_store_key key;
    uint64_t state = (uint64_t)n << 32 | (uint64_t)length << 8
                     | (unsigned char)kind;

    for (unsigned i = 0; i < sizeof(key.bytes); i += sizeof(state)) {
        uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        memcpy(key.bytes + i, &z, sizeof(z));
    }
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
    *expires_at = write->response_expires_at;
    return APR_SUCCESS;
}

static apr_status_t choose(void *baton, etg_bytes primary,
                           etg_store_key *next)
{
    (void)baton;
    memcpy(next, primary.data, sizeof(*next));
    return APR_SUCCESS;
}

static void look_up(subject *one, unsigned n, apr_size_t length,
                    etg_store_depth depth, apr_pool_t *p,
                    etg_store_found *found)
{
    etg_store_key key = key_of(n, length, 'p');

    memset(found, 0, sizeof(*found));
    need(one->provider->meta_lookup(one->store, &key, choose, NULL, depth, p,
                                    found) == APR_SUCCESS,
         one->name, "a look-up had no answer");
}

static void look_up_known(subject *one, unsigned n, apr_size_t length,
                          etg_store_depth depth, apr_pool_t *p)
{
    etg_store_found found;

    look_up(one, n, length, depth, p, &found);
    need(found.answer == ETG_STORE_HIT && found.mark == ETG_STORE_MARK_NONE,
         one->name, "an entry is gone");
}

static void read_body(subject *one, unsigned n, apr_size_t length,
                      apr_pool_t *p)
{
    etg_store_answer answer = ETG_STORE_MISS;
    etg_entity entity;

    need(one->provider->entity_read(one->store, &one->ids[n], length, p,
                                    &answer, &entity) == APR_SUCCESS
         && answer == ETG_STORE_HIT && entity.length == length,
         one->name, "a body is gone");
}

static void put(subject *one, unsigned n, apr_size_t length, unsigned round,
                apr_interval_time_t wait, apr_pool_t *p)
{
    apr_time_t expires_at = apr_time_now() + ONE_DAY;
    etg_entity_writer *writer;
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    etg_store_write *write;

    memcpy(body, &n, sizeof(n));
    memcpy(body + sizeof(n), &round, sizeof(round));
    need(one->provider->entity_begin(one->store, (apr_int64_t)length, p,
                                     &writer) == APR_SUCCESS
         && one->provider->entity_append(writer, body, length) == APR_SUCCESS
         && one->provider->entity_finish(writer, expires_at, &one->ids[n])
         == APR_SUCCESS, one->name, "a body was not taken");
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    write = apr_pcalloc(pool, sizeof(*write));
    write->pool = pool;
    write->primary_key = key_of(n, length, 'p');
    write->response_key = key_of(n, length, 'r');
    write->update = update;
    write->response.data = apr_pcalloc(pool, RESPONSE_BYTES);
    write->response.length = RESPONSE_BYTES;
    write->response_expires_at = expires_at;
    write->moment = one->moments[n];
    apr_status_t rv = one->provider->meta_write(one->store, write, wait);
    need(rv == APR_SUCCESS || (wait == 0 && APR_STATUS_IS_TIMEUP(rv)),
         one->name, "a record was not taken");
}

/* --- measuring --------------------------------------------------------- */

static stopwatch now_us(void)
{
    struct timespec wall;
    struct rusage usage;
    stopwatch now;

    clock_gettime(CLOCK_MONOTONIC, &wall);
    getrusage(RUSAGE_SELF, &usage);
    now.wall_us = (double)wall.tv_sec * 1e6 + (double)wall.tv_nsec / 1e3;
    now.cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return now;
}

static void report(const subject *one, unsigned round, apr_size_t length,
                   const char *operation, stopwatch began)
{
    stopwatch now = now_us();

    printf("%u\t%s\t%lu\t%s\t%.3f\t%.3f\n", round, one->name,
           (unsigned long)length, operation,
           (now.wall_us - began.wall_us) / entries,
           (now.cpu_us - began.cpu_us) / entries);
    fflush(stdout);
}

static void measure_puts(subject *one, unsigned round, apr_size_t length,
                         apr_pool_t *p)
{
    etg_store_found found;
    stopwatch began;

    for (unsigned n = 0; n < entries; n++) {
        apr_pool_clear(p);
        look_up(one, n, length, ETG_STORE_SHARED, p, &found);
        one->moments[n] = found.moment;
    }
    began = now_us();
    for (unsigned n = 0; n < entries; n++) {
        apr_pool_clear(p);
        put(one, n, length, 2 * round,
            n % AT_ONCE == AT_ONCE - 1 || n == entries - 1 ? LONG_WAIT : 0, p);
    }
    report(one, round, length, "put, 64 at once", began);
    began = now_us();
    for (unsigned n = 0; n < entries; n++) {
        apr_pool_clear(p);
        put(one, n, length, 2 * round + 1, LONG_WAIT, p);
    }
    report(one, round, length, "put", began);
}

static void measure_look_ups(subject *one, unsigned round, apr_size_t length,
                             etg_store_depth depth, const char *operation,
                             apr_pool_t *p)
{
    stopwatch began = now_us();

    for (unsigned n = 0; n < entries; n++) {
        apr_pool_clear(p);
        look_up_known(one, n * 7919 % entries, length, depth, p);
    }
    report(one, round, length, operation, began);
}

static void measure_gets(subject *one, unsigned round, apr_size_t length,
                         const char *operation, apr_pool_t *p)
{
    stopwatch began = now_us();

    for (unsigned n = 0; n < entries; n++) {
        apr_pool_clear(p);
        look_up_known(one, n * 7919 % entries, length, ETG_STORE_NEAREST, p);
        read_body(one, n * 7919 % entries, length, p);
    }
    report(one, round, length, operation, began);
}

static void measure(subject *one, unsigned round, apr_size_t length,
                    apr_pool_t *p)
{
    stopwatch began;

    measure_puts(one, round, length, p);
    measure_look_ups(one, round, length, ETG_STORE_NEAREST, "look-up", p);
    if (one->is_tiered) {
        measure_look_ups(one, round, length, ETG_STORE_SHARED,
                         "look-up, shared", p);
    }
    began = now_us();
    for (unsigned n = 0; n < entries; n++) {
        apr_pool_clear(p);
        read_body(one, n * 7919 % entries, length, p);
    }
    report(one, round, length, "entity", began);
    measure_gets(one, round, length, "get, first time", p);
    measure_gets(one, round, length, "get", p);
}
