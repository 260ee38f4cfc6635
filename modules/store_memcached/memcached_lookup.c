/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_lookup.c: the reading half, on a request's thread.
 *
 * One round trip to the node of the key asks for the primary item and the
 * clock; the primary item usually holds the response as well. A second one is
 * needed for another variant's response, and one for the generations of tags,
 * unless the first guessed them right (memcached_hint.h); it may bring the
 * body as well. All of it has one deadline. What does not unpack is not
 * there.
 */
#include "memcached_entity.h"
#include "memcached_hint.h"

#include <string.h>

/* What the first round trip asks for, in this order. */
#define PRIMARY 0
#define CLOCK 1
#define TAGS 2
#define ASKED_MAX (TAGS + ETG_MEMCACHED_HINT_TAGS_MAX + 1)

typedef struct lookup {
    etg_memcached_call call;
    apr_pool_t *pool;
    etg_memcached_hint hint;
    unsigned body_at;              /* 0: was not asked for */
    etg_memcached_key keys[ASKED_MAX];
    etg_memcached_value values[ASKED_MAX];
    etg_memcached_clock clock;
    etg_store_found found;
} lookup;

static apr_status_t look(lookup *look_up, const etg_store_key *key,
                         etg_store_choose *choose, void *baton);
static apr_status_t ask(lookup *look_up, const etg_store_key *key);
static apr_status_t alone_read(lookup *look_up, const etg_store_key *key,
                               etg_memcached_response *response,
                               int *is_there);
static apr_status_t marks_read(lookup *look_up,
                               const etg_memcached_response *response);
static apr_status_t tags_read(lookup *look_up, etg_bytes tags,
                              etg_memcached_marks *marks);
static int is_guessed(const etg_memcached_hint *hint, etg_bytes tags);
static void found_fill(lookup *look_up,
                       const etg_memcached_response *response);
static void hint_follow(lookup *look_up,
                        const etg_memcached_response *response);

apr_status_t etg_memcached_meta_lookup(etg_store *store,
                                       const etg_store_key *key,
                                       etg_store_choose *choose, void *baton,
                                       etg_store_depth depth, apr_pool_t *p,
                                       etg_store_found *found)
{
    lookup look_up;
    (void)depth;
    if (!etg_memcached_is_up(store)) {
        return APR_EGENERAL;
    }
    etg_memcached_count_add(store, ETG_MEMCACHED_LOOKUPS, 1);
    memset(&look_up.found, 0, sizeof(look_up.found));
    look_up.pool = p;
    etg_memcached_node *node = etg_memcached_node_of(store, key->bytes,
                                                     sizeof(key->bytes));
    apr_status_t rv = etg_memcached_call_begin(store, node, &look_up.call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = look(&look_up, key, choose, baton);
    etg_memcached_call_end(&look_up.call);
    if (rv == APR_SUCCESS) {
        *found = look_up.found;
    }
    return rv;
}

static apr_status_t look(lookup *look_up, const etg_store_key *key,
                         etg_store_choose *choose, void *baton)
{
    etg_store *store = look_up->call.store;
    const etg_memcached_value *item = &look_up->values[PRIMARY];
    etg_memcached_primary primary;
    etg_store_key next;
    apr_status_t rv = ask(look_up, key);
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_clock_read(&look_up->call,
                                      &look_up->values[CLOCK],
                                      look_up->pool, &look_up->clock);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    look_up->found.moment.of[0] = look_up->clock.reading;
    if (item->bytes.data == NULL) {
        return APR_SUCCESS;
    }
    if (etg_memcached_primary_unpack(item->bytes, &look_up->keys[PRIMARY],
                                     &primary) != APR_SUCCESS) {
        etg_memcached_count_add(store, ETG_MEMCACHED_DAMAGED_ITEMS, 1);
        return APR_SUCCESS;
    }
    if (primary.expires_at <= apr_time_now()
        || choose(baton, primary.primary, &next) != APR_SUCCESS) {
        return APR_SUCCESS;
    }
    int is_there = primary.has_response
                   && memcmp(&primary.response.key, &next, sizeof(next)) == 0;
    if (!is_there) {
        rv = alone_read(look_up, &next, &primary.response, &is_there);
    }
    if (rv == APR_SUCCESS && is_there
        && primary.response.expires_at > apr_time_now()) {
        rv = marks_read(look_up, &primary.response);
    }
    return rv;
}

/* The tags are asked for after the clock, as they are when they have a round
 * trip of their own. */
static apr_status_t ask(lookup *look_up, const etg_store_key *key)
{
    etg_store *store = look_up->call.store;
    etg_memcached_hint *hint = &look_up->hint;
    const etg_memcached_key *named[ASKED_MAX];
    unsigned count = TAGS;
    etg_memcached_hint_read(store, key, hint);
    etg_memcached_key_of_primary(&look_up->keys[PRIMARY],
                                 store->at.name_space, key);
    etg_memcached_key_of_clock(&look_up->keys[CLOCK], store->at.name_space);
    etg_bytes tags = { hint->tags, hint->tags_length };
    for (unsigned i = 0; i < tags.length / sizeof(etg_store_tag); i++) {
        etg_memcached_key_of_tag(&look_up->keys[count++],
                                 store->at.name_space,
                                 etg_memcached_tag_at(tags, i));
    }
    look_up->body_at = 0;
    if (hint->body_worth > 0
        && etg_memcached_body_node(store, &hint->body)
           == look_up->call.node) {
        look_up->body_at = count;
        etg_memcached_key_of_body(&look_up->keys[count++],
                                  store->at.name_space, &hint->body);
    }
    for (unsigned i = 0; i < count; i++) {
        named[i] = &look_up->keys[i];
    }
    return etg_memcached_get(&look_up->call, named, count,
                             ETG_MEMCACHED_ITEM_MAX, look_up->pool,
                             look_up->values);
}

/* A response that was pushed out of its pair. */
static apr_status_t alone_read(lookup *look_up, const etg_store_key *key,
                               etg_memcached_response *response,
                               int *is_there)
{
    etg_store *store = look_up->call.store;
    etg_memcached_key text;
    const etg_memcached_key *keys[1] = { &text };
    etg_memcached_value value;
    etg_memcached_key_of_response(&text, store->at.name_space, key);
    apr_status_t rv = etg_memcached_get(&look_up->call, keys, 1,
                                        ETG_MEMCACHED_ITEM_MAX,
                                        look_up->pool, &value);
    if (rv != APR_SUCCESS || value.bytes.data == NULL) {
        return rv;
    }
    if (etg_memcached_response_unpack(value.bytes, &text, response)
        != APR_SUCCESS || memcmp(&response->key, key, sizeof(*key)) != 0) {
        etg_memcached_count_add(store, ETG_MEMCACHED_DAMAGED_ITEMS, 1);
        return APR_SUCCESS;
    }
    *is_there = 1;
    return APR_SUCCESS;
}

/* Compares and fills in what was found. */
static apr_status_t marks_read(lookup *look_up,
                               const etg_memcached_response *response)
{
    etg_store_found *found = &look_up->found;
    etg_memcached_marks marks[ETG_STORE_TAGS_MAX];
    unsigned count = (unsigned)(response->tags.length
                                / sizeof(etg_store_tag));
    apr_uint64_t reading = look_up->clock.reading;
    etg_memcached_marks_compare(&look_up->clock.all, response->moment, found);
    if (!etg_memcached_moment_counts(response->moment, reading)) {
        if (found->mark < ETG_STORE_MARK_INVALID) {
            found->mark = ETG_STORE_MARK_INVALID;
        }
        found->marked_at = apr_time_now();
    }
    if (count > 0 && found->mark != ETG_STORE_MARK_GONE) {
        apr_status_t rv = tags_read(look_up, response->tags, marks);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    else {
        count = 0;
    }
    for (unsigned i = 0; i < count; i++) {
        if (marks[i].soft == 0) {
            /* Forgotten with all its marks, the last of which moved the
             * clock to where it is, at the latest. */
            marks[i] = etg_memcached_marks_new(reading);
        }
        etg_memcached_marks_compare(&marks[i], response->moment, found);
    }
    found_fill(look_up, response);
    return APR_SUCCESS;
}

/* Those that were guessed are here. */
static apr_status_t tags_read(lookup *look_up, etg_bytes tags,
                              etg_memcached_marks *marks)
{
    if (!is_guessed(&look_up->hint, tags)) {
        return etg_memcached_tags_read(&look_up->call, tags, look_up->pool,
                                       marks, NULL);
    }
    for (unsigned i = 0; i < tags.length / sizeof(etg_store_tag); i++) {
        etg_memcached_tag_unpack(look_up->call.store,
                                 &look_up->values[TAGS + i],
                                 &look_up->keys[TAGS + i], &marks[i]);
    }
    return APR_SUCCESS;
}

static int is_guessed(const etg_memcached_hint *hint, etg_bytes tags)
{
    return hint->tags_length == tags.length
           && (tags.length == 0
               || memcmp(hint->tags, tags.data, tags.length) == 0);
}

static void found_fill(lookup *look_up,
                       const etg_memcached_response *response)
{
    etg_store_found *found = &look_up->found;
    if (found->mark == ETG_STORE_MARK_GONE) {
        found->mark = ETG_STORE_MARK_NONE;
        found->marked_at = 0;
        return;
    }
    unsigned char *copy = apr_palloc(look_up->pool,
                                     response->response.length + 1);
    memcpy(copy, response->response.data, response->response.length);
    found->answer = ETG_STORE_HIT;
    found->response.data = copy;
    found->response.length = response->response.length;
    found->tags = etg_memcached_tags_unpack(response->tags, look_up->pool,
                                            &found->tag_count);
    found->expires_at = response->expires_at;
    hint_follow(look_up, response);
}

/* For the body that is read next, and for the next look-up. */
static void hint_follow(lookup *look_up,
                        const etg_memcached_response *response)
{
    const etg_memcached_hint *hint = &look_up->hint;
    etg_bytes none = { NULL, 0 };
    if (!is_guessed(hint, response->tags)) {
        etg_memcached_hint_tags(look_up->call.store, &hint->key,
                                response->tags);
    }
    etg_memcached_body_park(look_up->call.store, hint,
                            look_up->body_at > 0
                            ? look_up->values[look_up->body_at].bytes : none,
                            look_up->pool);
}
