/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_tag.c: from the states of its parts to the tag of a composite.
 *
 * What is digested is a stream of tokens: one byte that says what it is, a
 * number of eight bytes, and, if the number is a length, so many bytes:
 *
 *   t T   template and options   length, bytes    (T and 0: none)
 *   o O   owner of a private one length, the HMAC (O and 0: for all)
 *   p     part                   length of its name, name
 *   u U   its URL                length, text     (U and 0: none)
 *   s     status class
 *   e     its entity tag         length, text
 *   b     its body's digest      length, bytes
 *   d     its default            0: template and options cover it
 *   .     end                    the number of parts
 *
 * As each token says where it ends, two streams are equal only if all tokens
 * are. Called for each request, on its thread.
 */
#include "lib/composite_tag.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/entity_digest.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"

#define FORMAT "etagere composite tag 1\n"
#define TAG_BYTES 16
#define NUMBER_BYTES 8

static int put_scope(etg_entity_digest *stream,
                     const etg_composite_scope *scope, apr_pool_t *p);
static int put_part(etg_entity_digest *stream,
                    const etg_composite_state *part, int *is_strong);
static int status_class(int status);
static void put_bytes(etg_entity_digest *stream, char token, etg_bytes bytes);
static void put_number(etg_entity_digest *stream, char token,
                       apr_uint64_t number);

const char *etg_composite_tag(const etg_composite_state *parts,
                              unsigned count,
                              const etg_composite_scope *scope,
                              apr_pool_t *p)
{
    etg_entity_digest *stream;
    etg_entity_id id;
    char hex[2 * TAG_BYTES + 1];
    int is_strong = 1;

    if (etg_entity_digest_begin(&stream, p) != APR_SUCCESS) {
        return NULL;
    }
    etg_entity_digest_add(stream, FORMAT, strlen(FORMAT));
    if (!put_scope(stream, scope, p)) {
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!put_part(stream, &parts[i], &is_strong)) {
            return NULL;
        }
    }
    put_number(stream, '.', count);
    if (etg_entity_digest_end(stream, &id) != APR_SUCCESS) {
        return NULL;
    }
    etg_hex(hex, id.bytes, TAG_BYTES);
    return apr_pstrcat(p, is_strong ? "\"" : "W/\"", hex, "\"", NULL);
}

static int put_scope(etg_entity_digest *stream,
                     const etg_composite_scope *scope, apr_pool_t *p)
{
    unsigned char bytes[ETG_DATA_OWNER_BYTES];
    etg_bytes owner = { NULL, 0 };

    if (scope->is_private) {
        etg_data_tag_scope forwarded = {
            .request_fields = scope->forwarded,
            .user = scope->user,
            .private_names = scope->forwarded != NULL
                ? scope->forwarded_names : NULL,
            .key = scope->key
        };

        if (!etg_data_owner(bytes, &forwarded, p)) {
            return 0;
        }
        owner.data = bytes;
        owner.length = sizeof(bytes);
    }
    put_bytes(stream, scope->template_digest.data != NULL ? 't' : 'T',
              scope->template_digest);
    put_bytes(stream, owner.data != NULL ? 'o' : 'O', owner);
    return 1;
}

/* 0: there can be no tag. */
static int put_part(etg_entity_digest *stream,
                    const etg_composite_state *part, int *is_strong)
{
    int class = status_class(part->status);
    etg_bytes etag = etg_bytes_of(part->etag);
    etg_bytes digest = { part->body_digest, sizeof(part->body_digest) };
    etg_entity_tag tag;

    if (class == 0 || (part->is_default && class <= 5)) {
        return 0;
    }
    put_bytes(stream, 'p', etg_bytes_of(part->name));
    put_bytes(stream, part->url != NULL ? 'u' : 'U', etg_bytes_of(part->url));
    put_number(stream, 's', (apr_uint64_t)class);
    if (part->is_default) {
        put_number(stream, 'd', 0);
    }
    else if (etag.data != NULL) {
        if (!etg_entity_tag_parse(etag, &tag)) {
            return 0;
        }
        *is_strong &= !tag.weak;
        put_bytes(stream, 'e', etag);
    }
    else if (part->has_body_digest) {
        put_bytes(stream, 'b', digest);
    }
    else {
        return 0;
    }
    return 1;
}

/* 2 or 3; the whole status of a definite answer; 0: it is none. */
static int status_class(int status)
{
    if (status == 404 || status == 410) {
        return status;
    }
    return status >= 200 && status < 400 && status != 304 ? status / 100 : 0;
}

static void put_bytes(etg_entity_digest *stream, char token, etg_bytes bytes)
{
    put_number(stream, token, bytes.length);
    etg_entity_digest_add(stream, bytes.data, bytes.length);
}

static void put_number(etg_entity_digest *stream, char token,
                       apr_uint64_t number)
{
    unsigned char bytes[1 + NUMBER_BYTES];

    bytes[0] = (unsigned char)token;
    for (int i = NUMBER_BYTES; i > 0; i--) {
        bytes[i] = (unsigned char)(number & 0xff);
        number >>= 8;
    }
    etg_entity_digest_add(stream, bytes, sizeof(bytes));
}
