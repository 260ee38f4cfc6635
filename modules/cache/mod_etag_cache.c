/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_etag_cache.c: index of the module: its struct and its hooks.
 *
 * The handler hook is the first of its phase, so look-ups happen after access
 * control and after the admin's rewriting was set up, and before any backend.
 */
#include "modules/cache/cache_background.h"

#include "etg_cache.h"
#include "modules/cache/cache_data.h"
#include "modules/cache/cache_handler.h"
#include "modules/cache/cache_held.h"
#include "modules/cache/cache_inflate.h"
#include "modules/cache/cache_prefetch.h"
#include "modules/cache/cache_query.h"
#include "modules/cache/cache_raw_expires.h"
#include "modules/cache/cache_tags.h"
#include "modules/cache/cache_warm.h"
#include "modules/cache/cache_warnings.h"

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    ap_method_register(pconf, "PURGE");
    return etg_cache_warm_register(pconf);
}

static int check_config(apr_pool_t *pconf, apr_pool_t *plog,
                        apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    etg_cache_warn_of_mod_cache(s, ptemp);
    return etg_cache_stores_configure(pconf, ptemp, s);
}

static etg_cache_runtime *runtime_of(server_rec *s)
{
    etg_cache_server_conf *conf = ap_get_module_config(s->module_config,
                                                       &etag_cache_module);
    return conf->runtime;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog,
                       apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    /* The only reliable sign of the dry run: counters in the process pool
     * also claim one when the module comes by a graceful reload. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    etg_cache_background_prepare(ptemp, s);
    etg_cache_warm_prepare(pconf, s);
    etg_cache_data_open(runtime_of(s), pconf);
    return etg_cache_stores_prepare(pconf, s);
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    etg_cache_stores_open(pchild, s);
    etg_cache_prefetch_open(runtime_of(s), pchild, s);
    etg_cache_background_open(runtime_of(s), pchild, s);
    etg_cache_warm_open(pchild, s);
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    /* Before every handler: those of mod_rewrite and mod_dir redirect. */
    ap_hook_handler(etg_cache_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    etg_internal_register(p);
    etg_cache_background_register();
    etg_cache_save_register();
    etg_cache_inflate_register();
    etg_cache_raw_expires_register();
    etg_cache_query_register();
    etg_cache_tags_register();
    APR_REGISTER_OPTIONAL_FN(etg_cache_is_followed);
    etg_cache_held_register();
}

module AP_MODULE_DECLARE_DATA etag_cache_module = {
    STANDARD20_MODULE_STUFF,
    etg_cache_create_dir,
    etg_option_merge,
    etg_cache_create_server,
    etg_option_merge,
    etg_cache_commands,
    register_hooks,
    0
};
