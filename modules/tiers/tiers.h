/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers.h: one store made of several, nearest first.
 *
 * The last tier is shared with other machines and has the say; those before
 * it hold copies. A copy is trusted for a short time after the shared tier
 * was last asked about it; then the shared tier is asked again, and what it
 * answers is the new copy. So what another machine purges is gone here at the
 * latest when the trust ends, and until then a hit costs no round trip.
 *
 *   look-up       nearest first, until a copy may be trusted or the shared
 *                 tier has answered. What a farther tier had is written to
 *                 the nearer ones.
 *   write, mark   to all, the shared tier first, each against what it has
 *                 itself
 *   body          read nearest first and copied to the nearer ones; written
 *                 to all
 *   lease         in the farthest tier that has leases
 *
 * While the shared tier cannot be heard, a copy past its trust is answered as
 * stale with `trouble` set: the caller validates it and what it then writes
 * is trusted anew, so the near tier works alone.
 */
#ifndef ETG_TIERS_H
#define ETG_TIERS_H

#include "etg_store.h"

/* A provider with one of its instances. */
typedef struct etg_tier {
    const etg_store_provider *provider;
    etg_store *store;
} etg_tier;

/* Makes a store of `count` others (2 to ETG_STORE_TIERS_MAX), no two the
 * same, and its provider, in pconf. Copies are trusted for `trust`; 0: the
 * shared tier is always asked. The tiers are prepared and opened by whoever
 * made them, before this one is used: prepare and open do nothing here. Never
 * fails. */
void etg_tiers_make(const etg_store_provider **provider, etg_store **store,
                    const etg_tier *tiers, unsigned count,
                    apr_interval_time_t trust, apr_pool_t *pconf);

#endif
