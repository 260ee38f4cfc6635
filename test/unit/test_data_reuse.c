/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_data_reuse.c: what becomes of stored responses whose data is known:
 * their reuse, which of them are stored and for how long.
 */
#include "http_views.h"

#include "lib/reuse.h"
#include "lib/storable.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* The policy of a case, and what is known of its data. */
enum {
    PLAIN = 0, RELOAD = 1, REVALIDATE = 2, ON_ERROR = 4, BEHIND = 8,
    UNLABELLED = 16,    /* stored without a digest */
    MOVED = 32,         /* with another one */
    UNKNOWN = 64,       /* the source could not say */
    OLD = 128,          /* the body was fetched an hour before */
    AHEAD = 256,        /* or, by the clock of then, will be */
    BY_REQUEST = 512    /* another request may have other data */
};

#define TRUST (100 * SECOND)

/* A 200 with 60 s of lifetime that came at NOW, `age` seconds ago; the request
 * arrived just now. */
typedef struct data_case {
    apr_uint32_t flags;
    int age;
    const char *request;
    unsigned traits;
    etg_reuse_verdict verdict;
    const char *reason;
    int stale_on_error;
    int seen_age;           /* seconds */
    int ttl;
    int is_full;
} data_case;

static etg_policy policy_of(unsigned traits)
{
    etg_policy policy = plain_policy();

    policy.allow_reload = (traits & RELOAD) != 0;
    policy.allow_revalidate = (traits & REVALIDATE) != 0;
    policy.refreshes_behind = (traits & BEHIND) != 0;
    policy.stale_while_revalidate = traits & BEHIND ? 30 * SECOND : 0;
    policy.stale_if_error = traits & ON_ERROR ? 30 * SECOND : 0;
    policy.data_trust = TRUST;
    return policy;
}

static etg_stored_response labelled(unsigned traits)
{
    etg_stored_response stored = stored_of(0);

    stored.has_data = (traits & UNLABELLED) == 0;
    if (stored.has_data) {
        memset(stored.data, 0xD7, sizeof(stored.data));
    }
    stored.fetched_at = traits & OLD ? NOW - HOUR
        : traits & AHEAD ? NOW + HOUR : 0;
    return stored;
}

/* One byte off, and the last one. */
static etg_reuse_data known(unsigned traits)
{
    etg_reuse_data data = {
        .is_known = !(traits & UNKNOWN), .trust = TRUST,
        .is_by_request = (traits & BY_REQUEST) != 0
    };

    memset(data.digest, 0xD7, sizeof(data.digest));
    data.digest[sizeof(data.digest) - 1] ^= traits & MOVED ? 1 : 0;
    return data;
}

static etg_reuse decided(const data_case *c, etg_stored_response *stored,
                         etg_reuse_marks marks)
{
    etg_policy policy = policy_of(c->traits);
    etg_request_view request = request_of("GET", c->request);
    etg_reuse_data data = known(c->traits);

    stored->freshness.flags = c->flags;
    request.arrived_at = NOW + c->age * SECOND + 1;
    marks.data = &data;
    return etg_reuse_decide(stored, &marks, &request, &policy,
                            NOW + c->age * SECOND);
}

static void check_case(const etg_reuse *reuse, const data_case *c, unsigned i)
{
    ck_assert_msg(reuse->verdict == c->verdict, "case %u: verdict %d (%s)", i,
                  (int)reuse->verdict, reuse->reason);
    ck_assert_pstr_eq(reuse->reason, c->reason);
    ck_assert_msg(reuse->stale_on_error == c->stale_on_error,
                  "case %u: stale_on_error", i);
    ck_assert_msg(reuse->age == c->seen_age * SECOND, "case %u: age", i);
    ck_assert_msg(reuse->ttl == c->ttl * SECOND, "case %u: ttl", i);
    ck_assert_msg(reuse->needs_full_fetch == c->is_full, "case %u: full", i);
    ck_assert_msg(reuse->is_by_data == (c->reason != NULL
                                        && !strncmp(c->reason, "data", 4)),
                  "case %u: by data", i);
    ck_assert_msg(reuse->is_validated
                  == (c->reason != NULL && strcmp(c->reason, "data") == 0),
                  "case %u: is_validated", i);
}

static void check_cases(const data_case *cases, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        etg_stored_response stored = labelled(cases[i].traits);
        etg_reuse reuse = decided(&cases[i], &stored, (etg_reuse_marks){ 0 });

        check_case(&reuse, &cases[i], i);
    }
}

START_TEST(equal_data_is_fresh_whatever_the_lifetime_within_its_trust)
{
    static const data_case cases[] = {
        { 0, 5, "", PLAIN, ETG_REUSE_FRESH, "data", 1, 0, 60, 0 },
        { 0, 61, "", PLAIN, ETG_REUSE_FRESH, "data", 1, 0, 60, 0 },
        { 0, 99, "", PLAIN, ETG_REUSE_FRESH, "data", 1, 0, 60, 0 },
        { ETG_FRESH_NO_CACHE, 99, "", PLAIN, ETG_REUSE_FRESH, "data", 0, 0,
          60, 0 },
        { ETG_FRESH_MUST_REVALIDATE, 99, "", PLAIN, ETG_REUSE_FRESH, "data",
          1, 0, 60, 0 },
        { 0, 99, "Cache-Control: max-age=0", REVALIDATE, ETG_REUSE_FRESH,
          "data", 1, 0, 60, 0 },
        { 0, 99, "Cache-Control: no-cache", PLAIN, ETG_REUSE_FRESH, "data", 1,
          0, 60, 0 },
        { 0, 5, "Cache-Control: no-cache", RELOAD, ETG_REUSE_VALIDATE,
          "request-no-cache", 1, 5, 55, 0 },
        { 0, 5, "Pragma: no-cache", RELOAD | MOVED, ETG_REUSE_VALIDATE,
          "request-no-cache", 1, 5, 55, 0 },
    };

    check_cases(cases, ROWS(cases));
}
END_TEST

START_TEST(beyond_its_trust_lifetimes_decide_and_the_fetch_is_full)
{
    static const data_case cases[] = {
        { 0, 100, "", PLAIN, ETG_REUSE_VALIDATE, "stale", 0, 100, -40, 1 },
        { 0, 5, "", OLD, ETG_REUSE_FRESH, NULL, 1, 5, 55, 1 },
        { 0, 5, "", AHEAD, ETG_REUSE_FRESH, NULL, 1, 5, 55, 1 },
        { 0, 65, "", OLD | BEHIND, ETG_REUSE_STALE, "stale-while-revalidate",
          1, 65, -5, 1 },
        { ETG_FRESH_NO_CACHE, 5, "", OLD | ON_ERROR, ETG_REUSE_VALIDATE,
          "no-cache", 0, 5, 55, 1 },
        { 0, 65, "", OLD | MOVED, ETG_REUSE_VALIDATE, "data-changed", 0, 65,
          -5, 0 },
    };

    check_cases(cases, ROWS(cases));
}
END_TEST

START_TEST(changed_data_is_stale_at_once_and_serves_errors_alone)
{
    static const data_case cases[] = {
        { 0, 5, "", MOVED, ETG_REUSE_VALIDATE, "data-changed", 0, 5, 0, 0 },
        { 0, 5, "", MOVED | BEHIND, ETG_REUSE_VALIDATE, "data-changed", 1, 5,
          0, 0 },
        { 0, 70, "", MOVED | BEHIND, ETG_REUSE_VALIDATE, "data-changed", 1,
          70, -10, 0 },
        { 0, 5, "Cache-Control: max-stale", MOVED | REVALIDATE,
          ETG_REUSE_VALIDATE, "data-changed", 0, 5, 0, 0 },
        { 0, 5, "", MOVED | ON_ERROR, ETG_REUSE_VALIDATE, "data-changed", 1,
          5, 0, 0 },
        { 0, 89, "", MOVED | ON_ERROR, ETG_REUSE_VALIDATE, "data-changed", 1,
          89, -29, 0 },
        { 0, 90, "", MOVED | ON_ERROR, ETG_REUSE_VALIDATE, "data-changed", 0,
          90, -30, 0 },
        { ETG_FRESH_MUST_REVALIDATE, 5, "", MOVED | ON_ERROR,
          ETG_REUSE_VALIDATE, "data-changed", 0, 5, 0, 0 },
        { ETG_FRESH_NO_CACHE, 5, "", MOVED | ON_ERROR, ETG_REUSE_VALIDATE,
          "data-changed", 0, 5, 0, 0 },
    };

    check_cases(cases, ROWS(cases));
}
END_TEST

START_TEST(what_was_stored_without_a_digest_is_asked_for)
{
    static const data_case cases[] = {
        { 0, 5, "", UNLABELLED, ETG_REUSE_VALIDATE, "data-unknown", 1, 5, 55,
          0 },
        { 0, 65, "", UNLABELLED | BEHIND, ETG_REUSE_VALIDATE, "data-unknown",
          1, 65, -5, 0 },
        { ETG_FRESH_NO_CACHE, 5, "", UNLABELLED, ETG_REUSE_VALIDATE,
          "data-unknown", 0, 5, 55, 0 },
        { 0, 5, "", UNLABELLED | OLD, ETG_REUSE_VALIDATE, "data-unknown", 1,
          5, 55, 0 },
    };

    check_cases(cases, ROWS(cases));
}
END_TEST

START_TEST(what_the_source_cannot_say_leaves_the_rfc_alone)
{
    static const data_case cases[] = {
        { 0, 5, "", UNKNOWN | MOVED, ETG_REUSE_FRESH, NULL, 1, 5, 55, 0 },
        { 0, 5, "", UNKNOWN | UNLABELLED, ETG_REUSE_FRESH, NULL, 1, 5, 55,
          0 },
        { 0, 65, "", UNKNOWN, ETG_REUSE_VALIDATE, "stale", 0, 65, -5, 0 },
        { 0, 65, "", UNKNOWN | OLD | BEHIND, ETG_REUSE_STALE,
          "stale-while-revalidate", 1, 65, -5, 0 },
        { ETG_FRESH_NO_CACHE, 5, "", UNKNOWN, ETG_REUSE_VALIDATE, "no-cache",
          0, 5, 55, 0 },
    };

    check_cases(cases, ROWS(cases));
}
END_TEST

START_TEST(what_may_be_anothers_is_never_stale)
{
    static const data_case cases[] = {
        { 0, 5, "", BY_REQUEST | MOVED | ON_ERROR, ETG_REUSE_VALIDATE,
          "data-changed", 0, 5, 0, 0 },
        { 0, 5, "", BY_REQUEST | UNLABELLED | ON_ERROR, ETG_REUSE_VALIDATE,
          "data-unknown", 0, 5, 55, 0 },
        { 0, 65, "", BY_REQUEST | UNKNOWN | BEHIND, ETG_REUSE_VALIDATE,
          "data-unknown", 0, 65, -5, 0 },
        { 0, 65, "Cache-Control: max-stale",
          BY_REQUEST | UNKNOWN | REVALIDATE, ETG_REUSE_VALIDATE,
          "data-unknown", 0, 65, -5, 0 },
        /* its own lifetime is for everybody */
        { 0, 5, "", BY_REQUEST | UNKNOWN, ETG_REUSE_FRESH, NULL, 0, 5, 55,
          0 },
        { 0, 5, "", BY_REQUEST, ETG_REUSE_FRESH, "data", 1, 0, 60, 0 },
        { 0, 65, "", BY_REQUEST | OLD | BEHIND, ETG_REUSE_STALE,
          "stale-while-revalidate", 1, 65, -5, 1 },
    };
    static const data_case varies = {
        0, 65, "", BY_REQUEST | UNKNOWN | BEHIND, ETG_REUSE_STALE,
        "stale-while-revalidate", 1, 65, -5, 0
    };
    etg_stored_response stored = labelled(PLAIN);
    etg_reuse reuse;

    check_cases(cases, ROWS(cases));
    stored.vary.bytes[0] = 1;
    reuse = decided(&varies, &stored, (etg_reuse_marks){ 0 });
    check_case(&reuse, &varies, 0);
}
END_TEST

START_TEST(data_says_nothing_of_other_statuses)
{
    static const int statuses[] = { 203, 204, 301, 404, 410, 500 };
    static const data_case fresh = {
        0, 5, "", MOVED, ETG_REUSE_FRESH, NULL, 1, 5, 55, 0
    };
    static const data_case stale = {
        0, 65, "", PLAIN, ETG_REUSE_VALIDATE, "stale", 0, 65, -5, 0
    };

    for (unsigned i = 0; i < ROWS(statuses); i++) {
        etg_stored_response stored = labelled(PLAIN);
        etg_reuse reuse;

        stored.status = statuses[i];
        reuse = decided(&fresh, &stored, (etg_reuse_marks){ 0 });
        check_case(&reuse, &fresh, i);
        reuse = decided(&stale, &stored, (etg_reuse_marks){ 0 });
        check_case(&reuse, &stale, i);
    }
}
END_TEST

START_TEST(a_mark_speaks_before_the_data)
{
    static const struct {
        etg_reuse_marks marks;
        data_case c;
    } cases[] = {
        { { NOW, 0, 0, 0, NULL },
          { 0, 5, "", ON_ERROR, ETG_REUSE_VALIDATE, "invalidated", 0, 5, 55,
            0 } },
        { { 0, 0, ETG_STORE_MARK_INVALID, NOW, NULL },
          { 0, 5, "", PLAIN, ETG_REUSE_VALIDATE, "invalidated", 0, 5, -5,
            0 } },
        { { 0, NOW, 0, 0, NULL },
          { 0, 5, "", PLAIN, ETG_REUSE_VALIDATE, "soft-purged", 0, 5, -5,
            0 } },
        { { 0, NOW, 0, 0, NULL },
          { 0, 5, "", BEHIND | MOVED, ETG_REUSE_STALE,
            "stale-while-revalidate", 1, 5, -5, 0 } },
        { { 0, 0, ETG_STORE_MARK_SOFT, NOW, NULL },
          { 0, 5, "", UNLABELLED, ETG_REUSE_VALIDATE, "soft-purged", 0, 5, -5,
            0 } },
        { { NOW - 1, NOW - 1, 0, 0, NULL },
          { 0, 65, "", PLAIN, ETG_REUSE_FRESH, "data", 1, 0, 60, 0 } },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        etg_stored_response stored = labelled(cases[i].c.traits);
        etg_reuse reuse = decided(&cases[i].c, &stored, cases[i].marks);

        check_case(&reuse, &cases[i].c, i);
    }
}
END_TEST

START_TEST(a_private_request_is_barred_before_the_data)
{
    etg_reuse_data data = known(PLAIN);
    etg_reuse_marks marks = { .data = &data };
    etg_stored_response stored = labelled(PLAIN);
    etg_policy policy = policy_of(PLAIN);
    etg_request_view request = request_of("GET", "");
    etg_reuse reuse;

    request.privacy = ETG_PRIVATE_OTHER;
    request.arrived_at = NOW + SECOND;
    reuse = etg_reuse_decide(&stored, &marks, &request, &policy,
                             NOW + SECOND);
    ck_assert_int_eq(reuse.verdict, ETG_REUSE_UNUSABLE);
    ck_assert_str_eq(reuse.reason, "private");
    request.arrived_at = NOW - SECOND;
    reuse = etg_reuse_decide(&stored, &marks, &request, &policy,
                             NOW + SECOND);
    ck_assert_int_eq(reuse.verdict, ETG_REUSE_UNUSABLE);
}
END_TEST

START_TEST(what_was_asked_for_since_the_request_arrived_is_new)
{
    static const struct {
        apr_time_t arrived_at;
        apr_time_t now;
        unsigned traits;
        apr_uint32_t flags;
        const char *reason;
    } cases[] = {
        { NOW, NOW, MOVED, 0, "data-new" },
        { NOW - 1, NOW + HOUR, MOVED, 0, "data-new" },
        { NOW - 1, NOW + 5, UNLABELLED, 0, "data-new" },
        { NOW - 1, NOW + 5, PLAIN, ETG_FRESH_NO_CACHE, "data-new" },
        { NOW - 1, NOW + 5, OLD, 0, "data-new" },
        { NOW + 1, NOW + 5, MOVED, 0, "data-changed" },
        { NOW + 1, NOW + 5, UNLABELLED, 0, "data-unknown" },
        { NOW + 1, NOW + 5, PLAIN, ETG_FRESH_NO_CACHE, "data" },
        /* it may be another's */
        { NOW - 1, NOW + 5, BY_REQUEST | MOVED, 0, "data-changed" },
        { NOW - 1, NOW + 5, BY_REQUEST | UNLABELLED, 0, "data-unknown" },
        { NOW - 1, NOW + 5, BY_REQUEST, 0, "data" },
        /* by a clock ahead of ours */
        { NOW - 9, NOW - 5, MOVED, 0, "data-changed" },
        { NOW - 9, NOW - 5, PLAIN, 0, "data" },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        etg_stored_response stored = labelled(cases[i].traits);
        etg_reuse_data data = known(cases[i].traits);
        etg_reuse_marks marks = { .data = &data };
        etg_policy policy = policy_of(PLAIN);
        etg_request_view request = request_of("GET", "");
        etg_reuse reuse;

        stored.freshness.flags = cases[i].flags;
        request.arrived_at = cases[i].arrived_at;
        reuse = etg_reuse_decide(&stored, &marks, &request, &policy,
                                 cases[i].now);
        ck_assert_pstr_eq(reuse.reason, cases[i].reason);
        ck_assert_int_eq(reuse.verdict == ETG_REUSE_FRESH,
                         strcmp(cases[i].reason, "data-new") == 0
                         || strcmp(cases[i].reason, "data") == 0);
        ck_assert_int_eq(reuse.is_validated,
                         strcmp(cases[i].reason, "data") == 0);
    }
}
END_TEST

START_TEST(max_ttl_holds_for_what_the_data_has_validated)
{
    etg_reuse_data data = known(PLAIN);
    etg_reuse_marks marks = { .data = &data };
    etg_stored_response stored = labelled(PLAIN);
    etg_policy policy = policy_of(PLAIN);
    etg_request_view request = request_of("GET", "");
    etg_reuse reuse;

    policy.max_ttl = 10 * SECOND;
    request.arrived_at = NOW + 70 * SECOND;
    reuse = etg_reuse_decide(&stored, &marks, &request, &policy,
                             NOW + 70 * SECOND);
    ck_assert_str_eq(reuse.reason, "data");
    ck_assert_int_eq(reuse.ttl, 10 * SECOND);
}
END_TEST

START_TEST(a_200_of_known_data_is_stored_without_a_lifetime)
{
    static const struct {
        int status;
        const char *fields;
        const char *with_data;      /* reasons; NULL: stored */
        const char *without;
    } cases[] = {
        { 200, "A: 1", NULL, "no-freshness" },
        { 200, "Cache-Control: max-age=0", NULL, "no-freshness" },
        { 200, "Cache-Control: no-cache", NULL, "no-freshness" },
        { 200, "Cache-Control: max-age=0, must-revalidate", NULL,
          "no-freshness" },
        { 200, "Cache-Control: max-age=60", NULL, NULL },
        { 200, "Cache-Control: private", "private", "private" },
        { 200, "Cache-Control: no-store", "no-store", "no-store" },
        { 200, "Set-Cookie: a=b", "set-cookie", "set-cookie" },
        { 200, "Vary: *", "vary-star", "vary-star" },
        { 200, "Content-Length: 1001", "too-large", "too-large" },
        { 203, "A: 1", "no-freshness", "no-freshness" },
        { 302, "A: 1", "not-cacheable", "not-cacheable" },
        { 404, "A: 1", "error", "error" },
        { 206, "Cache-Control: max-age=60", "status", "status" },
    };

    for (unsigned i = 0; i < 2 * ROWS(cases); i++) {
        const char *reason = i % 2 ? cases[i / 2].with_data
                                   : cases[i / 2].without;
        etg_policy policy = policy_of(PLAIN);
        etg_request_view request = request_of(i % 3 ? "GET" : "HEAD", "");
        etg_response_view response = response_of(cases[i / 2].status,
                                                 cases[i / 2].fields);
        etg_storable decision;

        response.has_data = i % 2;
        etg_storable_decide(&decision, &request, &response, &policy, pool);
        ck_assert_pstr_eq(decision.reason, reason);
        ck_assert_int_eq(decision.yes, reason == NULL);
        ck_assert_int_eq(decision.uncacheable,
                         reason != NULL && strcmp(reason, "status") != 0);
        request.privacy = ETG_PRIVATE_OTHER;
        etg_storable_decide(&decision, &request, &response, &policy, pool);
        ck_assert_int_eq(decision.yes, 0);
    }
}
END_TEST

START_TEST(a_response_of_known_data_is_kept_as_long_as_it_is_trusted)
{
    static const struct {
        unsigned traits;
        apr_interval_time_t trust;
        apr_time_t until;
    } cases[] = {
        { PLAIN, 0, NOW + 60 * SECOND },
        { PLAIN, 59 * SECOND, NOW + 60 * SECOND },
        { PLAIN, 24 * HOUR, NOW + 24 * HOUR },
        { OLD, 24 * HOUR, NOW + 23 * HOUR },
        { OLD, HOUR, NOW + 60 * SECOND },
        { UNLABELLED, 24 * HOUR, NOW + 60 * SECOND },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        etg_stored_response stored = labelled(cases[i].traits);
        etg_policy policy = plain_policy();

        policy.keep = 0;
        policy.data_trust = cases[i].trust;
        ck_assert_msg(etg_keep_until(&stored, &policy) == cases[i].until,
                      "case %u", i);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        equal_data_is_fresh_whatever_the_lifetime_within_its_trust,
        beyond_its_trust_lifetimes_decide_and_the_fetch_is_full,
        changed_data_is_stale_at_once_and_serves_errors_alone,
        what_was_stored_without_a_digest_is_asked_for,
        what_the_source_cannot_say_leaves_the_rfc_alone,
        what_may_be_anothers_is_never_stale,
        data_says_nothing_of_other_statuses,
        a_mark_speaks_before_the_data,
        a_private_request_is_barred_before_the_data,
        what_was_asked_for_since_the_request_arrived_is_new,
        max_ttl_holds_for_what_the_data_has_validated,
        a_200_of_known_data_is_stored_without_a_lifetime,
        a_response_of_known_data_is_kept_as_long_as_it_is_trusted,
        NULL
    };

    return run_tests("data_reuse", tests);
}
