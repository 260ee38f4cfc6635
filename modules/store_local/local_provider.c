/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_provider.c: the provider's table; configuring, opening and closing.
 *
 * A folder is opened once per process, whatever number of URIs name it: LMDB
 * forbids two environments of one file in a process, for closing one drops
 * the locks of the other. Stores of one configuration are therefore found
 * again by their folder through the configuration pool, and prepare refuses
 * one that reaches another's folder by a different name.
 */
#include "local_store.h"

#include <apr_strings.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORES_KEY "etg-local-stores"

static const char *local_configure(etg_store **store, const char *uri,
                                   const etg_store_env *env,
                                   apr_pool_t *pconf);
static apr_status_t local_prepare(etg_store *store, apr_pool_t *pconf);
static apr_status_t local_open(etg_store *store, apr_pool_t *pchild);
static apr_status_t dir_make(const etg_store *store);
static apr_status_t dir_give(etg_store *store);
static apr_status_t folder_open(etg_store *store);
static apr_status_t parts_open(etg_store *store);
static apr_status_t local_close(void *data);

const etg_store_provider etg_local_provider = {
    .scheme = "local",
    .configure = local_configure,
    .prepare = local_prepare,
    .open = local_open,
    .meta_lookup = etg_local_meta_lookup,
    .meta_write = etg_local_meta_write,
    .entity_read = etg_local_entity_read,
    .entity_begin = etg_local_entity_begin,
    .entity_append = etg_local_entity_append,
    .entity_finish = etg_local_entity_finish,
    .entity_abandon = etg_local_entity_abandon,
    .mark = etg_local_purge,
    .counters = etg_local_counters
};

int etg_local_is_up(const etg_store *store)
{
    return store->opened_by != 0
        && atomic_load_explicit(&store->down, memory_order_relaxed) == 0
        && atomic_load_explicit(&store->control->damaged,
                                memory_order_relaxed) == 0;
}

uint32_t etg_local_seconds(apr_time_t at)
{
    if (at <= 0) {
        return 0;
    }
    apr_time_t seconds = at / APR_USEC_PER_SEC
                         + (at % APR_USEC_PER_SEC != 0);
    return seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
}

static const char *local_configure(etg_store **made, const char *uri,
                                   const etg_store_env *env,
                                   apr_pool_t *pconf)
{
    const char *dir;
    uint64_t size;
    void *stores = NULL;
    const char *problem = etg_local_uri_parse(uri, env, pconf, &dir, &size);
    if (problem != NULL) {
        return problem;
    }
    apr_pool_userdata_get(&stores, STORES_KEY, pconf);
    for (etg_store *store = stores; store != NULL; store = store->next) {
        if (strcmp(store->dir, dir) != 0) {
            continue;
        }
        if (store->geometry.size != size) {
            return apr_psprintf(pconf, "\"%s\": the folder %s is already "
                                "used with another size by \"%s\"", uri, dir,
                                store->uri);
        }
        *made = store;
        return NULL;
    }
    etg_store *store = apr_pcalloc(pconf, sizeof(*store));
    store->uri = apr_pstrdup(pconf, uri);
    store->dir = dir;
    store->host = env;
    store->in_use_fd = store->control_fd = store->segments_fd = -1;
    store->next = stores;
    etg_local_geometry_set(&store->geometry, size);
    apr_pool_userdata_setn(store, STORES_KEY, NULL, pconf);
    *made = store;
    return NULL;
}

static apr_status_t local_prepare(etg_store *store, apr_pool_t *pconf)
{
    void *stores = NULL;
    struct stat info;
    apr_status_t rv = dir_make(store);
    if (rv == APR_SUCCESS) {
        rv = dir_give(store);
    }
    if (rv == APR_SUCCESS && stat(store->dir, &info) != 0) {
        rv = errno;
    }
    if (rv != APR_SUCCESS) {
        etg_log_write(&store->host->log, ETG_LOG_ERROR, rv,
                      ETGLOGNO(0311) "local store: the folder %s cannot be "
                      "made or given to the User that httpd runs as; serving "
                      "without this store", store->dir);
        return rv;
    }
    store->dir_device = info.st_dev;
    store->dir_inode = info.st_ino;
    store->refused = 0;
    apr_pool_userdata_get(&stores, STORES_KEY, pconf);
    for (etg_store *other = stores; other != NULL; other = other->next) {
        if (other != store && !other->refused
            && other->dir_inode == store->dir_inode
            && other->dir_device == store->dir_device) {
            store->refused = 1;
            etg_log_write(&store->host->log, ETG_LOG_ERROR, 0,
                          ETGLOGNO(0312) "local store: %s is the same folder "
                          "as %s; serving without the first. Write both URIs "
                          "the same way", store->dir, other->dir);
            return APR_EINVAL;
        }
    }
    return etg_local_check(store);
}

static apr_status_t local_open(etg_store *store, apr_pool_t *pchild)
{
    if (store->opened_by == getpid()) {
        return APR_SUCCESS;
    }
    if (store->refused) {
        return APR_EINVAL;
    }
    atomic_store(&store->down, 0);
    store->child = NULL;
    store->writer = NULL;
    apr_status_t rv = folder_open(store);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = parts_open(store);
    if (rv != APR_SUCCESS) {
        etg_log_write(&store->host->log, ETG_LOG_ERROR, rv,
                      ETGLOGNO(0313) "local store: %s could not be opened; "
                      "this child serves without it", store->folder);
        etg_local_env_close(store);
        etg_local_segments_close(store);
        etg_local_folder_close(store);
        free((void *)store->verified);
        store->verified = NULL;
        return rv;
    }
    store->opened_by = getpid();
    apr_pool_cleanup_register(pchild, store, local_close,
                              apr_pool_cleanup_null);
    etg_log_write(&store->host->log, ETG_LOG_INFO, 0,
                  ETGLOGNO(0314) "local store: using %s", store->folder);
    return APR_SUCCESS;
}

/* Folders above it are everybody's to search, as mkdir -p makes them. */
static apr_status_t dir_make(const etg_store *store)
{
    char path[ETG_LOCAL_PATH_BYTES];
    apr_cpystrn(path, store->dir, sizeof(path));
    for (char *slash = strchr(path + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) {
            return errno;
        }
        *slash = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? APR_SUCCESS : errno;
}

/* As root the folder itself is given to the children's user; all that is in
 * it they make themselves, so nothing in it is ever followed as root. */
static apr_status_t dir_give(etg_store *store)
{
    struct stat info;
    if (geteuid() != 0 || store->host->owner == 0) {
        return APR_SUCCESS;
    }
    if (lstat(store->dir, &info) != 0) {
        return errno;
    }
    if (S_ISLNK(info.st_mode) || info.st_uid == store->host->owner) {
        return APR_SUCCESS;
    }
    return lchown(store->dir, store->host->owner, store->host->group) == 0
           ? APR_SUCCESS : errno;
}

/* A child that died may have died of a damaged data.mdb: then the one that
 * takes its place must not. */
static apr_status_t folder_open(etg_store *store)
{
    apr_status_t rv = etg_local_folder_open(store, 0);
    if (rv != APR_SUCCESS || store->deaths == 0) {
        return rv;
    }
    etg_local_check_beside(store);
    if (atomic_load(&store->control->damaged) == 0) {
        return APR_SUCCESS;
    }
    etg_local_folder_close(store);
    return etg_local_folder_open(store, 0);
}

static apr_status_t parts_open(etg_store *store)
{
    store->verified = calloc(ETG_LOCAL_VERIFIED_SLOTS,
                             sizeof(*store->verified));
    if (store->verified == NULL) {
        return APR_ENOMEM;
    }
    apr_status_t rv = etg_local_segments_open(store);
    if (rv == APR_SUCCESS) {
        rv = etg_local_env_open(store);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_local_readers_open(store);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_local_writer_start(store);
    }
    return rv;
}

/* What another thread still uses is left open: the process is about to end,
 * and the kernel closes it then. */
static apr_status_t local_close(void *data)
{
    etg_store *store = data;
    if (store->opened_by != getpid()) {
        return APR_SUCCESS;
    }
    if (!etg_local_writer_stop(store) || !etg_local_readers_close(store)) {
        etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                      ETGLOGNO(0315) "local store: %s was still in use when "
                      "this child ended, or another process holds its write "
                      "lock; left as it is", store->folder);
        atomic_store(&store->down, 1);
        return APR_SUCCESS;
    }
    store->opened_by = 0;
    etg_local_env_close(store);
    etg_local_segments_close(store);
    etg_local_folder_close(store);
    free((void *)store->verified);
    store->verified = NULL;
    return APR_SUCCESS;
}
