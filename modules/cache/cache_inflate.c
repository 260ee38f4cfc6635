/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_inflate.c: a body that is stored gzip-coded, for a client that does
 * not take that.
 *
 * A bucket stands for a part of the plain bytes and inflates them when it is
 * read, some KB at a time, so that filters which slice (ranges) or read
 * (compression) work as on any body. Behind those that speak HTTP, a filter
 * of ours passes what is left of it on in portions: a body of any length goes
 * out in bounded memory, and the bucket never leaves the request's thread.
 *
 * The buckets of one answer share one inflater, which goes on from front to
 * back; ranges that go back make it begin again.
 *
 * The length was announced from the record. A body that turns out to be
 * something else ends as a broken answer, never as a short one that looks
 * whole.
 */
#include "modules/cache/cache_inflate.h"

#include "lib/gzip.h"

#define FILTER "ETAG_CACHE_INFLATE"
#define PORTION_BYTES (64 * 1024)
#define READ_BYTES (8 * 1024)
/* Of which deflate makes half a megabyte at most. */
#define STEP_BYTES 512

/* What the buckets of one answer share; in the request's pool. */
typedef struct inflated {
    request_rec *r;
    etg_entity coded;
    apr_uint64_t length;          /* of the plain bytes */
    etg_inflater *inflater;       /* NULL: not begun, or ended */
    apr_uint64_t fed;             /* of the coded bytes */
    unsigned char *window;        /* a piece of the file */
    apr_size_t window_bytes;
    apr_size_t window_used;
    apr_bucket_brigade *ready;    /* inflated and not yet read: ends at */
    apr_uint64_t position;        /* this many plain bytes */
    apr_uint64_t wanted;          /* what is before is skipped */
} inflated;

static apr_status_t read_part(apr_bucket *e, const char **data,
                              apr_size_t *length, apr_read_type_e block);
static void leave_part(void *data);
static void become(apr_bucket *e, apr_bucket *ready);
static apr_status_t fill(inflated *source, apr_uint64_t start);
static int skip_to(inflated *source, apr_uint64_t start);
static apr_status_t begin_again(inflated *source);
static apr_status_t feed(inflated *source);
static apr_status_t next_step(inflated *source, const unsigned char **data,
                              apr_size_t *length);
static apr_status_t end(inflated *source);
static apr_status_t take_plain(void *baton, const void *data,
                               apr_size_t length);
static apr_status_t inflate_filter(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t end_broken(ap_filter_t *f, apr_bucket_brigade *out);

static const apr_bucket_type_t part_type = {
    "ETAG_INFLATED", 5, APR_BUCKET_DATA, leave_part, read_part,
    apr_bucket_setaside_noop, apr_bucket_simple_split, apr_bucket_simple_copy
};

void etg_cache_inflate_register(void)
{
    ap_register_output_filter(FILTER, inflate_filter, NULL, AP_FTYPE_PROTOCOL);
}

apr_status_t etg_cache_inflate_insert(request_rec *r, const etg_entity *coded,
                                      apr_uint64_t length,
                                      apr_bucket_brigade *bb)
{
    inflated *source = apr_pcalloc(r->pool, sizeof(*source));
    apr_bucket *part;
    apr_status_t rv;

    source->r = r;
    source->coded = *coded;
    source->length = length;
    source->ready = apr_brigade_create(r->pool, bb->bucket_alloc);
    rv = fill(source, 0);
    if (rv != APR_SUCCESS || length == 0) {
        return rv;
    }
    part = apr_bucket_alloc(sizeof(*part), bb->bucket_alloc);
    APR_BUCKET_INIT(part);
    part->free = apr_bucket_free;
    part->list = bb->bucket_alloc;
    part->type = &part_type;
    part->data = source;
    part->start = 0;
    part->length = (apr_size_t)length;
    APR_BRIGADE_INSERT_TAIL(bb, part);
    ap_add_output_filter(FILTER, NULL, r, r->connection);
    return APR_SUCCESS;
}

/* What is read becomes a bucket of its own; the rest stays a part. */
static apr_status_t read_part(apr_bucket *e, const char **data,
                              apr_size_t *length, apr_read_type_e block)
{
    inflated *source = e->data;
    apr_bucket *first;
    apr_bucket *rest;
    apr_status_t rv;

    if (e->length == 0) {
        apr_bucket_immortal_make(e, "", 0);
        return apr_bucket_read(e, data, length, block);
    }
    rv = fill(source, (apr_uint64_t)e->start);
    if (rv != APR_SUCCESS) {
        source->r->connection->keepalive = AP_CONN_CLOSE;
        return rv;
    }
    first = APR_BRIGADE_FIRST(source->ready);
    if (first->length > e->length) {
        apr_bucket_split(first, e->length);
    }
    if (first->length < e->length) {
        apr_bucket_copy(e, &rest);
        rest->start += first->length;
        rest->length -= first->length;
        APR_BUCKET_INSERT_AFTER(e, rest);
    }
    APR_BUCKET_REMOVE(first);
    become(e, first);
    return apr_bucket_read(e, data, length, block);
}

static void leave_part(void *data)
{
    (void)data;                      /* it is the pool's */
}

static void become(apr_bucket *e, apr_bucket *ready)
{
    e->type = ready->type;
    e->data = ready->data;
    e->start = ready->start;
    e->length = ready->length;
    ready->free(ready);              /* what was its data is e's now */
}

/* Sees to it that `ready` begins with the plain byte at `start`. */
static apr_status_t fill(inflated *source, apr_uint64_t start)
{
    apr_status_t rv = APR_SUCCESS;

    if (skip_to(source, start)) {
        return APR_SUCCESS;
    }
    if (source->inflater == NULL || start < source->position) {
        rv = begin_again(source);
    }
    source->wanted = start;
    while (rv == APR_SUCCESS && source->inflater != NULL
           && (APR_BRIGADE_EMPTY(source->ready)
               || source->position == source->length)) {
        rv = feed(source);
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, source->r, ETGLOGNO(0175)
                      "a stored body does not inflate to what was stored; it "
                      "is fetched anew, or the answer that has begun is "
                      "broken off: PURGE %s", source->r->unparsed_uri);
        apr_brigade_cleanup(source->ready);
    }
    return rv;
}

/* Is the byte among those that are ready? Drops those before it, or all. */
static int skip_to(inflated *source, apr_uint64_t start)
{
    apr_off_t held = 0;
    apr_bucket *first = APR_BRIGADE_SENTINEL(source->ready);
    apr_uint64_t begin;

    apr_brigade_length(source->ready, 1, &held);
    begin = source->position - (apr_uint64_t)held;
    if (start >= begin && start < source->position) {
        apr_brigade_partition(source->ready, (apr_off_t)(start - begin),
                              &first);
    }
    while (!APR_BRIGADE_EMPTY(source->ready)
           && APR_BRIGADE_FIRST(source->ready) != first) {
        apr_bucket_delete(APR_BRIGADE_FIRST(source->ready));
    }
    return !APR_BRIGADE_EMPTY(source->ready);
}

static apr_status_t begin_again(inflated *source)
{
    if (source->inflater != NULL) {
        etg_inflater_end(source->inflater);
        source->inflater = NULL;
    }
    apr_brigade_cleanup(source->ready);
    source->position = 0;
    source->fed = 0;
    source->window_bytes = 0;
    source->window_used = 0;
    return etg_inflater_begin(&source->inflater, source->length, take_plain,
                              source, source->r->pool);
}

static apr_status_t feed(inflated *source)
{
    const unsigned char *data;
    apr_size_t length;
    apr_status_t rv;

    if (source->fed == source->coded.length) {
        return end(source);
    }
    rv = next_step(source, &data, &length);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    source->fed += length;
    return etg_inflater_add(source->inflater, data, length);
}

static apr_status_t next_step(inflated *source, const unsigned char **data,
                              apr_size_t *length)
{
    apr_uint64_t left = source->coded.length - source->fed;

    *length = left < STEP_BYTES ? (apr_size_t)left : STEP_BYTES;
    if (source->coded.bytes != NULL) {
        *data = source->coded.bytes + source->fed;
        return APR_SUCCESS;
    }
    if (source->window_used == source->window_bytes) {
        apr_off_t at = source->coded.offset + (apr_off_t)source->fed;
        apr_size_t room = left < READ_BYTES ? (apr_size_t)left : READ_BYTES;
        apr_status_t rv = apr_file_seek(source->coded.file, APR_SET, &at);

        if (source->window == NULL) {
            source->window = apr_palloc(source->r->pool, READ_BYTES);
        }
        if (rv == APR_SUCCESS) {
            rv = apr_file_read_full(source->coded.file, source->window, room,
                                    NULL);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
        source->window_bytes = room;
        source->window_used = 0;
    }
    *data = source->window + source->window_used;
    if (*length > source->window_bytes - source->window_used) {
        *length = source->window_bytes - source->window_used;
    }
    source->window_used += *length;
    return APR_SUCCESS;
}

static apr_status_t end(inflated *source)
{
    apr_status_t rv = etg_inflater_end(source->inflater);

    source->inflater = NULL;
    return rv == APR_SUCCESS && source->position != source->length
        ? APR_EGENERAL : rv;
}

static apr_status_t take_plain(void *baton, const void *data,
                               apr_size_t length)
{
    inflated *source = baton;
    apr_uint64_t from = source->position;
    apr_size_t skipped = 0;

    source->position += length;
    if (source->position <= source->wanted) {
        return APR_SUCCESS;
    }
    if (from < source->wanted) {
        skipped = (apr_size_t)(source->wanted - from);
    }
    APR_BRIGADE_INSERT_TAIL(source->ready, apr_bucket_heap_create(
        (const char *)data + skipped, length - skipped, NULL,
        source->ready->bucket_alloc));
    return APR_SUCCESS;
}

static apr_status_t inflate_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_bucket_brigade *out = apr_brigade_create(f->r->pool,
                                                 bb->bucket_alloc);
    apr_size_t held = 0;

    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);
        const char *data;
        apr_size_t length = 0;

        if (e->type == &part_type
            && apr_bucket_read(e, &data, &length, APR_BLOCK_READ)
               != APR_SUCCESS) {
            apr_brigade_cleanup(bb);
            return end_broken(f, out);
        }
        APR_BUCKET_REMOVE(e);
        APR_BRIGADE_INSERT_TAIL(out, e);
        held += length;
        if (held >= PORTION_BYTES) {
            apr_status_t rv = ap_pass_brigade(f->next, out);

            apr_brigade_cleanup(out);
            held = 0;
            if (rv != APR_SUCCESS || f->c->aborted) {
                return rv != APR_SUCCESS ? rv : APR_ECONNABORTED;
            }
        }
    }
    return ap_pass_brigade(f->next, out);
}

/* As a proxy ends what its backend has broken off. */
static apr_status_t end_broken(ap_filter_t *f, apr_bucket_brigade *out)
{
    APR_BRIGADE_INSERT_TAIL(out, ap_bucket_error_create(
        HTTP_BAD_GATEWAY, NULL, f->r->pool, out->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(out->bucket_alloc));
    return ap_pass_brigade(f->next, out);
}
