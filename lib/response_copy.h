/* SPDX-License-Identifier: Apache-2.0 */
/*
 * response_copy.h: a response record as a near store keeps it, with the time
 * the shared store was last asked about it. A record (lib/record.h) of
 *
 *   fixed64   when, µs since 1970
 *   2 bytes   0, so that the response is as aligned as the record
 *   the rest  the response record
 *
 * The primary record beside it stays as it is: whether what it leads to may
 * be trusted, each copy says for itself.
 */
#ifndef ETG_LIB_RESPONSE_COPY_H
#define ETG_LIB_RESPONSE_COPY_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_bytes.h"

/* Frames `response` as confirmed at a time that is not negative; *record is
 * in `p`. As etg_record_end. */
apr_status_t etg_response_copy_pack(etg_bytes response,
                                    apr_time_t confirmed_at, apr_pool_t *p,
                                    etg_bytes *record);

/* Reads one: *response points into the record, and is aligned to 8 bytes if
 * that is. APR_EINVAL: not a copy. */
apr_status_t etg_response_copy_unpack(etg_bytes record,
                                      apr_time_t *confirmed_at,
                                      etg_bytes *response);

#endif
