/* SPDX-License-Identifier: Apache-2.0 */
/* test_collapse_follow.c: waiting for a fetch without ever doing it. */
#include <stdlib.h>
#include <unistd.h>

#include "test/unit/collapse_crew.h"
#include "test/unit/run_suite.h"

#define LONG_WAIT (60 * APR_USEC_PER_SEC)
#define SHORT_WAIT apr_time_from_msec(30)
#define REMEMBER apr_time_from_sec(120)

static crew *c;

static void set_up(void)
{
    c = crew_open(8, 8);
}

static void tear_down(void)
{
    crew_close(c);
}

static etg_collapse_ticket must_lead(const etg_store_key *key)
{
    etg_collapse_ticket ticket = { 0, 0 };

    ck_assert_int_eq(etg_collapse_join(c->table, key, 0, &ticket),
                     ETG_COLLAPSE_LEAD);
    return ticket;
}

/* A member that follows the key in baton; its role goes to the board. */
static void follow_long(crew *of, etg_collapse *table, void *baton)
{
    crew_add(&of->board->roles[etg_collapse_follow(table, baton,
                                                   LONG_WAIT)]);
}

static void lead_for_ever(crew *of, etg_collapse *table, void *baton)
{
    etg_collapse_ticket ticket;

    if (etg_collapse_join(table, baton, 0, &ticket) != ETG_COLLAPSE_LEAD) {
        _exit(5);
    }
    crew_show_ticket(of, &ticket);
    for (;;) {
        pause();
    }
}

START_TEST(test_where_nobody_fetches_it_is_alone_at_once_and_does_not_lead)
{
    etg_store_key key = crew_key(1, 0);

    ck_assert_int_eq(etg_collapse_follow(c->table, &key, LONG_WAIT),
                     ETG_COLLAPSE_ALONE);
    ck_assert_uint_eq(crew_counter(c, "led"), 0);
    ck_assert_uint_eq(crew_counter(c, "followed"), 0);
    must_lead(&key);
}
END_TEST

START_TEST(test_a_fetch_that_has_ended_is_not_followed)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket = must_lead(&key);

    etg_collapse_finish(c->table, &ticket, ETG_COLLAPSE_STORED, REMEMBER);
    ck_assert_int_eq(etg_collapse_follow(c->table, &key, LONG_WAIT),
                     ETG_COLLAPSE_ALONE);
}
END_TEST

/* Loops over the outcomes. */
START_TEST(test_the_end_of_the_fetch_says_how_it_went)
{
    static const etg_collapse_role expected[] = {
        ETG_COLLAPSE_DONE, ETG_COLLAPSE_FAILED, ETG_COLLAPSE_UNCACHEABLE
    };
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket = must_lead(&key);
    pid_t members[3];

    for (int i = 0; i < 3; i++) {
        members[i] = crew_spawn(c, follow_long, &key);
    }
    crew_await(etg_collapse_followers(c->table, &ticket) == 3);
    etg_collapse_finish(c->table, &ticket, (etg_collapse_outcome)_i,
                        REMEMBER);
    for (int i = 0; i < 3; i++) {
        crew_reap(members[i]);
    }
    ck_assert_uint_eq(c->board->roles[expected[_i]], 3);
    ck_assert_uint_eq(crew_counter(c, "led"), 1);
}
END_TEST

/* Is it the third time that this is asked? */
static int is_third(void *baton)
{
    int *count = baton;

    return ++*count >= 3;
}

START_TEST(test_who_loses_interest_follows_no_longer)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket = must_lead(&key), other = { 0, 0 };
    int count = 0;

    ck_assert_int_eq(etg_collapse_follow_until(c->table, &key, LONG_WAIT,
                                               is_third, &count),
                     ETG_COLLAPSE_ALONE);
    ck_assert_int_eq(count, 3);
    count = 0;
    ck_assert_int_eq(etg_collapse_join_until(c->table, &key, LONG_WAIT,
                                             is_third, &count, &other),
                     ETG_COLLAPSE_ALONE);
    ck_assert_int_eq(count, 3);
    ck_assert_uint_eq(other.number, 0);
    ck_assert_uint_eq(etg_collapse_followers(c->table, &ticket), 0);
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 0);
    etg_collapse_finish(c->table, &ticket, ETG_COLLAPSE_STORED, REMEMBER);
}
END_TEST

START_TEST(test_when_the_wait_is_over_the_leader_still_leads)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket = must_lead(&key), other = { 0, 0 };
    apr_time_t began = etg_collapse_clock();

    ck_assert_int_eq(etg_collapse_follow(c->table, &key, SHORT_WAIT),
                     ETG_COLLAPSE_ALONE);
    ck_assert(etg_collapse_clock() - began >= SHORT_WAIT);
    ck_assert_uint_eq(etg_collapse_followers(c->table, &ticket), 0);
    ck_assert_int_eq(etg_collapse_join(c->table, &key, 0, &other),
                     ETG_COLLAPSE_ALONE);
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 0);
    ck_assert_uint_eq(crew_counter(c, "alone"), 0);
    etg_collapse_finish(c->table, &ticket, ETG_COLLAPSE_STORED, REMEMBER);
    must_lead(&key);
}
END_TEST

START_TEST(test_without_a_wait_it_is_alone)
{
    etg_store_key key = crew_key(1, 0);

    must_lead(&key);
    ck_assert_int_eq(etg_collapse_follow(c->table, &key, 0),
                     ETG_COLLAPSE_ALONE);
    ck_assert_int_eq(etg_collapse_follow(c->table, &key, -1),
                     ETG_COLLAPSE_ALONE);
}
END_TEST

START_TEST(test_a_killed_leader_has_failed_and_is_not_replaced)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket;
    pid_t leader, member;

    c->board->number = 0;
    leader = crew_spawn(c, lead_for_ever, &key);
    crew_await((ticket = crew_ticket(c)).number != 0);
    member = crew_spawn(c, follow_long, &key);
    crew_await(etg_collapse_followers(c->table, &ticket) == 1);
    crew_kill(leader);
    crew_reap(member);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_FAILED], 1);
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 0);
    must_lead(&key);
}
END_TEST

/* A client that leads by taking over is waited for like the first one. */
START_TEST(test_who_takes_the_fetch_over_is_followed_on)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket first = must_lead(&key), second = { 0, 0 };
    pid_t member = crew_spawn(c, follow_long, &key);

    crew_await(etg_collapse_followers(c->table, &first) == 1);
    ck_assert_int_eq(etg_collapse_join(c->table, &key, SHORT_WAIT, &second),
                     ETG_COLLAPSE_LEAD);
    crew_await(etg_collapse_followers(c->table, &second) == 1);
    etg_collapse_finish(c->table, &first, ETG_COLLAPSE_NOT_STORED, REMEMBER);
    etg_collapse_finish(c->table, &second, ETG_COLLAPSE_STORED, REMEMBER);
    crew_reap(member);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_DONE], 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("collapse_follow");
    TCase *tcase = tcase_create("follow");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(
        tcase,
        test_where_nobody_fetches_it_is_alone_at_once_and_does_not_lead);
    tcase_add_test(tcase, test_a_fetch_that_has_ended_is_not_followed);
    tcase_add_loop_test(tcase, test_the_end_of_the_fetch_says_how_it_went, 0,
                        3);
    tcase_add_test(tcase, test_who_loses_interest_follows_no_longer);
    tcase_add_test(tcase, test_when_the_wait_is_over_the_leader_still_leads);
    tcase_add_test(tcase, test_without_a_wait_it_is_alone);
    tcase_add_test(tcase, test_a_killed_leader_has_failed_and_is_not_replaced);
    tcase_add_test(tcase, test_who_takes_the_fetch_over_is_followed_on);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
