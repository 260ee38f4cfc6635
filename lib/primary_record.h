/* SPDX-License-Identifier: Apache-2.0 */
/*
 * primary_record.h: what is known about a key: its generation, when it was
 * invalidated or purged, which fields its responses vary on, and a row per
 * stored variant.
 */
#ifndef ETG_LIB_PRIMARY_RECORD_H
#define ETG_LIB_PRIMARY_RECORD_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_bytes.h"
#include "etg_store.h"
#include "lib/vary.h"

/* The record's version; another one does not parse. */
#define ETG_PRIMARY_VERSION 1

#define ETG_PRIMARY_ROWS_MAX 1024   /* the format's limit, not MaxVariants */
#define ETG_PRIMARY_SPECS_MAX 16    /* distinct Vary fields kept */

typedef struct etg_primary_row {
    apr_uint16_t spec;          /* index into specs */
    etg_vary_hash vary;
    apr_time_t received_at;
    apr_time_t expires_at;      /* when the store may drop the response */
    apr_time_t date;            /* its Date: the newest match is chosen */
    const char *etag;           /* NULL if none; kept only if spec is not "" */
} etg_primary_row;

typedef struct etg_primary {
    const char *key;            /* full key text */
    apr_size_t key_length;
    apr_uint64_t generation;    /* never 0; time-based, never reused */
    apr_time_t invalidated_at;  /* what was requested or received then or
                                 * before is not used without validation,
                                 * not even stale; 0: never */
    apr_time_t purged_at;       /* likewise, but stale rules apply (soft) */
    const char *specs[ETG_PRIMARY_SPECS_MAX]; /* etg_vary_names forms */
    unsigned spec_count;
    etg_primary_row *rows;      /* newest first */
    unsigned row_count;
} etg_primary;

/* A new primary for `key`: no specs, no rows; its generation is made from
 * `now` and random low bits, and greater than `older_than` (0 if there was
 * none). */
void etg_primary_init(etg_primary *primary, const char *key,
                      apr_size_t key_length, apr_time_t now,
                      apr_uint64_t older_than);

/* The record, in `p`. APR_ENOSPC if a limit of the format is passed (rows,
 * specs, 16 KB of key); APR_EINVAL for a row of no spec, a negative time of
 * invalidation or purge, a time beyond ±2^61 µs, or CR or LF in an etag. */
apr_status_t etg_primary_pack(const etg_primary *primary, apr_pool_t *p,
                              etg_bytes *record);

/* Reads a record; strings point into it, rows are in `p`. APR_EINVAL as in
 * etg_stored_response_unpack. */
apr_status_t etg_primary_unpack(etg_bytes record, apr_pool_t *p,
                                etg_primary *primary);

/* Adds or replaces the row (spec, vary) and moves it to the front; row->spec
 * is not read. Rows past `max_rows` (the new one always stays), rows expired
 * at `now`, the rows of a spec too many and specs no row names any more go;
 * *dropped counts live rows that a limit pushed out. Allocates in `p`, where
 * copies of `spec` and the new row's etag are. Never fails. */
apr_status_t etg_primary_put(etg_primary *primary, const char *spec,
                             const etg_primary_row *row, unsigned max_rows,
                             apr_time_t now, apr_pool_t *p,
                             unsigned *dropped);

/* Marks all that is stored under the key: SOFT in purged_at, INVALID in
 * invalidated_at; GONE drops rows and specs, too, and leaves the mark of
 * INVALID behind, with a later generation. The mark is later than the last of
 * its kind and than everything stored, whatever the clocks of the hosts that
 * wrote those, so that it always moves. NONE does nothing. */
void etg_primary_mark(etg_primary *primary, etg_store_mark mark,
                      apr_time_t now);

/* Has it been marked since a look-up saw these two times (0: no primary, or
 * no mark)? What was fetched after that look-up is of before the mark then.
 * Times are another host's: that they have moved is certain where clocks
 * differ, which is the later is not. */
int etg_primary_is_marked_since(const etg_primary *primary,
                                apr_time_t invalidated_at,
                                apr_time_t purged_at);

/* The row of the variant for a request: for each spec the request's vary
 * hash is made (spec "" costs nothing); among the rows that fit, the one with
 * the latest date, then the latest received_at. NULL: none fits. */
const etg_primary_row *etg_primary_choose(const etg_primary *primary,
                                          const apr_table_t *request_fields,
                                          const etg_vary_rules *rules,
                                          apr_pool_t *p);

#endif
