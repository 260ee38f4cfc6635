/* SPDX-License-Identifier: Apache-2.0 */
/* cache_body.h: the save filter's work on body bytes. */
#ifndef ETG_CACHE_BODY_H
#define ETG_CACHE_BODY_H

#include <util_filter.h>

#include "modules/cache/cache.h"

/* Stores what is in `bb`, if ctx is storing, and passes it on. Takes the
 * buckets out of bb. A filter's result: once the client is gone but the
 * response is worth finishing, APR_SUCCESS. */
apr_status_t etg_cache_body_pass(etg_cache_context *ctx, ap_filter_t *f,
                                 apr_bucket_brigade *bb);

#endif
