/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h: the framed binary form that every stored record shares.
 *
 *   magic 0xE7 · kind · version · payload length (3 bytes) · payload ·
 *   XXH3-64 of all that comes before it (8 bytes)
 *
 * Everything is in network byte order and nothing is aligned. Inside the
 * payload:
 *
 *   number    1 to 9 bytes: as many leading one bits in the first byte as
 *             bytes follow it; below 128 it is one byte
 *   fixed64   8 bytes
 *   interval  signed µs as a number: whole seconds are kept as seconds, so
 *             that what HTTP says is short and nothing is rounded
 *   text      number n; if n > 0, n bytes without NUL, and a NUL
 *
 * Writer and reader remember their first failure and do nothing after it:
 * the caller writes or reads straight through and asks once, at the end. The
 * reader never looks outside the record it was given.
 */
#ifndef ETG_LIB_RECORD_H
#define ETG_LIB_RECORD_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_bytes.h"

#define ETG_RECORD_OVERHEAD 14
#define ETG_RECORD_PAYLOAD_MAX 0xffffff

/* Generations are µs since 1970 shifted by this, with random low bits. */
#define ETG_GENERATION_SHIFT 12

typedef enum etg_record_kind {
    ETG_RECORD_PRIMARY = 'p',
    ETG_RECORD_RESPONSE = 'r',
    ETG_RECORD_COPY = 'c',        /* a tiered store's copy of a response */
    /* What a shared store writes around them and beside them. */
    ETG_RECORD_ITEM_PRIMARY = 'P',
    ETG_RECORD_ITEM_RESPONSE = 'R',
    ETG_RECORD_ITEM_CLOCK = 'C',
    ETG_RECORD_ITEM_MARKS = 'T',
    ETG_RECORD_ITEM_BODY = 'B',
    ETG_RECORD_ITEM_MANIFEST = 'M',
    ETG_RECORD_ITEM_CHUNK = 'K',
    ETG_RECORD_ITEM_LEASE = 'L',
    /* What mod_etag_freshness remembers. */
    ETG_RECORD_SEEN_NAMES = 'n',
    ETG_RECORD_SEEN = 's',
    /* What mod_etag_composite remembers. */
    ETG_RECORD_ESI = 'e'
} etg_record_kind;

typedef struct etg_record_writer {
    apr_pool_t *pool;
    unsigned char *bytes;
    apr_size_t length;
    apr_size_t capacity;
    apr_status_t failure;   /* APR_SUCCESS, or why there will be no record */
} etg_record_writer;

typedef struct etg_record_reader {
    const unsigned char *at;
    const unsigned char *end;
    int failed;
} etg_record_reader;

/* Starts a record in `p`; `expected` is a guess at its length that saves
 * copies if it is not too small. */
void etg_record_begin(etg_record_writer *writer, etg_record_kind kind,
                      unsigned version, apr_size_t expected, apr_pool_t *p);

/* Adds one item of the forms above; a time is the interval since a base that
 * the reader knows as well. An interval beyond ±2^61 µs, or a text that holds
 * a NUL, is a failure (APR_EINVAL). */
void etg_record_put_number(etg_record_writer *writer, apr_uint64_t number);
void etg_record_put_fixed64(etg_record_writer *writer, apr_uint64_t number);
void etg_record_put_interval(etg_record_writer *writer,
                             apr_interval_time_t interval);
void etg_record_put_time(etg_record_writer *writer, apr_time_t when,
                         apr_time_t base);
void etg_record_put_text(etg_record_writer *writer, const char *text,
                         apr_size_t length);

/* Adds bytes as they are, without a length. */
void etg_record_put_bytes(etg_record_writer *writer, const void *bytes,
                          apr_size_t length);

/* Marks the record as failed unless it failed before. */
void etg_record_fail(etg_record_writer *writer, apr_status_t failure);

/* Closes the frame. The first failure, or APR_ENOSPC if the payload is too
 * long; *record is in the writer's pool. */
apr_status_t etg_record_end(etg_record_writer *writer, etg_bytes *record);

/* Checks the frame and starts a reader at its payload. APR_EINVAL: another
 * magic, kind, version or length, or a wrong checksum. */
apr_status_t etg_record_open(etg_record_reader *reader, etg_bytes record,
                             etg_record_kind kind, unsigned version);

/* Take the next item; after a failure they give 0, or "" of length 0. */
apr_uint64_t etg_record_number(etg_record_reader *reader);
apr_uint64_t etg_record_fixed64(etg_record_reader *reader);
apr_interval_time_t etg_record_interval(etg_record_reader *reader);

/* base + the next interval; an overflow is a failure. */
apr_time_t etg_record_time(etg_record_reader *reader, apr_time_t base);

/* A number no greater than `most`; more is a failure. */
unsigned etg_record_count(etg_record_reader *reader, unsigned most);

/* Terminated, inside the record; *length may be NULL. */
const char *etg_record_text(etg_record_reader *reader, apr_size_t *length);

/* `length` bytes inside the record; NULL after a failure. */
const unsigned char *etg_record_bytes(etg_record_reader *reader,
                                      apr_size_t length);

/* Says that what was read makes no sense: from here on as after a failure. */
void etg_record_refuse(etg_record_reader *reader);

/* What is left of the payload. */
apr_size_t etg_record_left(const etg_record_reader *reader);

/* Was everything read, and nothing beyond it? */
int etg_record_is_done(const etg_record_reader *reader);

/* May the text stand in a field? Neither CR, LF nor NUL. */
int etg_record_is_line(const char *text, apr_size_t length);

/* A text that may, or NULL. */
const char *etg_record_line(etg_record_reader *reader);

/* The time inside a generation: the base of a record's times, which makes
 * them short; a foreign generation only makes them longer. */
apr_time_t etg_generation_time(apr_uint64_t generation);

/* The whole second a time lies in: the base of times that HTTP states. */
apr_time_t etg_second_of(apr_time_t when);

#endif
