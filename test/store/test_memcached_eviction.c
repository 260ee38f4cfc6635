/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memcached_eviction.c: bodies that go while they are read.
 *
 *   test_memcached_eviction [bodies]     (100; test/run --all: 1,000)
 *
 * Two stores, as two machines would have, and two threads on each write and
 * read random bodies of 1 B to 5 MB on one server of 16 MB, where most of
 * them push others out. What comes back must be the body asked for, whole;
 * that there are hits, misses and evictions is checked as well, so that the
 * test cannot pass for want of trying.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/store_memcached/memcached_entity.h"
#include "server_rig.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define LONGEST 5000000u
#define BODIES_MAX 100000u
#define STEP 4099u               /* between two bodies' beginnings */
#define FIELD ((8u << 20) + LONGEST)
#define STORES 2
#define THREADS 4
#define READS 6

typedef struct body_row {
    etg_entity_id id;
    _Atomic int is_known;        /* id is set */
} body_row;

typedef struct worker {
    pthread_t thread;
    store_rig *rig;
    apr_uint64_t random;
    unsigned hits;
    unsigned misses;
    unsigned read_failures;
    unsigned writes;
    unsigned dropped;
    unsigned wrong;
} worker;

static store_rig rigs[STORES];
static test_server server;
static unsigned char *field;     /* random; a body is a part of it */
static body_row *rows;
static unsigned body_count = 100;
static _Atomic unsigned body_next;

static apr_uint64_t random_next(apr_uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Half of them of any length, half of any order of magnitude. */
static apr_size_t length_of(unsigned n)
{
    apr_uint64_t h = (n + 1) * 0x9e3779b97f4a7c15ull;
    apr_size_t most = LONGEST;

    random_next(&h);
    if (n % 2 == 1) {
        most >>= h % 22;
    }
    random_next(&h);
    return 1 + h % most;
}

static const unsigned char *bytes_of(unsigned n)
{
    return field + (apr_size_t)n * STEP % (8u << 20);
}

static void write_one(worker *w, unsigned n)
{
    const etg_store_provider *provider = w->rig->provider;
    apr_size_t length = length_of(n);
    apr_size_t piece = 1 + random_next(&w->random) % 300000;
    etg_entity_writer *writer;
    etg_entity_id id;
    apr_size_t at;
    apr_pool_t *p;
    apr_status_t rv;

    apr_pool_create(&p, NULL);
    rv = provider->entity_begin(w->rig->store,
                                n % 3 == 0 ? (apr_int64_t)length : -1, p,
                                &writer);
    for (at = 0; at < length && rv == APR_SUCCESS; at += piece) {
        rv = provider->entity_append(writer, bytes_of(n) + at,
                                     length - at < piece ? length - at
                                                         : piece);
    }
    if (rv == APR_SUCCESS) {
        rv = provider->entity_finish(writer, apr_time_now()
                                             + apr_time_from_sec(3600), &id);
    }
    if (rv == APR_SUCCESS && !atomic_load(&rows[n].is_known)) {
        rows[n].id = id;
        atomic_store(&rows[n].is_known, 1);
    }
    w->writes++;
    w->dropped += rv != APR_SUCCESS;
    apr_pool_destroy(p);
}

static void read_one(worker *w, unsigned n)
{
    apr_size_t length = length_of(n);
    etg_store_answer answer = ETG_STORE_MISS;
    etg_entity entity;
    apr_pool_t *p;
    apr_status_t rv;

    if (!atomic_load(&rows[n].is_known)) {
        return;
    }
    apr_pool_create(&p, NULL);
    rv = w->rig->provider->entity_read(w->rig->store, &rows[n].id, length, p,
                                       &answer, &entity);
    if (rv != APR_SUCCESS) {
        w->read_failures++;
    }
    else if (answer == ETG_STORE_MISS) {
        w->misses++;
    }
    else if (entity.length != length || entity.bytes == NULL
             || memcmp(entity.bytes, bytes_of(n), length) != 0) {
        w->wrong++;
    }
    else {
        w->hits++;
    }
    apr_pool_destroy(p);
}

/* Now and then an equal body is written again, while others read it. A body
 * that two write at once has one id, so nothing is torn by the table. */
static void *work(void *data)
{
    worker *w = data;
    unsigned n;
    unsigned i;

    while ((n = atomic_fetch_add(&body_next, 1)) < body_count) {
        write_one(w, n);
        for (i = 0; i < READS; i++) {
            unsigned back = (unsigned)(random_next(&w->random)
                                       % (i < READS - 1 ? 8 : n + 1));
            unsigned which = back > n ? 0 : n - back;

            read_one(w, which);
            if (i == 0 && which % 5 == 0
                && atomic_load(&rows[which].is_known)) {
                write_one(w, which);
            }
        }
    }
    return NULL;
}

static void field_fill(void)
{
    apr_uint64_t state = 42;
    apr_size_t i;

    field = malloc(FIELD);
    rows = calloc(body_count, sizeof(*rows));
    ck_assert(field != NULL && rows != NULL);
    for (i = 0; i < FIELD; i++) {
        field[i] = (unsigned char)(random_next(&state) >> 32);
    }
}

static apr_uint64_t counted(const char *name)
{
    return rig_counter(&rigs[0], name) + rig_counter(&rigs[1], name);
}

START_TEST(bodies_that_are_evicted_while_they_are_read_are_whole_or_missing)
{
    worker workers[THREADS];
    worker sum;
    char query[100];
    unsigned i;

    memset(&sum, 0, sizeof(sum));
    memset(workers, 0, sizeof(workers));
    field_fill();
    server_start(&server, 16);
    snprintf(query, sizeof(query), "//127.0.0.1:%d/test?timeout=2s&"
             "connect-timeout=2s", server.port);
    for (i = 0; i < STORES; i++) {
        rig_init(&rigs[i], &etg_memcached_provider, query);
        rig_open(&rigs[i]);
    }
    for (i = 0; i < THREADS; i++) {
        workers[i].rig = &rigs[i % STORES];
        workers[i].random = i + 1;
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work,
                                        &workers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        sum.hits += workers[i].hits;
        sum.misses += workers[i].misses;
        sum.read_failures += workers[i].read_failures;
        sum.writes += workers[i].writes;
        sum.dropped += workers[i].dropped;
        sum.wrong += workers[i].wrong;
    }
    printf("%u bodies, %u writes (%u dropped), %u hits, %u misses, %u "
           "failed reads, %u wrong; torn %" APR_UINT64_T_FMT ", refused %"
           APR_UINT64_T_FMT ", evicted %" APR_UINT64_T_FMT "\n", body_count,
           sum.writes, sum.dropped, sum.hits, sum.misses, sum.read_failures,
           sum.wrong, counted("torn_bodies"), counted("refused_items"),
           server_stat(&server, "evictions"));
    ck_assert_uint_eq(sum.wrong, 0);
    ck_assert_uint_gt(sum.hits, 0);
    ck_assert_uint_gt(sum.misses, 0);
    ck_assert_uint_gt(server_stat(&server, "evictions"), 0);
    for (i = 0; i < STORES; i++) {
        rig_end(&rigs[i]);
    }
    server_kill(&server);
    free(field);
    free(rows);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("memcached_eviction");
    TCase *cases = tcase_create("eviction");

    if (!server_is_installed()) {
        printf("memcached is missing (apt install memcached)\n");
        return 77;
    }
    body_count = argc > 1 ? (unsigned)atoi(argv[1]) : body_count;
    if (body_count == 0 || body_count > BODIES_MAX) {
        printf("1 to %u bodies\n", BODIES_MAX);
        return EXIT_FAILURE;
    }
    tcase_set_timeout(cases, 900);
    tcase_add_test(cases,
        bodies_that_are_evicted_while_they_are_read_are_whole_or_missing);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
