/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_primary_record.c: the primary record there and back, its rows, the
 * choice among them, and damaged or made-up records.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>
#include <xxhash.h>

#include "lib/primary_record.h"
#include "lib/record.h"

#define KEY "https://shop.example/api/products?page=7"
#define SECOND APR_USEC_PER_SEC
#define NOW (APR_TIME_C(1763827200) * SECOND + 345678)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_pool_t *pool;
static apr_table_t *request;

static void set_up(void)
{
    ck_assert_int_eq(apr_initialize(), APR_SUCCESS);
    ck_assert_int_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    request = apr_table_make(pool, 4);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

static etg_primary empty_primary(void)
{
    etg_primary primary;

    etg_primary_init(&primary, KEY, sizeof(KEY) - 1, NOW, 0);
    return primary;
}

/* A row received `age` seconds before NOW and kept for two hours. */
static etg_primary_row row_of(int age)
{
    etg_primary_row row;

    memset(&row, 0, sizeof(row));
    row.received_at = NOW - age * SECOND;
    row.expires_at = row.received_at + 7200 * SECOND;
    row.date = row.received_at - row.received_at % SECOND;
    return row;
}

static unsigned put(etg_primary *primary, const char *spec,
                    etg_primary_row row, unsigned max_rows, apr_time_t now)
{
    unsigned dropped = 77;

    ck_assert_int_eq(etg_primary_put(primary, spec, &row, max_rows, now, pool,
                                     &dropped),
                     APR_SUCCESS);
    return dropped;
}

static etg_bytes packed(const etg_primary *primary)
{
    etg_bytes record = { NULL, 0 };

    ck_assert_int_eq(etg_primary_pack(primary, pool, &record), APR_SUCCESS);
    return record;
}

static etg_primary there_and_back(const etg_primary *primary)
{
    etg_primary back;

    memset(&back, 0x5A, sizeof(back));
    ck_assert_int_eq(etg_primary_unpack(packed(primary), pool, &back),
                     APR_SUCCESS);
    return back;
}

static void assert_same_row(const etg_primary_row *one,
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

static void assert_same(const etg_primary *one, const etg_primary *other)
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

/* A record that says what the bytes say, with a checksum that is right. */
static etg_bytes resealed(const unsigned char *bytes, apr_size_t length)
{
    unsigned char *copy = apr_pmemdup(pool, bytes, length);
    apr_uint64_t sum = XXH3_64bits(copy, length - 8);
    etg_bytes record = { copy, length };
    unsigned i;

    for (i = 0; i < 8; i++) {
        copy[length - 1 - i] = (unsigned char)(sum >> (8 * i));
    }
    return record;
}

static int parses(etg_bytes record)
{
    etg_primary back;
    apr_status_t rv = etg_primary_unpack(record, pool, &back);

    ck_assert(rv == APR_SUCCESS || rv == APR_EINVAL);
    return rv == APR_SUCCESS;
}

/* One that holds a bit of everything. */
static etg_primary rich_primary(void)
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

START_TEST(test_generations_grow_and_are_never_zero)
{
    apr_uint64_t last = 0;
    unsigned i;

    for (i = 0; i < 100; i++) {
        etg_primary primary;

        /* The clock goes back all the time. */
        etg_primary_init(&primary, KEY, 3, NOW - i * SECOND, last);
        ck_assert_uint_gt(primary.generation, last);
        last = primary.generation;
    }
    for (i = 0; i < 100; i++) {
        etg_primary primary;

        etg_primary_init(&primary, KEY, 3, 0, 0);
        ck_assert_uint_ne(primary.generation, 0);
        etg_primary_init(&primary, KEY, 3, NOW, ~APR_UINT64_C(0));
        ck_assert_uint_ne(primary.generation, 0);
    }
}
END_TEST

START_TEST(test_generations_of_one_moment_differ)
{
    unsigned char seen[1 << ETG_GENERATION_SHIFT];
    unsigned different = 0;
    unsigned i;

    memset(seen, 0, sizeof(seen));
    for (i = 0; i < 200; i++) {
        etg_primary primary = empty_primary();
        apr_uint64_t low = primary.generation % sizeof(seen);

        ck_assert_int_eq(etg_generation_time(primary.generation), NOW);
        different += !seen[low];
        seen[low] = 1;
    }
    /* About 195 of 4096; all alike would be 1. */
    ck_assert_uint_gt(different, 150);
}
END_TEST

START_TEST(test_a_new_primary_is_empty)
{
    etg_primary primary = empty_primary();
    etg_primary back = there_and_back(&primary);

    assert_same(&primary, &back);
    ck_assert_uint_eq(back.row_count, 0);
    ck_assert_uint_eq(back.spec_count, 0);
    ck_assert_int_eq(back.invalidated_at, 0);
    ck_assert_int_eq(back.purged_at, 0);
    ck_assert_ptr_null(etg_primary_choose(&back, request, NULL, pool));
}
END_TEST

START_TEST(test_a_page_without_vary_takes_little_room)
{
    etg_primary primary = empty_primary();
    etg_primary_row row = row_of(0);

    row.expires_at = NOW + 3720 * SECOND - 525801;
    put(&primary, "", row, 16, NOW);
    ck_assert_uint_le(packed(&primary).length, 45 + primary.key_length);
}
END_TEST

START_TEST(test_everything_comes_back_as_it_was)
{
    etg_primary primary = rich_primary();
    etg_primary back = there_and_back(&primary);

    assert_same(&primary, &back);
}
END_TEST

START_TEST(test_times_at_their_limits_come_back)
{
    static const apr_time_t times[] = {
        0, 1, -1, SECOND, -SECOND, -SECOND + 1, NOW,
        APR_TIME_C(253402300799) * SECOND, APR_TIME_C(1) << 59,
        -(APR_TIME_C(1) << 59),
    };
    unsigned i;

    for (i = 0; i < ROWS(times); i++) {
        etg_primary primary = empty_primary();
        etg_primary_row rows[2];
        etg_primary back;

        memset(rows, 0, sizeof(rows));
        rows[0].received_at = times[i];
        rows[0].expires_at = times[(i + 1) % ROWS(times)];
        rows[0].date = times[(i + 2) % ROWS(times)];
        rows[1] = rows[0];
        rows[1].received_at = times[(i + 3) % ROWS(times)];
        primary.rows = rows;
        primary.row_count = 2;
        primary.specs[0] = "";
        primary.spec_count = 1;
        primary.invalidated_at = APR_INT64_MAX;
        primary.purged_at = 1;
        back = there_and_back(&primary);
        assert_same(&primary, &back);
    }
}
END_TEST

START_TEST(test_as_many_rows_and_specs_as_the_format_has_come_back)
{
    etg_primary primary = empty_primary();
    etg_primary_row *rows = apr_pcalloc(pool, 1025 * sizeof(*rows));
    etg_primary back;
    etg_bytes record;
    unsigned i;

    for (i = 0; i < 1025; i++) {
        rows[i] = row_of((int)i);
        rows[i].spec = (apr_uint16_t)(i % 16);
        memcpy(rows[i].vary.bytes, &i, sizeof(i));
        rows[i].etag = i % 16 != 3 ? "W/\"x\"" : NULL;
    }
    for (i = 0; i < 16; i++) {
        primary.specs[i] = apr_psprintf(pool, "x-%u", i);
    }
    primary.spec_count = 16;
    primary.rows = rows;
    primary.row_count = 1024;
    back = there_and_back(&primary);
    assert_same(&primary, &back);
    primary.row_count = 1025;
    ck_assert_int_eq(etg_primary_pack(&primary, pool, &record), APR_ENOSPC);
}
END_TEST

START_TEST(test_what_no_record_can_hold_is_not_packed)
{
    etg_primary primary = rich_primary();
    char *key = apr_palloc(pool, 16385);
    etg_bytes record = { NULL, 0 };

    memset(key, 'k', 16385);
    primary.key = key;
    primary.key_length = 16385;
    ck_assert_int_eq(etg_primary_pack(&primary, pool, &record), APR_ENOSPC);
    primary = rich_primary();
    primary.rows[0].spec = 3;
    ck_assert_int_eq(etg_primary_pack(&primary, pool, &record), APR_EINVAL);
    primary = rich_primary();
    primary.rows[0].spec = 1;
    primary.rows[0].etag = "\"a\r\nb\"";
    ck_assert_int_eq(etg_primary_pack(&primary, pool, &record), APR_EINVAL);
    primary = rich_primary();
    primary.rows[0].expires_at = APR_INT64_MAX;
    ck_assert_int_eq(etg_primary_pack(&primary, pool, &record), APR_EINVAL);
    primary = rich_primary();
    primary.purged_at = -1;
    ck_assert_int_eq(etg_primary_pack(&primary, pool, &record), APR_EINVAL);
    ck_assert_ptr_null(record.data);
}
END_TEST

START_TEST(test_a_put_row_comes_first)
{
    etg_primary primary = empty_primary();
    etg_primary_row row = row_of(9);

    put(&primary, "accept", row, 16, NOW);
    row.vary.bytes[3] = 7;
    ck_assert_uint_eq(put(&primary, "accept", row, 16, NOW), 0);
    ck_assert_uint_eq(primary.row_count, 2);
    ck_assert_uint_eq(primary.spec_count, 1);
    ck_assert_uint_eq(primary.rows[0].vary.bytes[3], 7);
    ck_assert_uint_eq(primary.rows[1].vary.bytes[3], 0);
}
END_TEST

START_TEST(test_a_row_of_the_same_variant_is_replaced_and_moved_up)
{
    etg_primary primary = empty_primary();
    etg_primary_row row = row_of(9);

    put(&primary, "", row, 16, NOW);
    put(&primary, "accept", row, 16, NOW);
    row.received_at = NOW;
    put(&primary, "", row, 16, NOW);
    ck_assert_uint_eq(primary.row_count, 2);
    ck_assert_str_eq(primary.specs[primary.rows[0].spec], "");
    ck_assert_int_eq(primary.rows[0].received_at, NOW);
    ck_assert_str_eq(primary.specs[primary.rows[1].spec], "accept");
}
END_TEST

START_TEST(test_a_limit_drops_the_oldest_rows_and_counts_them)
{
    etg_primary primary = empty_primary();
    unsigned dropped = 0;
    unsigned i;

    for (i = 0; i < 10; i++) {
        etg_primary_row row = row_of(50 - (int)i);

        row.vary.bytes[0] = (unsigned char)(i + 1);
        dropped += put(&primary, "accept", row, 4, NOW);
    }
    ck_assert_uint_eq(primary.row_count, 4);
    ck_assert_uint_eq(dropped, 6);
    for (i = 0; i < 4; i++) {
        ck_assert_uint_eq(primary.rows[i].vary.bytes[0], 10 - i);
    }
    ck_assert_uint_eq(put(&primary, "accept", row_of(0), 0, NOW), 4);
    ck_assert_uint_eq(primary.row_count, 1);
}
END_TEST

START_TEST(test_expired_rows_go_without_being_counted)
{
    etg_primary primary = rich_primary();
    apr_time_t later = NOW - 20 * SECOND + 7200 * SECOND;
    etg_primary_row row = row_of(0);

    /* The row of age 30 and, to the µs, that of age 20 are over. */
    row.vary.bytes[5] = 1;
    ck_assert_uint_eq(put(&primary, "accept", row, 16, later), 0);
    ck_assert_uint_eq(primary.row_count, 5);
    ck_assert_uint_eq(primary.spec_count, 2);
}
END_TEST

START_TEST(test_specs_that_no_row_names_go)
{
    etg_primary primary = empty_primary();

    put(&primary, "accept", row_of(3), 16, NOW);
    put(&primary, "cookie", row_of(2), 1, NOW);
    ck_assert_uint_eq(primary.spec_count, 1);
    ck_assert_str_eq(primary.specs[0], "cookie");
    ck_assert_uint_eq(primary.rows[0].spec, 0);
}
END_TEST

START_TEST(test_a_seventeenth_spec_pushes_out_the_oldest)
{
    etg_primary primary = empty_primary();
    etg_primary back;
    unsigned i;

    for (i = 0; i < 17; i++) {
        ck_assert_uint_eq(put(&primary, apr_psprintf(pool, "x-%u", i),
                              row_of(40 - (int)i), 100, NOW),
                          i == 16 ? 1 : 0);
    }
    ck_assert_uint_eq(primary.spec_count, 16);
    ck_assert_uint_eq(primary.row_count, 16);
    for (i = 0; i < 16; i++) {
        ck_assert_str_ne(primary.specs[i], "x-0");
    }
    back = there_and_back(&primary);
    assert_same(&primary, &back);
}
END_TEST

START_TEST(test_an_etag_is_kept_only_for_a_variant)
{
    etg_primary primary = empty_primary();
    etg_primary_row row = row_of(3);
    etg_primary back;

    row.etag = "\"a\"";
    put(&primary, "", row, 16, NOW);
    put(&primary, "accept", row, 16, NOW);
    ck_assert_str_eq(primary.rows[0].etag, "\"a\"");
    ck_assert_ptr_null(primary.rows[1].etag);
    back = there_and_back(&primary);
    assert_same(&primary, &back);
}
END_TEST

/* The row for a request that says `accept`. */
static const etg_primary_row *chosen(const etg_primary *primary,
                                     const char *accept)
{
    apr_table_setn(request, "Accept", accept);
    return etg_primary_choose(primary, request, NULL, pool);
}

static etg_primary_row row_for(const char *spec, const char *accept, int age)
{
    etg_primary_row row = row_of(age);

    apr_table_setn(request, "Accept", accept);
    etg_vary_hash_of(&row.vary, spec, request, NULL, pool);
    return row;
}

START_TEST(test_the_row_whose_fields_match_is_chosen)
{
    etg_primary primary = empty_primary();
    etg_primary_row json = row_for("accept", "application/json", 5);
    etg_primary_row html = row_for("accept", "text/html", 3);

    put(&primary, "accept", json, 16, NOW);
    put(&primary, "accept", html, 16, NOW);
    ck_assert_ptr_eq(chosen(&primary, "text/html"), &primary.rows[0]);
    ck_assert_ptr_eq(chosen(&primary, "application/json"), &primary.rows[1]);
    ck_assert_ptr_null(chosen(&primary, "image/png"));
}
END_TEST

START_TEST(test_a_row_without_vary_fits_every_request)
{
    etg_primary primary = empty_primary();

    put(&primary, "", row_of(5), 16, NOW);
    ck_assert_ptr_eq(chosen(&primary, "text/html"), &primary.rows[0]);
    ck_assert_ptr_eq(chosen(&primary, ""), &primary.rows[0]);
}
END_TEST

START_TEST(test_a_hash_fits_only_with_its_own_spec)
{
    etg_primary primary = empty_primary();
    etg_primary_row row = row_for("accept", "text/html", 5);

    put(&primary, "accept,cookie", row, 16, NOW);
    put(&primary, "", row, 16, NOW);
    ck_assert_ptr_null(chosen(&primary, "text/html"));
}
END_TEST

START_TEST(test_the_latest_date_wins_then_the_latest_receipt)
{
    etg_primary primary = empty_primary();
    etg_primary_row old = row_of(50);
    etg_primary_row row = row_for("accept", "text/html", 5);

    put(&primary, "accept", row, 16, NOW);
    old.received_at = NOW;
    put(&primary, "", old, 16, NOW);
    /* Received last, but dated earlier. */
    ck_assert_ptr_eq(chosen(&primary, "text/html"), &primary.rows[1]);
    ck_assert_ptr_eq(chosen(&primary, "image/png"), &primary.rows[0]);
    old.date = row.date;
    put(&primary, "", old, 16, NOW);
    ck_assert_ptr_eq(chosen(&primary, "text/html"), &primary.rows[0]);
    row.received_at = NOW + 1;
    put(&primary, "accept", row, 16, NOW);
    ck_assert_ptr_eq(chosen(&primary, "text/html"), &primary.rows[0]);
    ck_assert_str_eq(primary.specs[primary.rows[0].spec], "accept");
}
END_TEST

START_TEST(test_no_part_of_a_record_parses)
{
    etg_primary primary = rich_primary();
    etg_bytes record = packed(&primary);
    apr_size_t length;

    for (length = 0; length < record.length; length++) {
        unsigned char *copy = malloc(length + 1);
        etg_bytes part = { copy, length };

        memcpy(copy, record.data, length);
        ck_assert(!parses(part));
        free(copy);
    }
    ck_assert(!parses((etg_bytes){ NULL, 0 }));
    ck_assert(parses(record));
}
END_TEST

START_TEST(test_no_bit_can_flip_unseen)
{
    etg_primary primary = rich_primary();
    etg_bytes record = packed(&primary);
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);
    apr_size_t bit;

    for (bit = 0; bit < 8 * record.length; bit++) {
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        ck_assert(!parses((etg_bytes){ copy, record.length }));
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}
END_TEST

START_TEST(test_another_version_or_kind_is_refused)
{
    etg_primary primary = rich_primary();
    etg_bytes record = packed(&primary);
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);

    copy[2] = 2;
    ck_assert(!parses(resealed(copy, record.length)));
    copy[2] = 1;
    copy[1] = ETG_RECORD_RESPONSE;
    ck_assert(!parses(resealed(copy, record.length)));
    copy[1] = ETG_RECORD_PRIMARY;
    copy[0] = 0;
    ck_assert(!parses(resealed(copy, record.length)));
    copy[0] = 0xE7;
    copy[5]++;
    ck_assert(!parses(resealed(copy, record.length)));
    copy[5]--;
    ck_assert(parses(resealed(copy, record.length)));
}
END_TEST

START_TEST(test_a_made_up_generation_of_zero_is_refused)
{
    etg_primary primary = empty_primary();
    etg_bytes record = packed(&primary);
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);

    memset(copy + 6, 0, 7);
    copy[13] = 1;
    ck_assert(parses(resealed(copy, record.length)));
    copy[13] = 0;
    ck_assert(!parses(resealed(copy, record.length)));
}
END_TEST

START_TEST(test_a_refused_record_leaves_the_result_alone)
{
    etg_primary back;
    etg_primary untouched;

    memset(&back, 0x5A, sizeof(back));
    memset(&untouched, 0x5A, sizeof(untouched));
    ck_assert_int_eq(etg_primary_unpack(
                         (etg_bytes){ (const unsigned char *)"nothing", 7 },
                         pool, &back),
                     APR_EINVAL);
    ck_assert_mem_eq(&back, &untouched, sizeof(back));
}
END_TEST

static apr_uint32_t next_random(apr_uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void damage(unsigned char *bytes, apr_size_t length,
                   apr_uint32_t *state)
{
    unsigned edits = 1 + next_random(state) % 4;

    while (edits-- > 0) {
        unsigned char *at = bytes + next_random(state) % length;

        *at ^= (unsigned char)(1 + next_random(state) % 255);
    }
}

START_TEST(test_damaged_records_neither_crash_nor_parse)
{
    etg_primary primary = rich_primary();
    etg_bytes record = packed(&primary);
    unsigned char *copy = malloc(record.length);
    apr_uint32_t state = 1956;
    unsigned parsed = 0;
    unsigned round;

    for (round = 0; round < 20000; round++) {
        memcpy(copy, record.data, record.length);
        damage(copy, record.length, &state);
        if (memcmp(copy, record.data, record.length) != 0) {
            parsed += parses((etg_bytes){ copy, record.length }) != 0;
        }
    }
    free(copy);
    ck_assert_uint_eq(parsed, 0);
}
END_TEST

START_TEST(test_made_up_records_are_refused_or_can_be_used)
{
    etg_primary primary = rich_primary();
    etg_bytes record = packed(&primary);
    apr_uint32_t state = 42;
    apr_pool_t *whole = pool;
    unsigned parsed = 0;
    unsigned round;

    ck_assert_int_eq(apr_pool_create(&pool, whole), APR_SUCCESS);
    for (round = 0; round < 20000; round++) {
        unsigned char *copy = apr_pmemdup(pool, record.data, record.length);
        etg_primary read;

        damage(copy + 6, record.length - 14, &state);
        if (etg_primary_unpack(resealed(copy, record.length), pool, &read)
            == APR_SUCCESS) {
            parsed++;
            etg_primary_choose(&read, request, NULL, pool);
            put(&read, "accept", row_of(0), 4, NOW);
            ck_assert_uint_le(read.row_count, 4);
        }
        apr_pool_clear(pool);
    }
    pool = whole;
    /* Otherwise nothing behind the checksum was tried. */
    ck_assert_uint_gt(parsed, 1000);
    ck_assert_uint_lt(parsed, 19000);
}
END_TEST

static void add_record_tests(TCase *cases)
{
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_generations_grow_and_are_never_zero);
    tcase_add_test(cases, test_generations_of_one_moment_differ);
    tcase_add_test(cases, test_a_new_primary_is_empty);
    tcase_add_test(cases, test_a_page_without_vary_takes_little_room);
    tcase_add_test(cases, test_everything_comes_back_as_it_was);
    tcase_add_test(cases, test_times_at_their_limits_come_back);
    tcase_add_test(cases,
                   test_as_many_rows_and_specs_as_the_format_has_come_back);
    tcase_add_test(cases, test_what_no_record_can_hold_is_not_packed);
}

static void add_row_tests(TCase *cases)
{
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_a_put_row_comes_first);
    tcase_add_test(cases,
                   test_a_row_of_the_same_variant_is_replaced_and_moved_up);
    tcase_add_test(cases, test_a_limit_drops_the_oldest_rows_and_counts_them);
    tcase_add_test(cases, test_expired_rows_go_without_being_counted);
    tcase_add_test(cases, test_specs_that_no_row_names_go);
    tcase_add_test(cases, test_a_seventeenth_spec_pushes_out_the_oldest);
    tcase_add_test(cases, test_an_etag_is_kept_only_for_a_variant);
    tcase_add_test(cases, test_the_row_whose_fields_match_is_chosen);
    tcase_add_test(cases, test_a_row_without_vary_fits_every_request);
    tcase_add_test(cases, test_a_hash_fits_only_with_its_own_spec);
    tcase_add_test(cases, test_the_latest_date_wins_then_the_latest_receipt);
}

static void add_damage_tests(TCase *cases)
{
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_no_part_of_a_record_parses);
    tcase_add_test(cases, test_no_bit_can_flip_unseen);
    tcase_add_test(cases, test_another_version_or_kind_is_refused);
    tcase_add_test(cases, test_a_made_up_generation_of_zero_is_refused);
    tcase_add_test(cases, test_a_refused_record_leaves_the_result_alone);
    tcase_add_test(cases, test_damaged_records_neither_crash_nor_parse);
    tcase_add_test(cases, test_made_up_records_are_refused_or_can_be_used);
}

int main(void)
{
    Suite *suite = suite_create("primary_record");
    TCase *record = tcase_create("record");
    TCase *rows = tcase_create("rows");
    TCase *damaged = tcase_create("damaged");
    SRunner *runner = srunner_create(suite);
    int failed;

    add_record_tests(record);
    suite_add_tcase(suite, record);
    add_row_tests(rows);
    suite_add_tcase(suite, rows);
    add_damage_tests(damaged);
    suite_add_tcase(suite, damaged);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
