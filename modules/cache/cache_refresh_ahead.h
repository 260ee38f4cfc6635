/* SPDX-License-Identifier: Apache-2.0 */
/* cache_refresh_ahead.h: refreshes what is in use before it expires. */
#ifndef ETG_CACHE_REFRESH_AHEAD_H
#define ETG_CACHE_REFRESH_AHEAD_H

#include "modules/cache/cache.h"

/* `r` was answered with the fresh found.stored: counts the hit where
 * ETagCacheRefreshAhead is on, and perhaps has it refreshed in the
 * background. Never blocks. */
void etg_cache_refresh_ahead(etg_cache_context *ctx, request_rec *r);

#endif
