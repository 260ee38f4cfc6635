/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen_response.c: packs, unpacks and judges what is remembered of a 200.
 *
 * Payloads (items of record.h), both after the 32 bytes of their key:
 *
 *   names:     text  the names of Vary
 *   response:  number  HAS_* and IS_*
 *              bytes   the data's SHA-256
 *              time    fetched, from 1970
 *              text    etag
 *              text    vary, cache-control, content-location: each that has
 *                      its flag
 *              interval  expires, if it has its flag
 *
 * A key that could not be made (libcrypto failed) is all zeros: nothing is
 * packed or unpacked under it.
 */
#include "lib/seen_response.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/cache_control.h"
#include "lib/entity_digest.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"
#include "lib/record.h"

#define VERSION 1

#define HAS_VARY 0x01u
#define HAS_CACHE_CONTROL 0x02u
#define HAS_CONTENT_LOCATION 0x04u
#define HAS_EXPIRES 0x08u
#define IS_LAST_MODIFIED_OURS 0x10u
#define FLAGS_ALL 0x1fu

static const etg_seen_key no_key;

/* What the second key is the hash of; bytes only, so there is no padding. */
typedef struct variant {
    unsigned char format;
    unsigned char privacy;
    unsigned char url[ETG_SEEN_KEY_BYTES];
    unsigned char vary[ETG_VARY_HASH_BYTES];
    unsigned char owner[ETG_DATA_OWNER_BYTES];
} variant;

static int is_key(const etg_seen_key *key);
static unsigned flags_of(const etg_seen_response *seen);
static void put_line(etg_record_writer *writer, const char *value);
static apr_status_t end(etg_record_writer *writer, etg_bytes *record);
static apr_status_t open_record(etg_record_reader *reader, etg_bytes record,
                                etg_record_kind kind,
                                const etg_seen_key *key);
static const char *read_line(etg_record_reader *reader, int is_there,
                             apr_pool_t *p);
static int are_names(const char *names);
static int asks_more(const apr_table_t *request_fields);

void etg_seen_url_key(etg_seen_key *key, etg_bytes url)
{
    if (etg_sha256(url.data, url.length, key->bytes) != APR_SUCCESS) {
        *key = no_key;
    }
}

int etg_seen_variant_key(etg_seen_key *key, etg_bytes url,
                         const etg_data_tag_scope *scope, apr_pool_t *p)
{
    variant all;
    etg_seen_key of_url;
    etg_vary_hash vary;

    if (scope->vary_names == NULL) {
        return 0;
    }
    memset(&all, 0, sizeof(all));
    all.format = 2;             /* no URL's text begins like it */
    all.privacy = scope->is_private != 0;
    etg_seen_url_key(&of_url, url);
    memcpy(all.url, of_url.bytes, sizeof(all.url));
    etg_vary_hash_of(&vary, scope->vary_names, scope->request_fields,
                     scope->vary_rules, p);
    memcpy(all.vary, vary.bytes, sizeof(all.vary));
    if ((scope->is_private && !etg_data_owner(all.owner, scope, p))
        || !is_key(&of_url)
        || etg_sha256(&all, sizeof(all), of_url.bytes) != APR_SUCCESS) {
        return 0;
    }
    *key = of_url;
    return 1;
}

apr_status_t etg_seen_pack_names(const etg_seen_key *key,
                                 const char *vary_names, apr_pool_t *p,
                                 etg_bytes *record)
{
    etg_record_writer writer;

    if (!is_key(key) || !are_names(vary_names)) {
        return APR_EINVAL;
    }
    etg_record_begin(&writer, ETG_RECORD_SEEN_NAMES, VERSION,
                     sizeof(key->bytes) + strlen(vary_names) + 3, p);
    etg_record_put_bytes(&writer, key->bytes, sizeof(key->bytes));
    put_line(&writer, vary_names);
    return end(&writer, record);
}

apr_status_t etg_seen_unpack_names(etg_bytes record, const etg_seen_key *key,
                                   apr_pool_t *p, const char **vary_names)
{
    etg_record_reader reader;
    const char *names;
    apr_status_t rv = open_record(&reader, record, ETG_RECORD_SEEN_NAMES,
                                  key);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    names = read_line(&reader, 1, p);
    if (!etg_record_is_done(&reader) || !are_names(names)) {
        return APR_EINVAL;
    }
    *vary_names = names;
    return APR_SUCCESS;
}

apr_status_t etg_seen_pack(const etg_seen_key *key,
                           const etg_seen_response *seen, apr_pool_t *p,
                           etg_bytes *record)
{
    etg_record_writer writer;

    if (!is_key(key) || seen->etag == NULL || seen->fetched_at < 0) {
        return APR_EINVAL;
    }
    etg_record_begin(&writer, ETG_RECORD_SEEN, VERSION, 512, p);
    etg_record_put_bytes(&writer, key->bytes, sizeof(key->bytes));
    etg_record_put_number(&writer, flags_of(seen));
    etg_record_put_bytes(&writer, seen->data, sizeof(seen->data));
    etg_record_put_time(&writer, seen->fetched_at, 0);
    put_line(&writer, seen->etag);
    put_line(&writer, seen->vary);
    put_line(&writer, seen->cache_control);
    put_line(&writer, seen->content_location);
    if (seen->has_expires) {
        etg_record_put_interval(&writer, seen->expires_in);
    }
    return end(&writer, record);
}

apr_status_t etg_seen_unpack(etg_bytes record, const etg_seen_key *key,
                             apr_pool_t *p, etg_seen_response *seen)
{
    etg_record_reader reader;
    etg_seen_response read;
    const unsigned char *data;
    apr_uint64_t flags;
    apr_status_t rv = open_record(&reader, record, ETG_RECORD_SEEN, key);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    memset(&read, 0, sizeof(read));
    flags = etg_record_count(&reader, FLAGS_ALL);
    data = etg_record_bytes(&reader, sizeof(read.data));
    read.fetched_at = etg_record_time(&reader, 0);
    read.etag = read_line(&reader, 1, p);
    read.vary = read_line(&reader, flags & HAS_VARY, p);
    read.cache_control = read_line(&reader, flags & HAS_CACHE_CONTROL, p);
    read.content_location = read_line(&reader, flags & HAS_CONTENT_LOCATION,
                                      p);
    read.has_expires = (flags & HAS_EXPIRES) != 0;
    if (read.has_expires) {
        read.expires_in = etg_record_interval(&reader);
    }
    read.is_last_modified_ours = (flags & IS_LAST_MODIFIED_OURS) != 0;
    if (!etg_record_is_done(&reader) || data == NULL
        || read.fetched_at < 0) {
        return APR_EINVAL;
    }
    memcpy(read.data, data, sizeof(read.data));
    *seen = read;
    return APR_SUCCESS;
}

int etg_seen_answers(const etg_seen_response *seen,
                     const unsigned char data[ETG_DATA_DIGEST_BYTES],
                     apr_interval_time_t trust,
                     const apr_table_t *request_fields, apr_time_t now,
                     apr_pool_t *p)
{
    const char *held;

    if (memcmp(seen->data, data, sizeof(seen->data)) != 0
        || seen->fetched_at > now || now - seen->fetched_at >= trust
        || asks_more(request_fields)) {
        return 0;
    }
    held = etg_field_combined(request_fields, "If-None-Match", p);
    return held != NULL
        && (etg_entity_tag_is_any(etg_bytes_of(held))
            || etg_entity_tag_list_has(etg_bytes_of(held), seen->etag, 0));
}

int etg_seen_is_memorable(const apr_table_t *response_fields, apr_pool_t *p)
{
    const char *etag = apr_table_get(response_fields, "ETag");
    etg_cache_control cc;
    etg_entity_tag tag;

    if (etag == NULL || etg_field_count(response_fields, "ETag") != 1
        || !etg_entity_tag_parse(etg_bytes_of(etag), &tag)
        || apr_table_get(response_fields, "Set-Cookie") != NULL
        || apr_table_get(response_fields, "Set-Cookie2") != NULL
        || etg_vary_names(response_fields, p) == NULL) {
        return 0;
    }
    etg_cache_control_of(&cc, response_fields, 0, p);
    return !(cc.flags & ETG_CC_NO_STORE);
}

static int is_key(const etg_seen_key *key)
{
    return memcmp(key, &no_key, sizeof(no_key)) != 0;
}

static unsigned flags_of(const etg_seen_response *seen)
{
    return (seen->vary != NULL ? HAS_VARY : 0)
        | (seen->cache_control != NULL ? HAS_CACHE_CONTROL : 0)
        | (seen->content_location != NULL ? HAS_CONTENT_LOCATION : 0)
        | (seen->has_expires ? HAS_EXPIRES : 0)
        | (seen->is_last_modified_ours ? IS_LAST_MODIFIED_OURS : 0);
}

static void put_line(etg_record_writer *writer, const char *value)
{
    if (value == NULL) {
        return;
    }
    if (!etg_record_is_line(value, strlen(value))) {
        etg_record_fail(writer, APR_EINVAL);
    }
    etg_record_put_text(writer, value, strlen(value));
}

static apr_status_t end(etg_record_writer *writer, etg_bytes *record)
{
    etg_bytes made = { NULL, 0 };
    apr_status_t rv = etg_record_end(writer, &made);

    if (rv == APR_SUCCESS && made.length > ETG_SEEN_MAX) {
        rv = APR_ENOSPC;
    }
    if (rv == APR_SUCCESS) {
        *record = made;
    }
    return rv;
}

/* A record of this very key, and its reader behind it. */
static apr_status_t open_record(etg_record_reader *reader, etg_bytes record,
                                etg_record_kind kind, const etg_seen_key *key)
{
    const unsigned char *bytes;
    apr_status_t rv;

    if (!is_key(key) || record.length > ETG_SEEN_MAX) {
        return APR_EINVAL;
    }
    rv = etg_record_open(reader, record, kind, VERSION);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    bytes = etg_record_bytes(reader, sizeof(key->bytes));
    return bytes != NULL && !memcmp(bytes, key->bytes, sizeof(key->bytes))
        ? APR_SUCCESS : APR_EINVAL;
}

/* A copy, as the record's memory may be lent. NULL: not there; what cannot
 * stand in a field is refused. */
static const char *read_line(etg_record_reader *reader, int is_there,
                             apr_pool_t *p)
{
    const char *text;
    apr_size_t length;

    if (!is_there) {
        return NULL;
    }
    text = etg_record_text(reader, &length);
    if (!etg_record_is_line(text, length)) {
        etg_record_refuse(reader);
    }
    return apr_pstrmemdup(p, text, length);
}

/* As etg_vary_names writes them, as far as a byte shows. */
static int are_names(const char *names)
{
    if (names == NULL) {
        return 0;
    }
    for (; *names != '\0'; names++) {
        if (*names != ',' && !etg_is_token_byte((unsigned char)*names)) {
            return 0;
        }
    }
    return 1;
}

/* If-Modified-Since says nothing beside If-None-Match (RFC 9110 §13.1.3). */
static int asks_more(const apr_table_t *request_fields)
{
    static const char *const names[] = {
        "If-Match", "If-Unmodified-Since", "If-Range", "Range"
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (apr_table_get(request_fields, names[i]) != NULL) {
            return 1;
        }
    }
    return 0;
}
