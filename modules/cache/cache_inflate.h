/* SPDX-License-Identifier: Apache-2.0 */
/* cache_inflate.h: a body that is stored gzip-coded, for a client that does
 * not take that. */
#ifndef ETG_CACHE_INFLATE_H
#define ETG_CACHE_INFLATE_H

#include "modules/cache/cache.h"

/* Registers the filter (register_hooks). */
void etg_cache_inflate_register(void);

/* Puts a bucket of `length` bytes into `bb` that inflates `coded` as it is
 * read, and the filter that reads it in portions into r's output chain. The
 * beginning is inflated at once: a status other than APR_SUCCESS says that the
 * body is damaged, and nothing was done. */
apr_status_t etg_cache_inflate_insert(request_rec *r,
                                      const etg_entity *coded,
                                      apr_uint64_t length,
                                      apr_bucket_brigade *bb);

#endif
