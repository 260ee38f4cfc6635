/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stored_response.c: packs and unpacks the response record.
 *
 * Payload (items of record.h; times count from the generation's time or from
 * the second the response was received in, which makes them short):
 *
 *   number   generation
 *   number   status << 5 | HAS_* | IS_*
 *   text     status line, unless it is the status' usual one
 *   bytes    vary hash, unless all zeros
 *   time     received; interval: requested, before that
 *   number   freshness flags; time: date; intervals: initial age, lifetime,
 *            stale-if-error, stale-while-revalidate
 *   bytes    entity; number: body length; both only with a body
 *   number   plain length, only with a body that is gzip-coded
 *   origin   (stored_origin.c), only with HAS_ORIGIN
 *   text     key
 *   number   fields; of them with a date for a value; which one is the
 *            validator ETag, and Last-Modified (from 1; 0: none)
 *
 * and per field a name (number: a code, or 0 and a text) and a value
 * (number h: h even: h / 2 bytes and a NUL; h odd: the value of code h / 2;
 * h = 1: an HTTP date, as a time).
 *
 * A hit unpacks, so reading is one pass and one allocation: rows, and behind
 * them room for the dates that are written out again.
 */
#include "lib/stored_response.h"

#include <string.h>
#include <strings.h>

#include "lib/field_list.h"
#include "lib/field_words.h"
#include "lib/record.h"
#include "lib/stored_origin.h"

#define HAS_BODY 1u
#define HAS_VARY 2u
#define HAS_LINE 4u
#define IS_GZIP 8u
#define IS_CODED_HERE 16u
#define HAS_ORIGIN 32u
#define HAS_BITS 6

/* No gzip-coded body is shorter (header, an empty block, trailer), and none
 * can inflate to more than so many times its length. */
#define GZIP_BYTES_MIN 20
#define GZIP_RATIO_MAX 1032

#define VALUE_IS_DATE 1u

#define FIELDS_MAX 512
#define FIELD_BYTES_MAX 65536
#define KEY_BYTES_MAX 16384

/* Where unpacking a field list puts things. */
typedef struct field_space {
    etg_field *rows;
    char *dates;            /* the next free date */
    unsigned dates_left;
    apr_time_t base;
} field_space;

static const etg_vary_hash no_vary;

static apr_status_t check_limits(const etg_stored_response *response);
static int coding_is_possible(const etg_stored_response *response);
static apr_uint64_t status_bits(const etg_stored_response *response);
static void put_numbers(etg_record_writer *writer,
                        const etg_stored_response *response);
static void put_fields(etg_record_writer *writer,
                       const etg_stored_response *response);
static void put_field(etg_record_writer *writer, const etg_field *field,
                      apr_time_t base);
static void put_value(etg_record_writer *writer, const char *value,
                      apr_time_t base);
static unsigned count_dates(const etg_stored_response *response);
static unsigned index_of(const etg_stored_response *response,
                         const char *name, const char *value);
static void read_numbers(etg_record_reader *reader,
                         etg_stored_response *response);
static void read_freshness(etg_record_reader *reader,
                           etg_stored_response *response);
static void read_entity(etg_record_reader *reader,
                        etg_stored_response *response);
static void read_fields(etg_record_reader *reader, apr_pool_t *p,
                        etg_stored_response *response);
static const char *read_name(etg_record_reader *reader);
static const char *read_value(etg_record_reader *reader, field_space *space);
static const char *read_date(etg_record_reader *reader, field_space *space);
static const char *validator(const etg_stored_response *response,
                             unsigned index);

apr_status_t etg_stored_response_pack(const etg_stored_response *response,
                                      apr_pool_t *p, etg_bytes *record)
{
    etg_record_writer writer;
    apr_status_t rv = check_limits(response);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_record_begin(&writer, ETG_RECORD_RESPONSE,
                     ETG_STORED_RESPONSE_VERSION,
                     512 + response->key_length, p);
    put_numbers(&writer, response);
    etg_stored_origin_put(&writer, response);
    etg_record_put_text(&writer, response->key, response->key_length);
    put_fields(&writer, response);
    return etg_record_end(&writer, record);
}

apr_status_t etg_stored_response_unpack(etg_bytes record, apr_pool_t *p,
                                        etg_stored_response *response)
{
    etg_record_reader reader;
    etg_stored_response read;
    apr_status_t rv = etg_record_open(&reader, record, ETG_RECORD_RESPONSE,
                                      ETG_STORED_RESPONSE_VERSION);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    memset(&read, 0, sizeof(read));
    read_numbers(&reader, &read);
    read.key = etg_record_text(&reader, &read.key_length);
    read_fields(&reader, p, &read);
    if (!etg_record_is_done(&reader)) {
        return APR_EINVAL;
    }
    *response = read;
    return APR_SUCCESS;
}

static apr_status_t check_limits(const etg_stored_response *response)
{
    apr_size_t bytes = 0;
    unsigned i;

    if (response->key_length > KEY_BYTES_MAX
        || response->field_count > FIELDS_MAX) {
        return APR_ENOSPC;
    }
    if (response->status < 100 || response->status > 999
        || !etg_record_is_line(response->status_line,
                               strlen(response->status_line))
        || !coding_is_possible(response)) {
        return APR_EINVAL;
    }
    for (i = 0; i < response->field_count; i++) {
        const etg_field *field = &response->fields[i];
        apr_size_t length = strlen(field->value);

        if (!etg_is_token(etg_bytes_of(field->name))
            || !etg_record_is_line(field->value, length)
            || (response->coding != ETG_CODING_IDENTITY
                && strcasecmp(field->name, "Content-Encoding") == 0)) {
            return APR_EINVAL;
        }
        bytes += strlen(field->name) + length;
    }
    for (i = 0; i < 2; i++) {
        const char *own = i == 0 ? response->backend_etag
                                 : response->backend_last_modified;

        if (own != NULL && !etg_record_is_line(own, strlen(own))) {
            return APR_EINVAL;
        }
        bytes += own != NULL ? strlen(own) : 0;
    }
    return bytes > FIELD_BYTES_MAX ? APR_ENOSPC : APR_SUCCESS;
}

/* Do coding, lengths and who coded it go together? */
static int coding_is_possible(const etg_stored_response *response)
{
    if (response->coding == ETG_CODING_IDENTITY) {
        return !response->is_coded_here && response->plain_length == 0;
    }
    return response->coding == ETG_CODING_GZIP && response->has_body
           && response->body_length >= GZIP_BYTES_MIN
           && response->plain_length / GZIP_RATIO_MAX <= response->body_length;
}

/* What HAS_* and IS_* say, but for the status line. */
static apr_uint64_t status_bits(const etg_stored_response *response)
{
    int has_vary = memcmp(&response->vary, &no_vary, sizeof(no_vary)) != 0;

    return (response->has_body ? HAS_BODY : 0) | (has_vary ? HAS_VARY : 0)
           | (response->coding == ETG_CODING_GZIP ? IS_GZIP : 0)
           | (response->is_coded_here ? IS_CODED_HERE : 0)
           | (etg_stored_origin_is_said(response) ? HAS_ORIGIN : 0);
}

static void put_numbers(etg_record_writer *writer,
                        const etg_stored_response *response)
{
    const etg_freshness *freshness = &response->freshness;
    const char *usual = etg_status_line_of(response->status);
    int has_line = usual == NULL || strcmp(usual, response->status_line) != 0;
    apr_uint64_t bits = status_bits(response) | (has_line ? HAS_LINE : 0);

    etg_record_put_number(writer, response->generation);
    etg_record_put_number(writer, (apr_uint64_t)response->status << HAS_BITS
                                      | bits);
    if (has_line) {
        etg_record_put_text(writer, response->status_line,
                            strlen(response->status_line));
    }
    if (bits & HAS_VARY) {
        etg_record_put_bytes(writer, response->vary.bytes,
                             ETG_VARY_HASH_BYTES);
    }
    etg_record_put_time(writer, response->received_at,
                        etg_generation_time(response->generation));
    etg_record_put_time(writer, response->requested_at,
                        response->received_at);
    etg_record_put_number(writer, freshness->flags);
    etg_record_put_time(writer, freshness->date,
                        etg_second_of(response->received_at));
    etg_record_put_interval(writer, freshness->initial_age);
    etg_record_put_interval(writer, freshness->lifetime);
    etg_record_put_interval(writer, freshness->stale_if_error);
    etg_record_put_interval(writer, freshness->stale_while_revalidate);
    if (response->has_body) {
        etg_record_put_bytes(writer, response->entity.bytes,
                             ETG_ENTITY_ID_BYTES);
        etg_record_put_number(writer, response->body_length);
    }
    if (bits & IS_GZIP) {
        etg_record_put_number(writer, response->plain_length);
    }
}

static void put_fields(etg_record_writer *writer,
                       const etg_stored_response *response)
{
    apr_time_t base = etg_second_of(response->received_at);
    unsigned etag = index_of(response, "ETag", response->etag);
    unsigned modified = index_of(response, "Last-Modified",
                                 response->last_modified);
    unsigned i;

    if (etag > response->field_count || modified > response->field_count) {
        etg_record_fail(writer, APR_EINVAL);
    }
    etg_record_put_number(writer, response->field_count);
    etg_record_put_number(writer, count_dates(response));
    etg_record_put_number(writer, etag);
    etg_record_put_number(writer, modified);
    for (i = 0; i < response->field_count; i++) {
        put_field(writer, &response->fields[i], base);
    }
}

static void put_field(etg_record_writer *writer, const etg_field *field,
                      apr_time_t base)
{
    unsigned code = etg_name_code(field->name);

    etg_record_put_number(writer, code);
    if (code == 0) {
        etg_record_put_text(writer, field->name, strlen(field->name));
    }
    put_value(writer, field->value, base);
}

static void put_value(etg_record_writer *writer, const char *value,
                      apr_time_t base)
{
    unsigned code = etg_value_code(value);
    apr_size_t length;
    apr_time_t when;

    if (code > 0) {
        etg_record_put_number(writer, 2 * code + 1);
        return;
    }
    if (etg_date_read(value, &when)) {
        etg_record_put_number(writer, VALUE_IS_DATE);
        etg_record_put_time(writer, when, base);
        return;
    }
    length = strlen(value);
    etg_record_put_number(writer, 2 * length);
    if (length > 0) {
        etg_record_put_bytes(writer, value, length + 1);
    }
}

static unsigned count_dates(const etg_stored_response *response)
{
    unsigned count = 0;
    unsigned i;

    for (i = 0; i < response->field_count; i++) {
        apr_time_t when;

        count += etg_date_read(response->fields[i].value, &when) != 0;
    }
    return count;
}

/* From 1; 0 for a value of NULL; beyond the fields if it is in none. */
static unsigned index_of(const etg_stored_response *response,
                         const char *name, const char *value)
{
    unsigned i;

    if (value == NULL) {
        return 0;
    }
    for (i = 0; i < response->field_count; i++) {
        if (strcasecmp(response->fields[i].name, name) == 0
            && strcmp(response->fields[i].value, value) == 0) {
            break;
        }
    }
    return i + 1;
}

static void read_numbers(etg_record_reader *reader,
                         etg_stored_response *response)
{
    const unsigned char *vary;
    unsigned status;

    response->generation = etg_record_number(reader);
    status = etg_record_count(reader, (1000u << HAS_BITS) - 1);
    response->has_body = (status & HAS_BODY) != 0;
    response->coding = status & IS_GZIP ? ETG_CODING_GZIP
                                        : ETG_CODING_IDENTITY;
    response->is_coded_here = (status & IS_CODED_HERE) != 0;
    response->status = (int)(status >> HAS_BITS);
    response->status_line = status & HAS_LINE
                                ? etg_record_line(reader)
                                : etg_status_line_of(response->status);
    if (response->status < 100 || response->status_line == NULL) {
        etg_record_refuse(reader);
    }
    if (status & HAS_VARY) {
        vary = etg_record_bytes(reader, ETG_VARY_HASH_BYTES);
        if (vary != NULL) {
            memcpy(response->vary.bytes, vary, ETG_VARY_HASH_BYTES);
        }
    }
    response->received_at = etg_record_time(
        reader, etg_generation_time(response->generation));
    response->requested_at = etg_record_time(reader, response->received_at);
    read_freshness(reader, response);
    if (response->has_body) {
        read_entity(reader, response);
    }
    response->fetched_at = response->requested_at;
    if (status & HAS_ORIGIN) {
        etg_stored_origin_read(reader, response);
    }
    if (!coding_is_possible(response)) {
        etg_record_refuse(reader);
    }
}

static void read_freshness(etg_record_reader *reader,
                           etg_stored_response *response)
{
    etg_freshness *freshness = &response->freshness;

    freshness->flags = etg_record_count(reader, 0xffffffff);
    freshness->date = etg_record_time(reader,
                                      etg_second_of(response->received_at));
    freshness->initial_age = etg_record_interval(reader);
    freshness->lifetime = etg_record_interval(reader);
    freshness->stale_if_error = etg_record_interval(reader);
    freshness->stale_while_revalidate = etg_record_interval(reader);
}

static void read_entity(etg_record_reader *reader,
                        etg_stored_response *response)
{
    const unsigned char *id = etg_record_bytes(reader, ETG_ENTITY_ID_BYTES);

    if (id != NULL) {
        memcpy(response->entity.bytes, id, ETG_ENTITY_ID_BYTES);
    }
    response->body_length = etg_record_number(reader);
    if (response->coding == ETG_CODING_GZIP) {
        response->plain_length = etg_record_number(reader);
    }
}

static void read_fields(etg_record_reader *reader, apr_pool_t *p,
                        etg_stored_response *response)
{
    unsigned count = etg_record_count(reader, FIELDS_MAX);
    unsigned dates = etg_record_count(reader, count);
    unsigned etag = etg_record_count(reader, count);
    unsigned modified = etg_record_count(reader, count);
    field_space space;
    unsigned i;

    if (reader->failed || count == 0) {
        return;
    }
    space.rows = apr_palloc(p, count * sizeof(etg_field)
                                   + dates * ETG_DATE_BYTES);
    space.dates = (char *)(space.rows + count);
    space.dates_left = dates;
    space.base = etg_second_of(response->received_at);
    for (i = 0; i < count; i++) {
        space.rows[i].name = read_name(reader);
        space.rows[i].value = read_value(reader, &space);
    }
    response->fields = space.rows;
    response->field_count = count;
    response->etag = validator(response, etag);
    response->last_modified = validator(response, modified);
}

static const char *validator(const etg_stored_response *response,
                             unsigned index)
{
    return index == 0 ? NULL : response->fields[index - 1].value;
}

static const char *read_name(etg_record_reader *reader)
{
    apr_uint64_t code = etg_record_number(reader);
    const char *name = etg_name_of(code);
    etg_bytes text;

    if (code == 0) {
        name = etg_record_text(reader, &text.length);
        text.data = (const unsigned char *)name;
        if (!etg_is_token(text)) {
            etg_record_refuse(reader);
        }
    }
    else if (name == NULL) {
        etg_record_refuse(reader);
    }
    return name;
}

static const char *read_value(etg_record_reader *reader, field_space *space)
{
    apr_uint64_t head = etg_record_number(reader);
    apr_size_t length = head >> 1;
    const unsigned char *bytes;
    const char *value;

    if (head == VALUE_IS_DATE) {
        return read_date(reader, space);
    }
    if (head & 1) {
        value = etg_value_of(head >> 1);
        if (value == NULL) {
            etg_record_refuse(reader);
        }
        return value;
    }
    if (length == 0) {
        return "";
    }
    bytes = etg_record_bytes(reader, length + 1);
    value = (const char *)bytes;
    if (bytes != NULL
        && (bytes[length] != '\0' || !etg_record_is_line(value, length))) {
        etg_record_refuse(reader);
    }
    return value;
}

static const char *read_date(etg_record_reader *reader, field_space *space)
{
    apr_time_t when = etg_record_time(reader, space->base);
    char *text = space->dates;

    if (space->dates_left == 0 || !etg_date_write(text, when)) {
        etg_record_refuse(reader);
        return "";
    }
    space->dates_left--;
    space->dates += ETG_DATE_BYTES;
    return text;
}
