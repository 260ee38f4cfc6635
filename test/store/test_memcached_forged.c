/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memcached_forged.c: items of the right form that no store of ours
 * would have written, as another tenant of the server may leave them. They
 * may cost fetches; they must not keep purges from working, nor responses
 * from being stored again.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "modules/store_memcached/memcached_store.h"
#include "server_rig.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define WAIT apr_time_from_sec(20)
#define N 1u
/* As readings of a clock. */
#define AT(time) ((apr_uint64_t)(time) << ETG_MEMCACHED_CLOCK_BITS)
#define YEARS(n) AT((n) * APR_INT64_C(31557600000000))

static const etg_store_tag tag = 77;

static store_rig rig;
static test_server server;

static void set_up(void)
{
    char query[100];
    server_start(&server, 64);
    sprintf(query, "//127.0.0.1:%d/test?timeout=5s&connect-timeout=5s",
            server.port);
    rig_init(&rig, &etg_memcached_provider, query);
    rig_open(&rig);
}

static void tear_down(void)
{
    rig_end(&rig);
    server_kill(&server);
}

static void put(void)
{
    etg_store_moment moment = rig_moment(&rig, N);
    ck_assert_int_eq(rig_put_tagged(&rig, N, 1, 200, WAIT, &moment, &tag, 1),
                     APR_SUCCESS);
}

static void check_mark(etg_store_mark mark)
{
    etg_store_found found;
    ck_assert_int_eq(rig_look(&rig, N, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_int_eq(found.answer, ETG_STORE_HIT);
    ck_assert_int_eq(found.mark, mark);
}

static void purge(unsigned count)
{
    unsigned moved = 0;
    ck_assert_int_eq(rig.provider->mark(rig.store, &tag, count,
                                        ETG_STORE_MARK_SOFT, WAIT, &moved),
                     APR_SUCCESS);
}

/* What is stored is stored, and what is purged is purged. */
static void check_use(void)
{
    put();
    check_mark(ETG_STORE_MARK_NONE);
    purge(1);
    check_mark(ETG_STORE_MARK_SOFT);
    put();
    check_mark(ETG_STORE_MARK_NONE);
    purge(0);
    check_mark(ETG_STORE_MARK_SOFT);
}

static void clock_forge(etg_memcached_clock clock)
{
    etg_memcached_key key;
    etg_bytes item;
    etg_memcached_key_of_clock(&key, "test");
    ck_assert_int_eq(etg_memcached_clock_pack(&clock, &key, rig.p, &item),
                     APR_SUCCESS);
    server_set(&server, key.text, item);
}

static void tag_forge(etg_memcached_marks marks)
{
    etg_memcached_key key;
    etg_bytes item;
    etg_memcached_key_of_tag(&key, "test", tag);
    ck_assert_int_eq(etg_memcached_marks_pack(&marks, &key, rig.p, &item),
                     APR_SUCCESS);
    server_set(&server, key.text, item);
}

START_TEST(a_clock_that_cannot_be_one_is_made_anew)
{
    const apr_uint64_t now = AT(apr_time_now());
    const etg_memcached_clock clocks[] = {
        { 0, { 0, 0, 0 } },
        { UINT64_MAX, { 0, 0, 0 } },
        { APR_UINT64_C(1) << 63, { 1, 1, 1 } },
        { now, { UINT64_MAX, 0, 0 } },
        { now, { 0, now + 1, 0 } },
        { now, { 0, 0, UINT64_MAX } }
    };
    put();
    clock_forge(clocks[_i]);
    check_mark(ETG_STORE_MARK_INVALID);
    check_use();
}
END_TEST

START_TEST(a_clock_of_another_age_still_works)
{
    const apr_uint64_t now = AT(apr_time_now());
    const apr_uint64_t readings[] = {
        1, now - YEARS(50), now + YEARS(50), APR_INT64_MAX - YEARS(1)
    };
    const etg_memcached_clock clock = { readings[_i], { 0, 0, 0 } };
    put();
    clock_forge(clock);
    check_use();
    check_use();
}
END_TEST

START_TEST(a_tag_that_is_marked_for_ever_is_made_anew_by_what_carries_it)
{
    const apr_uint64_t now = AT(apr_time_now());
    const etg_memcached_marks marks[] = {
        { 1, 1, UINT64_MAX },
        { UINT64_MAX, UINT64_MAX, UINT64_MAX },
        { now + YEARS(1), 1, 1 },
        { 0, 0, UINT64_MAX }
    };
    put();
    tag_forge(marks[_i]);
    check_use();
}
END_TEST

START_TEST(a_clock_that_is_lost_after_it_was_ahead_leaves_its_tags_usable)
{
    const etg_memcached_clock ahead = {
        AT(apr_time_now()) + YEARS(10), { 0, 0, 0 }
    };
    etg_memcached_key key;
    clock_forge(ahead);
    put();
    purge(1);
    etg_memcached_key_of_clock(&key, "test");
    server_delete(&server, key.text);
    check_mark(ETG_STORE_MARK_INVALID);
    check_use();
}
END_TEST

static etg_memcached_clock clock_now(void)
{
    etg_memcached_clock clock;
    etg_memcached_key key;
    etg_memcached_key_of_clock(&key, "test");
    ck_assert_int_eq(etg_memcached_clock_unpack(
                         server_value(&server, key.text, rig.p), &key,
                         &clock), APR_SUCCESS);
    return clock;
}

/* One host's time is ahead; another, which is behind it, makes the new clock
 * and purges by it; then the first moves that clock past all there was. */
START_TEST(a_purge_by_a_clock_behind_the_one_that_was_lost_is_not_forgotten)
{
    etg_memcached_clock ahead = {
        AT(apr_time_now() + apr_time_from_sec(10)), { 0, 0, 0 }
    };
    etg_memcached_key key;
    clock_forge(ahead);
    put();
    check_mark(ETG_STORE_MARK_NONE);
    etg_memcached_key_of_clock(&key, "test");
    do {
        server_delete(&server, key.text);
        purge(1);
        check_mark(ETG_STORE_MARK_INVALID);
        ahead = clock_now();
    } while (ahead.reading % AT(1) == 0);   /* the number of the one before */
    ahead.reading += AT(apr_time_from_sec(20));
    clock_forge(ahead);
    check_mark(ETG_STORE_MARK_INVALID);
    check_use();
}
END_TEST

START_TEST(a_response_stored_at_the_end_of_time_is_purged_too)
{
    etg_memcached_primary primary;
    etg_store_key hash = rig_key(N, 'p');
    etg_memcached_key key;
    etg_bytes item;
    put();
    etg_memcached_key_of_primary(&key, "test", &hash);
    ck_assert_int_eq(etg_memcached_primary_unpack(
                         server_value(&server, key.text, rig.p), &key,
                         &primary), APR_SUCCESS);
    primary.response.moment = UINT64_MAX;
    ck_assert_int_eq(etg_memcached_primary_pack(&primary, &key, rig.p, &item),
                     APR_SUCCESS);
    server_set(&server, key.text, item);
    check_mark(ETG_STORE_MARK_INVALID);
    check_use();
}
END_TEST

static void lease_forge(unsigned n, apr_uint64_t token)
{
    const etg_memcached_lease lease = { token };
    const etg_store_key hash = rig_key(n, 'p');
    etg_memcached_key key;
    etg_bytes item;
    etg_memcached_key_of_lease(&key, "test", &hash);
    ck_assert_int_eq(etg_memcached_lease_pack(&lease, &key, rig.p, &item),
                     APR_SUCCESS);
    server_set(&server, key.text, item);
}

static int is_taken(unsigned n)
{
    const etg_store_key key = rig_key(n, 'p');
    etg_store_lease lease;
    etg_store_lease_state state = ETG_STORE_LEASE_HELD;
    return rig.provider->lease_take(rig.store, &key, &lease, &state)
           == APR_SUCCESS && state == ETG_STORE_LEASE_TAKEN;
}

static int are_taken(void *baton)
{
    int *taken = baton;
    int all = 1;
    for (unsigned n = 0; n < 3; n++) {
        taken[n] = taken[n] || is_taken(n);
        all = all && taken[n];
    }
    ck_assert_msg(!is_taken(3), "it is another's, who renews it");
    return all;
}

START_TEST(a_lease_that_does_not_run_out_is_taken_over)
{
    const etg_store_key held = rig_key(3, 'p');
    etg_store_lease_state state = ETG_STORE_LEASE_HELD;
    etg_store_lease lease;
    store_rig other;
    int taken[3] = { 0 };
    rig_beside(&other, &rig, strchr(rig.uri, ':') + 1);
    rig_open(&other);
    ck_assert_int_eq(other.provider->lease_take(other.store, &held, &lease,
                                                &state), APR_SUCCESS);
    ck_assert_int_eq(state, ETG_STORE_LEASE_TAKEN);
    lease_forge(0, 4711);
    lease_forge(1, 0);
    lease_forge(2, UINT64_MAX);
    ck_assert(!is_taken(0) && !is_taken(1) && !is_taken(2));
    ck_assert(rig_poll(are_taken, taken));
    rig_close(&other);
}
END_TEST

static Suite *forged_suite(void)
{
    Suite *suite = suite_create("forged items");
    TCase *tcase = tcase_create("forged");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_clock_that_cannot_be_one_is_made_anew, 0, 6);
    tcase_add_loop_test(tcase, a_clock_of_another_age_still_works, 0, 4);
    tcase_add_loop_test(
        tcase, a_tag_that_is_marked_for_ever_is_made_anew_by_what_carries_it,
        0, 4);
    tcase_add_test(
        tcase, a_clock_that_is_lost_after_it_was_ahead_leaves_its_tags_usable);
    tcase_add_test(
        tcase,
        a_purge_by_a_clock_behind_the_one_that_was_lost_is_not_forgotten);
    tcase_add_test(tcase,
                   a_response_stored_at_the_end_of_time_is_purged_too);
    tcase_add_test(tcase, a_lease_that_does_not_run_out_is_taken_over);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    if (!server_is_installed()) {
        printf("memcached is not installed\n");
        return 77;
    }
    return run_suite(forged_suite());
}
