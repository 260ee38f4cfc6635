/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_answer.c: a 304 that no backend was asked for. */
#include "modules/freshness/freshness.h"

int etg_freshness_answer(etg_freshness_context *ctx, request_rec *r)
{
    (void)ctx;
    (void)r;
    return DECLINED;
}

int etg_freshness_decide_conditions(etg_freshness_context *ctx,
                                    request_rec *r)
{
    (void)ctx;
    (void)r;
    return 0;
}
