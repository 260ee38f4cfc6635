/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_rig.h: memcached servers of a test's own, on free ports of
 * 127.0.0.1, and a look inside them over a connection of the test's own.
 *
 * A server ends with the process that started it.
 */
#ifndef ETG_TEST_SERVER_RIG_H
#define ETG_TEST_SERVER_RIG_H

#include <sys/types.h>

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

typedef struct test_server {
    pid_t pid;                   /* 0: not running */
    int port;
    int megabytes;
    char path[100];              /* of its socket; "": it has a port */
} test_server;

/* A key that a server holds. */
typedef struct server_key_row {
    const char *key;
    apr_int64_t expires_s;       /* since 1970; -1: never */
    apr_uint64_t bytes;          /* with what the server adds */
} server_key_row;

/* Is there a memcached to be had? If not, tests exit with 77. */
int server_is_installed(void);

/* Starts one with so much memory and waits until it answers. */
void server_start(test_server *server, int megabytes);
/* One on a socket in the file system. */
void server_start_on_socket(test_server *server, int megabytes);
/* The same place again, empty. */
void server_restart(test_server *server);
/* Kills it and waits for its end. */
void server_kill(test_server *server);
/* SIGSTOP and SIGCONT. */
void server_freeze(const test_server *server);
void server_thaw(const test_server *server);

/* Keys that begin with `prefix`, as server_key_row, in order of key. */
apr_array_header_t *server_keys(const test_server *server,
                                const char *prefix, apr_pool_t *p);
/* The value of a key; data NULL: none. */
etg_bytes server_value(const test_server *server, const char *key,
                       apr_pool_t *p);
void server_set(const test_server *server, const char *key,
                etg_bytes value);
void server_delete(const test_server *server, const char *key);
/* One number of "stats". */
apr_uint64_t server_stat(const test_server *server, const char *name);

/* A process that takes one connection after another on a free port and passes
 * on what is said, till the server has said more than `budget` bytes; then all
 * is closed and the process ends. Wait for it. */
pid_t server_relay_start(const test_server *server, apr_size_t budget,
                         int *port);

#endif
