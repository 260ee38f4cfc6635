/* SPDX-License-Identifier: Apache-2.0 */
/* test_freshness.c: lifetimes and ages. */
#include "http_views.h"

#include "lib/freshness.h"

static etg_cc_source freshness_of(etg_freshness *freshness,
                                  const etg_response_view *response,
                                  const etg_policy *policy)
{
    etg_cache_control cc;
    etg_cache_control own;
    etg_cc_source source = etg_governing_cache_control(&cc, response, policy,
                                                       pool);

    own = cc;
    if (source == ETG_CC_FROM_OVERRIDE) {
        etg_cache_control_of(&own, response->fields, 0, pool);
    }
    etg_freshness_of(freshness, &cc, source, &own, response, policy, pool);
    return source;
}

static etg_policy targeted_policy(void)
{
    etg_policy policy = plain_policy();
    apr_array_header_t *names = apr_array_make(pool, 2, sizeof(const char *));

    APR_ARRAY_PUSH(names, const char *) = "Etagere-Cache-Control";
    APR_ARRAY_PUSH(names, const char *) = "CDN-Cache-Control";
    policy.targeted = names;
    return policy;
}

typedef struct lifetime_case {
    const char *fields;
    double seconds;
    apr_uint32_t flags;     /* all of them */
} lifetime_case;

#define SHARED (ETG_FRESH_FOR_AUTHORIZATION | ETG_FRESH_FOR_PRIVATE)

static void check_lifetimes(int status, const etg_policy *policy,
                            const lifetime_case *cases)
{
    for (; cases->fields != NULL; cases++) {
        etg_response_view response = response_of(status, cases->fields);
        etg_freshness freshness;

        freshness_of(&freshness, &response, policy);
        ck_assert_msg(freshness.lifetime
                      == (apr_interval_time_t)(cases->seconds * SECOND),
                      "%d %s: lifetime %" APR_TIME_T_FMT, status,
                      cases->fields, freshness.lifetime);
        ck_assert_msg(freshness.flags == cases->flags, "%d %s: flags %x",
                      status, cases->fields, freshness.flags);
    }
}

START_TEST(a_stated_lifetime_is_taken_in_the_order_of_the_rfc)
{
    static const lifetime_case cases[] = {
        { "Cache-Control: max-age=3600", 3600, ETG_FRESH_EXPLICIT },
        { "Cache-Control: MaX-aGe=3600", 3600, ETG_FRESH_EXPLICIT },
        { "Cache-Control: foobar, max-age=3600", 3600, ETG_FRESH_EXPLICIT },
        { "Cache-Control: max-age=0", 0, ETG_FRESH_EXPLICIT },
        { "Cache-Control: max-age=-3600", 0, ETG_FRESH_EXPLICIT },
        { "Cache-Control: max-age=99999999999", 2147483648.0,
          ETG_FRESH_EXPLICIT },
        { "Cache-Control: max-age=1, s-maxage=3600", 3600,
          ETG_FRESH_EXPLICIT | ETG_FRESH_MUST_REVALIDATE | SHARED },
        { "Cache-Control: max-age=3600\nCache-Control: s-maxage=1", 1,
          ETG_FRESH_EXPLICIT | ETG_FRESH_MUST_REVALIDATE | SHARED },
        { "Cache-Control: max-age=0, s-maxage=3600\nExpires: " DAY_AGO_DATE,
          3600, ETG_FRESH_EXPLICIT | ETG_FRESH_MUST_REVALIDATE | SHARED },
        { "Cache-Control: max-age=3600\nExpires: 0", 3600,
          ETG_FRESH_EXPLICIT },
        { "Cache-Control: max-age=0\nExpires: " HOUR_AHEAD_DATE, 0,
          ETG_FRESH_EXPLICIT },
        { "Expires: " HOUR_AHEAD_DATE "\nDate: " NOW_DATE, 3600,
          ETG_FRESH_EXPLICIT },
        { "Expires: " HOUR_AHEAD_DATE, 3600, ETG_FRESH_EXPLICIT },
        { "Expires: " HOUR_AHEAD_DATE "\nDate: foo", 3600,
          ETG_FRESH_EXPLICIT },
        { "Expires: " HOUR_AHEAD_DATE "\nDate: " DAY_AGO_DATE, 25 * 3600,
          ETG_FRESH_EXPLICIT },
        { "Expires: " NOW_DATE "\nDate: " NOW_DATE, 0, ETG_FRESH_EXPLICIT },
        { "Expires: " NOW_DATE "\nDate: " HOUR_AHEAD_DATE, 0,
          ETG_FRESH_EXPLICIT },
        { "Expires: 0\nDate: " NOW_DATE, 0, ETG_FRESH_EXPLICIT },
        { "Expires: -1", 0, ETG_FRESH_EXPLICIT },
        { "Expires: Thu, 18 Aug 2050 02:01:18 UTC", 0, ETG_FRESH_EXPLICIT },
        { "Expires: Sun, 21 Nov 2286 04:46:39 GMT", 2147483648.0,
          ETG_FRESH_EXPLICIT },
        { "Expires: " HOUR_AHEAD_DATE "\nExpires: " HOUR_AHEAD_DATE, 3600,
          ETG_FRESH_EXPLICIT },
        { "Expires: " HOUR_AHEAD_DATE "\nExpires: " HOUR_AHEAD_DATE "x", 0,
          ETG_FRESH_EXPLICIT },
        { "Expires: " HOUR_AHEAD_DATE "\nExpires: " NOW_DATE, 0,
          ETG_FRESH_EXPLICIT },
        { "Last-Modified: " DAY_AGO_DATE, 0, 0 },
        { "", 0, 0 },
        { NULL, 0, 0 }
    };
    etg_policy policy = plain_policy();

    check_lifetimes(200, &policy, cases);
    check_lifetimes(599, &policy, cases);
}
END_TEST

START_TEST(directives_beyond_lifetimes_become_flags)
{
    static const lifetime_case cases[] = {
        { "Cache-Control: no-cache", 0, ETG_FRESH_NO_CACHE },
        { "Cache-Control: no-cache=\"a\"", 0, 0 },
        { "Cache-Control: max-age=9, no-transform, immutable", 9,
          ETG_FRESH_EXPLICIT | ETG_FRESH_NO_TRANSFORM | ETG_FRESH_IMMUTABLE },
        { "Cache-Control: max-age=9, proxy-revalidate", 9,
          ETG_FRESH_EXPLICIT | ETG_FRESH_MUST_REVALIDATE },
        { "Cache-Control: max-age=9, must-revalidate", 9,
          ETG_FRESH_EXPLICIT | ETG_FRESH_MUST_REVALIDATE
          | ETG_FRESH_FOR_AUTHORIZATION },
        { "Cache-Control: max-age=9, public", 9, ETG_FRESH_EXPLICIT | SHARED },
        { "Cache-Control: s-maxage=0", 0,
          ETG_FRESH_EXPLICIT | ETG_FRESH_MUST_REVALIDATE | SHARED },
        { "Cache-Control: s-maxage=abc", 0,
          ETG_FRESH_EXPLICIT | ETG_FRESH_MUST_REVALIDATE },
        { "Cache-Control: private, must-revalidate, public", 0,
          ETG_FRESH_MUST_REVALIDATE },
        { "Cache-Control: no-store, public", 0, 0 },
        { "Pragma: no-cache\nExpires: " HOUR_AHEAD_DATE, 3600,
          ETG_FRESH_EXPLICIT | ETG_FRESH_NO_CACHE },
        { "Pragma: no-cache\nCache-Control: max-age=9", 9,
          ETG_FRESH_EXPLICIT },
        { "Pragma: foo\nExpires: " HOUR_AHEAD_DATE, 3600,
          ETG_FRESH_EXPLICIT },
        { NULL, 0, 0 }
    };
    etg_policy policy = plain_policy();

    check_lifetimes(200, &policy, cases);
}
END_TEST

START_TEST(a_heuristic_takes_its_part_of_the_age_of_the_content)
{
    static const lifetime_case cases[] = {
        { "Last-Modified: Wed, 31 Dec 2025 23:50:00 GMT\nDate: " NOW_DATE, 60,
          ETG_FRESH_HEURISTIC },
        { "Last-Modified: " DAY_AGO_DATE, 3600, ETG_FRESH_HEURISTIC },
        { "Last-Modified: " NOW_DATE, 0, 0 },
        { "Last-Modified: " HOUR_AHEAD_DATE, 0, 0 },
        { "Last-Modified: yesterday", 0, 0 },
        { "Last-Modified: " DAY_AGO_DATE "\nLast-Modified: " NOW_DATE, 0, 0 },
        { "ETag: \"a\"", 0, 0 },
        { "Last-Modified: " DAY_AGO_DATE "\nCache-Control: max-age=5", 5,
          ETG_FRESH_EXPLICIT },
        { "Last-Modified: " DAY_AGO_DATE "\nExpires: 0", 0,
          ETG_FRESH_EXPLICIT },
        { "Last-Modified: " DAY_AGO_DATE "\nCache-Control: public", 3600,
          ETG_FRESH_HEURISTIC | SHARED },
        { NULL, 0, 0 }
    };
    static const lifetime_case refused[] = {
        { "Last-Modified: " DAY_AGO_DATE, 0, 0 },
        { "Last-Modified: " DAY_AGO_DATE "\nCache-Control: public", 3600,
          ETG_FRESH_HEURISTIC | SHARED },
        { NULL, 0, 0 }
    };
    static const int statuses[] = {
        201, 202, 206, 302, 303, 307, 400, 403, 502, 503, 504, 599, 0
    };
    etg_policy policy = heuristic_policy();

    check_lifetimes(200, &policy, cases);
    check_lifetimes(501, &policy, cases);
    for (const int *status = statuses; *status != 0; status++) {
        check_lifetimes(*status, &policy, refused);
    }
}
END_TEST

START_TEST(a_heuristic_is_capped_unless_there_is_no_cap)
{
    static const struct {
        apr_interval_time_t cap;
        apr_interval_time_t lifetime;
    } cases[] = {
        { HOUR, HOUR }, { 0, 0 }, { ETG_CC_ABSENT, 8640 * SECOND },
        { 8641 * SECOND, 8640 * SECOND }
    };
    etg_policy policy = heuristic_policy();
    etg_response_view response = response_of(200, "Last-Modified: "
                                                  DAY_AGO_DATE);
    etg_freshness freshness;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        policy.heuristic_max = cases[i].cap;
        freshness_of(&freshness, &response, &policy);
        ck_assert_int_eq(freshness.lifetime, cases[i].lifetime);
    }
    response.is_last_modified_ours = 1;
    freshness_of(&freshness, &response, &policy);
    ck_assert_int_eq(freshness.lifetime, 0);
    ck_assert_int_eq(freshness.flags & ETG_FRESH_HEURISTIC, 0);
}
END_TEST

START_TEST(stale_windows_are_read_as_they_are_said)
{
    static const struct {
        const char *fields;
        apr_interval_time_t on_error;
        apr_interval_time_t meanwhile;
    } cases[] = {
        { "Cache-Control: max-age=1", -1, -1 },
        { "Cache-Control: stale-if-error=5", 5 * SECOND, -1 },
        { "Cache-Control: stale-while-revalidate=6", -1, 6 * SECOND },
        { "Cache-Control: stale-if-error=0, stale-while-revalidate=x", 0, 0 },
    };
    etg_policy policy = plain_policy();

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_response_view response = response_of(200, cases[i].fields);
        etg_freshness freshness;

        freshness_of(&freshness, &response, &policy);
        ck_assert_int_eq(freshness.stale_if_error, cases[i].on_error);
        ck_assert_int_eq(freshness.stale_while_revalidate,
                         cases[i].meanwhile);
    }
}
END_TEST

START_TEST(the_default_ttl_is_for_successes_that_say_nothing)
{
    static const lifetime_case said_nothing[] = {
        { "", 30, 0 }, { "Last-Modified: " DAY_AGO_DATE, 30, 0 },
        { "Cache-Control: max-age=5", 5, ETG_FRESH_EXPLICIT },
        { "Expires: 0", 0, ETG_FRESH_EXPLICIT }, { NULL, 0, 0 }
    };
    static const lifetime_case never[] = { { "", 0, 0 }, { NULL, 0, 0 } };
    static const lifetime_case if_public[] = {
        { "", 0, 0 }, { "Cache-Control: public", 30, SHARED }, { NULL, 0, 0 }
    };
    etg_policy policy = plain_policy();

    policy.default_ttl = 30 * SECOND;
    check_lifetimes(200, &policy, said_nothing);
    check_lifetimes(301, &policy, said_nothing);
    check_lifetimes(302, &policy, if_public);
    check_lifetimes(404, &policy, never);
    check_lifetimes(500, &policy, never);
}
END_TEST

START_TEST(exactly_the_registered_statuses_are_heuristic)
{
    static const int heuristic[] = {
        200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501, 0
    };
    const int *next = heuristic;

    for (int status = 100; status < 1000; status++) {
        int expected = status == *next;

        ck_assert_msg(!etg_status_is_heuristic(status) == !expected, "%d",
                      status);
        next += expected;
    }
}
END_TEST

START_TEST(the_nearest_field_that_parses_governs)
{
    static const struct {
        int status;
        const char *override;
        const char *fields;
        etg_cc_source source;
        apr_int64_t seconds;
    } cases[] = {
        { 200, NULL, "Cache-Control: max-age=1", ETG_CC_FROM_FIELD, 1 },
        { 200, NULL, "CDN-Cache-Control: max-age=2\nCache-Control: max-age=1",
          ETG_CC_FROM_TARGETED, 2 },
        { 200, NULL, "CDN-Cache-Control: max-age=2\n"
          "Etagere-Cache-Control: max-age=3", ETG_CC_FROM_TARGETED, 3 },
        { 200, NULL, "Etagere-Cache-Control: max-age=3, &&&\n"
          "CDN-Cache-Control: max-age=2", ETG_CC_FROM_TARGETED, 2 },
        { 200, NULL, "CDN-Cache-Control: max-age=9, &&&\n"
          "Cache-Control: max-age=1", ETG_CC_FROM_FIELD, 1 },
        { 200, NULL, "CDN-Cache-Control: \nCache-Control: max-age=1",
          ETG_CC_FROM_FIELD, 1 },
        { 200, "max-age=4", "Cache-Control: max-age=1", ETG_CC_FROM_OVERRIDE,
          4 },
        { 200, "max-age=4", "CDN-Cache-Control: max-age=2",
          ETG_CC_FROM_TARGETED, 2 },
        { 200, "max-age=4", "", ETG_CC_FROM_OVERRIDE, 4 },
        { 302, "max-age=4", "", ETG_CC_FROM_OVERRIDE, 4 },
        { 404, "max-age=4", "Cache-Control: max-age=1", ETG_CC_FROM_FIELD,
          1 },
        { 503, "max-age=4", "", ETG_CC_FROM_FIELD, 0 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_policy policy = targeted_policy();
        etg_response_view response = response_of(cases[i].status,
                                                 cases[i].fields);
        etg_freshness freshness;

        policy.override = cases[i].override;
        ck_assert_msg(freshness_of(&freshness, &response, &policy)
                      == cases[i].source, "case %u: source", i);
        ck_assert_msg(freshness.lifetime == cases[i].seconds * SECOND,
                      "case %u: %" APR_TIME_T_FMT, i, freshness.lifetime);
    }
}
END_TEST

START_TEST(expires_counts_only_beside_cache_control)
{
    static const lifetime_case cases[] = {
        { "CDN-Cache-Control: foo\nExpires: " HOUR_AHEAD_DATE, 0, 0 },
        { "CDN-Cache-Control: max-age=5\nExpires: 0", 5, ETG_FRESH_EXPLICIT },
        { "CDN-Cache-Control: foo\nPragma: no-cache", 0, 0 },
        { NULL, 0, 0 }
    };
    etg_policy policy = targeted_policy();

    check_lifetimes(200, &policy, cases);
}
END_TEST

START_TEST(an_override_grants_nothing_to_private_requests)
{
    static const struct {
        const char *override;
        const char *own;
        apr_uint32_t granted;
    } cases[] = {
        { "public, max-age=60", "", 0 },
        { "s-maxage=60", "Cache-Control: max-age=0", 0 },
        { "max-age=60", "Cache-Control: private, max-age=0, must-revalidate",
          0 },
        { "max-age=60", "Cache-Control: max-age=0, must-revalidate", 0 },
        { "max-age=60", "Cache-Control: s-maxage=0", 0 },
        { "max-age=60", "Cache-Control: s-maxage=5", SHARED },
        { "max-age=60", "Cache-Control: public, max-age=0", SHARED },
        { "max-age=60", "Cache-Control: public, no-store", 0 },
        { NULL, "Cache-Control: max-age=0, must-revalidate",
          ETG_FRESH_FOR_AUTHORIZATION },
        { NULL, "Cache-Control: s-maxage=0", SHARED },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_policy policy = plain_policy();
        etg_response_view response = response_of(200, cases[i].own);
        etg_freshness freshness;

        policy.override = cases[i].override;
        freshness_of(&freshness, &response, &policy);
        ck_assert_msg((freshness.flags & SHARED) == cases[i].granted,
                      "case %u: %x", i, freshness.flags);
    }
}
END_TEST

START_TEST(the_initial_age_is_the_larger_of_date_and_age)
{
    static const struct {
        const char *fields;
        apr_interval_time_t delay;
        apr_interval_time_t age;
    } cases[] = {
        { "", 0, 0 },
        { "Age: 30", 0, 30 * SECOND },
        { "Age: 30\nDate: " NOW_DATE, SECOND / 2, 30 * SECOND + SECOND / 2 },
        { "Date: " NOW_DATE, 0, 0 },
        { "Date: " DAY_AGO_DATE, 0, 24 * HOUR },
        { "Date: " DAY_AGO_DATE "\nAge: 5", 2 * SECOND, 24 * HOUR },
        { "Date: " HOUR_AHEAD_DATE, 0, 0 },
        { "Date: " HOUR_AHEAD_DATE "\nAge: 15", 0, 15 * SECOND },
        { "Age: abc", 0, 0 },
        { "Age: -7200", 0, 0 },
        { "Age: 7200.0", 0, 0 },
        { "Age: ", 0, 0 },
        { "Age: 7200;foo=bar", 0, 0 },
        { "Age: 7200, 0", 0, 7200 * SECOND },
        { "Age: 0, 7200", 0, 0 },
        { "Age: 7200\nAge: 0", 0, 7200 * SECOND },
        { "Age: 0\nAge: 7200", 0, 0 },
        { "Age: 2147483647", 0, APR_TIME_C(2147483647) * SECOND },
        { "Age: 2147483649", 0, APR_TIME_C(2147483648) * SECOND },
        { "Age: 99999999999999999999", 0, APR_TIME_C(2147483648) * SECOND },
    };
    etg_policy policy = plain_policy();

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_response_view response = response_of(200, cases[i].fields);
        etg_freshness freshness;

        response.requested_at = NOW - cases[i].delay;
        freshness_of(&freshness, &response, &policy);
        ck_assert_msg(freshness.initial_age == cases[i].age,
                      "%s: %" APR_TIME_T_FMT, cases[i].fields,
                      freshness.initial_age);
    }
}
END_TEST

START_TEST(what_a_date_cuts_off_a_second_is_no_age)
{
    etg_policy policy = plain_policy();
    etg_response_view response = response_of(200, "Date: " NOW_DATE);
    etg_freshness freshness;

    response.requested_at = response.received_at = NOW + SECOND - 1;
    freshness_of(&freshness, &response, &policy);
    ck_assert_int_eq(freshness.initial_age, 0);
    ck_assert_int_eq(freshness.date, NOW);
    response.requested_at = response.received_at = NOW + SECOND;
    freshness_of(&freshness, &response, &policy);
    ck_assert_int_eq(freshness.initial_age, SECOND);
}
END_TEST

START_TEST(a_response_without_a_usable_date_is_dated_when_received)
{
    static const char *const fields[] = {
        "", "Date: foo", "Date: " NOW_DATE "\nDate: " DAY_AGO_DATE
    };
    etg_policy policy = plain_policy();

    for (unsigned i = 0; i < 3; i++) {
        etg_response_view response = response_of(200, fields[i]);
        etg_freshness freshness;

        response.received_at = NOW + 5;
        freshness_of(&freshness, &response, &policy);
        ck_assert_int_eq(freshness.date, NOW + 5);
    }
}
END_TEST

START_TEST(a_response_ages_with_the_clock_but_never_backwards)
{
    etg_stored_response stored = stored_of(0);

    stored.freshness.initial_age = 3 * SECOND;
    ck_assert_int_eq(etg_age_of(&stored, NOW), 3 * SECOND);
    ck_assert_int_eq(etg_age_of(&stored, NOW + 7 * SECOND), 10 * SECOND);
    ck_assert_int_eq(etg_age_of(&stored, NOW - HOUR), 3 * SECOND);
}
END_TEST

START_TEST(max_ttl_caps_on_read_and_zero_is_a_cap)
{
    etg_stored_response stored = stored_of(0);
    etg_policy policy = plain_policy();

    ck_assert_int_eq(etg_lifetime_of(&stored, &policy), 60 * SECOND);
    policy.max_ttl = 10 * SECOND;
    ck_assert_int_eq(etg_lifetime_of(&stored, &policy), 10 * SECOND);
    policy.max_ttl = HOUR;
    ck_assert_int_eq(etg_lifetime_of(&stored, &policy), 60 * SECOND);
    policy.max_ttl = 0;
    ck_assert_int_eq(etg_lifetime_of(&stored, &policy), 0);
}
END_TEST

START_TEST(stale_windows_are_the_responses_then_the_policys)
{
    static const struct {
        int status;
        apr_uint32_t flags;
        apr_interval_time_t stated;
        apr_interval_time_t policy;
        apr_interval_time_t window;
    } cases[] = {
        { 200, 0, -1, 0, 0 },
        { 200, 0, -1, 50, 50 },
        { 200, 0, 20, 50, 20 },
        { 200, 0, 0, 50, 0 },
        { 200, 0, 20, 0, 20 },
        { 404, 0, 20, 0, 20 },
        { 500, 0, 20, 50, 0 },
        { 200, ETG_FRESH_NO_CACHE, 20, 50, 0 },
        { 200, ETG_FRESH_MUST_REVALIDATE, 20, 50, 0 },
        { 200, ETG_FRESH_EXPLICIT | ETG_FRESH_IMMUTABLE, 20, 50, 20 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_of(cases[i].flags);
        etg_policy policy = plain_policy();

        stored.status = cases[i].status;
        stored.freshness.stale_if_error = cases[i].stated;
        policy.stale_if_error = cases[i].policy;
        ck_assert_int_eq(etg_error_window(&stored, &policy), cases[i].window);
        ck_assert_int_eq(etg_revalidate_window(&stored, &policy), 0);
        stored.freshness.stale_if_error = -1;
        policy.stale_if_error = 0;
        stored.freshness.stale_while_revalidate = cases[i].stated;
        policy.stale_while_revalidate = cases[i].policy;
        ck_assert_int_eq(etg_error_window(&stored, &policy), 0);
        ck_assert_int_eq(etg_revalidate_window(&stored, &policy),
                         cases[i].window);
    }
}
END_TEST

START_TEST(a_response_is_kept_past_expiry_and_its_longest_window)
{
    etg_stored_response stored = stored_of(0);
    etg_policy policy = plain_policy();

    ck_assert_int_eq(etg_keep_until(&stored, &policy),
                     NOW + 60 * SECOND + HOUR);
    stored.freshness.initial_age = 10 * SECOND;
    ck_assert_int_eq(etg_keep_until(&stored, &policy),
                     NOW + 50 * SECOND + HOUR);
    policy.stale_if_error = 100 * SECOND;
    stored.freshness.stale_while_revalidate = 30 * SECOND;
    ck_assert_int_eq(etg_keep_until(&stored, &policy),
                     NOW + 150 * SECOND + HOUR);
    policy.keep = 0;
    stored.freshness.flags = ETG_FRESH_MUST_REVALIDATE;
    ck_assert_int_eq(etg_keep_until(&stored, &policy), NOW + 50 * SECOND);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_stated_lifetime_is_taken_in_the_order_of_the_rfc,
        directives_beyond_lifetimes_become_flags,
        a_heuristic_takes_its_part_of_the_age_of_the_content,
        a_heuristic_is_capped_unless_there_is_no_cap,
        stale_windows_are_read_as_they_are_said,
        the_default_ttl_is_for_successes_that_say_nothing,
        exactly_the_registered_statuses_are_heuristic,
        the_nearest_field_that_parses_governs,
        expires_counts_only_beside_cache_control,
        an_override_grants_nothing_to_private_requests,
        the_initial_age_is_the_larger_of_date_and_age,
        what_a_date_cuts_off_a_second_is_no_age,
        a_response_without_a_usable_date_is_dated_when_received,
        a_response_ages_with_the_clock_but_never_backwards,
        max_ttl_caps_on_read_and_zero_is_a_cap,
        stale_windows_are_the_responses_then_the_policys,
        a_response_is_kept_past_expiry_and_its_longest_window,
        NULL
    };

    return run_tests("freshness", tests);
}
