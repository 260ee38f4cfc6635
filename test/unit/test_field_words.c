/* SPDX-License-Identifier: Apache-2.0 */
/* test_field_words.c: the codes of names and values, status lines, dates. */
#include <stdlib.h>

#include <check.h>

#include "lib/field_words.h"
#include "test/unit/run_suite.h"

#define SECOND APR_USEC_PER_SEC
#define LAST_SECOND APR_TIME_C(253402300799)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

START_TEST(test_every_word_of_the_tables_has_its_own_code)
{
    unsigned code;

    ck_assert_ptr_null(etg_name_of(0));
    ck_assert_ptr_null(etg_value_of(0));
    ck_assert_uint_eq(etg_name_code("X-Not-There"), 0);
    ck_assert_uint_eq(etg_value_code("not there"), 0);
    ck_assert_uint_eq(etg_value_code(""), 0);
    for (code = 1; etg_name_of(code) != NULL; code++) {
        ck_assert_uint_eq(etg_name_code(etg_name_of(code)), code);
    }
    ck_assert_uint_gt(code, 100);
    ck_assert_uint_le(code, 128);
    for (code = 1; etg_value_of(code) != NULL; code++) {
        ck_assert_uint_eq(etg_value_code(etg_value_of(code)), code);
    }
    ck_assert_uint_gt(code, 50);
    ck_assert_uint_le(code, 64);
    ck_assert_ptr_null(etg_name_of(~APR_UINT64_C(0)));
    ck_assert_ptr_null(etg_value_of(~APR_UINT64_C(0)));
}
END_TEST

/* Codes are the format: a change here needs another version of it. */
START_TEST(test_codes_never_change_their_meaning)
{
    ck_assert_str_eq(etg_name_of(1), "Content-Type");
    ck_assert_str_eq(etg_name_of(4), "etag");
    ck_assert_str_eq(etg_name_of(121), "Sunset");
    ck_assert_str_eq(etg_value_of(1), "text/html; charset=utf-8");
    ck_assert_str_eq(etg_value_of(27), "Accept-Encoding");
    ck_assert_str_eq(etg_value_of(61), "max-age=31536000; includeSubDomains");
}
END_TEST

/* Every day there is, at another time of day, as APR writes it. */
START_TEST(test_every_day_is_written_as_it_should)
{
    char want[APR_RFC822_DATE_LEN];
    char text[ETG_DATE_BYTES];
    apr_int64_t day;

    for (day = 0; day * 86400 <= LAST_SECOND; day++) {
        apr_time_t when = (day * 86400 + day * 7919 % 86400) * SECOND;

        ck_assert(etg_date_write(text, when));
        apr_rfc822_date(want, when);
        ck_assert_str_eq(text, want);
    }
}
END_TEST

START_TEST(test_times_that_are_no_http_date_are_not_written)
{
    char text[ETG_DATE_BYTES] = "untouched";

    ck_assert(!etg_date_write(text, -SECOND));
    ck_assert(!etg_date_write(text, 1));
    ck_assert(!etg_date_write(text, (LAST_SECOND + 1) * SECOND));
    ck_assert(!etg_date_write(text, APR_INT64_MAX));
    ck_assert(!etg_date_write(text, APR_INT64_MIN));
    ck_assert_str_eq(text, "untouched");
    ck_assert(etg_date_write(text, LAST_SECOND * SECOND));
    ck_assert_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}
END_TEST

START_TEST(test_only_the_form_that_is_written_is_read)
{
    static const char *const others[] = {
        "", "0", "Thursday, 29-Feb-24 23:59:59 GMT",
        "Thu Feb 29 23:59:59 2024", "Wed, 29 Feb 2024 23:59:59 GMT",
        "Thu, 30 Feb 2024 23:59:59 GMT", "Thu, 29 Feb 2024 23:59:60 GMT",
        "thu, 29 Feb 2024 23:59:59 GMT", "Thu, 29 Feb 2024 23:59:59 UTC",
        "Thu, 29 Feb 2024 23:59:59 GMT ", "Wed, 31 Dec 1969 23:59:59 GMT",
    };
    apr_time_t when = 77;
    unsigned i;

    for (i = 0; i < ROWS(others); i++) {
        ck_assert_msg(!etg_date_read(others[i], &when), "%s", others[i]);
    }
    ck_assert_int_eq(when, 77);
    ck_assert(etg_date_read("Thu, 29 Feb 2024 23:59:59 GMT", &when));
    ck_assert_int_eq(when, 1709251199 * SECOND);
}
END_TEST

START_TEST(test_a_status_line_belongs_to_its_status)
{
    int status;

    for (status = 0; status < 1000; status++) {
        const char *line = etg_status_line_of(status);

        if (line != NULL) {
            ck_assert_int_eq(atoi(line), status);
            ck_assert_int_eq(line[3], ' ');
        }
    }
    ck_assert_str_eq(etg_status_line_of(200), "200 OK");
    ck_assert_ptr_null(etg_status_line_of(299));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("field_words");
    TCase *cases = tcase_create("field_words");

    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_every_word_of_the_tables_has_its_own_code);
    tcase_add_test(cases, test_codes_never_change_their_meaning);
    tcase_add_test(cases, test_every_day_is_written_as_it_should);
    tcase_add_test(cases, test_times_that_are_no_http_date_are_not_written);
    tcase_add_test(cases, test_only_the_form_that_is_written_is_read);
    tcase_add_test(cases, test_a_status_line_belongs_to_its_status);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
