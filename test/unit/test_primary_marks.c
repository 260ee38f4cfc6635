/* SPDX-License-Identifier: Apache-2.0 */
/* test_primary_marks.c: marks of a key, set by hosts whose clocks differ. */
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>

#include "test/unit/primaries.h"
#include "test/unit/run_suite.h"

#define FAR (3600 * SECOND)

static const etg_store_mark marks[] = {
    ETG_STORE_MARK_SOFT, ETG_STORE_MARK_INVALID, ETG_STORE_MARK_GONE
};

/* What a look-up remembers of a primary. */
typedef struct sight {
    apr_time_t invalidated_at;
    apr_time_t purged_at;
} sight;

static sight seen(const etg_primary *primary)
{
    sight s = { primary->invalidated_at, primary->purged_at };

    return s;
}

static int is_outrun(const etg_primary *primary, sight s)
{
    return etg_primary_is_marked_since(primary, s.invalidated_at,
                                       s.purged_at);
}

static etg_primary with_row(void)
{
    etg_primary primary = empty_primary();

    put(&primary, "accept", row_of(0), 16, NOW);
    return primary;
}

START_TEST(test_a_soft_mark_keeps_what_is_stored)
{
    etg_primary primary = with_row();
    apr_uint64_t generation = primary.generation;

    etg_primary_mark(&primary, ETG_STORE_MARK_SOFT, NOW + SECOND);
    ck_assert_int_eq(primary.purged_at, NOW + SECOND);
    ck_assert_int_eq(primary.invalidated_at, 0);
    ck_assert_uint_eq(primary.row_count, 1);
    ck_assert_uint_eq(primary.generation, generation);
}
END_TEST

START_TEST(test_an_invalid_mark_keeps_what_is_stored)
{
    etg_primary primary = with_row();

    etg_primary_mark(&primary, ETG_STORE_MARK_INVALID, NOW + SECOND);
    ck_assert_int_eq(primary.invalidated_at, NOW + SECOND);
    ck_assert_int_eq(primary.purged_at, 0);
    ck_assert_uint_eq(primary.row_count, 1);
}
END_TEST

START_TEST(test_gone_leaves_a_mark_and_a_later_generation)
{
    etg_primary primary = with_row();
    apr_uint64_t generation = primary.generation;

    etg_primary_mark(&primary, ETG_STORE_MARK_GONE, NOW - FAR);
    ck_assert_uint_eq(primary.row_count, 0);
    ck_assert_uint_eq(primary.spec_count, 0);
    ck_assert_uint_gt(primary.generation, generation);
    ck_assert_int_ge(primary.invalidated_at, NOW);
    ck_assert_uint_eq(primary.key_length, sizeof(KEY) - 1);
    ck_assert_str_eq(primary.key, KEY);
}
END_TEST

START_TEST(test_none_marks_nothing)
{
    etg_primary primary = with_row();
    etg_primary before = primary;

    etg_primary_mark(&primary, ETG_STORE_MARK_NONE, NOW + SECOND);
    assert_same(&primary, &before);
}
END_TEST

/* The host that purges may be behind the one that stored. */
START_TEST(test_a_mark_is_not_before_what_is_stored)
{
    for (unsigned i = 0; i < ROWS(marks); i++) {
        etg_primary primary = with_row();
        sight after;

        etg_primary_mark(&primary, marks[i], NOW - FAR);
        after = seen(&primary);
        ck_assert_int_ge(after.purged_at > after.invalidated_at
                         ? after.purged_at : after.invalidated_at, NOW);
    }
}
END_TEST

START_TEST(test_every_mark_moves_whatever_the_clock)
{
    static const apr_time_t clocks[] = {
        NOW, NOW, NOW - FAR, NOW + FAR, NOW + FAR, NOW, NOW + FAR + 1, 1, 0
    };

    for (unsigned i = 0; i < ROWS(marks); i++) {
        for (unsigned k = 0; k < ROWS(marks); k++) {
            etg_primary primary = with_row();

            for (unsigned c = 0; c < ROWS(clocks); c++) {
                sight before = seen(&primary);

                ck_assert(!is_outrun(&primary, before));
                etg_primary_mark(&primary, marks[c % 2 ? i : k], clocks[c]);
                ck_assert_msg(is_outrun(&primary, before),
                              "marks %u and %u, clock %u", i, k, c);
            }
        }
    }
}
END_TEST

/* The clock shows just what the last mark was set to, by a host ahead. */
START_TEST(test_two_hard_purges_in_one_microsecond_are_two)
{
    etg_primary primary = with_row();
    sight between;

    etg_primary_mark(&primary, ETG_STORE_MARK_GONE, NOW + FAR);
    between = seen(&primary);
    etg_primary_mark(&primary, ETG_STORE_MARK_GONE, NOW + FAR);
    ck_assert(is_outrun(&primary, between));
}
END_TEST

/* Another host's fetch began before the purge and ends after the next fetch
 * was stored: the mark outlives that. */
START_TEST(test_what_is_stored_after_a_mark_does_not_take_it_back)
{
    for (unsigned i = 0; i < ROWS(marks); i++) {
        etg_primary primary = with_row();
        sight before = seen(&primary);
        sight after;

        etg_primary_mark(&primary, marks[i], NOW + SECOND);
        after = seen(&primary);
        put(&primary, "accept", row_of(-2), 16, NOW + 2 * SECOND);
        primary = there_and_back(&primary);
        ck_assert(is_outrun(&primary, before));
        ck_assert(!is_outrun(&primary, after));
    }
}
END_TEST

START_TEST(test_a_fetch_that_saw_no_primary_is_outrun_by_its_mark)
{
    for (unsigned i = 0; i < ROWS(marks); i++) {
        etg_primary primary = empty_primary();
        sight none = { 0, 0 };

        ck_assert(!is_outrun(&primary, none));
        etg_primary_mark(&primary, marks[i], NOW - FAR);
        ck_assert(is_outrun(&primary, none));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("primary_marks");
    TCase *tests = tcase_create("primary_marks");

    tcase_add_checked_fixture(tests, set_up, close_pool);
    tcase_add_test(tests, test_a_soft_mark_keeps_what_is_stored);
    tcase_add_test(tests, test_an_invalid_mark_keeps_what_is_stored);
    tcase_add_test(tests, test_gone_leaves_a_mark_and_a_later_generation);
    tcase_add_test(tests, test_none_marks_nothing);
    tcase_add_test(tests, test_a_mark_is_not_before_what_is_stored);
    tcase_add_test(tests, test_every_mark_moves_whatever_the_clock);
    tcase_add_test(tests, test_two_hard_purges_in_one_microsecond_are_two);
    tcase_add_test(tests,
                   test_what_is_stored_after_a_mark_does_not_take_it_back);
    tcase_add_test(tests,
                   test_a_fetch_that_saw_no_primary_is_outrun_by_its_mark);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
