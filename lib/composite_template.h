/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_template.h: a JSON document with places for parts, and what it
 * becomes.
 *
 * {"$part": "products"} is replaced by the body of that part. Everything else
 * of the template, and every byte of the parts, is copied as it is: numbers
 * are never rebuilt. What a template becomes is a list of pieces, so that no
 * body is ever copied to be joined.
 */
#ifndef ETG_LIB_COMPOSITE_TEMPLATE_H
#define ETG_LIB_COMPOSITE_TEMPLATE_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

#define ETG_COMPOSITE_TEMPLATE_MAX (1024 * 1024)

typedef struct etg_composite_piece {
    etg_bytes text;             /* of the template; length 0: none */
    int part;                   /* then the body of this one; -1: none */
} etg_composite_piece;

typedef struct etg_composite_template {
    const apr_array_header_t *pieces;   /* etg_composite_piece rows */
    unsigned char digest[32];           /* SHA-256 of the template's text */
} etg_composite_template;

/* Reads a template; `names`: const char * rows, the parts in their order. A
 * part may stand in several places, or in none. *result is in `p`, with a
 * copy of the text. NULL, or a sentence for the admin, and *result is left:
 * no JSON (etg_json_is_valid; with line and byte), longer than
 * ETG_COMPOSITE_TEMPLATE_MAX, a "$part" that names no part or stands beside
 * other members. */
const char *etg_composite_template_parse(etg_bytes text,
                                         const apr_array_header_t *names,
                                         apr_pool_t *p,
                                         etg_composite_template *result);

/* The default: an object with a member per part, in order. It is the template
 * {"a":{"$part":"a"},"b":{"$part":"b"}} of `names`, which are as
 * etg_composite_part has them: nothing in them needs an escape. */
const char *etg_composite_template_default(const apr_array_header_t *names,
                                           apr_pool_t *p,
                                           etg_composite_template *result);

#endif
