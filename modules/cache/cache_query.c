/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_query.c: takes ignored query parameters out of what backends see.
 *
 * A response that is stored for all values of a parameter must not depend on
 * the one that the first client sent (ETagCacheKeyIgnoreQuery). r->args is
 * reduced before mod_rewrite and mod_proxy make a backend's URL of it, and so
 * is r->the_request: REQUEST_URI of CGI and FastCGI comes from it. The logging
 * phase finds both as the client sent them. r->unparsed_uri, the key's source,
 * is left alone.
 *
 * Sections count when they are known: <Location> and server before the URL is
 * translated; <Directory>, <Files> and <Proxy> only at the fixups. There we
 * do what was not done, and undo what was done for a section with the cache
 * off, unless the administrator's rules have set a query of their own.
 */
#include "modules/cache/cache_query.h"

#include "modules/cache/cache.h"
#include "modules/glue/request_view.h"

/* Our r->args in r->notes, to be known again by its address. */
#define NOTE "etag-cache-args"
/* The client's own request line. */
#define LINE_NOTE "etag-cache-request-line"

static int translate(request_rec *r);
static int fix_up(request_rec *r);
static int before_logs(request_rec *r);
static int is_ours(const request_rec *r);
static const char *reduced(request_rec *r);
static void reduce_proxied(request_rec *r);
static void reduce_line(request_rec *r);
static const char *with_query(const request_rec *r, const char *text,
                              apr_size_t at, apr_size_t end);
static void restore(request_rec *r);

void etg_cache_query_register(void)
{
    ap_hook_translate_name(translate, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(fix_up, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(before_logs, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

static int translate(request_rec *r)
{
    const char *query;

    if (is_ours(r) && r->args != NULL && r->args == r->parsed_uri.query) {
        query = reduced(r);
        if (query != r->args) {
            r->args = (char *)query;
            apr_table_setn(r->notes, NOTE, query == NULL ? "" : query);
        }
    }
    return DECLINED;
}

static int fix_up(request_rec *r)
{
    if (is_ours(r)) {
        translate(r);
        if (apr_table_get(r->notes, NOTE) != NULL) {
            reduce_proxied(r);
            reduce_line(r);
        }
    }
    else {
        restore(r);
    }
    return DECLINED;
}

/* Those that internal redirects made have copied the line. */
static int before_logs(request_rec *r)
{
    request_rec *first = etg_first_request(r);
    const char *line = apr_table_get(first->notes, LINE_NOTE);

    restore(first);
    for (; line != NULL && r != NULL; r = r->prev) {
        r->the_request = (char *)line;
    }
    return DECLINED;
}

/* Internal requests have the query their maker gave them. */
static int is_ours(const request_rec *r)
{
    const etg_cache_dir_conf *dir = ap_get_module_config(r->per_dir_config,
                                                         &etag_cache_module);

    return r->main == NULL && r->prev == NULL && r->method_number == M_GET
        && r->proxyreq != PROXYREQ_PROXY && dir->mode != ETG_CACHE_OFF;
}

static const char *reduced(request_rec *r)
{
    const etg_cache_server_conf *server = ap_get_module_config(
        r->server->module_config, &etag_cache_module);
    const apr_array_header_t *patterns = server->ignore_query;

    return patterns == NULL || patterns->nelts == 0
        ? r->args : etg_query_without(r->args, patterns, r->pool);
}

/* ProxyPass with nocanon copies the client's URL, query and all, into the
 * backend's. */
static void reduce_proxied(request_rec *r)
{
    const char *raw;

    if (r->filename == NULL || strncmp(r->filename, "proxy:", 6)) {
        return;
    }
    raw = ap_strchr_c(r->filename, '?');
    if (raw != NULL && !strcmp(raw + 1, r->parsed_uri.query)) {
        r->filename = (char *)with_query(r, r->filename, raw - r->filename,
                                         strlen(r->filename));
    }
}

static void reduce_line(request_rec *r)
{
    const char *line = r->the_request;
    const char *raw = line == NULL ? NULL : ap_strchr_c(line, '?');
    apr_size_t length = strlen(r->parsed_uri.query);

    if (raw != NULL && !strncmp(raw + 1, r->parsed_uri.query, length)
        && (raw[1 + length] == ' ' || raw[1 + length] == '\0')) {
        r->the_request = (char *)with_query(r, line, raw - line,
                                            raw + 1 + length - line);
        apr_table_setn(r->notes, LINE_NOTE, line);
    }
}

/* `text` with r->args in place of the query that stands from `at`, where its
 * '?' is, to `end`. */
static const char *with_query(const request_rec *r, const char *text,
                              apr_size_t at, apr_size_t end)
{
    return apr_pstrcat(r->pool, apr_pstrmemdup(r->pool, text, at),
                       r->args == NULL ? "" : "?",
                       r->args == NULL ? "" : r->args, text + end, NULL);
}

static void restore(request_rec *r)
{
    const char *ours = apr_table_get(r->notes, NOTE);

    if (ours != NULL && (r->args == ours
                         || (r->args == NULL && *ours == '\0'))) {
        r->args = r->parsed_uri.query;
    }
}
