/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etg_log.h: how code without httpd says something.
 *
 * The host (a module, a test) fills in `write`; library code holds an
 * etg_log by value or pointer and never knows of a server_rec. Messages carry
 * their id as text: etg_log_write(&log, ETG_LOG_WARNING, rv,
 * ETGLOGNO(0142) "store %s is full; the response was not stored", dir).
 */
#ifndef ETG_LOG_H
#define ETG_LOG_H

#include <apr_errno.h>

/* Ids are ours, unique in the tree and never reused. */
#define ETGLOGNO(n) "ETG" #n ": "

/* error: an operator must act; warning: degraded; info: once per child;
 * debug: decisions. */
typedef enum etg_log_level {
    ETG_LOG_ERROR,
    ETG_LOG_WARNING,
    ETG_LOG_NOTICE,
    ETG_LOG_INFO,
    ETG_LOG_DEBUG
} etg_log_level;

typedef void etg_log_writer(void *baton, etg_log_level level, apr_status_t rv,
                            const char *message);

typedef struct etg_log {
    etg_log_writer *write;    /* NULL: messages are dropped */
    void *baton;
} etg_log;

/* Formats and hands on one message (cut at 1 KB). `rv` 0: no error code. */
void etg_log_write(const etg_log *log, etg_log_level level, apr_status_t rv,
                   const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
