/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_assemble.c: from what came for each part to the tag of the whole,
 * and to its body. No body is copied.
 */
#include "modules/composite/composite.h"

#include "lib/entity_digest.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"
#include "lib/json_scan.h"
#include "lib/json_slice.h"

static const char *outcome_text(etg_composite_outcome outcome);
static int outcome_status(etg_composite_outcome outcome);
static void take_default(etg_composite_had *part);
static void take_body(etg_composite *c, etg_composite_had *part,
                      etg_bytes body);
static int is_definite(const etg_composite_had *part);
static etg_bytes options_of(const etg_composite *c);

void etg_composite_take(etg_composite *c, etg_composite_had *part,
                        const etg_composite_result *result)
{
    if (result->outcome != ETG_COMPOSITE_ANSWERED) {
        etg_composite_fail(c, part, outcome_status(result->outcome),
                           outcome_text(result->outcome));
        return;
    }
    c->body_bytes += result->body.length;
    part->status = result->status;
    part->fields = result->fields;
    etg_composite_take_tag(part);
    if (c->is_round_one && result->status == HTTP_NOT_MODIFIED) {
        part->status = HTTP_OK;       /* the body is the second round's */
    }
    else if (c->is_round_one && etg_composite_is_puzzled(result->status)) {
        part->etag = NULL;
    }
    else if (etg_composite_is_whole(result->status)) {
        take_body(c, part, result->body);
    }
    else if (part->line->part.is_optional && is_definite(part)) {
        take_default(part);
    }
    else {
        etg_composite_fail(c, part, result->status == HTTP_GATEWAY_TIME_OUT
                           ? HTTP_GATEWAY_TIME_OUT : HTTP_BAD_GATEWAY,
                           apr_psprintf(c->r->pool, "it was answered %d",
                                        result->status));
    }
}

/* A range or a difference, which nobody asked for, may have the tag of what it
 * is taken from. */
int etg_composite_is_whole(int status)
{
    return status >= 200 && status < 300 && status != HTTP_PARTIAL_CONTENT
        && status != HTTP_IM_USED;
}

/* By `If-None-Match: *`, which not everybody makes sense of: they are asked
 * plainly in the second round. */
int etg_composite_is_puzzled(int status)
{
    return status == HTTP_PRECONDITION_FAILED || status == HTTP_BAD_REQUEST
        || status == HTTP_NOT_IMPLEMENTED;
}

static const char *outcome_text(etg_composite_outcome outcome)
{
    switch (outcome) {
    case ETG_COMPOSITE_LATE:
        return "it was not answered in time";
    case ETG_COMPOSITE_TOO_LONG:
        return "the parts are longer than ETagCompositeMaxBytes";
    case ETG_COMPOSITE_DROPPED:
        return "no thread was free to ask for it";
    default:
        return "it was not answered";
    }
}

static int outcome_status(etg_composite_outcome outcome)
{
    switch (outcome) {
    case ETG_COMPOSITE_LATE:
        return HTTP_GATEWAY_TIME_OUT;
    case ETG_COMPOSITE_DROPPED:
        return HTTP_SERVICE_UNAVAILABLE;
    default:
        return HTTP_BAD_GATEWAY;
    }
}

void etg_composite_fail(etg_composite *c, etg_composite_had *part, int status,
                        const char *why)
{
    part->failure = why;
    part->failure_status = status;
    part->etag = NULL;
    if (part->line->part.is_optional) {
        take_default(part);
        c->is_incomplete = 1;
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, c->r,
                      ETGLOGNO(0507) "optional part %s (%s): %s",
                      part->line->part.name,
                      part->url != NULL ? part->url : "no URL", why);
    }
}

static void take_default(etg_composite_had *part)
{
    const char *text = part->line->part.default_value;

    part->is_answered = 1;
    part->is_default = 1;
    part->body = etg_bytes_of(text != NULL ? text : "null");
}

static int is_definite(const etg_composite_had *part)
{
    return part->status == HTTP_NOT_FOUND || part->status == HTTP_GONE;
}

static void take_body(etg_composite *c, etg_composite_had *part,
                      etg_bytes body)
{
    const char *pointer = part->line->part.pointer;
    etg_bytes piece = body;

    if (apr_table_get(part->fields, "Content-Encoding") != NULL) {
        etg_composite_fail(c, part, HTTP_BAD_GATEWAY,
                           "it has a Content-Encoding that nobody asked for");
        return;
    }
    if (c->plan == NULL) {
        part->body = body.data != NULL ? body : etg_bytes_of("");
        part->is_answered = 1;
        return;
    }
    if (body.data == NULL || !etg_json_is_valid(body)) {
        etg_composite_fail(c, part, HTTP_BAD_GATEWAY, "it is no JSON");
        return;
    }
    if (pointer != NULL) {
        piece = etg_json_slice(body, pointer, c->r->pool);
    }
    if (piece.data == NULL) {
        etg_composite_fail(c, part, HTTP_BAD_GATEWAY,
                           apr_psprintf(c->r->pool, "it has nothing at %s",
                                        pointer));
        return;
    }
    part->body = piece;
    part->is_answered = 1;
}

/* A tag that is none, or one of several, is as if there were none. */
void etg_composite_take_tag(etg_composite_had *part)
{
    const char *text = etg_field_count(part->fields, "ETag") == 1
        ? apr_table_get(part->fields, "ETag") : NULL;
    etg_entity_tag tag;

    part->etag = text != NULL
                 && etg_entity_tag_parse(etg_bytes_of(text), &tag)
        ? text : NULL;
}

const char *etg_composite_tag_of(etg_composite *c)
{
    apr_pool_t *p = c->r->pool;
    etg_composite_state *states = apr_pcalloc(p, c->count * sizeof(*states));
    etg_composite_scope scope = {
        .template_digest = options_of(c),
        .forwarded = c->forwarded,
        .forwarded_names = c->dir->forward,
        .user = c->r->user,
        .is_private = c->is_private,
        .key = c->runtime->secret,
    };

    if (c->is_incomplete) {
        return NULL;
    }
    for (unsigned i = 0; i < c->count; i++) {
        const etg_composite_had *part = &c->parts[i];
        etg_composite_state *state = &states[i];

        state->name = part->line->part.name;
        state->url = part->url;
        state->status = part->status;
        state->etag = part->etag;
        state->is_default = part->is_default;
        if (part->has_digest) {
            memcpy(state->body_digest, part->digest, sizeof(part->digest));
            state->has_body_digest = 1;
        }
        else if (part->etag == NULL && part->body.data != NULL) {
            state->has_body_digest
                = etg_sha256(part->body.data, part->body.length,
                             state->body_digest) == APR_SUCCESS;
        }
    }
    return etg_composite_tag(states, c->count, &scope, p);
}

/* How a page's fragments are told from its text depends on whether ESI is
 * looked for in all HTML. */
static etg_bytes options_of(const etg_composite *c)
{
    return c->plan != NULL
        ? (etg_bytes){ c->plan->digest, sizeof(c->plan->digest) }
        : etg_bytes_of(c->dir->esi == ETG_COMPOSITE_ESI_ALWAYS
                       ? "ESI/1.0 of HTML" : "ESI/1.0");
}

apr_bucket_brigade *etg_composite_assemble(etg_composite *c,
                                           apr_off_t *length)
{
    request_rec *r = c->r;
    const apr_array_header_t *pieces = c->plan->layout.pieces;
    apr_bucket_brigade *bb = apr_brigade_create(
        r->pool, r->connection->bucket_alloc);

    *length = 0;
    for (int i = 0; i < pieces->nelts; i++) {
        const etg_composite_piece *piece = &APR_ARRAY_IDX(
            pieces, i, etg_composite_piece);

        etg_composite_insert(bb, piece->text, r->pool);
        *length += (apr_off_t)piece->text.length;
        if (piece->part >= 0) {
            etg_composite_insert(bb, c->parts[piece->part].body, r->pool);
            *length += (apr_off_t)c->parts[piece->part].body.length;
        }
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return bb;
}

/* Whoever keeps a bucket for longer than the request gets a copy. */
void etg_composite_insert(apr_bucket_brigade *bb, etg_bytes bytes,
                          apr_pool_t *p)
{
    if (bytes.length > 0) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(
            (const char *)bytes.data, bytes.length, p, bb->bucket_alloc));
    }
}
