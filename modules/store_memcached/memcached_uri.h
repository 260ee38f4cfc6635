/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_uri.h: where the servers are and how long to wait for them.
 *
 *   memcached://host[:port][,host[:port]...]/namespace[?parameters]
 *   memcached:///path/to.sock/namespace[?parameters]
 *
 * A host is a name, an IPv4 address, or an IPv6 address in brackets. The
 * parameters, joined with "&", each at most once: timeout=30ms,
 * connect-timeout=50ms, pool=64. Nothing is resolved or opened here.
 */
#ifndef ETG_MEMCACHED_URI_H
#define ETG_MEMCACHED_URI_H

#include <apr_pools.h>
#include <apr_time.h>

#include "lib/memcached_link.h"

#define ETG_MEMCACHED_SERVERS_MAX 64
#define ETG_MEMCACHED_NAMESPACE_MAX 64
#define ETG_MEMCACHED_POOL_MAX 1024
#define ETG_MEMCACHED_WAIT_MIN (1 * APR_INT64_C(1000))       /* µs */
#define ETG_MEMCACHED_WAIT_MAX (10 * APR_USEC_PER_SEC)

#define ETG_MEMCACHED_TIMEOUT_DEFAULT (30 * APR_INT64_C(1000))
#define ETG_MEMCACHED_CONNECT_DEFAULT (50 * APR_INT64_C(1000))
#define ETG_MEMCACHED_POOL_DEFAULT 64

typedef struct etg_memcached_uri {
    const etg_memcached_server *servers;   /* in the order given; no two
                                            * alike */
    unsigned server_count;                 /* 1 to 64 */
    const char *name_space;                /* [A-Za-z0-9._-]{1,64} */
    apr_interval_time_t timeout;           /* per operation */
    apr_interval_time_t connect_timeout;   /* per connection */
    unsigned pool;                         /* connections per child and
                                            * server, at most */
} etg_memcached_uri;

/* Reads `uri` into *parsed, whose parts live in `p`. NULL, or a sentence in
 * `p` that names the bad part and its range; *parsed is untouched then. */
const char *etg_memcached_uri_parse(const char *uri, apr_pool_t *p,
                                    etg_memcached_uri *parsed);

#endif
