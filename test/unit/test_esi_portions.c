/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_esi_portions.c: how much is kept between portions, and that it makes
 * no difference how they are cut. Random pages are made of pieces together
 * with what they become, and cut at random (ETG_TEST_SEED gives others).
 */
#include "esi_pages.h"

#include <apr_errno.h>

#define RANDOM_PAGES 600
#define PIECES_MAX 12
#define CUTTINGS 3

static apr_uint64_t seed;

/* xorshift64*: the same sequence everywhere. */
static unsigned below(size_t limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * APR_UINT64_C(2685821657736338717)) >> 33)
           % (unsigned)limit;
}

static void sow(void)
{
    const char *wanted = getenv("ETG_TEST_SEED");

    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : 20261123;
    seed += seed == 0;
}

/* The text between two others, so many times. */
static char *filled(const char *before, char fill, size_t count,
                    const char *behind)
{
    size_t first = strlen(before);
    char *text = apr_palloc(pool, first + count + strlen(behind) + 1);

    memcpy(text, before, first);
    memset(text + first, fill, count);
    strcpy(text + first + count, behind);
    return text;
}

static void check_filled(const char *page, const char *becomes,
                         unsigned malformed)
{
    static const size_t steps[] = { 61, 4096, 1000000 };
    outcome out = { NULL, 0, 0, 0, 0 };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        ck_assert_uint_eq(parse(page, strlen(page), steps[i], steps[i], &out),
                          malformed);
        ck_assert(strcmp(out.text, becomes) == 0);
    }
    free(out.text);
}

START_TEST(tags_are_bounded)
{
    static const char before[] = "a<esi:comment text=\"";
    static const char behind[] = "\"/><esi:include src=\"/a\"/>";
    size_t most = ETG_ESI_TAG_MAX - strlen("<esi:comment text=\"\"/>");
    const char *longer = filled(before, 'b', most + 1, behind);
    const char *text = filled(before, 'b', most + 1, "\"/>{/a}");

    check_filled(filled(before, 'b', most, behind), "a{/a}", 0);
    check_filled(longer, text, 1);
    check_filled(filled("<esi:include ", ' ', 3 * ETG_ESI_TAG_MAX, "x"),
                 filled("<esi:include ", ' ', 3 * ETG_ESI_TAG_MAX, "x"), 1);
}
END_TEST

START_TEST(urls_are_bounded)
{
    static const char before[] = "<esi:include src=\"";
    const char *longer = filled(before, 'b', ETG_ESI_URL_MAX + 1, "\"/>");

    check_filled(filled(before, 'b', ETG_ESI_URL_MAX, "\"/>"),
                 filled("{", 'b', ETG_ESI_URL_MAX, "}"), 0);
    check_filled(longer, longer, 1);
    longer = filled("<esi:include src=\"/a\" alt=\"", 'b',
                    ETG_ESI_URL_MAX + 1, "\"/>");
    check_filled(longer, longer, 1);
}
END_TEST

START_TEST(removals_are_bounded)
{
    static const char before[] = "a<esi:remove>";
    static const char behind[] = "</esi:remove>c";
    size_t most = ETG_ESI_REMOVE_MAX - strlen("<esi:remove></esi:remove>");
    const char *longer = filled(before, 'b', most + 1, behind);

    check_filled(filled(before, 'b', most, behind), "ac", 0);
    check_filled(longer, longer, 1);
}
END_TEST

/* Of a beginning without an end, in portions of some length. */
static void check_kept(const char *begin, const char *more, size_t most)
{
    outcome out = { NULL, 0, 0, 0, 0 };
    etg_esi_parser *parser = etg_esi_parser_make(take, &out, pool);
    size_t length = strlen(begin);
    char portion[211 + 16];
    size_t step = 0;

    ck_assert_int_eq(feed(parser, begin, length), APR_SUCCESS);
    while (step < 211) {
        strcpy(portion + step, more);
        step += strlen(more);
    }
    while (length < 3 * ETG_ESI_REMOVE_MAX) {
        ck_assert_int_eq(feed(parser, portion, step), APR_SUCCESS);
        length += step;
        ck_assert_uint_le(length - out.length, most);
    }
    free(out.text);
}

START_TEST(no_more_than_one_tag_or_removal_is_kept)
{
    check_kept("<esi:remove>", "a", ETG_ESI_REMOVE_MAX);
    check_kept("<esi:remove>", "<esi:remove>", ETG_ESI_REMOVE_MAX);
    check_kept("<esi:include src=\"", "a", ETG_ESI_TAG_MAX);
    check_kept("<esi:include", " a='b'", ETG_ESI_TAG_MAX);
    check_kept("</esi:", "a", ETG_ESI_TAG_MAX);
    check_kept("<", "esi:", ETG_ESI_TAG_MAX);
    check_kept("<!--esi -", "-", strlen("<!--esi --"));
    check_kept("<!--esi", "-", strlen("<!--esi"));
}
END_TEST

START_TEST(zero_bytes_are_bytes)
{
    static const char page[] = "a\0<esi:include src=\"/a\"/>\0<esi:remove>\0"
                               "</esi:remove><esi:include src=\"/\0\"/>";
    static const char text[] = "a\0{/a}\0<esi:include src=\"/\0\"/>";
    outcome out = { NULL, 0, 0, 0, 0 };

    for (size_t step = 1; step < sizeof(page); step++) {
        ck_assert_uint_eq(parse(page, sizeof(page) - 1, step, step, &out), 1);
        ck_assert_uint_eq(out.length, sizeof(text) - 1);
        ck_assert_mem_eq(out.text, text, sizeof(text) - 1);
    }
    free(out.text);
}
END_TEST

START_TEST(a_takers_failure_ends_the_parsing)
{
    const char *page = "a<esi:include src=\"/a\"/>b<esi:remove>c"
                       "</esi:remove>d<esi:include src=\"/b\"/>e";

    for (unsigned event = 1; event <= 6; event++) {
        outcome out = { NULL, 0, 0, 0, event };
        etg_esi_parser *parser = etg_esi_parser_make(take, &out, pool);

        put(&out, "", 0);
        ck_assert_int_eq(feed(parser, page, strlen(page)), APR_EGENERAL);
        ck_assert_uint_eq(out.events, event);
        ck_assert_int_eq(feed(parser, page, strlen(page)), APR_EGENERAL);
        ck_assert_int_eq(feed(parser, page, 0), APR_EGENERAL);
        ck_assert_int_eq(etg_esi_parser_end(parser), APR_EGENERAL);
        ck_assert_uint_eq(out.events, event);
        free(out.text);
    }
}
END_TEST

static apr_status_t take_in_place(void *baton, const etg_esi_event *event)
{
    const etg_bytes *portion = baton;

    if (event->kind == ETG_ESI_TEXT) {
        ck_assert(event->text.data >= portion->data
                  && event->text.data + event->text.length
                     <= portion->data + portion->length);
    }
    return APR_SUCCESS;
}

START_TEST(text_of_a_portion_is_not_copied)
{
    const char *page = "a<p>b</p><esi:include src=\"/a\"/>c<!--esi d --> "
                       "<esi:x><esi:remove>e</esi:remove>f-";
    etg_bytes portion = { (const unsigned char *)page, strlen(page) };
    etg_esi_parser *parser = etg_esi_parser_make(take_in_place, &portion,
                                                 pool);

    ck_assert_int_eq(etg_esi_parser_feed(parser, portion), APR_SUCCESS);
    ck_assert_int_eq(etg_esi_parser_end(parser), APR_SUCCESS);
}
END_TEST

/* None of them leaves anything open behind it. */
static const paging pieces[] = {
    { "plain text ", NULL, 0 },
    { "<p>1 < 2</p>", NULL, 0 },
    { "<!- - x - ->", NULL, 0 },
    { "<!--essay ", NULL, 0 },
    { "<e", NULL, 0 },
    { "- ", NULL, 0 },
    { "-- ", NULL, 0 },
    { "</es", NULL, 0 },
    { "<esi:include src=\"/a?b=c&amp;d\"/>", "{/a?b=c&d}", 0 },
    { "<esi:include alt='/b' onerror='continue' src='/a' />", "{/a|/b!}", 0 },
    { "<esi:include src=\"/a\"></esi:include>", "{/a}", 0 },
    { "<esi:comment text=\"- <\"", NULL, 1 },
    { "<esi:comment text=\"'>\"/>", "", 0 },
    { "<esi:remove>a</esi:remove>", "", 0 },
    { "<esi:remove>a<esi:include src=\"/a\"/></esi:remove >", "", 0 },
    { "<esi:vars>", NULL, 1 },
    { "</esi:remove>", NULL, 1 },
    { "<esi:include src=\"/a b\"/>", NULL, 1 },
    { "<esi:include src=/a>", NULL, 1 }
};

typedef struct random_page {
    char page[4096];
    char becomes[4096];
    unsigned malformed;
} random_page;

static void make_page(random_page *made)
{
    int is_in_comment = 0;

    memset(made, 0, sizeof(*made));
    for (unsigned i = 1 + below(PIECES_MAX); i > 0; i--) {
        const paging *piece = &pieces[below(sizeof(pieces)
                                            / sizeof(pieces[0]))];

        strcat(made->page, piece->page);
        strcat(made->becomes, piece->becomes != NULL ? piece->becomes
                                                     : piece->page);
        made->malformed += piece->malformed;
        if (below(4) == 0) {
            strcat(made->page, is_in_comment ? "-->" : "<!--esi ");
            strcat(made->becomes, is_in_comment ? "" : " ");
            is_in_comment = !is_in_comment;
        }
    }
    made->malformed += (unsigned)is_in_comment;
}

static unsigned parse_in_pieces(const char *page, outcome *out)
{
    etg_esi_parser *parser = etg_esi_parser_make(take, out, pool);
    size_t length = strlen(page);
    size_t most = 1 + below(length);

    out->length = 0;
    put(out, "", 0);
    while (length > 0) {
        size_t portion = below(most + 1);

        portion = portion < length ? portion : length;
        ck_assert_int_eq(feed(parser, page, portion), APR_SUCCESS);
        page += portion;
        length -= portion;
    }
    ck_assert_int_eq(etg_esi_parser_end(parser), APR_SUCCESS);
    return etg_esi_parser_malformed(parser);
}

START_TEST(random_pages_become_what_they_were_made_to_however_cut)
{
    apr_pool_t *whole = pool;
    outcome out = { NULL, 0, 0, 0, 0 };

    sow();
    for (unsigned i = 0; i < RANDOM_PAGES; i++) {
        random_page made;

        apr_pool_create(&pool, whole);
        make_page(&made);
        for (unsigned j = 0; j < CUTTINGS; j++) {
            ck_assert_msg(parse_in_pieces(made.page, &out) == made.malformed,
                          "%s", made.page);
            ck_assert_str_eq(out.text, made.becomes);
        }
        apr_pool_destroy(pool);
    }
    pool = whole;
    free(out.text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        tags_are_bounded,
        urls_are_bounded,
        removals_are_bounded,
        no_more_than_one_tag_or_removal_is_kept,
        zero_bytes_are_bytes,
        a_takers_failure_ends_the_parsing,
        text_of_a_portion_is_not_copied,
        random_pages_become_what_they_were_made_to_however_cut,
        NULL
    };

    return run_tests("esi_portions", tests);
}
