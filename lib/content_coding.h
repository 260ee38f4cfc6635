/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content_coding.h: which bodies are kept gzip-coded, and which form of one a
 * client gets (RFC 9110 §8.4, §12.5.3).
 *
 * A body is stored in one form. Coded here: the backend's bytes are the plain
 * ones, and we made the coded. Coded by the backend, unasked: the other way
 * round. Either way the plain form is inflated from the stored one.
 */
#ifndef ETG_LIB_CONTENT_CODING_H
#define ETG_LIB_CONTENT_CODING_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "lib/stored_response.h"

/* Shorter bodies stay as they are: they fill a packet or less. */
#define ETG_CODING_BYTES_MIN 860

/* What one request gets of a stored response. */
typedef struct etg_representation {
    etg_coding coding;     /* of what is sent: GZIP wants Content-Encoding:
                            * gzip; IDENTITY none beyond the stored fields */
    int is_inflated;       /* the stored bytes go through an inflater */
    int is_made;           /* not the backend's own bytes, but coded or
                            * inflated here: If-Range by date does not hold
                            * (give etg_if_range_holds no Last-Modified) */
    int is_negotiated;     /* another client may get another coding of it:
                            * Vary must name Accept-Encoding */
    apr_uint64_t length;   /* Content-Length; ranges are of these bytes */
    const char *etag;      /* to be sent, and compared; NULL: none */
} etg_representation;

/* The form of `stored` for a request: gzip if it is stored so and the request
 * takes it, else plain. A request that takes neither gets the plain form. What
 * may not be transformed (no-transform, a digest field, learned from a later
 * 304) goes out in the backend's own form. A new tag is made in `p`. */
void etg_representation_choose(const etg_stored_response *stored,
                               const apr_table_t *request_fields,
                               apr_pool_t *p, etg_representation *chosen);

/* Does a request with this Accept-Encoding (NULL: none) want gzip? Only if
 * gzip, x-gzip or "*" says so with a weight over 0 and not under that of an
 * explicit "identity". A member that does not parse says nothing. */
int etg_gzip_is_wanted(const char *accept_encoding);

/* May, and should, a response with these fields and a body of `length` bytes
 * (-1: not known yet) be stored coded by us? Text-like, long enough, without
 * a Content-Encoding, without no-transform (in its Cache-Control or in
 * `freshness_flags`) and without a digest of its content. */
int etg_coding_suits(const apr_table_t *response_fields,
                     apr_uint32_t freshness_flags, apr_int64_t length,
                     apr_pool_t *p);

/* Is `coded` short enough against `plain`, at most 90 %? */
int etg_coding_pays(apr_uint64_t plain, apr_uint64_t coded);

/* ETG_CODING_GZIP if the backend sent these fields with a body whose coding is
 * gzip alone and ours to undo: text-like (an archive with this label is not
 * unpacked for anybody), no no-transform, no digest. Else IDENTITY: whatever
 * coding it has is opaque and stays among the fields. */
etg_coding etg_coding_of_backend(const apr_table_t *response_fields,
                                 apr_uint32_t freshness_flags, apr_pool_t *p);

/* Is it a media type whose bodies usually shrink? NULL: no. */
int etg_type_is_text_like(const char *content_type);

/* Takes the Content-Encoding off rows of etg_field (as etg_storable_fields
 * gives them), for a record whose `coding` says it. */
void etg_coding_take_off(apr_array_header_t *rows);

/* Sees to it that Vary names Accept-Encoding, in `fields`. */
void etg_vary_add_accept_encoding(apr_table_t *fields, apr_pool_t *p);

#endif
