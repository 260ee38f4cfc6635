/* SPDX-License-Identifier: Apache-2.0 */
/*
 * from_param.h: a value of the request, as a directive names it:
 *
 *   query:name  query:name=default  path:N  header:name  env:name  user
 */
#ifndef ETG_LIB_FROM_PARAM_H
#define ETG_LIB_FROM_PARAM_H

#include <apr_pools.h>

/* Longer values are not bound, and longer defaults not taken. */
#define ETG_PARAM_VALUE_MAX 4096
#define ETG_PARAM_GROUP_MAX 9   /* of path:N */

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

/* Reads a word; names point into it or lie in `p`. NULL, or a sentence for
 * the admin, in `p`, and *param is left. */
const char *etg_from_param_read(const char *word, apr_pool_t *p,
                                etg_from_param *param);

/* NULL, or what is wrong: `text` has so many "%s", and other params behind
 * it. */
const char *etg_from_params_check_count(const char *text, int placeholders,
                                        int params, apr_pool_t *p);

#endif
