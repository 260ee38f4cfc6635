/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_evict.c: keeping the bound.
 *
 * Three limits, kept by the store thread between batches:
 *   metadata   at most 0.8 of the LMDB map's pages in use: a full map cannot
 *              even delete
 *   a spare    one or two free segments, so that appending never waits
 *   bodies     segments with disk space, large files and what is still
 *              arriving stay within body_bytes; if the young have more than
 *              their tenth, one of the young goes, else one of the old: of
 *              the first segment and the first file, the one begun earlier
 * Each step is a transaction of its own, so the write lock is held for
 * milliseconds at most.
 */
#include "local_store.h"

#include <errno.h>

#define RECORD_ROUNDS 16
#define RECORD_ROWS 64
#define STEPS_MAX 1024
#define YOUNG_SHARE 10

static void records_trim(etg_store *store);
static void spares_provide(etg_store *store);
static void room_provide(etg_store *store, uint64_t wanted);
static int oldest_reclaim(etg_store *store, int files_only);
static int reclaim_in(etg_local_batch *batch, int files_only);
static int reclaim_of(etg_local_batch *batch, etg_local_age age,
                      int files_only);
static uint32_t spares_wanted(const etg_store *store);

uint64_t etg_local_body_bytes_used(const etg_store *store)
{
    const etg_local_control *control = store->control;
    return (uint64_t)atomic_load(&control->allocated)
           * store->geometry.segment_bytes
           + atomic_load(&control->file_bytes[ETG_LOCAL_YOUNG])
           + atomic_load(&control->file_bytes[ETG_LOCAL_OLD])
           + etg_local_control_arriving(store);
}

void etg_local_evict(etg_store *store, uint64_t wanted)
{
    records_trim(store);
    spares_provide(store);
    if (wanted > 0) {
        room_provide(store, wanted);
    }
}

static void records_trim(etg_store *store)
{
    uint64_t limit = store->geometry.map_bytes / 4096 * 8 / 10;
    for (int i = 0; i < RECORD_ROUNDS; i++) {
        etg_local_batch batch;
        if (atomic_load(&store->control->used_pages) <= limit
            || etg_local_batch_begin(store, &batch) != MDB_SUCCESS) {
            return;
        }
        if (atomic_load(&store->control->used_pages) <= limit
            || etg_local_record_evict(&batch, RECORD_ROWS) != MDB_SUCCESS) {
            etg_local_batch_abort(&batch);
            return;
        }
        if (etg_local_batch_commit(&batch) != MDB_SUCCESS) {
            return;
        }
    }
}

static void spares_provide(etg_store *store)
{
    uint64_t segment = store->geometry.segment_bytes;
    for (int i = 0; i < STEPS_MAX
         && etg_local_segment_free_count(store) < spares_wanted(store); i++) {
        if (etg_local_body_bytes_used(store) + segment
            <= store->geometry.body_bytes
            && etg_local_segment_allocate(store) == 0) {
            continue;
        }
        if (!oldest_reclaim(store, 0)) {
            return;
        }
    }
}

/* A file system that cannot punch holes keeps its segments: then files only
 * make room for files. */
static void room_provide(etg_store *store, uint64_t wanted)
{
    for (int i = 0; i < STEPS_MAX
         && etg_local_body_bytes_used(store) + wanted
            > store->geometry.body_bytes; i++) {
        if (!store->cannot_punch
            && etg_local_segment_free_count(store) > spares_wanted(store)) {
            if (etg_local_segment_release(store) == 0) {
                continue;
            }
            store->cannot_punch = 1;
        }
        if (!oldest_reclaim(store, store->cannot_punch)) {
            return;
        }
    }
}

/* True if something was done. */
static int oldest_reclaim(etg_store *store, int files_only)
{
    etg_local_batch batch;
    if (etg_local_batch_begin(store, &batch) != MDB_SUCCESS) {
        return 0;
    }
    int rc = reclaim_in(&batch, files_only);
    if (rc != MDB_SUCCESS) {
        etg_local_batch_abort(&batch);
        etg_local_env_status(store, rc == MDB_NOTFOUND ? 0 : rc);
        return 0;
    }
    return etg_local_batch_commit(&batch) == MDB_SUCCESS;
}

static int reclaim_in(etg_local_batch *batch, int files_only)
{
    etg_store *store = batch->store;
    uint64_t young = etg_local_segment_bytes(store, ETG_LOCAL_YOUNG)
        + atomic_load(&store->control->file_bytes[ETG_LOCAL_YOUNG]);
    int young_first = young > store->geometry.body_bytes / YOUNG_SHARE;
    int rc = reclaim_of(batch, young_first ? ETG_LOCAL_YOUNG : ETG_LOCAL_OLD,
                        files_only);
    if (rc == MDB_NOTFOUND) {
        rc = reclaim_of(batch, young_first ? ETG_LOCAL_OLD : ETG_LOCAL_YOUNG,
                        files_only);
    }
    return rc;
}

static int reclaim_of(etg_local_batch *batch, etg_local_age age,
                      int files_only)
{
    etg_store *store = batch->store;
    etg_local_file_row row;
    uint64_t place;
    int64_t segment = files_only ? -1 : etg_local_segment_oldest(store, age);
    int rc = etg_local_file_oldest(batch, age, &place, &row);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (rc == MDB_SUCCESS
        && (segment < 0
            || (int32_t)(row.stored_at - (uint32_t)atomic_load(
                             &store->control->segments[segment].order))
               < 0)) {
        return etg_local_file_evict(batch, place, &row);
    }
    return segment < 0 ? MDB_NOTFOUND
           : etg_local_segment_recycle(batch, (uint32_t)segment);
}

static uint32_t spares_wanted(const etg_store *store)
{
    return store->geometry.segment_count >= 64 ? 2 : 1;
}
