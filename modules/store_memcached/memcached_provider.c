/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_provider.c: the provider's table; configuring, opening and
 * closing.
 *
 * Configuring only reads the URI. A child opens what it needs after the fork:
 * its nodes, which connect when they are first asked for something, and the
 * writer's thread, so that servers that are down hold up no start.
 */
#include "memcached_store.h"

#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "memcached_entity.h"
#include "memcached_hint.h"

#define STORES_KEY "etg-memcached-stores"
#define RESOLVE_WAIT apr_time_from_msec(200)
#define IDLE_WAIT apr_time_from_sec(1)

static const char *memcached_configure(etg_store **made, const char *uri,
                                       const etg_store_env *env,
                                       apr_pool_t *pconf);
static apr_status_t memcached_prepare(etg_store *store, apr_pool_t *pconf);
static apr_status_t memcached_open(etg_store *store, apr_pool_t *pchild);
static apr_status_t parts_open(etg_store *store);
static void parts_close(etg_store *store);
static void names_resolve(etg_store *store);
static apr_status_t resolve_run(etg_store *store, etg_memcached_job *job);
static void resolve_finish(etg_store *store, etg_memcached_job *job,
                           apr_status_t result);
static apr_status_t memcached_close(void *data);
static int idle_wait(etg_store *store);

const etg_store_provider etg_memcached_provider = {
    "memcached",
    memcached_configure,
    memcached_prepare,
    memcached_open,
    etg_memcached_meta_lookup,
    etg_memcached_meta_write,
    etg_memcached_entity_read,
    etg_memcached_entity_begin,
    etg_memcached_entity_append,
    etg_memcached_entity_finish,
    etg_memcached_entity_abandon,
    etg_memcached_mark,
    etg_memcached_lease_take,
    etg_memcached_lease_release,
    etg_memcached_counters
};

int etg_memcached_is_up(const etg_store *store)
{
    return atomic_load_explicit(&store->is_open, memory_order_acquire);
}

/* One store per URI, whoever names it. */
static const char *memcached_configure(etg_store **made, const char *uri,
                                       const etg_store_env *env,
                                       apr_pool_t *pconf)
{
    void *stores = NULL;
    etg_memcached_uri at;
    const char *problem = etg_memcached_uri_parse(uri, pconf, &at);
    if (problem != NULL) {
        return problem;
    }
    apr_pool_userdata_get(&stores, STORES_KEY, pconf);
    for (etg_store *store = stores; store != NULL; store = store->next) {
        if (strcmp(store->uri, uri) == 0) {
            *made = store;
            return NULL;
        }
    }
    etg_store *store = apr_pcalloc(pconf, sizeof(*store));
    store->uri = apr_pstrdup(pconf, uri);
    store->host = env;
    store->at = at;
    store->next = stores;
    apr_pool_userdata_setn(store, STORES_KEY, NULL, pconf);
    *made = store;
    return NULL;
}

/* There is nothing that children share. */
static apr_status_t memcached_prepare(etg_store *store, apr_pool_t *pconf)
{
    (void)store;
    (void)pconf;
    return APR_SUCCESS;
}

static apr_status_t memcached_open(etg_store *store, apr_pool_t *pchild)
{
    if (etg_memcached_is_up(store)) {
        return APR_SUCCESS;
    }
    apr_status_t rv = parts_open(store);
    if (rv != APR_SUCCESS) {
        parts_close(store);
        etg_log_write(&store->host->log, ETG_LOG_ERROR, rv,
                      ETGLOGNO(0407) "memcached store: %s could not be "
                      "opened; this child serves without it", store->uri);
        return rv;
    }
    atomic_store(&store->is_open, 1);
    apr_pool_cleanup_register(pchild, store, memcached_close,
                              apr_pool_cleanup_null);
    names_resolve(store);
    etg_log_write(&store->host->log, ETG_LOG_INFO, 0,
                  ETGLOGNO(0408) "memcached store: using %u server%s as %s",
                  store->at.server_count,
                  store->at.server_count == 1 ? "" : "s", store->uri);
    return APR_SUCCESS;
}

static apr_status_t parts_open(etg_store *store)
{
    memset((void *)store->counts, 0, sizeof(store->counts));
    apr_status_t rv = etg_memcached_nodes_open(store);
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_hints_open(store);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_leases_open(store);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_owed_open(store);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_writer_start(store);
    }
    return rv;
}

static void parts_close(etg_store *store)
{
    if (store->writer != NULL) {
        etg_memcached_writer_free(store);
    }
    if (store->owed != NULL) {
        etg_memcached_owed_close(store);
    }
    if (store->leases != NULL) {
        etg_memcached_leases_close(store);
    }
    if (store->hints != NULL) {
        etg_memcached_hints_close(store);
    }
    if (store->nodes != NULL) {
        etg_memcached_nodes_close(store);
    }
}

/* Waits a little: usually the name service answers at once. */
static void names_resolve(etg_store *store)
{
    etg_memcached_job *job = calloc(1, sizeof(*job));
    if (job != NULL) {
        job->run = resolve_run;
        job->finish = resolve_finish;
        etg_memcached_writer_run(store, job, RESOLVE_WAIT);
    }
}

static apr_status_t resolve_run(etg_store *store, etg_memcached_job *job)
{
    (void)job;
    etg_memcached_nodes_resolve(store);
    return APR_SUCCESS;
}

static void resolve_finish(etg_store *store, etg_memcached_job *job,
                           apr_status_t result)
{
    (void)store;
    (void)job;
    (void)result;
}

/* What another thread still uses is left: the process is about to end. */
static apr_status_t memcached_close(void *data)
{
    etg_store *store = data;
    if (!etg_memcached_is_up(store)) {
        return APR_SUCCESS;
    }
    atomic_store(&store->is_open, 0);
    if (!etg_memcached_writer_stop(store) || !idle_wait(store)) {
        etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                      ETGLOGNO(0409) "memcached store: %s was still in use "
                      "when this child ended; left as it is", store->uri);
        return APR_SUCCESS;
    }
    parts_close(store);
    return APR_SUCCESS;
}

/* Calls end at their deadlines. */
static int idle_wait(etg_store *store)
{
    const struct timespec pause = { 0, 5000000L };
    apr_time_t deadline = etg_memcached_now() + IDLE_WAIT;
    while (!etg_memcached_nodes_are_idle(store)) {
        if (etg_memcached_now() > deadline) {
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    return 1;
}
