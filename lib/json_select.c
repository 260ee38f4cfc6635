/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_select.c: rows of time and id out of a JSON text.
 *
 * One document, a walk for the times, which makes the rows, and a walk for
 * the ids, which fills them. Copies go to the caller's pool as they are found,
 * and what they take in all is limited: a short text with one long name and
 * many elements below it has places of any size.
 */
#include "lib/json_select.h"

#include <apr_strings.h>

typedef struct collector {
    apr_pool_t *pool;
    apr_array_header_t *rows;
    apr_size_t bytes_left;
    int next_id;
    etg_json_selection outcome;     /* as long as it lasts: SELECTED */
} collector;

static etg_json_selection select_rows(const etg_json_document *document,
                                      const char *times, const char *ids,
                                      collector *s);
static int add_time(void *baton, const etg_json_place *place,
                    const etg_json_value *value);
static int add_id(void *baton, const etg_json_place *place,
                  const etg_json_value *value);
static int keep(collector *s, const etg_json_place *place,
                const etg_json_value *value, etg_json_match *match);
static etg_bytes copy(etg_bytes text, apr_pool_t *p);

etg_json_selection etg_json_select(etg_bytes json, const char *times,
                                   const char *ids, apr_pool_t *p,
                                   const apr_array_header_t **rows)
{
    collector s = { p, apr_array_make(p, 128, sizeof(etg_json_row)),
                    ETG_JSON_MATCHED_BYTES_MAX, 0, ETG_JSON_SELECTED };
    const etg_json_document *document;
    etg_json_selection outcome;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, p);
    switch (etg_json_document_read(json, scratch, &document)) {
    case APR_SUCCESS:
        outcome = select_rows(document, times, ids, &s);
        break;
    case APR_ENOSPC:
        outcome = ETG_JSON_TOO_LONG;
        break;
    default:
        outcome = ETG_JSON_NO_JSON;
        break;
    }
    apr_pool_destroy(scratch);
    if (outcome == ETG_JSON_SELECTED) {
        *rows = s.rows;
    }
    return outcome;
}

const char *etg_json_selection_text(etg_json_selection selection)
{
    switch (selection) {
    case ETG_JSON_SELECTED:
        return "has what was looked for";
    case ETG_JSON_TOO_LONG:
        return "is longer than 1 MB";
    case ETG_JSON_NO_JSON:
        return "is no JSON";
    case ETG_JSON_NOTHING:
        return "has nothing where the pointer leads";
    case ETG_JSON_NOT_PLAIN:
        return "has an array or an object where the pointer leads";
    case ETG_JSON_TOO_MANY:
        return "has more than 100000 members or 4 MB of times and ids";
    default:
        return "has not as many ids as times";
    }
}

static etg_json_selection select_rows(const etg_json_document *document,
                                      const char *times, const char *ids,
                                      collector *s)
{
    if (!etg_json_document_visit(document, times, ETG_JSON_STAR_IS_EACH,
                                 add_time, s)) {
        return s->outcome;
    }
    if (s->rows->nelts == 0) {
        return ETG_JSON_NOTHING;
    }
    if (ids == NULL) {
        return ETG_JSON_SELECTED;
    }
    if (!etg_json_document_visit(document, ids, ETG_JSON_STAR_IS_EACH,
                                 add_id, s)) {
        return s->outcome;
    }
    return s->next_id == s->rows->nelts ? ETG_JSON_SELECTED
                                        : ETG_JSON_COUNTS_DIFFER;
}

static int add_time(void *baton, const etg_json_place *place,
                    const etg_json_value *value)
{
    collector *s = baton;
    etg_json_row row = { { ETG_JSON_ABSENT, { NULL, 0 }, { NULL, 0 } },
                         { ETG_JSON_ABSENT, { NULL, 0 }, { NULL, 0 } } };

    if (s->rows->nelts == ETG_JSON_MATCHES_MAX) {
        s->outcome = ETG_JSON_TOO_MANY;
        return 0;
    }
    if (!keep(s, place, value, &row.time)) {
        return 0;
    }
    APR_ARRAY_PUSH(s->rows, etg_json_row) = row;
    return 1;
}

static int add_id(void *baton, const etg_json_place *place,
                  const etg_json_value *value)
{
    collector *s = baton;

    if (s->next_id == s->rows->nelts) {
        s->outcome = ETG_JSON_COUNTS_DIFFER;
        return 0;
    }
    return keep(s, place, value,
                &APR_ARRAY_IDX(s->rows, s->next_id++, etg_json_row).id);
}

static int keep(collector *s, const etg_json_place *place,
                const etg_json_value *value, etg_json_match *match)
{
    apr_size_t length = etg_json_place_length(place);
    char *text;

    if (value->kind == ETG_JSON_CONTAINER) {
        s->outcome = ETG_JSON_NOT_PLAIN;
        return 0;
    }
    if (value->text.length > s->bytes_left
        || length > s->bytes_left - value->text.length) {
        s->outcome = ETG_JSON_TOO_MANY;
        return 0;
    }
    s->bytes_left -= length + value->text.length;
    text = apr_palloc(s->pool, length + 1);
    etg_json_place_write(place, text);
    text[length] = '\0';
    match->kind = value->kind;
    match->text = copy(value->text, s->pool);
    match->place.data = (const unsigned char *)text;
    match->place.length = length;
    return 1;
}

static etg_bytes copy(etg_bytes text, apr_pool_t *p)
{
    text.data = (const unsigned char *)apr_pstrmemdup(
        p, (const char *)text.data, text.length);
    return text;
}
