/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_order.c: what a look-up is to do, kept for it: its caller may be
 * gone before it is done. */
#include "freshness_order.h"

#include <apr_strings.h>

static void part_copy(etg_lookup_part *copy, const etg_lookup_part *part,
                      apr_pool_t *p);
static etg_bytes bytes_copy(etg_bytes bytes, apr_pool_t *p);

void etg_lookup_order_copy(etg_lookup_order *copy,
                           const etg_lookup_order *order, apr_pool_t *p)
{
    etg_lookup_part *parts = apr_palloc(p, order->part_count
                                           * sizeof(*parts));
    etg_bytes *salts = apr_palloc(p, (order->salt_count + 1)
                                     * sizeof(*salts));

    for (unsigned i = 0; i < order->part_count; i++) {
        part_copy(&parts[i], &order->parts[i], p);
    }
    for (unsigned i = 0; i < order->salt_count; i++) {
        salts[i] = bytes_copy(order->salts[i], p);
    }
    *copy = *order;
    copy->key = (etg_bytes){ NULL, 0 };
    copy->parts = parts;
    copy->salts = salts;
    copy->route = bytes_copy(order->route, p);
}

static void part_copy(etg_lookup_part *copy, const etg_lookup_part *part,
                      apr_pool_t *p)
{
    const apr_array_header_t *from = part->values;
    apr_array_header_t *values = apr_array_make(p, 4, sizeof(const char *));

    for (int n = 0; from != NULL && n < from->nelts; n++) {
        APR_ARRAY_PUSH(values, const char *)
            = apr_pstrdup(p, APR_ARRAY_IDX(from, n, const char *));
    }
    copy->source = part->source;
    copy->values = values;
    copy->time_column = apr_pstrdup(p, part->time_column);
}

static etg_bytes bytes_copy(etg_bytes bytes, apr_pool_t *p)
{
    if (bytes.data != NULL) {
        bytes.data = apr_pmemdup(p, bytes.data, bytes.length);
    }
    return bytes;
}

apr_status_t etg_lookup_order_begin(etg_data_digest_builder **builder,
                                    const etg_lookup_order *order,
                                    apr_pool_t *p)
{
    etg_data_digest_builder *begun;
    apr_status_t rv = etg_data_digest_begin(&begun, order->digest, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_data_digest_add_route(begun, order->route);
    for (unsigned i = 0; i < order->salt_count; i++) {
        etg_data_digest_add_salt(begun, order->salts[i]);
    }
    *builder = begun;
    return APR_SUCCESS;
}
