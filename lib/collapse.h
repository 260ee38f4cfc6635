/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collapse.h: one fetch per key and host, and the memory of keys whose
 * answers cannot be shared; a table in memory that all children share.
 *
 * Model. A fixed table of slots in shared memory (offsets and indexes only).
 * A slot is a key's present fetch: its leader (process id and start time, so
 * that a reused pid is not mistaken), a ticket number, the count of
 * followers, and a futex word that changes when the fetch ends. A second
 * table remembers uncacheable keys until a time. Short sections only are
 * under locks, which survive the death of their holder. Layout and order of
 * writes: collapse_table.h. All calls may come from any thread.
 */
#ifndef ETG_LIB_COLLAPSE_H
#define ETG_LIB_COLLAPSE_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_store.h"

typedef struct etg_collapse etg_collapse;

typedef struct etg_collapse_ticket {
    apr_uint32_t slot;
    apr_uint64_t number;       /* 0: no ticket */
} etg_collapse_ticket;

typedef enum etg_collapse_role {
    ETG_COLLAPSE_LEAD,         /* fetch; etg_collapse_finish is owed */
    ETG_COLLAPSE_DONE,         /* the fetch was stored: look up again */
    ETG_COLLAPSE_FAILED,       /* the fetch failed or stored nothing: look up
                                * again, join again */
    ETG_COLLAPSE_UNCACHEABLE,  /* cannot be shared: fetch for yourself */
    ETG_COLLAPSE_ALONE         /* table full or waited too long: likewise */
} etg_collapse_role;

typedef enum etg_collapse_outcome {
    ETG_COLLAPSE_STORED,
    ETG_COLLAPSE_NOT_STORED,
    ETG_COLLAPSE_NOT_SHAREABLE
} etg_collapse_outcome;

/* Bytes of shared memory for a table of `slots` fetches at once and
 * `remembered` uncacheable keys (both rounded up to powers of two). */
apr_size_t etg_collapse_size(unsigned slots, unsigned remembered);

/* Lays the table out in zeroed shared memory (parent, before children). */
apr_status_t etg_collapse_format(void *memory, apr_size_t size,
                                 unsigned slots, unsigned remembered);

/* This process's view of a formatted table, in `p`; a cleanup on p ends all
 * fetches this process still leads. APR_EINVAL: not such a table. Call it
 * after fork. */
apr_status_t etg_collapse_attach(etg_collapse **collapse, void *memory,
                                 apr_size_t size, apr_pool_t *p);

/* Is `key` remembered as uncacheable at `now`? Lock-free. */
int etg_collapse_is_uncacheable(etg_collapse *collapse,
                                const etg_store_key *key, apr_time_t now);

/* Remembers (or, until = 0, forgets) it; a full bucket drops the oldest.
 * Lock-free. */
void etg_collapse_remember(etg_collapse *collapse, const etg_store_key *key,
                           apr_time_t until);

/*
 * Joins the fetch of `key`: leads it if nobody does, else waits for its end,
 * at most `wait` (0: never waits). When the leader's process dies, or its
 * thread's wait ends, exactly one of the waiters gets LEAD (with a new
 * ticket; the old leader's finish then does nothing) and the others wait for
 * the new leader, each at most one further `wait`, then ALONE. A slot that
 * went on to other fetches before a follower looked gives it FAILED. LEAD
 * fills *ticket; nothing else touches it.
 */
etg_collapse_role etg_collapse_join(etg_collapse *collapse,
                                    const etg_store_key *key,
                                    apr_interval_time_t wait,
                                    etg_collapse_ticket *ticket);

/* Has whoever waits lost interest? Asked several times a second. */
typedef int etg_collapse_is_over(void *baton);

/* The same; ALONE as soon as that is so (NULL: it never is). */
etg_collapse_role etg_collapse_join_until(etg_collapse *collapse,
                                          const etg_store_key *key,
                                          apr_interval_time_t wait,
                                          etg_collapse_is_over *is_over,
                                          void *baton,
                                          etg_collapse_ticket *ticket);

/*
 * Waits for the present fetch of `key` without ever leading: DONE, FAILED
 * (its leader's death counts) or UNCACHEABLE as it ends; ALONE if nobody
 * fetches, or once it has waited for `wait`. Whoever takes the fetch over is
 * waited for within the same time.
 */
etg_collapse_role etg_collapse_follow(etg_collapse *collapse,
                                      const etg_store_key *key,
                                      apr_interval_time_t wait);

/* The same; ALONE as soon as that is so. */
etg_collapse_role etg_collapse_follow_until(etg_collapse *collapse,
                                            const etg_store_key *key,
                                            apr_interval_time_t wait,
                                            etg_collapse_is_over *is_over,
                                            void *baton);

/* Ends a fetch, wakes its followers with DONE, FAILED or UNCACHEABLE, and
 * clears *ticket; NOT_SHAREABLE also remembers the key for `remember`. With
 * the same ticket again, or one that was taken over, it does nothing else.
 * Never blocks. */
void etg_collapse_finish(etg_collapse *collapse, etg_collapse_ticket *ticket,
                         etg_collapse_outcome outcome,
                         apr_interval_time_t remember);

/* How many wait for this ticket now; 0 once it has ended. Followers that were
 * killed count until then. */
unsigned etg_collapse_followers(etg_collapse *collapse,
                                const etg_collapse_ticket *ticket);

/* Counters since format, as etg_store_counter rows in `p`: led (fetches
 * begun, taken over or not), followed, taken_over, alone, remembered (keys
 * that were not yet), full (no slot: alone). */
apr_array_header_t *etg_collapse_counters(etg_collapse *collapse,
                                          apr_pool_t *p);

#endif
