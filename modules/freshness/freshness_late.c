/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_late.c: sources that are read from the response.
 *
 * Each late line is a source of its own, and its rows are members with every
 * value that was found: of a match in a JSON text its kind and its place too,
 * as 1 and "1" differ, and a member of an object has often no other id than
 * its name. An empty list is a source without a member, if the route allows
 * that and the text shows that a list is there.
 *
 * With early lines beside them, the digest is of two sources with a member
 * each: the SHA-256 of the early ones, and that of the late ones. A digest of
 * the rails recipe exists for late lines alone then, or for early ones alone,
 * and never for a part of what was read.
 *
 * Runs on the request's thread, from the filter.
 */
#include "modules/freshness/freshness.h"

#include <string.h>

#include "lib/field_list.h"
#include "lib/gzip.h"
#include "lib/json_select.h"
#include "lib/stamp_list.h"
#include "modules/glue/request_view.h"

#define KIND_BYTES 1
#define UNDIGESTED "cannot be digested"

/* What the lines are read from. */
typedef struct response {
    const etg_freshness_context *ctx;
    const apr_table_t *fields;
    const etg_bytes *body;        /* or NULL */
    etg_bytes plain;              /* the body without its coding, once a line
                                   * has asked; data NULL: not asked */
    apr_pool_t *pool;             /* goes when the digest is made */
} response;

/* Where the inflater writes to. */
typedef struct growing {
    unsigned char *data;
    apr_size_t length;
    apr_size_t room;
    apr_pool_t *pool;
} growing;

static const char *read_lines(response *from, etg_freshness_context *ctx,
                              etg_data_digest *digest, int *has_body);
static const char *begin(etg_freshness_context *ctx,
                         etg_data_digest_builder **builder, apr_pool_t *p);
static const char *read_line(response *from, const etg_freshness_from *line,
                             etg_data_digest_builder *builder);
static const char *read_json(response *from, const etg_freshness_from *line,
                             etg_data_digest_builder *builder);
static void add_row(etg_data_digest_builder *builder, const etg_json_row *row);
static void add_match(etg_data_digest_builder *builder,
                      const etg_json_match *match, int is_time);
static int is_empty_list(etg_bytes json, const char *pointer, apr_pool_t *p);
static int count_value(void *baton, const etg_json_place *place,
                       const etg_json_value *value);
static int see_container(void *baton, const etg_json_place *place,
                         const etg_json_value *value);
static const char *undo_coding(response *from);
static apr_status_t grow(void *baton, const void *data, apr_size_t length);
static const char *read_header(response *from, const etg_freshness_from *line,
                               etg_data_digest_builder *builder);
static void read_body(response *from, etg_data_digest_builder *builder);
static int combine(const etg_data_digest *early, const etg_data_digest *late,
                   apr_pool_t *p, etg_data_digest *digest);
static int needs_body(const etg_freshness_from *line);

int etg_freshness_wants_body(const etg_freshness_context *ctx)
{
    for (int i = 0; i < ctx->dir->lines->nelts; i++) {
        if (needs_body(&APR_ARRAY_IDX(ctx->dir->lines, i,
                                      etg_freshness_line *)->from)) {
            return 1;
        }
    }
    return 0;
}

static int needs_body(const etg_freshness_from *line)
{
    return line->kind == ETG_FROM_JSON || line->kind == ETG_FROM_BODY;
}

int etg_freshness_late(etg_freshness_context *ctx, request_rec *r,
                       const etg_bytes *body, etg_data_digest *digest,
                       int *is_strong, const char **reason)
{
    response from = { ctx, etg_response_fields_of(r), body, { NULL, 0 },
                      NULL };
    etg_data_digest found;
    int has_body = 0;
    const char *why;

    apr_pool_create(&from.pool, r->pool);
    apr_pool_tag(from.pool, "etg_freshness_late");
    why = read_lines(&from, ctx, &found, &has_body);
    if (why == NULL
        && !combine(ctx->is_early ? &ctx->early.digest : NULL, &found,
                    from.pool, &found)) {
        why = UNDIGESTED;
    }
    if (why == NULL) {
        *digest = found;
        *is_strong = has_body;
    }
    else {
        *reason = apr_pstrdup(r->pool, why);
    }
    apr_pool_destroy(from.pool);
    return why == NULL;
}

/* The digest of all late lines. NULL, or why there is none: the end of a
 * sentence about the response, as in all that follows. */
static const char *read_lines(response *from, etg_freshness_context *ctx,
                              etg_data_digest *digest, int *has_body)
{
    etg_data_digest_builder *builder;
    const char *why = begin(ctx, &builder, from->pool);
    int is_first = 1;

    for (int i = 0; why == NULL && i < ctx->dir->lines->nelts; i++) {
        const etg_freshness_from *line = &APR_ARRAY_IDX(
            ctx->dir->lines, i, etg_freshness_line *)->from;

        if (etg_freshness_from_is_early(line->kind)) {
            continue;
        }
        if (!is_first) {
            etg_data_digest_next_source(builder);
        }
        is_first = 0;
        *has_body |= line->kind == ETG_FROM_BODY;
        why = read_line(from, line, builder);
    }
    if (why == NULL && etg_data_digest_end(builder, digest) != APR_SUCCESS) {
        why = UNDIGESTED;
    }
    return why;
}

static const char *begin(etg_freshness_context *ctx,
                         etg_data_digest_builder **builder, apr_pool_t *p)
{
    const etg_bytes *salts;
    unsigned count;
    etg_bytes route;

    if (!etg_freshness_salts_of(ctx, &route, &salts, &count)) {
        return "has a salt that cannot be worked out";
    }
    if (etg_data_digest_begin(builder, ctx->dir->digest, p) != APR_SUCCESS) {
        return UNDIGESTED;
    }
    etg_data_digest_add_route(*builder, route);
    for (unsigned i = 0; i < count; i++) {
        etg_data_digest_add_salt(*builder, salts[i]);
    }
    return NULL;
}

static const char *read_line(response *from, const etg_freshness_from *line,
                             etg_data_digest_builder *builder)
{
    if (needs_body(line) && from->body == NULL) {
        return "has no body to read";
    }
    if (line->kind == ETG_FROM_JSON) {
        return read_json(from, line, builder);
    }
    if (line->kind == ETG_FROM_HEADER) {
        return read_header(from, line, builder);
    }
    read_body(from, builder);
    return NULL;
}

static const char *read_json(response *from, const etg_freshness_from *line,
                             etg_data_digest_builder *builder)
{
    const apr_array_header_t *rows;
    const char *why = undo_coding(from);
    etg_json_selection found;

    if (why != NULL) {
        return why;
    }
    found = etg_json_select(from->plain, line->text, line->ids, from->pool,
                            &rows);
    if (found == ETG_JSON_NOTHING && from->ctx->dir->allows_empty
        && is_empty_list(from->plain, line->text, from->pool)) {
        return NULL;
    }
    if (found != ETG_JSON_SELECTED) {
        return etg_json_selection_text(found);
    }
    for (int i = 0; i < rows->nelts; i++) {
        add_row(builder, &APR_ARRAY_IDX(rows, i, etg_json_row));
    }
    return NULL;
}

static void add_row(etg_data_digest_builder *builder, const etg_json_row *row)
{
    etg_data_digest_begin_member(builder);
    add_match(builder, &row->time, 1);
    if (row->id.kind != ETG_JSON_ABSENT) {
        add_match(builder, &row->id, 0);
    }
    etg_data_digest_end_member(builder);
}

/* A null is no time, as a NULL of a database is none. */
static void add_match(etg_data_digest_builder *builder,
                      const etg_json_match *match, int is_time)
{
    static const etg_bytes null = { NULL, 0 };
    unsigned char kind = (unsigned char)match->kind;
    etg_bytes kind_bytes = { &kind, KIND_BYTES };
    etg_bytes text = match->kind == ETG_JSON_NULL ? null : match->text;

    etg_data_digest_add_value(builder, kind_bytes);
    if (is_time) {
        etg_data_digest_add_time(builder, text);
    }
    else {
        etg_data_digest_add_value(builder, text);
    }
    etg_data_digest_add_value(builder, match->place);
}

/* Is there a list (or an object) where the pointer has its first star, and
 * nothing where it has its last? Another text has no times either, and is not
 * to be taken for an empty one. */
static int is_empty_list(etg_bytes json, const char *pointer, apr_pool_t *p)
{
    const etg_json_document *document;
    const char *first = NULL;
    const char *last = NULL;
    int is_list = 0;
    int members = 0;

    for (const char *at = pointer; (at = strstr(at, "/*")) != NULL; at += 2) {
        if (at[2] == '\0' || at[2] == '/') {
            first = first != NULL ? first : at;
            last = at + 2;
        }
    }
    if (first == NULL || etg_json_document_read(json, p, &document)
                         != APR_SUCCESS) {
        return 0;
    }
    etg_json_document_visit(document,
                            apr_pstrmemdup(p, pointer, first - pointer),
                            ETG_JSON_STAR_IS_NAME, see_container, &is_list);
    etg_json_document_visit(document,
                            apr_pstrmemdup(p, pointer, last - pointer),
                            ETG_JSON_STAR_IS_EACH, count_value, &members);
    return is_list && members == 0;
}

static int see_container(void *baton, const etg_json_place *place,
                         const etg_json_value *value)
{
    (void)place;
    *(int *)baton = value->kind == ETG_JSON_CONTAINER;
    return 0;
}

static int count_value(void *baton, const etg_json_place *place,
                       const etg_json_value *value)
{
    (void)place;
    (void)value;
    (*(int *)baton)++;
    return 0;
}

/* Fills from->plain. What mod_deflate or the backend has gzip-coded is looked
 * into, up to as many bytes as may be held; another coding is foreign. */
static const char *undo_coding(response *from)
{
    const char *coding = etg_field_combined(from->fields, "Content-Encoding",
                                            from->pool);
    growing plain = { NULL, 0, 0, from->pool };
    etg_inflater *inflater;

    if (from->plain.data != NULL) {
        return NULL;
    }
    if (coding == NULL || etg_bytes_is(etg_bytes_of(coding), "identity")) {
        from->plain = *from->body;
        return NULL;
    }
    if (!etg_bytes_is(etg_bytes_of(coding), "gzip")
        && !etg_bytes_is(etg_bytes_of(coding), "x-gzip")) {
        return "is in a coding that is not read";
    }
    if (etg_inflater_begin(&inflater,
                           (apr_uint64_t)from->ctx->dir->max_body, grow,
                           &plain, from->pool) != APR_SUCCESS
        || etg_inflater_add(inflater, from->body->data, from->body->length)
           != APR_SUCCESS
        || etg_inflater_end(inflater) != APR_SUCCESS) {
        return "is gzip-coded, and damaged or too long";
    }
    from->plain.data = plain.data != NULL ? plain.data : from->body->data;
    from->plain.length = plain.length;
    return NULL;
}

static apr_status_t grow(void *baton, const void *data, apr_size_t length)
{
    growing *to = baton;

    if (to->length + length > to->room) {
        unsigned char *wider;

        to->room = 2 * (to->length + length);
        wider = apr_palloc(to->pool, to->room);
        if (to->length > 0) {
            memcpy(wider, to->data, to->length);
        }
        to->data = wider;
    }
    memcpy(to->data + to->length, data, length);
    to->length += length;
    return APR_SUCCESS;
}

static const char *read_header(response *from, const etg_freshness_from *line,
                               etg_data_digest_builder *builder)
{
    const char *value = etg_field_combined(from->fields, line->text,
                                           from->pool);
    const apr_array_header_t *stamps;

    if (value == NULL) {
        return apr_psprintf(from->pool, "has no field %s", line->text);
    }
    if (etg_bytes_trim(etg_bytes_of(value)).length == 0) {
        return from->ctx->dir->allows_empty
            ? NULL : apr_psprintf(from->pool, "has an empty field %s",
                                  line->text);
    }
    if (!etg_stamp_list_parse(etg_bytes_of(value), from->pool, &stamps)) {
        return apr_psprintf(from->pool, "has a field %s that is no list of "
                            "times", line->text);
    }
    for (int i = 0; i < stamps->nelts; i++) {
        const etg_stamp *stamp = &APR_ARRAY_IDX(stamps, i, etg_stamp);

        etg_data_digest_begin_member(builder);
        etg_data_digest_add_value(builder, stamp->id);
        etg_data_digest_add_time(builder, stamp->time);
        etg_data_digest_end_member(builder);
    }
    return NULL;
}

static void read_body(response *from, etg_data_digest_builder *builder)
{
    etg_data_digest_begin_member(builder);
    etg_data_digest_add_value(builder, *from->body);
    etg_data_digest_end_member(builder);
}

/* The digest of both, whose members all have a time only if they have one on
 * either side. `early` NULL: that of the late ones. */
static int combine(const etg_data_digest *early, const etg_data_digest *late,
                   apr_pool_t *p, etg_data_digest *digest)
{
    const etg_data_digest *parts[] = { early, late };
    etg_data_digest_builder *builder;
    etg_data_digest both;

    if (early == NULL) {
        *digest = *late;
        return 1;
    }
    if (etg_data_digest_begin(&builder, ETG_DATA_DIGEST_SHA256, p)
        != APR_SUCCESS) {
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        etg_bytes sha256 = { parts[i]->sha256, ETG_DATA_DIGEST_BYTES };

        if (i > 0) {
            etg_data_digest_next_source(builder);
        }
        etg_data_digest_begin_member(builder);
        etg_data_digest_add_value(builder, sha256);
        etg_data_digest_end_member(builder);
    }
    if (etg_data_digest_end(builder, &both) != APR_SUCCESS) {
        return 0;
    }
    both.is_salted = early->is_salted || late->is_salted;
    both.members = early->members + late->members;
    both.is_timed = early->is_timed && late->is_timed;
    both.newest = early->newest > late->newest ? early->newest
                                               : late->newest;
    *digest = both;
    return 1;
}
