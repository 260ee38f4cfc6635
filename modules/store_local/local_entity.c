/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_entity.c: a body on its way in.
 *
 * Bytes gather in memory and are hashed as they come; what grows over 64 KiB
 * goes to a file under tmp/. Finishing hands the bytes, or the file, to the
 * store thread; the queue keeps order, so metadata that names the body cannot
 * be readable before it. Space for a file is reserved in the child table
 * before it is written, in growing steps, and the store thread is asked to
 * make room where there is none.
 */
#include "local_store.h"

#include <apr_strings.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/entity_digest.h"

#define BUFFER_START 4096
#define STEP_MIN (1u << 20)
#define STEP_MAX (64u << 20)
#define ROOM_WAIT apr_time_from_msec(20)

struct etg_entity_writer {
    etg_store *store;
    apr_pool_t *pool;
    etg_entity_digest *digest;
    apr_status_t failed;
    int is_finished;
    uint64_t length;
    unsigned char *buffer;       /* malloced; ETG_LOCAL_PACKED_BYTES at most */
    apr_size_t buffered;
    apr_size_t capacity;
    int fd;                      /* -1: in memory */
    uint64_t reserved;           /* of the child's bytes */
    char temp_path[ETG_LOCAL_PATH_BYTES + 64];
};

typedef struct body_job {
    etg_local_job job;
    etg_local_body body;         /* bytes malloced */
} body_job;

typedef struct file_job {
    etg_local_job job;
    etg_entity_id id;
    uint64_t length;
    uint64_t reserved;
    uint32_t expires_s;
    char temp_path[ETG_LOCAL_PATH_BYTES + 64];
} file_job;

static apr_status_t writer_cleanup(void *data);
static apr_status_t append_packed(etg_entity_writer *writer,
                                  const void *data, apr_size_t length);
static apr_status_t append_file(etg_entity_writer *writer, const void *data,
                                apr_size_t length);
static apr_status_t buffer_grow(etg_entity_writer *writer, apr_size_t needed);
static apr_status_t file_begin(etg_entity_writer *writer, uint64_t expected);
static apr_status_t room_reserve(etg_entity_writer *writer, uint64_t length);
static int room_try(etg_entity_writer *writer, uint64_t bytes);
static void room_return(etg_store *store, uint64_t bytes);
static apr_status_t write_all(int fd, const unsigned char *data,
                              apr_size_t length);
static apr_status_t finish_packed(etg_entity_writer *writer,
                                  const etg_entity_id *id,
                                  uint32_t expires_s);
static apr_status_t finish_file(etg_entity_writer *writer,
                                const etg_entity_id *id, uint32_t expires_s);
static int body_run(etg_local_batch *batch, etg_local_job *job);
static void body_finish(etg_store *store, etg_local_job *job, int result);
static int file_run(etg_local_batch *batch, etg_local_job *job);
static void file_finish(etg_store *store, etg_local_job *job, int result);
static uint64_t longest(const etg_store *store);

apr_status_t etg_local_entity_begin(etg_store *store, apr_int64_t expected,
                                    apr_pool_t *p, etg_entity_writer **made)
{
    if (!etg_local_is_up(store)) {
        return APR_EGENERAL;
    }
    if (expected > 0 && (uint64_t)expected > longest(store)) {
        return APR_ENOSPC;
    }
    etg_entity_writer *writer = apr_pcalloc(p, sizeof(*writer));
    writer->store = store;
    writer->pool = p;
    writer->fd = -1;
    apr_status_t rv = etg_entity_digest_begin(&writer->digest, p);
    if (rv == APR_SUCCESS && expected > ETG_LOCAL_PACKED_BYTES) {
        rv = file_begin(writer, (uint64_t)expected);
    }
    else if (rv == APR_SUCCESS && expected > 0) {
        rv = buffer_grow(writer, (apr_size_t)expected);
    }
    apr_pool_cleanup_register(p, writer, writer_cleanup,
                              apr_pool_cleanup_null);
    if (rv != APR_SUCCESS) {
        etg_local_entity_abandon(writer);
        return rv;
    }
    *made = writer;
    return APR_SUCCESS;
}

apr_status_t etg_local_entity_append(etg_entity_writer *writer,
                                     const void *data, apr_size_t length)
{
    if (writer->failed != APR_SUCCESS || length == 0) {
        return writer->failed;
    }
    apr_status_t rv = APR_SUCCESS;
    if (writer->is_finished) {
        rv = APR_EINVAL;
    }
    else if (writer->length + length > longest(writer->store)) {
        rv = APR_ENOSPC;
    }
    if (rv == APR_SUCCESS) {
        rv = etg_entity_digest_add(writer->digest, data, length);
    }
    if (rv == APR_SUCCESS) {
        rv = writer->fd < 0
             && writer->length + length <= ETG_LOCAL_PACKED_BYTES
             ? append_packed(writer, data, length)
             : append_file(writer, data, length);
    }
    writer->failed = rv;
    writer->length += length;
    return rv;
}

apr_status_t etg_local_entity_finish(etg_entity_writer *writer,
                                     apr_time_t expires_at,
                                     etg_entity_id *id)
{
    etg_entity_id found;
    apr_status_t rv = writer->failed;
    if (rv == APR_SUCCESS && writer->is_finished) {
        rv = APR_EINVAL;
    }
    if (rv == APR_SUCCESS && !etg_local_is_up(writer->store)) {
        rv = APR_EGENERAL;
    }
    if (rv == APR_SUCCESS) {
        rv = etg_entity_digest_end(writer->digest, &found);
    }
    if (rv == APR_SUCCESS) {
        uint32_t expires_s = etg_local_seconds(expires_at);
        rv = writer->fd < 0 ? finish_packed(writer, &found, expires_s)
                            : finish_file(writer, &found, expires_s);
    }
    etg_local_entity_abandon(writer);
    if (rv == APR_SUCCESS) {
        *id = found;
    }
    return rv;
}

void etg_local_entity_abandon(etg_entity_writer *writer)
{
    writer->is_finished = 1;
    free(writer->buffer);
    writer->buffer = NULL;
    if (writer->fd >= 0) {
        close(writer->fd);
        writer->fd = -1;
        if (writer->temp_path[0] != '\0') {
            unlink(writer->temp_path);
        }
    }
    room_return(writer->store, writer->reserved);
    writer->reserved = 0;
}

static apr_status_t writer_cleanup(void *data)
{
    etg_local_entity_abandon(data);
    return APR_SUCCESS;
}

static apr_status_t append_packed(etg_entity_writer *writer,
                                  const void *data, apr_size_t length)
{
    apr_status_t rv = buffer_grow(writer, writer->buffered + length);
    if (rv == APR_SUCCESS) {
        memcpy(writer->buffer + writer->buffered, data, length);
        writer->buffered += length;
    }
    return rv;
}

static apr_status_t append_file(etg_entity_writer *writer, const void *data,
                                apr_size_t length)
{
    apr_status_t rv = APR_SUCCESS;
    if (writer->fd < 0) {
        rv = file_begin(writer, writer->length + length);
    }
    if (rv == APR_SUCCESS) {
        rv = room_reserve(writer, writer->length + length);
    }
    if (rv == APR_SUCCESS && writer->buffered > 0) {
        rv = write_all(writer->fd, writer->buffer, writer->buffered);
        free(writer->buffer);
        writer->buffer = NULL;
        writer->buffered = 0;
    }
    return rv != APR_SUCCESS ? rv : write_all(writer->fd, data, length);
}

static apr_status_t buffer_grow(etg_entity_writer *writer, apr_size_t needed)
{
    if (needed <= writer->capacity) {
        return APR_SUCCESS;
    }
    apr_size_t capacity = writer->capacity;
    if (capacity == 0) {
        capacity = needed;         /* the first chunk is often the last */
    }
    while (capacity < needed) {
        capacity = capacity < BUFFER_START ? BUFFER_START : capacity * 2;
    }
    if (capacity > ETG_LOCAL_PACKED_BYTES) {
        capacity = ETG_LOCAL_PACKED_BYTES;
    }
    unsigned char *grown = realloc(writer->buffer, capacity);
    if (grown == NULL) {
        return APR_ENOMEM;
    }
    writer->buffer = grown;
    writer->capacity = capacity;
    return APR_SUCCESS;
}

static apr_status_t file_begin(etg_entity_writer *writer, uint64_t expected)
{
    etg_store *store = writer->store;
    apr_status_t rv = room_reserve(writer, expected);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    snprintf(writer->temp_path, sizeof(writer->temp_path), "%s/tmp/%ld.%u",
             store->folder, (long)getpid(),
             atomic_fetch_add(&store->temp_number, 1));
    writer->fd = open(writer->temp_path,
                      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                      0600);
    return writer->fd < 0 ? errno : APR_SUCCESS;
}

/* Reserves as much as a body of `length` bytes costs so far, with steps that
 * grow so that a long one asks seldom. */
static apr_status_t room_reserve(etg_entity_writer *writer, uint64_t length)
{
    uint64_t needed = etg_local_file_cost(length);
    if (needed <= writer->reserved) {
        return APR_SUCCESS;
    }
    uint64_t step = writer->reserved / 2;
    step = step < STEP_MIN ? STEP_MIN : step > STEP_MAX ? STEP_MAX : step;
    uint64_t least = needed - writer->reserved;
    uint64_t most = writer->reserved == 0 ? least
                    : least > step ? least : step;
    if (room_try(writer, most)) {
        return APR_SUCCESS;
    }
    etg_local_writer_make_room(writer->store, most, ROOM_WAIT);
    return room_try(writer, most) || room_try(writer, least)
           ? APR_SUCCESS : APR_ENOSPC;
}

static int room_try(etg_entity_writer *writer, uint64_t bytes)
{
    etg_store *store = writer->store;
    if (store->child == NULL) {
        return 0;
    }
    atomic_fetch_add(&store->child->bytes, bytes);
    if (etg_local_body_bytes_used(store) > store->geometry.body_bytes) {
        room_return(store, bytes);
        return 0;
    }
    writer->reserved += bytes;
    return 1;
}

static void room_return(etg_store *store, uint64_t bytes)
{
    if (bytes > 0 && store->child != NULL) {
        atomic_fetch_sub(&store->child->bytes, bytes);
    }
}

static apr_status_t write_all(int fd, const unsigned char *data,
                              apr_size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            data += n;
            length -= (apr_size_t)n;
        }
    }
    return APR_SUCCESS;
}

/* TIMEUP is what a job without a waiter answers: it is queued. */
static apr_status_t queued(apr_status_t rv)
{
    return rv == APR_TIMEUP ? APR_SUCCESS : rv;
}

static apr_status_t finish_packed(etg_entity_writer *writer,
                                  const etg_entity_id *id, uint32_t expires_s)
{
    apr_status_t rv = buffer_grow(writer, 1);
    body_job *job = rv == APR_SUCCESS ? calloc(1, sizeof(*job)) : NULL;
    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->body.id = *id;
    job->body.length = (uint32_t)writer->length;
    job->body.expires_s = expires_s;
    job->body.check = etg_local_body_check(id, writer->buffer,
                                           writer->buffered);
    job->body.bytes = writer->buffer;
    writer->buffer = NULL;
    job->job.run = body_run;
    job->job.finish = body_finish;
    job->job.bytes = sizeof(*job) + writer->capacity;
    job->job.packed_bytes = ETG_LOCAL_BODY_HEAD + job->body.length;
    return queued(etg_local_writer_run(writer->store, &job->job, 0));
}

static apr_status_t finish_file(etg_entity_writer *writer,
                                const etg_entity_id *id, uint32_t expires_s)
{
    file_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->id = *id;
    job->length = writer->length;
    job->expires_s = expires_s;
    job->reserved = writer->reserved;
    memcpy(job->temp_path, writer->temp_path, sizeof(job->temp_path));
    job->job.run = file_run;
    job->job.finish = file_finish;
    job->job.bytes = sizeof(*job);
    writer->reserved = 0;
    writer->temp_path[0] = '\0';
    return queued(etg_local_writer_run(writer->store, &job->job, 0));
}

static int body_run(etg_local_batch *batch, etg_local_job *job)
{
    return etg_local_body_put(batch, &((body_job *)job)->body);
}

static void body_finish(etg_store *store, etg_local_job *job, int result)
{
    (void)store;
    (void)result;
    free((void *)((body_job *)job)->body.bytes);
}

static int file_run(etg_local_batch *batch, etg_local_job *job)
{
    file_job *file = (file_job *)job;
    return etg_local_file_put(batch, &file->id, file->length,
                              file->expires_s, file->temp_path);
}

/* The reservation ends where file_bytes begins to count the file. */
static void file_finish(etg_store *store, etg_local_job *job, int result)
{
    file_job *file = (file_job *)job;
    if (result != 0) {
        unlink(file->temp_path);
    }
    room_return(store, file->reserved);
}

/* One body may take half of what bodies have. */
static uint64_t longest(const etg_store *store)
{
    return store->geometry.body_bytes / 2;
}
