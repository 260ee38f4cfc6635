/* SPDX-License-Identifier: Apache-2.0 */
/* test_cookie.c: what is left of a Cookie field. */
#include <string.h>

#include <check.h>

#include "lib/cookie.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

static apr_array_header_t *patterns;

static void setup(void)
{
    open_pool();
    patterns = apr_array_make(pool, 3, sizeof(const char *));
    APR_ARRAY_PUSH(patterns, const char *) = "_ga*";
    APR_ARRAY_PUSH(patterns, const char *) = "x?";
    APR_ARRAY_PUSH(patterns, const char *) = "utm_[a-c]";
}

static const char *left_of(const char *value)
{
    return etg_cookie_without(value, patterns, pool);
}

START_TEST(test_ignored_cookies_go_and_the_order_stays)
{
    ck_assert_str_eq(left_of("a=1; _ga=2; b=3"), "a=1; b=3");
    ck_assert_str_eq(left_of("_ga_X=2; a=1"), "a=1");
    ck_assert_str_eq(left_of("a=1;xy=1;b=2;utm_b=1"), "a=1; b=2");
    ck_assert_str_eq(left_of("a=1;b=2;;;c=3;_ga"), "a=1; b=2; c=3");
}
END_TEST

START_TEST(test_null_if_nothing_is_left)
{
    ck_assert_ptr_null(left_of(NULL));
    ck_assert_ptr_null(left_of("_ga=1"));
    ck_assert_ptr_null(left_of("_ga=1; x1=2; utm_a=3"));
    ck_assert_ptr_null(left_of(""));
    ck_assert_ptr_null(left_of(" ; ;"));
}
END_TEST

START_TEST(test_the_value_itself_if_nothing_was_removed)
{
    const char *value = "a=1;b=\"x;  y\" ;xyz=1";

    ck_assert_ptr_eq(left_of(value), value);
    ck_assert_ptr_eq(etg_cookie_without(value, NULL, pool), value);
    ck_assert_ptr_null(etg_cookie_without(" ;", NULL, pool));
}
END_TEST

START_TEST(test_patterns_mean_the_whole_name_in_its_case)
{
    ck_assert_str_eq(left_of("_GA=1; a_ga=2; x=3; xxx=4; utm_d=5; _ga=6"),
                     "_GA=1; a_ga=2; x=3; xxx=4; utm_d=5");
}
END_TEST

START_TEST(test_a_value_is_never_taken_for_a_name)
{
    ck_assert_str_eq(left_of("a=_ga; b=x1; _ga=a"), "a=_ga; b=x1");
    ck_assert_str_eq(left_of("a=1, _ga=2; _ga=3"), "a=1, _ga=2");
    ck_assert_str_eq(left_of("=_ga; _ga=3"), "=_ga");
}
END_TEST

START_TEST(test_lines_that_httpd_joined_are_kept)
{
    ck_assert_str_eq(left_of("_ga=1, session=2"), "_ga=1, session=2");
    ck_assert_str_eq(left_of("_ga=1, session=2; _gat=3"), "_ga=1, session=2");
    ck_assert_ptr_null(left_of("_ga=1,2"));
}
END_TEST

START_TEST(test_a_cookie_without_equals_sign_is_a_name)
{
    ck_assert_str_eq(left_of("_ga; a"), "a");
    ck_assert_str_eq(left_of("_ga =1; a = 1"), "a = 1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cookie");
    TCase *tests = tcase_create("cookie");

    tcase_add_checked_fixture(tests, setup, close_pool);
    tcase_add_test(tests, test_ignored_cookies_go_and_the_order_stays);
    tcase_add_test(tests, test_null_if_nothing_is_left);
    tcase_add_test(tests, test_the_value_itself_if_nothing_was_removed);
    tcase_add_test(tests, test_patterns_mean_the_whole_name_in_its_case);
    tcase_add_test(tests, test_a_value_is_never_taken_for_a_name);
    tcase_add_test(tests, test_lines_that_httpd_joined_are_kept);
    tcase_add_test(tests, test_a_cookie_without_equals_sign_is_a_name);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
