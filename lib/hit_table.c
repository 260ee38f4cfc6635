/* SPDX-License-Identifier: Apache-2.0 */
/* hit_table.c: counts in shared memory; see hit_table.h. */
#include "lib/hit_table.h"

#include <string.h>

#include <xxhash.h>

#define TABLE_MAGIC 0x45544748u          /* "ETGH" */
#define TABLE_VERSION 1
#define TABLE_MOST (1u << 24)
#define LINE 64
#define WAYS 8
#define COUNT_MASK APR_UINT64_C(0xff)

typedef struct table_header {
    apr_uint32_t magic;
    apr_uint32_t version;
    apr_uint32_t slots;
    apr_uint32_t unused[13];
} table_header;

_Static_assert(sizeof(table_header) == LINE, "words begin with a line");

struct etg_hit_table {
    apr_uint64_t *words;          /* 0: empty */
    apr_uint32_t buckets_mask;
};

static apr_size_t bytes_for(apr_uint32_t slots);
static apr_uint32_t round_up(unsigned n);
static void *aligned(void *memory);
static int count_in(apr_uint64_t *word, apr_uint64_t tag, unsigned *count);
static void begin(apr_uint64_t *bucket, apr_uint64_t word);
static void put_in_place(apr_uint64_t *bucket, int victim, apr_uint64_t seen,
                         apr_uint64_t word);

apr_size_t etg_hit_table_size(unsigned slots)
{
    return bytes_for(round_up(slots));
}

apr_status_t etg_hit_table_format(void *memory, apr_size_t size,
                                  unsigned slots)
{
    table_header *header = aligned(memory);

    if (size < etg_hit_table_size(slots)) {
        return APR_EINVAL;
    }
    header->version = TABLE_VERSION;
    header->slots = round_up(slots);
    header->magic = TABLE_MAGIC;
    return APR_SUCCESS;
}

apr_status_t etg_hit_table_attach(etg_hit_table **table, void *memory,
                                  apr_size_t size, apr_pool_t *p)
{
    table_header *header = aligned(memory);
    etg_hit_table *view;

    if (size < bytes_for(WAYS) || header->magic != TABLE_MAGIC
        || header->version != TABLE_VERSION
        || header->slots != round_up(header->slots)
        || size < bytes_for(header->slots)) {
        return APR_EINVAL;
    }
    view = apr_palloc(p, sizeof(*view));
    view->words = (apr_uint64_t *)(header + 1);
    view->buckets_mask = header->slots / WAYS - 1;
    *table = view;
    return APR_SUCCESS;
}

/* The bucket comes from the bits that the tag leaves out, and more. */
unsigned etg_hit_table_count(etg_hit_table *table, apr_uint64_t hash)
{
    apr_uint64_t *bucket = table->words
                         + (hash & table->buckets_mask) * WAYS;
    apr_uint64_t tag = hash & ~COUNT_MASK;
    unsigned count = 1;

    if (tag == 0) {
        tag = COUNT_MASK + 1;        /* an empty word has tag 0 */
    }
    for (int i = 0; i < WAYS; i++) {
        if (count_in(&bucket[i], tag, &count)) {
            return count;
        }
    }
    begin(bucket, tag | 1);
    return count;
}

/* 0: the word is another's. */
static int count_in(apr_uint64_t *word, apr_uint64_t tag, unsigned *count)
{
    apr_uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

    while ((seen & ~COUNT_MASK) == tag) {
        if ((seen & COUNT_MASK) == ETG_HIT_TABLE_MOST) {
            *count = ETG_HIT_TABLE_MOST;
            return 1;
        }
        if (__atomic_compare_exchange_n(word, &seen, seen + 1, 0,
                                        __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            *count = (unsigned)(seen & COUNT_MASK) + 1;
            return 1;
        }
    }
    return 0;
}

/* Two threads may begin the same in two places; the first one counts on. Of
 * several that are counted least any one may be the first to be looked at. */
static void begin(apr_uint64_t *bucket, apr_uint64_t word)
{
    int first = (int)(word * APR_UINT64_C(0x9e3779b97f4a7c15) >> 61);
    apr_uint64_t least = 0;
    int victim = -1;

    for (int i = first; i < first + WAYS; i++) {
        apr_uint64_t seen = __atomic_load_n(&bucket[i % WAYS],
                                            __ATOMIC_RELAXED);

        if (victim < 0 || (seen & COUNT_MASK) < (least & COUNT_MASK)
            || (seen == 0 && least != 0)) {
            least = seen;
            victim = i % WAYS;
        }
    }
    put_in_place(bucket, victim, least, word);
}

/* Whoever lost a race for the word goes uncounted this time. */
static void put_in_place(apr_uint64_t *bucket, int victim, apr_uint64_t seen,
                         apr_uint64_t word)
{
    int was_full = seen != 0;

    if (!__atomic_compare_exchange_n(&bucket[victim], &seen, word, 0,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)
        || !was_full) {
        return;
    }
    for (int i = 0; i < WAYS; i++) {
        apr_uint64_t other = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);
        apr_uint64_t half = (other & ~COUNT_MASK)
                          | (other & COUNT_MASK) / 2;

        if (i != victim && other != half) {
            __atomic_compare_exchange_n(&bucket[i], &other, half, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        }
    }
}

apr_uint64_t etg_hit_table_hash(const etg_store_key *key,
                                apr_time_t received_at)
{
    return XXH3_64bits_withSeed(key->bytes, sizeof(key->bytes),
                                (XXH64_hash_t)received_at);
}

static apr_size_t bytes_for(apr_uint32_t slots)
{
    return LINE - 1 + sizeof(table_header)
           + (apr_size_t)slots * sizeof(apr_uint64_t);
}

static apr_uint32_t round_up(unsigned n)
{
    apr_uint32_t slots = WAYS;

    while (slots < n && slots < TABLE_MOST) {
        slots *= 2;
    }
    return slots;
}

/* Shared memory is only aligned for words, and the same in all processes. */
static void *aligned(void *memory)
{
    return (void *)APR_ALIGN((apr_uintptr_t)memory, LINE);
}
