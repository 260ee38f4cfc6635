/* SPDX-License-Identifier: Apache-2.0 */
/* data_tag.h: the entity tag that a data digest becomes. */
#ifndef ETG_LIB_DATA_TAG_H
#define ETG_LIB_DATA_TAG_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"
#include "lib/data_digest.h"
#include "lib/vary.h"

/* Shorter keys are refused: tags of private requests are shown to others. */
#define ETG_DATA_TAG_KEY_MIN 16

/* What of a request its response depends on, besides the data. */
typedef struct etg_data_tag_scope {
    const apr_table_t *request_fields;
    /* The last response's, as etg_vary_names gives them: "" none, NULL: it
     * cannot be said (Vary: *). */
    const char *vary_names;
    const etg_vary_rules *vary_rules;   /* or NULL */

    /* The response may be made for this user alone. */
    int is_private;
    const char *user;                   /* authenticated, or NULL */
    /* const char * rows: names of fields that may tell users apart (Cookie,
     * Authorization); NULL: none. Their lines count as they are. */
    const apr_array_header_t *private_names;
    etg_bytes key;                      /* the installation's own secret */
} etg_data_tag_scope;

/*
 * The tag in its text form, in `p`: W/"..." for digests of data, "..." if
 * `is_strong` (a digest of the exact bytes of the body). It is 128 bits in
 * hexadecimal over
 *
 *   - the digest's SHA-256, and its strength;
 *   - the values of the fields that Vary names (etg_vary_hash_of);
 *   - on private requests the HMAC-SHA-256, under the key, of the user and
 *     of every line of the private fields: no user's tag is another's, and
 *     nobody without the key can tell from a tag whose it is.
 *
 * A digest with `rails` that holds for all requests alike (no Vary, not
 * private, no salt) gives W/"<rails>" as it is, to agree with applications
 * that send it: such a tag is not of the SHA-256.
 *
 * NULL: there can be no tag (Vary: *; private without a key of
 * ETG_DATA_TAG_KEY_MIN bytes; libcrypto failed). Hexadecimal, so that it ends
 * like no coding's suffix ("-gzip").
 */
const char *etg_data_tag(const etg_data_digest *digest,
                         const etg_data_tag_scope *scope, int is_strong,
                         apr_pool_t *p);

/* The HMAC in it: whose private request it is. 0: no key of that length, or
 * libcrypto failed. */
#define ETG_DATA_OWNER_BYTES 32
int etg_data_owner(unsigned char owner[ETG_DATA_OWNER_BYTES],
                   const etg_data_tag_scope *scope, apr_pool_t *p);

#endif
