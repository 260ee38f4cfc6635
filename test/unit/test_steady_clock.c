/* SPDX-License-Identifier: Apache-2.0 */
/* test_steady_clock.c: moments, conditions and locks with an end. */
#include <check.h>
#include <errno.h>

#include "lib/steady_clock.h"
#include "test/unit/run_suite.h"

#define GLANCE apr_time_from_msec(1)

START_TEST(test_a_moment_keeps_its_microseconds)
{
    struct timespec at = etg_steady_moment(apr_time_from_sec(7) + 999999);

    ck_assert_int_eq(at.tv_sec, 7);
    ck_assert_int_eq(at.tv_nsec, 999999000);
}
END_TEST

/* By the time of day "now" of the steady clock lies decades back. */
START_TEST(test_a_condition_waits_by_the_steady_clock)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    apr_time_t until = etg_steady_now() + GLANCE;
    struct timespec at = etg_steady_moment(until);
    int rv = 0;

    ck_assert_int_eq(etg_steady_condition_init(&condition), APR_SUCCESS);
    pthread_mutex_lock(&lock);
    while (rv == 0) {
        rv = pthread_cond_timedwait(&condition, &lock, &at);
    }
    pthread_mutex_unlock(&lock);
    ck_assert_int_eq(rv, ETIMEDOUT);
    ck_assert_int_ge(etg_steady_now(), until);
    pthread_cond_destroy(&condition);
}
END_TEST

START_TEST(test_a_free_lock_is_taken)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    ck_assert_int_eq(etg_lock_in_time(&lock, GLANCE), 1);
    ck_assert_int_eq(pthread_mutex_trylock(&lock), EBUSY);
}
END_TEST

START_TEST(test_a_lock_that_does_not_come_free_is_given_up)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&lock);
    ck_assert_int_eq(etg_lock_in_time(&lock, GLANCE), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("steady_clock");
    TCase *cases = tcase_create("all");

    tcase_add_test(cases, test_a_moment_keeps_its_microseconds);
    tcase_add_test(cases, test_a_condition_waits_by_the_steady_clock);
    tcase_add_test(cases, test_a_free_lock_is_taken);
    tcase_add_test(cases, test_a_lock_that_does_not_come_free_is_given_up);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
