/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_server.h: memcached servers of a test's own, on free ports of
 * 127.0.0.1, and a look inside them over a connection of the test's own.
 *
 * A server ends with the process that started it.
 */
#ifndef ETG_TEST_MEMCACHED_SERVER_H
#define ETG_TEST_MEMCACHED_SERVER_H

#include <sys/types.h>

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

typedef struct memcached_server {
    pid_t pid;                   /* 0: not running */
    int port;
    int megabytes;
} memcached_server;

/* A key that a server holds. */
typedef struct memcached_key_row {
    const char *key;
    apr_int64_t expires_s;       /* since 1970; -1: never */
    apr_uint64_t bytes;          /* with what the server adds */
} memcached_key_row;

/* Is there a memcached to be had? If not, tests exit with 77. */
int memcached_is_installed(void);

/* Starts one with so much memory and waits until it answers. */
void memcached_start(memcached_server *server, int megabytes);
/* The same port again, empty. */
void memcached_restart(memcached_server *server);
/* Kills it and waits for its end. */
void memcached_kill(memcached_server *server);
/* SIGSTOP and SIGCONT. */
void memcached_freeze(const memcached_server *server);
void memcached_thaw(const memcached_server *server);

/* Keys that begin with `prefix`, as memcached_key_row, in order of key. */
apr_array_header_t *memcached_keys(const memcached_server *server,
                                   const char *prefix, apr_pool_t *p);
/* The value of a key; data NULL: none. */
etg_bytes memcached_value(const memcached_server *server, const char *key,
                          apr_pool_t *p);
void memcached_set(const memcached_server *server, const char *key,
                   etg_bytes value);
void memcached_delete_key(const memcached_server *server, const char *key);
/* One number of "stats". */
apr_uint64_t memcached_stat(const memcached_server *server, const char *name);

#endif
