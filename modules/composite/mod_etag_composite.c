/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_etag_composite.c: index of the module: its struct and its hooks.
 */
#include "modules/composite/composite.h"

/* What they keep, and what they answer by, is what pages are asked for with:
 * not the client's own preconditions and codings. */
static const char *const behind[] = {
    "mod_etag_cache.c", "mod_etag_freshness.c", NULL
};

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    return etg_composite_esi_memory_register(pconf);
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(etg_composite_check_config, NULL, NULL,
                         APR_HOOK_MIDDLE);
    ap_hook_post_config(etg_composite_post_config, NULL, NULL,
                        APR_HOOK_MIDDLE);
    /* What is made last ends first: parts use other modules' threads and
     * stores. */
    ap_hook_child_init(etg_composite_child_init, NULL, NULL, APR_HOOK_LAST);
    /* mod_proxy looks in both: before and after a path is decoded. */
    ap_hook_pre_translate_name(etg_composite_keep_from_proxy, NULL, NULL,
                               APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(etg_composite_keep_from_proxy, NULL, NULL,
                           APR_HOOK_REALLY_FIRST);
    ap_hook_handler(etg_composite_esi_handler, NULL, behind,
                    APR_HOOK_REALLY_FIRST);
    ap_hook_handler(etg_composite_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(etg_composite_esi_restore_for_error, NULL,
                                NULL, APR_HOOK_MIDDLE);
    etg_composite_esi_filter_register();
    etg_internal_register(p);
}

module AP_MODULE_DECLARE_DATA etag_composite_module = {
    STANDARD20_MODULE_STUFF,
    etg_composite_create_dir,
    etg_composite_merge_dir,
    etg_composite_create_server,
    etg_option_merge,
    etg_composite_commands,
    register_hooks,
    0
};
