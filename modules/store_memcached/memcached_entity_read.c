/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_entity_read.c: a body on its way out, on the request's thread.
 *
 * A body in one item stays where it was read, in the caller's pool. Of one in
 * chunks the manifest says the length; if that is the one the caller wants,
 * memory for all of it is taken, and each chunk is read, checked and copied
 * to its place. Each chunk has one timeout; the first that does not come in
 * time ends the reading. A chunk that is missing, damaged or of another
 * generation or length makes the whole a miss.
 */
#include "memcached_entity.h"
#include "memcached_hint.h"

#include <string.h>

static apr_status_t body_parked(etg_store *store, const etg_entity_id *id,
                                apr_pool_t *p, etg_memcached_body *body);
static apr_status_t body_find(etg_store *store, const etg_entity_id *id,
                              apr_pool_t *p, etg_memcached_body *body);
static apr_status_t chunks_read(etg_store *store,
                                const etg_memcached_body *body,
                                apr_pool_t *p, unsigned char *to);
static apr_status_t chunk_read(etg_memcached_call *call,
                               const etg_memcached_body *body,
                               apr_uint32_t index, apr_pool_t *scratch,
                               unsigned char *to);

apr_status_t etg_memcached_entity_read(etg_store *store,
                                       const etg_entity_id *id,
                                       apr_uint64_t length, apr_pool_t *p,
                                       etg_store_answer *answer,
                                       etg_entity *entity)
{
    etg_memcached_body body;
    unsigned char *whole;
    apr_status_t rv;

    if (!etg_memcached_is_up(store)) {
        return APR_EGENERAL;
    }
    etg_memcached_count_add(store, ETG_MEMCACHED_BODY_READS, 1);
    rv = body_parked(store, id, p, &body);
    if (rv != APR_SUCCESS) {
        rv = body_find(store, id, p, &body);
    }
    if (rv == APR_SUCCESS && body.length != length) {
        etg_memcached_count_add(store, ETG_MEMCACHED_DAMAGED_ITEMS, 1);
        rv = APR_NOTFOUND;
    }
    if (rv == APR_SUCCESS && body.is_chunked) {
        whole = apr_palloc(p, (apr_size_t)length);
        rv = chunks_read(store, &body, p, whole);
        if (rv == APR_NOTFOUND) {
            etg_memcached_count_add(store, ETG_MEMCACHED_TORN_BODIES, 1);
            etg_memcached_forget_hand(store, id, &body);
        }
        body.bytes.data = whole;
    }
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND) {
        return rv;
    }
    memset(entity, 0, sizeof(*entity));
    *answer = rv == APR_SUCCESS ? ETG_STORE_HIT : ETG_STORE_MISS;
    if (*answer == ETG_STORE_HIT) {
        etg_memcached_body_used(store, id, length, p);
        entity->length = length;
        entity->bytes = body.bytes.data;
    }
    return APR_SUCCESS;
}

/* The body, if the look-up brought it. */
static apr_status_t body_parked(etg_store *store, const etg_entity_id *id,
                                apr_pool_t *p, etg_memcached_body *body)
{
    etg_memcached_key key;
    etg_bytes item;
    apr_status_t rv = etg_memcached_body_parked(store, id, p, &item);

    if (rv == APR_SUCCESS) {
        etg_memcached_key_of_body(&key, store->at.name_space, id);
        rv = etg_memcached_body_unpack(item, &key, body);
    }
    if (rv == APR_SUCCESS) {
        etg_memcached_count_add(store, ETG_MEMCACHED_PARKED_BODIES, 1);
    }
    return rv;
}

/* The body, or its manifest. APR_NOTFOUND: neither is there. */
static apr_status_t body_find(etg_store *store, const etg_entity_id *id,
                              apr_pool_t *p, etg_memcached_body *body)
{
    etg_memcached_value value = { { NULL, 0 }, 0 };
    etg_memcached_call call;
    etg_memcached_key key;
    const etg_memcached_key *keys = &key;
    apr_status_t rv = etg_memcached_call_begin(
        store, etg_memcached_body_node(store, id), &call);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_memcached_key_of_body(&key, store->at.name_space, id);
    rv = etg_memcached_get(&call, &keys, 1, ETG_MEMCACHED_ITEM_MAX, p,
                           &value);
    etg_memcached_call_end(&call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (value.bytes.data == NULL) {
        return APR_NOTFOUND;
    }
    if (etg_memcached_body_unpack(value.bytes, &key, body) != APR_SUCCESS) {
        etg_memcached_count_add(store, ETG_MEMCACHED_DAMAGED_ITEMS, 1);
        return APR_NOTFOUND;
    }
    return APR_SUCCESS;
}

/* APR_NOTFOUND: one of them is not what it must be. */
static apr_status_t chunks_read(etg_store *store,
                                const etg_memcached_body *body,
                                apr_pool_t *p, unsigned char *to)
{
    apr_uint32_t count = etg_memcached_chunk_count(body);
    etg_memcached_node *node = etg_memcached_node_of(
        store, body->generation.bytes, sizeof(body->generation.bytes));
    etg_memcached_call call;
    apr_pool_t *scratch;
    apr_uint32_t i;
    apr_status_t rv = etg_memcached_call_begin(store, node, &call);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&scratch, p);
    for (i = 0; i < count && rv == APR_SUCCESS; i++) {
        if (i > 0) {
            etg_memcached_call_renew(&call);
        }
        rv = chunk_read(&call, body, i, scratch,
                        to + (apr_size_t)i * body->chunk_bytes);
        apr_pool_clear(scratch);
    }
    etg_memcached_call_end(&call);
    apr_pool_destroy(scratch);
    return rv;
}

static apr_status_t chunk_read(etg_memcached_call *call,
                               const etg_memcached_body *body,
                               apr_uint32_t index, apr_pool_t *scratch,
                               unsigned char *to)
{
    apr_uint64_t rest = body->length
                        - (apr_uint64_t)index * body->chunk_bytes;
    etg_memcached_value value = { { NULL, 0 }, 0 };
    etg_memcached_key key;
    const etg_memcached_key *keys = &key;
    etg_bytes bytes;
    apr_status_t rv;

    etg_memcached_key_of_chunk(&key, call->store->at.name_space,
                               &body->generation, index);
    rv = etg_memcached_get(call, &keys, 1, ETG_MEMCACHED_ITEM_MAX, scratch,
                           &value);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (value.bytes.data == NULL
        || etg_memcached_chunk_unpack(value.bytes, &key, &body->generation,
                                      index, &bytes) != APR_SUCCESS
        || bytes.length != (rest < body->chunk_bytes ? rest
                                                     : body->chunk_bytes)) {
        return APR_NOTFOUND;
    }
    memcpy(to, bytes.data, bytes.length);
    return APR_SUCCESS;
}
