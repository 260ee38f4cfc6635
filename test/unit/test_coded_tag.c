/* SPDX-License-Identifier: Apache-2.0 */
/* test_coded_tag.c: tags per coding, compared and mapped back. */
#include "http_views.h"

#include "lib/coded_tag.h"
#include "lib/field_list.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define HEX "0123456789abcdef"
#define EARLIER "Wed, 31 Dec 2025 12:00:00 GMT"

static const etg_entity_id entity = {
    { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01 }
};

START_TEST(a_tag_says_its_coding)
{
    static const char *const cases[][3] = {
        { NULL, NULL, NULL },
        { "", NULL, NULL },
        { "v1", NULL, NULL },
        { "\"v1", NULL, NULL },
        { "\"v 1\"", NULL, NULL },
        { "w/\"v1\"", NULL, NULL },
        { "\"v1\" ", NULL, NULL },
        { "*", NULL, NULL },
        { "\"v1\"", "\"v1;etg-gzip-" HEX "\"", "\"v1;etg-plain\"" },
        { "W/\"v1\"", "W/\"v1;etg-gzip\"", "W/\"v1;etg-plain\"" },
        { "\"\"", "\";etg-gzip-" HEX "\"", "\";etg-plain\"" },
        { "\"v1-gzip\"", "\"v1-gzip;etg-gzip-" HEX "\"",
          "\"v1-gzip;etg-plain\"" },
        { "\"v1;etg-plain\"", "\"v1;etg-plain;etg-gzip-" HEX "\"",
          "\"v1;etg-plain;etg-plain\"" },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        ck_assert_pstr_eq(etg_coded_tag(cases[i][0], ETG_CODING_GZIP, &entity,
                                        pool), cases[i][1]);
        ck_assert_pstr_eq(etg_coded_tag(cases[i][0], ETG_CODING_IDENTITY,
                                        &entity, pool), cases[i][2]);
    }
}
END_TEST

static char *long_tag(unsigned length)
{
    char *tag = apr_palloc(pool, length + 1);

    memset(tag, 'x', length);
    tag[0] = '"';
    tag[length - 1] = '"';
    tag[length] = '\0';
    return tag;
}

START_TEST(a_tag_that_would_grow_too_long_is_not_sent)
{
    unsigned grows = sizeof(";etg-gzip-" HEX) - 1;

    ck_assert_ptr_nonnull(etg_coded_tag(long_tag(1024 - grows),
                                        ETG_CODING_GZIP, &entity, pool));
    ck_assert_ptr_null(etg_coded_tag(long_tag(1025 - grows), ETG_CODING_GZIP,
                                     &entity, pool));
    ck_assert_ptr_null(etg_coded_tag(long_tag(1 << 20), ETG_CODING_IDENTITY,
                                     &entity, pool));
}
END_TEST

START_TEST(only_suffixes_of_our_form_are_taken_off)
{
    static const char *const cases[][2] = {
        { "\"v1;etg-gzip-" HEX "\"", "\"v1\"" },
        { "W/\"v1;etg-gzip-" HEX "\"", "W/\"v1\"" },   /* weakened since */
        { "W/\"v1;etg-gzip\"", "W/\"v1\"" },
        { "\"v1;etg-plain\"", "\"v1\"" },
        { "W/\"v1;etg-plain\"", "W/\"v1\"" },
        { "\";etg-plain\"", "\"\"" },
        { "\"v1;etg-plain;etg-plain\"", "\"v1;etg-plain\"" },
        { "\"v1;etg-plain;etg-gzip-" HEX "\"", "\"v1;etg-plain\"" },
        { "\"v1\"", NULL },
        { "\"v1;etg-gzip\"", NULL },
        { "\"v1;etg-gzip-\"", NULL },
        { "\"v1;etg-gzip-0123456789ABCDEF\"", NULL },
        { "\"v1;etg-gzip-0123456789abcde\"", NULL },
        { "\"v1;etg-gzip-" HEX "0\"", NULL },
        { "\"v1;etg-gzipx" HEX "\"", NULL },
        { "\"v1;ETG-plain\"", NULL },
        { "\"etg-plain\"", NULL },
        { "\"-" HEX "\"", NULL },
        { "\"v1;etg-plain", NULL },
        { "\"v1;etg-plain\" ", NULL },
        { "v1;etg-plain", NULL },
        { "", NULL },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        const char *own = "untouched";
        int ours = etg_coded_tag_strip(etg_bytes_of(cases[i][0]), pool, &own);

        ck_assert_msg(ours == (cases[i][1] != NULL), "%s", cases[i][0]);
        ck_assert_str_eq(own, ours ? cases[i][1] : "untouched");
    }
}
END_TEST

START_TEST(a_coded_form_has_the_tag_of_its_plain_one)
{
    static const char *const cases[][2] = {
        { "\"v1;etg-gzip-" HEX "\"", "\"v1\"" },
        { "W/\"v1;etg-gzip\"", "W/\"v1\"" },
        { "\"v1-gzip\"", "\"v1\"" },
        { "W/\"v1-gzip\"", "W/\"v1\"" },
        { "\"-gzip\"", "\"\"" },
        { "\"v1\"", "\"v1\"" },
        { "\"v1-gzip2\"", "\"v1-gzip2\"" },
        { "\"v1-br\"", "\"v1-br\"" },
        { "v1-gzip", "v1-gzip" },
        { "", "" },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        ck_assert_str_eq(etg_coded_tag_plain(cases[i][0], pool), cases[i][1]);
    }
}
END_TEST

START_TEST(what_is_made_can_be_taken_off)
{
    static const char *const tags[] = {
        "\"v1\"", "W/\"v1\"", "\"\"", "W/\"\"", "\"a,b\"", "\"a\\\"",
        "\"v1-gzip\"", "\"v1;etg-plain\"", "\"\xc3\xa4\""
    };

    for (unsigned i = 0; i < 2 * ROWS(tags); i++) {
        const char *made = etg_coded_tag(tags[i / 2], i % 2 ? ETG_CODING_GZIP
                                         : ETG_CODING_IDENTITY, &entity,
                                         pool);
        const char *own = NULL;

        ck_assert(etg_coded_tag_strip(etg_bytes_of(made), pool, &own));
        ck_assert_str_eq(own, tags[i / 2]);
    }
}
END_TEST

#define GZIPPED "\"a;etg-gzip-" HEX "\""
#define OLDER "\"a;etg-gzip-fedcba9876543210\""
#define WEAK "W/\"a;etg-gzip\""
#define INFLATED "\"a;etg-plain\""
#define WEAK_INFLATED "W/\"a;etg-plain\""
#define WEAKENED "W/\"a;etg-gzip-" HEX "\""

typedef struct tag_case {
    const char *request;
    const char *etag;
    etg_precondition expected;
    const char *matched;
} tag_case;

#define PASS ETG_PRECONDITION_PASS
#define NOT_MODIFIED ETG_PRECONDITION_NOT_MODIFIED
#define FAILED ETG_PRECONDITION_FAILED

static void check_tags(const tag_case *cases, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *matched = "x";
        etg_precondition got
            = etg_coded_precondition_decide(fields_of(cases[i].request), 200,
                                            cases[i].etag, NULL, NOW, pool,
                                            &matched);

        ck_assert_msg(got == cases[i].expected, "%s (%s): %d",
                      cases[i].request, cases[i].etag, (int)got);
        ck_assert_pstr_eq(matched, cases[i].matched);
    }
}

START_TEST(any_form_of_a_tag_gets_its_304)
{
    static const char *const forms[] = {
        "\"a\"", "W/\"a\"", GZIPPED, WEAKENED, OLDER, WEAK, INFLATED,
        WEAK_INFLATED, "\"a-gzip\"", "W/\"a-gzip\"", "\"a-br\""
    };
    static const char *const sent[] = {
        "\"a\"", "W/\"a\"", GZIPPED, WEAK, INFLATED, WEAK_INFLATED
    };

    for (unsigned i = 0; i < ROWS(sent); i++) {
        for (unsigned j = 0; j < ROWS(forms); j++) {
            int same = strcmp(strchr(sent[i], '"'),
                              strchr(forms[j], '"')) == 0;
            tag_case held = {
                apr_pstrcat(pool, "If-None-Match: \"b\", ", forms[j], NULL),
                sent[i], NOT_MODIFIED, same ? NULL : forms[j]
            };

            check_tags(&held, 1);
        }
    }
}
END_TEST

START_TEST(another_tag_gets_none)
{
    static const tag_case cases[] = {
        { "If-None-Match: \"b\"", GZIPPED, PASS, NULL },
        { "If-None-Match: \"b;etg-gzip-" HEX "\"", GZIPPED, PASS, NULL },
        { "If-None-Match: \"a;etg-gzip\"", GZIPPED, PASS, NULL },
        { "If-None-Match: \"a;etg-gzip\"", "\"a\"", PASS, NULL },
        { "If-None-Match: \"ab-gzip\"", GZIPPED, PASS, NULL },
        { "If-None-Match: \"a-gzip-gzip\"", GZIPPED, PASS, NULL },
        { "If-None-Match: \"a-deflate\"", GZIPPED, PASS, NULL },
        { "If-None-Match: \"-gzip\"", GZIPPED, PASS, NULL },
        { "If-None-Match: \"a\"", "\"a-gzip\"", PASS, NULL },
        { "If-None-Match: \"a\"", NULL, PASS, NULL },
        { "If-None-Match: junk, \"a\"", GZIPPED, PASS, NULL },
        { "If-None-Match: a", GZIPPED, PASS, NULL },
        { "If-None-Match: ", GZIPPED, PASS, NULL },
        { "", GZIPPED, PASS, NULL },
    };

    check_tags(cases, ROWS(cases));
}
END_TEST

START_TEST(the_member_that_matched_is_named)
{
    static const tag_case cases[] = {
        { "If-None-Match: \"a\", " GZIPPED, GZIPPED, NOT_MODIFIED, NULL },
        { "If-None-Match: \"a\", " OLDER, GZIPPED, NOT_MODIFIED, "\"a\"" },
        { "If-None-Match: " OLDER ", \"a\"", GZIPPED, NOT_MODIFIED, OLDER },
        { "If-None-Match: \"b\"\nIf-None-Match: \"a\"", GZIPPED,
          NOT_MODIFIED, "\"a\"" },
        { "If-None-Match: \"a\", junk", GZIPPED, NOT_MODIFIED, "\"a\"" },
        { "If-None-Match: *", GZIPPED, NOT_MODIFIED, NULL },
        { "If-None-Match: *", NULL, NOT_MODIFIED, NULL },
        { "If-None-Match: odd", "odd", NOT_MODIFIED, NULL },
    };

    check_tags(cases, ROWS(cases));
}
END_TEST

START_TEST(if_match_wants_the_very_same_tag)
{
    static const tag_case cases[] = {
        { "If-Match: " GZIPPED, GZIPPED, PASS, NULL },
        { "If-Match: " OLDER, GZIPPED, FAILED, NULL },
        { "If-Match: \"a\"", GZIPPED, FAILED, NULL },
        { "If-Match: " GZIPPED, "\"a\"", FAILED, NULL },
        { "If-Match: " WEAK, WEAK, FAILED, NULL },
        { "If-Match: " INFLATED, INFLATED, PASS, NULL },
        { "If-Match: *", GZIPPED, PASS, NULL },
        { "If-Match: \"a\"\nIf-None-Match: \"a\"", GZIPPED, FAILED, NULL },
        { "If-Match: " GZIPPED "\nIf-None-Match: \"a\"", GZIPPED,
          NOT_MODIFIED, "\"a\"" },
    };

    check_tags(cases, ROWS(cases));
}
END_TEST

START_TEST(dates_and_other_statuses_are_as_without_codings)
{
    apr_table_t *dated = fields_of("If-Modified-Since: " NOW_DATE);
    apr_table_t *both = fields_of("If-None-Match: \"b\"\nIf-Modified-Since: "
                                  NOW_DATE);
    apr_table_t *tag = fields_of("If-None-Match: \"a\"");
    const char *matched;

    ck_assert_int_eq(etg_coded_precondition_decide(dated, 200, GZIPPED,
                                                   EARLIER, NOW, pool,
                                                   &matched), NOT_MODIFIED);
    ck_assert_ptr_null(matched);
    ck_assert_int_eq(etg_coded_precondition_decide(both, 200, GZIPPED,
                                                   EARLIER, NOW, pool,
                                                   &matched), PASS);
    ck_assert_int_eq(etg_coded_precondition_decide(tag, 404, GZIPPED, NULL,
                                                   NOW, pool, &matched),
                     PASS);
}
END_TEST

START_TEST(our_tags_are_mapped_back_for_the_backend)
{
    static const char *const cases[][2] = {
        { "", NULL },
        { "If-None-Match: \"a\"", NULL },
        { "If-None-Match: *", NULL },
        { "If-None-Match: \"a-gzip\"", NULL },
        { "If-None-Match: junk, " GZIPPED, NULL },
        { "If-Range: \"a\"\nRange: bytes=0-1", NULL },
        { "If-Range: " NOW_DATE "\nRange: bytes=0-1", NULL },
        { "Range: bytes=0-1", NULL },
        { "X: " GZIPPED, NULL },
        { "If-Match: " GZIPPED, "If-Match: \"a\"" },
        { "If-Match: W/" GZIPPED, "If-Match: W/\"a\"" },
        { "A: 1\nIf-None-Match: " WEAK "\nB: 2",
          "A: 1\nIf-None-Match: W/\"a\"\nB: 2" },
        { "If-None-Match: \"b\", " GZIPPED ",, W/\"c;etg-plain\"",
          "If-None-Match: \"b\",\"a\",W/\"c\"" },
        { "If-None-Match: " GZIPPED ", junk, " GZIPPED,
          "If-None-Match: \"a\",junk, " GZIPPED },
        { "If-Match: \"b\"\nIf-Match: " INFLATED, "If-Match: \"b\",\"a\"" },
        { "If-Match: " GZIPPED "\nIf-None-Match: " INFLATED,
          "If-Match: \"a\"\nIf-None-Match: \"a\"" },
        { "If-Range: " GZIPPED "\nRange: bytes=0-1\nA: 1", "A: 1" },
        { "If-Range: " INFLATED "\nIf-Match: \"a\"\nRange: bytes=0-1",
          "If-Match: \"a\"" },
        { "If-Range: " WEAK "\nRange: bytes=0-1\nIf-None-Match: " GZIPPED,
          "If-None-Match: \"a\"" },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        apr_table_t *given = fields_of(cases[i][0]);
        apr_table_t *mapped = etg_coded_tags_map_back(given, pool);

        ck_assert_msg((mapped == NULL) == (cases[i][1] == NULL), "case %u",
                      i);
        ck_assert_str_eq(text_of(given), cases[i][0]);
        if (mapped != NULL) {
            ck_assert_str_eq(text_of(mapped), cases[i][1]);
        }
    }
}
END_TEST

START_TEST(a_part_known_by_its_date_may_be_of_the_coded_form)
{
    static const char *const possible[] = {
        "If-Range: " NOW_DATE "\nAccept-Encoding: gzip",
        "If-Range: " NOW_DATE "\nAccept-Encoding: br\nAccept-Encoding: gzip",
        "If-Range: no date\nAccept-Encoding: *",
    };
    static const char *const impossible[] = {
        "",
        "Accept-Encoding: gzip",
        "If-Range: " NOW_DATE,
        "If-Range: " NOW_DATE "\nAccept-Encoding: gzip;q=0",
        "If-Range: \"a\"\nAccept-Encoding: gzip",
        "If-Range: W/\"a\"\nAccept-Encoding: gzip",
    };

    for (unsigned i = 0; i < ROWS(possible); i++) {
        ck_assert_msg(etg_coded_part_is_possible(fields_of(possible[i]),
                                                 pool), "case %u", i);
    }
    for (unsigned i = 0; i < ROWS(impossible); i++) {
        ck_assert_msg(!etg_coded_part_is_possible(fields_of(impossible[i]),
                                                  pool), "case %u", i);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_tag_says_its_coding,
        a_tag_that_would_grow_too_long_is_not_sent,
        only_suffixes_of_our_form_are_taken_off,
        a_coded_form_has_the_tag_of_its_plain_one,
        what_is_made_can_be_taken_off,
        any_form_of_a_tag_gets_its_304,
        another_tag_gets_none,
        the_member_that_matched_is_named,
        if_match_wants_the_very_same_tag,
        dates_and_other_statuses_are_as_without_codings,
        our_tags_are_mapped_back_for_the_backend,
        a_part_known_by_its_date_may_be_of_the_coded_form,
        NULL
    };

    return run_tests("coded_tag", tests);
}
