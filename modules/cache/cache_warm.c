/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_warm.c: when which URL of ETagCacheRefresh is fetched, and by whom.
 *
 * Each child has a thread of mod_watchdog's that ticks; the one that holds the
 * mutex is the one that fetches. The kernel lets go of the mutex when its
 * holder dies, and the next tick of another child takes it (a singleton
 * watchdog of mod_watchdog's own waits ten seconds first). What is due is
 * handed over to the background's threads: the tick itself never waits.
 *
 * A URL's schedule is the watchdog thread's while none of its fetches is under
 * way and the job's meanwhile; `in_flight` hands it over. Whoever takes the
 * mutex over knows nothing of the last one's schedule and fetches at once.
 *
 * mod_watchdog stops its thread with the process, when the child's pool has
 * gone: a tick holds a lock, of the configuration's pool, that the child's end
 * waits for, and finds everything closed after that.
 */
#include "modules/cache/cache_warm.h"

#include <apr_thread_mutex.h>
#include <mod_watchdog.h>
#include <util_mutex.h>

#include "lib/refresh_schedule.h"
#include "lib/workers.h"
#include "modules/cache/cache_background.h"
#include "modules/cache/cache_warm_url.h"

#define MUTEX_TYPE "etag-cache-refresh"
#define WATCHDOG_NAME "_etag_cache_refresh_"
#define TICK AP_WD_TM_SLICE

typedef struct etg_cache_warm {
    etg_cache_runtime *runtime;
    server_rec *main;
    apr_array_header_t *urls;     /* etg_cache_warm_url rows */
    apr_proc_mutex_t *mutex;
    apr_thread_mutex_t *lock;     /* guards the rest, in each process */
    int is_open;                  /* child: it can be fetched */
    int is_holder;
} etg_cache_warm;

/* One fetch; lives in its job's pool. */
typedef struct warm_job {
    etg_cache_warm *warm;
    etg_cache_warm_url *url;
    int is_run;
} warm_job;

static int watch(etg_cache_warm *warm, apr_pool_t *pconf);
static apr_status_t close_warm(void *data);
static apr_status_t tick(int state, void *baton, apr_pool_t *ptemp);
static void submit_due(etg_cache_warm *warm, apr_time_t now);
static int holds(etg_cache_warm *warm);
static void let_go(etg_cache_warm *warm);
static void submit(etg_cache_warm *warm, etg_cache_warm_url *url);
static apr_status_t leave_job(void *baton);
static void fetch(void *baton, apr_pool_t *p);
static void conclude(etg_cache_warm_url *url, apr_time_t began,
                     etg_refresh_outcome outcome, apr_interval_time_t ttl);
static etg_refresh_outcome judge(etg_cache_warm_url *url, apr_status_t rv,
                                 const etg_cache_errand *errand,
                                 const etg_internal_answer *answer);

int etg_cache_warm_register(apr_pool_t *pconf)
{
    return ap_mutex_register(pconf, MUTEX_TYPE, NULL, APR_LOCK_DEFAULT, 0)
           == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

void etg_cache_warm_prepare(apr_pool_t *pconf, server_rec *s)
{
    const etg_cache_server_conf *conf = ap_get_module_config(
        s->module_config, &etag_cache_module);
    etg_cache_warm *warm = apr_pcalloc(pconf, sizeof(*warm));

    warm->runtime = conf->runtime;
    warm->main = s;
    warm->urls = etg_cache_warm_urls(s, pconf);
    if (!conf->runtime->is_used || warm->urls->nelts == 0) {
        return;
    }
    /* Without threads etg_cache_background_prepare has said so, without a
     * mutex httpd has. */
    if (!etg_internal_is_possible()
        || ap_proc_mutex_create(&warm->mutex, NULL, MUTEX_TYPE, NULL, s,
                                pconf, 0) != APR_SUCCESS
        || apr_thread_mutex_create(&warm->lock, APR_THREAD_MUTEX_DEFAULT,
                                   pconf) != APR_SUCCESS) {
        return;
    }
    if (!watch(warm, pconf)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     ETGLOGNO(0165) "ETagCacheRefresh: nothing is fetched on "
                     "schedule, since mod_watchdog is not loaded");
        return;
    }
    conf->runtime->warm = warm;
}

/* In its own instance: those of mod_watchdog are shared with modules whose
 * callbacks may take their time. */
static int watch(etg_cache_warm *warm, apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get_instance
        = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *register_callback
        = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog;

    return get_instance != NULL && register_callback != NULL
        && get_instance(&watchdog, WATCHDOG_NAME, 0, 0, pconf) == APR_SUCCESS
        && register_callback(watchdog, TICK, warm, tick) == APR_SUCCESS;
}

/* The watchdog's thread may tick before this. */
void etg_cache_warm_open(apr_pool_t *pchild, server_rec *s)
{
    const etg_cache_server_conf *conf = ap_get_module_config(
        s->module_config, &etag_cache_module);
    etg_cache_warm *warm = conf->runtime->warm;
    apr_status_t rv;

    if (warm == NULL || !etg_cache_background_is_on(conf->runtime)) {
        return;
    }
    rv = apr_proc_mutex_child_init(&warm->mutex,
                                   apr_proc_mutex_lockfile(warm->mutex),
                                   pchild);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     ETGLOGNO(0166) "ETagCacheRefresh: the mutex %s cannot be "
                     "opened; this child fetches nothing on schedule",
                     MUTEX_TYPE);
        return;
    }
    apr_thread_mutex_lock(warm->lock);
    warm->is_open = 1;
    apr_thread_mutex_unlock(warm->lock);
    /* Runs before the background's own, which was registered earlier. */
    apr_pool_pre_cleanup_register(pchild, warm, close_warm);
}

static apr_status_t close_warm(void *data)
{
    etg_cache_warm *warm = data;

    apr_thread_mutex_lock(warm->lock);
    warm->is_open = 0;
    let_go(warm);
    apr_thread_mutex_unlock(warm->lock);
    return APR_SUCCESS;
}

static apr_status_t tick(int state, void *baton, apr_pool_t *ptemp)
{
    etg_cache_warm *warm = baton;

    (void)ptemp;
    apr_thread_mutex_lock(warm->lock);
    if (state == AP_WATCHDOG_STATE_STOPPING) {
        let_go(warm);
    }
    else if (warm->is_open && holds(warm)) {
        submit_due(warm, apr_time_now());
    }
    apr_thread_mutex_unlock(warm->lock);
    return APR_SUCCESS;
}

static void submit_due(etg_cache_warm *warm, apr_time_t now)
{
    for (int i = 0; i < warm->urls->nelts; i++) {
        etg_cache_warm_url *url = &APR_ARRAY_IDX(warm->urls, i,
                                                 etg_cache_warm_url);

        if (!__atomic_load_n(&url->in_flight, __ATOMIC_ACQUIRE)
            && etg_refresh_schedule_is_due(&url->schedule, &url->rule, now)) {
            submit(warm, url);
        }
    }
}

static int holds(etg_cache_warm *warm)
{
    if (!warm->is_holder
        && apr_proc_mutex_trylock(warm->mutex) == APR_SUCCESS) {
        warm->is_holder = 1;
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, warm->main,
                     ETGLOGNO(0167) "ETagCacheRefresh: this process fetches "
                     "%d URL(s) on schedule", warm->urls->nelts);
    }
    return warm->is_holder;
}

/* From the thread that took it while that runs; at the end of the process
 * from another one, which some kinds of mutex refuse: the kernel lets go
 * then. */
static void let_go(etg_cache_warm *warm)
{
    if (warm->is_holder) {
        warm->is_holder = 0;
        apr_proc_mutex_unlock(warm->mutex);
    }
}

static void submit(etg_cache_warm *warm, etg_cache_warm_url *url)
{
    apr_pool_t *pool;
    warm_job *job;

    if (etg_job_pool_create(&pool, "etag-cache-warm") != APR_SUCCESS) {
        return;
    }
    job = apr_pcalloc(pool, sizeof(*job));
    job->warm = warm;
    job->url = url;
    __atomic_store_n(&url->in_flight, 1, __ATOMIC_RELEASE);
    apr_pool_cleanup_register(pool, job, leave_job, apr_pool_cleanup_null);
    etg_cache_background_submit(warm->runtime, pool, fetch, job);
}

/* Done, or dropped from a full queue. */
static apr_status_t leave_job(void *baton)
{
    warm_job *job = baton;

    if (!job->is_run) {
        conclude(job->url, apr_time_now(), ETG_REFRESH_FAILED, 0);
    }
    __atomic_store_n(&job->url->in_flight, 0, __ATOMIC_RELEASE);
    return APR_SUCCESS;
}

/* On a thread of the background's. */
static void fetch(void *baton, apr_pool_t *p)
{
    warm_job *job = baton;
    etg_cache_errand errand = { .purpose = ETG_CACHE_WARM };
    etg_internal_answer answer = { 0 };
    etg_internal_ask ask;
    apr_status_t rv;

    job->is_run = 1;
    etg_cache_warm_ask(&ask, job->url, p);
    errand.asked_at = apr_time_now();
    rv = etg_cache_errand_run(job->warm->runtime, &errand, &ask, p, &answer);
    conclude(job->url, errand.asked_at,
             judge(job->url, rv, &errand, &answer), errand.ttl);
}

static void conclude(etg_cache_warm_url *url, apr_time_t began,
                     etg_refresh_outcome outcome, apr_interval_time_t ttl)
{
    etg_refresh_result result = { outcome, began, apr_time_now(), ttl };

    etg_refresh_schedule_next(&url->schedule, &url->rule, &result,
                              (apr_uint32_t)ap_random_pick(0,
                                                           APR_UINT32_MAX));
}

/* A backend that fails is no answer, nor is the end of this process, or that
 * another one fetches it, or that it cannot be stored for the time being: it
 * is asked for again soon. Any other answer that leaves nothing in the cache
 * is worth a word. */
static etg_refresh_outcome judge(etg_cache_warm_url *url, apr_status_t rv,
                                 const etg_cache_errand *errand,
                                 const etg_internal_answer *answer)
{
    if (errand->is_stored) {
        return ETG_REFRESH_STORED;
    }
    if (rv == APR_EOF || (!errand->was_fetched
                          && answer->status == HTTP_NO_CONTENT)) {
        return ETG_REFRESH_FAILED;
    }
    if (rv != APR_SUCCESS || !answer->is_whole || answer->status == 0
        || answer->status >= 500) {
        ap_log_error(APLOG_MARK, url->schedule.failures == 0 ? APLOG_WARNING
                                                             : APLOG_DEBUG,
                     rv, url->server,
                     ETGLOGNO(0168) "ETagCacheRefresh %s: fetching it failed "
                     "(status %d); it is tried again", url->line,
                     answer->status);
        return ETG_REFRESH_FAILED;
    }
    if (!url->is_warned) {
        url->is_warned = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, url->server,
                     ETGLOGNO(0169) "ETagCacheRefresh %s: the answer (status "
                     "%d) is not kept: the cache is off there, or the "
                     "response may not be stored", url->line, answer->status);
    }
    return ETG_REFRESH_NOT_STORED;
}
