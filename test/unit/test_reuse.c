/* SPDX-License-Identifier: Apache-2.0 */
/* test_reuse.c: what a stored response may answer. */
#include "http_views.h"

#include "lib/reuse.h"

/* How the policy of a case differs from the plain one. */
enum { PLAIN = 0, RELOAD = 1, REVALIDATE = 2, ON_ERROR = 4 };

static etg_policy policy_of(unsigned traits)
{
    etg_policy policy = plain_policy();

    policy.allow_reload = (traits & RELOAD) != 0;
    policy.allow_revalidate = (traits & REVALIDATE) != 0;
    policy.refreshes_behind = 1;
    policy.stale_if_error = traits & ON_ERROR ? 30 * SECOND : 0;
    return policy;
}

/* A stored response of 60 s lifetime, `age` seconds after it came. */
typedef struct reuse_case {
    apr_uint32_t flags;
    int age;
    const char *request;
    unsigned traits;
    etg_reuse_verdict verdict;
    const char *reason;
    int stale_on_error;
} reuse_case;

static const etg_reuse_marks no_marks;

static void check_reuse(const etg_reuse *reuse, unsigned i,
                        etg_reuse_verdict verdict, const char *reason,
                        int stale_on_error)
{
    ck_assert_msg(reuse->verdict == verdict, "case %u: verdict %d (%s)", i,
                  (int)reuse->verdict, reuse->reason);
    ck_assert_msg(reason == NULL ? reuse->reason == NULL
                  : reuse->reason != NULL
                    && strcmp(reuse->reason, reason) == 0,
                  "case %u: reason %s", i, reuse->reason);
    ck_assert_msg(reuse->stale_on_error == stale_on_error,
                  "case %u: stale_on_error", i);
}

static void check_cases(const etg_stored_response *model,
                        const reuse_case *cases, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        etg_stored_response stored = *model;
        etg_policy policy = policy_of(cases[i].traits);
        etg_request_view request = request_of("GET", cases[i].request);
        etg_reuse reuse;

        stored.freshness.flags = cases[i].flags;
        reuse = etg_reuse_decide(&stored, &no_marks, &request, &policy,
                                 NOW + cases[i].age * SECOND);
        check_reuse(&reuse, i, cases[i].verdict, cases[i].reason,
                    cases[i].stale_on_error);
        ck_assert_int_eq(reuse.age, cases[i].age * SECOND);
        ck_assert_int_eq(reuse.ttl, (60 - cases[i].age) * SECOND);
    }
}

#define CHECK_CASES(model, cases) \
    check_cases(model, cases, sizeof(cases) / sizeof(cases[0]))

START_TEST(a_response_is_fresh_while_its_lifetime_exceeds_its_age)
{
    static const reuse_case cases[] = {
        { 0, 0, "", PLAIN, ETG_REUSE_FRESH, NULL, 1 },
        { 0, 59, "", PLAIN, ETG_REUSE_FRESH, NULL, 1 },
        { ETG_FRESH_MUST_REVALIDATE, 59, "", PLAIN, ETG_REUSE_FRESH, NULL,
          1 },
        { 0, 60, "", PLAIN, ETG_REUSE_VALIDATE, "stale", 0 },
        { 0, 61, "", PLAIN, ETG_REUSE_VALIDATE, "stale", 0 },
        { ETG_FRESH_NO_CACHE, 0, "", PLAIN, ETG_REUSE_VALIDATE, "no-cache",
          0 },
        { ETG_FRESH_NO_CACHE, 61, "", ON_ERROR, ETG_REUSE_VALIDATE,
          "no-cache", 0 },
        { ETG_FRESH_IMMUTABLE, 61, "", PLAIN, ETG_REUSE_VALIDATE, "stale",
          0 },
    };
    etg_stored_response stored = stored_of(0);

    CHECK_CASES(&stored, cases);
}
END_TEST

START_TEST(a_failing_backend_lets_stale_responses_live_for_the_window)
{
    static const reuse_case cases[] = {
        { 0, 60, "", ON_ERROR, ETG_REUSE_VALIDATE, "stale", 1 },
        { 0, 89, "", ON_ERROR, ETG_REUSE_VALIDATE, "stale", 1 },
        { 0, 90, "", ON_ERROR, ETG_REUSE_VALIDATE, "stale", 0 },
        { ETG_FRESH_MUST_REVALIDATE, 61, "", ON_ERROR, ETG_REUSE_VALIDATE,
          "stale", 0 },
        { 0, 61, "Cache-Control: stale-if-error=5", PLAIN, ETG_REUSE_VALIDATE,
          "stale", 0 },
        { 0, 61, "Cache-Control: stale-if-error=5", REVALIDATE,
          ETG_REUSE_VALIDATE, "stale", 1 },
        { ETG_FRESH_MUST_REVALIDATE, 61, "Cache-Control: stale-if-error=5",
          REVALIDATE, ETG_REUSE_VALIDATE, "stale", 0 },
        { 0, 65, "Cache-Control: stale-if-error=5", REVALIDATE,
          ETG_REUSE_VALIDATE, "stale", 0 },
    };
    static const reuse_case stated[] = {
        { 0, 69, "", PLAIN, ETG_REUSE_VALIDATE, "stale", 1 },
        { 0, 70, "", ON_ERROR, ETG_REUSE_VALIDATE, "stale", 0 },
        { ETG_FRESH_MUST_REVALIDATE, 61, "", PLAIN, ETG_REUSE_VALIDATE,
          "stale", 0 },
    };
    static const reuse_case errors[] = {
        { 0, 61, "", ON_ERROR, ETG_REUSE_VALIDATE, "stale", 0 },
        { 0, 59, "", ON_ERROR, ETG_REUSE_FRESH, NULL, 1 },
    };
    etg_stored_response stored = stored_of(0);

    CHECK_CASES(&stored, cases);
    stored.freshness.stale_if_error = 10 * SECOND;
    CHECK_CASES(&stored, stated);
    stored.status = 503;
    CHECK_CASES(&stored, errors);
}
END_TEST

START_TEST(stale_while_revalidate_serves_within_its_window)
{
    static const reuse_case cases[] = {
        { 0, 59, "", PLAIN, ETG_REUSE_FRESH, NULL, 1 },
        { 0, 60, "", PLAIN, ETG_REUSE_STALE, "stale-while-revalidate", 1 },
        { 0, 69, "", PLAIN, ETG_REUSE_STALE, "stale-while-revalidate", 1 },
        { 0, 70, "", PLAIN, ETG_REUSE_VALIDATE, "stale", 0 },
        { ETG_FRESH_MUST_REVALIDATE, 61, "", PLAIN, ETG_REUSE_VALIDATE,
          "stale", 0 },
        { ETG_FRESH_NO_CACHE, 61, "", PLAIN, ETG_REUSE_VALIDATE, "no-cache",
          0 },
        { 0, 61, "Cache-Control: no-cache", RELOAD, ETG_REUSE_VALIDATE,
          "request-no-cache", 1 },
    };
    etg_stored_response stored = stored_of(0);

    stored.freshness.stale_while_revalidate = 10 * SECOND;
    CHECK_CASES(&stored, cases);
}
END_TEST

START_TEST(a_request_is_obeyed_as_far_as_the_policy_allows)
{
    static const reuse_case cases[] = {
        { 0, 1, "Cache-Control: no-cache", PLAIN, ETG_REUSE_FRESH, NULL, 1 },
        { 0, 1, "Cache-Control: no-cache", REVALIDATE, ETG_REUSE_FRESH, NULL,
          1 },
        { 0, 1, "Cache-Control: no-cache", RELOAD, ETG_REUSE_VALIDATE,
          "request-no-cache", 1 },
        { 0, 1, "Pragma: no-cache", RELOAD, ETG_REUSE_VALIDATE,
          "request-no-cache", 1 },
        { 0, 1, "Pragma: no-cache\nCache-Control: foo", RELOAD,
          ETG_REUSE_FRESH, NULL, 1 },
        { 0, 1, "Cache-Control: no-store", RELOAD | REVALIDATE,
          ETG_REUSE_FRESH, NULL, 1 },
        { 0, 1, "Cache-Control: max-age=0", PLAIN, ETG_REUSE_FRESH, NULL, 1 },
        { 0, 1, "Cache-Control: max-age=0", RELOAD, ETG_REUSE_FRESH, NULL,
          1 },
        { 0, 1, "Cache-Control: max-age=0", REVALIDATE, ETG_REUSE_VALIDATE,
          "request-max-age", 1 },
        { 0, 10, "Cache-Control: max-age=10", REVALIDATE, ETG_REUSE_FRESH,
          NULL, 1 },
        { 0, 11, "Cache-Control: max-age=10", REVALIDATE, ETG_REUSE_VALIDATE,
          "request-max-age", 1 },
        { 0, 50, "Cache-Control: min-fresh=10", REVALIDATE, ETG_REUSE_FRESH,
          NULL, 1 },
        { 0, 51, "Cache-Control: min-fresh=10", REVALIDATE,
          ETG_REUSE_VALIDATE, "request-min-fresh", 1 },
        { 0, 51, "Cache-Control: min-fresh=10", PLAIN, ETG_REUSE_FRESH, NULL,
          1 },
        { 0, 65, "Cache-Control: max-stale=5", PLAIN, ETG_REUSE_VALIDATE,
          "stale", 0 },
        { 0, 65, "Cache-Control: max-stale=5", REVALIDATE, ETG_REUSE_STALE,
          "request-max-stale", 0 },
        { 0, 66, "Cache-Control: max-stale=5", REVALIDATE, ETG_REUSE_VALIDATE,
          "stale", 0 },
        { 0, 6600, "Cache-Control: max-stale", REVALIDATE, ETG_REUSE_STALE,
          "request-max-stale", 0 },
        { ETG_FRESH_MUST_REVALIDATE, 61, "Cache-Control: max-stale",
          REVALIDATE, ETG_REUSE_VALIDATE, "stale", 0 },
        { ETG_FRESH_NO_CACHE, 1, "Cache-Control: max-stale", REVALIDATE,
          ETG_REUSE_VALIDATE, "no-cache", 0 },
        { 0, 61, "Cache-Control: max-age=5, max-stale", REVALIDATE,
          ETG_REUSE_VALIDATE, "request-max-age", 0 },
    };
    etg_stored_response stored = stored_of(0);

    CHECK_CASES(&stored, cases);
}
END_TEST

START_TEST(a_private_request_gets_only_what_the_backend_permits)
{
    static const struct {
        unsigned privacy;
        apr_uint32_t flags;
        int usable;
    } cases[] = {
        { 0, 0, 1 },
        { ETG_PRIVATE_AUTHORIZATION, 0, 0 },
        { ETG_PRIVATE_AUTHORIZATION, ETG_FRESH_FOR_AUTHORIZATION, 1 },
        { ETG_PRIVATE_OTHER, ETG_FRESH_FOR_AUTHORIZATION, 0 },
        { ETG_PRIVATE_OTHER, ETG_FRESH_FOR_PRIVATE, 1 },
        { ETG_PRIVATE_AUTHORIZATION | ETG_PRIVATE_OTHER,
          ETG_FRESH_FOR_AUTHORIZATION, 0 },
        { ETG_PRIVATE_AUTHORIZATION | ETG_PRIVATE_OTHER,
          ETG_FRESH_FOR_AUTHORIZATION | ETG_FRESH_FOR_PRIVATE, 1 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_of(cases[i].flags);
        etg_policy policy = policy_of(ON_ERROR);
        etg_request_view request = request_of("GET", "");
        etg_reuse reuse;

        request.privacy = cases[i].privacy;
        reuse = etg_reuse_decide(&stored, &no_marks, &request, &policy, NOW);
        check_reuse(&reuse, i, cases[i].usable ? ETG_REUSE_FRESH
                                               : ETG_REUSE_UNUSABLE,
                    cases[i].usable ? NULL : "private", cases[i].usable);
        request.collapsed = 1;
        reuse = etg_reuse_decide(&stored, &no_marks, &request, &policy, NOW);
        ck_assert_int_eq(reuse.verdict == ETG_REUSE_FRESH, cases[i].usable);
    }
}
END_TEST

START_TEST(marks_hit_what_was_requested_before_or_at_them)
{
    static const struct {
        etg_reuse_marks marks;
        int age;
        etg_reuse_verdict verdict;
        const char *reason;
        int stale_on_error;
        apr_interval_time_t ttl;
    } cases[] = {
        { { 0 }, 5, ETG_REUSE_FRESH, NULL, 1, 55 },
        { { NOW - 1, NOW - 1, 0, 0, NULL }, 5, ETG_REUSE_FRESH, NULL, 1, 55 },
        { { NOW, 0, 0, 0, NULL }, 5, ETG_REUSE_VALIDATE, "invalidated", 0, 55 },
        { { NOW + SECOND, 0, 0, 0, NULL }, 70, ETG_REUSE_VALIDATE,
          "invalidated", 0, -10 },
        { { 0, NOW, 0, 0, NULL }, 5, ETG_REUSE_VALIDATE, "soft-purged", 1, -5 },
        { { 0, NOW + 3 * SECOND, 0, 0, NULL }, 5, ETG_REUSE_VALIDATE,
          "soft-purged", 1, -2 },
        { { 0, NOW + 3 * SECOND, 0, 0, NULL }, 33, ETG_REUSE_VALIDATE,
          "soft-purged", 0, -30 },
        { { 0, NOW + 9 * SECOND, 0, 0, NULL }, 70, ETG_REUSE_VALIDATE,
          "soft-purged", 0, -61 },
        { { 0, NOW + 69 * SECOND, 0, 0, NULL }, 70, ETG_REUSE_VALIDATE,
          "soft-purged", 1, -10 },
        { { 0, NOW + 9 * SECOND, 0, 0, NULL }, 5, ETG_REUSE_VALIDATE,
          "soft-purged", 1, 0 },
        { { 0, 0, ETG_STORE_MARK_SOFT, NOW, NULL }, 5, ETG_REUSE_VALIDATE,
          "soft-purged", 1, -5 },
        { { 0, 0, ETG_STORE_MARK_SOFT, NOW - 9 * SECOND, NULL }, 5,
          ETG_REUSE_VALIDATE, "soft-purged", 1, -14 },
        { { 0, NOW, ETG_STORE_MARK_SOFT, NOW + SECOND, NULL }, 5,
          ETG_REUSE_VALIDATE, "soft-purged", 1, -5 },
        { { 0, 0, ETG_STORE_MARK_INVALID, NOW, NULL }, 5, ETG_REUSE_VALIDATE,
          "invalidated", 0, -5 },
        { { NOW, NOW, 0, 0, NULL }, 5, ETG_REUSE_VALIDATE, "invalidated", 0,
          -5 },
    };
    etg_stored_response stored = stored_of(0);
    etg_policy policy = policy_of(ON_ERROR);
    etg_request_view request = request_of("GET", "");

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_reuse reuse = etg_reuse_decide(&stored, &cases[i].marks, &request,
                                           &policy,
                                           NOW + cases[i].age * SECOND);

        check_reuse(&reuse, i, cases[i].verdict, cases[i].reason,
                    cases[i].stale_on_error);
        ck_assert_msg(reuse.ttl == cases[i].ttl * SECOND,
                      "case %u: ttl %" APR_TIME_T_FMT, i, reuse.ttl);
    }
}
END_TEST

START_TEST(a_soft_purged_response_may_be_stale_while_it_is_revalidated)
{
    etg_reuse_marks marks = { .soft_purged_at = NOW + SECOND };
    etg_stored_response stored = stored_of(0);
    etg_policy policy = plain_policy();
    etg_request_view request = request_of("GET", "");
    etg_reuse reuse;

    stored.freshness.stale_while_revalidate = 10 * SECOND;
    reuse = etg_reuse_decide(&stored, &marks, &request, &policy,
                             NOW + 5 * SECOND);
    check_reuse(&reuse, 0, ETG_REUSE_VALIDATE, "soft-purged", 1);
    policy.refreshes_behind = 1;
    reuse = etg_reuse_decide(&stored, &marks, &request, &policy,
                             NOW + 5 * SECOND);
    check_reuse(&reuse, 0, ETG_REUSE_STALE, "stale-while-revalidate", 1);
}
END_TEST

START_TEST(who_waited_for_a_fetch_may_have_its_response_once)
{
    static const struct {
        apr_uint32_t flags;
        etg_reuse_marks marks;
        apr_time_t arrived_at;
        const char *fields;
        etg_reuse_verdict verdict;
        const char *reason;
    } cases[] = {
        { 0, { 0 }, NOW - 5, "", ETG_REUSE_FRESH, "collapsed" },
        { 0, { 0 }, NOW, "", ETG_REUSE_FRESH, "collapsed" },
        { ETG_FRESH_MUST_REVALIDATE, { 0 }, NOW - 5, "",
          ETG_REUSE_FRESH, "collapsed" },
        { 0, { 0 }, NOW - 5, "Cache-Control: max-age=0",
          ETG_REUSE_FRESH, "collapsed" },
        { 0, { 0 }, NOW + 5, "", ETG_REUSE_VALIDATE, "stale" },
        { ETG_FRESH_NO_CACHE, { 0, 0, 0, 0, NULL }, NOW - 5, "",
          ETG_REUSE_VALIDATE, "no-cache" },
        { 0, { 0 }, NOW - 5, "Cache-Control: no-cache",
          ETG_REUSE_VALIDATE, "request-no-cache" },
        { 0, { NOW, 0, 0, 0, NULL }, NOW - 5, "", ETG_REUSE_VALIDATE,
          "invalidated" },
        { 0, { 0, NOW, 0, 0, NULL }, NOW - 5, "", ETG_REUSE_VALIDATE,
          "soft-purged" },
        { 0, { 0, 0, ETG_STORE_MARK_SOFT, NOW, NULL }, NOW - 5, "",
          ETG_REUSE_VALIDATE, "soft-purged" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_of(cases[i].flags);
        etg_policy policy = policy_of(RELOAD | REVALIDATE);
        etg_request_view request = request_of("GET", cases[i].fields);
        etg_reuse reuse;

        stored.freshness.lifetime = 0;
        request.collapsed = 1;
        request.arrived_at = cases[i].arrived_at;
        reuse = etg_reuse_decide(&stored, &cases[i].marks, &request, &policy,
                                 NOW + 10);
        check_reuse(&reuse, i, cases[i].verdict, cases[i].reason, 0);
    }
}
END_TEST

START_TEST(max_ttl_makes_stale_at_once_what_is_stored_already)
{
    etg_stored_response stored = stored_of(0);
    etg_policy policy = plain_policy();
    etg_request_view request = request_of("GET", "");
    etg_reuse reuse;

    policy.max_ttl = 10 * SECOND;
    reuse = etg_reuse_decide(&stored, &no_marks, &request, &policy,
                             NOW + 9 * SECOND);
    ck_assert_int_eq(reuse.verdict, ETG_REUSE_FRESH);
    ck_assert_int_eq(reuse.ttl, SECOND);
    reuse = etg_reuse_decide(&stored, &no_marks, &request, &policy,
                             NOW + 11 * SECOND);
    ck_assert_int_eq(reuse.verdict, ETG_REUSE_VALIDATE);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_response_is_fresh_while_its_lifetime_exceeds_its_age,
        a_failing_backend_lets_stale_responses_live_for_the_window,
        stale_while_revalidate_serves_within_its_window,
        a_request_is_obeyed_as_far_as_the_policy_allows,
        a_private_request_gets_only_what_the_backend_permits,
        marks_hit_what_was_requested_before_or_at_them,
        a_soft_purged_response_may_be_stale_while_it_is_revalidated,
        who_waited_for_a_fetch_may_have_its_response_once,
        max_ttl_makes_stale_at_once_what_is_stored_already,
        NULL
    };

    return run_tests("reuse", tests);
}
