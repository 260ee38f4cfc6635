/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_start.c: from the configuration to look-ups in each child. */
#include "modules/freshness/freshness.h"

int etg_freshness_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                               apr_pool_t *ptemp, server_rec *s)
{
    etg_freshness_runtime *runtime = apr_pcalloc(pconf, sizeof(*runtime));

    (void)plog;
    (void)ptemp;
    runtime->is_used = etg_freshness_all_lines(pconf)->nelts > 0;
    for (; s != NULL; s = s->next) {
        etg_freshness_server_conf *conf = ap_get_module_config(
            s->module_config, &etag_freshness_module);

        conf->runtime = runtime;
    }
    return OK;
}

int etg_freshness_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)plog;
    (void)ptemp;
    (void)s;
    return OK;
}

void etg_freshness_child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
}
