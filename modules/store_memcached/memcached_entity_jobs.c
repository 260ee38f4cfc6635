/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_entity_jobs.c: what the writer's thread does for bodies.
 *
 * A job is one malloced struct, the same for all kinds. It holds its upload,
 * whose first failure makes all later jobs of the body pointless: then they
 * do nothing, and the last one removes what is there. Packing, and with it
 * the checksum, happens here, in a pool that lives as long as the job runs.
 *
 * A body that is there already is used again, but it lives as long as the
 * longer of both wants: that is why an item says when it expires.
 */
#include "memcached_entity.h"

#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#define GENERATIONS_TRIED 8
#define NODES_TRIED 8

static void job_finish(etg_store *store, etg_memcached_job *base,
                       apr_status_t result);
static void chunk_finish(etg_store *store, etg_memcached_job *base,
                         apr_status_t result);
static void upload_fail(etg_memcached_upload *upload, apr_status_t why);
static apr_status_t chunk_run(etg_store *store, etg_memcached_job *base);
static apr_status_t chunk_put(etg_store *store,
                              const etg_memcached_task *job, apr_pool_t *p);
static apr_status_t body_run(etg_store *store, etg_memcached_job *base);
static apr_status_t body_put(etg_memcached_call *call,
                             const etg_memcached_task *job, apr_pool_t *p);

/* --- on the request's thread --- */

etg_memcached_upload *etg_memcached_upload_make(etg_store *store)
{
    etg_memcached_upload *upload = calloc(1, sizeof(*upload));
    int tries = GENERATIONS_TRIED;

    if (upload == NULL) {
        return NULL;
    }
    atomic_init(&upload->holders, 1);
    do {
        if (apr_generate_random_bytes(upload->generation.bytes,
                                      sizeof(upload->generation.bytes))
            != APR_SUCCESS) {
            free(upload);
            return NULL;
        }
    } while (--tries > 0
             && !etg_memcached_node_is_up(
                    etg_memcached_chunks_node(store, &upload->generation)));
    return upload;
}

void etg_memcached_upload_release(etg_memcached_upload *upload)
{
    if (upload != NULL && atomic_fetch_sub(&upload->holders, 1) == 1) {
        free(upload);
    }
}

apr_status_t etg_memcached_chunk_hand(etg_store *store,
                                      etg_memcached_upload *upload,
                                      apr_uint32_t index,
                                      unsigned char *bytes, apr_size_t length,
                                      apr_interval_time_t wait)
{
    etg_memcached_task *job = etg_memcached_task_make(chunk_run, upload,
                                                      bytes, length);

    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->index = index;
    job->job.finish = chunk_finish;
    atomic_fetch_add(&upload->pending, 1);
    return etg_memcached_task_hand(store, job, wait);
}

apr_status_t etg_memcached_body_hand(etg_store *store,
                                     const etg_entity_id *id,
                                     unsigned char *bytes, apr_size_t length,
                                     apr_time_t expires_at)
{
    etg_memcached_task *job = etg_memcached_task_make(body_run, NULL, bytes,
                                                      length);

    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->id = *id;
    job->body.length = length;
    job->body.expires_at = expires_at;
    return etg_memcached_task_hand(store, job, 0);
}

etg_memcached_task *etg_memcached_task_make(
    apr_status_t (*run)(etg_store *store, etg_memcached_job *base),
    etg_memcached_upload *upload, unsigned char *bytes, apr_size_t length)
{
    etg_memcached_task *job = calloc(1, sizeof(*job));

    if (job == NULL) {
        free(bytes);
        return NULL;
    }
    job->job.run = run;
    job->job.finish = job_finish;
    job->job.bytes = sizeof(*job) + length;
    job->job.is_fill = 1;
    job->upload = upload;
    if (upload != NULL) {
        atomic_fetch_add(&upload->holders, 1);
    }
    job->bytes = bytes;
    job->length = length;
    return job;
}

apr_status_t etg_memcached_task_hand(etg_store *store,
                                     etg_memcached_task *job,
                                     apr_interval_time_t wait)
{
    apr_status_t rv;

    if (!etg_memcached_is_up(store)) {
        job->job.finish(store, &job->job, APR_EGENERAL);
        free(job);
        return APR_EGENERAL;
    }
    rv = etg_memcached_writer_run(store, &job->job, wait);
    return rv == APR_TIMEUP ? APR_SUCCESS : rv;
}

/* --- on the writer's thread --- */

static void job_finish(etg_store *store, etg_memcached_job *base,
                       apr_status_t result)
{
    etg_memcached_task *job = (etg_memcached_task *)base;

    (void)store;
    (void)result;
    free(job->bytes);
    job->bytes = NULL;
    etg_memcached_upload_release(job->upload);
    job->upload = NULL;
}

static void chunk_finish(etg_store *store, etg_memcached_job *base,
                         apr_status_t result)
{
    etg_memcached_upload *upload = ((etg_memcached_task *)base)->upload;

    if (result != APR_SUCCESS) {
        upload_fail(upload, result);
    }
    atomic_fetch_sub(&upload->pending, 1);
    job_finish(store, base, result);
}

static void upload_fail(etg_memcached_upload *upload, apr_status_t why)
{
    apr_status_t none = APR_SUCCESS;

    atomic_compare_exchange_strong(&upload->failure, &none, why);
}

apr_pool_t *etg_memcached_scratch_make(void)
{
    apr_pool_t *p;

    return apr_pool_create_unmanaged_ex(&p, NULL, NULL) == APR_SUCCESS
           ? p : NULL;
}

/* A body is as good wherever it is found: while its node is lost it goes to
 * the next that is up, and is looked for there. */
etg_memcached_node *etg_memcached_body_node(etg_store *store,
                                            const etg_entity_id *id)
{
    unsigned char turned[sizeof(id->bytes) + 1];
    etg_memcached_node *own = etg_memcached_node_of(store, id->bytes,
                                                    sizeof(id->bytes));
    etg_memcached_node *node = own;

    if (store->at.server_count == 1) {
        return own;
    }
    memcpy(turned, id->bytes, sizeof(id->bytes));
    for (unsigned char turn = 0; turn < NODES_TRIED
         && !etg_memcached_node_is_up(node); turn++) {
        turned[sizeof(id->bytes)] = turn;
        node = etg_memcached_node_of(store, turned, sizeof(turned));
    }
    return etg_memcached_node_is_up(node) ? node : own;
}

etg_memcached_node *etg_memcached_chunks_node(
    etg_store *store, const etg_memcached_generation *generation)
{
    return etg_memcached_node_of(store, generation->bytes,
                                 sizeof(generation->bytes));
}

static apr_status_t chunk_run(etg_store *store, etg_memcached_job *base)
{
    etg_memcached_task *job = (etg_memcached_task *)base;
    apr_status_t rv = atomic_load(&job->upload->failure);
    apr_pool_t *p;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    p = etg_memcached_scratch_make();
    if (p == NULL) {
        return APR_ENOMEM;
    }
    rv = chunk_put(store, job, p);
    apr_pool_destroy(p);
    return rv;
}

static apr_status_t chunk_put(etg_store *store,
                              const etg_memcached_task *job, apr_pool_t *p)
{
    const etg_memcached_generation *generation = &job->upload->generation;
    etg_bytes bytes = { job->bytes, job->length };
    etg_memcached_outcome outcome = ETG_MEMCACHED_DONE;
    etg_memcached_call call;
    etg_memcached_key key;
    etg_bytes item;
    apr_status_t rv;

    etg_memcached_key_of_chunk(&key, store->at.name_space, generation,
                               job->index);
    rv = etg_memcached_chunk_pack(generation, job->index, bytes, &key, p,
                                  &item);
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_call_begin(
            store, etg_memcached_chunks_node(store, generation), &call);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = etg_memcached_put(&call, ETG_MEMCACHED_SET, &key, item,
                           ETG_MEMCACHED_CHUNK_LIFE / APR_USEC_PER_SEC, 0,
                           &outcome);
    etg_memcached_call_end(&call);
    return rv != APR_SUCCESS ? rv
           : outcome == ETG_MEMCACHED_DONE ? APR_SUCCESS : APR_ENOSPC;
}

static apr_status_t body_run(etg_store *store, etg_memcached_job *base)
{
    etg_memcached_task *job = (etg_memcached_task *)base;
    etg_memcached_call call;
    apr_pool_t *p = etg_memcached_scratch_make();
    apr_status_t rv;

    if (p == NULL) {
        return APR_ENOMEM;
    }
    job->body.bytes.data = job->length > 0 ? job->bytes
                                           : (const unsigned char *)"";
    job->body.bytes.length = job->length;
    rv = etg_memcached_call_begin(
        store, etg_memcached_body_node(store, &job->id), &call);
    if (rv == APR_SUCCESS) {
        rv = body_put(&call, job, p);
        etg_memcached_call_end(&call);
    }
    apr_pool_destroy(p);
    return rv;
}

static apr_status_t body_put(etg_memcached_call *call,
                             const etg_memcached_task *job, apr_pool_t *p)
{
    etg_memcached_outcome outcome;
    etg_memcached_body wanted = job->body;
    etg_memcached_body present;
    etg_memcached_value value;
    etg_memcached_key key;
    const etg_memcached_key *keys = &key;
    apr_status_t rv;

    etg_memcached_key_of_body(&key, call->store->at.name_space, &job->id);
    rv = etg_memcached_body_write(call, ETG_MEMCACHED_ADD, &key, &wanted, p,
                                  &outcome);
    if (rv != APR_SUCCESS || outcome == ETG_MEMCACHED_DONE) {
        return rv;
    }
    etg_memcached_call_renew(call);
    rv = etg_memcached_get(call, &keys, 1, ETG_MEMCACHED_ITEM_MAX, p, &value);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (value.bytes.data != NULL
        && etg_memcached_body_unpack(value.bytes, &key, &present)
               == APR_SUCCESS
        && !present.is_chunked && present.length == wanted.length
        && present.expires_at >= wanted.expires_at) {
        return APR_SUCCESS;
    }
    etg_memcached_call_renew(call);
    return etg_memcached_body_write(call, ETG_MEMCACHED_SET, &key, &wanted, p,
                                    &outcome);
}

apr_status_t etg_memcached_body_write(etg_memcached_call *call,
                                      etg_memcached_verb verb,
                                      const etg_memcached_key *key,
                                      const etg_memcached_body *body,
                                      apr_pool_t *p,
                                      etg_memcached_outcome *outcome)
{
    apr_uint32_t exptime;
    etg_bytes item;
    apr_status_t rv;

    if (!etg_memcached_exptime(body->expires_at + ETG_MEMCACHED_BODY_SLACK,
                               apr_time_now(), &exptime)) {
        *outcome = ETG_MEMCACHED_DONE;
        return APR_SUCCESS;
    }
    rv = etg_memcached_body_pack(body, key, p, &item);
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_put(call, verb, key, item, exptime, 0, outcome);
    }
    if (rv == APR_SUCCESS && *outcome == ETG_MEMCACHED_REFUSED) {
        rv = APR_ENOSPC;
    }
    return rv;
}
