/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_esi.h: pages with ESI: composites whose first part is a response
 * that is on its way out already.
 *
 * The way of a page: the handler (composite_esi.c) runs before the cache's
 * and declines: it takes from the request what would make the page another
 * than the whole one, or give it a coding that we cannot undo, and puts the
 * filter (composite_esi_filter.c) behind the cache's. That judges the response
 * by its head. What has no ESI goes on as it comes, and the client's own
 * preconditions are decided; a page with ESI is held to its end. Then its
 * fragments are asked for (composite_esi_fragments.c), and the answer is made
 * of both (composite_esi_answer.c). A page that is longer than what may be held
 * is answered in portions like that, without a tag.
 */
#ifndef ETG_COMPOSITE_ESI_H
#define ETG_COMPOSITE_ESI_H

#include "lib/entity_digest.h"
#include "modules/composite/composite.h"

#define ETG_COMPOSITE_ESI_FILTER "ETAG_COMPOSITE_ESI"

/* One client request, with all internal redirects. In its pool; found by the
 * request_config of the first request_rec. */
typedef struct etg_composite_esi {
    request_rec *first;
    const etg_composite_dir_conf *dir;
    const etg_composite_runtime *runtime;
    apr_table_t *client_fields;   /* NULL: they are back in place */
    apr_table_t *page_fields;     /* what the page is asked for with */
    apr_time_t asked_at;          /* fragments that are remembered, by the
                                   * steady clock; 0: none were */
} etg_composite_esi;

/* A page on its way through the filter. */
typedef struct etg_composite_page {
    etg_composite c;              /* part 0 is the page itself, part n the
                                   * fragment n - 1 of `esi` */
    ap_filter_t *filter;          /* those behind it may go away */
    etg_composite_had itself;     /* part 0 */
    etg_esi_page *esi;
    apr_uint64_t bytes;           /* of the page, as it came */
    etg_entity_digest *digest;    /* of those */
    struct etg_inflater *inflater;  /* of a page that comes gzip-coded */
    int is_long;                  /* more comes behind what is held, which has
                                   * as much memory for its fragments again */
    int is_in_portions;           /* the head has gone out, and what is held
                                   * is not all of it */
    int is_answered;              /* whatever else comes of it is dropped */
    apr_array_header_t *asked;    /* rows of composite_esi_fragments.c, one
                                   * per fragment */
} etg_composite_page;

/* ---- composite_esi.c ---- */

/* The client's own fields are what r has again. */
void etg_composite_esi_restore(etg_composite_esi *esi, request_rec *r);
/* Has a response with these fields ESI in it? */
int etg_composite_esi_is_in(const etg_composite_dir_conf *dir,
                            const apr_table_t *fields);

/* ---- composite_esi_filter.c ---- */

void etg_composite_esi_filter_insert(etg_composite_esi *esi, request_rec *r);
/* Path and query of the page that the client has asked for. */
const char *etg_composite_esi_target_of(const request_rec *first);

/* Text of the page, plain. Its answer may be sent before this returns:
 * is_answered. */
apr_status_t etg_composite_esi_add(etg_composite_page *page, const char *data,
                                   apr_size_t length);

/* ---- composite_esi_coding.c ---- */

/* The one coding that pages may come with. */
void etg_composite_esi_limit_codings(apr_table_t *fields, apr_pool_t *p);
/* Have they that Content-Encoding, and nothing else? */
int etg_composite_esi_is_gzip(const apr_table_t *fields, apr_pool_t *p);
/* The tag of the page itself: that of its plain form. */
void etg_composite_esi_take_tag(etg_composite_had *part, apr_pool_t *p);
/* For a page that is coded: what comes is added plain. What is damaged is
 * answered 502: is_answered. */
apr_status_t etg_composite_esi_inflate_begin(etg_composite_page *page);
apr_status_t etg_composite_esi_inflate(etg_composite_page *page,
                                       const char *data, apr_size_t length);
apr_status_t etg_composite_esi_inflate_end(etg_composite_page *page);
/* Does it go out as it came, coded? */
int etg_composite_esi_goes_out_coded(const etg_composite_page *page);
/* What goes out in place of `plain`, which has an end: coded, with the length,
 * the tag and the field of that; or `plain` itself. */
apr_bucket_brigade *etg_composite_esi_code(etg_composite_page *page,
                                           apr_bucket_brigade *plain,
                                           apr_off_t *length);

/* ---- composite_esi_fragments.c ---- */

/* Forgets all that has been held, for what comes next. */
void etg_composite_esi_begin(etg_composite_page *page);

/* Asks for all fragments of the page that has come, and for theirs. Returns
 * the one whose failure ends it all, or NULL. */
const etg_composite_had *etg_composite_esi_gather(etg_composite_page *page);

/* What a part with this target is called. */
const char *etg_composite_esi_name_of(const char *target, apr_pool_t *p);

/* ---- composite_esi_memory.c ---- */

/* Answers 304 if the fragments of the page are remembered, and the client has
 * what they make now; else DECLINED, and nothing has changed. */
int etg_composite_esi_recall(etg_composite_esi *esi);
/* Of what the page was made; its tag is there. */
void etg_composite_esi_remember(etg_composite_page *page);

/* ---- composite_esi_answer.c ---- */

/* Decides the client's preconditions by what the response says itself. 1: it
 * is a 304 or 412 now, whose body is to be dropped. */
int etg_composite_esi_decide(request_rec *r);
/* A page with ESI, of which a HEAD has asked for the head. */
void etg_composite_esi_answer_head(etg_composite_page *page);
/* The page's end has come: answers. */
apr_status_t etg_composite_esi_answer(etg_composite_page *page);
/* Answers 502, or breaks off what has begun to go out. */
apr_status_t etg_composite_esi_refuse(etg_composite_page *page,
                                      const char *why);
/* It is longer than what may be held: sends what there is, as a portion. The
 * page is then ready for the next. */
apr_status_t etg_composite_esi_send_portion(etg_composite_page *page);

#endif
