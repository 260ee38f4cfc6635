/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_env.c: the LMDB environment of one child.
 *
 * Opened in child_init and never used across a fork. MDB_NOTLS, because a
 * reader belongs to a read transaction object of ours; MDB_NOSYNC, because
 * the boot id decides whether the file is trusted; no MDB_WRITEMAP, so that a
 * stray write faults instead of corrupting. The handles are opened in a
 * committed read transaction: a write transaction would make a new child wait
 * for a stopped one that holds the write lock.
 */
#include "local_store.h"

#include <apr_time.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FREE_ROWS_MAX 1000   /* more: a reader pins them, they are no use */
/* A slot of LMDB's lock file is a cache line, its head two. LMDB makes as
 * many slots as a longer file has room for, so no more is secured. */
#define LOCK_FILE_BYTES (ETG_LOCAL_READERS * 64 + 128)
#define COMPLAIN_EVERY apr_time_from_sec(60)

static int lock_file_secure(const etg_store *store);
static int environment_open(etg_store *store);
static int file_is_whole(const etg_store *store);
static int handles_open(etg_store *store, unsigned int flags);

apr_status_t etg_local_env_open(etg_store *store)
{
    int dead = 0;
    int rc = environment_open(store);
    if (rc == MDB_SUCCESS && !file_is_whole(store)) {
        rc = MDB_CORRUPTED;
    }
    if (rc == MDB_SUCCESS) {
        mdb_reader_check(store->env, &dead);
        rc = handles_open(store, 0);
    }
    if (rc == MDB_NOTFOUND) {
        /* New, or made by another child just now, or no longer readable. */
        MDB_envinfo info;
        mdb_env_info(store->env, &info);
        rc = handles_open(store, info.me_last_txnid == 0 ? MDB_CREATE : 0);
        rc = rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    }
    if (rc == MDB_SUCCESS) {
        return APR_SUCCESS;
    }
    /* LMDB's own complaints about a file that was whole yesterday. */
    if (rc < 0 && rc != MDB_READERS_FULL && rc != MDB_MAP_RESIZED
        && rc != MDB_MAP_FULL) {
        rc = MDB_CORRUPTED;
    }
    apr_status_t rv = etg_local_env_status(store, rc);
    etg_local_env_close(store);
    return rv;
}

void etg_local_env_close(etg_store *store)
{
    if (store->env != NULL) {
        mdb_env_close(store->env);
        store->env = NULL;
    }
}

apr_status_t etg_local_env_status(etg_store *store, int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return APR_SUCCESS;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        if (atomic_exchange(&store->control->damaged, 1) == 0) {
            etg_log_write(&store->host->log, ETG_LOG_ERROR, 0,
                          ETGLOGNO(0305) "local store: %s/data.mdb is damaged "
                          "(%s); serving without this store until the next "
                          "start, which makes a new folder", store->folder,
                          mdb_strerror(code));
        }
        return APR_EGENERAL;
    case MDB_PANIC:
        if (atomic_exchange(&store->down, 1) == 0) {
            etg_log_write(&store->host->log, ETG_LOG_ERROR, 0,
                          ETGLOGNO(0306) "local store %s: LMDB gave up after a "
                          "failed write; this child serves without the store",
                          store->folder);
        }
        return APR_EGENERAL;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return APR_ENOSPC;
    default:
        return code > 0 ? code : APR_EGENERAL;
    }
}

int etg_local_env_used_pages(etg_store *store, MDB_txn *txn, uint64_t *pages)
{
    MDB_envinfo info;
    MDB_cursor *cursor;
    MDB_val key, data;
    uint64_t unused = 0;
    int rows = 0;
    int rc = mdb_env_info(store->env, &info);
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_open(txn, 0, &cursor);   /* 0: LMDB's free list */
    }
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
    while (rc == MDB_SUCCESS && rows++ < FREE_ROWS_MAX) {
        size_t count = 0;
        memcpy(&count, data.mv_data,
               data.mv_size < sizeof(count) ? data.mv_size : sizeof(count));
        unused += count;
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    uint64_t all = info.me_last_pgno + 1;
    *pages = all > unused ? all - unused : 0;
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

void etg_local_env_remap(etg_store *store)
{
    if (etg_local_readers_pause(store)) {
        mdb_env_set_mapsize(store->env, 0);
    }
    etg_local_readers_resume(store);
}

int etg_local_may_complain(etg_store *store)
{
    apr_time_t now = apr_time_now();
    apr_time_t last = atomic_load(&store->complained_at);
    return now - last > COMPLAIN_EVERY
        && atomic_compare_exchange_strong(&store->complained_at, &last, now);
}

/* LMDB makes its lock file as a hole and maps it: on a full disk the first
 * touch of a reader's slot would be SIGBUS. Its blocks are secured first, and
 * before LMDB opens it: closing another descriptor of the file later would
 * drop the locks that LMDB holds on it. */
static int lock_file_secure(const etg_store *store)
{
    char path[ETG_LOCAL_PATH_BYTES + 32];
    int failed;
    int fd;
    snprintf(path, sizeof(path), "%s/lock.mdb", store->folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    failed = posix_fallocate(fd, 0, LOCK_FILE_BYTES);
    close(fd);
    return failed;
}

static int environment_open(etg_store *store)
{
    int rc = lock_file_secure(store);
    if (rc == 0) {
        rc = mdb_env_create(&store->env);
    }
    if (rc != MDB_SUCCESS) {
        store->env = NULL;
        return rc;
    }
    mdb_env_set_maxreaders(store->env, ETG_LOCAL_READERS);
    mdb_env_set_maxdbs(store->env, 6);
    mdb_env_set_mapsize(store->env, store->geometry.map_bytes);
    return mdb_env_open(store->env, store->folder, MDB_NOTLS | MDB_NOSYNC,
                        0600);
}

/* A truncated data file would be SIGBUS at the first missing page. */
static int file_is_whole(const etg_store *store)
{
    char path[ETG_LOCAL_PATH_BYTES + 32];
    struct stat file;
    MDB_envinfo info;
    MDB_stat stat_;
    snprintf(path, sizeof(path), "%s/data.mdb", store->folder);
    if (mdb_env_info(store->env, &info) != MDB_SUCCESS
        || stat(path, &file) != 0) {
        return 0;
    }
    if (file.st_size == 0) {
        return 1;
    }
    /* Asking LMDB for the page size reads only the meta pages. */
    if (mdb_env_stat(store->env, &stat_) != MDB_SUCCESS) {
        return 0;
    }
    return (uint64_t)file.st_size
           >= (info.me_last_pgno + 1) * (uint64_t)stat_.ms_psize;
}

static int handles_open(etg_store *store, unsigned int flags)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, flags ? 0 : MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_dbi_open(txn, "records", flags | MDB_INTEGERKEY,
                      &store->records[ETG_LOCAL_YOUNG]);
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_open(txn, "records-old", flags | MDB_INTEGERKEY,
                          &store->records[ETG_LOCAL_OLD]);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_open(txn, "index", flags | MDB_DUPSORT | MDB_DUPFIXED,
                          &store->index);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_open(txn, "files", flags | MDB_INTEGERKEY,
                          &store->files);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_open(txn, "tags", flags | MDB_INTEGERKEY, &store->tags);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_open(txn, "tag-order", flags | MDB_INTEGERKEY,
                          &store->tag_order);
    }
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}
