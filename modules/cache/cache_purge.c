/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_purge.c: PURGE by URL, and of the whole namespace.
 *
 *     PURGE /page                      soft: the next request validates
 *     PURGE /page  ETag-Purge: hard    forgets all variants
 *     PURGE /      ETag-Purge: all     soft, everything
 *     PURGE /      ETag-Purge: all hard
 *
 * The answer is JSON. Runs in the handler phase, after Require.
 */
#include "modules/cache/cache.h"

#include "lib/field_list.h"
#include "modules/cache/cache_purge_rights.h"

/* An operator waits for certainty longer than a page does. */
#define PURGE_WAIT apr_time_from_sec(2)

static int purge_url(etg_cache_context *ctx, request_rec *r, int hard);
static int purge_all(etg_cache_context *ctx, request_rec *r, int hard);
static int answer(request_rec *r, int status, const char *scope,
                  const char *mode, const char *state);

int etg_cache_purge(etg_cache_context *ctx, request_rec *r)
{
    const char *how = etg_field_combined(r->headers_in, "ETag-Purge",
                                         r->pool);
    int hard = 0;
    int all = 0;
    etg_bytes rest = etg_bytes_of(how != NULL ? how : "");
    etg_bytes word;

    ctx->done = 1;
    if (!etg_cache_may_purge(r, ctx->dir->purge)) {
        return answer(r, HTTP_FORBIDDEN, "none", "refused",
                      "PURGE is for local clients; see ETagCachePurge");
    }
    if (ctx->server->meta.provider == NULL) {
        return answer(r, HTTP_SERVICE_UNAVAILABLE, "none", "refused",
                      "there is no store");
    }
    while (etg_purge_word(&rest, &word)) {
        if (etg_bytes_is(word, "hard")) {
            hard = 1;
        }
        else if (etg_bytes_is(word, "all")) {
            all = 1;
        }
        else if (!etg_bytes_is(word, "soft")) {
            return answer(r, HTTP_BAD_REQUEST, "none", "refused",
                          "ETag-Purge takes soft, hard and all");
        }
    }
    return all ? purge_all(ctx, r, hard) : purge_url(ctx, r, hard);
}

static int purge_url(etg_cache_context *ctx, request_rec *r, int hard)
{
    apr_status_t rv = etg_cache_write_mark(
        ctx->server, &ctx->key,
        hard ? ETG_CACHE_MARK_GONE : ETG_CACHE_MARK_SOFT, apr_time_now(),
        PURGE_WAIT);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, rv, r,
                  ETGLOGNO(0120) "purged (%s): %s", hard ? "hard" : "soft",
                  ctx->key.text);
    return answer(r, rv == APR_SUCCESS ? HTTP_OK : HTTP_SERVICE_UNAVAILABLE,
                  "url", hard ? "hard" : "soft",
                  rv == APR_SUCCESS ? "purged" : "the store did not answer");
}

static int purge_all(etg_cache_context *ctx, request_rec *r, int hard)
{
    const etg_cache_store *meta = &ctx->server->meta;
    unsigned moved = 0;
    apr_status_t rv = meta->provider->mark(
        meta->instance, NULL, 0,
        hard ? ETG_STORE_MARK_GONE : ETG_STORE_MARK_SOFT, PURGE_WAIT, &moved);

    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, rv, r,
                  ETGLOGNO(0121) "purged (%s): the whole of %s",
                  hard ? "hard" : "soft", meta->uri);
    return answer(r, rv == APR_SUCCESS ? HTTP_OK : HTTP_SERVICE_UNAVAILABLE,
                  "all", hard ? "hard" : "soft",
                  rv == APR_SUCCESS ? "purged" : "the store did not answer");
}

/* All values are words of ours: nothing needs escaping. */
static int answer(request_rec *r, int status, const char *scope,
                  const char *mode, const char *state)
{
    r->status = status;
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_type(r, "application/json");
    ap_rprintf(r, "{\"status\":%d,\"scope\":\"%s\",\"mode\":\"%s\","
               "\"result\":\"%s\"}\n", status, scope, mode, state);
    return OK;
}
