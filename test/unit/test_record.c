/* SPDX-License-Identifier: Apache-2.0 */
/* test_record.c: the frame and the items that all stored records share. */
#include <string.h>

#include <check.h>

#include "lib/record.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define VERSION 3

static etg_record_writer writer;
static etg_record_reader reader;

static void begin(void)
{
    etg_record_begin(&writer, ETG_RECORD_PRIMARY, VERSION, 0, pool);
}

/* Ends the record and opens it for reading. */
static etg_bytes finish(void)
{
    etg_bytes record = { NULL, 0 };

    ck_assert_int_eq(etg_record_end(&writer, &record), APR_SUCCESS);
    ck_assert_int_eq(etg_record_open(&reader, record, ETG_RECORD_PRIMARY,
                                     VERSION),
                     APR_SUCCESS);
    return record;
}

START_TEST(test_numbers_take_as_many_bytes_as_they_need)
{
    static const struct {
        apr_uint64_t number;
        unsigned bytes;
    } cases[] = {
        { 0, 1 }, { 1, 1 }, { 0x7f, 1 }, { 0x80, 2 }, { 0x3fff, 2 },
        { 0x4000, 3 }, { 0x1fffff, 3 }, { 0x200000, 4 },
        { 0xfffffff, 4 }, { 0x10000000, 5 },
        { APR_UINT64_C(0x7ffffffff), 5 }, { APR_UINT64_C(0x800000000), 6 },
        { APR_UINT64_C(0x3ffffffffff), 6 },
        { APR_UINT64_C(0x40000000000), 7 },
        { APR_UINT64_C(0x1ffffffffffff), 7 },
        { APR_UINT64_C(0x2000000000000), 8 },
        { APR_UINT64_C(0xffffffffffffff), 8 },
        { APR_UINT64_C(0x100000000000000), 9 },
        { ~APR_UINT64_C(0), 9 },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        etg_bytes record;

        begin();
        etg_record_put_number(&writer, cases[i].number);
        record = finish();
        ck_assert_uint_eq(record.length - ETG_RECORD_OVERHEAD,
                          cases[i].bytes);
        ck_assert_uint_eq(etg_record_number(&reader), cases[i].number);
        ck_assert(etg_record_is_done(&reader));
    }
}
END_TEST

START_TEST(test_the_bytes_of_a_record_are_what_the_header_says)
{
    static const unsigned char want[] = {
        0xE7, 'p', 3, 0, 0, 20,
        0x05, 0x81, 0x00,                           /* 5, 256 */
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
        0x08, 0x02, 0x05,                           /* 2 s, -1 s, 1 us */
        0x02, 'h', 'i', 0x00, 0x00, 0xAA,
    };
    etg_bytes record;

    begin();
    etg_record_put_number(&writer, 5);
    etg_record_put_number(&writer, 256);
    etg_record_put_fixed64(&writer, APR_UINT64_C(0x0102030405060708));
    etg_record_put_interval(&writer, 2 * APR_USEC_PER_SEC);
    etg_record_put_interval(&writer, -APR_USEC_PER_SEC);
    etg_record_put_interval(&writer, 1);
    etg_record_put_text(&writer, "hi", 2);
    etg_record_put_text(&writer, NULL, 0);
    etg_record_put_bytes(&writer, "\xAA", 1);
    record = finish();
    ck_assert_uint_eq(record.length, sizeof(want) + 8);
    ck_assert_mem_eq(record.data, want, sizeof(want));
}
END_TEST

START_TEST(test_intervals_of_every_size_and_sign_come_back)
{
    apr_interval_time_t interval;
    unsigned shift;
    int offset;

    for (shift = 0; shift <= 61; shift++) {
        for (offset = -1; offset <= 1; offset++) {
            interval = (APR_INT64_C(1) << shift) + offset;
            if (interval > APR_INT64_C(1) << 61) {
                continue;
            }
            begin();
            etg_record_put_interval(&writer, interval);
            etg_record_put_interval(&writer, -interval);
            etg_record_put_time(&writer, interval, 12345);
            finish();
            ck_assert_int_eq(etg_record_interval(&reader), interval);
            ck_assert_int_eq(etg_record_interval(&reader), -interval);
            ck_assert_int_eq(etg_record_time(&reader, 12345), interval);
            ck_assert(etg_record_is_done(&reader));
        }
    }
}
END_TEST

START_TEST(test_a_made_up_interval_does_not_overflow)
{
    begin();
    etg_record_put_number(&writer, ~APR_UINT64_C(0) - 3); /* in seconds */
    finish();
    ck_assert_int_eq(etg_record_interval(&reader), 0);
    ck_assert(!etg_record_is_done(&reader));
    begin();
    etg_record_put_number(&writer, 5);
    finish();
    ck_assert_int_eq(etg_record_time(&reader, APR_INT64_MAX), 0);
    ck_assert(!etg_record_is_done(&reader));
}
END_TEST

START_TEST(test_a_record_grows_as_it_is_written)
{
    char *text = apr_palloc(pool, 100000);
    apr_size_t length;
    unsigned i;

    memset(text, 't', 100000);
    begin();
    for (i = 0; i < 20; i++) {
        etg_record_put_text(&writer, text, i * 5000);
    }
    finish();
    for (i = 0; i < 20; i++) {
        const char *back = etg_record_text(&reader, &length);

        ck_assert_uint_eq(length, i * 5000);
        ck_assert_uint_eq(strlen(back), length);
    }
    ck_assert(etg_record_is_done(&reader));
}
END_TEST

START_TEST(test_the_first_failure_to_write_is_the_answer)
{
    etg_bytes record = { NULL, 0 };

    begin();
    etg_record_put_text(&writer, "a\0b", 3);
    etg_record_put_interval(&writer, APR_INT64_MIN);
    etg_record_fail(&writer, APR_ENOSPC);
    ck_assert_int_eq(etg_record_end(&writer, &record), APR_EINVAL);
    begin();
    etg_record_put_bytes(&writer, apr_pcalloc(pool, 0xffffff), 0xffffff);
    ck_assert_int_eq(etg_record_end(&writer, &record), APR_SUCCESS);
    record.data = NULL;
    begin();
    etg_record_put_bytes(&writer, apr_pcalloc(pool, 0xffffff), 0xffffff);
    etg_record_put_bytes(&writer, "x", 1);
    ck_assert_int_eq(etg_record_end(&writer, &record), APR_ENOSPC);
    begin();
    etg_record_put_bytes(&writer, "x", ~(apr_size_t)0);
    ck_assert_int_eq(etg_record_end(&writer, &record), APR_ENOSPC);
    ck_assert_ptr_null(record.data);
}
END_TEST

START_TEST(test_nothing_is_read_after_a_failure)
{
    apr_size_t length = 77;

    begin();
    etg_record_put_number(&writer, 9);
    etg_record_put_text(&writer, "text", 4);
    finish();
    ck_assert_uint_eq(etg_record_count(&reader, 8), 0);
    ck_assert_uint_eq(etg_record_left(&reader), 0);
    ck_assert_str_eq(etg_record_text(&reader, &length), "");
    ck_assert_uint_eq(length, 0);
    ck_assert_uint_eq(etg_record_number(&reader), 0);
    ck_assert_uint_eq(etg_record_fixed64(&reader), 0);
    ck_assert_ptr_null(etg_record_bytes(&reader, 0));
    ck_assert(!etg_record_is_done(&reader));
}
END_TEST

START_TEST(test_a_reader_stays_inside_its_record)
{
    static const struct {
        const char *payload;
        apr_size_t length;
    } cases[] = {
        { "", 0 }, { "\x80", 1 }, { "\xff\1\2\3\4\5\6\7", 8 },
        { "\x02" "a", 2 }, { "\x02" "ab", 3 }, { "\x02" "abc", 4 },
        { "\x02" "a\0", 3 }, { "\x02" "a\0\0", 4 },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        begin();
        etg_record_put_bytes(&writer, cases[i].payload, cases[i].length);
        finish();
        ck_assert_str_eq(etg_record_text(&reader, NULL), "");
        ck_assert(!etg_record_is_done(&reader));
    }
}
END_TEST

START_TEST(test_a_line_has_neither_cr_nor_lf_nor_nul)
{
    char text[40];
    apr_size_t length;
    apr_size_t at;

    for (length = 0; length < sizeof(text); length++) {
        memset(text, '\t', sizeof(text));
        ck_assert(etg_record_is_line(text, length));
        for (at = 0; at < sizeof(text); at++) {
            static const char bad[] = { '\r', '\n', '\0' };

            text[at] = bad[at % 3];
            ck_assert_int_eq(etg_record_is_line(text, length), at >= length);
            text[at] = (char)(0x80 + at);
        }
        ck_assert(etg_record_is_line(text, length));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *cases = tcase_create("record");

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_numbers_take_as_many_bytes_as_they_need);
    tcase_add_test(cases, test_the_bytes_of_a_record_are_what_the_header_says);
    tcase_add_test(cases, test_intervals_of_every_size_and_sign_come_back);
    tcase_add_test(cases, test_a_made_up_interval_does_not_overflow);
    tcase_add_test(cases, test_a_record_grows_as_it_is_written);
    tcase_add_test(cases, test_the_first_failure_to_write_is_the_answer);
    tcase_add_test(cases, test_nothing_is_read_after_a_failure);
    tcase_add_test(cases, test_a_reader_stays_inside_its_record);
    tcase_add_test(cases, test_a_line_has_neither_cr_nor_lf_nor_nul);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
