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

/* What would go next among the young or the old. */
typedef struct victim {
    uint64_t cost;               /* 0: there is none */
    int64_t segment;             /* -1: the file */
    uint64_t place;
    etg_local_file_row row;
} victim;

static void records_trim(etg_store *store);
static void spares_provide(etg_store *store);
static void room_provide(etg_store *store, uint64_t wanted);
static int oldest_reclaim(etg_store *store, int files_only);
static int reclaim_in(etg_local_batch *batch, int files_only);
static int victim_find(etg_local_batch *batch, etg_local_age age,
                       int files_only, victim *found);
static int victim_take(etg_local_batch *batch, const victim *chosen);
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

/* One that is larger than all the young's share stays as the only one. */
static int reclaim_in(etg_local_batch *batch, int files_only)
{
    etg_store *store = batch->store;
    victim young, old;
    uint64_t young_bytes = etg_local_segment_bytes(store, ETG_LOCAL_YOUNG)
        + atomic_load(&store->control->file_bytes[ETG_LOCAL_YOUNG]);
    int rc = victim_find(batch, ETG_LOCAL_YOUNG, files_only, &young);
    if (rc == MDB_SUCCESS) {
        rc = victim_find(batch, ETG_LOCAL_OLD, files_only, &old);
    }
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    int is_young_due = young_bytes > store->geometry.body_bytes / YOUNG_SHARE
                                     + young.cost;
    if (young.cost > 0 && (is_young_due || old.cost == 0)) {
        return victim_take(batch, &young);
    }
    return old.cost > 0 ? victim_take(batch, &old) : MDB_NOTFOUND;
}

static int victim_find(etg_local_batch *batch, etg_local_age age,
                       int files_only, victim *found)
{
    etg_store *store = batch->store;
    found->cost = 0;
    found->segment = files_only ? -1 : etg_local_segment_oldest(store, age);
    if (found->segment >= 0) {
        found->cost = store->geometry.segment_bytes;
    }
    int rc = etg_local_file_oldest(batch, age, &found->place, &found->row);
    if (rc != MDB_SUCCESS) {
        return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
    }
    if (found->segment < 0
        || (int32_t)(found->row.stored_at - (uint32_t)atomic_load(
                &store->control->segments[found->segment].order)) < 0) {
        found->segment = -1;
        found->cost = etg_local_file_cost(found->row.length);
    }
    return MDB_SUCCESS;
}

static int victim_take(etg_local_batch *batch, const victim *chosen)
{
    return chosen->segment < 0
           ? etg_local_file_evict(batch, chosen->place, &chosen->row)
           : etg_local_segment_recycle(batch, (uint32_t)chosen->segment);
}

/* Recycling itself may need one for what it keeps. */
static uint32_t spares_wanted(const etg_store *store)
{
    return etg_local_body_bytes_used(store)
           + 3ull * store->geometry.segment_bytes
           <= store->geometry.body_bytes ? 1 : 2;
}
