/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite.h: what the files of mod_etag_composite share with each other, and
 * with nobody else.
 *
 * The way of a request: the handler (composite_handler.c) makes an
 * etg_composite of it and has the parts' URLs made (composite_ask.c). If the
 * client holds a tag, the first round looks at what our cache has fresh
 * (composite_peek.c) and asks the other parts with `If-None-Match: *`, so that
 * they are answered by their fields alone if they can; where the composite's
 * tag of these is the client's, that is the 304. Otherwise the second round
 * gets the bodies that are missing, and they are put together
 * (composite_assemble.c) and sent (composite_answer.c).
 *
 * A tag is always worked out from the fields that came with the bodies that
 * are used: a part may change between the two rounds.
 */
#ifndef ETG_COMPOSITE_MODULE_H
#define ETG_COMPOSITE_MODULE_H

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "etg_log.h"
#include "lib/composite_policy.h"
#include "lib/composite_tag.h"
#include "lib/esi_document.h"
#include "modules/composite/composite_config.h"
#include "modules/composite/composite_fetch.h"

extern module AP_MODULE_DECLARE_DATA etag_composite_module;
APLOG_USE_MODULE(etag_composite);

#define ETG_COMPOSITE_HANDLER "etag-composite"

/* What surrogates say of themselves (Edge Architecture Specification 1.0). */
#define ETG_COMPOSITE_CAPABILITY ETG_ESI_DEVICE "=\"ESI/1.0\""

/* What all servers of the process share; made in check_config (pconf). */
typedef struct etg_composite_runtime {
    int is_used;                  /* does any part stand anywhere, or ESI? */
    int has_esi;                  /* is ESI on anywhere? */
    struct etg_shared_memory *esi_memory;   /* or NULL */
    etg_workers *workers;         /* child; NULL: none, parts are asked for
                                   * one after another */
    etg_internal *internal;       /* child; NULL: no parts can be asked for */
    apr_allocator_t *memory;      /* of gatherings */
    etg_bytes secret;             /* for tags of private composites */
} etg_composite_runtime;

/* A part in one request. */
typedef struct etg_composite_had {
    const etg_composite_line *line;
    const char *url;              /* NULL: a param has no value for it */
    int is_answered;              /* nothing more is to be asked */
    int is_known;                 /* in round one: our cache has it fresh */
    int is_default;               /* its default stands in for it */
    int status;                   /* of its answer; 0: there was none; that of
                                   * the 200 where it was a 304 */
    const apr_table_t *fields;    /* of its answer, or NULL */
    const char *etag;             /* well-formed, or NULL */
    etg_bytes body;               /* what goes into the composite; data NULL:
                                   * it is not there (yet) */
    int has_digest;               /* of a body that is not here */
    unsigned char digest[ETG_COMPOSITE_DIGEST_BYTES];
    const char *failure;          /* why it has none; NULL: it has not failed
                                   */
    int failure_status;           /* what that makes of the whole */
} etg_composite_had;

typedef struct etg_composite {
    request_rec *r;
    apr_pool_t *pool;             /* of what comes; NULL: that of r */
    const etg_composite_dir_conf *dir;
    const etg_composite_plan *plan;   /* NULL: it is a page with ESI */
    const etg_composite_runtime *runtime;
    ap_filter_t *next;            /* what the answer goes to; NULL: all
                                   * filters of r */
    apr_array_header_t *others;   /* const apr_table_t * rows: fields that
                                   * count beside those of parts; or NULL */
    unsigned count;
    etg_composite_had *parts;
    int is_private;
    int is_incomplete;            /* an optional part has failed */
    int is_round_one;
    int has_left;                 /* nobody waits for it any more */
    apr_time_t until;             /* steady clock */
    apr_table_t *forwarded;       /* the client's fields that parts get */
    apr_uint64_t body_bytes;      /* that came from parts */
    apr_uint64_t held_bytes;      /* beside them, of what may be held */
    const char *tag;              /* NULL: none */
} etg_composite;

/* ---- composite_handler.c ---- */

int etg_composite_handler(request_rec *r);
/* Is it asked for as a part of a composite? */
int etg_composite_is_part(const request_rec *r);

/* ---- composite_route.c ---- */

int etg_composite_keep_from_proxy(request_rec *r);

/* ---- composite_ask.c: what parts are asked for, and by whom ---- */

/* Fills urls, forwarded fields and privacy. A part without a URL has failed.
 */
void etg_composite_prepare(etg_composite *c);
/* Of these forwarded fields and privacy only. */
void etg_composite_forward(etg_composite *c);
/* Asks for every part that is not answered, and waits. With `is_round_one`
 * for their fields, if that will do. Returns the part whose failure ends it
 * all, or NULL. */
const etg_composite_had *etg_composite_ask(etg_composite *c);

/* Fills all that asks for parts have in common, in p. */
void etg_composite_ask_fill(etg_composite *c, etg_internal_ask *ask,
                            apr_pool_t *p);

/* ---- composite_loop.c ---- */

/* Who has made r a part, in CDN-Loop: no token of anybody else's. */
#define ETG_COMPOSITE_LOOP_NAME ETG_ESI_DEVICE

/* Has r come through composites before, more often than makes sense? */
int etg_composite_is_loop(const request_rec *r);
/* Says in the fields of a part that it is one of r's. */
void etg_composite_loop_add(apr_table_t *fields, const request_rec *r);

/* ---- composite_peek.c ---- */

/* In round one: learns of what our cache has fresh. Asks nobody. */
void etg_composite_peek(etg_composite *c);

/* ---- composite_assemble.c ---- */

/* What has come for a part: answered, failed, or to be asked again. */
void etg_composite_take(etg_composite *c, etg_composite_had *part,
                        const etg_composite_result *result);
/* Does an answer with this status have all of the part? */
int etg_composite_is_whole(int status);
/* In the first round: is it to be asked again, plainly? */
int etg_composite_is_puzzled(int status);
/* The tag among its fields, if it is one. */
void etg_composite_take_tag(etg_composite_had *part);
/* Says that a part has failed. */
void etg_composite_fail(etg_composite *c, etg_composite_had *part, int status,
                        const char *why);
/* The tag of what there is, or NULL. */
const char *etg_composite_tag_of(etg_composite *c);
/* The layout with bodies in place, in front of an EOS. *length: of all. */
apr_bucket_brigade *etg_composite_assemble(etg_composite *c,
                                           apr_off_t *length);

/* Adds bytes that stay as long as p, without a copy. */
void etg_composite_insert(apr_bucket_brigade *bb, etg_bytes bytes,
                          apr_pool_t *p);

/* ---- composite_answer.c ---- */

/* Are the client's preconditions about this response? */
int etg_composite_is_conditional(const request_rec *r);
/* 304 or 412 if the client's preconditions say so; DECLINED: they do not. */
int etg_composite_answer_conditions(etg_composite *c);
/* The composite itself. */
int etg_composite_answer(etg_composite *c);
/* One that has been put together, of a type that has been set. */
int etg_composite_send(etg_composite *c, apr_bucket_brigade *bb,
                       apr_off_t length);
/* What is said of the whole in its fields. */
void etg_composite_set_fields(etg_composite *c);
/* A problem document; `part` may be NULL. */
int etg_composite_answer_problem(request_rec *r, int status,
                                 const char *detail, const char *part);
int etg_composite_send_problem(ap_filter_t *next, request_rec *r, int status,
                               const char *detail, const char *part);

/* ---- composite_esi.c, composite_esi_filter.c: see composite_esi.h ---- */

/* Looks whether the answer may be a page with ESI; always DECLINED. */
int etg_composite_esi_handler(request_rec *r);
/* insert_error_filter */
void etg_composite_esi_restore_for_error(request_rec *r);
void etg_composite_esi_filter_register(void);

/* ---- composite_esi_memory.c: of pages with ESI, in shared memory ---- */

/* In pre_config, post_config of a real start, and child_init. */
int etg_composite_esi_memory_register(apr_pool_t *pconf);
void etg_composite_esi_memory_make(etg_composite_runtime *runtime,
                                   apr_int64_t size, apr_pool_t *pconf,
                                   server_rec *s);
void etg_composite_esi_memory_open(etg_composite_runtime *runtime,
                                   apr_pool_t *pchild, server_rec *s);

/* ---- composite_start.c ---- */

int etg_composite_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                               apr_pool_t *ptemp, server_rec *s);
int etg_composite_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *s);
void etg_composite_child_init(apr_pool_t *pchild, server_rec *s);

#endif
