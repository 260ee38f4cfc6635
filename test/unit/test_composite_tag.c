/* SPDX-License-Identifier: Apache-2.0 */
/* test_composite_tag.c: what the tag of a composite covers, and when there is
 * none. test_composite_histories.c compares it with a model. */
#include <string.h>

#include "http_views.h"

#include "lib/composite_tag.h"
#include "lib/entity_digest.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"

#define PARTS 3

static etg_composite_state parts[PARTS];
static etg_composite_scope scope;
static apr_table_t *fields;

/* Three parts with strong tags, of nobody's request. */
static void set_up(void)
{
    static const char *const names[] = { "products", "user", "offers" };
    static const char *const tags[] = { "\"a\"", "\"b\"", "\"c\"" };
    apr_array_header_t *forwarded = apr_array_make(pool, 2,
                                                   sizeof(const char *));

    memset(parts, 0, sizeof(parts));
    memset(&scope, 0, sizeof(scope));
    for (int i = 0; i < PARTS; i++) {
        parts[i].name = names[i];
        parts[i].status = 200;
        parts[i].etag = tags[i];
    }
    fields = apr_table_make(pool, 4);
    APR_ARRAY_PUSH(forwarded, const char *) = "Authorization";
    APR_ARRAY_PUSH(forwarded, const char *) = "Cookie";
    scope.template_digest = etg_bytes_of("template");
    scope.forwarded = fields;
    scope.forwarded_names = forwarded;
    scope.key = etg_bytes_of("0123456789abcdef");
}

static const char *tag(void)
{
    return etg_composite_tag(parts, PARTS, &scope, pool);
}

/* Does the tag move with what was done since `before`, and come again? */
static void check_moved(const char *before)
{
    ck_assert_ptr_nonnull(tag());
    ck_assert_str_ne(tag(), before);
    ck_assert_str_eq(tag(), tag());
}

#define CHECK_MOVES(change)                                              \
    do {                                                                 \
        const char *before;                                              \
                                                                         \
        set_up();                                                        \
        before = tag();                                                  \
        change;                                                          \
        check_moved(before);                                             \
    } while (0)

#define CHECK_STAYS(change)                                              \
    do {                                                                 \
        const char *before;                                              \
                                                                         \
        set_up();                                                        \
        before = tag();                                                  \
        change;                                                          \
        ck_assert_str_eq(tag(), before);                                 \
    } while (0)

#define CHECK_NONE(change)                                               \
    do {                                                                 \
        set_up();                                                        \
        ck_assert_ptr_nonnull(tag());                                    \
        change;                                                          \
        ck_assert_ptr_null(tag());                                       \
    } while (0)

static void check_form(int is_weak)
{
    etg_entity_tag read;

    ck_assert(etg_entity_tag_parse(etg_bytes_of(tag()), &read));
    ck_assert_int_eq(read.weak, is_weak);
    ck_assert_uint_eq(read.opaque.length, 32);
}

/* So every server of an installation gives the same tag, of any version; and
 * every piece has its length in front. */
START_TEST(a_tag_is_of_a_stream_that_stays)
{
#define NUMBER(low) "\0\0\0\0\0\0\0" low
    static const char stream[] = "etagere composite tag 1\n"
        "t" NUMBER("\10") "template" "O" NUMBER("\0")
        "p" NUMBER("\10") "products" "u" NUMBER("\2") "/p" "s" NUMBER("\2")
        "e" NUMBER("\5") "W/\"a\""
        "p" NUMBER("\4") "user" "U" NUMBER("\0") "s" NUMBER("\2")
        "b" NUMBER("\40") "12345678901234567890123456789012"
        "p" NUMBER("\6") "offers" "U" NUMBER("\0")
        "s\0\0\0\0\0\0\1\224" "d" NUMBER("\0")
        "." NUMBER("\3");
    unsigned char digest[32];
    char hex[2 * 16 + 1];

    set_up();
    parts[0].url = "/p";
    parts[0].etag = "W/\"a\"";
    parts[1].etag = NULL;
    parts[1].has_body_digest = 1;
    memcpy(parts[1].body_digest, "12345678901234567890123456789012", 32);
    parts[2].status = 404;
    parts[2].is_default = 1;
    ck_assert_int_eq(etg_sha256(stream, sizeof(stream) - 1, digest),
                     APR_SUCCESS);
    etg_hex(hex, digest, 16);
    ck_assert_str_eq(tag(), apr_pstrcat(pool, "W/\"", hex, "\"", NULL));
}
END_TEST

START_TEST(a_tag_is_strong_only_if_all_parts_tags_are)
{
    set_up();
    check_form(0);
    parts[2].etag = NULL;
    parts[2].has_body_digest = 1;
    check_form(0);
    parts[2].status = 404;
    parts[2].is_default = 1;
    check_form(0);
    parts[1].etag = "W/\"b\"";
    check_form(1);
}
END_TEST

START_TEST(a_tag_moves_with_each_part)
{
    CHECK_MOVES(parts[1].etag = "\"B\"");
    CHECK_MOVES(parts[1].etag = "W/\"b\"");
    CHECK_MOVES(parts[1].name = "users");
    CHECK_MOVES(parts[1].url = "/users/1");
    CHECK_MOVES(parts[1].url = "");
    CHECK_MOVES(parts[1].status = 302);
    CHECK_MOVES(parts[1].status = 404);
    CHECK_MOVES(parts[1].etag = NULL; parts[1].has_body_digest = 1);
    CHECK_MOVES(parts[1].status = 404; parts[1].is_default = 1);
    CHECK_STAYS(parts[1].status = 203);
    CHECK_STAYS(parts[1].has_body_digest = 1);
}
END_TEST

START_TEST(not_found_and_gone_are_classes_of_their_own)
{
    CHECK_MOVES(parts[0].status = 404);
    CHECK_MOVES(parts[0].status = 410);
    CHECK_MOVES(parts[0].status = 404; before = tag(); parts[0].status = 410);
}
END_TEST

START_TEST(every_byte_of_a_bodys_digest_counts)
{
    set_up();
    parts[0].etag = NULL;
    parts[0].has_body_digest = 1;
    for (size_t i = 0; i < sizeof(parts[0].body_digest); i++) {
        const char *before = tag();

        parts[0].body_digest[i] ^= 1;
        check_moved(before);
    }
}
END_TEST

START_TEST(parts_have_an_order_and_a_number)
{
    const char *all;

    CHECK_MOVES(etg_composite_state first = parts[0];
                parts[0] = parts[1]; parts[1] = first);
    CHECK_MOVES(parts[0].etag = "\"b\""; parts[1].etag = "\"a\"");
    set_up();
    all = tag();
    ck_assert_str_ne(etg_composite_tag(parts, PARTS - 1, &scope, pool), all);
    ck_assert_ptr_nonnull(etg_composite_tag(parts, 0, &scope, pool));
}
END_TEST

START_TEST(a_tag_moves_with_the_template)
{
    CHECK_MOVES(scope.template_digest = etg_bytes_of("Template"));
    CHECK_MOVES(scope.template_digest = etg_bytes_of("templat"));
    CHECK_MOVES(scope.template_digest = etg_bytes_of(""));
    CHECK_MOVES(scope.template_digest = etg_bytes_of(NULL));
    CHECK_MOVES(scope.template_digest = etg_bytes_of(""); before = tag();
                scope.template_digest = etg_bytes_of(NULL));
}
END_TEST

START_TEST(a_failed_part_leaves_no_tag)
{
    static const int failures[] = { 0, 100, 199, 304, 400, 401, 403, 405, 409,
                                    411, 429, 500, 502, 504, 600 };

    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        CHECK_NONE(parts[1].status = failures[i]);
        CHECK_NONE(parts[1].status = failures[i]; parts[1].is_default = 1);
    }
    CHECK_NONE(parts[1].is_default = 1);
    CHECK_NONE(parts[1].status = 302; parts[1].is_default = 1);
    CHECK_NONE(parts[1].etag = NULL);
    CHECK_NONE(parts[PARTS - 1].etag = NULL);
}
END_TEST

START_TEST(a_malformed_tag_leaves_none)
{
    static const char *const malformed[] = { "", "a", "\"a", "w/\"a\"",
                                             "\"a\" ", "\"a\"b", "*",
                                             "\"a\",\"b\"", "\"a b\"" };

    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        CHECK_NONE(parts[1].etag = malformed[i]);
        /* It had a tag: no digest stands in for it. */
        CHECK_NONE(parts[1].etag = malformed[i];
                   parts[1].has_body_digest = 1);
    }
}
END_TEST

START_TEST(a_shared_tag_knows_no_user)
{
    CHECK_STAYS(scope.user = "alice");
    CHECK_STAYS(apr_table_setn(fields, "Cookie", "session=1"));
    CHECK_STAYS(scope.key = etg_bytes_of(NULL));
}
END_TEST

START_TEST(one_users_tag_is_never_anothers)
{
    const char *tags[12];
    int count = 0;

    set_up();
    tags[count++] = tag();
    scope.is_private = 1;
    tags[count++] = tag();
    scope.user = "";
    tags[count++] = tag();
    scope.user = "alice";
    tags[count++] = tag();
    scope.user = NULL;
    apr_table_setn(fields, "Cookie", "");
    tags[count++] = tag();
    apr_table_setn(fields, "Cookie", "alice");
    tags[count++] = tag();
    apr_table_addn(fields, "Cookie", "bob");
    tags[count++] = tag();
    apr_table_setn(fields, "Cookie", "alice, bob");
    tags[count++] = tag();
    apr_table_unset(fields, "Cookie");
    apr_table_setn(fields, "Authorization", "alice");
    tags[count++] = tag();
    scope.key = etg_bytes_of("fedcba9876543210");
    tags[count++] = tag();
    scope.forwarded = NULL;
    tags[count++] = tag();
    for (int i = 0; i < count; i++) {
        ck_assert_ptr_nonnull(tags[i]);
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(tags[i], tags[j]);
        }
    }
}
END_TEST

START_TEST(fields_that_were_not_forwarded_do_not_count)
{
    CHECK_STAYS(scope.is_private = 1; before = tag();
                apr_table_setn(fields, "User-Agent", "x"));
}
END_TEST

START_TEST(private_without_a_key_has_no_tag)
{
    CHECK_NONE(scope.is_private = 1; scope.key.length = 15);
    CHECK_NONE(scope.is_private = 1; scope.key = etg_bytes_of(NULL));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_tag_is_of_a_stream_that_stays,
        a_tag_is_strong_only_if_all_parts_tags_are,
        a_tag_moves_with_each_part,
        not_found_and_gone_are_classes_of_their_own,
        every_byte_of_a_bodys_digest_counts,
        parts_have_an_order_and_a_number,
        a_tag_moves_with_the_template,
        a_failed_part_leaves_no_tag,
        a_malformed_tag_leaves_none,
        a_shared_tag_knows_no_user,
        one_users_tag_is_never_anothers,
        fields_that_were_not_forwarded_do_not_count,
        private_without_a_key_has_no_tag,
        NULL
    };

    return run_tests("composite_tag", tests);
}
