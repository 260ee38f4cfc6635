/* SPDX-License-Identifier: Apache-2.0 */
/* test_data_tag.c: whose tag it is, and what for. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/data_tag.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"
#include "test/unit/nobodys_scope.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define RAILS "c81e728d9d4c2f636f067f89cc14862c"

static etg_data_digest digest;
static etg_data_tag_scope scope;
static apr_table_t *fields;

static void set_up(void)
{
    open_pool();
    memset(&digest, 0, sizeof(digest));
    memset(digest.sha256, 5, sizeof(digest.sha256));
    fields = apr_table_make(pool, 4);
    scope = nobodys_scope(fields, pool);
}

static const char *weak(void)
{
    return etg_data_tag(&digest, &scope, 0, pool);
}

/* Does the tag move with what was done since `before`, and come again? */
static void check_moved(const char *before)
{
    ck_assert_str_ne(weak(), before);
    ck_assert_str_eq(weak(), weak());
}

START_TEST(test_a_tag_is_weak_for_data_and_strong_for_bodies)
{
    etg_entity_tag tag;
    const char *strong = etg_data_tag(&digest, &scope, 1, pool);

    ck_assert(etg_entity_tag_parse(etg_bytes_of(weak()), &tag));
    ck_assert(tag.weak);
    ck_assert_int_eq(tag.opaque.length, 32);
    ck_assert(etg_entity_tag_parse(etg_bytes_of(strong), &tag));
    ck_assert(!tag.weak);
    ck_assert_int_eq(tag.opaque.length, 32);
    ck_assert_int_eq(strspn(strong + 1, "0123456789abcdef"), 32);
    /* A weak comparison does not take one for the other. */
    ck_assert_str_ne(weak() + 2, strong);
}
END_TEST

START_TEST(test_every_byte_of_the_digest_is_covered)
{
    size_t i;

    for (i = 0; i < sizeof(digest.sha256); i++) {
        const char *before = weak();

        digest.sha256[i] ^= 1;
        check_moved(before);
    }
}
END_TEST

START_TEST(test_a_tag_covers_the_fields_that_vary_names)
{
    const char *before = weak();

    apr_table_setn(fields, "Accept-Language", "de");
    ck_assert_str_eq(weak(), before);
    scope.vary_names = "accept-language";
    check_moved(before);
    before = weak();
    apr_table_setn(fields, "Accept-Language", "en");
    check_moved(before);
    before = weak();
    apr_table_setn(fields, "Accept-Language", "\ten ");
    ck_assert_str_eq(weak(), before);
    apr_table_unset(fields, "Accept-Language");
    check_moved(before);
    scope.vary_names = NULL;
    ck_assert_ptr_null(weak());
}
END_TEST

START_TEST(test_the_rules_of_vary_hold)
{
    etg_vary_rules rules = { NULL, NULL };
    apr_array_header_t *ignored = apr_array_make(pool, 1,
                                                 sizeof(const char *));
    const char *before;

    APR_ARRAY_PUSH(ignored, const char *) = "_ga*";
    rules.ignored_cookies = ignored;
    scope.vary_rules = &rules;
    scope.vary_names = "cookie";
    apr_table_setn(fields, "Cookie", "a=1; _ga=2");
    before = weak();
    apr_table_setn(fields, "Cookie", "a=1; _ga=3");
    ck_assert_str_eq(weak(), before);
    apr_table_setn(fields, "Cookie", "a=2; _ga=3");
    check_moved(before);
}
END_TEST

START_TEST(test_a_shared_tag_knows_no_user)
{
    const char *before = weak();

    scope.user = "alice";
    apr_table_setn(fields, "Cookie", "session=1");
    scope.key = etg_bytes_of("fedcba9876543210");
    ck_assert_str_eq(weak(), before);
}
END_TEST

START_TEST(test_one_users_tag_is_never_anothers)
{
    const char *tags[12];
    int count = 0;
    int i;
    int j;

    tags[count++] = weak();
    scope.is_private = 1;
    tags[count++] = weak();
    scope.user = "";
    tags[count++] = weak();
    scope.user = "alice";
    tags[count++] = weak();
    scope.user = "bob";
    tags[count++] = weak();
    scope.user = NULL;
    apr_table_setn(fields, "Cookie", "alice");
    tags[count++] = weak();
    apr_table_setn(fields, "Cookie", "alice, bob");
    tags[count++] = weak();
    apr_table_setn(fields, "Cookie", "alice,bob");
    tags[count++] = weak();
    apr_table_setn(fields, "Cookie", "alice");
    apr_table_addn(fields, "Cookie", "bob");
    tags[count++] = weak();
    apr_table_unset(fields, "Cookie");
    apr_table_setn(fields, "Authorization", "alice");
    tags[count++] = weak();
    apr_table_addn(fields, "Cookie", "bob");
    tags[count++] = weak();
    apr_table_setn(fields, "Cookie", "");
    tags[count++] = weak();
    for (i = 0; i < count; i++) {
        for (j = 0; j < i; j++) {
            ck_assert_msg(strcmp(tags[i], tags[j]) != 0, "%d and %d", i, j);
        }
    }
}
END_TEST

START_TEST(test_values_cannot_move_from_one_field_to_the_next)
{
    const char *before;

    scope.is_private = 1;
    apr_table_setn(fields, "Authorization", "a");
    apr_table_setn(fields, "Cookie", "bc");
    before = weak();
    apr_table_setn(fields, "Authorization", "ab");
    apr_table_setn(fields, "Cookie", "c");
    check_moved(before);
    before = weak();
    apr_table_setn(fields, "Authorization", "c");
    apr_table_setn(fields, "Cookie", "ab");
    check_moved(before);
}
END_TEST

START_TEST(test_fields_without_a_user_in_them_do_not_matter)
{
    const char *before;

    scope.is_private = 1;
    apr_table_setn(fields, "Cookie", "session=1");
    before = weak();
    apr_table_setn(fields, "User-Agent", "x");
    ck_assert_str_eq(weak(), before);
    scope.private_names = NULL;
    check_moved(before);
}
END_TEST

START_TEST(test_a_private_tag_needs_the_installations_key)
{
    const char *before;

    scope.is_private = 1;
    scope.user = "alice";
    before = weak();
    scope.key = etg_bytes_of("0123456789abcdeg");
    check_moved(before);
    scope.key.length = ETG_DATA_TAG_KEY_MIN - 1;
    ck_assert_ptr_null(weak());
    scope.key = etg_bytes_of(NULL);
    ck_assert_ptr_null(weak());
    scope.is_private = 0;
    ck_assert_ptr_nonnull(weak());
}
END_TEST

START_TEST(test_a_rails_digest_is_the_tag_if_it_holds_for_all)
{
    strcpy(digest.rails, RAILS);
    ck_assert_str_eq(weak(), "W/\"" RAILS "\"");
}
END_TEST

START_TEST(test_a_rails_digest_that_does_not_cover_enough_is_no_tag)
{
    const char *plain = "W/\"" RAILS "\"";

    strcpy(digest.rails, RAILS);
    ck_assert_str_ne(etg_data_tag(&digest, &scope, 1, pool), "\"" RAILS "\"");
    digest.is_salted = 1;
    ck_assert_str_ne(weak(), plain);
    digest.is_salted = 0;
    scope.vary_names = "accept-language";
    ck_assert_str_ne(weak(), plain);
    scope.vary_names = "";
    scope.is_private = 1;
    ck_assert_str_ne(weak(), plain);
    scope.key.length = 0;
    ck_assert_ptr_null(weak());
}
END_TEST

START_TEST(test_the_format_is_kept_between_versions)
{
    /* Browsers hold yesterday's tags. Computed with Python's hashlib and hmac
     * from the comments in data_tag.[ch] and vary.c. */
    ck_assert_str_eq(weak(), "W/\"5976f4bc92f34b7c20dfd72175fc07ec\"");
    scope.is_private = 1;
    scope.user = "alice";
    apr_table_setn(fields, "Cookie", "s=1");
    ck_assert_str_eq(weak(), "W/\"3852be6739746dc52b879f7666182f53\"");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_tag");
    TCase *tests = tcase_create("data_tag");

    tcase_add_checked_fixture(tests, set_up, close_pool);
    tcase_add_test(tests, test_a_tag_is_weak_for_data_and_strong_for_bodies);
    tcase_add_test(tests, test_every_byte_of_the_digest_is_covered);
    tcase_add_test(tests, test_a_tag_covers_the_fields_that_vary_names);
    tcase_add_test(tests, test_the_rules_of_vary_hold);
    tcase_add_test(tests, test_a_shared_tag_knows_no_user);
    tcase_add_test(tests, test_one_users_tag_is_never_anothers);
    tcase_add_test(tests, test_values_cannot_move_from_one_field_to_the_next);
    tcase_add_test(tests, test_fields_without_a_user_in_them_do_not_matter);
    tcase_add_test(tests, test_a_private_tag_needs_the_installations_key);
    tcase_add_test(tests, test_a_rails_digest_is_the_tag_if_it_holds_for_all);
    tcase_add_test(tests,
                   test_a_rails_digest_that_does_not_cover_enough_is_no_tag);
    tcase_add_test(tests, test_the_format_is_kept_between_versions);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
