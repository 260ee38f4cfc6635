/* SPDX-License-Identifier: Apache-2.0 */
/* next_page.h: which URL is the next page of a list? May it be fetched, that
 * lib/allowed_target.h answers. */
#ifndef ETG_LIB_NEXT_PAGE_H
#define ETG_LIB_NEXT_PAGE_H

#include <apr_pools.h>

#include "etg_bytes.h"

typedef enum etg_next_way {
    ETG_NEXT_BY_LINK,             /* Link: <...>; rel=next */
    ETG_NEXT_BY_JSON,             /* a string in the body */
    ETG_NEXT_BY_QUERY             /* a parameter of the request, plus one */
} etg_next_way;

typedef struct etg_next_rule {
    etg_next_way way;
    const char *name;             /* the pointer or parameter, or NULL */
} etg_next_rule;

/* Reads "link", "json:/pointer" or "query:name" into *rule, whose name points
 * into `text`. NULL, or how the sentence `"text" ...` ends. */
const char *etg_next_rule_parse(const char *text, etg_next_rule *rule);

/* The reference that a line of the Link field gives for the next page, in
 * `p`, or NULL. */
const char *etg_next_by_link(const char *line, apr_pool_t *p);

/*
 * The target of the next page by its number, in `p`: `target` with the
 * parameter's decimal number one higher, all else byte for byte. Without the
 * parameter it is the first page, and the next one's is added with 2. NULL if
 * its value is no number of at most 15 digits, or it is there twice. Names
 * are compared decoded.
 */
const char *etg_next_by_query(const char *target, const char *name,
                              apr_pool_t *p);

#endif
