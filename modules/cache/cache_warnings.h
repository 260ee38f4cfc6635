/* SPDX-License-Identifier: Apache-2.0 */
/* cache_warnings.h: what configtest says of a configuration as a whole. */
#ifndef ETG_CACHE_WARNINGS_H
#define ETG_CACHE_WARNINGS_H

#include <httpd.h>

/* Warns if mod_cache's CacheEnable covers URLs that ETagCache covers too: two
 * caches on the same URLs hide each other's validators. */
void etg_cache_warn_of_mod_cache(server_rec *s, apr_pool_t *ptemp);

/* Does the configuration switch the cache on anywhere? */
int etg_cache_is_used(apr_pool_t *ptemp);

/* Does the configuration name this directive anywhere? */
int etg_cache_is_configured(const char *directive, apr_pool_t *ptemp);

#endif
