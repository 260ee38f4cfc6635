/* SPDX-License-Identifier: Apache-2.0 */
/* cache_handler.h: the handler hook of mod_etag_cache. */
#ifndef ETG_CACHE_HANDLER_H
#define ETG_CACHE_HANDLER_H

#include <httpd.h>

/* Answers from the store, or runs the other handlers and stores what they
 * say, or declines. */
int etg_cache_handler(request_rec *r);

/* Will one of those redirect `r`? Then nothing is looked up before. */
int etg_cache_will_be_redirected(const request_rec *r);

#endif
