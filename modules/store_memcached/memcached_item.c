/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_item.c: packs and unpacks what the store keeps on the servers.
 *
 * Every payload is the item's own text key and then its parts in the order of
 * the struct. A reader goes straight through and asks once, at the end,
 * whether all was there and nothing else; then it checks what the parts must
 * be, and only then fills the caller's struct. Pure: called on any thread.
 */
#include "memcached_item.h"

#include <string.h>

#include "lib/record.h"

/* A new format has new keys as well: see FORMAT_TEXT in memcached_key.c. */
#define FORMAT 1

#define TAG_BYTES 8

static void begin(etg_record_writer *writer, etg_record_kind kind,
                  const etg_memcached_key *key, apr_size_t expected,
                  apr_pool_t *p);
static apr_status_t end(etg_record_writer *writer, etg_bytes *item);
static int start(etg_record_reader *reader, etg_bytes item,
                 etg_record_kind kind, const etg_memcached_key *key);
static void put_run(etg_record_writer *writer, etg_bytes run);
static etg_bytes take_run(etg_record_reader *reader);
static void put_response(etg_record_writer *writer,
                         const etg_memcached_response *response);
static void take_response(etg_record_reader *reader,
                          etg_memcached_response *response);
static void put_marks(etg_record_writer *writer,
                      const etg_memcached_marks *marks);
static void take_marks(etg_record_reader *reader,
                       etg_memcached_marks *marks);
static int is_clock(const etg_memcached_clock *clock);
static void take_single(etg_record_reader *reader,
                        etg_memcached_body *body);
static void take_manifest(etg_record_reader *reader,
                          etg_memcached_body *body);

/* --- tags --- */

etg_bytes etg_memcached_tags_pack(const etg_store_tag *tags, unsigned count,
                                  apr_pool_t *p)
{
    unsigned char *packed = apr_palloc(p, count * TAG_BYTES + 1);
    etg_bytes result = { packed, count * TAG_BYTES };
    unsigned i;

    for (i = 0; i < count * TAG_BYTES; i++) {
        unsigned shift = 8 * (TAG_BYTES - 1 - i % TAG_BYTES);

        packed[i] = (unsigned char)(tags[i / TAG_BYTES] >> shift);
    }
    return result;
}

const etg_store_tag *etg_memcached_tags_unpack(etg_bytes packed,
                                               apr_pool_t *p,
                                               unsigned *count)
{
    etg_store_tag *tags;
    unsigned i;

    *count = (unsigned)(packed.length / TAG_BYTES);
    if (*count == 0) {
        return NULL;
    }
    tags = apr_palloc(p, *count * sizeof(*tags));
    for (i = 0; i < *count; i++) {
        tags[i] = etg_memcached_tag_at(packed, i);
    }
    return tags;
}

etg_store_tag etg_memcached_tag_at(etg_bytes packed, unsigned at)
{
    etg_store_tag tag = 0;
    unsigned i;

    for (i = 0; i < TAG_BYTES; i++) {
        tag = tag << 8 | packed.data[at * TAG_BYTES + i];
    }
    return tag;
}

/* --- items --- */

apr_status_t etg_memcached_primary_pack(const etg_memcached_primary *primary,
                                        const etg_memcached_key *key,
                                        apr_pool_t *p, etg_bytes *item)
{
    etg_record_writer writer;
    apr_size_t expected = primary->primary.length + 32;

    if (primary->has_response) {
        expected += primary->response.response.length
                    + primary->response.tags.length + 64;
    }
    begin(&writer, ETG_RECORD_ITEM_PRIMARY, key, expected, p);
    etg_record_put_time(&writer, primary->expires_at, 0);
    put_run(&writer, primary->primary);
    etg_record_put_number(&writer, primary->has_response ? 1 : 0);
    if (primary->has_response) {
        put_response(&writer, &primary->response);
    }
    return end(&writer, item);
}

apr_status_t etg_memcached_primary_unpack(etg_bytes item,
                                          const etg_memcached_key *key,
                                          etg_memcached_primary *primary)
{
    etg_record_reader reader;
    etg_memcached_primary found;

    memset(&found, 0, sizeof(found));
    if (!start(&reader, item, ETG_RECORD_ITEM_PRIMARY, key)) {
        return APR_EINVAL;
    }
    found.expires_at = etg_record_time(&reader, 0);
    found.primary = take_run(&reader);
    found.has_response = (int)etg_record_count(&reader, 1);
    if (found.has_response) {
        take_response(&reader, &found.response);
    }
    if (!etg_record_is_done(&reader)) {
        return APR_EINVAL;
    }
    *primary = found;
    return APR_SUCCESS;
}

apr_status_t etg_memcached_response_pack(const etg_memcached_response
                                             *response,
                                         const etg_memcached_key *key,
                                         apr_pool_t *p, etg_bytes *item)
{
    etg_record_writer writer;

    begin(&writer, ETG_RECORD_ITEM_RESPONSE, key,
          response->response.length + response->tags.length + 64, p);
    put_response(&writer, response);
    return end(&writer, item);
}

apr_status_t etg_memcached_response_unpack(etg_bytes item,
                                           const etg_memcached_key *key,
                                           etg_memcached_response *response)
{
    etg_record_reader reader;
    etg_memcached_response found;

    if (!start(&reader, item, ETG_RECORD_ITEM_RESPONSE, key)) {
        return APR_EINVAL;
    }
    take_response(&reader, &found);
    if (!etg_record_is_done(&reader)) {
        return APR_EINVAL;
    }
    *response = found;
    return APR_SUCCESS;
}

apr_status_t etg_memcached_clock_pack(const etg_memcached_clock *clock,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item)
{
    etg_record_writer writer;

    begin(&writer, ETG_RECORD_ITEM_CLOCK, key, 40, p);
    etg_record_put_number(&writer, clock->reading);
    put_marks(&writer, &clock->all);
    return end(&writer, item);
}

apr_status_t etg_memcached_clock_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        etg_memcached_clock *clock)
{
    etg_record_reader reader;
    etg_memcached_clock found;

    if (!start(&reader, item, ETG_RECORD_ITEM_CLOCK, key)) {
        return APR_EINVAL;
    }
    found.reading = etg_record_number(&reader);
    take_marks(&reader, &found.all);
    if (!etg_record_is_done(&reader) || !is_clock(&found)) {
        return APR_EINVAL;
    }
    *clock = found;
    return APR_SUCCESS;
}

apr_status_t etg_memcached_marks_pack(const etg_memcached_marks *marks,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item)
{
    etg_record_writer writer;

    begin(&writer, ETG_RECORD_ITEM_MARKS, key, 32, p);
    put_marks(&writer, marks);
    return end(&writer, item);
}

apr_status_t etg_memcached_marks_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        etg_memcached_marks *marks)
{
    etg_record_reader reader;
    etg_memcached_marks found;

    if (!start(&reader, item, ETG_RECORD_ITEM_MARKS, key)) {
        return APR_EINVAL;
    }
    take_marks(&reader, &found);
    if (!etg_record_is_done(&reader)) {
        return APR_EINVAL;
    }
    *marks = found;
    return APR_SUCCESS;
}

apr_status_t etg_memcached_body_pack(const etg_memcached_body *body,
                                     const etg_memcached_key *key,
                                     apr_pool_t *p, etg_bytes *item)
{
    etg_record_writer writer;

    begin(&writer, body->is_chunked ? ETG_RECORD_ITEM_MANIFEST
                                    : ETG_RECORD_ITEM_BODY,
          key, body->bytes.length + 64, p);
    etg_record_put_time(&writer, body->expires_at, 0);
    if (body->is_chunked) {
        etg_record_put_number(&writer, body->length);
        etg_record_put_number(&writer, body->chunk_bytes);
        etg_record_put_bytes(&writer, body->generation.bytes,
                             sizeof(body->generation.bytes));
    }
    else {
        put_run(&writer, body->bytes);
    }
    return end(&writer, item);
}

apr_status_t etg_memcached_body_unpack(etg_bytes item,
                                       const etg_memcached_key *key,
                                       etg_memcached_body *body)
{
    etg_record_reader reader;
    etg_memcached_body found;

    memset(&found, 0, sizeof(found));
    if (start(&reader, item, ETG_RECORD_ITEM_BODY, key)) {
        take_single(&reader, &found);
    }
    else if (start(&reader, item, ETG_RECORD_ITEM_MANIFEST, key)) {
        take_manifest(&reader, &found);
    }
    else {
        return APR_EINVAL;
    }
    if (!etg_record_is_done(&reader)) {
        return APR_EINVAL;
    }
    *body = found;
    return APR_SUCCESS;
}

apr_status_t etg_memcached_chunk_pack(const etg_memcached_generation
                                          *generation,
                                      apr_uint32_t index, etg_bytes bytes,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item)
{
    etg_record_writer writer;

    begin(&writer, ETG_RECORD_ITEM_CHUNK, key, bytes.length + 32, p);
    etg_record_put_bytes(&writer, generation->bytes,
                         sizeof(generation->bytes));
    etg_record_put_number(&writer, index);
    put_run(&writer, bytes);
    return end(&writer, item);
}

apr_status_t etg_memcached_chunk_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        const etg_memcached_generation
                                            *generation,
                                        apr_uint32_t index,
                                        etg_bytes *bytes)
{
    etg_record_reader reader;
    const unsigned char *found;
    apr_uint64_t at;
    etg_bytes run;

    if (!start(&reader, item, ETG_RECORD_ITEM_CHUNK, key)) {
        return APR_EINVAL;
    }
    found = etg_record_bytes(&reader, sizeof(generation->bytes));
    at = etg_record_number(&reader);
    run = take_run(&reader);
    if (!etg_record_is_done(&reader) || at != index || run.length == 0
        || run.length > ETG_MEMCACHED_SINGLE_MAX
        || memcmp(found, generation->bytes, sizeof(generation->bytes)) != 0) {
        return APR_EINVAL;
    }
    *bytes = run;
    return APR_SUCCESS;
}

apr_status_t etg_memcached_lease_pack(const etg_memcached_lease *lease,
                                      const etg_memcached_key *key,
                                      apr_pool_t *p, etg_bytes *item)
{
    etg_record_writer writer;

    begin(&writer, ETG_RECORD_ITEM_LEASE, key, 8, p);
    etg_record_put_fixed64(&writer, lease->token);
    return end(&writer, item);
}

apr_status_t etg_memcached_lease_unpack(etg_bytes item,
                                        const etg_memcached_key *key,
                                        etg_memcached_lease *lease)
{
    etg_record_reader reader;
    apr_uint64_t token;

    if (!start(&reader, item, ETG_RECORD_ITEM_LEASE, key)) {
        return APR_EINVAL;
    }
    token = etg_record_fixed64(&reader);
    if (!etg_record_is_done(&reader)) {
        return APR_EINVAL;
    }
    lease->token = token;
    return APR_SUCCESS;
}

/* --- parts --- */

static void begin(etg_record_writer *writer, etg_record_kind kind,
                  const etg_memcached_key *key, apr_size_t expected,
                  apr_pool_t *p)
{
    /* What cannot fit is found out by put_run: no room is taken for it. */
    if (expected > ETG_MEMCACHED_ITEM_MAX) {
        expected = 0;
    }
    etg_record_begin(writer, kind, FORMAT, expected + key->length + 4, p);
    etg_record_put_text(writer, key->text, key->length);
}

static apr_status_t end(etg_record_writer *writer, etg_bytes *item)
{
    etg_bytes record;
    apr_status_t rv = etg_record_end(writer, &record);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (record.length > ETG_MEMCACHED_ITEM_MAX) {
        return APR_ENOSPC;
    }
    *item = record;
    return APR_SUCCESS;
}

static int start(etg_record_reader *reader, etg_bytes item,
                 etg_record_kind kind, const etg_memcached_key *key)
{
    const char *text;
    apr_size_t length;

    if (etg_record_open(reader, item, kind, FORMAT) != APR_SUCCESS) {
        return 0;
    }
    text = etg_record_text(reader, &length);
    return length == key->length && memcmp(text, key->text, length) == 0;
}

static void put_run(etg_record_writer *writer, etg_bytes run)
{
    if (run.length > ETG_MEMCACHED_ITEM_MAX) {
        etg_record_fail(writer, APR_ENOSPC);
    }
    etg_record_put_number(writer, run.length);
    etg_record_put_bytes(writer, run.data, run.length);
}

static etg_bytes take_run(etg_record_reader *reader)
{
    etg_bytes run = { NULL, 0 };
    apr_uint64_t length = etg_record_number(reader);

    if (length > ETG_MEMCACHED_ITEM_MAX) {
        etg_record_refuse(reader);
        return run;
    }
    run.data = etg_record_bytes(reader, (apr_size_t)length);
    run.length = run.data == NULL ? 0 : (apr_size_t)length;
    return run;
}

static void put_response(etg_record_writer *writer,
                         const etg_memcached_response *response)
{
    if (response->tags.length % TAG_BYTES != 0
        || response->tags.length > ETG_STORE_TAGS_MAX * TAG_BYTES) {
        etg_record_fail(writer, APR_EINVAL);
    }
    etg_record_put_bytes(writer, response->key.bytes,
                         sizeof(response->key.bytes));
    etg_record_put_number(writer, response->moment);
    etg_record_put_time(writer, response->expires_at, 0);
    put_run(writer, response->tags);
    put_run(writer, response->response);
}

static void take_response(etg_record_reader *reader,
                          etg_memcached_response *response)
{
    const unsigned char *key;

    memset(response, 0, sizeof(*response));
    key = etg_record_bytes(reader, sizeof(response->key.bytes));
    if (key != NULL) {
        memcpy(response->key.bytes, key, sizeof(response->key.bytes));
    }
    response->moment = etg_record_number(reader);
    response->expires_at = etg_record_time(reader, 0);
    response->tags = take_run(reader);
    response->response = take_run(reader);
    if (response->tags.length % TAG_BYTES != 0
        || response->tags.length > ETG_STORE_TAGS_MAX * TAG_BYTES) {
        etg_record_refuse(reader);
    }
}

static void put_marks(etg_record_writer *writer,
                      const etg_memcached_marks *marks)
{
    etg_record_put_number(writer, marks->soft);
    etg_record_put_number(writer, marks->invalid);
    etg_record_put_number(writer, marks->gone);
}

static void take_marks(etg_record_reader *reader, etg_memcached_marks *marks)
{
    marks->soft = etg_record_number(reader);
    marks->invalid = etg_record_number(reader);
    marks->gone = etg_record_number(reader);
}

/* One that gives no moment, that purges could not move any farther, or that
 * is behind its own marks would spoil all that is stored under it. */
static int is_clock(const etg_memcached_clock *clock)
{
    return clock->reading > 0 && clock->reading < APR_INT64_MAX
        && clock->all.soft <= clock->reading
        && clock->all.invalid <= clock->reading
        && clock->all.gone <= clock->reading;
}

static void take_single(etg_record_reader *reader, etg_memcached_body *body)
{
    body->expires_at = etg_record_time(reader, 0);
    body->bytes = take_run(reader);
    body->length = body->bytes.length;
    if (body->length > ETG_MEMCACHED_SINGLE_MAX) {
        etg_record_refuse(reader);
    }
}

static void take_manifest(etg_record_reader *reader, etg_memcached_body *body)
{
    const unsigned char *generation;

    body->is_chunked = 1;
    body->expires_at = etg_record_time(reader, 0);
    body->length = etg_record_number(reader);
    body->chunk_bytes = etg_record_count(reader, ETG_MEMCACHED_SINGLE_MAX);
    generation = etg_record_bytes(reader, sizeof(body->generation.bytes));
    if (generation != NULL) {
        memcpy(body->generation.bytes, generation,
               sizeof(body->generation.bytes));
    }
    if (body->length == 0 || body->length > ETG_MEMCACHED_BODY_MAX
        || body->chunk_bytes < ETG_MEMCACHED_CHUNK_MIN) {
        etg_record_refuse(reader);
    }
}
