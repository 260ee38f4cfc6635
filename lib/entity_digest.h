/* SPDX-License-Identifier: Apache-2.0 */
/* entity_digest.h: SHA-256 of a body as it streams by (libcrypto). */
#ifndef ETG_LIB_ENTITY_DIGEST_H
#define ETG_LIB_ENTITY_DIGEST_H

#include <apr_pools.h>

#include "etg_store.h"

typedef struct etg_entity_digest etg_entity_digest;

/* Begins a digest; freed by a cleanup on p. APR_ENOMEM if libcrypto fails. */
apr_status_t etg_entity_digest_begin(etg_entity_digest **digest,
                                     apr_pool_t *p);
/* Adds bytes. A failure of libcrypto is remembered: end then fails too. */
apr_status_t etg_entity_digest_add(etg_entity_digest *digest,
                                   const void *data, apr_size_t length);
/* The id of what was added. A second call gives APR_EINVAL. */
apr_status_t etg_entity_digest_end(etg_entity_digest *digest,
                                   etg_entity_id *id);

/* SHA-256 of one buffer. APR_EGENERAL if libcrypto fails. */
apr_status_t etg_sha256(const void *data, apr_size_t length,
                        unsigned char digest[32]);

/* Lower-case hexadecimal, terminated; `hex` has 2 * length + 1 bytes. */
void etg_hex(char *hex, const unsigned char *bytes, apr_size_t length);

#endif
