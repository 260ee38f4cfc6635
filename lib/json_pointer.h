/* SPDX-License-Identifier: Apache-2.0 */
/* json_pointer.h: a string inside a JSON text (RFC 8259, RFC 6901). */
#ifndef ETG_LIB_JSON_POINTER_H
#define ETG_LIB_JSON_POINTER_H

#include <apr_pools.h>

#include "lib/json_document.h"

/* Is it a pointer to something inside (not the empty one)? */
int etg_json_pointer_is_valid(const char *pointer);

/* Reads a step of a pointer as an array's index (RFC 6901 §4): "0", or digits
 * without a leading zero; "-" is the one after the last, which is not there.
 * 0: it is none, and *index is left. */
int etg_json_pointer_index(const char *token, apr_size_t length,
                           apr_size_t *index);

/* The string that a valid `pointer` leads to, in `p`; *text NULL: there is
 * none, or it is null, or something else than a string. APR_ENOSPC: longer
 * than ETG_JSON_BYTES_MAX; APR_EINVAL: no JSON. */
apr_status_t etg_json_pointer_text(etg_bytes json, const char *pointer,
                                   apr_pool_t *p, const char **text);

#endif
