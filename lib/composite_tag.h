/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_tag.h: the one entity tag of a response made of several.
 *
 * A digest over what the composite is made of, in order: each part's name,
 * status class and own tag (or the digest of its body where it has none), the
 * template and options, and a keyed hash of the credentials that were
 * forwarded. Equal sequences give equal tags, and others others: SHA-256, cut
 * to 128 bits, every piece length-framed.
 */
#ifndef ETG_LIB_COMPOSITE_TAG_H
#define ETG_LIB_COMPOSITE_TAG_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

#define ETG_COMPOSITE_DIGEST_BYTES 32

typedef struct etg_composite_state {
    const char *name;
    int status;                 /* its class counts; 404 and 410 are classes
                                 * of their own: a definite answer */
    const char *etag;           /* as the part had it; NULL: none */
    int has_body_digest;        /* of a part without a tag */
    unsigned char body_digest[ETG_COMPOSITE_DIGEST_BYTES];
    int is_default;             /* its default stands in for it */
} etg_composite_state;

typedef struct etg_composite_scope {
    etg_bytes template_digest;  /* of template and options */
    /* Fields that were forwarded, as they came; names in a fixed order. NULL:
     * none. Credentials among them make a tag of this user's alone, by an
     * HMAC under `key`. */
    const apr_table_t *forwarded;
    const apr_array_header_t *forwarded_names;  /* const char * rows */
    int is_private;
    etg_bytes key;              /* at least ETG_DATA_TAG_KEY_MIN bytes if
                                 * is_private */
} etg_composite_scope;

/* The tag in its text form, in `p`. Strong only if every part's own tag is
 * strong (a body digest is of exact bytes, so it is strong); else W/"...".
 * NULL: there is none: a part failed (is_default, unless its status is a
 * definite 404 or 410), has neither tag nor digest, its tag is malformed, or
 * private without a key. */
const char *etg_composite_tag(const etg_composite_state *parts,
                              unsigned count,
                              const etg_composite_scope *scope,
                              apr_pool_t *p);

#endif
