/* SPDX-License-Identifier: Apache-2.0 */
/* test_primary_rows.c: which rows stay, and which one answers a request. */
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>

#include "test/unit/primaries.h"
#include "test/unit/run_suite.h"

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

int main(void)
{
    Suite *suite = suite_create("primary_rows");
    TCase *cases = tcase_create("primary_rows");

    tcase_add_checked_fixture(cases, set_up, close_pool);
    tcase_set_timeout(cases, 60);
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
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
