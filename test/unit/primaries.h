/* SPDX-License-Identifier: Apache-2.0 */
/*
 * primaries.h: primary records to test with. A program that includes it has
 * `pool` and `request`, with set_up() and close_pool() around each test.
 */
#ifndef ETG_TEST_PRIMARIES_H
#define ETG_TEST_PRIMARIES_H

#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/primary_record.h"
#include "test/unit/pool_fixture.h"

#define KEY "https://shop.example/api/products?page=7"
#define SECOND APR_USEC_PER_SEC
#define NOW (APR_TIME_C(1763827200) * SECOND + 345678)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_table_t *request;

static inline void set_up(void)
{
    open_pool();
    request = apr_table_make(pool, 4);
}

static inline etg_primary empty_primary(void)
{
    etg_primary primary;

    etg_primary_init(&primary, KEY, sizeof(KEY) - 1, NOW, 0);
    return primary;
}

/* A row received `age` seconds before NOW and kept for two hours. */
static inline etg_primary_row row_of(int age)
{
    etg_primary_row row;

    memset(&row, 0, sizeof(row));
    row.received_at = NOW - age * SECOND;
    row.expires_at = row.received_at + 7200 * SECOND;
    row.date = row.received_at - row.received_at % SECOND;
    return row;
}

static inline unsigned put(etg_primary *primary, const char *spec,
                           etg_primary_row row, unsigned max_rows,
                           apr_time_t now)
{
    unsigned dropped = 77;

    ck_assert_int_eq(etg_primary_put(primary, spec, &row, max_rows, now, pool,
                                     &dropped),
                     APR_SUCCESS);
    return dropped;
}

static inline etg_bytes packed(const etg_primary *primary)
{
    etg_bytes record = { NULL, 0 };

    ck_assert_int_eq(etg_primary_pack(primary, pool, &record), APR_SUCCESS);
    return record;
}

static inline etg_primary there_and_back(const etg_primary *primary)
{
    etg_primary back;

    memset(&back, 0x5A, sizeof(back));
    ck_assert_int_eq(etg_primary_unpack(packed(primary), pool, &back),
                     APR_SUCCESS);
    return back;
}

static inline void assert_same_row(const etg_primary_row *one,
                                   const etg_primary_row *other)
{
    ck_assert_uint_eq(one->spec, other->spec);
    ck_assert_mem_eq(&one->vary, &other->vary, sizeof(one->vary));
    ck_assert_int_eq(one->received_at, other->received_at);
    ck_assert_int_eq(one->expires_at, other->expires_at);
    ck_assert_int_eq(one->date, other->date);
    if (one->etag == NULL) {
        ck_assert_ptr_null(other->etag);
    }
    else {
        ck_assert_ptr_nonnull(other->etag);
        ck_assert_str_eq(one->etag, other->etag);
    }
}

static inline void assert_same(const etg_primary *one, const etg_primary *other)
{
    unsigned i;

    ck_assert_uint_eq(one->key_length, other->key_length);
    ck_assert_str_eq(one->key, other->key);
    ck_assert_uint_eq(one->generation, other->generation);
    ck_assert_int_eq(one->invalidated_at, other->invalidated_at);
    ck_assert_int_eq(one->purged_at, other->purged_at);
    ck_assert_uint_eq(one->spec_count, other->spec_count);
    for (i = 0; i < one->spec_count; i++) {
        ck_assert_str_eq(one->specs[i], other->specs[i]);
    }
    ck_assert_uint_eq(one->row_count, other->row_count);
    for (i = 0; i < one->row_count; i++) {
        assert_same_row(&one->rows[i], &other->rows[i]);
    }
}

/* One that holds a bit of everything. */
static inline etg_primary rich_primary(void)
{
    etg_primary primary = empty_primary();
    etg_primary_row row = row_of(30);
    unsigned i;

    primary.invalidated_at = NOW - 50 * SECOND;
    primary.purged_at = NOW - 40 * SECOND;
    put(&primary, "", row, 16, NOW);
    for (i = 0; i < 5; i++) {
        row = row_of(20 - (int)i);
        row.vary.bytes[0] = (unsigned char)(i + 1);
        row.etag = i % 2 ? apr_psprintf(pool, "\"tag%u\"", i) : NULL;
        put(&primary, i < 3 ? "accept" : "accept,cookie", row, 16, NOW);
    }
    ck_assert_uint_eq(primary.row_count, 6);
    ck_assert_uint_eq(primary.spec_count, 3);
    return primary;
}

#endif
