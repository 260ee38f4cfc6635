/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_writer.c: the store's thread, one per child.
 *
 * Whatever is written goes through it, in the order it was handed in: a body
 * is there before the record that names it, a lease is released after both.
 * (What is urgent, a purge, goes first: it holds for what is written after it
 * as well.) Requests put jobs into a bounded queue; a full queue drops the job
 * and counts it. Who waits for a job waits on its condition, with a limit;
 * who leaves first leaves the job to the thread. Between jobs it renews leases
 * and probes nodes.
 */
#include "memcached_store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "lib/steady_clock.h"

#define QUEUE_JOBS 4096
#define QUEUE_BYTES (32u << 20)
#define IDLE_MOST apr_time_from_sec(60)
#define STOP_AFTER apr_time_from_sec(1)
#define JOIN_SECONDS 3
#define LOCK_WAIT apr_time_from_sec(1)
#define COMPLAIN_EVERY apr_time_from_sec(60)

struct etg_memcached_writer {
    etg_store *store;
    pthread_t thread;
    apr_time_t timers_at;        /* the thread's */
    const etg_memcached_job *running;
    pthread_mutex_t lock;        /* guards all below, and jobs' flags */
    pthread_cond_t wake;
    etg_memcached_job *first;
    etg_memcached_job **last;
    unsigned count;
    apr_size_t bytes;
    int is_poked;
    int is_stopping;
    apr_time_t stop_at;
    apr_time_t complained_at;
};

static void *writer_main(void *data);
static etg_memcached_job *job_await(etg_memcached_writer *writer,
                                    int *may_run);
static void timers_run(etg_memcached_writer *writer);
static void job_end(etg_store *store, etg_memcached_job *job,
                    apr_status_t result);
static int may_queue(const etg_memcached_writer *writer,
                     const etg_memcached_job *job);
static void job_queue(etg_memcached_writer *writer, etg_memcached_job *job);
static void job_free(etg_memcached_job *job);
static void complain(etg_store *store, apr_status_t rv);

apr_status_t etg_memcached_writer_start(etg_store *store)
{
    etg_memcached_writer *writer = calloc(1, sizeof(*writer));
    sigset_t all, before;
    if (writer == NULL) {
        return APR_ENOMEM;
    }
    writer->store = store;
    writer->last = &writer->first;
    int failed = etg_steady_condition_init(&writer->wake);
    if (failed != 0) {
        free(writer);
        return failed;
    }
    pthread_mutex_init(&writer->lock, NULL);
    store->writer = writer;
    /* The thread begins with the lock: then it knows itself. The server's
     * signals are for the server's threads. */
    pthread_mutex_lock(&writer->lock);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&writer->thread, NULL, writer_main, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_unlock(&writer->lock);
    if (failed != 0) {
        pthread_cond_destroy(&writer->wake);
        pthread_mutex_destroy(&writer->lock);
        free(writer);
        store->writer = NULL;
    }
    return failed;
}

int etg_memcached_writer_stop(etg_store *store)
{
    etg_memcached_writer *writer = store->writer;
    struct timespec deadline;
    if (writer == NULL) {
        return 1;
    }
    if (!etg_lock_in_time(&writer->lock, LOCK_WAIT)) {
        return 0;              /* a signal handler that came out of our lock */
    }
    writer->is_stopping = 1;
    writer->stop_at = etg_memcached_now() + STOP_AFTER;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += JOIN_SECONDS;
    return pthread_timedjoin_np(writer->thread, NULL, &deadline) == 0;
}

void etg_memcached_writer_free(etg_store *store)
{
    pthread_cond_destroy(&store->writer->wake);
    pthread_mutex_destroy(&store->writer->lock);
    free(store->writer);
    store->writer = NULL;
}

apr_status_t etg_memcached_writer_run(etg_store *store,
                                      etg_memcached_job *job,
                                      apr_interval_time_t wait)
{
    etg_memcached_writer *writer = store->writer;
    struct timespec deadline;
    apr_status_t rv = etg_steady_condition_init(&job->done);
    if (rv != 0) {
        job->finish(store, job, rv);
        free(job);
        return rv;
    }
    job->next = NULL;
    job->is_done = 0;
    job->queued_at = etg_memcached_now();
    job->has_waiter = wait > 0;
    pthread_mutex_lock(&writer->lock);
    if (!may_queue(writer, job)) {
        pthread_mutex_unlock(&writer->lock);
        etg_memcached_count_add(store, ETG_MEMCACHED_DROPPED_WRITES, 1);
        complain(store, APR_EAGAIN);
        job->finish(store, job, APR_EAGAIN);
        job_free(job);
        return APR_EAGAIN;
    }
    job_queue(writer, job);
    pthread_cond_signal(&writer->wake);
    if (wait <= 0) {
        pthread_mutex_unlock(&writer->lock);
        return APR_TIMEUP;
    }
    deadline = etg_steady_moment(etg_memcached_now() + wait);
    int waited = 0;
    while (!job->is_done && waited == 0) {
        waited = pthread_cond_timedwait(&job->done, &writer->lock, &deadline);
    }
    int is_done = job->is_done;
    rv = is_done ? job->result : APR_TIMEUP;
    job->has_waiter = 0;
    pthread_mutex_unlock(&writer->lock);
    if (is_done) {
        job_free(job);
    }
    return rv;
}

int etg_memcached_writer_is_me(etg_store *store)
{
    return pthread_equal(store->writer->thread, pthread_self());
}

int etg_memcached_writer_is_behind(etg_store *store, apr_time_t at)
{
    const etg_memcached_job *job = store->writer->running;
    return job != NULL && job->is_fill && job->queued_at < at;
}

void etg_memcached_writer_wake(etg_store *store)
{
    etg_memcached_writer *writer = store->writer;
    pthread_mutex_lock(&writer->lock);
    writer->is_poked = 1;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
}

void etg_memcached_writer_load(etg_store *store, apr_uint64_t *jobs,
                               apr_uint64_t *bytes)
{
    etg_memcached_writer *writer = store->writer;
    pthread_mutex_lock(&writer->lock);
    *jobs = writer->count;
    *bytes = writer->bytes;
    pthread_mutex_unlock(&writer->lock);
}

static void *writer_main(void *data)
{
    etg_memcached_writer *writer = data;
    etg_store *store = writer->store;
    etg_memcached_job *job;
    int may_run = 1;
    while ((job = job_await(writer, &may_run)) != NULL) {
        writer->running = job;
        apr_status_t rv = may_run ? job->run(store, job) : APR_EINTR;
        writer->running = NULL;
        job_end(store, job, rv);
    }
    return NULL;
}

/* The next job, or NULL when all is to end. Runs the timers meanwhile. */
static etg_memcached_job *job_await(etg_memcached_writer *writer,
                                    int *may_run)
{
    struct timespec deadline;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        apr_time_t now = etg_memcached_now();
        if (!writer->is_stopping
            && (writer->is_poked || now >= writer->timers_at)) {
            writer->is_poked = 0;
            pthread_mutex_unlock(&writer->lock);
            timers_run(writer);
            pthread_mutex_lock(&writer->lock);
            continue;
        }
        if (writer->first != NULL || writer->is_stopping) {
            break;
        }
        deadline = etg_steady_moment(writer->timers_at);
        pthread_cond_timedwait(&writer->wake, &writer->lock, &deadline);
    }
    etg_memcached_job *job = writer->first;
    if (job != NULL) {
        writer->first = job->next;
        if (writer->first == NULL) {
            writer->last = &writer->first;
        }
        writer->count--;
        writer->bytes -= job->bytes;
    }
    *may_run = !writer->is_stopping
               || etg_memcached_now() < writer->stop_at;
    pthread_mutex_unlock(&writer->lock);
    return job;
}

static void timers_run(etg_memcached_writer *writer)
{
    apr_interval_time_t next = IDLE_MOST;
    next = etg_memcached_leases_renew(writer->store, next);
    next = etg_memcached_nodes_probe(writer->store, next);
    next = etg_memcached_owed_tell_all(writer->store, next);
    writer->timers_at = etg_memcached_now() + next;
}

/* Counts, lets the job's owner clean up, wakes who waits. */
static void job_end(etg_store *store, etg_memcached_job *job,
                    apr_status_t result)
{
    etg_memcached_writer *writer = store->writer;
    if (result != APR_SUCCESS) {
        etg_memcached_count_add(store, ETG_MEMCACHED_DROPPED_WRITES, 1);
        complain(store, result);
    }
    job->finish(store, job, result);
    pthread_mutex_lock(&writer->lock);
    job->result = result;
    job->is_done = 1;
    int has_waiter = job->has_waiter;
    if (has_waiter) {
        pthread_cond_signal(&job->done);
    }
    pthread_mutex_unlock(&writer->lock);
    if (!has_waiter) {
        job_free(job);
    }
}

/* A purge may have what no response is given. */
static int may_queue(const etg_memcached_writer *writer,
                     const etg_memcached_job *job)
{
    unsigned jobs = job->is_urgent ? 2 * QUEUE_JOBS : QUEUE_JOBS;
    apr_size_t bytes = job->is_urgent ? 2 * QUEUE_BYTES : QUEUE_BYTES;
    return !writer->is_stopping && writer->count < jobs
           && writer->bytes + job->bytes <= bytes;
}

static void job_queue(etg_memcached_writer *writer, etg_memcached_job *job)
{
    if (job->is_urgent && writer->first != NULL) {
        job->next = writer->first;
        writer->first = job;
    }
    else {
        *writer->last = job;
        writer->last = &job->next;
    }
    writer->count++;
    writer->bytes += job->bytes;
}

static void job_free(etg_memcached_job *job)
{
    pthread_cond_destroy(&job->done);
    free(job);
}

/* At most once a minute. That a node is down was said when it went down, and
 * that a chunk was evicted before its manifest came is no failure. */
static void complain(etg_store *store, apr_status_t rv)
{
    etg_memcached_writer *writer = store->writer;
    apr_time_t now = etg_memcached_now();
    if (rv == ETG_STORE_OPEN_BREAKER || rv == APR_EINTR
        || rv == APR_NOTFOUND) {
        return;
    }
    pthread_mutex_lock(&writer->lock);
    int may_complain = writer->complained_at == 0
                       || now - writer->complained_at > COMPLAIN_EVERY;
    if (may_complain) {
        writer->complained_at = now;
    }
    pthread_mutex_unlock(&writer->lock);
    if (!may_complain) {
        return;
    }
    if (rv == APR_EAGAIN) {
        etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                      ETGLOGNO(0404) "memcached store: writes come faster "
                      "than the servers take them; responses are served but "
                      "not stored");
        return;
    }
    etg_log_write(&store->host->log, ETG_LOG_WARNING, rv,
                  ETGLOGNO(0405) "memcached store: a write failed; the "
                  "response is served but not stored, or a purge did not "
                  "reach every server");
}
