/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h: what the files of mod_etag_cache share with each other, and with
 * nobody else.
 *
 * One etg_cache_context per client request, made by the handler of the first
 * request_rec and found again through r->prev by the request_recs that
 * internal redirects make of it. It lives in the first request's pool.
 */
#ifndef ETG_CACHE_H
#define ETG_CACHE_H

#include <httpd.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <ap_expr.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "etg_freshness.h"
#include "etg_log.h"
#include "etg_store.h"
#include "lib/cache_key.h"
#include "lib/cache_status.h"
#include "lib/collapse.h"
#include "lib/content_coding.h"
#include "lib/http_view.h"
#include "lib/primary_record.h"
#include "lib/reuse.h"
#include "lib/storable.h"
#include "lib/stored_response.h"
#include "lib/vary.h"
#include "modules/cache/cache_config.h"

extern module AP_MODULE_DECLARE_DATA etag_cache_module;
APLOG_USE_MODULE(etag_cache);

/* How long a response's last bytes wait for its commit, so that the client's
 * next request finds it. */
#define ETG_CACHE_COMMIT_WAIT apr_time_from_msec(10)
/* How long a key is remembered as uncacheable. */
#define ETG_CACHE_UNCACHEABLE_FOR apr_time_from_sec(120)
/* How long a tombstone outlives the write or purge that set it: longer than
 * any fetch that may have begun before. */
#define ETG_CACHE_TOMBSTONE_FOR apr_time_from_sec(600)

/* Shared memory of one table; see cache_shared.h. */
typedef struct etg_cache_shared {
    void *memory;                 /* NULL: it could not be had */
    apr_size_t size;
} etg_cache_shared;

/* What all servers of the process share; made in check_config (pconf). */
typedef struct etg_cache_runtime {
    apr_array_header_t *stores;   /* etg_cache_store rows, one per URI */
    apr_array_header_t *tiered;   /* and those made of several of them */
    int is_used;                  /* is the cache on anywhere? */
    etg_cache_shared *shared;     /* what children share, one per table */
    etg_collapse *collapse;       /* child: this process's view, or NULL */
    volatile apr_uint32_t overtagged; /* child: responses with too many tags */
    struct etg_workers *workers;  /* child: the background's, or NULL */
    struct etg_internal *internal;/* child: what asks for it */
    struct etg_hit_table *hits;   /* child: view of the counts, or NULL */
    struct etg_prefetch_ledger *ledger; /* child: likewise, or NULL */
    struct etg_cache_warm *warm;  /* what is fetched on schedule, or NULL */
    struct etg_cache_data_source *data; /* mod_etag_freshness, or NULL */
} etg_cache_runtime;

/* What a request found in the metastore; all in the context's pool. */
typedef struct etg_cache_lookup {
    etg_stored_response *stored;  /* NULL: none fits */
    etg_reuse reuse;              /* valid if stored */
    etg_reuse_marks marks;
    const char *spec;             /* newest Vary names, or "" */
    int is_vary_miss;             /* there are variants; none fits */
    int failed;                   /* the store could not answer */
    int is_copy;                  /* a farther tier may know better */
    apr_status_t trouble;         /* why a farther tier was not heard */
    etg_store_moment moment;      /* the store's, from before our fetch */
} etg_cache_lookup;

typedef enum etg_cache_plan {
    ETG_CACHE_PASS,               /* forward as it is; store nothing */
    ETG_CACHE_FETCH_PLAIN,        /* forward as it is; learn whether it may
                                   * be stored the next time */
    ETG_CACHE_FETCH,              /* forward our own fetch; store */
    ETG_CACHE_SERVED              /* answered from the store */
} etg_cache_plan;

/* The save filter's part of the context. */
typedef struct etg_cache_save {
    int headers_seen;             /* the first brigade has come by */
    int eos_seen;
    int failed;                   /* error bucket, wrong length, ... */
    int bodiless;                 /* the client gets a 304 or 412, the store
                                   * the backend's 200 */
    int client_gone;
    int replaced;                 /* another answer was sent in its place */
    int retry;                    /* a 304 of no use, or its body is gone: ask
                                   * without validators */
    etg_entity_writer *writer;    /* NULL: not storing */
    int coding_plan;              /* etg_cache_coding_plan */
    struct etg_cache_coder *coder;/* what goes to it, and how; or NULL */
    etg_storable decision;
    etg_stored_response record;   /* being made */
    apr_array_header_t *fields;   /* etg_field rows */
    apr_uint64_t received;        /* body bytes seen */
    apr_size_t portion;           /* body bytes read and not yet passed on */
    apr_bucket_brigade *held;     /* kept back for a client that is slower
                                   * than those who wait, or NULL */
    apr_size_t held_bytes;
    int has_blocked;              /* sending on has, for longer than a
                                   * glance */
    apr_int64_t expected;         /* Content-Length, or -1 */
    const char *invalid_expires;  /* as the backend sent it, or NULL */
    etg_freshness_stamp stamp;    /* what mod_etag_freshness made of it */
} etg_cache_save;

typedef struct etg_cache_context {
    request_rec *first;           /* what the client asked */
    apr_pool_t *pool;             /* first->pool */
    const etg_cache_dir_conf *dir;
    const etg_cache_server_conf *server;
    etg_cache_runtime *runtime;
    etg_policy policy;
    etg_vary_rules vary_rules;
    etg_request_view request;
    etg_cache_key key;
    int is_head;
    int observe;
    int is_data_read;
    int has_data;                 /* the route reads its data first; */
    etg_reuse_data data;          /* and this it was */
    etg_cache_plan plan;
    etg_cache_lookup found;
    apr_table_t *client_fields;   /* the client's, while swapped; else NULL */
    int tags_mapped;              /* the backend saw our tags as its own */
    etg_representation shown;     /* the form of found.stored that goes out */
    apr_time_t requested_at;      /* when our fetch was begun */
    etg_store_key collapse_key;
    etg_collapse_ticket ticket;   /* number 0: none */
    etg_store_lease lease;        /* the same among hosts; token 0: none */
    struct etg_cache_awaited *awaited; /* a part of a composite, which goes on
                                   * while others follow it; else NULL */
    apr_status_t body_trouble;    /* why the store did not give a body */
    struct etg_cache_errand *errand; /* nobody waits for it; NULL: a client's
                                   * request */
    int deferred;                 /* looked up once it is redirected */
    int redirected;               /* by a handler, after the look-up */
    int done;                     /* answered: later redirects are not ours */
    etg_cache_save save;
    etg_cache_status status;
    const char *trace;            /* rack-cache's words, for %{etag-cache}n */
} etg_cache_context;

/* ---- cache_stores.c: instances, shared memory, process start ---- */

/* check_config: makes the store instances of all servers.
 * Nothing is made where the cache is off everywhere. OK, or
 * HTTP_INTERNAL_SERVER_ERROR after saying why. */
int etg_cache_stores_configure(apr_pool_t *pconf, apr_pool_t *ptemp,
                               server_rec *s);
/* post_config of a real start: folders and shared memory. */
int etg_cache_stores_prepare(apr_pool_t *pconf, server_rec *s);
/* child_init. */
void etg_cache_stores_open(apr_pool_t *pchild, server_rec *s);

/* ---- cache_context.c: one request's context ---- */

/* The context this request_rec belongs to, or NULL. */
etg_cache_context *etg_cache_context_of(request_rec *r);
/* Makes the context of a first request: views, policy, key. */
etg_cache_context *etg_cache_context_make(request_rec *r,
                                          const etg_cache_dir_conf *dir);
/* Why a first request is not for the cache at all: the word for
 * Cache-Status fwd=, or NULL if it may be looked up. */
const char *etg_cache_pass_reason(const etg_cache_context *ctx,
                                  request_rec *r);
/* Does ETagCacheBypass say so? */
int etg_cache_is_bypassed(const etg_cache_context *ctx, request_rec *r);
/* The key of another target of the same client request's origin. */
void etg_cache_key_of(const etg_cache_context *ctx, const char *target,
                      etg_cache_key *key);
/* What the key begins with: the origin that purge tags belong to. */
void etg_cache_origin_of(const etg_cache_context *ctx, const char **scheme,
                         const char **host);
/* Fills ctx->collapse_key, for what was found. */
void etg_cache_collapse_key_make(etg_cache_context *ctx);
/* Adds Cache-Status to the response `fields`, unless it is switched off. */
void etg_cache_say_status(const etg_cache_context *ctx, apr_table_t *fields);
/* Adds a rack-cache word to the trace. */
void etg_cache_trace(etg_cache_context *ctx, const char *word);

/* ---- cache_lookup.c ---- */

/* Looks the request up and decides; fills ctx->found. */
void etg_cache_look_up(etg_cache_context *ctx, etg_store_depth depth,
                       apr_time_t now);
/* The same as a client's request needs it: a copy that does not do is asked
 * for again where it came from. */
void etg_cache_look_up_well(etg_cache_context *ctx, apr_time_t now);
/* May found.stored answer without asking anybody? */
int etg_cache_is_usable(const etg_cache_context *ctx);
/* A store's failure as a token for Cache-Status detail=. */
const char *etg_cache_store_trouble(apr_status_t rv);

/* ---- cache_serve.c: answers from the store ---- */

/* Answers `r` with found.stored. Returns an httpd handler result, or
 * DECLINED if its body is gone from the entitystore (nothing was sent). */
int etg_cache_serve(etg_cache_context *ctx, request_rec *r);
/* Sets r up to answer with `stored` (status, fields, Age, Cache-Status,
 * conditional requests decided) and puts the body and EOS into `bb`.
 * DECLINED as above. */
int etg_cache_serve_into(etg_cache_context *ctx, request_rec *r,
                         apr_bucket_brigade *bb);
/* The fields that `r` would be answered with, in r->pool, but for
 * Cache-Status; Content-Type is *type, which stays as it is without one. */
apr_table_t *etg_cache_serve_fields(etg_cache_context *ctx, request_rec *r,
                                    const char **type);
/* On a 304 to tags that were mapped back: names the one the client holds. */
void etg_cache_say_held_tag(const etg_cache_context *ctx, request_rec *r);

/* ---- cache_fetch.c: asking the backend ---- */

/* Runs the other handlers under ctx->plan and concludes. */
int etg_cache_fetch(etg_cache_context *ctx, request_rec *r);
/* Runs them for a request_rec made by an internal redirect. */
int etg_cache_fetch_redirected(etg_cache_context *ctx, request_rec *r);
/* Puts the client's own request fields back. */
void etg_cache_restore_fields(etg_cache_context *ctx, request_rec *r);
/* This request leads a collapsed fetch: a part of a composite is not cut while
 * others follow it. */
void etg_cache_say_followed(etg_cache_context *ctx);
/* Do others follow what this request leads? See etg_cache.h. */
int etg_cache_is_followed(request_rec *r);
/* Ends the collapsed fetch, if this request leads one, on this host and among
 * hosts. */
void etg_cache_release(etg_cache_context *ctx, etg_collapse_outcome outcome);

/* ---- cache_save.c: the filter that stores what goes by ---- */

#define ETG_CACHE_FILTER "ETAG_CACHE_SAVE"
/* After the content filters, before those of the protocol. */
#define ETG_CACHE_FILTER_TYPE (AP_FTYPE_CONTENT_SET + 1)
/* Registers the filter (register_hooks). */
void etg_cache_save_register(void);
/* Puts it into r's output chain. */
void etg_cache_save_insert(etg_cache_context *ctx, request_rec *r);

/* ---- cache_revalidate.c: what a 304 or a failure of the backend does ---- */

/* The backend said 304 to our validators (`fields`): refreshes the stored
 * response. 1: found.stored is now the answer; 0: the 304 does not
 * speak of it. */
int etg_cache_revalidated(etg_cache_context *ctx, request_rec *r,
                          const apr_table_t *fields);
/* May the stored response stand in for a backend failure of this status? */
int etg_cache_may_serve_on_error(const etg_cache_context *ctx, int status);
/* A HEAD's 200: freshens or outdates the stored GET response. */
void etg_cache_head_seen(etg_cache_context *ctx,
                         const etg_response_view *response);

/* ---- cache_write.c: changes of the metastore ---- */

/* Stores `record` under the request's key, as the variant that `spec` (the
 * response's Vary names) makes it. Hands the end of a collapsed fetch over to
 * the write: followers are released when it is done. A meta_write result. */
apr_status_t etg_cache_write_response(etg_cache_context *ctx,
                                      const etg_stored_response *record,
                                      const char *spec);
/* Marks what is stored under `key`, and what is being fetched now. Waits at
 * most `wait`; APR_TIMEUP: not done yet. */
apr_status_t etg_cache_write_mark(const etg_cache_server_conf *server,
                                  const etg_cache_key *key,
                                  etg_store_mark mark, apr_time_t now,
                                  apr_interval_time_t wait);
/* After an answer to an unsafe request: invalidates what it changed. */
void etg_cache_invalidate_after(etg_cache_context *ctx, request_rec *r,
                                int status, const apr_table_t *fields);

/* ---- cache_purge.c ---- */

/* Carries out a PURGE, if the client may; a handler's result. */
int etg_cache_purge(etg_cache_context *ctx, request_rec *r);

#endif
