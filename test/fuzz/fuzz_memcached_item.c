/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_memcached_item.c: the input as an item, and, since no fuzzer guesses a
 * checksum, its first byte as the kind and the rest as the payload, behind
 * the right key, of one that is framed rightly. What is taken keeps inside
 * the item and, packed and read again, says the same. */
#include <string.h>

#include "lib/record.h"
#include "modules/store_memcached/memcached_item.h"
#include "test/fuzz/fuzz.h"

#define FORMAT 1

static etg_memcached_key key;
static const etg_memcached_generation generation = { "0123456789abcde" };

static void check_inside(etg_bytes run, etg_bytes item)
{
    FUZZ_CHECK(run.data == NULL ? run.length == 0
               : run.data >= item.data
                 && run.data + run.length <= item.data + item.length);
}

static void check_same(etg_bytes a, etg_bytes b)
{
    FUZZ_CHECK(a.length == b.length);
    FUZZ_CHECK(a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static void check_response(const etg_memcached_response *response,
                           etg_bytes item, apr_pool_t *p)
{
    unsigned count;

    check_inside(response->response, item);
    check_inside(response->tags, item);
    FUZZ_CHECK(response->tags.length % 8 == 0);
    etg_memcached_tags_unpack(response->tags, p, &count);
    FUZZ_CHECK(count <= ETG_STORE_TAGS_MAX);
}

static void check_same_response(const etg_memcached_response *a,
                                const etg_memcached_response *b)
{
    FUZZ_CHECK(memcmp(&a->key, &b->key, sizeof(a->key)) == 0);
    FUZZ_CHECK(a->moment == b->moment && a->expires_at == b->expires_at);
    check_same(a->tags, b->tags);
    check_same(a->response, b->response);
}

static void try_primary(etg_bytes item, apr_pool_t *p)
{
    etg_memcached_primary found;
    etg_memcached_primary again;

    if (etg_memcached_primary_unpack(item, &key, &found) != APR_SUCCESS) {
        return;
    }
    check_inside(found.primary, item);
    if (found.has_response) {
        check_response(&found.response, item, p);
    }
    /* Made-up times may be beyond what pack takes. */
    if (etg_memcached_primary_pack(&found, &key, p, &item) == APR_SUCCESS) {
        FUZZ_CHECK(etg_memcached_primary_unpack(item, &key, &again)
                   == APR_SUCCESS);
        check_same(found.primary, again.primary);
        FUZZ_CHECK(found.has_response == again.has_response
                   && found.expires_at == again.expires_at);
        check_same_response(&found.response, &again.response);
    }
}

static void try_response(etg_bytes item, apr_pool_t *p)
{
    etg_memcached_response found;
    etg_memcached_response again;

    if (etg_memcached_response_unpack(item, &key, &found) != APR_SUCCESS) {
        return;
    }
    check_response(&found, item, p);
    if (etg_memcached_response_pack(&found, &key, p, &item) == APR_SUCCESS) {
        FUZZ_CHECK(etg_memcached_response_unpack(item, &key, &again)
                   == APR_SUCCESS);
        check_same_response(&found, &again);
    }
}

static void try_clock_and_marks(etg_bytes item, apr_pool_t *p)
{
    etg_memcached_clock clock;
    etg_memcached_clock again;
    etg_memcached_marks marks;

    memset(&clock, 0, sizeof(clock));
    if (etg_memcached_clock_unpack(item, &key, &clock) == APR_SUCCESS) {
        FUZZ_CHECK(etg_memcached_clock_pack(&clock, &key, p, &item)
                   == APR_SUCCESS);
        FUZZ_CHECK(etg_memcached_clock_unpack(item, &key, &again)
                   == APR_SUCCESS);
        FUZZ_CHECK(memcmp(&clock, &again, sizeof(clock)) == 0);
    }
    if (etg_memcached_marks_unpack(item, &key, &marks) == APR_SUCCESS) {
        FUZZ_CHECK(etg_memcached_marks_pack(&marks, &key, p, &item)
                   == APR_SUCCESS);
        FUZZ_CHECK(etg_memcached_marks_unpack(item, &key, &again.all)
                   == APR_SUCCESS);
        FUZZ_CHECK(memcmp(&marks, &again.all, sizeof(marks)) == 0);
    }
}

static void try_body(etg_bytes item, apr_pool_t *p)
{
    etg_memcached_body found;
    etg_memcached_body again;

    if (etg_memcached_body_unpack(item, &key, &found) != APR_SUCCESS) {
        return;
    }
    check_inside(found.bytes, item);
    FUZZ_CHECK(found.length <= ETG_MEMCACHED_BODY_MAX);
    FUZZ_CHECK(found.is_chunked
               ? found.bytes.data == NULL && found.length > 0
                 && found.chunk_bytes >= ETG_MEMCACHED_CHUNK_MIN
               : found.bytes.data != NULL
                 && found.bytes.length == found.length);
    if (etg_memcached_body_pack(&found, &key, p, &item) == APR_SUCCESS) {
        FUZZ_CHECK(etg_memcached_body_unpack(item, &key, &again)
                   == APR_SUCCESS);
        check_same(found.bytes, again.bytes);
        FUZZ_CHECK(found.length == again.length
                   && found.expires_at == again.expires_at
                   && found.chunk_bytes == again.chunk_bytes);
        FUZZ_CHECK(memcmp(&found.generation, &again.generation,
                          sizeof(found.generation)) == 0);
    }
}

static void try_chunk_and_lease(etg_bytes item)
{
    etg_memcached_lease lease;
    etg_bytes bytes;

    if (etg_memcached_chunk_unpack(item, &key, &generation, 7, &bytes)
        == APR_SUCCESS) {
        check_inside(bytes, item);
        FUZZ_CHECK(bytes.length > 0);
    }
    etg_memcached_lease_unpack(item, &key, &lease);
}

static void try_all(etg_bytes item, apr_pool_t *p)
{
    try_primary(item, p);
    try_response(item, p);
    try_clock_and_marks(item, p);
    try_body(item, p);
    try_chunk_and_lease(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const etg_store_key primary = { "0123456789abcde" };
    apr_pool_t *p = fuzz_pool();
    etg_bytes item = { data, size };
    etg_record_writer writer;

    etg_memcached_key_of_primary(&key, "shop", &primary);
    try_all(item, p);
    if (size > 0) {
        etg_record_begin(&writer, (etg_record_kind)data[0], FORMAT,
                         size + key.length, p);
        etg_record_put_text(&writer, key.text, key.length);
        etg_record_put_bytes(&writer, data + 1, size - 1);
        FUZZ_CHECK(etg_record_end(&writer, &item) == APR_SUCCESS);
        try_all(item, p);
    }
    apr_pool_destroy(p);
    return 0;
}
