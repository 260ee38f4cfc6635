/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_etag_store_memcached.c: offers the memcached store to httpd under the
 * URI scheme "memcached". It has no directives; the cache that uses it names
 * it. All else is free of httpd: memcached_store.h is where to start.
 */
#include <httpd.h>
#include <http_config.h>
#include <ap_provider.h>

#include "memcached_store.h"

static void register_hooks(apr_pool_t *p);

module AP_MODULE_DECLARE_DATA etag_store_memcached_module = {
    STANDARD20_MODULE_STUFF,
    NULL,                      /* create per-directory configuration */
    NULL,                      /* merge per-directory configuration */
    NULL,                      /* create per-server configuration */
    NULL,                      /* merge per-server configuration */
    NULL,                      /* directives */
    register_hooks,
    AP_MODULE_FLAG_NONE
};

static void register_hooks(apr_pool_t *p)
{
    ap_register_provider(p, ETG_STORE_PROVIDER_GROUP,
                         etg_memcached_provider.scheme,
                         ETG_STORE_PROVIDER_VERSION, &etg_memcached_provider);
}
