/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_index.c: where things are, and how often they were asked for.
 *
 * The index is one LMDB database with two keys, 'r' for records and 'e' for
 * entities; under each hangs a sorted set of fixed 10-byte items, four bytes
 * of hash and six of place. LMDB packs such items without any node header
 * (MDB_DUPFIXED), so an item costs some 16 to 20 bytes where a row of its own
 * would cost 40. Four bytes of hash are not unique: the thing found at a place
 * says itself what it is, and the search goes on if it is not the one.
 *
 * Hit marks are one byte per hash slot in the control file, counting to 15;
 * races between readers lose a count, nothing else. Behind them lies a bit map
 * of ghosts: things evicted. What is stored again while its ghost is there
 * was evicted too early.
 */
#include "local_store.h"

#include <string.h>
#include <xxhash.h>

#define ITEM_BYTES ETG_LOCAL_ITEM_BYTES
#define HASH_BYTES 4
#define PURGE_AT_ONCE 256

static void item_set(unsigned char *item, uint64_t hash, uint64_t place);
static uint64_t item_place(const unsigned char *item);
static _Atomic unsigned char *mark_of(const etg_store *store, uint64_t hash);
static _Atomic unsigned char *ghost_of(const etg_store *store, uint64_t hash,
                                       unsigned char *bit);

uint64_t etg_local_key_hash(const etg_store_key *key)
{
    return XXH3_64bits(key->bytes, sizeof(key->bytes));
}

uint64_t etg_local_id_hash(const etg_entity_id *id)
{
    uint64_t hash = 0;
    for (int i = 0; i < 8; i++) {
        hash = hash << 8 | id->bytes[i];
    }
    return hash;
}

int etg_local_index_find(MDB_cursor *cursor, etg_local_kind kind,
                         uint64_t hash, etg_local_is_it *is_it, void *baton,
                         uint64_t *place)
{
    unsigned char name = (unsigned char)kind;
    unsigned char item[ITEM_BYTES];
    MDB_val key = { 1, &name };
    MDB_val data = { sizeof(item), item };
    item_set(item, hash, 0);
    int rc = mdb_cursor_get(cursor, &key, &data, MDB_GET_BOTH_RANGE);
    while (rc == MDB_SUCCESS) {
        if (data.mv_size != ITEM_BYTES
            || memcmp(data.mv_data, item, HASH_BYTES) != 0) {
            return MDB_NOTFOUND;
        }
        uint64_t at = item_place(data.mv_data);
        rc = is_it(baton, at);
        if (rc != MDB_NOTFOUND) {
            *place = at;
            return rc;
        }
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP);
    }
    return rc;
}

/* A cursor per search: LMDB keeps every open cursor of a write transaction in
 * step with each change, which costs more than opening one. */
int etg_local_index_find_in(etg_local_batch *batch, etg_local_kind kind,
                            uint64_t hash, etg_local_is_it *is_it,
                            void *baton, uint64_t *place)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(batch->txn, batch->store->index, &cursor);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = etg_local_index_find(cursor, kind, hash, is_it, baton, place);
    mdb_cursor_close(cursor);
    return rc;
}

int etg_local_index_add(etg_local_batch *batch, etg_local_kind kind,
                        uint64_t hash, uint64_t place)
{
    unsigned char name = (unsigned char)kind;
    unsigned char item[ITEM_BYTES];
    MDB_val key = { 1, &name };
    MDB_val data = { sizeof(item), item };
    item_set(item, hash, place);
    int rc = mdb_put(batch->txn, batch->store->index, &key, &data,
                     MDB_NODUPDATA);
    return rc == MDB_KEYEXIST ? MDB_SUCCESS : rc;
}

int etg_local_index_drop(etg_local_batch *batch, etg_local_kind kind,
                         uint64_t hash, uint64_t place)
{
    unsigned char name = (unsigned char)kind;
    unsigned char item[ITEM_BYTES];
    MDB_val key = { 1, &name };
    MDB_val data = { sizeof(item), item };
    item_set(item, hash, place);
    int rc = mdb_del(batch->txn, batch->store->index, &key, &data);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

int etg_local_index_purge(etg_local_batch *batch, uint32_t segment)
{
    unsigned char name = ETG_LOCAL_ENTITY;
    unsigned char found[PURGE_AT_ONCE][ITEM_BYTES];
    unsigned int count;
    do {
        MDB_cursor *cursor;
        MDB_val key = { 1, &name };
        MDB_val data;
        count = 0;
        int rc = mdb_cursor_open(batch->txn, batch->store->index, &cursor);
        if (rc != MDB_SUCCESS) {
            return rc;
        }
        rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_KEY);
        while (rc == MDB_SUCCESS && count < PURGE_AT_ONCE) {
            if (item_place(data.mv_data) >> 32 == segment) {
                memcpy(found[count++], data.mv_data, ITEM_BYTES);
            }
            rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP);
        }
        mdb_cursor_close(cursor);
        for (unsigned int i = 0; i < count; i++) {
            MDB_val item = { ITEM_BYTES, found[i] };
            rc = mdb_del(batch->txn, batch->store->index, &key, &item);
            if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
                return rc;
            }
        }
    } while (count == PURGE_AT_ONCE);
    return MDB_SUCCESS;
}

unsigned int etg_local_mark(const etg_store *store, uint64_t hash)
{
    unsigned int n = atomic_load_explicit(mark_of(store, hash),
                                          memory_order_relaxed);
    return n < ETG_LOCAL_MARK_MAX ? n : ETG_LOCAL_MARK_MAX;
}

void etg_local_mark_hit(etg_store *store, uint64_t hash)
{
    _Atomic unsigned char *mark = mark_of(store, hash);
    unsigned char n = atomic_load_explicit(mark, memory_order_relaxed);
    if (n < ETG_LOCAL_MARK_MAX) {
        atomic_store_explicit(mark, n + 1, memory_order_relaxed);
    }
}

void etg_local_mark_set(etg_store *store, uint64_t hash, unsigned int mark)
{
    atomic_store_explicit(mark_of(store, hash), (unsigned char)mark,
                          memory_order_relaxed);
}

void etg_local_ghost_set(etg_store *store, uint64_t hash)
{
    unsigned char bit;
    _Atomic unsigned char *ghost = ghost_of(store, hash, &bit);
    atomic_fetch_or_explicit(ghost, bit, memory_order_relaxed);
}

int etg_local_ghost_take(etg_store *store, uint64_t hash)
{
    unsigned char bit;
    _Atomic unsigned char *ghost = ghost_of(store, hash, &bit);
    unsigned char before = atomic_fetch_and_explicit(
        ghost, (unsigned char)~bit, memory_order_relaxed);
    return (before & bit) != 0;
}

/* A hand goes round: once per body_bytes. */
void etg_local_ghosts_fade(etg_store *store, uint64_t bytes)
{
    uint32_t count = store->geometry.ghost_bytes;
    uint64_t steps = bytes * count / store->geometry.body_bytes + 1;
    uint32_t hand = atomic_load(&store->control->ghost_hand);
    for (uint64_t i = 0; i < steps && i < count; i++) {
        atomic_store_explicit(&store->ghosts[(hand + i) % count], 0,
                              memory_order_relaxed);
    }
    atomic_store(&store->control->ghost_hand,
                 (uint32_t)((hand + steps) % count));
}

void etg_local_keep_plan(etg_local_keep *keep,
                         const uint64_t with_mark[ETG_LOCAL_MARK_MAX + 1],
                         uint64_t limit)
{
    keep->above = ETG_LOCAL_MARK_MAX;
    keep->left = limit;
    while (keep->above > 0 && with_mark[keep->above] <= keep->left) {
        keep->left -= with_mark[keep->above--];
    }
}

int etg_local_keep_is(etg_local_keep *keep, unsigned int mark, uint64_t cost)
{
    if (mark > keep->above) {
        return 1;
    }
    if (mark == 0 || mark < keep->above || cost > keep->left) {
        return 0;
    }
    keep->left -= cost;
    return 1;
}

static void item_set(unsigned char *item, uint64_t hash, uint64_t place)
{
    for (int i = 0; i < HASH_BYTES; i++) {
        item[i] = (unsigned char)(hash >> (56 - 8 * i));
    }
    for (int i = 0; i < ITEM_BYTES - HASH_BYTES; i++) {
        item[HASH_BYTES + i] = (unsigned char)(place >> (40 - 8 * i));
    }
}

static uint64_t item_place(const unsigned char *item)
{
    uint64_t place = 0;
    for (int i = HASH_BYTES; i < ITEM_BYTES; i++) {
        place = place << 8 | item[i];
    }
    return place;
}

static _Atomic unsigned char *mark_of(const etg_store *store, uint64_t hash)
{
    return &store->marks[hash & (store->geometry.mark_count - 1)];
}

static _Atomic unsigned char *ghost_of(const etg_store *store, uint64_t hash,
                                       unsigned char *bit)
{
    uint64_t at = hash >> 13;
    *bit = (unsigned char)(1u << (at & 7));
    return &store->ghosts[at >> 3 & (store->geometry.ghost_bytes - 1)];
}
