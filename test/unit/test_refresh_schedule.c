/* SPDX-License-Identifier: Apache-2.0 */
/* test_refresh_schedule.c: what lines name, and when fetches are due. */
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "lib/option_value.h"
#include "lib/refresh_schedule.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define MS(n) ((n) * ETG_MILLISECOND)
#define SEC(n) ((n) * ETG_SECOND)
#define NOW (APR_INT64_C(1800000000) * ETG_SECOND)
#define MOST APR_UINT32_MAX

/* From a copy without anything behind it, so that reading on shows. */
static const char *parse(etg_refresh_rule *rule, const char *line)
{
    apr_size_t length = strlen(line);
    unsigned char *copy = malloc(length + 1);
    etg_bytes bytes = { copy, length };
    const char *problem;

    memcpy(copy, line, length);
    copy = realloc(copy, length > 0 ? length : 1);
    bytes.data = copy;
    problem = etg_refresh_rule_parse(rule, bytes, pool);
    free(copy);
    return problem;
}

START_TEST(test_a_line_names_a_url_and_times)
{
    static const struct {
        const char *line, *host;
        int is_https;
        const char *target;
        apr_interval_time_t every, jitter;
    } cases[] = {
        { "/api/calls?page=1 every=30s jitter=5s", NULL, 0,
          "/api/calls?page=1", SEC(30), SEC(5) },
        { "/ every=30s", NULL, 0, "/", SEC(30), SEC(2) },
        { "  /a\tjitter=0\tevery=1d ", NULL, 0, "/a", ETG_DAY, 0 },
        { "\"/a?b\"   EVERY=1s", NULL, 0, "/a?b", SEC(1), SEC(1) / 15 },
        { "http://Example.org/x every=1m", "example.org", 0, "/x", SEC(60),
          SEC(4) },
        { "HTTP://example.org:80/x every=1m", "example.org", 0, "/x",
          SEC(60), SEC(4) },
        { "http://example.org:443/ every=1m", "example.org:443", 0, "/",
          SEC(60), SEC(4) },
        { "https://example.org:443 every=1m", "example.org", 1, "/", SEC(60),
          SEC(4) },
        { "https://example.org:8443?q=1 every=1m", "example.org:8443", 1,
          "/?q=1", SEC(60), SEC(4) },
        { "http://[2001:DB8::1]:8080/ every=1m", "[2001:db8::1]:8080", 0, "/",
          SEC(60), SEC(4) },
        { "http://192.0.2.7/ every=1m", "192.0.2.7", 0, "/", SEC(60),
          SEC(4) },
        { "/a every=2s jitter=1999ms", NULL, 0, "/a", SEC(2), MS(1999) }
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_refresh_rule rule;

        ck_assert_pstr_eq(parse(&rule, cases[i].line), NULL);
        ck_assert_pstr_eq(rule.host, cases[i].host);
        if (rule.host != NULL) {
            ck_assert_int_eq(rule.is_https, cases[i].is_https);
        }
        ck_assert_str_eq(rule.target, cases[i].target);
        ck_assert_int_eq(rule.every, cases[i].every);
        ck_assert_int_eq(rule.jitter, cases[i].jitter);
    }
}
END_TEST

START_TEST(test_a_bad_line_is_refused_with_a_reason)
{
    static const struct { const char *line, *part; } cases[] = {
        { "", "no URL" },
        { "  ", "no URL" },
        { "/a", "every=" },
        { "/a jitter=1s", "every=" },
        { "/a every=", "not a duration" },
        { "/a every=soon", "not a duration" },
        { "/a every=999ms", "between 1s and 1d" },
        { "/a every=0", "between 1s and 1d" },
        { "/a every=2d", "between 1s and 1d" },
        { "/a every=30s jitter=x", "jitter= that is not a duration" },
        { "/a every=30s jitter=30s", "shorter" },
        { "/a every=30s jitter=1h", "shorter" },
        { "/a every=30s every=40s", "twice" },
        { "/a every=30s jitter=1s jitter=1s", "twice" },
        { "/a every=30s often", "something else" },
        { "/a /b every=30s", "something else" },
        { "every=30s /a", "neither a path" },
        { "a every=30s", "neither a path" },
        { "\"\" every=30s", "neither a path" },
        { "ftp://example.org/ every=30s", "neither a path" },
        { "http:///a every=30s", "proper host" },
        { "http://user@example.org/a every=30s", "proper host" },
        { "http://example.org:/a every=30s", "proper host" },
        { "http://example.org:0/a every=30s", "proper host" },
        { "http://example.org:-1/a every=30s", "proper host" },
        { "http://example.org:65536/a every=30s", "proper host" },
        { "http://[::1/a every=30s", "proper host" },
        { "http://[]/a every=30s", "proper host" },
        { "http://[::1]x/a every=30s", "proper host" },
        { "http://a:b:1/a every=30s", "proper host" },
        { "/a#b every=30s", "encoded" },
        { "\"/a b\" every=30s", "encoded" },
        { "/\xc3\xa4 every=30s", "encoded" },
        { "/a\x01 every=30s", "encoded" }
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_refresh_rule rule = { .target = "untouched" };
        const char *problem = parse(&rule, cases[i].line);

        ck_assert_msg(problem != NULL, "took %s", cases[i].line);
        ck_assert_msg(strstr(problem, cases[i].part) != NULL, "%s: %s",
                      cases[i].line, problem);
        ck_assert_str_eq(rule.target, "untouched");
    }
}
END_TEST

static apr_interval_time_t pause_after(etg_refresh_schedule *schedule,
                                       etg_refresh_outcome outcome,
                                       apr_interval_time_t took,
                                       apr_interval_time_t ttl,
                                       apr_uint32_t random)
{
    etg_refresh_rule rule = { .every = SEC(30), .jitter = SEC(6) };
    etg_refresh_result result = { outcome, NOW, NOW + took, ttl };

    etg_refresh_schedule_next(schedule, &rule, &result, random);
    return schedule->due - result.ended;
}

START_TEST(test_the_first_fetch_is_due_at_once)
{
    etg_refresh_rule rule = { .every = SEC(30) };
    etg_refresh_schedule schedule = { 0, 0 };

    ck_assert(etg_refresh_schedule_is_due(&schedule, &rule, NOW));
}
END_TEST

START_TEST(test_it_is_due_from_its_time_on)
{
    etg_refresh_rule rule = { .every = SEC(30) };
    etg_refresh_schedule schedule = { NOW, 0 };

    ck_assert(!etg_refresh_schedule_is_due(&schedule, &rule, NOW - 1));
    ck_assert(etg_refresh_schedule_is_due(&schedule, &rule, NOW));
    ck_assert(etg_refresh_schedule_is_due(&schedule, &rule, NOW + 1));
}
END_TEST

START_TEST(test_a_clock_set_back_does_not_delay_it)
{
    etg_refresh_rule rule = { .every = SEC(30) };
    etg_refresh_schedule schedule = { NOW, 0 };

    ck_assert(etg_refresh_schedule_is_due(&schedule, &rule,
                                          NOW - ETG_HOUR));
}
END_TEST

START_TEST(test_what_lives_longer_is_fetched_every_so_often)
{
    etg_refresh_schedule schedule = { 0, 0 };

    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, SEC(1),
                                 ETG_HOUR, 0), SEC(29));
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, SEC(1),
                                 ETG_HOUR, MOST), SEC(23));
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, SEC(1),
                                 ETG_HOUR, MOST / 2 + 1), SEC(26));
}
END_TEST

START_TEST(test_what_expires_earlier_is_fetched_before_that)
{
    etg_refresh_schedule schedule = { 0, 0 };

    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, MS(25),
                                 SEC(10), 0), SEC(10) - MS(550));
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, SEC(2),
                                 SEC(10), 0), SEC(10) - MS(4500));
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, MS(25),
                                 SEC(2), 0), SEC(2) - MS(550));
    /* One second: half of it. */
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, MS(5),
                                 SEC(1), 0), MS(500));
}
END_TEST

START_TEST(test_a_fetch_slower_than_the_lifetime_does_not_spin)
{
    etg_refresh_schedule schedule = { 0, 0 };

    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, SEC(20),
                                 SEC(4), 0), SEC(1));
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, SEC(100),
                                 ETG_HOUR, 0), ETG_REFRESH_REST_LEAST);
}
END_TEST

START_TEST(test_tiny_lifetimes_do_not_spin)
{
    static const apr_interval_time_t ttls[] = { 1, MS(1), MS(100), MS(900) };

    for (int i = 0; i < 4; i++) {
        etg_refresh_schedule schedule = { 0, 0 };

        ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, MS(1),
                                     ttls[i], 0), ETG_REFRESH_REST_LEAST);
    }
}
END_TEST

START_TEST(test_what_is_never_fresh_stays_on_schedule)
{
    etg_refresh_schedule schedule = { 0, 0 };

    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, 0, 0, 0),
                     SEC(30));
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_STORED, 0, -SEC(9),
                                 0), SEC(30));
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_NOT_STORED, 0, 0, 0),
                     SEC(30));
}
END_TEST

START_TEST(test_failures_are_tried_again_ever_more_rarely)
{
    static const int pauses[] = { 1, 2, 4, 8, 16, 30, 30 };
    etg_refresh_schedule schedule = { 0, 0 };

    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_FAILED, SEC(3),
                                     0, 0), SEC(pauses[i]));
    }
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_FAILED, 0, 0,
                                     MOST), SEC(30) - SEC(30) / 4);
    }
}
END_TEST

START_TEST(test_an_answer_ends_the_row_of_failures)
{
    etg_refresh_schedule schedule = { 0, 0 };

    pause_after(&schedule, ETG_REFRESH_FAILED, 0, 0, 0);
    pause_after(&schedule, ETG_REFRESH_FAILED, 0, 0, 0);
    ck_assert_uint_eq(schedule.failures, 2);
    pause_after(&schedule, ETG_REFRESH_NOT_STORED, 0, 0, 0);
    ck_assert_uint_eq(schedule.failures, 0);
    ck_assert_int_eq(pause_after(&schedule, ETG_REFRESH_FAILED, 0, 0, 0),
                     SEC(1));
}
END_TEST

static Suite *refresh_schedule_suite(void)
{
    Suite *suite = suite_create("refresh_schedule");
    TCase *lines = tcase_create("lines");
    TCase *times = tcase_create("times");

    tcase_add_checked_fixture(lines, open_pool, close_pool);
    tcase_add_test(lines, test_a_line_names_a_url_and_times);
    tcase_add_test(lines, test_a_bad_line_is_refused_with_a_reason);
    suite_add_tcase(suite, lines);
    tcase_add_test(times, test_the_first_fetch_is_due_at_once);
    tcase_add_test(times, test_it_is_due_from_its_time_on);
    tcase_add_test(times, test_a_clock_set_back_does_not_delay_it);
    tcase_add_test(times, test_what_lives_longer_is_fetched_every_so_often);
    tcase_add_test(times, test_what_expires_earlier_is_fetched_before_that);
    tcase_add_test(times,
                   test_a_fetch_slower_than_the_lifetime_does_not_spin);
    tcase_add_test(times, test_tiny_lifetimes_do_not_spin);
    tcase_add_test(times, test_what_is_never_fresh_stays_on_schedule);
    tcase_add_test(times, test_failures_are_tried_again_ever_more_rarely);
    tcase_add_test(times, test_an_answer_ends_the_row_of_failures);
    suite_add_tcase(suite, times);
    return suite;
}

int main(void)
{
    return run_suite(refresh_schedule_suite());
}
