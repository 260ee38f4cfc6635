/* SPDX-License-Identifier: Apache-2.0 */
/* test_stamp_list.c: a field that lists times. A stamp is written "id|time",
 * or "time" without an id. */
#include "http_views.h"

#include "lib/field_list.h"
#include "lib/stamp_list.h"
#include "lib/timestamp.h"

typedef struct listing {
    const char *value;
    const char *stamps;     /* one per line; NULL: refused */
} listing;

static const char *copied(etg_bytes text)
{
    return text.data == NULL ? ""
        : apr_pstrmemdup(pool, (const char *)text.data, text.length);
}

static const char *parsed(const char *value)
{
    etg_bytes bytes = etg_bytes_of(value);
    const apr_array_header_t *stamps = NULL;
    const char *text = NULL;
    unsigned char *exact = malloc(bytes.length + 1);

    /* A block of its own size: a sanitizer sees a read beyond it. */
    memcpy(exact, bytes.data, bytes.length);
    bytes.data = exact;
    if (etg_stamp_list_parse(bytes, pool, &stamps)) {
        for (int i = 0; i < stamps->nelts; i++) {
            const etg_stamp *stamp = &APR_ARRAY_IDX(stamps, i, etg_stamp);

            text = apr_pstrcat(pool, i > 0 ? text : "", i > 0 ? "\n" : "",
                               copied(stamp->id),
                               stamp->id.data != NULL ? "|" : "",
                               copied(stamp->time), NULL);
        }
    }
    else {
        ck_assert_ptr_null(stamps);
    }
    free(exact);
    return text;
}

static void check_all(const listing *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *stamps = parsed(cases[i].value);

        if (cases[i].stamps == NULL) {
            ck_assert_msg(stamps == NULL, "\"%s\" is \"%s\"", cases[i].value,
                          stamps);
        }
        else {
            ck_assert_msg(stamps != NULL, "\"%s\" is refused",
                          cases[i].value);
            ck_assert_str_eq(stamps, cases[i].stamps);
        }
    }
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof(cases[0]))

START_TEST(members_are_times_with_or_without_an_id)
{
    static const listing cases[] = {
        { "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z" },
        { "1767225600,1767225601", "1767225600\n1767225601" },
        { "7=1767225600, 9=2026-01-01 00:00:00+01",
          "7|1767225600\n9|2026-01-01 00:00:00+01" },
        { " 7 = 5 , 8=6\t,9", "7|5\n8|6\n9" },
        { ",, 1,, 2,", "1\n2" },
        { "7=1, 7=1", "7|1\n7|1" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(an_http_date_keeps_its_comma)
{
    static const listing cases[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT" },
        { "Sunday, 06-Nov-94 08:49:37 GMT, 7",
          "Sunday, 06-Nov-94 08:49:37 GMT\n7" },
        { "Sun Nov  6 08:49:37 1994,8", "Sun Nov  6 08:49:37 1994\n8" },
        { "a=Sun, 06 Nov 1994 08:49:37 GMT,b=mon, 07 Nov 1994 08:49:37 gmt",
          "a|Sun, 06 Nov 1994 08:49:37 GMT\nb|mon, 07 Nov 1994 08:49:37 gmt" },
        { "a=\"Sun, 06 Nov 1994 08:49:37 GMT\", b=1",
          "a|Sun, 06 Nov 1994 08:49:37 GMT\nb|1" },
        /* An id that is a weekday is an id. */
        { "Sun=1, 2", "Sun|1\n2" },
        { "\"Sun\", 2", "Sun\n2" },
        { "Sunny, 2", "Sunny\n2" }
    };

    CHECK_ALL(cases);
}
END_TEST

/* What such a member becomes, no reader of timestamps takes for one. */
START_TEST(a_weekday_without_its_date_is_no_time)
{
    static const char *const values[] = {
        "Sun, 2026-01-01T00:00:00Z", "Sun, 7=1767225600",
        "Sun,, 06 Nov 1994 08:49:37 GMT", "Sun, Mon, 07 Nov 1994 08:49:37 GMT"
    };

    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const apr_array_header_t *stamps;
        apr_time_t us;

        ck_assert(etg_stamp_list_parse(etg_bytes_of(values[i]), pool,
                                       &stamps));
        ck_assert_msg(!etg_timestamp_parse(
            APR_ARRAY_IDX(stamps, 0, etg_stamp).time, &us), "%s", values[i]);
    }
    ck_assert_ptr_null(parsed("1, Sun"));
    ck_assert_ptr_null(parsed("a=Sun"));
    ck_assert_ptr_null(parsed("Sun,, ,"));
}
END_TEST

START_TEST(quotes_hold_anything)
{
    static const listing cases[] = {
        { "\"a, b\"=1, \"c=d\"=2", "a, b|1\nc=d|2" },
        { "\"a\\\"b\\\\c\"=1", "a\"b\\c|1" },
        { "a=\"2026-01-01 00:00:00\"", "a|2026-01-01 00:00:00" },
        { "\"1\", \"2\"", "1\n2" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(the_last_equals_sign_parts)
{
    static const listing cases[] = {
        { "YWJj==, 1", NULL },
        { "YWJj===1", "YWJj==|1" },
        { "a=b=2026-01-01T00:00:00Z", "a=b|2026-01-01T00:00:00Z" },
        { "gid://shop/Product/7=1", "gid://shop/Product/7|1" },
        { "a=\"x=y\"", "a|x=y" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(malformed_lists_are_refused)
{
    static const listing cases[] = {
        { "", NULL }, { " ", NULL }, { ",", NULL }, { "=1", NULL },
        { "a=", NULL }, { "1, b=", NULL }, { "\"\"=1", NULL },
        { "a=\"\"", NULL }, { "\"a", NULL }, { "\"a\\\"", NULL },
        { "\"a\"b=1", NULL }, { "a\"b\"=1", NULL }, { "a=\"1\"x", NULL },
        { "a=1\"", NULL }, { "\"", NULL }, { "a=\"1", NULL }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(a_list_has_a_limit)
{
    char *value = apr_palloc(pool, 2 * (ETG_STAMPS_MAX + 1) + 1);
    const apr_array_header_t *stamps = NULL;
    etg_bytes bytes = { (const unsigned char *)value, 2 * ETG_STAMPS_MAX };

    for (int i = 0; i <= ETG_STAMPS_MAX; i++) {
        memcpy(value + 2 * i, "1,", 2);
    }
    ck_assert(etg_stamp_list_parse(bytes, pool, &stamps));
    ck_assert_int_eq(stamps->nelts, ETG_STAMPS_MAX);
    bytes.length += 2;
    ck_assert(!etg_stamp_list_parse(bytes, pool, &stamps));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        members_are_times_with_or_without_an_id,
        an_http_date_keeps_its_comma,
        a_weekday_without_its_date_is_no_time,
        quotes_hold_anything,
        the_last_equals_sign_parts,
        malformed_lists_are_refused,
        a_list_has_a_limit,
        NULL
    };

    return run_tests("stamp_list", tests);
}
