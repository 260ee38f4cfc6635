/* SPDX-License-Identifier: Apache-2.0 */
/* json_numbers.h: JSON numbers kept as they are written. */
#ifndef ETG_LIB_JSON_NUMBERS_H
#define ETG_LIB_JSON_NUMBERS_H

#include <apr_pools.h>

#include "etg_bytes.h"

/* What each string and each member's name begins with in the marked text:
 * it was one, or it was a number. */
#define ETG_JSON_MARK_STRING 's'
#define ETG_JSON_MARK_NUMBER 'n'

/* The same JSON text with a mark in each string, and each number as a string
 * of its own digits with its mark ([1.50,"1"] is ["n1.50","s1"]), in `p`; it
 * is JSON if and only if `text` is, but for numbers that a reader would find
 * too large. data NULL: `text` is none. */
etg_bytes etg_json_numbers_mark(etg_bytes text, apr_pool_t *p);

#endif
