/* SPDX-License-Identifier: Apache-2.0 */
/* memcached_subject.c: see memcached_subject.h. */
#include "memcached_subject.h"

#include <apr_strings.h>

#include <string.h>
#include <unistd.h>

#include "modules/store_memcached/memcached_store.h"

unsigned subject_server_count = 1;
int subject_is_on_socket;
int subject_megabytes = 64;
test_server subject_servers[SUBJECT_SERVERS_MAX];
etg_store_provider subject_provider;

static pid_t started_by;

static void servers_need(void)
{
    if (started_by == getpid()) {
        return;
    }
    for (unsigned i = 0; i < subject_server_count; i++) {
        if (subject_is_on_socket) {
            server_start_on_socket(&subject_servers[i], subject_megabytes);
        }
        else {
            server_start(&subject_servers[i], subject_megabytes);
        }
    }
    started_by = getpid();
}

static const char *configure(etg_store **made, const char *uri,
                             const etg_store_env *env, apr_pool_t *pconf)
{
    const char *name = strrchr(env->default_dir, '/');
    const char *query = strchr(uri, '?');
    char *at = "";
    servers_need();
    for (unsigned i = 0; i < subject_server_count; i++) {
        const test_server *server = &subject_servers[i];
        at = subject_is_on_socket
             ? apr_pstrdup(pconf, server->path)
             : apr_psprintf(pconf, "%s%s127.0.0.1:%d", at,
                            i > 0 ? "," : "", server->port);
    }
    return etg_memcached_provider.configure(
        made, apr_pstrcat(pconf, "memcached://", at, name,
                          query != NULL ? query : "", NULL),
        env, pconf);
}

__attribute__((constructor)) static void provider_make(void)
{
    subject_provider = etg_memcached_provider;
    subject_provider.configure = configure;
}
