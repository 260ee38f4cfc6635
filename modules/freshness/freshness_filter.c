/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_filter.c: gives the backend's response its validators. */
#include "modules/freshness/freshness.h"

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb);

void etg_freshness_filter_register(void)
{
    ap_register_output_filter(ETG_FRESHNESS_FILTER, filter, NULL,
                              ETG_FRESHNESS_FILTER_TYPE);
}

void etg_freshness_filter_insert(etg_freshness_context *ctx, request_rec *r)
{
    ap_add_output_filter(ETG_FRESHNESS_FILTER, ctx, r, r->connection);
}

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}
