/* SPDX-License-Identifier: Apache-2.0 */
/* test_structured_field.c: dictionaries as strict as RFC 9651. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/field_list.h"
#include "lib/structured_field.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

/* The only member of a dictionary. */
static const etg_sf_member *only(const char *value)
{
    apr_array_header_t *members = NULL;
    apr_status_t rv = etg_sf_dictionary(etg_bytes_of(value), pool, &members);

    ck_assert_msg(rv == APR_SUCCESS, "refused %s", value);
    ck_assert_msg(members->nelts == 1, "%s has %d", value, members->nelts);
    return &APR_ARRAY_IDX(members, 0, etg_sf_member);
}

static void number_is(const char *value, etg_sf_type type, apr_int64_t number)
{
    const etg_sf_member *member = only(value);

    ck_assert_msg(member->type == type, "%s has type %d", value, member->type);
    ck_assert_int_eq(member->number, number);
    ck_assert_ptr_null(member->text);
}

static void text_is(const char *value, etg_sf_type type, const char *text)
{
    const etg_sf_member *member = only(value);

    ck_assert_msg(member->type == type, "%s has type %d", value, member->type);
    ck_assert_str_eq(member->text, text);
}

static void refused(const char *value)
{
    apr_array_header_t *members = NULL;
    apr_status_t rv = etg_sf_dictionary(etg_bytes_of(value), pool, &members);

    ck_assert_msg(rv == APR_EINVAL, "took %s", value);
    ck_assert_ptr_null(members);
}

START_TEST(test_an_empty_value_is_an_empty_dictionary)
{
    apr_array_header_t *members = NULL;

    ck_assert_int_eq(etg_sf_dictionary(etg_bytes_of(""), pool, &members),
                     APR_SUCCESS);
    ck_assert_int_eq(members->nelts, 0);
    ck_assert_int_eq(etg_sf_dictionary(etg_bytes_of("   "), pool, &members),
                     APR_SUCCESS);
    ck_assert_int_eq(members->nelts, 0);
    ck_assert_int_eq(etg_sf_dictionary(etg_bytes_of(NULL), pool, &members),
                     APR_SUCCESS);
}
END_TEST

START_TEST(test_numbers_have_at_most_15_digits)
{
    number_is("a=0", ETG_SF_INTEGER, 0);
    number_is("a=-0", ETG_SF_INTEGER, 0);
    number_is("a=0042", ETG_SF_INTEGER, 42);
    number_is("a=-999999999999999", ETG_SF_INTEGER,
              APR_INT64_C(-999999999999999));
    number_is("a=1.5", ETG_SF_DECIMAL, 1500);
    number_is("a=-0.001", ETG_SF_DECIMAL, -1);
    number_is("a=999999999999.999", ETG_SF_DECIMAL,
              APR_INT64_C(999999999999999));
    refused("a=1000000000000000");
    refused("a=1000000000000.1");
    refused("a=1.0000");
    refused("a=1.");
    refused("a=.5");
    refused("a=-");
    refused("a=--1");
    refused("a=+1");
    refused("a=1e3");
}
END_TEST

START_TEST(test_strings_know_two_escapes)
{
    text_is("a=\"\"", ETG_SF_STRING, "");
    text_is("a=\"x, y;z=1\"", ETG_SF_STRING, "x, y;z=1");
    text_is("a=\"q\\\"b\\\\\"", ETG_SF_STRING, "q\"b\\");
    refused("a=\"open");
    refused("a=\"\\n\"");
    refused("a=\"\\");
    refused("a=\"\\\"");
    refused("a=\"\t\"");
    refused("a=\"\xc3\xbc\"");
    refused("a=\"\x7f\"");
    refused("a='x'");
}
END_TEST

START_TEST(test_tokens_start_with_a_letter_or_asterisk)
{
    text_is("a=foo", ETG_SF_TOKEN, "foo");
    text_is("a=*", ETG_SF_TOKEN, "*");
    text_is("a=Foo123:/!#$%&'*+-.^_`|~", ETG_SF_TOKEN,
            "Foo123:/!#$%&'*+-.^_`|~");
    refused("a=_foo");
    refused("a=foo\"");
    refused("a=/");
}
END_TEST

START_TEST(test_byte_sequences_are_base64)
{
    text_is("a=:aGVsbG8=:", ETG_SF_BYTES, "aGVsbG8=");
    text_is("a=:aGVsbG8:", ETG_SF_BYTES, "aGVsbG8");
    text_is("a=::", ETG_SF_BYTES, "");
    text_is("a=:+/A=:", ETG_SF_BYTES, "+/A=");
    refused("a=:aGVsbG8=");
    refused("a=:a:");
    refused("a=:aG=V:");
    refused("a=:aGV===:");
    refused("a=:aG=:");
    refused("a=:a_b-:");
    refused("a=: aGVsbG8=:");
}
END_TEST

START_TEST(test_booleans_are_written_or_left_out)
{
    number_is("a", ETG_SF_BOOLEAN, 1);
    number_is("a=?1", ETG_SF_BOOLEAN, 1);
    number_is("a=?0", ETG_SF_BOOLEAN, 0);
    number_is("a;x=?0", ETG_SF_BOOLEAN, 1);
    refused("a=?2");
    refused("a=?");
    refused("a=?true");
    refused("a=?10");
}
END_TEST

START_TEST(test_dates_are_integers_behind_an_at_sign)
{
    number_is("a=@1659578233", ETG_SF_DATE, 1659578233);
    number_is("a=@-1", ETG_SF_DATE, -1);
    refused("a=@1.5");
    refused("a=@");
}
END_TEST

START_TEST(test_display_strings_are_percent_encoded_utf_8)
{
    text_is("a=%\"f%c3%bc %25\"", ETG_SF_DISPLAY, "f\xc3\xbc %");
    text_is("a=%\"%f0%9f%98%80\"", ETG_SF_DISPLAY, "\xf0\x9f\x98\x80");
    text_is("a=%\"%ef%bf%bd%e2%82%ac\"", ETG_SF_DISPLAY,
            "\xef\xbf\xbd\xe2\x82\xac");
    refused("a=%\"f%C3%BC\"");
    refused("a=%\"%ff\"");
    refused("a=%\"%c3\"");
    refused("a=%\"%c0%80\"");
    refused("a=%\"%e0%80%80\"");
    refused("a=%\"%ed%a0%80\"");
    refused("a=%\"%f4%90%80%80\"");
    refused("a=%\"%f8%88%80%80%80\"");
    refused("a=%\"%80\"");
    refused("a=%\"%4\"");
    refused("a=%\"%");
    refused("a=%\"open");
    refused("a=%x");
}
END_TEST

START_TEST(test_inner_lists_are_checked_and_skipped)
{
    ck_assert_int_eq(only("a=()")->type, ETG_SF_INNER_LIST);
    ck_assert_int_eq(only("a=(  )")->type, ETG_SF_INNER_LIST);
    ck_assert_int_eq(only("a=(1 \"b\";q=1   c );x=2")->type,
                     ETG_SF_INNER_LIST);
    refused("a=(1");
    refused("a=(1\t2)");
    refused("a=(1,2)");
    refused("a=(1\"b\")");
    refused("a=((1))");
    refused("a=(1) x");
}
END_TEST

START_TEST(test_keys_are_lower_case)
{
    ck_assert_str_eq(only("*a_-.*9=1")->key, "*a_-.*9");
    refused("A=1");
    refused("max-AGE=1");
    refused("1a=1");
    refused("-a=1");
    refused("=1");
    refused("&&&&&");
}
END_TEST

START_TEST(test_white_space_stands_only_around_commas)
{
    apr_array_header_t *members;

    ck_assert_int_eq(etg_sf_dictionary(etg_bytes_of(" a=1 \t,\t b  "), pool,
                                       &members), APR_SUCCESS);
    ck_assert_int_eq(members->nelts, 2);
    refused("a =1");
    refused("a= 1");
    refused("a b");
    refused("\ta");
    refused("a;x =1");
}
END_TEST

START_TEST(test_commas_separate_and_never_end)
{
    refused("a=1,");
    refused("a=1, ");
    refused(",a=1");
    refused("a=1,,b=2");
    refused("a=1; b=2 c");
}
END_TEST

START_TEST(test_parameters_are_checked_and_skipped)
{
    number_is("a=1;x;y=\"z\";  w=?0;v=:AA==:", ETG_SF_INTEGER, 1);
    refused("a=1;");
    refused("a=1;X");
    refused("a=1;x=");
    refused("a=1 ;x");
    refused("a=1;x=()");
}
END_TEST

START_TEST(test_the_last_of_equal_keys_holds)
{
    apr_array_header_t *members;
    const etg_sf_member *row;

    ck_assert_int_eq(etg_sf_dictionary(etg_bytes_of("a=1, b=x, a=\"z\""), pool,
                                       &members), APR_SUCCESS);
    ck_assert_int_eq(members->nelts, 2);
    row = &APR_ARRAY_IDX(members, 0, etg_sf_member);
    ck_assert_str_eq(row->key, "a");
    ck_assert_int_eq(row->type, ETG_SF_STRING);
    ck_assert_str_eq(row->text, "z");
    ck_assert_str_eq(row[1].key, "b");
}
END_TEST

START_TEST(test_1024_keys_are_taken_and_no_more)
{
    const char *value = "k0";
    apr_array_header_t *members;
    char *text = apr_palloc(pool, 16384);
    char *at = text;
    int i;

    for (i = 0; i < ETG_SF_KEYS_MAX; i++) {
        at += apr_snprintf(at, 16, "%sk%d", i > 0 ? "," : "", i);
    }
    value = text;
    ck_assert_int_eq(etg_sf_dictionary(etg_bytes_of(value), pool, &members),
                     APR_SUCCESS);
    ck_assert_int_eq(members->nelts, ETG_SF_KEYS_MAX);
    refused(apr_pstrcat(pool, value, ",more", NULL));
    ck_assert_int_eq(etg_sf_dictionary(
                         etg_bytes_of(apr_pstrcat(pool, value, ",k7=2", NULL)),
                         pool, &members), APR_SUCCESS);
}
END_TEST

START_TEST(test_a_dictionary_is_read_without_its_terminator)
{
    const char *text = "a=%\"%c3%bc\", b=(1 2), c=\"x\"";
    etg_bytes value = { (const unsigned char *)text, 0 };
    unsigned taken = 0;

    for (value.length = 1; value.length <= strlen(text); value.length++) {
        apr_array_header_t *members;

        taken += etg_sf_dictionary(value, pool, &members) == APR_SUCCESS;
    }
    /* "a", its end, "b", its end, "c" and the whole. */
    ck_assert_uint_eq(taken, 6);
}
END_TEST

static int list_of(const char *value, apr_array_header_t **members)
{
    return etg_sf_list(etg_bytes_of(value), pool, members) == APR_SUCCESS;
}

START_TEST(test_a_list_keeps_its_members_in_order)
{
    apr_array_header_t *members = NULL;
    const etg_sf_member *row;

    ck_assert(list_of(" \"a\";x=1 ,\tb, (1 2), 7, \"a\"", &members));
    ck_assert_int_eq(members->nelts, 5);
    row = &APR_ARRAY_IDX(members, 0, etg_sf_member);
    ck_assert_int_eq(row[0].type, ETG_SF_STRING);
    ck_assert_str_eq(row[0].text, "a");
    ck_assert_ptr_null(row[0].key);
    ck_assert_int_eq(row[1].type, ETG_SF_TOKEN);
    ck_assert_int_eq(row[2].type, ETG_SF_INNER_LIST);
    ck_assert_int_eq(row[3].number, 7);
    ck_assert_str_eq(row[4].text, "a");
    ck_assert(list_of("", &members));
    ck_assert_int_eq(members->nelts, 0);
}
END_TEST

START_TEST(test_a_list_is_refused_whole)
{
    static const char *const malformed[] = {
        "\"a\",", ",\"a\"", "\"a\" \"b\"", "\"a\",,\"b\"", "\"a",
        "a=1", "(\"a\"", "\"a\";X", "\t\"a\"", "_", NULL
    };

    for (int i = 0; malformed[i] != NULL; i++) {
        apr_array_header_t *members = NULL;

        ck_assert_msg(!list_of(malformed[i], &members), "took %s",
                      malformed[i]);
        ck_assert_ptr_null(members);
    }
}
END_TEST

START_TEST(test_1024_members_are_taken_and_no_more)
{
    apr_array_header_t *members;
    char *text = apr_pcalloc(pool, 2 * ETG_SF_KEYS_MAX + 3);

    for (int i = 0; i < ETG_SF_KEYS_MAX; i++) {
        memcpy(text + 2 * i, "a,", 2);
    }
    text[2 * ETG_SF_KEYS_MAX - 1] = '\0';
    ck_assert(list_of(text, &members));
    ck_assert_int_eq(members->nelts, ETG_SF_KEYS_MAX);
    memcpy(text + 2 * ETG_SF_KEYS_MAX - 1, ",a", 3);
    ck_assert(!list_of(text, &members));
}
END_TEST

START_TEST(test_put_string_quotes_and_escapes)
{
    char buffer[16] = "................";
    apr_size_t used = 1;

    ck_assert(etg_sf_put_string(buffer, sizeof(buffer), &used, "a\"\\\n\xfc"));
    ck_assert_uint_eq(used, 10);
    ck_assert_int_eq(memcmp(buffer, ".\"a\\\"\\\\??\".", 11), 0);
}
END_TEST

START_TEST(test_put_string_writes_all_or_nothing)
{
    char buffer[5] = ".....";
    apr_size_t used = 0;

    ck_assert(!etg_sf_put_string(buffer, sizeof(buffer), &used, "abcd"));
    ck_assert(!etg_sf_put_string(buffer, sizeof(buffer), &used, "ab\""));
    ck_assert_uint_eq(used, 0);
    ck_assert_int_eq(memcmp(buffer, ".....", 5), 0);
    ck_assert(etg_sf_put_string(buffer, sizeof(buffer), &used, "abc"));
    ck_assert_uint_eq(used, 5);
    ck_assert(!etg_sf_put_string(buffer, sizeof(buffer), &used, ""));
    used = 9;
    ck_assert(!etg_sf_put_string(buffer, sizeof(buffer), &used, ""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("structured_field");
    TCase *tests = tcase_create("structured_field");

    tcase_add_checked_fixture(tests, open_pool, close_pool);
    tcase_add_test(tests, test_an_empty_value_is_an_empty_dictionary);
    tcase_add_test(tests, test_numbers_have_at_most_15_digits);
    tcase_add_test(tests, test_strings_know_two_escapes);
    tcase_add_test(tests, test_tokens_start_with_a_letter_or_asterisk);
    tcase_add_test(tests, test_byte_sequences_are_base64);
    tcase_add_test(tests, test_booleans_are_written_or_left_out);
    tcase_add_test(tests, test_dates_are_integers_behind_an_at_sign);
    tcase_add_test(tests, test_display_strings_are_percent_encoded_utf_8);
    tcase_add_test(tests, test_inner_lists_are_checked_and_skipped);
    tcase_add_test(tests, test_keys_are_lower_case);
    tcase_add_test(tests, test_white_space_stands_only_around_commas);
    tcase_add_test(tests, test_commas_separate_and_never_end);
    tcase_add_test(tests, test_parameters_are_checked_and_skipped);
    tcase_add_test(tests, test_the_last_of_equal_keys_holds);
    tcase_add_test(tests, test_1024_keys_are_taken_and_no_more);
    tcase_add_test(tests, test_a_dictionary_is_read_without_its_terminator);
    tcase_add_test(tests, test_a_list_keeps_its_members_in_order);
    tcase_add_test(tests, test_a_list_is_refused_whole);
    tcase_add_test(tests, test_1024_members_are_taken_and_no_more);
    tcase_add_test(tests, test_put_string_quotes_and_escapes);
    tcase_add_test(tests, test_put_string_writes_all_or_nothing);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
