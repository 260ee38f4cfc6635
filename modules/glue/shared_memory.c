/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_memory.c: a cache of httpd's shmcb provider, and who may touch it.
 *
 * The mutex is held for microseconds, and who does not get it soon goes
 * without. A child that is killed while it changes the cache may leave it half
 * changed, and shmcb does not check what it finds. So a mark in shared memory
 * says that somebody is at work; whoever gets the mutex and finds it set
 * knows that he died, and from then on nobody uses the cache.
 */
#include "modules/glue/shared_memory.h"

#include <ap_provider.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <util_mutex.h>

#define TRIES 40
#define TRIES_AT_ONCE 4
#define PAUSE 50                /* µs */

typedef enum memory_state {
    MEMORY_IDLE,
    MEMORY_BUSY,
    MEMORY_LOST
} memory_state;

struct etg_shared_memory {
    const etg_shared_memory_kind *kind;
    const ap_socache_provider_t *provider;
    ap_socache_instance_t *instance;
    apr_global_mutex_t *mutex;
    memory_state *state;        /* shared, under the mutex */
    server_rec *server;
};

static apr_status_t make_mutex(etg_shared_memory *memory, apr_pool_t *pconf);
static int lock(etg_shared_memory *memory);

int etg_shared_memory_register(const etg_shared_memory_kind *kind,
                               apr_pool_t *pconf)
{
    return ap_mutex_register(pconf, kind->name, NULL, APR_LOCK_DEFAULT, 0)
           == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

apr_status_t etg_shared_memory_make(etg_shared_memory **memory,
                                    const etg_shared_memory_kind *kind,
                                    apr_int64_t size, server_rec *s,
                                    apr_pool_t *pconf, const char **wrong)
{
    etg_shared_memory *made = apr_pcalloc(pconf, sizeof(*made));
    apr_status_t rv;

    *wrong = NULL;
    made->kind = kind;
    made->server = s;
    made->provider = ap_lookup_provider(AP_SOCACHE_PROVIDER_GROUP, "shmcb",
                                        AP_SOCACHE_PROVIDER_VERSION);
    if (made->provider == NULL) {
        return APR_ENOTIMPL;
    }
    *wrong = made->provider->create(
        &made->instance,
        apr_psprintf(pconf, "%s(%" APR_INT64_T_FMT ")", kind->name, size),
        pconf, pconf);
    if (*wrong != NULL) {
        return APR_EGENERAL;
    }
    rv = make_mutex(made, pconf);
    if (rv == APR_SUCCESS) {
        rv = made->provider->init(made->instance, kind->name, &kind->hints, s,
                                  pconf);
    }
    if (rv == APR_SUCCESS) {
        *memory = made;
    }
    return rv;
}

/* And the mark that goes with it. */
static apr_status_t make_mutex(etg_shared_memory *memory, apr_pool_t *pconf)
{
    apr_shm_t *shared;
    apr_status_t rv = ap_global_mutex_create(
        &memory->mutex, NULL, memory->kind->name, NULL, memory->server, pconf,
        0);

    if (rv == APR_SUCCESS) {
        rv = apr_shm_create(&shared, sizeof(*memory->state), NULL, pconf);
    }
    if (rv == APR_SUCCESS) {
        memory->state = apr_shm_baseaddr_get(shared);
        *memory->state = MEMORY_IDLE;
    }
    return rv;
}

apr_status_t etg_shared_memory_open(etg_shared_memory *memory,
                                    apr_pool_t *pchild)
{
    return apr_global_mutex_child_init(
        &memory->mutex, apr_global_mutex_lockfile(memory->mutex), pchild);
}

apr_status_t etg_shared_memory_get(etg_shared_memory *memory, etg_bytes key,
                                   apr_pool_t *p, etg_bytes *record)
{
    unsigned length = memory->kind->record_max;
    unsigned char *bytes = apr_palloc(p, length);
    apr_status_t rv;

    if (!lock(memory)) {
        return APR_EBUSY;
    }
    rv = memory->provider->retrieve(memory->instance, memory->server,
                                    key.data, (unsigned)key.length, bytes,
                                    &length, p);
    apr_global_mutex_unlock(memory->mutex);
    if (rv == APR_SUCCESS) {
        record->data = bytes;
        record->length = length;
    }
    return rv;
}

apr_status_t etg_shared_memory_put(etg_shared_memory *memory, etg_bytes key,
                                   apr_time_t expires_at, etg_bytes record,
                                   apr_pool_t *p)
{
    apr_status_t rv;

    if (!lock(memory)) {
        return APR_EBUSY;
    }
    *memory->state = MEMORY_BUSY;
    rv = memory->provider->store(memory->instance, memory->server, key.data,
                                 (unsigned)key.length, expires_at,
                                 (unsigned char *)record.data,
                                 (unsigned)record.length, p);
    *memory->state = MEMORY_IDLE;
    apr_global_mutex_unlock(memory->mutex);
    return rv;
}

/* 1: it is ours until it is unlocked, and nobody died in the cache. Every kind
 * of mutex that httpd knows can be tried, and not every kind is given back by
 * the death of its holder. */
static int lock(etg_shared_memory *memory)
{
    int tries = 0;

    while (apr_global_mutex_trylock(memory->mutex) != APR_SUCCESS) {
        if (++tries == TRIES) {
            return 0;
        }
        if (tries < TRIES_AT_ONCE) {
            apr_thread_yield();
        }
        else {
            apr_sleep(PAUSE);
        }
    }
    if (*memory->state == MEMORY_BUSY) {
        *memory->state = MEMORY_LOST;
        memory->kind->say_lost(memory->server);
    }
    if (*memory->state == MEMORY_LOST) {
        apr_global_mutex_unlock(memory->mutex);
        return 0;
    }
    return 1;
}
