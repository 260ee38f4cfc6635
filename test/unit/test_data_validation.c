/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_data_validation.c: a stored response that shows clients validators of
 * ours meets a backend that has its own.
 */
#include "http_views.h"

#include "lib/validation.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define EARLIER "Wed, 31 Dec 2025 12:00:00 GMT"

static etg_stored_response labelled(void)
{
    etg_stored_response stored = stored_of(0);

    stored.has_data = 1;
    return stored;
}

/* Fields with our own validators, and the backend's beside them. */
static etg_stored_response with_ours(const char *etag, const char *modified)
{
    etg_stored_response stored = labelled();

    set_fields(&stored, "ETag: W/\"ours\"\nA: 1\nLast-Modified: " NOW_DATE);
    stored.is_etag_ours = 1;
    stored.is_last_modified_ours = 1;
    stored.backend_etag = etag;
    stored.backend_last_modified = modified;
    return stored;
}

START_TEST(the_backend_is_asked_with_its_own_validators_alone)
{
    static const struct {
        const char *etag;
        const char *modified;
        const char *etags;
        const char *sent;
    } cases[] = {
        { NULL, NULL, NULL, "Accept-Encoding: identity" },
        { "\"a\"", NULL, NULL,
          "Accept-Encoding: identity\nIf-None-Match: \"a\"" },
        { "\"a\"", NULL, "\"b\"",
          "Accept-Encoding: identity\nIf-None-Match: \"a\", \"b\"" },
        { NULL, EARLIER, NULL,
          "Accept-Encoding: identity\nIf-Modified-Since: " EARLIER },
        { NULL, EARLIER, "\"b\"",
          "Accept-Encoding: identity\nIf-Modified-Since: " EARLIER
          "\nIf-None-Match: \"b\"" },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        etg_stored_response stored = with_ours(cases[i].etag,
                                               cases[i].modified);
        apr_table_t *sent = etg_fetch_fields(
            fields_of("If-None-Match: W/\"ours\""), &stored, cases[i].etags,
            NULL, pool);

        ck_assert_str_eq(text_of(sent), cases[i].sent);
    }
}
END_TEST

START_TEST(a_304_is_held_against_the_backends_own_validators)
{
    static const struct {
        const char *etag;
        const char *modified;
        const char *fields;
        int selects;
    } cases[] = {
        { "\"a\"", NULL, "ETag: \"a\"", 1 },
        { "\"a\"", NULL, "ETag: W/\"a\"", 1 },
        { "\"a\"", NULL, "ETag: W/\"ours\"", 0 },
        { "\"a\"", NULL, "", 1 },
        { NULL, NULL, "ETag: W/\"ours\"", 0 },
        { NULL, EARLIER, "Last-Modified: " EARLIER, 1 },
        { NULL, EARLIER, "Last-Modified: " NOW_DATE, 0 },
        { NULL, NULL, "Last-Modified: " NOW_DATE, 1 },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        etg_stored_response stored = with_ours(cases[i].etag,
                                               cases[i].modified);

        ck_assert_msg(etg_validation_selects(&stored,
                                             fields_of(cases[i].fields))
                      == cases[i].selects, "case %u", i);
    }
}
END_TEST

START_TEST(a_304_leaves_our_validators_and_renews_the_backends)
{
    static const struct {
        const char *etag;
        const char *modified;
        const char *fresh;
        const char *new_etag;
        const char *new_modified;
    } cases[] = {
        { "\"a\"", EARLIER, "A: 1", "\"a\"", EARLIER },
        { "\"a\"", EARLIER, "A: 1\nETag: W/\"a\"", "W/\"a\"", EARLIER },
        { "W/\"a\"", NULL, "A: 1\nETag: \"a\"", "W/\"a\"", NULL },
        { NULL, NULL, "A: 1\nETag: \"a\"", NULL, NULL },
        { NULL, NULL, "A: 1\nETag: W/\"a\"", "W/\"a\"", NULL },
        { "\"a\"", EARLIER, "A: 1\nLast-Modified: " DAY_AGO_DATE
          "\nETag: \"a\"", "\"a\"", DAY_AGO_DATE },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        etg_stored_response stored = with_ours(cases[i].etag,
                                               cases[i].modified);
        apr_table_t *fresh = fields_of(cases[i].fresh);

        ck_assert_str_eq(text_of(etg_validation_update(&stored, fresh, pool)),
                         "ETag: W/\"ours\"\nLast-Modified: " NOW_DATE
                         "\nA: 1");
        etg_validation_renew_backend(&stored, fresh);
        ck_assert_pstr_eq(etg_stored_backend_etag(&stored),
                          cases[i].new_etag);
        ck_assert_pstr_eq(etg_stored_backend_last_modified(&stored),
                          cases[i].new_modified);
    }
}
END_TEST

START_TEST(what_is_the_backends_is_updated_in_the_fields_alone)
{
    etg_stored_response stored = labelled();
    apr_table_t *fresh = fields_of("ETag: W/\"a\"\nLast-Modified: " EARLIER);

    set_fields(&stored, "ETag: \"a\"\nLast-Modified: " NOW_DATE);
    ck_assert_str_eq(text_of(etg_validation_update(&stored, fresh, pool)),
                     "ETag: W/\"a\"\nLast-Modified: " EARLIER);
    etg_validation_renew_backend(&stored, fresh);
    ck_assert_ptr_null(stored.backend_etag);
    ck_assert_ptr_null(stored.backend_last_modified);
}
END_TEST

START_TEST(a_head_agrees_with_the_validators_that_clients_see)
{
    etg_stored_response stored = with_ours("\"a\"", EARLIER);

    ck_assert(etg_head_agrees(&stored, fields_of("ETag: W/\"ours\"")));
    ck_assert(!etg_head_agrees(&stored, fields_of("ETag: \"a\"")));
    ck_assert(!etg_head_agrees(&stored, fields_of("Last-Modified: "
                                                  EARLIER)));
}
END_TEST

START_TEST(a_validation_keeps_what_only_its_data_makes_useful)
{
    etg_stored_response stored = labelled();
    etg_request_view request = request_of("GET", "");
    etg_response_view fresh = response_of(304, "Cache-Control: no-cache");
    etg_policy policy = plain_policy();
    etg_storable decision;

    set_fields(&stored, "A: 1");
    etg_validation_decide(&decision, &stored, &request, &fresh,
                          etg_validation_update(&stored, fresh.fields, pool),
                          &policy, pool);
    ck_assert_int_eq(decision.yes, 1);
    stored.has_data = 0;
    etg_validation_decide(&decision, &stored, &request, &fresh,
                          etg_validation_update(&stored, fresh.fields, pool),
                          &policy, pool);
    ck_assert_str_eq(decision.reason, "no-freshness");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_backend_is_asked_with_its_own_validators_alone,
        a_304_is_held_against_the_backends_own_validators,
        a_304_leaves_our_validators_and_renews_the_backends,
        what_is_the_backends_is_updated_in_the_fields_alone,
        a_head_agrees_with_the_validators_that_clients_see,
        a_validation_keeps_what_only_its_data_makes_useful,
        NULL
    };

    return run_tests("data_validation", tests);
}
