/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_esi_document.c: pages with ESI, their fragments, and what becomes of
 * them. The page is /p; what fragments hold stands in a table, a "!" in front
 * of it where it is no ESI. What is in no table has not come.
 */
#include "http_views.h"

#include "lib/esi_document.h"

#define PLENTY 1000000
#define INCLUDE(target) "<esi:include src=\"" target "\"/>"

typedef struct pair {
    const char *target;
    const char *text;
} pair;

static const pair nothing[] = { { NULL, NULL } };

static etg_bytes bytes_of(const char *text)
{
    etg_bytes bytes = { (const unsigned char *)text, strlen(text) };

    return bytes;
}

static etg_esi_page *make_page(const char *prefix, apr_uint64_t room)
{
    apr_array_header_t *prefixes = apr_array_make(pool, 1,
                                                  sizeof(const char *));
    etg_esi_origin origin = { "http", "x.org", "/p", prefixes };

    if (prefix != NULL) {
        APR_ARRAY_PUSH(prefixes, const char *) = prefix;
    }
    return etg_esi_page_make(&origin, room, pool);
}

/* In portions of `step` bytes, each gone afterwards. */
static void feed(etg_esi_page *page, const char *text, size_t step)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t length = step < left ? step : left;
        char *exact = malloc(length);
        etg_bytes portion = { (unsigned char *)exact, length };

        memcpy(exact, text, length);
        ck_assert_int_eq(etg_esi_page_feed(page, portion), APR_SUCCESS);
        memset(exact, 'x', length);
        free(exact);
        text += length;
        left -= length;
    }
}

static const etg_esi_fragment *row_at(const etg_esi_page *page, int i)
{
    return &APR_ARRAY_IDX(page->fragments, i, etg_esi_fragment);
}

static void fill_all(etg_esi_page *page, const pair *texts)
{
    for (int i = 0; i < page->fragments->nelts; i++) {
        for (const pair *each = texts; each->target != NULL; each++) {
            int is_esi = *each->text != '!';

            if (!strcmp(each->target, row_at(page, i)->target)) {
                ck_assert_int_eq(
                    etg_esi_fragment_fill(page, (unsigned)i,
                                          bytes_of(each->text + !is_esi),
                                          is_esi), APR_SUCCESS);
            }
        }
    }
}

static apr_status_t append(void *baton, etg_bytes text)
{
    const char **all = baton;

    ck_assert_uint_gt(text.length, 0);
    *all = apr_pstrcat(pool, *all,
                       apr_pstrmemdup(pool, (const char *)text.data,
                                      text.length), NULL);
    return APR_SUCCESS;
}

static const char *assembled(const etg_esi_page *page)
{
    const char *all = "";

    ck_assert_int_eq(etg_esi_page_assemble(page, append, &all), APR_SUCCESS);
    return all;
}

/* A page whose fragments have come, all below "/". */
static etg_esi_page *page_of(const char *text, const pair *texts)
{
    etg_esi_page *page = make_page("/", PLENTY);

    feed(page, text, PLENTY);
    ck_assert_int_eq(etg_esi_page_end(page), APR_SUCCESS);
    fill_all(page, texts);
    return page;
}

/* Its fragments as "target|alt!depth ...". */
static const char *rows_of(const etg_esi_page *page)
{
    const char *text = "";

    for (int i = 0; i < page->fragments->nelts; i++) {
        const etg_esi_fragment *row = row_at(page, i);

        text = apr_psprintf(pool, "%s%s%s%s%s%s%u", text,
                            i > 0 ? " " : "", row->target,
                            row->alt != NULL ? "|" : "",
                            row->alt != NULL ? row->alt : "",
                            row->is_continue ? "!" : ":", row->depth);
    }
    return text;
}

START_TEST(a_page_without_esi_comes_as_it_was)
{
    etg_esi_page *page = page_of("<p>a</p>", nothing);

    ck_assert_str_eq(assembled(page), "<p>a</p>");
    ck_assert_int_eq(page->fragments->nelts, 0);
    ck_assert_uint_eq(page->malformed + page->refused, 0);
    ck_assert_str_eq(assembled(page_of("", nothing)), "");
}
END_TEST

START_TEST(fragments_stand_in_their_places)
{
    static const pair texts[] = {
        { "/a", "A" }, { "/b", "!<esi:remove>B</esi:remove>" },
        { NULL, NULL }
    };
    etg_esi_page *page = page_of("1" INCLUDE("/a") INCLUDE("/b") "2"
                                 INCLUDE("/a") "<esi:remove>x</esi:remove>"
                                 INCLUDE("/c") "3", texts);

    ck_assert_str_eq(rows_of(page), "/a:1 /b:1 /c:1");
    ck_assert_ptr_null(row_at(page, 2)->document);
    ck_assert_str_eq(assembled(page), "1A<esi:remove>B</esi:remove>2A3");
}
END_TEST

START_TEST(portions_of_any_size_give_the_same)
{
    static const char text[] = "<p>1</p>" INCLUDE("/a") "<!--esi 2 -->"
        "<esi:include alt='/b' src='/c' onerror=\"continue\"/>"
        "<esi:include/><esi:include src='http://y.org/'/>" INCLUDE("/a");
    static const pair texts[] = {
        { "/a", "(" INCLUDE("/d") ")" }, { "/c", "C" }, { "/d", "D" },
        { NULL, NULL }
    };
    static const char becomes[] = "<p>1</p>(D) 2 C<esi:include/>"
        "<esi:include src='http://y.org/'/>(D)";

    for (size_t step = 1; step <= sizeof(text); step++) {
        etg_esi_page *page = make_page("/", PLENTY);

        feed(page, text, step);
        ck_assert_int_eq(etg_esi_page_end(page), APR_SUCCESS);
        fill_all(page, texts);
        ck_assert_str_eq(assembled(page), becomes);
        ck_assert_str_eq(rows_of(page), "/a:1 /c|/b!1 /d:2");
        ck_assert_uint_eq(page->malformed, 1);
        ck_assert_uint_eq(page->refused, 1);
        ck_assert_str_eq(page->refused_url, "http://y.org/");
    }
}
END_TEST

START_TEST(a_fragment_is_one_row_unless_it_fails_in_another_way)
{
    etg_esi_page *page = page_of(
        INCLUDE("/a") INCLUDE("http://x.org/a") INCLUDE("a#top")
        "<esi:include src='/a' alt='/b'/><esi:include src='/a' alt='/b'/>"
        "<esi:include src='/a' alt='/c'/>"
        "<esi:include src='/a' onerror='continue'/>", nothing);

    ck_assert_str_eq(rows_of(page), "/a:1 /a|/b:1 /a|/c:1 /a!1");
}
END_TEST

START_TEST(references_are_those_of_the_document_they_stand_in)
{
    static const pair texts[] = {
        { "/d/a", INCLUDE("b?x=1&amp;y=2") INCLUDE("../e") },
        { NULL, NULL }
    };

    ck_assert_str_eq(rows_of(page_of(INCLUDE("d/a"), texts)),
                     "/d/a:1 /d/b?x=1&y=2:2 /e:2");
}
END_TEST

START_TEST(references_in_what_came_from_alt_are_those_of_alt)
{
    etg_esi_page *page = page_of("<esi:include src='/d/a' alt='/e/b'/>",
                                 nothing);

    APR_ARRAY_IDX(page->fragments, 0, etg_esi_fragment).is_from_alt = 1;
    ck_assert_int_eq(etg_esi_fragment_fill(page, 0, bytes_of(INCLUDE("c")),
                                           1), APR_SUCCESS);
    ck_assert_str_eq(rows_of(page), "/d/a|/e/b:1 /e/c:2");
}
END_TEST

START_TEST(only_allowed_targets_are_asked_for)
{
    static const char text[] = INCLUDE("/a/1") INCLUDE("/b")
        "<esi:include src='/b' alt='/a/2'/>"
        "<esi:include src='/a/3' alt='/b'/>" INCLUDE("/a/../b");
    etg_esi_page *page = make_page("/a", PLENTY);
    etg_esi_page *none = make_page(NULL, PLENTY);

    feed(page, text, PLENTY);
    feed(none, text, PLENTY);
    ck_assert_str_eq(rows_of(page), "/a/1:1 /a/2:1 /a/3:1");
    ck_assert_uint_eq(page->refused, 2);
    ck_assert_str_eq(page->refused_url, "/b");
    ck_assert_str_eq(assembled(page), INCLUDE("/b") INCLUDE("/a/../b"));
    ck_assert_int_eq(none->fragments->nelts, 0);
    ck_assert_uint_eq(none->refused, 5);
    ck_assert_str_eq(assembled(none), text);
}
END_TEST

START_TEST(fragments_stand_three_deep_and_no_deeper)
{
    static const pair texts[] = {
        { "/1", "1" INCLUDE("/2") }, { "/2", "2" INCLUDE("/3") },
        { "/3", "3" INCLUDE("/4") "." }, { NULL, NULL }
    };
    etg_esi_page *page = page_of("0" INCLUDE("/1"), texts);

    ck_assert_str_eq(rows_of(page), "/1:1 /2:2 /3:3");
    ck_assert_str_eq(assembled(page), "0123" INCLUDE("/4") ".");
    ck_assert_uint_eq(page->refused, 1);
    ck_assert_str_eq(page->refused_url, "/4");
}
END_TEST

/* /3 is asked for at depth 1, and stands at depth 3, too. */
START_TEST(depth_is_that_of_the_place)
{
    static const pair texts[] = {
        { "/1", "1" INCLUDE("/2") }, { "/2", "2" INCLUDE("/3") },
        { "/3", "3" INCLUDE("/4") }, { "/4", "4" }, { NULL, NULL }
    };
    etg_esi_page *page = page_of(INCLUDE("/1") "," INCLUDE("/3"), texts);

    ck_assert_str_eq(rows_of(page), "/1:1 /3:1 /2:2 /4:2");
    ck_assert_str_eq(assembled(page), "123" INCLUDE("/4") ",34");
}
END_TEST

START_TEST(what_includes_itself_is_refused)
{
    static const pair texts[] = {
        { "/a", "a" INCLUDE("/a") INCLUDE("/p") },
        { "/p", "p" INCLUDE("/p") }, { NULL, NULL }
    };
    etg_esi_page *page = page_of(INCLUDE("/p") INCLUDE("/a"), texts);

    ck_assert_str_eq(rows_of(page), "/a:1 /p:2");
    ck_assert_str_eq(assembled(page), INCLUDE("/p") "a" INCLUDE("/a") "p"
                                      INCLUDE("/p"));
    ck_assert_uint_eq(page->refused, 3);
}
END_TEST

START_TEST(cycles_end_by_their_depth)
{
    static const pair texts[] = {
        { "/a", "a" INCLUDE("/b") }, { "/b", "b" INCLUDE("/a") },
        { NULL, NULL }
    };
    etg_esi_page *page = page_of(INCLUDE("/a"), texts);

    ck_assert_str_eq(rows_of(page), "/a:1 /b:2");
    ck_assert_str_eq(assembled(page), "aba" INCLUDE("/b"));
}
END_TEST

START_TEST(there_are_so_many_fragments_and_no_more)
{
    etg_esi_page *page = make_page("/", PLENTY);
    const char *last = NULL;

    for (int i = 0; i < ETG_ESI_FRAGMENTS_MAX + 2; i++) {
        last = apr_psprintf(pool, INCLUDE("/%d"), i);
        feed(page, last, PLENTY);
    }
    feed(page, INCLUDE("/1"), PLENTY);
    ck_assert_int_eq(page->fragments->nelts, ETG_ESI_FRAGMENTS_MAX);
    ck_assert_uint_eq(page->refused, 2);
    ck_assert_ptr_nonnull(strstr(assembled(page), last));
}
END_TEST

START_TEST(there_are_so_many_places_and_no_more)
{
    etg_esi_page *page = make_page("/", PLENTY);

    for (int i = 0; i < ETG_ESI_PLACES_MAX; i++) {
        feed(page, INCLUDE("/1"), PLENTY);
    }
    ck_assert_uint_eq(page->refused, 0);
    ck_assert_str_eq(assembled(page), "");
    feed(page, INCLUDE("/1"), PLENTY);
    ck_assert_uint_eq(page->refused, 1);
    ck_assert_str_eq(assembled(page), INCLUDE("/1"));
}
END_TEST

static const char *repeated(const char *text, int times)
{
    const char *all = "";

    while (times-- > 0) {
        all = apr_pstrcat(pool, all, text, NULL);
    }
    return all;
}

static apr_status_t take_two(void *baton, etg_bytes text)
{
    unsigned *calls = baton;

    (void)text;
    return ++*calls == 3 ? APR_EGENERAL : APR_SUCCESS;
}

START_TEST(few_bytes_that_name_a_lot_are_not_put_together)
{
    const pair texts[] = {
        { "/a", repeated(INCLUDE("/b"), 100) },
        { "/b", repeated(INCLUDE("/c"), 100) }, { "/c", "c" },
        { NULL, NULL }
    };
    unsigned calls = 0;
    etg_esi_page *page = page_of(repeated(INCLUDE("/a"), 100), texts);

    ck_assert_int_eq(etg_esi_page_assemble(page, take_two, &calls), APR_ENOSPC);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(a_fragment_in_many_places_does_not_make_much_of_little)
{
    const pair texts[] = { { "/a", repeated("!", 5000) }, { NULL, NULL } };
    etg_esi_page *page = make_page("/", 100000);
    unsigned calls = 0;

    feed(page, repeated(INCLUDE("/a"), 50), PLENTY);
    fill_all(page, texts);
    ck_assert_uint_eq(strlen(assembled(page)), 50 * 4999);
    feed(page, repeated(INCLUDE("/a"), 10), PLENTY);
    ck_assert_int_eq(etg_esi_page_assemble(page, take_two, &calls), APR_ENOSPC);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(putting_together_stops_where_the_taker_fails)
{
    static const pair texts[] = { { "/a", "a" }, { NULL, NULL } };
    unsigned calls = 0;
    etg_esi_page *page = page_of("1" INCLUDE("/a") "2" INCLUDE("/a") "3",
                                 texts);

    ck_assert_int_eq(etg_esi_page_assemble(page, take_two, &calls),
                     APR_EGENERAL);
    ck_assert_uint_eq(calls, 3);
}
END_TEST

START_TEST(room_is_for_texts_that_are_read)
{
    static const pair texts[] = { { "/a", "!whatever it is" },
                                  { NULL, NULL } };
    etg_esi_page *page = make_page("/", strlen("12" INCLUDE("/a")) + 4);

    feed(page, "12" INCLUDE("/a"), PLENTY);
    ck_assert_int_eq(etg_esi_page_feed(page, bytes_of("12345")), APR_ENOSPC);
    fill_all(page, texts);
    ck_assert_str_eq(assembled(page), "12whatever it is");
    ck_assert_int_eq(etg_esi_fragment_fill(page, 0, bytes_of("12345"), 1),
                     APR_ENOSPC);
    ck_assert_str_eq(assembled(page), "12whatever it is");
    ck_assert_int_eq(etg_esi_fragment_fill(page, 0, bytes_of("1234"), 1),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_esi_page_feed(page, bytes_of("1")), APR_ENOSPC);
    ck_assert_int_eq(etg_esi_page_end(page), APR_SUCCESS);
    ck_assert_str_eq(assembled(page), "121234");
}
END_TEST

START_TEST(a_page_may_go_on_with_room_anew)
{
    static const pair texts[] = { { "/a", "a" }, { "/b", "b" },
                                  { NULL, NULL } };
    etg_esi_page *page = make_page("/", PLENTY);
    apr_pool_t *p;

    apr_pool_create(&p, pool);
    feed(page, "1" INCLUDE("/a") "<esi:include src='http://y.org/'/>"
               "<esi:inc", PLENTY);
    fill_all(page, texts);
    ck_assert_str_eq(assembled(page),
                     "1a<esi:include src='http://y.org/'/>");
    etg_esi_page_go_on(page, PLENTY, p);
    feed(page, "lude src='/b'/>2<esi:include/>", PLENTY);
    fill_all(page, texts);
    ck_assert_str_eq(assembled(page), "b2<esi:include/>");
    ck_assert_str_eq(rows_of(page), "/b:1");
    etg_esi_page_go_on(page, 3, pool);
    apr_pool_destroy(p);
    ck_assert_int_eq(etg_esi_page_feed(page, bytes_of("1234")), APR_ENOSPC);
    feed(page, "3<e", PLENTY);
    ck_assert_int_eq(etg_esi_page_end(page), APR_SUCCESS);
    ck_assert_str_eq(assembled(page), "3<e");
    ck_assert_uint_eq(page->refused, 1);
    ck_assert_uint_eq(page->malformed, 1);
    ck_assert_str_eq(page->refused_url, "http://y.org/");
}
END_TEST

/* Many portions are few pieces. */
START_TEST(a_long_page_has_few_pieces)
{
    etg_esi_page *page = make_page("/", 10 * PLENTY);

    for (int i = 0; i < PLENTY / 10; i++) {
        feed(page, "0123456789", PLENTY);
    }
    ck_assert_int_lt(page->document->pieces->nelts, 40);
}
END_TEST

START_TEST(malformed_markup_is_counted_in_all_documents)
{
    static const pair texts[] = { { "/a", "<esi:include/><esi:x/>" },
                                  { NULL, NULL } };
    etg_esi_page *page = page_of("<esi:vars>" INCLUDE("/a") "<!--esi ",
                                 texts);

    ck_assert_uint_eq(page->malformed, 4);
    ck_assert_str_eq(assembled(page), "<esi:vars><esi:include/><esi:x/> ");
}
END_TEST

START_TEST(fields_that_announce_esi)
{
    static const char *const fields[] = {
        "content=\"ESI/1.0\"", "Content=\"esi/1.0\"",
        "max-age=30, content=\"ESI/1.0 ORACLE/1.0\"",
        "content=\"Surrogate/1.0 ESI/1.0\", no-store",
        "content=\"ESI/1.0\";etagere", "content=\"ESI/1.0\" ; Etagere",
        "content=\"ESI/1.0\";other;etagere",
        "content=\"X/1\", content=\"ESI/1.0\"",
        "content=\"\", , content=\"ESI/1.0\";etagere",
        "max-age=30+5;other, content=\"ESI/1.0\""
    };

    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        ck_assert_msg(etg_esi_is_announced(fields[i]), "%s", fields[i]);
    }
}
END_TEST

START_TEST(fields_that_announce_none)
{
    static const char *const fields[] = {
        "", ",", "content", "content=", "content=\"", "content=\"\"",
        "content=ESI/1.0", "content=\"ESI/1.0", "content=\"ESI/1.0\"x",
        "content=\"ESI/1.1\"", "content=\"ESI/1.0x\"", "content=\"xESI/1.0\"",
        "content=\"ESI/1.0\\\"\"", "content=\"\\ESI/1.0\"",
        "content =\"ESI/1.0\"", "content= \"ESI/1.0\"", "content='ESI/1.0'",
        "xcontent=\"ESI/1.0\"", "\"content=ESI/1.0\"", "ESI/1.0",
        "content=\"ESI/1.0\";other", "content=\"ESI/1.0\";",
        "content=\"ESI/1.0\";;etagere", "content=\"ESI/1.0\";eta gere",
        "content=\"ESI/1.0\";\"etagere\"", "content=\"ESI/1.0\";etagere;",
        "content=\"ESI/1.0\" etagere", "max-age=\"30, content=\"ESI/1.0\"",
        "no-store, max-age=30"
    };

    ck_assert(!etg_esi_is_announced(NULL));
    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        ck_assert_msg(!etg_esi_is_announced(fields[i]), "%s", fields[i]);
    }
}
END_TEST

START_TEST(html_is_known_by_its_type)
{
    ck_assert(etg_esi_is_html("text/html"));
    ck_assert(etg_esi_is_html("Text/HTML ; charset=utf-8"));
    ck_assert(etg_esi_is_html("application/xhtml+xml"));
    ck_assert(!etg_esi_is_html(NULL));
    ck_assert(!etg_esi_is_html(""));
    ck_assert(!etg_esi_is_html(";text/html"));
    ck_assert(!etg_esi_is_html("text/htmlx"));
    ck_assert(!etg_esi_is_html("text/plain; text/html"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_page_without_esi_comes_as_it_was,
        fragments_stand_in_their_places,
        portions_of_any_size_give_the_same,
        a_fragment_is_one_row_unless_it_fails_in_another_way,
        references_are_those_of_the_document_they_stand_in,
        references_in_what_came_from_alt_are_those_of_alt,
        only_allowed_targets_are_asked_for,
        fragments_stand_three_deep_and_no_deeper,
        depth_is_that_of_the_place,
        what_includes_itself_is_refused,
        cycles_end_by_their_depth,
        there_are_so_many_fragments_and_no_more,
        there_are_so_many_places_and_no_more,
        few_bytes_that_name_a_lot_are_not_put_together,
        a_fragment_in_many_places_does_not_make_much_of_little,
        putting_together_stops_where_the_taker_fails,
        room_is_for_texts_that_are_read,
        a_page_may_go_on_with_room_anew,
        a_long_page_has_few_pieces,
        malformed_markup_is_counted_in_all_documents,
        fields_that_announce_esi,
        fields_that_announce_none,
        html_is_known_by_its_type,
        NULL
    };

    return run_tests("esi_document", tests);
}
