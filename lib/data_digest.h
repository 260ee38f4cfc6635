/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_digest.h: one digest of a collection: of every value of every member,
 * in order, from one or several sources.
 *
 * Two collections have the same SHA-256 only if the route and the salts are
 * the same, the sources are as many, and each has the same members in the
 * same order with the same values, byte by byte; NULL and "" differ, and so
 * do ("a", "bc") and ("ab", "c"). So it moves when a member is added,
 * removed, replaced by an older one or put elsewhere, and when two members'
 * changes cancel out. It is of results, never of a query's text.
 *
 * Beside it, the digest of a recipe that applications follow is computed if
 * that is wanted: MD5, in hexadecimal, of the decimal sum of the members'
 * epoch seconds, as Ruby has it:
 *
 *     Digest::MD5.hexdigest(records.sum { |r| r.updated_at.to_i }.to_s)
 *
 * Sub-seconds are cut, NULL counts as 0 (nil.to_i) and an empty collection
 * is the MD5 of "0". It covers nothing else: it stays when changes cancel out
 * or members change places, and knows neither route nor salt. It is a name to
 * agree on with others, and the SHA-256 decides what is still fresh.
 */
#ifndef ETG_LIB_DATA_DIGEST_H
#define ETG_LIB_DATA_DIGEST_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_bytes.h"

#define ETG_DATA_DIGEST_BYTES 32
#define ETG_DATA_RAILS_LENGTH 32

typedef enum etg_data_digest_kind {
    ETG_DATA_DIGEST_SHA256,     /* the SHA-256 alone */
    ETG_DATA_DIGEST_RAILS       /* the recipe's MD5 as well */
} etg_data_digest_kind;

typedef struct etg_data_digest {
    unsigned char sha256[ETG_DATA_DIGEST_BYTES];
    /* Hexadecimal; "": not asked for, or there is none, because a member has
     * no time, or one that cannot be read. */
    char rails[ETG_DATA_RAILS_LENGTH + 1];
    int is_salted;              /* a salt was added */
    apr_uint64_t members;       /* of all sources */
    apr_uint64_t empty_sources; /* that have none */
    int is_timed;               /* has members, each with a time */
    apr_time_t newest;          /* of the times read; 0: none */
} etg_data_digest;

typedef struct etg_data_digest_builder etg_data_digest_builder;

/* Begins the digest of a collection, and its first source. The builder lives
 * in `p` and serves one thread. APR_ENOMEM if libcrypto fails. */
apr_status_t etg_data_digest_begin(etg_data_digest_builder **builder,
                                   etg_data_digest_kind kind, apr_pool_t *p);

/* Adds what the digest holds for: the route, and what the operator salts it
 * with (a deploy's version). Between members; data NULL and "" differ. */
void etg_data_digest_add_route(etg_data_digest_builder *builder,
                               etg_bytes route);
void etg_data_digest_add_salt(etg_data_digest_builder *builder,
                              etg_bytes salt);

/* One member: begin, its values in order, end. Data NULL is a NULL. A time
 * is a value like others that is read as well (lib/timestamp.h): one that is
 * NULL or cannot be read leaves the member without a time. Each of several
 * times of a member counts. */
void etg_data_digest_begin_member(etg_data_digest_builder *builder);
void etg_data_digest_add_value(etg_data_digest_builder *builder,
                               etg_bytes value);
void etg_data_digest_add_time(etg_data_digest_builder *builder,
                              etg_bytes value);
void etg_data_digest_end_member(etg_data_digest_builder *builder);

/* The next member is another source's. Two sources, one of them empty, and
 * one source with the same members differ. */
void etg_data_digest_next_source(etg_data_digest_builder *builder);

/* The digest of what was added; once. APR_EINVAL: the calls were not in order
 * (a value outside of a member, a member inside of one or not ended);
 * APR_EGENERAL: libcrypto failed. Then there is no digest, and the collection
 * counts as unknown. */
apr_status_t etg_data_digest_end(etg_data_digest_builder *builder,
                                 etg_data_digest *digest);

/* Last-Modified: the newest time in whole seconds, and not after `now`; 0:
 * none, as a member has no time or there is no member. It says when the newest
 * member changed and no more: it stays, or goes back, when one is removed. So
 * that a request's If-Modified-Since is not older than it proves nothing;
 * only the digest does. */
apr_time_t etg_data_last_modified(const etg_data_digest *digest,
                                  apr_time_t now);

#endif
