/* SPDX-License-Identifier: Apache-2.0 */
/* test_composite_policy.c: the fields of the whole, from those of its parts.
 * Every test takes place at NOW; a part without a Date was made then. */
#include "http_views.h"

#include "lib/composite_policy.h"

#define PARTS_MAX 3

typedef struct reading {
    const char *parts[PARTS_MAX];   /* their fields, as text */
    const char *expected;
} reading;

#define CC "Cache-Control: "
#define COUNT(cases) (sizeof(cases) / sizeof(cases[0]))

static const apr_array_header_t *parts_of(const char *const *texts)
{
    apr_array_header_t *parts = apr_array_make(pool, PARTS_MAX,
                                               sizeof(const apr_table_t *));

    for (int i = 0; i < PARTS_MAX && texts[i] != NULL; i++) {
        APR_ARRAY_PUSH(parts, const apr_table_t *) = fields_of(texts[i]);
    }
    return parts;
}

static etg_composite_policy policy_of(const char *const *texts,
                                      int is_private, int is_incomplete)
{
    etg_composite_policy policy;

    memset(&policy, 0x5a, sizeof(policy));
    etg_composite_policy_of(&policy, parts_of(texts), is_private,
                            is_incomplete, NOW, pool);
    return policy;
}

static void check_text(const reading *wanted, const char *text)
{
    ck_assert_msg(wanted->expected != NULL && text != NULL
                  ? strcmp(text, wanted->expected) == 0
                  : text == wanted->expected,
                  "%s | %s | %s: %s, not %s", wanted->parts[0],
                  wanted->parts[1] != NULL ? wanted->parts[1] : "",
                  wanted->parts[2] != NULL ? wanted->parts[2] : "",
                  text != NULL ? text : "nothing",
                  wanted->expected != NULL ? wanted->expected : "nothing");
}

/* Cache-Control and, if there is one, " Age N". */
static const char *reuse_text(const etg_composite_policy *policy)
{
    return policy->age < 0 ? policy->cache_control
        : apr_psprintf(pool, "%s Age %" APR_INT64_T_FMT,
                       policy->cache_control, policy->age);
}

static void check_reuse(const reading *cases, size_t count, int is_private)
{
    for (size_t i = 0; i < count; i++) {
        etg_composite_policy policy = policy_of(cases[i].parts, is_private,
                                                0);

        check_text(&cases[i], reuse_text(&policy));
    }
}

START_TEST(the_smallest_that_is_left_is_the_lifetime)
{
    static const reading cases[] = {
        { { CC "max-age=60" }, "max-age=60" },
        { { CC "max-age=60", CC "max-age=30", CC "max-age=90" },
          "max-age=30" },
        /* It is what is left that counts, not what was stated. */
        { { CC "max-age=60\nAge: 50", CC "max-age=30" }, "max-age=60 Age 50" },
        { { CC "max-age=600\nAge: 100", CC "max-age=30" },
          "max-age=130 Age 100" },
        { { CC "max-age=60\nAge: 20", CC "max-age=100\nAge: 90" },
          "max-age=100 Age 90" },
        { { CC "max-age=60\nAge: 0" }, "max-age=60 Age 0" },
        { { "Expires: " HOUR_AHEAD_DATE }, "max-age=3600" },
        { { "Expires: " HOUR_AHEAD_DATE, CC "max-age=3601" },
          "max-age=3600" },
        { { CC "max-age=10\nExpires: " HOUR_AHEAD_DATE }, "max-age=10" },
        { { "Date: " NOW_DATE "\nExpires: " HOUR_AHEAD_DATE },
          "max-age=3600" },
        { { CC "max-age=1", CC "max-age=2147483648" }, "max-age=1" },
        { { CC "max-age=99999999999" }, "max-age=2147483648" },
        { { CC "max-age=99999999999\nAge: 5" }, "max-age=2147483648 Age 5" }
    };

    check_reuse(cases, COUNT(cases), 0);
}
END_TEST

START_TEST(a_part_that_says_nothing_leaves_nothing)
{
    static const reading cases[] = {
        { { NULL }, "max-age=0" },
        { { "" }, "max-age=0" },
        { { CC "max-age=60", "" }, "max-age=0" },
        { { CC "public", CC "public, max-age=60" }, "public, max-age=0" },
        { { CC "max-age=0", CC "max-age=60" }, "max-age=0" },
        { { CC "max-age=x", CC "max-age=60" }, "max-age=0" },
        { { "Expires: 0", CC "max-age=60" }, "max-age=0" },
        { { "Expires: " DAY_AGO_DATE, CC "max-age=60" }, "max-age=0" },
        { { "Last-Modified: " DAY_AGO_DATE, CC "max-age=60" }, "max-age=0" },
        /* What is over is over, also for those that overlook Age. */
        { { CC "max-age=60\nAge: 60", CC "max-age=60" },
          "max-age=0 Age 60" },
        { { CC "max-age=60\nAge: 61", CC "max-age=600" },
          "max-age=0 Age 61" },
        { { "Age: 100", CC "max-age=60" }, "max-age=0 Age 100" }
    };

    check_reuse(cases, COUNT(cases), 0);
}
END_TEST

START_TEST(the_oldest_part_is_the_age)
{
    static const reading cases[] = {
        { { CC "max-age=60\nAge: 3", CC "max-age=60\nAge: 7",
            CC "max-age=60" }, "max-age=60 Age 7" },
        { { CC "max-age=90000\nDate: " DAY_AGO_DATE },
          "max-age=90000 Age 86400" },
        { { CC "max-age=90000\nAge: 86401\nDate: " DAY_AGO_DATE },
          "max-age=90000 Age 86401" },
        { { CC "max-age=90000\nAge: 5\nDate: " DAY_AGO_DATE },
          "max-age=90000 Age 86400" },
        { { CC "max-age=60\nDate: " HOUR_AHEAD_DATE }, "max-age=60" },
        { { CC "max-age=60\nDate: now" }, "max-age=60" },
        { { CC "max-age=60\nAge: 1.5" }, "max-age=60 Age 0" },
        { { CC "max-age=60\nAge: 5, 50" }, "max-age=60 Age 5" },
        { { "Date: " DAY_AGO_DATE "\nExpires: " NOW_DATE, CC "max-age=60" },
          "max-age=0 Age 86400" },
        { { "Date: " DAY_AGO_DATE "\nExpires: " HOUR_AHEAD_DATE },
          "max-age=90000 Age 86400" },
        { { CC "max-age=60\nDate: Wed, 31 Dec 0025 00:00:00 GMT" },
          "max-age=0 Age 2147483648" }
    };

    check_reuse(cases, COUNT(cases), 0);
}
END_TEST

START_TEST(shared_caches_have_a_lifetime_of_their_own)
{
    static const reading shared[] = {
        { { CC "max-age=5, s-maxage=600", CC "max-age=60" },
          "max-age=5, s-maxage=60" },
        { { CC "max-age=5, s-maxage=600", CC "max-age=7, s-maxage=500" },
          "max-age=5, s-maxage=500" },
        { { CC "s-maxage=600", CC "max-age=60" }, "max-age=0, s-maxage=60" },
        { { CC "s-maxage=600", CC "s-maxage=60" },
          "max-age=0, s-maxage=60" },
        { { CC "s-maxage=600\nExpires: " HOUR_AHEAD_DATE },
          "max-age=3600, s-maxage=600" },
        { { CC "s-maxage=600", "" }, "max-age=0, s-maxage=0" },
        { { CC "max-age=0, s-maxage=600\nAge: 100" },
          "max-age=0, s-maxage=600 Age 100" },
        { { CC "max-age=600, s-maxage=0" }, "max-age=600, s-maxage=0" },
        { { CC "max-age=9, s-maxage=9", CC "private, max-age=8" },
          "private, max-age=8" }
    };
    static const reading private[] = {
        { { CC "max-age=5, s-maxage=600", CC "max-age=60" },
          "private, max-age=5" }
    };

    check_reuse(shared, COUNT(shared), 0);
    check_reuse(private, COUNT(private), 1);
}
END_TEST

START_TEST(flags_add_up_and_no_store_stands_alone)
{
    static const reading cases[] = {
        { { CC "no-store", CC "private, max-age=60", CC "no-cache" },
          "no-store" },
        { { CC "max-age=60", CC "no-store" }, "no-store" },
        { { CC "private, max-age=60", CC "max-age=50" },
          "private, max-age=50" },
        { { CC "private, max-age=60", CC "no-cache, max-age=50",
            CC "must-revalidate, max-age=40" },
          "private, no-cache, must-revalidate, max-age=40" },
        { { CC "no-cache", CC "max-age=60" }, "no-cache, max-age=0" },
        { { "Pragma: no-cache", CC "max-age=60" }, "no-cache, max-age=0" },
        { { CC "max-age=60, must-revalidate", CC "max-age=60" },
          "must-revalidate, max-age=60" },
        { { CC "max-age=60, proxy-revalidate", CC "max-age=60" },
          "must-revalidate, max-age=60" },
        { { CC "max-age=60, no-transform", CC "max-age=60" },
          "no-transform, max-age=60" },
        { { CC "max-age=60, immutable", CC "max-age=60, immutable" },
          "max-age=60" },
        /* Two lines of one part. */
        { { CC "max-age=60\n" CC "private" }, "private, max-age=60" },
        /* Of fields that are not passed on. */
        { { CC "max-age=60, private=\"Set-Cookie\", no-cache=\"X\"" },
          "max-age=60" },
        { { CC "public, max-age=60\nSet-Cookie: a=b", CC "max-age=50" },
          "private, max-age=50" },
        { { CC "max-age=60, no-cache=\"Set-Cookie\"\nSet-Cookie: a=b" },
          "max-age=60" },
        /* Nobody can tell what an open quote hides. */
        { { CC "max-age=60, private=\"Set-Cookie", CC "max-age=60" },
          "no-store" }
    };

    check_reuse(cases, COUNT(cases), 0);
}
END_TEST

START_TEST(public_if_all_are)
{
    static const reading shared[] = {
        { { CC "public, max-age=60", CC "public, max-age=50" },
          "public, max-age=50" },
        { { CC "public, max-age=60", CC "max-age=50" }, "max-age=50" },
        { { CC "public, max-age=60", CC "private, public, max-age=50" },
          "private, max-age=50" },
        { { CC "public, no-cache", CC "public, max-age=50" },
          "public, no-cache, max-age=0" }
    };
    static const reading private[] = {
        { { CC "public, max-age=60", CC "public, max-age=50" },
          "private, max-age=50" },
        { { CC "max-age=60" }, "private, max-age=60" },
        { { NULL }, "private, max-age=0" },
        { { CC "no-store, public" }, "no-store" }
    };

    check_reuse(shared, COUNT(shared), 0);
    check_reuse(private, COUNT(private), 1);
}
END_TEST

START_TEST(stale_windows_are_the_smallest_if_all_have_one)
{
#define SWR "stale-while-revalidate="
#define SIE "stale-if-error="
    static const reading cases[] = {
        { { CC "max-age=60, " SWR "30, " SIE "300",
            CC "max-age=60, " SWR "20, " SIE "600" },
          "max-age=60, " SWR "20, " SIE "300" },
        { { CC "max-age=60, " SWR "30, " SIE "300",
            CC "max-age=60, " SIE "600" }, "max-age=60, " SIE "300" },
        { { CC "max-age=60, " SWR "30", CC "max-age=60" }, "max-age=60" },
        { { CC "max-age=60, " SWR "0", CC "max-age=60, " SWR "9" },
          "max-age=60" },
        /* A part that was stale already has used up some of its window. */
        { { CC "max-age=60, " SWR "30\nAge: 70", CC "max-age=60, " SWR "30" },
          "max-age=0, " SWR "20 Age 70" },
        { { CC "max-age=60, " SWR "30\nAge: 90", CC "max-age=60, " SWR "30" },
          "max-age=0 Age 90" },
        { { CC "max-age=60, " SWR "30, must-revalidate",
            CC "max-age=60, " SWR "30" }, "must-revalidate, max-age=60" },
        { { CC "no-cache, " SIE "30", CC "max-age=60, " SIE "30" },
          "no-cache, max-age=0" },
        { { CC "no-store, " SIE "30", CC "max-age=60, " SIE "30" },
          "no-store" }
    };

    check_reuse(cases, COUNT(cases), 0);
}
END_TEST

START_TEST(vary_is_the_union)
{
    static const reading cases[] = {
        { { "", CC "max-age=60" }, NULL },
        { { "Vary: Cookie", "", "Vary: Accept-Language" },
          "Cookie, Accept-Language" },
        { { "Vary: Cookie, Accept", "Vary: accept,COOKIE,Origin" },
          "Cookie, Accept, Origin" },
        { { "Vary: Cookie\nVary: Accept" }, "Cookie, Accept" },
        { { "Vary: Cookie", "Vary: *" }, "*" },
        { { "Vary: Cookie, *" }, "*" },
        { { "Vary: a b" }, "*" },
        { { "Vary: ,", "Vary:" }, NULL },
        { { "Vary: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
            "Vary: 17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32" },
          "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, "
          "19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32" },
        { { "Vary: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
            "Vary: 17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33" },
          "*" }
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        check_text(&cases[i], policy_of(cases[i].parts, 0, 0).vary);
    }
}
END_TEST

START_TEST(last_modified_is_the_newest_if_all_have_one)
{
#define LM "Last-Modified: "
    static const reading cases[] = {
        { { LM DAY_AGO_DATE }, DAY_AGO_DATE },
        { { LM DAY_AGO_DATE, LM NOW_DATE, LM DAY_AGO_DATE }, NOW_DATE },
        { { LM "Wednesday, 31-Dec-25 00:00:00 GMT" }, DAY_AGO_DATE },
        { { LM "Thu, 01 Jan 1970 00:00:00 GMT" },
          "Thu, 01 Jan 1970 00:00:00 GMT" },
        { { NULL }, NULL },
        { { LM DAY_AGO_DATE, "" }, NULL },
        { { "", LM DAY_AGO_DATE }, NULL },
        { { LM DAY_AGO_DATE, LM "yesterday", LM DAY_AGO_DATE }, NULL },
        { { LM DAY_AGO_DATE "\n" LM NOW_DATE }, NULL },
        /* It would move with the clock. */
        { { LM HOUR_AHEAD_DATE, LM DAY_AGO_DATE }, NULL }
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        check_text(&cases[i], policy_of(cases[i].parts, 0, 0).last_modified);
    }
}
END_TEST

START_TEST(an_incomplete_one_is_not_stored)
{
    static const char *const texts[PARTS_MAX] = {
        CC "public, max-age=60\nAge: 5\nVary: Cookie\n"
        LM DAY_AGO_DATE, NULL
    };

    for (int is_private = 0; is_private < 2; is_private++) {
        etg_composite_policy policy = policy_of(texts, is_private, 1);

        ck_assert_str_eq(policy.cache_control, "no-store");
        ck_assert_int_eq(policy.age, -1);
        ck_assert_str_eq(policy.vary, "Cookie");
        ck_assert_ptr_null(policy.last_modified);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_smallest_that_is_left_is_the_lifetime,
        a_part_that_says_nothing_leaves_nothing,
        the_oldest_part_is_the_age,
        shared_caches_have_a_lifetime_of_their_own,
        flags_add_up_and_no_store_stands_alone,
        public_if_all_are,
        stale_windows_are_the_smallest_if_all_have_one,
        vary_is_the_union,
        last_modified_is_the_newest_if_all_have_one,
        an_incomplete_one_is_not_stored,
        NULL
    };

    return run_tests("composite_policy", tests);
}
