/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_reply.h: one line of what a server answers (memcached's text
 * protocol). Pure; trusts nothing in the line but its being there.
 */
#ifndef ETG_LIB_MEMCACHED_REPLY_H
#define ETG_LIB_MEMCACHED_REPLY_H

#include <apr_errno.h>

#include "etg_bytes.h"

/* Longer than any line we can be sent: key, flags, length and cas. */
#define ETG_MEMCACHED_LINE_MAX 512

typedef enum etg_memcached_reply_kind {
    ETG_MEMCACHED_REPLY_VALUE,     /* key, length, cas; the bytes follow */
    ETG_MEMCACHED_REPLY_END,
    ETG_MEMCACHED_REPLY_STORED,
    ETG_MEMCACHED_REPLY_NOT_STORED,
    ETG_MEMCACHED_REPLY_EXISTS,
    ETG_MEMCACHED_REPLY_NOT_FOUND,
    ETG_MEMCACHED_REPLY_DELETED,
    ETG_MEMCACHED_REPLY_TOUCHED,
    ETG_MEMCACHED_REPLY_NO_ROOM,   /* too large, or out of memory */
    ETG_MEMCACHED_REPLY_ERROR      /* the server says that it failed */
} etg_memcached_reply_kind;

typedef struct etg_memcached_reply {
    etg_memcached_reply_kind kind;
    etg_bytes key;                 /* inside the line */
    apr_uint64_t length;           /* of the value; up to 2^64-1: check it */
    apr_uint64_t cas;              /* 0 if the server gave none */
} etg_memcached_reply;

/* Reads the line that `bytes` begin with; *taken is its length with its CR
 * LF. APR_INCOMPLETE: the line has not ended yet. APR_EGENERAL: this is not
 * the protocol, read no further. */
apr_status_t etg_memcached_reply_read(etg_bytes bytes,
                                      etg_memcached_reply *reply,
                                      apr_size_t *taken);

#endif
