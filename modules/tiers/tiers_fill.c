/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers_fill.c: a copy of what a farther tier answered, for a nearer one.
 *
 * The farther tier's primary record replaces the nearer one's as a whole. It
 * was read before it is written: if the nearer record was changed in between
 * (a purge, a newer response), that change is the later one and stays.
 */
#include "modules/tiers/tiers_store.h"

#include <apr_strings.h>
#include <xxhash.h>

#include "lib/response_copy.h"

typedef struct put {
    etg_tiers_seen seen;
    etg_bytes primary;
    apr_time_t expires_at;
} put;

static apr_status_t put_copy(etg_store_write *write, etg_bytes old,
                             apr_pool_t *scratch, etg_bytes *fresh,
                             apr_time_t *expires_at);

void etg_tiers_fill_tier(etg_store *store, const etg_tier *tier,
                         const etg_tiers_fill *fill, etg_tiers_seen seen,
                         apr_uint64_t moment)
{
    const etg_store_found *found = fill->found;
    apr_pool_t *pool;
    etg_store_write *write;
    put *made;
    apr_status_t rv;

    if (moment == 0) {
        return;                      /* it could not be stored under it */
    }
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    write = apr_pcalloc(pool, sizeof(*write));
    made = apr_pcalloc(pool, sizeof(*made));
    if (etg_response_copy_pack(found->response, fill->confirmed_at, pool,
                               &write->response) != APR_SUCCESS) {
        apr_pool_destroy(pool);      /* too long for a copy */
        return;
    }
    made->seen = seen;
    made->primary.data = apr_pmemdup(pool, fill->primary.data,
                                     fill->primary.length);
    made->primary.length = fill->primary.length;
    made->expires_at = found->expires_at;
    write->pool = pool;
    write->primary_key = *fill->key;
    write->update = put_copy;
    write->baton = made;
    write->response_key = fill->response_key;
    write->response_expires_at = found->expires_at;
    write->moment.of[0] = moment;
    write->tag_count = found->tag_count;
    write->tags = apr_pmemdup(pool, found->tags,
                              found->tag_count * sizeof(*found->tags));
    rv = tier->provider->meta_write(tier->store, write, 0);
    if (rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv)) {
        etg_tiers_count(&store->counters.fills);
    }
}

static apr_status_t put_copy(etg_store_write *write, etg_bytes old,
                             apr_pool_t *scratch, etg_bytes *fresh,
                             apr_time_t *expires_at)
{
    const put *made = write->baton;

    (void)scratch;
    if ((old.data != NULL) != made->seen.is_there
        || (old.data != NULL
            && XXH3_64bits(old.data, old.length) != made->seen.sum)) {
        return APR_EGENERAL;
    }
    *fresh = made->primary;
    *expires_at = made->expires_at;
    return APR_SUCCESS;
}
