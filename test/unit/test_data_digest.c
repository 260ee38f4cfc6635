/* SPDX-License-Identifier: Apache-2.0 */
/* test_data_digest.c: what moves a collection's digest, and how old it is. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/data_digest.h"
#include "lib/field_list.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define NOW apr_time_from_sec(APR_INT64_C(1795385100))

static etg_data_digest_builder *begin(etg_data_digest_kind kind)
{
    etg_data_digest_builder *builder = NULL;

    ck_assert_int_eq(etg_data_digest_begin(&builder, kind, pool),
                     APR_SUCCESS);
    return builder;
}

static etg_data_digest end(etg_data_digest_builder *builder)
{
    etg_data_digest digest;

    ck_assert_int_eq(etg_data_digest_end(builder, &digest), APR_SUCCESS);
    return digest;
}

/*
 * A collection as a script, one letter or value after the other:
 * "( 1 @2026-11-22 22:05:00; ~ )" is a member of the value "1", a time and a
 * NULL. Values end at a space, a time at ';'. "=" is the empty value, "/" the
 * next source, "<x" the route x, "!x" the salt x.
 */
static const char *add_word(etg_data_digest_builder *builder, const char *at)
{
    etg_bytes none = { NULL, 0 };
    size_t length = strcspn(at, *at == '@' ? ";" : " ");
    etg_bytes word = { (const unsigned char *)at + 1, length - 1 };

    switch (*at) {
    case '(': etg_data_digest_begin_member(builder); break;
    case ')': etg_data_digest_end_member(builder); break;
    case '/': etg_data_digest_next_source(builder); break;
    case '<': etg_data_digest_add_route(builder, word); break;
    case '!': etg_data_digest_add_salt(builder, word); break;
    case '@': etg_data_digest_add_time(builder, word); break;
    case '~': etg_data_digest_add_value(builder, none); break;
    case '=': etg_data_digest_add_value(builder, etg_bytes_of("")); break;
    default:
        word.data--;
        word.length++;
        etg_data_digest_add_value(builder, word);
    }
    at += length + (*at == '@');
    return at + strspn(at, " ");
}

static etg_data_digest_builder *play(const char *script,
                                     etg_data_digest_kind kind)
{
    etg_data_digest_builder *builder = begin(kind);

    while (*script != '\0') {
        script = add_word(builder, script);
    }
    return builder;
}

static etg_data_digest sha256(const char *script)
{
    return end(play(script, ETG_DATA_DIGEST_SHA256));
}

static const char *rails(const char *script)
{
    etg_data_digest digest = end(play(script, ETG_DATA_DIGEST_RAILS));

    return apr_pstrdup(pool, digest.rails);
}

static int are_equal(const char *one, const char *other)
{
    etg_data_digest a = sha256(one);
    etg_data_digest b = sha256(other);

    return memcmp(a.sha256, b.sha256, sizeof(a.sha256)) == 0;
}

/* Each two of the scripts have digests of their own. */
static void check_all_differ(const char *const *scripts, int count)
{
    int i;
    int j;

    for (i = 0; i < count; i++) {
        ck_assert_msg(are_equal(scripts[i], scripts[i]), "%s", scripts[i]);
        for (j = 0; j < i; j++) {
            ck_assert_msg(!are_equal(scripts[i], scripts[j]), "%s and %s",
                          scripts[i], scripts[j]);
        }
    }
}

#define CHECK_ALL_DIFFER(rows) \
    check_all_differ(rows, sizeof(rows) / sizeof((rows)[0]))

START_TEST(test_every_change_of_a_collection_moves_it)
{
    static const char *const scripts[] = {
        "( 1 @2026-11-01 00:00:05; ) ( 2 @2026-11-01 00:00:09; )",
        /* added, in front and behind */
        "( 1 @2026-11-01 00:00:05; ) ( 2 @2026-11-01 00:00:09; )"
        " ( 3 @2026-11-01 00:00:01; )",
        "( 0 @2026-11-01 00:00:05; ) ( 1 @2026-11-01 00:00:05; )"
        " ( 2 @2026-11-01 00:00:09; )",
        /* removed: the older, the newer, all */
        "( 2 @2026-11-01 00:00:09; )",
        "( 1 @2026-11-01 00:00:05; )",
        "",
        /* replaced by an older one; count and newest stay */
        "( 3 @2026-11-01 00:00:04; ) ( 2 @2026-11-01 00:00:09; )",
        /* in another order */
        "( 2 @2026-11-01 00:00:09; ) ( 1 @2026-11-01 00:00:05; )",
        /* changes that cancel out in a sum */
        "( 1 @2026-11-01 00:00:06; ) ( 2 @2026-11-01 00:00:08; )",
        /* within the second */
        "( 1 @2026-11-01 00:00:05; ) ( 2 @2026-11-01 00:00:09.5; )",
        /* the same moment written otherwise is another value */
        "( 1 @2026-11-01 00:00:05; ) ( 2 @2026-11-01 00:00:09+00; )",
    };

    CHECK_ALL_DIFFER(scripts);
}
END_TEST

START_TEST(test_values_cannot_run_together)
{
    static const char *const scripts[] = {
        "( a bc )", "( ab c )", "( abc )", "( abc = )", "( = abc )",
        "( abc ~ )", "( ~ abc )", "( = )", "( ~ )", "( = = )", "( ~ ~ )",
        "( )", "( ) ( )", "( a ) ( bc )", "( a b ) ( c )", "( a b c )",
        "( a ) ( b c )", "( a ) ( b ) ( c )", "( v )", "( n )", "( a( )",
        "( a) )", "( a )", "( NULL )", "( 0 )",
    };

    CHECK_ALL_DIFFER(scripts);
}
END_TEST

START_TEST(test_sources_routes_and_salts_are_told_apart)
{
    static const char *const scripts[] = {
        "", "/", "/ /", "( a ) ( b )", "( a ) / ( b )", "/ ( a ) ( b )",
        "( a ) ( b ) /", "<a", "!a", "<a !a", "!a <a", "!a !a", "!aa",
        "<a ( a )", "( a ) <a", "!a ( b )", "!b ( a )", "<", "!", "< !",
    };

    CHECK_ALL_DIFFER(scripts);
}
END_TEST

START_TEST(test_a_missing_route_is_no_empty_one)
{
    etg_bytes none = { NULL, 0 };
    etg_data_digest_builder *builder = begin(ETG_DATA_DIGEST_SHA256);
    etg_data_digest without;
    etg_data_digest empty = sha256("<");

    etg_data_digest_add_route(builder, none);
    without = end(builder);
    ck_assert(memcmp(without.sha256, empty.sha256, 32) != 0);
}
END_TEST

START_TEST(test_bytes_are_digested_whatever_they_are)
{
    static const char *const values[] = { "a\0b", "a\0c", "a\0\0", "\0\0\0" };
    etg_data_digest digests[4];
    int i;
    int j;

    for (i = 0; i < 4; i++) {
        etg_data_digest_builder *builder = begin(ETG_DATA_DIGEST_SHA256);
        etg_bytes value = { (const unsigned char *)values[i], 3 };

        etg_data_digest_begin_member(builder);
        etg_data_digest_add_value(builder, value);
        etg_data_digest_end_member(builder);
        digests[i] = end(builder);
        for (j = 0; j < i; j++) {
            ck_assert(memcmp(digests[i].sha256, digests[j].sha256, 32) != 0);
        }
    }
}
END_TEST

START_TEST(test_that_a_value_is_a_time_is_no_part_of_the_data)
{
    ck_assert(are_equal("( 1 1795385100 )", "( 1 @1795385100; )"));
}
END_TEST

START_TEST(test_the_format_is_kept_between_versions)
{
    /* Stored entries and browsers hold digests of yesterday. Computed with
     * Python's hashlib from the comment in data_digest.c. */
    static const unsigned char expected[] = {
        0x41, 0x27, 0xb7, 0xb9, 0x0e, 0x4d, 0x9f, 0x11,
        0xca, 0xc1, 0x46, 0x3c, 0x4c, 0x7b, 0xab, 0x5b,
        0x85, 0x89, 0x42, 0x10, 0x35, 0xff, 0xc3, 0x90,
        0xc1, 0x5a, 0x5c, 0x5f, 0x9d, 0x44, 0x41, 0x08,
    };
    etg_data_digest digest = sha256("<r !s ( a ~ = ) / ( @1795385100; )");

    ck_assert_mem_eq(digest.sha256, expected, sizeof(digest.sha256));
}
END_TEST

START_TEST(test_members_are_counted_over_all_sources)
{
    ck_assert_int_eq(sha256("").members, 0);
    ck_assert_int_eq(sha256("( a ) ( b ) / / ( )").members, 3);
    ck_assert(!sha256("<a").is_salted);
    ck_assert(sha256("!a").is_salted);
}
END_TEST

START_TEST(test_sources_without_a_member_are_counted)
{
    ck_assert_int_eq(sha256("").empty_sources, 1);
    ck_assert_int_eq(sha256("( )").empty_sources, 0);
    ck_assert_int_eq(sha256("( a ) /").empty_sources, 1);
    ck_assert_int_eq(sha256("/ ( a ) / / ( b )").empty_sources, 2);
}
END_TEST

static apr_time_t modified(const char *script)
{
    etg_data_digest digest = sha256(script);
    apr_time_t us = etg_data_last_modified(&digest, NOW);

    ck_assert_int_eq(us % APR_USEC_PER_SEC, 0);
    return apr_time_sec(us);
}

START_TEST(test_last_modified_is_the_newest_in_whole_seconds)
{
    ck_assert_int_eq(modified("( 1 @1700000000.9; )"), 1700000000);
    ck_assert_int_eq(modified("( @1700000009.1; ) ( @1700000003; )"),
                     1700000009);
    ck_assert_int_eq(modified("( @1700000003; ) / ( @1700000009; ) /"),
                     1700000009);
    ck_assert_int_eq(modified("( @Sun, 06 Nov 1994 08:49:37 GMT; )"
                              " ( @1994-11-06T09:49:38.5+01:00; )"),
                     784111778);
    ck_assert_int_eq(modified("( @1700000003; @1700000009; )"), 1700000009);
}
END_TEST

START_TEST(test_last_modified_is_never_in_the_future)
{
    etg_data_digest digest = sha256("( @9999-12-31 23:59:59; )");

    ck_assert_int_eq(etg_data_last_modified(&digest, NOW + 999999), NOW);
    ck_assert_int_eq(modified("( @1795385099.999; )"), 1795385099);
    ck_assert_int_eq(modified("( @1795385100.5; )"), 1795385100);
    ck_assert_int_eq(etg_data_last_modified(&digest, -1), 0);
}
END_TEST

START_TEST(test_one_member_without_a_time_leaves_no_last_modified)
{
    static const char *const scripts[] = {
        "", "/", "( )", "( 1700000000 )", "( @1700000000; ) ( 1 )",
        "( 1 ) ( @1700000000; )", "( @1700000000; ) / ( )",
        "( @1700000000; ) ( @; )", "( @1700000000; ) ( @yesterday; )",
        "( @1700000000; @yesterday; )",
    };
    size_t i;

    for (i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        ck_assert_msg(modified(scripts[i]) == 0, "%s", scripts[i]);
        ck_assert_msg(!sha256(scripts[i]).is_timed, "%s", scripts[i]);
    }
}
END_TEST

START_TEST(test_a_null_time_is_no_time_but_a_nought_in_the_sum)
{
    etg_bytes none = { NULL, 0 };
    etg_data_digest_builder *builder = play("( @1700000000; )",
                                            ETG_DATA_DIGEST_RAILS);
    etg_data_digest digest;

    etg_data_digest_begin_member(builder);
    etg_data_digest_add_time(builder, none);
    etg_data_digest_end_member(builder);
    digest = end(builder);
    ck_assert(!digest.is_timed);
    ck_assert_int_eq(etg_data_last_modified(&digest, NOW), 0);
    ck_assert_str_eq(digest.rails, rails("( @1700000000; )"));
}
END_TEST

START_TEST(test_rails_is_the_md5_of_the_sum_in_decimal)
{
    /* printf 0 | md5sum, and so on */
    ck_assert_str_eq(rails(""), "cfcd208495d565ef66e7dff9f98764da");
    ck_assert_str_eq(rails("( @1; ) ( @1; )"),
                     "c81e728d9d4c2f636f067f89cc14862c");
    ck_assert_str_eq(rails("( @1.9; ) / ( @1.9; )"),
                     "c81e728d9d4c2f636f067f89cc14862c");
    ck_assert_str_eq(rails("<route !salt ( 9 @2; )"),
                     "c81e728d9d4c2f636f067f89cc14862c");
}
END_TEST

START_TEST(test_rails_needs_a_time_of_every_member)
{
    ck_assert_str_eq(rails("( 1 )"), "");
    ck_assert_str_eq(rails("( @1; ) ( 1 )"), "");
    ck_assert_str_eq(rails("( @1; ) ( @soon; )"), "");
    ck_assert_str_eq(sha256("( @1; )").rails, "");
}
END_TEST

START_TEST(test_rails_misses_what_the_sha256_beside_it_sees)
{
    static const char *const scripts[] = {
        "( 1 @5; ) ( 2 @9; )", "( 1 @6; ) ( 2 @8; )", "( 2 @9; ) ( 1 @5; )",
        "( 1 @14; )",
    };
    int i;

    for (i = 1; i < 4; i++) {
        ck_assert_str_eq(rails(scripts[i]), rails(scripts[0]));
    }
    CHECK_ALL_DIFFER(scripts);
}
END_TEST

START_TEST(test_the_kind_does_not_touch_the_sha256)
{
    const char *script = "<r ( 1 @5; ) ( 2 @9; )";
    etg_data_digest both = end(play(script, ETG_DATA_DIGEST_RAILS));
    etg_data_digest alone = sha256(script);

    ck_assert_mem_eq(both.sha256, alone.sha256, sizeof(both.sha256));
}
END_TEST

START_TEST(test_calls_out_of_order_give_no_digest)
{
    static const char *const scripts[] = {
        "a", "~", "@1;", ")", "(", "( a", "( ( ) )", "( / )", "( <r )",
        "( !s )", "( a ) )", "( a ) b",
    };
    size_t i;

    for (i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        etg_data_digest digest;

        memset(&digest, 7, sizeof(digest));
        ck_assert_msg(etg_data_digest_end(play(scripts[i],
                                               ETG_DATA_DIGEST_RAILS),
                                          &digest) == APR_EINVAL,
                      "%s", scripts[i]);
        ck_assert_int_eq(digest.sha256[0], 7);
    }
}
END_TEST

START_TEST(test_a_digest_ends_once)
{
    etg_data_digest_builder *builder = play("( a )", ETG_DATA_DIGEST_SHA256);
    etg_data_digest digest = end(builder);

    ck_assert_int_eq(etg_data_digest_end(builder, &digest), APR_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_digest");
    TCase *tests = tcase_create("data_digest");

    tcase_add_checked_fixture(tests, open_pool, close_pool);
    tcase_add_test(tests, test_every_change_of_a_collection_moves_it);
    tcase_add_test(tests, test_values_cannot_run_together);
    tcase_add_test(tests, test_sources_routes_and_salts_are_told_apart);
    tcase_add_test(tests, test_a_missing_route_is_no_empty_one);
    tcase_add_test(tests, test_bytes_are_digested_whatever_they_are);
    tcase_add_test(tests, test_that_a_value_is_a_time_is_no_part_of_the_data);
    tcase_add_test(tests, test_the_format_is_kept_between_versions);
    tcase_add_test(tests, test_members_are_counted_over_all_sources);
    tcase_add_test(tests, test_sources_without_a_member_are_counted);
    tcase_add_test(tests, test_last_modified_is_the_newest_in_whole_seconds);
    tcase_add_test(tests, test_last_modified_is_never_in_the_future);
    tcase_add_test(tests,
                   test_one_member_without_a_time_leaves_no_last_modified);
    tcase_add_test(tests,
                   test_a_null_time_is_no_time_but_a_nought_in_the_sum);
    tcase_add_test(tests, test_rails_is_the_md5_of_the_sum_in_decimal);
    tcase_add_test(tests, test_rails_needs_a_time_of_every_member);
    tcase_add_test(tests, test_rails_misses_what_the_sha256_beside_it_sees);
    tcase_add_test(tests, test_the_kind_does_not_touch_the_sha256);
    tcase_add_test(tests, test_calls_out_of_order_give_no_digest);
    tcase_add_test(tests, test_a_digest_ends_once);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
