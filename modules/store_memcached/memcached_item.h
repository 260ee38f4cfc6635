/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_item.h: what the store keeps on the servers, and under which keys.
 *
 *   key         item        holds
 *   p, 16 bytes primary     the primary record and the response written last
 *   r, 16 bytes response    a response pushed out of its pair
 *   c           clock       the server's clock and the marks on everything
 *   t, 8 bytes  generation  the marks on one tag
 *   e, 32 bytes body        a body, or the manifest of one in chunks
 *   k, 16 bytes chunk       a part of a body; by body generation and index
 *   l, 16 bytes lease       who fetches what has this lease key
 *
 * A text key is "<namespace>:<format><letter>[:<hexadecimal>]". An item is a
 * record (lib/record.h) whose payload begins with the text key it was written
 * under: an item of another kind, of another key or of another namespace does
 * not unpack, and is a miss.
 *
 * Everything is pure. Packing allocates in a pool and fails with APR_ENOSPC
 * if the item would not fit a server's usual limit of 1 MB. Unpacking copies
 * nothing: what it gives points into the item, unaligned, and lives as long
 * as the item's bytes; APR_EINVAL, and the result untouched, if the item is
 * damaged or not the one asked for.
 */
#ifndef ETG_MEMCACHED_ITEM_H
#define ETG_MEMCACHED_ITEM_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_bytes.h"
#include "etg_store.h"

#define ETG_MEMCACHED_KEY_MAX 249              /* the protocol's limit */

/* The longest item that is ever packed; 1 MB less what a server adds. */
#define ETG_MEMCACHED_ITEM_MAX 1001000u

/* The longest body in one item, and the bytes per chunk of longer ones: what
 * a slab page of a server takes twice. */
#define ETG_MEMCACHED_SINGLE_MAX 1000000u
#define ETG_MEMCACHED_CHUNK_BYTES 500000u

/* A manifest with shorter chunks is damaged: it would make too many. */
#define ETG_MEMCACHED_CHUNK_MIN 65536u

/* The longest body. What claims to be longer is damaged. */
#define ETG_MEMCACHED_BODY_MAX (APR_UINT64_C(1) << 30)

#define ETG_MEMCACHED_GENERATION_BYTES 16

/* A key as the server sees it; `text` is terminated as well. */
typedef struct etg_memcached_key {
    apr_size_t length;
    char text[ETG_MEMCACHED_KEY_MAX + 1];
} etg_memcached_key;

/* Which writing of a body: random, so that no two share a chunk's key. */
typedef struct etg_memcached_generation {
    unsigned char bytes[ETG_MEMCACHED_GENERATION_BYTES];
} etg_memcached_generation;

/* The readings of the clock when something was last marked; 0: never. */
typedef struct etg_memcached_marks {
    apr_uint64_t soft;
    apr_uint64_t invalid;
    apr_uint64_t gone;
} etg_memcached_marks;

/* A response record with what is needed to see whether it was purged. */
typedef struct etg_memcached_response {
    etg_store_key key;          /* of the response record */
    etg_bytes response;
    apr_uint64_t moment;        /* the server's clock before the fetch */
    etg_bytes tags;             /* 8 bytes each: see tags_pack, tags_unpack */
    apr_time_t expires_at;
} etg_memcached_response;

/* A primary record and, if has_response, the response written last. */
typedef struct etg_memcached_primary {
    etg_bytes primary;
    apr_time_t expires_at;      /* of the primary record */
    int has_response;
    etg_memcached_response response;
} etg_memcached_primary;

typedef struct etg_memcached_clock {
    apr_uint64_t reading;
    etg_memcached_marks all;
} etg_memcached_clock;

/* How a body is kept. Exactly one of both: bytes if generation is not used
 * (is_chunked 0), or ceil(length / chunk_bytes) chunks of the generation. */
typedef struct etg_memcached_body {
    apr_uint64_t length;        /* of the whole body */
    apr_time_t expires_at;
    int is_chunked;
    etg_bytes bytes;            /* if not chunked */
    etg_memcached_generation generation;   /* if chunked, with the rest */
    apr_uint32_t chunk_bytes;   /* of each chunk but the last */
} etg_memcached_body;

/* Who may fetch; token 0: nobody for all, the answer cannot be shared. */
typedef struct etg_memcached_lease {
    apr_uint64_t token;
} etg_memcached_lease;

/* Make text keys in `name_space` (at most ETG_MEMCACHED_NAMESPACE_MAX bytes
 * are used). They cannot fail. */
void etg_memcached_key_of_primary(etg_memcached_key *key,
                                  const char *name_space,
                                  const etg_store_key *primary);
void etg_memcached_key_of_response(etg_memcached_key *key,
                                   const char *name_space,
                                   const etg_store_key *response);
void etg_memcached_key_of_clock(etg_memcached_key *key,
                                const char *name_space);
void etg_memcached_key_of_tag(etg_memcached_key *key, const char *name_space,
                              etg_store_tag tag);
void etg_memcached_key_of_body(etg_memcached_key *key, const char *name_space,
                               const etg_entity_id *id);
void etg_memcached_key_of_chunk(etg_memcached_key *key,
                                const char *name_space,
                                const etg_memcached_generation *generation,
                                apr_uint32_t index);
void etg_memcached_key_of_lease(etg_memcached_key *key,
                                const char *name_space,
                                const etg_store_key *leased);

/* Tags between the form of the contract and that of the items. The packed
 * form is in `p`; *tags is in `p`, NULL if there are none. */
etg_bytes etg_memcached_tags_pack(const etg_store_tag *tags, unsigned count,
                                  apr_pool_t *p);
const etg_store_tag *etg_memcached_tags_unpack(etg_bytes packed,
                                               apr_pool_t *p,
                                               unsigned *count);
/* Packed tag number `at` (below packed.length / 8). */
etg_store_tag etg_memcached_tag_at(etg_bytes packed, unsigned at);

/* Pack and unpack; `key` is the item's own, as made above. The response's
 * key must be the one its text key was made of (not checked on packing). */
apr_status_t etg_memcached_primary_pack(const etg_memcached_primary *primary,
                                        const etg_memcached_key *key,
                                        apr_pool_t *p, etg_bytes *item);
apr_status_t etg_memcached_primary_unpack(etg_bytes item,
                                          const etg_memcached_key *key,
                                          etg_memcached_primary *primary);

apr_status_t etg_memcached_response_pack(const etg_memcached_response
                                             *response,
                                         const etg_memcached_key *key,
                                         apr_pool_t *p, etg_bytes *item);
apr_status_t etg_memcached_response_unpack(etg_bytes item,
                                           const etg_memcached_key *key,
                                           etg_memcached_response *response);

apr_status_t etg_memcached_clock_pack(const etg_memcached_clock *clock,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item);
apr_status_t etg_memcached_clock_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        etg_memcached_clock *clock);

apr_status_t etg_memcached_marks_pack(const etg_memcached_marks *marks,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item);
apr_status_t etg_memcached_marks_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        etg_memcached_marks *marks);

/* A body in one item or a manifest, as is_chunked says. */
apr_status_t etg_memcached_body_pack(const etg_memcached_body *body,
                                     const etg_memcached_key *key,
                                     apr_pool_t *p, etg_bytes *item);
apr_status_t etg_memcached_body_unpack(etg_bytes item,
                                       const etg_memcached_key *key,
                                       etg_memcached_body *body);

/* One chunk of a generation (1 to ETG_MEMCACHED_SINGLE_MAX bytes). The key
 * names generation and index; so does the payload. */
apr_status_t etg_memcached_chunk_pack(const etg_memcached_generation
                                          *generation,
                                      apr_uint32_t index, etg_bytes bytes,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item);
apr_status_t etg_memcached_chunk_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        const etg_memcached_generation
                                            *generation,
                                        apr_uint32_t index,
                                        etg_bytes *bytes);

apr_status_t etg_memcached_lease_pack(const etg_memcached_lease *lease,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item);
apr_status_t etg_memcached_lease_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        etg_memcached_lease *lease);

/* `expires_at` as the protocol wants it, rounded up: seconds from now up to
 * 30 days, seconds since 1970 above. Never 0, which would mean for ever. 0 if
 * it has passed: do not write (*exptime is untouched). */
int etg_memcached_exptime(apr_time_t expires_at, apr_time_t now,
                          apr_uint32_t *exptime);

#endif
