/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_record.c: metadata.
 *
 * Records are rows of an LMDB database in order of writing: sequence number
 * -> key (16), expiry in seconds (4), value. Appended in order, its pages are
 * full (a tree in key order would leave a third of each empty), and dropping
 * the oldest frees whole pages. A record that is replaced by one that is no
 * longer keeps its row; otherwise it moves to the end. Eviction takes the
 * oldest rows, except that of every 64 looked at the most used, at most half,
 * move to the end with half their mark.
 */
#include "local_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64

typedef struct probe {
    MDB_txn *txn;
    MDB_dbi records;
    const etg_store_key *key;
    MDB_val row;
} probe;

static int is_record(void *baton, uint64_t place);
static int row_put(etg_local_batch *batch, uint64_t sequence,
                   const etg_store_key *key, uint32_t expires_s,
                   etg_bytes value, unsigned int flags);
static int row_append(etg_local_batch *batch, const etg_store_key *key,
                      uint32_t expires_s, etg_bytes value);
static uint32_t row_expires(const MDB_val *row);
static int row_retire(etg_local_batch *batch, uint64_t sequence,
                      unsigned int threshold);
static apr_size_t longest(const etg_store *store);

int etg_local_record_get(MDB_txn *txn, MDB_dbi records, MDB_cursor *index,
                         const etg_store_key *key, etg_local_record *record)
{
    probe sought = { txn, records, key, { 0, NULL } };
    uint64_t place;
    int rc = etg_local_index_find(index, ETG_LOCAL_RECORD,
                                  etg_local_key_hash(key), is_record, &sought,
                                  &place);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    record->place = place;
    record->expires_s = row_expires(&sought.row);
    record->value.data = (const unsigned char *)sought.row.mv_data
                         + ETG_LOCAL_RECORD_HEAD;
    record->value.length = sought.row.mv_size - ETG_LOCAL_RECORD_HEAD;
    return MDB_SUCCESS;
}

int etg_local_record_put(etg_local_batch *batch, const etg_store_key *key,
                         etg_bytes value, apr_time_t expires_at)
{
    etg_store *store = batch->store;
    probe sought = { batch->txn, store->records, key, { 0, NULL } };
    uint64_t hash = etg_local_key_hash(key);
    uint32_t expires_s = etg_local_seconds(expires_at);
    uint64_t place = 0;
    if (value.length > longest(store)) {
        return E2BIG;
    }
    int rc = etg_local_index_find_in(batch, ETG_LOCAL_RECORD, hash, is_record,
                                     &sought, &place);
    if (rc == MDB_NOTFOUND) {
        return row_append(batch, key, expires_s, value);
    }
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    if (value.length + ETG_LOCAL_RECORD_HEAD <= sought.row.mv_size) {
        return row_put(batch, place, key, expires_s, value, 0);
    }
    MDB_val row_key = { sizeof(place), &place };
    rc = mdb_del(batch->txn, store->records, &row_key, NULL);
    if (rc == MDB_SUCCESS) {
        rc = etg_local_index_drop(batch, ETG_LOCAL_RECORD, hash, place);
    }
    return rc != MDB_SUCCESS ? rc : row_append(batch, key, expires_s, value);
}

int etg_local_record_drop(etg_local_batch *batch, const etg_store_key *key)
{
    etg_store *store = batch->store;
    probe sought = { batch->txn, store->records, key, { 0, NULL } };
    uint64_t hash = etg_local_key_hash(key);
    uint64_t place = 0;
    int rc = etg_local_index_find_in(batch, ETG_LOCAL_RECORD, hash, is_record,
                                     &sought, &place);
    if (rc != MDB_SUCCESS) {
        return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
    }
    MDB_val row_key = { sizeof(place), &place };
    rc = mdb_del(batch->txn, store->records, &row_key, NULL);
    return rc != MDB_SUCCESS ? rc
           : etg_local_index_drop(batch, ETG_LOCAL_RECORD, hash, place);
}

int etg_local_record_write(etg_local_batch *batch, etg_store_write *write)
{
    etg_store *store = batch->store;
    probe sought = { batch->txn, store->records, &write->primary_key,
                     { 0, NULL } };
    etg_bytes old = { NULL, 0 };
    etg_bytes fresh = { NULL, 0 };
    apr_time_t expires_at = 0;
    apr_pool_t *scratch;
    uint64_t place;
    int rc = etg_local_index_find_in(batch, ETG_LOCAL_RECORD,
                                     etg_local_key_hash(&write->primary_key),
                                     is_record, &sought, &place);
    if (rc == MDB_SUCCESS) {
        old.data = (const unsigned char *)sought.row.mv_data
                   + ETG_LOCAL_RECORD_HEAD;
        old.length = sought.row.mv_size - ETG_LOCAL_RECORD_HEAD;
    }
    else if (rc != MDB_NOTFOUND) {
        return rc;
    }
    if (apr_pool_create(&scratch, write->pool) != APR_SUCCESS) {
        return ENOMEM;
    }
    rc = MDB_SUCCESS;
    if (write->update(write, old, scratch, &fresh, &expires_at)
        == APR_SUCCESS) {
        rc = fresh.length == 0
             ? etg_local_record_drop(batch, &write->primary_key)
             : etg_local_record_put(batch, &write->primary_key, fresh,
                                    expires_at);
        if (rc == MDB_SUCCESS && write->response.data != NULL) {
            rc = etg_local_record_put(batch, &write->response_key,
                                      write->response,
                                      write->response_expires_at);
        }
    }
    apr_pool_destroy(scratch);
    return rc;
}

int etg_local_record_evict(etg_local_batch *batch, unsigned int rows)
{
    uint64_t sequences[ROWS_MAX];
    unsigned int with_mark[ETG_LOCAL_MARK_MAX + 1] = { 0 };
    unsigned int count = 0;
    MDB_cursor *cursor;
    MDB_val key, row;
    rows = rows < ROWS_MAX ? rows : ROWS_MAX;
    int rc = mdb_cursor_open(batch->txn, batch->store->records, &cursor);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &row, MDB_FIRST);
    while (rc == MDB_SUCCESS && count < rows) {
        etg_store_key record_key;
        memcpy(&sequences[count++], key.mv_data, sizeof(sequences[0]));
        memcpy(record_key.bytes, row.mv_data, sizeof(record_key.bytes));
        if (row_expires(&row) > batch->now_s) {
            with_mark[etg_local_mark(batch->store,
                                     etg_local_key_hash(&record_key))
                      & ETG_LOCAL_MARK_MAX]++;
        }
        rc = mdb_cursor_get(cursor, &key, &row, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return rc;
    }
    unsigned int threshold = ETG_LOCAL_MARK_MAX + 1;
    unsigned int kept = 0;
    while (threshold > 1 && kept + with_mark[threshold - 1] <= count / 2) {
        kept += with_mark[--threshold];
    }
    rc = count == 0 ? MDB_NOTFOUND : MDB_SUCCESS;
    for (unsigned int i = 0; i < count && rc == MDB_SUCCESS; i++) {
        rc = row_retire(batch, sequences[i], threshold);
    }
    return rc;
}

static int is_record(void *baton, uint64_t place)
{
    probe *sought = baton;
    MDB_val key = { sizeof(place), &place };
    MDB_val row;
    if (mdb_get(sought->txn, sought->records, &key, &row) != MDB_SUCCESS
        || row.mv_size < ETG_LOCAL_RECORD_HEAD
        || memcmp(row.mv_data, sought->key->bytes, ETG_STORE_KEY_BYTES)
           != 0) {
        return 0;
    }
    sought->row = row;
    return 1;
}

static int row_put(etg_local_batch *batch, uint64_t sequence,
                   const etg_store_key *key, uint32_t expires_s,
                   etg_bytes value, unsigned int flags)
{
    MDB_val row_key = { sizeof(sequence), &sequence };
    MDB_val row = { ETG_LOCAL_RECORD_HEAD + value.length, NULL };
    int rc = mdb_put(batch->txn, batch->store->records, &row_key, &row,
                     MDB_RESERVE | flags);
    if (rc == MDB_SUCCESS) {
        unsigned char *bytes = row.mv_data;
        memcpy(bytes, key->bytes, ETG_STORE_KEY_BYTES);
        memcpy(bytes + ETG_STORE_KEY_BYTES, &expires_s, sizeof(expires_s));
        memcpy(bytes + ETG_LOCAL_RECORD_HEAD, value.data, value.length);
    }
    return rc;
}

static int row_append(etg_local_batch *batch, const etg_store_key *key,
                      uint32_t expires_s, etg_bytes value)
{
    etg_store *store = batch->store;
    uint64_t sequence = atomic_fetch_add(&store->control->record_seq, 1) + 1;
    int rc = row_put(batch, sequence, key, expires_s, value, MDB_APPEND);
    return rc != MDB_SUCCESS ? rc
           : etg_local_index_add(batch, ETG_LOCAL_RECORD,
                                 etg_local_key_hash(key), sequence);
}

static uint32_t row_expires(const MDB_val *row)
{
    uint32_t expires_s;
    memcpy(&expires_s,
           (const unsigned char *)row->mv_data + ETG_STORE_KEY_BYTES,
           sizeof(expires_s));
    return expires_s;
}

/* Drops an old row, or moves it to the end if its mark reaches the
 * threshold. */
static int row_retire(etg_local_batch *batch, uint64_t sequence,
                      unsigned int threshold)
{
    etg_store *store = batch->store;
    etg_store_key key;
    MDB_val row_key = { sizeof(sequence), &sequence };
    MDB_val row;
    unsigned char *copy = NULL;
    int rc = mdb_get(batch->txn, store->records, &row_key, &row);
    if (rc != MDB_SUCCESS) {
        return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
    }
    apr_size_t length = row.mv_size - ETG_LOCAL_RECORD_HEAD;
    uint32_t expires_s = row_expires(&row);
    memcpy(key.bytes, row.mv_data, sizeof(key.bytes));
    uint64_t hash = etg_local_key_hash(&key);
    unsigned int mark = etg_local_mark(store, hash);
    if (mark >= threshold && expires_s > batch->now_s) {
        copy = malloc(length + 1);
    }
    if (copy != NULL) {
        memcpy(copy, (unsigned char *)row.mv_data + ETG_LOCAL_RECORD_HEAD,
               length);
    }
    rc = mdb_del(batch->txn, store->records, &row_key, NULL);
    if (rc == MDB_SUCCESS) {
        rc = etg_local_index_drop(batch, ETG_LOCAL_RECORD, hash, sequence);
    }
    if (rc == MDB_SUCCESS && copy != NULL) {
        etg_bytes value = { copy, length };
        rc = row_append(batch, &key, expires_s, value);
        etg_local_mark_set(store, hash, mark / 2);
    }
    etg_local_count_add(store, copy != NULL ? ETG_LOCAL_KEPT_RECORDS
                                            : ETG_LOCAL_EVICTED_RECORDS, 1);
    free(copy);
    return rc;
}

/* A record may take a sixteenth of the map, and no more than 256 KiB. */
static apr_size_t longest(const etg_store *store)
{
    uint64_t share = store->geometry.map_bytes / 16;
    return share < 256 * 1024 ? share : 256 * 1024;
}
