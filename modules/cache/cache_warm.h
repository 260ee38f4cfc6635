/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_warm.h: fetches the URLs of ETagCacheRefresh at start and on
 * schedule, by one process of the host.
 */
#ifndef ETG_CACHE_WARM_H
#define ETG_CACHE_WARM_H

#include "modules/cache/cache.h"

/* pre_config: the mutex that says which process it is. */
int etg_cache_warm_register(apr_pool_t *pconf);
/* post_config of a real start: the URLs of all servers. Where they cannot be
 * fetched it says so once and the cache does without. */
void etg_cache_warm_prepare(apr_pool_t *pconf, server_rec *s);
/* child_init, after etg_cache_background_open. */
void etg_cache_warm_open(apr_pool_t *pchild, server_rec *s);

#endif
