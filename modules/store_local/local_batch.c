/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_batch.c: one write transaction, and what must wait for its commit.
 *
 * Only the store thread comes here: the LMDB write lock has no time limit.
 */
#include "local_store.h"

static void pages_measure(etg_store *store);

int etg_local_batch_begin(etg_store *store, etg_local_batch *batch)
{
    batch->store = store;
    batch->now_s = (uint32_t)apr_time_sec(apr_time_now());
    batch->file_bytes_delta[ETG_LOCAL_YOUNG] = 0;
    batch->file_bytes_delta[ETG_LOCAL_OLD] = 0;
    batch->freed = -1;
    int rc = mdb_txn_begin(store->env, NULL, 0, &batch->txn);
    if (rc == MDB_MAP_RESIZED) {
        etg_local_env_remap(store);
        rc = mdb_txn_begin(store->env, NULL, 0, &batch->txn);
    }
    if (rc == MDB_SUCCESS) {
        pages_measure(store);
    }
    return rc;
}

int etg_local_batch_commit(etg_local_batch *batch)
{
    etg_local_control *control = batch->store->control;
    int rc = mdb_txn_commit(batch->txn);
    batch->txn = NULL;
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    for (int age = 0; age < ETG_LOCAL_AGES; age++) {
        if (batch->file_bytes_delta[age] != 0) {
            atomic_fetch_add(&control->file_bytes[age],
                             (uint64_t)batch->file_bytes_delta[age]);
        }
    }
    if (batch->freed >= 0) {
        atomic_store(&control->segments[batch->freed].state,
                     ETG_LOCAL_SEGMENT_FREE);
    }
    return MDB_SUCCESS;
}

void etg_local_batch_abort(etg_local_batch *batch)
{
    mdb_txn_abort(batch->txn);
    batch->txn = NULL;
}

/* LMDB shows its free list to read transactions only. */
static void pages_measure(etg_store *store)
{
    etg_local_reader *reader;
    uint64_t pages;
    if (etg_local_read_begin(store, &reader) != APR_SUCCESS) {
        return;
    }
    if (etg_local_env_used_pages(store, reader->txn, &pages) == MDB_SUCCESS) {
        atomic_store(&store->control->used_pages, pages);
    }
    etg_local_read_end(reader);
}
