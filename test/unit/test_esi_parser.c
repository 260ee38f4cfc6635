/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_esi_parser.c: what comes out of a page with ESI, case by case. Each is
 * fed whole, byte by byte, and in two portions wherever it can be cut.
 */
#include "esi_pages.h"

static void check_page(const char *page, const char *becomes,
                       unsigned malformed)
{
    size_t length = strlen(page);
    outcome out = { NULL, 0, 0, 0, 0 };

    for (size_t first = 1; first <= length; first++) {
        ck_assert_msg(parse(page, length, first, length, &out) == malformed,
                      "%s: not %u malformed", page, malformed);
        ck_assert_str_eq(out.text, becomes);
    }
    for (size_t step = 1; step <= 3; step++) {
        ck_assert_uint_eq(parse(page, length, step, step, &out), malformed);
        ck_assert_str_eq(out.text, becomes);
    }
    free(out.text);
}

static void check_all(const paging *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const paging *c = &cases[i];

        check_page(c->page, c->becomes != NULL ? c->becomes : c->page,
                   c->malformed);
    }
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof(cases[0]))

START_TEST(pages_without_esi_pass)
{
    static const paging cases[] = {
        { "<!DOCTYPE html>\n<p class=\"a\">1 < 2 &amp; 3</p>\n", NULL, 0 },
        { "<", NULL, 0 }, { "<<", NULL, 0 }, { "<e", NULL, 0 },
        { "<es", NULL, 0 }, { "<esi", NULL, 0 }, { "</", NULL, 0 },
        { "</esi", NULL, 0 }, { "<!", NULL, 0 }, { "<!-", NULL, 0 },
        { "<!--", NULL, 0 }, { "<!--es", NULL, 0 }, { "<!--esi", NULL, 0 },
        { "<em>a</em><esicon/><esi include=\"a\"/>", NULL, 0 },
        { "<!-- a --><!--essay--><!---esi --><! --esi -->", NULL, 0 },
        { "<!--esi--><!--esi-include--><!--esidebar -->", NULL, 0 },
        { "-->--><--><!-->", NULL, 0 },
        /* Names have their letter case. */
        { "<ESI:include src=\"/a\"/><!--ESI a -->", NULL, 0 },
        { "esi:include src=\"/a\"/>", NULL, 0 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(includes_are_events)
{
    static const paging cases[] = {
        { "<esi:include src=\"/a\"/>", "{/a}", 0 },
        { "<p><esi:include src=\"/a\"/></p>", "<p>{/a}</p>", 0 },
        { "<esi:include src='/a' />", "{/a}", 0 },
        { "<esi:include\n\tsrc = '/a'\r\nalt\n=\n\"/b\"\n/>", "{/a|/b}", 0 },
        { "<esi:include onerror=\"continue\" alt='/b' src=\"/a\"/>",
          "{/a|/b!}", 0 },
        { "<esi:include src=\"/a\" onerror='continue'/>", "{/a!}", 0 },
        { "<esi:include src=\"/a\" onerror=\"Continue\"/>", "{/a}", 0 },
        { "<esi:include src=\"/a\" onerror=\"\" alt=\"\"/>", "{/a}", 0 },
        { "<esi:include src=\"http://a.example/b?c=d#e\"/>",
          "{http://a.example/b?c=d#e}", 0 },
        { "<esi:include src=\"/it's/>/a\"/>", "{/it's/>/a}", 0 },
        { "<esi:include src='/\"a\"'/>", "{/\"a\"}", 0 },
        { "<esi:include src=\"/caf\xc3\xa9\"/>", "{/caf\xc3\xa9}", 0 },
        /* Other attributes are passed over. */
        { "<esi:include ttl=\"1h\" ttl=\"2h\" src=\"/a\" x:y.z-1_=\"\"/>",
          "{/a}", 0 },
        { "<esi:include src=\"/a\"/><esi:include src=\"/b\"/>", "{/a}{/b}",
          0 },
        { "<<esi:include src=\"/a\"/>>", "<{/a}>", 0 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(a_slash_may_lack)
{
    static const paging cases[] = {
        { "<esi:include src=\"/a\">b", "{/a}b", 0 },
        { "<esi:include src=\"/a\"></esi:include>b", "{/a}b", 0 },
        { "<esi:include src=\"/a\">b</esi:include >", "{/a}b", 0 },
        { "<esi:comment text=\"a\"></esi:comment>b", "b", 0 },
        { "<esi:include src=\"/a\"/></esi:include>", "{/a}</esi:include>",
          1 },
        { "<esi:include src=\"/a\"></esi:comment></esi:include>",
          "{/a}</esi:comment>", 1 },
        { "<esi:include src=\"/a\"></esi:include></esi:include>",
          "{/a}</esi:include>", 1 },
        { "<esi:include></esi:include>", NULL, 2 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(references_are_undone_once)
{
    static const paging cases[] = {
        { "<esi:include src=\"/?a=1&amp;b=2&quot;&lt;&gt;&apos;\"/>",
          "{/?a=1&b=2\"<>'}", 0 },
        { "<esi:include src=\"/?a=1&b=2&\"/>", "{/?a=1&b=2&}", 0 },
        { "<esi:include src=\"/&amp;amp;&amp;lt;\"/>", "{/&amp;&lt;}", 0 },
        { "<esi:include src=\"/&amp&AMP;&nbsp;&eacute;\"/>",
          "{/&amp&AMP;&nbsp;&eacute;}", 0 },
        { "<esi:include src=\"/&#38;&#039;&#x26;&#X2f;&#x2F;\"/>",
          "{/&'&//}", 0 },
        { "<esi:include src=\"/&#;&#x;&#a;&#1a;&#xg;&#\"/>",
          "{/&#;&#x;&#a;&#1a;&#xg;&#}", 0 },
        /* Those would be no part of a URL, or are more than one byte. */
        { "<esi:include src=\"/&#13;&#x0a;&#32;&#0;&#127;&#233;&#x20ac;\"/>",
          "{/&#13;&#x0a;&#32;&#0;&#127;&#233;&#x20ac;}", 0 },
        { "<esi:include src=\"/&#4294967334;\"/>", "{/&#4294967334;}", 0 },
        { "<esi:include src=\"&amp;\" alt=\"&#47;&#98;\"/>", "{&|/b}", 0 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(what_is_removed_is_gone)
{
    static const paging cases[] = {
        { "a<esi:remove>b</esi:remove>c", "ac", 0 },
        { "a<esi:remove></esi:remove>c", "ac", 0 },
        { "a<esi:remove/>c", "ac", 0 },
        { "a<esi:remove >b</esi:remove\n>c", "ac", 0 },
        { "a<esi:remove x=\"y\">b</esi:remove>c", "ac", 0 },
        { "<esi:remove><esi:include src=\"/a\"/></esi:remove>", "", 0 },
        { "<esi:remove><!--esi b --></esi:remove>c", "c", 0 },
        { "<esi:remove><</</esi:</esi:removed></esi:remove>c", "c", 0 },
        { "<esi:remove></esi:remove x></esi:remove </esi:remove>c", "c", 0 },
        { "<esi:remove><esi:x \"</esi:remove>c", "c", 0 },
        { "a<esi:comment text=\"b\"/>c", "ac", 0 },
        { "a<esi:comment/>c", "ac", 0 },
        { "a<esi:comment text='<b>'/>c", NULL, 1 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(a_comment_for_esi_is_opened)
{
    static const paging cases[] = {
        { "a<!--esi b -->c", "a b c", 0 },
        { "a<!--esi\n<p>b</p>\n-->c", "a\n<p>b</p>\nc", 0 },
        { "<!--esi<p>b</p>-->c", "<p>b</p>c", 0 },
        { "<!--esi <esi:include src=\"/a\"/>-->", " {/a}", 0 },
        { "<!--esi<esi:include src=\"/a\"/><esi:remove>b</esi:remove>-->c",
          "{/a}c", 0 },
        { "<!--esi - -- -> --b ---->c", " - -- -> --b --c", 0 },
        { "<!--esi a--->b-->", " a-b-->", 0 },
        { "<!--esi a -->b<!--esi c -->", " a b c ", 0 },
        { "<!--esi a -->b<!-- c -->", " a b<!-- c -->", 0 },
        { "<!--esi --><!--esi -->", "  ", 0 },
        { "<!--esi a <-->b", " a <b", 0 },
        { "<!--esi a <!-->b", " a <!b", 0 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(neither_comments_nor_removals_nest)
{
    static const paging cases[] = {
        { "<!--esi a <!--esi b --> c -->", " a <!--esi b  c -->", 1 },
        { "<!--esi a <!-- b --> c -->", " a <!-- b  c -->", 0 },
        { "<esi:remove>a<esi:remove>b</esi:remove>c</esi:remove>d",
          "c</esi:remove>d", 1 },
        /* The end of the comment stands wherever it stands. */
        { "<!--esi <esi:include src=\"/a-->b\"/> -->",
          " <esi:include src=\"/ab\"/> -->", 1 },
        { "<!--esi <esi:x--><esi:include src=\"/a\"/>", " <esi:x{/a}", 1 },
        { "<!--esi <esi:remove>a-->b</esi:remove>",
          " <esi:remove>ab</esi:remove>", 2 },
        { "<!--esi </es-->i:include>", " </esi:include>", 0 },
        { "<esi:include src=\"/a-->b\"/>", "{/a-->b}", 0 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(malformed_markup_is_text)
{
    static const paging cases[] = {
        { "<esi:include/>", NULL, 1 },
        { "<esi:include src=\"\"/>", NULL, 1 },
        { "<esi:include alt=\"/a\"/>", NULL, 1 },
        { "<esi:include src/>", NULL, 1 },
        { "<esi:include src=/>", NULL, 1 },
        { "<esi:include src=/a/>", NULL, 1 },
        { "<esi:include src=\"/a'/>", NULL, 1 },
        { "<esi:include src=\"/a\"alt=\"/b\"/>", NULL, 1 },
        { "<esi:include src=\"/a\" / >", NULL, 1 },
        { "<esi:include src=\"/a\" src=\"/b\"/>", NULL, 1 },
        { "<esi:include src=\"/a\" alt=\"/b\" alt=\"/b\"/>", NULL, 1 },
        { "<esi:include src=\"/a b\"/>", NULL, 1 },
        { "<esi:include src=\"/a\r\nHost: b\"/>", NULL, 1 },
        { "<esi:include src=\"/a\" alt=\"/\x01\"/>", NULL, 1 },
        { "<esi:include src=\"/\x7f\"/>", NULL, 1 },
        { "<esi:include SRC=\"/a\"/>", NULL, 1 },
        { "<esi:include =\"/a\"/>", NULL, 1 },
        { "<esi:include \"/a\"/>", NULL, 1 },
        { "<esi:include\xa0src=\"/a\"/>", NULL, 1 },
        { "<esi:>", NULL, 1 },
        { "<esi:/>", NULL, 1 },
        { "<esi: include src=\"/a\"/>", NULL, 1 },
        { "<esi:Include src=\"/a\"/>", NULL, 1 },
        { "<esi:includes src=\"/a\"/>", NULL, 1 },
        { "</esi:remove>", NULL, 1 },
        { "</esi:include src=\"/a\">", NULL, 1 },
        { "<esi:include src=\"/a\"></esi:include/>", "{/a}</esi:include/>",
          1 },
        { "<esi:try><esi:attempt>a</esi:attempt></esi:try>", NULL, 4 },
        { "<esi:vars>$(HTTP_HOST)</esi:vars>", NULL, 2 },
        { "<esi:comment text=\"a>b<c>", NULL, 1 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(behind_malformed_markup_it_goes_on)
{
    static const paging cases[] = {
        { "<esi:include <esi:include src=\"/a\"/>", "<esi:include {/a}", 1 },
        { "<esi:<esi:<esi:include src=\"/a\"/>", "<esi:<esi:{/a}", 2 },
        { "<es<esi:include src=\"/a\"/>", "<es{/a}", 0 },
        { "<!--esi<esi:include src=\"/a\"/>-->", "{/a}", 0 },
        { "<!--es<esi:include src=\"/a\"/>-->", "<!--es{/a}-->", 0 },
        { "<esi:include src=\"/a <p>\"/><esi:include src=\"/b\"/>",
          "<esi:include src=\"/a <p>\"/>{/b}", 1 },
        { "</esi:remove><esi:remove>a</esi:remove>", "</esi:remove>", 1 },
        { "<!--esi <esi:include src=\"/a -->b", " <esi:include src=\"/a b",
          1 }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(what_the_end_cuts_off_is_text)
{
    static const paging cases[] = {
        { "a<esi:", NULL, 1 },
        { "a<esi:include src=\"/a\"", NULL, 1 },
        { "a<esi:include src=\"/a\"/", NULL, 1 },
        { "a<esi:remove>b", NULL, 1 },
        { "a<esi:remove>b</esi:remove", NULL, 1 },
        { "a<!--esi b", "a b", 1 },
        { "a<!--esi b--", "a b--", 1 },
        { "a<!--esi <esi:remove>b--", "a <esi:remove>b--", 2 },
        { "", "", 0 }
    };

    CHECK_ALL(cases);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        pages_without_esi_pass,
        includes_are_events,
        a_slash_may_lack,
        references_are_undone_once,
        what_is_removed_is_gone,
        a_comment_for_esi_is_opened,
        neither_comments_nor_removals_nest,
        malformed_markup_is_text,
        behind_malformed_markup_it_goes_on,
        what_the_end_cuts_off_is_text,
        NULL
    };

    return run_tests("esi_parser", tests);
}
