/* SPDX-License-Identifier: Apache-2.0 */
/* test_precondition.c: 200, 304 or 412, and whether a range may be cut. */
#include "http_views.h"

#include "lib/precondition.h"

#define EARLIER "Wed, 31 Dec 2025 12:00:00 GMT"

typedef struct precondition_case {
    const char *request;
    const char *etag;
    const char *last_modified;
    etg_precondition expected;
} precondition_case;

#define PASS ETG_PRECONDITION_PASS
#define NOT_MODIFIED ETG_PRECONDITION_NOT_MODIFIED
#define FAILED ETG_PRECONDITION_FAILED

static void check_status(int status, const precondition_case *cases)
{
    for (; cases->request != NULL; cases++) {
        etg_precondition got
            = etg_precondition_decide(fields_of(cases->request), status,
                                      cases->etag, cases->last_modified, NOW,
                                      pool);

        ck_assert_msg(got == cases->expected, "%d %s (%s, %s): %d", status,
                      cases->request, cases->etag, cases->last_modified,
                      (int)got);
    }
}

START_TEST(if_none_match_compares_weakly_and_decides_alone)
{
    static const precondition_case cases[] = {
        { "", "\"a\"", EARLIER, PASS },
        { "If-None-Match: \"a\"", "\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: \"b\"", "\"a\"", NULL, PASS },
        { "If-None-Match: \"a\"", NULL, NULL, PASS },
        { "If-None-Match: W/\"a\"", "\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: \"a\"", "W/\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: W/\"a\"", "W/\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: \"a\", \"1\", \"2\"", "\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: \"1\", \"a\", \"2\"", "\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: \"1\",\"2\" , \"a\"", "\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: \"1\"\nIf-None-Match: \"a\"", "\"a\"", NULL,
          NOT_MODIFIED },
        { "If-None-Match: *", "\"a\"", NULL, NOT_MODIFIED },
        { "If-None-Match: *", NULL, NULL, NOT_MODIFIED },
        { "If-None-Match: \"1, a\"", "\"a\"", NULL, PASS },
        { "If-None-Match: ", "\"a\"", NULL, PASS },
        { "If-None-Match: \"a\"\nIf-Modified-Since: " DAY_AGO_DATE, "\"a\"",
          EARLIER, NOT_MODIFIED },
        { "If-None-Match: \"b\"\nIf-Modified-Since: " NOW_DATE, "\"a\"",
          EARLIER, PASS },
        { "If-None-Match: \"b\"\nIf-Modified-Since: " NOW_DATE, NULL, EARLIER,
          PASS },
        { NULL, NULL, NULL, PASS }
    };

    check_status(200, cases);
    check_status(299, cases);
}
END_TEST

START_TEST(if_modified_since_wants_two_dates)
{
    static const precondition_case cases[] = {
        { "If-Modified-Since: " EARLIER, NULL, EARLIER, NOT_MODIFIED },
        { "If-Modified-Since: " EARLIER, "\"a\"", EARLIER, NOT_MODIFIED },
        { "If-Modified-Since: " NOW_DATE, NULL, EARLIER, NOT_MODIFIED },
        { "If-Modified-Since: " HOUR_AHEAD_DATE, NULL, EARLIER,
          NOT_MODIFIED },
        { "If-Modified-Since: " DAY_AGO_DATE, NULL, EARLIER, PASS },
        { "If-Modified-Since: Wednesday, 31-Dec-25 12:00:00 GMT", NULL,
          EARLIER, NOT_MODIFIED },
        { "If-Modified-Since: Wed Dec 31 12:00:00 2025", NULL, EARLIER,
          NOT_MODIFIED },
        { "If-Modified-Since: " EARLIER, NULL, NULL, PASS },
        { "If-Modified-Since: foo", NULL, "foo", PASS },
        { "If-Modified-Since: " EARLIER, NULL, "foo", PASS },
        { "If-Modified-Since: 0", NULL, EARLIER, PASS },
        { "If-Modified-Since: " EARLIER "\nIf-Modified-Since: " EARLIER, NULL,
          EARLIER, PASS },
        { NULL, NULL, NULL, PASS }
    };

    check_status(200, cases);
}
END_TEST

START_TEST(what_protects_a_write_comes_first)
{
    static const precondition_case cases[] = {
        { "If-Match: \"a\"", "\"a\"", NULL, PASS },
        { "If-Match: \"b\"", "\"a\"", NULL, FAILED },
        { "If-Match: \"b\", \"a\"", "\"a\"", NULL, PASS },
        { "If-Match: \"a\"", "W/\"a\"", NULL, FAILED },
        { "If-Match: W/\"a\"", "\"a\"", NULL, FAILED },
        { "If-Match: \"a\"", NULL, NULL, FAILED },
        { "If-Match: *", NULL, NULL, PASS },
        { "If-Match: \"b\"\nIf-None-Match: \"a\"", "\"a\"", NULL, FAILED },
        { "If-Match: \"a\"\nIf-None-Match: \"a\"", "\"a\"", NULL,
          NOT_MODIFIED },
        { "If-Unmodified-Since: " EARLIER, NULL, EARLIER, PASS },
        { "If-Unmodified-Since: " NOW_DATE, NULL, EARLIER, PASS },
        { "If-Unmodified-Since: " DAY_AGO_DATE, NULL, EARLIER, FAILED },
        { "If-Unmodified-Since: " DAY_AGO_DATE, NULL, NULL, PASS },
        { "If-Unmodified-Since: foo", NULL, EARLIER, PASS },
        { "If-Match: \"a\"\nIf-Unmodified-Since: " DAY_AGO_DATE, "\"a\"",
          EARLIER, PASS },
        { "If-Unmodified-Since: " NOW_DATE "\nIf-Modified-Since: " NOW_DATE,
          NULL, EARLIER, NOT_MODIFIED },
        { NULL, NULL, NULL, PASS }
    };

    check_status(200, cases);
}
END_TEST

START_TEST(only_successes_have_preconditions)
{
    static const precondition_case cases[] = {
        { "If-None-Match: \"a\"", "\"a\"", NULL, PASS },
        { "If-Match: \"b\"", "\"a\"", NULL, PASS },
        { "If-Modified-Since: " NOW_DATE, NULL, EARLIER, PASS },
        { NULL, NULL, NULL, PASS }
    };

    check_status(301, cases);
    check_status(404, cases);
    check_status(500, cases);
}
END_TEST

START_TEST(if_range_holds_for_the_very_same_bytes_only)
{
    static const struct {
        const char *request;
        const char *etag;
        const char *last_modified;
        apr_time_t date;
        int holds;
    } cases[] = {
        { "", NULL, NULL, NOW, 1 },
        { "If-Range: \"a\"", "\"a\"", NULL, NOW, 1 },
        { "If-Range: \"b\"", "\"a\"", NULL, NOW, 0 },
        { "If-Range: W/\"a\"", "\"a\"", NULL, NOW, 0 },
        { "If-Range: W/\"a\"", "W/\"a\"", NULL, NOW, 0 },
        { "If-Range: \"a\"", "W/\"a\"", NULL, NOW, 0 },
        { "If-Range: \"a\"", NULL, EARLIER, NOW, 0 },
        { "If-Range: a", "a", NULL, NOW, 0 },
        { "If-Range: \"a\", \"b\"", "\"a\"", NULL, NOW, 0 },
        { "If-Range: \"a\"\nIf-Range: \"a\"", "\"a\"", NULL, NOW, 0 },
        { "If-Range: " EARLIER, "\"a\"", EARLIER, NOW, 1 },
        { "If-Range: Wed Dec 31 12:00:00 2025", NULL, EARLIER, NOW, 1 },
        { "If-Range: " NOW_DATE, NULL, EARLIER, NOW, 0 },
        { "If-Range: " DAY_AGO_DATE, NULL, EARLIER, NOW, 0 },
        { "If-Range: " EARLIER, NULL, NULL, NOW, 0 },
        { "If-Range: " NOW_DATE, NULL, NOW_DATE, NOW, 0 },
        { "If-Range: " NOW_DATE, NULL, NOW_DATE, NOW + SECOND - 1, 0 },
        { "If-Range: " NOW_DATE, NULL, NOW_DATE, NOW + SECOND, 1 },
        { "If-Range: foo", NULL, "foo", NOW, 0 },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(etg_if_range_holds(fields_of(cases[i].request),
                                         cases[i].etag,
                                         cases[i].last_modified,
                                         cases[i].date, NOW)
                      == cases[i].holds, "case %u", i);
    }
}
END_TEST

START_TEST(no_date_of_ours_is_held_against_a_clients)
{
    ck_assert_str_eq(etg_precondition_date("a", 0, "b", 0), "a");
    ck_assert_str_eq(etg_precondition_date("a", 0, "b", 1), "a");
    ck_assert_str_eq(etg_precondition_date(NULL, 0, "b", 0), "b");
    ck_assert_ptr_null(etg_precondition_date(NULL, 0, "b", 1));
    ck_assert_ptr_null(etg_precondition_date("a", 1, "b", 0));
    ck_assert_ptr_null(etg_precondition_date("a", 1, "b", 1));
}
END_TEST

START_TEST(every_precondition_and_range_makes_a_request_conditional)
{
    static const char *const conditional[] = {
        "If-Match: *", "if-none-match: \"a\"", "If-Modified-Since: foo",
        "If-Unmodified-Since: foo", "If-Range: \"a\"", "RANGE: bytes=0-1"
    };

    for (unsigned i = 0; i < 6; i++) {
        ck_assert(etg_is_conditional(fields_of(conditional[i])));
    }
    ck_assert(!etg_is_conditional(fields_of("")));
    ck_assert(!etg_is_conditional(fields_of("If: x\nAccept-Ranges: bytes")));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        if_none_match_compares_weakly_and_decides_alone,
        if_modified_since_wants_two_dates,
        what_protects_a_write_comes_first,
        only_successes_have_preconditions,
        if_range_holds_for_the_very_same_bytes_only,
        no_date_of_ours_is_held_against_a_clients,
        every_precondition_and_range_makes_a_request_conditional,
        NULL
    };

    return run_tests("precondition", tests);
}
