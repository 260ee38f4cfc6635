/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamp_list.h: a response field that lists the times of what a page shows:
 *
 *   X-Updated-At: 17=2026-01-01T00:00:00Z, "a, b"=1767225600
 *
 * A list (RFC 9110 §5.6.1) of `timestamp` or `id=timestamp`. The last "="
 * outside of quotes parts the two, as no timestamp has one. Either may be a
 * quoted string, and then is what is in it. A timestamp may be an HTTP date
 * without quotes: a member that ends in the name of a weekday goes on behind
 * the comma, as no timestamp is a weekday alone.
 */
#ifndef ETG_LIB_STAMP_LIST_H
#define ETG_LIB_STAMP_LIST_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

#define ETG_STAMPS_MAX 100000

typedef struct etg_stamp {
    etg_bytes id;       /* data NULL: it has none */
    etg_bytes time;     /* as it is written: whoever reads it decides whether
                         * it is one; length at least 1 */
} etg_stamp;

/* The members of `value` (its lines joined, see etg_field_combined) in order,
 * as etg_stamp rows that live in `p` and in `value`. Returns 0, and leaves
 * *stamps, if there is none, there are more than ETG_STAMPS_MAX, or one is
 * malformed: no id in front of "=", no time behind it, a quote that is not
 * closed or not around the whole, a weekday without the rest. */
int etg_stamp_list_parse(etg_bytes value, apr_pool_t *p,
                         const apr_array_header_t **stamps);

#endif
