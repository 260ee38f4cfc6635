/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_digest.c: a collection as a stream of tokens, digested as they come.
 *
 * A token is one byte that says what it is, a number of eight bytes, and, if
 * the number is a length, so many bytes:
 *
 *   r s   route, salt    length, bytes    (R S for none)
 *   ( )   member         its place in the source; the number of its values
 *   v     value          length, bytes    (n, and 0, for NULL)
 *   /     source's end   the number of its members
 *   .     end            the number of sources
 *
 * As each token says where it ends, no stream is the beginning of another and
 * two streams are equal only if all tokens are. That a value is the member's
 * time is no part of it. Nothing is kept but sums, whatever the collection's
 * size.
 */
#include "lib/data_digest.h"

#include <string.h>

#include <apr_md5.h>
#include <apr_strings.h>

#include "lib/entity_digest.h"
#include "lib/timestamp.h"

#define FORMAT "etagere data digest 1\n"

struct etg_data_digest_builder {
    etg_entity_digest *stream;
    etg_data_digest_kind kind;
    apr_pool_t *pool;
    int is_out_of_order;        /* calls were: there will be no digest */
    int is_salted;

    apr_uint64_t sources;       /* ended */
    apr_uint64_t members;       /* ended, of all sources */
    apr_uint64_t empty_sources; /* ended */
    apr_uint64_t source_members;
    int is_inside;              /* of a member; what follows is of it */
    apr_uint64_t values;
    int has_time;               /* any, even a NULL or an unreadable one */

    int is_untimed;             /* a member has no time, or no readable one */
    int is_unsummed;            /* the same, but NULL counts as one */
    apr_uint64_t seconds;       /* the sum */
    apr_time_t newest;
};

static int is_in_order(etg_data_digest_builder *builder, int inside);
static void put_token(etg_data_digest_builder *builder, char token,
                      apr_uint64_t number);
static void put_bytes(etg_data_digest_builder *builder, char token,
                      char none, etg_bytes bytes);
static void end_source(etg_data_digest_builder *builder);
static apr_status_t rails_digest(char *hex, apr_uint64_t sum, apr_pool_t *p);

apr_status_t etg_data_digest_begin(etg_data_digest_builder **builder,
                                   etg_data_digest_kind kind, apr_pool_t *p)
{
    etg_data_digest_builder *fresh = apr_pcalloc(p, sizeof(*fresh));
    apr_status_t rv = etg_entity_digest_begin(&fresh->stream, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    fresh->kind = kind;
    fresh->pool = p;
    etg_entity_digest_add(fresh->stream, FORMAT, strlen(FORMAT));
    *builder = fresh;
    return APR_SUCCESS;
}

void etg_data_digest_add_route(etg_data_digest_builder *builder,
                               etg_bytes route)
{
    if (is_in_order(builder, 0)) {
        put_bytes(builder, 'r', 'R', route);
    }
}

void etg_data_digest_add_salt(etg_data_digest_builder *builder,
                              etg_bytes salt)
{
    if (is_in_order(builder, 0)) {
        put_bytes(builder, 's', 'S', salt);
        builder->is_salted = 1;
    }
}

void etg_data_digest_begin_member(etg_data_digest_builder *builder)
{
    if (is_in_order(builder, 0)) {
        put_token(builder, '(', builder->source_members);
        builder->is_inside = 1;
        builder->values = 0;
        builder->has_time = 0;
    }
}

void etg_data_digest_add_value(etg_data_digest_builder *builder,
                               etg_bytes value)
{
    if (is_in_order(builder, 1)) {
        put_bytes(builder, 'v', 'n', value);
        builder->values++;
    }
}

void etg_data_digest_add_time(etg_data_digest_builder *builder,
                              etg_bytes value)
{
    apr_time_t when = 0;
    int is_read = value.data != NULL && etg_timestamp_parse(value, &when);

    etg_data_digest_add_value(builder, value);
    builder->has_time = 1;
    if (!is_read) {
        builder->is_untimed = 1;
        /* Nobody knows what another reader would make of it. */
        builder->is_unsummed |= value.data != NULL;
    }
    builder->seconds += (apr_uint64_t)apr_time_sec(when);
    if (when > builder->newest) {
        builder->newest = when;
    }
}

void etg_data_digest_end_member(etg_data_digest_builder *builder)
{
    if (is_in_order(builder, 1)) {
        put_token(builder, ')', builder->values);
        builder->is_inside = 0;
        builder->members++;
        builder->source_members++;
        builder->is_untimed |= !builder->has_time;
        builder->is_unsummed |= !builder->has_time;
    }
}

void etg_data_digest_next_source(etg_data_digest_builder *builder)
{
    if (is_in_order(builder, 0)) {
        end_source(builder);
    }
}

apr_status_t etg_data_digest_end(etg_data_digest_builder *builder,
                                 etg_data_digest *digest)
{
    etg_data_digest found;
    etg_entity_id id;
    apr_status_t rv;

    if (!is_in_order(builder, 0)) {
        return APR_EINVAL;
    }
    end_source(builder);
    put_token(builder, '.', builder->sources);
    rv = etg_entity_digest_end(builder->stream, &id);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    memset(&found, 0, sizeof(found));
    memcpy(found.sha256, id.bytes, sizeof(found.sha256));
    found.is_salted = builder->is_salted;
    found.members = builder->members;
    found.empty_sources = builder->empty_sources;
    found.is_timed = builder->members > 0 && !builder->is_untimed;
    found.newest = builder->newest;
    if (builder->kind == ETG_DATA_DIGEST_RAILS && !builder->is_unsummed) {
        rv = rails_digest(found.rails, builder->seconds, builder->pool);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    *digest = found;
    return APR_SUCCESS;
}

apr_time_t etg_data_last_modified(const etg_data_digest *digest,
                                  apr_time_t now)
{
    apr_time_t newest = digest->newest < now ? digest->newest : now;

    if (!digest->is_timed || newest < 0) {
        return 0;
    }
    return apr_time_from_sec(apr_time_sec(newest));
}

/* Is this the place for a call that belongs inside or outside of a member?
 * One that is not spoils the digest for good. */
static int is_in_order(etg_data_digest_builder *builder, int inside)
{
    if (builder->is_inside != inside) {
        builder->is_out_of_order = 1;
    }
    return !builder->is_out_of_order;
}

static void put_token(etg_data_digest_builder *builder, char token,
                      apr_uint64_t number)
{
    unsigned char bytes[9];
    int i;

    bytes[0] = (unsigned char)token;
    for (i = 8; i > 0; i--) {
        bytes[i] = (unsigned char)(number & 0xff);
        number >>= 8;
    }
    /* A failure is remembered there, and told at the end. */
    etg_entity_digest_add(builder->stream, bytes, sizeof(bytes));
}

static void put_bytes(etg_data_digest_builder *builder, char token,
                      char none, etg_bytes bytes)
{
    if (bytes.data == NULL) {
        put_token(builder, none, 0);
        return;
    }
    put_token(builder, token, bytes.length);
    etg_entity_digest_add(builder->stream, bytes.data, bytes.length);
}

static void end_source(etg_data_digest_builder *builder)
{
    put_token(builder, '/', builder->source_members);
    builder->empty_sources += builder->source_members == 0;
    builder->source_members = 0;
    builder->sources++;
}

static apr_status_t rails_digest(char *hex, apr_uint64_t sum, apr_pool_t *p)
{
    unsigned char bytes[APR_MD5_DIGESTSIZE];
    const char *text = apr_psprintf(p, "%" APR_UINT64_T_FMT, sum);
    apr_status_t rv = apr_md5(bytes, text, strlen(text));

    if (rv == APR_SUCCESS) {
        etg_hex(hex, bytes, sizeof(bytes));
    }
    return rv;
}
