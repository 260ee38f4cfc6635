/* SPDX-License-Identifier: Apache-2.0 */
/* test_purge_tag.c: what counts as a tag, and whose it is. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/field_list.h"
#include "lib/purge_tag.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

static etg_purge_tags tags_of(const char *value)
{
    etg_purge_tags set;

    etg_purge_tags_init(&set, "http", "a.test");
    etg_purge_tags_add(&set, etg_bytes_of(value));
    return set;
}

static etg_purge_tags groups_of(const char *value)
{
    etg_purge_tags set;

    etg_purge_tags_init(&set, "http", "a.test");
    ck_assert_int_eq(etg_purge_tags_add_groups(&set, etg_bytes_of(value),
                                               pool), APR_SUCCESS);
    return set;
}

static etg_store_tag tag_at(const char *scheme, const char *host,
                            const char *name)
{
    etg_purge_tags set;

    etg_purge_tags_init(&set, scheme, host);
    etg_purge_tags_add(&set, etg_bytes_of(name));
    ck_assert_uint_eq(set.count, 1);
    return set.tags[0];
}

static void same(const char *one, const char *other)
{
    etg_purge_tags a = tags_of(one);
    etg_purge_tags b = tags_of(other);

    ck_assert_msg(a.count == b.count, "%s: %u, %s: %u", one, a.count, other,
                  b.count);
    ck_assert(!memcmp(a.tags, b.tags, a.count * sizeof(a.tags[0])));
}

/* `count` words that start with `stem`. */
static char *words(const char *stem, unsigned count, const char *separator)
{
    char *text = apr_pstrdup(pool, "");

    for (unsigned i = 0; i < count; i++) {
        text = apr_psprintf(pool, "%s%s%s%u", text, i > 0 ? separator : "",
                            stem, i);
    }
    return text;
}

START_TEST(test_words_stand_between_spaces_tabs_and_commas)
{
    ck_assert_uint_eq(tags_of("a b\tc,d, e ,f").count, 6);
    same("a b c", "a,b,c");
    same("a b c", "\t a ,, b\t,c ,");
    ck_assert_uint_eq(tags_of("").count, 0);
    ck_assert_uint_eq(tags_of(NULL).count, 0);
    ck_assert_uint_eq(tags_of(" , \t,").count, 0);
    ck_assert_uint_eq(tags_of("a;b=\"c\" \xc3\xbc").count, 2);
}
END_TEST

START_TEST(test_equal_tags_count_once)
{
    ck_assert_uint_eq(tags_of("a b a, b").count, 2);
    ck_assert_uint_eq(groups_of("\"a\", \"a\"").count, 1);
}
END_TEST

START_TEST(test_letter_case_counts)
{
    ck_assert_uint_eq(tags_of("a A").count, 2);
}
END_TEST

START_TEST(test_lines_add_up)
{
    etg_purge_tags set = tags_of("a b");

    etg_purge_tags_add(&set, etg_bytes_of("b c"));
    ck_assert_uint_eq(set.count, 3);
}
END_TEST

START_TEST(test_a_tag_belongs_to_its_origin)
{
    etg_store_tag here = tag_at("http", "a.test", "x");

    ck_assert_uint_eq(tag_at("http", "A.Test", "x"), here);
    ck_assert_uint_ne(tag_at("https", "a.test", "x"), here);
    ck_assert_uint_ne(tag_at("http", "b.test", "x"), here);
    ck_assert_uint_ne(tag_at("http", "a.test:8080", "x"), here);
    ck_assert_uint_ne(tag_at("http", "", "x"), here);
    ck_assert_uint_ne(tag_at("http", "a.test", "y"), here);
}
END_TEST

START_TEST(test_long_hosts_count_to_their_end)
{
    char host[1025];

    for (unsigned length = 250; length < 1024; length++) {
        etg_store_tag tag;

        memset(host, 'a', length);
        host[length] = '\0';
        tag = tag_at("http", host, "x");
        host[length - 1] = 'b';
        ck_assert_uint_ne(tag_at("http", host, "x"), tag);
        host[length - 1] = 'A';
        ck_assert_uint_eq(tag_at("http", host, "x"), tag);
        host[length - 1] = '\0';
        ck_assert_uint_ne(tag_at("http", host, "x"), tag);
    }
}
END_TEST

START_TEST(test_groups_are_no_tags)
{
    etg_purge_tags tags = tags_of("x");
    etg_purge_tags groups = groups_of("\"x\"");

    ck_assert_uint_eq(groups.count, 1);
    ck_assert_uint_ne(tags.tags[0], groups.tags[0]);
    ck_assert_uint_ne(tags.tags[0], etg_purge_tag_of_overtagged(&tags));
    ck_assert_uint_ne(groups.tags[0], etg_purge_tag_of_overtagged(&groups));
}
END_TEST

START_TEST(test_groups_are_strings_compared_byte_by_byte)
{
    etg_purge_tags set = groups_of("\"a b\", \"a, b\";x=1, \"\", \"A b\"");

    ck_assert_uint_eq(set.count, 4);
    ck_assert_uint_eq(groups_of("\"a b\"").tags[0], set.tags[0]);
    ck_assert_uint_eq(groups_of("").count, 0);
    ck_assert_uint_eq(groups_of(NULL).count, 0);
}
END_TEST

START_TEST(test_a_malformed_list_names_no_group)
{
    static const char *const malformed[] = {
        "\"a\", b", "a", "\"a\",", "\"a", "(\"a\")", "\"a\" \"b\"",
        "\"a\", 1", "\"\xc3\xbc\"", "\"a\";", "?1", NULL
    };

    for (int i = 0; malformed[i] != NULL; i++) {
        etg_purge_tags set = tags_of("kept");

        ck_assert_msg(etg_purge_tags_add_groups(
                          &set, etg_bytes_of(malformed[i]), pool)
                      == APR_EINVAL, "took %s", malformed[i]);
        ck_assert_uint_eq(set.count, 1);
    }
}
END_TEST

START_TEST(test_64_tags_fit_and_the_65th_is_excess)
{
    etg_purge_tags set = tags_of(words("t", 64, " "));

    ck_assert_uint_eq(set.count, 64);
    ck_assert_uint_eq(set.excess, 0);
    etg_purge_tags_add(&set, etg_bytes_of("t63 t0"));
    ck_assert_uint_eq(set.excess, 0);
    etg_purge_tags_add(&set, etg_bytes_of("t64"));
    ck_assert_uint_eq(set.count, 64);
    ck_assert_uint_eq(set.excess, 1);
}
END_TEST

START_TEST(test_tags_and_groups_share_the_room)
{
    etg_purge_tags set = tags_of(words("t", 40, ","));
    char *groups = apr_psprintf(pool, "\"%s\"", words("g", 32, "\", \""));

    ck_assert_int_eq(etg_purge_tags_add_groups(&set, etg_bytes_of(groups),
                                               pool), APR_SUCCESS);
    ck_assert_uint_eq(set.count, 64);
    ck_assert_uint_eq(set.excess, 8);
}
END_TEST

START_TEST(test_tags_have_at_most_1024_bytes)
{
    char *name = apr_pcalloc(pool, 1026);
    etg_purge_tags set;

    memset(name, 'n', 1024);
    set = tags_of(name);
    ck_assert_uint_eq(set.count, 1);
    ck_assert_uint_eq(set.excess, 0);
    name[1024] = 'n';
    set = tags_of(apr_pstrcat(pool, name, " short", NULL));
    ck_assert_uint_eq(set.count, 1);
    ck_assert_uint_eq(set.excess, 1);
    set = groups_of(apr_psprintf(pool, "\"%s\"", name));
    ck_assert_uint_eq(set.count, 0);
    ck_assert_uint_eq(set.excess, 1);
}
END_TEST

START_TEST(test_settling_leaves_what_fits_and_replaces_what_does_not)
{
    etg_purge_tags fits = tags_of("a b");
    etg_purge_tags too_many = tags_of(words("t", 65, " "));
    etg_purge_tags elsewhere;

    etg_purge_tags_settle(&fits);
    ck_assert_uint_eq(fits.count, 2);
    etg_purge_tags_settle(&too_many);
    ck_assert_uint_eq(too_many.count, 1);
    ck_assert_uint_eq(too_many.tags[0], etg_purge_tag_of_overtagged(&fits));
    etg_purge_tags_init(&elsewhere, "http", "b.test");
    ck_assert_uint_ne(too_many.tags[0],
                      etg_purge_tag_of_overtagged(&elsewhere));
}
END_TEST

/* Stores keep them: another way to make them purges nothing stored before. */
START_TEST(test_hashes_stay_what_they_are)
{
    ck_assert_uint_eq(tags_of("product-1").tags[0],
                      APR_UINT64_C(0xddd03d14273e9085));
    ck_assert_uint_eq(groups_of("\"product-1\"").tags[0],
                      APR_UINT64_C(0x8033250289b3e1b0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("purge_tag");
    TCase *tests = tcase_create("purge_tag");

    tcase_add_checked_fixture(tests, open_pool, close_pool);
    tcase_add_test(tests, test_words_stand_between_spaces_tabs_and_commas);
    tcase_add_test(tests, test_equal_tags_count_once);
    tcase_add_test(tests, test_letter_case_counts);
    tcase_add_test(tests, test_lines_add_up);
    tcase_add_test(tests, test_a_tag_belongs_to_its_origin);
    tcase_add_test(tests, test_long_hosts_count_to_their_end);
    tcase_add_test(tests, test_groups_are_no_tags);
    tcase_add_test(tests, test_groups_are_strings_compared_byte_by_byte);
    tcase_add_test(tests, test_a_malformed_list_names_no_group);
    tcase_add_test(tests, test_64_tags_fit_and_the_65th_is_excess);
    tcase_add_test(tests, test_tags_and_groups_share_the_room);
    tcase_add_test(tests, test_tags_have_at_most_1024_bytes);
    tcase_add_test(tests,
                   test_settling_leaves_what_fits_and_replaces_what_does_not);
    tcase_add_test(tests, test_hashes_stay_what_they_are);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
