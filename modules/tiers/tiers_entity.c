/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers_entity.c: bodies. They are addressed by their digest, so a copy of one
 * is as good as the shared one and needs no trust.
 */
#include "modules/tiers/tiers_store.h"

#include <string.h>
#include <unistd.h>

#include <apr_portable.h>

/* Longer bodies are not copied while a client waits for them. */
#define FILL_MAX (16 * 1024 * 1024)
#define PIECE_BYTES (64 * 1024)
/* How long a body is said to be wanted that was copied on a hit: its record's
 * expiry is not known here, and stores drop what is not asked for. */
#define FILL_FOR apr_time_from_sec(24 * 3600)

struct etg_entity_writer {
    etg_store *store;
    etg_entity_writer *parts[ETG_STORE_TIERS_MAX];   /* NULL: given up */
    apr_status_t failure;         /* the farthest tier's that failed last */
};

static void fill_nearer(etg_store *store, unsigned source,
                        const etg_entity *entity, apr_pool_t *p);
static apr_status_t fill(const etg_tier *tier, const etg_entity *entity,
                         apr_pool_t *p);
static apr_status_t append_entity(const etg_tier *tier,
                                  etg_entity_writer *writer,
                                  const etg_entity *entity, apr_pool_t *p);
static int is_taken(const etg_entity_writer *writer);
static int has_other_id(const etg_entity_id *id, const etg_entity_id *other);

apr_status_t etg_tiers_entity_read(etg_store *store, const etg_entity_id *id,
                                   apr_uint64_t length, apr_pool_t *p,
                                   etg_store_answer *answer,
                                   etg_entity *entity)
{
    apr_status_t rv = APR_SUCCESS;

    for (unsigned tier = 0; tier < store->count; tier++) {
        const etg_tier *from = &store->tiers[tier];
        etg_store_answer here = ETG_STORE_MISS;

        rv = from->provider->entity_read(from->store, id, length, p, &here,
                                         entity);
        if (rv == APR_SUCCESS && here == ETG_STORE_HIT) {
            *answer = ETG_STORE_HIT;
            fill_nearer(store, tier, entity, p);
            return APR_SUCCESS;
        }
    }
    if (rv == APR_SUCCESS) {
        *answer = ETG_STORE_MISS;    /* the shared tier has the say */
    }
    return rv;
}

static void fill_nearer(etg_store *store, unsigned source,
                        const etg_entity *entity, apr_pool_t *p)
{
    if (entity->length > FILL_MAX) {
        return;
    }
    for (unsigned tier = source; tier-- > 0;) {
        if (fill(&store->tiers[tier], entity, p) == APR_SUCCESS) {
            etg_tiers_count(&store->counters.fills);
        }
    }
}

/* In a pool of its own: a near store's buffers go as soon as it has them. */
static apr_status_t fill(const etg_tier *tier, const etg_entity *entity,
                         apr_pool_t *p)
{
    etg_entity_writer *writer;
    etg_entity_id id;
    apr_pool_t *scratch;
    apr_status_t rv;

    apr_pool_create(&scratch, p);
    rv = tier->provider->entity_begin(tier->store,
                                      (apr_int64_t)entity->length, scratch,
                                      &writer);
    if (rv == APR_SUCCESS) {
        rv = append_entity(tier, writer, entity, scratch);
        if (rv == APR_SUCCESS) {
            rv = tier->provider->entity_finish(writer,
                                               apr_time_now() + FILL_FOR,
                                               &id);
        }
        else {
            tier->provider->entity_abandon(writer);
        }
    }
    apr_pool_destroy(scratch);
    return rv;
}

/* Reads a file beside its position, which is its user's. */
static apr_status_t append_entity(const etg_tier *tier,
                                  etg_entity_writer *writer,
                                  const etg_entity *entity, apr_pool_t *p)
{
    apr_uint64_t at = 0;
    apr_status_t rv = APR_SUCCESS;
    unsigned char *piece;
    apr_os_file_t fd;

    if (entity->bytes != NULL) {
        return tier->provider->entity_append(writer, entity->bytes,
                                             entity->length);
    }
    rv = apr_os_file_get(&fd, entity->file);
    piece = apr_palloc(p, PIECE_BYTES);
    while (rv == APR_SUCCESS && at < entity->length) {
        apr_uint64_t left = entity->length - at;
        ssize_t got = pread(fd, piece, left < PIECE_BYTES ? left : PIECE_BYTES,
                            entity->offset + (apr_off_t)at);

        if (got <= 0) {
            return APR_EGENERAL;
        }
        at += (apr_uint64_t)got;
        rv = tier->provider->entity_append(writer, piece, (apr_size_t)got);
    }
    return rv;
}

apr_status_t etg_tiers_entity_begin(etg_store *store, apr_int64_t expected,
                                    apr_pool_t *p, etg_entity_writer **made)
{
    etg_entity_writer *writer = apr_pcalloc(p, sizeof(*writer));

    writer->store = store;
    for (unsigned tier = 0; tier < store->count; tier++) {
        const etg_tier *to = &store->tiers[tier];
        apr_status_t rv = to->provider->entity_begin(to->store, expected, p,
                                                     &writer->parts[tier]);

        if (rv != APR_SUCCESS) {
            writer->parts[tier] = NULL;
            writer->failure = rv;
        }
    }
    if (!is_taken(writer)) {
        return writer->failure;
    }
    *made = writer;
    return APR_SUCCESS;
}

apr_status_t etg_tiers_entity_append(etg_entity_writer *writer,
                                     const void *data, apr_size_t length)
{
    for (unsigned tier = 0; tier < writer->store->count; tier++) {
        const etg_store_provider *to = writer->store->tiers[tier].provider;
        apr_status_t rv;

        if (writer->parts[tier] == NULL) {
            continue;
        }
        rv = to->entity_append(writer->parts[tier], data, length);
        if (rv != APR_SUCCESS) {
            to->entity_abandon(writer->parts[tier]);
            writer->parts[tier] = NULL;
            writer->failure = rv;
        }
    }
    return is_taken(writer) ? APR_SUCCESS : writer->failure;
}

/* All of them, also if one fails; farthest first, as records are written. */
apr_status_t etg_tiers_entity_finish(etg_entity_writer *writer,
                                     apr_time_t expires_at, etg_entity_id *id)
{
    etg_entity_id stored;
    int is_stored = 0;

    for (unsigned tier = writer->store->count; tier-- > 0;) {
        const etg_store_provider *to = writer->store->tiers[tier].provider;
        etg_entity_id here;
        apr_status_t rv;

        if (writer->parts[tier] == NULL) {
            continue;
        }
        rv = to->entity_finish(writer->parts[tier], expires_at, &here);
        writer->parts[tier] = NULL;
        if (rv != APR_SUCCESS) {
            writer->failure = rv;
            continue;
        }
        if (is_stored && has_other_id(&stored, &here)) {
            return APR_EGENERAL;     /* one of them lies: store neither */
        }
        stored = here;
        is_stored = 1;
    }
    if (!is_stored) {
        return writer->failure;
    }
    *id = stored;
    return APR_SUCCESS;
}

void etg_tiers_entity_abandon(etg_entity_writer *writer)
{
    for (unsigned tier = 0; tier < writer->store->count; tier++) {
        const etg_store_provider *to = writer->store->tiers[tier].provider;

        if (writer->parts[tier] != NULL) {
            to->entity_abandon(writer->parts[tier]);
            writer->parts[tier] = NULL;
        }
    }
    writer->failure = APR_EINVAL;    /* what is appended now is lost */
}

static int is_taken(const etg_entity_writer *writer)
{
    for (unsigned tier = 0; tier < writer->store->count; tier++) {
        if (writer->parts[tier] != NULL) {
            return 1;
        }
    }
    return 0;
}

static int has_other_id(const etg_entity_id *id, const etg_entity_id *other)
{
    return memcmp(id, other, sizeof(*id)) != 0;
}
