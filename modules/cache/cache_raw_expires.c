/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_raw_expires.c: listens to a backend's response head for Expires.
 *
 * mod_proxy_http rewrites every date it can guess the meaning of before a
 * filter of the response sees it: "... UTC", "... AEST" and a missing comma
 * have become valid dates by then, while RFC 9111 §5.3 has a cache take an
 * invalid Expires as a time in the past. mod_proxy lets modules add input
 * filters to the request_rec it reads a response with (hook create_req): ours
 * looks at the lines as they pass, changes none, notes the first Expires that
 * is no date in the context, and takes itself out where the head ends.
 *
 * Such a request_rec is made anew for each request on a kept-alive
 * connection; it may outlive the client's request, but nobody reads from it
 * then. Runs on the request's thread. Memory: one listener per fetch.
 */
#include "modules/cache/cache_raw_expires.h"

#include <apr_date.h>
#include <apr_lib.h>
#include <mod_proxy.h>

#include "lib/http_date.h"

#define FILTER_NAME "ETAG_CACHE_RAW_EXPIRES"
#define NAME "Expires:"
#define NAME_BYTES (sizeof(NAME) - 1)
/* No date is as long. Of a longer value the last byte stands in the last
 * place, so that a date with more behind it stays invalid. */
#define VALUE_BYTES 128

typedef struct listener {
    etg_cache_context *cache;
    int in_head;                  /* the status line has gone by */
    int is_interim;               /* this head is a 1xx response's */
    apr_size_t line_bytes;        /* of the present line, without its end */
    apr_size_t length;
    char field[NAME_BYTES + VALUE_BYTES];  /* status line or field, folded
                                            * lines as one */
} listener;

static int listen_to(request_rec *r, request_rec *backend);
static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb,
                         ap_input_mode_t mode, apr_read_type_e block,
                         apr_off_t bytes);
static int hear(listener *l, const char *data, apr_size_t length);
static void hear_byte(listener *l, char c);
static int end_line(listener *l);
static void begin_head(listener *l);
static void end_field(listener *l);
static const char *as_proxied(const char *value, apr_pool_t *p);

void etg_cache_raw_expires_register(void)
{
    ap_register_input_filter(FILTER_NAME, pass, NULL, AP_FTYPE_PROTOCOL);
    APR_OPTIONAL_HOOK(proxy, create_req, listen_to, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

void etg_cache_raw_expires_restore(const etg_cache_context *ctx,
                                   apr_table_t *fields)
{
    const char *raw = ctx->save.invalid_expires;
    const char *proxied;
    const apr_array_header_t *rows;

    if (raw == NULL) {
        return;
    }
    proxied = as_proxied(raw, ctx->pool);
    rows = apr_table_elts(fields);
    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row = &APR_ARRAY_IDX(rows, i,
                                                      apr_table_entry_t);

        if (!strcasecmp(row->key, "Expires") && !strcmp(row->val, proxied)) {
            apr_table_setn(fields, "Expires", raw);
            return;
        }
    }
}

/* A response that is not judged needs no listener. A second try (another
 * balancer member) forgets what the first has said. */
static int listen_to(request_rec *r, request_rec *backend)
{
    etg_cache_context *ctx = etg_cache_context_of(r);
    listener *l;

    if (ctx == NULL || r->main != NULL
        || (ctx->plan != ETG_CACHE_FETCH
            && ctx->plan != ETG_CACHE_FETCH_PLAIN)) {
        return OK;
    }
    ctx->save.invalid_expires = NULL;
    l = apr_pcalloc(backend->pool, sizeof(*l));
    l->cache = ctx;
    ap_add_input_filter(FILTER_NAME, l, backend, backend->connection);
    return OK;
}

static apr_status_t pass(ap_filter_t *f, apr_bucket_brigade *bb,
                         ap_input_mode_t mode, apr_read_type_e block,
                         apr_off_t bytes)
{
    apr_status_t rv = ap_get_brigade(f->next, bb, mode, block, bytes);
    int goes_on = mode == AP_MODE_GETLINE || mode == AP_MODE_SPECULATIVE;

    if (mode == AP_MODE_GETLINE && rv == APR_SUCCESS) {
        for (apr_bucket *e = APR_BRIGADE_FIRST(bb);
             goes_on && e != APR_BRIGADE_SENTINEL(bb);
             e = APR_BUCKET_NEXT(e)) {
            const char *data;
            apr_size_t length;

            if (APR_BUCKET_IS_METADATA(e)) {
                continue;
            }
            goes_on = apr_bucket_read(e, &data, &length, APR_BLOCK_READ)
                          == APR_SUCCESS
                      && hear(f->ctx, data, length);
        }
    }
    if (!goes_on) {
        ap_remove_input_filter(f);   /* the head is over, or was none */
    }
    return rv;
}

/* Returns whether there is more to hear. A line may come in pieces. */
static int hear(listener *l, const char *data, apr_size_t length)
{
    for (apr_size_t i = 0; i < length; i++) {
        if (data[i] != '\n') {
            hear_byte(l, data[i]);
        }
        else if (!end_line(l)) {
            return 0;
        }
    }
    return 1;
}

static void hear_byte(listener *l, char c)
{
    int is_blank = apr_isspace(c);

    if (l->line_bytes == 0 && c == '\r') {
        return;                      /* an empty line's, or of no meaning */
    }
    if (l->line_bytes++ == 0 && c != ' ' && c != '\t') {
        end_field(l);                /* not folded: a new field */
    }
    if (is_blank && l->length == NAME_BYTES
        && l->field[NAME_BYTES - 1] == ':') {
        return;                      /* before the value */
    }
    if (l->length < sizeof(l->field)) {
        l->field[l->length++] = c;
    }
    else if (!is_blank) {
        l->field[sizeof(l->field) - 1] = c;
    }
}

/* Returns whether there is more to hear. */
static int end_line(listener *l)
{
    int is_empty = l->line_bytes == 0;

    l->line_bytes = 0;
    if (!l->in_head) {
        if (is_empty) {
            return 1;                /* a stray one, as mod_proxy allows */
        }
        begin_head(l);
        return l->in_head;
    }
    if (!is_empty) {
        return 1;
    }
    end_field(l);
    l->in_head = 0;
    return l->is_interim;
}

/* The line just heard is to be a status line. */
static void begin_head(listener *l)
{
    static const apr_size_t code_at = sizeof("HTTP/1.1 ") - 1;

    l->in_head = l->length > code_at && !strncmp(l->field, "HTTP/", 5);
    l->is_interim = l->in_head && l->field[code_at] == '1';
    l->length = 0;
    l->cache->save.invalid_expires = NULL;
}

static void end_field(listener *l)
{
    apr_pool_t *p = l->cache->pool;
    etg_bytes value = {
        .data = (const unsigned char *)l->field + NAME_BYTES
    };
    apr_time_t when;

    while (l->length > NAME_BYTES && apr_isspace(l->field[l->length - 1])) {
        l->length--;
    }
    if (l->length >= NAME_BYTES
        && !strncasecmp(l->field, NAME, NAME_BYTES)) {
        value.length = l->length - NAME_BYTES;
        if (l->cache->save.invalid_expires == NULL
            && !etg_http_date_parse(value, apr_time_now(), &when)) {
            l->cache->save.invalid_expires =
                apr_pstrmemdup(p, (const char *)value.data, value.length);
        }
    }
    l->length = 0;
}

/* What mod_proxy_http makes of a date. */
static const char *as_proxied(const char *value, apr_pool_t *p)
{
    apr_time_t when = apr_date_parse_http(value);
    char *text = apr_palloc(p, APR_RFC822_DATE_LEN);

    return when != 0 && apr_rfc822_date(text, when) == APR_SUCCESS
        ? text : value;
}
