/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch_ledger.h: which prefetched responses nobody has asked for yet, and
 * how many were worth it; in memory that all children share.
 *
 * Model. A fixed table of places, eight to a bucket: the hash of what was
 * prefetched and when it expires. A place is taken when a response is stored
 * and given up by the first client that gets it (useful), or when it has
 * expired or another response needs the place (wasted). Lock-free, and not
 * exact to the last one: what two processes do to one place in the same
 * moment may be counted once. Nothing but counters depends on it.
 */
#ifndef ETG_LIB_PREFETCH_LEDGER_H
#define ETG_LIB_PREFETCH_LEDGER_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "etg_store.h"

typedef struct etg_prefetch_ledger etg_prefetch_ledger;

typedef enum etg_prefetch_count {
    ETG_PREFETCH_STARTED,         /* the backend was asked */
    ETG_PREFETCH_SKIPPED,         /* two of the route were under way */
    ETG_PREFETCH_USEFUL,
    ETG_PREFETCH_WASTED,
    ETG_PREFETCH_COUNTS
} etg_prefetch_count;

/* Bytes of shared memory for `places` (rounded up to a power of two of
 * buckets). */
apr_size_t etg_prefetch_ledger_size(unsigned places);

/* Lays it out in zeroed shared memory (parent, before children). */
apr_status_t etg_prefetch_ledger_format(void *memory, apr_size_t size,
                                        unsigned places);

/* This process's view, in `p`. APR_EINVAL: not such a ledger. */
apr_status_t etg_prefetch_ledger_attach(etg_prefetch_ledger **ledger,
                                        void *memory, apr_size_t size,
                                        apr_pool_t *p);

/* The response of this hash was stored by a prefetch at `now`. */
void etg_prefetch_ledger_put(etg_prefetch_ledger *ledger, apr_uint64_t hash,
                             apr_time_t expires_at, apr_time_t now);

/* A client gets it. 1: as the first. */
int etg_prefetch_ledger_hit(etg_prefetch_ledger *ledger, apr_uint64_t hash);

void etg_prefetch_ledger_add(etg_prefetch_ledger *ledger,
                             etg_prefetch_count which);

/* etg_store_counter rows in `p`: started, skipped, useful, wasted; what has
 * expired by `now` is counted first. */
apr_array_header_t *etg_prefetch_ledger_counters(etg_prefetch_ledger *ledger,
                                                 apr_time_t now,
                                                 apr_pool_t *p);

#endif
