/* SPDX-License-Identifier: Apache-2.0 */
/* test_breaker.c: when a server is left alone, and when it is tried again. */
#include <check.h>

#include "lib/breaker.h"
#include "test/unit/run_suite.h"

#define NOW APR_TIME_C(1763827200345678)
#define SECOND APR_USEC_PER_SEC
#define MILLISECOND APR_TIME_C(1000)

static etg_breaker breaker;

static void set_up(void)
{
    breaker = (etg_breaker){ .state = ETG_BREAKER_CLOSED };
}

static etg_breaker_change fail_at(apr_time_t when)
{
    return etg_breaker_fail(&breaker, 0, when, 0);
}

/* Opens at `when`, with a jitter. */
static void open_at(apr_time_t when, apr_interval_time_t jitter)
{
    fail_at(when);
    fail_at(when);
    ck_assert_int_eq(etg_breaker_fail(&breaker, 0, when, jitter),
                     ETG_BREAKER_OPENED);
}

START_TEST(test_a_fresh_breaker_lets_calls_go)
{
    ck_assert(etg_breaker_may_call(&breaker));
    ck_assert(!etg_breaker_is_probe_due(&breaker, NOW));
    ck_assert(!etg_breaker_probe_begin(&breaker, NOW));
    ck_assert_int_eq(etg_breaker_probe_at(&breaker), 0);
}
END_TEST

START_TEST(test_three_failures_within_ten_seconds_open_it)
{
    ck_assert_int_eq(fail_at(NOW), ETG_BREAKER_SAME);
    ck_assert_int_eq(fail_at(NOW + 5 * SECOND), ETG_BREAKER_SAME);
    ck_assert(etg_breaker_may_call(&breaker));
    ck_assert_int_eq(fail_at(NOW + 10 * SECOND), ETG_BREAKER_OPENED);
    ck_assert(!etg_breaker_may_call(&breaker));
}
END_TEST

START_TEST(test_three_failures_in_longer_than_ten_seconds_do_not)
{
    apr_time_t at = NOW;
    int i;

    for (i = 0; i < 50; i++) {
        ck_assert_int_eq(fail_at(at), ETG_BREAKER_SAME);
        at += 5 * SECOND + 1;
    }
    ck_assert(etg_breaker_may_call(&breaker));
    /* But the two that are young enough are remembered. */
    at -= 5 * SECOND;
    ck_assert_int_eq(fail_at(at), ETG_BREAKER_OPENED);
}
END_TEST

START_TEST(test_a_few_answers_in_between_do_not_wipe_out_failures)
{
    etg_breaker_fail(&breaker, 100, NOW, 0);
    etg_breaker_fail(&breaker, 114, NOW + 2, 0);
    ck_assert_int_eq(etg_breaker_fail(&breaker, 129, NOW + 4, 0),
                     ETG_BREAKER_OPENED);
}
END_TEST

START_TEST(test_many_answers_in_between_do)
{
    apr_uint64_t answered;

    for (answered = 0; answered < 3000; answered += 15) {
        ck_assert_int_eq(etg_breaker_fail(&breaker, answered, NOW, 0),
                         ETG_BREAKER_SAME);
    }
    /* Once they end, it opens: the last two count. */
    ck_assert_int_eq(etg_breaker_fail(&breaker, answered, NOW, 0),
                     ETG_BREAKER_SAME);
    ck_assert_int_eq(etg_breaker_fail(&breaker, answered, NOW, 0),
                     ETG_BREAKER_OPENED);
}
END_TEST

START_TEST(test_late_reports_of_earlier_calls_change_nothing_while_it_is_open)
{
    open_at(NOW, 0);
    ck_assert_int_eq(fail_at(NOW + SECOND), ETG_BREAKER_SAME);
    ck_assert(!etg_breaker_may_call(&breaker));
    ck_assert_int_eq(etg_breaker_probe_at(&breaker), NOW + 2 * SECOND);
    ck_assert(etg_breaker_probe_begin(&breaker, NOW + 2 * SECOND));
    ck_assert_int_eq(fail_at(NOW + 2 * SECOND), ETG_BREAKER_SAME);
    ck_assert(!etg_breaker_may_call(&breaker));
}
END_TEST

START_TEST(test_a_probe_is_due_after_two_seconds_and_the_jitter)
{
    apr_time_t due = NOW + 2 * SECOND + 300 * MILLISECOND;

    open_at(NOW, 300 * MILLISECOND);
    ck_assert_int_eq(etg_breaker_probe_at(&breaker), due);
    ck_assert(!etg_breaker_is_probe_due(&breaker, NOW));
    ck_assert(!etg_breaker_is_probe_due(&breaker, due - 1));
    ck_assert(!etg_breaker_probe_begin(&breaker, due - 1));
    ck_assert(etg_breaker_is_probe_due(&breaker, due));
}
END_TEST

START_TEST(test_a_jitter_out_of_range_is_cut)
{
    open_at(NOW, 3600 * SECOND);
    ck_assert_int_eq(etg_breaker_probe_at(&breaker),
                     NOW + ETG_BREAKER_PROBE_EVERY + ETG_BREAKER_JITTER_MAX);
    set_up();
    open_at(NOW, -5);
    ck_assert_int_eq(etg_breaker_probe_at(&breaker),
                     NOW + ETG_BREAKER_PROBE_EVERY);
}
END_TEST

START_TEST(test_only_one_takes_the_probe_and_no_call_goes_meanwhile)
{
    open_at(NOW, 0);
    ck_assert(etg_breaker_probe_begin(&breaker, NOW + 2 * SECOND));
    ck_assert_int_eq(breaker.state, ETG_BREAKER_HALF_OPEN);
    ck_assert(!etg_breaker_probe_begin(&breaker, NOW + 2 * SECOND));
    ck_assert(!etg_breaker_is_probe_due(&breaker, NOW + 60 * SECOND));
    ck_assert(!etg_breaker_may_call(&breaker));
    ck_assert_int_eq(etg_breaker_probe_at(&breaker), 0);
}
END_TEST

START_TEST(test_a_probe_that_succeeds_closes_it_without_old_failures)
{
    open_at(NOW, 0);
    etg_breaker_probe_begin(&breaker, NOW + 2 * SECOND);
    ck_assert_int_eq(etg_breaker_probe_end(&breaker, 1, NOW + 2 * SECOND, 0),
                     ETG_BREAKER_HEALED);
    ck_assert(etg_breaker_may_call(&breaker));
    ck_assert_int_eq(fail_at(NOW + 3 * SECOND), ETG_BREAKER_SAME);
    ck_assert_int_eq(fail_at(NOW + 3 * SECOND), ETG_BREAKER_SAME);
    ck_assert_int_eq(fail_at(NOW + 3 * SECOND), ETG_BREAKER_OPENED);
}
END_TEST

START_TEST(test_a_probe_that_fails_is_repeated_every_two_seconds)
{
    apr_time_t at = NOW;
    int i;

    open_at(NOW, 0);
    for (i = 0; i < 5; i++) {
        at += 2 * SECOND;
        ck_assert(etg_breaker_probe_begin(&breaker, at));
        at += 30 * MILLISECOND;
        /* Open before and after: nothing to log. */
        ck_assert_int_eq(etg_breaker_probe_end(&breaker, 0, at, 0),
                         ETG_BREAKER_SAME);
        ck_assert(!etg_breaker_may_call(&breaker));
        ck_assert_int_eq(etg_breaker_probe_at(&breaker), at + 2 * SECOND);
    }
}
END_TEST

START_TEST(test_the_end_of_a_probe_nobody_took_changes_nothing)
{
    ck_assert_int_eq(etg_breaker_probe_end(&breaker, 0, NOW, 0),
                     ETG_BREAKER_SAME);
    ck_assert(etg_breaker_may_call(&breaker));
    open_at(NOW, 0);
    ck_assert_int_eq(etg_breaker_probe_end(&breaker, 1, NOW, 0),
                     ETG_BREAKER_SAME);
    ck_assert(!etg_breaker_may_call(&breaker));
}
END_TEST

START_TEST(test_a_clock_that_is_set_back_neither_blocks_probes_nor_opens)
{
    apr_time_t before = NOW - 3600 * SECOND;

    fail_at(NOW);
    fail_at(NOW);
    ck_assert_int_eq(fail_at(before), ETG_BREAKER_SAME);
    ck_assert(etg_breaker_may_call(&breaker));
    set_up();
    open_at(NOW, 0);
    ck_assert(etg_breaker_is_probe_due(&breaker, before));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("breaker");
    TCase *cases = tcase_create("breaker");

    tcase_add_checked_fixture(cases, set_up, NULL);
    tcase_add_test(cases, test_a_fresh_breaker_lets_calls_go);
    tcase_add_test(cases, test_three_failures_within_ten_seconds_open_it);
    tcase_add_test(cases,
                   test_three_failures_in_longer_than_ten_seconds_do_not);
    tcase_add_test(cases,
                   test_a_few_answers_in_between_do_not_wipe_out_failures);
    tcase_add_test(cases, test_many_answers_in_between_do);
    tcase_add_test(cases,
        test_late_reports_of_earlier_calls_change_nothing_while_it_is_open);
    tcase_add_test(cases,
                   test_a_probe_is_due_after_two_seconds_and_the_jitter);
    tcase_add_test(cases, test_a_jitter_out_of_range_is_cut);
    tcase_add_test(cases,
                   test_only_one_takes_the_probe_and_no_call_goes_meanwhile);
    tcase_add_test(cases,
                   test_a_probe_that_succeeds_closes_it_without_old_failures);
    tcase_add_test(cases,
                   test_a_probe_that_fails_is_repeated_every_two_seconds);
    tcase_add_test(cases,
                   test_the_end_of_a_probe_nobody_took_changes_nothing);
    tcase_add_test(cases,
        test_a_clock_that_is_set_back_neither_blocks_probes_nor_opens);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
