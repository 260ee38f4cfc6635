/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_memcached.c: a version that the application keeps under a key.
 *
 * One server, as applications spread keys over several in ways of their own.
 * The value's bytes are the one member; whether they are a number or a time
 * is no matter. No value is not an empty collection: it was lost or never
 * written, and nothing is known.
 *
 * A handle is a connection. It is closed after anything but a clean answer,
 * so a late one is never read as another's, and every look ends at its
 * deadline. Asking a name service may take longer: a look-up's thread is
 * there for that.
 */
#include "freshness_source.h"

#include <apr_network_io.h>
#include <apr_strings.h>

#include <string.h>

#include "lib/freshness_params.h"
#include "lib/memcached_link.h"
#include "lib/memcached_reply.h"
#include "lib/steady_clock.h"

#define VALUE_MAX 65536

typedef struct memcached_source {
    etg_memcached_server server;
    apr_interval_time_t timeout;
} memcached_source;

typedef struct memcached_handle {
    const memcached_source *own;    /* of one of those that share it */
    etg_memcached_link *link;       /* NULL: none */
} memcached_handle;

static const char *configure(const etg_source_settings *settings,
                             const etg_freshness_from *from, apr_pool_t *p,
                             etg_source *source);
static const char *server_read(const char *text, apr_pool_t *p,
                               etg_memcached_server *server);
static void *open_handle(const etg_source *source, apr_pool_t *p);
static etg_source_outcome look_up(void *handle, etg_source_look *look);
static void close_handle(void *handle);
static apr_status_t connect_to(memcached_handle *handle, apr_time_t deadline);
static apr_status_t get(memcached_handle *handle, const char *key,
                        etg_source_look *look, etg_bytes *value);
static apr_status_t reply_await(memcached_handle *handle,
                                apr_time_t deadline,
                                etg_memcached_reply *reply,
                                apr_size_t *taken);
static apr_status_t value_take(memcached_handle *handle, const char *key,
                               const etg_memcached_reply *reply,
                               apr_size_t taken, etg_source_look *look,
                               etg_bytes *value);

const etg_source_kind etg_source_memcached = {
    ETG_FROM_MEMCACHED, configure, open_handle, look_up, close_handle
};

static const char *configure(const etg_source_settings *settings,
                             const etg_freshness_from *from, apr_pool_t *p,
                             etg_source *source)
{
    memcached_source *own = apr_pcalloc(p, sizeof(*own));
    const char *wrong;

    (void)from;
    if (settings->memcached == NULL) {
        return "memcached needs a server: ETagFreshnessMemcached host:port";
    }
    wrong = server_read(settings->memcached, p, &own->server);
    if (wrong != NULL) {
        return wrong;
    }
    own->timeout = settings->budget > 0 ? settings->budget
                                        : ETG_SOURCE_BUDGET;
    source->own = own;
    source->shared = apr_psprintf(p, "memcached %s %" APR_TIME_T_FMT,
                                  own->server.name, own->timeout);
    return NULL;
}

static const char *server_read(const char *text, apr_pool_t *p,
                               etg_memcached_server *server)
{
    char *host = NULL, *scope = NULL;
    apr_port_t port = 0;

    server->name = apr_pstrdup(p, text);
    if (text[0] == '/') {
        server->host = server->name;
        server->port = 0;
        return NULL;
    }
    if (apr_parse_addr_port(&host, &scope, &port, text, p) != APR_SUCCESS
        || host == NULL || scope != NULL) {
        return apr_psprintf(p, "%s is not host, host:port or a socket's path",
                            text);
    }
    server->host = host;
    server->port = port == 0 ? ETG_MEMCACHED_PORT : port;
    return NULL;
}

static void *open_handle(const etg_source *source, apr_pool_t *p)
{
    memcached_handle *handle = apr_pcalloc(p, sizeof(*handle));

    handle->own = source->own;
    return handle;
}

static void close_handle(void *data)
{
    memcached_handle *handle = data;

    if (handle->link != NULL) {
        etg_memcached_link_close(handle->link);
        handle->link = NULL;
    }
}

/* Twice, if the first was over a connection that had idled. */
static etg_source_outcome look_up(void *data, etg_source_look *look)
{
    memcached_handle *handle = data;
    const char *key = etg_freshness_key(look->source->text, look->values,
                                        look->pool);
    etg_bytes value;
    apr_status_t rv;
    char said[120];
    int is_old;

    if (key == NULL) {
        return etg_source_unknown(look, "the key lacks a value, or is too "
                                  "long");
    }
    do {
        is_old = handle->link != NULL;
        rv = get(handle, key, look, &value);
        if (rv != APR_SUCCESS) {
            close_handle(handle);
        }
    } while (rv != APR_SUCCESS && is_old
             && etg_steady_now() < look->deadline);
    if (rv != APR_SUCCESS) {
        return etg_source_unknown(look, "%s: %s", handle->own->server.name,
                                  apr_strerror(rv, said, sizeof(said)));
    }
    if (value.data == NULL) {
        return etg_source_unknown(look, "%s has no value of %s",
                                  handle->own->server.name, key);
    }
    etg_data_digest_begin_member(look->builder);
    etg_data_digest_add_value(look->builder, value);
    etg_data_digest_end_member(look->builder);
    return ETG_SOURCE_READ;
}

static apr_status_t connect_to(memcached_handle *handle, apr_time_t deadline)
{
    const memcached_source *own = handle->own;
    etg_memcached_addresses addresses;
    apr_status_t rv = APR_SUCCESS;

    if (handle->link != NULL && !etg_memcached_link_is_quiet(handle->link)) {
        close_handle(handle);
    }
    if (handle->link == NULL) {
        rv = etg_memcached_addresses_find(&own->server, 1, &addresses);
        if (rv == APR_SUCCESS) {
            rv = etg_memcached_link_open(&addresses, own->timeout, deadline,
                                         &handle->link);
        }
    }
    return rv;
}

/* value->data NULL: the server has none. */
static apr_status_t get(memcached_handle *handle, const char *key,
                        etg_source_look *look, etg_bytes *value)
{
    char *line = apr_pstrcat(look->pool, "get ", key, "\r\n", NULL);
    struct iovec part = { line, strlen(line) };
    etg_memcached_reply reply;
    apr_size_t taken;
    apr_status_t rv = connect_to(handle, look->deadline);

    *value = (etg_bytes){ NULL, 0 };     /* of an earlier try */
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_link_send(handle->link, &part, 1, look->deadline);
    }
    if (rv == APR_SUCCESS) {
        rv = reply_await(handle, look->deadline, &reply, &taken);
    }
    if (rv == APR_SUCCESS && reply.kind == ETG_MEMCACHED_REPLY_VALUE) {
        rv = value_take(handle, key, &reply, taken, look, value);
        if (rv == APR_SUCCESS) {
            rv = reply_await(handle, look->deadline, &reply, &taken);
        }
    }
    if (rv == APR_SUCCESS) {
        etg_memcached_link_skip(handle->link, taken);
        rv = reply.kind == ETG_MEMCACHED_REPLY_END ? APR_SUCCESS
                                                   : APR_EGENERAL;
    }
    return rv;
}

static apr_status_t reply_await(memcached_handle *handle,
                                apr_time_t deadline,
                                etg_memcached_reply *reply,
                                apr_size_t *taken)
{
    apr_status_t rv = etg_memcached_reply_read(
        etg_memcached_link_peek(handle->link), reply, taken);

    while (rv == APR_INCOMPLETE) {
        rv = etg_memcached_link_fill(handle->link, deadline);
        if (rv == APR_SUCCESS) {
            rv = etg_memcached_reply_read(
                etg_memcached_link_peek(handle->link), reply, taken);
        }
    }
    return rv;
}

static apr_status_t value_take(memcached_handle *handle, const char *key,
                               const etg_memcached_reply *reply,
                               apr_size_t taken, etg_source_look *look,
                               etg_bytes *value)
{
    unsigned char *bytes;
    apr_status_t rv;

    if (reply->length > VALUE_MAX || reply->key.length != strlen(key)
        || memcmp(reply->key.data, key, reply->key.length) != 0) {
        return APR_EGENERAL;
    }
    bytes = apr_palloc(look->pool, (apr_size_t)reply->length + 2);
    etg_memcached_link_skip(handle->link, taken);
    rv = etg_memcached_link_read(handle->link, bytes, reply->length + 2,
                                 look->deadline);
    if (rv == APR_SUCCESS
        && memcmp(bytes + reply->length, "\r\n", 2) != 0) {
        rv = APR_EGENERAL;
    }
    if (rv == APR_SUCCESS) {
        value->data = bytes;
        value->length = (apr_size_t)reply->length;
    }
    return rv;
}
