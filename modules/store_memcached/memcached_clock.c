/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_clock.c: a node's clock, and marks.
 *
 * Each node has a clock item that only purges move. A server that lost it
 * (empty, restarted, evicted) gets a new one whose reading is the time, as of
 * which everything is marked invalid: whatever purge was forgotten with the
 * old clock cannot be missed. The same holds for a tag whose item is gone, and
 * for what was stored under a moment of a clock that was lost.
 */
#include "memcached_store.h"

#include <apr_general.h>

#include <string.h>

#define TRIES 4
#define CLOCK_STEP (APR_UINT64_C(1) << ETG_MEMCACHED_CLOCK_BITS)

/* Tag items are small; anything longer is not one. */
#define TAG_ITEM_MAX 1024

apr_status_t etg_memcached_clock_read(etg_memcached_call *call,
                                      const etg_memcached_value *value,
                                      apr_pool_t *p,
                                      etg_memcached_clock *clock)
{
    etg_memcached_key key;
    const etg_memcached_key *keys[1] = { &key };
    etg_memcached_value present = *value;
    etg_memcached_outcome outcome;
    etg_bytes item;
    etg_memcached_key_of_clock(&key, call->store->at.name_space);
    for (int i = 0; i < TRIES; i++) {
        if (present.bytes.data != NULL
            && etg_memcached_clock_unpack(present.bytes, &key, clock)
               == APR_SUCCESS) {
            return APR_SUCCESS;
        }
        etg_memcached_clock made;
        etg_memcached_clock_make(&made);
        apr_status_t rv = etg_memcached_clock_pack(&made, &key, p, &item);
        if (rv == APR_SUCCESS) {
            rv = etg_memcached_put(call, present.bytes.data != NULL
                                         ? ETG_MEMCACHED_CAS
                                         : ETG_MEMCACHED_ADD,
                                   &key, item, 0, present.cas, &outcome);
        }
        if (rv != APR_SUCCESS || outcome == ETG_MEMCACHED_REFUSED) {
            return rv != APR_SUCCESS ? rv : APR_ENOSPC;
        }
        if (outcome == ETG_MEMCACHED_DONE) {
            etg_memcached_count_add(call->store, ETG_MEMCACHED_MADE_CLOCKS,
                                    1);
            *clock = made;
            return APR_SUCCESS;
        }
        rv = etg_memcached_get(call, keys, 1, ETG_MEMCACHED_ITEM_MAX, p,
                               &present);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_EAGAIN;
}

void etg_memcached_clock_make(etg_memcached_clock *clock)
{
    apr_uint64_t number = 0;
    apr_generate_random_bytes((unsigned char *)&number, sizeof(number));
    clock->reading = etg_memcached_clock_next(number % CLOCK_STEP);
    clock->all = etg_memcached_marks_new(clock->reading);
}

apr_uint64_t etg_memcached_clock_next(apr_uint64_t reading)
{
    apr_uint64_t now = (apr_uint64_t)apr_time_now() * CLOCK_STEP
                       + reading % CLOCK_STEP;
    return reading >= now ? reading + CLOCK_STEP : now;
}

int etg_memcached_moment_counts(apr_uint64_t moment, apr_uint64_t reading)
{
    return moment <= reading && moment % CLOCK_STEP == reading % CLOCK_STEP;
}

etg_memcached_marks etg_memcached_marks_new(apr_uint64_t reading)
{
    etg_memcached_marks marks = { reading, reading, 0 };
    return marks;
}

void etg_memcached_marks_compare(const etg_memcached_marks *marks,
                                 apr_uint64_t moment, etg_store_found *found)
{
    const struct {
        etg_store_mark mark;
        apr_uint64_t at;
    } kinds[] = {
        { ETG_STORE_MARK_SOFT, marks->soft },
        { ETG_STORE_MARK_INVALID, marks->invalid },
        { ETG_STORE_MARK_GONE, marks->gone }
    };
    for (unsigned i = 0; i < 3; i++) {
        apr_time_t at = (apr_time_t)(kinds[i].at / CLOCK_STEP);
        if (kinds[i].at > moment && kinds[i].mark >= found->mark
            && (kinds[i].mark > found->mark || at < found->marked_at)) {
            found->mark = kinds[i].mark;
            found->marked_at = at;
        }
    }
}

apr_status_t etg_memcached_tags_read(etg_memcached_call *call, etg_bytes tags,
                                     apr_pool_t *p,
                                     etg_memcached_marks *marks,
                                     apr_uint64_t *cas)
{
    etg_memcached_key keys[ETG_STORE_TAGS_MAX];
    const etg_memcached_key *named[ETG_STORE_TAGS_MAX];
    etg_memcached_value values[ETG_STORE_TAGS_MAX];
    unsigned count = (unsigned)(tags.length / sizeof(etg_store_tag));
    if (count == 0 || count > ETG_STORE_TAGS_MAX) {
        return count == 0 ? APR_SUCCESS : APR_EINVAL;
    }
    for (unsigned i = 0; i < count; i++) {
        etg_memcached_key_of_tag(&keys[i], call->store->at.name_space,
                                 etg_memcached_tag_at(tags, i));
        named[i] = &keys[i];
    }
    apr_status_t rv = etg_memcached_get(call, named, count, TAG_ITEM_MAX, p,
                                        values);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (unsigned i = 0; i < count; i++) {
        if (cas != NULL) {
            cas[i] = values[i].cas;
        }
        etg_memcached_tag_unpack(call->store, &values[i], &keys[i],
                                 &marks[i]);
    }
    return APR_SUCCESS;
}

void etg_memcached_tag_unpack(etg_store *store,
                              const etg_memcached_value *value,
                              const etg_memcached_key *key,
                              etg_memcached_marks *marks)
{
    memset(marks, 0, sizeof(*marks));
    if (value->bytes.data != NULL
        && etg_memcached_marks_unpack(value->bytes, key, marks)
           != APR_SUCCESS) {
        etg_memcached_count_add(store, ETG_MEMCACHED_DAMAGED_ITEMS, 1);
    }
}
