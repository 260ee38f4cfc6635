/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_lookup.c: the reading half: no lock, no write transaction, nothing
 * left behind but hit marks.
 */
#include "local_store.h"

#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>

typedef struct drop_job {
    etg_local_job job;
    etg_entity_id id;
    uint64_t place;
} drop_job;

static apr_status_t moment_read(etg_store *store, etg_store_moment *moment,
                                etg_local_reader **reader);
static void hit_make(etg_store_found *found,
                     const etg_local_response *response, apr_pool_t *p);
static apr_status_t entity_try(etg_store *store, const etg_entity_id *id,
                               uint64_t length, apr_pool_t *p,
                               uint64_t *place, etg_entity *found);
static void damage_report(etg_store *store, const etg_entity_id *id,
                          uint64_t place);
static int drop_run(etg_local_batch *batch, etg_local_job *job);
static void drop_finish(etg_store *store, etg_local_job *job, int result);
static apr_status_t entity_read_packed(etg_store *store,
                                       const etg_entity_id *id,
                                       uint64_t place, uint64_t length,
                                       apr_pool_t *p, etg_entity *entity);

apr_status_t etg_local_meta_lookup(etg_store *store, const etg_store_key *key,
                                   etg_store_choose *choose, void *baton,
                                   etg_store_depth depth, apr_pool_t *p,
                                   etg_store_found *result)
{
    (void)depth;
    etg_local_reader *reader;
    etg_local_row primary;
    etg_store_key next;
    etg_local_response response;
    etg_store_found found = { .answer = ETG_STORE_MISS };
    apr_status_t rv = moment_read(store, &found.moment, &reader);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    int rc = etg_local_row_find(store, reader->txn, reader->index, key,
                                &primary);
    if (rc == MDB_SUCCESS
        && choose(baton, primary.first, &next) != APR_SUCCESS) {
        rc = MDB_NOTFOUND;
    }
    if (rc == MDB_SUCCESS) {
        rc = etg_local_row_response(store, reader->txn, reader->index,
                                    &primary, &next, &response);
    }
    if (rc == MDB_SUCCESS) {
        rc = etg_local_purge_compare(store, reader->txn, &response,
                                     &found.mark, &found.marked_at);
    }
    if (rc == MDB_SUCCESS) {
        hit_make(&found, &response, p);
    }
    etg_local_read_end(reader);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        etg_local_count_add(store, ETG_LOCAL_FAILED_READS, 1);
        return etg_local_env_status(store, rc);
    }
    if (found.answer == ETG_STORE_HIT) {
        etg_local_mark_hit(store, etg_local_key_hash(key));
        if (primary.second.data == NULL
            || memcmp(&primary.second_key, &next, sizeof(next)) != 0) {
            etg_local_mark_hit(store, etg_local_key_hash(&next));
        }
    }
    *result = found;
    return APR_SUCCESS;
}

apr_status_t etg_local_entity_read(etg_store *store, const etg_entity_id *id,
                                   apr_uint64_t length, apr_pool_t *p,
                                   etg_store_answer *answer,
                                   etg_entity *entity)
{
    etg_entity found = { length, NULL, NULL, 0 };
    uint64_t place = 0;
    uint64_t before = UINT64_MAX;
    apr_status_t rv = entity_try(store, id, length, p, &place, &found);
    if (rv == APR_INCOMPLETE) {
        /* Recycled under the copy, unless a later view says the same. */
        before = place;
        rv = entity_try(store, id, length, p, &place, &found);
    }
    if (rv == APR_INCOMPLETE && place == before) {
        damage_report(store, id, place);
    }
    if (rv == APR_SUCCESS) {
        etg_local_mark_hit(store, etg_local_id_hash(id));
        *entity = found;
        *answer = ETG_STORE_HIT;
        return APR_SUCCESS;
    }
    if (rv == APR_INCOMPLETE || rv == APR_NOTFOUND) {
        *answer = ETG_STORE_MISS;
        return APR_SUCCESS;
    }
    etg_local_count_add(store, ETG_LOCAL_FAILED_READS, 1);
    return rv;
}

/* The clock is read before the view is taken. */
static apr_status_t moment_read(etg_store *store, etg_store_moment *moment,
                                etg_local_reader **reader)
{
    if (!etg_local_is_up(store)) {
        return APR_EGENERAL;
    }
    moment->of[0] = atomic_load(&store->control->reading);
    return etg_local_read_begin(store, reader);
}

/* Copies out of the map, unless it is gone. */
static void hit_make(etg_store_found *found,
                     const etg_local_response *response, apr_pool_t *p)
{
    if (found->mark == ETG_STORE_MARK_GONE) {
        found->mark = ETG_STORE_MARK_NONE;
        found->marked_at = 0;
        return;
    }
    apr_size_t length = response->bytes.length;
    unsigned char *copy = apr_palloc(p, length + 1);
    memcpy(copy, response->bytes.data, length);
    found->answer = ETG_STORE_HIT;
    found->response.data = copy;
    found->response.length = length;
    found->expires_at = apr_time_from_sec((apr_time_t)response->expires_s);
    found->tag_count = response->tag_count;
    if (response->tag_count > 0) {
        found->tags = apr_pmemdup(p, response->tags, response->tag_count
                                                     * sizeof(*found->tags));
    }
}

/* APR_NOTFOUND: no such body. APR_INCOMPLETE: the index says there is one,
 * but what is there is something else. */
static apr_status_t entity_try(etg_store *store, const etg_entity_id *id,
                               uint64_t length, apr_pool_t *p,
                               uint64_t *place, etg_entity *found)
{
    etg_local_reader *reader;
    etg_local_file_row row;
    apr_status_t rv = etg_local_read_begin(store, &reader);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_local_body_probe probe = { store, reader->txn, id };
    int rc = etg_local_index_find(reader->index, ETG_LOCAL_ENTITY,
                                  etg_local_id_hash(id), etg_local_body_is,
                                  &probe, place);
    int is_file = rc == MDB_SUCCESS && etg_local_place_is_file(*place);
    if (is_file) {
        rc = etg_local_file_row_get(reader->txn, store->files, *place, &row);
    }
    etg_local_read_end(reader);
    if (rc == MDB_NOTFOUND || (is_file && row.length != length)) {
        return APR_NOTFOUND;
    }
    if (rc != MDB_SUCCESS) {
        return etg_local_env_status(store, rc);
    }
    return is_file
           ? etg_local_file_open(store, id, length, p, &found->file)
           : entity_read_packed(store, id, *place, length, p, found);
}

static apr_status_t entity_read_packed(etg_store *store,
                                       const etg_entity_id *id,
                                       uint64_t place, uint64_t length,
                                       apr_pool_t *p, etg_entity *entity)
{
    if (length > ETG_LOCAL_PACKED_BYTES) {
        return APR_NOTFOUND;
    }
    unsigned char *bytes = apr_palloc(p, length > 0 ? length : 1);
    entity->bytes = bytes;
    return etg_local_body_copy(store, id, place, bytes, (uint32_t)length);
}

/* A body that is not what its name says is forgotten, so that the next fetch
 * stores it anew. */
static void damage_report(etg_store *store, const etg_entity_id *id,
                          uint64_t place)
{
    drop_job *job = calloc(1, sizeof(*job));
    etg_local_count_add(store, ETG_LOCAL_DAMAGED_BODIES, 1);
    if (etg_local_may_complain(store)) {
        etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                      ETGLOGNO(0310) "local store: a body in %s does not match "
                      "its checksum or is gone; it is fetched again. Check "
                      "the disk if this repeats", store->folder);
    }
    if (job == NULL) {
        return;
    }
    job->id = *id;
    job->place = place;
    job->job.run = drop_run;
    job->job.finish = drop_finish;
    job->job.bytes = sizeof(*job);
    etg_local_writer_run(store, &job->job, 0);
}

static int drop_run(etg_local_batch *batch, etg_local_job *job)
{
    drop_job *drop = (drop_job *)job;
    return etg_local_body_drop(batch, &drop->id, drop->place);
}

static void drop_finish(etg_store *store, etg_local_job *job, int result)
{
    (void)store;
    (void)job;
    (void)result;
}
