/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collapse_wait.c: waiting for another process, and whether it lives.
 *
 * Followers sleep on a futex word in shared memory, always with a time
 * limit: nobody announces a death by kill -9. (Condition variables shared by
 * processes are no choice: their state breaks when a waiter is killed.)
 *
 * A process is known by its pid and its start time, field 22 of
 * /proc/<pid>/stat. Reading that costs a few microseconds, and a hundred
 * followers ask the same question: "lives" is kept per process for 40 ms,
 * in a word of pid << 42 | milliseconds. Called on request threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/collapse_table.h"

#define LIVING_FOR_MS 40
#define SLEEP_LEAST 50000
#define SLEEP_SPREAD 50000
#define START_FIELD 22

typedef enum process_state {
    PROCESS_LIVES,
    PROCESS_GONE,
    PROCESS_UNKNOWN            /* /proc does not tell */
} process_state;

static process_state look_at(pid_t pid, apr_uint64_t *start);
static process_state parse_stat(const char *text, apr_uint64_t *start);
static int is_really_alive(etg_collapse_process process);

etg_collapse_process etg_collapse_self(void)
{
    etg_collapse_process self = { .pid = getpid() };

    if (look_at(self.pid, &self.start) != PROCESS_LIVES) {
        self.start = 0;
    }
    return self;
}

int etg_collapse_is_alive(etg_collapse *collapse,
                          etg_collapse_process process)
{
    apr_uint64_t *cached =
        &collapse->living[(unsigned)process.pid % ETG_COLLAPSE_LIVING];
    apr_uint64_t now = (apr_uint64_t)etg_collapse_clock() / 1000;
    apr_uint64_t fresh = ((apr_uint64_t)process.pid << 42) + now;
    apr_uint64_t known = __atomic_load_n(cached, __ATOMIC_RELAXED);

    if (process.pid == collapse->self.pid) {
        return process.start == collapse->self.start;
    }
    if (known <= fresh && fresh - known < LIVING_FOR_MS) {
        return 1;
    }
    if (!is_really_alive(process)) {
        return 0;
    }
    __atomic_store_n(cached, fresh, __ATOMIC_RELAXED);
    return 1;
}

apr_time_t etg_collapse_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_from_sec(now.tv_sec) + now.tv_nsec / 1000;
}

void etg_collapse_sleep(const apr_uint32_t *word, apr_uint32_t seen,
                        apr_interval_time_t longest)
{
    struct timespec limit;
    apr_interval_time_t sleep;

    /* Nanoseconds of the moment are jitter enough: those who were woken
     * together do not look for the leader together. */
    clock_gettime(CLOCK_MONOTONIC, &limit);
    sleep = SLEEP_LEAST + limit.tv_nsec % SLEEP_SPREAD;
    if (sleep > longest) {
        sleep = longest;
    }
    limit.tv_sec = 0;
    limit.tv_nsec = sleep * 1000;
    /* Whatever ends the sleep, the caller looks again. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0);
}

void etg_collapse_wake(etg_collapse_slot *slot, apr_uint64_t number)
{
    apr_uint64_t followers;

    __atomic_add_fetch(&slot->word, 1, __ATOMIC_SEQ_CST);
    followers = __atomic_load_n(&slot->followers, __ATOMIC_SEQ_CST);
    /* A larger number: the slot serves the next fetch already, and how many
     * followed this one can no longer be told. */
    if (followers > number << 20) {
        (void)syscall(SYS_futex, &slot->word, FUTEX_WAKE, INT_MAX, NULL,
                      NULL, 0);
    }
}

static int is_really_alive(etg_collapse_process process)
{
    apr_uint64_t start = 0;

    if (kill(process.pid, 0) != 0 && errno == ESRCH) {
        return 0;
    }
    if (process.start == 0) {
        return 1;
    }
    switch (look_at(process.pid, &start)) {
    case PROCESS_GONE:
        return 0;
    case PROCESS_LIVES:
        return start == process.start;
    default:
        return 1;
    }
}

/* PROCESS_LIVES fills *start. */
static process_state look_at(pid_t pid, apr_uint64_t *start)
{
    char path[32], text[1024];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? PROCESS_GONE : PROCESS_UNKNOWN;
    }
    length = read(fd, text, sizeof(text) - 1);
    if (length <= 0) {
        int gone = length < 0 && errno == ESRCH;

        close(fd);
        return gone ? PROCESS_GONE : PROCESS_UNKNOWN;
    }
    close(fd);
    text[length] = '\0';
    return parse_stat(text, start);
}

/* The second field is a name in parentheses that may hold anything. */
static process_state parse_stat(const char *text, apr_uint64_t *start)
{
    const char *at = strrchr(text, ')');
    int field;

    if (at == NULL || at[1] != ' ') {
        return PROCESS_UNKNOWN;
    }
    at += 2;
    if (*at == 'Z' || *at == 'X' || *at == 'x') {
        return PROCESS_GONE;
    }
    for (field = 3; field < START_FIELD; field++) {
        at = strchr(at, ' ');
        if (at == NULL) {
            return PROCESS_UNKNOWN;
        }
        at++;
    }
    *start = strtoull(at, NULL, 10);
    return PROCESS_LIVES;
}
