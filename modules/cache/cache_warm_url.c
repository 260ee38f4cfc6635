/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_warm_url.c: which virtual host a line of ETagCacheRefresh means.
 *
 * A path belongs to the server that names it, under its ServerName. A URL with
 * a host belongs to the virtual host that a client would reach with it, or,
 * if none has that name, to the one that names it (a name that a wildcard or
 * the first virtual host of an address answers to).
 */
#include "modules/cache/cache_warm_url.h"

#include <ap_listen.h>

#include "lib/field_list.h"

#define USER_AGENT "Etagere"

static void add_lines(apr_array_header_t *urls, server_rec *s,
                      const apr_array_header_t *lines, server_rec *main);
static const apr_array_header_t *lines_of(const server_rec *s);
static unsigned port_of(const server_rec *s, const server_rec *main);
static unsigned listened_port(void);
static const char *host_of(const server_rec *s, unsigned port, int is_https,
                           apr_pool_t *p);
static server_rec *server_for(server_rec *main, server_rec *naming,
                              const char *authority, int is_https,
                              apr_pool_t *p);
static unsigned cut_port(char *authority, int is_https);
static int answers_to(const server_rec *s, const char *name, unsigned port);
static int has_port(const server_rec *s, unsigned port);

apr_array_header_t *etg_cache_warm_urls(server_rec *s, apr_pool_t *p)
{
    apr_array_header_t *urls = apr_array_make(p, 4,
                                              sizeof(etg_cache_warm_url));

    for (server_rec *each = s; each != NULL; each = each->next) {
        const apr_array_header_t *lines = lines_of(each);

        /* A virtual host that names none has the main server's list. */
        if (each == s || lines != lines_of(s)) {
            add_lines(urls, each, lines, s);
        }
    }
    return urls;
}

static const apr_array_header_t *lines_of(const server_rec *s)
{
    const etg_cache_server_conf *conf = ap_get_module_config(
        s->module_config, &etag_cache_module);

    return conf->refreshes;
}

static void add_lines(apr_array_header_t *urls, server_rec *s,
                      const apr_array_header_t *lines, server_rec *main)
{
    apr_pool_t *p = urls->pool;

    for (int i = 0; i < lines->nelts; i++) {
        etg_cache_warm_url *url = apr_array_push(urls);
        unsigned port = port_of(s, main);

        memset(url, 0, sizeof(*url));
        url->line = APR_ARRAY_IDX(lines, i, const char *);
        url->server = s;
        /* The configuration was checked: it does parse. */
        etg_refresh_rule_parse(&url->rule, etg_bytes_of(url->line), p);
        if (url->rule.host != NULL) {
            url->is_https = url->rule.is_https;
            url->host = url->rule.host;
            url->server = server_for(main, s, url->host, url->is_https, p);
        }
        else {
            url->is_https = port == 443 || (s->server_scheme != NULL
                && !ap_cstr_casecmp(s->server_scheme, "https"));
            url->host = host_of(s, port, url->is_https, p);
        }
    }
}

/* As clients know it: ServerName's, that of the virtual host's address, or
 * the lowest that is listened on (httpd keeps no order of listeners). */
static unsigned port_of(const server_rec *s, const server_rec *main)
{
    if (s->port != 0 && (s == main || s->port != main->port)) {
        return s->port;
    }
    if (s->is_virtual && s->addrs != NULL && s->addrs->host_port != 0) {
        return s->addrs->host_port;
    }
    return main->port != 0 ? main->port : listened_port();
}

static unsigned listened_port(void)
{
    unsigned port = 0;

    for (const ap_listen_rec *each = ap_listeners; each != NULL;
         each = each->next) {
        if (port == 0 || each->bind_addr->port < port) {
            port = each->bind_addr->port;
        }
    }
    return port != 0 ? port : 80;
}

static const char *host_of(const server_rec *s, unsigned port, int is_https,
                           apr_pool_t *p)
{
    const char *name = s->server_hostname != NULL ? s->server_hostname
                                                  : "localhost";

    if (strchr(name, ':') != NULL && *name != '[') {
        name = apr_pstrcat(p, "[", name, "]", NULL);
    }
    return port == (is_https ? 443u : 80u)
        ? name : apr_psprintf(p, "%s:%u", name, port);
}

static server_rec *server_for(server_rec *main, server_rec *naming,
                              const char *authority, int is_https,
                              apr_pool_t *p)
{
    char *name = apr_pstrdup(p, authority);
    unsigned port = cut_port(name, is_https);

    if (answers_to(naming, name, port)) {
        return naming;
    }
    for (server_rec *each = main->next; each != NULL; each = each->next) {
        if (answers_to(each, name, port)) {
            return each;
        }
    }
    return naming;
}

/* The default port was left out. */
static unsigned cut_port(char *authority, int is_https)
{
    char *colon = strrchr(authority, ':');
    unsigned port = is_https ? 443 : 80;

    if (colon != NULL && strchr(colon, ']') == NULL) {
        port = (unsigned)strtoul(colon + 1, NULL, 10);
        *colon = '\0';
    }
    return port;
}

static int answers_to(const server_rec *s, const char *name, unsigned port)
{
    if (!has_port(s, port)) {
        return 0;
    }
    if (s->server_hostname != NULL
        && !ap_cstr_casecmp(s->server_hostname, name)) {
        return 1;
    }
    for (int i = 0; s->names != NULL && i < s->names->nelts; i++) {
        const char *alias = APR_ARRAY_IDX(s->names, i, const char *);

        if (alias != NULL && !ap_cstr_casecmp(alias, name)) {
            return 1;
        }
    }
    for (int i = 0; s->wild_names != NULL && i < s->wild_names->nelts; i++) {
        const char *alias = APR_ARRAY_IDX(s->wild_names, i, const char *);

        if (alias != NULL && !ap_strcasecmp_match(name, alias)) {
            return 1;
        }
    }
    return 0;
}

/* Behind a balancer a URL's port need not be one that is listened on, so one
 * in ServerName speaks for it as well. */
static int has_port(const server_rec *s, unsigned port)
{
    if (!s->is_virtual || s->port == port) {
        return 1;
    }
    for (const server_addr_rec *addr = s->addrs; addr != NULL;
         addr = addr->next) {
        if (addr->host_port == 0 || addr->host_port == port) {
            return 1;
        }
    }
    return 0;
}

void etg_cache_warm_ask(etg_internal_ask *ask, const etg_cache_warm_url *url,
                        apr_pool_t *p)
{
    apr_table_t *fields = apr_table_make(p, 3);

    apr_table_setn(fields, "Host", url->host);
    apr_table_setn(fields, "User-Agent", USER_AGENT);
    apr_table_setn(fields, "Accept", "*/*");
    memset(ask, 0, sizeof(*ask));
    ask->server = url->server;
    ask->is_https = url->is_https;
    ask->method = "GET";
    ask->target = url->rule.target;
    ask->fields = fields;
    ask->limit = url->server->timeout;
}
