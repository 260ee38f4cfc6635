/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.c: a bounded queue and the threads that empty it.
 *
 * Model. A job lies in its own pool; the queue is a list of them under one
 * mutex, held for a few instructions only. A thread is started when more jobs
 * wait than threads sleep, and stays. The whole is malloc'ed, for a thread
 * that did not end in time needs it longer than the pool it was made for
 * lives: it is then left to the end of the process.
 *
 * Stopping may happen in a signal handler that came out of our own lock:
 * taking the lock has a limit there.
 */
#include "lib/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/steady_clock.h"

#define THREADS_MAX 64
#define QUEUE_MAX 65536
#define LOCK_WAIT apr_time_from_sec(1)

typedef struct job {
    struct job *next;
    apr_pool_t *pool;             /* the job is in it */
    etg_work *run;
    void *baton;
} job;

struct etg_workers {
    unsigned max_threads;
    unsigned max_waiting;
    int is_stopping;              /* read without the lock */

    pthread_mutex_t lock;         /* guards all below */
    pthread_cond_t wake;          /* a job waits, or the end has come */
    pthread_cond_t gone;          /* a thread has ended */
    job *first;
    job **last;
    unsigned waiting;
    unsigned sleeping;            /* threads */
    unsigned living;              /* threads */
    unsigned running;
    apr_uint64_t done;
    apr_uint64_t dropped;
    unsigned started;             /* threads, some of them ended */
    int are_joined;
    pthread_t threads[THREADS_MAX];
};

static apr_status_t stop_at_last(void *data);
static apr_status_t start_thread(etg_workers *w);
static void *work(void *data);
static job *take_job(etg_workers *w);
static void drop_jobs(job *jobs);
static job *take_all(etg_workers *w);

apr_status_t etg_workers_create(etg_workers **workers, unsigned threads,
                                unsigned queue, apr_pool_t *p)
{
    etg_workers *w;

    if (threads < 1 || threads > THREADS_MAX || queue < 1
        || queue > QUEUE_MAX) {
        return APR_EINVAL;
    }
    w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return APR_ENOMEM;
    }
    w->max_threads = threads;
    w->max_waiting = queue;
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    if (etg_steady_condition_init(&w->wake) != APR_SUCCESS
        || etg_steady_condition_init(&w->gone) != APR_SUCCESS) {
        free(w);
        return APR_ENOMEM;
    }
    /* Before the pool's children go: jobs may be using them. */
    apr_pool_pre_cleanup_register(p, w, stop_at_last);
    *workers = w;
    return APR_SUCCESS;
}

apr_status_t etg_job_pool_create(apr_pool_t **pool, const char *tag)
{
    apr_status_t rv = apr_pool_create_unmanaged_ex(pool, NULL, NULL);

    if (rv == APR_SUCCESS) {
        apr_pool_tag(*pool, tag);
    }
    return rv;
}

apr_status_t etg_workers_submit(etg_workers *workers, apr_pool_t *pool,
                                etg_work *run, void *baton)
{
    etg_workers *w = workers;
    job *entry = apr_palloc(pool, sizeof(*entry));
    job *dropped = NULL;
    apr_status_t rv = APR_SUCCESS;

    *entry = (job){ .pool = pool, .run = run, .baton = baton };
    pthread_mutex_lock(&w->lock);
    if (etg_workers_are_stopping(w)) {
        rv = APR_EOF;
    }
    else if (w->waiting >= w->sleeping && w->living < w->max_threads) {
        rv = start_thread(w);
        if (w->living > 0) {
            rv = APR_SUCCESS;        /* those there are will come to it */
        }
    }
    if (rv != APR_SUCCESS) {
        dropped = entry;
        w->dropped++;
    }
    else {
        if (w->waiting >= w->max_waiting) {
            dropped = take_job(w);
            dropped->next = NULL;
            w->dropped++;
        }
        *w->last = entry;
        w->last = &entry->next;
        w->waiting++;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    drop_jobs(dropped);
    return rv;
}

int etg_workers_stop(etg_workers *workers, apr_interval_time_t wait)
{
    etg_workers *w = workers;
    struct timespec until = etg_steady_moment(etg_steady_now() + wait);
    job *dropped;
    int left;

    __atomic_store_n(&w->is_stopping, 1, __ATOMIC_RELEASE);
    if (!etg_lock_in_time(&w->lock, LOCK_WAIT)) {
        return 1;
    }
    dropped = take_all(w);
    pthread_cond_broadcast(&w->wake);
    while (w->living > 0
           && pthread_cond_timedwait(&w->gone, &w->lock, &until) == 0) {
    }
    left = (int)w->living;
    if (left == 0 && !w->are_joined) {
        w->are_joined = 1;
        for (unsigned i = 0; i < w->started; i++) {
            pthread_mutex_unlock(&w->lock);
            pthread_join(w->threads[i], NULL);
            pthread_mutex_lock(&w->lock);
        }
    }
    pthread_mutex_unlock(&w->lock);
    drop_jobs(dropped);
    return left;
}

int etg_workers_are_stopping(const etg_workers *workers)
{
    return __atomic_load_n(&workers->is_stopping, __ATOMIC_ACQUIRE);
}

apr_array_header_t *etg_workers_counters(etg_workers *workers, apr_pool_t *p)
{
    etg_workers *w = workers;
    apr_array_header_t *rows = apr_array_make(p, 5, sizeof(etg_store_counter));
    etg_store_counter values[5];

    pthread_mutex_lock(&w->lock);
    values[0] = (etg_store_counter){ "threads", w->living };
    values[1] = (etg_store_counter){ "waiting", w->waiting };
    values[2] = (etg_store_counter){ "running", w->running };
    values[3] = (etg_store_counter){ "done", w->done };
    values[4] = (etg_store_counter){ "dropped", w->dropped };
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < 5; i++) {
        APR_ARRAY_PUSH(rows, etg_store_counter) = values[i];
    }
    return rows;
}

static apr_status_t stop_at_last(void *data)
{
    etg_workers *w = data;

    /* Whoever has stopped it before has waited. */
    if (etg_workers_stop(w, etg_workers_are_stopping(w)
                            ? 0 : apr_time_from_sec(1)) == 0) {
        pthread_cond_destroy(&w->wake);
        pthread_cond_destroy(&w->gone);
        pthread_mutex_destroy(&w->lock);
        free(w);
    }
    return APR_SUCCESS;
}

/* Under the lock. */
static apr_status_t start_thread(etg_workers *w)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&w->threads[w->started], NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0) {
        w->started++;
        w->living++;
    }
    return failed;
}

static void *work(void *data)
{
    etg_workers *w = data;

    pthread_mutex_lock(&w->lock);
    while (!etg_workers_are_stopping(w)) {
        job *entry;

        if (w->first == NULL) {
            w->sleeping++;
            pthread_cond_wait(&w->wake, &w->lock);
            w->sleeping--;
            continue;
        }
        entry = take_job(w);
        w->running++;
        pthread_mutex_unlock(&w->lock);
        entry->run(entry->baton, entry->pool);
        apr_pool_destroy(entry->pool);
        pthread_mutex_lock(&w->lock);
        w->running--;
        w->done++;
    }
    w->living--;
    pthread_cond_broadcast(&w->gone);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* The oldest, under the lock. */
static job *take_job(etg_workers *w)
{
    job *entry = w->first;

    w->first = entry->next;
    if (w->first == NULL) {
        w->last = &w->first;
    }
    w->waiting--;
    return entry;
}

static job *take_all(etg_workers *w)
{
    job *jobs = w->first;

    w->first = NULL;
    w->last = &w->first;
    w->dropped += w->waiting;
    w->waiting = 0;
    return jobs;
}

/* Without the lock: cleanups run that do not know of it. */
static void drop_jobs(job *jobs)
{
    while (jobs != NULL) {
        job *next = jobs->next;

        apr_pool_destroy(jobs->pool);
        jobs = next;
    }
}
