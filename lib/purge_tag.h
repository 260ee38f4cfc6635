/* SPDX-License-Identifier: Apache-2.0 */
/*
 * purge_tag.h: the tags a response carries and a purge names.
 *
 * Two kinds, which never meet: tags, the words of Surrogate-Key, Cache-Tag
 * and the like, and groups, the strings of Cache-Groups (RFC 9875). Both
 * belong to one origin, and both are only hashes here: what shares one is
 * purged together.
 *
 * All fields with tags are read in one way: words between spaces, tabs and
 * commas, case-sensitive. Whoever separates by only one of them names a few
 * words more, on the response as in the purge, and purges a little too much
 * rather than too little.
 *
 * What names too much to be remembered (ETG_STORE_TAGS_MAX) carries the tag of
 * its origin's overtagged responses instead, which every purge by tag moves.
 */
#ifndef ETG_LIB_PURGE_TAG_H
#define ETG_LIB_PURGE_TAG_H

#include <apr_pools.h>

#include "etg_bytes.h"
#include "etg_store.h"

/* Longer ones cannot be purged by name. */
#define ETG_PURGE_TAG_BYTES_MAX 1024

typedef struct etg_purge_tags {
    apr_uint64_t origin;          /* a hash of scheme and authority */
    etg_store_tag tags[ETG_STORE_TAGS_MAX];   /* no two alike */
    unsigned count;
    unsigned excess;              /* too many or too long: left out */
} etg_purge_tags;

/* Empties *set. `scheme` and `host` are what the cache key begins with; host
 * in any letter case. */
void etg_purge_tags_init(etg_purge_tags *set, const char *scheme,
                         const char *host);

/* Adds the tags of a field's value. */
void etg_purge_tags_add(etg_purge_tags *set, etg_bytes value);

/* Adds the groups of a field's value (all its lines, combined), a Structured
 * Fields list of strings. APR_EINVAL: it is none, and nothing is added. */
apr_status_t etg_purge_tags_add_groups(etg_purge_tags *set, etg_bytes value,
                                       apr_pool_t *p);

/* The tag of this origin's responses that have too many. */
etg_store_tag etg_purge_tag_of_overtagged(const etg_purge_tags *set);

/* For a response: if there is an excess, makes the set that one tag. */
void etg_purge_tags_settle(etg_purge_tags *set);

#endif
