/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_counters.c: what the store says about itself. Sums are over all
 * processes that share the folder; dropped and failed operations of a store
 * that is down are not counted here.
 */
#include "local_store.h"

static void row_add(apr_array_header_t *rows, const char *name,
                    uint64_t value);
static uint64_t packed_bytes(const etg_store *store);

apr_status_t etg_local_counters(etg_store *store, apr_pool_t *p,
                                apr_array_header_t **rows)
{
    static const char *const names[ETG_LOCAL_COUNTS] = {
        "evicted_records", "evicted_bodies", "evicted_files", "kept_records",
        "kept_bodies", "dropped_writes", "failed_reads", "damaged_bodies",
        "recycled_segments", "evicted_tags"
    };
    etg_local_reader *reader;
    MDB_stat records, old_records, index, files, tags;
    apr_status_t rv = etg_local_read_begin(store, &reader);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    mdb_stat(reader->txn, store->records[ETG_LOCAL_YOUNG], &records);
    mdb_stat(reader->txn, store->records[ETG_LOCAL_OLD], &old_records);
    records.ms_entries += old_records.ms_entries;
    mdb_stat(reader->txn, store->index, &index);
    mdb_stat(reader->txn, store->files, &files);
    mdb_stat(reader->txn, store->tags, &tags);
    uint64_t pages = 0;
    int rc = etg_local_env_used_pages(store, reader->txn, &pages);
    etg_local_read_end(reader);
    if (rc != MDB_SUCCESS) {
        return etg_local_env_status(store, rc);
    }
    etg_local_control *control = store->control;
    apr_array_header_t *made = apr_array_make(p, 24,
                                              sizeof(etg_store_counter));
    row_add(made, "size", store->geometry.size);
    row_add(made, "records", records.ms_entries);
    row_add(made, "bodies", index.ms_entries - records.ms_entries);
    row_add(made, "files", files.ms_entries);
    row_add(made, "purged_tags", tags.ms_entries);
    row_add(made, "metadata_bytes", pages * 4096);
    row_add(made, "metadata_limit", store->geometry.map_bytes);
    row_add(made, "packed_bytes", packed_bytes(store));
    row_add(made, "segment_bytes",
            (uint64_t)atomic_load(&control->allocated)
            * store->geometry.segment_bytes);
    row_add(made, "file_bytes",
            atomic_load(&control->file_bytes[ETG_LOCAL_YOUNG])
            + atomic_load(&control->file_bytes[ETG_LOCAL_OLD]));
    row_add(made, "arriving_bytes", etg_local_control_arriving(store));
    row_add(made, "control_bytes", store->geometry.control_bytes);
    for (int i = 0; i < ETG_LOCAL_COUNTS; i++) {
        row_add(made, names[i], atomic_load(&control->counts[i]));
    }
    *rows = made;
    return APR_SUCCESS;
}

static void row_add(apr_array_header_t *rows, const char *name,
                    uint64_t value)
{
    etg_store_counter *row = apr_array_push(rows);
    row->name = name;
    row->value = value;
}

/* Appended to segments in use, what was replaced or forgotten included. */
static uint64_t packed_bytes(const etg_store *store)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        const etg_local_segment *segment = &store->control->segments[i];
        if (atomic_load(&segment->state) >= ETG_LOCAL_SEGMENT_ACTIVE) {
            sum += atomic_load(&segment->used);
        }
    }
    return sum;
}
