/* SPDX-License-Identifier: Apache-2.0 */
/* test_link_field.c: the link of a relation, however it is written. */
#include "http_views.h"

#include "lib/field_list.h"
#include "lib/link_field.h"

typedef struct link_case {
    const char *line;
    const char *target;     /* NULL: none */
} link_case;

static void check_links(const link_case *cases)
{
    for (; cases->line != NULL; cases++) {
        etg_bytes target = { NULL, 0 };
        int found = etg_link_find(etg_bytes_of(cases->line), "next", &target);
        const char *text = found
            ? apr_pstrmemdup(pool, (const char *)target.data, target.length)
            : NULL;

        ck_assert_msg(cases->target == NULL ? text == NULL
                      : text != NULL && !strcmp(text, cases->target),
                      "%s: %s", cases->line, text != NULL ? text : "none");
    }
}

START_TEST(the_relation_is_found_among_several_links)
{
    static const link_case cases[] = {
        { "</p?2>; rel=next", "/p?2" },
        { "</p?2>;rel=\"next\"", "/p?2" },
        { "<a>; rel=prev, <b>; rel=next, <c>; rel=next", "b" },
        { "<a>; rel=\"prev\",<b>;rel=\"next\"", "b" },
        { ", ,<b>; rel=next", "b" },
        { "<>; rel=next", "" },
        { "<a>; rel=prev", NULL },
        { "<a>", NULL },
        { "", NULL },
        { NULL, NULL }
    };

    check_links(cases);
}
END_TEST

START_TEST(parameters_come_in_any_order_and_case)
{
    static const link_case cases[] = {
        { "<a>; title=\"x\"; rel=next; type=text/html", "a" },
        { "<a> ; REL = \"NEXT\"", "a" },
        { "<a>;\trel\t=\tnext", "a" },
        { "<a>; rel=nEXt", "a" },
        { "<a>; crossorigin; rel=next", "a" },
        { "<a>;;; rel=next ;", "a" },
        { "<a>; xrel=next", NULL },
        { "<a>; rel=next=", NULL },
        { "<a>; rel", NULL },
        { "<a>; rel=", NULL },
        { "<a>; rel=\"\"", NULL },
        { NULL, NULL }
    };

    check_links(cases);
}
END_TEST

START_TEST(one_rel_may_name_several_relations)
{
    static const link_case cases[] = {
        { "<a>; rel=\"last next\"", "a" },
        { "<a>; rel=\"next last\"", "a" },
        { "<a>; rel=\" \t next \"", "a" },
        { "<a>; rel=\"nexter prenext\"", NULL },
        { "<a>; rel=\"http://x.org/next\"", NULL },
        { NULL, NULL }
    };

    check_links(cases);
}
END_TEST

START_TEST(of_several_rel_parameters_the_first_counts)
{
    static const link_case cases[] = {
        { "<a>; rel=prev; rel=next", NULL },
        { "<a>; rel=next; rel=prev", "a" },
        { NULL, NULL }
    };

    check_links(cases);
}
END_TEST

START_TEST(a_link_with_an_anchor_is_another_pages)
{
    static const link_case cases[] = {
        { "<a>; rel=next; anchor=\"#part\"", NULL },
        { "<a>; anchor=/other; rel=next, <b>; rel=next", "b" },
        { NULL, NULL }
    };

    check_links(cases);
}
END_TEST

START_TEST(separators_inside_targets_and_quotes_do_not_separate)
{
    static const link_case cases[] = {
        { "</p?a=1,2;b>; rel=next", "/p?a=1,2;b" },
        { "<a>; title=\"x, <b>; rel=next\"", NULL },
        { "<a>; title=\"say \\\"so\\\"; rel=next\"; rel=prev, <c>; rel=next",
          "c" },
        { "<a>; rel=\"ne\\xt\"", "a" },
        { NULL, NULL }
    };

    check_links(cases);
}
END_TEST

START_TEST(a_malformed_line_ends_where_it_goes_wrong)
{
    static const link_case cases[] = {
        { "a; rel=next", NULL },
        { "x, <b>; rel=next", NULL },
        { "<a", NULL },
        { "<a>; rel=\"next", "a" },
        { "<a>; title=\"open; rel=next", NULL },
        { "<a>; rel=\"x\\", NULL },
        { "<a> junk, <b>; rel=next", "b" },
        { NULL, NULL }
    };

    check_links(cases);
}
END_TEST

START_TEST(bytes_after_the_end_are_not_read)
{
    static const char line[] = "<a>; rel=next";

    for (apr_size_t length = 0; length < sizeof(line) - 1; length++) {
        etg_bytes part = { (const unsigned char *)line, length };
        etg_bytes target;

        ck_assert(!etg_link_find(part, "next", &target));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_relation_is_found_among_several_links,
        parameters_come_in_any_order_and_case,
        one_rel_may_name_several_relations,
        of_several_rel_parameters_the_first_counts,
        a_link_with_an_anchor_is_another_pages,
        separators_inside_targets_and_quotes_do_not_separate,
        a_malformed_line_ends_where_it_goes_wrong,
        bytes_after_the_end_are_not_read,
        NULL
    };

    return run_tests("link_field", tests);
}
