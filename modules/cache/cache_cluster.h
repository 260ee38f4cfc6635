/* SPDX-License-Identifier: Apache-2.0 */
/* cache_cluster.h: one fetch per key among the hosts that share a store. */
#ifndef ETG_CACHE_CLUSTER_H
#define ETG_CACHE_CLUSTER_H

#include "modules/cache/cache.h"

/* This request leads on its host, which it has asked to since `since`: asks
 * for the lease on the fetch, and waits while another host has it, at most
 * until ETagCacheCollapseWait after `since`.
 *   LEAD         fetch, once the store has been looked up again
 *   DONE         another host's fetch has ended: look up again, and lead if
 *                that does not do
 *   UNCACHEABLE  fetch for yourself; this host's followers know already
 *   ALONE        fetch at once: the store cannot say, or the wait is over
 * But for UNCACHEABLE this request leads on its host still. */
etg_collapse_role etg_cache_cluster_join(etg_cache_context *ctx,
                                         apr_time_t since);

/* The same for a fetch in the background, which waits at most `wait`: LEAD, or
 * it has nothing to do: UNCACHEABLE as above, ALONE while another host
 * fetches. */
etg_collapse_role etg_cache_cluster_try(etg_cache_context *ctx,
                                        apr_interval_time_t wait);

/* Gives the lease back, if this request holds it, once what it has written is
 * stored. */
void etg_cache_cluster_release(etg_cache_context *ctx,
                               etg_collapse_outcome outcome);

#endif
