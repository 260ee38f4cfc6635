/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen_response.h: what is remembered of the last 200 of a URL, so that later
 * requests can be answered 304 while its data has not moved: the fields that
 * a 304 repeats (RFC 9110 §15.4.5), and no body.
 *
 * Two records, as in the metastore: one per URL says which request fields
 * Vary names, one per URL, values of these fields and (on private requests)
 * user says the rest.
 */
#ifndef ETG_LIB_SEEN_RESPONSE_H
#define ETG_LIB_SEEN_RESPONSE_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "etg_bytes.h"
#include "lib/data_digest.h"
#include "lib/data_tag.h"
#include "lib/vary.h"

#define ETG_SEEN_KEY_BYTES 32
/* Longer records are not made. */
#define ETG_SEEN_MAX 2048

typedef struct etg_seen_key {
    unsigned char bytes[ETG_SEEN_KEY_BYTES];
} etg_seen_key;

/* All strings are field values as they went out; NULL: the field was not
 * there. */
typedef struct etg_seen_response {
    unsigned char data[ETG_DATA_DIGEST_BYTES];
    apr_time_t fetched_at;        /* when its fetch began */
    const char *etag;
    int is_last_modified_ours;    /* else the backend's, or none */
    const char *vary;
    const char *cache_control;
    const char *content_location;
    apr_interval_time_t expires_in;   /* Expires - Date, when it went out */
    int has_expires;
} etg_seen_response;

/* The key of a URL's first record. `url` is its cache key's text. */
void etg_seen_url_key(etg_seen_key *key, etg_bytes url);

/* The key of the second: a SHA-256 over the URL, the values of the fields
 * that scope->vary_names names and, if it is private, an HMAC of the user and
 * the private fields. 0: there is none, as etg_data_tag would give no tag. */
int etg_seen_variant_key(etg_seen_key *key, etg_bytes url,
                         const etg_data_tag_scope *scope, apr_pool_t *p);

/* Framed records (lib/record.h) in `p`. APR_ENOSPC: longer than
 * ETG_SEEN_MAX; APR_EINVAL: CR, LF or NUL in a value. Unpacking gives
 * APR_EINVAL for whatever does not parse; strings point into the record or
 * into `p`. The key is in the record and compared, as hashes of a memory that
 * is shared may be cut. */
apr_status_t etg_seen_pack_names(const etg_seen_key *key,
                                 const char *vary_names, apr_pool_t *p,
                                 etg_bytes *record);
apr_status_t etg_seen_unpack_names(etg_bytes record, const etg_seen_key *key,
                                   apr_pool_t *p, const char **vary_names);
apr_status_t etg_seen_pack(const etg_seen_key *key,
                           const etg_seen_response *seen, apr_pool_t *p,
                           etg_bytes *record);
apr_status_t etg_seen_unpack(etg_bytes record, const etg_seen_key *key,
                             apr_pool_t *p, etg_seen_response *seen);

/* May a request with these fields be answered 304 by it, when the data is
 * `data` now? The digests must be equal, less than `trust` must have gone by
 * since fetched_at (and fetched_at not lie in the future), and If-None-Match
 * must match its tag weakly; alone: with If-Match, If-Unmodified-Since or a
 * Range the backend is asked. A date never suffices, and If-Modified-Since
 * says nothing beside If-None-Match (RFC 9110 §13.1.3). */
int etg_seen_answers(const etg_seen_response *seen,
                     const unsigned char data[ETG_DATA_DIGEST_BYTES],
                     apr_interval_time_t trust,
                     const apr_table_t *request_fields, apr_time_t now,
                     apr_pool_t *p);

/* May a response with these fields be remembered at all? Not with Set-Cookie
 * (what it sets would not be set by a 304), no-store, Vary: *, without an
 * ETag, or one that is none. */
int etg_seen_is_memorable(const apr_table_t *response_fields, apr_pool_t *p);

#endif
