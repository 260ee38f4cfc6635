/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_node.c: the servers of a store as this child sees them.
 *
 * libmemcached's ketama says which node an id belongs to. Each node has a
 * breaker: what it is told here decides whether the next call is tried. A
 * node that was lost is probed by the writer's thread only, with a question
 * of its own; a success brings it back for everybody. Each change is logged
 * and counted once.
 */
#include "memcached_node.h"

#include <stdlib.h>
#include <string.h>

#include "lib/steady_clock.h"

static apr_status_t node_init(etg_store *store, unsigned index);
static memcached_st *ring_make(const etg_store *store);
static void node_end(etg_memcached_node *node);
static void links_close(etg_memcached_link *links);
static void node_resolve(etg_memcached_node *node);
static void node_probe(etg_memcached_node *node);
static apr_status_t question_ask(etg_memcached_node *node);
static apr_interval_time_t jitter_pick(void);

apr_status_t etg_memcached_nodes_open(etg_store *store)
{
    unsigned count = store->at.server_count;
    store->nodes = calloc(count, sizeof(*store->nodes));
    if (store->nodes == NULL) {
        return APR_ENOMEM;
    }
    apr_status_t rv = APR_SUCCESS;
    for (unsigned i = 0; i < count && rv == APR_SUCCESS; i++) {
        rv = node_init(store, i);
    }
    store->ring = rv == APR_SUCCESS ? ring_make(store) : NULL;
    if (store->ring == NULL) {
        free(store->nodes);
        store->nodes = NULL;
        return rv != APR_SUCCESS ? rv : APR_ENOMEM;
    }
    return APR_SUCCESS;
}

void etg_memcached_nodes_close(etg_store *store)
{
    for (unsigned i = 0; i < store->at.server_count; i++) {
        node_end(&store->nodes[i]);
    }
    memcached_free(store->ring);
    free(store->nodes);
    store->ring = NULL;
    store->nodes = NULL;
}

etg_memcached_node *etg_memcached_node_of(etg_store *store, const void *id,
                                          apr_size_t length)
{
    unsigned index = store->at.server_count == 1 ? 0
                     : memcached_generate_hash(store->ring, id, length);
    return &store->nodes[index < store->at.server_count ? index : 0];
}

etg_memcached_node *etg_memcached_node_at(etg_store *store, unsigned index)
{
    return &store->nodes[index];
}

unsigned etg_memcached_node_index(const etg_memcached_node *node)
{
    return (unsigned)(node - node->store->nodes);
}

int etg_memcached_node_is_up(etg_memcached_node *node)
{
    pthread_mutex_lock(&node->lock);
    int is_up = etg_breaker_may_call(&node->breaker);
    pthread_mutex_unlock(&node->lock);
    return is_up;
}

/* Who holds a lock is busy; it may be the thread that a signal took away from
 * there to end this child. */
int etg_memcached_nodes_are_idle(etg_store *store)
{
    unsigned borrowed = 0;
    for (unsigned i = 0; i < store->at.server_count; i++) {
        etg_memcached_node *node = &store->nodes[i];
        if (pthread_mutex_trylock(&node->lock) != 0) {
            return 0;
        }
        borrowed += node->connections;
        for (etg_memcached_link *at = node->idle; at != NULL; at = at->next) {
            borrowed--;
        }
        pthread_mutex_unlock(&node->lock);
    }
    return borrowed == 0;
}

unsigned etg_memcached_node_connections(etg_memcached_node *node)
{
    pthread_mutex_lock(&node->lock);
    unsigned connections = node->connections;
    pthread_mutex_unlock(&node->lock);
    return connections;
}

void etg_memcached_nodes_resolve(etg_store *store)
{
    for (unsigned i = 0; i < store->at.server_count; i++) {
        if (store->nodes[i].is_named) {
            node_resolve(&store->nodes[i]);
        }
    }
}

apr_interval_time_t etg_memcached_nodes_probe(etg_store *store,
                                              apr_interval_time_t most)
{
    for (unsigned i = 0; i < store->at.server_count; i++) {
        etg_memcached_node *node = &store->nodes[i];
        apr_time_t now = etg_memcached_now();
        pthread_mutex_lock(&node->lock);
        int is_ours = etg_breaker_probe_begin(&node->breaker, now);
        pthread_mutex_unlock(&node->lock);
        if (is_ours) {
            node_probe(node);
        }
        pthread_mutex_lock(&node->lock);
        apr_time_t at = etg_breaker_probe_at(&node->breaker);
        pthread_mutex_unlock(&node->lock);
        if (at != 0 && at - now < most) {
            most = at > now ? at - now : 0;
        }
    }
    return most;
}

void etg_memcached_node_report(etg_memcached_node *node, apr_status_t result)
{
    etg_store *store = node->store;
    etg_memcached_link *links = NULL;
    if (result == APR_SUCCESS) {
        atomic_fetch_add_explicit(&node->answered, 1, memory_order_relaxed);
        return;
    }
    pthread_mutex_lock(&node->lock);
    apr_time_t now = etg_memcached_now();
    if (APR_STATUS_IS_TIMEUP(result)) {
        node->silent_at = now;
    }
    etg_breaker_change change = etg_breaker_fail(
        &node->breaker, atomic_load(&node->answered), now, jitter_pick());
    if (change == ETG_BREAKER_OPENED) {
        links = node->idle;
        node->idle = NULL;
        for (etg_memcached_link *at = links; at != NULL; at = at->next) {
            node->connections--;
        }
        pthread_cond_broadcast(&node->freed);
    }
    pthread_mutex_unlock(&node->lock);
    links_close(links);
    if (change == ETG_BREAKER_OPENED) {
        etg_memcached_count_add(store, ETG_MEMCACHED_BREAKERS_OPENED, 1);
        etg_log_write(&store->host->log, ETG_LOG_WARNING, result,
                      ETGLOGNO(0401) "memcached store: %s gave no proper "
                      "answer %d times within 10 seconds; this child serves "
                      "without it and asks again every 2 seconds",
                      node->server->name, ETG_BREAKER_FAILURES);
        etg_memcached_writer_wake(store);
    }
}

void etg_memcached_node_probed(etg_memcached_node *node, apr_status_t result)
{
    etg_store *store = node->store;
    pthread_mutex_lock(&node->lock);
    etg_breaker_change change = etg_breaker_probe_end(
        &node->breaker, result == APR_SUCCESS, etg_memcached_now(),
        jitter_pick());
    pthread_mutex_unlock(&node->lock);
    etg_memcached_count_add(store, ETG_MEMCACHED_PROBES, 1);
    if (change == ETG_BREAKER_HEALED) {
        etg_memcached_count_add(store, ETG_MEMCACHED_BREAKERS_CLOSED, 1);
        etg_log_write(&store->host->log, ETG_LOG_NOTICE, 0,
                      ETGLOGNO(0402) "memcached store: %s answers again",
                      node->server->name);
    }
}

static apr_status_t node_init(etg_store *store, unsigned index)
{
    etg_memcached_node *node = &store->nodes[index];
    node->store = store;
    node->server = &store->at.servers[index];
    pthread_mutex_init(&node->lock, NULL);
    apr_status_t rv = etg_steady_condition_init(&node->freed);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = etg_memcached_addresses_find(node->server, 0, &node->addresses);
    node->is_named = rv == APR_INCOMPLETE;
    return node->is_named ? APR_SUCCESS : rv;
}

/* Never connects: it only knows names. */
static memcached_st *ring_make(const etg_store *store)
{
    memcached_st *ring = memcached_create(NULL);
    memcached_return_t rc = ring == NULL
        ? MEMCACHED_MEMORY_ALLOCATION_FAILURE
        : memcached_behavior_set(ring, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
    for (unsigned i = 0; i < store->at.server_count
         && rc == MEMCACHED_SUCCESS; i++) {
        const etg_memcached_server *server = &store->at.servers[i];
        rc = server->port == 0
             ? memcached_server_add_unix_socket(ring, server->host)
             : memcached_server_add(ring, server->host, server->port);
    }
    if (rc != MEMCACHED_SUCCESS && ring != NULL) {
        memcached_free(ring);
        ring = NULL;
    }
    return ring;
}

static void node_end(etg_memcached_node *node)
{
    links_close(node->idle);
    pthread_cond_destroy(&node->freed);
    pthread_mutex_destroy(&node->lock);
}

static void links_close(etg_memcached_link *links)
{
    while (links != NULL) {
        etg_memcached_link *next = links->next;
        etg_memcached_link_close(links);
        links = next;
    }
}

static void node_resolve(etg_memcached_node *node)
{
    etg_memcached_addresses found;
    apr_status_t rv = etg_memcached_addresses_find(node->server, 1, &found);
    if (rv == APR_SUCCESS) {
        pthread_mutex_lock(&node->lock);
        node->addresses = found;
        pthread_mutex_unlock(&node->lock);
        node->has_complained = 0;
        return;
    }
    if (!node->has_complained) {
        node->has_complained = 1;
        etg_log_write(&node->store->host->log, ETG_LOG_WARNING, rv,
                      ETGLOGNO(0403) "memcached store: no address is known "
                      "for %s; %s. Check the name in the store's URI",
                      node->server->name,
                      node->addresses.count > 0
                      ? "those known before are used"
                      : "its part of the cache is not reachable");
    }
}

static void node_probe(etg_memcached_node *node)
{
    if (node->is_named) {
        node_resolve(node);
    }
    etg_memcached_node_probed(node, question_ask(node));
}

/* Any proper answer will do; but it is back only when it has heard of the
 * purges it missed. */
static apr_status_t question_ask(etg_memcached_node *node)
{
    etg_store *store = node->store;
    etg_memcached_call call;
    etg_memcached_key key;
    const etg_memcached_key *keys[1] = { &key };
    etg_memcached_value value;
    apr_pool_t *scratch;
    apr_status_t rv = etg_memcached_call_probe(store, node, &call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&scratch, NULL);
    etg_memcached_key_of_clock(&key, store->at.name_space);
    etg_memcached_get(&call, keys, 1, ETG_MEMCACHED_ITEM_MAX, scratch,
                      &value);
    rv = etg_memcached_owed_tell(&call, scratch);
    apr_pool_destroy(scratch);
    etg_memcached_call_end(&call);
    return rv != APR_SUCCESS ? rv : call.failure;
}

/* So that the children of many hosts do not ask in step. */
static apr_interval_time_t jitter_pick(void)
{
    unsigned char byte = 0;
    apr_generate_random_bytes(&byte, 1);
    return byte * APR_INT64_C(2000);
}
