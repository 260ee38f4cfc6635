/* SPDX-License-Identifier: Apache-2.0 */
/* test_field_list.c: lines, list members, tokens and seconds. */
#include <string.h>

#include <check.h>

#include "lib/field_list.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

/* The members of a list, each behind "|". */
static const char *members_of(const char *value)
{
    etg_bytes rest = etg_bytes_of(value);
    etg_bytes member;
    static char text[256];
    size_t length = 0;

    while (etg_list_next(&rest, &member)) {
        ck_assert_uint_lt(length + member.length + 2, sizeof(text));
        text[length++] = '|';
        memcpy(text + length, member.data, member.length);
        length += member.length;
    }
    text[length] = '\0';
    return text;
}

static apr_int64_t seconds_of(const char *text)
{
    apr_int64_t seconds = -7;

    if (!etg_delta_seconds(etg_bytes_of(text), &seconds)) {
        ck_assert_int_eq(seconds, -7);
        return -1;
    }
    return seconds;
}

START_TEST(test_a_single_line_is_returned_without_a_copy)
{
    apr_table_t *fields = apr_table_make(pool, 2);
    const char *value = "a, b";

    apr_table_addn(fields, "Other", "x");
    apr_table_addn(fields, "Vary", value);
    ck_assert_ptr_eq(etg_field_combined(fields, "vary", pool), value);
    ck_assert_uint_eq(etg_field_count(fields, "VARY"), 1);
}
END_TEST

START_TEST(test_an_absent_field_is_null)
{
    apr_table_t *fields = apr_table_make(pool, 2);

    ck_assert_ptr_null(etg_field_combined(fields, "Vary", pool));
    ck_assert_uint_eq(etg_field_count(fields, "Vary"), 0);
    apr_table_addn(fields, "Var", "x");
    apr_table_addn(fields, "Vary2", "x");
    ck_assert_ptr_null(etg_field_combined(fields, "Vary", pool));
}
END_TEST

START_TEST(test_several_lines_are_joined_in_order)
{
    apr_table_t *fields = apr_table_make(pool, 4);

    apr_table_addn(fields, "Vary", "a");
    apr_table_addn(fields, "Other", "x");
    apr_table_addn(fields, "VARY", "");
    apr_table_addn(fields, "vary", "b, c");
    ck_assert_str_eq(etg_field_combined(fields, "Vary", pool), "a, , b, c");
    ck_assert_str_eq(etg_field_joined(fields, "Vary", "; ", pool),
                     "a; ; b, c");
    ck_assert_uint_eq(etg_field_count(fields, "Vary"), 3);
}
END_TEST

START_TEST(test_an_empty_line_is_not_an_absent_field)
{
    apr_table_t *fields = apr_table_make(pool, 1);

    apr_table_addn(fields, "Vary", "");
    ck_assert_str_eq(etg_field_combined(fields, "Vary", pool), "");
}
END_TEST

START_TEST(test_members_lose_white_space_and_empty_ones_are_skipped)
{
    ck_assert_str_eq(members_of("a,b"), "|a|b");
    ck_assert_str_eq(members_of(" \ta \t,, ,\tb c ,"), "|a|b c");
    ck_assert_str_eq(members_of(""), "");
    ck_assert_str_eq(members_of(" , ,"), "");
    ck_assert_str_eq(members_of(NULL), "");
}
END_TEST

START_TEST(test_commas_in_quotes_do_not_separate)
{
    ck_assert_str_eq(members_of("a=\"x, y\", b"), "|a=\"x, y\"|b");
    ck_assert_str_eq(members_of("a=\"x\\\", y\",b"), "|a=\"x\\\", y\"|b");
    ck_assert_str_eq(members_of("a\\,b"), "|a\\|b");
}
END_TEST

START_TEST(test_an_open_quote_runs_to_the_end)
{
    ck_assert_str_eq(members_of("a, \"b, c"), "|a|\"b, c");
    ck_assert_str_eq(members_of("\"a\\"), "|\"a\\");
}
END_TEST

START_TEST(test_a_list_is_read_without_its_terminator)
{
    const unsigned char bytes[] = { 'a', ',', 'b', 'c', ',', 'd' };
    etg_bytes rest = { bytes, 3 };
    etg_bytes member;

    ck_assert_int_eq(etg_list_next(&rest, &member), 1);
    ck_assert_uint_eq(member.length, 1);
    ck_assert_int_eq(etg_list_next(&rest, &member), 1);
    ck_assert_uint_eq(member.length, 1);
    ck_assert_int_eq(member.data[0], 'b');
    ck_assert_int_eq(etg_list_next(&rest, &member), 0);
}
END_TEST

START_TEST(test_has_token_looks_at_whole_members_in_any_case)
{
    ck_assert(etg_list_has_token("keep-alive, Close", "close"));
    ck_assert(!etg_list_has_token("closed, not close", "close"));
    ck_assert(!etg_list_has_token("\"a, close\"", "close"));
    ck_assert(!etg_list_has_token("", "close"));
    ck_assert(!etg_list_has_token(NULL, "close"));
}
END_TEST

START_TEST(test_tokens_are_what_rfc_9110_says)
{
    static const char all[] = "!#$%&'*+-.^_`|~09azAZ";
    int byte;
    int count = 0;

    ck_assert(etg_is_token(etg_bytes_of(all)));
    ck_assert(!etg_is_token(etg_bytes_of("")));
    ck_assert(!etg_is_token(etg_bytes_of("a b")));
    ck_assert(!etg_is_token(etg_bytes_of("a=")));
    for (byte = 0; byte < 256; byte++) {
        count += etg_is_token_byte((unsigned char)byte);
    }
    ck_assert_int_eq(count, 15 + 10 + 52);
}
END_TEST

START_TEST(test_seconds_are_digits_only)
{
    ck_assert_int_eq(seconds_of("0"), 0);
    ck_assert_int_eq(seconds_of("3600"), 3600);
    ck_assert_int_eq(seconds_of("003600"), 3600);
    ck_assert_int_eq(seconds_of(""), -1);
    ck_assert_int_eq(seconds_of("-1"), -1);
    ck_assert_int_eq(seconds_of("+1"), -1);
    ck_assert_int_eq(seconds_of("1.0"), -1);
    ck_assert_int_eq(seconds_of("10a"), -1);
    ck_assert_int_eq(seconds_of("a10"), -1);
    ck_assert_int_eq(seconds_of(" 1"), -1);
    ck_assert_int_eq(seconds_of("'1'"), -1);
}
END_TEST

START_TEST(test_seconds_stop_at_two_to_the_31)
{
    ck_assert_int_eq(seconds_of("2147483647"), APR_INT64_C(2147483647));
    ck_assert_int_eq(seconds_of("2147483648"), APR_INT64_C(2147483648));
    ck_assert_int_eq(seconds_of("2147483649"), APR_INT64_C(2147483648));
    ck_assert_int_eq(seconds_of("99999999999999999999999999"),
                     APR_INT64_C(2147483648));
}
END_TEST

START_TEST(test_lower_case_is_ascii_only)
{
    ck_assert_int_eq(etg_lower('A'), 'a');
    ck_assert_int_eq(etg_lower('Z'), 'z');
    ck_assert_int_eq(etg_lower('['), '[');
    ck_assert_int_eq((unsigned char)etg_lower(0xc4), 0xc4);
}
END_TEST

START_TEST(test_words_compare_in_any_case_and_whole)
{
    ck_assert(etg_bytes_is(etg_bytes_of("GZip"), "gzip"));
    ck_assert(!etg_bytes_is(etg_bytes_of("gzi"), "gzip"));
    ck_assert(!etg_bytes_is(etg_bytes_of("gzipx"), "gzip"));
    ck_assert(etg_bytes_is(etg_bytes_of(""), ""));
    ck_assert_uint_eq(etg_bytes_trim(etg_bytes_of(" \t ")).length, 0);
    ck_assert_ptr_null(etg_bytes_of(NULL).data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("field_list");
    TCase *tests = tcase_create("field_list");

    tcase_add_checked_fixture(tests, open_pool, close_pool);
    tcase_add_test(tests, test_a_single_line_is_returned_without_a_copy);
    tcase_add_test(tests, test_an_absent_field_is_null);
    tcase_add_test(tests, test_several_lines_are_joined_in_order);
    tcase_add_test(tests, test_an_empty_line_is_not_an_absent_field);
    tcase_add_test(tests,
                   test_members_lose_white_space_and_empty_ones_are_skipped);
    tcase_add_test(tests, test_commas_in_quotes_do_not_separate);
    tcase_add_test(tests, test_an_open_quote_runs_to_the_end);
    tcase_add_test(tests, test_a_list_is_read_without_its_terminator);
    tcase_add_test(tests, test_has_token_looks_at_whole_members_in_any_case);
    tcase_add_test(tests, test_tokens_are_what_rfc_9110_says);
    tcase_add_test(tests, test_seconds_are_digits_only);
    tcase_add_test(tests, test_seconds_stop_at_two_to_the_31);
    tcase_add_test(tests, test_lower_case_is_ascii_only);
    tcase_add_test(tests, test_words_compare_in_any_case_and_whole);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
