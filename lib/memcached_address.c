/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_address.c: from a server's name to where it may be reached.
 *
 * A name service may take its time and cannot be told how much: only the
 * writer's thread asks it, when the child starts and whenever a server that
 * was lost is probed.
 */
#include "lib/memcached_link.h"

#include <apr_errno.h>
#include <apr_strings.h>

#include <netdb.h>
#include <string.h>

static apr_status_t path_find(const char *path,
                              etg_memcached_addresses *addresses);
static void addresses_take(const struct addrinfo *list,
                           etg_memcached_addresses *addresses);

apr_status_t etg_memcached_addresses_find(const etg_memcached_server *server,
                                          int ask,
                                          etg_memcached_addresses *addresses)
{
    struct addrinfo hints = {
        .ai_flags = AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM
    };
    struct addrinfo *list = NULL;
    char port[8];
    if (server->port == 0) {
        return path_find(server->host, addresses);
    }
    hints.ai_flags |= ask ? AI_ADDRCONFIG : AI_NUMERICHOST;
    apr_snprintf(port, sizeof(port), "%u", (unsigned)server->port);
    int failed = getaddrinfo(server->host, port, &hints, &list);
    if (failed != 0) {
        return !ask ? APR_INCOMPLETE
               : failed == EAI_SYSTEM ? APR_FROM_OS_ERROR(errno)
                                      : APR_OS_START_EAIERR + (failed < 0
                                                               ? -failed
                                                               : failed);
    }
    addresses_take(list, addresses);
    freeaddrinfo(list);
    return APR_SUCCESS;
}

static apr_status_t path_find(const char *path,
                              etg_memcached_addresses *addresses)
{
    struct sockaddr_un *at = &addresses->at[0].is.path;
    if (strlen(path) >= sizeof(at->sun_path)) {
        return APR_ENAMETOOLONG;
    }
    memset(addresses, 0, sizeof(*addresses));
    at->sun_family = AF_UNIX;
    apr_cpystrn(at->sun_path, path, sizeof(at->sun_path));
    addresses->at[0].length = sizeof(*at);
    addresses->count = 1;
    return APR_SUCCESS;
}

static void addresses_take(const struct addrinfo *list,
                           etg_memcached_addresses *addresses)
{
    memset(addresses, 0, sizeof(*addresses));
    for (; list != NULL && addresses->count < ETG_MEMCACHED_ADDRESSES;
         list = list->ai_next) {
        unsigned n = addresses->count;
        if (list->ai_addrlen <= sizeof(addresses->at[n].is)) {
            memcpy(&addresses->at[n].is, list->ai_addr, list->ai_addrlen);
            addresses->at[n].length = list->ai_addrlen;
            addresses->count++;
        }
    }
}
