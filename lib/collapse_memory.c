/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collapse_memory.c: which keys' answers cannot be shared.
 *
 * Asked on every miss and every pass, so without locks: a key's bucket is
 * eight hashes in one cache line and their expiries in the next, which is
 * read only for a hash that fits. The hash is half of the key's 128 bits and
 * the bucket comes from the other half. An expiry of 0 is an empty place.
 * See etg_collapse_memory for what races can do.
 */
#include "lib/collapse_table.h"

static etg_collapse_memory *bucket_of(etg_collapse *collapse,
                                      const etg_store_key *key,
                                      apr_uint64_t *hash);
static void forget(etg_collapse_memory *bucket, apr_uint64_t hash);
static int renew(etg_collapse_memory *bucket, apr_uint64_t hash,
                 apr_time_t until);
static void replace_oldest(etg_collapse_memory *bucket, apr_uint64_t hash,
                           apr_time_t until);

int etg_collapse_is_uncacheable(etg_collapse *collapse,
                                const etg_store_key *key, apr_time_t now)
{
    apr_uint64_t hash;
    const etg_collapse_memory *bucket = bucket_of(collapse, key, &hash);
    int i;

    for (i = 0; i < ETG_COLLAPSE_WAYS; i++) {
        if (__atomic_load_n(&bucket->hash[i], __ATOMIC_ACQUIRE) == hash
            && __atomic_load_n(&bucket->until[i], __ATOMIC_RELAXED) > now) {
            return 1;
        }
    }
    return 0;
}

void etg_collapse_remember(etg_collapse *collapse, const etg_store_key *key,
                           apr_time_t until)
{
    apr_uint64_t hash;
    etg_collapse_memory *bucket = bucket_of(collapse, key, &hash);

    if (until <= 0) {
        forget(bucket, hash);
    }
    else if (!renew(bucket, hash, until)) {
        replace_oldest(bucket, hash, until);
        etg_collapse_add(collapse, ETG_COLLAPSE_REMEMBERED);
    }
}

static etg_collapse_memory *bucket_of(etg_collapse *collapse,
                                      const etg_store_key *key,
                                      apr_uint64_t *hash)
{
    apr_uint64_t halves[2];

    etg_collapse_halves(key, halves);
    *hash = halves[0];
    return &collapse->memory[halves[1] & collapse->memory_mask];
}

/* Two processes may have remembered it in two places: all of them. */
static void forget(etg_collapse_memory *bucket, apr_uint64_t hash)
{
    int i;

    for (i = 0; i < ETG_COLLAPSE_WAYS; i++) {
        if (__atomic_load_n(&bucket->hash[i], __ATOMIC_ACQUIRE) == hash) {
            __atomic_store_n(&bucket->until[i], 0, __ATOMIC_RELAXED);
        }
    }
}

static int renew(etg_collapse_memory *bucket, apr_uint64_t hash,
                 apr_time_t until)
{
    int i;

    for (i = 0; i < ETG_COLLAPSE_WAYS; i++) {
        if (__atomic_load_n(&bucket->hash[i], __ATOMIC_ACQUIRE) == hash
            && __atomic_load_n(&bucket->until[i], __ATOMIC_RELAXED) != 0) {
            __atomic_store_n(&bucket->until[i], until, __ATOMIC_RELAXED);
            return 1;
        }
    }
    return 0;
}

static void replace_oldest(etg_collapse_memory *bucket, apr_uint64_t hash,
                           apr_time_t until)
{
    apr_time_t oldest = 0;
    int i, victim = 0;

    for (i = 0; i < ETG_COLLAPSE_WAYS; i++) {
        apr_time_t at = __atomic_load_n(&bucket->until[i], __ATOMIC_RELAXED);

        if (i == 0 || at < oldest) {
            oldest = at;
            victim = i;
        }
    }
    /* Empty in between: the new hash never meets the old expiry. */
    __atomic_store_n(&bucket->until[victim], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&bucket->hash[victim], hash, __ATOMIC_RELEASE);
    __atomic_store_n(&bucket->until[victim], until, __ATOMIC_RELEASE);
}
