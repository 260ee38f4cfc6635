/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.h: a few threads that do what nobody waits for, from a bounded
 * queue.
 *
 * Threads are started when there is work for them. A full queue drops its
 * oldest job: the newest is the one somebody still wants. All calls may come
 * from any thread.
 */
#ifndef ETG_LIB_WORKERS_H
#define ETG_LIB_WORKERS_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "etg_store.h"

typedef struct etg_workers etg_workers;

/* Does one job on one of the threads. `pool` is the job's and goes when this
 * returns. */
typedef void etg_work(void *baton, apr_pool_t *pool);

/* Up to `threads` threads (1 to 64) and `queue` waiting jobs (1 to 65536).
 * A cleanup on p is etg_workers_stop with a second. Threads block all signals
 * (httpd's are its main thread's). */
apr_status_t etg_workers_create(etg_workers **workers, unsigned threads,
                                unsigned queue, apr_pool_t *p);

/* A pool for a job: nobody's child, so that any thread may fill and destroy
 * it, with an allocator of its own. `tag` names it in APR's debugging. */
apr_status_t etg_job_pool_create(apr_pool_t **pool, const char *tag);

/* Hands a job over, together with its pool (etg_job_pool_create), which is
 * destroyed when the job is done or dropped; cleanups on it say so.
 * APR_SUCCESS, though a job (this or an
 * older one) may have been dropped for it; anything else (APR_EOF: stopped;
 * no thread could be made): dropped as well. Never blocks. */
apr_status_t etg_workers_submit(etg_workers *workers, apr_pool_t *pool,
                                etg_work *run, void *baton);

/* Takes no more jobs, drops the waiting ones, and waits up to `wait` for those
 * being done; what does not end in time is left to the end of the process.
 * 0: all threads have ended. */
int etg_workers_stop(etg_workers *workers, apr_interval_time_t wait);

/* Has etg_workers_stop been called? For jobs with several steps. */
int etg_workers_are_stopping(const etg_workers *workers);

/* etg_store_counter rows in `p`: threads, waiting, running, done, dropped. */
apr_array_header_t *etg_workers_counters(etg_workers *workers, apr_pool_t *p);

#endif
