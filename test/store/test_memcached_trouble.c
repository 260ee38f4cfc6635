/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memcached_trouble.c: the memcached store while servers are lost,
 * frozen or restarted, and while others write to them.
 *
 * Time limits here are far beyond the store's own: they tell "in time" from
 * "for ever", not how fast it was.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "modules/store_memcached/memcached_store.h"
#include "server_rig.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define WAIT apr_time_from_sec(20)
#define FAR apr_time_from_sec(4000000000ll)
#define SOON apr_time_from_sec(5)
#define PATIENT "?timeout=5s&connect-timeout=5s"
#define DAY 86400

static store_rig rig;
static test_server servers[3];
static unsigned server_count;

/* A store on so many new servers. */
static void begin_on(unsigned count, const char *parameters)
{
    char query[300] = "//";
    server_count = count;
    for (unsigned i = 0; i < count; i++) {
        server_start(&servers[i], 64);
        sprintf(query + strlen(query), "%s127.0.0.1:%d", i > 0 ? "," : "",
                servers[i].port);
    }
    sprintf(query + strlen(query), "/test%s", parameters);
    rig_init(&rig, &etg_memcached_provider, query);
    rig_open(&rig);
}

static void end(void)
{
    rig_end(&rig);
    for (unsigned i = 0; i < server_count; i++) {
        server_kill(&servers[i]);
    }
}

static apr_status_t ask(unsigned n, etg_store_answer *answer)
{
    *answer = ETG_STORE_MISS;
    return rig_get(&rig, n, answer, NULL);
}

static int is_heard(void *baton)
{
    etg_store_answer answer;
    return ask(*(unsigned *)baton, &answer) == APR_SUCCESS;
}

static int is_put(void *baton)
{
    unsigned n = *(unsigned *)baton;
    etg_store_answer answer;
    return is_heard(baton) && rig_put(&rig, n, n, 200, WAIT) == APR_SUCCESS
           && ask(n, &answer) == APR_SUCCESS && answer == ETG_STORE_HIT;
}

/* Writes until it is there. */
static void put(unsigned n)
{
    ck_assert_msg(rig_poll(is_put, &n), "key %u\n%s", n, rig.log);
}

static int is_open_breaker(void *baton)
{
    etg_store_answer answer;
    apr_status_t rv = ask(*(unsigned *)baton, &answer);
    ck_assert_int_ne(rv, APR_SUCCESS);
    return rv == ETG_STORE_OPEN_BREAKER;
}

static unsigned times_logged(const char *text)
{
    unsigned count = 0;
    for (const char *at = strstr(rig.log, text); at != NULL;
         at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

static const char *primary_text(unsigned n)
{
    static etg_memcached_key key;
    etg_store_key primary = rig_key(n, 'p');
    etg_memcached_key_of_primary(&key, "test", &primary);
    return key.text;
}

/* Appends a byte to what is there; the baton says for how long. */
static apr_status_t append(etg_store_write *write, etg_bytes old,
                           apr_pool_t *scratch, etg_bytes *fresh,
                           apr_time_t *expires_at)
{
    unsigned char *bytes = apr_palloc(scratch, old.length + 1);
    if (old.length > 0) {
        memcpy(bytes, old.data, old.length);
    }
    bytes[old.length] = 'x';
    fresh->data = bytes;
    fresh->length = old.length + 1;
    *expires_at = *(apr_time_t *)write->baton;
    return APR_SUCCESS;
}

static apr_status_t change_by(store_rig *mine, unsigned n,
                              etg_store_update *update,
                              apr_time_t expires_at)
{
    apr_pool_t *pool;
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
    write->pool = pool;
    write->primary_key = rig_key(n, 'p');
    write->update = update;
    write->baton = apr_pmemdup(pool, &expires_at, sizeof(expires_at));
    return mine->provider->meta_write(mine->store, write, WAIT);
}

START_TEST(what_lives_longer_than_thirty_days_expires_when_it_should)
{
    static const int days[] = { 1, 29, 31, 400 };
    begin_on(1, PATIENT);
    for (unsigned i = 0; i < 4; i++) {
        apr_time_t at = apr_time_now() + apr_time_from_sec(days[i] * DAY);
        ck_assert_int_eq(change_by(&rig, i, append, at), APR_SUCCESS);
        apr_array_header_t *rows = server_keys(&servers[0], primary_text(i),
                                               rig.p);
        ck_assert_int_eq(rows->nelts, 1);
        apr_int64_t off = APR_ARRAY_IDX(rows, 0, server_key_row).expires_s
                          - apr_time_sec(at);
        ck_assert_msg(off >= -5 && off <= 5, "%d days: off by %ld s", days[i],
                      (long)off);
    }
    end();
}
END_TEST

#define APPENDS 150u

static void *appender(void *data)
{
    for (unsigned i = 0; i < APPENDS; i++) {
        ck_assert_int_eq(change_by(data, 1, append, FAR), APR_SUCCESS);
    }
    return NULL;
}

static apr_status_t choose_length(void *baton, etg_bytes primary,
                                  etg_store_key *next)
{
    (void)next;
    *(apr_size_t *)baton = primary.length;
    return APR_NOTFOUND;
}

START_TEST(two_stores_that_change_one_primary_lose_nothing)
{
    store_rig other;
    pthread_t threads[2];
    etg_store_key key = rig_key(1, 'p');
    etg_store_found found;
    apr_size_t length = 0;
    begin_on(1, PATIENT);
    rig_beside(&other, &rig, strchr(rig.uri, ':') + 1);
    rig_open(&other);
    pthread_create(&threads[0], NULL, appender, &rig);
    pthread_create(&threads[1], NULL, appender, &other);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_int_eq(rig.provider->meta_lookup(rig.store, &key, choose_length,
                                               &length, ETG_STORE_NEAREST,
                                               rig.p, &found), APR_SUCCESS);
    ck_assert_uint_eq(length, 2 * APPENDS);
    rig_close(&other);
    end();
}
END_TEST

/* Whatever becomes of the response beside it: it was there to be marked. */
START_TEST(a_mark_that_has_no_room_beside_a_response_takes_its_place)
{
    unsigned n = 1;
    apr_size_t length = ETG_MEMCACHED_ITEM_MAX;
    begin_on(1, PATIENT);
    while (!rig_has(&rig, n)) {
        ck_assert_uint_gt(length -= 10, ETG_MEMCACHED_ITEM_MAX / 2);
        rig_put(&rig, n, n, length, WAIT);
    }
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(change_by(&rig, n, append, FAR), APR_SUCCESS);
    }
    ck_assert(!rig_has(&rig, n));
    end();
}
END_TEST

/* A primary record of which nothing can be changed any more. */
static apr_status_t overgrow(etg_store_write *write, etg_bytes old,
                             apr_pool_t *scratch, etg_bytes *fresh,
                             apr_time_t *expires_at)
{
    ck_assert_ptr_nonnull(old.data);
    fresh->data = apr_pcalloc(scratch, ETG_MEMCACHED_ITEM_MAX);
    fresh->length = ETG_MEMCACHED_ITEM_MAX;
    *expires_at = *(apr_time_t *)write->baton;
    return APR_SUCCESS;
}

START_TEST(a_mark_that_has_no_room_at_all_removes_and_says_so)
{
    unsigned n = 1;
    begin_on(1, PATIENT);
    put(n);
    ck_assert_int_eq(change_by(&rig, n, overgrow, FAR), APR_ENOSPC);
    ck_assert(!rig_has(&rig, n));
    put(n);
    end();
}
END_TEST

START_TEST(foreign_bytes_under_our_keys_are_misses)
{
    static char zeros[1000000];
    const etg_bytes foreign[] = {
        { (const unsigned char *)"", 0 },
        { (const unsigned char *)"x", 1 },
        { (const unsigned char *)"O:8:\"stdClass\":0:{}", 19 },
        { (const unsigned char *)zeros, 100 },
        { (const unsigned char *)zeros, sizeof(zeros) }
    };
    etg_memcached_key clock;
    etg_store_found found;
    begin_on(1, PATIENT);
    etg_memcached_key_of_clock(&clock, "test");
    for (unsigned i = 0; i < 5; i++) {
        put(i);
        server_set(&servers[0], primary_text(i), foreign[i]);
        ck_assert(!rig_has(&rig, i));
        put(i);
        server_set(&servers[0], clock.text, foreign[i]);
        ck_assert_int_eq(rig_look(&rig, i, ETG_STORE_NEAREST, &found),
                         APR_SUCCESS);
        ck_assert_int_eq(found.answer, ETG_STORE_HIT);
        ck_assert_int_eq(found.mark, ETG_STORE_MARK_INVALID);
    }
    end();
}
END_TEST

/* One key's item under another's key, as a broken proxy might answer. */
START_TEST(anothers_item_under_our_key_is_a_miss)
{
    begin_on(1, PATIENT);
    put(1);
    put(2);
    etg_bytes anothers = server_value(&servers[0], primary_text(1), rig.p);
    ck_assert_uint_gt(anothers.length, 0);
    server_set(&servers[0], primary_text(2), anothers);
    ck_assert(!rig_has(&rig, 2));
    ck_assert(rig_has(&rig, 1));
    end();
}
END_TEST

START_TEST(a_server_that_restarted_is_empty_and_of_use)
{
    unsigned n = 1;
    begin_on(1, PATIENT);
    put(n);
    etg_store_moment before = rig_moment(&rig, n);
    server_restart(&servers[0]);
    ck_assert(rig_poll(is_heard, &n));
    ck_assert(!rig_has(&rig, n));
    /* What was being fetched meanwhile may have been purged unheard. */
    etg_store_found found;
    ck_assert_int_eq(rig_put_tagged(&rig, n, 1, 200, WAIT, &before, NULL, 0),
                     APR_SUCCESS);
    ck_assert_int_eq(rig_look(&rig, n, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_INVALID);
    put(n);
    end();
}
END_TEST

START_TEST(a_lost_server_fails_then_opens_the_breaker_until_it_is_back)
{
    unsigned n = 1;
    etg_store_answer answer;
    begin_on(1, "");
    put(n);
    server_kill(&servers[0]);
    ck_assert_int_ne(ask(n, &answer), APR_SUCCESS);
    ck_assert(rig_poll(is_open_breaker, &n));
    ck_assert_int_eq(rig_put(&rig, n, 1, 200, WAIT), ETG_STORE_OPEN_BREAKER);
    server_restart(&servers[0]);
    ck_assert_msg(rig_poll(is_heard, &n), "%s", rig.log);
    put(n);
    ck_assert_uint_eq(times_logged("ETG0401"), times_logged("ETG0402"));
    ck_assert_uint_eq(times_logged("ETG0401"),
                      rig_counter(&rig, "breakers_opened"));
    end();
}
END_TEST

START_TEST(a_frozen_server_costs_a_timeout_then_nothing)
{
    unsigned n = 1;
    etg_store_answer answer;
    begin_on(1, "");
    put(n);
    server_freeze(&servers[0]);
    apr_time_t began = apr_time_now();
    ck_assert_int_ne(ask(n, &answer), APR_SUCCESS);
    ck_assert(rig_poll(is_open_breaker, &n));
    ck_assert_int_lt(apr_time_now() - began, SOON);
    apr_uint64_t failed = rig_counter(&rig, "failed_calls");
    apr_uint64_t probes = rig_counter(&rig, "probes");
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert_int_eq(ask(n, &answer), ETG_STORE_OPEN_BREAKER);
    }
    /* No request was a probe. */
    ck_assert_uint_le(rig_counter(&rig, "failed_calls") - failed,
                      rig_counter(&rig, "probes") - probes + 1);
    server_thaw(&servers[0]);
    ck_assert_msg(rig_poll(is_heard, &n), "%s", rig.log);
    ck_assert(rig_has(&rig, n));
    end();
}
END_TEST

static int are_dropped(void *baton)
{
    return rig_counter(&rig, "dropped_writes") >= *(apr_uint64_t *)baton;
}

START_TEST(what_was_queued_for_a_server_that_fell_silent_waits_for_it_once)
{
    begin_on(1, "?timeout=500ms");
    put(1);
    apr_uint64_t failed = rig_counter(&rig, "failed_calls");
    apr_uint64_t dropped = rig_counter(&rig, "dropped_writes") + 5;
    server_freeze(&servers[0]);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(rig_body_put(&rig, i, 3000, NULL), APR_SUCCESS);
    }
    ck_assert_msg(rig_poll(are_dropped, &dropped), "%s", rig.log);
    ck_assert_uint_eq(rig_counter(&rig, "failed_calls") - failed, 1);
    server_thaw(&servers[0]);
    end();
}
END_TEST

START_TEST(a_server_that_is_down_at_the_start_is_found_later)
{
    unsigned n = 1;
    char query[300];
    server_start(&servers[0], 64);
    server_count = 1;
    server_kill(&servers[0]);
    sprintf(query, "//127.0.0.1:%d/test", servers[0].port);
    rig_init(&rig, &etg_memcached_provider, query);
    rig_open(&rig);
    ck_assert(rig_poll(is_open_breaker, &n));
    server_restart(&servers[0]);
    put(n);
    end();
}
END_TEST

START_TEST(a_name_is_resolved)
{
    unsigned n = 1;
    char query[300];
    server_start(&servers[0], 64);
    server_count = 1;
    sprintf(query, "//localhost:%d/test", servers[0].port);
    rig_init(&rig, &etg_memcached_provider, query);
    rig_open(&rig);
    put(n);
    end();
}
END_TEST

#define KEYS 300u

START_TEST(of_three_servers_one_lost_takes_its_keys_and_no_others)
{
    etg_store_answer answer;
    unsigned lost = 0;
    char was_lost[KEYS];
    begin_on(3, PATIENT);
    for (unsigned n = 0; n < KEYS; n++) {
        put(n);
    }
    server_kill(&servers[1]);
    for (unsigned n = 0; n < KEYS; n++) {
        apr_status_t rv = ask(n, &answer);
        was_lost[n] = rv != APR_SUCCESS;
        lost += rv != APR_SUCCESS;
        ck_assert(rv != APR_SUCCESS || answer == ETG_STORE_HIT);
    }
    ck_assert_uint_gt(lost, KEYS / 6);
    ck_assert_uint_lt(lost, KEYS / 2);
    server_restart(&servers[1]);
    for (unsigned n = 0; n < KEYS; n++) {
        ck_assert_msg(rig_poll(is_heard, &n), "key %u\n%s", n, rig.log);
        ck_assert_int_eq(rig_has(&rig, n), !was_lost[n]);
    }
    end();
}
END_TEST

typedef struct purged {
    unsigned n;
    etg_store_mark mark;
} purged;

static int is_purged(void *baton)
{
    purged *wanted = baton;
    etg_store_found found;
    return rig_look(&rig, wanted->n, ETG_STORE_NEAREST, &found) == APR_SUCCESS
           && found.answer == ETG_STORE_HIT && found.mark == wanted->mark;
}

START_TEST(a_purge_reaches_a_server_that_was_away)
{
    static const etg_store_tag tag = 77;
    unsigned moved = 0;
    begin_on(3, "");
    for (unsigned n = 0; n < 30; n++) {
        put(n);
        etg_store_moment moment = rig_moment(&rig, n);
        ck_assert_int_eq(rig_put_tagged(&rig, n, 1, 200, WAIT, &moment, &tag,
                                        1), APR_SUCCESS);
    }
    server_freeze(&servers[2]);
    ck_assert_int_ne(rig.provider->mark(rig.store, &tag, 1,
                                        ETG_STORE_MARK_INVALID, WAIT, &moved),
                     APR_SUCCESS);
    ck_assert_uint_eq(moved, 1);
    server_thaw(&servers[2]);
    for (unsigned n = 0; n < 30; n++) {
        purged wanted = { n, ETG_STORE_MARK_INVALID };
        ck_assert_msg(rig_poll(is_purged, &wanted), "key %u\n%s", n, rig.log);
    }
    end();
}
END_TEST

#define CREW 12u

static void *reader(void *data)
{
    store_rig mine = rig;
    unsigned n = *(unsigned *)data;
    etg_store_answer answer = ETG_STORE_MISS;
    apr_pool_create_unmanaged_ex(&mine.p, NULL, NULL);
    for (unsigned i = 0; i < 200; i++) {
        ck_assert_int_eq(rig_get(&mine, n, &answer, NULL), APR_SUCCESS);
        ck_assert_int_eq(answer, ETG_STORE_HIT);
    }
    apr_pool_destroy(mine.p);
    return NULL;
}

START_TEST(no_more_connections_are_made_than_the_pool_has)
{
    unsigned numbers[CREW];
    pthread_t threads[CREW];
    begin_on(1, PATIENT "&pool=3");
    for (unsigned i = 0; i < CREW; i++) {
        numbers[i] = i;
        put(i);
    }
    for (unsigned i = 0; i < CREW; i++) {
        pthread_create(&threads[i], NULL, reader, &numbers[i]);
    }
    for (unsigned i = 0; i < CREW; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_le(rig_counter(&rig, "connections"), 3);
    ck_assert_uint_le(rig_counter(&rig, "connects"), 3);
    end();
}
END_TEST

static void *impatient(void *data)
{
    store_rig mine = rig;
    etg_store_answer answer = ETG_STORE_MISS;
    apr_pool_create_unmanaged_ex(&mine.p, NULL, NULL);
    ck_assert_int_ne(rig_get(&mine, *(unsigned *)data, &answer, NULL),
                     APR_SUCCESS);
    apr_pool_destroy(mine.p);
    return NULL;
}

START_TEST(who_waits_for_a_connection_waits_as_long_as_a_call_at_most)
{
    unsigned numbers[CREW];
    pthread_t threads[CREW];
    begin_on(1, "?pool=1");
    put(1);
    server_freeze(&servers[0]);
    apr_time_t began = apr_time_now();
    for (unsigned i = 0; i < CREW; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, impatient, &numbers[i]);
    }
    for (unsigned i = 0; i < CREW; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_lt(apr_time_now() - began, SOON);
    end();
}
END_TEST

START_TEST(a_child_ends_soon_though_a_server_is_frozen)
{
    begin_on(1, "");
    put(1);
    server_freeze(&servers[0]);
    for (unsigned i = 0; i < 2000; i++) {
        change_by(&rig, i, append, FAR);
        if (times_logged("ETG0401") > 0) {
            break;
        }
    }
    apr_time_t began = apr_time_now();
    rig_close(&rig);
    ck_assert_int_lt(apr_time_now() - began, SOON);
    ck_assert_uint_eq(times_logged("ETG0409"), 0);
    end();
}
END_TEST

static Suite *trouble_suite(void)
{
    Suite *suite = suite_create("memcached in trouble");
    TCase *tcase = tcase_create("trouble");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase,
                   what_lives_longer_than_thirty_days_expires_when_it_should);
    tcase_add_test(tcase, two_stores_that_change_one_primary_lose_nothing);
    tcase_add_test(
        tcase, a_mark_that_has_no_room_beside_a_response_takes_its_place);
    tcase_add_test(tcase, a_mark_that_has_no_room_at_all_removes_and_says_so);
    tcase_add_test(tcase, foreign_bytes_under_our_keys_are_misses);
    tcase_add_test(tcase, anothers_item_under_our_key_is_a_miss);
    tcase_add_test(tcase, a_server_that_restarted_is_empty_and_of_use);
    tcase_add_test(tcase,
                   a_lost_server_fails_then_opens_the_breaker_until_it_is_back);
    tcase_add_test(tcase, a_frozen_server_costs_a_timeout_then_nothing);
    tcase_add_test(
        tcase,
        what_was_queued_for_a_server_that_fell_silent_waits_for_it_once);
    tcase_add_test(tcase, a_server_that_is_down_at_the_start_is_found_later);
    tcase_add_test(tcase, a_name_is_resolved);
    tcase_add_test(tcase,
                   of_three_servers_one_lost_takes_its_keys_and_no_others);
    tcase_add_test(tcase, a_purge_reaches_a_server_that_was_away);
    tcase_add_test(tcase, no_more_connections_are_made_than_the_pool_has);
    tcase_add_test(tcase,
                   who_waits_for_a_connection_waits_as_long_as_a_call_at_most);
    tcase_add_test(tcase, a_child_ends_soon_though_a_server_is_frozen);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    if (!server_is_installed()) {
        printf("memcached is not installed\n");
        return 77;
    }
    return run_suite(trouble_suite());
}
