/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_stores.c: the life of stores.
 *
 * One instance per distinct URI, however many virtual hosts name it and in
 * whatever lists; made in check_config (so that configtest sees a bad URI),
 * prepared in post_config as root, opened in each child. A list of several
 * makes a tiered store over those instances, which has nothing to prepare or
 * open itself. A store that cannot be prepared or opened has said why; its
 * calls then fail, and requests are served as if the cache were absent.
 */
#include "modules/cache/cache.h"

#include <ap_provider.h>
#include <unixd.h>

#include "modules/cache/cache_shared.h"
#include "modules/cache/cache_warnings.h"
#include "modules/tiers/tiers.h"

#ifndef ETG_DEFAULT_CACHE_DIR
#define ETG_DEFAULT_CACHE_DIR "/var/cache/apache2/etagere"
#endif

static int configure_server(apr_pool_t *pconf, server_rec *s,
                            etg_cache_runtime *runtime,
                            const etg_store_env *env);
static int find_stores(apr_pool_t *pconf, server_rec *s,
                       const char *directive, const apr_array_header_t *uris,
                       etg_cache_runtime *runtime, const etg_store_env *env,
                       etg_cache_store *store);
static int refuse_list(server_rec *s, const char *directive,
                       const apr_array_header_t *uris);
static void find_tiered(apr_pool_t *pconf, const apr_array_header_t *uris,
                        const etg_tier *tiers, apr_interval_time_t trust,
                        etg_cache_runtime *runtime, etg_cache_store *store);
static int find_store(apr_pool_t *pconf, server_rec *s, const char *directive,
                      const char *uri, etg_cache_runtime *runtime,
                      const etg_store_env *env, etg_cache_store *store);
static int make_store(apr_pool_t *pconf, server_rec *s, const char *directive,
                      const char *uri, const etg_store_env *env,
                      etg_cache_store *store);
static void write_log(void *baton, etg_log_level level, apr_status_t rv,
                      const char *message);
static etg_cache_runtime *runtime_of(server_rec *s);

int etg_cache_stores_configure(apr_pool_t *pconf, apr_pool_t *ptemp,
                               server_rec *s)
{
    etg_cache_runtime *runtime = apr_pcalloc(pconf, sizeof(*runtime));
    etg_store_env *env = apr_pcalloc(pconf, sizeof(*env));

    runtime->stores = apr_array_make(pconf, 2, sizeof(etg_cache_store));
    runtime->tiered = apr_array_make(pconf, 2, sizeof(etg_cache_store));
    env->default_dir = ETG_DEFAULT_CACHE_DIR;
    env->server_root = ap_server_root;
    env->owner = ap_unixd_config.user_id;
    env->group = ap_unixd_config.group_id;
    env->log.write = write_log;
    env->log.baton = s;
    runtime->is_used = etg_cache_is_used(ptemp);
    for (server_rec *each = s; each != NULL; each = each->next) {
        int rv = configure_server(pconf, each, runtime, env);

        if (rv != OK) {
            return rv;
        }
    }
    return OK;
}

static int configure_server(apr_pool_t *pconf, server_rec *s,
                            etg_cache_runtime *runtime,
                            const etg_store_env *env)
{
    etg_cache_server_conf *conf = ap_get_module_config(s->module_config,
                                                       &etag_cache_module);
    int rv;

    conf->runtime = runtime;
    conf->key_rules.ignore_query = conf->ignore_query;
    conf->key_rules.headers = conf->key_headers;
    conf->key_rules.sort_query = conf->sort_query;
    if (!runtime->is_used) {
        return OK;                   /* no folder and no file for nothing */
    }
    conf->meta.trust = conf->entity.trust = conf->tier_ttl;
    rv = find_stores(pconf, s, "ETagCacheMetaStore", conf->meta_uris, runtime,
                     env, &conf->meta);
    if (rv != OK || conf->entity_uris->nelts == 0) {
        conf->entity = conf->meta;
        return rv;
    }
    return find_stores(pconf, s, "ETagCacheEntityStore", conf->entity_uris,
                       runtime, env, &conf->entity);
}

/* One store, or a tiered one over those in the list; store->trust is set. */
static int find_stores(apr_pool_t *pconf, server_rec *s,
                       const char *directive, const apr_array_header_t *uris,
                       etg_cache_runtime *runtime, const etg_store_env *env,
                       etg_cache_store *store)
{
    apr_interval_time_t trust = store->trust;
    etg_tier tiers[ETG_STORE_TIERS_MAX];

    if (uris->nelts < 1 || uris->nelts > ETG_STORE_TIERS_MAX) {
        return refuse_list(s, directive, uris);
    }
    for (int i = 0; i < uris->nelts; i++) {
        int rv = find_store(pconf, s, directive,
                            APR_ARRAY_IDX(uris, i, const char *), runtime,
                            env, store);

        if (rv != OK) {
            return rv;
        }
        tiers[i].provider = store->provider;
        tiers[i].store = store->instance;
        for (int j = 0; j < i; j++) {
            if (tiers[j].store == tiers[i].store) {
                return refuse_list(s, directive, uris);
            }
        }
    }
    if (uris->nelts > 1) {
        find_tiered(pconf, uris, tiers, trust, runtime, store);
    }
    return OK;
}

static int refuse_list(server_rec *s, const char *directive,
                       const apr_array_header_t *uris)
{
    if (uris->nelts < 1 || uris->nelts > ETG_STORE_TIERS_MAX) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     ETGLOGNO(0140) "%s names %d stores; 1 to %d are "
                     "possible", directive, uris->nelts,
                     ETG_STORE_TIERS_MAX);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     ETGLOGNO(0141) "%s names one store twice: %s", directive,
                     apr_array_pstrcat(uris->pool, uris, ' '));
    }
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Virtual hosts with the same list share one, and so its counters. */
static void find_tiered(apr_pool_t *pconf, const apr_array_header_t *uris,
                        const etg_tier *tiers, apr_interval_time_t trust,
                        etg_cache_runtime *runtime, etg_cache_store *store)
{
    const char *list = apr_array_pstrcat(pconf, uris, ' ');

    for (int i = 0; i < runtime->tiered->nelts; i++) {
        *store = APR_ARRAY_IDX(runtime->tiered, i, etg_cache_store);
        if (!strcmp(store->uri, list) && store->trust == trust) {
            return;
        }
    }
    store->uri = list;
    store->trust = trust;
    etg_tiers_make(&store->provider, &store->instance, tiers,
                   (unsigned)uris->nelts, trust, pconf);
    APR_ARRAY_PUSH(runtime->tiered, etg_cache_store) = *store;
}

static int find_store(apr_pool_t *pconf, server_rec *s, const char *directive,
                      const char *uri, etg_cache_runtime *runtime,
                      const etg_store_env *env, etg_cache_store *store)
{
    int rv;

    for (int i = 0; i < runtime->stores->nelts; i++) {
        *store = APR_ARRAY_IDX(runtime->stores, i, etg_cache_store);
        if (!strcmp(store->uri, uri)) {
            return OK;
        }
    }
    rv = make_store(pconf, s, directive, uri, env, store);
    if (rv == OK) {
        APR_ARRAY_PUSH(runtime->stores, etg_cache_store) = *store;
    }
    return rv;
}

static int make_store(apr_pool_t *pconf, server_rec *s, const char *directive,
                      const char *uri, const etg_store_env *env,
                      etg_cache_store *store)
{
    const char *colon = strchr(uri, ':');
    const char *scheme = colon == NULL
        ? uri : apr_pstrmemdup(pconf, uri, colon - uri);
    const char *error;

    store->uri = uri;
    store->instance = NULL;
    store->trust = 0;
    store->provider = ap_lookup_provider(ETG_STORE_PROVIDER_GROUP, scheme,
                                         ETG_STORE_PROVIDER_VERSION);
    if (store->provider == NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     ETGLOGNO(0102) "%s: no module provides \"%s\"; is "
                     "mod_etag_store_%s loaded?", directive, uri, scheme);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    error = store->provider->configure(&store->instance, uri, env, pconf);
    if (error != NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     ETGLOGNO(0103) "%s: \"%s\": %s", directive, uri, error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

int etg_cache_stores_prepare(apr_pool_t *pconf, server_rec *s)
{
    etg_cache_runtime *runtime = runtime_of(s);

    for (int i = 0; i < runtime->stores->nelts; i++) {
        etg_cache_store *store = &APR_ARRAY_IDX(runtime->stores, i,
                                                etg_cache_store);
        apr_status_t rv = store->provider->prepare(store->instance, pconf);

        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                         ETGLOGNO(0104) "store %s cannot be prepared; "
                         "requests are served without it", store->uri);
        }
    }
    if (runtime->is_used) {
        etg_cache_shared_prepare(pconf, s, runtime);
    }
    return OK;
}

void etg_cache_stores_open(apr_pool_t *pchild, server_rec *s)
{
    etg_cache_runtime *runtime = runtime_of(s);

    for (int i = 0; i < runtime->stores->nelts; i++) {
        etg_cache_store *store = &APR_ARRAY_IDX(runtime->stores, i,
                                                etg_cache_store);
        apr_status_t rv = store->provider->open(store->instance, pchild);

        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                         ETGLOGNO(0106) "store %s cannot be opened; this "
                         "child serves without it", store->uri);
        }
    }
    etg_cache_shared_open(pchild, s, runtime);
}

static etg_cache_runtime *runtime_of(server_rec *s)
{
    etg_cache_server_conf *conf = ap_get_module_config(s->module_config,
                                                       &etag_cache_module);
    return conf->runtime;
}

static void write_log(void *baton, etg_log_level level, apr_status_t rv,
                      const char *message)
{
    static const int levels[] = {
        APLOG_ERR, APLOG_WARNING, APLOG_NOTICE, APLOG_INFO, APLOG_DEBUG
    };

    ap_log_error(APLOG_MARK, levels[level], rv, (const server_rec *)baton,
                 "%s", message);
}
