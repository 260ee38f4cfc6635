/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_data.h: what mod_etag_freshness, if it is loaded and On here, knows
 * of the data behind a request (include/etg_freshness.h).
 */
#ifndef ETG_CACHE_DATA_H
#define ETG_CACHE_DATA_H

#include "modules/cache/cache.h"

/* Looks the optional functions up (optional_fn_retrieve). */
void etg_cache_data_register(void);

/* Reads the data of the request, once; fills ctx->data and ctx->has_data.
 * To be called before a look-up whose verdict counts. */
void etg_cache_data_read(etg_cache_context *ctx);

/* Says to the module that r's request fields are the cache's own, and that
 * they are the client's again. */
void etg_cache_data_asks(etg_cache_context *ctx, request_rec *r, int asks);

/* Gives `record`, made of the response that r has now, the digest of its data
 * and the backend's own validators. */
void etg_cache_data_stamp(etg_cache_context *ctx, request_rec *r,
                          etg_stored_response *record);

/* Would a response that is stored now have a digest? */
int etg_cache_data_is_stamped(etg_cache_context *ctx, request_rec *r);

#endif
