/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_data.h: what mod_etag_freshness, if it is loaded and On here, knows
 * of the data behind a request (include/etg_freshness.h).
 */
#ifndef ETG_CACHE_DATA_H
#define ETG_CACHE_DATA_H

#include "modules/cache/cache.h"

/* Looks the optional functions up: runtime->data stays NULL without the
 * module (post_config, in pconf). */
void etg_cache_data_open(etg_cache_runtime *runtime, apr_pool_t *pconf);

/* Is the data of the request to be read first? */
int etg_cache_data_comes_first(const etg_cache_context *ctx);

/* Reads the data of the request, once: ctx->has_data says whether the route
 * has a source. Before the look-up whose verdict it is for, and so before
 * whatever the backend is asked. */
void etg_cache_data_read(etg_cache_context *ctx);

/* Says to the module that r's request fields are the cache's own, or that
 * they are the client's (again). */
void etg_cache_data_asks(const etg_cache_context *ctx, request_rec *r,
                         int asks);

/* Must the backend send its response whole, although it is stored? */
int etg_cache_data_needs_full(const etg_cache_context *ctx);

/* Fills save.stamp for the response that r has now. */
void etg_cache_data_see(etg_cache_context *ctx, request_rec *r);

/* May that response be of use because of its data: to whoever finds its
 * digest again, or to those who wait for it? */
int etg_cache_data_is_of_use(const etg_cache_context *ctx, int status);

/* Gives `record`, made of that response, the digest of its data and the
 * backend's own validators. */
void etg_cache_data_stamp(const etg_cache_context *ctx,
                          etg_stored_response *record);

/* The backend has said that `record` still holds: gives it the digest that
 * the data has had all the time since before it was asked, or leaves what it
 * was stored with, which is as true as it was. */
void etg_cache_data_renew(const etg_cache_context *ctx,
                          etg_stored_response *record);

#endif
