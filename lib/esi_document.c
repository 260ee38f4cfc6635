/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_document.c: reads pages with ESI into documents, and puts them together.
 *
 * A fragment is one row wherever it stands, so that a page never shows two
 * states of it. So documents are no tree: one may stand in what it holds. How
 * deep a place is shows only when the page is put together, and there a cycle
 * ends. What that gives is counted first, as few bytes can name a lot.
 *
 * Room is taken for every byte that is read, whatever becomes of it: no byte
 * comes out of the parser that was not paid for, and it never has to stop in
 * the middle. Texts are copied to blocks that grow with their document, so it
 * has few of them, however small the portions are.
 */
#include "lib/esi_document.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/allowed_target.h"
#include "lib/esi_parser.h"
#include "lib/field_list.h"

#define BLOCK_BYTES 8192        /* at least */

/* A document as it is read. */
typedef struct etg_esi_reading {
    etg_esi_page *page;
    etg_esi_document *document;
    etg_esi_parser *parser;
    apr_pool_t *scratch;        /* for one include */
    const char *base;           /* of references in it */
    unsigned depth;             /* of the fragments in it */
    unsigned malformed;         /* those that page->malformed has of it */
    unsigned char *free;        /* the rest of the last block */
    apr_size_t left;
    apr_size_t used;            /* of all blocks */
} etg_esi_reading;

/* What a document comes to, with all that stands in it. */
typedef struct text_sum {
    apr_uint64_t texts;         /* 0: it is not known yet */
    apr_uint64_t bytes;
} text_sum;

/* By where a document stands: row 0 is the page, then fragments. */
typedef text_sum text_sums[1 + ETG_ESI_FRAGMENTS_MAX][1 + ETG_ESI_DEPTH_MAX];

static apr_uint64_t most_of(apr_uint64_t room);
static void begin_document(etg_esi_page *page);
static etg_esi_reading *begin_reading(etg_esi_page *page, const char *base,
                                      unsigned depth, apr_pool_t *p);
static apr_status_t read_portion(etg_esi_reading *reading, etg_bytes portion);
static apr_status_t end_reading(etg_esi_reading *reading);
static void note_malformed(etg_esi_reading *reading);
static apr_status_t take_event(void *baton, const etg_esi_event *event);
static void take_include(etg_esi_reading *reading,
                         const etg_esi_event *event);
static void refuse(etg_esi_reading *reading, const etg_esi_event *event);
static const char *allowed(const etg_esi_reading *reading, const char *url);
static int row_of(etg_esi_reading *reading, const char *target,
                  const char *alt, int is_continue);
static int is_same(const char *a, const char *b);
static void put_place(etg_esi_reading *reading, int row, etg_bytes markup);
static void put_text(etg_esi_reading *reading, etg_bytes text);
static void put_run(etg_esi_reading *reading, etg_bytes run);
static void make_block(etg_esi_reading *reading, apr_size_t least);
static etg_bytes put_bytes(etg_esi_reading *reading, etg_bytes bytes);
static etg_esi_piece *last_piece(const etg_esi_document *document);
static etg_esi_document *make_document(apr_pool_t *p);
static text_sum count_texts(const etg_esi_page *page, int row,
                            unsigned depth, text_sums sums);
static apr_uint64_t sum_of(apr_uint64_t a, apr_uint64_t b);
static const etg_esi_document *document_at(const etg_esi_page *page, int row);
static apr_status_t assemble(const etg_esi_page *page, int row,
                             unsigned depth, etg_esi_take_text *take,
                             void *baton);
static int is_announcement(etg_bytes directive);
static int take_quoted(etg_bytes *rest, etg_bytes *text);
static int has_word(etg_bytes text, const char *word);
static int is_for_us(etg_bytes rest);
static void skip(etg_bytes *text, apr_size_t length);

etg_esi_page *etg_esi_page_make(const etg_esi_origin *origin,
                                apr_uint64_t room, apr_pool_t *p)
{
    etg_esi_page *page = apr_pcalloc(p, sizeof(*page));

    page->pool = p;
    page->whole_pool = p;
    page->origin = *origin;
    page->room = room;
    page->most = most_of(room);
    page->reading = begin_reading(page, origin->target, 1, p);
    begin_document(page);
    return page;
}

/* Its text, as much of fragments, and what the parser may have kept of the
 * text before: so what stands there once always fits. */
static apr_uint64_t most_of(apr_uint64_t room)
{
    return sum_of(sum_of(room, room), ETG_ESI_REMOVE_MAX + ETG_ESI_TAG_MAX);
}

/* In the pool of the page as it is now. */
static void begin_document(etg_esi_page *page)
{
    page->fragments = apr_array_make(page->pool, 8,
                                     sizeof(etg_esi_fragment));
    page->document = make_document(page->pool);
    page->reading->document = page->document;
    page->reading->left = 0;
    page->reading->used = 0;
    page->places = 0;
}

apr_status_t etg_esi_page_feed(etg_esi_page *page, etg_bytes portion)
{
    return read_portion(page->reading, portion);
}

apr_status_t etg_esi_page_end(etg_esi_page *page)
{
    return end_reading(page->reading);
}

void etg_esi_page_go_on(etg_esi_page *page, apr_uint64_t room, apr_pool_t *p)
{
    page->pool = p;
    page->room = room;
    page->most = most_of(room);
    begin_document(page);
}

apr_status_t etg_esi_fragment_fill(etg_esi_page *page, unsigned fragment,
                                   etg_bytes text, int is_esi)
{
    etg_esi_fragment row = APR_ARRAY_IDX(page->fragments, (int)fragment,
                                         etg_esi_fragment);
    etg_esi_document *document = make_document(page->pool);
    apr_status_t rv = APR_SUCCESS;

    if (is_esi) {
        apr_pool_t *p;
        etg_esi_reading *reading;

        apr_pool_create(&p, page->pool);
        reading = begin_reading(page, row.is_from_alt && row.alt != NULL
                                      ? row.alt : row.target,
                                row.depth + 1, p);
        reading->document = document;
        rv = read_portion(reading, text);
        if (rv == APR_SUCCESS) {
            rv = end_reading(reading);
        }
        apr_pool_destroy(p);
    }
    else {
        etg_esi_piece piece = { .text = text, .fragment = -1 };

        APR_ARRAY_PUSH(document->pieces, etg_esi_piece) = piece;
    }
    if (rv == APR_SUCCESS) {
        APR_ARRAY_IDX(page->fragments, (int)fragment,
                      etg_esi_fragment).document = document;
    }
    return rv;
}

static etg_esi_reading *begin_reading(etg_esi_page *page, const char *base,
                                      unsigned depth, apr_pool_t *p)
{
    etg_esi_reading *reading = apr_pcalloc(p, sizeof(*reading));

    reading->page = page;
    reading->base = base;
    reading->depth = depth;
    reading->parser = etg_esi_parser_make(take_event, reading, p);
    apr_pool_create(&reading->scratch, p);
    return reading;
}

static apr_status_t read_portion(etg_esi_reading *reading, etg_bytes portion)
{
    apr_status_t rv;

    if (portion.length > reading->page->room) {
        return APR_ENOSPC;
    }
    reading->page->room -= portion.length;
    rv = etg_esi_parser_feed(reading->parser, portion);
    note_malformed(reading);
    return rv;
}

static apr_status_t end_reading(etg_esi_reading *reading)
{
    apr_status_t rv = etg_esi_parser_end(reading->parser);

    note_malformed(reading);
    return rv;
}

static void note_malformed(etg_esi_reading *reading)
{
    unsigned malformed = etg_esi_parser_malformed(reading->parser);

    reading->page->malformed += malformed - reading->malformed;
    reading->malformed = malformed;
}

static apr_status_t take_event(void *baton, const etg_esi_event *event)
{
    etg_esi_reading *reading = baton;

    if (event->kind == ETG_ESI_INCLUDE) {
        take_include(reading, event);
        apr_pool_clear(reading->scratch);
    }
    else {
        put_text(reading, event->text);
    }
    return APR_SUCCESS;
}

static void take_include(etg_esi_reading *reading,
                         const etg_esi_event *event)
{
    const char *target = allowed(reading, event->src);
    const char *alt = event->alt != NULL ? allowed(reading, event->alt)
                                         : NULL;
    int row;

    if (target == NULL) {
        target = alt;
        alt = NULL;
    }
    row = target != NULL ? row_of(reading, target, alt, event->is_continue)
                         : -1;
    if (row >= 0) {
        put_place(reading, row, event->text);
    }
    else {
        refuse(reading, event);
    }
}

static void refuse(etg_esi_reading *reading, const etg_esi_event *event)
{
    etg_esi_page *page = reading->page;

    page->refused++;
    if (page->refused_url == NULL) {
        page->refused_url = apr_pstrdup(page->whole_pool, event->src);
    }
    put_text(reading, event->text);
}

/* The target that may be asked for; or NULL. */
static const char *allowed(const etg_esi_reading *reading, const char *url)
{
    const etg_esi_origin *origin = &reading->page->origin;

    return etg_allowed_target(url, origin->scheme, origin->host,
                              reading->base, origin->prefixes,
                              reading->scratch);
}

/* The row of a fragment, a new one if it is needed; -1: there may be none. */
static int row_of(etg_esi_reading *reading, const char *target,
                  const char *alt, int is_continue)
{
    etg_esi_page *page = reading->page;
    etg_esi_fragment row = { .is_continue = is_continue,
                             .depth = reading->depth };

    if (reading->depth > ETG_ESI_DEPTH_MAX
        || page->places == ETG_ESI_PLACES_MAX) {
        return -1;
    }
    for (int i = 0; i < page->fragments->nelts; i++) {
        const etg_esi_fragment *known = &APR_ARRAY_IDX(page->fragments, i,
                                                       etg_esi_fragment);

        if (!strcmp(known->target, target) && is_same(known->alt, alt)
            && known->is_continue == is_continue) {
            return i;
        }
    }
    if (page->fragments->nelts == ETG_ESI_FRAGMENTS_MAX) {
        return -1;
    }
    row.target = apr_pstrdup(page->pool, target);
    row.alt = apr_pstrdup(page->pool, alt);
    APR_ARRAY_PUSH(page->fragments, etg_esi_fragment) = row;
    return page->fragments->nelts - 1;
}

static int is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : !strcmp(a, b);
}

static void put_place(etg_esi_reading *reading, int row, etg_bytes markup)
{
    etg_esi_piece *last = last_piece(reading->document);
    etg_esi_piece none = { .fragment = -1 };

    reading->page->places++;
    if (last == NULL || last->fragment >= 0) {
        APR_ARRAY_PUSH(reading->document->pieces, etg_esi_piece) = none;
        last = last_piece(reading->document);
    }
    last->fragment = row;
    last->markup = put_bytes(reading, markup);
}

static void put_text(etg_esi_reading *reading, etg_bytes text)
{
    while (text.length > 0) {
        etg_bytes run = text;

        if (reading->left == 0) {
            make_block(reading, text.length);
        }
        if (run.length > reading->left) {
            run.length = reading->left;
        }
        put_run(reading, run);
        skip(&text, run.length);
    }
}

/* Text for which the block has space; in one with what stands before it. */
static void put_run(etg_esi_reading *reading, etg_bytes run)
{
    etg_esi_piece *last = last_piece(reading->document);
    etg_bytes copy = put_bytes(reading, run);

    if (last != NULL && last->fragment < 0
        && last->text.data + last->text.length == copy.data) {
        last->text.length += copy.length;
    }
    else {
        etg_esi_piece piece = { .text = copy, .fragment = -1 };

        APR_ARRAY_PUSH(reading->document->pieces, etg_esi_piece) = piece;
    }
}

static void make_block(etg_esi_reading *reading, apr_size_t least)
{
    apr_size_t size = reading->used / 4;

    size = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    size = size > least ? size : least;
    reading->free = apr_palloc(reading->page->pool, size);
    reading->left = size;
}

/* A copy in one run. */
static etg_bytes put_bytes(etg_esi_reading *reading, etg_bytes bytes)
{
    etg_bytes copy;

    if (reading->left < bytes.length) {
        make_block(reading, bytes.length);
    }
    copy.data = reading->free;
    copy.length = bytes.length;
    memcpy(reading->free, bytes.data, bytes.length);
    reading->free += bytes.length;
    reading->left -= bytes.length;
    reading->used += bytes.length;
    return copy;
}

static etg_esi_piece *last_piece(const etg_esi_document *document)
{
    const apr_array_header_t *pieces = document->pieces;

    return pieces->nelts == 0 ? NULL
           : &APR_ARRAY_IDX(pieces, pieces->nelts - 1, etg_esi_piece);
}

static etg_esi_document *make_document(apr_pool_t *p)
{
    etg_esi_document *document = apr_palloc(p, sizeof(*document));

    document->pieces = apr_array_make(p, 4, sizeof(etg_esi_piece));
    return document;
}

apr_status_t etg_esi_page_assemble(const etg_esi_page *page,
                                   etg_esi_take_text *take, void *baton)
{
    text_sums sums;
    text_sum whole;

    memset(sums, 0, sizeof(sums));
    whole = count_texts(page, -1, 0, sums);
    if (whole.texts > ETG_ESI_TEXTS_MAX || whole.bytes > page->most) {
        return APR_ENOSPC;
    }
    return assemble(page, -1, 0, take, baton);
}

/* Each piece as one text, so that a place where nothing stands is one, too.
 * Their number cannot overflow: PLACES_MAX and the pool bound it. */
static text_sum count_texts(const etg_esi_page *page, int row,
                            unsigned depth, text_sums sums)
{
    const etg_esi_document *document = document_at(page, row);
    text_sum sum = { 1, 0 };

    if (document == NULL || sums[row + 1][depth].texts > 0) {
        return document == NULL ? sum : sums[row + 1][depth];
    }
    for (int i = 0; i < document->pieces->nelts; i++) {
        const etg_esi_piece *piece = &APR_ARRAY_IDX(document->pieces, i,
                                                    etg_esi_piece);
        text_sum inner = { 0, piece->fragment >= 0 ? piece->markup.length
                                                   : 0 };

        if (piece->fragment >= 0 && depth < ETG_ESI_DEPTH_MAX) {
            inner = count_texts(page, piece->fragment, depth + 1, sums);
        }
        sum.texts += 1 + inner.texts;
        sum.bytes = sum_of(sum.bytes, sum_of(piece->text.length,
                                             inner.bytes));
    }
    sums[row + 1][depth] = sum;
    return sum;
}

/* No more than there are numbers for. */
static apr_uint64_t sum_of(apr_uint64_t a, apr_uint64_t b)
{
    return a > APR_UINT64_MAX - b ? APR_UINT64_MAX : a + b;
}

/* Of a fragment, or of the page (-1). */
static const etg_esi_document *document_at(const etg_esi_page *page, int row)
{
    return row < 0 ? page->document
           : APR_ARRAY_IDX(page->fragments, row, etg_esi_fragment).document;
}

static apr_status_t assemble(const etg_esi_page *page, int row,
                             unsigned depth, etg_esi_take_text *take,
                             void *baton)
{
    const etg_esi_document *document = document_at(page, row);
    apr_status_t rv = APR_SUCCESS;
    int count = document != NULL ? document->pieces->nelts : 0;

    for (int i = 0; i < count && rv == APR_SUCCESS; i++) {
        const etg_esi_piece *piece = &APR_ARRAY_IDX(document->pieces, i,
                                                    etg_esi_piece);

        if (piece->text.length > 0) {
            rv = take(baton, piece->text);
        }
        if (rv == APR_SUCCESS && piece->fragment >= 0) {
            rv = depth < ETG_ESI_DEPTH_MAX
                 ? assemble(page, piece->fragment, depth + 1, take, baton)
                 : take(baton, piece->markup);
        }
    }
    return rv;
}

int etg_esi_is_announced(const char *surrogate_control)
{
    etg_bytes rest = etg_bytes_of(surrogate_control);
    etg_bytes directive;

    while (etg_list_next(&rest, &directive)) {
        if (is_announcement(directive)) {
            return 1;
        }
    }
    return 0;
}

/* content="..." and maybe names of those it is for */
static int is_announcement(etg_bytes directive)
{
    etg_bytes name = directive;
    etg_bytes content;

    for (name.length = 0; name.length < directive.length
         && etg_is_token_byte(directive.data[name.length]); name.length++) {
    }
    skip(&directive, name.length);
    if (!etg_bytes_is(name, "content") || directive.length == 0
        || directive.data[0] != '=') {
        return 0;
    }
    skip(&directive, 1);
    return take_quoted(&directive, &content) && has_word(content, "ESI/1.0")
           && is_for_us(directive);
}

/* Takes a quoted string off; a "\" in it stays, and no word has one. */
static int take_quoted(etg_bytes *rest, etg_bytes *text)
{
    const unsigned char *end = rest->length > 1 && rest->data[0] == '"'
        ? memchr(rest->data + 1, '"', rest->length - 1) : NULL;

    if (end == NULL) {
        return 0;
    }
    text->data = rest->data + 1;
    text->length = (apr_size_t)(end - text->data);
    skip(rest, text->length + 2);
    return 1;
}

/* Among words with white space or commas between them. */
static int has_word(etg_bytes text, const char *word)
{
    while (text.length > 0) {
        etg_bytes each = text;

        for (each.length = 0; each.length < text.length
             && strchr(" \t,", text.data[each.length]) == NULL;
             each.length++) {
        }
        if (etg_bytes_is(each, word)) {
            return 1;
        }
        skip(&text, each.length + (each.length < text.length));
    }
    return 0;
}

/* No names, or ours among them: *( ";" token ) */
static int is_for_us(etg_bytes rest)
{
    int is_ours = 0;
    int is_named = 0;

    rest = etg_bytes_trim(rest);
    while (rest.length > 0 && rest.data[0] == ';') {
        etg_bytes name;
        const unsigned char *end;

        skip(&rest, 1);
        end = rest.length > 0 ? memchr(rest.data, ';', rest.length) : NULL;
        name.data = rest.data;
        name.length = end != NULL ? (apr_size_t)(end - rest.data)
                                  : rest.length;
        skip(&rest, name.length);
        name = etg_bytes_trim(name);
        if (!etg_is_token(name)) {
            return 0;
        }
        is_named = 1;
        is_ours |= etg_bytes_is(name, ETG_ESI_DEVICE);
    }
    return rest.length == 0 && (is_ours || !is_named);
}

int etg_esi_is_html(const char *content_type)
{
    etg_bytes type = etg_bytes_of(content_type);
    const unsigned char *end = type.length > 0
        ? memchr(type.data, ';', type.length) : NULL;

    if (end != NULL) {
        type.length = (apr_size_t)(end - type.data);
    }
    type = etg_bytes_trim(type);
    return etg_bytes_is(type, "text/html")
           || etg_bytes_is(type, "application/xhtml+xml");
}

static void skip(etg_bytes *text, apr_size_t length)
{
    text->data += length;
    text->length -= length;
}
