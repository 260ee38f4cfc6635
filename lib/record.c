/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c: writes and reads the frame and the items of stored records.
 *
 * A writer owns one growing buffer in a pool, the frame's head in front; the
 * payload's length is filled in and the checksum added when it ends. A reader
 * is two pointers into somebody else's bytes. Both are used by one thread.
 */
#include "lib/record.h"

#include <string.h>

#include <xxhash.h>

#define MAGIC 0xE7
#define HEAD_BYTES 6
#define SUM_BYTES 8
#define INTERVAL_MAX ((apr_int64_t)1 << 61)

static unsigned char *room(etg_record_writer *writer, apr_size_t length);
static void store_big_endian(unsigned char *to, apr_uint64_t number,
                             unsigned bytes);
static apr_uint64_t load_big_endian(const unsigned char *from,
                                    unsigned bytes);
static apr_uint64_t fail(etg_record_reader *reader);

void etg_record_begin(etg_record_writer *writer, etg_record_kind kind,
                      unsigned version, apr_size_t expected, apr_pool_t *p)
{
    writer->pool = p;
    writer->capacity = expected + ETG_RECORD_OVERHEAD;
    writer->bytes = apr_palloc(p, writer->capacity);
    writer->bytes[0] = MAGIC;
    writer->bytes[1] = (unsigned char)kind;
    writer->bytes[2] = (unsigned char)version;
    writer->length = HEAD_BYTES;
    writer->failure = APR_SUCCESS;
}

void etg_record_put_number(etg_record_writer *writer, apr_uint64_t number)
{
    unsigned char *to;
    unsigned more = 0;

    while (more < 8 && number >> (7 * (more + 1)) != 0) {
        more++;
    }
    to = room(writer, more + 1);
    if (to == NULL) {
        return;
    }
    if (more == 8) {
        to[0] = 0xff;
        store_big_endian(to + 1, number, 8);
        return;
    }
    store_big_endian(to, number, more + 1);
    to[0] |= (unsigned char)(0xff00 >> more);
}

void etg_record_put_fixed64(etg_record_writer *writer, apr_uint64_t number)
{
    unsigned char *to = room(writer, 8);

    if (to != NULL) {
        store_big_endian(to, number, 8);
    }
}

void etg_record_put_interval(etg_record_writer *writer,
                             apr_interval_time_t interval)
{
    int is_whole = interval % APR_USEC_PER_SEC == 0;
    apr_int64_t value = is_whole ? interval / APR_USEC_PER_SEC : interval;
    apr_uint64_t folded;

    if (interval > INTERVAL_MAX || interval < -INTERVAL_MAX) {
        etg_record_fail(writer, APR_EINVAL);
        return;
    }
    /* The sign in the second lowest bit, so that small means short. */
    folded = value < 0 ? ((apr_uint64_t)-(value + 1) << 1) | 1
                       : (apr_uint64_t)value << 1;
    etg_record_put_number(writer, folded << 1 | (is_whole ? 0 : 1));
}

void etg_record_put_time(etg_record_writer *writer, apr_time_t when,
                         apr_time_t base)
{
    apr_interval_time_t interval;

    if (__builtin_sub_overflow(when, base, &interval)) {
        etg_record_fail(writer, APR_EINVAL);
        return;
    }
    etg_record_put_interval(writer, interval);
}

void etg_record_put_text(etg_record_writer *writer, const char *text,
                         apr_size_t length)
{
    etg_record_put_number(writer, length);
    if (length == 0) {
        return;
    }
    if (memchr(text, '\0', length) != NULL) {
        etg_record_fail(writer, APR_EINVAL);
        return;
    }
    etg_record_put_bytes(writer, text, length);
    etg_record_put_bytes(writer, "", 1);
}

void etg_record_put_bytes(etg_record_writer *writer, const void *bytes,
                          apr_size_t length)
{
    unsigned char *to = room(writer, length);

    if (to != NULL && length > 0) {
        memcpy(to, bytes, length);
    }
}

void etg_record_fail(etg_record_writer *writer, apr_status_t failure)
{
    if (writer->failure == APR_SUCCESS) {
        writer->failure = failure;
    }
}

apr_status_t etg_record_end(etg_record_writer *writer, etg_bytes *record)
{
    apr_size_t payload = writer->length - HEAD_BYTES;
    unsigned char *sum = room(writer, SUM_BYTES);

    if (sum == NULL) {
        return writer->failure;
    }
    store_big_endian(writer->bytes + 3, payload, 3);
    store_big_endian(sum, XXH3_64bits(writer->bytes, HEAD_BYTES + payload),
                     SUM_BYTES);
    record->data = writer->bytes;
    record->length = writer->length;
    return APR_SUCCESS;
}

apr_status_t etg_record_open(etg_record_reader *reader, etg_bytes record,
                             etg_record_kind kind, unsigned version)
{
    const unsigned char *bytes = record.data;
    apr_size_t before_sum;

    if (bytes == NULL || record.length < ETG_RECORD_OVERHEAD) {
        return APR_EINVAL;
    }
    before_sum = record.length - SUM_BYTES;
    if (bytes[0] != MAGIC || bytes[1] != (unsigned char)kind
        || bytes[2] != version
        || load_big_endian(bytes + 3, 3) != before_sum - HEAD_BYTES
        || load_big_endian(bytes + before_sum, SUM_BYTES)
               != XXH3_64bits(bytes, before_sum)) {
        return APR_EINVAL;
    }
    reader->at = bytes + HEAD_BYTES;
    reader->end = bytes + before_sum;
    reader->failed = 0;
    return APR_SUCCESS;
}

apr_uint64_t etg_record_number(etg_record_reader *reader)
{
    unsigned first;
    unsigned more;
    apr_uint64_t number;

    if (reader->at >= reader->end) {
        return fail(reader);
    }
    first = *reader->at++;
    if (first < 0x80) {
        return first;
    }
    more = (unsigned)__builtin_clz(~(first << 24));
    if (more > (apr_size_t)(reader->end - reader->at)) {
        return fail(reader);
    }
    number = load_big_endian(reader->at, more);
    reader->at += more;
    if (more < 8) {
        number |= (apr_uint64_t)(first & (0x7fu >> more)) << (8 * more);
    }
    return number;
}

apr_uint64_t etg_record_fixed64(etg_record_reader *reader)
{
    const unsigned char *bytes = etg_record_bytes(reader, 8);

    return bytes == NULL ? 0 : load_big_endian(bytes, 8);
}

apr_interval_time_t etg_record_interval(etg_record_reader *reader)
{
    apr_uint64_t number = etg_record_number(reader);
    apr_int64_t value = (apr_int64_t)(number >> 2);

    if (number & 2) {
        value = -value - 1;
    }
    if (!(number & 1)
        && __builtin_mul_overflow(value, APR_USEC_PER_SEC, &value)) {
        return (apr_interval_time_t)fail(reader);
    }
    return value;
}

apr_time_t etg_record_time(etg_record_reader *reader, apr_time_t base)
{
    apr_time_t sum;

    if (__builtin_add_overflow(base, etg_record_interval(reader), &sum)) {
        return (apr_time_t)fail(reader);
    }
    return sum;
}

unsigned etg_record_count(etg_record_reader *reader, unsigned most)
{
    apr_uint64_t number = etg_record_number(reader);

    return (unsigned)(number > most ? fail(reader) : number);
}

const char *etg_record_text(etg_record_reader *reader, apr_size_t *length)
{
    apr_uint64_t n = etg_record_number(reader);
    const char *text = (const char *)reader->at;

    if (n >= etg_record_left(reader)) {
        /* No room for the terminator, unless there is no text at all. */
        n = n > 0 ? fail(reader) : 0;
    }
    else if (n > 0 && memchr(text, '\0', n + 1) != text + n) {
        n = fail(reader);
    }
    if (length != NULL) {
        *length = n;
    }
    if (n == 0) {
        return "";
    }
    reader->at += n + 1;
    return text;
}

const unsigned char *etg_record_bytes(etg_record_reader *reader,
                                      apr_size_t length)
{
    const unsigned char *bytes = reader->at;

    if (length > etg_record_left(reader) || reader->failed) {
        fail(reader);
        return NULL;
    }
    reader->at += length;
    return bytes;
}

void etg_record_refuse(etg_record_reader *reader)
{
    fail(reader);
}

apr_size_t etg_record_left(const etg_record_reader *reader)
{
    return (apr_size_t)(reader->end - reader->at);
}

int etg_record_is_done(const etg_record_reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}

apr_time_t etg_generation_time(apr_uint64_t generation)
{
    return (apr_time_t)(generation >> ETG_GENERATION_SHIFT);
}

apr_time_t etg_second_of(apr_time_t when)
{
    return when - when % APR_USEC_PER_SEC;
}

/* Eight bytes at a time; where one of them is below 14 (it may be a tab) they
 * are looked at singly. */
const char *etg_record_line(etg_record_reader *reader)
{
    apr_size_t length;
    const char *line = etg_record_text(reader, &length);

    return etg_record_is_line(line, length) ? line : NULL;
}

int etg_record_is_line(const char *text, apr_size_t length)
{
    const apr_uint64_t ones = APR_UINT64_C(0x0101010101010101);
    apr_size_t i = 0;

    while (i < length) {
        apr_size_t end = length - i < 8 ? length : i + 8;

        if (end - i == 8) {
            apr_uint64_t eight;

            memcpy(&eight, text + i, 8);
            if ((((eight - ones * 14) & ~eight) & (ones * 0x80)) == 0) {
                i = end;
                continue;
            }
        }
        for (; i < end; i++) {
            if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0') {
                return 0;
            }
        }
    }
    return 1;
}

/* NULL once the record has failed. */
static unsigned char *room(etg_record_writer *writer, apr_size_t length)
{
    apr_size_t need = writer->length + length;
    unsigned char *larger;

    if (length > ETG_RECORD_PAYLOAD_MAX
        || need > ETG_RECORD_PAYLOAD_MAX + ETG_RECORD_OVERHEAD) {
        etg_record_fail(writer, APR_ENOSPC);
    }
    if (writer->failure != APR_SUCCESS) {
        return NULL;
    }
    if (need > writer->capacity) {
        writer->capacity = need + need / 2;
        larger = apr_palloc(writer->pool, writer->capacity);
        memcpy(larger, writer->bytes, writer->length);
        writer->bytes = larger;
    }
    writer->length = need;
    return writer->bytes + need - length;
}

static void store_big_endian(unsigned char *to, apr_uint64_t number,
                             unsigned bytes)
{
    while (bytes > 0) {
        to[--bytes] = (unsigned char)number;
        number >>= 8;
    }
}

static apr_uint64_t load_big_endian(const unsigned char *from, unsigned bytes)
{
    apr_uint64_t number = 0;

    while (bytes > 0) {
        number = number << 8 | *from++;
        bytes--;
    }
    return number;
}

/* Everything after a failure finds an empty payload. */
static apr_uint64_t fail(etg_record_reader *reader)
{
    reader->at = reader->end;
    reader->failed = 1;
    return 0;
}
