/* SPDX-License-Identifier: Apache-2.0 */
/* test_primary_record.c: the primary record there and back, damaged and made
 * up. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/record.h"
#include "test/unit/damaged_record.h"
#include "test/unit/primaries.h"
#include "test/unit/run_suite.h"

static int parses(etg_bytes record)
{
    etg_primary back;
    apr_status_t rv = etg_primary_unpack(record, pool, &back);

    ck_assert(rv == APR_SUCCESS || rv == APR_EINVAL);
    return rv == APR_SUCCESS;
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

START_TEST(test_no_part_of_a_record_parses)
{
    etg_primary primary = rich_primary();

    assert_no_part_parses(packed(&primary), parses);
}
END_TEST

START_TEST(test_no_bit_can_flip_unseen)
{
    etg_primary primary = rich_primary();

    assert_no_flipped_bit_parses(packed(&primary), parses, pool);
}
END_TEST

START_TEST(test_another_version_or_kind_is_refused)
{
    etg_primary primary = rich_primary();
    etg_bytes record = packed(&primary);
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);

    copy[2] = 2;
    ck_assert(!parses(resealed(copy, record.length, pool)));
    copy[2] = 1;
    copy[1] = ETG_RECORD_RESPONSE;
    ck_assert(!parses(resealed(copy, record.length, pool)));
    copy[1] = ETG_RECORD_PRIMARY;
    copy[0] = 0;
    ck_assert(!parses(resealed(copy, record.length, pool)));
    copy[0] = 0xE7;
    copy[5]++;
    ck_assert(!parses(resealed(copy, record.length, pool)));
    copy[5]--;
    ck_assert(parses(resealed(copy, record.length, pool)));
}
END_TEST

START_TEST(test_a_made_up_generation_of_zero_is_refused)
{
    etg_primary primary = empty_primary();
    etg_bytes record = packed(&primary);
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);

    memset(copy + 6, 0, 7);
    copy[13] = 1;
    ck_assert(parses(resealed(copy, record.length, pool)));
    copy[13] = 0;
    ck_assert(!parses(resealed(copy, record.length, pool)));
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

START_TEST(test_damaged_records_neither_crash_nor_parse)
{
    etg_primary primary = rich_primary();

    assert_no_damaged_record_parses(packed(&primary), parses, 1956);
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
        if (etg_primary_unpack(resealed(copy, record.length, pool), pool, &read)
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

int main(void)
{
    Suite *suite = suite_create("primary_record");
    TCase *cases = tcase_create("primary_record");

    tcase_add_checked_fixture(cases, set_up, close_pool);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_generations_grow_and_are_never_zero);
    tcase_add_test(cases, test_generations_of_one_moment_differ);
    tcase_add_test(cases, test_a_new_primary_is_empty);
    tcase_add_test(cases, test_a_page_without_vary_takes_little_room);
    tcase_add_test(cases, test_everything_comes_back_as_it_was);
    tcase_add_test(cases, test_times_at_their_limits_come_back);
    tcase_add_test(cases,
                   test_as_many_rows_and_specs_as_the_format_has_come_back);
    tcase_add_test(cases, test_what_no_record_can_hold_is_not_packed);
    tcase_add_test(cases, test_no_part_of_a_record_parses);
    tcase_add_test(cases, test_no_bit_can_flip_unseen);
    tcase_add_test(cases, test_another_version_or_kind_is_refused);
    tcase_add_test(cases, test_a_made_up_generation_of_zero_is_refused);
    tcase_add_test(cases, test_a_refused_record_leaves_the_result_alone);
    tcase_add_test(cases, test_damaged_records_neither_crash_nor_parse);
    tcase_add_test(cases, test_made_up_records_are_refused_or_can_be_used);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
