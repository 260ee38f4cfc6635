/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_memcached_uri.c: the input as a URI. What is taken keeps its promises
 * and, written out again, says the same. */
#include <string.h>

#include "modules/store_memcached/memcached_uri.h"
#include "test/fuzz/fuzz.h"

static void check_servers(const etg_memcached_uri *uri)
{
    unsigned i;
    unsigned j;

    FUZZ_CHECK(uri->server_count >= 1
               && uri->server_count <= ETG_MEMCACHED_SERVERS_MAX);
    for (i = 0; i < uri->server_count; i++) {
        const etg_memcached_server *server = &uri->servers[i];

        FUZZ_CHECK(server->host[0] != '\0' && server->name[0] != '\0');
        FUZZ_CHECK((server->port == 0) == (server->host[0] == '/'));
        FUZZ_CHECK(server->port != 0 || uri->server_count == 1);
        FUZZ_CHECK(server->host[0] == '/'
                   || strpbrk(server->host, "/?,[] \t\r\n@") == NULL);
        for (j = 0; j < i; j++) {
            FUZZ_CHECK(strcmp(server->name, uri->servers[j].name) != 0);
        }
    }
}

static void check_limits(const etg_memcached_uri *uri)
{
    apr_size_t length = strlen(uri->name_space);

    FUZZ_CHECK(length >= 1 && length <= ETG_MEMCACHED_NAMESPACE_MAX);
    FUZZ_CHECK(strpbrk(uri->name_space, " \r\n/?:") == NULL);
    FUZZ_CHECK(uri->timeout >= ETG_MEMCACHED_WAIT_MIN
               && uri->timeout <= ETG_MEMCACHED_WAIT_MAX);
    FUZZ_CHECK(uri->connect_timeout >= ETG_MEMCACHED_WAIT_MIN
               && uri->connect_timeout <= ETG_MEMCACHED_WAIT_MAX);
    FUZZ_CHECK(uri->pool >= 1 && uri->pool <= ETG_MEMCACHED_POOL_MAX);
}

static void check_again(const etg_memcached_uri *uri, apr_pool_t *p)
{
    const char *text = "memcached://";
    etg_memcached_uri again;
    unsigned i;

    for (i = 0; i < uri->server_count; i++) {
        text = apr_pstrcat(p, text, i > 0 ? "," : "", uri->servers[i].name,
                           NULL);
    }
    text = apr_psprintf(p, "%s/%s?pool=%u&timeout=%" APR_INT64_T_FMT "ms",
                        text, uri->name_space, uri->pool,
                        uri->timeout / 1000);
    FUZZ_CHECK(etg_memcached_uri_parse(text, p, &again) == NULL);
    FUZZ_CHECK(again.server_count == uri->server_count);
    FUZZ_CHECK(strcmp(again.name_space, uri->name_space) == 0);
    FUZZ_CHECK(again.pool == uri->pool && again.timeout == uri->timeout);
    for (i = 0; i < uri->server_count; i++) {
        FUZZ_CHECK(strcmp(again.servers[i].host, uri->servers[i].host) == 0);
        FUZZ_CHECK(again.servers[i].port == uri->servers[i].port);
    }
}

static void check(const char *text, apr_pool_t *p)
{
    etg_memcached_uri uri;
    etg_memcached_uri untouched;
    const char *problem;

    memset(&untouched, 7, sizeof(untouched));
    uri = untouched;
    problem = etg_memcached_uri_parse(text, p, &uri);
    if (problem != NULL) {
        FUZZ_CHECK(strstr(problem, text) != NULL);
        FUZZ_CHECK(memcmp(&uri, &untouched, sizeof(uri)) == 0);
        return;
    }
    check_servers(&uri);
    check_limits(&uri);
    check_again(&uri, p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    const char *text = apr_pstrmemdup(p, (const char *)data, size);

    check(text, p);
    check(apr_pstrcat(p, "memcached://", text, NULL), p);
    apr_pool_destroy(p);
    return 0;
}
