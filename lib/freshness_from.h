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

/* Longer values are not bound, and longer defaults not taken. */
#define ETG_PARAM_VALUE_MAX 4096
#define ETG_PARAM_GROUP_MAX 9   /* of path:N */

typedef enum etg_from_kind {
    ETG_FROM_SQL,           /* text: the statement, for apr_dbd */
    ETG_FROM_FILES,         /* text: the pattern */
    ETG_FROM_MEMCACHED,     /* text: the key with its "%s" */
    ETG_FROM_JSON,          /* text: the times' pointer, ids: the ids' */
    ETG_FROM_HEADER,        /* text: the field's name */
    ETG_FROM_BODY           /* no text */
} etg_from_kind;

typedef enum etg_param_kind {
    ETG_PARAM_QUERY,        /* query:name, query:name=default */
    ETG_PARAM_PATH,         /* path:N, a match group; 0 is the whole match */
    ETG_PARAM_HEADER,       /* header:name */
    ETG_PARAM_ENV,          /* env:name */
    ETG_PARAM_USER          /* user */
} etg_param_kind;

typedef struct etg_from_param {
    etg_param_kind kind;
    const char *name;           /* of QUERY, HEADER, ENV; else NULL */
    const char *default_value;  /* NULL: none */
    int number;                 /* of PATH */
} etg_from_param;

typedef struct etg_freshness_from {
    etg_from_kind kind;
    const char *text;
    const char *ids;                    /* NULL: none */
    const apr_array_header_t *params;   /* etg_from_param rows, as many as
                                         * the text has "%s"; in their order */
} etg_freshness_from;

/* Reads what stands behind the directive's name. Words are quoted as httpd's
 * are: "..." or '...', where a backslash stands before a quote of the same
 * kind or another backslash; but a quote that is not closed is refused. In a
 * statement "%s" is a placeholder and "%%" a percent sign, as apr_dbd has it;
 * one before anything but a letter is itself. In a key there are "%s" and
 * "%%" only, and nothing that a key may not hold. A pointer's "*" is each
 * element or member. Returns NULL, or a sentence for the admin, in `p`, and
 * leaves *from. */
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
