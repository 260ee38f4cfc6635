/* SPDX-License-Identifier: Apache-2.0 */
/* cache_raw_expires.h: an invalid Expires, as the backend sent it. */
#ifndef ETG_CACHE_RAW_EXPIRES_H
#define ETG_CACHE_RAW_EXPIRES_H

#include "modules/cache/cache.h"

/* register_hooks. Needs no symbol of mod_proxy: without that module, or with
 * one that runs no such hook, nothing happens. */
void etg_cache_raw_expires_register(void);

/* Puts the backend's own invalid Expires back into `fields` if mod_proxy
 * made a valid date of it and nobody has changed that since. */
void etg_cache_raw_expires_restore(const etg_cache_context *ctx,
                                   apr_table_t *fields);

#endif
