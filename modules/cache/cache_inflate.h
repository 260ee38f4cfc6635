/* SPDX-License-Identifier: Apache-2.0 */
/* cache_inflate.h: a body that is stored gzip-coded, for a client that does
 * not take that. */
#ifndef ETG_CACHE_INFLATE_H
#define ETG_CACHE_INFLATE_H

#include <util_filter.h>

#include "modules/cache/cache.h"

/* Sends what etg_cache_serve_into made: as it is, or inflated if the chosen
 * form wants it. `after`: the filter behind which it goes, NULL: before all
 * of r's. A filter's result. */
apr_status_t etg_cache_inflate_pass(etg_cache_context *ctx, request_rec *r,
                                    ap_filter_t *after,
                                    apr_bucket_brigade *bb);

#endif
