/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_pages.h: pages with ESI in portions, and what comes out of them. An
 * include is written as {src}, {src|alt}, and with a "!" in front of the "}"
 * for onerror="continue".
 */
#ifndef ETG_TEST_UNIT_ESI_PAGES_H
#define ETG_TEST_UNIT_ESI_PAGES_H

#include "http_views.h"

#include "lib/esi_parser.h"

typedef struct paging {
    const char *page;
    const char *becomes;        /* NULL: the same */
    unsigned malformed;
} paging;

/* What came out so far; and what may be asked of the taker. */
typedef struct outcome {
    char *text;
    size_t length;
    size_t size;
    unsigned events;
    unsigned fails_at;          /* the event; 0: none */
} outcome;

static inline void put(outcome *out, const void *data, size_t length)
{
    if (out->length + length + 1 > out->size) {
        out->size = 2 * (out->length + length + 1);
        out->text = realloc(out->text, out->size);
        ck_assert_ptr_nonnull(out->text);
    }
    memcpy(out->text + out->length, data, length);
    out->length += length;
    out->text[out->length] = '\0';
}

static inline apr_status_t take(void *baton, const etg_esi_event *event)
{
    outcome *out = baton;

    if (++out->events == out->fails_at) {
        return APR_EGENERAL;
    }
    if (event->kind == ETG_ESI_TEXT) {
        ck_assert_uint_gt(event->text.length, 0);
        put(out, event->text.data, event->text.length);
    }
    else {
        const char *text = apr_pstrcat(pool, "{", event->src,
                                       event->alt != NULL ? "|" : "",
                                       event->alt != NULL ? event->alt : "",
                                       event->is_continue ? "!}" : "}", NULL);

        ck_assert_uint_gt(event->text.length, strlen("<esi:include>"));
        ck_assert_int_eq(memcmp(event->text.data, "<esi:include", 12), 0);
        ck_assert_int_eq(event->text.data[event->text.length - 1], '>');
        put(out, text, strlen(text));
    }
    return APR_SUCCESS;
}

/* A portion in a block of its own, which is gone afterwards. */
static inline apr_status_t feed(etg_esi_parser *parser, const char *data,
                                size_t length)
{
    unsigned char *exact = malloc(length > 0 ? length : 1);
    etg_bytes portion = { exact, length };
    apr_status_t rv;

    memcpy(exact, data, length);
    rv = etg_esi_parser_feed(parser, portion);
    memset(exact, 'x', length);
    free(exact);
    return rv;
}

/* In portions of `step` bytes, the first of `first`; into *out, malformed. */
static inline unsigned parse(const char *page, size_t length, size_t first,
                             size_t step, outcome *out)
{
    etg_esi_parser *parser = etg_esi_parser_make(take, out, pool);
    size_t at = 0;

    out->length = 0;
    put(out, "", 0);
    while (at < length) {
        size_t most = at == 0 ? first : step;
        size_t portion = most < length - at ? most : length - at;

        ck_assert_int_eq(feed(parser, page + at, portion), APR_SUCCESS);
        at += portion;
        if (portion == 0) {
            first = step;
        }
    }
    ck_assert_int_eq(etg_esi_parser_end(parser), APR_SUCCESS);
    return etg_esi_parser_malformed(parser);
}

#endif
