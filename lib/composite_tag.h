/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_tag.h: the one entity tag of a response made of several.
 *
 * A digest over what the composite is made of, in order: each part's name,
 * URL, status class and own tag (or the digest of its body where it has
 * none), the template and options, and a keyed hash of the user and of the
 * fields that were forwarded. Equal sequences give equal tags, and others
 * others: SHA-256, cut to 128 bits, every piece length-framed. A part's tag
 * counts byte by byte: W/"a" and "a" are two.
 */
#ifndef ETG_LIB_COMPOSITE_TAG_H
#define ETG_LIB_COMPOSITE_TAG_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"
#include "lib/data_tag.h"

#define ETG_COMPOSITE_DIGEST_BYTES 32

typedef struct etg_composite_state {
    const char *name;
    const char *url;            /* as it was asked for: tags of two URLs may be
                                 * the same text (a version's number), and a
                                 * param may be the user; NULL: always the
                                 * same for this name */
    int status;                 /* of the response it has, never 304; its
                                 * class counts; 404 and 410 are classes of
                                 * their own: a definite answer */
    const char *etag;           /* as the part had it; NULL: none */
    int has_body_digest;        /* of a part without a tag */
    unsigned char body_digest[ETG_COMPOSITE_DIGEST_BYTES];
    int is_default;             /* its default stands in for it */
} etg_composite_state;

typedef struct etg_composite_scope {
    etg_bytes template_digest;  /* of template and options */
    /* Fields that were forwarded, as they came; names in a fixed order. NULL:
     * none. With is_private (there are credentials among them, or a part's URL
     * or a user tells whose it is) all of their lines and the user count, by
     * an HMAC under `key`, and the tag is this user's alone; else none does:
     * parts that go by them say so by their own tags. */
    const apr_table_t *forwarded;
    const apr_array_header_t *forwarded_names;  /* const char * rows */
    const char *user;           /* authenticated, or NULL */
    int is_private;
    etg_bytes key;              /* at least ETG_DATA_TAG_KEY_MIN bytes if
                                 * is_private */
} etg_composite_scope;

/* The tag in its text form, in `p`. Strong only if every part's own tag is
 * strong (a body digest is of exact bytes, so it is strong, and so is a
 * default); else W/"...". NULL: there is none: a part failed (is_default
 * unless its status is a definite 404 or 410, or a status that is no answer:
 * 1xx, 304, 4xx but those two, 5xx), has neither tag nor digest, its tag is
 * malformed, or private without a key, or libcrypto failed. */
const char *etg_composite_tag(const etg_composite_state *parts,
                              unsigned count,
                              const etg_composite_scope *scope,
                              apr_pool_t *p);

#endif
