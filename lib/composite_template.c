/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_template.c: finds the places for parts in a JSON document.
 *
 * A place is an object whose only member is "$part"; so its beginning is known
 * when that name comes right behind a "{", and its end when a "}" comes right
 * behind the value. What is between two places is one piece of text.
 */
#include "lib/composite_template.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/entity_digest.h"
#include "lib/field_list.h"
#include "lib/json_scan.h"

#define PLACE_NAME "$part"
/* Of what is quoted in a sentence. */
#define QUOTED_MAX 80

typedef struct reader {
    etg_json_scan scan;
    etg_bytes text;
    etg_bytes unused;           /* of the text, behind the last place */
    const apr_array_header_t *names;
    apr_array_header_t *pieces;
    apr_pool_t *pool;
} reader;

static const char *read_pieces(reader *r);
static const char *read_place(reader *r, const unsigned char *begin);
static void put_piece(reader *r, const unsigned char *end, int part);
static int find_part(const apr_array_header_t *names, etg_bytes token);
static const char *say_wrong(const reader *r);
static unsigned line(const reader *r);

const char *etg_composite_template_parse(etg_bytes text,
                                         const apr_array_header_t *names,
                                         apr_pool_t *p,
                                         etg_composite_template *result)
{
    etg_composite_template read;
    reader r = { .names = names, .pool = p };
    const char *error;

    if (text.length > ETG_COMPOSITE_TEMPLATE_MAX) {
        return apr_psprintf(p, "the template is longer than %d bytes",
                            ETG_COMPOSITE_TEMPLATE_MAX);
    }
    r.text.data = apr_pmemdup(p, text.data, text.length);
    r.text.length = text.length;
    r.pieces = apr_array_make(p, 8, sizeof(etg_composite_piece));
    error = read_pieces(&r);
    if (error == NULL && etg_sha256(r.text.data, r.text.length, read.digest)
                         != APR_SUCCESS) {
        error = "libcrypto makes no SHA-256 of the template";
    }
    if (error == NULL) {
        read.pieces = r.pieces;
        *result = read;
    }
    return error;
}

const char *etg_composite_template_default(const apr_array_header_t *names,
                                           apr_pool_t *p,
                                           etg_composite_template *result)
{
    const char *text = "{";

    for (int i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        text = apr_pstrcat(p, text, i > 0 ? ",\"" : "\"", name,
                           "\":{\"" PLACE_NAME "\":\"", name, "\"}", NULL);
    }
    return etg_composite_template_parse(
        etg_bytes_of(apr_pstrcat(p, text, "}", NULL)), names, p, result);
}

static const char *read_pieces(reader *r)
{
    const unsigned char *object = NULL;     /* just begun here */
    etg_json_token token;

    r->unused = r->text;
    etg_json_scan_begin(&r->scan, r->text);
    do {
        token = etg_json_scan_next(&r->scan);
        if (token == ETG_JSON_TOKEN_NAME
            && etg_json_string_is(r->scan.token, etg_bytes_of(PLACE_NAME))) {
            const char *error = read_place(r, object);

            if (error != NULL) {
                return error;
            }
        }
        object = token == ETG_JSON_TOKEN_OBJECT ? r->scan.token.data : NULL;
    } while (token > ETG_JSON_TOKEN_END);
    if (token == ETG_JSON_TOKEN_WRONG) {
        return say_wrong(r);
    }
    put_piece(r, r->text.data + r->text.length, -1);
    return NULL;
}

/* Behind its name. `begin` NULL: it is not the object's first member. */
static const char *read_place(reader *r, const unsigned char *begin)
{
    etg_json_token token = etg_json_scan_next(&r->scan);
    int part;

    if (token == ETG_JSON_TOKEN_WRONG) {
        return say_wrong(r);
    }
    part = token == ETG_JSON_TOKEN_STRING
           ? find_part(r->names, r->scan.token) : -1;
    if (part < 0) {
        apr_size_t length = r->scan.token.length;

        return apr_psprintf(r->pool, "line %u of the template: \"" PLACE_NAME
                            "\" is %.*s, which is not the name of a part",
                            line(r), (int)(length < QUOTED_MAX ? length
                                                               : QUOTED_MAX),
                            (const char *)r->scan.token.data);
    }
    token = etg_json_scan_next(&r->scan);
    if (token == ETG_JSON_TOKEN_WRONG) {
        return say_wrong(r);
    }
    if (begin == NULL || token != ETG_JSON_TOKEN_OBJECT_END) {
        return apr_psprintf(r->pool, "line %u of the template: \"" PLACE_NAME
                            "\" stands beside other members, but the whole "
                            "object is replaced", line(r));
    }
    put_piece(r, begin, part);
    r->unused = r->scan.rest;
    return NULL;
}

static void put_piece(reader *r, const unsigned char *end, int part)
{
    apr_size_t length = (apr_size_t)(end - r->unused.data);

    if (length > 0 || part >= 0) {
        etg_composite_piece *piece = apr_array_push(r->pieces);

        piece->text.data = r->unused.data;
        piece->text.length = length;
        piece->part = part;
    }
}

static int find_part(const apr_array_header_t *names, etg_bytes token)
{
    for (int i = 0; i < names->nelts; i++) {
        if (etg_json_string_is(token,
                               etg_bytes_of(APR_ARRAY_IDX(names, i,
                                                          const char *)))) {
            return i;
        }
    }
    return -1;
}

static const char *say_wrong(const reader *r)
{
    return apr_psprintf(r->pool, "line %u of the template: no JSON, or more "
                        "than %d deep, from byte %" APR_SIZE_T_FMT " on",
                        line(r), ETG_JSON_DEPTH_MAX,
                        r->text.length - r->scan.token.length + 1);
}

/* Of the token; the first is 1. */
static unsigned line(const reader *r)
{
    unsigned number = 1;

    for (const unsigned char *at = r->text.data; at < r->scan.token.data;
         at++) {
        number += *at == '\n';
    }
    return number;
}
