/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allowed_target.h: may a URL that a backend has named be fetched, and what is
 * its target?
 *
 * What a backend names is outside data: it becomes a target only if it is of
 * the request's own origin, below a prefix that the admin has allowed, and
 * written in a way that nobody behind us reads differently.
 */
#ifndef ETG_LIB_ALLOWED_TARGET_H
#define ETG_LIB_ALLOWED_TARGET_H

#include <apr_pools.h>
#include <apr_tables.h>

/* Longer targets are not fetched. */
#define ETG_ALLOWED_TARGET_MAX 4096

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
const char *etg_allowed_target(const char *reference, const char *scheme,
                               const char *host, const char *target,
                               const apr_array_header_t *prefixes,
                               apr_pool_t *p);

/* Is the path of a target below one of the prefixes, by whole segments? */
int etg_allowed_is_below(const char *target,
                         const apr_array_header_t *prefixes);

/* May it be such a prefix: an absolute path without query that would be
 * a target itself? */
int etg_allowed_prefix_is_valid(const char *prefix);

/* Visible ASCII, and no backslash, which some read as a slash? */
int etg_allowed_is_visible(const char *text);

/* The byte that "%xx" means, or -1; two bytes follow the first. */
int etg_allowed_escape(const char *text);

#endif
