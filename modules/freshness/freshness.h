/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness.h: what the files of mod_etag_freshness share with each other,
 * and with nobody else.
 *
 * One etg_freshness_context per client request, kept in the config of its
 * first request_rec and found again through r->prev.
 *
 * The way of a request: the handler (after the cache's, before all others)
 * reads the data (freshness_read.c); if what is remembered of the last 200
 * still holds it answers 304 (freshness_answer.c); otherwise it declines, and
 * the filter gives the backend's response its validators (freshness_filter.c;
 * freshness_late.c where they are made of the response itself), and has it
 * remembered (freshness_memory.c) for requests like this one
 * (freshness_scope.c).
 */
#ifndef ETG_FRESHNESS_MODULE_H
#define ETG_FRESHNESS_MODULE_H

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>
#include <util_filter.h>

#include "etg_freshness.h"
#include "lib/cache_key.h"
#include "lib/data_digest.h"
#include "lib/http_view.h"
#include "lib/seen_response.h"
#include "lib/vary.h"
#include "modules/freshness/freshness_config.h"
#include "modules/freshness/freshness_lookup.h"

extern module AP_MODULE_DECLARE_DATA etag_freshness_module;
APLOG_USE_MODULE(etag_freshness);

/* What all servers of the process share; made in check_config (pconf). */
typedef struct etg_freshness_runtime {
    int is_used;                  /* does any line stand anywhere? */
    etg_lookups *lookups;         /* child, or NULL */
    struct etg_shared_memory *memory;  /* of last responses, or NULL */
    etg_bytes secret;             /* for tags of private requests */
    apr_uint32_t unlabelled;      /* responses that should have got a tag, */
    apr_uint32_t unlabelled_said_at;      /* since the log said so; in this
                                           * process, by atomics */
} etg_freshness_runtime;

typedef struct etg_freshness_context {
    request_rec *first;           /* what the client asked */
    apr_pool_t *pool;             /* first->pool */
    const etg_freshness_dir_conf *dir;
    const etg_freshness_server_conf *server;
    etg_freshness_runtime *runtime;
    etg_request_view request;
    etg_vary_rules vary_rules;

    int is_early;                 /* has a source that is read before the
                                   * backend is asked */
    int is_late;                  /* has one that is read from the response */
    int is_by_request;            /* more than the URL says which data it is */
    int is_read;                  /* `early` was asked for */
    etg_lookup_answer early;      /* freshness_read.c */

    etg_cache_key url;            /* of what is remembered; made by
                                   * freshness_memory.c when it is wanted */
    const etg_seen_response *seen;/* what was remembered of it, or NULL */
    apr_time_t fetched_at;        /* when the backend was asked */

    apr_table_t *client_fields;   /* the client's, while preconditions are
                                   * kept from the backend; else NULL */
    apr_table_t *backend_fields;  /* what stands in for them */
    int is_filtered;              /* the response's head was seen to */
    etg_freshness_stamp stamp;    /* of the response */
} etg_freshness_context;

/* ---- freshness_context.c ---- */

/* The context of a GET or HEAD on a route with freshness On; made when it is
 * first asked for; NULL: the module has no business with r (another method,
 * subrequest, forward proxy, ErrorDocument, Off, no line). */
etg_freshness_context *etg_freshness_context_of(request_rec *r);
/* The one that was made, whatever r has become since; or NULL. */
etg_freshness_context *etg_freshness_context_found(request_rec *r);
/* Does the cache ask the backend for itself (ETG_FRESHNESS_NOTE_CACHE_ASKS)?
 */
int etg_freshness_cache_asks(const etg_freshness_context *ctx,
                             const request_rec *r);
/* For access logs: %{etag-freshness}n. `word` is static. */
void etg_freshness_note(etg_freshness_context *ctx, const char *word);

/* ---- freshness_read.c: the data, before the backend ---- */

/* Reads the early sources unless that was done: fills ctx->early; unknown if
 * there are none. */
void etg_freshness_read_early(etg_freshness_context *ctx);
/* Reads them again, now: 1: known, and the same SHA-256 as ctx->early. */
int etg_freshness_is_unmoved(etg_freshness_context *ctx);
/* The part of the digest that stands for the request and not for its data:
 * route and salts, in ctx->pool. 0: a salt cannot be worked out. */
int etg_freshness_salts_of(etg_freshness_context *ctx, etg_bytes *route,
                           const etg_bytes **salts, unsigned *count);
/* The optional functions of etg_freshness.h, under their own names. */
int etg_freshness_is_read(request_rec *r);
void etg_freshness_read(request_rec *r, etg_freshness_data *data);
int etg_freshness_holds(request_rec *r);
void etg_freshness_stamp_of(request_rec *r, etg_freshness_stamp *stamp);

/* ---- freshness_handler.c ---- */

/* The handler hook. OK: answered 304; DECLINED: the backend is to be asked,
 * and the filter is in place. */
int etg_freshness_handler(request_rec *r);
/* Puts the client's fields back where preconditions were kept from the
 * backend: before anything goes downstream. */
void etg_freshness_restore_fields(etg_freshness_context *ctx, request_rec *r);
/* The same for the insert_error_filter hook: an error page. */
void etg_freshness_restore_for_error(request_rec *r);

/* ---- freshness_answer.c: 304 without the backend ---- */

/* Answers 304 if what is remembered holds; DECLINED otherwise. */
int etg_freshness_answer(etg_freshness_context *ctx, request_rec *r);
/* Turns r, whose head goes out now, into the 304 to the client's own
 * preconditions if they say so, after the response's validators are final.
 * Returns 1 if there is to be no body. */
int etg_freshness_decide_conditions(etg_freshness_context *ctx,
                                    request_rec *r);

/* ---- freshness_filter.c: validators for the backend's response ---- */

#define ETG_FRESHNESS_FILTER "ETAG_FRESHNESS"
/* Behind mod_headers, mod_expires and compression; before the cache. */
#define ETG_FRESHNESS_FILTER_TYPE AP_FTYPE_CONTENT_SET
void etg_freshness_filter_register(void);
/* Puts it into r's output chain, last of its type, unless it is there. */
void etg_freshness_filter_insert(etg_freshness_context *ctx, request_rec *r);

/* ---- freshness_late.c: sources in the response ---- */

/* Adds what the late lines of the route say of this response to a digest of
 * early and late sources. `body`: the whole body, or NULL if no line needs
 * it. Fills *digest; *is_strong: the exact bytes are in it. 0: unknown, and
 * *reason (static or in the pool) says why. */
int etg_freshness_late(etg_freshness_context *ctx, request_rec *r,
                       const etg_bytes *body, etg_data_digest *digest,
                       int *is_strong, const char **reason);
/* Does a late line need the body? */
int etg_freshness_wants_body(const etg_freshness_context *ctx);

/* ---- freshness_memory.c: the last 200 of each URL, in shared memory ---- */

/* pre_config, post_config of a real start, child_init. */
int etg_freshness_memory_register(apr_pool_t *pconf);
int etg_freshness_memory_prepare(etg_freshness_runtime *runtime,
                                 apr_int64_t size, apr_pool_t *pconf,
                                 server_rec *s);
void etg_freshness_memory_open(etg_freshness_runtime *runtime,
                               apr_pool_t *pchild, server_rec *s);
/* Fills ctx->seen with what is remembered of the URL for requests like this
 * one (same Vary fields, same user), NULL if nothing is. */
void etg_freshness_recall(etg_freshness_context *ctx);
/* Remembers the 200 that goes out on r, whose validators are final. */
void etg_freshness_remember(etg_freshness_context *ctx, request_rec *r);

/* ---- freshness_scope.c ---- */

/* What a response with this Vary (see etg_data_tag_scope) depends on besides
 * the data. */
void etg_freshness_scope_of(etg_freshness_context *ctx,
                            const char *vary_names,
                            etg_data_tag_scope *scope);

/* ---- freshness_start.c: configuration, start, children ---- */

int etg_freshness_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                               apr_pool_t *ptemp, server_rec *s);
int etg_freshness_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *s);
void etg_freshness_child_init(apr_pool_t *pchild, server_rec *s);

/* ---- freshness_check.c ---- */

/* Says in the error log which SQL sources cannot be read now; within three
 * seconds. */
void etg_freshness_check_sources(server_rec *main, apr_pool_t *p);

#endif
