/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_order.h: what a look-up is to do. Private to
 * freshness_lookup.c. */
#ifndef ETG_FRESHNESS_ORDER_H
#define ETG_FRESHNESS_ORDER_H

#include "freshness_lookup.h"

/* A copy that outlives the caller's, without the key. */
void etg_lookup_order_copy(etg_lookup_order *copy,
                           const etg_lookup_order *order, apr_pool_t *p);

/* A digest of route and salts so far. */
apr_status_t etg_lookup_order_begin(etg_data_digest_builder **builder,
                                    const etg_lookup_order *order,
                                    apr_pool_t *p);

#endif
