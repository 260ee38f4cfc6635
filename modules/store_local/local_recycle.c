/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_recycle.c: bodies into the index and out of it again.
 *
 * A sealed segment is recycled whole. Its bodies that were asked for since it
 * was written are appended to the active segment of the old with half their
 * mark, the most used first until half the segment's bytes are kept; the
 * others leave the index and become ghosts. The segment becomes free only when
 * that is committed, so a reader with an older view still finds the bytes
 * where its view says.
 */
#include "local_store.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static int is_equal(etg_store *store, const etg_local_body *body,
                    uint64_t place);
static void expiry_extend(etg_store *store, const etg_local_body *body,
                          uint64_t place);
static int keep_plan(const etg_local_batch *batch, uint32_t number,
                     etg_local_keep *keep);
static int body_retire(etg_local_batch *batch, const etg_local_body *body,
                       uint64_t place, etg_local_keep *keep);

int etg_local_body_put(etg_local_batch *batch, const etg_local_body *body)
{
    etg_store *store = batch->store;
    etg_local_body_probe probe = { store, batch->txn, &body->id };
    uint64_t hash = etg_local_id_hash(&body->id);
    uint64_t place;
    int rc = etg_local_index_find_in(batch, ETG_LOCAL_ENTITY, hash,
                                     etg_local_body_is, &probe, &place);
    if (rc == MDB_SUCCESS) {
        if (is_equal(store, body, place)) {
            expiry_extend(store, body, place);
            etg_local_mark_hit(store, hash);
            return MDB_SUCCESS;
        }
        rc = etg_local_index_drop(batch, ETG_LOCAL_ENTITY, hash, place);
    }
    if (rc == MDB_SUCCESS || rc == MDB_NOTFOUND) {
        etg_local_age age = etg_local_ghost_take(store, hash)
                            ? ETG_LOCAL_OLD : ETG_LOCAL_YOUNG;
        rc = etg_local_segment_append(batch, age, body, &place);
    }
    return rc != 0 ? rc
           : etg_local_index_add(batch, ETG_LOCAL_ENTITY, hash, place);
}

int etg_local_body_drop(etg_local_batch *batch, const etg_entity_id *id,
                        uint64_t place)
{
    if (etg_local_place_is_file(place)) {
        return etg_local_file_drop(batch, id, place);
    }
    return etg_local_index_drop(batch, ETG_LOCAL_ENTITY,
                                etg_local_id_hash(id), place);
}

int etg_local_segment_recycle(etg_local_batch *batch, uint32_t number)
{
    etg_store *store = batch->store;
    etg_local_segment *segment = &store->control->segments[number];
    uint32_t used = atomic_load(&segment->used);
    etg_local_keep keep;
    int is_whole = keep_plan(batch, number, &keep);
    uint32_t offset = 0;
    uint32_t space;
    int rc = MDB_SUCCESS;
    while (rc == MDB_SUCCESS && offset < used) {
        etg_local_body body;
        uint64_t place = (uint64_t)number << 32 | offset / 8;
        if (!etg_local_body_head(store, place, &body, &space)) {
            break;
        }
        rc = body_retire(batch, &body, place, &keep);
        offset += space;
    }
    if (rc == MDB_SUCCESS && !is_whole) {
        rc = etg_local_index_purge(batch, number);
    }
    if (rc == MDB_SUCCESS) {
        batch->freed = number;
        etg_local_ghosts_fade(store, store->geometry.segment_bytes);
        etg_local_count_add(store, ETG_LOCAL_RECYCLED_SEGMENTS, 1);
    }
    return rc;
}

static int is_equal(etg_store *store, const etg_local_body *body,
                    uint64_t place)
{
    etg_local_body stored;
    uint32_t space;
    return !etg_local_place_is_file(place)
        && etg_local_body_head(store, place, &stored, &space)
        && stored.length == body->length && stored.check == body->check
        && memcmp(stored.bytes, body->bytes, body->length) == 0;
}

static void expiry_extend(etg_store *store, const etg_local_body *body,
                          uint64_t place)
{
    etg_local_body stored;
    uint32_t space;
    if (etg_local_body_head(store, place, &stored, &space)
        && stored.expires_s < body->expires_s) {
        off_t to = stored.bytes - ETG_LOCAL_BODY_HEAD - store->segments;
        ssize_t n = pwrite(store->segments_fd, &body->expires_s, 4, to + 28);
        (void)n;               /* at worst it is evicted early */
    }
}

/* False: the segment cannot be walked to its end. */
static int keep_plan(const etg_local_batch *batch, uint32_t number,
                     etg_local_keep *keep)
{
    const etg_store *store = batch->store;
    uint32_t used = atomic_load(&store->control->segments[number].used);
    uint64_t with_mark[ETG_LOCAL_MARK_MAX + 1] = { 0 };
    uint32_t offset = 0;
    uint32_t space = 0;
    int is_whole = 1;
    while (offset < used && is_whole) {
        etg_local_body body;
        uint64_t place = (uint64_t)number << 32 | offset / 8;
        is_whole = etg_local_body_head(store, place, &body, &space);
        if (is_whole && body.expires_s > batch->now_s) {
            with_mark[etg_local_mark(store, etg_local_id_hash(&body.id))] +=
                space;
        }
        offset += space;
    }
    etg_local_keep_plan(keep, with_mark, store->geometry.segment_bytes / 2);
    return is_whole;
}

typedef struct same_place {
    uint64_t place;
} same_place;

static int is_place(void *baton, uint64_t place)
{
    return ((same_place *)baton)->place == place ? MDB_SUCCESS : MDB_NOTFOUND;
}

/* Only a body that the index still finds here is alive. */
static int body_retire(etg_local_batch *batch, const etg_local_body *body,
                       uint64_t place, etg_local_keep *keep)
{
    etg_store *store = batch->store;
    same_place here = { place };
    uint64_t hash = etg_local_id_hash(&body->id);
    uint64_t found;
    int rc = etg_local_index_find_in(batch, ETG_LOCAL_ENTITY, hash, is_place,
                                     &here, &found);
    if (rc != MDB_SUCCESS) {
        return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
    }
    rc = etg_local_index_drop(batch, ETG_LOCAL_ENTITY, hash, place);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    unsigned int mark = etg_local_mark(store, hash);
    if (body->expires_s > batch->now_s
        && etg_local_keep_is(keep, mark, ETG_LOCAL_BODY_HEAD + body->length)
        && etg_local_segment_append(batch, ETG_LOCAL_OLD, body, &found)
           == 0) {
        etg_local_mark_set(store, hash, mark / 2);
        etg_local_count_add(store, ETG_LOCAL_KEPT_BODIES, 1);
        return etg_local_index_add(batch, ETG_LOCAL_ENTITY, hash, found);
    }
    etg_local_mark_set(store, hash, mark / 2);
    etg_local_ghost_set(store, hash);
    etg_local_count_add(store, ETG_LOCAL_EVICTED_BODIES, 1);
    return MDB_SUCCESS;
}
