/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next_page.h: which URL is the next page of a list, and may it be fetched?
 *
 * What a backend names is outside data: it becomes a target only if it is of
 * the request's own origin, below a prefix that the admin has allowed, and
 * written in a way that nobody behind us reads differently.
 */
#ifndef ETG_LIB_NEXT_PAGE_H
#define ETG_LIB_NEXT_PAGE_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

/* Longer targets are not fetched. */
#define ETG_NEXT_TARGET_MAX 4096

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

/*
 * The target (path and query) that `reference` means beside a request for
 * `target`, in `p`, if it may be fetched, else NULL. `scheme`, `host`
 * and `target` as in etg_target_resolve; `prefixes` are const char * rows.
 *
 * Refused: other origins (a backend's own name that clients do not use is
 * one), userinfo, the page itself, too long ones; bytes that are not visible
 * ASCII, and backslashes; in the path dot segments that are left, also with
 * a parameter ("..;x"), and encoded dots, slashes, backslashes, percent signs
 * and control bytes. A fragment is cut.
 */
const char *etg_next_target(const char *reference, const char *scheme,
                            const char *host, const char *target,
                            const apr_array_header_t *prefixes,
                            apr_pool_t *p);

/* Is the path of a target below one of the prefixes, by whole segments? */
int etg_next_is_allowed(const char *target,
                        const apr_array_header_t *prefixes);

/* May it be such a prefix: an absolute path without query that would be
 * a target itself? */
int etg_next_prefix_is_valid(const char *prefix);

#endif
