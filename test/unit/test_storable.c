/* SPDX-License-Identifier: Apache-2.0 */
/* test_storable.c: what is stored, what is not and why. */
#include "http_views.h"

#include <strings.h>

#include "lib/storable.h"

/* What the policy of a case has. */
enum {
    PLAIN = 0, HEURISTIC = 1, STRIP = 2, OVERRIDDEN = 4, DEFAULT_TTL = 8,
    PUBLICIZED = 16, COOKIES = 32, ANY_STATUS = 64
};

static const apr_array_header_t *refused_by_default(void)
{
    static const char *const words[] = { "400", "413", "431" };
    apr_array_header_t *statuses = apr_array_make(pool, 3, sizeof(char *));

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        APR_ARRAY_PUSH(statuses, const char *) = words[i];
    }
    return statuses;
}

static etg_policy policy_of(unsigned traits)
{
    etg_policy policy = traits & HEURISTIC ? heuristic_policy()
                                           : plain_policy();

    policy.strip_set_cookie = (traits & STRIP) != 0;
    policy.store_set_cookie = (traits & COOKIES) != 0;
    if ((traits & ANY_STATUS) == 0) {
        policy.refused_statuses = refused_by_default();
    }
    policy.override = traits & OVERRIDDEN ? "max-age=60" : NULL;
    if (traits & PUBLICIZED) {
        policy.override = "public, s-maxage=60, must-revalidate";
    }
    policy.default_ttl = traits & DEFAULT_TTL ? 60 * SECOND : 0;
    return policy;
}

typedef struct storing_case {
    const char *fields;
    unsigned traits;
    const char *reason;     /* NULL: stored */
    int uncacheable;
} storing_case;

static void check_decision(const etg_storable *decision, int status,
                           const char *fields, const char *reason,
                           int uncacheable)
{
    ck_assert_msg(decision->yes == (reason == NULL), "%d %s: yes %d, %s",
                  status, fields, decision->yes, decision->reason);
    ck_assert_msg(reason == NULL ? decision->reason == NULL
                  : strcmp(decision->reason, reason) == 0, "%d %s: %s",
                  status, fields, decision->reason);
    ck_assert_msg(decision->uncacheable == uncacheable, "%d %s: uncacheable",
                  status, fields);
}

static void check_storing(int status, const storing_case *cases)
{
    for (; cases->fields != NULL; cases++) {
        etg_policy policy = policy_of(cases->traits);
        etg_request_view request = request_of("GET", "");
        etg_response_view response = response_of(status, cases->fields);
        etg_storable decision;

        etg_storable_decide(&decision, &request, &response, &policy, pool);
        check_decision(&decision, status, cases->fields, cases->reason,
                       cases->uncacheable);
    }
}

#define FRESH "Cache-Control: max-age=3600\n"
#define MODIFIED "Last-Modified: " DAY_AGO_DATE "\n"

START_TEST(a_200_is_stored_if_it_can_be_used_again)
{
    static const storing_case cases[] = {
        { FRESH, PLAIN, NULL, 0 },
        { "Expires: " HOUR_AHEAD_DATE, PLAIN, NULL, 0 },
        { "", PLAIN, "no-freshness", 1 },
        { "", DEFAULT_TTL, NULL, 0 },
        { "", OVERRIDDEN, NULL, 0 },
        { "ETag: \"a\"", PLAIN, NULL, 0 },
        { "ETag: unquoted", PLAIN, NULL, 0 },
        { MODIFIED, PLAIN, NULL, 0 },
        { MODIFIED, HEURISTIC, NULL, 0 },
        { "Cache-Control: max-age=0", PLAIN, "no-freshness", 1 },
        { "Cache-Control: max-age=0\nETag: \"a\"", PLAIN, NULL, 0 },
        { "Expires: 0", PLAIN, "no-freshness", 1 },
        { "Cache-Control: no-cache\nETag: \"a\"", PLAIN, NULL, 0 },
        { "Cache-Control: max-age=0, stale-if-error=60", PLAIN, NULL, 0 },
        { "Cache-Control: max-age=0, stale-while-revalidate=60", PLAIN, NULL,
          0 },
        { "Cache-Control: max-age=0, stale-if-error=60, must-revalidate",
          PLAIN, "no-freshness", 1 },
        { FRESH "Content-Range: bytes 0-1/2", PLAIN, NULL, 0 },
        { FRESH "Trailer: X", PLAIN, NULL, 0 },
        { FRESH "Content-Disposition: attachment", PLAIN, NULL, 0 },
        { NULL, 0, NULL, 0 }
    };

    check_storing(200, cases);
}
END_TEST

START_TEST(what_the_backend_forbids_is_not_stored)
{
    static const storing_case cases[] = {
        { "Cache-Control: no-store, max-age=60", PLAIN, "no-store", 1 },
        { "Cache-Control: No-StOrE\nExpires: " HOUR_AHEAD_DATE, PLAIN,
          "no-store", 1 },
        { "Cache-Control: no-store, max-age=60, must-understand", PLAIN, NULL,
          0 },
        { "Cache-Control: private, max-age=60", PLAIN, "private", 1 },
        { "Cache-Control: private, no-store, must-understand, max-age=60",
          PLAIN, "private", 1 },
        { "Cache-Control: private=\"x\", max-age=60", PLAIN, NULL, 0 },
        { FRESH "Vary: *", PLAIN, "vary-star", 1 },
        { FRESH "Vary: Accept, *", PLAIN, "vary-star", 1 },
        { FRESH "Vary: Accept", PLAIN, NULL, 0 },
        { "Cache-Control: private\nSet-Cookie: a=b", PLAIN, "private", 1 },
        { "Cache-Control: no-store, private", OVERRIDDEN, NULL, 0 },
        { NULL, 0, NULL, 0 }
    };

    check_storing(200, cases);
}
END_TEST

START_TEST(a_cookie_is_stored_with_nobodys_response)
{
    static const storing_case cases[] = {
        { FRESH "Set-Cookie: a=b", PLAIN, "set-cookie", 1 },
        { "Cache-Control: public, max-age=9\nSet-Cookie: a=b", PLAIN,
          "set-cookie", 1 },
        { FRESH "Set-Cookie: a=b", OVERRIDDEN, "set-cookie", 1 },
        { FRESH "Set-Cookie: a=b", STRIP, NULL, 0 },
        { "Cache-Control: max-age=9, private=\"set-cookie\"\n"
          "Set-Cookie: a=b", PLAIN, NULL, 0 },
        { "Cache-Control: max-age=9, no-cache=\"a, Set-Cookie\"\n"
          "Set-Cookie: a=b", PLAIN, NULL, 0 },
        { "Cache-Control: max-age=9, no-cache=\"a\"\nSet-Cookie: a=b", PLAIN,
          "set-cookie", 1 },
        { FRESH "Set-Cookie2: a=b", PLAIN, NULL, 0 },
        { FRESH "Set-Cookie: a=b", COOKIES, NULL, 0 },
        { "Cache-Control: private\nSet-Cookie: a=b", COOKIES, "private", 1 },
        { NULL, 0, NULL, 0 }
    };

    check_storing(200, cases);
}
END_TEST

START_TEST(a_stated_length_over_the_limit_is_refused)
{
    static const storing_case cases[] = {
        { FRESH "Content-Length: 1000", PLAIN, NULL, 0 },
        { FRESH "Content-Length: 1001", PLAIN, "too-large", 1 },
        { FRESH "Content-Length: 99999999999999999999999", PLAIN,
          "too-large", 1 },
        { FRESH "Content-Length: many", PLAIN, NULL, 0 },
        { NULL, 0, NULL, 0 }
    };

    check_storing(200, cases);
}
END_TEST

START_TEST(statuses_with_explicit_freshness_are_stored_but_for_a_few)
{
    static const storing_case fresh[] = {
        { FRESH, PLAIN, NULL, 0 }, { NULL, 0, NULL, 0 }
    };
    static const storing_case never[] = {
        { FRESH, PLAIN, "status", 0 },
        { "Cache-Control: public, s-maxage=60\nETag: \"a\"", PLAIN, "status",
          0 },
        { FRESH, OVERRIDDEN, "status", 0 },
        { NULL, 0, NULL, 0 }
    };

    for (int status = 100; status < 1000; status++) {
        int refused = status < 200 || status > 599 || status == 206
                      || status == 304 || status == 400 || status == 413
                      || status == 416 || status == 431;

        check_storing(status, refused ? never : fresh);
    }
}
END_TEST

START_TEST(which_statuses_are_refused_is_for_the_policy_to_say)
{
    static const storing_case any[] = {
        { FRESH, ANY_STATUS, NULL, 0 },
        { "ETag: \"a\"", ANY_STATUS, "not-cacheable", 1 },
        { "", ANY_STATUS | OVERRIDDEN, "not-cacheable", 1 },
        { NULL, 0, NULL, 0 }
    };
    static const storing_case never[] = {
        { FRESH, ANY_STATUS, "status", 0 }, { NULL, 0, NULL, 0 }
    };

    check_storing(400, any);
    check_storing(413, any);
    check_storing(431, any);
    check_storing(206, never);
    check_storing(304, never);
    check_storing(416, never);
}
END_TEST

static int is_one_of(int status, const int *statuses)
{
    while (*statuses != 0 && *statuses != status) {
        statuses++;
    }
    return *statuses != 0;
}

START_TEST(only_understood_statuses_may_require_understanding)
{
    static const storing_case cases[] = {
        { "Cache-Control: max-age=60, no-store, must-understand", PLAIN,
          "must-understand", 0 },
        { "Cache-Control: max-age=60, must-understand", PLAIN,
          "must-understand", 0 },
        { NULL, 0, NULL, 0 }
    };
    static const int refused[] = { 206, 304, 400, 413, 416, 431, 0 };
    static const int registered[] = {
        200, 201, 202, 203, 204, 205, 207, 208, 226, 300, 301, 302, 303, 305,
        306, 307, 308, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411,
        412, 414, 415, 417, 421, 422, 423, 424, 425, 426, 428, 429, 451, 500,
        501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 0
    };
    static const storing_case understood[] = {
        { "Cache-Control: max-age=60, no-store, must-understand", PLAIN, NULL,
          0 },
        { NULL, 0, NULL, 0 }
    };

    for (int status = 200; status < 600; status++) {
        if (is_one_of(status, refused)) {
            continue;
        }
        check_storing(status,
                      is_one_of(status, registered) ? understood : cases);
    }
}
END_TEST

START_TEST(other_statuses_need_a_statement_to_be_stored)
{
    static const storing_case cases[] = {
        { "ETag: \"a\"", PLAIN, "not-cacheable", 1 },
        { MODIFIED, HEURISTIC, "not-cacheable", 1 },
        { "", DEFAULT_TTL, "not-cacheable", 1 },
        { MODIFIED "Cache-Control: public", HEURISTIC, NULL, 0 },
        { "ETag: \"a\"\nCache-Control: public", PLAIN, NULL, 0 },
        { "ETag: \"a\"\nExpires: 0", PLAIN, NULL, 0 },
        { "", OVERRIDDEN, NULL, 0 },
        { NULL, 0, NULL, 0 }
    };
    static const int statuses[] = { 201, 202, 299, 302, 303, 307, 0 };

    for (const int *status = statuses; *status != 0; status++) {
        check_storing(*status, cases);
    }
}
END_TEST

START_TEST(errors_are_stored_only_while_something_says_they_are_fresh)
{
    static const storing_case heuristic[] = {
        { FRESH, PLAIN, NULL, 0 },
        { MODIFIED, PLAIN, "error", 1 },
        { MODIFIED, HEURISTIC, NULL, 0 },
        { "ETag: \"a\"", HEURISTIC, "error", 1 },
        { "", DEFAULT_TTL, "error", 1 },
        { "", OVERRIDDEN, "error", 1 },
        { "Expires: 0\n" MODIFIED, HEURISTIC, "error", 1 },
        { "Cache-Control: max-age=0, stale-if-error=9\nETag: \"a\"", PLAIN,
          "error", 1 },
        { NULL, 0, NULL, 0 }
    };
    static const storing_case stable[] = {
        { FRESH, PLAIN, NULL, 0 },
        { MODIFIED, HEURISTIC, "not-cacheable", 1 },
        { MODIFIED "Cache-Control: public", HEURISTIC, NULL, 0 },
        { MODIFIED "Cache-Control: public", PLAIN, "error", 1 },
        { "", OVERRIDDEN, "not-cacheable", 1 },
        { NULL, 0, NULL, 0 }
    };
    static const storing_case passing[] = {
        { FRESH, PLAIN, NULL, 0 },
        { MODIFIED, HEURISTIC, "not-cacheable", 0 },
        { MODIFIED "Cache-Control: public", HEURISTIC, NULL, 0 },
        { "Expires: 0", PLAIN, "error", 0 },
        { "", OVERRIDDEN, "not-cacheable", 0 },
        { "Cache-Control: no-store", PLAIN, "no-store", 1 },
        { NULL, 0, NULL, 0 }
    };

    check_storing(404, heuristic);
    check_storing(410, heuristic);
    check_storing(401, stable);
    check_storing(403, stable);
    check_storing(499, stable);
    check_storing(408, passing);
    check_storing(429, passing);
    check_storing(500, passing);
    check_storing(503, passing);
    check_storing(599, passing);
}
END_TEST

START_TEST(a_request_may_forbid_or_be_of_another_method)
{
    static const struct {
        const char *method;
        const char *request;
        const char *response;
        const char *reason;
        int uncacheable;
    } cases[] = {
        { "GET", "", FRESH, NULL, 0 },
        { "HEAD", "", FRESH, NULL, 0 },
        { "POST", "", FRESH, "method", 0 },
        { "get", "", FRESH, "method", 0 },
        { "OPTIONS", "", FRESH, "method", 0 },
        { "GET", "Cache-Control: no-store", FRESH, "request-no-store", 0 },
        { "GET", "Cache-Control: no-store", "Cache-Control: no-store",
          "request-no-store", 0 },
        { "GET", "Cache-Control: no-cache, max-age=0", FRESH, NULL, 0 },
        { "GET", "Pragma: no-cache", FRESH, NULL, 0 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_policy policy = plain_policy();
        etg_request_view request = request_of(cases[i].method,
                                              cases[i].request);
        etg_response_view response = response_of(200, cases[i].response);
        etg_storable decision;

        etg_storable_decide(&decision, &request, &response, &policy, pool);
        check_decision(&decision, 200, cases[i].request, cases[i].reason,
                       cases[i].uncacheable);
    }
}
END_TEST

#define AUTHORIZED ETG_PRIVATE_AUTHORIZATION
#define OTHERWISE ETG_PRIVATE_OTHER

START_TEST(private_requests_need_the_backends_own_permission)
{
    static const struct {
        unsigned privacy;
        const char *fields;
        unsigned traits;
        int stored;
    } cases[] = {
        { AUTHORIZED, FRESH, PLAIN, 0 },
        { AUTHORIZED, "Cache-Control: public, max-age=9", PLAIN, 1 },
        { AUTHORIZED, "Cache-Control: must-revalidate, max-age=9", PLAIN, 1 },
        { AUTHORIZED, "Cache-Control: s-maxage=9", PLAIN, 1 },
        { AUTHORIZED, "Cache-Control: proxy-revalidate, max-age=9", PLAIN, 0 },
        { AUTHORIZED, "Cache-Control: must-revalidate, max-age=9", OVERRIDDEN,
          0 },
        { AUTHORIZED, FRESH, PUBLICIZED, 0 },
        { AUTHORIZED, "Cache-Control: private", PUBLICIZED, 0 },
        { AUTHORIZED, "Cache-Control: public", PUBLICIZED, 1 },
        { OTHERWISE, FRESH, PUBLICIZED, 0 },
        { OTHERWISE, "Cache-Control: public", OVERRIDDEN, 1 },
        { OTHERWISE, FRESH, PLAIN, 0 },
        { OTHERWISE, FRESH, OVERRIDDEN, 0 },
        { OTHERWISE, "Cache-Control: public, max-age=9", PLAIN, 1 },
        { OTHERWISE, "Cache-Control: must-revalidate, max-age=9", PLAIN, 0 },
        { OTHERWISE, "Cache-Control: s-maxage=9", PLAIN, 1 },
        { AUTHORIZED | OTHERWISE, "Cache-Control: must-revalidate, max-age=9",
          PLAIN, 0 },
        { AUTHORIZED | OTHERWISE, "Cache-Control: public, max-age=9", PLAIN,
          1 },
        { AUTHORIZED, "Cache-Control: public, max-age=9\nSet-Cookie: a=b",
          COOKIES, 0 },
        { OTHERWISE, "Cache-Control: public, max-age=9\nSet-Cookie: a=b",
          COOKIES, 0 },
        { OTHERWISE, "Cache-Control: public, max-age=9\nSet-Cookie: a=b",
          STRIP, 1 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_policy policy = policy_of(cases[i].traits);
        etg_request_view request = request_of("GET", "");
        etg_response_view response = response_of(200, cases[i].fields);
        etg_storable decision;

        request.privacy = cases[i].privacy;
        etg_storable_decide(&decision, &request, &response, &policy, pool);
        ck_assert_msg(decision.yes == cases[i].stored, "case %u: %s", i,
                      decision.reason);
        if (!cases[i].stored) {
            ck_assert_str_eq(decision.reason, "private-request");
            ck_assert_int_eq(decision.uncacheable, 0);
        }
    }
}
END_TEST

START_TEST(a_decision_brings_freshness_and_vary_along)
{
    etg_policy policy = plain_policy();
    etg_request_view request = request_of("GET", "");
    etg_response_view response = response_of(200, FRESH "Vary: B, a");
    etg_storable decision;

    etg_storable_decide(&decision, &request, &response, &policy, pool);
    ck_assert_int_eq(decision.freshness.lifetime, HOUR);
    ck_assert_str_eq(decision.vary, "a,b");
}
END_TEST

START_TEST(a_post_is_stored_for_gets_of_its_own_target_only)
{
    static const struct {
        const char *method;
        int status;
        const char *fields;
        unsigned traits;
        const char *reason;
    } cases[] = {
        { "POST", 200, FRESH "Content-Location: /a?b", PLAIN, NULL },
        { "POST", 200, FRESH "Content-Location: http://x.org/a?b", PLAIN,
          NULL },
        { "POST", 200, FRESH "Content-Location: ?b", PLAIN, NULL },
        { "POST", 200, "Expires: " HOUR_AHEAD_DATE "\nContent-Location: /a?b",
          PLAIN, NULL },
        { "POST", 200, FRESH, PLAIN, "content-location" },
        { "POST", 200, FRESH "Content-Location: /a", PLAIN,
          "content-location" },
        { "POST", 200, FRESH "Content-Location: http://y.org/a?b", PLAIN,
          "content-location" },
        { "POST", 200, FRESH "Content-Location: /a?b\nContent-Location: /a?b",
          PLAIN, "content-location" },
        { "POST", 200, MODIFIED "Content-Location: /a?b", HEURISTIC,
          "no-freshness" },
        { "POST", 200, "ETag: \"a\"\nCache-Control: max-age=0\n"
          "Content-Location: /a?b", PLAIN, "no-freshness" },
        { "POST", 200, FRESH "Content-Location: /a?b", OVERRIDDEN,
          "no-freshness" },
        { "POST", 201, FRESH "Content-Location: /a?b", PLAIN, "status" },
        { "POST", 500, FRESH "Content-Location: /a?b", PLAIN, "status" },
        { "POST", 200, "Cache-Control: no-store\nContent-Location: /a?b",
          PLAIN, "no-store" },
        { "POST", 200, FRESH "Set-Cookie: a=b\nContent-Location: /a?b",
          PLAIN, "set-cookie" },
        { "GET", 200, FRESH "Content-Location: /a?b", PLAIN, "method" },
        { "PUT", 200, FRESH "Content-Location: /a?b", PLAIN, "method" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_policy policy = policy_of(cases[i].traits);
        etg_request_view request = request_of(cases[i].method, "");
        etg_response_view response = response_of(cases[i].status,
                                                 cases[i].fields);
        etg_storable decision;

        etg_post_storable_decide(&decision, &request, &response, &policy,
                                 "http", "x.org", "/a?b", pool);
        check_decision(&decision, cases[i].status, cases[i].fields,
                       cases[i].reason, 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_200_is_stored_if_it_can_be_used_again,
        what_the_backend_forbids_is_not_stored,
        a_cookie_is_stored_with_nobodys_response,
        a_stated_length_over_the_limit_is_refused,
        statuses_with_explicit_freshness_are_stored_but_for_a_few,
        which_statuses_are_refused_is_for_the_policy_to_say,
        only_understood_statuses_may_require_understanding,
        other_statuses_need_a_statement_to_be_stored,
        errors_are_stored_only_while_something_says_they_are_fresh,
        a_request_may_forbid_or_be_of_another_method,
        private_requests_need_the_backends_own_permission,
        a_decision_brings_freshness_and_vary_along,
        a_post_is_stored_for_gets_of_its_own_target_only,
        NULL
    };

    return run_tests("storable", tests);
}
