/* SPDX-License-Identifier: Apache-2.0 */
/* test_lease_wait.c: polling for a lease starts fast, slows down, and ends. */
#include <check.h>
#include <stdlib.h>

#include "lib/lease_wait.h"
#include "test/unit/run_suite.h"

#define MS(n) apr_time_from_msec(n)
#define LONG apr_time_from_sec(30)

START_TEST(test_first_asks_again_after_ten_milliseconds)
{
    ck_assert_int_eq(etg_lease_wait_next(0, LONG, 0), MS(10));
    ck_assert_int_eq(etg_lease_wait_next(MS(80), LONG, 0), MS(10));
}
END_TEST

START_TEST(test_later_sleeps_an_eighth_of_what_was_waited)
{
    ck_assert_int_eq(etg_lease_wait_next(MS(160), LONG, 0), MS(20));
    ck_assert_int_eq(etg_lease_wait_next(MS(400), LONG, 0), MS(50));
}
END_TEST

START_TEST(test_jitter_adds_up_to_a_quarter)
{
    apr_interval_time_t most = 0;
    apr_uint32_t random;

    for (random = 0; random < 5000; random++) {
        apr_interval_time_t sleep = etg_lease_wait_next(MS(400), LONG,
                                                        random * 7919);

        ck_assert_int_ge(sleep, MS(50));
        ck_assert_int_le(sleep, MS(50) + MS(50) / 4);
        most = sleep > most ? sleep : most;
    }
    ck_assert_int_eq(most, MS(50) + MS(50) / 4);
}
END_TEST

START_TEST(test_never_sleeps_longer_than_a_tenth_of_a_second)
{
    apr_interval_time_t waited;

    for (waited = 0; waited < LONG; waited += 7777) {
        apr_interval_time_t sleep = etg_lease_wait_next(waited, LONG,
                                                        UINT32_MAX);

        ck_assert_int_gt(sleep, 0);
        ck_assert_int_le(sleep, ETG_LEASE_WAIT_MOST);
    }
    ck_assert_int_eq(etg_lease_wait_next(MS(9000), LONG, 1023),
                     ETG_LEASE_WAIT_MOST);
}
END_TEST

START_TEST(test_the_last_sleep_ends_at_the_limit)
{
    ck_assert_int_eq(etg_lease_wait_next(MS(995), MS(1000), 0), MS(5));
    ck_assert_int_eq(etg_lease_wait_next(MS(1000), MS(1000), 0), 0);
    ck_assert_int_eq(etg_lease_wait_next(MS(1001), MS(1000), 0), 0);
}
END_TEST

START_TEST(test_without_a_limit_nobody_waits)
{
    ck_assert_int_eq(etg_lease_wait_next(0, 0, 0), 0);
    ck_assert_int_eq(etg_lease_wait_next(0, -1, 0), 0);
}
END_TEST

START_TEST(test_a_clock_set_back_counts_as_nothing_waited)
{
    ck_assert_int_eq(etg_lease_wait_next(-LONG, LONG, 0), MS(10));
    ck_assert_int_eq(etg_lease_wait_next(-LONG, 0, 0), 0);
}
END_TEST

static Suite *lease_wait_suite(void)
{
    Suite *suite = suite_create("lease_wait");
    TCase *plan = tcase_create("plan");

    tcase_add_test(plan, test_first_asks_again_after_ten_milliseconds);
    tcase_add_test(plan, test_later_sleeps_an_eighth_of_what_was_waited);
    tcase_add_test(plan, test_jitter_adds_up_to_a_quarter);
    tcase_add_test(plan, test_never_sleeps_longer_than_a_tenth_of_a_second);
    tcase_add_test(plan, test_the_last_sleep_ends_at_the_limit);
    tcase_add_test(plan, test_without_a_limit_nobody_waits);
    tcase_add_test(plan, test_a_clock_set_back_counts_as_nothing_waited);
    suite_add_tcase(suite, plan);
    return suite;
}

int main(void)
{
    return run_suite(lease_wait_suite());
}
