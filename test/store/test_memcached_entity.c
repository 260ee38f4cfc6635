/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memcached_entity.c: bodies on live memcached servers: whole ones come
 * back byte for byte, and nothing else ever does.
 *
 * Two servers, so that a manifest and its chunks are mostly apart.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/entity_digest.h"
#include "server_rig.h"
#include "modules/store_memcached/memcached_entity.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define SINGLE ETG_MEMCACHED_SINGLE_MAX
#define CHUNK ETG_MEMCACHED_CHUNK_BYTES
#define LONG_BODY 20000001u
#define SERVERS 2

static store_rig rig;
static test_server servers[SERVERS];
static apr_pool_t *pool;

static void set_up(void)
{
    char query[200];
    unsigned i;

    for (i = 0; i < SERVERS; i++) {
        server_start(&servers[i], 64);
    }
    /* Nothing here is about time; a busy machine must not fail it. */
    snprintf(query, sizeof(query), "//127.0.0.1:%d,127.0.0.1:%d/test?"
             "timeout=5s&connect-timeout=5s", servers[0].port,
             servers[1].port);
    rig_init(&rig, &etg_memcached_provider, query);
    rig_open(&rig);
    apr_pool_create(&pool, NULL);
}

static void tear_down(void)
{
    unsigned i;

    apr_pool_destroy(pool);
    rig_end(&rig);
    for (i = 0; i < SERVERS; i++) {
        server_kill(&servers[i]);
    }
}

/* The keys of a kind ('e' or 'k'), wherever they are; *on: on which server
 * the last ones are. */
static apr_array_header_t *keys(char letter, test_server **on)
{
    const char *prefix = apr_psprintf(pool, "test:1%c:", letter);
    apr_array_header_t *rows = NULL;
    unsigned i;

    for (i = 0; i < SERVERS; i++) {
        apr_array_header_t *some = server_keys(&servers[i], prefix, pool);

        if (some->nelts > 0 && on != NULL) {
            *on = &servers[i];
        }
        rows = rows == NULL ? some : apr_array_append(pool, rows, some);
    }
    return rows;
}

static const char *key_at(const apr_array_header_t *rows, int at)
{
    return APR_ARRAY_IDX(rows, at, server_key_row).key;
}

typedef struct wanted {
    char letter;
    int count;
    apr_array_header_t *rows;
    test_server *on;
} wanted;

static int is_wanted(void *baton)
{
    wanted *w = baton;

    w->rows = keys(w->letter, &w->on);
    return w->rows->nelts == w->count;
}

/* Just so many keys, and the server that has them. A server that moves items
 * between its lists may leave some out of a listing, so it is asked again. */
static apr_array_header_t *all(char letter, int count, test_server **on)
{
    wanted w = { letter, count, NULL, NULL };

    ck_assert_msg(rig_poll(is_wanted, &w), "%d of %c, not %d", w.rows->nelts,
                  letter, count);
    if (on != NULL) {
        *on = w.on;
    }
    return w.rows;
}

/* Stores body `n` and waits until it is there. */
static void put(unsigned n, apr_size_t length)
{
    ck_assert_int_eq(rig_body_put(&rig, n, length, NULL), APR_SUCCESS);
    rig_settle(&rig);
}

/* Stores body `n` in pieces of `piece` bytes until `expires_at`. */
static apr_status_t put_as(unsigned n, apr_size_t length, apr_size_t piece,
                           apr_int64_t expected, apr_time_t expires_at)
{
    unsigned char *bytes = rig_body(pool, n, length);
    etg_entity_writer *writer;
    etg_entity_id id;
    etg_entity_id digest;
    apr_size_t at;
    apr_status_t rv = rig.provider->entity_begin(rig.store, expected, pool,
                                                 &writer);

    for (at = 0; at < length && rv == APR_SUCCESS; at += piece) {
        rv = rig.provider->entity_append(writer, bytes + at,
                                         length - at < piece ? length - at
                                                             : piece);
    }
    if (rv == APR_SUCCESS) {
        rv = rig.provider->entity_finish(writer, expires_at, &id);
    }
    if (rv == APR_SUCCESS) {
        etg_sha256(bytes, length, digest.bytes);
        ck_assert_mem_eq(&id, &digest, sizeof(id));
        rig_settle(&rig);
    }
    return rv;
}

static const apr_size_t lengths[] = {
    0, 1, 8192, CHUNK, SINGLE - 1, SINGLE, SINGLE + 1, 2 * CHUNK + 1,
    3 * CHUNK, 3 * CHUNK + 1, 5000000, LONG_BODY
};

START_TEST(a_body_comes_back_byte_for_byte)
{
    apr_size_t length = lengths[_i];

    put((unsigned)_i, length);
    ck_assert(rig_body_has(&rig, (unsigned)_i, length));
    all('e', 1, NULL);
    all('k', length > SINGLE ? (int)((length + CHUNK - 1) / CHUNK) : 0, NULL);
}
END_TEST

START_TEST(a_body_of_known_length_comes_back_whatever_its_pieces_are)
{
    static const apr_size_t pieces[] = { 65536, 700001, LONG_BODY };
    apr_time_t soon = apr_time_now() + apr_time_from_sec(3600);
    unsigned i;

    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(put_as(i, LONG_BODY, pieces[i], LONG_BODY, soon),
                         APR_SUCCESS);
        ck_assert(rig_body_has(&rig, i, LONG_BODY));
        /* Announced wrongly, it is still what was appended. */
        ck_assert_int_eq(put_as(i + 10, 70000, pieces[i], LONG_BODY, soon),
                         APR_SUCCESS);
        ck_assert(rig_body_has(&rig, i + 10, 70000));
        ck_assert_int_eq(put_as(i + 20, SINGLE + 7, pieces[i], 12, soon),
                         APR_SUCCESS);
        ck_assert(rig_body_has(&rig, i + 20, SINGLE + 7));
    }
}
END_TEST

START_TEST(another_length_than_the_stored_one_is_a_miss)
{
    static const apr_size_t stored[] = { 1000, 2000000 };
    unsigned i;

    for (i = 0; i < 2; i++) {
        etg_store_answer answer = ETG_STORE_HIT;
        etg_entity entity;
        etg_entity_id id;

        ck_assert_int_eq(rig_body_put(&rig, i, stored[i], &id), APR_SUCCESS);
        rig_settle(&rig);
        ck_assert_int_eq(rig.provider->entity_read(rig.store, &id,
                                                   stored[i] - 1, pool,
                                                   &answer, &entity),
                         APR_SUCCESS);
        ck_assert_int_eq(answer, ETG_STORE_MISS);
    }
}
END_TEST

START_TEST(a_body_beyond_the_limit_is_refused_when_it_is_announced)
{
    etg_entity_writer *writer = NULL;

    ck_assert_int_eq(rig.provider->entity_begin(
                         rig.store, (apr_int64_t)ETG_MEMCACHED_BODY_MAX + 1,
                         pool, &writer), APR_ENOSPC);
    ck_assert_ptr_null(writer);
}
END_TEST

START_TEST(a_missing_chunk_makes_a_miss_and_the_body_can_be_stored_again)
{
    test_server *on = NULL;
    apr_array_header_t *rows;

    put(1, 5 * CHUNK);
    rows = all('k', 5, &on);
    server_delete(on, key_at(rows, 2 + _i));
    ck_assert(!rig_body_has(&rig, 1, 5 * CHUNK));
    ck_assert_uint_eq(rig_counter(&rig, "torn_bodies"), 1);
    rig_settle(&rig);
    all('e', 0, NULL);
    all('k', 0, NULL);
    put(1, 5 * CHUNK);
    ck_assert(rig_body_has(&rig, 1, 5 * CHUNK));
}
END_TEST

START_TEST(a_chunk_of_another_body_or_place_makes_a_miss)
{
    test_server *on = NULL;
    apr_array_header_t *first;
    apr_array_header_t *both;
    const char *target;
    const char *other = NULL;
    etg_bytes value = { NULL, 0 };
    int i;

    put(1, 4 * CHUNK);
    first = all('k', 4, &on);
    target = key_at(first, 1);
    if (_i == 0) {
        value = server_value(on, key_at(first, 2), pool);
    }
    else {
        /* The same bytes at the same place, in another generation. */
        test_server *there = NULL;

        put(2, 4 * CHUNK);
        both = all('k', 8, NULL);
        for (i = 0; i < both->nelts && other == NULL; i++) {
            if (strncmp(key_at(both, i), target, strlen("test:1k:") + 32)
                    != 0
                && strcmp(strrchr(key_at(both, i), ':'),
                          strrchr(target, ':')) == 0) {
                other = key_at(both, i);
            }
        }
        ck_assert_ptr_nonnull(other);
        for (i = 0; i < SERVERS && value.data == NULL; i++) {
            there = &servers[i];
            value = server_value(there, other, pool);
        }
    }
    ck_assert_ptr_nonnull(value.data);
    server_set(on, target, value);
    ck_assert(!rig_body_has(&rig, 1, 4 * CHUNK));
}
END_TEST

START_TEST(a_truncated_or_changed_chunk_makes_a_miss)
{
    test_server *on = NULL;
    apr_array_header_t *rows;
    unsigned char *bytes;
    etg_bytes value;

    put(1, 4 * CHUNK - 7);
    rows = all('k', 4, &on);
    value = server_value(on, key_at(rows, 3), pool);
    ck_assert_ptr_nonnull(value.data);
    bytes = apr_pmemdup(pool, value.data, value.length);
    value.data = bytes;
    switch (_i) {
    case 0: value.length--; break;
    case 1: value.length = 0; break;
    case 2: value.length /= 2; break;
    default: bytes[value.length / 2] ^= 1; break;
    }
    server_set(on, key_at(rows, 3), value);
    ck_assert(!rig_body_has(&rig, 1, 4 * CHUNK - 7));
}
END_TEST

/* The generation that a chunk's text key names. */
static etg_memcached_generation generation_of(const char *text)
{
    etg_memcached_generation generation;
    unsigned i;

    text += strlen("test:1k:");
    for (i = 0; i < sizeof(generation.bytes); i++) {
        unsigned byte;

        ck_assert_int_eq(sscanf(text + 2 * i, "%2x", &byte), 1);
        generation.bytes[i] = (unsigned char)byte;
    }
    return generation;
}

START_TEST(a_chunk_of_another_length_makes_a_miss)
{
    static const apr_size_t made[] = { 1, CHUNK - 1, CHUNK + 1, SINGLE };
    etg_memcached_generation generation;
    etg_memcached_key key;
    test_server *on = NULL;
    apr_array_header_t *rows;
    etg_bytes bytes;
    etg_bytes item;

    put(1, 4 * CHUNK);
    rows = all('k', 4, &on);
    generation = generation_of(key_at(rows, 3));
    etg_memcached_key_of_chunk(&key, "test", &generation, 3);
    ck_assert_str_eq(key.text, key_at(rows, 3));
    bytes.data = rig_body(pool, 1, SINGLE);
    bytes.length = made[_i];
    ck_assert_int_eq(etg_memcached_chunk_pack(&generation, 3, bytes, &key,
                                              pool, &item), APR_SUCCESS);
    server_set(on, key.text, item);
    ck_assert(!rig_body_has(&rig, 1, 4 * CHUNK));
    ck_assert_uint_eq(rig_counter(&rig, "torn_bodies"), 1);
}
END_TEST

START_TEST(a_damaged_body_or_manifest_makes_a_miss_and_is_replaced)
{
    apr_size_t length = _i == 0 ? 5000 : 3 * CHUNK;
    test_server *on = NULL;
    apr_array_header_t *rows;
    unsigned char *bytes;
    etg_bytes value;

    put(1, length);
    rows = all('e', 1, &on);
    value = server_value(on, key_at(rows, 0), pool);
    bytes = apr_pmemdup(pool, value.data, value.length);
    bytes[value.length - 20] ^= 1;
    value.data = bytes;
    server_set(on, key_at(rows, 0), value);
    ck_assert(!rig_body_has(&rig, 1, length));
    ck_assert_uint_ge(rig_counter(&rig, "damaged_items"), 1);
    put(1, length);
    ck_assert(rig_body_has(&rig, 1, length));
}
END_TEST

START_TEST(a_writer_that_is_abandoned_leaves_nothing_to_read)
{
    apr_size_t length = 5000000;
    unsigned char *bytes = rig_body(pool, 1, length);
    etg_entity_writer *writer;
    apr_pool_t *request;

    apr_pool_create(&request, NULL);
    ck_assert_int_eq(rig.provider->entity_begin(rig.store, length, request,
                                                &writer), APR_SUCCESS);
    ck_assert_int_eq(rig.provider->entity_append(writer, bytes, length - 1),
                     APR_SUCCESS);
    rig_settle(&rig);
    all('k', 9, NULL);
    all('e', 0, NULL);
    if (_i == 0) {
        rig.provider->entity_abandon(writer);
    }
    apr_pool_destroy(request);
    rig_settle(&rig);
    all('k', 0, NULL);
    all('e', 0, NULL);
    ck_assert(!rig_body_has(&rig, 1, length));
}
END_TEST

/* When the first of just so many goes. */
static apr_int64_t expiry(char letter, int count)
{
    apr_array_header_t *rows = all(letter, count, NULL);
    apr_int64_t earliest = APR_INT64_MAX;
    int i;

    for (i = 0; i < rows->nelts; i++) {
        apr_int64_t at = APR_ARRAY_IDX(rows, i, server_key_row).expires_s;

        ck_assert_int_gt(at, 0);
        earliest = at < earliest ? at : earliest;
    }
    return earliest;
}

START_TEST(an_equal_body_is_used_again_and_lives_as_long_as_the_longer_wants)
{
    apr_size_t length = _i == 0 ? 3000 : 3 * CHUNK + 1;
    apr_time_t now = apr_time_now();
    apr_time_t early = now + apr_time_from_sec(100);
    apr_time_t late = now + apr_time_from_sec(90000);
    int chunks = _i == 0 ? 0 : 4;
    const char *first;

    ck_assert_int_eq(put_as(1, length, 65536, -1, late), APR_SUCCESS);
    first = chunks > 0 ? key_at(all('k', chunks, NULL), 0) : "";
    ck_assert_int_ge(expiry('e', 1), apr_time_sec(late));
    ck_assert_int_ge(expiry('k', chunks), apr_time_sec(late));
    ck_assert_int_eq(put_as(1, length, 65536, -1, early), APR_SUCCESS);
    ck_assert_int_ge(expiry('e', 1), apr_time_sec(late));
    ck_assert_int_ge(expiry('k', chunks), apr_time_sec(late));
    ck_assert_int_eq(put_as(1, length, 65536, -1, 2 * late - now),
                     APR_SUCCESS);
    ck_assert_int_ge(expiry('e', 1), apr_time_sec(2 * late - now));
    ck_assert_int_ge(expiry('k', chunks), apr_time_sec(2 * late - now));
    if (chunks > 0) {
        ck_assert_str_eq(first, key_at(all('k', chunks, NULL), 0));
    }
    ck_assert(rig_body_has(&rig, 1, length));
}
END_TEST

START_TEST(a_body_that_has_expired_is_not_kept)
{
    apr_size_t length = _i == 0 ? 3000 : 3 * CHUNK + 1;

    ck_assert_int_eq(put_as(1, length, 65536, -1,
                            apr_time_now() - apr_time_from_sec(60)),
                     APR_SUCCESS);
    all('e', 0, NULL);
    all('k', 0, NULL);
}
END_TEST

START_TEST(servers_that_come_back_empty_have_no_body)
{
    etg_store_answer answer;
    unsigned i;

    put(1, 2000000);
    put(2, 2000);
    for (i = 0; i < SERVERS; i++) {
        server_restart(&servers[i]);
    }
    ck_assert(!rig_body_has(&rig, 1, 2000000));
    ck_assert(!rig_body_has(&rig, 2, 2000));
    for (i = 0; i < SERVERS; i++) {
        server_kill(&servers[i]);
    }
    answer = ETG_STORE_HIT;
    ck_assert_int_ne(rig_body_get(&rig, 1, 2000000, &answer), APR_SUCCESS);
    ck_assert_int_ne(rig_body_get(&rig, 2, 2000, &answer), APR_SUCCESS);
}
END_TEST

START_TEST(servers_killed_between_chunks_leave_no_part_of_the_body)
{
    apr_size_t length = 10000000;
    unsigned char *bytes = rig_body(pool, 1, length);
    etg_entity_writer *writer;
    etg_entity_id id;
    apr_status_t rv;
    unsigned i;

    ck_assert_int_eq(rig.provider->entity_begin(rig.store, -1, pool, &writer),
                     APR_SUCCESS);
    rv = rig.provider->entity_append(writer, bytes, length / 2);
    ck_assert_int_eq(rv, APR_SUCCESS);
    rig_settle(&rig);
    all('k', 9, NULL);
    for (i = 0; i < SERVERS; i++) {
        server_restart(&servers[i]);
    }
    rv = rig.provider->entity_append(writer, bytes + length / 2, length / 2);
    if (rv == APR_SUCCESS) {
        rv = rig.provider->entity_finish(writer, apr_time_now()
                                                 + apr_time_from_sec(3600),
                                         &id);
    }
    rig.provider->entity_abandon(writer);
    rig_settle(&rig);
    ck_assert(!rig_body_has(&rig, 1, length));
    all('e', 0, NULL);
    put(1, length);
    ck_assert(rig_body_has(&rig, 1, length));
}
END_TEST

START_TEST(a_server_that_goes_while_it_is_read_gives_no_part_of_the_body)
{
    static const apr_size_t budgets[] = {
        10, 200, CHUNK / 2, 3 * CHUNK, 3 * CHUNK + 2000, 5 * CHUNK
    };
    apr_size_t length = 5 * CHUNK;
    etg_store_answer answer = ETG_STORE_MISS;
    store_rig direct;
    store_rig relayed;
    char query[100];
    apr_status_t rv;
    int port;
    pid_t pid;

    snprintf(query, sizeof(query), "//127.0.0.1:%d/test?timeout=5s",
             servers[0].port);
    rig_init(&direct, &etg_memcached_provider, query);
    rig_open(&direct);
    ck_assert_int_eq(rig_body_put(&direct, 1, length, NULL), APR_SUCCESS);
    rig_settle(&direct);
    pid = server_relay_start(&servers[0], budgets[_i], &port);
    snprintf(query, sizeof(query), "//127.0.0.1:%d/test?timeout=5s", port);
    rig_init(&relayed, &etg_memcached_provider, query);
    rig_open(&relayed);
    rv = rig_body_get(&relayed, 1, length, &answer);
    ck_assert_msg(rv != APR_SUCCESS && answer != ETG_STORE_HIT,
                  "status %d, answer %d", rv, (int)answer);
    /* That was the connection's fault, not the body's. */
    ck_assert(rig_body_has(&direct, 1, length));
    rig_end(&relayed);
    rig_end(&direct);
    waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(a_frozen_server_ends_the_reading)
{
    etg_store_answer answer = ETG_STORE_MISS;
    store_rig hasty;
    char query[100];

    snprintf(query, sizeof(query), "//127.0.0.1:%d/test?timeout=50ms",
             servers[0].port);
    rig_init(&hasty, &etg_memcached_provider, query);
    rig_open(&hasty);
    ck_assert_int_eq(rig_body_put(&hasty, 1, 3 * CHUNK, NULL), APR_SUCCESS);
    server_freeze(&servers[0]);
    ck_assert_int_ne(rig_body_get(&hasty, 1, 3 * CHUNK, &answer),
                     APR_SUCCESS);
    ck_assert_int_ne(answer, ETG_STORE_HIT);
    server_thaw(&servers[0]);
    rig_end(&hasty);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memcached_entity");
    TCase *cases = tcase_create("bodies");

    if (!server_is_installed()) {
        printf("memcached is missing (apt install memcached)\n");
        return 77;
    }
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, a_body_comes_back_byte_for_byte, 0,
                        sizeof(lengths) / sizeof(lengths[0]));
    tcase_add_test(cases,
        a_body_of_known_length_comes_back_whatever_its_pieces_are);
    tcase_add_test(cases, another_length_than_the_stored_one_is_a_miss);
    tcase_add_test(cases,
        a_body_beyond_the_limit_is_refused_when_it_is_announced);
    tcase_add_loop_test(cases,
        a_missing_chunk_makes_a_miss_and_the_body_can_be_stored_again, 0, 3);
    tcase_add_loop_test(cases, a_chunk_of_another_body_or_place_makes_a_miss,
                        0, 2);
    tcase_add_loop_test(cases, a_truncated_or_changed_chunk_makes_a_miss, 0,
                        4);
    tcase_add_loop_test(cases, a_chunk_of_another_length_makes_a_miss, 0, 4);
    tcase_add_loop_test(cases,
        a_damaged_body_or_manifest_makes_a_miss_and_is_replaced, 0, 2);
    tcase_add_loop_test(cases,
        a_writer_that_is_abandoned_leaves_nothing_to_read, 0, 2);
    tcase_add_loop_test(cases,
        an_equal_body_is_used_again_and_lives_as_long_as_the_longer_wants, 0,
        2);
    tcase_add_loop_test(cases, a_body_that_has_expired_is_not_kept, 0, 2);
    tcase_add_test(cases, servers_that_come_back_empty_have_no_body);
    tcase_add_test(cases,
        servers_killed_between_chunks_leave_no_part_of_the_body);
    tcase_add_loop_test(cases,
        a_server_that_goes_while_it_is_read_gives_no_part_of_the_body, 0, 6);
    tcase_add_test(cases, a_frozen_server_ends_the_reading);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
