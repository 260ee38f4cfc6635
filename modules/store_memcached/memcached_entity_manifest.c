/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_entity_manifest.c: what makes a body of its chunks, and undoes it.
 *
 * The manifest's job is the last of an upload, behind all its chunks. It
 * gives the chunks the lifetime that is known only now, which also shows that
 * all are still there, and then writes the manifest. If an equal body is
 * there whole, that one's lifetime is made longer instead, and the new chunks
 * are removed. On the writer's thread, but for the functions that hand over.
 */
#include "memcached_entity.h"

#include <string.h>

static apr_status_t manifest_run(etg_store *store, etg_memcached_job *base);
static apr_status_t manifest_write(etg_store *store,
                                   const etg_memcached_task *job,
                                   apr_pool_t *p);
static apr_status_t present_find(etg_store *store,
                                 const etg_memcached_task *job,
                                 apr_pool_t *p, etg_memcached_body *present);
static apr_status_t manifest_get(etg_memcached_call *call,
                                 const etg_memcached_key *key, apr_pool_t *p,
                                 etg_memcached_body *found,
                                 apr_uint64_t *cas);
static apr_status_t chunks_touch(etg_store *store,
                                 const etg_memcached_body *body);
static void chunks_remove(etg_store *store,
                          const etg_memcached_generation *generation,
                          apr_uint32_t count);
static apr_status_t removal_run(etg_store *store, etg_memcached_job *base);
static apr_status_t forget_run(etg_store *store, etg_memcached_job *base);
static apr_status_t forget(etg_memcached_call *call,
                           const etg_memcached_task *job, apr_pool_t *p);

apr_status_t etg_memcached_manifest_hand(etg_store *store,
                                         etg_memcached_upload *upload,
                                         const etg_entity_id *id,
                                         apr_uint64_t length,
                                         apr_time_t expires_at)
{
    etg_memcached_task *job = etg_memcached_task_make(manifest_run, upload,
                                                      NULL, 0);

    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->id = *id;
    job->body.is_chunked = 1;
    job->body.length = length;
    job->body.expires_at = expires_at;
    job->body.chunk_bytes = ETG_MEMCACHED_CHUNK_BYTES;
    job->body.generation = upload->generation;
    return etg_memcached_task_hand(store, job, 0);
}

apr_status_t etg_memcached_removal_hand(etg_store *store,
                                        etg_memcached_upload *upload,
                                        apr_uint32_t count)
{
    etg_memcached_task *job = etg_memcached_task_make(removal_run, upload,
                                                      NULL, 0);

    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->index = count;
    return etg_memcached_task_hand(store, job, 0);
}

apr_status_t etg_memcached_forget_hand(etg_store *store,
                                       const etg_entity_id *id,
                                       const etg_memcached_body *manifest)
{
    etg_memcached_task *job = etg_memcached_task_make(forget_run, NULL, NULL,
                                                      0);

    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->id = *id;
    job->body = *manifest;
    return etg_memcached_task_hand(store, job, 0);
}

apr_uint32_t etg_memcached_chunk_count(const etg_memcached_body *body)
{
    return (apr_uint32_t)((body->length + body->chunk_bytes - 1)
                          / body->chunk_bytes);
}

static apr_status_t manifest_run(etg_store *store, etg_memcached_job *base)
{
    etg_memcached_task *job = (etg_memcached_task *)base;
    apr_uint32_t count = etg_memcached_chunk_count(&job->body);
    etg_memcached_body present;
    apr_pool_t *p = etg_memcached_scratch_make();
    apr_status_t rv;

    if (p == NULL) {
        return APR_ENOMEM;
    }
    rv = atomic_load(&job->upload->failure);
    if (rv == APR_SUCCESS
        && present_find(store, job, p, &present) == APR_SUCCESS) {
        /* An equal body is there, whole: ours is not needed. */
        chunks_remove(store, &job->body.generation, count);
        job->body = present;
        rv = manifest_write(store, job, p);
    }
    else {
        if (rv == APR_SUCCESS) {
            rv = chunks_touch(store, &job->body);
        }
        if (rv == APR_SUCCESS) {
            rv = manifest_write(store, job, p);
        }
        if (rv != APR_SUCCESS) {
            chunks_remove(store, &job->body.generation, count);
        }
    }
    apr_pool_destroy(p);
    return rv;
}

static apr_status_t manifest_write(etg_store *store,
                                   const etg_memcached_task *job,
                                   apr_pool_t *p)
{
    etg_memcached_outcome outcome;
    etg_memcached_call call;
    etg_memcached_key key;
    apr_status_t rv;

    etg_memcached_key_of_body(&key, store->at.name_space, &job->id);
    rv = etg_memcached_call_begin(
        store, etg_memcached_body_node(store, &job->id), &call);
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_body_write(&call, ETG_MEMCACHED_SET, &key,
                                      &job->body, p, &outcome);
        etg_memcached_call_end(&call);
    }
    return rv;
}

/* The manifest of an equal body whose chunks are all there, and live as long
 * as either wants from now on. */
static apr_status_t present_find(etg_store *store,
                                 const etg_memcached_task *job,
                                 apr_pool_t *p, etg_memcached_body *present)
{
    etg_memcached_body found;
    etg_memcached_call call;
    etg_memcached_key key;
    apr_uint64_t cas;
    apr_status_t rv;

    etg_memcached_key_of_body(&key, store->at.name_space, &job->id);
    rv = etg_memcached_call_begin(
        store, etg_memcached_body_node(store, &job->id), &call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = manifest_get(&call, &key, p, &found, &cas);
    etg_memcached_call_end(&call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (found.length != job->body.length) {
        return APR_NOTFOUND;
    }
    if (found.expires_at < job->body.expires_at) {
        found.expires_at = job->body.expires_at;
    }
    rv = chunks_touch(store, &found);
    if (rv == APR_SUCCESS) {
        *present = found;
    }
    return rv;
}

/* APR_NOTFOUND: there is none. */
static apr_status_t manifest_get(etg_memcached_call *call,
                                 const etg_memcached_key *key, apr_pool_t *p,
                                 etg_memcached_body *found, apr_uint64_t *cas)
{
    etg_memcached_value value = { { NULL, 0 }, 0 };
    apr_status_t rv = etg_memcached_get(call, &key, 1, ETG_MEMCACHED_ITEM_MAX,
                                        p, &value);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (value.bytes.data == NULL
        || etg_memcached_body_unpack(value.bytes, key, found) != APR_SUCCESS
        || !found->is_chunked) {
        return APR_NOTFOUND;
    }
    *cas = value.cas;
    return APR_SUCCESS;
}

/* APR_NOTFOUND: one is missing. */
static apr_status_t chunks_touch(etg_store *store,
                                 const etg_memcached_body *body)
{
    apr_uint32_t count = etg_memcached_chunk_count(body);
    etg_memcached_outcome outcome;
    etg_memcached_call call;
    etg_memcached_key key;
    apr_uint32_t exptime;
    apr_uint32_t i;
    apr_status_t rv;

    if (!etg_memcached_exptime(body->expires_at + ETG_MEMCACHED_BODY_SLACK,
                               apr_time_now(), &exptime)) {
        return APR_NOTFOUND;
    }
    rv = etg_memcached_call_begin(
        store, etg_memcached_chunks_node(store, &body->generation), &call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (i = 0; i < count && rv == APR_SUCCESS; i++) {
        etg_memcached_key_of_chunk(&key, store->at.name_space,
                                   &body->generation, i);
        rv = etg_memcached_touch(&call, &key, exptime, &outcome);
        if (rv == APR_SUCCESS && outcome != ETG_MEMCACHED_DONE) {
            rv = APR_NOTFOUND;
        }
        etg_memcached_call_renew(&call);
    }
    etg_memcached_call_end(&call);
    return rv;
}

/* What cannot be removed expires. */
static void chunks_remove(etg_store *store,
                          const etg_memcached_generation *generation,
                          apr_uint32_t count)
{
    etg_memcached_outcome outcome;
    etg_memcached_call call;
    etg_memcached_key key;
    apr_uint32_t i;
    apr_status_t rv = etg_memcached_call_begin(
        store, etg_memcached_chunks_node(store, generation), &call);

    if (rv != APR_SUCCESS) {
        return;
    }
    for (i = 0; i < count && rv == APR_SUCCESS; i++) {
        etg_memcached_key_of_chunk(&key, store->at.name_space, generation, i);
        rv = etg_memcached_delete(&call, &key, &outcome);
        etg_memcached_call_renew(&call);
    }
    etg_memcached_call_end(&call);
}

/* Not being able to remove is no failed write: neither this nor the next is
 * one. */
static apr_status_t removal_run(etg_store *store, etg_memcached_job *base)
{
    etg_memcached_task *job = (etg_memcached_task *)base;

    chunks_remove(store, &job->upload->generation, job->index);
    return APR_SUCCESS;
}

static apr_status_t forget_run(etg_store *store, etg_memcached_job *base)
{
    etg_memcached_task *job = (etg_memcached_task *)base;
    etg_memcached_call call;
    apr_pool_t *p = etg_memcached_scratch_make();
    apr_status_t rv;

    if (p == NULL) {
        return APR_ENOMEM;
    }
    rv = etg_memcached_call_begin(
        store, etg_memcached_body_node(store, &job->id), &call);
    if (rv == APR_SUCCESS) {
        rv = forget(&call, job, p);
        etg_memcached_call_end(&call);
    }
    if (rv == APR_SUCCESS) {
        chunks_remove(store, &job->body.generation,
                      etg_memcached_chunk_count(&job->body));
    }
    apr_pool_destroy(p);
    return APR_SUCCESS;
}

/* APR_NOTFOUND: it was replaced meanwhile. */
static apr_status_t forget(etg_memcached_call *call,
                           const etg_memcached_task *job, apr_pool_t *p)
{
    const etg_bytes nothing = { (const unsigned char *)"", 0 };
    etg_memcached_outcome outcome;
    etg_memcached_body found;
    etg_memcached_key key;
    apr_uint64_t cas;
    apr_status_t rv;

    etg_memcached_key_of_body(&key, call->store->at.name_space, &job->id);
    rv = manifest_get(call, &key, p, &found, &cas);
    if (rv == APR_SUCCESS
        && memcmp(&found.generation, &job->body.generation,
                  sizeof(found.generation)) != 0) {
        rv = APR_NOTFOUND;
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = etg_memcached_put(call, ETG_MEMCACHED_CAS, &key, nothing,
                           ETG_MEMCACHED_AT_ONCE, cas, &outcome);
    return rv != APR_SUCCESS ? rv
           : outcome == ETG_MEMCACHED_DONE ? APR_SUCCESS : APR_NOTFOUND;
}
