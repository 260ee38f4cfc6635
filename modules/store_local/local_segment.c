/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_segment.c: bodies up to 64 KiB, packed.
 *
 * `segments` is one sparse file cut into segments of equal size. A segment is
 * a hole (no disk space), free, active (being appended to) or sealed. A body
 * is 40 bytes of head and its bytes, rounded up to 8:
 *
 *   0   id, the first 24 bytes      28  expiry, seconds
 *   24  length                      32  XXH3 of the bytes, seeded with the
 *                                       length and the rest of the id
 *
 * The table is advanced after a body was written, so a child that dies leaves
 * space that is written again, and a segment can be walked; writing is pwrite
 * into space that fallocate has secured, so neither a full disk nor a cut file
 * is SIGBUS; reading is a copy out of a read-only map, checked afterwards:
 * whatever happened to the segment meanwhile, the head and the checksum of the
 * copy say whether it is the body that was asked for. Bodies are named by
 * their content, so a copy that passes is right wherever it came from.
 *
 * All but the copying happens under the LMDB write lock.
 */
#include "local_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#define ID_KEPT 24

static uint32_t body_space(uint32_t length);
static void head_write(unsigned char *head, const etg_local_body *body);
static int active_has_room(const etg_store *store, etg_local_age age,
                           uint32_t space);
static int active_take(etg_store *store, etg_local_age age);
static void actives_settle(etg_store *store);
static etg_local_segment *segment_of(const etg_store *store, uint64_t place);
static const unsigned char *at(const etg_store *store, uint64_t place,
                               uint32_t *room);

apr_status_t etg_local_segments_open(etg_store *store)
{
    char path[ETG_LOCAL_PATH_BYTES + 32];
    struct stat info;
    off_t whole = (off_t)store->geometry.segment_bytes
                  * store->geometry.segment_count;
    snprintf(path, sizeof(path), "%s/segments", store->folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return errno;
    }
    int failed = fstat(fd, &info) != 0 ? errno : 0;
    if (failed == 0 && info.st_size < whole) {
        if (info.st_size > 0) {
            etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                          ETGLOGNO(0307) "local store: %s was shorter than it "
                          "should be; bodies in the missing part are fetched "
                          "again", path);
        }
        failed = ftruncate(fd, whole) != 0 ? errno : 0;
    }
    void *map = MAP_FAILED;
    if (failed == 0) {
        map = mmap(NULL, (size_t)whole, PROT_READ, MAP_SHARED, fd, 0);
        failed = map == MAP_FAILED ? errno : 0;
    }
    if (failed != 0) {
        close(fd);
        return failed;
    }
    store->segments_fd = fd;
    store->segments = map;
    return APR_SUCCESS;
}

void etg_local_segments_close(etg_store *store)
{
    if (store->segments != NULL) {
        munmap((void *)store->segments,
               (size_t)store->geometry.segment_bytes
               * store->geometry.segment_count);
        close(store->segments_fd);
        store->segments = NULL;
        store->segments_fd = -1;
    }
}

uint64_t etg_local_body_check(const etg_entity_id *id, const void *bytes,
                              apr_size_t length)
{
    uint64_t seed;
    memcpy(&seed, id->bytes + ID_KEPT, sizeof(seed));
    return XXH3_64bits_withSeed(bytes, length, seed + length);
}

int etg_local_place_is_file(uint64_t place)
{
    return place >= ETG_LOCAL_FILE_PLACE;
}

int etg_local_segment_has_room(etg_store *store, uint32_t length)
{
    uint32_t space = body_space(length);
    return etg_local_segment_free_count(store) > 0
        || (active_has_room(store, ETG_LOCAL_YOUNG, space)
            && active_has_room(store, ETG_LOCAL_OLD, space));
}

int etg_local_segment_append(etg_local_batch *batch, etg_local_age age,
                             const etg_local_body *body, uint64_t *place)
{
    static const unsigned char padding[8];
    etg_store *store = batch->store;
    uint32_t space = body_space(body->length);
    unsigned char head[ETG_LOCAL_BODY_HEAD];
    if (!active_has_room(store, age, space)) {
        int failed = active_take(store, age);
        if (failed != 0) {
            return failed;
        }
    }
    uint32_t number = atomic_load(&store->control->active[age]);
    etg_local_segment *segment = &store->control->segments[number - 1];
    uint32_t offset = atomic_load(&segment->used);
    head_write(head, body);
    struct iovec parts[3] = {
        { head, sizeof(head) },
        { (void *)body->bytes, body->length },
        { (void *)padding,
          space - body->length - (uint32_t)sizeof(head) }
    };
    off_t to = (off_t)(number - 1) * store->geometry.segment_bytes + offset;
    ssize_t n = pwritev(store->segments_fd, parts, 3, to);
    if (n != (ssize_t)space) {
        return n < 0 ? errno : ENOSPC;
    }
    atomic_store(&segment->used, offset + space);
    *place = (uint64_t)(number - 1) << 32 | offset / 8;
    return 0;
}

int etg_local_body_is(void *baton, uint64_t place)
{
    const etg_local_body_probe *probe = baton;
    if (etg_local_place_is_file(place)) {
        etg_local_file_row row;
        int rc = probe->txn == NULL ? MDB_NOTFOUND
                 : etg_local_file_row_get(probe->txn, probe->store->files,
                                          place, &row);
        return rc == MDB_SUCCESS
               && memcmp(row.id.bytes, probe->id->bytes,
                         sizeof(row.id.bytes)) != 0 ? MDB_NOTFOUND : rc;
    }
    uint32_t room;
    const unsigned char *head = at(probe->store, place, &room);
    return head != NULL && memcmp(head, probe->id->bytes, ID_KEPT) == 0
           ? MDB_SUCCESS : MDB_NOTFOUND;
}

int etg_local_body_head(const etg_store *store, uint64_t place,
                        etg_local_body *body, uint32_t *space)
{
    uint32_t room;
    const unsigned char *head = at(store, place, &room);
    if (head == NULL) {
        return 0;
    }
    memcpy(body->id.bytes, head, ID_KEPT);
    memcpy(&body->length, head + 24, 4);
    memcpy(&body->expires_s, head + 28, 4);
    memcpy(&body->check, head + 32, 8);
    body->bytes = head + ETG_LOCAL_BODY_HEAD;
    *space = body_space(body->length);
    return body->length <= ETG_LOCAL_PACKED_BYTES && *space <= room;
}

apr_status_t etg_local_body_copy(etg_store *store, const etg_entity_id *id,
                                 uint64_t place, void *bytes, uint32_t length)
{
    unsigned char head[ETG_LOCAL_BODY_HEAD];
    uint32_t stored, room;
    uint64_t check;
    const unsigned char *from = at(store, place, &room);
    if (from == NULL || room < ETG_LOCAL_BODY_HEAD + (uint64_t)length) {
        return APR_INCOMPLETE;
    }
    memcpy(head, from, sizeof(head));
    memcpy(&stored, head + 24, sizeof(stored));
    memcpy(&check, head + 32, sizeof(check));
    if (memcmp(head, id->bytes, ID_KEPT) != 0) {
        return APR_INCOMPLETE;
    }
    if (stored != length) {
        return APR_NOTFOUND;
    }
    memcpy(bytes, from + sizeof(head), length);
    return etg_local_body_check(id, bytes, length) == check ? APR_SUCCESS
                                                            : APR_INCOMPLETE;
}

uint64_t etg_local_segment_bytes(const etg_store *store, etg_local_age age)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        const etg_local_segment *segment = &store->control->segments[i];
        count += atomic_load(&segment->state) >= ETG_LOCAL_SEGMENT_ACTIVE
              && atomic_load(&segment->age) == age;
    }
    return count * store->geometry.segment_bytes;
}

int64_t etg_local_segment_oldest(const etg_store *store, etg_local_age age)
{
    int64_t oldest = -1;
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        const etg_local_segment *segment = &store->control->segments[i];
        uint64_t order = atomic_load(&segment->order);
        if (atomic_load(&segment->state) == ETG_LOCAL_SEGMENT_SEALED
            && atomic_load(&segment->age) == age && order < lowest) {
            lowest = order;
            oldest = i;
        }
    }
    return oldest;
}

uint32_t etg_local_segment_free_count(const etg_store *store)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        count += atomic_load_explicit(&store->control->segments[i].state,
                                      memory_order_relaxed)
                 == ETG_LOCAL_SEGMENT_FREE;
    }
    return count;
}

int etg_local_segment_allocate(etg_store *store)
{
    off_t bytes = (off_t)store->geometry.segment_bytes;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        etg_local_segment *segment = &store->control->segments[i];
        if (atomic_load(&segment->state) == ETG_LOCAL_SEGMENT_HOLE) {
            int failed = posix_fallocate(store->segments_fd, i * bytes,
                                         bytes);
            if (failed == 0) {
                atomic_fetch_add(&store->control->allocated, 1);
                atomic_store(&segment->state, ETG_LOCAL_SEGMENT_FREE);
            }
            return failed;
        }
    }
    return ENOSPC;
}

int etg_local_segment_release(etg_store *store)
{
    off_t bytes = (off_t)store->geometry.segment_bytes;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        etg_local_segment *segment = &store->control->segments[i];
        if (atomic_load(&segment->state) == ETG_LOCAL_SEGMENT_FREE) {
            if (fallocate(store->segments_fd,
                          FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                          i * bytes, bytes) != 0) {
                return errno;
            }
            atomic_fetch_add(&segment->generation, 1);
            atomic_store(&segment->state, ETG_LOCAL_SEGMENT_HOLE);
            atomic_fetch_sub(&store->control->allocated, 1);
            return 0;
        }
    }
    return ENOENT;
}

static uint32_t body_space(uint32_t length)
{
    return (ETG_LOCAL_BODY_HEAD + length + 7) / 8 * 8;
}

static void head_write(unsigned char *head, const etg_local_body *body)
{
    memcpy(head, body->id.bytes, ID_KEPT);
    memcpy(head + 24, &body->length, 4);
    memcpy(head + 28, &body->expires_s, 4);
    memcpy(head + 32, &body->check, 8);
}

static int active_has_room(const etg_store *store, etg_local_age age,
                           uint32_t space)
{
    uint32_t active = atomic_load(&store->control->active[age]);
    return active > 0 && active <= store->geometry.segment_count
        && atomic_load(&store->control->segments[active - 1].used) + space
           <= store->geometry.segment_bytes;
}

/* Makes a free segment the active one of its age. */
static int active_take(etg_store *store, etg_local_age age)
{
    etg_local_control *control = store->control;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        etg_local_segment *segment = &control->segments[i];
        if (atomic_load(&segment->state) != ETG_LOCAL_SEGMENT_FREE) {
            continue;
        }
        atomic_fetch_add(&segment->generation, 1);
        atomic_store(&segment->order,
                     atomic_fetch_add(&control->segment_order, 1) + 1);
        atomic_store(&segment->used, 0);
        atomic_store(&segment->age, age);
        atomic_store(&segment->state, ETG_LOCAL_SEGMENT_ACTIVE);
        atomic_store(&control->active[age], i + 1);
        actives_settle(store);
        return 0;
    }
    return ENOSPC;
}

/* Seals all that call themselves active and are not: the one before, and
 * what a child left that died in the middle. */
static void actives_settle(etg_store *store)
{
    etg_local_control *control = store->control;
    for (uint32_t i = 0; i < store->geometry.segment_count; i++) {
        uint16_t active = ETG_LOCAL_SEGMENT_ACTIVE;
        if (atomic_load(&control->active[ETG_LOCAL_YOUNG]) != i + 1
            && atomic_load(&control->active[ETG_LOCAL_OLD]) != i + 1) {
            atomic_compare_exchange_strong(&control->segments[i].state,
                                           &active,
                                           ETG_LOCAL_SEGMENT_SEALED);
        }
    }
}

static etg_local_segment *segment_of(const etg_store *store, uint64_t place)
{
    uint64_t number = place >> 32;
    return number < store->geometry.segment_count
           ? &store->control->segments[number] : NULL;
}

/* Bytes of the segments file at a place, and how many follow in that
 * segment. NULL: the place cannot be. */
static const unsigned char *at(const etg_store *store, uint64_t place,
                               uint32_t *room)
{
    uint64_t offset = (place & 0xffffffffull) * 8;
    if (segment_of(store, place) == NULL
        || offset + ETG_LOCAL_BODY_HEAD > store->geometry.segment_bytes) {
        return NULL;
    }
    *room = store->geometry.segment_bytes - (uint32_t)offset;
    return store->segments
           + (place >> 32) * store->geometry.segment_bytes + offset;
}
