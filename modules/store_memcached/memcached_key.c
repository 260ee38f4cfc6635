/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_key.c: the names and the lifetimes that a server is given.
 *
 * A text key is put together in the caller's buffer, out of parts that are
 * all hashes or numbers but for the namespace, which the configuration has
 * checked: nothing that the protocol could take for something else. Pure.
 */
#include "memcached_item.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/entity_digest.h"
#include "memcached_uri.h"

/* Another format of items is another key, so that hosts with an older one and
 * a newer one do not overwrite each other: keep it like FORMAT of
 * memcached_item.c. */
#define FORMAT_TEXT "1"

#define TAG_BYTES 8
#define INDEX_BYTES 4
#define RELATIVE_MAX (30 * 86400)
#define EXPTIME_MAX 0x7fffffff   /* servers read it as signed */

static void make_key(etg_memcached_key *key, const char *name_space,
                     char letter, const void *bytes, apr_size_t length);
static void add_hex(etg_memcached_key *key, const void *bytes,
                    apr_size_t length);
static void put_big_endian(unsigned char *to, apr_uint64_t number,
                           unsigned bytes);

void etg_memcached_key_of_primary(etg_memcached_key *key,
                                  const char *name_space,
                                  const etg_store_key *primary)
{
    make_key(key, name_space, 'p', primary->bytes, sizeof(primary->bytes));
}

void etg_memcached_key_of_response(etg_memcached_key *key,
                                   const char *name_space,
                                   const etg_store_key *response)
{
    make_key(key, name_space, 'r', response->bytes, sizeof(response->bytes));
}

void etg_memcached_key_of_clock(etg_memcached_key *key,
                                const char *name_space)
{
    make_key(key, name_space, 'c', NULL, 0);
}

void etg_memcached_key_of_tag(etg_memcached_key *key, const char *name_space,
                              etg_store_tag tag)
{
    unsigned char bytes[TAG_BYTES];

    put_big_endian(bytes, tag, TAG_BYTES);
    make_key(key, name_space, 't', bytes, TAG_BYTES);
}

void etg_memcached_key_of_body(etg_memcached_key *key, const char *name_space,
                               const etg_entity_id *id)
{
    make_key(key, name_space, 'e', id->bytes, sizeof(id->bytes));
}

void etg_memcached_key_of_chunk(etg_memcached_key *key,
                                const char *name_space,
                                const etg_memcached_generation *generation,
                                apr_uint32_t index)
{
    unsigned char bytes[INDEX_BYTES];

    put_big_endian(bytes, index, INDEX_BYTES);
    make_key(key, name_space, 'k', generation->bytes,
             sizeof(generation->bytes));
    add_hex(key, bytes, INDEX_BYTES);
}

void etg_memcached_key_of_lease(etg_memcached_key *key,
                                const char *name_space,
                                const etg_store_key *leased)
{
    make_key(key, name_space, 'l', leased->bytes, sizeof(leased->bytes));
}

int etg_memcached_exptime(apr_time_t expires_at, apr_time_t now,
                          apr_uint32_t *exptime)
{
    apr_time_t seconds;

    if (expires_at <= now) {
        return 0;
    }
    /* Both ways round up; neither overflows, whatever the times are. */
    if (now >= expires_at - (apr_time_t)RELATIVE_MAX * APR_USEC_PER_SEC) {
        seconds = (expires_at - now - 1) / APR_USEC_PER_SEC + 1;
    }
    else {
        seconds = (expires_at - 1) / APR_USEC_PER_SEC + 1;
        seconds = seconds > EXPTIME_MAX ? EXPTIME_MAX : seconds;
    }
    *exptime = (apr_uint32_t)seconds;
    return 1;
}

static void make_key(etg_memcached_key *key, const char *name_space,
                     char letter, const void *bytes, apr_size_t length)
{
    apr_snprintf(key->text, sizeof(key->text), "%.*s:" FORMAT_TEXT "%c",
                 ETG_MEMCACHED_NAMESPACE_MAX, name_space, letter);
    key->length = strlen(key->text);
    add_hex(key, bytes, length);
}

/* The longest key, of a body, is well below the limit. */
static void add_hex(etg_memcached_key *key, const void *bytes,
                    apr_size_t length)
{
    if (length > 0) {
        key->text[key->length] = ':';
        etg_hex(key->text + key->length + 1, bytes, length);
        key->length += 1 + 2 * length;
    }
}

static void put_big_endian(unsigned char *to, apr_uint64_t number,
                           unsigned bytes)
{
    while (bytes > 0) {
        to[--bytes] = (unsigned char)number;
        number >>= 8;
    }
}
