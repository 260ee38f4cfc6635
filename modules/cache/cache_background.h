/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_background.h: fetches that no client waits for.
 *
 * An errand is an internal request (glue/internal_request.h) of the cache's
 * own, done by one of a few threads (lib/workers.h): it comes through the
 * admin's configuration to our own handler like any other, which finds the
 * errand by etg_internal_ask_of(r)->baton and fetches and stores instead of
 * answering from the store.
 *
 * Refused without a threaded MPM and where the collapse table is missing:
 * nothing is stale-while-revalidate there then.
 *
 * cache_background.c: threads, and what clients' requests hand to them;
 * cache_errand.c: what happens there; cache_patience.c: who waits for it.
 */
#ifndef ETG_CACHE_BACKGROUND_H
#define ETG_CACHE_BACKGROUND_H

#include "lib/workers.h"
#include "modules/cache/cache.h"
#include "modules/glue/internal_request.h"

typedef enum etg_cache_purpose {
    ETG_CACHE_REFRESH,            /* of a stored response, for the client that
                                   * met it: validates, fresh or not, unless
                                   * it was stored anew since asked_at */
    ETG_CACHE_WARM,               /* the same, on schedule; a miss fetches */
    ETG_CACHE_PREFETCH            /* nothing if there is a fresh one */
} etg_cache_purpose;

typedef struct etg_cache_errand {
    etg_cache_purpose purpose;
    /* What was received then or later is new enough. (That of refresh_behind
     * is just after the response that it wants refreshed.) */
    apr_time_t asked_at;
    /* REFRESH: the lead of the key's fetch, taken when it was asked for and
     * handed over to the errand's request (ctx->ticket); number 0: it joins
     * without waiting, and does nothing if somebody else fetches. */
    etg_collapse_ticket ticket;
    etg_store_key collapse_key;
    /* What has become of it, set by our handler on the errand's thread: */
    int was_fetched;              /* the backend was asked */
    int is_answered;              /* otherwise: the backend has said what it
                                   * means, and that is no failure (a login,
                                   * 404, what cannot be stored) */
    int is_stored;                /* a new response is stored now, or one
                                   * new enough was already */
    apr_interval_time_t ttl;      /* of it; negative: stale at once */
} etg_cache_errand;

/* register_hooks: keeps the fields as they came from the client, before any
 * module changes them. */
void etg_cache_background_register(void);
/* post_config of a real start: says so if directives ask for a background
 * that cannot be. */
void etg_cache_background_prepare(apr_pool_t *ptemp, server_rec *s);
/* child_init: threads and the rest. */
void etg_cache_background_open(etg_cache_runtime *runtime, apr_pool_t *pchild,
                               server_rec *s);
/* May a stale response be served because it is refreshed behind it? */
int etg_cache_background_is_on(const etg_cache_runtime *runtime);
/* Shall a job that has several things to do leave the rest? */
int etg_cache_background_is_ending(const etg_cache_runtime *runtime);
/* As etg_workers_submit(); APR_EOF also if there is no background (more). */
apr_status_t etg_cache_background_submit(etg_cache_runtime *runtime,
                                         apr_pool_t *pool, etg_work *run,
                                         void *baton);

/* " name=value" for each row (etg_store_counter), in `p`: for the log. */
const char *etg_cache_counters_text(const apr_array_header_t *rows,
                                    apr_pool_t *p);

/* .check of ETagCacheBackground. */
const char *etg_cache_background_check(cmd_parms *cmd, const void *value);

/* Has the stored response that is answering `r` refreshed in the background,
 * unless somebody fetches it already or a refresh of it has just failed.
 * Never blocks. 1: a fetch of it is under way now. */
int etg_cache_refresh_behind(etg_cache_context *ctx, request_rec *r);

/* An ask for `target` on r's virtual host as its client would send it, in
 * `p`: the client's fields without preconditions, Range and hop-by-hop
 * fields; its address; one deeper than r itself. `with_credentials` 0: without
 * Cookie, Authorization and the other private headers. */
etg_internal_ask *etg_cache_errand_ask(const etg_cache_context *ctx,
                                       request_rec *r, const char *target,
                                       int with_credentials, apr_pool_t *p);

/* Carries an errand out on the calling thread (one of the background's):
 * sets ask->purpose and ->baton, asks, and fills in what became of it. */
apr_status_t etg_cache_errand_run(etg_cache_runtime *runtime,
                                  etg_cache_errand *errand,
                                  etg_internal_ask *ask, apr_pool_t *p,
                                  etg_internal_answer *answer);

/* The errand this request_rec is on, or NULL: a client's request. */
etg_cache_errand *etg_cache_errand_of(const request_rec *r);

/* The handler's part for an errand's request. */
int etg_cache_handle_errand(etg_cache_context *ctx, request_rec *r);

/* The save filter's: an errand's response (but for a 304 to our validators)
 * and what was decided of it. 1: it does nothing, and what this request leads
 * has ended; 0: as any other. */
int etg_cache_errand_judge(etg_cache_context *ctx, request_rec *r,
                           const etg_response_view *view);
/* The same for a status that handlers answered with alone. */
void etg_cache_errand_conclude(etg_cache_context *ctx, int status);

/* Whatever has not been given back of an errand's lead is. A refresh that
 * stored nothing makes the next of its key wait a moment. */
void etg_cache_errand_end(etg_cache_runtime *runtime,
                          etg_cache_errand *errand);
/* No refresh of this key for a moment; `failed`: the backend was no help. */
void etg_cache_refresh_pause(etg_cache_runtime *runtime,
                             const etg_store_key *collapse_key, int failed);
/* Is it that moment? */
int etg_cache_refresh_is_paused(const etg_cache_context *ctx);
/* And did the backend fail? */
int etg_cache_refresh_has_failed(const etg_cache_context *ctx);

/* A client whose stale response must be validated, but may also be served if
 * the backend fails: has it fetched in the background and waits for that as
 * long as ETagCachePatience says. Looks up anew; a handler's result, or
 * DECLINED: look at what is found now, and fetch if that does not do. */
int etg_cache_be_patient(etg_cache_context *ctx, request_rec *r);
/* How long that is; not above 0: not at all. */
apr_interval_time_t etg_cache_patience(const etg_cache_context *ctx);
/* `otherwise`, or less: how long a part of a composite may wait for others. */
apr_interval_time_t etg_cache_time_left(const etg_cache_context *ctx,
                                        apr_interval_time_t otherwise);
/* A part of a composite that has waited for others until it was too late to
 * fetch: its stale response, if it may stand in, or a 504. DECLINED: there is
 * time. */
int etg_cache_be_late(etg_cache_context *ctx, request_rec *r);

#endif
