/* SPDX-License-Identifier: Apache-2.0 */
/*
 * damaged_record.h: records that are damaged, and made-up ones that still
 * have a checksum that is right.
 */
#ifndef ETG_TEST_DAMAGED_RECORD_H
#define ETG_TEST_DAMAGED_RECORD_H

#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>
#include <apr_strings.h>
#include <check.h>
#include <xxhash.h>

#include "etg_bytes.h"

/* What the bytes say, sealed again, in `p`. */
static inline etg_bytes resealed(const unsigned char *bytes,
                                 apr_size_t length, apr_pool_t *p)
{
    unsigned char *copy = apr_pmemdup(p, bytes, length);
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

/* Does a record parse? It never crashes. */
typedef int record_parses(etg_bytes record);

/* The whole record parses, and no shorter start of it. */
static inline void assert_no_part_parses(etg_bytes record,
                                         record_parses *parses)
{
    apr_size_t length;

    for (length = 0; length < record.length; length++) {
        /* A copy of exactly this size, so that a sanitizer sees a read
         * behind it. */
        unsigned char *copy = malloc(length + 1);
        etg_bytes part = { copy, length };

        memcpy(copy, record.data, length);
        ck_assert(!parses(part));
        free(copy);
    }
    ck_assert(!parses((etg_bytes){ NULL, 0 }));
    ck_assert(parses(record));
}

static inline void assert_no_flipped_bit_parses(etg_bytes record,
                                                record_parses *parses,
                                                apr_pool_t *p)
{
    unsigned char *copy = apr_pmemdup(p, record.data, record.length);
    apr_size_t bit;

    for (bit = 0; bit < 8 * record.length; bit++) {
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        ck_assert(!parses((etg_bytes){ copy, record.length }));
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

/* Damaged in 20,000 ways; `state` makes a run repeatable. */
static inline void assert_no_damaged_record_parses(etg_bytes record,
                                                   record_parses *parses,
                                                   apr_uint32_t state)
{
    unsigned char *copy = malloc(record.length);
    unsigned parsed = 0;
    unsigned round;

    for (round = 0; round < 20000; round++) {
        memcpy(copy, record.data, record.length);
        damage(copy, record.length, &state);
        if (memcmp(copy, record.data, record.length) != 0) {
            parsed += parses((etg_bytes){ copy, record.length }) != 0;
        }
    }
    free(copy);
    ck_assert_uint_eq(parsed, 0);
}

#endif
