/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_shared.c: the tables that all children of the server share, one row
 * each. See cache_shared.h.
 */
#include "modules/cache/cache_shared.h"

#include <apr_shm.h>

#include "lib/hit_table.h"
#include "lib/prefetch_ledger.h"

/* Fetches at once (64 bytes each) and uncacheable keys remembered (16 bytes):
 * 1.5 MB of shared memory. */
#define COLLAPSE_SLOTS 8192
#define COLLAPSE_REMEMBERED 65536
/* Responses whose hits are counted: 128 KB. */
#define HIT_SLOTS 16384
/* Prefetched responses that nobody has asked for yet: 64 KB. */
#define LEDGER_PLACES 4096

typedef struct shared_table {
    const char *name;
    const char *loss;             /* what is done without it */
    apr_size_t (*size)(void);
    apr_status_t (*format)(void *memory, apr_size_t size);
    apr_status_t (*attach)(etg_cache_runtime *runtime, void *memory,
                           apr_size_t size, apr_pool_t *pchild);
} shared_table;

static apr_size_t size_collapse(void);
static apr_status_t format_collapse(void *memory, apr_size_t size);
static apr_status_t attach_collapse(etg_cache_runtime *runtime, void *memory,
                                    apr_size_t size, apr_pool_t *pchild);
static apr_size_t size_hits(void);
static apr_status_t format_hits(void *memory, apr_size_t size);
static apr_status_t attach_hits(etg_cache_runtime *runtime, void *memory,
                                apr_size_t size, apr_pool_t *pchild);
static apr_size_t size_ledger(void);
static apr_status_t format_ledger(void *memory, apr_size_t size);
static apr_status_t attach_ledger(etg_cache_runtime *runtime, void *memory,
                                  apr_size_t size, apr_pool_t *pchild);
static void share(const shared_table *table, etg_cache_shared *shared,
                  apr_pool_t *pconf, server_rec *s);

static const shared_table tables[] = {
    { "collapse", "every request fetches for itself",
      size_collapse, format_collapse, attach_collapse },
    { "hit", "nothing is refreshed ahead of its expiry",
      size_hits, format_hits, attach_hits },
    { "prefetch", "nobody knows whether prefetching was of use",
      size_ledger, format_ledger, attach_ledger },
};

#define TABLES (int)(sizeof(tables) / sizeof(tables[0]))

void etg_cache_shared_prepare(apr_pool_t *pconf, server_rec *s,
                              etg_cache_runtime *runtime)
{
    runtime->shared = apr_pcalloc(pconf, TABLES * sizeof(*runtime->shared));
    for (int i = 0; i < TABLES; i++) {
        share(&tables[i], &runtime->shared[i], pconf, s);
    }
}

static void share(const shared_table *table, etg_cache_shared *shared,
                  apr_pool_t *pconf, server_rec *s)
{
    apr_size_t size = table->size();
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, size, NULL, pconf);

    if (rv == APR_SUCCESS) {
        memset(apr_shm_baseaddr_get(shm), 0, size);
        rv = table->format(apr_shm_baseaddr_get(shm), size);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     ETGLOGNO(0105) "no shared memory for the %s table; %s",
                     table->name, table->loss);
        return;
    }
    shared->memory = apr_shm_baseaddr_get(shm);
    shared->size = size;
}

void etg_cache_shared_open(apr_pool_t *pchild, server_rec *s,
                           etg_cache_runtime *runtime)
{
    for (int i = 0; runtime->shared != NULL && i < TABLES; i++) {
        const etg_cache_shared *shared = &runtime->shared[i];
        apr_status_t rv;

        if (shared->memory == NULL) {
            continue;
        }
        rv = tables[i].attach(runtime, shared->memory, shared->size, pchild);
        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                         ETGLOGNO(0107) "the %s table is not readable by this "
                         "child; %s", tables[i].name, tables[i].loss);
        }
    }
}

static apr_size_t size_collapse(void)
{
    return etg_collapse_size(COLLAPSE_SLOTS, COLLAPSE_REMEMBERED);
}

static apr_status_t format_collapse(void *memory, apr_size_t size)
{
    return etg_collapse_format(memory, size, COLLAPSE_SLOTS,
                               COLLAPSE_REMEMBERED);
}

static apr_status_t attach_collapse(etg_cache_runtime *runtime, void *memory,
                                    apr_size_t size, apr_pool_t *pchild)
{
    return etg_collapse_attach(&runtime->collapse, memory, size, pchild);
}

static apr_size_t size_hits(void)
{
    return etg_hit_table_size(HIT_SLOTS);
}

static apr_status_t format_hits(void *memory, apr_size_t size)
{
    return etg_hit_table_format(memory, size, HIT_SLOTS);
}

static apr_status_t attach_hits(etg_cache_runtime *runtime, void *memory,
                                apr_size_t size, apr_pool_t *pchild)
{
    return etg_hit_table_attach(&runtime->hits, memory, size, pchild);
}

static apr_size_t size_ledger(void)
{
    return etg_prefetch_ledger_size(LEDGER_PLACES);
}

static apr_status_t format_ledger(void *memory, apr_size_t size)
{
    return etg_prefetch_ledger_format(memory, size, LEDGER_PLACES);
}

static apr_status_t attach_ledger(etg_cache_runtime *runtime, void *memory,
                                  apr_size_t size, apr_pool_t *pchild)
{
    return etg_prefetch_ledger_attach(&runtime->ledger, memory, size, pchild);
}
