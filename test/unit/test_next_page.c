/* SPDX-License-Identifier: Apache-2.0 */
/* test_next_page.c: which URL is the next page? */
#include "http_views.h"

#include "lib/next_page.h"

static void is_same(const char *what, const char *found, const char *wanted)
{
    ck_assert_msg(wanted == NULL ? found == NULL
                  : found != NULL && !strcmp(found, wanted),
                  "%s: %s", what, found != NULL ? found : "none");
}

START_TEST(a_rule_is_read_or_refused)
{
    static const char *const refused[] = {
        "", "On", "links", "Link", "json:", "json:next", "json:/a~2",
        "json", "query:", "query", "query:a&b", "query:a=b", "query:a b",
        "query:a%20", "query:a#b", "query:\xc3\xa4", "json:/a\x01~"
    };
    etg_next_rule rule;

    ck_assert_ptr_null(etg_next_rule_parse("link", &rule));
    ck_assert_int_eq(rule.way, ETG_NEXT_BY_LINK);
    ck_assert_ptr_null(etg_next_rule_parse("json:/next/0", &rule));
    ck_assert_int_eq(rule.way, ETG_NEXT_BY_JSON);
    ck_assert_str_eq(rule.name, "/next/0");
    ck_assert_ptr_null(etg_next_rule_parse("query:page[number]", &rule));
    ck_assert_int_eq(rule.way, ETG_NEXT_BY_QUERY);
    ck_assert_str_eq(rule.name, "page[number]");
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ck_assert_msg(etg_next_rule_parse(refused[i], &rule) != NULL, "%s",
                      refused[i]);
    }
}
END_TEST

START_TEST(a_line_of_link_names_the_next_page)
{
    ck_assert_str_eq(etg_next_by_link("<a>; rel=prev, <b>; rel=next", pool),
                     "b");
    ck_assert_ptr_null(etg_next_by_link("<a>; rel=prev", pool));
}
END_TEST

typedef struct pair {
    const char *given;
    const char *wanted;     /* NULL: none */
} pair;

START_TEST(a_parameter_is_counted_up_and_the_rest_stays)
{
    static const pair cases[] = {
        { "/l?page=1", "/l?page=2" },
        { "/l?a=%20b&page=9&c=+d", "/l?a=%20b&page=10&c=+d" },
        { "/l?page=0", "/l?page=1" },
        { "/l?page=099", "/l?page=100" },
        { "/l?p%61ge=7", "/l?p%61ge=8" },
        { "/l?pages=7&page=1", "/l?pages=7&page=2" },
        { "/l?page=999999999999998", "/l?page=999999999999999" },
        { "/l?page=999999999999999", "/l?page=1000000000000000" },
        { "/l?page=1000000000000000", NULL },
        { "/l?page=99999999999999999999999999", NULL },
        { "/l?page=-1", NULL }, { "/l?page=+1", NULL },
        { "/l?page=1.5", NULL }, { "/l?page=1a", NULL },
        { "/l?page=%31", NULL }, { "/l?page=0x1", NULL },
        { "/l?page=", NULL }, { "/l?page", NULL },
        { "/l?page=1&page=2", NULL }, { "/l?page=1&p%61ge=1", NULL },
        { NULL, NULL }
    };

    for (const pair *each = cases; each->given != NULL; each++) {
        is_same(each->given, etg_next_by_query(each->given, "page", pool),
                each->wanted);
    }
}
END_TEST

START_TEST(without_the_parameter_it_is_the_first_page)
{
    is_same("no query", etg_next_by_query("/l", "page", pool),
            "/l?page=2");
    is_same("empty query", etg_next_by_query("/l?", "page", pool),
            "/l?page=2");
    is_same("another", etg_next_by_query("/l?a=1", "page", pool),
            "/l?a=1&page=2");
    is_same("case", etg_next_by_query("/l?Page=1", "page", pool),
            "/l?Page=1&page=2");
    is_same("brackets", etg_next_by_query("/l", "page[number]", pool),
            "/l?page%5Bnumber%5D=2");
    is_same("brackets", etg_next_by_query("/l?page%5bnumber%5D=2",
                                          "page[number]", pool),
            "/l?page%5bnumber%5D=3");
    is_same("cut escape", etg_next_by_query("/l?pag%6", "page", pool),
            "/l?pag%6&page=2");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_rule_is_read_or_refused,
        a_line_of_link_names_the_next_page,
        a_parameter_is_counted_up_and_the_rest_stays,
        without_the_parameter_it_is_the_first_page,
        NULL
    };

    return run_tests("next_page", tests);
}
