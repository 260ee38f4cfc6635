/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_memo.h: what is remembered of a page with ESI: the fragments it was made
 * of, so that later requests can be answered 304 by fields alone.
 *
 * A record need not be true to be of use: the tag of the whole is a digest
 * over the page's tag and each fragment's URL and tag, in order. Where that of
 * the fragments remembered is the one that the client holds, they are those of
 * the page that it has; and as none of their tags has moved, neither has what
 * they include. So a record that is out of date, or of another page, never
 * gives a 304, and no tags of fragments are in it. (A fragment whose fields say
 * ESI at one time and not at another, under one tag, is two under one tag.)
 */
#ifndef ETG_LIB_ESI_MEMO_H
#define ETG_LIB_ESI_MEMO_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

#define ETG_ESI_MEMO_KEY_BYTES 32
/* Longer records are not made. */
#define ETG_ESI_MEMO_MAX 16384

typedef struct etg_esi_memo_key {
    unsigned char bytes[ETG_ESI_MEMO_KEY_BYTES];
} etg_esi_memo_key;

/* A SHA-256 over the page's URL (its cache key's text), the text of its tag,
 * and what the configuration says of its fragments: prefixes (const char *
 * rows) in order and is_always. So each text that the URL gives has a record
 * of its own. 0: libcrypto failed. */
int etg_esi_memo_key_make(etg_esi_memo_key *key, etg_bytes url,
                          const char *etag,
                          const apr_array_header_t *prefixes, int is_always,
                          apr_pool_t *p);

/* Framed records (lib/record.h) in `p`, of targets (const char * rows) in
 * order, ETG_ESI_FRAGMENTS_MAX at most. APR_ENOSPC: longer than
 * ETG_ESI_MEMO_MAX; APR_EINVAL: too many, or one is no target (see
 * lib/allowed_target.h: it begins with one "/", and is visible ASCII). */
apr_status_t etg_esi_memo_pack(const etg_esi_memo_key *key,
                               const apr_array_header_t *targets,
                               apr_pool_t *p, etg_bytes *record);

/* APR_EINVAL for whatever pack would not have made of this key; the key is in
 * the record, as hashes of a memory that is shared may be cut. */
apr_status_t etg_esi_memo_unpack(etg_bytes record,
                                 const etg_esi_memo_key *key, apr_pool_t *p,
                                 apr_array_header_t **targets);

#endif
