/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_read.c: the data of a request, read before the backend is asked.
 */
#include "modules/freshness/freshness.h"

#include "lib/field_list.h"

static void ask(etg_freshness_context *ctx, etg_lookup_answer *answer);

void etg_freshness_read_early(etg_freshness_context *ctx)
{
    if (!ctx->is_read) {
        ctx->is_read = 1;
        ask(ctx, &ctx->early);
    }
}

int etg_freshness_is_unmoved(etg_freshness_context *ctx)
{
    etg_lookup_answer now;

    if (!ctx->is_read || ctx->early.outcome != ETG_SOURCE_READ) {
        return 0;
    }
    ask(ctx, &now);
    return now.outcome == ETG_SOURCE_READ
        && !memcmp(now.digest.sha256, ctx->early.digest.sha256,
                   sizeof(now.digest.sha256));
}

static void ask(etg_freshness_context *ctx, etg_lookup_answer *answer)
{
    (void)ctx;
    memset(answer, 0, sizeof(*answer));
}

int etg_freshness_salts_of(etg_freshness_context *ctx, etg_bytes *route,
                           const etg_bytes **salts, unsigned *count)
{
    (void)ctx;
    *route = etg_bytes_of("");
    *salts = NULL;
    *count = 0;
    return 1;
}

void etg_freshness_read(request_rec *r, etg_freshness_data *data)
{
    etg_freshness_context *ctx = etg_freshness_context_of(r);

    memset(data, 0, sizeof(*data));
    if (ctx == NULL || !ctx->is_early) {
        return;
    }
    etg_freshness_read_early(ctx);
    data->outcome = ctx->early.outcome == ETG_SOURCE_READ
        ? ETG_FRESHNESS_KNOWN : ETG_FRESHNESS_UNKNOWN;
    memcpy(data->digest, ctx->early.digest.sha256, sizeof(data->digest));
    data->trust = ctx->dir->trust;
}

void etg_freshness_stamp_of(request_rec *r, etg_freshness_stamp *stamp)
{
    etg_freshness_context *ctx = etg_freshness_context_of(r);

    memset(stamp, 0, sizeof(*stamp));
    if (ctx != NULL && ctx->is_filtered) {
        *stamp = ctx->stamp;
    }
}
