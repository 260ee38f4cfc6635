/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_link.h: one connection to one server, as bytes. Every call ends
 * at its deadline, whatever the other side does.
 */
#ifndef ETG_LIB_MEMCACHED_LINK_H
#define ETG_LIB_MEMCACHED_LINK_H

#include <apr_network_io.h>
#include <apr_time.h>

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "etg_bytes.h"

#define ETG_MEMCACHED_PORT 11211
#define ETG_MEMCACHED_ADDRESSES 8
#define ETG_MEMCACHED_BUFFER 16384

/* A server. */
typedef struct etg_memcached_server {
    const char *host;      /* in lower case, without brackets; or, if port
                            * is 0, the absolute path of a socket */
    apr_port_t port;
    const char *name;      /* for messages and counters: "host:port",
                            * "[host]:port" or the path */
} etg_memcached_server;

/* Where it may be. */
typedef struct etg_memcached_addresses {
    unsigned count;                /* 0: not known (yet) */
    struct {
        socklen_t length;
        union {
            struct sockaddr any;
            struct sockaddr_storage storage;
            struct sockaddr_un path;
        } is;
    } at[ETG_MEMCACHED_ADDRESSES];
} etg_memcached_addresses;

typedef struct etg_memcached_link {
    struct etg_memcached_link *next;
    int fd;
    apr_interval_time_t timeout;   /* of one blocking read */
    apr_time_t idle_since;         /* by etg_memcached_now */
    apr_size_t start;              /* what came and was not read yet */
    apr_size_t end;
    unsigned char buffer[ETG_MEMCACHED_BUFFER];
} etg_memcached_link;

/* µs on a clock that nobody sets; all deadlines are on it. */
apr_time_t etg_memcached_now(void);

/* Finds the addresses. Without `ask` only what needs no name service.
 * APR_INCOMPLETE then if there is a name to ask for. May block for long with
 * `ask`. */
apr_status_t etg_memcached_addresses_find(const etg_memcached_server *server,
                                          int ask,
                                          etg_memcached_addresses *addresses);

/* Connects to the first address that takes us. */
apr_status_t etg_memcached_link_open(const etg_memcached_addresses *addresses,
                                     apr_interval_time_t timeout,
                                     apr_time_t deadline,
                                     etg_memcached_link **link);
void etg_memcached_link_close(etg_memcached_link *link);

/* True while the other side has neither closed nor said anything. */
int etg_memcached_link_is_quiet(const etg_memcached_link *link);

/* Sends all of `parts`, which are used up. */
apr_status_t etg_memcached_link_send(etg_memcached_link *link,
                                     struct iovec *parts, unsigned count,
                                     apr_time_t deadline);

/* What lies in the buffer. */
etg_bytes etg_memcached_link_peek(const etg_memcached_link *link);
void etg_memcached_link_skip(etg_memcached_link *link, apr_size_t length);

/* Waits until there is more in the buffer; APR_EOF if there will not be. */
apr_status_t etg_memcached_link_fill(etg_memcached_link *link,
                                     apr_time_t deadline);

/* Reads just `length` bytes; `to` NULL: drops them. */
apr_status_t etg_memcached_link_read(etg_memcached_link *link, void *to,
                                     apr_uint64_t length,
                                     apr_time_t deadline);

#endif
