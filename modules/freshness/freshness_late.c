/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_late.c: sources that are read from the response. */
#include "modules/freshness/freshness.h"

int etg_freshness_wants_body(const etg_freshness_context *ctx)
{
    (void)ctx;
    return 0;
}

int etg_freshness_late(etg_freshness_context *ctx, request_rec *r,
                       const etg_bytes *body, etg_data_digest *digest,
                       int *is_strong, const char **reason)
{
    (void)ctx;
    (void)r;
    (void)body;
    (void)digest;
    *is_strong = 0;
    *reason = "not read yet";
    return 0;
}
