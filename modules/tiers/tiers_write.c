/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers_write.c: one change becomes one per tier.
 *
 * Each tier gets an etg_store_write in a pool of its own, for the tiers carry
 * them out on threads of their own, and the update runs against what that
 * tier has. They share what the caller's write names, read-only; its pool is
 * destroyed, once, when the last of them is done or dropped.
 *
 * The shared tier goes first: what it takes on may be copied to a nearer one
 * at any moment, so a purge that went the other way round could be undone by
 * a look-up in between.
 */
#include "modules/tiers/tiers_store.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/response_copy.h"

/* In the caller's write's pool. */
typedef struct fan {
    apr_pool_t *pool;
    atomic_uint owed;             /* parts not yet done, and the caller */
} fan;

/* What the tiers made of it. */
typedef struct results {
    unsigned taken;               /* done, or still to come */
    int is_pending;               /* one is still to come */
    int shared_failed;
    apr_status_t failure;         /* the farthest tier's that failed */
} results;

static etg_store_write *make_part(fan *all, const etg_store_write *write,
                                  unsigned tier, int is_shared);
static apr_status_t part_gone(void *data);
static void let_go(fan *all);
static void add_result(results *sum, apr_status_t rv, int is_shared);
static apr_interval_time_t time_left(apr_time_t end,
                                     apr_interval_time_t wait);

apr_status_t etg_tiers_meta_write(etg_store *store, etg_store_write *write,
                                  apr_interval_time_t wait)
{
    unsigned last = store->count - 1;
    int is_response = write->response.data != NULL;
    apr_time_t end = apr_time_now() + wait;
    fan *all = apr_palloc(write->pool, sizeof(*all));
    etg_store_write *parts[ETG_STORE_TIERS_MAX];
    results sum = { 0 };

    all->pool = write->pool;
    atomic_init(&all->owed, 1);
    /* All of them first: once one is handed over, `write` is only read. */
    for (unsigned tier = 0; tier <= last; tier++) {
        parts[tier] = make_part(all, write, tier, tier == last);
    }
    for (unsigned tier = store->count; tier-- > 0;) {
        const etg_tier *to = &store->tiers[tier];

        if (parts[tier] != NULL) {
            add_result(&sum, to->provider->meta_write(to->store, parts[tier],
                                                      time_left(end, wait)),
                       tier == last);
        }
    }
    let_go(all);
    if (sum.taken == 0 || (sum.shared_failed && !is_response)) {
        return sum.failure;          /* APR_SUCCESS: nobody was to do it */
    }
    return sum.is_pending ? APR_TIMEUP : APR_SUCCESS;
}

/* NULL: not for this tier. A near tier's copy counts from the look-up before
 * the fetch, for that is when the shared tier was asked: what was purged on
 * another machine during a long fetch is not trusted for longer. */
static etg_store_write *make_part(fan *all, const etg_store_write *write,
                                  unsigned tier, int is_shared)
{
    apr_pool_t *pool;
    etg_store_write *part;

    if (write->response.data != NULL && write->moment.of[tier] == 0) {
        return NULL;
    }
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    part = apr_pmemdup(pool, write, sizeof(*write));
    part->pool = pool;
    memset(&part->moment, 0, sizeof(part->moment));
    part->moment.of[0] = write->moment.of[tier];
    if (write->response.data != NULL && !is_shared
        && etg_response_copy_pack(write->response, write->moment.at, pool,
                                  &part->response) != APR_SUCCESS) {
        apr_pool_destroy(pool);      /* too long for a copy */
        return NULL;
    }
    atomic_fetch_add(&all->owed, 1);
    apr_pool_cleanup_register(pool, all, part_gone, apr_pool_cleanup_null);
    return part;
}

static apr_status_t part_gone(void *data)
{
    let_go(data);
    return APR_SUCCESS;
}

/* The last one ends the caller's write, and with it whatever waits for it. */
static void let_go(fan *all)
{
    if (atomic_fetch_sub(&all->owed, 1) == 1) {
        apr_pool_destroy(all->pool);
    }
}

static void add_result(results *sum, apr_status_t rv, int is_shared)
{
    int is_pending = APR_STATUS_IS_TIMEUP(rv);

    if (rv == APR_SUCCESS || is_pending) {
        sum->taken++;
        sum->is_pending |= is_pending;
        return;
    }
    sum->shared_failed |= is_shared;
    if (sum->failure == APR_SUCCESS) {
        sum->failure = rv;
    }
}

/* Of what all tiers have together. */
static apr_interval_time_t time_left(apr_time_t end, apr_interval_time_t wait)
{
    apr_interval_time_t left = end - apr_time_now();

    if (left < 0) {
        return 0;
    }
    return left < wait ? left : wait;
}

apr_status_t etg_tiers_mark(etg_store *store, const etg_store_tag *tags,
                            unsigned count, etg_store_mark mark,
                            apr_interval_time_t wait, unsigned *moved)
{
    apr_time_t end = apr_time_now() + wait;
    results sum = { 0 };

    for (unsigned tier = store->count; tier-- > 0;) {
        const etg_tier *to = &store->tiers[tier];
        int is_shared = tier == store->count - 1;
        unsigned here = 0;
        apr_status_t rv = to->provider->mark(to->store, tags, count, mark,
                                             time_left(end, wait), &here);

        add_result(&sum, rv, is_shared);
        if (is_shared) {
            *moved = here;
        }
    }
    if (sum.failure != APR_SUCCESS) {
        return sum.failure;
    }
    return sum.is_pending ? APR_TIMEUP : APR_SUCCESS;
}
