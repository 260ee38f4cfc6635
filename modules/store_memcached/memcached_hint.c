/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_hint.c: remembering what look-ups were followed by.
 *
 * A table of this child: a key's slot is named by its first bytes (keys are
 * hashes), and belongs to the key that came last. A body is asked for along
 * with the next look-ups of its key until a few in a row were not followed by
 * reading it, as with 304s and HEAD. Look-up and read meet in the caller's
 * pool. Any thread; the locks are held for a copy of a slot.
 */
#include "memcached_hint.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 4096u
#define LOCKS 64u
#define BODY_WORTH 3
#define PARKED_KEY "etg-memcached-parked"

struct etg_memcached_hints {
    pthread_mutex_t locks[LOCKS];
    etg_memcached_hint slots[SLOTS];
};

/* What a look-up leaves in its pool. */
typedef struct parked_body {
    const etg_store *store;
    etg_store_key key;
    etg_entity_id id;
    etg_bytes item;                /* no bytes: was not asked for, or gone */
} parked_body;

static etg_memcached_hint *slot_lock(etg_store *store,
                                     const etg_store_key *key,
                                     pthread_mutex_t **lock);
static void slot_claim(etg_memcached_hint *slot, const etg_store_key *key);
static parked_body *parked_of(etg_store *store, apr_pool_t *p);

apr_status_t etg_memcached_hints_open(etg_store *store)
{
    store->hints = calloc(1, sizeof(*store->hints));
    if (store->hints == NULL) {
        return APR_ENOMEM;
    }
    for (unsigned i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&store->hints->locks[i], NULL);
    }
    return APR_SUCCESS;
}

void etg_memcached_hints_close(etg_store *store)
{
    for (unsigned i = 0; i < LOCKS; i++) {
        pthread_mutex_destroy(&store->hints->locks[i]);
    }
    free(store->hints);
    store->hints = NULL;
}

void etg_memcached_hint_read(etg_store *store, const etg_store_key *key,
                             etg_memcached_hint *hint)
{
    pthread_mutex_t *lock;
    etg_memcached_hint *slot = slot_lock(store, key, &lock);
    if (memcmp(&slot->key, key, sizeof(*key)) == 0) {
        *hint = *slot;
        slot->body_worth -= slot->body_worth > 0;
    }
    else {
        memset(hint, 0, sizeof(*hint));
        hint->key = *key;
    }
    pthread_mutex_unlock(lock);
}

void etg_memcached_hint_tags(etg_store *store, const etg_store_key *key,
                             etg_bytes tags)
{
    pthread_mutex_t *lock;
    etg_memcached_hint *slot;
    if (tags.length > sizeof(slot->tags)) {
        tags.length = 0;
    }
    slot = slot_lock(store, key, &lock);
    slot_claim(slot, key);
    if (tags.length > 0) {
        memcpy(slot->tags, tags.data, tags.length);
    }
    slot->tags_length = tags.length;
    pthread_mutex_unlock(lock);
}

void etg_memcached_body_park(etg_store *store, const etg_memcached_hint *hint,
                             etg_bytes item, apr_pool_t *p)
{
    parked_body *parked = apr_palloc(p, sizeof(*parked));
    parked->store = store;
    parked->key = hint->key;
    parked->id = hint->body;
    parked->item = item;
    apr_pool_userdata_setn(parked, PARKED_KEY, NULL, p);
}

apr_status_t etg_memcached_body_parked(etg_store *store,
                                       const etg_entity_id *id,
                                       apr_pool_t *p, etg_bytes *item)
{
    const parked_body *parked = parked_of(store, p);
    if (parked == NULL || parked->item.data == NULL
        || memcmp(&parked->id, id, sizeof(*id)) != 0) {
        return APR_NOTFOUND;
    }
    *item = parked->item;
    return APR_SUCCESS;
}

void etg_memcached_body_used(etg_store *store, const etg_entity_id *id,
                             apr_uint64_t length, apr_pool_t *p)
{
    const parked_body *parked = parked_of(store, p);
    pthread_mutex_t *lock;
    if (parked == NULL || length > ETG_MEMCACHED_HINT_BODY_MAX) {
        return;
    }
    etg_memcached_hint *slot = slot_lock(store, &parked->key, &lock);
    slot_claim(slot, &parked->key);
    slot->body = *id;
    slot->body_worth = BODY_WORTH;
    pthread_mutex_unlock(lock);
}

static etg_memcached_hint *slot_lock(etg_store *store,
                                     const etg_store_key *key,
                                     pthread_mutex_t **lock)
{
    unsigned at = (key->bytes[0] << 8 | key->bytes[1]) % SLOTS;
    *lock = &store->hints->locks[at % LOCKS];
    pthread_mutex_lock(*lock);
    return &store->hints->slots[at];
}

static void slot_claim(etg_memcached_hint *slot, const etg_store_key *key)
{
    if (memcmp(&slot->key, key, sizeof(*key)) != 0) {
        memset(slot, 0, sizeof(*slot));
        slot->key = *key;
    }
}

static parked_body *parked_of(etg_store *store, apr_pool_t *p)
{
    void *found = NULL;
    apr_pool_userdata_get(&found, PARKED_KEY, p);
    parked_body *parked = found;
    return parked != NULL && parked->store == store ? parked : NULL;
}
