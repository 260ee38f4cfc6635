/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_write.c: metadata changes as jobs of the store thread, which owns the
 * write's pool from then on.
 */
#include "local_store.h"

#include <stdlib.h>

typedef struct write_job {
    etg_local_job job;
    etg_store_write *write;
} write_job;

static int write_run(etg_local_batch *batch, etg_local_job *job);
static void write_finish(etg_store *store, etg_local_job *job, int result);

apr_status_t etg_local_meta_write(etg_store *store, etg_store_write *write,
                                  apr_interval_time_t wait)
{
    if (write->response.data != NULL && write->moment.of[0] == 0) {
        apr_pool_destroy(write->pool);
        return APR_SUCCESS;    /* nobody knows which purges it has missed */
    }
    if (write->tag_count > ETG_STORE_TAGS_MAX) {
        apr_pool_destroy(write->pool);
        return APR_EINVAL;
    }
    write_job *job = etg_local_is_up(store) ? calloc(1, sizeof(*job)) : NULL;
    if (job == NULL) {
        etg_local_count_add(store, ETG_LOCAL_DROPPED_WRITES, 1);
        apr_pool_destroy(write->pool);
        return APR_EGENERAL;
    }
    job->write = write;
    job->job.run = write_run;
    job->job.finish = write_finish;
    job->job.bytes = sizeof(*job) + 4096 + write->response.length;
    job->job.is_metadata = 1;
    return etg_local_writer_run(store, &job->job, wait);
}

static int write_run(etg_local_batch *batch, etg_local_job *job)
{
    return etg_local_record_write(batch, ((write_job *)job)->write);
}

static void write_finish(etg_store *store, etg_local_job *job, int result)
{
    (void)store;
    (void)result;
    apr_pool_destroy(((write_job *)job)->write->pool);
}
