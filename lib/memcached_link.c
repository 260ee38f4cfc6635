/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_link.c: connecting, sending and receiving under a deadline.
 *
 * Sockets are blocking with a receive timeout of one budget: the usual reply
 * costs one system call for the request and one for the answer. When less
 * than most of a budget is left, the wait is a poll of its own instead, so
 * that all reads together end within an eighth of the deadline even if bytes
 * come one by one. Nothing here raises SIGPIPE.
 */
/* ppoll */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "lib/memcached_link.h"

#include <apr_errno.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/steady_clock.h"

static apr_status_t connect_to(const etg_memcached_addresses *addresses,
                               unsigned which, apr_time_t deadline, int *fd);
static apr_status_t connect_wait(int fd, apr_time_t deadline);
static apr_status_t options_set(int fd, int family,
                                apr_interval_time_t timeout);
static apr_status_t ready_wait(int fd, short events, apr_time_t deadline);
static apr_status_t receive(etg_memcached_link *link, struct iovec *parts,
                            unsigned count, apr_time_t deadline,
                            apr_size_t *got);
static void parts_use(struct iovec **parts, unsigned *count,
                      apr_size_t used);

apr_time_t etg_memcached_now(void)
{
    return etg_steady_now();
}

apr_status_t etg_memcached_link_open(const etg_memcached_addresses *addresses,
                                     apr_interval_time_t timeout,
                                     apr_time_t deadline,
                                     etg_memcached_link **opened)
{
    apr_status_t rv = APR_EGENERAL;
    int fd = -1;
    for (unsigned i = 0; i < addresses->count && fd == -1; i++) {
        /* One that is silent leaves the others their share of the time. */
        apr_time_t now = etg_memcached_now();
        apr_interval_time_t share = (deadline - now)
                                    / (addresses->count - i);
        rv = connect_to(addresses, i, now + share, &fd);
        if (rv == APR_SUCCESS) {
            rv = options_set(fd, addresses->at[i].is.any.sa_family, timeout);
        }
    }
    etg_memcached_link *link = rv == APR_SUCCESS ? malloc(sizeof(*link))
                                                 : NULL;
    if (link == NULL) {
        if (fd != -1) {
            close(fd);
        }
        return rv == APR_SUCCESS ? APR_ENOMEM : rv;
    }
    link->next = NULL;
    link->fd = fd;
    link->timeout = timeout;
    link->start = link->end = 0;
    link->idle_since = 0;
    *opened = link;
    return APR_SUCCESS;
}

void etg_memcached_link_close(etg_memcached_link *link)
{
    close(link->fd);
    free(link);
}

int etg_memcached_link_is_quiet(const etg_memcached_link *link)
{
    char byte;
    return recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1
           && (errno == EAGAIN || errno == EWOULDBLOCK);
}

apr_status_t etg_memcached_link_send(etg_memcached_link *link,
                                     struct iovec *parts, unsigned count,
                                     apr_time_t deadline)
{
    while (count > 0) {
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
        ssize_t sent = sendmsg(link->fd, &message,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            parts_use(&parts, &count, (apr_size_t)sent);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            apr_status_t rv = ready_wait(link->fd, POLLOUT, deadline);
            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
        else if (errno != EINTR) {
            return errno;
        }
    }
    return APR_SUCCESS;
}

etg_bytes etg_memcached_link_peek(const etg_memcached_link *link)
{
    etg_bytes bytes = { link->buffer + link->start, link->end - link->start };
    return bytes;
}

void etg_memcached_link_skip(etg_memcached_link *link, apr_size_t length)
{
    link->start += length;
    if (link->start == link->end) {
        link->start = link->end = 0;
    }
}

apr_status_t etg_memcached_link_fill(etg_memcached_link *link,
                                     apr_time_t deadline)
{
    apr_size_t got = 0;
    if (link->start > 0) {
        memmove(link->buffer, link->buffer + link->start,
                link->end - link->start);
        link->end -= link->start;
        link->start = 0;
    }
    struct iovec part = { link->buffer + link->end,
                          sizeof(link->buffer) - link->end };
    apr_status_t rv = receive(link, &part, 1, deadline, &got);
    link->end += got;
    return rv;
}

apr_status_t etg_memcached_link_read(etg_memcached_link *link, void *to,
                                     apr_uint64_t length, apr_time_t deadline)
{
    unsigned char *at = to;
    while (length > 0) {
        apr_size_t here = link->end - link->start;
        here = here < length ? here : (apr_size_t)length;
        if (at != NULL) {
            memcpy(at, link->buffer + link->start, here);
            at += here;
        }
        etg_memcached_link_skip(link, here);
        length -= here;
        if (length == 0) {
            break;
        }
        /* The buffer is empty: on into the result, and what comes behind it
         * into the buffer. */
        struct iovec parts[2] = { { at, (apr_size_t)length },
                                  { link->buffer, sizeof(link->buffer) } };
        apr_size_t got = 0;
        apr_status_t rv = receive(link, at != NULL ? parts : parts + 1,
                                  at != NULL ? 2 : 1, deadline, &got);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (at != NULL) {
            apr_size_t direct = got < length ? got : (apr_size_t)length;
            at += direct;
            length -= direct;
            got -= direct;
        }
        link->end = got;
    }
    return APR_SUCCESS;
}

static apr_status_t connect_to(const etg_memcached_addresses *addresses,
                               unsigned which, apr_time_t deadline, int *fd)
{
    const struct sockaddr *at = &addresses->at[which].is.any;
    int made = socket(at->sa_family,
                      SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made == -1) {
        return errno;
    }
    apr_status_t rv = APR_SUCCESS;
    if (connect(made, at, addresses->at[which].length) != 0) {
        /* A socket in the file system says EAGAIN if too many wait. */
        rv = errno == EINPROGRESS || errno == EINTR
             ? connect_wait(made, deadline) : errno;
    }
    if (rv != APR_SUCCESS) {
        close(made);
        return rv;
    }
    *fd = made;
    return APR_SUCCESS;
}

static apr_status_t connect_wait(int fd, apr_time_t deadline)
{
    int failure = 0;
    socklen_t length = sizeof(failure);
    apr_status_t rv = ready_wait(fd, POLLOUT, deadline);
    if (rv == APR_SUCCESS
        && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) != 0) {
        failure = errno;
    }
    return rv != APR_SUCCESS ? rv : failure;
}

static apr_status_t options_set(int fd, int family,
                                apr_interval_time_t timeout)
{
    /* The kernel counts in ticks, which makes it late: receive() waits for
     * the rest itself. */
    struct timeval patience = { (time_t)apr_time_sec(timeout / 2),
                                (suseconds_t)apr_time_usec(timeout / 2) };
    int on = 1;
    if (fcntl(fd, F_SETFL, 0) == -1
        || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                      sizeof(patience)) != 0) {
        return errno;
    }
    if (family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    return APR_SUCCESS;
}

static apr_status_t ready_wait(int fd, short events, apr_time_t deadline)
{
    for (;;) {
        apr_interval_time_t left = deadline - etg_memcached_now();
        if (left <= 0) {
            return APR_TIMEUP;
        }
        struct pollfd ready = { .fd = fd, .events = events };
        struct timespec patience = { (time_t)apr_time_sec(left),
                                     (long)apr_time_usec(left) * 1000 };
        int count = ppoll(&ready, 1, &patience, NULL);
        if (count > 0) {
            return APR_SUCCESS;
        }
        if (count == -1 && errno != EINTR) {
            return errno;
        }
    }
}

static apr_status_t receive(etg_memcached_link *link, struct iovec *parts,
                            unsigned count, apr_time_t deadline,
                            apr_size_t *got)
{
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
    for (;;) {
        apr_interval_time_t left = deadline - etg_memcached_now();
        int flags = 0;
        if (left < link->timeout - link->timeout / 8) {
            apr_status_t rv = ready_wait(link->fd, POLLIN, deadline);
            if (rv != APR_SUCCESS) {
                return rv;
            }
            flags = MSG_DONTWAIT;
        }
        ssize_t length = recvmsg(link->fd, &message, flags);
        if (length > 0) {
            *got = (apr_size_t)length;
            return APR_SUCCESS;
        }
        if (length == 0) {
            return APR_EOF;
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            return errno;
        }
    }
}

static void parts_use(struct iovec **parts, unsigned *count, apr_size_t used)
{
    while (*count > 0 && used >= (*parts)->iov_len) {
        used -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (*count > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + used;
        (*parts)->iov_len -= used;
    }
}
