/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coded_tag.h: entity tags per coding, and the way back to the backend's.
 *
 * Form. The representation whose bytes are the backend's own keeps the
 * backend's tag. One we made from it has that tag with a suffix:
 *
 *     "v1"  ->  "v1;etg-gzip-0123456789abcdef"    strong: 64 bits of the
 *               SHA-256 of the very bytes; another zlib, another tag
 *     "v1"  ->  "v1;etg-plain"      inflated from the backend's gzip: the
 *               bytes follow from the coded ones, and so does the tag
 *     W/"v1" -> W/"v1;etg-gzip", W/"v1;etg-plain"
 *
 * Comparison (RFC 9110 §8.8.3.2). Weakly, tags are equal if they are when all
 * suffixes (of caches in a row) are taken off both: the coding does not change
 * what is said, so a client that holds either form gets its 304. Strongly, only
 * the very same tag is.
 */
#ifndef ETG_LIB_CODED_TAG_H
#define ETG_LIB_CODED_TAG_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"
#include "etg_store.h"
#include "lib/precondition.h"
#include "lib/stored_response.h"

/* The tag of the representation made of `tag`'s by coding it with `coding`
 * (ETG_CODING_IDENTITY: by inflating it); `entity`: id of the gzip-coded
 * bytes, used for a strong tag. A `tag` that is no valid tag or would grow
 * over 1 KB gives NULL (send none); NULL gives NULL. In `p`. */
const char *etg_coded_tag(const char *tag, etg_coding coding,
                          const etg_entity_id *entity, apr_pool_t *p);

/* Takes our suffix off a tag (text form). 1: there was one; *own is the
 * backend's tag in `p`. 0: it has none of ours, *own is untouched. */
int etg_coded_tag_strip(etg_bytes tag, apr_pool_t *p, const char **own);

/* The tag of the plain form of what came gzip-coded with `tag`: without our
 * suffix, or the "-gzip" that mod_deflate puts there; else `tag` itself. In
 * `p`. */
const char *etg_coded_tag_plain(const char *tag, apr_pool_t *p);

/* Preconditions as etg_precondition_decide says, for a representation with
 * the tag `etag`, ours or the backend's: If-None-Match members compare
 * without suffixes, and with those of mod_deflate and mod_brotli ("-gzip",
 * "-br") if they stand on exactly this tag. If-Match compares strongly, so
 * a client that holds the other coding is told 412. *matched: on a 304 by
 * If-None-Match, the member that matched, in `p`, to be sent back as ETag if
 * it is not `etag` itself but for weakness (RFC 9111 §4.3.4: the client picks
 * what it updates by it); else NULL. */
etg_precondition etg_coded_precondition_decide(
    const apr_table_t *request_fields, int status, const char *etag,
    const char *last_modified, apr_time_t now, apr_pool_t *p,
    const char **matched);

/* A request's fields with our tags mapped back for the backend, a copy in
 * `p`; NULL: there are none, use what you have. If-Match, If-None-Match: each
 * member of ours without its suffix. An If-Range of ours goes, and Range with
 * it: the part the client holds is of a coding that the backend's range would
 * not be. */
apr_table_t *etg_coded_tags_map_back(const apr_table_t *request_fields,
                                     apr_pool_t *p);

/* May the part that a request's If-Range names only by its date be of the
 * gzip form, made here, of what the backend has? If so a range of the plain
 * bytes would not fit to it. */
int etg_coded_part_is_possible(const apr_table_t *request_fields,
                               apr_pool_t *p);

#endif
