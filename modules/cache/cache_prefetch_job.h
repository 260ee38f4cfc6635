/* SPDX-License-Identifier: Apache-2.0 */
/* cache_prefetch_job.h: one prefetch, from a client's request to its end; for
 * cache_prefetch*.c only. */
#ifndef ETG_CACHE_PREFETCH_JOB_H
#define ETG_CACHE_PREFETCH_JOB_H

#include "lib/next_page.h"
#include "modules/cache/cache_prefetch.h"

/* All in the job's own pool, but what lives as long as the child. */
typedef struct etg_cache_prefetch_job {
    etg_cache_runtime *runtime;
    const etg_cache_server_conf *server;
    const char *route;            /* whose tickets it takes */
    etg_store_key page;           /* the page it was caused by is remembered
                                   * under */
    const char *next;             /* the target; NULL: named in the body */
    etg_internal_ask *ask;

    /* json: where the body is, and how it names the next page */
    const char *pointer;
    const char *scheme;           /* the page's */
    const char *host;
    const char *target;
    apr_array_header_t *prefixes;
    etg_entity_id entity;
    apr_uint64_t body_length;
    etg_coding coding;
    int is_new;                   /* was stored for this very answer */
} etg_cache_prefetch_job;

/* An etg_work: carries the job out. */
void etg_cache_prefetch_run(void *baton, apr_pool_t *pool);

#endif
