/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_esi_filter.c: judges a response by its head, and holds a page
 * with ESI until its end has come.
 *
 * It sits behind the cache's filter: pages are stored as they came, and those
 * that are stored come by here. What has no ESI is never held, not for a
 * byte. Runs on the request's thread.
 */
#include "modules/composite/composite_esi.h"

#include <http_connection.h>
#include <util_filter.h>

#include "lib/content_coding.h"
#include "lib/steady_clock.h"
#include "modules/glue/bodiless.h"
#include "modules/glue/request_view.h"

/* Behind ETAG_CACHE_SAVE, and before whatever deals with the client's own
 * transfer. */
#define FILTER_TYPE (AP_FTYPE_CONTENT_SET + 2)

typedef enum stage {
    AT_HEAD,
    HOLDING,
    DROPPING                      /* what has come too late for the answer */
} stage;

/* One response's way through the filter. */
typedef struct passage {
    etg_composite_esi *esi;
    stage stage;
    etg_composite_page *page;
} passage;

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t see_head(ap_filter_t *f, apr_bucket_brigade *bb);
static int is_failure(const apr_bucket *e);
static int has_failed(const apr_bucket_brigade *bb);
static int is_page(const etg_composite_esi *esi, request_rec *r,
                   const apr_table_t *fields);
static int may_have_body(int status);
static etg_composite_page *begin(ap_filter_t *f, apr_table_t *fields);
static void begin_itself(etg_composite_page *page, const char *target);
static apr_status_t hold(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t end(etg_composite_page *page);
static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t end_early(ap_filter_t *f, apr_bucket_brigade *bb);

void etg_composite_esi_filter_register(void)
{
    ap_register_output_filter(ETG_COMPOSITE_ESI_FILTER, filter, NULL,
                              FILTER_TYPE);
}

/* The cache runs all handlers once more when it asks the backend. */
void etg_composite_esi_filter_insert(etg_composite_esi *esi, request_rec *r)
{
    passage *fresh;

    for (ap_filter_t *f = r->output_filters; f != NULL; f = f->next) {
        if (f->r == r && f->frec->filter_func.out_func == filter) {
            return;
        }
    }
    fresh = apr_pcalloc(r->pool, sizeof(*fresh));
    fresh->esi = esi;
    ap_add_output_filter(ETG_COMPOSITE_ESI_FILTER, fresh, r, r->connection);
}

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    const passage *way = f->ctx;

    if (APR_BRIGADE_EMPTY(bb)) {
        return APR_SUCCESS;
    }
    switch (way->stage) {
    case AT_HEAD:
        return see_head(f, bb);
    case HOLDING:
        return hold(f, bb);
    default:
        apr_brigade_cleanup(bb);
        return APR_SUCCESS;
    }
}

static apr_status_t see_head(ap_filter_t *f, apr_bucket_brigade *bb)
{
    passage *way = f->ctx;
    request_rec *r = f->r;
    apr_table_t *fields;

    etg_composite_esi_restore(way->esi, r);
    if (has_failed(bb)) {
        return pass(f, bb);
    }
    fields = etg_response_fields_of(r);
    if (!is_page(way->esi, r, fields)) {
        return etg_composite_esi_decide(r) ? end_early(f, bb) : pass(f, bb);
    }
    way->page = begin(f, fields);
    if (way->page == NULL) {
        return pass(f, bb);
    }
    if (r->header_only) {
        etg_composite_esi_answer_head(way->page);
        return end_early(f, bb);
    }
    way->stage = HOLDING;
    return hold(f, bb);
}

static int is_failure(const apr_bucket *e)
{
    return AP_BUCKET_IS_EOC(e) || AP_BUCKET_IS_ERROR(e);
}

static int has_failed(const apr_bucket_brigade *bb)
{
    for (const apr_bucket *e = APR_BRIGADE_FIRST(bb);
         e != APR_BRIGADE_SENTINEL(bb);
         e = APR_BUCKET_NEXT(e)) {
        if (is_failure(e)) {
            return 1;
        }
    }
    return 0;
}

static int is_page(const etg_composite_esi *esi, request_rec *r,
                   const apr_table_t *fields)
{
    if (!may_have_body(r->status)
        || !etg_composite_esi_is_in(esi->dir, fields)) {
        return 0;
    }
    if (apr_table_get(fields, "Content-Encoding") != NULL
        && !etg_composite_esi_is_gzip(fields, r->pool)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      ETGLOGNO(0513) "the page has a Content-Encoding that "
                      "nobody asked for; its ESI is not processed");
        return 0;
    }
    return 1;
}

static int may_have_body(int status)
{
    return status >= HTTP_OK && status != HTTP_PARTIAL_CONTENT
        && status != HTTP_RANGE_NOT_SATISFIABLE
        && !AP_STATUS_IS_HEADER_ONLY(status);
}

/* NULL: there is no memory. */
static etg_composite_page *begin(ap_filter_t *f, apr_table_t *fields)
{
    const passage *way = f->ctx;
    const etg_composite_esi *esi = way->esi;
    request_rec *r = f->r;
    etg_composite_page *page = apr_pcalloc(r->pool, sizeof(*page));
    etg_composite *c = &page->c;
    const char *host = apr_table_get(r->headers_in, "Host");
    etg_esi_origin origin = {
        .scheme = ap_http_scheme(r),
        .host = host != NULL ? host : ap_get_server_name(r),
        .target = etg_composite_esi_target_of(esi->first),
        .prefixes = esi->dir->esi_allow,
    };

    c->r = r;
    c->dir = esi->dir;
    c->runtime = esi->runtime;
    page->filter = f;
    c->until = esi->dir->deadline
               + (esi->asked_at != 0 ? esi->asked_at : etg_steady_now());
    page->itself.fields = fields;
    begin_itself(page, origin.target);
    page->esi = etg_esi_page_make(&origin, 0, r->pool);
    etg_composite_esi_begin(page);
    if (apr_table_get(fields, "Content-Encoding") != NULL) {
        etg_vary_add_accept_encoding(fields, r->pool);
        if (etg_composite_esi_inflate_begin(page) != APR_SUCCESS) {
            return NULL;
        }
    }
    if (etg_entity_digest_begin(&page->digest, r->pool) != APR_SUCCESS) {
        page->digest = NULL;
    }
    return page;
}

/* Some clients write the whole URL. */
const char *etg_composite_esi_target_of(const request_rec *first)
{
    if (*first->unparsed_uri == '/') {
        return first->unparsed_uri;
    }
    return apr_uri_unparse(first->pool, &first->parsed_uri,
                           APR_URI_UNP_OMITSITEPART);
}

static void begin_itself(etg_composite_page *page, const char *target)
{
    etg_composite_had *part = &page->itself;
    etg_composite_line *line = apr_pcalloc(page->c.r->pool, sizeof(*line));

    line->part.name = "page";
    part->line = line;
    part->url = target;
    part->is_answered = 1;
    part->status = page->c.r->status;
    etg_composite_esi_take_tag(part, page->c.r->pool);
}

/* What has been held of a page that breaks off goes nowhere: whoever writes
 * heads makes an error of it. */
static apr_status_t hold(ap_filter_t *f, apr_bucket_brigade *bb)
{
    passage *way = f->ctx;

    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);
        const char *data;
        apr_size_t length;
        apr_status_t rv = APR_SUCCESS;

        if (is_failure(e)) {
            return pass(f, bb);
        }
        if (APR_BUCKET_IS_EOS(e)) {
            way->stage = DROPPING;
            apr_brigade_cleanup(bb);
            return end(way->page);
        }
        if (!APR_BUCKET_IS_METADATA(e)) {
            rv = apr_bucket_read(e, &data, &length, APR_BLOCK_READ);
            if (rv != APR_SUCCESS) {
                return rv;
            }
            rv = way->page->inflater != NULL
                ? etg_composite_esi_inflate(way->page, data, length)
                : etg_composite_esi_add(way->page, data, length);
        }
        apr_bucket_delete(e);
        if (rv != APR_SUCCESS || way->page->is_answered) {
            way->stage = DROPPING;
            apr_brigade_cleanup(bb);
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t end(etg_composite_page *page)
{
    apr_status_t rv = page->inflater == NULL
        ? APR_SUCCESS : etg_composite_esi_inflate_end(page);

    return rv == APR_SUCCESS && !page->is_answered
        ? etg_composite_esi_answer(page) : rv;
}

apr_status_t etg_composite_esi_add(etg_composite_page *page, const char *data,
                                   apr_size_t length)
{
    apr_size_t most = (apr_size_t)page->c.dir->max_bytes;
    apr_status_t rv = APR_SUCCESS;

    if (page->digest != NULL) {
        etg_entity_digest_add(page->digest, data, length);
    }
    while (length > 0 && rv == APR_SUCCESS && !page->is_answered) {
        etg_bytes portion = {
            (const unsigned char *)data, length < most ? length : most
        };

        rv = etg_esi_page_feed(page->esi, portion);
        if (APR_STATUS_IS_ENOSPC(rv)) {
            rv = etg_composite_esi_send_portion(page);
            continue;
        }
        page->bytes += portion.length;
        data += portion.length;
        length -= portion.length;
    }
    return rv;
}

static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb)
{
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/* The answer is complete without the body, and its client is not to wait for
 * the end of that. (Nor is the length of a body that some handlers give to a
 * HEAD as well to become that of the answer.) */
static apr_status_t end_early(ap_filter_t *f, apr_bucket_brigade *bb)
{
    passage *way = f->ctx;

    way->stage = DROPPING;
    return etg_bodiless_end(f, bb);
}
