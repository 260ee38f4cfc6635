/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_key.h: what identifies a resource in the cache (RFC 9111 §2, design:
 * scheme, host, path and query of the first request, keyed request fields).
 */
#ifndef ETG_LIB_CACHE_KEY_H
#define ETG_LIB_CACHE_KEY_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_store.h"
#include "lib/vary.h"

typedef struct etg_key_rules {
    const apr_array_header_t *ignore_query; /* const char * patterns or NULL */
    const apr_array_header_t *headers;      /* const char * names or NULL */
    int sort_query;
} etg_key_rules;

typedef struct etg_cache_key {
    const char *text;       /* the full key, stored and compared; terminated */
    apr_size_t length;
    etg_store_key hash;     /* XXH3-128 of text: the primary record's key */
    int changed_query;      /* did a rule alter the query? */
    const char *target;     /* path and query the backend is to get */
} etg_cache_key;

/*
 * Builds the key in `p`. `scheme` is "http" or "https"; `host` what the client
 * sent (lower-cased here, its port kept exactly; NULL: none); `target` the
 * unparsed_uri of the first request in origin form, or in absolute form: then
 * path and query are taken from it. A fragment is cut. `rules` NULL: none.
 *
 * The steering fields (X-Forwarded-Host, -Proto, -Scheme, -Port, -Prefix,
 * Forwarded, X-Original-URL, X-Rewrite-URL) and rules->headers join the key
 * when present, lengths framed, so that no value can imitate another part.
 * Patterns (apr_fnmatch) match decoded parameter names; parameters are
 * separated by '&' only; removed ones leave the rest byte for byte; sorting
 * is stable and by raw name. key->target is `target` itself if it is the same.
 */
void etg_cache_key_make(etg_cache_key *key, const char *scheme,
                        const char *host, const char *target,
                        const apr_table_t *request_fields,
                        const etg_key_rules *rules, apr_pool_t *p);

/* A query (without its '?') less the parameters that `patterns` match, as the
 * key leaves them out: `query` itself if none does, NULL if all do. */
const char *etg_query_without(const char *query,
                              const apr_array_header_t *patterns,
                              apr_pool_t *p);

/* The hash of a key's text (XXH3-128), for a text that stands already. */
void etg_cache_key_hash(etg_store_key *hash, const char *text,
                        apr_size_t length);

/* The response record's key: XXH3-128 of (key hash, generation, vary hash). */
void etg_response_key(etg_store_key *out, const etg_store_key *primary,
                      apr_uint64_t generation, const etg_vary_hash *vary);

#endif
