/* SPDX-License-Identifier: Apache-2.0 */
/* json_select.h: the times of a JSON text's members, and their ids. */
#ifndef ETG_LIB_JSON_SELECT_H
#define ETG_LIB_JSON_SELECT_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "lib/json_document.h"

#define ETG_JSON_MATCHES_MAX 100000
/* Of texts and places of all matches together. */
#define ETG_JSON_MATCHED_BYTES_MAX (4 * 1024 * 1024)

/* A plain value. `place` is what the pointer's stars stood for ("17",
 * "shoes/0"; "" without a star): a member of an object has no other id than
 * its name, and [[a],[b]] has the values of [[a,b]], so a digest takes it
 * along. All in the caller's pool. */
typedef struct etg_json_match {
    etg_json_kind kind;
    etg_bytes text;
    etg_bytes place;
} etg_json_match;

typedef struct etg_json_row {
    etg_json_match time;
    etg_json_match id;      /* kind ETG_JSON_ABSENT: none were asked for */
} etg_json_row;

typedef enum etg_json_selection {
    ETG_JSON_SELECTED,
    ETG_JSON_TOO_LONG,      /* the text */
    ETG_JSON_NO_JSON,
    ETG_JSON_NOTHING,       /* no time: an empty list, or another form than
                             * the pointer expects */
    ETG_JSON_NOT_PLAIN,     /* an array or an object is where a value should
                             * be */
    ETG_JSON_TOO_MANY,      /* matches, or bytes in them */
    ETG_JSON_COUNTS_DIFFER  /* there are not as many ids as times */
} etg_json_selection;

/* The values that pointer `times` leads to, in order, and beside each the one
 * of `ids` (NULL: no ids) that comes at the same turn; both are pointers with
 * "*" for each. A member without the value is left out. *rows has etg_json_row
 * rows, at least one. */
etg_json_selection etg_json_select(etg_bytes json, const char *times,
                                   const char *ids, apr_pool_t *p,
                                   const apr_array_header_t **rows);

/* What went wrong, for the log ("is no JSON"): the end of a sentence whose
 * subject is the body. */
const char *etg_json_selection_text(etg_json_selection selection);

#endif
