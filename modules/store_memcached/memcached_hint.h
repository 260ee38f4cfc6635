/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_hint.h: what a look-up asks for besides the record, on the guess
 * that it will be needed: the tags that the key's response last had, and the
 * body that was last read after looking the key up. One round trip then does
 * for what takes up to three. A wrong guess costs the bytes it brought, and
 * never an answer: what it brings is only used where the same would have been
 * asked for next. Private to the store.
 */
#ifndef ETG_MEMCACHED_HINT_H
#define ETG_MEMCACHED_HINT_H

#include "memcached_store.h"

/* Longer bodies, and more tags, are worth a round trip of their own. */
#define ETG_MEMCACHED_HINT_BODY_MAX 65536u
#define ETG_MEMCACHED_HINT_TAGS_MAX 8

typedef struct etg_memcached_hint {
    etg_store_key key;
    unsigned char tags[ETG_MEMCACHED_HINT_TAGS_MAX * sizeof(etg_store_tag)];
    apr_size_t tags_length;        /* in bytes, as packed */
    etg_entity_id body;
    unsigned char body_worth;      /* look-ups it is still asked along with */
} etg_memcached_hint;

apr_status_t etg_memcached_hints_open(etg_store *store);
void etg_memcached_hints_close(etg_store *store);

/* What is known of the key; all zero but the key if nothing is. */
void etg_memcached_hint_read(etg_store *store, const etg_store_key *key,
                             etg_memcached_hint *hint);
/* The key's response has these tags, packed. */
void etg_memcached_hint_tags(etg_store *store, const etg_store_key *key,
                             etg_bytes tags);

/* Leaves what came for `hint` (its body's item, or no bytes) for a body read
 * with the same pool. */
void etg_memcached_body_park(etg_store *store, const etg_memcached_hint *hint,
                             etg_bytes item, apr_pool_t *p);
/* The item of the body, if it is parked. APR_NOTFOUND: it is not. */
apr_status_t etg_memcached_body_parked(etg_store *store,
                                       const etg_entity_id *id,
                                       apr_pool_t *p, etg_bytes *item);
/* A body was read in one piece: if a look-up came before it, it is the body
 * to ask for next time. */
void etg_memcached_body_used(etg_store *store, const etg_entity_id *id,
                             apr_uint64_t length, apr_pool_t *p);

#endif
