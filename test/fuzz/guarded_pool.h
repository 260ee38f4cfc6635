/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guarded_pool.h: pool memory that AddressSanitizer can see through.
 *
 * A pool hands out pieces of large blocks, so a write beyond a piece goes
 * unnoticed. Included in front of every file of a sanitizer build (-include),
 * this turns our own calls of apr_palloc into one malloc each, freed with the
 * pool. Calls inside APR stay as they are.
 */
#ifndef ETG_TEST_GUARDED_POOL_H
#define ETG_TEST_GUARDED_POOL_H

#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>

static inline apr_status_t guarded_free(void *block)
{
    free(block);
    return APR_SUCCESS;
}

static inline void *guarded_palloc(apr_pool_t *p, apr_size_t size)
{
    void *block = malloc(size > 0 ? size : 1);

    if (block == NULL) {
        abort();
    }
    /* Nothing may count on fresh memory being zero. */
    memset(block, 0xa5, size);
    apr_pool_cleanup_register(p, block, guarded_free, apr_pool_cleanup_null);
    return block;
}

#define apr_palloc(p, size) guarded_palloc((p), (size))

#endif
