/* SPDX-License-Identifier: Apache-2.0 */
/*
 * primary_record.c: packs, unpacks and changes the primary record.
 *
 * Payload (items of record.h):
 *
 *   fixed64  generation
 *   number   invalidated at, purged at (µs; 0: never)
 *   text     key
 *   number   specs, and a text each
 *   number   rows, and per row:
 *     number  spec | HAS_*
 *     bytes   vary hash, unless all zeros
 *     time    received, from the row before it (the first: from the
 *             generation's time)
 *     time    expires; date; both from the second of received
 *     text    etag, if there is one
 *
 * The record of a page without Vary has one row of spec "" and is read on
 * every hit: nothing is hashed for it, and nothing allocated but the row.
 */
#include "lib/primary_record.h"

#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "lib/record.h"

#define SPEC_BITS 0x0fu
#define HAS_VARY 0x10u
#define HAS_ETAG 0x20u

#define KEY_BYTES_MAX 16384
#define ROW_BYTES_MIN 4         /* spec, received, expires, date */
#define RANDOM_MASK ((1u << ETG_GENERATION_SHIFT) - 1)

_Static_assert(ETG_PRIMARY_SPECS_MAX == SPEC_BITS + 1, "specs fill the bits");

static const etg_vary_hash no_vary;

static void put_row(etg_record_writer *writer, const etg_primary_row *row,
                    apr_time_t base, int has_etag);
static void read_specs(etg_record_reader *reader, etg_primary *primary);
static void read_rows(etg_record_reader *reader, apr_pool_t *p,
                      etg_primary *primary);
static void read_row(etg_record_reader *reader, etg_primary_row *row,
                     apr_time_t base, unsigned spec_count);
static const char *read_etag(etg_record_reader *reader);
static int is_same_variant(const etg_primary *primary,
                           const etg_primary_row *one, const char *spec,
                           const etg_vary_hash *vary);
static int keep_spec(etg_primary *primary, const char *spec,
                     apr_uint16_t *index);
static const etg_primary_row *newer(const etg_primary_row *best,
                                    const etg_primary_row *row);
static unsigned random_bits(apr_time_t now);
static apr_time_t after_all(const etg_primary *primary, apr_time_t last,
                            apr_time_t now);

void etg_primary_init(etg_primary *primary, const char *key,
                      apr_size_t key_length, apr_time_t now,
                      apr_uint64_t older_than)
{
    unsigned low = random_bits(now);
    apr_uint64_t generation = (apr_uint64_t)now << ETG_GENERATION_SHIFT | low;

    /* A clock that was set back, or is behind another machine's. */
    if (generation <= older_than) {
        generation = older_than + 1 + low;
    }
    memset(primary, 0, sizeof(*primary));
    primary->key = key;
    primary->key_length = key_length;
    primary->generation = generation == 0 ? 1 : generation;
}

apr_status_t etg_primary_pack(const etg_primary *primary, apr_pool_t *p,
                              etg_bytes *record)
{
    etg_record_writer writer;
    apr_time_t base = etg_generation_time(primary->generation);
    unsigned i;

    if (primary->key_length > KEY_BYTES_MAX
        || primary->row_count > ETG_PRIMARY_ROWS_MAX
        || primary->spec_count > ETG_PRIMARY_SPECS_MAX) {
        return APR_ENOSPC;
    }
    if (primary->invalidated_at < 0 || primary->purged_at < 0) {
        return APR_EINVAL;
    }
    etg_record_begin(&writer, ETG_RECORD_PRIMARY, ETG_PRIMARY_VERSION,
                     primary->key_length + 64 * (primary->row_count + 1), p);
    etg_record_put_fixed64(&writer, primary->generation);
    etg_record_put_number(&writer, (apr_uint64_t)primary->invalidated_at);
    etg_record_put_number(&writer, (apr_uint64_t)primary->purged_at);
    etg_record_put_text(&writer, primary->key, primary->key_length);
    etg_record_put_number(&writer, primary->spec_count);
    for (i = 0; i < primary->spec_count; i++) {
        etg_record_put_text(&writer, primary->specs[i],
                            strlen(primary->specs[i]));
    }
    etg_record_put_number(&writer, primary->row_count);
    for (i = 0; i < primary->row_count; i++) {
        const etg_primary_row *row = &primary->rows[i];

        if (row->spec >= primary->spec_count) {
            return APR_EINVAL;
        }
        put_row(&writer, row, base,
                row->etag != NULL && primary->specs[row->spec][0] != '\0');
        base = row->received_at;
    }
    return etg_record_end(&writer, record);
}

apr_status_t etg_primary_unpack(etg_bytes record, apr_pool_t *p,
                                etg_primary *primary)
{
    etg_record_reader reader;
    etg_primary read;
    apr_status_t rv = etg_record_open(&reader, record, ETG_RECORD_PRIMARY,
                                      ETG_PRIMARY_VERSION);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    read.generation = etg_record_fixed64(&reader);
    read.invalidated_at = (apr_time_t)etg_record_number(&reader);
    read.purged_at = (apr_time_t)etg_record_number(&reader);
    read.key = etg_record_text(&reader, &read.key_length);
    read_specs(&reader, &read);
    read_rows(&reader, p, &read);
    if (!etg_record_is_done(&reader) || read.generation == 0
        || read.invalidated_at < 0 || read.purged_at < 0) {
        return APR_EINVAL;
    }
    *primary = read;
    return APR_SUCCESS;
}

apr_status_t etg_primary_put(etg_primary *primary, const char *spec,
                             const etg_primary_row *row, unsigned max_rows,
                             apr_time_t now, apr_pool_t *p, unsigned *dropped)
{
    etg_primary before = *primary;
    etg_primary_row *fresh = apr_palloc(p, (before.row_count + 1)
                                               * sizeof(*fresh));
    unsigned lost = 0;
    unsigned i;

    if (max_rows > ETG_PRIMARY_ROWS_MAX) {
        max_rows = ETG_PRIMARY_ROWS_MAX;
    }
    fresh[0] = *row;
    fresh[0].spec = 0;
    fresh[0].etag = *spec == '\0' ? NULL : apr_pstrdup(p, row->etag);
    primary->specs[0] = apr_pstrdup(p, spec);
    primary->spec_count = 1;
    primary->rows = fresh;
    primary->row_count = 1;
    for (i = 0; i < before.row_count; i++) {
        const etg_primary_row *old = &before.rows[i];

        if (old->expires_at <= now
            || is_same_variant(&before, old, spec, &row->vary)) {
            continue;
        }
        fresh[primary->row_count] = *old;
        if (primary->row_count < max_rows
            && keep_spec(primary, before.specs[old->spec],
                         &fresh[primary->row_count].spec)) {
            primary->row_count++;
        }
        else {
            lost++;
        }
    }
    *dropped = lost;
    return APR_SUCCESS;
}

const etg_primary_row *etg_primary_choose(const etg_primary *primary,
                                          const apr_table_t *request_fields,
                                          const etg_vary_rules *rules,
                                          apr_pool_t *p)
{
    const etg_primary_row *best = NULL;
    etg_vary_hash vary;
    unsigned spec;
    unsigned i;

    for (spec = 0; spec < primary->spec_count; spec++) {
        vary = no_vary;
        if (primary->specs[spec][0] != '\0') {
            etg_vary_hash_of(&vary, primary->specs[spec], request_fields,
                             rules, p);
        }
        for (i = 0; i < primary->row_count; i++) {
            const etg_primary_row *row = &primary->rows[i];

            if (row->spec == spec
                && memcmp(&row->vary, &vary, sizeof(vary)) == 0) {
                best = newer(best, row);
            }
        }
    }
    return best;
}

void etg_primary_mark(etg_primary *primary, etg_store_mark mark,
                      apr_time_t now)
{
    apr_time_t invalidated_at;

    if (mark == ETG_STORE_MARK_SOFT) {
        primary->purged_at = after_all(primary, primary->purged_at, now);
    }
    else if (mark != ETG_STORE_MARK_NONE) {
        invalidated_at = after_all(primary, primary->invalidated_at, now);
        if (mark == ETG_STORE_MARK_GONE) {
            etg_primary_init(primary, primary->key, primary->key_length, now,
                             primary->generation);
        }
        primary->invalidated_at = invalidated_at;
    }
}

static apr_time_t after_all(const etg_primary *primary, apr_time_t last,
                            apr_time_t now)
{
    apr_time_t at = now > last ? now : last + 1;

    for (unsigned i = 0; i < primary->row_count; i++) {
        if (primary->rows[i].received_at > at) {
            at = primary->rows[i].received_at;
        }
    }
    return at;
}

int etg_primary_is_marked_since(const etg_primary *primary,
                                apr_time_t invalidated_at,
                                apr_time_t purged_at)
{
    return primary->invalidated_at != invalidated_at
        || primary->purged_at != purged_at;
}

static void put_row(etg_record_writer *writer, const etg_primary_row *row,
                    apr_time_t base, int has_etag)
{
    int has_vary = memcmp(&row->vary, &no_vary, sizeof(no_vary)) != 0;
    apr_time_t second = etg_second_of(row->received_at);

    etg_record_put_number(writer, row->spec | (has_vary ? HAS_VARY : 0)
                                      | (has_etag ? HAS_ETAG : 0));
    if (has_vary) {
        etg_record_put_bytes(writer, row->vary.bytes, ETG_VARY_HASH_BYTES);
    }
    etg_record_put_time(writer, row->received_at, base);
    etg_record_put_time(writer, row->expires_at, second);
    etg_record_put_time(writer, row->date, second);
    if (has_etag) {
        apr_size_t length = strlen(row->etag);

        if (!etg_record_is_line(row->etag, length)) {
            etg_record_fail(writer, APR_EINVAL);
        }
        etg_record_put_text(writer, row->etag, length);
    }
}

static void read_specs(etg_record_reader *reader, etg_primary *primary)
{
    unsigned i;

    primary->spec_count = etg_record_count(reader, ETG_PRIMARY_SPECS_MAX);
    for (i = 0; i < primary->spec_count; i++) {
        primary->specs[i] = etg_record_text(reader, NULL);
    }
}

static void read_rows(etg_record_reader *reader, apr_pool_t *p,
                      etg_primary *primary)
{
    apr_time_t base = etg_generation_time(primary->generation);
    unsigned count = etg_record_count(reader, ETG_PRIMARY_ROWS_MAX);
    unsigned i;

    primary->rows = NULL;
    primary->row_count = 0;
    if (count == 0) {
        return;
    }
    if (count > etg_record_left(reader) / ROW_BYTES_MIN) {
        etg_record_refuse(reader);
        return;
    }
    primary->rows = apr_palloc(p, count * sizeof(*primary->rows));
    for (i = 0; i < count; i++) {
        read_row(reader, &primary->rows[i], base, primary->spec_count);
        base = primary->rows[i].received_at;
    }
    primary->row_count = count;
}

static void read_row(etg_record_reader *reader, etg_primary_row *row,
                     apr_time_t base, unsigned spec_count)
{
    unsigned head = etg_record_count(reader,
                                     SPEC_BITS | HAS_VARY | HAS_ETAG);
    const unsigned char *vary = no_vary.bytes;
    apr_time_t second;

    row->spec = head & SPEC_BITS;
    if (row->spec >= spec_count) {
        etg_record_refuse(reader);
    }
    if (head & HAS_VARY) {
        vary = etg_record_bytes(reader, ETG_VARY_HASH_BYTES);
    }
    if (vary != NULL) {
        memcpy(row->vary.bytes, vary, ETG_VARY_HASH_BYTES);
    }
    row->received_at = etg_record_time(reader, base);
    second = etg_second_of(row->received_at);
    row->expires_at = etg_record_time(reader, second);
    row->date = etg_record_time(reader, second);
    row->etag = head & HAS_ETAG ? read_etag(reader) : NULL;
}

static const char *read_etag(etg_record_reader *reader)
{
    apr_size_t length;
    const char *etag = etg_record_text(reader, &length);

    /* It goes into requests to the backend. */
    if (!etg_record_is_line(etag, length)) {
        etg_record_refuse(reader);
    }
    return etag;
}

static int is_same_variant(const etg_primary *primary,
                           const etg_primary_row *one, const char *spec,
                           const etg_vary_hash *vary)
{
    return memcmp(&one->vary, vary, sizeof(*vary)) == 0
           && strcmp(primary->specs[one->spec], spec) == 0;
}

/* Finds or adds a spec; 0 if there is no room for one more. */
static int keep_spec(etg_primary *primary, const char *spec,
                     apr_uint16_t *index)
{
    unsigned i;

    for (i = 0; i < primary->spec_count; i++) {
        if (strcmp(primary->specs[i], spec) == 0) {
            break;
        }
    }
    if (i == ETG_PRIMARY_SPECS_MAX) {
        return 0;
    }
    if (i == primary->spec_count) {
        primary->specs[primary->spec_count++] = spec;
    }
    *index = (apr_uint16_t)i;
    return 1;
}

static const etg_primary_row *newer(const etg_primary_row *best,
                                    const etg_primary_row *row)
{
    if (best == NULL || row->date > best->date
        || (row->date == best->date
            && row->received_at > best->received_at)) {
        return row;
    }
    return best;
}

/* Two machines that make a generation in the same µs get different ones. */
static unsigned random_bits(apr_time_t now)
{
    unsigned bits;

    if (apr_generate_random_bytes((unsigned char *)&bits, sizeof(bits))
        != APR_SUCCESS) {
        bits = (unsigned)((apr_uint64_t)now * 2654435761u >> 16);
    }
    return bits & RANDOM_MASK;
}
