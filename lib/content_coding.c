/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content_coding.c: what is worth coding, what may be undone, who gets what.
 *
 * All from fields and numbers. The choice runs on every hit: for a response
 * that is stored plain it costs nothing, for another one look at
 * Accept-Encoding and one walk over the stored fields.
 */
#include "lib/content_coding.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "lib/cache_control.h"
#include "lib/coded_tag.h"
#include "lib/field_list.h"

/* Fields that a changed body would belie: of the content as it was sent or of
 * the representation with its coding (RFC 9530, and what was before it). */
static const char *const digest_names[] = {
    "Content-Digest", "Repr-Digest", "Digest", "Content-MD5"
};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static int weight_of(etg_bytes member, etg_bytes *coding);
static int may_change(const apr_table_t *fields, apr_uint32_t flags,
                      apr_pool_t *p);
static int stored_may_change(const etg_stored_response *stored);
static int wants_gzip(const apr_table_t *request_fields, apr_pool_t *p);
static int ends_with(etg_bytes text, const char *end);

void etg_representation_choose(const etg_stored_response *stored,
                               const apr_table_t *request_fields,
                               apr_pool_t *p, etg_representation *chosen)
{
    int own_is_gzip = !stored->is_coded_here;

    memset(chosen, 0, sizeof(*chosen));
    chosen->length = stored->body_length;
    chosen->etag = stored->etag;
    if (stored->coding != ETG_CODING_GZIP) {
        return;
    }
    chosen->is_negotiated = stored_may_change(stored);
    if (chosen->is_negotiated ? wants_gzip(request_fields, p)
                              : own_is_gzip) {
        chosen->coding = ETG_CODING_GZIP;
    }
    else {
        chosen->is_inflated = 1;
        chosen->length = stored->plain_length;
    }
    chosen->is_made = (chosen->coding == ETG_CODING_GZIP) != own_is_gzip;
    if (chosen->is_made) {
        chosen->etag = etg_coded_tag(stored->etag, chosen->coding,
                                     &stored->entity, p);
    }
}

int etg_gzip_is_wanted(const char *accept_encoding)
{
    etg_bytes rest = etg_bytes_of(accept_encoding);
    etg_bytes member;
    etg_bytes coding;
    int gzip = -1;
    int any = 0;
    int identity = 0;

    while (etg_list_next(&rest, &member)) {
        int weight = weight_of(member, &coding);

        if (weight < 0) {
            continue;
        }
        if (etg_bytes_is(coding, "gzip") || etg_bytes_is(coding, "x-gzip")) {
            gzip = gzip < 0 || weight < gzip ? weight : gzip;
        }
        else if (etg_bytes_is(coding, "*")) {
            any = weight;
        }
        else if (etg_bytes_is(coding, "identity")) {
            identity = weight;
        }
    }
    gzip = gzip < 0 ? any : gzip;
    return gzip > 0 && gzip >= identity;
}

int etg_coding_suits(const apr_table_t *response_fields,
                     apr_uint32_t freshness_flags, apr_int64_t length,
                     apr_pool_t *p)
{
    return (length < 0 || length >= ETG_CODING_BYTES_MIN)
           && apr_table_get(response_fields, "Content-Encoding") == NULL
           && etg_type_is_text_like(apr_table_get(response_fields,
                                                  "Content-Type"))
           && may_change(response_fields, freshness_flags, p);
}

/* Without a product, which could be too large for its type. */
int etg_coding_pays(apr_uint64_t plain, apr_uint64_t coded)
{
    return coded <= plain && plain - coded >= plain / 10 + (plain % 10 != 0);
}

etg_coding etg_coding_of_backend(const apr_table_t *response_fields,
                                 apr_uint32_t freshness_flags, apr_pool_t *p)
{
    etg_bytes coding = etg_bytes_trim(etg_bytes_of(
        etg_field_combined(response_fields, "Content-Encoding", p)));

    if ((etg_bytes_is(coding, "gzip") || etg_bytes_is(coding, "x-gzip"))
        && etg_type_is_text_like(apr_table_get(response_fields,
                                               "Content-Type"))
        && may_change(response_fields, freshness_flags, p)) {
        return ETG_CODING_GZIP;
    }
    return ETG_CODING_IDENTITY;
}

int etg_type_is_text_like(const char *content_type)
{
    static const char *const types[] = {
        "application/javascript", "application/json", "application/jsonl",
        "application/ecmascript", "application/graphql", "application/ndjson",
        "application/rtf", "application/sql", "application/toml",
        "application/wasm", "application/x-javascript",
        "application/x-ndjson", "application/x-www-form-urlencoded",
        "application/x-yaml", "application/xml", "application/xml-dtd",
        "application/yaml", "application/vnd.ms-fontobject", "font/otf",
        "font/ttf", "image/bmp", "image/vnd.microsoft.icon", "image/x-icon"
    };
    static const char *const suffixes[] = { "+json", "+xml", "+yaml" };
    etg_bytes type = etg_bytes_of(content_type);
    const char *end = content_type != NULL ? strchr(content_type, ';') : NULL;

    if (end != NULL) {
        type.length = end - content_type;
    }
    type = etg_bytes_trim(type);
    if (type.length > 5 && strncasecmp((const char *)type.data, "text/", 5)
                               == 0) {
        /* Events are wanted one by one, never in a portion's time. */
        return !etg_bytes_is(type, "text/event-stream");
    }
    for (unsigned i = 0; i < ROWS(suffixes); i++) {
        if (ends_with(type, suffixes[i])) {
            return 1;
        }
    }
    for (unsigned i = 0; i < ROWS(types); i++) {
        if (etg_bytes_is(type, types[i])) {
            return 1;
        }
    }
    return 0;
}

void etg_coding_take_off(apr_array_header_t *rows)
{
    int kept = 0;

    for (int i = 0; i < rows->nelts; i++) {
        etg_field row = APR_ARRAY_IDX(rows, i, etg_field);

        if (strcasecmp(row.name, "Content-Encoding") != 0) {
            APR_ARRAY_IDX(rows, kept++, etg_field) = row;
        }
    }
    rows->nelts = kept;
}

void etg_vary_add_accept_encoding(apr_table_t *fields, apr_pool_t *p)
{
    const char *vary = etg_field_combined(fields, "Vary", p);

    if (vary == NULL) {
        apr_table_setn(fields, "Vary", "Accept-Encoding");
    }
    else if (!etg_list_has_token(vary, "*")
             && !etg_list_has_token(vary, "Accept-Encoding")) {
        apr_table_setn(fields, "Vary",
                       apr_pstrcat(p, vary, vary[0] != '\0' ? ", " : "",
                                   "Accept-Encoding", NULL));
    }
}

/* codings [ OWS ";" OWS weight ], in thousandths; -1: does not parse. */
static int weight_of(etg_bytes member, etg_bytes *coding)
{
    const unsigned char *semicolon = memchr(member.data, ';', member.length);
    etg_bytes weight;

    *coding = member;
    if (semicolon == NULL) {
        return ETG_WEIGHT_ONE;
    }
    coding->length = semicolon - member.data;
    *coding = etg_bytes_trim(*coding);
    weight.data = semicolon + 1;
    weight.length = member.data + member.length - weight.data;
    return etg_weight_read(etg_bytes_trim(weight));
}

static int may_change(const apr_table_t *fields, apr_uint32_t flags,
                      apr_pool_t *p)
{
    etg_cache_control cc;

    for (unsigned i = 0; i < ROWS(digest_names); i++) {
        if (apr_table_get(fields, digest_names[i]) != NULL) {
            return 0;
        }
    }
    etg_cache_control_of(&cc, fields, 0, p);
    return ((cc.flags & ETG_CC_NO_TRANSFORM)
            | (flags & ETG_FRESH_NO_TRANSFORM)) == 0;
}

static int stored_may_change(const etg_stored_response *stored)
{
    if (stored->freshness.flags & ETG_FRESH_NO_TRANSFORM) {
        return 0;
    }
    for (unsigned i = 0; i < stored->field_count; i++) {
        for (unsigned j = 0; j < ROWS(digest_names); j++) {
            if (strcasecmp(stored->fields[i].name, digest_names[j]) == 0) {
                return 0;
            }
        }
    }
    return 1;
}

static int wants_gzip(const apr_table_t *request_fields, apr_pool_t *p)
{
    return etg_gzip_is_wanted(etg_field_combined(request_fields,
                                                 "Accept-Encoding", p));
}

static int ends_with(etg_bytes text, const char *end)
{
    apr_size_t length = strlen(end);

    if (text.length <= length) {
        return 0;
    }
    text.data += text.length - length;
    text.length = length;
    return etg_bytes_is(text, end);
}
