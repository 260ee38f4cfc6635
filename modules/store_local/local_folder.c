/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_folder.c: which `store-<n>` folder is used.
 *
 * Choosing happens under an exclusive flock on `<dir>/lock`, so that children
 * and several httpd instances starting at once agree. The newest usable
 * folder wins; if there is none a new number is taken. A folder that cannot
 * be used (another boot, another size, damaged, foreign) is never changed and
 * never unlinked while anybody still holds its in-use lock; it goes at the
 * first start that finds it free. Only names the store itself makes are
 * removed.
 */
#include "local_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 1500
#define ENTER_TRIES 1000
#define LOCK_TRY_NS 10000000L
#define FOLDERS_MAX 64

typedef struct folder_list {
    unsigned long numbers[FOLDERS_MAX];
    unsigned int count;
} folder_list;

static int dir_lock(const etg_store *store);
static int lock_take(int fd, int how, int tries);
static void folders_list(const etg_store *store, folder_list *list);
static apr_status_t folder_choose(etg_store *store, int condemn);
static int folder_try(etg_store *store, unsigned long number, int condemn,
                      apr_status_t *failed);
static apr_status_t folder_make(etg_store *store, unsigned long number);
static apr_status_t folder_enter(etg_store *store, const char *folder);
static void folder_remove_if_unused(etg_store *store, unsigned long number);
static void folder_remove(const char *folder);
static void entries_remove(const char *folder, int depth);
static int in_use_open(const char *folder, int flags);
static void name_folder(const etg_store *store, unsigned long number,
                        char *folder);

apr_status_t etg_local_folder_open(etg_store *store, int condemn)
{
    int lock = dir_lock(store);
    if (lock < 0) {
        apr_status_t rv = errno;
        etg_log_write(&store->host->log, ETG_LOG_ERROR, rv,
                      ETGLOGNO(0301) "local store %s: the folder cannot be "
                      "locked or written; serving without this store. It "
                      "must belong to the User that httpd runs as",
                      store->dir);
        return rv;
    }
    apr_status_t rv = folder_choose(store, condemn);
    if (rv == APR_SUCCESS) {
        if (atomic_exchange(&store->control->clean, 0) != 0) {
            etg_local_boot_id(store->control->boot_id);
            fsync(store->control_fd);
        }
        store->deaths = etg_local_control_enter(store);
        etg_local_file_sweep(store);
    }
    else {
        etg_log_write(&store->host->log, ETG_LOG_ERROR, rv,
                      ETGLOGNO(0302) "local store %s: no usable folder could "
                      "be opened or made in it; serving without this store",
                      store->dir);
    }
    close(lock);
    return rv;
}

void etg_local_folder_close(etg_store *store)
{
    if (store->control == NULL) {
        return;
    }
    if (store->child != NULL) {
        atomic_store(&store->child->bytes, 0);
        atomic_store(&store->child->pid, 0);
        store->child = NULL;
    }
    if (etg_local_folder_is_alone(store)
        && atomic_load(&store->control->damaged) == 0) {
        char path[ETG_LOCAL_PATH_BYTES + 32];
        snprintf(path, sizeof(path), "%s/data.mdb", store->folder);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && fdatasync(fd) == 0 && fsync(store->control_fd) == 0) {
            atomic_store(&store->control->clean, 1);
            fsync(store->control_fd);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    etg_local_control_unmap(store);
    /* Explicitly: a forked process may share the open file, and its lock. */
    flock(store->in_use_fd, LOCK_UN);
    close(store->in_use_fd);
    store->in_use_fd = -1;
}

int etg_local_folder_is_alone(etg_store *store)
{
    if (flock(store->in_use_fd, LOCK_EX | LOCK_NB) == 0) {
        return 1;
    }
    flock(store->in_use_fd, LOCK_SH | LOCK_NB);
    return 0;
}

/* Held only while choosing; a process stopped in between must not keep every
 * new child from starting, so this gives up after some seconds. */
static int dir_lock(const etg_store *store)
{
    char path[ETG_LOCAL_PATH_BYTES + 32];
    snprintf(path, sizeof(path), "%s/lock", store->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -1;
    }
    if (!lock_take(fd, LOCK_EX, LOCK_TRIES)) {
        close(fd);
        errno = EAGAIN;
        return -1;
    }
    return fd;
}

static int lock_take(int fd, int how, int tries)
{
    const struct timespec pause = { 0, LOCK_TRY_NS };
    for (int i = 0; i < tries; i++) {
        if (flock(fd, how | LOCK_NB) == 0) {
            return 1;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    unsigned long x = *(const unsigned long *)a;
    unsigned long y = *(const unsigned long *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void folders_list(const etg_store *store, folder_list *list)
{
    list->count = 0;
    DIR *dir = opendir(store->dir);
    if (dir == NULL) {
        return;
    }
    struct dirent *entry;
    while (list->count < FOLDERS_MAX && (entry = readdir(dir)) != NULL) {
        char *end;
        if (strncmp(entry->d_name, "store-", 6) != 0
            || entry->d_name[6] < '1' || entry->d_name[6] > '9'
            || strlen(entry->d_name) > 15) {
            continue;
        }
        unsigned long number = strtoul(entry->d_name + 6, &end, 10);
        if (*end == '\0') {
            list->numbers[list->count++] = number;
        }
    }
    closedir(dir);
    qsort(list->numbers, list->count, sizeof(list->numbers[0]),
          compare_numbers);
}

static apr_status_t folder_choose(etg_store *store, int condemn)
{
    folder_list list;
    unsigned long chosen = 0;
    apr_status_t failed = APR_SUCCESS;
    folders_list(store, &list);
    for (unsigned int i = 0; i < list.count && chosen == 0; i++) {
        if (folder_try(store, list.numbers[i], condemn && i == 0, &failed)) {
            chosen = list.numbers[i];
        }
        else if (failed != APR_SUCCESS) {
            return failed;
        }
    }
    for (unsigned int i = 0; i < list.count; i++) {
        if (list.numbers[i] != chosen) {
            folder_remove_if_unused(store, list.numbers[i]);
        }
    }
    if (chosen != 0) {
        return APR_SUCCESS;
    }
    unsigned long number = list.count > 0 ? list.numbers[0] + 1 : 1;
    return folder_make(store, number);
}

/* True if the folder is now entered. */
static int folder_try(etg_store *store, unsigned long number, int condemn,
                      apr_status_t *failed)
{
    static const char *const reasons[] = {
        "", "it was never finished", "its format is not ours",
        "its size differs", "the machine was restarted without a clean stop",
        "it is damaged"
    };
    char folder[ETG_LOCAL_PATH_BYTES];
    etg_local_verdict verdict;
    name_folder(store, number, folder);
    *failed = etg_local_control_map(store, folder, &verdict);
    if (*failed != APR_SUCCESS) {
        return 0;
    }
    if (verdict == ETG_LOCAL_USABLE && condemn) {
        atomic_store(&store->control->damaged, 1);
        etg_local_control_unmap(store);
        verdict = ETG_LOCAL_DAMAGED;
    }
    if (verdict == ETG_LOCAL_USABLE) {
        *failed = folder_enter(store, folder);
        return *failed == APR_SUCCESS;
    }
    etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                  ETGLOGNO(0303) "local store: %s is left aside because %s; "
                  "the cache starts with what another folder holds, or empty",
                  folder, reasons[verdict]);
    return 0;
}

static apr_status_t folder_make(etg_store *store, unsigned long number)
{
    char folder[ETG_LOCAL_PATH_BYTES];
    char path[ETG_LOCAL_PATH_BYTES + 32];
    etg_local_verdict verdict;
    name_folder(store, number, folder);
    if (mkdir(folder, 0700) != 0) {
        return errno;
    }
    snprintf(path, sizeof(path), "%s/body", folder);
    int failed = mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/tmp", folder);
    if (failed != 0 || mkdir(path, 0700) != 0) {
        return errno;
    }
    int fd = in_use_open(folder, O_CREAT);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    apr_status_t rv = etg_local_control_make(folder, &store->geometry);
    if (rv == APR_SUCCESS) {
        rv = etg_local_control_map(store, folder, &verdict);
    }
    if (rv != APR_SUCCESS) {
        folder_remove(folder);
        return rv;
    }
    etg_log_write(&store->host->log, ETG_LOG_INFO, 0,
                  ETGLOGNO(0304) "local store: made %s", folder);
    return verdict == ETG_LOCAL_USABLE ? folder_enter(store, folder)
                                       : APR_EGENERAL;
}

/* Waits while another instance checks the folder, or while the last child of
 * one leaves it. */
static apr_status_t folder_enter(etg_store *store, const char *folder)
{
    int fd = in_use_open(folder, 0);
    if (fd < 0 || !lock_take(fd, LOCK_SH, ENTER_TRIES)) {
        apr_status_t rv = fd < 0 ? errno : APR_EAGAIN;
        if (fd >= 0) {
            close(fd);
        }
        etg_local_control_unmap(store);
        return rv;
    }
    store->in_use_fd = fd;
    memcpy(store->folder, folder, sizeof(store->folder));
    return APR_SUCCESS;
}

static void folder_remove_if_unused(etg_store *store, unsigned long number)
{
    char folder[ETG_LOCAL_PATH_BYTES];
    name_folder(store, number, folder);
    int fd = in_use_open(folder, 0);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return;
    }
    folder_remove(folder);
    if (fd >= 0) {
        close(fd);
    }
}

static void folder_remove(const char *folder)
{
    static const char *const names[] = {
        "control", "control.new", "data.mdb", "lock.mdb", "segments"
    };
    char path[ETG_LOCAL_PATH_BYTES + 32];
    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/tmp", folder);
    entries_remove(path, 0);
    snprintf(path, sizeof(path), "%s/body", folder);
    entries_remove(path, 1);
    snprintf(path, sizeof(path), "%s/in-use", folder);
    unlink(path);
    rmdir(folder);
}

/* Files in `folder`, or in its sub-folders, and the folder itself. Symbolic
 * links are removed, not followed. */
static void entries_remove(const char *folder, int depth)
{
    struct stat info;
    if (lstat(folder, &info) != 0 || !S_ISDIR(info.st_mode)) {
        unlink(folder);
        return;
    }
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char path[ETG_LOCAL_PATH_BYTES + 300];
        if (strcmp(entry->d_name, ".") == 0
            || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (depth > 0) {
            entries_remove(path, depth - 1);
        }
        else {
            unlink(path);
        }
    }
    closedir(dir);
    rmdir(folder);
}

static int in_use_open(const char *folder, int flags)
{
    char path[ETG_LOCAL_PATH_BYTES + 32];
    snprintf(path, sizeof(path), "%s/in-use", folder);
    return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

static void name_folder(const etg_store *store, unsigned long number,
                        char *folder)
{
    snprintf(folder, ETG_LOCAL_PATH_BYTES, "%s/store-%lu", store->dir,
             number);
}
