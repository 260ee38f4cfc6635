/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_purge.c: the clock that purges move, and what they have marked.
 *
 * The clock and the marks of everything are atomics in the control file: a
 * purge of everything is done when the call returns. What was marked by tag
 * is in two LMDB databases, so that it is one view with the records:
 *
 *   tags        tag -> readings of its last soft, invalid and gone mark
 *   tag-order   reading of a tag's last mark -> tag, one row per tag
 *
 * Only a purge makes rows, so writing a response costs nothing here. Before
 * the rows stands a table in the control file: each tag falls into one of its
 * slots, and no tag of a slot was marked after the slot's reading. Most tags
 * of most look-ups need no search.
 *
 * There is room for a share of the map; the tags marked longest ago give way
 * to new ones. A tag without a row was never marked, or not since both the
 * reading `tag_floor` and that of its slot. A response older than that, with
 * such a tag, shows as invalid: its mark may have been forgotten.
 *
 * The clock moves before the marks are there, so a response that was looked
 * up in between has a moment that the marks do not reach. It was fetched
 * after the purge began, which is all that a purge may promise before it
 * returns.
 */
#include "local_store.h"

#include <stdlib.h>
#include <string.h>

typedef struct purge_job {
    etg_local_job job;
    int kind;
    unsigned int count;
    uint64_t tags[];
} purge_job;

/* A row of `tags`. */
typedef struct marked {
    uint64_t at[ETG_LOCAL_PURGES];
} marked;

static apr_status_t tags_purge(etg_store *store, const etg_store_tag *tags,
                               unsigned int count, int kind,
                               apr_interval_time_t wait);
static uint64_t clock_move(etg_local_control *control, unsigned int by);
static void raise_to(_Atomic uint64_t *at_least, uint64_t reading);
static int purge_run(etg_local_batch *batch, etg_local_job *job);
static void purge_finish(etg_store *store, etg_local_job *job, int result);
static _Atomic uint64_t *slot_of(const etg_store *store, uint64_t tag);
static uint64_t forgotten(const etg_store *store, uint64_t tag);
static int tag_mark(etg_local_batch *batch, uint64_t tag, int kind,
                    uint64_t reading);
static int tags_trim(etg_local_batch *batch);
static int oldest_forget(etg_local_batch *batch);
static int marked_get(etg_store *store, MDB_txn *txn, uint64_t tag,
                      marked *row);
static uint64_t marked_last(const marked *row);
static void compare(uint64_t reading, int kind, uint64_t moment,
                    etg_store_mark *mark, apr_time_t *marked_at);

apr_status_t etg_local_purge(etg_store *store, const etg_store_tag *tags,
                             unsigned count, etg_store_mark mark,
                             apr_interval_time_t wait, unsigned *moved)
{
    int kind = (int)mark - ETG_STORE_MARK_SOFT;
    *moved = 0;
    if (kind < 0 || kind >= ETG_LOCAL_PURGES
        || count > ETG_STORE_TAGS_MAX) {
        return APR_EINVAL;
    }
    if (!etg_local_is_up(store)) {
        return APR_EGENERAL;
    }
    if (count == 0) {
        raise_to(&store->control->all_marked[kind],
                 clock_move(store->control, 1));
        *moved = 1;
        return APR_SUCCESS;
    }
    apr_status_t rv = tags_purge(store, tags, count, kind, wait);
    if (rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv)) {
        *moved = count;
    }
    return rv;
}

int etg_local_purge_compare(etg_store *store, MDB_txn *txn,
                            const etg_local_response *response,
                            etg_store_mark *mark, apr_time_t *marked_at)
{
    etg_local_control *control = store->control;
    uint64_t moment = response->moment;
    *mark = ETG_STORE_MARK_NONE;
    *marked_at = 0;
    for (int kind = 0; kind < ETG_LOCAL_PURGES; kind++) {
        compare(atomic_load(&control->all_marked[kind]), kind, moment, mark,
                marked_at);
    }
    for (unsigned int i = 0; i < response->tag_count; i++) {
        uint64_t tag;
        marked row;
        memcpy(&tag, response->tags + i * sizeof(tag), sizeof(tag));
        if (atomic_load(slot_of(store, tag)) <= moment) {
            continue;
        }
        int rc = marked_get(store, txn, tag, &row);
        if (rc == MDB_NOTFOUND) {
            compare(forgotten(store, tag), ETG_LOCAL_PURGE_INVALID, moment,
                    mark, marked_at);
            continue;
        }
        if (rc != MDB_SUCCESS) {
            return rc;
        }
        for (int kind = 0; kind < ETG_LOCAL_PURGES; kind++) {
            compare(row.at[kind], kind, moment, mark, marked_at);
        }
    }
    return MDB_SUCCESS;
}

static apr_status_t tags_purge(etg_store *store, const etg_store_tag *tags,
                               unsigned int count, int kind,
                               apr_interval_time_t wait)
{
    purge_job *job = calloc(1, sizeof(*job) + count * sizeof(job->tags[0]));
    if (job == NULL) {
        return APR_ENOMEM;
    }
    job->kind = kind;
    job->count = count;
    memcpy(job->tags, tags, count * sizeof(job->tags[0]));
    job->job.run = purge_run;
    job->job.finish = purge_finish;
    job->job.bytes = sizeof(*job) + count * sizeof(job->tags[0]);
    return etg_local_writer_run(store, &job->job, wait);
}

/* Takes `by` readings and returns the first. Nobody ever reads those between:
 * a moment is from before all of them or not before any. */
static uint64_t clock_move(etg_local_control *control, unsigned int by)
{
    uint64_t before = atomic_load(&control->reading);
    uint64_t now = (uint64_t)apr_time_now();
    uint64_t first;
    do {
        first = now > before ? now : before + 1;
    } while (!atomic_compare_exchange_weak(&control->reading, &before,
                                           first + by - 1));
    return first;
}

static void raise_to(_Atomic uint64_t *at_least, uint64_t reading)
{
    uint64_t before = atomic_load(at_least);
    while (before < reading
           && !atomic_compare_exchange_weak(at_least, &before, reading)) {
        /* `before` is what it is now */
    }
}

static int purge_run(etg_local_batch *batch, etg_local_job *job)
{
    purge_job *purge = (purge_job *)job;
    uint64_t reading = clock_move(batch->store->control, purge->count);
    int rc = MDB_SUCCESS;
    for (unsigned int i = 0; i < purge->count && rc == MDB_SUCCESS; i++) {
        rc = tag_mark(batch, purge->tags[i], purge->kind, reading + i);
    }
    return rc != MDB_SUCCESS ? rc : tags_trim(batch);
}

static void purge_finish(etg_store *store, etg_local_job *job, int result)
{
    (void)store;
    (void)job;
    (void)result;
}

/* Tags are hashes already. */
static _Atomic uint64_t *slot_of(const etg_store *store, uint64_t tag)
{
    return &store->tag_slots[tag & (store->geometry.tag_slots - 1)];
}

/* The last reading at which a tag without a row may have been marked. */
static uint64_t forgotten(const etg_store *store, uint64_t tag)
{
    uint64_t floor_ = atomic_load(&store->control->tag_floor);
    uint64_t slot = atomic_load(slot_of(store, tag));
    return slot < floor_ ? slot : floor_;
}

static int tag_mark(etg_local_batch *batch, uint64_t tag, int kind,
                    uint64_t reading)
{
    etg_store *store = batch->store;
    marked row;
    MDB_val key = { sizeof(tag), &tag };
    MDB_val value = { sizeof(row), &row };
    int rc = marked_get(store, batch->txn, tag, &row);
    if (rc == MDB_SUCCESS) {
        uint64_t last = marked_last(&row);
        MDB_val order = { sizeof(last), &last };
        rc = mdb_del(batch->txn, store->tag_order, &order, NULL);
    }
    else if (rc == MDB_NOTFOUND) {
        memset(&row, 0, sizeof(row));
        row.at[ETG_LOCAL_PURGE_INVALID] = forgotten(store, tag);
        rc = MDB_SUCCESS;
    }
    if (rc != MDB_SUCCESS) {
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    }
    row.at[kind] = reading;
    raise_to(slot_of(store, tag), reading);
    rc = mdb_put(batch->txn, store->tags, &key, &value, 0);
    if (rc == MDB_SUCCESS) {
        MDB_val order = { sizeof(reading), &reading };
        rc = mdb_put(batch->txn, store->tag_order, &order, &key, 0);
    }
    return rc;
}

static int tags_trim(etg_local_batch *batch)
{
    MDB_stat known;
    uint64_t limit = batch->store->geometry.map_bytes
                     / ETG_LOCAL_BYTES_PER_TAG;
    int rc = mdb_stat(batch->txn, batch->store->tag_order, &known);
    while (rc == MDB_SUCCESS && known.ms_entries > limit) {
        known.ms_entries--;
        rc = oldest_forget(batch);
    }
    return rc;
}

/* The floor rises first: who no longer sees the row sees the floor. */
static int oldest_forget(etg_local_batch *batch)
{
    etg_store *store = batch->store;
    MDB_cursor *cursor;
    MDB_val order, value;
    uint64_t reading, tag;
    int rc = mdb_cursor_open(batch->txn, store->tag_order, &cursor);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &order, &value, MDB_FIRST);
    if (rc == MDB_SUCCESS && (order.mv_size != sizeof(reading)
                              || value.mv_size != sizeof(tag))) {
        rc = MDB_CORRUPTED;
    }
    if (rc == MDB_SUCCESS) {
        memcpy(&reading, order.mv_data, sizeof(reading));
        memcpy(&tag, value.mv_data, sizeof(tag));
        raise_to(&store->control->tag_floor, reading);
        rc = mdb_cursor_del(cursor, 0);
    }
    mdb_cursor_close(cursor);
    if (rc == MDB_SUCCESS) {
        MDB_val key = { sizeof(tag), &tag };
        rc = mdb_del(batch->txn, store->tags, &key, NULL);
        etg_local_count_add(store, ETG_LOCAL_EVICTED_TAGS, 1);
    }
    return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

static int marked_get(etg_store *store, MDB_txn *txn, uint64_t tag,
                      marked *row)
{
    MDB_val key = { sizeof(tag), &tag };
    MDB_val value;
    int rc = mdb_get(txn, store->tags, &key, &value);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    if (value.mv_size != sizeof(*row)) {
        return MDB_CORRUPTED;
    }
    memcpy(row, value.mv_data, sizeof(*row));
    return MDB_SUCCESS;
}

static uint64_t marked_last(const marked *row)
{
    uint64_t last = 0;
    for (int kind = 0; kind < ETG_LOCAL_PURGES; kind++) {
        last = row->at[kind] > last ? row->at[kind] : last;
    }
    return last;
}

/* Of marks of one kind the first is known to be that old at least. */
static void compare(uint64_t reading, int kind, uint64_t moment,
                    etg_store_mark *mark, apr_time_t *marked_at)
{
    etg_store_mark sort = ETG_STORE_MARK_SOFT + (unsigned int)kind;
    if (reading <= moment || sort < *mark) {
        return;
    }
    if (sort > *mark || (apr_time_t)reading < *marked_at) {
        *mark = sort;
        *marked_at = (apr_time_t)reading;
    }
}
