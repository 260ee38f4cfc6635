/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_collapse.c: one fetch serves all who ask at once, while all live;
 * test_collapse_kill.c is about those that do not.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/unit/collapse_crew.h"
#include "test/unit/run_suite.h"

#define LONG_WAIT (60 * APR_USEC_PER_SEC)
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

    ck_assert_int_eq(etg_collapse_join(c->table, key, LONG_WAIT, &ticket),
                     ETG_COLLAPSE_LEAD);
    ck_assert_uint_ne(ticket.number, 0);
    return ticket;
}

static void finish(etg_collapse_ticket ticket, etg_collapse_outcome outcome)
{
    etg_collapse_finish(c->table, &ticket, outcome, REMEMBER);
}

START_TEST(test_memory_that_is_no_table_is_refused)
{
    etg_collapse *table = NULL;

    ck_assert_int_eq(etg_collapse_attach(&table, c->memory, c->size - 1,
                                         c->pool), APR_EINVAL);
    ck_assert_int_eq(etg_collapse_format(c->memory, c->size, 16, 8),
                     APR_EINVAL);
    memset(c->memory, 0, c->size);
    ck_assert_int_eq(etg_collapse_attach(&table, c->memory, c->size,
                                         c->pool), APR_EINVAL);
    ck_assert_ptr_null(table);
}
END_TEST

START_TEST(test_who_asks_alone_leads_each_time_anew)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket first = must_lead(&key), second;

    ck_assert_uint_eq(etg_collapse_followers(c->table, &first), 0);
    finish(first, ETG_COLLAPSE_STORED);
    second = must_lead(&key);
    ck_assert(first.slot != second.slot || first.number != second.number);
    finish(second, ETG_COLLAPSE_NOT_STORED);
    ck_assert_uint_eq(crew_counter(c, "led"), 2);
    ck_assert_uint_eq(crew_counter(c, "followed"), 0);
    ck_assert_uint_eq(crew_counter(c, "alone"), 0);
}
END_TEST

START_TEST(test_of_a_hundred_in_four_processes_one_leads_and_all_are_done)
{
    crew_job job = { crew_key(1, 0), 25, LONG_WAIT, 99,
                     ETG_COLLAPSE_STORED };
    pid_t members[4];
    int i;

    for (i = 0; i < 4; i++) {
        members[i] = crew_join(c, &job);
    }
    for (i = 0; i < 4; i++) {
        crew_reap(members[i]);
    }
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_LEAD], 1);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_DONE], 99);
    ck_assert_uint_eq(crew_counter(c, "led"), 1);
    ck_assert_uint_eq(crew_counter(c, "followed"), 99);
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 0);
}
END_TEST

/* Loops over the outcomes. */
START_TEST(test_followers_get_what_the_fetch_came_to)
{
    static const etg_collapse_role expected[] = {
        ETG_COLLAPSE_DONE, ETG_COLLAPSE_FAILED, ETG_COLLAPSE_UNCACHEABLE
    };
    etg_store_key key = crew_key(1, 0);
    crew_job job = { key, 10, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket = must_lead(&key);
    pid_t member = crew_join(c, &job);

    crew_await(etg_collapse_followers(c->table, &ticket) == 10);
    finish(ticket, (etg_collapse_outcome)_i);
    crew_reap(member);
    ck_assert_uint_eq(c->board->roles[expected[_i]], 10);
    ck_assert_int_eq(etg_collapse_is_uncacheable(c->table, &key,
                                                 apr_time_now()),
                     _i == ETG_COLLAPSE_NOT_SHAREABLE);
}
END_TEST

/* Sleeps as a follower does, but too long to find the end by looking. */
static void sleep_on_slot(crew *of, etg_collapse *table, void *baton)
{
    etg_collapse_ticket *ticket = baton;
    etg_collapse_slot *slot = &table->slots[ticket->slot];
    apr_uint32_t seen = __atomic_load_n(&slot->word, __ATOMIC_SEQ_CST);
    struct timespec limit = { .tv_sec = 20 };

    (void)of;
    __atomic_store_n(&slot->followers, (ticket->number << 20) + 1,
                     __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&slot->word, __ATOMIC_SEQ_CST) == seen) {
        if (syscall(SYS_futex, &slot->word, FUTEX_WAIT, seen, &limit, NULL,
                    0) != 0 && errno == ETIMEDOUT) {
            _exit(6);
        }
    }
}

START_TEST(test_a_finish_wakes_who_sleeps)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket = must_lead(&key);
    pid_t member = crew_spawn(c, sleep_on_slot, &ticket);

    /* Woken without reason it sleeps again: so it was asleep. */
    crew_await(syscall(SYS_futex, &c->table->slots[ticket.slot].word,
                       FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
    finish(ticket, ETG_COLLAPSE_STORED);
    crew_reap(member);
}
END_TEST

START_TEST(test_when_the_wait_is_over_one_leads_and_the_rest_wait_once_more)
{
    etg_store_key key = crew_key(1, 0);
    crew_job job = { key, 5, 300000, -1, ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket = must_lead(&key);
    pid_t members[4];
    int i;

    for (i = 0; i < 4; i++) {
        members[i] = crew_join(c, &job);
    }
    crew_await(crew_read(&c->board->roles[ETG_COLLAPSE_ALONE]) == 19);
    ck_assert_uint_eq(crew_read(&c->board->roles[ETG_COLLAPSE_LEAD]), 1);
    ck_assert_uint_gt(c->board->shortest_alone, 300000);
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 1);
    ck_assert_uint_eq(crew_counter(c, "alone"), 19);
    ck_assert_uint_eq(etg_collapse_followers(c->table, &ticket), 0);
    __atomic_store_n(&c->board->stop, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < 4; i++) {
        crew_reap(members[i]);
    }
}
END_TEST

START_TEST(test_the_finish_of_a_fetch_that_was_taken_over_does_nothing)
{
    etg_store_key key = crew_key(1, 0);
    crew_job taker = { key, 1, 50000, -1, ETG_COLLAPSE_STORED };
    crew_job waiter = { key, 10, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket old = must_lead(&key), fresh;
    pid_t members[2];

    members[0] = crew_join(c, &taker);
    crew_await((fresh = crew_ticket(c)).number != 0);
    ck_assert_uint_eq(etg_collapse_followers(c->table, &old), 0);
    members[1] = crew_join(c, &waiter);
    crew_await(etg_collapse_followers(c->table, &fresh) == 10);
    finish(old, ETG_COLLAPSE_NOT_SHAREABLE);
    ck_assert_int_eq(etg_collapse_is_uncacheable(c->table, &key,
                                                 apr_time_now()), 0);
    ck_assert_uint_eq(etg_collapse_followers(c->table, &fresh), 10);
    __atomic_store_n(&c->board->stop, 1, __ATOMIC_SEQ_CST);
    crew_reap(members[0]);
    crew_reap(members[1]);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_DONE], 10);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_UNCACHEABLE], 0);
}
END_TEST

START_TEST(test_a_second_finish_does_nothing)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket = must_lead(&key), copy = ticket, next;

    finish(ticket, ETG_COLLAPSE_STORED);
    finish(copy, ETG_COLLAPSE_NOT_SHAREABLE);
    next = must_lead(&key);
    finish(copy, ETG_COLLAPSE_NOT_SHAREABLE);
    ck_assert_int_eq(etg_collapse_is_uncacheable(c->table, &key,
                                                 apr_time_now()), 0);
    ck_assert_int_eq(etg_collapse_join(c->table, &key, 0, &copy),
                     ETG_COLLAPSE_ALONE);
    etg_collapse_finish(c->table, &next, ETG_COLLAPSE_NOT_STORED, 0);
    ck_assert_uint_eq(next.number, 0);
    etg_collapse_finish(c->table, &next, ETG_COLLAPSE_NOT_STORED, 0);
}
END_TEST

START_TEST(test_who_may_not_wait_is_alone_at_once)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket = must_lead(&key), none = { 7, 7 };

    ck_assert_int_eq(etg_collapse_join(c->table, &key, 0, &none),
                     ETG_COLLAPSE_ALONE);
    ck_assert_uint_eq(none.number, 7);
    ck_assert_uint_eq(etg_collapse_followers(c->table, &ticket), 0);
}
END_TEST

START_TEST(test_a_ninth_key_in_a_full_bucket_goes_alone_and_is_counted)
{
    etg_collapse_ticket tickets[8], none;
    etg_store_key key = crew_key(9, 0);
    int i;

    for (i = 0; i < 8; i++) {
        etg_store_key other = crew_key((apr_uint64_t)i, 0);

        tickets[i] = must_lead(&other);
    }
    ck_assert_int_eq(etg_collapse_join(c->table, &key, LONG_WAIT, &none),
                     ETG_COLLAPSE_ALONE);
    ck_assert_uint_eq(crew_counter(c, "full"), 1);
    ck_assert_uint_eq(crew_counter(c, "alone"), 1);
    finish(tickets[3], ETG_COLLAPSE_STORED);
    ck_assert_uint_eq(must_lead(&key).slot, tickets[3].slot);
    ck_assert_uint_eq(crew_counter(c, "full"), 1);
}
END_TEST

START_TEST(test_keys_in_one_bucket_do_not_hear_of_each_other)
{
    etg_store_key near = crew_key(1, 5), far = crew_key(2, 5);
    crew_job first = { near, 4, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    crew_job second = { far, 3, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket one = must_lead(&near), two = must_lead(&far);
    pid_t members[2];

    members[0] = crew_join(c, &first);
    members[1] = crew_join(c, &second);
    crew_await(etg_collapse_followers(c->table, &one) == 4);
    crew_await(etg_collapse_followers(c->table, &two) == 3);
    finish(one, ETG_COLLAPSE_NOT_SHAREABLE);
    crew_reap(members[0]);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_UNCACHEABLE], 4);
    ck_assert_uint_eq(etg_collapse_followers(c->table, &two), 3);
    ck_assert_int_eq(etg_collapse_is_uncacheable(c->table, &far,
                                                 apr_time_now()), 0);
    finish(two, ETG_COLLAPSE_STORED);
    crew_reap(members[1]);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_DONE], 3);
}
END_TEST

/* The other seven slots are taken, so the key's slot is used again and
 * again while those who followed its first fetch still wake. */
START_TEST(test_a_slot_used_anew_never_answers_for_another_key)
{
    crew_job job = { crew_key(100, 0), 10, LONG_WAIT, 0,
                     ETG_COLLAPSE_STORED };
    int i, round;

    for (i = 0; i < 7; i++) {
        etg_store_key other = crew_key((apr_uint64_t)i, 0);

        must_lead(&other);
    }
    for (round = 0; round < 50; round++) {
        etg_collapse_ticket ticket = must_lead(&job.key);
        pid_t member = crew_join(c, &job);

        crew_await(etg_collapse_followers(c->table, &ticket) == 10);
        finish(ticket, ETG_COLLAPSE_STORED);
        for (i = 0; i <= round % 4; i++) {
            etg_store_key other = crew_key((apr_uint64_t)(1000 + i), 0);

            finish(must_lead(&other), ETG_COLLAPSE_NOT_SHAREABLE);
        }
        crew_reap(member);
    }
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_DONE]
                      + c->board->roles[ETG_COLLAPSE_FAILED], 500);
    ck_assert_uint_gt(c->board->roles[ETG_COLLAPSE_DONE], 0);
}
END_TEST

START_TEST(test_an_uncacheable_key_is_forgotten_in_time_and_on_demand)
{
    etg_store_key key = crew_key(1, 0), other = crew_key(2, 0);

    ck_assert(!etg_collapse_is_uncacheable(c->table, &key, 0));
    etg_collapse_remember(c->table, &key, 1000);
    ck_assert(etg_collapse_is_uncacheable(c->table, &key, 999));
    ck_assert(!etg_collapse_is_uncacheable(c->table, &key, 1000));
    ck_assert(!etg_collapse_is_uncacheable(c->table, &other, 999));
    etg_collapse_remember(c->table, &key, 2000);
    ck_assert(etg_collapse_is_uncacheable(c->table, &key, 1000));
    ck_assert_uint_eq(crew_counter(c, "remembered"), 1);
    etg_collapse_remember(c->table, &key, 0);
    ck_assert(!etg_collapse_is_uncacheable(c->table, &key, 0));
}
END_TEST

START_TEST(test_of_too_many_uncacheable_keys_the_oldest_is_dropped)
{
    apr_uint64_t i;

    for (i = 0; i < 9; i++) {
        etg_store_key key = crew_key(i, 0);

        etg_collapse_remember(c->table, &key,
                              (apr_time_t)(1000 + (i * 4) % 9));
    }
    for (i = 0; i < 9; i++) {
        etg_store_key key = crew_key(i, 0);

        ck_assert_int_eq(etg_collapse_is_uncacheable(c->table, &key, 1),
                         i != 0);
    }
}
END_TEST

/* Threads of one process, as ThreadSanitizer sees them: what leaders do is
 * plain memory, ordered by nothing but the table. */
#define CROWD 8
#define CROWD_KEYS 3
#define CROWD_ROUNDS 2000

static unsigned leads[CROWD_KEYS], leading[CROWD_KEYS], clashes[CROWD_KEYS];

static void *crowd_thread(void *baton)
{
    unsigned seed = *(unsigned *)baton, round;

    for (round = 0; round < CROWD_ROUNDS; round++) {
        unsigned at = (unsigned)rand_r(&seed) % CROWD_KEYS;
        etg_store_key key = crew_key(at, 0);
        etg_collapse_ticket ticket;
        int outcome = rand_r(&seed) % 3;

        if (etg_collapse_is_uncacheable(c->table, &key, apr_time_now())) {
            etg_collapse_remember(c->table, &key, 0);
        }
        if (etg_collapse_join(c->table, &key, LONG_WAIT, &ticket)
            == ETG_COLLAPSE_LEAD) {
            leads[at]++;
            clashes[at] += leading[at];
            leading[at] = 1;
            if (outcome == 0) {
                sched_yield();
            }
            leading[at] = 0;
            finish(ticket, (etg_collapse_outcome)outcome);
        }
    }
    return NULL;
}

START_TEST(test_threads_lead_one_at_a_time)
{
    pthread_t threads[CROWD];
    unsigned seeds[CROWD], i;

    for (i = 0; i < CROWD; i++) {
        seeds[i] = i + 1;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_thread,
                                        &seeds[i]), 0);
    }
    for (i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(clashes[0] + clashes[1] + clashes[2], 0);
    ck_assert_uint_eq(leads[0] + leads[1] + leads[2],
                      crew_counter(c, "led"));
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 0);
    ck_assert_uint_eq(crew_counter(c, "alone"), 0);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("collapse");
    TCase *joining = add_case(suite, "joining");
    TCase *memory = add_case(suite, "memory");
    TCase *threads = add_case(suite, "threads");

    tcase_add_test(joining, test_memory_that_is_no_table_is_refused);
    tcase_add_test(joining, test_who_asks_alone_leads_each_time_anew);
    tcase_add_test(joining,
        test_of_a_hundred_in_four_processes_one_leads_and_all_are_done);
    tcase_add_loop_test(joining, test_followers_get_what_the_fetch_came_to,
                        0, 3);
    tcase_add_test(joining, test_a_finish_wakes_who_sleeps);
    tcase_add_test(joining,
        test_when_the_wait_is_over_one_leads_and_the_rest_wait_once_more);
    tcase_add_test(joining,
        test_the_finish_of_a_fetch_that_was_taken_over_does_nothing);
    tcase_add_test(joining, test_a_second_finish_does_nothing);
    tcase_add_test(joining, test_who_may_not_wait_is_alone_at_once);
    tcase_add_test(joining,
        test_a_ninth_key_in_a_full_bucket_goes_alone_and_is_counted);
    tcase_add_test(joining,
        test_keys_in_one_bucket_do_not_hear_of_each_other);
    tcase_add_test(joining,
        test_a_slot_used_anew_never_answers_for_another_key);
    tcase_add_test(memory,
        test_an_uncacheable_key_is_forgotten_in_time_and_on_demand);
    tcase_add_test(memory,
        test_of_too_many_uncacheable_keys_the_oldest_is_dropped);
    tcase_add_test(threads, test_threads_lead_one_at_a_time);
    return run_suite(suite);
}
