/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_tag.c: from a digest and a request to the tag its client is given.
 *
 * All that the tag covers has a fixed length once it is digested itself, so a
 * structure of bytes is all that is hashed. The user and the private fields
 * are framed for their HMAC as token, length and bytes.
 */
#include "lib/data_tag.h"

#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/entity_digest.h"

#define TAG_BYTES 16
#define LENGTH_BYTES 8

/* What a tag is the hash of; bytes only, so that there is no padding. */
typedef struct covered {
    unsigned char format;
    unsigned char strength;
    unsigned char privacy;
    unsigned char digest[ETG_DATA_DIGEST_BYTES];
    unsigned char vary[ETG_VARY_HASH_BYTES];
    unsigned char owner[ETG_DATA_OWNER_BYTES];
} covered;

/* Where owner_text is written; `at` NULL: it is only measured. */
typedef struct owner_text {
    unsigned char *at;
    apr_size_t length;
} owner_text;

static int is_for_all(const etg_data_tag_scope *scope);
static void put_owner(owner_text *text, const etg_data_tag_scope *scope);
static int put_line(void *data, const char *name, const char *value);
static void put(owner_text *text, char token, const char *value);
static const char *tag_text(const char *opaque, int is_strong, apr_pool_t *p);

const char *etg_data_tag(const etg_data_digest *digest,
                         const etg_data_tag_scope *scope, int is_strong,
                         apr_pool_t *p)
{
    covered all;
    etg_vary_hash vary;
    unsigned char bytes[ETG_DATA_DIGEST_BYTES];
    char hex[2 * TAG_BYTES + 1];

    if (scope->vary_names == NULL) {
        return NULL;
    }
    if (digest->rails[0] != '\0' && !digest->is_salted && !is_strong
        && is_for_all(scope)) {
        return tag_text(digest->rails, 0, p);
    }
    memset(&all, 0, sizeof(all));
    all.format = 1;
    all.strength = is_strong != 0;
    all.privacy = scope->is_private != 0;
    memcpy(all.digest, digest->sha256, sizeof(all.digest));
    etg_vary_hash_of(&vary, scope->vary_names, scope->request_fields,
                     scope->vary_rules, p);
    memcpy(all.vary, vary.bytes, sizeof(all.vary));
    if ((scope->is_private && !etg_data_owner(all.owner, scope, p))
        || etg_sha256(&all, sizeof(all), bytes) != APR_SUCCESS) {
        return NULL;
    }
    etg_hex(hex, bytes, TAG_BYTES);
    return tag_text(hex, is_strong, p);
}

static int is_for_all(const etg_data_tag_scope *scope)
{
    return !scope->is_private && scope->vary_names[0] == '\0';
}

int etg_data_owner(unsigned char owner[ETG_DATA_OWNER_BYTES],
                   const etg_data_tag_scope *scope, apr_pool_t *p)
{
    owner_text text = { NULL, 0 };
    unsigned char *bytes;
    unsigned length = ETG_DATA_OWNER_BYTES;

    if (scope->key.data == NULL
        || scope->key.length < ETG_DATA_TAG_KEY_MIN) {
        return 0;
    }
    put_owner(&text, scope);
    bytes = text.at = apr_palloc(p, text.length);
    text.length = 0;
    put_owner(&text, scope);
    return HMAC(EVP_sha256(), scope->key.data, (int)scope->key.length, bytes,
                text.length, owner, &length) != NULL;
}

/* The user, then each name and after it its lines. */
static void put_owner(owner_text *text, const etg_data_tag_scope *scope)
{
    int i;

    put(text, scope->user != NULL ? 'u' : 'U',
        scope->user != NULL ? scope->user : "");
    for (i = 0; scope->private_names != NULL
                && i < scope->private_names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(scope->private_names, i,
                                         const char *);

        put(text, 'f', name);
        apr_table_do(put_line, text, scope->request_fields, name, NULL);
    }
}

static int put_line(void *data, const char *name, const char *value)
{
    (void)name;
    put(data, 'l', value);
    return 1;
}

static void put(owner_text *text, char token, const char *value)
{
    apr_size_t length = strlen(value);
    apr_size_t left = length;
    int i;

    text->length += 1 + LENGTH_BYTES + length;
    if (text->at == NULL) {
        return;
    }
    text->at[0] = (unsigned char)token;
    for (i = LENGTH_BYTES; i > 0; i--) {
        text->at[i] = (unsigned char)(left & 0xff);
        left >>= 8;
    }
    memcpy(text->at + 1 + LENGTH_BYTES, value, length);
    text->at += 1 + LENGTH_BYTES + length;
}

static const char *tag_text(const char *opaque, int is_strong, apr_pool_t *p)
{
    return apr_pstrcat(p, is_strong ? "\"" : "W/\"", opaque, "\"", NULL);
}
