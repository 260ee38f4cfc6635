/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_call.c: borrowing a node's connection for a call.
 *
 * At most at.pool connections per child and node exist, idle or borrowed; who
 * finds none waits for one within the call's own deadline, and goes away at
 * once if the breaker opens meanwhile. (The writer may wait longer: nobody
 * waits for it, and what it does not write is lost.) A connection that was
 * closed while it idled is replaced, at the latest when it fails. Any thread.
 *
 * A node that has just let a call run out of time is not asked to take the
 * responses that were queued before: those who wait for them to be stored
 * would wait one timeout for each until the breaker opens.
 */
#include "memcached_node.h"

#include <errno.h>
#include <time.h>

/* So long an idle connection is taken for good: to ask the system would be a
 * twentieth of all that a hit costs. */
#define TRUSTED_IDLE apr_time_from_sec(1)

#define WRITER_WAIT apr_time_from_sec(1)

static apr_status_t slot_take(etg_memcached_node *node, apr_time_t until,
                              int is_probe, int may_skip,
                              etg_memcached_link **link);
static int freed_wait(etg_memcached_node *node, apr_time_t until);
static int is_gone(apr_status_t failure);
static apr_status_t link_make(etg_memcached_call *call);
static apr_status_t connection_make(etg_memcached_call *call);
static void slot_give(etg_memcached_node *node, etg_memcached_link *link);
static apr_status_t call_open(etg_store *store, etg_memcached_node *node,
                              int is_probe, etg_memcached_call *call);

apr_status_t etg_memcached_call_begin(etg_store *store,
                                      etg_memcached_node *node,
                                      etg_memcached_call *call)
{
    apr_status_t rv = call_open(store, node, 0, call);
    if (rv == ETG_STORE_OPEN_BREAKER) {
        etg_memcached_count_add(store, ETG_MEMCACHED_SPARED_CALLS, 1);
    }
    return rv;
}

apr_status_t etg_memcached_call_probe(etg_store *store,
                                      etg_memcached_node *node,
                                      etg_memcached_call *call)
{
    return call_open(store, node, 1, call);
}

void etg_memcached_call_renew(etg_memcached_call *call)
{
    if (call->failure == APR_SUCCESS) {
        call->deadline = etg_memcached_now() + call->store->at.timeout;
    }
}

void etg_memcached_call_prove(etg_memcached_call *call)
{
    if (call->failure == APR_SUCCESS && call->is_untried
        && !etg_memcached_link_is_quiet(call->link)) {
        etg_memcached_call_again(call, APR_EOF);
    }
    call->is_untried = 0;
}

int etg_memcached_call_again(etg_memcached_call *call, apr_status_t failure)
{
    if (!call->is_untried || !is_gone(failure)) {
        return 0;
    }
    call->is_untried = 0;
    etg_memcached_link_close(call->link);
    call->link = NULL;
    call->failure = link_make(call);
    return call->failure == APR_SUCCESS;
}

void etg_memcached_call_end(etg_memcached_call *call)
{
    etg_memcached_link *link = call->link;
    if (call->failure == APR_SUCCESS
        && etg_memcached_link_peek(link).length > 0) {
        call->failure = APR_EGENERAL;      /* more than was asked for */
    }
    if (call->failure != APR_SUCCESS) {
        etg_memcached_count_add(call->store, ETG_MEMCACHED_FAILED_CALLS, 1);
        if (link != NULL) {
            etg_memcached_link_close(link);
        }
        link = NULL;
    }
    else {
        link->idle_since = etg_memcached_now();
    }
    slot_give(call->node, link);
    if (!call->is_probe) {
        etg_memcached_node_report(call->node, call->failure);
    }
}

static apr_status_t call_open(etg_store *store, etg_memcached_node *node,
                              int is_probe, etg_memcached_call *call)
{
    apr_time_t now = etg_memcached_now();
    int is_writer = etg_memcached_writer_is_me(store);
    call->store = store;
    call->node = node;
    call->is_probe = is_probe;
    call->is_untried = 0;
    call->link = NULL;
    call->failure = APR_SUCCESS;
    call->deadline = now + store->at.timeout;
    apr_status_t rv = slot_take(node, is_writer ? now + WRITER_WAIT
                                                : call->deadline,
                                is_probe, is_writer && !is_probe,
                                &call->link);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (is_writer) {
        call->deadline = etg_memcached_now() + store->at.timeout;
    }
    if (call->link == NULL) {
        return connection_make(call);
    }
    call->is_untried = 1;
    if (etg_memcached_now() - call->link->idle_since < TRUSTED_IDLE
        || etg_memcached_link_is_quiet(call->link)) {
        return APR_SUCCESS;
    }
    etg_memcached_link_close(call->link);
    call->link = NULL;
    return connection_make(call);
}

/* An idle connection, or the right to make one (*link stays NULL). */
static apr_status_t slot_take(etg_memcached_node *node, apr_time_t until,
                              int is_probe, int may_skip,
                              etg_memcached_link **link)
{
    unsigned most = node->store->at.pool;
    int has_waited = 0;
    apr_status_t rv = APR_SUCCESS;
    pthread_mutex_lock(&node->lock);
    for (;;) {
        if (!is_probe && !etg_breaker_may_call(&node->breaker)) {
            rv = ETG_STORE_OPEN_BREAKER;
            break;
        }
        if (may_skip && etg_memcached_writer_is_behind(node->store,
                                                       node->silent_at)) {
            rv = ETG_STORE_OPEN_BREAKER;
            break;
        }
        if (node->idle != NULL) {
            *link = node->idle;
            node->idle = node->idle->next;
            break;
        }
        if (node->connections < most) {
            node->connections++;
            break;
        }
        if (!has_waited) {
            has_waited = 1;
            etg_memcached_count_add(node->store, ETG_MEMCACHED_POOL_WAITS, 1);
        }
        if (!freed_wait(node, until)) {
            rv = APR_TIMEUP;
            break;
        }
    }
    pthread_mutex_unlock(&node->lock);
    return rv;
}

static int freed_wait(etg_memcached_node *node, apr_time_t until)
{
    struct timespec deadline = { (time_t)apr_time_sec(until),
                                 (long)apr_time_usec(until) * 1000 };
    return pthread_cond_timedwait(&node->freed, &node->lock, &deadline)
           != ETIMEDOUT;
}

/* A call that connects may take as long as the greater of both timeouts, the
 * wait for its turn included. */
static apr_status_t connection_make(etg_memcached_call *call)
{
    const etg_memcached_uri *at = &call->store->at;
    if (at->connect_timeout > at->timeout) {
        call->deadline += at->connect_timeout - at->timeout;
    }
    call->is_untried = 0;
    apr_status_t rv = link_make(call);
    if (rv == APR_SUCCESS) {
        apr_time_t until = etg_memcached_now() + at->timeout;
        call->deadline = until < call->deadline ? until : call->deadline;
        return rv;
    }
    etg_memcached_count_add(call->store, ETG_MEMCACHED_FAILED_CALLS, 1);
    slot_give(call->node, NULL);
    if (!call->is_probe) {
        etg_memcached_node_report(call->node, rv);
    }
    return rv;
}

static apr_status_t link_make(etg_memcached_call *call)
{
    etg_memcached_node *node = call->node;
    const etg_memcached_uri *at = &call->store->at;
    etg_memcached_addresses addresses;
    apr_time_t until = etg_memcached_now() + at->connect_timeout;
    if (until > call->deadline) {
        until = call->deadline;
    }
    pthread_mutex_lock(&node->lock);
    addresses = node->addresses;
    pthread_mutex_unlock(&node->lock);
    etg_memcached_count_add(call->store, ETG_MEMCACHED_CONNECTS, 1);
    return addresses.count == 0 ? APR_EGENERAL
           : etg_memcached_link_open(&addresses, at->timeout, until,
                                     &call->link);
}

/* The other side has closed. */
static int is_gone(apr_status_t failure)
{
    return APR_STATUS_IS_EOF(failure) || APR_STATUS_IS_ECONNRESET(failure)
           || APR_STATUS_IS_EPIPE(failure);
}

/* `link` NULL: there is one connection less. */
static void slot_give(etg_memcached_node *node, etg_memcached_link *link)
{
    pthread_mutex_lock(&node->lock);
    if (link != NULL && etg_breaker_may_call(&node->breaker)) {
        link->next = node->idle;
        node->idle = link;
        link = NULL;
    }
    else {
        node->connections--;
    }
    pthread_cond_signal(&node->freed);
    pthread_mutex_unlock(&node->lock);
    if (link != NULL) {
        etg_memcached_link_close(link);
    }
}
