/* SPDX-License-Identifier: Apache-2.0 */
/* usual_response.h: a response to store, as a JSON API behind Apache has. */
#ifndef ETG_TEST_USUAL_RESPONSE_H
#define ETG_TEST_USUAL_RESPONSE_H

#include <string.h>

#include <check.h>

#include "lib/record.h"
#include "lib/stored_response.h"
#include "test/unit/pool_fixture.h"

#define KEY "https://shop.example/api/products?page=7"
#define NOW (APR_TIME_C(1763827200) * APR_USEC_PER_SEC + 345678)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const etg_field usual_fields[] = {
    { "Date", "Sat, 22 Nov 2025 16:00:00 GMT" },
    { "Server", "Apache/2.4.62 (Debian) Phusion_Passenger/6.0.18" },
    { "Last-Modified", "Fri, 21 Nov 2025 08:15:42 GMT" },
    { "ETag", "W/\"2b61c1a1f3d9f06df1c8a6e3c87a1d0b\"" },
    { "Cache-Control", "public, max-age=120, stale-if-error=86400" },
    { "Content-Type", "application/json; charset=utf-8" },
};

static inline etg_stored_response usual_response(void)
{
    etg_stored_response response;

    memset(&response, 0, sizeof(response));
    response.key = KEY;
    response.key_length = sizeof(KEY) - 1;
    response.generation = ((apr_uint64_t)NOW - 2500) << ETG_GENERATION_SHIFT;
    response.status = 200;
    response.status_line = "200 OK";
    response.requested_at = NOW - 180123;
    response.received_at = NOW;
    response.freshness.flags = ETG_FRESH_EXPLICIT | ETG_FRESH_FOR_PRIVATE;
    response.freshness.date = NOW - NOW % APR_USEC_PER_SEC;
    response.freshness.initial_age = 525801;
    response.freshness.lifetime = 120 * APR_USEC_PER_SEC;
    response.freshness.stale_if_error = 86400 * APR_USEC_PER_SEC;
    response.freshness.stale_while_revalidate = -1;
    response.has_body = 1;
    memset(response.entity.bytes, 0xA5, sizeof(response.entity.bytes));
    response.body_length = 3072;
    response.fields = usual_fields;
    response.field_count = ROWS(usual_fields);
    response.etag = usual_fields[3].value;
    response.last_modified = usual_fields[2].value;
    return response;
}

/* The same, coded by us. */
static inline etg_stored_response coded_response(void)
{
    etg_stored_response response = usual_response();

    response.coding = ETG_CODING_GZIP;
    response.is_coded_here = 1;
    response.plain_length = 43008;
    return response;
}

/* The same, of known data, validated once since it was fetched; the tag is
 * ours. */
static inline etg_stored_response data_response(void)
{
    etg_stored_response response = usual_response();

    response.has_data = 1;
    memset(response.data, 0xD7, sizeof(response.data));
    response.fetched_at = NOW - 90 * APR_USEC_PER_SEC;
    response.is_etag_ours = 1;
    response.backend_etag = "\"of-the-backend\"";
    return response;
}

/* Other fields, none of them a validator. */
static inline void set_fields(etg_stored_response *response,
                              const etg_field *fields, unsigned count)
{
    response->fields = fields;
    response->field_count = count;
    response->etag = NULL;
    response->last_modified = NULL;
}

static inline void assert_same_text(const char *one, const char *other)
{
    if (one == NULL) {
        ck_assert_ptr_null(other);
    }
    else {
        ck_assert_ptr_nonnull(other);
        ck_assert_str_eq(one, other);
    }
}

static inline void assert_same_origin(const etg_stored_response *one,
                                      const etg_stored_response *other)
{
    ck_assert_int_eq(one->has_data, other->has_data);
    ck_assert_mem_eq(one->data, other->data, sizeof(one->data));
    ck_assert_int_eq(one->fetched_at != 0 ? one->fetched_at
                                          : one->requested_at,
                     other->fetched_at);
    ck_assert_int_eq(one->is_etag_ours, other->is_etag_ours);
    ck_assert_int_eq(one->is_last_modified_ours,
                     other->is_last_modified_ours);
    assert_same_text(one->backend_etag, other->backend_etag);
    assert_same_text(one->backend_last_modified,
                     other->backend_last_modified);
}

static inline void assert_same(const etg_stored_response *one,
                               const etg_stored_response *other)
{
    unsigned i;

    ck_assert_uint_eq(one->key_length, other->key_length);
    ck_assert_str_eq(one->key, other->key);
    ck_assert_uint_eq(one->generation, other->generation);
    ck_assert_mem_eq(&one->vary, &other->vary, sizeof(one->vary));
    ck_assert_int_eq(one->status, other->status);
    ck_assert_str_eq(one->status_line, other->status_line);
    ck_assert_int_eq(one->requested_at, other->requested_at);
    ck_assert_int_eq(one->received_at, other->received_at);
    ck_assert_uint_eq(one->freshness.flags, other->freshness.flags);
    ck_assert_int_eq(one->freshness.date, other->freshness.date);
    ck_assert_int_eq(one->freshness.initial_age,
                     other->freshness.initial_age);
    ck_assert_int_eq(one->freshness.lifetime, other->freshness.lifetime);
    ck_assert_int_eq(one->freshness.stale_if_error,
                     other->freshness.stale_if_error);
    ck_assert_int_eq(one->freshness.stale_while_revalidate,
                     other->freshness.stale_while_revalidate);
    ck_assert_int_eq(one->has_body, other->has_body);
    ck_assert_mem_eq(&one->entity, &other->entity, sizeof(one->entity));
    ck_assert_uint_eq(one->body_length, other->body_length);
    ck_assert_int_eq(one->coding, other->coding);
    ck_assert_int_eq(one->is_coded_here, other->is_coded_here);
    ck_assert_uint_eq(one->plain_length, other->plain_length);
    assert_same_origin(one, other);
    ck_assert_uint_eq(one->field_count, other->field_count);
    for (i = 0; i < one->field_count; i++) {
        ck_assert_str_eq(one->fields[i].name, other->fields[i].name);
        ck_assert_str_eq(one->fields[i].value, other->fields[i].value);
    }
    assert_same_text(one->etag, other->etag);
    assert_same_text(one->last_modified, other->last_modified);
}

static inline etg_bytes packed(const etg_stored_response *response)
{
    etg_bytes record = { NULL, 0 };

    ck_assert_int_eq(etg_stored_response_pack(response, pool, &record),
                     APR_SUCCESS);
    return record;
}

static inline etg_stored_response
there_and_back(const etg_stored_response *response)
{
    etg_stored_response back;

    memset(&back, 0x5A, sizeof(back));
    ck_assert_int_eq(etg_stored_response_unpack(packed(response), pool,
                                                &back),
                     APR_SUCCESS);
    return back;
}

#endif
