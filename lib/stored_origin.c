/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stored_origin.c: packs and unpacks where a stored response comes from.
 *
 * Items of record.h: a number ORIGIN_*, not 0, and as it says bytes: the
 * digest of the data; interval: fetched, before requested; text: the backend's
 * ETag; text: its Last-Modified.
 */
#include "lib/stored_origin.h"

#include <string.h>

/* What is known of where the response comes from. */
#define ORIGIN_HAS_DATA 1u
#define ORIGIN_HAS_FETCHED 2u
#define ORIGIN_ETAG_IS_OURS 4u
#define ORIGIN_MODIFIED_IS_OURS 8u
#define ORIGIN_HAS_ETAG 16u
#define ORIGIN_HAS_MODIFIED 32u
#define ORIGIN_ALL 63u

static unsigned bits_of(const etg_stored_response *response);
static int are_possible(unsigned bits);
static const char *read_own(etg_record_reader *reader);

const char *etg_stored_backend_etag(const etg_stored_response *stored)
{
    return stored->is_etag_ours ? stored->backend_etag : stored->etag;
}

const char *etg_stored_backend_last_modified(
    const etg_stored_response *stored)
{
    return stored->is_last_modified_ours ? stored->backend_last_modified
                                         : stored->last_modified;
}

int etg_stored_origin_is_said(const etg_stored_response *response)
{
    return bits_of(response) != 0;
}

static unsigned bits_of(const etg_stored_response *response)
{
    int is_older = response->fetched_at != 0
                   && response->fetched_at != response->requested_at;
    int has_etag = response->is_etag_ours && response->backend_etag != NULL;
    int has_modified = response->is_last_modified_ours
                       && response->backend_last_modified != NULL;

    return (response->has_data ? ORIGIN_HAS_DATA : 0)
           | (is_older ? ORIGIN_HAS_FETCHED : 0)
           | (response->is_etag_ours ? ORIGIN_ETAG_IS_OURS : 0)
           | (response->is_last_modified_ours ? ORIGIN_MODIFIED_IS_OURS : 0)
           | (has_etag ? ORIGIN_HAS_ETAG : 0)
           | (has_modified ? ORIGIN_HAS_MODIFIED : 0);
}

void etg_stored_origin_put(etg_record_writer *writer,
                           const etg_stored_response *response)
{
    unsigned bits = bits_of(response);

    if (bits == 0) {
        return;
    }
    etg_record_put_number(writer, bits);
    if (bits & ORIGIN_HAS_DATA) {
        etg_record_put_bytes(writer, response->data, ETG_STORED_DATA_BYTES);
    }
    if (bits & ORIGIN_HAS_FETCHED) {
        etg_record_put_time(writer, response->fetched_at,
                            response->requested_at);
    }
    if (bits & ORIGIN_HAS_ETAG) {
        etg_record_put_text(writer, response->backend_etag,
                            strlen(response->backend_etag));
    }
    if (bits & ORIGIN_HAS_MODIFIED) {
        etg_record_put_text(writer, response->backend_last_modified,
                            strlen(response->backend_last_modified));
    }
}

void etg_stored_origin_read(etg_record_reader *reader,
                            etg_stored_response *response)
{
    unsigned bits = etg_record_count(reader, ORIGIN_ALL);
    const unsigned char *data;

    if (!are_possible(bits)) {
        etg_record_refuse(reader);
    }
    response->has_data = (bits & ORIGIN_HAS_DATA) != 0;
    response->is_etag_ours = (bits & ORIGIN_ETAG_IS_OURS) != 0;
    response->is_last_modified_ours = (bits & ORIGIN_MODIFIED_IS_OURS) != 0;
    if (response->has_data) {
        data = etg_record_bytes(reader, ETG_STORED_DATA_BYTES);
        if (data != NULL) {
            memcpy(response->data, data, ETG_STORED_DATA_BYTES);
        }
    }
    if (bits & ORIGIN_HAS_FETCHED) {
        response->fetched_at = etg_record_time(reader,
                                               response->requested_at);
    }
    if (bits & ORIGIN_HAS_ETAG) {
        response->backend_etag = read_own(reader);
    }
    if (bits & ORIGIN_HAS_MODIFIED) {
        response->backend_last_modified = read_own(reader);
    }
}

/* What stands in place of a validator is there only if ours took its place. */
static int are_possible(unsigned bits)
{
    return bits != 0
           && (!(bits & ORIGIN_HAS_ETAG) || (bits & ORIGIN_ETAG_IS_OURS))
           && (!(bits & ORIGIN_HAS_MODIFIED)
               || (bits & ORIGIN_MODIFIED_IS_OURS));
}

/* A validator that the backend sent. */
static const char *read_own(etg_record_reader *reader)
{
    const char *value = etg_record_line(reader);

    if (value == NULL) {
        etg_record_refuse(reader);
    }
    return value;
}
