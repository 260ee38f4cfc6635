/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_prefetch.h: the next page of a list is there before it is asked for.
 *
 * cache_prefetch.c: what clients' requests do for it; cache_prefetch_job.c:
 * what happens then on one of the background's threads.
 */
#ifndef ETG_CACHE_PREFETCH_H
#define ETG_CACHE_PREFETCH_H

#include "modules/cache/cache_background.h"

/* child_init: the counters are said at the child's end. */
void etg_cache_prefetch_open(etg_cache_runtime *runtime, apr_pool_t *pchild,
                             server_rec *s);

/* .check of ETagCachePrefetch and ETagCachePrefetchAllow. */
const char *etg_cache_prefetch_check(cmd_parms *cmd, const void *value);
const char *etg_cache_prefetch_check_prefix(cmd_parms *cmd,
                                            const void *value);

/* Behind the answer to a request: a GET of a client has the next page
 * fetched, unless it was seen to a moment ago, and is the use of a page that
 * was prefetched itself. Never blocks. */
void etg_cache_prefetch_after(etg_cache_context *ctx, request_rec *r);

/* Marks a record that is about to be stored as prefetched if it is, and enters
 * it into the ledger; a record that a client has caused loses the mark. */
void etg_cache_prefetch_mark(etg_cache_context *ctx,
                             etg_stored_response *record);

#endif
