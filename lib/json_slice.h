/* SPDX-License-Identifier: Apache-2.0 */
/* json_slice.h: a piece of a JSON text, as it is written there. */
#ifndef ETG_LIB_JSON_SLICE_H
#define ETG_LIB_JSON_SLICE_H

#include <apr_pools.h>

#include "etg_bytes.h"

/* The bytes of the value that an RFC 6901 pointer ("" or a valid one) leads
 * to, inside `text`, which is valid JSON (etg_json_is_valid): white space
 * around it left out; of members with the same name the last. `p` is for
 * scratch of the pointer's length. data NULL: there is none. */
etg_bytes etg_json_slice(etg_bytes text, const char *pointer, apr_pool_t *p);

#endif
