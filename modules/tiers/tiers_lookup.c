/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers_lookup.c: which tier answers a look-up.
 *
 * Near tiers are asked on the way to the shared one even if their copies do
 * not count: their readings of the clock belong to the moment, and a copy is
 * what is left if the shared tier is not heard. The caller's choose() runs
 * once per tier that has the key; the last run is that of the answer.
 */
#include "modules/tiers/tiers_store.h"

#include <string.h>

#include <apr_strings.h>
#include <xxhash.h>

#include "lib/response_copy.h"

/* One tier's part: stands between the store and the caller's choose(). */
typedef struct view {
    etg_store_choose *choose;
    void *baton;
    apr_pool_t *pool;             /* where `primary` is kept; NULL: nowhere,
                                   * nothing is filled from here */
    etg_tiers_seen seen;
    etg_bytes primary;
    etg_store_key next;
} view;

typedef struct lookup {
    etg_store *store;
    const etg_store_key *key;
    apr_pool_t *pool;
    etg_store_depth depth;
    apr_time_t now;
    view views[ETG_STORE_TIERS_MAX];
    etg_store_moment moment;
    unsigned heard;               /* near tiers that answered */
    int copy_tier;                /* the latest copy not trusted; -1: none */
    etg_store_found copy;
    apr_time_t copy_confirmed_at;
} lookup;

static void begin(lookup *l, etg_store_choose *choose, void *baton);
static apr_status_t look(void *baton, etg_bytes primary, etg_store_key *next);
static apr_status_t ask(lookup *l, unsigned tier, etg_store_found *found);
static int ask_near(lookup *l, unsigned tier, etg_store_found *found);
static int may_trust(const lookup *l, const etg_store_found *copy,
                     apr_time_t confirmed_at);
static apr_status_t ask_shared(lookup *l, etg_store_found *found);
static void fill_nearer(const lookup *l, unsigned source,
                        const etg_store_found *found,
                        apr_time_t confirmed_at);
static int is_held(const lookup *l, unsigned tier, const view *from,
                   const etg_store_found *found);
static apr_status_t go_without(lookup *l, apr_status_t trouble,
                               etg_store_found *found);
static int look_again(lookup *l);
static void mark_unconfirmed(const lookup *l, etg_store_found *copy);

apr_status_t etg_tiers_meta_lookup(etg_store *store, const etg_store_key *key,
                                   etg_store_choose *choose, void *baton,
                                   etg_store_depth depth, apr_pool_t *p,
                                   etg_store_found *found)
{
    lookup l = { .store = store, .key = key, .pool = p, .depth = depth };

    begin(&l, choose, baton);
    for (unsigned tier = 0; tier + 1 < store->count; tier++) {
        if (ask_near(&l, tier, found)) {
            return APR_SUCCESS;
        }
    }
    return ask_shared(&l, found);
}

static void begin(lookup *l, etg_store_choose *choose, void *baton)
{
    l->now = apr_time_now();
    l->moment.at = l->now;
    l->copy_tier = -1;
    for (unsigned tier = 0; tier < l->store->count; tier++) {
        l->views[tier].choose = choose;
        l->views[tier].baton = baton;
        l->views[tier].pool = tier == 0 ? NULL : l->pool;
    }
}

/* The etg_store_choose that the tiers are given. */
static apr_status_t look(void *baton, etg_bytes primary, etg_store_key *next)
{
    view *v = baton;
    apr_status_t rv;

    v->seen.is_there = 1;
    v->seen.sum = XXH3_64bits(primary.data, primary.length);
    rv = v->choose(v->baton, primary, next);
    if (rv == APR_SUCCESS && v->pool != NULL) {
        v->primary.data = apr_pmemdup(v->pool, primary.data, primary.length);
        v->primary.length = primary.length;
        v->next = *next;
    }
    return rv;
}

static apr_status_t ask(lookup *l, unsigned tier, etg_store_found *found)
{
    const etg_tier *asked = &l->store->tiers[tier];

    memset(found, 0, sizeof(*found));
    return asked->provider->meta_lookup(asked->store, l->key, look,
                                        &l->views[tier], l->depth, l->pool,
                                        found);
}

/* 1: this tier's copy is the answer. A near tier that cannot answer is passed
 * over: the shared one knows. */
static int ask_near(lookup *l, unsigned tier, etg_store_found *found)
{
    etg_store_found copy;
    apr_time_t confirmed_at;

    if (ask(l, tier, &copy) != APR_SUCCESS) {
        return 0;
    }
    l->heard++;
    l->moment.of[tier] = copy.moment.of[0];
    if (copy.answer != ETG_STORE_HIT
        || etg_response_copy_unpack(copy.response, &confirmed_at,
                                    &copy.response) != APR_SUCCESS) {
        return 0;
    }
    if (may_trust(l, &copy, confirmed_at)) {
        etg_tiers_count(&l->store->counters.near_hits);
        copy.is_copy = 1;
        copy.moment = l->moment;
        *found = copy;
        fill_nearer(l, tier, found, confirmed_at);
        return 1;
    }
    if (l->copy_tier < 0 || confirmed_at > l->copy_confirmed_at) {
        l->copy_tier = (int)tier;
        l->copy = copy;
        l->copy_confirmed_at = confirmed_at;
    }
    return 0;
}

/* A copy from the future is one from before the clock was set back. */
static int may_trust(const lookup *l, const etg_store_found *copy,
                     apr_time_t confirmed_at)
{
    return l->depth == ETG_STORE_NEAREST && l->store->trust > 0
        && copy->mark == ETG_STORE_MARK_NONE && confirmed_at <= l->now
        && l->now - confirmed_at <= l->store->trust;
}

static apr_status_t ask_shared(lookup *l, etg_store_found *found)
{
    unsigned last = l->store->count - 1;
    etg_store_found answer;
    apr_status_t rv;

    etg_tiers_count(&l->store->counters.shared_lookups);
    rv = ask(l, last, &answer);
    if (rv != APR_SUCCESS) {
        return go_without(l, rv, found);
    }
    l->moment.of[last] = answer.moment.of[0];
    answer.moment = l->moment;
    answer.is_copy = 0;
    *found = answer;
    if (answer.answer == ETG_STORE_HIT
        && answer.mark == ETG_STORE_MARK_NONE) {
        fill_nearer(l, last, found, l->now);
    }
    return APR_SUCCESS;
}

/* Also where the copy is the same: it is trusted from now on. */
static void fill_nearer(const lookup *l, unsigned source,
                        const etg_store_found *found,
                        apr_time_t confirmed_at)
{
    const view *from = &l->views[source];
    etg_tiers_fill fill = {
        .key = l->key, .primary = from->primary, .response_key = from->next,
        .found = found, .confirmed_at = confirmed_at
    };

    for (unsigned tier = source; tier-- > 0;) {
        if (!is_held(l, tier, from, found)) {
            etg_tiers_fill_tier(l->store, &l->store->tiers[tier], &fill,
                                l->views[tier].seen, l->moment.of[tier]);
        }
    }
}

/* Where no copy is ever trusted, one that is the same need not be told that
 * it is; it is there for when the shared tier is not. */
static int is_held(const lookup *l, unsigned tier, const view *from,
                   const etg_store_found *found)
{
    const etg_bytes *held = &l->copy.response;

    return l->store->trust == 0 && l->copy_tier == (int)tier
        && l->views[tier].seen.sum == from->seen.sum
        && held->length == found->response.length
        && !memcmp(held->data, found->response.data, held->length);
}

/* The shared tier is not heard. */
static apr_status_t go_without(lookup *l, apr_status_t trouble,
                               etg_store_found *found)
{
    etg_store_found copy = { .answer = ETG_STORE_MISS };

    if (l->heard == 0) {
        return trouble;
    }
    if (l->copy_tier >= 0 && look_again(l)) {
        copy = l->copy;
        mark_unconfirmed(l, &copy);
        etg_tiers_count(&l->store->counters.unconfirmed);
    }
    copy.moment = l->moment;
    copy.trouble = trouble;
    *found = copy;
    return APR_SUCCESS;
}

/* The caller's choose() has perhaps run on a farther tier's record since: it
 * is to end with the one that is answered. 0: the copy is gone. */
static int look_again(lookup *l)
{
    unsigned tier = (unsigned)l->copy_tier;
    int has_moved = 0;

    for (unsigned i = tier + 1; i < l->store->count; i++) {
        has_moved |= l->views[i].seen.is_there;
    }
    return !has_moved
        || (ask(l, tier, &l->copy) == APR_SUCCESS
            && l->copy.answer == ETG_STORE_HIT
            && etg_response_copy_unpack(l->copy.response,
                                        &l->copy_confirmed_at,
                                        &l->copy.response) == APR_SUCCESS);
}

/* Stale since its trust ended, or at once if it was not asked for. */
static void mark_unconfirmed(const lookup *l, etg_store_found *copy)
{
    apr_time_t ended = l->now;

    if (l->copy_confirmed_at <= l->now
        && l->now - l->copy_confirmed_at > l->store->trust) {
        ended = l->copy_confirmed_at + l->store->trust;
    }
    if (copy->mark < ETG_STORE_MARK_SOFT) {
        copy->mark = ETG_STORE_MARK_SOFT;
        copy->marked_at = ended;
    }
    else if (ended < copy->marked_at) {
        copy->marked_at = ended;
    }
}
