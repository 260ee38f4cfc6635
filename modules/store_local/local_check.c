/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_check.c: reads the store through before the first child opens it.
 *
 * LMDB trusts its pages: a file damaged from outside can make it read
 * anywhere. So at a start that finds nobody else in the folder a process of
 * its own opens it, as the children's user, and walks over every row. If it
 * dies or finds nonsense, the folder is condemned and a new one is made. A
 * child that takes the place of one that died does the same beside the living,
 * so that damage cannot kill one child after the other. The check at start
 * also puts right what a killed child may have left: bytes in use by files,
 * files without a row, segments between two states.
 */
#include "local_store.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WALK_SECONDS 5
#define FREE_PAGES 0      /* LMDB's handle of its free list, for readers */
#define META_PAGES 2      /* pages 0 and 1 are never free */
#define EXIT_USABLE 0
#define EXIT_DAMAGED 3
#define EXIT_UNUSABLE 4

static int run_apart(etg_store *store, int (*run)(etg_store *store));
static int check_new(etg_store *store);
static int walk_beside(etg_store *store);
static int check_here(etg_store *store);
static int check_opened(etg_store *store);
static int become_owner(const etg_store_env *host);
static int everything_walk(etg_store *store);
static int free_pages_walk(etg_store *store, MDB_txn *txn);
static int are_pages(const MDB_val *row, size_t last);
static int rows_walk(etg_store *store, MDB_txn *txn);
static int database_walk(MDB_txn *txn, MDB_dbi dbi, apr_size_t least,
                         apr_time_t end, uint64_t *last);
static int files_count(etg_store *store, MDB_txn *txn);
static void files_sweep(etg_store *store, MDB_txn *txn);
static void orphans_remove(etg_store *store, MDB_txn *txn,
                           const char *folder);
static void segments_settle(etg_store *store);

apr_status_t etg_local_check(etg_store *store)
{
    int result = run_apart(store, check_here);
    if (result != EXIT_USABLE && result != EXIT_UNUSABLE) {
        etg_log_write(&store->host->log, ETG_LOG_ERROR, 0,
                      ETGLOGNO(0316) "local store: the newest folder in %s is "
                      "damaged; the cache starts with a new one, empty",
                      store->dir);
        result = run_apart(store, check_new);
    }
    return result == EXIT_USABLE ? APR_SUCCESS : APR_EGENERAL;
}

void etg_local_check_beside(etg_store *store)
{
    apr_time_t now = apr_time_now();
    int64_t last = atomic_load(&store->control->walked_at);
    if (now - last < apr_time_from_sec(WALK_SECONDS)
        || !atomic_compare_exchange_strong(&store->control->walked_at, &last,
                                           now)) {
        return;
    }
    if (run_apart(store, walk_beside) == EXIT_DAMAGED
        && atomic_exchange(&store->control->damaged, 1) == 0) {
        etg_log_write(&store->host->log, ETG_LOG_ERROR, 0,
                      ETGLOGNO(0317) "local store: %s is damaged, found after "
                      "a child had died; new children start with a new "
                      "folder, empty, the others serve without the store",
                      store->folder);
    }
}

static int run_apart(etg_store *store, int (*run)(etg_store *store))
{
    int status;
    pid_t pid = fork();
    if (pid < 0) {
        return EXIT_UNUSABLE;
    }
    if (pid == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        alarm(4 * WALK_SECONDS);
        _exit(become_owner(store->host) ? run(store) : EXIT_UNUSABLE);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return EXIT_UNUSABLE;
        }
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        return EXIT_USABLE;    /* slow is not damaged */
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_DAMAGED;
}

static int check_here(etg_store *store)
{
    return etg_local_folder_open(store, 0) == APR_SUCCESS
           ? check_opened(store) : EXIT_UNUSABLE;
}

static int check_new(etg_store *store)
{
    return etg_local_folder_open(store, 1) == APR_SUCCESS
           ? check_opened(store) : EXIT_UNUSABLE;
}

/* The folder is open; an environment of this process's own. */
static int walk_beside(etg_store *store)
{
    if (etg_local_segments_open(store) != APR_SUCCESS) {
        return EXIT_UNUSABLE;
    }
    if (etg_local_env_open(store) != APR_SUCCESS) {
        return atomic_load(&store->control->damaged) ? EXIT_DAMAGED
                                                     : EXIT_UNUSABLE;
    }
    MDB_txn *txn;
    if (mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn) != MDB_SUCCESS) {
        return EXIT_UNUSABLE;
    }
    int rc = rows_walk(store, txn);
    mdb_txn_abort(txn);
    etg_local_env_close(store);
    return rc == MDB_SUCCESS ? EXIT_USABLE : EXIT_DAMAGED;
}

static int check_opened(etg_store *store)
{
    if (!etg_local_folder_is_alone(store)) {
        return EXIT_USABLE;    /* its users would have noticed */
    }
    if (etg_local_segments_open(store) != APR_SUCCESS) {
        return EXIT_UNUSABLE;
    }
    apr_status_t rv = etg_local_env_open(store);
    if (rv != APR_SUCCESS) {
        return atomic_load(&store->control->damaged) ? EXIT_DAMAGED
                                                     : EXIT_UNUSABLE;
    }
    if (everything_walk(store) != MDB_SUCCESS) {
        return EXIT_DAMAGED;
    }
    segments_settle(store);
    etg_local_env_close(store);
    etg_local_segments_close(store);
    etg_local_folder_close(store);
    return EXIT_USABLE;
}

static int become_owner(const etg_store_env *host)
{
    if (geteuid() != 0 || host->owner == 0) {
        return 1;
    }
    return setgroups(0, NULL) == 0 && setgid(host->group) == 0
        && setuid(host->owner) == 0;
}

static int everything_walk(etg_store *store)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = free_pages_walk(store, txn);
    if (rc == MDB_SUCCESS) {
        rc = rows_walk(store, txn);
    }
    if (rc == MDB_SUCCESS) {
        rc = files_count(store, txn);
    }
    if (rc == MDB_SUCCESS) {
        files_sweep(store, txn);
    }
    mdb_txn_abort(txn);
    return rc;
}

/* LMDB's own list of pages to write on: whatever stands there, a writer
 * believes. Each row is a count and as many page numbers. */
static int free_pages_walk(etg_store *store, MDB_txn *txn)
{
    MDB_envinfo info;
    MDB_cursor *cursor;
    MDB_val key, data;
    int rc = mdb_env_info(store->env, &info);
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_open(txn, FREE_PAGES, &cursor);
    }
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
    while (rc == MDB_SUCCESS) {
        if (!are_pages(&data, info.me_last_pgno)) {
            rc = MDB_CORRUPTED;
            break;
        }
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

static int are_pages(const MDB_val *row, size_t last)
{
    size_t count;
    if (row->mv_size < sizeof(count)) {
        return 0;
    }
    memcpy(&count, row->mv_data, sizeof(count));
    if (count > row->mv_size / sizeof(count) - 1) {
        return 0;
    }
    for (size_t i = 1; i <= count; i++) {
        size_t page;
        memcpy(&page, (const char *)row->mv_data + i * sizeof(page),
               sizeof(page));
        if (page < META_PAGES || page > last) {
            return 0;
        }
    }
    return 1;
}

static int rows_walk(etg_store *store, MDB_txn *txn)
{
    uint64_t last_record = 0;
    uint64_t last_old = 0;
    uint64_t last_file = 0;
    uint64_t last_mark = 0;
    apr_time_t end = apr_time_now() + apr_time_from_sec(WALK_SECONDS);
    int rc = database_walk(txn, store->records[ETG_LOCAL_YOUNG],
                           ETG_LOCAL_ROW_HEAD, end, &last_record);
    if (rc == MDB_SUCCESS) {
        rc = database_walk(txn, store->records[ETG_LOCAL_OLD],
                           ETG_LOCAL_ROW_HEAD, end, &last_old);
    }
    if (rc == MDB_SUCCESS) {
        rc = database_walk(txn, store->index, ETG_LOCAL_ITEM_BYTES, end,
                           NULL);
    }
    if (rc == MDB_SUCCESS) {
        rc = database_walk(txn, store->files, sizeof(etg_local_file_row),
                           end, &last_file);
    }
    if (rc == MDB_SUCCESS) {
        rc = database_walk(txn, store->tags,
                           ETG_LOCAL_PURGES * sizeof(uint64_t), end, NULL);
    }
    if (rc == MDB_SUCCESS) {
        rc = database_walk(txn, store->tag_order, sizeof(uint64_t), end,
                           &last_mark);
    }
    /* Sequence numbers and readings are handed out by the control file. */
    if (rc == MDB_SUCCESS
        && (last_record > atomic_load(&store->control->record_seq)
            || (last_old & (ETG_LOCAL_ROW_OLD - 1))
               > atomic_load(&store->control->record_seq)
            || (last_file & (ETG_LOCAL_FILE_OLD - 1))
               > atomic_load(&store->control->file_seq)
            || last_mark > atomic_load(&store->control->reading))) {
        rc = MDB_CORRUPTED;
    }
    return rc;
}

/* Touches every row, for some seconds at most; `last` set: eight-byte keys in
 * rising order. */
static int database_walk(MDB_txn *txn, MDB_dbi dbi, apr_size_t least,
                         apr_time_t end, uint64_t *last)
{
    MDB_cursor *cursor;
    MDB_val key, data;
    unsigned char touched = 0;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    MDB_stat known;
    uint64_t rows = 0;
    mdb_stat(txn, dbi, &known);
    rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
    while (rc == MDB_SUCCESS) {
        uint64_t number = 0;
        if (++rows % 1024 == 0 && apr_time_now() > end) {
            mdb_cursor_close(cursor);
            return MDB_SUCCESS; /* a big store: what was seen was sound */
        }
        const unsigned char *bytes = data.mv_data;
        if (data.mv_size < least
            || (last != NULL && key.mv_size != sizeof(number))) {
            return MDB_CORRUPTED;
        }
        for (apr_size_t i = 0; i < data.mv_size; i += 64) {
            touched ^= *(const volatile unsigned char *)(bytes + i);
        }
        if (last != NULL) {
            memcpy(&number, key.mv_data, sizeof(number));
            if (number <= *last) {
                return MDB_CORRUPTED;
            }
            *last = number;
        }
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    (void)touched;
    if (rc == MDB_NOTFOUND) {
        rc = rows == known.ms_entries ? MDB_SUCCESS : MDB_CORRUPTED;
    }
    return rc;
}

static int files_count(etg_store *store, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, data;
    uint64_t bytes[ETG_LOCAL_AGES] = { 0, 0 };
    int rc = mdb_cursor_open(txn, store->files, &cursor);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
    while (rc == MDB_SUCCESS) {
        etg_local_file_row row;
        uint64_t place;
        memcpy(&place, key.mv_data, sizeof(place));
        memcpy(&row, data.mv_data, sizeof(row));
        bytes[etg_local_file_age(place)] += etg_local_file_cost(row.length);
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    atomic_store(&store->control->file_bytes[0], bytes[0]);
    atomic_store(&store->control->file_bytes[1], bytes[1]);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

static void files_sweep(etg_store *store, MDB_txn *txn)
{
    char path[ETG_LOCAL_PATH_BYTES + 300];
    snprintf(path, sizeof(path), "%s/body", store->folder);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strlen(entry->d_name) == 2 && entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/body/%s", store->folder,
                     entry->d_name);
            orphans_remove(store, txn, path);
        }
    }
    closedir(dir);
}

static int hex_parse(const char *hex, etg_entity_id *id)
{
    for (unsigned int i = 0; i < sizeof(id->bytes); i++) {
        unsigned int byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return 0;
        }
        id->bytes[i] = (unsigned char)byte;
    }
    return 1;
}

static void orphans_remove(etg_store *store, MDB_txn *txn, const char *folder)
{
    DIR *dir = opendir(folder);
    MDB_cursor *cursor;
    if (dir == NULL) {
        return;
    }
    if (mdb_cursor_open(txn, store->index, &cursor) != MDB_SUCCESS) {
        closedir(dir);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char path[ETG_LOCAL_PATH_BYTES + 600];
        etg_entity_id id;
        uint64_t place;
        etg_local_body_probe probe = { store, txn, &id };
        if (strlen(entry->d_name) != 64 || !hex_parse(entry->d_name, &id)) {
            continue;
        }
        if (etg_local_index_find(cursor, ETG_LOCAL_ENTITY,
                                 etg_local_id_hash(&id), etg_local_body_is,
                                 &probe, &place) == MDB_NOTFOUND) {
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            unlink(path);
        }
    }
    mdb_cursor_close(cursor);
    closedir(dir);
}

static void segments_settle(etg_store *store)
{
    etg_local_control *control = store->control;
    uint32_t allocated = 0;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        etg_local_segment *segment = &control->segments[i];
        uint16_t state = atomic_load(&segment->state);
        if (state > ETG_LOCAL_SEGMENT_SEALED
            || atomic_load(&segment->used) > store->geometry.segment_bytes) {
            state = ETG_LOCAL_SEGMENT_SEALED;
            atomic_store(&segment->used, store->geometry.segment_bytes);
        }
        atomic_store(&segment->state, state);
        allocated += state != ETG_LOCAL_SEGMENT_HOLE;
    }
    atomic_store(&control->allocated, allocated);
}
