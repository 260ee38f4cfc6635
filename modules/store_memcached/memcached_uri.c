/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_uri.c: reads "memcached://servers/namespace?parameters".
 *
 * The text is cut at the first "?" and the last "/" before it; what is left
 * in front is either a list of servers or, if it begins with "/", one socket.
 * A reading is a struct on the stack that the helpers fill or answer with a
 * sentence; only a whole one is handed out. Runs at configuration time, opens
 * and resolves nothing.
 */
#include "memcached_uri.h"

#include <string.h>

#include <arpa/inet.h>
#include <sys/un.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "lib/option_value.h"

#define SCHEME "memcached://"
#define HOST_MAX 253

typedef struct reading {
    const char *uri;             /* for messages */
    apr_pool_t *p;
    etg_memcached_uri found;
    etg_memcached_server *servers;
    unsigned seen;               /* bit n: parameter n was given */
} reading;

/* The bits of `seen`, in this order. */
static const char *const parameters[] = {
    "timeout", "connect-timeout", "pool", NULL
};

static const char *read_place(reading *r, char *place);
static const char *read_servers(reading *r, char *list);
static const char *read_server(reading *r, char *text);
static const char *read_host(reading *r, char *host, int is_bracketed);
static const char *read_port(reading *r, const char *text,
                             apr_port_t *port);
static const char *read_socket(reading *r, const char *path);
static const char *add_server(reading *r, const char *host, apr_port_t port,
                              const char *name);
static const char *read_namespace(reading *r, const char *text);
static const char *read_parameters(reading *r, char *query);
static const char *read_parameter(reading *r, const char *name,
                                  const char *value);
static const char *read_wait(reading *r, const char *name, const char *value,
                             apr_interval_time_t *wait);
static const char *read_pool(reading *r, const char *value);
static etg_bytes bytes_of(const char *text);

const char *etg_memcached_uri_parse(const char *uri, apr_pool_t *p,
                                    etg_memcached_uri *parsed)
{
    reading r = { .uri = uri, .p = p };
    const char *problem;
    char *place;
    char *query;

    if (strncmp(uri, SCHEME, strlen(SCHEME)) != 0) {
        return apr_psprintf(p, "\"%s\" does not begin with " SCHEME, uri);
    }
    r.found.timeout = ETG_MEMCACHED_TIMEOUT_DEFAULT;
    r.found.connect_timeout = ETG_MEMCACHED_CONNECT_DEFAULT;
    r.found.pool = ETG_MEMCACHED_POOL_DEFAULT;
    place = apr_pstrdup(p, uri + strlen(SCHEME));
    query = strchr(place, '?');
    if (query != NULL) {
        *query++ = '\0';
    }
    problem = read_place(&r, place);
    if (problem == NULL && query != NULL) {
        problem = read_parameters(&r, query);
    }
    if (problem == NULL) {
        r.found.servers = r.servers;
        *parsed = r.found;
    }
    return problem;
}

static const char *read_place(reading *r, char *place)
{
    char *slash = strrchr(place, '/');
    const char *problem;

    if (slash == NULL) {
        return apr_psprintf(r->p, "\"%s\": there is no /namespace after the "
                            "servers", r->uri);
    }
    *slash = '\0';
    problem = place[0] == '/' ? read_socket(r, place)
                              : read_servers(r, place);
    return problem != NULL ? problem : read_namespace(r, slash + 1);
}

static const char *read_servers(reading *r, char *list)
{
    const char *problem = NULL;
    char *slash = strchr(list, '/');

    if (list[0] == '\0') {
        return apr_psprintf(r->p, "\"%s\": there is neither a server nor the "
                            "absolute path of a socket before the namespace",
                            r->uri);
    }
    if (slash != NULL) {
        return apr_psprintf(r->p, "\"%s\": \"%s\" is not a namespace: only "
                            "one / may follow the servers", r->uri, slash);
    }
    r->servers = apr_pcalloc(r->p, ETG_MEMCACHED_SERVERS_MAX
                                       * sizeof(*r->servers));
    while (list != NULL && problem == NULL) {
        char *comma = strchr(list, ',');

        if (comma != NULL) {
            *comma++ = '\0';
        }
        problem = read_server(r, list);
        list = comma;
    }
    return problem;
}

/* "host", "host:port", "[address]" or "[address]:port" */
static const char *read_server(reading *r, char *text)
{
    const char *whole = apr_pstrdup(r->p, text);
    int is_bracketed = text[0] == '[';
    char *end = strchr(text, is_bracketed ? ']' : ':');
    apr_port_t port = ETG_MEMCACHED_PORT;
    const char *problem = NULL;

    if (is_bracketed && (end == NULL || (end[1] != '\0' && end[1] != ':'))) {
        return apr_psprintf(r->p, "\"%s\": \"%s\" is not an IPv6 address in "
                            "brackets, alone or with :port", r->uri, whole);
    }
    if (is_bracketed) {
        text++;
        *end++ = '\0';
    }
    if (end != NULL && *end == ':') {
        *end = '\0';
        problem = read_port(r, end + 1, &port);
    }
    if (problem == NULL) {
        problem = read_host(r, text, is_bracketed);
    }
    if (problem != NULL) {
        return problem;
    }
    return add_server(r, text, port,
                      apr_psprintf(r->p, is_bracketed ? "[%s]:%u" : "%s:%u",
                                   text, port));
}

static const char *read_host(reading *r, char *host, int is_bracketed)
{
    unsigned char address[sizeof(struct in6_addr)];
    apr_size_t length = strlen(host);
    apr_size_t i;

    if (is_bracketed) {
        if (inet_pton(AF_INET6, host, address) != 1) {
            return apr_psprintf(r->p, "\"%s\": \"[%s]\" is not an IPv6 "
                                "address", r->uri, host);
        }
    }
    else if (length == 0 || length > HOST_MAX
             || strspn(host, "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
                    != length
             || host[0] == '-' || host[0] == '.') {
        return apr_psprintf(r->p, "\"%s\": \"%s\" is not a host name of 1 to "
                            "%d letters, digits, \".\", \"-\" and \"_\"",
                            r->uri, host, HOST_MAX);
    }
    for (i = 0; i < length; i++) {
        host[i] = (char)apr_tolower(host[i]);
    }
    return NULL;
}

static const char *read_port(reading *r, const char *text, apr_port_t *port)
{
    apr_int64_t number;

    /* A sign would be read, and is not digits. */
    if (!apr_isdigit(text[0])
        || !etg_integer_parse(bytes_of(text), &number) || number < 1
        || number > 65535) {
        return apr_psprintf(r->p, "\"%s\": port \"%s\" is not a number "
                            "between 1 and 65535", r->uri, text);
    }
    *port = (apr_port_t)number;
    return NULL;
}

static const char *read_socket(reading *r, const char *path)
{
    apr_size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (path[1] == '\0' || path[strlen(path) - 1] == '/') {
        return apr_psprintf(r->p, "\"%s\": \"%s\" is not the path of a "
                            "socket", r->uri, path);
    }
    if (strlen(path) > room) {
        return apr_psprintf(r->p, "\"%s\": the path of the socket is longer "
                            "than %d bytes", r->uri, (int)room);
    }
    r->servers = apr_pcalloc(r->p, sizeof(*r->servers));
    return add_server(r, path, 0, path);
}

static const char *add_server(reading *r, const char *host, apr_port_t port,
                              const char *name)
{
    unsigned i;

    for (i = 0; i < r->found.server_count; i++) {
        if (strcmp(r->servers[i].name, name) == 0) {
            return apr_psprintf(r->p, "\"%s\": server %s is named twice",
                                r->uri, name);
        }
    }
    if (r->found.server_count == ETG_MEMCACHED_SERVERS_MAX) {
        return apr_psprintf(r->p, "\"%s\": there are more than %d servers",
                            r->uri, ETG_MEMCACHED_SERVERS_MAX);
    }
    r->servers[r->found.server_count].host = host;
    r->servers[r->found.server_count].port = port;
    r->servers[r->found.server_count].name = name;
    r->found.server_count++;
    return NULL;
}

static const char *read_namespace(reading *r, const char *text)
{
    apr_size_t length = strlen(text);

    if (length == 0 || length > ETG_MEMCACHED_NAMESPACE_MAX
        || strspn(text, "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
               != length) {
        return apr_psprintf(r->p, "\"%s\": namespace \"%s\" is not 1 to %d "
                            "letters, digits, \".\", \"_\" and \"-\"",
                            r->uri, text, ETG_MEMCACHED_NAMESPACE_MAX);
    }
    r->found.name_space = text;
    return NULL;
}

static const char *read_parameters(reading *r, char *query)
{
    const char *problem = NULL;

    while (query != NULL && problem == NULL) {
        char *next = strchr(query, '&');
        char *value;

        if (next != NULL) {
            *next++ = '\0';
        }
        value = strchr(query, '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        problem = read_parameter(r, query, value != NULL ? value : "");
        query = next;
    }
    return problem;
}

static const char *read_parameter(reading *r, const char *name,
                                  const char *value)
{
    unsigned i = 0;

    while (parameters[i] != NULL && strcmp(parameters[i], name) != 0) {
        i++;
    }
    if (parameters[i] == NULL) {
        return apr_psprintf(r->p, "\"%s\": parameter \"%s\" is not known; "
                            "there are timeout=, connect-timeout= and pool=",
                            r->uri, name);
    }
    if (r->seen & 1u << i) {
        return apr_psprintf(r->p, "\"%s\": parameter %s is given twice",
                            r->uri, name);
    }
    r->seen |= 1u << i;
    switch (i) {
    case 0: return read_wait(r, name, value, &r->found.timeout);
    case 1: return read_wait(r, name, value, &r->found.connect_timeout);
    default: return read_pool(r, value);
    }
}

static const char *read_wait(reading *r, const char *name, const char *value,
                             apr_interval_time_t *wait)
{
    apr_int64_t us;

    if (!etg_duration_parse(bytes_of(value), &us)
        || us < ETG_MEMCACHED_WAIT_MIN || us > ETG_MEMCACHED_WAIT_MAX) {
        return apr_psprintf(r->p, "\"%s\": %s \"%s\" is not a duration "
                            "between 1ms and 10s", r->uri, name, value);
    }
    *wait = us;
    return NULL;
}

static const char *read_pool(reading *r, const char *value)
{
    apr_int64_t number;

    if (!apr_isdigit(value[0])
        || !etg_integer_parse(bytes_of(value), &number) || number < 1
        || number > ETG_MEMCACHED_POOL_MAX) {
        return apr_psprintf(r->p, "\"%s\": pool \"%s\" is not a number "
                            "between 1 and %d", r->uri, value,
                            ETG_MEMCACHED_POOL_MAX);
    }
    r->found.pool = (unsigned)number;
    return NULL;
}

static etg_bytes bytes_of(const char *text)
{
    etg_bytes bytes = { (const unsigned char *)text, strlen(text) };

    return bytes;
}
