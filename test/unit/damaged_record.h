/* SPDX-License-Identifier: Apache-2.0 */
/*
 * damaged_record.h: records that are damaged, and made-up ones that still
 * have a checksum that is right.
 */
#ifndef ETG_TEST_DAMAGED_RECORD_H
#define ETG_TEST_DAMAGED_RECORD_H

#include <apr_pools.h>
#include <apr_strings.h>
#include <xxhash.h>

#include "etg_bytes.h"

/* What the bytes say, sealed again, in `pool`. */
static inline etg_bytes resealed(const unsigned char *bytes,
                                 apr_size_t length, apr_pool_t *pool)
{
    unsigned char *copy = apr_pmemdup(pool, bytes, length);
    apr_uint64_t sum = XXH3_64bits(copy, length - 8);
    etg_bytes record = { copy, length };
    unsigned i;

    for (i = 0; i < 8; i++) {
        copy[length - 1 - i] = (unsigned char)(sum >> (8 * i));
    }
    return record;
}

static inline apr_uint32_t next_random(apr_uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Changes one to four bytes; `state` makes a run repeatable. */
static inline void damage(unsigned char *bytes, apr_size_t length,
                          apr_uint32_t *state)
{
    unsigned edits = 1 + next_random(state) % 4;

    while (edits-- > 0) {
        unsigned char *at = bytes + next_random(state) % length;

        *at ^= (unsigned char)(1 + next_random(state) % 255);
    }
}

#endif
