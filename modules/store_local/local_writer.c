/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_writer.c: the store thread, one per child.
 *
 * The LMDB write lock has no time limit, so requests never take it: they put
 * jobs into a bounded queue. A full queue drops the job and counts it. The
 * thread takes what has gathered, runs it in one transaction, and if any job
 * fails, aborts and runs each in a transaction of its own, so that one bad
 * job costs nobody else's. Who waits for a job waits on its condition, with a
 * limit; who leaves first leaves the job to the thread.
 */
#include "local_store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/steady_clock.h"

#define QUEUE_JOBS 4096
#define QUEUE_BYTES (16u << 20)
#define BATCH_JOBS 64
#define STOP_SECONDS 3
#define LOCK_WAIT apr_time_from_sec(1)

struct etg_local_writer {
    etg_store *store;
    pthread_t thread;
    pthread_mutex_t lock;        /* guards all below, and jobs' flags */
    pthread_cond_t wake;
    pthread_cond_t room;
    etg_local_job *first;
    etg_local_job **last;
    unsigned int count;
    apr_size_t bytes;
    uint64_t room_wanted;
    unsigned int room_rounds;    /* of making room that have ended */
    int stopping;
};

static void *writer_main(void *data);
static etg_local_job *jobs_take(etg_local_writer *writer);
static void jobs_run(etg_store *store, etg_local_job *jobs);
static int jobs_run_together(etg_store *store, etg_local_job *jobs);
static int job_run_alone(etg_store *store, etg_local_job *job);
static int job_run_in(etg_local_batch *batch, etg_local_job *job);
static void job_finish(etg_store *store, etg_local_job *job, int rc);
static void jobs_release(etg_store *store, etg_local_job *jobs);
static void job_free(etg_local_job *job);
static void complain(etg_store *store, int rc);

apr_status_t etg_local_writer_start(etg_store *store)
{
    etg_local_writer *writer = calloc(1, sizeof(*writer));
    sigset_t all, before;
    if (writer == NULL) {
        return APR_ENOMEM;
    }
    writer->store = store;
    writer->last = &writer->first;
    pthread_mutex_init(&writer->lock, NULL);
    int failed = etg_steady_condition_init(&writer->wake);
    if (failed == 0) {
        failed = etg_steady_condition_init(&writer->room);
    }
    if (failed == 0) {
        /* The server's signals are for the server's threads. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = pthread_create(&writer->thread, NULL, writer_main, writer);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (failed != 0) {
        free(writer);
        return failed;
    }
    store->writer = writer;
    return APR_SUCCESS;
}

int etg_local_writer_stop(etg_store *store)
{
    etg_local_writer *writer = store->writer;
    struct timespec deadline;
    if (writer == NULL) {
        return 1;
    }
    if (!etg_lock_in_time(&writer->lock, LOCK_WAIT)) {
        return 0;              /* a signal handler that came out of our lock */
    }
    writer->stopping = 1;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += STOP_SECONDS;
    if (pthread_timedjoin_np(writer->thread, NULL, &deadline) != 0) {
        return 0;
    }
    pthread_cond_destroy(&writer->wake);
    pthread_cond_destroy(&writer->room);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
    store->writer = NULL;
    return 1;
}

apr_status_t etg_local_writer_run(etg_store *store, etg_local_job *job,
                                  apr_interval_time_t wait)
{
    etg_local_writer *writer = store->writer;
    struct timespec deadline;
    apr_status_t rv = etg_steady_condition_init(&job->done);
    if (rv != 0) {
        job->finish(store, job, ENOMEM);
        free(job);
        return APR_ENOMEM;
    }
    job->next = NULL;
    job->is_done = 0;
    job->has_waiter = wait > 0;
    pthread_mutex_lock(&writer->lock);
    if (writer->stopping || writer->count >= QUEUE_JOBS
        || writer->bytes + job->bytes > QUEUE_BYTES) {
        pthread_mutex_unlock(&writer->lock);
        etg_local_count_add(store, ETG_LOCAL_DROPPED_WRITES, 1);
        complain(store, EAGAIN);
        job->finish(store, job, EAGAIN);
        job_free(job);
        return APR_EAGAIN;
    }
    *writer->last = job;
    writer->last = &job->next;
    writer->count++;
    writer->bytes += job->bytes;
    pthread_cond_signal(&writer->wake);
    if (wait <= 0) {
        pthread_mutex_unlock(&writer->lock);
        return APR_TIMEUP;
    }
    deadline = etg_steady_moment(etg_steady_now() + wait);
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

void etg_local_writer_make_room(etg_store *store, uint64_t bytes,
                                apr_interval_time_t wait)
{
    etg_local_writer *writer = store->writer;
    struct timespec deadline;
    pthread_mutex_lock(&writer->lock);
    if (writer->room_wanted < bytes) {
        writer->room_wanted = bytes;
    }
    unsigned int rounds = writer->room_rounds;
    int waited = 0;
    pthread_cond_signal(&writer->wake);
    deadline = etg_steady_moment(etg_steady_now() + wait);
    while (wait > 0 && rounds == writer->room_rounds && waited == 0) {
        waited = pthread_cond_timedwait(&writer->room, &writer->lock,
                                        &deadline);
    }
    pthread_mutex_unlock(&writer->lock);
}

static void *writer_main(void *data)
{
    etg_local_writer *writer = data;
    etg_store *store = writer->store;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (writer->first == NULL && !writer->stopping
               && writer->room_wanted == 0
               && atomic_load(&store->remap) == 0) {
            pthread_cond_wait(&writer->wake, &writer->lock);
        }
        if (writer->first == NULL && writer->stopping) {
            break;
        }
        uint64_t room_wanted = writer->room_wanted;
        etg_local_job *jobs = jobs_take(writer);
        writer->room_wanted = 0;
        pthread_mutex_unlock(&writer->lock);

        if (atomic_exchange(&store->remap, 0) != 0) {
            etg_local_env_remap(store);
        }
        if (jobs != NULL) {
            jobs_run(store, jobs);
        }
        if (atomic_load(&store->down) == 0
            && atomic_load(&store->control->damaged) == 0) {
            etg_local_evict(store, room_wanted);
        }

        pthread_mutex_lock(&writer->lock);
        if (room_wanted > 0) {
            writer->room_rounds++;
            pthread_cond_broadcast(&writer->room);
        }
    }
    writer->room_rounds++;
    pthread_cond_broadcast(&writer->room);
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* As many as fit into one transaction and, with the segment begun, into one
 * more segment. */
static etg_local_job *jobs_take(etg_local_writer *writer)
{
    uint32_t packed_limit = writer->store->geometry.segment_bytes / 2;
    uint32_t packed = 0;
    unsigned int taken = 0;
    etg_local_job *jobs = writer->first;
    etg_local_job **end = &writer->first;
    while (*end != NULL && taken < BATCH_JOBS
           && (taken == 0
               || packed + (*end)->packed_bytes <= packed_limit)) {
        packed += (*end)->packed_bytes;
        writer->bytes -= (*end)->bytes;
        writer->count--;
        taken++;
        end = &(*end)->next;
    }
    if (taken == 0) {
        return NULL;
    }
    writer->first = *end;
    if (writer->first == NULL) {
        writer->last = &writer->first;
    }
    *end = NULL;
    return jobs;
}

static void jobs_run(etg_store *store, etg_local_job *jobs)
{
    int rc = EIO;
    int is_up = atomic_load(&store->down) == 0
                && atomic_load(&store->control->damaged) == 0;
    if (is_up && etg_local_segment_free_count(store) == 0) {
        etg_local_evict(store, 0);
    }
    if (is_up) {
        rc = jobs_run_together(store, jobs);
    }
    if (is_up && rc == MDB_MAP_FULL) {
        int dead;
        mdb_reader_check(store->env, &dead);
        etg_local_evict(store, 0);
    }
    for (etg_local_job *job = jobs; job != NULL; job = job->next) {
        int result = rc;
        if (is_up && rc != MDB_SUCCESS) {
            result = job_run_alone(store, job);
        }
        job_finish(store, job, result);
    }
    jobs_release(store, jobs);
}

static int jobs_run_together(etg_store *store, etg_local_job *jobs)
{
    etg_local_batch batch;
    int rc = etg_local_batch_begin(store, &batch);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    while (jobs != NULL && rc == MDB_SUCCESS) {
        rc = job_run_in(&batch, jobs);
        jobs = jobs->next;
    }
    if (rc != MDB_SUCCESS) {
        etg_local_batch_abort(&batch);
        return rc;
    }
    return etg_local_batch_commit(&batch);
}

static int job_run_alone(etg_store *store, etg_local_job *job)
{
    etg_local_batch batch;
    int rc = etg_local_batch_begin(store, &batch);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = job_run_in(&batch, job);
    if (rc != MDB_SUCCESS) {
        etg_local_batch_abort(&batch);
        return rc;
    }
    return etg_local_batch_commit(&batch);
}

static int job_run_in(etg_local_batch *batch, etg_local_job *job)
{
    etg_store *store = batch->store;
    uint64_t hard_limit = store->geometry.map_bytes / 4096 * 9 / 10;
    if (job->is_metadata
        && atomic_load(&store->control->used_pages) > hard_limit) {
        return MDB_MAP_FULL;
    }
    return job->run(batch, job);
}

/* Counts and lets the job's owner clean up. */
static void job_finish(etg_store *store, etg_local_job *job, int rc)
{
    if (rc != MDB_SUCCESS) {
        etg_local_count_add(store, ETG_LOCAL_DROPPED_WRITES, 1);
        complain(store, rc);
    }
    job->result = etg_local_env_status(store, rc);
    job->finish(store, job, rc);
}

/* Wakes who waits, under the lock once for all. */
static void jobs_release(etg_store *store, etg_local_job *jobs)
{
    etg_local_writer *writer = store->writer;
    pthread_mutex_lock(&writer->lock);
    while (jobs != NULL) {
        etg_local_job *job = jobs;
        jobs = job->next;
        job->is_done = 1;
        if (job->has_waiter) {
            pthread_cond_signal(&job->done);
        }
        else {
            job_free(job);
        }
    }
    pthread_mutex_unlock(&writer->lock);
}

static void job_free(etg_local_job *job)
{
    pthread_cond_destroy(&job->done);
    free(job);
}

static void complain(etg_store *store, int rc)
{
    if (rc == E2BIG || !etg_local_may_complain(store)) {
        return;
    }
    if (rc == EAGAIN) {
        etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                      ETGLOGNO(0308) "local store %s: writes come faster than "
                      "they are done, or another process holds the write "
                      "lock; responses are served but not stored", store->dir);
        return;
    }
    etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                  ETGLOGNO(0309) "local store %s: a write failed (%s); the "
                  "response is served but not stored", store->dir,
                  mdb_strerror(rc));
}
