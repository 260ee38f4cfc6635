/* SPDX-License-Identifier: Apache-2.0 */
/* tiers_store.h: what the files of the tiered store share. */
#ifndef ETG_TIERS_STORE_H
#define ETG_TIERS_STORE_H

#include <stdatomic.h>

#include "modules/tiers/tiers.h"

/* Of this process. */
typedef struct etg_tiers_counters {
    atomic_ullong near_hits;      /* look-ups answered by a trusted copy */
    atomic_ullong shared_lookups; /* look-ups that asked the shared tier */
    atomic_ullong fills;          /* records and bodies copied to a tier */
    atomic_ullong unconfirmed;    /* copies answered past their trust */
} etg_tiers_counters;

struct etg_store {
    unsigned count;
    etg_tier tiers[ETG_STORE_TIERS_MAX];
    apr_interval_time_t trust;
    const etg_tier *lessor;       /* has the leases, or NULL */
    etg_tiers_counters counters;
};

static inline void etg_tiers_count(atomic_ullong *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- tiers_lookup.c, tiers_fill.c ---- */

apr_status_t etg_tiers_meta_lookup(etg_store *store, const etg_store_key *key,
                                   etg_store_choose *choose, void *baton,
                                   etg_store_depth depth, apr_pool_t *p,
                                   etg_store_found *found);

/* What a look-up saw of a tier's primary record. */
typedef struct etg_tiers_seen {
    int is_there;
    apr_uint64_t sum;             /* of the record, if it is there */
} etg_tiers_seen;

/* What is copied to a nearer tier. */
typedef struct etg_tiers_fill {
    const etg_store_key *key;
    etg_bytes primary;            /* the farther tier's */
    etg_store_key response_key;
    const etg_store_found *found; /* there */
    apr_time_t confirmed_at;
} etg_tiers_fill;

/* Hands the copy to `tier` without waiting, unless its primary record is not
 * any more what the look-up before has seen: then what came in between
 * stays. */
void etg_tiers_fill_tier(etg_store *store, const etg_tier *tier,
                         const etg_tiers_fill *fill, etg_tiers_seen seen,
                         apr_uint64_t moment);

/* ---- tiers_write.c ---- */

/* Waits at most `wait` for all tiers together. Without a response (a purge):
 * a failure if the shared tier failed. A near tier that did not take it is
 * no failure: its copies lose their trust by themselves. With a response: a
 * failure only if no tier took it; one that is stored near only is stored. */
apr_status_t etg_tiers_meta_write(etg_store *store, etg_store_write *write,
                                  apr_interval_time_t wait);

/* Of tiers too, farthest first. A failure if any tier failed. */
apr_status_t etg_tiers_mark(etg_store *store, const etg_store_tag *tags,
                            unsigned count, etg_store_mark mark,
                            apr_interval_time_t wait, unsigned *moved);

/* ---- tiers_entity.c ---- */

apr_status_t etg_tiers_entity_read(etg_store *store, const etg_entity_id *id,
                                   apr_uint64_t length, apr_pool_t *p,
                                   etg_store_answer *answer,
                                   etg_entity *entity);
/* Goes on as long as one tier takes the body. */
apr_status_t etg_tiers_entity_begin(etg_store *store, apr_int64_t expected,
                                    apr_pool_t *p,
                                    etg_entity_writer **writer);
apr_status_t etg_tiers_entity_append(etg_entity_writer *writer,
                                     const void *data, apr_size_t length);
apr_status_t etg_tiers_entity_finish(etg_entity_writer *writer,
                                     apr_time_t expires_at,
                                     etg_entity_id *id);
void etg_tiers_entity_abandon(etg_entity_writer *writer);

#endif
