/* SPDX-License-Identifier: Apache-2.0 */
/* test_timestamp.c: which texts are moments, and which moment they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "lib/field_list.h"
#include "lib/timestamp.h"
#include "test/unit/run_suite.h"

#define REFUSED APR_INT64_C(-1)
/* 2026-11-22 22:05:00 UTC */
#define EVENING APR_INT64_C(1795385100000000)

typedef struct reading {
    const char *text;
    apr_int64_t us;
} reading;

static apr_int64_t us_of(const char *text)
{
    etg_bytes bytes = etg_bytes_of(text);
    unsigned char *exact = malloc(bytes.length + 1);
    apr_time_t us = -77;
    int ok;

    /* A block of its own size: a sanitizer sees a read beyond it. */
    memcpy(exact, bytes.data, bytes.length);
    bytes.data = exact;
    ok = etg_timestamp_parse(bytes, &us);
    free(exact);
    if (!ok) {
        ck_assert_int_eq(us, -77);
        return REFUSED;
    }
    return us;
}

static void check_all(const reading *readings, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        apr_int64_t us = us_of(readings[i].text);

        ck_assert_msg(us == readings[i].us,
                      "\"%s\" is %" APR_INT64_T_FMT, readings[i].text, us);
    }
}

static void check_refused(const char *const *texts, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        ck_assert_msg(us_of(texts[i]) == REFUSED, "\"%s\" was read",
                      texts[i]);
    }
}

#define CHECK_ALL(rows) check_all(rows, sizeof(rows) / sizeof((rows)[0]))
#define CHECK_REFUSED(rows) \
    check_refused(rows, sizeof(rows) / sizeof((rows)[0]))

START_TEST(test_rfc_3339_has_a_zone_and_any_fraction)
{
    static const reading readings[] = {
        { "2026-11-22T22:05:00Z", EVENING },
        { "2026-11-22t22:05:00z", EVENING },
        { "2026-11-22 22:05:00Z", EVENING },
        { "2026-11-22 22:05:00z", EVENING },
        { "2026-11-22T23:05:00+01:00", EVENING },
        { "2026-11-22t12:35:00-09:30", EVENING },
        { "2026-11-23T03:50:00+05:45", EVENING },
        { "2026-11-22T22:05:00+00:00", EVENING },
        { "2026-11-22T22:05:00-00:00", EVENING },
        { "2026-11-23T22:04:00+23:59", EVENING },
        { "2026-11-21T22:06:00-23:59", EVENING },
        { "2026-11-22T22:05:00.5Z", EVENING + 500000 },
        { "2026-11-22T22:05:00.000001Z", EVENING + 1 },
        { "2026-11-22T23:05:00.123+01:00", EVENING + 123000 },
        { "2026-11-22T22:05:00.0Z", EVENING },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_sql_may_leave_the_zone_out_or_short)
{
    static const reading readings[] = {
        { "2026-11-22 22:05:00", EVENING },
        { "2026-11-22 22:05:00.25", EVENING + 250000 },
        { "2026-11-22 22:05:00+00", EVENING },
        { "2026-11-22 23:05:00+01", EVENING },
        { "2026-11-22 19:05:00.25-03", EVENING + 250000 },
        { "2026-11-23 03:35:00+0530", EVENING },
        { "2026-11-23 03:35:00+05:30", EVENING },
        { "2026-11-22 18:35:00-0330", EVENING },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_http_dates_are_read_in_all_three_forms)
{
    static const reading readings[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", APR_INT64_C(784111777000000) },
        { "Sunday, 06-Nov-94 08:49:37 GMT", APR_INT64_C(784111777000000) },
        { "Sun Nov  6 08:49:37 1994", APR_INT64_C(784111777000000) },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Thursday, 01-Jan-70 00:00:00 GMT", 0 },
        { "Tuesday, 31-Dec-69 23:59:59 GMT",
          APR_INT64_C(3155759999000000) },
        { "Fri, 31 Dec 9999 23:59:59 GMT", ETG_TIMESTAMP_MAX - 999999 },
        { "Wed, 31 Dec 1969 23:59:59 GMT", REFUSED },
        { "Fri, 31 Dec 9999 23:59:60 GMT", REFUSED },
        { "Sun, 06 Nov 1994 08:49:37 UTC", REFUSED },
        { "Sun, 06 Nov 1994 08:49:37", REFUSED },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_a_number_says_its_unit_by_its_size)
{
    static const reading readings[] = {
        { "0", 0 },
        { "1", 1000000 },
        { "1795385100", EVENING },
        { "1795385100.25", EVENING + 250000 },
        { "0.000001", 1 },
        { "253402300799", ETG_TIMESTAMP_MAX - 999999 },
        { "253402300799.999999", ETG_TIMESTAMP_MAX },
        { "253402300800", APR_INT64_C(253402300800000) },
        { "1795385100250", EVENING + 250000 },
        { "253402300799999", ETG_TIMESTAMP_MAX - 999 },
        { "253402300800000", APR_INT64_C(253402300800000) },
        { "1795385100250001", EVENING + 250001 },
        { "253402300799999999", ETG_TIMESTAMP_MAX },
        { "253402300800000000", REFUSED },
        { "999999999999999999", REFUSED },
        { "1000000000000000000", REFUSED },
        { "18446744073709551616", REFUSED },
        { "18446744073709551617", REFUSED },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_a_number_is_digits_and_seconds_may_have_a_fraction)
{
    static const char *const texts[] = {
        "", "-1", "+1", "00", "01795385100", "1e9", "0x10", "1_000", "1,5",
        "1.", ".5", "1.5.5", "1.-5", "1.5e3", "1795385100250.5",
        "1795385100250001.5", "253402300800.0", " 1", "1 ", "1s", "NaN", "-0",
    };

    CHECK_REFUSED(texts);
}
END_TEST

START_TEST(test_a_fraction_is_cut_to_microseconds)
{
    static const reading readings[] = {
        { "2026-11-22T22:05:00.9999999Z", EVENING + 999999 },
        { "2026-11-22 22:05:00.0000009", EVENING },
        { "2026-11-22 22:05:00.123456789012345678901234567890+00",
          EVENING + 123456 },
        { "1795385100.9999999999", EVENING + 999999 },
        { "9999-12-31T23:59:59.9999999Z", ETG_TIMESTAMP_MAX },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_days_that_no_month_has_are_refused)
{
    static const reading readings[] = {
        { "2024-02-29 00:00:00", APR_INT64_C(1709164800000000) },
        { "2000-02-29 00:00:00", APR_INT64_C(951782400000000) },
        { "2023-02-29 00:00:00", REFUSED },
        { "2100-02-29 00:00:00", REFUSED },
        { "2024-02-30 00:00:00", REFUSED },
        { "2024-04-31 00:00:00", REFUSED },
        { "2024-06-31T00:00:00Z", REFUSED },
        { "2024-09-31 00:00:00", REFUSED },
        { "2024-11-31 00:00:00", REFUSED },
        { "2024-01-32 00:00:00", REFUSED },
        { "2024-01-00 00:00:00", REFUSED },
        { "2024-00-01 00:00:00", REFUSED },
        { "2024-13-01 00:00:00", REFUSED },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_times_that_no_day_has_are_refused)
{
    static const char *const texts[] = {
        "2026-11-22T24:00:00Z", "2026-11-22T22:60:00Z",
        "2026-11-22T22:05:61Z", "2026-11-22T22:05:00+24:00",
        "2026-11-22T22:05:00+01:60", "2026-11-22 22:05:00+0160",
        "2026-11-22 22:05:00+24",
    };

    CHECK_REFUSED(texts);
}
END_TEST

START_TEST(test_a_leap_second_is_the_second_after_it)
{
    static const reading readings[] = {
        { "2016-12-31T23:59:60Z", APR_INT64_C(1483228800000000) },
        { "2016-12-31T23:59:60.5Z", APR_INT64_C(1483228800500000) },
        { "2017-01-01T08:59:60+09:00", APR_INT64_C(1483228800000000) },
        { "2016-12-31 18:29:60-0530", APR_INT64_C(1483228800000000) },
        { "Sat, 31 Dec 2016 23:59:60 GMT", APR_INT64_C(1483228800000000) },
        { "2016-12-31T22:59:60Z", REFUSED },
        { "2016-12-31T23:58:60Z", REFUSED },
        { "2016-12-31T23:59:60+09:00", REFUSED },
        { "9999-12-31T23:59:60Z", REFUSED },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_the_years_are_1970_to_9999)
{
    static const reading readings[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01 00:00:00.000001", 1 },
        { "1970-01-01T00:00:00-00:01", 60000000 },
        { "1970-01-01T00:00:00+00:01", REFUSED },
        { "1969-12-31T23:59:59Z", REFUSED },
        { "1969-12-31T23:59:59-12:00", REFUSED },
        { "0000-00-00 00:00:00", REFUSED },
        { "0001-01-01 00:00:00", REFUSED },
        { "9999-12-31 23:59:59", ETG_TIMESTAMP_MAX - 999999 },
        { "9999-12-31T23:59:59+00:01", ETG_TIMESTAMP_MAX - 60999999 },
        { "9999-12-31T23:59:59-00:01", REFUSED },
        { "10000-01-01T00:00:00Z", REFUSED },
    };

    CHECK_ALL(readings);
}
END_TEST

START_TEST(test_what_is_nearly_a_timestamp_is_refused)
{
    static const char *const texts[] = {
        " 2026-11-22 22:05:00", "2026-11-22 22:05:00 ",
        "2026-11-22 22:05:00\n", "2026-11-22  22:05:00",
        "2026-11-22 22:05:00 +00", "2026-11-22 22:05:00 UTC",
        "2026-11-22 22:05:00UTC", "2026-11-22T22:05:00",
        "2026-11-22T22:05:00.5", "2026-11-22T22:05:00+01",
        "2026-11-22T22:05:00+0100", "2026-11-22T22:05Z", "2026-11-22 22:05",
        "2026-11-22", "2026-11-22T", "2026-11", "2026-", "2026Z",
        "2026-11-22 22:05:00+", "2026-11-22 22:05:00+1",
        "2026-11-22 22:05:00+1:00", "2026-11-22 22:05:00+01:",
        "2026-11-22 22:05:00+01:0", "2026-11-22 22:05:00+010",
        "2026-11-22 22:05:00+01:00:00", "2026-11-22 22:05:00.",
        "2026-11-22 22:05:00.+01", "2026-11-22 22:05:00,5",
        "2026-11-22_22:05:00Z", "2026/11/22 22:05:00", "26-11-22 22:05:00",
        "2026-11-22T22:05:00ZZ", "2026-11-22T22:05:00Z+01:00",
        "2026-1-22 22:05:00", "2026-11-2 22:05:00", "2026-11-22 2:05:00",
        "2026-11-22T22.05.00Z", "+2026-11-22T22:05:00Z",
        "-2026-11-22T22:05:00Z", "20261122T220500Z", "infinity", "null",
        "2026-W47-7T22:05:00Z", "2026-326T22:05:00Z",
        ("2026-11-22T22:05:00\xe2\x88\x92" "01:00"),
    };

    CHECK_REFUSED(texts);
    /* Digits alone are a number, and not a year. */
    ck_assert_int_eq(us_of("2026"), APR_INT64_C(2026000000));
}
END_TEST

START_TEST(test_a_nul_inside_is_no_end)
{
    static const char text[] = "2026-11-22 22:05:00\0";
    static const char cut[] = "2026-11-22 22:05:00+\0";
    etg_bytes bytes = { (const unsigned char *)text, sizeof(text) - 1 };
    apr_time_t us;

    ck_assert(!etg_timestamp_parse(bytes, &us));
    bytes.data = (const unsigned char *)cut;
    bytes.length = sizeof(cut) - 1;
    ck_assert(!etg_timestamp_parse(bytes, &us));
    bytes.data = NULL;
    bytes.length = 0;
    ck_assert(!etg_timestamp_parse(bytes, &us));
}
END_TEST

START_TEST(test_a_timestamp_is_read_without_its_terminator)
{
    const char *text = "2026-11-22T23:05:00.25+01:00";
    etg_bytes bytes = etg_bytes_of(text);
    apr_time_t us;

    ck_assert(etg_timestamp_parse(bytes, &us));
    for (bytes.length--; bytes.length > 4; bytes.length--) {
        ck_assert(!etg_timestamp_parse(bytes, &us));
    }
}
END_TEST

START_TEST(test_every_day_follows_the_one_before)
{
    apr_int64_t next = 0;
    char text[64];
    int year;
    int month;
    int day;

    for (year = 1970; year < 2410; year++) {
        for (month = 1; month <= 12; month++) {
            for (day = 1; day <= 31; day++) {
                apr_int64_t us;

                snprintf(text, sizeof(text), "%d-%02d-%02dT00:00:00Z", year,
                         month, day);
                us = us_of(text);
                if (us == REFUSED) {
                    ck_assert_int_ge(day, 29);
                    continue;
                }
                ck_assert_msg(us == next, "%s", text);
                next = us + APR_INT64_C(86400000000);
            }
        }
    }
    ck_assert_int_eq(next, APR_INT64_C(13885084800000000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timestamp");
    TCase *tests = tcase_create("timestamp");

    tcase_add_test(tests, test_rfc_3339_has_a_zone_and_any_fraction);
    tcase_add_test(tests, test_sql_may_leave_the_zone_out_or_short);
    tcase_add_test(tests, test_http_dates_are_read_in_all_three_forms);
    tcase_add_test(tests, test_a_number_says_its_unit_by_its_size);
    tcase_add_test(tests,
                   test_a_number_is_digits_and_seconds_may_have_a_fraction);
    tcase_add_test(tests, test_a_fraction_is_cut_to_microseconds);
    tcase_add_test(tests, test_days_that_no_month_has_are_refused);
    tcase_add_test(tests, test_times_that_no_day_has_are_refused);
    tcase_add_test(tests, test_a_leap_second_is_the_second_after_it);
    tcase_add_test(tests, test_the_years_are_1970_to_9999);
    tcase_add_test(tests, test_what_is_nearly_a_timestamp_is_refused);
    tcase_add_test(tests, test_a_nul_inside_is_no_end);
    tcase_add_test(tests, test_a_timestamp_is_read_without_its_terminator);
    tcase_add_test(tests, test_every_day_follows_the_one_before);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
