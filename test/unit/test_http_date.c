/* SPDX-License-Identifier: Apache-2.0 */
/* test_http_date.c: which dates are dates, and when they are. */
#include <stdio.h>
#include <string.h>

#include <check.h>

#include "lib/field_list.h"
#include "lib/http_date.h"
#include "test/unit/run_suite.h"

#define REFUSED APR_INT64_C(-999999999999)
/* 2026-11-22 00:00:00 */
#define NOW APR_INT64_C(1795305600)

static apr_int64_t seconds_at(const char *text, apr_int64_t now)
{
    apr_time_t when = 77;

    if (!etg_http_date_parse(etg_bytes_of(text), apr_time_from_sec(now),
                             &when)) {
        ck_assert_int_eq(when, 77);
        return REFUSED;
    }
    ck_assert_int_eq(when % APR_USEC_PER_SEC, 0);
    return apr_time_sec(when);
}

static apr_int64_t seconds_of(const char *text)
{
    return seconds_at(text, NOW);
}

START_TEST(test_the_three_forms_mean_the_same)
{
    ck_assert_int_eq(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    ck_assert_int_eq(seconds_of("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    ck_assert_int_eq(seconds_of("Sun Nov  6 08:49:37 1994"), 784111777);
    ck_assert_int_eq(seconds_of("Wed Nov 16 08:49:37 1994"), 784975777);
}
END_TEST

START_TEST(test_the_calendar_is_gregorian)
{
    ck_assert_int_eq(seconds_of("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    ck_assert_int_eq(seconds_of("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400);
    ck_assert_int_eq(seconds_of("Wed, 01 Mar 2000 00:00:00 GMT"), 951868800);
    ck_assert_int_eq(seconds_of("Tue, 19 Jan 2038 14:14:08 GMT"),
                     APR_INT64_C(2147523248));
    ck_assert_int_eq(seconds_of("Sun, 21 Nov 2286 04:46:39 GMT"),
                     APR_INT64_C(10000039599));
    ck_assert_int_eq(seconds_of("Mon, 01 Jan 1900 00:00:00 GMT"),
                     APR_INT64_C(-2208988800));
    ck_assert_int_eq(seconds_of("Sat, 01 Jan 0000 00:00:00 GMT"),
                     APR_INT64_C(-62167219200));
    ck_assert_int_eq(seconds_of("Fri, 31 Dec 9999 23:59:59 GMT"),
                     APR_INT64_C(253402300799));
}
END_TEST

START_TEST(test_every_day_of_400_years_follows_the_one_before)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    apr_int64_t last = seconds_of("Fri, 31 Dec 1999 00:00:00 GMT");
    char text[64];
    int year;
    int month;
    int day;

    for (year = 2000; year < 2400; year++) {
        for (month = 0; month < 12; month++) {
            for (day = 1; day <= 31; day++) {
                apr_int64_t next;

                snprintf(text, sizeof(text), "Mon, %02d %.3s %d 00:00:00 GMT",
                         day, months + month * 3, year);
                next = seconds_of(text);
                if (next == REFUSED) {
                    ck_assert_int_ge(day, 29);
                    continue;
                }
                ck_assert_msg(next == last + 86400, "%s", text);
                last = next;
            }
        }
    }
    ck_assert_int_eq(last, APR_INT64_C(13569379200));
}
END_TEST

START_TEST(test_impossible_days_and_times_are_refused)
{
    static const char *const texts[] = {
        "Thu, 29 Feb 2050 02:01:18 GMT", "Thu, 29 Feb 2100 02:01:18 GMT",
        "Thu, 31 Apr 2050 02:01:18 GMT", "Thu, 00 Aug 2050 02:01:18 GMT",
        "Thu, 32 Aug 2050 02:01:18 GMT", "Thu, 18 Aug 2050 24:01:18 GMT",
        "Thu, 18 Aug 2050 02:60:18 GMT", "Thu, 18 Aug 2050 02:01:61 GMT",
        "Thu Aug  0 02:01:18 2050", "Thu, 18 Foo 2050 02:01:18 GMT",
        "Foo, 18 Aug 2050 02:01:18 GMT"
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_msg(seconds_of(texts[i]) == REFUSED, "took %s", texts[i]);
    }
}
END_TEST

START_TEST(test_a_leap_second_is_the_next_second)
{
    ck_assert_int_eq(seconds_of("Sat, 31 Dec 2016 23:59:60 GMT"),
                     seconds_of("Sun, 01 Jan 2017 00:00:00 GMT"));
}
END_TEST

START_TEST(test_letter_case_does_not_matter)
{
    apr_int64_t when = seconds_of("Thu, 18 Aug 2050 02:01:18 GMT");

    ck_assert_int_ne(when, REFUSED);
    ck_assert_int_eq(seconds_of("THU, 18 Aug 2050 02:01:18 GMT"), when);
    ck_assert_int_eq(seconds_of("Thu, 18 AUG 2050 02:01:18 GMT"), when);
    ck_assert_int_eq(seconds_of("Thu, 18 Aug 2050 02:01:18 gMT"), when);
    ck_assert_int_eq(seconds_of("tHURSDAY, 18-aug-50 02:01:18 gmt"), when);
}
END_TEST

START_TEST(test_a_wrong_weekday_is_tolerated)
{
    ck_assert_int_ne(seconds_of("Mon, 18 Aug 2050 02:01:18 GMT"), REFUSED);
    ck_assert_int_ne(seconds_of("Thu Aug  8 02:01:18 2050"), REFUSED);
}
END_TEST

START_TEST(test_what_is_nearly_a_date_is_refused)
{
    static const char *const texts[] = {
        "", "0", "-1", "Thu", "Thu,", "Thu, ",
        "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT", "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT", "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18", "Thu, 18 Aug 2050 02:01:18 GMT ",
        " Thu, 18 Aug 2050 02:01:18 GMT", "Thu, 18 Aug 2050 02:01:18 +0000",
        "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT",
        "18 Aug 2050 02:01:18 GMT", "Thu, 18 Aug 2050 02:01:18 GMTX",
        "Thursday, 18 Aug 2050 02:01:18 GMT", "Thu, 18-Aug-50 02:01:18 GMT",
        "Thurs, 18 Aug 2050 02:01:18 GMT", "Thu, -1 Aug 2050 02:01:18 GMT",
        "Thu Aug 8 02:01:18 2050", "Thu Aug 08 02:01:18 2050 GMT",
        "Thu Aug   8 02:01:18 2050", "Thu, 1a Aug 2050 02:01:18 GMT",
        "Thursdax, 18-Aug-50 02:01:18 GMT", "2050-08-18T02:01:18Z"
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_msg(seconds_of(texts[i]) == REFUSED, "took %s", texts[i]);
    }
}
END_TEST

START_TEST(test_every_weekday_has_its_full_name)
{
    static const char *const texts[] = {
        "Sunday, 06-Nov-94 08:49:37 GMT", "Monday, 06-Nov-94 08:49:37 GMT",
        "Tuesday, 06-Nov-94 08:49:37 GMT", "Wednesday, 06-Nov-94 08:49:37 GMT",
        "Thursday, 06-Nov-94 08:49:37 GMT", "Friday, 06-Nov-94 08:49:37 GMT",
        "Saturday, 06-Nov-94 08:49:37 GMT"
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_msg(seconds_of(texts[i]) == 784111777, "%s", texts[i]);
    }
}
END_TEST

START_TEST(test_two_digits_are_at_most_50_years_ahead)
{
    const char *text = "Thursday, 18-Aug-50 02:01:18 GMT";
    apr_int64_t in_2050 = seconds_of("Thu, 18 Aug 2050 02:01:18 GMT");
    apr_int64_t in_1950 = seconds_of("Fri, 18 Aug 1950 02:01:18 GMT");

    ck_assert_int_eq(seconds_at(text, NOW), in_2050);
    /* 1994: 56 years. */
    ck_assert_int_eq(seconds_at(text, 784111777), in_1950);
    /* 2000-08-18 02:01:18 and the second before it. */
    ck_assert_int_eq(seconds_at(text, 966564078), in_2050);
    ck_assert_int_eq(seconds_at(text, 966564077), in_1950);
    /* In 2099, 05 is 2105 and 60 is 2060. */
    ck_assert_int_eq(seconds_at("Monday, 01-Jun-05 00:00:00 GMT",
                                APR_INT64_C(4080000000)),
                     seconds_of("Mon, 01 Jun 2105 00:00:00 GMT"));
    ck_assert_int_eq(seconds_at("Monday, 01-Jun-60 00:00:00 GMT",
                                APR_INT64_C(4080000000)),
                     seconds_of("Mon, 01 Jun 2060 00:00:00 GMT"));
}
END_TEST

START_TEST(test_a_date_is_read_without_its_terminator)
{
    const char *text = "Sun, 06 Nov 1994 08:49:37 GMTjunk";
    etg_bytes bytes = { (const unsigned char *)text, 29 };
    apr_time_t when;

    ck_assert(etg_http_date_parse(bytes, 0, &when));
    for (bytes.length = 0; bytes.length < 29; bytes.length++) {
        ck_assert(!etg_http_date_parse(bytes, 0, &when));
    }
    bytes.data = NULL;
    bytes.length = 0;
    ck_assert(!etg_http_date_parse(bytes, 0, &when));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_date");
    TCase *tests = tcase_create("http_date");

    tcase_add_test(tests, test_the_three_forms_mean_the_same);
    tcase_add_test(tests, test_the_calendar_is_gregorian);
    tcase_add_test(tests, test_every_day_of_400_years_follows_the_one_before);
    tcase_add_test(tests, test_impossible_days_and_times_are_refused);
    tcase_add_test(tests, test_a_leap_second_is_the_next_second);
    tcase_add_test(tests, test_letter_case_does_not_matter);
    tcase_add_test(tests, test_a_wrong_weekday_is_tolerated);
    tcase_add_test(tests, test_what_is_nearly_a_date_is_refused);
    tcase_add_test(tests, test_every_weekday_has_its_full_name);
    tcase_add_test(tests, test_two_digits_are_at_most_50_years_ahead);
    tcase_add_test(tests, test_a_date_is_read_without_its_terminator);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
