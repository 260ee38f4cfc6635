/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers_provider.c: the tiered store's tables, leases and counters.
 *
 * There are two tables, for a store without leases says so by NULL.
 */
#include "modules/tiers/tiers_store.h"

#include <string.h>

static const char *tiers_configure(etg_store **store, const char *uri,
                                   const etg_store_env *env,
                                   apr_pool_t *pconf);
static apr_status_t tiers_prepare(etg_store *store, apr_pool_t *pconf);
static apr_status_t tiers_open(etg_store *store, apr_pool_t *pchild);
static apr_status_t tiers_lease_take(etg_store *store,
                                     const etg_store_key *key,
                                     etg_store_lease *lease,
                                     etg_store_lease_state *state);
static void tiers_lease_release(etg_store *store, etg_store_lease *lease,
                                int is_uncacheable);
static apr_status_t tiers_counters(etg_store *store, apr_pool_t *p,
                                   apr_array_header_t **rows);
static void add_own(const etg_store *store, apr_array_header_t *rows);
static void add_row(apr_array_header_t *rows, const char *name,
                    apr_uint64_t value);

#define MEMBERS \
    .scheme = "tiers", \
    .configure = tiers_configure, \
    .prepare = tiers_prepare, \
    .open = tiers_open, \
    .meta_lookup = etg_tiers_meta_lookup, \
    .meta_write = etg_tiers_meta_write, \
    .entity_read = etg_tiers_entity_read, \
    .entity_begin = etg_tiers_entity_begin, \
    .entity_append = etg_tiers_entity_append, \
    .entity_finish = etg_tiers_entity_finish, \
    .entity_abandon = etg_tiers_entity_abandon, \
    .mark = etg_tiers_mark, \
    .counters = tiers_counters

static const etg_store_provider without_leases = { MEMBERS };

static const etg_store_provider with_leases = {
    MEMBERS,
    .lease_take = tiers_lease_take,
    .lease_release = tiers_lease_release
};

void etg_tiers_make(const etg_store_provider **provider, etg_store **made,
                    const etg_tier *tiers, unsigned count,
                    apr_interval_time_t trust, apr_pool_t *pconf)
{
    etg_store *store = apr_pcalloc(pconf, sizeof(*store));

    store->count = count;
    store->trust = trust;
    memcpy(store->tiers, tiers, count * sizeof(*tiers));
    for (unsigned tier = 0; tier < count; tier++) {
        if (tiers[tier].provider->lease_take != NULL) {
            store->lessor = &store->tiers[tier];
        }
    }
    *provider = store->lessor != NULL ? &with_leases : &without_leases;
    *made = store;
}

/* No URI names this store. */
static const char *tiers_configure(etg_store **store, const char *uri,
                                   const etg_store_env *env,
                                   apr_pool_t *pconf)
{
    (void)store;
    (void)uri;
    (void)env;
    (void)pconf;
    return "a list of stores is not a store's URI";
}

static apr_status_t tiers_prepare(etg_store *store, apr_pool_t *pconf)
{
    (void)store;
    (void)pconf;
    return APR_SUCCESS;
}

static apr_status_t tiers_open(etg_store *store, apr_pool_t *pchild)
{
    (void)store;
    (void)pchild;
    return APR_SUCCESS;
}

static apr_status_t tiers_lease_take(etg_store *store,
                                     const etg_store_key *key,
                                     etg_store_lease *lease,
                                     etg_store_lease_state *state)
{
    return store->lessor->provider->lease_take(store->lessor->store, key,
                                               lease, state);
}

static void tiers_lease_release(etg_store *store, etg_store_lease *lease,
                                int is_uncacheable)
{
    store->lessor->provider->lease_release(store->lessor->store, lease,
                                           is_uncacheable);
}

/* A name that several tiers have is their sum. */
static apr_status_t tiers_counters(etg_store *store, apr_pool_t *p,
                                   apr_array_header_t **rows)
{
    apr_array_header_t *all = apr_array_make(p, 32,
                                             sizeof(etg_store_counter));

    add_own(store, all);
    for (unsigned tier = 0; tier < store->count; tier++) {
        const etg_tier *of = &store->tiers[tier];
        apr_array_header_t *here;

        if (of->provider->counters(of->store, p, &here) != APR_SUCCESS) {
            continue;
        }
        for (int i = 0; i < here->nelts; i++) {
            const etg_store_counter *row = &APR_ARRAY_IDX(here, i,
                                                          etg_store_counter);

            add_row(all, row->name, row->value);
        }
    }
    *rows = all;
    return APR_SUCCESS;
}

static void add_own(const etg_store *store, apr_array_header_t *rows)
{
    const etg_tiers_counters *own = &store->counters;

    add_row(rows, "near_hits", atomic_load(&own->near_hits));
    add_row(rows, "shared_lookups", atomic_load(&own->shared_lookups));
    add_row(rows, "fills", atomic_load(&own->fills));
    add_row(rows, "unconfirmed", atomic_load(&own->unconfirmed));
}

static void add_row(apr_array_header_t *rows, const char *name,
                    apr_uint64_t value)
{
    etg_store_counter *row;

    for (int i = 0; i < rows->nelts; i++) {
        row = &APR_ARRAY_IDX(rows, i, etg_store_counter);
        if (!strcmp(row->name, name)) {
            row->value += value;
            return;
        }
    }
    row = apr_array_push(rows);
    row->name = name;
    row->value = value;
}
