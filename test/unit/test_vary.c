/* SPDX-License-Identifier: Apache-2.0 */
/* test_vary.c: which requests get the same variant. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/vary.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

static etg_vary_rules rules;

static void setup(void)
{
    open_pool();
    memset(&rules, 0, sizeof(rules));
}

static apr_array_header_t *rows(const char *first, ...)
{
    apr_array_header_t *array = apr_array_make(pool, 4, sizeof(const char *));
    const char *row;
    va_list more;

    va_start(more, first);
    for (row = first; row != NULL; row = va_arg(more, const char *)) {
        APR_ARRAY_PUSH(array, const char *) = row;
    }
    va_end(more);
    return array;
}

static const char *names_of(const char *first, const char *second)
{
    apr_table_t *fields = apr_table_make(pool, 2);

    if (first != NULL) {
        apr_table_addn(fields, "Vary", first);
    }
    if (second != NULL) {
        apr_table_addn(fields, "vary", second);
    }
    return etg_vary_names(fields, pool);
}

/* A request with one or two lines of field Foo, or of `name`. */
static etg_vary_hash hash_of(const char *name, const char *first,
                             const char *second)
{
    apr_table_t *fields = apr_table_make(pool, 2);
    char *names = apr_pstrdup(pool, name);
    etg_vary_hash hash;
    char *at;

    for (at = names; *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z') {
            *at += 'a' - 'A';
        }
    }
    apr_table_addn(fields, "Other", apr_psprintf(pool, "%p", (void *)fields));
    if (first != NULL) {
        apr_table_addn(fields, name, first);
    }
    if (second != NULL) {
        apr_table_addn(fields, name, second);
    }
    etg_vary_hash_of(&hash, names, fields, &rules, pool);
    return hash;
}

static int same(const char *name, const char *a, const char *b)
{
    etg_vary_hash left = hash_of(name, a, NULL);
    etg_vary_hash right = hash_of(name, b, NULL);

    return memcmp(&left, &right, sizeof(left)) == 0;
}

static int same_language(const char *a, const char *b)
{
    return same("Accept-Language", a, b);
}

START_TEST(test_names_are_lower_case_sorted_and_unique)
{
    ck_assert_str_eq(names_of("Foo", NULL), "foo");
    ck_assert_str_eq(names_of("Foo, bar ,, FOO,Baz", "b, foo"),
                     "b,bar,baz,foo");
    ck_assert_str_eq(names_of("ba, b, bar", NULL), "b,ba,bar");
}
END_TEST

START_TEST(test_no_vary_is_no_name)
{
    ck_assert_str_eq(names_of(NULL, NULL), "");
    ck_assert_str_eq(names_of("", NULL), "");
    ck_assert_str_eq(names_of(" , ,", ""), "");
}
END_TEST

START_TEST(test_accept_encoding_is_dropped)
{
    ck_assert_str_eq(names_of("Accept-Encoding", NULL), "");
    ck_assert_str_eq(names_of("X, ACCEPT-encoding, Y", NULL), "x,y");
}
END_TEST

START_TEST(test_an_encoded_response_keeps_accept_encoding)
{
    apr_table_t *fields = apr_table_make(pool, 2);

    apr_table_addn(fields, "Vary", "negotiate, Accept-Encoding");
    apr_table_addn(fields, "Content-Encoding", "identity");
    ck_assert_str_eq(etg_vary_names(fields, pool), "negotiate");
    apr_table_setn(fields, "Content-Encoding", "gzip");
    ck_assert_str_eq(etg_vary_names(fields, pool),
                     "accept-encoding,negotiate");
}
END_TEST

START_TEST(test_an_asterisk_anywhere_matches_nothing)
{
    ck_assert_ptr_null(names_of("*", NULL));
    ck_assert_ptr_null(names_of("*, *", NULL));
    ck_assert_ptr_null(names_of("*", "*"));
    ck_assert_ptr_null(names_of(", *", NULL));
    ck_assert_ptr_null(names_of("", "*"));
    ck_assert_ptr_null(names_of("*, Foo", NULL));
    ck_assert_ptr_null(names_of("Foo, *", NULL));
    ck_assert_ptr_null(names_of("Accept-Encoding", "*"));
}
END_TEST

START_TEST(test_what_is_no_name_matches_nothing)
{
    ck_assert_ptr_null(names_of("Foo Bar", NULL));
    ck_assert_ptr_null(names_of("\"Foo\"", NULL));
    ck_assert_ptr_null(names_of("Foo;q=1", NULL));
    ck_assert_ptr_null(names_of("Foo", "B\xc3\xbc"));
}
END_TEST

START_TEST(test_32_names_are_kept_and_no_more)
{
    char text[1024];
    char *at = text;
    int i;

    for (i = 0; i < ETG_VARY_NAMES_MAX; i++) {
        at += apr_snprintf(at, 16, "%sx%d", i > 0 ? "," : "", i);
    }
    ck_assert_ptr_nonnull(names_of(text, NULL));
    ck_assert_ptr_nonnull(names_of(text, "Accept-Encoding, X0, x31"));
    ck_assert_ptr_null(names_of(text, "more"));
}
END_TEST

START_TEST(test_no_names_hash_to_zeros)
{
    etg_vary_hash hash;
    etg_vary_hash zeros;

    memset(&zeros, 0, sizeof(zeros));
    memset(&hash, 0x55, sizeof(hash));
    etg_vary_hash_of(&hash, "", NULL, NULL, NULL);
    ck_assert_int_eq(memcmp(&hash, &zeros, sizeof(hash)), 0);
    hash = hash_of("Foo", NULL, NULL);
    ck_assert_int_ne(memcmp(&hash, &zeros, sizeof(hash)), 0);
}
END_TEST

START_TEST(test_equal_values_match_and_others_do_not)
{
    ck_assert(same("Foo", "1", "1"));
    ck_assert(!same("Foo", "1", "2"));
    ck_assert(!same("Foo", "a", "A"));
    ck_assert(!same("Foo", "1, 2", "2, 1"));
    ck_assert(!same("Foo", "1 2", "1  2"));
    ck_assert(!same("Foo", "1,2", "1,,2"));
}
END_TEST

START_TEST(test_missing_and_empty_differ)
{
    ck_assert(same("Foo", NULL, NULL));
    ck_assert(!same("Foo", NULL, "1"));
    ck_assert(!same("Foo", NULL, ""));
    ck_assert(!same("Accept-Language", NULL, ""));
    ck_assert(!same("Foo", "", "1"));
}
END_TEST

START_TEST(test_white_space_around_commas_does_not_matter)
{
    ck_assert(same("Foo", "1,2", " 1, 2 "));
    ck_assert(same("Foo", "1,2", "1\t ,\t2"));
    ck_assert(same("Foo", "", " \t"));
    ck_assert(same("Foo", ",", " , "));
}
END_TEST

START_TEST(test_white_space_in_quotes_matters)
{
    ck_assert(!same("Foo", "\"1, 2\"", "\"1,2\""));
    ck_assert(!same("Foo", "\"1\\\" , 2\"", "\"1\\\",2\""));
    ck_assert(same("Foo", "\"1 , 2\" ,3", "\"1 , 2\",3"));
    ck_assert(!same("Foo", "\"1 ", "\"1"));
    ck_assert(!same("Foo", "\"1 \\", "\"1 "));
}
END_TEST

START_TEST(test_lines_are_joined)
{
    etg_vary_hash one = hash_of("Foo", "1, 2", NULL);
    etg_vary_hash two = hash_of("Foo", "1", "2");
    etg_vary_hash reversed = hash_of("Foo", "2", "1");

    ck_assert_int_eq(memcmp(&one, &two, sizeof(one)), 0);
    ck_assert_int_ne(memcmp(&one, &reversed, sizeof(one)), 0);
}
END_TEST

START_TEST(test_values_do_not_run_into_each_other)
{
    apr_table_t *left = apr_table_make(pool, 2);
    apr_table_t *right = apr_table_make(pool, 2);
    etg_vary_hash a;
    etg_vary_hash b;

    apr_table_addn(left, "A", "xy");
    apr_table_addn(left, "B", "z");
    apr_table_addn(right, "A", "x");
    apr_table_addn(right, "B", "yz");
    etg_vary_hash_of(&a, "a,b", left, NULL, pool);
    etg_vary_hash_of(&b, "a,b", right, NULL, pool);
    ck_assert_int_ne(memcmp(&a, &b, sizeof(a)), 0);
    /* The same value under another name. */
    apr_table_clear(left);
    apr_table_clear(right);
    apr_table_addn(left, "A", "x");
    apr_table_addn(right, "B", "x");
    etg_vary_hash_of(&a, "a,b", left, NULL, pool);
    etg_vary_hash_of(&b, "a,b", right, NULL, pool);
    ck_assert_int_ne(memcmp(&a, &b, sizeof(a)), 0);
}
END_TEST

START_TEST(test_languages_know_neither_order_nor_case_nor_space)
{
    ck_assert(same_language("en, de", "de, en"));
    ck_assert(same_language("en, de", "eN, De"));
    ck_assert(same_language("en, de", " en ,   de"));
    ck_assert(same_language("en,de", ",en, ,de,"));
    ck_assert(!same_language("en, de", "en"));
    ck_assert(!same_language("en, de", "en, fr"));
}
END_TEST

START_TEST(test_languages_are_weighed)
{
    ck_assert(same_language("en;q=0.5, de", "de;q=1.0, en;q=0.500"));
    ck_assert(same_language("en ; q=0.5", "en;Q=.5") == 0);
    ck_assert(same_language("en ; q=0.5", "en;Q=0.5"));
    ck_assert(!same_language("en;q=0.5, de", "en, de;q=0.5"));
    ck_assert(!same_language("en;q=0", "en"));
    ck_assert(!same_language("en, de;q=0", "en"));
    ck_assert(same_language("en;q=1.", "en"));
}
END_TEST

START_TEST(test_unreadable_languages_match_themselves_only)
{
    ck_assert(!same_language("en;q=2", "en"));
    ck_assert(!same_language("en;1000,", "en"));
    ck_assert(!same_language("en;q=1.001", "en"));
    ck_assert(!same_language("en;x=1", "en"));
    ck_assert(!same_language("en;q=0.1234", "en;q=0.123"));
    ck_assert(!same_language("en;q=1x", "en"));
    ck_assert(!same_language("e n", "en"));
    ck_assert(!same_language("en, de;", "de;, en"));
    ck_assert(same_language("en ,de;", "en, de;"));
}
END_TEST

START_TEST(test_languages_are_reduced_to_the_one_served)
{
    rules.languages = rows("de", "fr", NULL);
    ck_assert(same_language("en, de", "fr;q=0.5, de;q=1.0"));
    ck_assert(same_language("de-AT, en", "de"));
    ck_assert(same_language("en", "es"));
    ck_assert(!same_language("de", "fr"));
    ck_assert(!same_language("de", "en"));
    rules.languages = rows(NULL, NULL);
    ck_assert(!same_language("en", "es"));
}
END_TEST

START_TEST(test_ignored_cookies_do_not_count)
{
    rules.ignored_cookies = rows("_ga*", NULL);
    ck_assert(same("Cookie", "a=1; _ga=2", "_gat=3; a=1"));
    ck_assert(same("Cookie", "_ga=2", NULL));
    ck_assert(!same("Cookie", "a=1; _ga=2", "a=2; _ga=2"));
    ck_assert(!same("Cookie", "a=1; b=2", "b=2; a=1"));
}
END_TEST

START_TEST(test_cookie_lines_are_joined_by_semicolons)
{
    etg_vary_hash lines;
    etg_vary_hash hidden;
    etg_vary_hash plain;

    rules.ignored_cookies = rows("_ga*", NULL);
    lines = hash_of("Cookie", "_ga=1", "a=1");
    hidden = hash_of("Cookie", "_ga=1", NULL);
    plain = hash_of("Cookie", "a=1", NULL);
    ck_assert_int_eq(memcmp(&lines, &plain, sizeof(lines)), 0);
    ck_assert_int_ne(memcmp(&lines, &hidden, sizeof(lines)), 0);
}
END_TEST

static const char *chosen(const char *wish, const apr_array_header_t *of)
{
    const char *language = etg_language_choose(wish, of, pool);

    return language != NULL ? language : "none";
}

START_TEST(test_a_language_is_looked_up_by_falling_weight)
{
    const apr_array_header_t *of = rows("en", "de", "fr-CH", NULL);

    ck_assert_str_eq(chosen("de;q=0.8, en;q=0.9", of), "en");
    ck_assert_str_eq(chosen("de;q=0.9, en;q=0.8", of), "de");
    ck_assert_str_eq(chosen("es, de;q=0.1", of), "de");
    ck_assert_str_eq(chosen("FR-ch", of), "fr-CH");
    ck_assert_str_eq(chosen("es, it", of), "none");
    ck_assert_str_eq(chosen("", of), "none");
    ck_assert_str_eq(chosen(NULL, of), "none");
    ck_assert_str_eq(chosen("en", NULL), "none");
}
END_TEST

START_TEST(test_ties_go_to_the_earlier_language)
{
    const apr_array_header_t *of = rows("en", "de", NULL);

    ck_assert_str_eq(chosen("de, en", of), "en");
    ck_assert_str_eq(chosen("en, de", of), "en");
    ck_assert_str_eq(chosen("de;q=0.5, en;q=0.5", of), "en");
}
END_TEST

START_TEST(test_ranges_are_shortened_until_one_fits)
{
    const apr_array_header_t *of = rows("zh-Hant", "de", NULL);

    ck_assert_str_eq(chosen("de-CH-1996", of), "de");
    ck_assert_str_eq(chosen("zh-Hant-CN-x-private1-private2", of), "zh-Hant");
    ck_assert_str_eq(chosen("zh", of), "none");
    ck_assert_str_eq(chosen("de-x-zh", of), "de");
    ck_assert_str_eq(chosen("-", of), "none");
    ck_assert_str_eq(chosen("dex", of), "none");
}
END_TEST

START_TEST(test_zero_weight_and_asterisk_choose_nothing)
{
    const apr_array_header_t *of = rows("en", "de", NULL);

    ck_assert_str_eq(chosen("en;q=0", of), "none");
    ck_assert_str_eq(chosen("*", of), "none");
    ck_assert_str_eq(chosen("*, de;q=0.1", of), "de");
    ck_assert_str_eq(chosen("en;q=9, de;q=0.1", of), "de");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vary");
    TCase *tests = tcase_create("vary");

    tcase_add_checked_fixture(tests, setup, close_pool);
    tcase_add_test(tests, test_names_are_lower_case_sorted_and_unique);
    tcase_add_test(tests, test_no_vary_is_no_name);
    tcase_add_test(tests, test_accept_encoding_is_dropped);
    tcase_add_test(tests, test_an_encoded_response_keeps_accept_encoding);
    tcase_add_test(tests, test_an_asterisk_anywhere_matches_nothing);
    tcase_add_test(tests, test_what_is_no_name_matches_nothing);
    tcase_add_test(tests, test_32_names_are_kept_and_no_more);
    tcase_add_test(tests, test_no_names_hash_to_zeros);
    tcase_add_test(tests, test_equal_values_match_and_others_do_not);
    tcase_add_test(tests, test_missing_and_empty_differ);
    tcase_add_test(tests, test_white_space_around_commas_does_not_matter);
    tcase_add_test(tests, test_white_space_in_quotes_matters);
    tcase_add_test(tests, test_lines_are_joined);
    tcase_add_test(tests, test_values_do_not_run_into_each_other);
    tcase_add_test(tests, test_languages_know_neither_order_nor_case_nor_space);
    tcase_add_test(tests, test_languages_are_weighed);
    tcase_add_test(tests, test_unreadable_languages_match_themselves_only);
    tcase_add_test(tests, test_languages_are_reduced_to_the_one_served);
    tcase_add_test(tests, test_ignored_cookies_do_not_count);
    tcase_add_test(tests, test_cookie_lines_are_joined_by_semicolons);
    tcase_add_test(tests, test_a_language_is_looked_up_by_falling_weight);
    tcase_add_test(tests, test_ties_go_to_the_earlier_language);
    tcase_add_test(tests, test_ranges_are_shortened_until_one_fits);
    tcase_add_test(tests, test_zero_weight_and_asterisk_choose_nothing);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
