/* SPDX-License-Identifier: Apache-2.0 */
/* test_validation.c: what is asked of the backend, and what its answer does. */
#include "http_views.h"

#include <strings.h>

#include "lib/validation.h"

#define EARLIER "Wed, 31 Dec 2025 12:00:00 GMT"

static etg_stored_response stored_with(const char *fields)
{
    etg_stored_response stored = stored_of(ETG_FRESH_EXPLICIT);

    set_fields(&stored, fields);
    return stored;
}

START_TEST(a_fetch_asks_with_our_validators_not_the_clients)
{
    static const struct {
        const char *client;
        int status;             /* 0: nothing stored */
        const char *stored;
        const char *etags;
        const char *sent;
    } cases[] = {
        { "Host: x\nAccept-Encoding: gzip", 0, "", NULL,
          "Host: x\nAccept-Encoding: identity" },
        { "If-Match: \"a\"\nIf-None-Match: \"a\"\nIf-Modified-Since: x\n"
          "If-Unmodified-Since: x\nIf-Range: x\nRange: bytes=0-1\nA: 1", 0,
          "", NULL, "A: 1\nAccept-Encoding: identity" },
        { "If-None-Match: \"b\"\nA: 1", 200, "ETag: \"a\"", NULL,
          "A: 1\nAccept-Encoding: identity\nIf-None-Match: \"a\"" },
        { "", 200, "Last-Modified: " EARLIER, NULL,
          "Accept-Encoding: identity\nIf-Modified-Since: " EARLIER },
        { "", 200, "ETag: W/\"a\"\nLast-Modified: " EARLIER, NULL,
          "Accept-Encoding: identity\nIf-Modified-Since: " EARLIER
          "\nIf-None-Match: W/\"a\"" },
        { "", 200, "ETag: \"a\"", "\"b\", \"c\"",
          "Accept-Encoding: identity\nIf-None-Match: \"a\", \"b\", \"c\"" },
        { "", 0, "", "\"b\"",
          "Accept-Encoding: identity\nIf-None-Match: \"b\"" },
        { "If-None-Match: \"z\"", 404, "ETag: \"a\"\nLast-Modified: " EARLIER,
          NULL, "Accept-Encoding: identity" },
        { "", 299, "ETag: \"a\"", NULL,
          "Accept-Encoding: identity\nIf-None-Match: \"a\"" },
        { "", 301, "ETag: \"a\"", NULL, "Accept-Encoding: identity" },
        { "", 200, "A: 1", NULL, "Accept-Encoding: identity" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_with(cases[i].stored);
        apr_table_t *client = fields_of(cases[i].client);
        apr_table_t *sent;

        stored.status = cases[i].status;
        sent = etg_fetch_fields(client, cases[i].status != 0 ? &stored : NULL,
                                cases[i].etags, NULL, pool);
        ck_assert_str_eq(text_of(sent), cases[i].sent);
        ck_assert_str_eq(text_of(client), cases[i].client);
    }
}
END_TEST

START_TEST(connection_keeps_only_its_hop_tokens)
{
    static const struct {
        const char *client;
        const char *connection;     /* NULL: gone */
    } cases[] = {
        { "Connection: keep-alive", "keep-alive" },
        { "Connection: close, X-Forwarded-Host", "close" },
        { "Connection: Authorization\nConnection: TE, Cookie", "te" },
        { "Connection: X-Forwarded-Proto", NULL },
        { "A: 1", NULL },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_table_t *sent = etg_fetch_fields(fields_of(cases[i].client), NULL,
                                             NULL, NULL, pool);

        ck_assert_pstr_eq(apr_table_get(sent, "Connection"),
                          cases[i].connection);
    }
}
END_TEST

START_TEST(ignored_cookies_do_not_reach_the_backend)
{
    static const struct {
        const char *client;
        const char *cookie;
    } cases[] = {
        { "Cookie: _ga=1; id=2", "id=2" },
        { "Cookie: _ga=1\nCookie: id=2", "id=2" },
        { "Cookie: _ga=1", NULL },
        { "A: 1", NULL },
    };
    apr_array_header_t *ignored = apr_array_make(pool, 1,
                                                 sizeof(const char *));

    APR_ARRAY_PUSH(ignored, const char *) = "_ga*";
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_table_t *sent = etg_fetch_fields(fields_of(cases[i].client), NULL,
                                             NULL, ignored, pool);

        ck_assert_pstr_eq(apr_table_get(sent, "Cookie"), cases[i].cookie);
    }
}
END_TEST

START_TEST(a_304_speaks_of_what_its_validators_name)
{
    static const struct {
        const char *stored;
        const char *fields_304;
        int selected;
    } cases[] = {
        { "ETag: \"a\"", "ETag: \"a\"", 1 },
        { "ETag: \"a\"", "ETag: \"b\"", 0 },
        { "ETag: \"a\"", "ETag: W/\"a\"", 1 },
        { "ETag: W/\"a\"", "ETag: W/\"a\"", 1 },
        { "ETag: a", "ETag: a", 1 },
        { "ETag: a", "ETag: b", 0 },
        { "ETag: \"a\"", "", 1 },
        { "Last-Modified: " EARLIER, "", 1 },
        { "", "", 1 },
        { "Last-Modified: " EARLIER, "Last-Modified: " EARLIER, 1 },
        { "Last-Modified: " EARLIER, "Last-Modified: " NOW_DATE, 0 },
        { "ETag: \"a\"\nLast-Modified: " EARLIER,
          "ETag: \"a\"\nLast-Modified: " NOW_DATE, 1 },
        { "ETag: \"a\"\nLast-Modified: " EARLIER,
          "ETag: \"b\"\nLast-Modified: " EARLIER, 0 },
        { "ETag: \"a\"", "Last-Modified: " EARLIER, 1 },
        { "Last-Modified: " EARLIER, "ETag: \"a\"\nLast-Modified: " EARLIER,
          1 },
        { "Last-Modified: " EARLIER, "ETag: \"a\"", 0 },
        { "", "ETag: \"a\"", 0 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_with(cases[i].stored);

        ck_assert_msg(etg_validation_selects(&stored,
                                             fields_of(cases[i].fields_304))
                      == cases[i].selected, "case %u", i);
    }
}
END_TEST

START_TEST(new_fields_replace_all_stored_of_their_name_but_for_a_few)
{
    static const struct {
        const char *stored;
        const char *fresh;
        const char *updated;
    } cases[] = {
        { "A: 1\nB: 2", "", "A: 1\nB: 2" },
        { "A: 1\nB: 2\nA: 3", "a: 4", "B: 2\na: 4" },
        { "A: 1", "A: 2\nA: 3", "A: 2\nA: 3" },
        { "A: 1", "B: 2", "A: 1\nB: 2" },
        { "Cache-Control: max-age=1", "Cache-Control: max-age=9",
          "Cache-Control: max-age=9" },
        { "Content-Foo: 1\nX-Content-Foo: 1",
          "Content-Foo: 2\nX-Content-Foo: 2",
          "Content-Foo: 2\nX-Content-Foo: 2" },
        { "Content-Type: image/png\nContent-Encoding: br",
          "Content-Type: text/html\nContent-Encoding: gzip\n"
          "Content-Length: 10",
          "Content-Type: image/png\nContent-Encoding: br" },
        { "A: 1", "Set-Cookie: a=b\nSet-Cookie2: c=d", "A: 1" },
        { "Set-Cookie2: c=d", "Set-Cookie2: e=f", "Set-Cookie2: c=d" },
        { "A: 1\nB: 2", "Connection: A, close\nA: 9\nKeep-Alive: x\n"
          "Transfer-Encoding: x\nTE: x\nTrailer: x\nUpgrade: x",
          "A: 1\nB: 2" },
        { "Date: old\nA: 1", "", "A: 1" },
        { "Date: old\nA: 1", "Date: new", "A: 1\nDate: new" },
        { "ETag: \"a\"", "ETag: W/\"a\"\nAge: 3", "ETag: W/\"a\"\nAge: 3" },
        { "ETag: \"a\"", "etag: \"a\"", "etag: \"a\"" },
        { "ETag: W/\"a\"", "etag: \"a\"\nA: 1", "ETag: W/\"a\"\nA: 1" },
        { "A: 1", "ETag: \"a\"", "A: 1" },
        { "A: 1", "ETag: W/\"a\"", "A: 1\nETag: W/\"a\"" },
        { "ETag: a", "ETag: a", "ETag: a" },
        { "Vary: a", "Vary: b\nExpires: 0", "Vary: b\nExpires: 0" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_with(cases[i].stored);
        apr_table_t *updated
            = etg_validation_update(&stored, fields_of(cases[i].fresh), pool);

        ck_assert_str_eq(text_of(updated), cases[i].updated);
    }
}
END_TEST

START_TEST(a_head_agrees_unless_it_names_another_validator_or_length)
{
    static const struct {
        const char *stored;
        const char *head;
        int agrees;
    } cases[] = {
        { "", "", 1 },
        { "ETag: \"a\"", "", 1 },
        { "ETag: \"a\"", "ETag: \"a\"", 1 },
        { "ETag: \"a\"", "ETag: \"b\"", 0 },
        { "", "ETag: \"a\"", 0 },
        { "Last-Modified: " EARLIER, "Last-Modified: " EARLIER, 1 },
        { "Last-Modified: " EARLIER, "Last-Modified: " NOW_DATE, 0 },
        { "", "Last-Modified: " EARLIER, 0 },
        { "", "Content-Length: 42", 1 },
        { "", "Content-Length: 43", 0 },
        { "", "Content-Length: x", 0 },
        { "", "Content-Length: 18446744073709551658", 0 },
        { "ETag: \"a\"", "ETag: \"a\"\nContent-Length: 43", 0 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_with(cases[i].stored);

        stored.body_length = 42;
        ck_assert_msg(etg_head_agrees(&stored, fields_of(cases[i].head))
                      == cases[i].agrees, "case %u", i);
    }
}
END_TEST

START_TEST(a_head_agrees_with_the_length_of_the_form_it_speaks_of)
{
    static const struct {
        int is_coded_here;
        const char *head;
        int agrees;
    } cases[] = {
        { 1, "", 1 },
        { 1, "Content-Length: 420", 1 },
        { 1, "Content-Length: 420\nContent-Encoding: identity", 1 },
        { 1, "Content-Length: 42", 0 },
        { 1, "Content-Length: 42\nContent-Encoding: gzip", 0 },
        { 1, "Content-Length: 420\nContent-Encoding: gzip", 0 },
        { 0, "Content-Length: 42\nContent-Encoding: gzip", 1 },
        { 0, "Content-Length: 42\nContent-Encoding: X-Gzip", 1 },
        { 0, "Content-Length: 420", 1 },
        { 0, "Content-Length: 42", 0 },
        { 0, "Content-Length: 420\nContent-Encoding: gzip", 0 },
        { 0, "Content-Length: 42\nContent-Encoding: br", 0 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_stored_response stored = stored_with("");

        stored.body_length = 42;
        stored.coding = ETG_CODING_GZIP;
        stored.is_coded_here = cases[i].is_coded_here;
        stored.plain_length = 420;
        ck_assert_msg(etg_head_agrees(&stored, fields_of(cases[i].head))
                      == cases[i].agrees, "case %u", i);
    }
}
END_TEST

START_TEST(a_coding_that_is_stored_opaque_stays_a_variant_when_validated)
{
    etg_stored_response stored
        = stored_with("Content-Type: text/plain\nContent-Encoding: gzip\n"
                      "Vary: Accept-Encoding");
    etg_request_view request = request_of("GET", "");
    etg_response_view fresh = response_of(304, "Cache-Control: max-age=60");
    etg_policy policy = plain_policy();
    etg_storable decision;

    etg_validation_decide(&decision, &stored, &request, &fresh,
                          etg_validation_update(&stored, fresh.fields, pool),
                          &policy, pool);
    ck_assert_str_eq(decision.vary, "accept-encoding");
}
END_TEST

/* A validation in the words of a case: what is stored, the 304, the route. */
typedef struct renewal_case {
    const char *stored;
    apr_uint32_t flags;         /* of the stored response */
    const char *fresh;
    const char *override;
    const char *reason;         /* NULL: stays */
    apr_uint32_t new_flags;
    int lifetime;
} renewal_case;

#define SHARED (ETG_FRESH_FOR_AUTHORIZATION | ETG_FRESH_FOR_PRIVATE)
#define EXPLICIT ETG_FRESH_EXPLICIT

static void check_renewal(const renewal_case *c, unsigned privacy,
                          const char *asked, unsigned i)
{
    etg_policy policy = heuristic_policy();
    apr_array_header_t *targeted = apr_array_make(pool, 1,
                                                  sizeof(const char *));
    etg_stored_response stored = stored_of(c->flags);
    etg_request_view request = request_of("GET", asked);
    etg_response_view fresh = response_of(304, c->fresh);
    etg_storable decision;

    APR_ARRAY_PUSH(targeted, const char *) = "Etagere-Cache-Control";
    policy.targeted = targeted;
    policy.override = c->override;
    set_fields(&stored, c->stored);
    request.privacy = privacy;
    etg_validation_decide(&decision, &stored, &request, &fresh,
                          etg_validation_update(&stored, fresh.fields, pool),
                          &policy, pool);
    ck_assert_msg(decision.yes == (c->reason == NULL), "case %u: %s", i,
                  decision.reason);
    ck_assert_pstr_eq(decision.reason, c->reason);
    /* What only this request is in the way of has "request" in its reason. */
    ck_assert_msg(decision.uncacheable
                  == (c->reason != NULL && strstr(c->reason, "request")
                      == NULL), "case %u: uncacheable", i);
    ck_assert_msg(decision.freshness.flags == c->new_flags, "case %u: %x", i,
                  decision.freshness.flags);
    ck_assert_msg(decision.freshness.lifetime == c->lifetime * SECOND,
                  "case %u: %" APR_TIME_T_FMT, i,
                  decision.freshness.lifetime);
}

START_TEST(a_304_renews_freshness_by_what_it_says)
{
    static const renewal_case cases[] = {
        { "Cache-Control: max-age=60", EXPLICIT, "", NULL, NULL, EXPLICIT,
          60 },
        { "Cache-Control: max-age=60", EXPLICIT, "Cache-Control: max-age=9",
          NULL, NULL, EXPLICIT, 9 },
        { "Cache-Control: max-age=60\nETag: \"a\"", EXPLICIT,
          "Cache-Control: max-age=0", NULL, NULL, EXPLICIT, 0 },
        { "Cache-Control: max-age=60", EXPLICIT, "Cache-Control: no-store",
          NULL, "no-store", 0, 0 },
        { "Cache-Control: max-age=60", EXPLICIT,
          "Cache-Control: private, max-age=9", NULL, "private", EXPLICIT, 9 },
        { "A: 1", EXPLICIT, "Set-Cookie: a=b", NULL, NULL, EXPLICIT, 60 },
        { "Cache-Control: max-age=60", EXPLICIT, "Vary: *", NULL,
          "vary-star", EXPLICIT, 60 },
        { "Expires: " NOW_DATE, EXPLICIT, "Expires: " HOUR_AHEAD_DATE, NULL,
          NULL, EXPLICIT, 3600 },
        { "Last-Modified: Wed, 31 Dec 2025 23:50:00 GMT", ETG_FRESH_HEURISTIC,
          "", NULL, NULL, ETG_FRESH_HEURISTIC, 60 },
        { "Cache-Control: max-age=60, public", EXPLICIT | SHARED, "", NULL,
          NULL, EXPLICIT | SHARED, 60 },
        { "Cache-Control: no-cache", ETG_FRESH_NO_CACHE, "", NULL, NULL,
          ETG_FRESH_NO_CACHE, 60 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_renewal(&cases[i], 0, "", i);
    }
}
END_TEST

START_TEST(what_the_record_lost_or_never_was_said_does_not_mislead)
{
    static const renewal_case cases[] = {
        /* The targeted field that allowed it is not stored. */
        { "Cache-Control: private", EXPLICIT, "", NULL, NULL, EXPLICIT, 60 },
        { "Cache-Control: private", EXPLICIT,
          "Etagere-Cache-Control: max-age=9", NULL, NULL, EXPLICIT, 9 },
        { "Cache-Control: no-store", EXPLICIT | ETG_FRESH_NO_CACHE, "", NULL,
          NULL, EXPLICIT | ETG_FRESH_NO_CACHE, 60 },
        /* The stored Cache-Control is the override, not the backend's. */
        { "Cache-Control: public, max-age=60", EXPLICIT, "",
          "public, max-age=60", NULL, EXPLICIT, 60 },
        { "Cache-Control: public, max-age=60", EXPLICIT, "",
          "public, max-age=9", NULL, EXPLICIT, 9 },
        { "Cache-Control: public, max-age=60", EXPLICIT | SHARED, "",
          "max-age=9", NULL, EXPLICIT | SHARED, 9 },
        { "Cache-Control: public, max-age=60", EXPLICIT,
          "Expires: " HOUR_AHEAD_DATE, NULL, NULL, EXPLICIT, 60 },
        { "Cache-Control: max-age=60", EXPLICIT | SHARED,
          "Cache-Control: private, max-age=0, must-revalidate", "max-age=9",
          NULL, EXPLICIT, 9 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_renewal(&cases[i], 0, "", i);
    }
}
END_TEST

START_TEST(a_renewed_response_is_still_closed_to_who_may_not_have_it)
{
    static const renewal_case shared = {
        "Cache-Control: public, max-age=60", EXPLICIT | SHARED, "", NULL, NULL,
        EXPLICIT | SHARED, 60
    };
    static const renewal_case closed = {
        "Cache-Control: public, max-age=60", EXPLICIT, "",
        "public, max-age=60", "private-request", EXPLICIT, 60
    };
    static const renewal_case unwanted = {
        "Cache-Control: max-age=60", EXPLICIT, "", NULL, "request-no-store",
        EXPLICIT, 60
    };

    check_renewal(&shared, ETG_PRIVATE_OTHER, "", 0);
    check_renewal(&closed, ETG_PRIVATE_OTHER, "", 1);
    check_renewal(&closed, ETG_PRIVATE_AUTHORIZATION, "", 2);
    check_renewal(&unwanted, 0, "Cache-Control: no-store", 3);
}
END_TEST

START_TEST(a_validated_response_is_as_old_as_the_304)
{
    etg_policy policy = plain_policy();
    etg_stored_response stored = stored_of(EXPLICIT);
    etg_request_view request = request_of("GET", "");
    etg_storable decision;
    static const char *const fresh_fields[] = {
        "", "Date: " NOW_DATE, "Cache-Control: max-age=60",
        "Cache-Control: max-age=60\nDate: " NOW_DATE
    };

    set_fields(&stored, "Cache-Control: max-age=60\nDate: " DAY_AGO_DATE);
    stored.received_at = stored.requested_at = NOW - 24 * HOUR;
    for (unsigned i = 0; i < 4; i++) {
        etg_response_view fresh = response_of(304, fresh_fields[i]);

        etg_validation_decide(&decision, &stored, &request, &fresh,
                              etg_validation_update(&stored, fresh.fields,
                                                    pool),
                              &policy, pool);
        ck_assert(decision.yes);
        ck_assert_int_eq(decision.freshness.initial_age, 0);
        ck_assert_int_eq(decision.freshness.date, NOW);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_fetch_asks_with_our_validators_not_the_clients,
        connection_keeps_only_its_hop_tokens,
        ignored_cookies_do_not_reach_the_backend,
        a_304_speaks_of_what_its_validators_name,
        new_fields_replace_all_stored_of_their_name_but_for_a_few,
        a_head_agrees_unless_it_names_another_validator_or_length,
        a_head_agrees_with_the_length_of_the_form_it_speaks_of,
        a_coding_that_is_stored_opaque_stays_a_variant_when_validated,
        a_304_renews_freshness_by_what_it_says,
        what_the_record_lost_or_never_was_said_does_not_mislead,
        a_renewed_response_is_still_closed_to_who_may_not_have_it,
        a_validated_response_is_as_old_as_the_304,
        NULL
    };

    return run_tests("validation", tests);
}
