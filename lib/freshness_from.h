/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_from.h: one line of ETagFreshnessFrom: where the times of what a
 * page shows are read.
 *
 *   sql "statement" param...          files "glob"
 *   memcached "key" param...          json "/pointer" ["/pointer of ids"]
 *   header "Name"                     body
 */
#ifndef ETG_LIB_FRESHNESS_FROM_H
#define ETG_LIB_FRESHNESS_FROM_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "lib/from_param.h"

typedef enum etg_from_kind {
    ETG_FROM_SQL,           /* text: the statement, for apr_dbd */
    ETG_FROM_FILES,         /* text: the pattern */
    ETG_FROM_MEMCACHED,     /* text: the key with its "%s" */
    ETG_FROM_JSON,          /* text: the times' pointer, ids: the ids' */
    ETG_FROM_HEADER,        /* text: the field's name */
    ETG_FROM_BODY           /* no text */
} etg_from_kind;

typedef struct etg_freshness_from {
    etg_from_kind kind;
    const char *text;
    const char *ids;                    /* NULL: none */
    const apr_array_header_t *params;   /* etg_from_param rows, as many as
                                         * the text has "%s"; in their order */
} etg_freshness_from;

/* Reads what stands behind the directive's name; words as lib/quoted_words.h
 * has them. In a statement "%s" is a placeholder and "%%" a percent sign, as
 * apr_dbd has it; one before anything but a letter is itself. In a key there
 * are "%s" and "%%" only, and nothing that a key may not hold. A pointer's
 * "*" is each element or member. Returns NULL, or a sentence for the admin,
 * in `p`, and leaves *from. */
const char *etg_freshness_from_parse(const char *line, apr_pool_t *p,
                                     etg_freshness_from *from);

/* Is it read before the backend is asked, not from its response? */
int etg_freshness_from_is_early(etg_from_kind kind);

/* May requests of one URL have different values for it (a field, a variable,
 * the user)? */
int etg_from_param_is_by_request(const etg_from_param *param);

/* The source's word ("sql"). Static. */
const char *etg_from_kind_word(etg_from_kind kind);

#endif
