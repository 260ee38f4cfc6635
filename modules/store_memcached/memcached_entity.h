/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_entity.h: bodies on the servers.
 *
 * Up to 1,000,000 bytes a body is one item under its id. A longer one is cut
 * into chunks as it comes, under keys made of a random generation, because
 * its id is known only at its end; then a manifest under the id names the
 * generation. All chunks are on the node that the generation falls to, the
 * manifest (or single body) on the id's, or while that is lost on another that
 * the id leads to. The manifest is written last: until then nothing can find
 * the chunks, and if it is never written they expire.
 *
 *   request thread   writer: gathers, hashes, hands full chunks over
 *   writer's thread  jobs: each chunk; at the end the body, the manifest, or
 *                    the removal of chunks that nobody will name
 *
 * Both share an upload, malloced and counted. Private to the store.
 */
#ifndef ETG_MEMCACHED_ENTITY_H
#define ETG_MEMCACHED_ENTITY_H

#include "memcached_store.h"

/* How long chunks live that no manifest names yet. */
#define ETG_MEMCACHED_CHUNK_LIFE (3600 * APR_USEC_PER_SEC)

/* So much longer than it has to a body lives, so that rounding never makes
 * it shorter than its record. */
#define ETG_MEMCACHED_BODY_SLACK (5 * APR_USEC_PER_SEC)

/* From so many chunks under way on, append waits for the last one, as long
 * as its budget, one timeout per body, lasts. */
#define ETG_MEMCACHED_CHUNKS_AHEAD 8

/* A body in chunks on its way out. */
typedef struct etg_memcached_upload {
    _Atomic int holders;           /* the entity writer, and each job */
    _Atomic apr_status_t failure;  /* of a job: no manifest then */
    _Atomic unsigned pending;      /* chunks handed over and not done */
    etg_memcached_generation generation;
} etg_memcached_upload;

/* What the writer's thread is given to do. */
typedef struct etg_memcached_task {
    etg_memcached_job job;         /* first */
    etg_memcached_upload *upload;  /* held; NULL: body, forget */
    unsigned char *bytes;          /* malloced; chunk, body */
    apr_size_t length;             /* of bytes */
    apr_uint32_t index;            /* chunk: which; removal: how many */
    etg_entity_id id;
    etg_memcached_body body;       /* without bytes; manifest, forget */
} etg_memcached_task;

/* ---- memcached_entity_jobs.c ---- */

/* NULL: no memory. A generation whose node is up, if there is one. */
etg_memcached_upload *etg_memcached_upload_make(etg_store *store);
void etg_memcached_upload_release(etg_memcached_upload *upload);

/* Hand a job over; a failure means that it was not queued. `bytes` (malloced)
 * are the job's, whatever the result. */
apr_status_t etg_memcached_chunk_hand(etg_store *store,
                                      etg_memcached_upload *upload,
                                      apr_uint32_t index,
                                      unsigned char *bytes, apr_size_t length,
                                      apr_interval_time_t wait);
apr_status_t etg_memcached_body_hand(etg_store *store,
                                     const etg_entity_id *id,
                                     unsigned char *bytes, apr_size_t length,
                                     apr_time_t expires_at);
/* Makes a task that holds `upload` and owns `bytes` (either may be NULL).
 * NULL: no memory; the bytes are freed. */
etg_memcached_task *etg_memcached_task_make(
    apr_status_t (*run)(etg_store *store, etg_memcached_job *base),
    etg_memcached_upload *upload, unsigned char *bytes, apr_size_t length);
apr_status_t etg_memcached_task_hand(etg_store *store,
                                     etg_memcached_task *job,
                                     apr_interval_time_t wait);
/* A root pool with an allocator of its own: half a megabyte is not worth
 * keeping. NULL: no memory. */
apr_pool_t *etg_memcached_scratch_make(void);
etg_memcached_node *etg_memcached_body_node(etg_store *store,
                                            const etg_entity_id *id);
etg_memcached_node *etg_memcached_chunks_node(
    etg_store *store, const etg_memcached_generation *generation);
/* Packs and writes for as long as the body wants. A body that has expired
 * counts as written. */
apr_status_t etg_memcached_body_write(etg_memcached_call *call,
                                      etg_memcached_verb verb,
                                      const etg_memcached_key *key,
                                      const etg_memcached_body *body,
                                      apr_pool_t *p,
                                      etg_memcached_outcome *outcome);

/* ---- memcached_entity_manifest.c ---- */

apr_status_t etg_memcached_manifest_hand(etg_store *store,
                                         etg_memcached_upload *upload,
                                         const etg_entity_id *id,
                                         apr_uint64_t length,
                                         apr_time_t expires_at);
/* Removes chunks that no manifest will name. */
apr_status_t etg_memcached_removal_hand(etg_store *store,
                                        etg_memcached_upload *upload,
                                        apr_uint32_t count);
/* Removes the manifest and the chunks of a body that is torn, if the manifest
 * is still this one: an equal body must not find it and think itself
 * stored. */
apr_status_t etg_memcached_forget_hand(etg_store *store,
                                       const etg_entity_id *id,
                                       const etg_memcached_body *manifest);

/* How many chunks a body has. */
apr_uint32_t etg_memcached_chunk_count(const etg_memcached_body *body);

/* ---- memcached_entity.c, memcached_entity_read.c: the provider's calls, as
 * etg_store.h says ---- */

apr_status_t etg_memcached_entity_begin(etg_store *store,
                                        apr_int64_t expected, apr_pool_t *p,
                                        etg_entity_writer **writer);
apr_status_t etg_memcached_entity_append(etg_entity_writer *writer,
                                         const void *data, apr_size_t length);
apr_status_t etg_memcached_entity_finish(etg_entity_writer *writer,
                                         apr_time_t expires_at,
                                         etg_entity_id *id);
void etg_memcached_entity_abandon(etg_entity_writer *writer);
apr_status_t etg_memcached_entity_read(etg_store *store,
                                       const etg_entity_id *id,
                                       apr_uint64_t length, apr_pool_t *p,
                                       etg_store_answer *answer,
                                       etg_entity *entity);

#endif
