/* SPDX-License-Identifier: Apache-2.0 */
/* test_cache_control.c: what Cache-Control and targeted fields say. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/cache_control.h"
#include "lib/field_list.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define TWO_TO_THE_31 APR_INT64_C(2147483648)

static etg_cache_control cc;

static void parse(const char *value)
{
    etg_cache_control_init(&cc);
    etg_cache_control_parse(&cc, etg_bytes_of(value), pool);
}

static apr_int64_t max_age_of(const char *value)
{
    parse(value);
    return cc.max_age;
}

static unsigned flags_of(const char *value)
{
    parse(value);
    return cc.flags;
}

/* Reads one or two lines of a targeted field. */
static int targeted(const char *line, const char *second)
{
    apr_table_t *fields = apr_table_make(pool, 2);

    if (line != NULL) {
        apr_table_addn(fields, "cdn-cache-control", line);
    }
    if (second != NULL) {
        apr_table_addn(fields, "CDN-Cache-Control", second);
    }
    return etg_cache_control_targeted(&cc, fields, "CDN-Cache-Control", pool);
}

static void check_nothing_said(void)
{
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert_int_eq(cc.max_age, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.s_maxage, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.min_fresh, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.max_stale, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.stale_while_revalidate, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.stale_if_error, ETG_CC_ABSENT);
    ck_assert_ptr_null(cc.private_fields);
    ck_assert_ptr_null(cc.no_cache_fields);
    ck_assert_int_eq(cc.present, 0);
}

START_TEST(test_init_says_nothing)
{
    memset(&cc, 0x55, sizeof(cc));
    etg_cache_control_init(&cc);
    check_nothing_said();
    parse("");
    check_nothing_said();
    parse("foobar, x=1, y=\"z\", =, ,");
    check_nothing_said();
}
END_TEST

START_TEST(test_every_directive_is_known)
{
    parse("no-store, no-cache, private, public, must-revalidate, "
          "proxy-revalidate, must-understand, no-transform, immutable, "
          "only-if-cached, max-stale");
    ck_assert_uint_eq(cc.flags, 0x7ff);
    parse("max-age=1, s-maxage=2, min-fresh=3, max-stale=4, "
          "stale-while-revalidate=5, stale-if-error=6");
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert_int_eq(cc.max_age, 1);
    ck_assert_int_eq(cc.s_maxage, 2);
    ck_assert_int_eq(cc.min_fresh, 3);
    ck_assert_int_eq(cc.max_stale, 4);
    ck_assert_int_eq(cc.stale_while_revalidate, 5);
    ck_assert_int_eq(cc.stale_if_error, 6);
}
END_TEST

START_TEST(test_names_know_no_case)
{
    ck_assert_int_eq(max_age_of("MaX-aGe=3600"), 3600);
    ck_assert_uint_eq(flags_of("No-StOrE"), ETG_CC_NO_STORE);
}
END_TEST

START_TEST(test_names_are_matched_whole)
{
    ck_assert_uint_eq(flags_of("no-stores, xno-store, no-stor"), 0);
    ck_assert_int_eq(max_age_of("max-ages=1, smax-age=2"), ETG_CC_ABSENT);
}
END_TEST

START_TEST(test_quoted_and_token_arguments_mean_the_same)
{
    ck_assert_int_eq(max_age_of("max-age=\"3600\""), 3600);
    ck_assert_int_eq(max_age_of("max-age=\"3\\600\""), 3600);
    ck_assert_int_eq(max_age_of("max-age=003600"), 3600);
    ck_assert_uint_eq(flags_of("max-age=\"3600\""), 0);
}
END_TEST

START_TEST(test_a_directive_inside_quotes_is_none)
{
    ck_assert_int_eq(max_age_of("extension=\"max-age=3600\", max-age=1"), 1);
    ck_assert_int_eq(max_age_of("max-age=1, extension=\"max-age=3600\""), 1);
    ck_assert_uint_eq(flags_of("x=\"a, no-store, b\""), 0);
    ck_assert_uint_eq(flags_of("x=\"a\\\", no-store\""), 0);
}
END_TEST

START_TEST(test_large_ages_are_capped)
{
    ck_assert_int_eq(max_age_of("max-age=2147483647"), TWO_TO_THE_31 - 1);
    ck_assert_int_eq(max_age_of("max-age=2147483649"), TWO_TO_THE_31);
    ck_assert_int_eq(max_age_of("max-age=99999999999"), TWO_TO_THE_31);
}
END_TEST

START_TEST(test_ages_that_cannot_be_read_are_zero_and_flagged)
{
    static const char *const values[] = {
        "max-age", "max-age=", "max-age=-3600", "max-age=3600.0",
        "max-age='3600'", "max-age=a3600", "max-age=3600a",
        "max-age =3600", "max-age= 3600", "max-age=3600;x", "max-age 3600",
        "max-age=\"\"", "max-age=\" 3600\"", "max-age==1", "max-age=1 2",
        "max-age=0x10"
    };
    size_t i;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_msg(max_age_of(values[i]) == 0, "%s", values[i]);
        ck_assert_uint_eq(cc.flags, ETG_CC_MALFORMED);
    }
}
END_TEST

START_TEST(test_of_repeated_ages_the_smallest_holds)
{
    ck_assert_int_eq(max_age_of("max-age=1800, max-age=1"), 1);
    ck_assert_int_eq(max_age_of("max-age=1, max-age=1800"), 1);
    ck_assert_int_eq(max_age_of("max-age=1, max-age=x"), 0);
    parse("min-fresh=5, min-fresh=9, min-fresh=x");
    ck_assert_int_eq(cc.min_fresh, 9);
}
END_TEST

START_TEST(test_max_stale_with_an_argument_outdoes_one_without)
{
    parse("max-stale");
    ck_assert_uint_eq(cc.flags, ETG_CC_MAX_STALE_ANY);
    ck_assert_int_eq(cc.max_stale, ETG_CC_ABSENT);
    parse("max-stale, max-stale=7");
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert_int_eq(cc.max_stale, 7);
    parse("max-stale=7, max-stale");
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert_int_eq(cc.max_stale, 7);
    parse("max-stale=x");
    ck_assert_uint_eq(cc.flags, ETG_CC_MALFORMED);
    ck_assert_int_eq(cc.max_stale, 0);
}
END_TEST

START_TEST(test_field_lists_are_lower_case_and_add_up)
{
    parse("private=\"Set-Cookie, X-A\", no-cache=\"B\", private=\"c\"");
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert_str_eq(cc.private_fields, "set-cookie,x-a,c");
    ck_assert_str_eq(cc.no_cache_fields, "b");
    parse("private=Set-Cookie, private");
    ck_assert_uint_eq(cc.flags, ETG_CC_PRIVATE);
    ck_assert_str_eq(cc.private_fields, "set-cookie");
}
END_TEST

START_TEST(test_a_damaged_field_list_is_none)
{
    static const char *const values[] = {
        "no-cache=", "no-cache=\"\"", "no-cache=\" , \"", "no-cache=\"a b\"",
        "no-cache=\"a, {b}\"", "no-cache = a", "no-cache;a"
    };
    size_t i;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_msg(flags_of(values[i]) == ETG_CC_NO_CACHE, "%s", values[i]);
        ck_assert_ptr_null(cc.no_cache_fields);
    }
}
END_TEST

START_TEST(test_field_lists_do_not_grow_without_bound)
{
    apr_size_t length = 40000;
    char *text = apr_palloc(pool, length + 1);
    apr_size_t i;

    for (i = 0; i + 12 <= length; i += 12) {
        memcpy(text + i, "private=aaa,", 12);
    }
    text[i] = '\0';
    parse(text);
    ck_assert_uint_eq(cc.flags, ETG_CC_PRIVATE);
    ck_assert_uint_le(strlen(cc.private_fields), 2048);
}
END_TEST

START_TEST(test_what_forbids_holds_even_if_damaged)
{
    ck_assert_uint_eq(flags_of("no-store=x"), ETG_CC_NO_STORE);
    ck_assert_uint_eq(flags_of("no-store=\"x\""), ETG_CC_NO_STORE);
    ck_assert_uint_eq(flags_of("private; max-age=60"), ETG_CC_PRIVATE);
    ck_assert_uint_eq(flags_of("no-store;no-cache"), ETG_CC_NO_STORE);
    ck_assert_uint_eq(flags_of("must-revalidate ="), ETG_CC_MUST_REVALIDATE);
}
END_TEST

START_TEST(test_what_permits_must_be_well_formed)
{
    ck_assert_uint_eq(flags_of("public; max-age=60"), 0);
    ck_assert_int_eq(cc.max_age, ETG_CC_ABSENT);
    ck_assert_uint_eq(flags_of("must-understand ;x, immutable ="), 0);
}
END_TEST

START_TEST(test_a_misplaced_quote_forbids_storing)
{
    static const char *const values[] = {
        "max-age=60, x=\"a, private", "x=\"", "a\"b, private, c\"",
        "\"no-store", "x=a\"b\"", "x=\"a\"b", "x=\"a\\\""
    };
    size_t i;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_msg((flags_of(values[i]) & (ETG_CC_NO_STORE
                                              | ETG_CC_MALFORMED))
                      == (ETG_CC_NO_STORE | ETG_CC_MALFORMED), "%s",
                      values[i]);
    }
}
END_TEST

START_TEST(test_what_rails_and_php_say)
{
    parse("max-age=0, private, must-revalidate");
    ck_assert_uint_eq(cc.flags, ETG_CC_PRIVATE | ETG_CC_MUST_REVALIDATE);
    ck_assert_int_eq(cc.max_age, 0);
    parse("no-store, no-cache, must-revalidate, post-check=0, pre-check=0");
    ck_assert_uint_eq(cc.flags, ETG_CC_NO_STORE | ETG_CC_NO_CACHE
                                | ETG_CC_MUST_REVALIDATE);
}
END_TEST

START_TEST(test_lines_are_read_one_by_one)
{
    apr_table_t *fields = apr_table_make(pool, 4);

    apr_table_addn(fields, "Cache-Control", "max-age=1800, x=\"open");
    apr_table_addn(fields, "cache-control", "max-age=5, private");
    etg_cache_control_of(&cc, fields, 0, pool);
    ck_assert_int_eq(cc.present, 1);
    ck_assert_int_eq(cc.max_age, 5);
    ck_assert(cc.flags & ETG_CC_PRIVATE);
    apr_table_clear(fields);
    apr_table_addn(fields, "Cache-Control", "s-maxage=3600");
    apr_table_addn(fields, "Cache-Control", "max-age=1");
    etg_cache_control_of(&cc, fields, 0, pool);
    ck_assert_int_eq(cc.s_maxage, 3600);
    ck_assert_int_eq(cc.max_age, 1);
}
END_TEST

START_TEST(test_no_field_is_not_present_and_an_empty_one_is)
{
    apr_table_t *fields = apr_table_make(pool, 4);

    memset(&cc, 0x55, sizeof(cc));
    etg_cache_control_of(&cc, fields, 1, pool);
    check_nothing_said();
    apr_table_addn(fields, "Cache-Control", "");
    etg_cache_control_of(&cc, fields, 1, pool);
    ck_assert_int_eq(cc.present, 1);
    ck_assert_uint_eq(cc.flags, 0);
}
END_TEST

START_TEST(test_pragma_counts_in_requests_without_cache_control)
{
    apr_table_t *fields = apr_table_make(pool, 4);

    apr_table_addn(fields, "Pragma", "x, No-Cache");
    etg_cache_control_of(&cc, fields, 1, pool);
    ck_assert_uint_eq(cc.flags, ETG_CC_NO_CACHE);
    ck_assert_int_eq(cc.present, 0);
    etg_cache_control_of(&cc, fields, 0, pool);
    ck_assert_uint_eq(cc.flags, 0);
    apr_table_setn(fields, "Cache-Control", "max-age=1");
    etg_cache_control_of(&cc, fields, 1, pool);
    ck_assert_uint_eq(cc.flags, 0);
    apr_table_unset(fields, "Cache-Control");
    apr_table_setn(fields, "Pragma", "unrecognised-extension");
    etg_cache_control_of(&cc, fields, 1, pool);
    ck_assert_uint_eq(cc.flags, 0);
}
END_TEST

START_TEST(test_a_targeted_field_is_read_like_a_dictionary)
{
    ck_assert(targeted("max-age=3600;x=1, foobar, must-revalidate", NULL));
    ck_assert_int_eq(cc.present, 1);
    ck_assert_int_eq(cc.max_age, 3600);
    ck_assert_uint_eq(cc.flags, ETG_CC_MUST_REVALIDATE);
    ck_assert(targeted("no-store", NULL));
    ck_assert_uint_eq(cc.flags, ETG_CC_NO_STORE);
    ck_assert(targeted("foo", NULL));
    ck_assert_int_eq(cc.present, 1);
    ck_assert_uint_eq(cc.flags, 0);
}
END_TEST

START_TEST(test_lines_of_a_targeted_field_are_one_dictionary)
{
    ck_assert(targeted("max-age=1, private", "max-age=7"));
    ck_assert_int_eq(cc.max_age, 7);
    ck_assert_uint_eq(cc.flags, ETG_CC_PRIVATE);
    ck_assert(!targeted("max-age=1, private", "&&&"));
    check_nothing_said();
}
END_TEST

START_TEST(test_a_targeted_field_with_one_error_is_ignored)
{
    static const char *const values[] = {
        "", " ", "max-age=10000, &&&&&", "max-age =100", "max-age= 100",
        "MaX-aGe=3600", "max-age=3600,", "max-age=3600; private, \"",
        "max-age=99999999999999999999", "no-store, private=\"a"
    };
    size_t i;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        memset(&cc, 0x55, sizeof(cc));
        ck_assert_msg(!targeted(values[i], NULL), "took %s", values[i]);
        check_nothing_said();
    }
    memset(&cc, 0x55, sizeof(cc));
    ck_assert(!targeted(NULL, NULL));
    check_nothing_said();
}
END_TEST

START_TEST(test_targeted_seconds_are_integers_that_are_not_negative)
{
    ck_assert(targeted("max-age=\"10000\", s-maxage=1.0, stale-if-error=-1, "
                       "stale-while-revalidate=x, min-fresh", NULL));
    ck_assert_int_eq(cc.max_age, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.s_maxage, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.stale_if_error, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.stale_while_revalidate, ETG_CC_ABSENT);
    ck_assert_int_eq(cc.min_fresh, ETG_CC_ABSENT);
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert(targeted("max-age=2147483648", NULL));
    ck_assert_int_eq(cc.max_age, TWO_TO_THE_31);
    ck_assert(targeted("max-age=99999999999", NULL));
    ck_assert_int_eq(cc.max_age, TWO_TO_THE_31);
    ck_assert(targeted("max-age=0", NULL));
    ck_assert_int_eq(cc.max_age, 0);
}
END_TEST

START_TEST(test_targeted_flags_are_boolean)
{
    ck_assert(targeted("public=1, must-understand=\"x\", immutable=?0, "
                       "must-revalidate=no", NULL));
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert(targeted("public=?1, no-store=?0, private=?0, no-cache=?0",
                       NULL));
    ck_assert_uint_eq(cc.flags, ETG_CC_PUBLIC);
}
END_TEST

START_TEST(test_what_keeps_secrets_holds_whatever_its_type)
{
    ck_assert(targeted("no-store=1, private=(\"a\" \"b\"), no-cache=@1", NULL));
    ck_assert_uint_eq(cc.flags, ETG_CC_NO_STORE | ETG_CC_PRIVATE
                                | ETG_CC_NO_CACHE);
    ck_assert(targeted("private=\"A, B\", no-cache=Set-Cookie", NULL));
    ck_assert_uint_eq(cc.flags, 0);
    ck_assert_str_eq(cc.private_fields, "a,b");
    ck_assert_str_eq(cc.no_cache_fields, "set-cookie");
    ck_assert(targeted("private=\"\"", NULL));
    ck_assert_uint_eq(cc.flags, ETG_CC_PRIVATE);
}
END_TEST

START_TEST(test_a_value_is_read_without_its_terminator)
{
    etg_bytes value = { (const unsigned char *)"max-age=3600, no-store", 10 };

    etg_cache_control_init(&cc);
    etg_cache_control_parse(&cc, value, pool);
    ck_assert_int_eq(cc.max_age, 36);
    ck_assert_uint_eq(cc.flags, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache_control");
    TCase *tests = tcase_create("cache_control");

    tcase_add_checked_fixture(tests, open_pool, close_pool);
    tcase_add_test(tests, test_init_says_nothing);
    tcase_add_test(tests, test_every_directive_is_known);
    tcase_add_test(tests, test_names_know_no_case);
    tcase_add_test(tests, test_names_are_matched_whole);
    tcase_add_test(tests, test_quoted_and_token_arguments_mean_the_same);
    tcase_add_test(tests, test_a_directive_inside_quotes_is_none);
    tcase_add_test(tests, test_large_ages_are_capped);
    tcase_add_test(tests, test_ages_that_cannot_be_read_are_zero_and_flagged);
    tcase_add_test(tests, test_of_repeated_ages_the_smallest_holds);
    tcase_add_test(tests, test_max_stale_with_an_argument_outdoes_one_without);
    tcase_add_test(tests, test_field_lists_are_lower_case_and_add_up);
    tcase_add_test(tests, test_a_damaged_field_list_is_none);
    tcase_add_test(tests, test_field_lists_do_not_grow_without_bound);
    tcase_add_test(tests, test_what_forbids_holds_even_if_damaged);
    tcase_add_test(tests, test_what_permits_must_be_well_formed);
    tcase_add_test(tests, test_a_misplaced_quote_forbids_storing);
    tcase_add_test(tests, test_what_rails_and_php_say);
    tcase_add_test(tests, test_lines_are_read_one_by_one);
    tcase_add_test(tests, test_no_field_is_not_present_and_an_empty_one_is);
    tcase_add_test(tests, test_pragma_counts_in_requests_without_cache_control);
    tcase_add_test(tests, test_a_targeted_field_is_read_like_a_dictionary);
    tcase_add_test(tests, test_lines_of_a_targeted_field_are_one_dictionary);
    tcase_add_test(tests, test_a_targeted_field_with_one_error_is_ignored);
    tcase_add_test(tests,
                   test_targeted_seconds_are_integers_that_are_not_negative);
    tcase_add_test(tests, test_targeted_flags_are_boolean);
    tcase_add_test(tests, test_what_keeps_secrets_holds_whatever_its_type);
    tcase_add_test(tests, test_a_value_is_read_without_its_terminator);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
