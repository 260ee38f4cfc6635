/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_esi_answer.c: what the client gets for a page with ESI, and by
 * which of its preconditions a page without it is not sent.
 */
#include "modules/composite/composite_esi.h"

#include "etg_freshness.h"
#include "lib/coded_tag.h"
#include "lib/steady_clock.h"
#include "modules/glue/bodiless.h"

static const char *field_of(const request_rec *r, const char *name);
static int is_by_data(request_rec *r);
static int decide_and_send(etg_composite_page *page, apr_bucket_brigade *bb,
                           apr_off_t length);
static void finish_digest(etg_composite_page *page);
static void begin_portions(etg_composite_page *page);
static apr_status_t put_together(etg_composite_page *page,
                                 apr_bucket_brigade **bb, apr_off_t *length);
static void add_end(apr_bucket_brigade *bb);
static apr_status_t pass_end(etg_composite_page *page,
                             apr_bucket_brigade *bb);
static void say_markup(const etg_composite_page *page);
static apr_status_t leave(etg_composite_page *page);
static apr_status_t fail(etg_composite_page *page,
                         const etg_composite_had *part);
static apr_status_t answer_problem(etg_composite_page *page, int status,
                                   const char *why, const char *part);
static void drop_fields(request_rec *r);
static apr_bucket_brigade *assemble(etg_composite_page *page,
                                    apr_off_t *length);
static apr_status_t take_text(void *baton, etg_bytes text);
static apr_status_t send_as_it_is(etg_composite_page *page,
                                  apr_bucket_brigade *bb);
static void clear_fields(request_rec *r);
static void unset(request_rec *r, const char *name);
static apr_status_t status_of(const etg_composite_page *page, int result);

/* Texts as they are put together. */
typedef struct assembly {
    apr_bucket_brigade *bb;
    apr_pool_t *p;
    apr_off_t length;
} assembly;

int etg_composite_esi_decide(request_rec *r)
{
    const char *etag = field_of(r, "ETag");
    const char *held = NULL;
    etg_precondition condition = etg_coded_precondition_decide(
        r->headers_in, r->status, etag,
        is_by_data(r) ? NULL : field_of(r, "Last-Modified"),
        r->request_time, r->pool, &held);

    if (condition == ETG_PRECONDITION_PASS) {
        return 0;
    }
    if (held != NULL) {
        unset(r, "ETag");
        apr_table_setn(r->headers_out, "ETag", held);
    }
    etg_bodiless_make(r, condition == ETG_PRECONDITION_FAILED
                         ? HTTP_PRECONDITION_FAILED : HTTP_NOT_MODIFIED);
    return 1;
}

static const char *field_of(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_out, name);

    return value != NULL ? value : apr_table_get(r->err_headers_out, name);
}

/* Then a date may be that of its data, which stays when a member goes. */
static int is_by_data(request_rec *r)
{
    APR_OPTIONAL_FN_TYPE(etg_freshness_is_read) *is_read =
        APR_RETRIEVE_OPTIONAL_FN(etg_freshness_is_read);

    return is_read != NULL && is_read(r);
}

/* How long the whole will hold is not known without its fragments. */
void etg_composite_esi_answer_head(etg_composite_page *page)
{
    etg_composite *c = &page->c;

    APR_ARRAY_PUSH(c->others, const apr_table_t *)
        = apr_table_make(c->r->pool, 1);
    clear_fields(c->r);
    etg_composite_set_fields(c);
    unset(c->r, "Last-Modified");
    if (etg_composite_esi_goes_out_coded(page)) {
        apr_table_setn(c->r->headers_out, "Content-Encoding", "gzip");
    }
    apr_table_setn(c->r->notes, "etag-composite", "head");
}

apr_status_t etg_composite_esi_answer(etg_composite_page *page)
{
    etg_composite *c = &page->c;
    request_rec *r = c->r;
    apr_bucket_brigade *bb = NULL;
    apr_off_t length = 0;
    apr_status_t rv;

    rv = etg_esi_page_end(page->esi);
    if (rv == APR_SUCCESS) {
        rv = put_together(page, &bb, &length);
    }
    say_markup(page);
    if (rv != APR_SUCCESS || page->is_answered) {
        return rv;
    }
    if (page->is_in_portions) {
        return pass_end(page, bb);
    }
    finish_digest(page);
    add_end(bb);
    if (page->inflater == NULL && c->count == 1
        && (apr_uint64_t)length == page->bytes) {
        return send_as_it_is(page, bb);
    }
    clear_fields(r);
    if (r->status == HTTP_OK) {
        c->tag = etg_composite_tag_of(c);
        etg_composite_esi_remember(page);
    }
    return status_of(page, decide_and_send(page, bb, length));
}

/* If-Match compares strongly, so with the tag of the very bytes; a 304 needs
 * none of them. */
static int decide_and_send(etg_composite_page *page, apr_bucket_brigade *bb,
                           apr_off_t length)
{
    etg_composite *c = &page->c;
    int is_strict = apr_table_get(c->r->headers_in, "If-Match") != NULL;
    int result = DECLINED;

    if (is_strict) {
        bb = etg_composite_esi_code(page, bb, &length);
    }
    if (c->r->status == HTTP_OK) {
        result = etg_composite_answer_conditions(c);
    }
    if (result != DECLINED) {
        return result;
    }
    if (!is_strict) {
        bb = etg_composite_esi_code(page, bb, &length);
    }
    return etg_composite_send(c, bb, length);
}

apr_status_t etg_composite_esi_send_portion(etg_composite_page *page)
{
    etg_composite *c = &page->c;
    apr_bucket_brigade *bb = NULL;
    apr_off_t length;
    apr_status_t rv;

    page->is_long = 1;
    rv = put_together(page, &bb, &length);
    if (rv != APR_SUCCESS || page->is_answered) {
        return rv;
    }
    if (!page->is_in_portions) {
        begin_portions(page);
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(bb->bucket_alloc));
    rv = ap_pass_brigade(c->next, bb);
    if (rv == APR_SUCCESS) {
        etg_composite_esi_begin(page);
    }
    return rv;
}

/* Nothing can be said of the whole. */
static void begin_portions(etg_composite_page *page)
{
    etg_composite *c = &page->c;

    page->is_in_portions = 1;
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, c->r,
                  ETGLOGNO(0514) "the page is longer than "
                  "ETagCompositeMaxBytes: it goes out in portions, without a "
                  "tag");
    apr_table_setn(c->r->notes, "etag-composite", "portions");
    c->is_incomplete = 1;
    clear_fields(c->r);
    etg_composite_set_fields(c);
    apr_table_unset(c->r->headers_in, "Range");
}

/* What there is of the page, with its fragments; or it is answered, with an
 * error. */
static apr_status_t put_together(etg_composite_page *page,
                                 apr_bucket_brigade **bb, apr_off_t *length)
{
    const etg_composite_had *failed;

    if (page->is_in_portions) {
        /* The client may have taken its time for the last one. */
        page->c.until = etg_steady_now() + page->c.dir->deadline;
    }
    failed = etg_composite_esi_gather(page);
    page->c.next = page->filter->next;
    if (page->c.has_left) {
        return leave(page);
    }
    if (failed != NULL) {
        return fail(page, failed);
    }
    *bb = assemble(page, length);
    if (*bb == NULL) {
        return etg_composite_esi_refuse(
            page, "the page's fragments stand in too many places");
    }
    return APR_SUCCESS;
}

static void add_end(apr_bucket_brigade *bb)
{
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
}

static apr_status_t pass_end(etg_composite_page *page,
                             apr_bucket_brigade *bb)
{
    add_end(bb);
    return ap_pass_brigade(page->c.next, bb);
}

static void finish_digest(etg_composite_page *page)
{
    etg_composite_had *part = &page->itself;
    etg_entity_id id;

    if (part->etag == NULL && page->digest != NULL
        && etg_entity_digest_end(page->digest, &id) == APR_SUCCESS) {
        memcpy(part->digest, id.bytes, sizeof(part->digest));
        part->has_digest = 1;
        page->c.parts[0] = *part;
    }
}

static void say_markup(const etg_composite_page *page)
{
    const etg_esi_page *esi = page->esi;

    if (esi->malformed > 0) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, page->c.r,
                      ETGLOGNO(0511) "ESI that is malformed, in %u places, "
                      "stays in the page as it is", esi->malformed);
    }
    if (esi->refused > 0) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, page->c.r,
                      ETGLOGNO(0512) "%u includes stay in the page as they "
                      "are: not below ETagCompositeESIAllow, too many or too "
                      "deep; the first is %s", esi->refused,
                      esi->refused_url != NULL ? esi->refused_url : "?");
    }
}

/* There is nobody to answer. */
static apr_status_t leave(etg_composite_page *page)
{
    apr_table_setn(page->c.r->notes, "etag-composite", "left");
    page->c.r->connection->aborted = 1;
    return APR_ECONNABORTED;
}

static apr_status_t fail(etg_composite_page *page,
                         const etg_composite_had *part)
{
    request_rec *r = page->c.r;

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  ETGLOGNO(0510) "fragment %s: %s",
                  part->url != NULL ? part->url : part->line->part.name,
                  part->failure);
    return answer_problem(page, part->failure_status, part->failure,
                          part->line->part.name);
}

apr_status_t etg_composite_esi_refuse(etg_composite_page *page,
                                      const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, page->c.r,
                  ETGLOGNO(0515) "%s; the answer is 502", why);
    return answer_problem(page, HTTP_BAD_GATEWAY, why, NULL);
}

/* A client that has the beginning already must not take it for the whole. */
static apr_status_t answer_problem(etg_composite_page *page, int status,
                                   const char *why, const char *part)
{
    request_rec *r = page->c.r;
    apr_bucket_brigade *bb;

    page->c.next = page->filter->next;
    page->is_answered = 1;
    apr_table_setn(r->notes, "etag-composite", "failed");
    if (!page->is_in_portions) {
        drop_fields(r);
        return status_of(page, etg_composite_send_problem(
            page->c.next, r, status, why, part));
    }
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(
        HTTP_BAD_GATEWAY, NULL, r->pool, bb->bucket_alloc));
    add_end(bb);
    return ap_pass_brigade(page->c.next, bb);
}

/* As of an error: what was said of the page alone is not said of it. */
static void drop_fields(request_rec *r)
{
    clear_fields(r);
    r->headers_out = r->err_headers_out;
    r->err_headers_out = apr_table_make(r->pool, 4);
    r->content_encoding = NULL;
    r->content_languages = NULL;
}

static apr_bucket_brigade *assemble(etg_composite_page *page,
                                    apr_off_t *length)
{
    request_rec *r = page->c.r;
    assembly whole = {
        .bb = apr_brigade_create(r->pool, r->connection->bucket_alloc),
        .p = page->c.pool,
    };

    if (etg_esi_page_assemble(page->esi, take_text, &whole)
        != APR_SUCCESS) {
        apr_brigade_destroy(whole.bb);
        return NULL;
    }
    *length = whole.length;
    return whole.bb;
}

static apr_status_t take_text(void *baton, etg_bytes text)
{
    assembly *whole = baton;

    etg_composite_insert(whole->bb, text, whole->p);
    whole->length += (apr_off_t)text.length;
    return APR_SUCCESS;
}

/* There was no ESI in it: nothing that is said of it is untrue. */
static apr_status_t send_as_it_is(etg_composite_page *page,
                                  apr_bucket_brigade *bb)
{
    request_rec *r = page->c.r;

    unset(r, "Surrogate-Control");
    apr_table_setn(r->notes, "etag-composite", "plain");
    if (etg_composite_esi_decide(r)) {
        apr_brigade_cleanup(bb);
        add_end(bb);
    }
    return ap_pass_brigade(page->c.next, bb);
}

/* What is said of the page's own bytes, and how long that may be kept: what
 * is to be said of the whole comes in their place. */
static void clear_fields(request_rec *r)
{
    static const char *const names[] = {
        "Accept-Ranges", "Age", "Cache-Control", "CDN-Cache-Control",
        "Content-Digest", "Content-Encoding", "Content-Length",
        "Content-MD5", "Content-Range", "Digest", "ETag", "Expires",
        "Last-Modified", "Pragma", "Repr-Digest", "Surrogate-Control",
        "Vary", NULL
    };

    for (int i = 0; names[i] != NULL; i++) {
        unset(r, names[i]);
    }
    r->content_encoding = NULL;
    apr_table_unset(r->notes, "no-etag");     /* of files, by mod_include */
}

static void unset(request_rec *r, const char *name)
{
    apr_table_unset(r->headers_out, name);
    apr_table_unset(r->err_headers_out, name);
}

static apr_status_t status_of(const etg_composite_page *page, int result)
{
    if (result == OK) {
        return page->c.r->connection->aborted ? APR_ECONNABORTED
                                              : APR_SUCCESS;
    }
    return result;
}
