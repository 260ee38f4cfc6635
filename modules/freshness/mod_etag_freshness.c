/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_etag_freshness.c: index of the module: its struct and its hooks.
 */
#include "modules/freshness/freshness.h"

/* The cache asks first; what it does not answer comes by us. */
static const char *const cache[] = { "mod_etag_cache.c", NULL };

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    return etg_freshness_memory_register(pconf);
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(etg_freshness_check_config, NULL, NULL,
                         APR_HOOK_MIDDLE);
    ap_hook_post_config(etg_freshness_post_config, NULL, NULL,
                        APR_HOOK_MIDDLE);
    ap_hook_child_init(etg_freshness_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(etg_freshness_handler, cache, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_error_filter(etg_freshness_restore_for_error, NULL, NULL,
                                APR_HOOK_MIDDLE);
    etg_freshness_filter_register();
    APR_REGISTER_OPTIONAL_FN(etg_freshness_is_read);
    APR_REGISTER_OPTIONAL_FN(etg_freshness_read);
    APR_REGISTER_OPTIONAL_FN(etg_freshness_holds);
    APR_REGISTER_OPTIONAL_FN(etg_freshness_stamp_of);
}

module AP_MODULE_DECLARE_DATA etag_freshness_module = {
    STANDARD20_MODULE_STUFF,
    etg_freshness_create_dir,
    etg_freshness_merge_dir,
    etg_freshness_create_server,
    etg_option_merge,
    etg_freshness_commands,
    register_hooks,
    0
};
