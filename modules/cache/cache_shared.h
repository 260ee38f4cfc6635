/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_shared.h: the tables that all children of the server share.
 *
 * Model. A table is anonymous shared memory, made and laid out by the parent
 * in post_config, and a view of it per child. What a table is, and which
 * member of the runtime its view is, stands in one row in cache_shared.c. A
 * table that cannot be had is said once and leaves its view NULL: whoever
 * uses it goes without.
 */
#ifndef ETG_CACHE_SHARED_H
#define ETG_CACHE_SHARED_H

#include "modules/cache/cache.h"

/* post_config of a real start: makes the tables. */
void etg_cache_shared_prepare(apr_pool_t *pconf, server_rec *s,
                              etg_cache_runtime *runtime);
/* child_init, after fork: this child's views. */
void etg_cache_shared_open(apr_pool_t *pchild, server_rec *s,
                           etg_cache_runtime *runtime);

#endif
