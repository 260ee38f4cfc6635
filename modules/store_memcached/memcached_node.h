/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_node.h: a server as one child sees it; inside memcached_node.c
 * and memcached_call.c only.
 */
#ifndef ETG_MEMCACHED_NODE_H
#define ETG_MEMCACHED_NODE_H

#include "lib/breaker.h"
#include "memcached_store.h"

struct etg_memcached_node {
    etg_store *store;
    const etg_memcached_server *server;
    pthread_mutex_t lock;          /* guards all below */
    pthread_cond_t freed;          /* a connection, or the breaker opened */
    etg_breaker breaker;
    etg_memcached_addresses addresses;
    etg_memcached_link *idle;      /* used last, first */
    unsigned connections;          /* idle or borrowed; at most at.pool */
    apr_time_t silent_at;          /* when a call last ran out of time */
    _Atomic uint64_t answered;     /* calls; not under the lock */
    int is_named;                  /* its addresses come from a name service */
    int has_complained;            /* that its name is not known */
};

/* A call on a node whose breaker is open: the probe itself. */
apr_status_t etg_memcached_call_probe(etg_store *store,
                                      etg_memcached_node *node,
                                      etg_memcached_call *call);

/* Tells the breaker and logs what that changed. */
void etg_memcached_node_report(etg_memcached_node *node, apr_status_t result);
void etg_memcached_node_probed(etg_memcached_node *node, apr_status_t result);

#endif
