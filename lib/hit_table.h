/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hit_table.h: how often stored responses have been hit, counted by all
 * children together.
 *
 * Model. A table of words in shared memory, eight to a bucket (a cache line);
 * a word is 56 bits of a hash and a count that stops at 255. What is counted
 * is named by the hash alone, so a response that is stored anew, under a new
 * hash, begins at none; nobody takes the old one out. In a full bucket the
 * least counted makes room and the others lose half, so that what nobody hits
 * any longer goes in the end. Guesses, then: two that share 56 bits, or a
 * count that was pushed out, cost a refresh too many or too late.
 *
 * Lock-free, from any thread and process; a count that stands at its most is
 * read, not written.
 */
#ifndef ETG_LIB_HIT_TABLE_H
#define ETG_LIB_HIT_TABLE_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_store.h"

#define ETG_HIT_TABLE_MOST 255

typedef struct etg_hit_table etg_hit_table;

/* Bytes of shared memory for `slots` responses, rounded up to a power of
 * two. */
apr_size_t etg_hit_table_size(unsigned slots);

/* Lays the table out in zeroed shared memory (parent, before children). */
apr_status_t etg_hit_table_format(void *memory, apr_size_t size,
                                  unsigned slots);

/* This process's view of a formatted table, in `p`. APR_EINVAL: not such a
 * table. Call it after fork. */
apr_status_t etg_hit_table_attach(etg_hit_table **table, void *memory,
                                  apr_size_t size, apr_pool_t *p);

/* Counts a hit and says the how manieth it was, up to
 * ETG_HIT_TABLE_MOST. */
unsigned etg_hit_table_count(etg_hit_table *table, apr_uint64_t hash);

/* What names a response: its record's key, and when it was stored. */
apr_uint64_t etg_hit_table_hash(const etg_store_key *key,
                                apr_time_t received_at);

#endif
