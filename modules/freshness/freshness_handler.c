/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_handler.c: one request's way: 304, or on to the backend. */
#include "modules/freshness/freshness.h"

int etg_freshness_handler(request_rec *r)
{
    etg_freshness_context *ctx = etg_freshness_context_of(r);

    if (ctx != NULL) {
        etg_freshness_filter_insert(ctx, r);
    }
    return DECLINED;
}
