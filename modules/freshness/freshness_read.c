/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_read.c: the data of a request, read before the backend is asked.
 *
 * An order for a look-up is made of the client's request as it came: whatever
 * other modules did to its fields or its query since decides nothing here.
 * Two requests have the same key, and may share a look-up, if the same
 * sources are read with the same values for the same salts.
 */
#include "modules/freshness/freshness.h"

#include "lib/field_list.h"
#include "lib/freshness_params.h"
#include "modules/glue/request_view.h"

static int ask(etg_freshness_context *ctx, apr_interval_time_t share,
               etg_lookup_answer *answer);
static int unknown(etg_freshness_context *ctx, etg_lookup_answer *answer,
                   const char *reason);
static const char *order_make(etg_freshness_context *ctx, apr_pool_t *p,
                              etg_lookup_order *order);
static const char *part_make(etg_freshness_context *ctx,
                             const etg_freshness_line *line, apr_pool_t *p,
                             etg_lookup_part *part);
static void add_values(const etg_freshness_line *line,
                       const etg_lookup_part *part,
                       apr_array_header_t *salts);
static const char *variable(void *baton, const char *name);
static etg_bytes key_of(const etg_lookup_order *order, apr_pool_t *p);
static void key_add(apr_array_header_t *key, const void *data,
                    apr_size_t length);
static const char *expand(etg_freshness_context *ctx,
                          const ap_expr_info_t *salt, const char **wrong);

void etg_freshness_read_early(etg_freshness_context *ctx)
{
    if (!ctx->is_read) {
        ctx->is_read = 1;
        ask(ctx, ctx->dir->share, &ctx->early);
    }
    if (ctx->is_early) {
        etg_freshness_note(ctx, ctx->early.outcome == ETG_SOURCE_READ
                                ? "known" : "unknown");
    }
}

/* Nobody's look-up that began before this. */
int etg_freshness_is_unmoved(etg_freshness_context *ctx)
{
    etg_lookup_answer now;

    if (!ctx->is_read || ctx->early.outcome != ETG_SOURCE_READ
        || !ask(ctx, 0, &now)) {
        return 0;
    }
    if (memcmp(now.digest.sha256, ctx->early.digest.sha256,
               sizeof(now.digest.sha256)) != 0) {
        etg_freshness_note(ctx, "moved");
        return 0;
    }
    return 1;
}

static int ask(etg_freshness_context *ctx, apr_interval_time_t share,
               etg_lookup_answer *answer)
{
    etg_lookup_order order = { .share = share };
    const char *reason;

    if (!ctx->is_early) {
        return unknown(ctx, answer, "nothing is read before the backend");
    }
    if (ctx->runtime->lookups == NULL) {
        return unknown(ctx, answer, "has come to a child without look-ups");
    }
    reason = order_make(ctx, ctx->pool, &order);
    if (reason != NULL) {
        return unknown(ctx, answer, reason);
    }
    etg_lookup_ask(ctx->runtime->lookups, &order, answer);
    return answer->outcome == ETG_SOURCE_READ;
}

/* Returns 0. Why, is for debugging: each request of a client may cause it. */
static int unknown(etg_freshness_context *ctx, etg_lookup_answer *answer,
                   const char *reason)
{
    memset(answer, 0, sizeof(*answer));
    apr_cpystrn(answer->reason, reason, sizeof(answer->reason));
    if (ctx->is_early) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, ctx->first,
                      ETGLOGNO(0186) "freshness: unknown for %s, which %s",
                      ctx->first->unparsed_uri, reason);
    }
    return 0;
}

/* NULL, or why there is none. */
static const char *order_make(etg_freshness_context *ctx, apr_pool_t *p,
                              etg_lookup_order *order)
{
    const apr_array_header_t *lines = ctx->dir->lines;
    etg_lookup_part *parts = apr_pcalloc(p, (apr_size_t)lines->nelts
                                            * sizeof(*parts));
    apr_array_header_t *salts = apr_array_make(p, 4, sizeof(etg_bytes));
    const etg_bytes *own;
    unsigned count;

    order->digest = ctx->dir->digest;
    order->budget = ctx->dir->budget;
    order->refuses_empty = !ctx->dir->allows_empty;
    order->parts = parts;
    for (int i = 0; i < lines->nelts; i++) {
        const etg_freshness_line *line = APR_ARRAY_IDX(
            lines, i, const etg_freshness_line *);
        const char *reason;

        if (etg_freshness_from_is_early(line->from.kind)) {
            reason = part_make(ctx, line, p, &parts[order->part_count]);
            if (reason != NULL) {
                return reason;
            }
            add_values(line, &parts[order->part_count++], salts);
        }
    }
    if (!etg_freshness_salts_of(ctx, &order->route, &own, &count)) {
        return "has no value for an ETagFreshnessSalt";
    }
    for (unsigned i = 0; i < count; i++) {
        APR_ARRAY_PUSH(salts, etg_bytes) = own[i];
    }
    order->salts = (const etg_bytes *)salts->elts;
    order->salt_count = (unsigned)salts->nelts;
    order->key = key_of(order, p);
    return NULL;
}

static const char *part_make(etg_freshness_context *ctx,
                             const etg_freshness_line *line, apr_pool_t *p,
                             etg_lookup_part *part)
{
    request_rec *first = ctx->first;
    const char *query = ap_strchr_c(first->unparsed_uri, '?');
    etg_params_view view = {
        .query = query == NULL ? NULL : query + 1,
        .fields = ctx->request.fields,
        .variable = variable,
        .baton = first->subprocess_env,
        .user = first->user,
    };
    const char *reason = etg_section_path_values(&line->path, first->uri, p,
                                                 &view.groups);

    part->source = ctx->server->sources[line->number];
    part->time_column = ctx->dir->time_column;
    if (part->source == NULL) {
        return "is for a virtual host that has no source for its route";
    }
    if (reason != NULL || line->from.params == NULL) {
        part->values = apr_array_make(p, 1, sizeof(const char *));
        return reason;
    }
    return etg_freshness_params(line->from.params, &view, p, &part->values);
}

/* Requests of one URL whose values differ may get different pages though the
 * rows are equal (there are none, say): so their data is not the same. */
static void add_values(const etg_freshness_line *line,
                       const etg_lookup_part *part, apr_array_header_t *salts)
{
    for (int i = 0; i < part->values->nelts; i++) {
        const char *value = APR_ARRAY_IDX(part->values, i, const char *);

        if (etg_from_param_is_by_request(&APR_ARRAY_IDX(
                line->from.params, i, const etg_from_param))) {
            APR_ARRAY_PUSH(salts, etg_bytes) = etg_bytes_of(value);
        }
    }
}

static const char *variable(void *baton, const char *name)
{
    return apr_table_get(baton, name);
}

/* Each part of it says how long it is, so no two orders have one key. */
static etg_bytes key_of(const etg_lookup_order *order, apr_pool_t *p)
{
    apr_array_header_t *key = apr_array_make(p, 256, 1);
    int digest = order->digest;

    key_add(key, &digest, sizeof(digest));
    key_add(key, &order->refuses_empty, sizeof(order->refuses_empty));
    key_add(key, order->route.data, order->route.length);
    key_add(key, &order->salt_count, sizeof(order->salt_count));
    for (unsigned i = 0; i < order->salt_count; i++) {
        key_add(key, order->salts[i].data, order->salts[i].length);
    }
    for (unsigned i = 0; i < order->part_count; i++) {
        const etg_lookup_part *part = &order->parts[i];

        key_add(key, &part->source, sizeof(part->source));
        key_add(key, part->time_column, strlen(part->time_column));
        for (int n = 0; n < part->values->nelts; n++) {
            const char *value = APR_ARRAY_IDX(part->values, n, const char *);

            key_add(key, value, value == NULL ? 0 : strlen(value));
        }
    }
    return (etg_bytes){ (const unsigned char *)key->elts,
                        (apr_size_t)key->nelts };
}

static void key_add(apr_array_header_t *key, const void *data,
                    apr_size_t length)
{
    apr_array_header_t piece = {
        .elt_size = 1, .nelts = (int)sizeof(length)
    };
    apr_size_t size = data == NULL ? (apr_size_t)-1 : length;

    piece.elts = (char *)&size;
    apr_array_cat(key, &piece);
    if (data != NULL && length > 0) {
        piece.elts = (char *)data;
        piece.nelts = (int)length;
        apr_array_cat(key, &piece);
    }
}

/* The route is its first line's section: each of its lines has the same, or
 * another's place. */
int etg_freshness_salts_of(etg_freshness_context *ctx, etg_bytes *route,
                           const etg_bytes **salts, unsigned *count)
{
    const apr_array_header_t *rows = ctx->dir->salts;
    const etg_freshness_line *line = APR_ARRAY_IDX(
        ctx->dir->lines, 0, const etg_freshness_line *);
    etg_bytes *found = apr_palloc(ctx->pool, ((apr_size_t)rows->nelts + 1)
                                             * sizeof(*found));

    for (int i = 0; i < rows->nelts; i++) {
        const char *wrong = NULL;
        const char *text = expand(ctx, APR_ARRAY_IDX(rows, i,
                                                     ap_expr_info_t *),
                                  &wrong);

        if (wrong != NULL || text == NULL) {
            return 0;
        }
        found[i] = etg_bytes_of(text);
    }
    *route = etg_bytes_of(line->section);
    *salts = found;
    *count = (unsigned)rows->nelts;
    return 1;
}

/* Of the client's fields, whoever has put others in their place. */
static const char *expand(etg_freshness_context *ctx,
                          const ap_expr_info_t *salt, const char **wrong)
{
    request_rec *first = ctx->first;
    apr_table_t *fields = first->headers_in;
    const char *text;

    first->headers_in = (apr_table_t *)ctx->request.fields;
    text = ap_expr_str_exec(first, salt, wrong);
    first->headers_in = fields;
    return text;
}

/* Where late lines belong to the data too, early ones decide nothing. */
static int is_read_first(const etg_freshness_context *ctx)
{
    return ctx != NULL && ctx->is_early && !ctx->is_late;
}

/* A context that is made for this alone is as any other. */
int etg_freshness_is_read(request_rec *r)
{
    return is_read_first(etg_freshness_context_of(r));
}

void etg_freshness_read(request_rec *r, etg_freshness_data *data)
{
    etg_freshness_context *ctx = etg_freshness_context_of(r);

    memset(data, 0, sizeof(*data));
    if (!is_read_first(ctx)) {
        return;
    }
    etg_freshness_read_early(ctx);
    data->outcome = ctx->early.outcome == ETG_SOURCE_READ
        ? ETG_FRESHNESS_KNOWN : ETG_FRESHNESS_UNKNOWN;
    memcpy(data->digest, ctx->early.digest.sha256, sizeof(data->digest));
    data->trust = ctx->dir->trust;
    data->is_by_request = ctx->is_by_request;
}

/* r's status may be a 304's: whoever asks has read it before. */
int etg_freshness_holds(request_rec *r)
{
    etg_freshness_context *ctx = etg_freshness_context_found(r);

    return ctx != NULL && etg_freshness_is_unmoved(ctx);
}

void etg_freshness_stamp_of(request_rec *r, etg_freshness_stamp *stamp)
{
    etg_freshness_context *ctx = etg_freshness_context_of(r);

    memset(stamp, 0, sizeof(*stamp));
    if (ctx != NULL && ctx->is_filtered) {
        *stamp = ctx->stamp;
    }
}
