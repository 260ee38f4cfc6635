/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip.h: gzip-coding and -decoding as bytes stream by (zlib, RFC 1952).
 *
 * Both hand their output to a sink in portions of at most 16 KB, and hold
 * nothing but zlib's windows. Freed by a cleanup on the pool, or by their end.
 * One thread at a time.
 */
#ifndef ETG_LIB_GZIP_H
#define ETG_LIB_GZIP_H

#include <apr_pools.h>

#include "etg_bytes.h"

/* Takes output; a status other than APR_SUCCESS ends the call with it. */
typedef apr_status_t etg_gzip_sink(void *baton, const void *data,
                                   apr_size_t length);

typedef struct etg_deflater etg_deflater;
typedef struct etg_inflater etg_inflater;

/* `level` 1 to 9. The header has no name and no time: equal input gives equal
 * bytes with one zlib, in whatever pieces it comes. APR_ENOMEM. */
apr_status_t etg_deflater_begin(etg_deflater **deflater, int level,
                                etg_gzip_sink *sink, void *baton,
                                apr_pool_t *p);
apr_status_t etg_deflater_add(etg_deflater *deflater, const void *data,
                              apr_size_t length);
/* Writes what is left and frees zlib's memory. */
apr_status_t etg_deflater_end(etg_deflater *deflater);
/* Output bytes so far, what zlib still holds not counted. */
apr_uint64_t etg_deflater_written(const etg_deflater *deflater);

/* Stops with APR_ENOSPC at once when more than `limit` bytes come out (0: no
 * limit): nobody's few bytes become gigabytes here. */
apr_status_t etg_inflater_begin(etg_inflater **inflater, apr_uint64_t limit,
                                etg_gzip_sink *sink, void *baton,
                                apr_pool_t *p);
/* APR_EINVAL: not gzip, or damaged (checksum and length are checked).
 * Several members one after the other are one body (RFC 1952 §2.2); anything
 * else behind a member, zeros too, is damage. */
apr_status_t etg_inflater_add(etg_inflater *inflater, const void *data,
                              apr_size_t length);
/* APR_EOF: the input ended within a member. Frees zlib's memory. */
apr_status_t etg_inflater_end(etg_inflater *inflater);
apr_uint64_t etg_inflater_written(const etg_inflater *inflater);

#endif
