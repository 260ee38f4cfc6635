/* SPDX-License-Identifier: Apache-2.0 */
/* test_stored_response.c: the response record there and back, and its size. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "test/unit/run_suite.h"
#include "test/unit/usual_response.h"

START_TEST(test_a_usual_response_comes_back_as_it_was)
{
    etg_stored_response response = usual_response();
    etg_stored_response back = there_and_back(&response);

    assert_same(&response, &back);
    /* They are the fields' values, not copies of them. */
    ck_assert_ptr_eq(back.etag, back.fields[3].value);
    ck_assert_ptr_eq(back.last_modified, back.fields[2].value);
}
END_TEST

START_TEST(test_a_usual_response_takes_little_room)
{
    etg_stored_response response = usual_response();

    ck_assert_uint_lt(packed(&response).length, 250 + response.key_length);
}
END_TEST

START_TEST(test_a_response_without_anything_comes_back)
{
    etg_stored_response response;
    etg_stored_response back;

    memset(&response, 0, sizeof(response));
    response.key = "";
    response.status = 204;
    response.status_line = "204 No Content";
    back = there_and_back(&response);
    assert_same(&response, &back);
    ck_assert_ptr_null(back.fields);
}
END_TEST

START_TEST(test_numbers_at_their_limits_come_back)
{
    static const apr_time_t times[] = {
        0, 1, -1, 999999, -999999, 1000000, -1000000, NOW,
        APR_TIME_C(253402300799000000), APR_TIME_C(1) << 60,
        -(APR_TIME_C(1) << 60),
    };
    static const apr_uint64_t generations[] = {
        1, 0x7f, APR_UINT64_C(1) << 63, ~APR_UINT64_C(0),
    };
    unsigned i;
    unsigned j;

    for (i = 0; i < ROWS(times); i++) {
        for (j = 0; j < ROWS(generations); j++) {
            etg_stored_response response = usual_response();
            etg_stored_response back;

            response.generation = generations[j];
            response.requested_at = times[i] / 2;
            response.received_at = times[i] / 2;
            response.freshness.date = times[(i + 1) % ROWS(times)] / 2;
            response.freshness.initial_age = times[i];
            response.freshness.lifetime = -times[i];
            response.freshness.flags = 0xffffffff;
            response.body_length = generations[j];
            back = there_and_back(&response);
            assert_same(&response, &back);
        }
    }
}
END_TEST

START_TEST(test_a_coded_response_comes_back_with_its_plain_length)
{
    static const apr_uint64_t lengths[] = { 0, 1, 860, 43008, 3072 * 1032 };
    unsigned i;

    for (i = 0; i < 2 * ROWS(lengths); i++) {
        etg_stored_response response = coded_response();
        etg_stored_response back;

        response.is_coded_here = i % 2;
        response.plain_length = lengths[i / 2];
        response.freshness.flags |= ETG_FRESH_PREFETCHED;
        back = there_and_back(&response);
        assert_same(&response, &back);
    }
}
END_TEST

START_TEST(test_a_plain_response_takes_no_room_for_codings)
{
    etg_stored_response plain = usual_response();
    etg_stored_response coded = coded_response();

    ck_assert_uint_le(packed(&coded).length, packed(&plain).length + 3);
}
END_TEST

START_TEST(test_a_response_of_known_data_comes_back)
{
    static const struct {
        int has_data;
        apr_time_t fetched_at;
        int is_etag_ours;
        const char *backend_etag;
        int is_last_modified_ours;
        const char *backend_last_modified;
    } cases[] = {
        { 1, 0, 0, NULL, 0, NULL },
        { 1, NOW - 180123, 0, NULL, 0, NULL },
        { 0, 1, 0, NULL, 0, NULL },
        { 0, NOW + 1, 0, NULL, 0, NULL },
        { 0, 0, 1, NULL, 0, NULL },
        { 0, 0, 1, "", 1, "" },
        { 0, 0, 1, "W/\"a\"", 0, NULL },
        { 0, 0, 0, NULL, 1, NULL },
        { 0, 0, 0, NULL, 1, "Fri, 21 Nov 2025 08:15:42 GMT" },
        { 1, 1, 1, "\"a\"", 1, "yesterday" },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        etg_stored_response response = usual_response();
        etg_stored_response back;

        response.has_data = cases[i].has_data;
        memset(response.data, cases[i].has_data ? 0xD7 : 0,
               sizeof(response.data));
        response.fetched_at = cases[i].fetched_at;
        response.is_etag_ours = cases[i].is_etag_ours;
        response.backend_etag = cases[i].backend_etag;
        response.is_last_modified_ours = cases[i].is_last_modified_ours;
        response.backend_last_modified = cases[i].backend_last_modified;
        back = there_and_back(&response);
        assert_same(&response, &back);
    }
}
END_TEST

START_TEST(test_a_backends_validator_is_kept_only_where_ours_is_in_its_place)
{
    etg_stored_response response = usual_response();
    etg_stored_response back;

    response.backend_etag = "\"a\"";
    response.backend_last_modified = "yesterday";
    back = there_and_back(&response);
    ck_assert_ptr_null(back.backend_etag);
    ck_assert_ptr_null(back.backend_last_modified);
}
END_TEST

START_TEST(test_the_backend_is_asked_with_its_own_validators)
{
    etg_stored_response response = usual_response();

    ck_assert_str_eq(etg_stored_backend_etag(&response), response.etag);
    ck_assert_str_eq(etg_stored_backend_last_modified(&response),
                     response.last_modified);
    response.is_etag_ours = 1;
    response.is_last_modified_ours = 1;
    ck_assert_ptr_null(etg_stored_backend_etag(&response));
    ck_assert_ptr_null(etg_stored_backend_last_modified(&response));
    response.backend_etag = "\"a\"";
    response.backend_last_modified = "yesterday";
    ck_assert_str_eq(etg_stored_backend_etag(&response), "\"a\"");
    ck_assert_str_eq(etg_stored_backend_last_modified(&response),
                     "yesterday");
}
END_TEST

START_TEST(test_an_unusual_status_line_is_kept)
{
    static const struct {
        int status;
        const char *line;
    } cases[] = {
        { 200, "200 Fine" }, { 299, "299 Whatever" }, { 599, "599 " },
        { 404, "404 Not found" }, { 200, "200" }, { 999, "999 x" },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        etg_stored_response response = usual_response();
        etg_stored_response back;

        response.status = cases[i].status;
        response.status_line = cases[i].line;
        back = there_and_back(&response);
        assert_same(&response, &back);
    }
}
END_TEST

START_TEST(test_a_vary_hash_is_kept)
{
    etg_stored_response response = usual_response();
    etg_stored_response back;

    response.vary.bytes[15] = 1;
    back = there_and_back(&response);
    assert_same(&response, &back);
}
END_TEST

START_TEST(test_every_spelling_of_a_name_is_kept)
{
    static const etg_field fields[] = {
        { "ETag", "\"1\"" }, { "etag", "\"2\"" }, { "Etag", "\"3\"" },
        { "ETAG", "\"4\"" }, { "content-type", "text/html" },
        { "CONTENT-TYPE", "text/html" }, { "X-Own", "x" }, { "x-own", "" },
        { "!#$%&'*+-.^_`|~9", "all of tchar" },
    };
    etg_stored_response response = usual_response();
    etg_stored_response back;

    set_fields(&response, fields, ROWS(fields));
    response.etag = fields[1].value;
    back = there_and_back(&response);
    assert_same(&response, &back);
    ck_assert_ptr_eq(back.etag, back.fields[1].value);
}
END_TEST

START_TEST(test_repeated_fields_keep_their_order)
{
    static const etg_field fields[] = {
        { "Link", "</a>" }, { "X-A", "1" }, { "Link", "</b>" },
        { "Link", "</a>" }, { "X-A", "1" },
    };
    etg_stored_response response = usual_response();
    etg_stored_response back;

    set_fields(&response, fields, ROWS(fields));
    back = there_and_back(&response);
    assert_same(&response, &back);
}
END_TEST

START_TEST(test_values_of_every_length_and_byte_are_kept)
{
    etg_field fields[2] = { { "X-First", "" }, { "X-Last", "end" } };
    char value[300];
    unsigned length;

    for (length = 0; length < sizeof(value); length++) {
        etg_stored_response response = usual_response();
        etg_stored_response back;
        unsigned i;

        for (i = 0; i < length; i++) {
            value[i] = (char)(1 + (i * 7 + length) % 255);
            if (value[i] == '\r' || value[i] == '\n') {
                value[i] = '\t';
            }
        }
        value[length] = '\0';
        fields[0].value = value;
        set_fields(&response, fields, ROWS(fields));
        back = there_and_back(&response);
        assert_same(&response, &back);
    }
}
END_TEST

START_TEST(test_dates_come_back_letter_by_letter)
{
    static const char *const dates[] = {
        "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 29 Feb 2024 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:01 GMT",
        "Mon, 29 Feb 2024 23:59:59 GMT", "Thu, 29 Feb 2023 23:59:59 GMT",
        "Thu, 29 Feb 2024 23:59:59 UTC", "thu, 29 feb 2024 23:59:59 gmt",
        "Thu, 29 Feb 2024 24:59:59 GMT", "Thursday, 29-Feb-24 23:59:59 GMT",
        "Thu Feb 29 23:59:59 2024", "Wed, 31 Dec 1969 23:59:59 GMT",
        "Thu, 29 Feb 2024 23:59:60 GMT", "-1", "0", "never", "",
    };
    etg_field fields[2 * ROWS(dates)];
    etg_stored_response response = usual_response();
    etg_stored_response back;
    unsigned i;

    for (i = 0; i < ROWS(dates); i++) {
        fields[i].name = "Expires";
        fields[i].value = dates[i];
        fields[ROWS(dates) + i].name = "X-Other";
        fields[ROWS(dates) + i].value = dates[ROWS(dates) - 1 - i];
    }
    set_fields(&response, fields, ROWS(fields));
    back = there_and_back(&response);
    assert_same(&response, &back);
}
END_TEST

START_TEST(test_known_dates_and_words_are_short)
{
    static const etg_field fields[] = {
        { "Date", "Sat, 22 Nov 2025 16:00:00 GMT" },
        { "Content-Type", "text/html; charset=utf-8" },
    };
    etg_stored_response response = usual_response();
    apr_size_t with;

    set_fields(&response, fields, ROWS(fields));
    with = packed(&response).length;
    set_fields(&response, NULL, 0);
    ck_assert_uint_le(with - packed(&response).length, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stored_response");
    TCase *cases = tcase_create("stored_response");

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_a_usual_response_comes_back_as_it_was);
    tcase_add_test(cases, test_a_usual_response_takes_little_room);
    tcase_add_test(cases, test_a_response_without_anything_comes_back);
    tcase_add_test(cases, test_numbers_at_their_limits_come_back);
    tcase_add_test(cases,
                   test_a_coded_response_comes_back_with_its_plain_length);
    tcase_add_test(cases, test_a_plain_response_takes_no_room_for_codings);
    tcase_add_test(cases, test_a_response_of_known_data_comes_back);
    tcase_add_test(
        cases,
        test_a_backends_validator_is_kept_only_where_ours_is_in_its_place);
    tcase_add_test(cases,
                   test_the_backend_is_asked_with_its_own_validators);
    tcase_add_test(cases, test_an_unusual_status_line_is_kept);
    tcase_add_test(cases, test_a_vary_hash_is_kept);
    tcase_add_test(cases, test_every_spelling_of_a_name_is_kept);
    tcase_add_test(cases, test_repeated_fields_keep_their_order);
    tcase_add_test(cases, test_values_of_every_length_and_byte_are_kept);
    tcase_add_test(cases, test_dates_come_back_letter_by_letter);
    tcase_add_test(cases, test_known_dates_and_words_are_short);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
