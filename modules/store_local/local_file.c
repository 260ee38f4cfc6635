/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_file.c: bodies over 64 KiB, one file each, named after the SHA-256 of
 * their bytes: body/ab/<64 hexadecimal digits>.
 *
 * `files` lists them in order of writing, young ones before old ones. A file
 * is renamed into place on the store thread, just before its row is committed;
 * a row without its file is a miss and is dropped, a file without a row (a
 * child killed between the two) is removed when the store is checked at the
 * next start. A file is read through once per child before it is first handed
 * out; what was verified is remembered together with inode, length and time of
 * change.
 */
#include "local_store.h"

#include <apr_portable.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/entity_digest.h"

#define READ_BYTES 65536

static int file_rename(const etg_store *store, const etg_entity_id *id,
                       uint64_t length, const char *temp_path);
static uint64_t place_next(etg_store *store, etg_local_age age);
static int row_put(etg_local_batch *batch, uint64_t place,
                   const etg_local_file_row *row);
static uint64_t verified_tag(const etg_entity_id *id, const struct stat *info);
static apr_status_t digest_check(int fd, const etg_entity_id *id,
                                 uint64_t length, apr_pool_t *p);

uint64_t etg_local_file_cost(uint64_t length)
{
    return (length + 4095) / 4096 * 4096 + ETG_LOCAL_FILE_OVERHEAD;
}

void etg_local_file_path(const etg_store *store, const etg_entity_id *id,
                         char *path)
{
    char hex[2 * sizeof(id->bytes) + 1];
    etg_hex(hex, id->bytes, sizeof(id->bytes));
    snprintf(path, ETG_LOCAL_PATH_BYTES + 96, "%s/body/%.2s/%s",
             store->folder, hex, hex);
}

int etg_local_file_row_get(MDB_txn *txn, MDB_dbi files, uint64_t place,
                           etg_local_file_row *row)
{
    MDB_val key = { sizeof(place), &place };
    MDB_val data;
    int rc = mdb_get(txn, files, &key, &data);
    if (rc == MDB_SUCCESS && data.mv_size != sizeof(*row)) {
        rc = MDB_CORRUPTED;
    }
    if (rc == MDB_SUCCESS) {
        memcpy(row, data.mv_data, sizeof(*row));
    }
    return rc;
}

int etg_local_file_put(etg_local_batch *batch, const etg_entity_id *id,
                       uint64_t length, uint32_t expires_s,
                       const char *temp_path)
{
    etg_store *store = batch->store;
    etg_local_body_probe probe = { store, batch->txn, id };
    etg_local_file_row row;
    uint64_t hash = etg_local_id_hash(id);
    uint64_t place;
    int rc = file_rename(store, id, length, temp_path);
    if (rc == 0) {
        rc = etg_local_index_find_in(batch, ETG_LOCAL_ENTITY, hash,
                                     etg_local_body_is, &probe, &place);
    }
    if (rc == MDB_SUCCESS && etg_local_place_is_file(place)) {
        rc = etg_local_file_row_get(batch->txn, store->files, place, &row);
        if (rc == MDB_SUCCESS && row.expires_s < expires_s) {
            row.expires_s = expires_s;
            rc = row_put(batch, place, &row);
        }
        etg_local_mark_hit(store, hash);
        return rc;
    }
    if (rc != MDB_NOTFOUND) {
        return rc;
    }
    row.id = *id;
    row.length = length;
    row.expires_s = expires_s;
    row.stored_at = (uint32_t)atomic_load(&store->control->segment_order);
    etg_local_age age = etg_local_ghost_take(store, hash) ? ETG_LOCAL_OLD
                                                          : ETG_LOCAL_YOUNG;
    place = place_next(store, age);
    rc = row_put(batch, place, &row);
    if (rc == MDB_SUCCESS) {
        batch->file_bytes_delta[age] += (int64_t)etg_local_file_cost(length);
        rc = etg_local_index_add(batch, ETG_LOCAL_ENTITY, hash, place);
    }
    return rc;
}

int etg_local_file_drop(etg_local_batch *batch, const etg_entity_id *id,
                        uint64_t place)
{
    etg_store *store = batch->store;
    char path[ETG_LOCAL_PATH_BYTES + 96];
    etg_local_file_row row;
    MDB_val key = { sizeof(place), &place };
    int rc = etg_local_file_row_get(batch->txn, store->files, place, &row);
    if (rc == MDB_NOTFOUND
        || (rc == MDB_SUCCESS
            && memcmp(&row.id, id, sizeof(row.id)) != 0)) {
        return MDB_SUCCESS;
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_del(batch->txn, store->files, &key, NULL);
    }
    if (rc == MDB_SUCCESS) {
        rc = etg_local_index_drop(batch, ETG_LOCAL_ENTITY,
                                  etg_local_id_hash(id), place);
    }
    if (rc == MDB_SUCCESS) {
        etg_local_file_path(store, id, path);
        unlink(path);
        batch->file_bytes_delta[etg_local_file_age(place)] -=
            (int64_t)etg_local_file_cost(row.length);
    }
    return rc;
}

etg_local_age etg_local_file_age(uint64_t place)
{
    return (place & ETG_LOCAL_FILE_OLD) != 0 ? ETG_LOCAL_OLD
                                             : ETG_LOCAL_YOUNG;
}

int etg_local_file_oldest(etg_local_batch *batch, etg_local_age age,
                          uint64_t *place, etg_local_file_row *row)
{
    uint64_t from = ETG_LOCAL_FILE_PLACE
                    | (age == ETG_LOCAL_OLD ? ETG_LOCAL_FILE_OLD : 0);
    MDB_cursor *cursor;
    MDB_val key = { sizeof(from), &from };
    MDB_val data;
    int rc = mdb_cursor_open(batch->txn, batch->store->files, &cursor);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    if (rc == MDB_SUCCESS && (key.mv_size != sizeof(*place)
                              || data.mv_size != sizeof(*row))) {
        rc = MDB_CORRUPTED;
    }
    if (rc == MDB_SUCCESS) {
        memcpy(place, key.mv_data, sizeof(*place));
        memcpy(row, data.mv_data, sizeof(*row));
    }
    mdb_cursor_close(cursor);
    return rc == MDB_SUCCESS && etg_local_file_age(*place) != age
           ? MDB_NOTFOUND : rc;
}

/* A file that was asked for goes to the end of the old ones with half its
 * mark. */
int etg_local_file_evict(etg_local_batch *batch, uint64_t place,
                         const etg_local_file_row *row)
{
    etg_store *store = batch->store;
    uint64_t hash = etg_local_id_hash(&row->id);
    unsigned int mark = etg_local_mark(store, hash);
    MDB_val key = { sizeof(place), &place };
    if (mark == 0 || row->expires_s <= batch->now_s) {
        etg_local_count_add(store, ETG_LOCAL_EVICTED_FILES, 1);
        etg_local_ghost_set(store, hash);
        return etg_local_file_drop(batch, &row->id, place);
    }
    etg_local_file_row kept = *row;
    kept.stored_at = (uint32_t)atomic_load(&store->control->segment_order);
    int rc = mdb_del(batch->txn, store->files, &key, NULL);
    if (rc == MDB_SUCCESS) {
        rc = etg_local_index_drop(batch, ETG_LOCAL_ENTITY, hash, place);
    }
    int64_t cost = (int64_t)etg_local_file_cost(row->length);
    batch->file_bytes_delta[etg_local_file_age(place)] -= cost;
    batch->file_bytes_delta[ETG_LOCAL_OLD] += cost;
    place = place_next(store, ETG_LOCAL_OLD);
    if (rc == MDB_SUCCESS) {
        rc = row_put(batch, place, &kept);
    }
    if (rc == MDB_SUCCESS) {
        rc = etg_local_index_add(batch, ETG_LOCAL_ENTITY, hash, place);
        etg_local_mark_set(store, hash, mark / 2);
    }
    return rc;
}

apr_status_t etg_local_file_open(etg_store *store, const etg_entity_id *id,
                                 uint64_t length, apr_pool_t *p,
                                 apr_file_t **file)
{
    char path[ETG_LOCAL_PATH_BYTES + 96];
    apr_file_t *opened;
    apr_os_file_t fd;
    struct stat info;
    etg_local_file_path(store, id, path);
    apr_status_t rv = apr_file_open(&opened, path, APR_FOPEN_READ
                                    | APR_FOPEN_BINARY
                                    | APR_FOPEN_SENDFILE_ENABLED,
                                    APR_FPROT_OS_DEFAULT, p);
    if (rv != APR_SUCCESS) {
        return APR_STATUS_IS_ENOENT(rv) ? APR_INCOMPLETE : rv;
    }
    apr_os_file_get(&fd, opened);
    if (fstat(fd, &info) != 0 || (uint64_t)info.st_size != length) {
        apr_file_close(opened);
        return APR_INCOMPLETE;
    }
    uint64_t tag = verified_tag(id, &info);
    _Atomic uint64_t *slot =
        &store->verified[tag & (ETG_LOCAL_VERIFIED_SLOTS - 1)];
    if (atomic_load_explicit(slot, memory_order_relaxed) != tag) {
        rv = digest_check(fd, id, length, p);
        if (rv != APR_SUCCESS) {
            apr_file_close(opened);
            return rv;
        }
        atomic_store_explicit(slot, tag, memory_order_relaxed);
    }
    *file = opened;
    return APR_SUCCESS;
}

void etg_local_file_sweep(etg_store *store)
{
    char path[ETG_LOCAL_PATH_BYTES + 300];
    snprintf(path, sizeof(path), "%s/tmp", store->folder);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && (pid == getpid()
                        || (kill(pid, 0) != 0 && errno == ESRCH))) {
            snprintf(path, sizeof(path), "%s/tmp/%s", store->folder,
                     entry->d_name);
            unlink(path);
        }
    }
    closedir(dir);
}

/* A batch that failed is run again: the file may be in place already. */
static int file_rename(const etg_store *store, const etg_entity_id *id,
                       uint64_t length, const char *temp_path)
{
    char path[ETG_LOCAL_PATH_BYTES + 96];
    struct stat info;
    etg_local_file_path(store, id, path);
    if (rename(temp_path, path) == 0) {
        return 0;
    }
    if (errno == ENOENT && stat(path, &info) == 0
        && (uint64_t)info.st_size == length) {
        return 0;
    }
    char *slash = strrchr(path, '/');
    *slash = '\0';
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return errno;
    }
    *slash = '/';
    return rename(temp_path, path) == 0 ? 0 : errno;
}

static uint64_t place_next(etg_store *store, etg_local_age age)
{
    uint64_t number = atomic_fetch_add(&store->control->file_seq, 1) + 1;
    return (ETG_LOCAL_FILE_PLACE | number)
           | (age == ETG_LOCAL_OLD ? ETG_LOCAL_FILE_OLD : 0);
}

static int row_put(etg_local_batch *batch, uint64_t place,
                   const etg_local_file_row *row)
{
    MDB_val key = { sizeof(place), &place };
    MDB_val data = { sizeof(*row), (void *)row };
    return mdb_put(batch->txn, batch->store->files, &key, &data, 0);
}

static uint64_t verified_tag(const etg_entity_id *id, const struct stat *info)
{
    struct {
        etg_entity_id id;
        uint64_t inode, length, seconds, nanoseconds;
    } what = { *id, info->st_ino, (uint64_t)info->st_size,
               (uint64_t)info->st_mtim.tv_sec,
               (uint64_t)info->st_mtim.tv_nsec };
    uint64_t tag = XXH3_64bits(&what, sizeof(what));
    return tag != 0 ? tag : 1;
}

static apr_status_t digest_check(int fd, const etg_entity_id *id,
                                 uint64_t length, apr_pool_t *p)
{
    apr_pool_t *scratch;
    etg_entity_digest *digest;
    etg_entity_id found;
    apr_status_t rv = apr_pool_create(&scratch, p);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    unsigned char *buffer = apr_palloc(scratch, READ_BYTES);
    rv = etg_entity_digest_begin(&digest, scratch);
    for (uint64_t at = 0; rv == APR_SUCCESS && at < length; ) {
        ssize_t n = pread(fd, buffer, READ_BYTES, (off_t)at);
        if (n <= 0) {
            rv = n < 0 ? errno : APR_INCOMPLETE;
            break;
        }
        rv = etg_entity_digest_add(digest, buffer, (apr_size_t)n);
        at += (uint64_t)n;
    }
    if (rv == APR_SUCCESS) {
        rv = etg_entity_digest_end(digest, &found);
    }
    if (rv == APR_SUCCESS && memcmp(&found, id, sizeof(found)) != 0) {
        rv = APR_INCOMPLETE;
    }
    apr_pool_destroy(scratch);
    return rv;
}
