/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_counters.c: what the store says about itself: sums since this
 * child opened it, and what is so right now. No server is asked.
 */
#include "memcached_store.h"

static void row_add(apr_array_header_t *rows, const char *name,
                    apr_uint64_t value);

void etg_memcached_count_add(etg_store *store, etg_memcached_count what,
                             uint64_t n)
{
    atomic_fetch_add_explicit(&store->counts[what], n, memory_order_relaxed);
}

apr_status_t etg_memcached_counters(etg_store *store, apr_pool_t *p,
                                    apr_array_header_t **rows)
{
    static const char *const names[ETG_MEMCACHED_COUNTS] = {
        "lookups", "body_reads", "parked_bodies", "writes", "failed_calls",
        "spared_calls", "pool_waits", "connects", "damaged_items",
        "torn_bodies", "dropped_writes", "refused_items", "conflicts",
        "marks", "made_clocks", "leases_taken", "leases_lost",
        "breakers_opened", "breakers_closed", "probes"
    };
    apr_uint64_t jobs, bytes;
    unsigned down = 0;
    unsigned connections = 0;
    if (!etg_memcached_is_up(store)) {
        return APR_EGENERAL;
    }
    apr_array_header_t *made = apr_array_make(p, 24,
                                              sizeof(etg_store_counter));
    for (unsigned i = 0; i < store->at.server_count; i++) {
        etg_memcached_node *node = etg_memcached_node_at(store, i);
        down += !etg_memcached_node_is_up(node);
        connections += etg_memcached_node_connections(node);
    }
    etg_memcached_writer_load(store, &jobs, &bytes);
    row_add(made, "servers", store->at.server_count);
    row_add(made, "servers_down", down);
    row_add(made, "connections", connections);
    row_add(made, "queued_writes", jobs);
    row_add(made, "queued_bytes", bytes);
    for (int i = 0; i < ETG_MEMCACHED_COUNTS; i++) {
        row_add(made, names[i], atomic_load(&store->counts[i]));
    }
    *rows = made;
    return APR_SUCCESS;
}

static void row_add(apr_array_header_t *rows, const char *name,
                    apr_uint64_t value)
{
    etg_store_counter *row = apr_array_push(rows);
    row->name = name;
    row->value = value;
}
