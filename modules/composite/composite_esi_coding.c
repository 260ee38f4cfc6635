/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_esi_coding.c: pages that come gzip-coded, and go out so again.
 *
 * Fragments are put into plain text, but whoever compresses (the cache,
 * mod_deflate, the backend) stands before us. So a client that takes gzip may
 * get what is put together coded, if the page came coded: then somebody has
 * decided that it is worth it. What has no ESI is left as it came.
 */
#include "modules/composite/composite_esi.h"

#include "lib/coded_tag.h"
#include "lib/content_coding.h"
#include "lib/field_list.h"
#include "lib/gzip.h"

#define LEVEL 6

/* What is coded, on its way out. */
typedef struct output {
    apr_bucket_brigade *bb;
    etg_entity_digest *digest;
    apr_off_t length;
} output;

static apr_status_t take_plain(void *baton, const void *data,
                               apr_size_t length);
static apr_status_t take_coded(void *baton, const void *data,
                               apr_size_t length);
static apr_status_t code(etg_deflater *deflater, apr_bucket_brigade *bb);

/* No coding but the one that we can undo. */
void etg_composite_esi_limit_codings(apr_table_t *fields, apr_pool_t *p)
{
    if (etg_gzip_is_wanted(etg_field_combined(fields, "Accept-Encoding", p))) {
        apr_table_setn(fields, "Accept-Encoding", "gzip");
    }
    else {
        apr_table_unset(fields, "Accept-Encoding");
    }
}

int etg_composite_esi_is_gzip(const apr_table_t *fields, apr_pool_t *p)
{
    const char *coding = etg_field_combined(fields, "Content-Encoding", p);

    return coding != NULL && (!ap_cstr_casecmp(coding, "gzip")
                              || !ap_cstr_casecmp(coding, "x-gzip"));
}

/* However it was coded, what is put together is the same. */
void etg_composite_esi_take_tag(etg_composite_had *part, apr_pool_t *p)
{
    const char *own;

    etg_composite_take_tag(part);
    if (part->etag == NULL) {
        return;
    }
    if (etg_composite_esi_is_gzip(part->fields, p)) {
        part->etag = etg_coded_tag_plain(part->etag, p);
    }
    else if (etg_coded_tag_strip(etg_bytes_of(part->etag), p, &own)) {
        part->etag = own;
    }
}

apr_status_t etg_composite_esi_inflate_begin(etg_composite_page *page)
{
    return etg_inflater_begin(&page->inflater, 0, take_plain, page,
                              page->c.r->pool);
}

static apr_status_t take_plain(void *baton, const void *data,
                               apr_size_t length)
{
    etg_composite_page *page = baton;
    apr_status_t rv = etg_composite_esi_add(page, data, length);

    return rv == APR_SUCCESS && page->is_answered ? APR_EOF : rv;
}

apr_status_t etg_composite_esi_inflate(etg_composite_page *page,
                                       const char *data, apr_size_t length)
{
    apr_status_t rv = etg_inflater_add(page->inflater, data, length);

    if (page->is_answered) {
        return APR_SUCCESS;
    }
    return rv == APR_EINVAL
        ? etg_composite_esi_refuse(page, "the page's gzip is damaged") : rv;
}

apr_status_t etg_composite_esi_inflate_end(etg_composite_page *page)
{
    return etg_inflater_end(page->inflater) == APR_SUCCESS ? APR_SUCCESS
        : etg_composite_esi_refuse(page, "the page's gzip is cut off");
}

int etg_composite_esi_goes_out_coded(const etg_composite_page *page)
{
    const request_rec *r = page->c.r;

    return page->inflater != NULL
        && etg_gzip_is_wanted(etg_field_combined(r->headers_in,
                                                 "Accept-Encoding", r->pool));
}

/* What is short goes out plain: also to clients of the same tag, which
 * conditions compare without what codings make of it. */
apr_bucket_brigade *etg_composite_esi_code(etg_composite_page *page,
                                           apr_bucket_brigade *plain,
                                           apr_off_t *length)
{
    etg_composite *c = &page->c;
    output coded = { .length = 0 };
    etg_deflater *deflater;
    etg_entity_id id;

    if (!etg_composite_esi_goes_out_coded(page)
        || *length < ETG_CODING_BYTES_MIN) {
        return plain;
    }
    coded.bb = apr_brigade_create(c->r->pool, plain->bucket_alloc);
    if (etg_entity_digest_begin(&coded.digest, c->pool) != APR_SUCCESS
        || etg_deflater_begin(&deflater, LEVEL, take_coded, &coded, c->pool)
           != APR_SUCCESS
        || code(deflater, plain) != APR_SUCCESS
        || etg_entity_digest_end(coded.digest, &id) != APR_SUCCESS) {
        apr_brigade_destroy(coded.bb);
        return plain;
    }
    while (!APR_BUCKET_IS_METADATA(APR_BRIGADE_FIRST(plain))) {
        apr_bucket_delete(APR_BRIGADE_FIRST(plain));
    }
    APR_BRIGADE_CONCAT(coded.bb, plain);         /* its end */
    apr_table_setn(c->r->headers_out, "Content-Encoding", "gzip");
    if (c->tag != NULL) {
        c->tag = etg_coded_tag(c->tag, ETG_CODING_GZIP, &id, c->pool);
    }
    *length = coded.length;
    return coded.bb;
}

/* What is coded stays in the brigade, so that a failure loses nothing. */
static apr_status_t code(etg_deflater *deflater, apr_bucket_brigade *bb)
{
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *e = APR_BRIGADE_FIRST(bb);

    while (rv == APR_SUCCESS && !APR_BUCKET_IS_METADATA(e)) {
        const char *data;
        apr_size_t length;

        rv = apr_bucket_read(e, &data, &length, APR_BLOCK_READ);
        if (rv == APR_SUCCESS) {
            rv = etg_deflater_add(deflater, data, length);
        }
        e = APR_BUCKET_NEXT(e);
    }
    return rv == APR_SUCCESS ? etg_deflater_end(deflater) : rv;
}

static apr_status_t take_coded(void *baton, const void *data,
                               apr_size_t length)
{
    output *coded = baton;

    APR_BRIGADE_INSERT_TAIL(coded->bb, apr_bucket_heap_create(
        data, length, NULL, coded->bb->bucket_alloc));
    coded->length += (apr_off_t)length;
    return etg_entity_digest_add(coded->digest, data, length);
}
