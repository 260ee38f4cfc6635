/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_record.c: metadata.
 *
 * Records are rows of an LMDB database in order of writing: sequence number
 * -> head and bytes. Appended in order, its pages are full (a tree in key
 * order would leave a third of each empty), and dropping the oldest frees
 * whole pages. A row holds one record or, in the usual case of one response
 * per key, a primary record with the response written last, in one piece:
 *
 *   0   key, 16
 *   16  expiry, seconds
 *   20  length of the first record: 24 bits; how many tags: 7; PAIR
 *   24  moment of the response that is in the row; 0 if there is none
 *   32  pair only: key of the response, 16; its expiry, 4
 *       the response's tags, 8 each
 *       the first record, then the second
 *
 * That saves a row and an index item per entry and makes a look-up one
 * search. A response that is pushed out of its pair by another variant gets a
 * row of its own. A row that is replaced by one that is no longer keeps its
 * place; otherwise it moves to the end.
 *
 * New rows are young and go first, the oldest of them, as with bodies
 * (local_recycle.c); of those looked at together the most used, at most half,
 * move to the end of the old ones, a database of its own, with half their
 * mark.
 */
#include "local_store.h"

#include <apr_strings.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64
#define YOUNG_SHARE 4           /* of the map: a quarter */
#define PAIR_BYTES 20
#define PAIR 0x80000000u
#define TAGS_SHIFT 24
#define LENGTH_MASK 0xffffffu

typedef struct probe {
    etg_store *store;
    MDB_txn *txn;
    const etg_store_key *key;
    MDB_val row;
} probe;

static int is_row(void *baton, uint64_t place);
static int row_parse(const MDB_val *bytes, etg_local_row *row);
static int row_find_in(etg_local_batch *batch, const etg_store_key *key,
                       etg_local_row *row);
static int record_change(etg_local_batch *batch, etg_store_write *write,
                         etg_local_row *old, apr_pool_t *scratch);
static int variants_part(etg_local_batch *batch, const etg_local_row *old,
                         const etg_store_key *key);
static int row_store(etg_local_batch *batch, const etg_local_row *row,
                     const etg_local_row *old);
static int row_put(etg_local_batch *batch, uint64_t sequence,
                   const etg_local_row *row, unsigned int flags);
static int row_append(etg_local_batch *batch, etg_local_age age,
                      const etg_local_row *row);
static etg_local_age age_of(uint64_t place);
static int age_due(etg_local_batch *batch, etg_local_age *age);
static int row_drop(etg_local_batch *batch, const etg_local_row *row);
static apr_size_t row_bytes(const etg_local_row *row);
static int row_retire(etg_local_batch *batch, uint64_t sequence,
                      etg_local_keep *keep);
static apr_size_t longest(const etg_store *store);

int etg_local_row_find(etg_store *store, MDB_txn *txn, MDB_cursor *index,
                       const etg_store_key *key, etg_local_row *row)
{
    probe sought = { store, txn, key, { 0, NULL } };
    uint64_t place;
    int rc = etg_local_index_find(index, ETG_LOCAL_RECORD,
                                  etg_local_key_hash(key), is_row, &sought,
                                  &place);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    row->place = place;
    return row_parse(&sought.row, row) ? MDB_SUCCESS : MDB_CORRUPTED;
}

int etg_local_row_response(etg_store *store, MDB_txn *txn, MDB_cursor *index,
                           const etg_local_row *primary,
                           const etg_store_key *key,
                           etg_local_response *response)
{
    etg_local_row alone;
    const etg_local_row *row = primary;
    if (primary->second.data != NULL
        && memcmp(&primary->second_key, key, sizeof(*key)) == 0) {
        response->bytes = primary->second;
        response->expires_s = primary->second_expires_s;
    }
    else {
        int rc = etg_local_row_find(store, txn, index, key, &alone);
        if (rc != MDB_SUCCESS) {
            return rc;
        }
        row = &alone;
        response->bytes = alone.first;
        response->expires_s = alone.first_expires_s;
    }
    response->moment = row->moment;
    response->tags = row->tags;
    response->tag_count = row->tag_count;
    return MDB_SUCCESS;
}

int etg_local_record_write(etg_local_batch *batch, etg_store_write *write)
{
    etg_local_row old;
    apr_pool_t *scratch;
    int rc = row_find_in(batch, &write->primary_key, &old);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (apr_pool_create(&scratch, write->pool) != APR_SUCCESS) {
        return ENOMEM;
    }
    rc = record_change(batch, write, rc == MDB_SUCCESS ? &old : NULL,
                       scratch);
    apr_pool_destroy(scratch);
    return rc;
}

int etg_local_record_evict(etg_local_batch *batch, unsigned int rows)
{
    uint64_t sequences[ROWS_MAX];
    uint64_t with_mark[ETG_LOCAL_MARK_MAX + 1] = { 0 };
    unsigned int count = 0;
    MDB_cursor *cursor;
    MDB_val key, bytes;
    etg_local_age age = ETG_LOCAL_YOUNG;
    rows = rows < ROWS_MAX ? rows : ROWS_MAX;
    int rc = age_due(batch, &age);
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_open(batch->txn, batch->store->records[age],
                             &cursor);
    }
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &bytes, MDB_FIRST);
    while (rc == MDB_SUCCESS && count < rows) {
        etg_local_row row;
        memcpy(&sequences[count++], key.mv_data, sizeof(sequences[0]));
        if (!row_parse(&bytes, &row)) {
            rc = MDB_CORRUPTED;
            break;
        }
        if (row.first_expires_s > batch->now_s) {
            with_mark[etg_local_mark(batch->store,
                                     etg_local_key_hash(&row.key))]++;
        }
        rc = mdb_cursor_get(cursor, &key, &bytes, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return rc;
    }
    etg_local_keep keep;
    etg_local_keep_plan(&keep, with_mark, count / 2);
    rc = count == 0 ? MDB_NOTFOUND : MDB_SUCCESS;
    for (unsigned int i = 0; i < count && rc == MDB_SUCCESS; i++) {
        rc = row_retire(batch, sequences[i], &keep);
    }
    return rc;
}

static int is_row(void *baton, uint64_t place)
{
    probe *sought = baton;
    MDB_val key = { sizeof(place), &place };
    MDB_val row;
    int rc = mdb_get(sought->txn, sought->store->records[age_of(place)],
                     &key, &row);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    if (row.mv_size < ETG_LOCAL_ROW_HEAD
        || memcmp(row.mv_data, sought->key->bytes, ETG_STORE_KEY_BYTES)
           != 0) {
        return MDB_NOTFOUND;
    }
    sought->row = row;
    return MDB_SUCCESS;
}

static int row_parse(const MDB_val *bytes, etg_local_row *row)
{
    const unsigned char *at = bytes->mv_data;
    apr_size_t head = ETG_LOCAL_ROW_HEAD;
    uint32_t length;
    if (bytes->mv_size < ETG_LOCAL_ROW_HEAD) {
        return 0;
    }
    row->bytes = bytes->mv_size;
    memcpy(&row->key, at, sizeof(row->key));
    memcpy(&row->first_expires_s, at + 16, 4);
    memcpy(&length, at + 20, 4);
    memcpy(&row->moment, at + 24, 8);
    row->second.data = NULL;
    row->second.length = 0;
    int is_pair = (length & PAIR) != 0;
    if (is_pair) {
        head += PAIR_BYTES;
    }
    row->tags = at + head;
    row->tag_count = (length & ~PAIR) >> TAGS_SHIFT;
    head += row->tag_count * sizeof(etg_store_tag);
    length &= LENGTH_MASK;
    if (row->tag_count > ETG_STORE_TAGS_MAX
        || bytes->mv_size < head || bytes->mv_size - head < length) {
        return 0;
    }
    if (is_pair) {
        memcpy(&row->second_key, at + ETG_LOCAL_ROW_HEAD,
               sizeof(row->second_key));
        memcpy(&row->second_expires_s, at + ETG_LOCAL_ROW_HEAD + 16, 4);
        row->second.data = at + head + length;
        row->second.length = bytes->mv_size - head - length;
    }
    row->first.data = at + head;
    row->first.length = length;
    return 1;
}

static int row_find_in(etg_local_batch *batch, const etg_store_key *key,
                       etg_local_row *row)
{
    MDB_cursor *index;
    int rc = mdb_cursor_open(batch->txn, batch->store->index, &index);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = etg_local_row_find(batch->store, batch->txn, index, key, row);
    mdb_cursor_close(index);
    return rc;
}

/* `old` points into pages that the first change may move: what is still
 * needed of it then is copied into `scratch`. */
static int record_change(etg_local_batch *batch, etg_store_write *write,
                         etg_local_row *old, apr_pool_t *scratch)
{
    etg_bytes none = { NULL, 0 };
    apr_time_t expires_at = 0;
    etg_local_row row;
    int rc = MDB_SUCCESS;
    memset(&row, 0, sizeof(row));
    if (write->update(write, old != NULL ? old->first : none, scratch,
                      &row.first, &expires_at) != APR_SUCCESS) {
        return MDB_SUCCESS;
    }
    if (row.first.length == 0) {
        return old != NULL ? row_drop(batch, old) : MDB_SUCCESS;
    }
    row.key = write->primary_key;
    row.first_expires_s = etg_local_seconds(expires_at);
    if (old != NULL && old->second.data != NULL) {
        old->second.data = apr_pmemdup(scratch, old->second.data,
                                       old->second.length);
        old->tags = apr_pmemdup(scratch, old->tags,
                                old->tag_count * sizeof(etg_store_tag));
        row.second_key = old->second_key;
        row.second_expires_s = old->second_expires_s;
        row.second = old->second;
        row.moment = old->moment;
        row.tags = old->tags;
        row.tag_count = old->tag_count;
    }
    if (write->response.data != NULL) {
        if (row.second.data != NULL
            && memcmp(&row.second_key, &write->response_key,
                      sizeof(row.second_key)) != 0) {
            rc = variants_part(batch, old, &write->response_key);
        }
        row.second_key = write->response_key;
        row.second_expires_s = etg_local_seconds(write->response_expires_at);
        row.second = write->response;
        row.moment = write->moment.of[0];
        row.tags = (const unsigned char *)write->tags;
        row.tag_count = write->tag_count;
    }
    return rc != MDB_SUCCESS ? rc : row_store(batch, &row, old);
}

/* The response in the pair makes room for that of `key`, which may have a row
 * of its own until now. */
static int variants_part(etg_local_batch *batch, const etg_local_row *old,
                         const etg_store_key *key)
{
    etg_local_row alone;
    etg_local_row pushed;
    int rc = row_find_in(batch, key, &alone);
    if (rc == MDB_SUCCESS) {
        rc = row_drop(batch, &alone);
    }
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return rc;
    }
    memset(&pushed, 0, sizeof(pushed));
    pushed.key = old->second_key;
    pushed.first_expires_s = old->second_expires_s;
    pushed.first = old->second;
    pushed.moment = old->moment;
    pushed.tags = old->tags;
    pushed.tag_count = old->tag_count;
    rc = row_find_in(batch, &pushed.key, &alone);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return rc;
    }
    return row_store(batch, &pushed, rc == MDB_SUCCESS ? &alone : NULL);
}

static int row_store(etg_local_batch *batch, const etg_local_row *row,
                     const etg_local_row *old)
{
    if (row_bytes(row) > longest(batch->store)) {
        return E2BIG;
    }
    if (old == NULL) {
        uint64_t hash = etg_local_key_hash(&row->key);
        return row_append(batch, etg_local_ghost_take(batch->store, hash)
                                 ? ETG_LOCAL_OLD : ETG_LOCAL_YOUNG, row);
    }
    if (row_bytes(row) <= old->bytes) {
        return row_put(batch, old->place, row, 0);
    }
    int rc = row_drop(batch, old);
    return rc != MDB_SUCCESS ? rc
           : row_append(batch, age_of(old->place), row);
}

static int row_put(etg_local_batch *batch, uint64_t sequence,
                   const etg_local_row *row, unsigned int flags)
{
    MDB_val key = { sizeof(sequence), &sequence };
    MDB_val bytes = { row_bytes(row), NULL };
    int rc = mdb_put(batch->txn, batch->store->records[age_of(sequence)],
                     &key, &bytes, MDB_RESERVE | flags);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    unsigned char *at = bytes.mv_data;
    apr_size_t tag_bytes = row->tag_count * sizeof(etg_store_tag);
    uint32_t length = (uint32_t)row->first.length;
    length |= row->tag_count << TAGS_SHIFT;
    length |= row->second.data != NULL ? PAIR : 0;
    memcpy(at, &row->key, 16);
    memcpy(at + 16, &row->first_expires_s, 4);
    memcpy(at + 20, &length, 4);
    memcpy(at + 24, &row->moment, 8);
    at += ETG_LOCAL_ROW_HEAD;
    if (row->second.data != NULL) {
        memcpy(at, &row->second_key, 16);
        memcpy(at + 16, &row->second_expires_s, 4);
        at += PAIR_BYTES;
    }
    if (tag_bytes > 0) {
        memcpy(at, row->tags, tag_bytes);
        at += tag_bytes;
    }
    memcpy(at, row->first.data, row->first.length);
    if (row->second.data != NULL) {
        memcpy(at + row->first.length, row->second.data, row->second.length);
    }
    return MDB_SUCCESS;
}

static etg_local_age age_of(uint64_t place)
{
    return (place & ETG_LOCAL_ROW_OLD) != 0 ? ETG_LOCAL_OLD : ETG_LOCAL_YOUNG;
}

/* The young give way if they have more than their share of the pages. */
static int age_due(etg_local_batch *batch, etg_local_age *age)
{
    etg_store *store = batch->store;
    MDB_stat young, old;
    int rc = mdb_stat(batch->txn, store->records[ETG_LOCAL_YOUNG], &young);
    if (rc == MDB_SUCCESS) {
        rc = mdb_stat(batch->txn, store->records[ETG_LOCAL_OLD], &old);
    }
    if (rc == MDB_SUCCESS) {
        uint64_t pages = young.ms_branch_pages + young.ms_leaf_pages
                         + young.ms_overflow_pages;
        *age = old.ms_entries == 0
               || pages > store->geometry.map_bytes / 4096 / YOUNG_SHARE
               ? ETG_LOCAL_YOUNG : ETG_LOCAL_OLD;
    }
    return rc;
}

static int row_append(etg_local_batch *batch, etg_local_age age,
                      const etg_local_row *row)
{
    etg_store *store = batch->store;
    uint64_t sequence = atomic_fetch_add(&store->control->record_seq, 1) + 1;
    sequence |= age == ETG_LOCAL_OLD ? ETG_LOCAL_ROW_OLD : 0;
    int rc = row_put(batch, sequence, row, MDB_APPEND);
    return rc != MDB_SUCCESS ? rc
           : etg_local_index_add(batch, ETG_LOCAL_RECORD,
                                 etg_local_key_hash(&row->key), sequence);
}

static int row_drop(etg_local_batch *batch, const etg_local_row *row)
{
    uint64_t place = row->place;
    uint64_t hash = etg_local_key_hash(&row->key);
    MDB_val key = { sizeof(place), &place };
    int rc = mdb_del(batch->txn, batch->store->records[age_of(place)], &key,
                     NULL);
    return rc != MDB_SUCCESS ? rc
           : etg_local_index_drop(batch, ETG_LOCAL_RECORD, hash, place);
}

static apr_size_t row_bytes(const etg_local_row *row)
{
    apr_size_t bytes = ETG_LOCAL_ROW_HEAD + row->first.length
                       + row->tag_count * sizeof(etg_store_tag);
    return row->second.data == NULL ? bytes
           : bytes + PAIR_BYTES + row->second.length;
}

/* Drops a row, or moves it to the end of the old ones. */
static int row_retire(etg_local_batch *batch, uint64_t sequence,
                      etg_local_keep *keep)
{
    etg_store *store = batch->store;
    MDB_val key = { sizeof(sequence), &sequence };
    MDB_val bytes;
    etg_local_row row;
    void *copy = NULL;
    int rc = mdb_get(batch->txn, store->records[age_of(sequence)], &key,
                     &bytes);
    if (rc != MDB_SUCCESS) {
        return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
    }
    if (!row_parse(&bytes, &row)) {
        return MDB_CORRUPTED;
    }
    row.place = sequence;
    uint64_t hash = etg_local_key_hash(&row.key);
    unsigned int mark = etg_local_mark(store, hash);
    if (row.first_expires_s > batch->now_s
        && etg_local_keep_is(keep, mark, 1)) {
        copy = malloc(bytes.mv_size);
    }
    if (copy != NULL) {
        MDB_val copied = { bytes.mv_size, copy };
        memcpy(copy, bytes.mv_data, bytes.mv_size);
        row_parse(&copied, &row);
    }
    rc = row_drop(batch, &row);
    if (rc == MDB_SUCCESS && copy != NULL) {
        rc = row_append(batch, ETG_LOCAL_OLD, &row);
        etg_local_mark_set(store, hash, mark / 2);
    }
    else if (rc == MDB_SUCCESS) {
        etg_local_mark_set(store, hash, mark / 2);
        etg_local_ghost_set(store, hash);
    }
    etg_local_count_add(store, copy != NULL ? ETG_LOCAL_KEPT_RECORDS
                                            : ETG_LOCAL_EVICTED_RECORDS, 1);
    free(copy);
    return rc;
}

/* A row may take a sixteenth of the map, and no more than 256 KiB. */
static apr_size_t longest(const etg_store *store)
{
    uint64_t share = store->geometry.map_bytes / 16;
    return share < 256 * 1024 ? share : 256 * 1024;
}
