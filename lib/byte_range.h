/* SPDX-License-Identifier: Apache-2.0 */
/*
 * byte_range.h: the Range field (RFC 9110 §14). Slicing is httpd's byterange
 * filter's work; this says what a request asks for, before any body exists.
 */
#ifndef ETG_LIB_BYTE_RANGE_H
#define ETG_LIB_BYTE_RANGE_H

#include <apr_tables.h>

#include "etg_bytes.h"

typedef enum etg_range_kind {
    ETG_RANGE_NONE,            /* no field, another unit, or malformed: as
                                * absent */
    ETG_RANGE_SATISFIABLE,     /* at least one range overlaps the body */
    ETG_RANGE_UNSATISFIABLE    /* valid, but none overlaps: 416 */
} etg_range_kind;

/* Judges a Range value against a body of `length` bytes. *count: how many
 * ranges it names (0 if the answer is NONE). Numbers beyond 2^63 - 1
 * saturate. No range overlaps an empty body, as in httpd. */
etg_range_kind etg_range_judge(etg_bytes value, apr_uint64_t length,
                               unsigned *count);

#endif
