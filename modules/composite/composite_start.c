/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_start.c: from the configuration to threads in each child.
 */
#include "modules/composite/composite.h"

#include <ap_mpm.h>

#include "lib/background.h"
#include "lib/field_list.h"
#include "modules/glue/kept_secret.h"

#define SECRET_KEY "etag-composite-secret"

static etg_composite_server_conf *conf_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &etag_composite_module);
}

int etg_composite_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                               apr_pool_t *ptemp, server_rec *main)
{
    const apr_array_header_t *plans = etg_composite_all_plans(pconf);
    etg_composite_runtime *runtime = apr_pcalloc(pconf, sizeof(*runtime));
    int result = OK;

    (void)plog;
    (void)ptemp;
    runtime->has_esi = etg_composite_esi_is_written(pconf);
    runtime->is_used = plans->nelts > 0 || runtime->has_esi;
    for (server_rec *s = main; s != NULL; s = s->next) {
        conf_of(s)->runtime = runtime;
    }
    for (int i = 0; i < plans->nelts; i++) {
        etg_composite_plan *plan = APR_ARRAY_IDX(plans, i,
                                                 etg_composite_plan *);
        const char *error = etg_composite_plan_finish(plan, pconf);

        if (error != NULL) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, main,
                         ETGLOGNO(0500) "%s: ETagCompositeTemplate \"%s\" %s",
                         plan->place, plan->template_file != NULL
                         ? plan->template_file : "", error);
            result = !OK;
        }
    }
    return result;
}

/* The dry run of the first start makes nothing. */
int etg_composite_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *main)
{
    etg_composite_server_conf *conf = conf_of(main);

    (void)plog;
    (void)ptemp;
    if (!conf->runtime->is_used
        || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    if (!etg_internal_is_possible()
        && etg_composite_all_plans(pconf)->nelts > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main,
                     ETGLOGNO(0501) "without threads in the MPM, or with "
                     "ThreadsPerChild 1, parts of composites are asked for "
                     "one after another");
    }
    if (!etg_internal_is_possible() && conf->runtime->has_esi) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main,
                     ETGLOGNO(0523) "ETagCompositeESI needs an MPM with "
                     "threads, and more than one in a child "
                     "(ThreadsPerChild): includes stay in their pages");
    }
    if (etg_internal_is_possible()) {
        etg_composite_esi_memory_make(conf->runtime, conf->esi_memory, pconf,
                                      main);
    }
    if (etg_kept_secret(conf->secret, SECRET_KEY, main->process->pool,
                        &conf->runtime->secret) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, main,
                     ETGLOGNO(0502) "composite: no random bytes for a secret: "
                     "write an ETagCompositeSecret");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

void etg_composite_child_init(apr_pool_t *pchild, server_rec *main)
{
    const etg_composite_server_conf *conf = conf_of(main);
    etg_composite_runtime *runtime = conf->runtime;
    etg_background_limits limits;
    apr_status_t rv;

    if (!runtime->is_used
        || etg_background_limits_parse(&limits, etg_bytes_of(conf->threads))
           != NULL) {
        return;
    }
    /* In this order: internal requests are cut before threads are waited
     * for. */
    rv = etg_composite_memory_make(&runtime->memory);
    if (rv == APR_SUCCESS && etg_internal_is_possible()) {
        rv = etg_workers_create(&runtime->workers, limits.threads,
                                limits.queue, pchild);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_internal_create(&runtime->internal, main, pchild);
    }
    if (rv != APR_SUCCESS) {
        runtime->internal = NULL;
        runtime->workers = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, main,
                     ETGLOGNO(0503) "this child answers no composites");
    }
    etg_composite_esi_memory_open(runtime, pchild, main);
}
