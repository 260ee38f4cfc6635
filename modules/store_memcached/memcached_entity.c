/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_entity.c: a body on its way in, on the request's thread.
 *
 * Bytes are hashed and gathered in one malloced buffer. What stays within
 * 1,000,000 bytes is handed over whole when it is finished. What grows beyond
 * is handed over chunk by chunk, each with its buffer, so that a body takes
 * no more memory here than the writer's queue lets it. The thread waits for
 * the writer only where chunks come faster than the server takes them, and
 * for at most one timeout per body.
 */
#include "memcached_entity.h"

#include <stdlib.h>
#include <string.h>

#include "lib/entity_digest.h"

#define BUFFER_START 4096u

struct etg_entity_writer {
    etg_store *store;
    apr_pool_t *pool;
    etg_entity_digest *digest;
    apr_status_t failed;
    int is_finished;
    apr_uint64_t length;
    unsigned char *buffer;         /* malloced; not handed over yet */
    apr_size_t buffered;
    apr_size_t capacity;
    apr_size_t hint;               /* what the buffer will have to hold */
    etg_memcached_upload *upload;  /* NULL: still one item */
    apr_uint32_t chunks;           /* handed over */
    apr_interval_time_t budget;    /* what may still be spent on waiting */
};

static apr_status_t writer_cleanup(void *data);
static apr_status_t gather(etg_entity_writer *writer,
                           const unsigned char *data, apr_size_t length);
static apr_status_t buffer_grow(etg_entity_writer *writer, apr_size_t needed);
static apr_status_t cut_begin(etg_entity_writer *writer);
static apr_status_t chunk_hand(etg_entity_writer *writer);
static apr_status_t rest_hand(etg_entity_writer *writer,
                              apr_time_t expires_at, const etg_entity_id *id);

apr_status_t etg_memcached_entity_begin(etg_store *store,
                                        apr_int64_t expected, apr_pool_t *p,
                                        etg_entity_writer **made)
{
    etg_entity_writer *writer;
    apr_status_t rv;

    if (!etg_memcached_is_up(store)) {
        return APR_EGENERAL;
    }
    if (expected > (apr_int64_t)ETG_MEMCACHED_BODY_MAX) {
        return APR_ENOSPC;
    }
    writer = apr_pcalloc(p, sizeof(*writer));
    writer->store = store;
    writer->pool = p;
    writer->budget = store->at.timeout;
    writer->hint = expected > 0 ? (apr_size_t)expected : BUFFER_START;
    rv = etg_entity_digest_begin(&writer->digest, p);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_cleanup_register(p, writer, writer_cleanup,
                              apr_pool_cleanup_null);
    *made = writer;
    return APR_SUCCESS;
}

apr_status_t etg_memcached_entity_append(etg_entity_writer *writer,
                                         const void *data, apr_size_t length)
{
    apr_status_t rv = APR_SUCCESS;

    if (writer->failed != APR_SUCCESS || length == 0) {
        return writer->failed;
    }
    if (writer->is_finished) {
        rv = APR_EINVAL;
    }
    else if (length > ETG_MEMCACHED_BODY_MAX - writer->length) {
        rv = APR_ENOSPC;
    }
    if (rv == APR_SUCCESS) {
        rv = etg_entity_digest_add(writer->digest, data, length);
    }
    if (rv == APR_SUCCESS) {
        rv = gather(writer, data, length);
    }
    writer->failed = rv;
    writer->length += length;
    return rv;
}

apr_status_t etg_memcached_entity_finish(etg_entity_writer *writer,
                                         apr_time_t expires_at,
                                         etg_entity_id *id)
{
    etg_entity_id found;
    apr_status_t rv = writer->failed;

    if (rv == APR_SUCCESS) {
        rv = writer->is_finished ? APR_EINVAL
             : etg_entity_digest_end(writer->digest, &found);
    }
    if (rv == APR_SUCCESS) {
        rv = rest_hand(writer, expires_at, &found);
    }
    if (rv != APR_SUCCESS) {
        etg_memcached_entity_abandon(writer);
        return rv;
    }
    writer->is_finished = 1;
    etg_memcached_upload_release(writer->upload);
    writer->upload = NULL;
    *id = found;
    return APR_SUCCESS;
}

void etg_memcached_entity_abandon(etg_entity_writer *writer)
{
    if (writer->is_finished) {
        return;
    }
    writer->is_finished = 1;
    if (writer->failed == APR_SUCCESS) {
        writer->failed = APR_EINVAL;
    }
    free(writer->buffer);
    writer->buffer = NULL;
    if (writer->upload != NULL) {
        /* If it cannot be handed over, the chunks expire. */
        atomic_store(&writer->upload->failure, APR_INCOMPLETE);
        if (writer->chunks > 0) {
            etg_memcached_removal_hand(writer->store, writer->upload,
                                       writer->chunks);
        }
        etg_memcached_upload_release(writer->upload);
        writer->upload = NULL;
    }
}

static apr_status_t writer_cleanup(void *data)
{
    etg_memcached_entity_abandon(data);
    return APR_SUCCESS;
}

/* A full buffer is handed over only when there is more to come: the last
 * chunk is never empty. */
static apr_status_t gather(etg_entity_writer *writer,
                           const unsigned char *data, apr_size_t length)
{
    while (length > 0) {
        apr_size_t most = writer->upload == NULL ? ETG_MEMCACHED_SINGLE_MAX
                                                 : ETG_MEMCACHED_CHUNK_BYTES;
        apr_size_t take = most - writer->buffered;
        apr_status_t rv;

        if (take == 0) {
            rv = writer->upload == NULL ? cut_begin(writer)
                                        : chunk_hand(writer);
            if (rv != APR_SUCCESS) {
                return rv;
            }
            continue;
        }
        take = take > length ? length : take;
        rv = buffer_grow(writer, writer->buffered + take);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        memcpy(writer->buffer + writer->buffered, data, take);
        writer->buffered += take;
        data += take;
        length -= take;
    }
    return APR_SUCCESS;
}

static apr_status_t buffer_grow(etg_entity_writer *writer, apr_size_t needed)
{
    apr_size_t capacity = writer->capacity == 0 ? writer->hint
                                                : 2 * writer->capacity;
    unsigned char *grown;

    if (needed <= writer->capacity) {
        return APR_SUCCESS;
    }
    capacity = capacity < needed ? needed : capacity;
    capacity = capacity > ETG_MEMCACHED_SINGLE_MAX ? ETG_MEMCACHED_SINGLE_MAX
                                                   : capacity;
    grown = realloc(writer->buffer, capacity);
    if (grown == NULL) {
        return APR_ENOMEM;
    }
    writer->buffer = grown;
    writer->capacity = capacity;
    return APR_SUCCESS;
}

/* From here on in chunks. What is gathered is a whole number of them; it is
 * called because there is more to come. */
static apr_status_t cut_begin(etg_entity_writer *writer)
{
    unsigned char *whole = writer->buffer;
    apr_size_t length = writer->buffered;
    apr_status_t rv = APR_SUCCESS;
    apr_size_t at;

    writer->upload = etg_memcached_upload_make(writer->store);
    if (writer->upload == NULL) {
        return APR_ENOMEM;
    }
    writer->buffer = NULL;
    writer->buffered = writer->capacity = 0;
    writer->hint = ETG_MEMCACHED_CHUNK_BYTES;
    for (at = 0; at < length && rv == APR_SUCCESS;
         at += ETG_MEMCACHED_CHUNK_BYTES) {
        rv = gather(writer, whole + at, ETG_MEMCACHED_CHUNK_BYTES);
    }
    free(whole);
    return rv;
}

static apr_status_t chunk_hand(etg_entity_writer *writer)
{
    etg_memcached_upload *upload = writer->upload;
    unsigned char *bytes = writer->buffer;
    apr_size_t length = writer->buffered;
    apr_interval_time_t wait = 0;
    apr_time_t start = 0;
    apr_status_t rv = atomic_load(&upload->failure);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (atomic_load(&upload->pending) >= ETG_MEMCACHED_CHUNKS_AHEAD) {
        wait = writer->budget;
        start = etg_memcached_now();
    }
    writer->buffer = NULL;
    writer->buffered = writer->capacity = 0;
    rv = etg_memcached_chunk_hand(writer->store, upload, writer->chunks++,
                                  bytes, length, wait);
    if (wait > 0) {
        writer->budget -= etg_memcached_now() - start;
        writer->budget = writer->budget < 0 ? 0 : writer->budget;
    }
    return rv;
}

static apr_status_t rest_hand(etg_entity_writer *writer,
                              apr_time_t expires_at, const etg_entity_id *id)
{
    unsigned char *bytes = writer->buffer;

    if (writer->upload != NULL) {
        apr_status_t rv = chunk_hand(writer);

        return rv != APR_SUCCESS ? rv
               : etg_memcached_manifest_hand(writer->store, writer->upload,
                                             id, writer->length, expires_at);
    }
    writer->buffer = NULL;
    return etg_memcached_body_hand(writer->store, id, bytes,
                                   writer->buffered, expires_at);
}
