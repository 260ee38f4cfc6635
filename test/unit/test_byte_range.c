/* SPDX-License-Identifier: Apache-2.0 */
/* test_byte_range.c: what a Range asks for. */
#include <string.h>

#include <check.h>

#include "lib/byte_range.h"
#include "lib/field_list.h"
#include "test/unit/run_suite.h"

static void judged(const char *value, apr_uint64_t length,
                   etg_range_kind kind, unsigned count)
{
    unsigned found = 77;

    ck_assert_msg(etg_range_judge(etg_bytes_of(value), length, &found) == kind,
                  "%s", value);
    ck_assert_uint_eq(found, count);
}

START_TEST(test_a_range_inside_the_body_is_satisfiable)
{
    judged("bytes=0-1", 10, ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=0-0", 1, ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=9-9", 10, ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=1-", 10, ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=-1", 10, ETG_RANGE_SATISFIABLE, 1);
    judged("BYTES=0-1", 10, ETG_RANGE_SATISFIABLE, 1);
}
END_TEST

START_TEST(test_a_range_that_reaches_beyond_the_end_is_satisfiable)
{
    judged("bytes=5-500", 10, ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=-500", 10, ETG_RANGE_SATISFIABLE, 1);
}
END_TEST

START_TEST(test_a_range_behind_the_end_is_unsatisfiable)
{
    judged("bytes=10-", 10, ETG_RANGE_UNSATISFIABLE, 1);
    judged("bytes=10-20", 10, ETG_RANGE_UNSATISFIABLE, 1);
    judged("bytes=-0", 10, ETG_RANGE_UNSATISFIABLE, 1);
    judged("bytes=10-11, 12-, -0", 10, ETG_RANGE_UNSATISFIABLE, 3);
}
END_TEST

START_TEST(test_one_satisfiable_range_of_several_is_enough)
{
    judged("bytes=100-, 0-1", 10, ETG_RANGE_SATISFIABLE, 2);
    judged("bytes=0-1 ,, 3-4,\t-1,", 10, ETG_RANGE_SATISFIABLE, 3);
}
END_TEST

START_TEST(test_an_empty_body_satisfies_nothing)
{
    judged("bytes=0-", 0, ETG_RANGE_UNSATISFIABLE, 1);
    judged("bytes=-5", 0, ETG_RANGE_UNSATISFIABLE, 1);
}
END_TEST

START_TEST(test_other_units_and_malformed_ranges_are_as_absent)
{
    static const char *const values[] = {
        "", "bytes", "bytes=", "bytes=,", "items=0-1", "bytes 0-1",
        "bytes=0", "bytes=-", "bytes=a-b", "bytes=0-1a", "bytes=5-2",
        "bytes=0-1, x", "bytes=0-1, 5-2", "bytes=0 -1", "bytes=0- 1",
        "bytes=--1", "bytes=0-1-2", "bytes=+0-1", "bytes=0x0-1", "byte=0-1",
        "bytes = 0-1", "none"
    };
    size_t i;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        judged(values[i], 10, ETG_RANGE_NONE, 0);
    }
    judged(NULL, 10, ETG_RANGE_NONE, 0);
}
END_TEST

START_TEST(test_huge_numbers_saturate)
{
    judged("bytes=0-99999999999999999999999", 10, ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=-99999999999999999999999", 10, ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=18446744073709551616-", 10, ETG_RANGE_UNSATISFIABLE, 1);
    judged("bytes=18446744073709551617-18446744073709551616", 10,
           ETG_RANGE_UNSATISFIABLE, 1);
    judged("bytes=9223372036854775806-", APR_UINT64_C(9223372036854775807),
           ETG_RANGE_SATISFIABLE, 1);
    judged("bytes=9223372036854775807-", APR_UINT64_C(9223372036854775807),
           ETG_RANGE_UNSATISFIABLE, 1);
}
END_TEST

START_TEST(test_a_range_is_read_without_its_terminator)
{
    etg_bytes value = { (const unsigned char *)"bytes=0-19", 9 };
    unsigned count;

    ck_assert_int_eq(etg_range_judge(value, 1, &count), ETG_RANGE_SATISFIABLE);
    value.length = 7;
    ck_assert_int_eq(etg_range_judge(value, 1, &count), ETG_RANGE_NONE);
    value.length = 6;
    ck_assert_int_eq(etg_range_judge(value, 1, &count), ETG_RANGE_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("byte_range");
    TCase *tests = tcase_create("byte_range");

    tcase_add_test(tests, test_a_range_inside_the_body_is_satisfiable);
    tcase_add_test(tests,
                   test_a_range_that_reaches_beyond_the_end_is_satisfiable);
    tcase_add_test(tests, test_a_range_behind_the_end_is_unsatisfiable);
    tcase_add_test(tests, test_one_satisfiable_range_of_several_is_enough);
    tcase_add_test(tests, test_an_empty_body_satisfies_nothing);
    tcase_add_test(tests, test_other_units_and_malformed_ranges_are_as_absent);
    tcase_add_test(tests, test_huge_numbers_saturate);
    tcase_add_test(tests, test_a_range_is_read_without_its_terminator);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
