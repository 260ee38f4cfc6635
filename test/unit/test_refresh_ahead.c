/* SPDX-License-Identifier: Apache-2.0 */
/* test_refresh_ahead.c: when a hit refreshes what it was answered with. */
#include <stdlib.h>

#include <check.h>

#include "lib/refresh_ahead.h"
#include "test/unit/run_suite.h"

#define SEC(n) apr_time_from_sec(n)
#define ROLLS (ETG_REFRESH_AHEAD_RANDOM_MOST + 1)

/* A lifetime of 100 s, refreshed from 80 s on: surely from 90 s on. */
static etg_refresh_ahead at(apr_interval_time_t stay)
{
    etg_refresh_ahead state = { stay, SEC(100) - stay, 0.8, 2 };

    return state;
}

/* Of all random numbers, how many say yes. */
static unsigned yes_of(const etg_refresh_ahead *state)
{
    unsigned yes = 0;

    for (unsigned random = 0; random < ROLLS; random++) {
        yes += etg_refresh_ahead_is_due(state, random) != 0;
    }
    return yes;
}

START_TEST(test_a_young_response_is_left_alone)
{
    static const int stays[] = { 0, 1, 40, 79 };

    for (int i = 0; i < 4; i++) {
        etg_refresh_ahead state = at(SEC(stays[i]));

        ck_assert_uint_eq(yes_of(&state), 0);
    }
}
END_TEST

START_TEST(test_one_in_the_second_half_of_what_is_left_is_refreshed)
{
    static const int stays[] = { 90, 91, 99 };

    for (int i = 0; i < 3; i++) {
        etg_refresh_ahead state = at(SEC(stays[i]));

        ck_assert_uint_eq(yes_of(&state), ROLLS);
    }
}
END_TEST

START_TEST(test_the_chance_rises_with_the_third_power)
{
    static const struct { int stay; double chance; } cases[] = {
        { 80, 0 }, { 81, 0.001 }, { 82, 0.008 }, { 85, 0.125 },
        { 88, 0.512 }, { 89, 0.729 }
    };

    for (int i = 0; i < 6; i++) {
        etg_refresh_ahead state = at(SEC(cases[i].stay));

        ck_assert_double_eq_tol(yes_of(&state) / (double)ROLLS,
                                cases[i].chance, 0.0001);
    }
}
END_TEST

/* 50 hits a second on each of 200 machines: within ten seconds all have
 * acted, hardly one of them in the first second, most of them in none. */
START_TEST(test_machines_do_not_act_at_once)
{
    enum { MACHINES = 200, SECONDS = 11 };
    unsigned acts[SECONDS] = { 0 };
    unsigned seed = 12345;

    for (int machine = 0; machine < MACHINES; machine++) {
        int tick = 0;

        for (;; tick++) {
            etg_refresh_ahead state = at(SEC(80)
                                         + apr_time_from_msec(20) * tick);

            seed = seed * 1103515245u + 12345u;
            if (etg_refresh_ahead_is_due(&state, seed >> 16 & 0xffff)) {
                break;
            }
        }
        ck_assert_int_le(tick, 500);
        acts[tick / 50]++;
    }
    for (int i = 0; i < SECONDS; i++) {
        ck_assert_uint_lt(acts[i], MACHINES / 2);
    }
    ck_assert_uint_lt(acts[0], MACHINES / 10);
}
END_TEST

START_TEST(test_a_single_hit_refreshes_nothing)
{
    etg_refresh_ahead state = at(SEC(99));

    state.hits = 1;
    ck_assert_uint_eq(yes_of(&state), 0);
    state.hits = 0;
    ck_assert_uint_eq(yes_of(&state), 0);
    state.hits = 255;
    ck_assert_uint_eq(yes_of(&state), ROLLS);
}
END_TEST

START_TEST(test_what_has_expired_is_not_its_business)
{
    etg_refresh_ahead state = at(SEC(100));

    ck_assert_uint_eq(yes_of(&state), 0);
    state = at(SEC(120));
    ck_assert_uint_eq(yes_of(&state), 0);
}
END_TEST

START_TEST(test_without_a_fraction_it_is_off)
{
    etg_refresh_ahead state = at(SEC(99));

    state.fraction = 0;
    ck_assert_uint_eq(yes_of(&state), 0);
}
END_TEST

START_TEST(test_a_fraction_of_one_leaves_no_window)
{
    etg_refresh_ahead state = at(SEC(100) - 1);

    state.fraction = 1;
    ck_assert_uint_eq(yes_of(&state), 0);
}
END_TEST

START_TEST(test_a_clock_set_back_refreshes_nothing)
{
    etg_refresh_ahead state = at(-SEC(5));

    ck_assert_uint_eq(yes_of(&state), 0);
}
END_TEST

START_TEST(test_lifetimes_of_any_length_do)
{
    etg_refresh_ahead blink = { 9, 1, 0.8, 2 };
    etg_refresh_ahead eternity = { APR_INT64_MAX / 2, APR_INT64_MAX / 2 - 9,
                                   0.2, 2 };

    ck_assert_uint_eq(yes_of(&blink), ROLLS);
    ck_assert_int_eq(etg_refresh_ahead_is_due(&eternity, 0), 1);
}
END_TEST

static Suite *refresh_ahead_suite(void)
{
    Suite *suite = suite_create("refresh_ahead");
    TCase *dice = tcase_create("dice");

    tcase_add_test(dice, test_a_young_response_is_left_alone);
    tcase_add_test(
        dice, test_one_in_the_second_half_of_what_is_left_is_refreshed);
    tcase_add_test(dice, test_the_chance_rises_with_the_third_power);
    tcase_add_test(dice, test_machines_do_not_act_at_once);
    tcase_add_test(dice, test_a_single_hit_refreshes_nothing);
    tcase_add_test(dice, test_what_has_expired_is_not_its_business);
    tcase_add_test(dice, test_without_a_fraction_it_is_off);
    tcase_add_test(dice, test_a_fraction_of_one_leaves_no_window);
    tcase_add_test(dice, test_a_clock_set_back_refreshes_nothing);
    tcase_add_test(dice, test_lifetimes_of_any_length_do);
    suite_add_tcase(suite, dice);
    return suite;
}

int main(void)
{
    return run_suite(refresh_ahead_suite());
}
