/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collapse_table.h: the table behind collapse.h as it lies in shared memory;
 * for lib/collapse*.c and their tests only.
 *
 * Model. Header, counters, stripes (one robust mutex each), slots, then the
 * buckets of uncacheable keys; indexes only, no pointers. A key belongs to
 * one bucket of ETG_COLLAPSE_WAYS slots, a bucket to one stripe.
 *
 * A slot's fetches are numbered 1, 2, 3, ...; `number` is the latest. Fetch N
 * ends by one compare-and-swap that puts (N, how) into ended[N & 1], so that
 * of a finish and a take-over exactly one wins. A slot is free as soon as
 * its latest fetch has ended, whoever still follows it: a follower knows its
 * number, and finds there its own outcome, a smaller number (still open) or
 * a larger one (the slot went on without it: look up again).
 *
 * Each step leaves a table that is right if the process dies before the
 * next: a fetch begins with the store of `number`, after key and leader.
 *
 * Orders. Key and leader are written under the stripe's lock before `number`
 * and read under it, or by the leader itself. `ended`, `word`, `followers`
 * are sequentially consistent: a follower counts itself and then looks at
 * `ended`, a leader ends and then looks at the count; one sees the other.
 */
#ifndef ETG_LIB_COLLAPSE_TABLE_H
#define ETG_LIB_COLLAPSE_TABLE_H

#include <pthread.h>
#include <stdalign.h>
#include <sys/types.h>

#include "lib/collapse.h"

#define ETG_COLLAPSE_LINE 64         /* bytes in a cache line */
#define ETG_COLLAPSE_STRIPES 64
#define ETG_COLLAPSE_WAYS 8          /* slots, or remembered keys, a bucket */
#define ETG_COLLAPSE_LIVING 64       /* cached answers per process */

/* How fetch N of a slot ended, as its followers see it. */
typedef enum etg_collapse_end {
    ETG_COLLAPSE_OPEN = 0,           /* it has not */
    ETG_COLLAPSE_END_STORED,
    ETG_COLLAPSE_END_NOT_STORED,
    ETG_COLLAPSE_END_NOT_SHAREABLE,
    ETG_COLLAPSE_END_TAKEN_OVER,     /* fetch N + 1 is for the same key */
    ETG_COLLAPSE_END_LOST            /* overwritten since */
} etg_collapse_end;

/* A process that cannot be mistaken for a later one with its pid. */
typedef struct etg_collapse_process {
    pid_t pid;
    apr_uint64_t start;              /* clock ticks after boot; 0: unknown */
} etg_collapse_process;

typedef struct etg_collapse_slot {
    alignas(ETG_COLLAPSE_LINE)
    apr_uint64_t key[2];             /* atomic, relaxed */
    apr_uint64_t number;             /* written under the lock; 0: none yet */
    apr_uint64_t ended[2];           /* number << 3 | etg_collapse_end */
    apr_uint64_t followers;          /* number << 20 | count */
    apr_uint64_t leader_start;       /* under the lock */
    apr_int32_t leader_pid;          /* under the lock */
    apr_uint32_t word;               /* futex; changes when a fetch ends */
} etg_collapse_slot;

typedef struct etg_collapse_stripe {
    alignas(ETG_COLLAPSE_LINE) pthread_mutex_t mutex;
} etg_collapse_stripe;

/* Keys of one bucket. Hash and expiry are atomic each, not together: what a
 * race can mix up costs one request its collapsing, or one fetch more. */
typedef struct etg_collapse_memory {
    alignas(ETG_COLLAPSE_LINE) apr_uint64_t hash[ETG_COLLAPSE_WAYS];
    apr_time_t until[ETG_COLLAPSE_WAYS];
} etg_collapse_memory;

typedef enum etg_collapse_count {
    ETG_COLLAPSE_LED,
    ETG_COLLAPSE_FOLLOWED,
    ETG_COLLAPSE_TAKEN_OVER,
    ETG_COLLAPSE_WENT_ALONE,
    ETG_COLLAPSE_REMEMBERED,
    ETG_COLLAPSE_FULL,
    ETG_COLLAPSE_COUNTS
} etg_collapse_count;

typedef struct etg_collapse_header {
    alignas(ETG_COLLAPSE_LINE) apr_uint32_t magic;
    apr_uint32_t version;
    apr_uint32_t slots;              /* powers of two */
    apr_uint32_t remembered;
    alignas(ETG_COLLAPSE_LINE) apr_uint64_t counts[ETG_COLLAPSE_COUNTS];
} etg_collapse_header;

_Static_assert(sizeof(etg_collapse_slot) == ETG_COLLAPSE_LINE,
               "a slot is one cache line");
_Static_assert(sizeof(etg_collapse_stripe) == ETG_COLLAPSE_LINE,
               "a stripe is one cache line");
_Static_assert(sizeof(etg_collapse_memory) == 2 * ETG_COLLAPSE_LINE,
               "a bucket of remembered keys is two cache lines");
_Static_assert(sizeof(etg_collapse_header) == 2 * ETG_COLLAPSE_LINE,
               "what is read always is apart from what is counted");

/* A process's view; in that process's own memory. */
struct etg_collapse {
    etg_collapse_header *header;
    etg_collapse_stripe *stripes;
    etg_collapse_slot *slots;
    etg_collapse_memory *memory;
    apr_uint32_t buckets_mask;
    apr_uint32_t memory_mask;
    etg_collapse_process self;
    apr_uint64_t living[ETG_COLLAPSE_LIVING]; /* atomic; collapse_wait.c */
};

/* The key's two halves: [0] tells keys apart, [1] picks the bucket. */
void etg_collapse_halves(const etg_store_key *key, apr_uint64_t halves[2]);

/* Takes the lock of a stripe; after its holder died, the stripe's slots are
 * made right first. 0: not to be had in 100 ms (its holder is stopped). */
int etg_collapse_lock(etg_collapse *collapse, unsigned stripe);
void etg_collapse_unlock(etg_collapse *collapse, unsigned stripe);

/* The stripe that guards a slot. */
unsigned etg_collapse_stripe_of(apr_uint32_t slot);

void etg_collapse_add(etg_collapse *collapse, etg_collapse_count which);

/* How fetch `number` of the slot ended. */
etg_collapse_end etg_collapse_ended(const etg_collapse_slot *slot,
                                    apr_uint64_t number);

/* Is the slot's latest fetch still open? */
int etg_collapse_is_open(const etg_collapse_slot *slot);

/* Ends fetch `number`, if it is open: 1, and etg_collapse_wake is owed. */
int etg_collapse_end_fetch(etg_collapse_slot *slot, apr_uint64_t number,
                           etg_collapse_end how);

/* Wakes the followers of an ended fetch; no system call without any. */
void etg_collapse_wake(etg_collapse_slot *slot, apr_uint64_t number);

/* Ends the open fetches of a stripe whose leader is gone, or all of `leader`
 * if that is not NULL. The lock is held. */
void etg_collapse_sweep(etg_collapse *collapse, unsigned stripe,
                        const etg_collapse_process *leader);

/* The leader of a slot's latest fetch. The lock is held. */
etg_collapse_process etg_collapse_leader(const etg_collapse_slot *slot);

/* This process. */
etg_collapse_process etg_collapse_self(void);

/* Does that very process live? An answer "yes" may be 40 ms old; "no" is
 * certain. A zombie is dead; without /proc only the pid is looked at. */
int etg_collapse_is_alive(etg_collapse *collapse,
                          etg_collapse_process process);

/* CLOCK_MONOTONIC in microseconds. */
apr_time_t etg_collapse_clock(void);

/* Sleeps until *word is no longer `seen`, at most `longest` or a random time
 * of 50 to 100 ms. */
void etg_collapse_sleep(const apr_uint32_t *word, apr_uint32_t seen,
                        apr_interval_time_t longest);

#endif
