/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stored_response.h: a response as the metastore holds it, and its record.
 *
 * What the fields say of reuse is worked out once, when the response is
 * stored (etg_freshness); a hit reads numbers, not fields.
 */
#ifndef ETG_LIB_STORED_RESPONSE_H
#define ETG_LIB_STORED_RESPONSE_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "etg_bytes.h"
#include "etg_store.h"
#include "lib/vary.h"

/* The record's version; another one does not parse. */
#define ETG_STORED_RESPONSE_VERSION 3

/* Bytes of the digest of the data that a response shows (lib/data_digest.h). */
#define ETG_STORED_DATA_BYTES 32

#define ETG_FRESH_NO_CACHE          0x0001u /* validate before every use */
#define ETG_FRESH_MUST_REVALIDATE   0x0002u /* never stale: must-revalidate,
                                             * proxy-revalidate, s-maxage */
#define ETG_FRESH_EXPLICIT          0x0004u /* lifetime was stated */
#define ETG_FRESH_HEURISTIC         0x0008u
#define ETG_FRESH_FOR_AUTHORIZATION 0x0010u /* RFC 9111 §3.5 permits */
#define ETG_FRESH_FOR_PRIVATE       0x0020u /* public or s-maxage by the
                                             * backend itself */
#define ETG_FRESH_NO_TRANSFORM      0x0040u
#define ETG_FRESH_IMMUTABLE         0x0080u
#define ETG_FRESH_PREFETCHED        0x0100u /* nobody has asked for it yet */

/* Reuse of a stored response, in numbers. */
typedef struct etg_freshness {
    apr_uint32_t flags;                 /* ETG_FRESH_* */
    apr_time_t date;                    /* Date, else received_at */
    apr_interval_time_t initial_age;    /* corrected_initial_age (§4.2.3) */
    apr_interval_time_t lifetime;       /* §4.2.1, or heuristic, or default */
    apr_interval_time_t stale_if_error; /* -1: the response does not say */
    apr_interval_time_t stale_while_revalidate; /* -1: does not say */
} etg_freshness;

/* Content codings we know (RFC 9110 §8.4.1). */
typedef enum etg_coding {
    ETG_CODING_IDENTITY = 0,
    ETG_CODING_GZIP = 1
} etg_coding;

/* A field, both parts terminated. */
typedef struct etg_field {
    const char *name;
    const char *value;
} etg_field;

typedef struct etg_stored_response {
    const char *key;               /* full key text */
    apr_size_t key_length;
    apr_uint64_t generation;       /* the primary's, when stored; 0: was
                                    * not known then */
    etg_vary_hash vary;
    int status;
    const char *status_line;       /* "200 OK": code and reason */
    apr_time_t requested_at;
    apr_time_t received_at;        /* of the last 200 or 304 */
    etg_freshness freshness;
    int has_body;                  /* else entity is all zeros */
    etg_entity_id entity;
    apr_uint64_t body_length;      /* of the stored bytes */
    etg_coding coding;             /* of the stored bytes, if we may undo it;
                                    * a coding we leave alone is IDENTITY
                                    * here and a field below */
    int is_coded_here;             /* GZIP: by us, from the backend's plain
                                    * bytes; else the backend sent it so */
    apr_uint64_t plain_length;     /* GZIP: of the body when inflated */
    int has_data;                  /* the body is of the data whose digest is
                                    * `data` */
    unsigned char data[ETG_STORED_DATA_BYTES];
    apr_time_t fetched_at;         /* when the fetch of the last full response
                                    * began: a 304 leaves it. 0: as
                                    * requested_at (packed so) */
    int is_etag_ours;              /* the tag in the fields is one that we made
                                    * of the data; the backend never saw it */
    int is_last_modified_ours;     /* likewise; it stays when a member goes,
                                    * so no date condition may rest on it */
    const char *backend_etag;      /* the backend's own; NULL: it sent none.
                                    * Where ours is not in its place, NULL,
                                    * and `etag` is it */
    const char *backend_last_modified;  /* likewise */
    const char *etag;              /* points at the field's value, or NULL */
    const char *last_modified;     /* likewise */
    const etg_field *fields;       /* as the backend sent them, in order; what
                                    * etg_storable_fields leaves, less the
                                    * Content-Encoding that `coding` says */
    unsigned field_count;
} etg_stored_response;

/* The validators to ask the backend with, and to hold its answers against:
 * its own. NULL: it has none. */
const char *etg_stored_backend_etag(const etg_stored_response *stored);
const char *etg_stored_backend_last_modified(
    const etg_stored_response *stored);

/* The record, in `p`. APR_ENOSPC if a limit of the format is passed (64 KB of
 * fields, 16 KB of key, 512 fields), APR_EINVAL for what a response cannot
 * have (a name that is no token, CR or LF in a value, a status outside 100 to
 * 999, etag or last_modified that is no such field's value, a time beyond
 * ±2^61 µs): the response is not stored then. */
apr_status_t etg_stored_response_pack(const etg_stored_response *response,
                                      apr_pool_t *p, etg_bytes *record);

/* Reads a record; strings point into it, so it must live as long as *response
 * and be writable by nobody; names and values that were stored as codes are
 * static, dates are written into `p`. One allocation in `p`. APR_EINVAL for
 * whatever does not parse: magic, version, checksum, lengths, an unterminated
 * string, a field name that is no token, a value with CR, LF or NUL. */
apr_status_t etg_stored_response_unpack(etg_bytes record, apr_pool_t *p,
                                        etg_stored_response *response);

#endif
