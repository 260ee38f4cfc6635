/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_warm_url.h: the lines of ETagCacheRefresh as URLs of virtual hosts,
 * and what is asked for them.
 */
#ifndef ETG_CACHE_WARM_URL_H
#define ETG_CACHE_WARM_URL_H

#include "lib/refresh_schedule.h"
#include "modules/cache/cache.h"
#include "modules/glue/internal_request.h"

/* Made in post_config; each child's own copy after fork. */
typedef struct etg_cache_warm_url {
    const char *line;             /* as configured */
    etg_refresh_rule rule;
    server_rec *server;           /* that answers it */
    const char *host;             /* the field Host */
    int is_https;
    int in_flight;                /* atomic: the rest is the job's */
    etg_refresh_schedule schedule;
    int is_warned;                /* that it is not stored */
} etg_cache_warm_url;

/* The rows of all servers, in `p`. */
apr_array_header_t *etg_cache_warm_urls(server_rec *s, apr_pool_t *p);

/* What a client without preferences would ask. */
void etg_cache_warm_ask(etg_internal_ask *ask, const etg_cache_warm_url *url,
                        apr_pool_t *p);

#endif
