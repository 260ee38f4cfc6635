/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_purge.c: PURGE by URL, by tag, and of the whole namespace.
 *
 *     PURGE /page                      soft: the next request validates
 *     PURGE /page  ETag-Purge: hard    forgets all variants
 *     PURGE /      Surrogate-Key: a b  soft, what carries one of these tags
 *     PURGE /      ETag-Purge: all     soft, everything
 *     PURGE /      ETag-Purge: all hard
 *
 * The answer is JSON. Runs in the handler phase, after Require.
 */
#include "modules/cache/cache.h"

#include "lib/field_list.h"
#include "modules/cache/cache_purge_rights.h"
#include "modules/cache/cache_tags.h"

/* An operator waits for certainty longer than a page does. */
#define PURGE_WAIT apr_time_from_sec(2)

/* What was done; words of ours only: nothing needs escaping. */
typedef struct purge_result {
    const char *scope;            /* "url", "tags", "all" */
    int hard;
    unsigned moved;               /* generations */
    apr_status_t rv;
} purge_result;

static int purge_as_told(etg_cache_context *ctx, request_rec *r, int all,
                         int hard);
static int purge_url(etg_cache_context *ctx, request_rec *r, int hard);
static int purge_tags(etg_cache_context *ctx, request_rec *r,
                      const etg_purge_tags *set, int hard);
static int purge_all(etg_cache_context *ctx, request_rec *r, int hard);
static int refuse(request_rec *r, int status, const char *why);
static int conclude(request_rec *r, const purge_result *result);
static const char *state_of(const purge_result *result);
static int answer(request_rec *r, int status, const char *scope,
                  const char *mode, const char *state, unsigned moved);

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
        return refuse(r, HTTP_FORBIDDEN,
                      "PURGE is for local clients; see ETagCachePurge");
    }
    if (ctx->server->meta.provider == NULL) {
        return refuse(r, HTTP_SERVICE_UNAVAILABLE, "there is no store");
    }
    while (etg_purge_word(&rest, &word)) {
        if (etg_bytes_is(word, "hard")) {
            hard = 1;
        }
        else if (etg_bytes_is(word, "all")) {
            all = 1;
        }
        else if (!etg_bytes_is(word, "soft")) {
            return refuse(r, HTTP_BAD_REQUEST,
                          "ETag-Purge takes soft, hard and all");
        }
    }
    return purge_as_told(ctx, r, all, hard);
}

static int purge_as_told(etg_cache_context *ctx, request_rec *r, int all,
                         int hard)
{
    etg_purge_tags set;
    apr_status_t rv = etg_cache_tags_of_purge(ctx, r, &set);

    if (rv == APR_NOTFOUND) {
        return all ? purge_all(ctx, r, hard) : purge_url(ctx, r, hard);
    }
    if (rv == APR_ENOTIMPL) {
        return refuse(r, HTTP_BAD_REQUEST, "ETagCacheTag is none");
    }
    if (rv != APR_SUCCESS) {
        return refuse(r, HTTP_BAD_REQUEST,
                      "Cache-Groups is not a list of strings");
    }
    if (all) {
        return refuse(r, HTTP_BAD_REQUEST, "either tags or all");
    }
    if (set.excess > 0) {
        return refuse(r, HTTP_BAD_REQUEST,
                      "more than 64 tags, or one of more than 1024 bytes");
    }
    if (set.count == 0) {
        return refuse(r, HTTP_BAD_REQUEST, "no tag is named");
    }
    return purge_tags(ctx, r, &set, hard);
}

static int purge_url(etg_cache_context *ctx, request_rec *r, int hard)
{
    purge_result result = { .scope = "url", .hard = hard };

    result.rv = etg_cache_write_mark(
        ctx->server, &ctx->key,
        hard ? ETG_STORE_MARK_GONE : ETG_STORE_MARK_SOFT, apr_time_now(),
        PURGE_WAIT);
    result.moved = result.rv == APR_SUCCESS;
    ap_log_rerror(APLOG_MARK, APLOG_INFO, result.rv, r,
                  ETGLOGNO(0120) "purged (%s): %s", hard ? "hard" : "soft",
                  ctx->key.text);
    return conclude(r, &result);
}

static int purge_tags(etg_cache_context *ctx, request_rec *r,
                      const etg_purge_tags *set, int hard)
{
    purge_result result = { .scope = "tags", .hard = hard };

    result.rv = etg_cache_tags_mark(
        ctx, set, hard ? ETG_STORE_MARK_GONE : ETG_STORE_MARK_SOFT,
        PURGE_WAIT, &result.moved);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, result.rv, r,
                  ETGLOGNO(0122) "purged (%s): %u of %u tags of %s",
                  hard ? "hard" : "soft", result.moved, set->count,
                  apr_table_get(r->headers_in, "Host"));
    return conclude(r, &result);
}

static int purge_all(etg_cache_context *ctx, request_rec *r, int hard)
{
    const etg_cache_store *meta = &ctx->server->meta;
    purge_result result = { .scope = "all", .hard = hard };

    result.rv = meta->provider->mark(
        meta->instance, NULL, 0,
        hard ? ETG_STORE_MARK_GONE : ETG_STORE_MARK_SOFT, PURGE_WAIT,
        &result.moved);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, result.rv, r,
                  ETGLOGNO(0121) "purged (%s): the whole of %s",
                  hard ? "hard" : "soft", meta->uri);
    return conclude(r, &result);
}

static int refuse(request_rec *r, int status, const char *why)
{
    return answer(r, status, "none", "refused", why, 0);
}

static int conclude(request_rec *r, const purge_result *result)
{
    return answer(r, result->rv == APR_SUCCESS ? HTTP_OK
                                               : HTTP_SERVICE_UNAVAILABLE,
                  result->scope, result->hard ? "hard" : "soft",
                  state_of(result), result->moved);
}

static const char *state_of(const purge_result *result)
{
    if (result->rv == APR_SUCCESS) {
        return "purged";
    }
    if (APR_STATUS_IS_TIMEUP(result->rv)) {
        return "the store did not answer in time";
    }
    return result->moved > 0 ? "purged in part: not every server answered"
                             : "the store did not answer";
}

static int answer(request_rec *r, int status, const char *scope,
                  const char *mode, const char *state, unsigned moved)
{
    r->status = status;
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_type(r, "application/json");
    ap_rprintf(r, "{\"status\":%d,\"scope\":\"%s\",\"mode\":\"%s\","
               "\"result\":\"%s\",\"generations\":%u}\n", status, scope,
               mode, state, moved);
    return OK;
}
