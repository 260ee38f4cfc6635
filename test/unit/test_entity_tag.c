/* SPDX-License-Identifier: Apache-2.0 */
/* test_entity_tag.c: tags, comparisons and lists. */
#include <string.h>

#include <check.h>

#include "lib/entity_tag.h"
#include "lib/field_list.h"
#include "test/unit/run_suite.h"

static int parses(const char *text)
{
    etg_entity_tag tag;

    return etg_entity_tag_parse(etg_bytes_of(text), &tag);
}

static int has(const char *list, const char *tag)
{
    return etg_entity_tag_list_has(etg_bytes_of(list), tag, 0);
}

static int has_strong(const char *list, const char *tag)
{
    return etg_entity_tag_list_has(etg_bytes_of(list), tag, 1);
}

static void compare(const char *a, const char *b, int weak, int strong)
{
    etg_entity_tag left;
    etg_entity_tag right;

    ck_assert(etg_entity_tag_parse(etg_bytes_of(a), &left));
    ck_assert(etg_entity_tag_parse(etg_bytes_of(b), &right));
    ck_assert_int_eq(etg_entity_tag_equal_weak(&left, &right), weak);
    ck_assert_int_eq(etg_entity_tag_equal_strong(&left, &right), strong);
}

START_TEST(test_a_tag_is_a_view_of_its_text)
{
    const char *text = "W/\"abc\"";
    etg_entity_tag tag;

    ck_assert(etg_entity_tag_parse(etg_bytes_of(text), &tag));
    ck_assert(tag.weak);
    ck_assert_ptr_eq(tag.opaque.data, text + 3);
    ck_assert_uint_eq(tag.opaque.length, 3);
    ck_assert(etg_entity_tag_parse(etg_bytes_of("\"\""), &tag));
    ck_assert(!tag.weak);
    ck_assert_uint_eq(tag.opaque.length, 0);
}
END_TEST

START_TEST(test_what_is_no_tag_is_refused)
{
    static const char *const texts[] = {
        "", "abc", "\"", "\"abc", "abc\"", "W/", "W/abc", "w/\"abc\"",
        "W\"abc\"", "W\\\"abc\"", "\"a b\"", "\"a\tb\"", "\"a\x7f\"",
        "\"a\"b\"", "\"a\" ", " \"a\"", "*", "W/W/\"a\"", "'a'"
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_msg(!parses(texts[i]), "took %s", texts[i]);
    }
}
END_TEST

START_TEST(test_obs_text_commas_and_backslashes_are_part_of_a_tag)
{
    ck_assert(parses("\"abcdef\xc3\xbc\""));
    ck_assert(parses("\"a,b\""));
    ck_assert(parses("\"a\\\""));
}
END_TEST

START_TEST(test_weak_comparison_ignores_weakness)
{
    /* The table of RFC 9110 §8.8.3.2. */
    compare("W/\"1\"", "W/\"1\"", 1, 0);
    compare("W/\"1\"", "W/\"2\"", 0, 0);
    compare("W/\"1\"", "\"1\"", 1, 0);
    compare("\"1\"", "\"1\"", 1, 1);
    compare("\"1\"", "\"12\"", 0, 0);
    compare("\"\"", "\"\"", 1, 1);
    compare("\"a\"", "\"A\"", 0, 0);
}
END_TEST

START_TEST(test_a_list_is_read_from_first_to_last)
{
    ck_assert(has("\"abcdef\", \"1234\", \"5678\"", "\"abcdef\""));
    ck_assert(has("\"1234\", \"abcdef\", \"5678\"", "\"abcdef\""));
    ck_assert(has("\"1234\",\t\"5678\",\"abcdef\"", "\"abcdef\""));
    ck_assert(!has("\"1234\", \"5678\"", "\"abcdef\""));
    ck_assert(!has("", "\"abcdef\""));
    ck_assert(!has("\"abcdefg\"", "\"abcdef\""));
}
END_TEST

START_TEST(test_a_comma_in_a_tag_does_not_separate)
{
    ck_assert(has("\"a,b\", \"c\"", "\"a,b\""));
    ck_assert(has("\"a,b\", \"c\"", "\"c\""));
    ck_assert(!has("\"a,b\"", "\"a\""));
}
END_TEST

START_TEST(test_a_backslash_in_a_tag_escapes_nothing)
{
    ck_assert(has("\"a\\\", \"c\"", "\"a\\\""));
    ck_assert(has("\"a\\\", \"c\"", "\"c\""));
}
END_TEST

START_TEST(test_empty_members_are_skipped)
{
    ck_assert(has(" ,, \"a\" ,, W/\"b\" ,", "\"a\""));
    ck_assert(has(" ,, \"a\" ,, W/\"b\" ,", "\"b\""));
}
END_TEST

START_TEST(test_a_list_ends_at_what_cannot_be_read)
{
    ck_assert(has("\"a\", junk, \"b\"", "\"a\""));
    ck_assert(!has("\"a\", junk, \"b\"", "\"b\""));
    ck_assert(!has("\"a\" \"b\"", "\"a\""));
    ck_assert(!has("\"a\"x", "\"a\""));
}
END_TEST

START_TEST(test_next_says_how_a_list_ended)
{
    etg_bytes good = etg_bytes_of("\"a\" , ");
    etg_bytes bad = etg_bytes_of("\"a\",\"b");
    etg_entity_tag tag;

    ck_assert_int_eq(etg_entity_tag_next(&good, &tag), 1);
    ck_assert_int_eq(etg_entity_tag_next(&good, &tag), 0);
    ck_assert_int_eq(etg_entity_tag_next(&good, &tag), 0);
    ck_assert_int_eq(etg_entity_tag_next(&bad, &tag), 1);
    ck_assert_int_eq(etg_entity_tag_next(&bad, &tag), -1);
    ck_assert_int_eq(etg_entity_tag_next(&bad, &tag), -1);
}
END_TEST

START_TEST(test_weak_tags_match_weakly_only)
{
    ck_assert(has("W/\"a\"", "W/\"a\""));
    ck_assert(has("W/\"a\"", "\"a\""));
    ck_assert(has("\"a\"", "W/\"a\""));
    ck_assert(!has_strong("W/\"a\"", "W/\"a\""));
    ck_assert(!has_strong("W/\"a\"", "\"a\""));
    ck_assert(!has_strong("\"a\"", "W/\"a\""));
    ck_assert(has_strong("W/\"a\", \"a\"", "\"a\""));
}
END_TEST

START_TEST(test_an_invalid_tag_matches_the_very_same_bytes_only)
{
    ck_assert(has("abcdef", "abcdef"));
    ck_assert(has("\"x\", abcdef", "abcdef"));
    ck_assert(has("w/\"a\"", "w/\"a\""));
    ck_assert(!has("\"abcdef\"", "abcdef"));
    ck_assert(!has("abcdef", "\"abcdef\""));
    ck_assert(!has("w/\"a\"", "\"a\""));
    ck_assert(!has("\"a\"", NULL));
    ck_assert(!has("", ""));
}
END_TEST

START_TEST(test_any_is_an_asterisk_alone)
{
    ck_assert(etg_entity_tag_is_any(etg_bytes_of("*")));
    ck_assert(etg_entity_tag_is_any(etg_bytes_of(" *\t")));
    ck_assert(!etg_entity_tag_is_any(etg_bytes_of("\"*\"")));
    ck_assert(!etg_entity_tag_is_any(etg_bytes_of("*, \"a\"")));
    ck_assert(!etg_entity_tag_is_any(etg_bytes_of("")));
    ck_assert(!etg_entity_tag_is_any(etg_bytes_of(NULL)));
}
END_TEST

START_TEST(test_a_tag_is_read_without_its_terminator)
{
    const char *text = "W/\"abc\"";
    etg_bytes bytes = { (const unsigned char *)text, 0 };
    etg_entity_tag tag;

    for (; bytes.length < strlen(text); bytes.length++) {
        ck_assert(!etg_entity_tag_parse(bytes, &tag));
    }
    ck_assert(etg_entity_tag_parse(bytes, &tag));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entity_tag");
    TCase *tests = tcase_create("entity_tag");

    tcase_add_test(tests, test_a_tag_is_a_view_of_its_text);
    tcase_add_test(tests, test_what_is_no_tag_is_refused);
    tcase_add_test(tests,
                   test_obs_text_commas_and_backslashes_are_part_of_a_tag);
    tcase_add_test(tests, test_weak_comparison_ignores_weakness);
    tcase_add_test(tests, test_a_list_is_read_from_first_to_last);
    tcase_add_test(tests, test_a_comma_in_a_tag_does_not_separate);
    tcase_add_test(tests, test_a_backslash_in_a_tag_escapes_nothing);
    tcase_add_test(tests, test_empty_members_are_skipped);
    tcase_add_test(tests, test_a_list_ends_at_what_cannot_be_read);
    tcase_add_test(tests, test_next_says_how_a_list_ended);
    tcase_add_test(tests, test_weak_tags_match_weakly_only);
    tcase_add_test(tests, test_an_invalid_tag_matches_the_very_same_bytes_only);
    tcase_add_test(tests, test_any_is_an_asterisk_alone);
    tcase_add_test(tests, test_a_tag_is_read_without_its_terminator);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
