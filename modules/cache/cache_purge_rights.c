/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_purge_rights.c: a purge is a write: it is taken from this machine
 * only, until the admin says otherwise.
 */
#include "modules/cache/cache_purge_rights.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "modules/cache/cache_config.h"

static int is_loopback(apr_sockaddr_t *address);
static int came_by_proxy(request_rec *r);
static int names_a_proxy(void *found, const char *name, const char *value);

int etg_cache_may_purge(request_rec *r, int mode)
{
    if (mode == ETG_CACHE_PURGE_ON) {
        return 1;
    }
    return mode == ETG_CACHE_PURGE_LOCAL
        && is_loopback(r->connection->client_addr)
        && is_loopback(r->useragent_addr) && !came_by_proxy(r);
}

static int is_loopback(apr_sockaddr_t *address)
{
    const unsigned char *ip = address->ipaddr_ptr;

    if (address->family == APR_INET) {
        return ip[0] == 127;
    }
#if APR_HAVE_IPV6
    if (address->family == APR_INET6) {
        const struct in6_addr *six = &address->sa.sin6.sin6_addr;

        return IN6_IS_ADDR_LOOPBACK(six)
            || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    }
#endif
    return address->family == APR_UNIX;
}

static int came_by_proxy(request_rec *r)
{
    int found = 0;

    apr_table_do(names_a_proxy, &found, r->headers_in, NULL);
    return found;
}

static int names_a_proxy(void *found, const char *name, const char *value)
{
    (void)value;
    if (!ap_cstr_casecmp(name, "Via") || !ap_cstr_casecmp(name, "Forwarded")
        || !ap_cstr_casecmpn(name, "X-Forwarded-", 12)) {
        *(int *)found = 1;
        return 0;
    }
    return 1;
}

int etg_purge_word(etg_bytes *rest, etg_bytes *word)
{
    while (rest->length > 0
           && (*rest->data == ',' || apr_isspace(*rest->data))) {
        rest->data++;
        rest->length--;
    }
    word->data = rest->data;
    word->length = 0;
    while (rest->length > 0
           && *rest->data != ',' && !apr_isspace(*rest->data)) {
        rest->data++;
        rest->length--;
        word->length++;
    }
    return word->length > 0;
}
