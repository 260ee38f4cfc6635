/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vary.h: which request fields select a response, and their normal form
 * (RFC 9111 §4.1).
 */
#ifndef ETG_LIB_VARY_H
#define ETG_LIB_VARY_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

#define ETG_VARY_HASH_BYTES 16
/* At most so many names are kept; a response that names more is not stored. */
#define ETG_VARY_NAMES_MAX 32

typedef struct etg_vary_hash {
    unsigned char bytes[ETG_VARY_HASH_BYTES];
} etg_vary_hash;

/* How values are normalized beyond white space. */
typedef struct etg_vary_rules {
    /* const char * rows: languages the route serves, best first (what
     * Accept-Language is reduced to); NULL or empty: list order and case
     * and q-values are normalized only. */
    const apr_array_header_t *languages;
    /* const char * rows: cookie name patterns removed before hashing. */
    const apr_array_header_t *ignored_cookies;
} etg_vary_rules;

/* The normal form of all Vary lines: lower-case names, sorted, without
 * repeats, joined by ','. "" if there is no Vary; NULL if any member is "*",
 * is no token, or there are too many: such a response matches no later
 * request. Accept-Encoding is dropped, as every fetch carries our own, unless
 * the response has a Content-Encoding all the same (one that we undo, which
 * only the end of its body shows, is to be taken off the fields before). */
const char *etg_vary_names(const apr_table_t *response_fields, apr_pool_t *p);

/* The hash (SHA-256, cut) of the values of `names` (as above) in a request;
 * `rules` NULL: none. Missing and empty differ. Lines are joined, white space
 * around commas is normalized. Accept-Language members are ordered by
 * descending q (missing q is 1, q=0 kept), lower-cased; with rules->languages
 * the field becomes the one language that etg_language_choose gives (or "").
 * Cookie loses what rules->ignored_cookies names, and is missing if nothing
 * is left. Names "" give all zeros at no cost. */
void etg_vary_hash_of(etg_vary_hash *hash, const char *names,
                      const apr_table_t *request_fields,
                      const etg_vary_rules *rules, apr_pool_t *p);

/* RFC 4647 §3.4 lookup of the Accept-Language value in the languages: the
 * one to serve (a row), or NULL if none fits. Ties go to the earlier
 * language; "*" and ranges with q=0 choose nothing. */
const char *etg_language_choose(const char *accept_language,
                                const apr_array_header_t *languages,
                                apr_pool_t *p);

#endif
