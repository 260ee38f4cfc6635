/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_control.c: the mmapped control file of a folder.
 *
 * Written once under a temporary name, with its disk space behind it so that
 * a full disk cannot turn a store into the map into SIGBUS, then renamed:
 * a folder without a control file was never finished. Its geometry never
 * changes. `boot_id` and `clean` implement the price of MDB_NOSYNC: after
 * another boot the folder is trusted only if it was synced by the last child
 * that left it.
 */
#include "local_store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int head_write(int fd, const etg_local_geometry *geometry);
static int is_clock_sound(const etg_local_control *control);
static etg_local_verdict judge(const etg_store *store,
                               const etg_local_control *control);

apr_status_t etg_local_control_make(const char *folder,
                                    const etg_local_geometry *geometry)
{
    char temp[ETG_LOCAL_PATH_BYTES + 32];
    char path[ETG_LOCAL_PATH_BYTES + 32];
    snprintf(temp, sizeof(temp), "%s/control.new", folder);
    snprintf(path, sizeof(path), "%s/control", folder);
    int fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                  0600);
    if (fd < 0) {
        return errno;
    }
    int failed = posix_fallocate(fd, 0, (off_t)geometry->control_bytes);
    if (failed == 0) {
        failed = head_write(fd, geometry);
    }
    close(fd);
    if (failed == 0 && rename(temp, path) != 0) {
        failed = errno;
    }
    if (failed != 0) {
        unlink(temp);
    }
    return failed;
}

apr_status_t etg_local_control_map(etg_store *store, const char *folder,
                                   etg_local_verdict *verdict)
{
    char path[ETG_LOCAL_PATH_BYTES + 32];
    struct stat info;
    snprintf(path, sizeof(path), "%s/control", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        *verdict = ETG_LOCAL_NO_CONTROL;
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM
               ? errno : APR_SUCCESS;
    }
    etg_local_control head;
    if (fstat(fd, &info) != 0
        || pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
        close(fd);
        *verdict = ETG_LOCAL_OTHER_FORMAT;
        return APR_SUCCESS;
    }
    *verdict = judge(store, &head);
    if (*verdict == ETG_LOCAL_USABLE
        && (uint64_t)info.st_size < store->geometry.control_bytes) {
        *verdict = ETG_LOCAL_DAMAGED;
    }
    if (*verdict != ETG_LOCAL_USABLE) {
        close(fd);
        return APR_SUCCESS;
    }
    void *map = mmap(NULL, store->geometry.control_bytes,
                     PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        close(fd);
        return errno;
    }
    store->control_fd = fd;
    store->control = map;
    store->tag_slots = (_Atomic uint64_t *)(void *)(
        store->control->segments + store->geometry.segment_count);
    store->marks = (_Atomic unsigned char *)(store->tag_slots
                                             + store->geometry.tag_slots);
    store->ghosts = store->marks + store->geometry.mark_count;
    return APR_SUCCESS;
}

void etg_local_control_unmap(etg_store *store)
{
    if (store->control != NULL) {
        munmap(store->control, store->geometry.control_bytes);
        close(store->control_fd);
        store->control = NULL;
        store->control_fd = -1;
    }
}

unsigned int etg_local_control_enter(etg_store *store)
{
    unsigned int deaths = 0;
    etg_local_control *control = store->control;
    uint32_t self = (uint32_t)getpid();
    for (unsigned int i = 0; i < ETG_LOCAL_CHILD_SLOTS; i++) {
        etg_local_child *child = &control->children[i];
        uint32_t pid = atomic_load(&child->pid);
        if (pid != 0 && pid != self
            && (kill((pid_t)pid, 0) == 0 || errno != ESRCH)) {
            continue;
        }
        if (pid != 0) {
            deaths += pid != self;
            atomic_store(&child->bytes, 0);
            atomic_store(&child->pid, 0);
        }
        uint32_t none = 0;
        if (store->child == NULL
            && atomic_compare_exchange_strong(&child->pid, &none, self)) {
            store->child = child;
        }
    }
    return deaths;
}

uint64_t etg_local_control_arriving(const etg_store *store)
{
    uint64_t sum = 0;
    for (unsigned int i = 0; i < ETG_LOCAL_CHILD_SLOTS; i++) {
        sum += atomic_load_explicit(&store->control->children[i].bytes,
                                    memory_order_relaxed);
    }
    return sum;
}

void etg_local_boot_id(char id[40])
{
    memset(id, 0, 40);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t n = read(fd, id, 36);
    close(fd);
    if (n != 36) {
        memset(id, 0, 40);
    }
}

void etg_local_count_add(etg_store *store, etg_local_count what, uint64_t n)
{
    if (store->control != NULL) {
        atomic_fetch_add_explicit(&store->control->counts[what], n,
                                  memory_order_relaxed);
    }
}

static int head_write(int fd, const etg_local_geometry *geometry)
{
    etg_local_control head;
    memset(&head, 0, sizeof(head));
    memcpy(head.magic, ETG_LOCAL_MAGIC, sizeof(head.magic));
    head.format = ETG_LOCAL_FORMAT;
    head.head_bytes = sizeof(head);
    head.geometry = *geometry;
    etg_local_boot_id(head.boot_id);
    atomic_store(&head.reading, (uint64_t)apr_time_now());
    ssize_t n = pwrite(fd, &head, sizeof(head), 0);
    if (n != (ssize_t)sizeof(head)) {
        return n < 0 ? errno : ENOSPC;
    }
    return 0;
}

static etg_local_verdict judge(const etg_store *store,
                               const etg_local_control *control)
{
    char boot_id[40];
    if (memcmp(control->magic, ETG_LOCAL_MAGIC, 8) != 0
        || control->format != ETG_LOCAL_FORMAT
        || control->head_bytes != sizeof(*control)) {
        return ETG_LOCAL_OTHER_FORMAT;
    }
    if (memcmp(&control->geometry, &store->geometry,
               sizeof(store->geometry)) != 0) {
        return ETG_LOCAL_OTHER_SIZE;
    }
    if (atomic_load(&control->damaged) != 0 || !is_clock_sound(control)) {
        return ETG_LOCAL_DAMAGED;
    }
    etg_local_boot_id(boot_id);
    if (memcmp(boot_id, control->boot_id, sizeof(boot_id)) != 0
        && atomic_load(&control->clean) == 0) {
        return ETG_LOCAL_OTHER_BOOT;
    }
    return ETG_LOCAL_USABLE;
}

/* All marks are readings that the clock has been past: one ahead of it would
 * make everything stored later a thing of before that mark. */
static int is_clock_sound(const etg_local_control *control)
{
    uint64_t now = atomic_load(&control->reading);
    int is_sound = now != 0 && atomic_load(&control->tag_floor) <= now;
    for (int kind = 0; kind < ETG_LOCAL_PURGES; kind++) {
        is_sound = is_sound && atomic_load(&control->all_marked[kind]) <= now;
    }
    return is_sound;
}
