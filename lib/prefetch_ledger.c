/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch_ledger.c: which prefetched responses nobody has asked for yet.
 *
 * A place with hash 0 is empty. Whoever changes a place's hash by
 * compare-and-swap owns the change and counts what it means, so nothing is
 * counted twice; the expiry follows the hash and is 0 in between, which looks
 * like "just put". Layout: header, then buckets of two cache lines.
 */
#include "lib/prefetch_ledger.h"

#include <stdalign.h>
#include <string.h>

#define MAGIC 0x31475045u            /* "EPG1" */
#define VERSION 1u
#define LINE 64
#define WAYS 8
#define BUCKETS_MAX (1u << 20)

typedef struct bucket {
    alignas(LINE) apr_uint64_t hash[WAYS];
    apr_time_t expires_at[WAYS];
} bucket;

typedef struct header {
    alignas(LINE) apr_uint32_t magic;
    apr_uint32_t version;
    apr_uint32_t buckets;            /* a power of two */
    alignas(LINE) apr_uint64_t counts[ETG_PREFETCH_COUNTS];
} header;

_Static_assert(sizeof(bucket) == 2 * LINE, "a bucket is two cache lines");
_Static_assert(sizeof(header) == 2 * LINE, "a header is two cache lines");

/* In the process's own memory. */
struct etg_prefetch_ledger {
    header *head;
    bucket *buckets;
    apr_uint32_t mask;
};

static header *first_line(void *memory);
static unsigned buckets_for(unsigned places);
static bucket *bucket_of(const etg_prefetch_ledger *ledger,
                         apr_uint64_t *hash);
static int change(bucket *b, int way, apr_uint64_t from, apr_uint64_t to);
static apr_uint64_t hash_at(const bucket *b, int way);
static apr_time_t expiry_at(const bucket *b, int way);
static void set_expiry(bucket *b, int way, apr_time_t expires_at);
static void drop_expired(etg_prefetch_ledger *ledger, bucket *b,
                         apr_time_t now);
static int oldest(const bucket *b);

apr_size_t etg_prefetch_ledger_size(unsigned places)
{
    return LINE + sizeof(header) + buckets_for(places) * sizeof(bucket);
}

/* Shared memory of APR's begins a few bytes into a page; it is at the same
 * address in all children. */
static header *first_line(void *memory)
{
    return (header *)APR_ALIGN((apr_uintptr_t)memory, LINE);
}

static unsigned buckets_for(unsigned places)
{
    unsigned buckets = 1;

    while (buckets < BUCKETS_MAX && buckets * WAYS < places) {
        buckets *= 2;
    }
    return buckets;
}

apr_status_t etg_prefetch_ledger_format(void *memory, apr_size_t size,
                                        unsigned places)
{
    header *head;

    if (size < etg_prefetch_ledger_size(places)) {
        return APR_ENOSPC;
    }
    head = first_line(memory);
    head->version = VERSION;
    head->buckets = buckets_for(places);
    head->magic = MAGIC;
    return APR_SUCCESS;
}

apr_status_t etg_prefetch_ledger_attach(etg_prefetch_ledger **ledger,
                                        void *memory, apr_size_t size,
                                        apr_pool_t *p)
{
    header *head = first_line(memory);
    apr_uint32_t buckets;

    if (size < LINE + sizeof(*head) || head->magic != MAGIC
        || head->version != VERSION) {
        return APR_EINVAL;
    }
    buckets = head->buckets;
    if (buckets == 0 || (buckets & (buckets - 1)) != 0
        || buckets > (size - LINE - sizeof(*head)) / sizeof(bucket)) {
        return APR_EINVAL;
    }
    *ledger = apr_palloc(p, sizeof(**ledger));
    (*ledger)->head = head;
    (*ledger)->buckets = (bucket *)(head + 1);
    (*ledger)->mask = buckets - 1;
    return APR_SUCCESS;
}

void etg_prefetch_ledger_put(etg_prefetch_ledger *ledger, apr_uint64_t hash,
                             apr_time_t expires_at, apr_time_t now)
{
    bucket *b = bucket_of(ledger, &hash);
    apr_uint64_t pushed_out;
    int way;

    drop_expired(ledger, b, now);
    for (way = 0; way < WAYS; way++) {
        if (hash_at(b, way) == hash) {
            set_expiry(b, way, expires_at);
            return;                  /* prefetched again: still one */
        }
    }
    for (way = 0; way < WAYS; way++) {
        if (hash_at(b, way) == 0 && change(b, way, 0, hash)) {
            set_expiry(b, way, expires_at);
            return;
        }
    }
    way = oldest(b);
    pushed_out = hash_at(b, way);
    if (change(b, way, pushed_out, hash)) {
        set_expiry(b, way, expires_at);
        if (pushed_out != 0) {       /* a hit may just have emptied it */
            etg_prefetch_ledger_add(ledger, ETG_PREFETCH_WASTED);
        }
    }
}

int etg_prefetch_ledger_hit(etg_prefetch_ledger *ledger, apr_uint64_t hash)
{
    bucket *b = bucket_of(ledger, &hash);

    for (int way = 0; way < WAYS; way++) {
        if (hash_at(b, way) == hash && change(b, way, hash, 0)) {
            set_expiry(b, way, 0);
            etg_prefetch_ledger_add(ledger, ETG_PREFETCH_USEFUL);
            return 1;
        }
    }
    return 0;
}

void etg_prefetch_ledger_add(etg_prefetch_ledger *ledger,
                             etg_prefetch_count which)
{
    __atomic_add_fetch(&ledger->head->counts[which], 1, __ATOMIC_RELAXED);
}

apr_array_header_t *etg_prefetch_ledger_counters(etg_prefetch_ledger *ledger,
                                                 apr_time_t now,
                                                 apr_pool_t *p)
{
    static const char *const names[ETG_PREFETCH_COUNTS] = {
        "started", "skipped", "useful", "wasted"
    };
    apr_array_header_t *rows = apr_array_make(p, ETG_PREFETCH_COUNTS,
                                              sizeof(etg_store_counter));

    for (apr_uint32_t i = 0; i <= ledger->mask; i++) {
        drop_expired(ledger, &ledger->buckets[i], now);
    }
    for (int i = 0; i < ETG_PREFETCH_COUNTS; i++) {
        etg_store_counter *row = apr_array_push(rows);

        row->name = names[i];
        row->value = __atomic_load_n(&ledger->head->counts[i],
                                     __ATOMIC_RELAXED);
    }
    return rows;
}

/* The low bits pick the bucket; 0 as a hash means an empty place. */
static bucket *bucket_of(const etg_prefetch_ledger *ledger,
                         apr_uint64_t *hash)
{
    bucket *b = &ledger->buckets[*hash & ledger->mask];

    if (*hash == 0) {
        *hash = 1;
    }
    return b;
}

static void drop_expired(etg_prefetch_ledger *ledger, bucket *b,
                         apr_time_t now)
{
    for (int way = 0; way < WAYS; way++) {
        apr_uint64_t hash = hash_at(b, way);
        apr_time_t expires_at = expiry_at(b, way);

        if (hash != 0 && expires_at != 0 && expires_at <= now
            && change(b, way, hash, 0)) {
            set_expiry(b, way, 0);
            etg_prefetch_ledger_add(ledger, ETG_PREFETCH_WASTED);
        }
    }
}

static int oldest(const bucket *b)
{
    int found = 0;

    for (int way = 1; way < WAYS; way++) {
        if (expiry_at(b, way) < expiry_at(b, found)) {
            found = way;
        }
    }
    return found;
}

static int change(bucket *b, int way, apr_uint64_t from, apr_uint64_t to)
{
    return __atomic_compare_exchange_n(&b->hash[way], &from, to, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static apr_uint64_t hash_at(const bucket *b, int way)
{
    return __atomic_load_n(&b->hash[way], __ATOMIC_ACQUIRE);
}

static apr_time_t expiry_at(const bucket *b, int way)
{
    return __atomic_load_n(&b->expires_at[way], __ATOMIC_RELAXED);
}

static void set_expiry(bucket *b, int way, apr_time_t expires_at)
{
    __atomic_store_n(&b->expires_at[way], expires_at, __ATOMIC_RELAXED);
}
