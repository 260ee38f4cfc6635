/* SPDX-License-Identifier: Apache-2.0 */
/* test_cache_status.c: Cache-Status members, case by case. */
#include <string.h>

#include <check.h>

#include "lib/cache_status.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define SECOND APR_USEC_PER_SEC
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const char *text_of(etg_cache_status status)
{
    return etg_cache_status_format(&status, pool);
}

START_TEST(test_every_parameter_is_written_in_the_order_of_the_rfc)
{
    static const struct {
        etg_cache_status status;
        const char *text;
    } cases[] = {
        { { .hit = 0 }, "Etagere" },
        { { .hit = 1 }, "Etagere; hit" },
        { { .hit = 1, .has_ttl = 1, .ttl = 42 * SECOND },
          "Etagere; hit; ttl=42" },
        { { .forward = "uri-miss" }, "Etagere; fwd=uri-miss" },
        { { .forward = "uri-miss", .forward_status = 200, .stored = 1 },
          "Etagere; fwd=uri-miss; fwd-status=200; stored" },
        { { .forward = "stale", .forward_status = 304, .has_ttl = 1,
            .ttl = 60 * SECOND, .stored = 1, .collapsed = 1, .key = "k",
            .detail = "d" },
          "Etagere; fwd=stale; fwd-status=304; ttl=60; stored; collapsed; "
          "key=\"k\"; detail=d" },
        { { .collapsed = 1, .hit = 1 }, "Etagere; hit; collapsed" },
        { { .forward = "bypass", .detail = "expr" },
          "Etagere; fwd=bypass; detail=expr" },
        { { .forward_status = 200 }, "Etagere" },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        ck_assert_str_eq(text_of(cases[i].status), cases[i].text);
    }
}
END_TEST

START_TEST(test_a_hit_was_not_forwarded)
{
    etg_cache_status status = { .hit = 1, .forward = "stale",
                                .forward_status = 304 };

    ck_assert_str_eq(text_of(status), "Etagere; hit");
}
END_TEST

START_TEST(test_ttl_is_rounded_down)
{
    static const struct {
        apr_interval_time_t ttl;
        const char *text;
    } cases[] = {
        { 0, "Etagere; hit; ttl=0" },
        { 1, "Etagere; hit; ttl=0" },
        { SECOND - 1, "Etagere; hit; ttl=0" },
        { SECOND, "Etagere; hit; ttl=1" },
        { -1, "Etagere; hit; ttl=-1" },
        { -SECOND, "Etagere; hit; ttl=-1" },
        { -SECOND - 1, "Etagere; hit; ttl=-2" },
        { APR_INT64_MAX, "Etagere; hit; ttl=9223372036854" },
        { APR_INT64_MIN, "Etagere; hit; ttl=-9223372036855" },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        etg_cache_status status = { .hit = 1, .has_ttl = 1,
                                    .ttl = cases[i].ttl };

        ck_assert_str_eq(text_of(status), cases[i].text);
    }
}
END_TEST

START_TEST(test_detail_is_a_token_only_if_it_is_one)
{
    static const struct {
        const char *detail;
        const char *text;
    } cases[] = {
        { "no-store", "no-store" },
        { "*x", "*x" },
        { "a:b/c", "a:b/c" },
        { "9lives", "\"9lives\"" },
        { "two words", "\"two words\"" },
        { "a;b", "\"a;b\"" },
        { "quo\"te\\", "\"quo\\\"te\\\\\"" },
        { "l\ni\xC3\xA4ne", "\"l?i??ne\"" },
        { "", "\"\"" },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        etg_cache_status status = { .detail = cases[i].detail };
        const char *text = text_of(status);

        ck_assert_int_eq(strncmp(text, "Etagere; detail=", 16), 0);
        ck_assert_str_eq(text + 16, cases[i].text);
    }
}
END_TEST

START_TEST(test_a_key_is_a_string_and_never_splits_the_field)
{
    etg_cache_status status = {
        .hit = 1, .key = "https://h/\"a\"\nx-forwarded-proto:5:https"
    };

    ck_assert_str_eq(text_of(status),
                     "Etagere; hit; key=\"https://h/\\\"a\\\"?"
                     "x-forwarded-proto:5:https\"");
}
END_TEST

START_TEST(test_a_long_key_is_cut)
{
    char key[8193];
    etg_cache_status status = { .hit = 1, .key = key, .detail = "after" };
    const char *text;

    memset(key, '"', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    text = text_of(status);
    ck_assert_uint_lt(strlen(text), 2200);
    ck_assert_str_eq(text + strlen(text) - 15, "\"; detail=after");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache_status");
    TCase *cases = tcase_create("format");

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    tcase_add_test(cases,
                   test_every_parameter_is_written_in_the_order_of_the_rfc);
    tcase_add_test(cases, test_a_hit_was_not_forwarded);
    tcase_add_test(cases, test_ttl_is_rounded_down);
    tcase_add_test(cases, test_detail_is_a_token_only_if_it_is_one);
    tcase_add_test(cases, test_a_key_is_a_string_and_never_splits_the_field);
    tcase_add_test(cases, test_a_long_key_is_cut);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
