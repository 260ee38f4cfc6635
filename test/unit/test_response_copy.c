/* SPDX-License-Identifier: Apache-2.0 */
/* test_response_copy.c: a near store's copy there and back, and damaged. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/record.h"
#include "lib/response_copy.h"
#include "test/unit/damaged_record.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define NOW APR_TIME_C(1763827200345678)

static etg_bytes copy_of(const char *text, apr_time_t when)
{
    etg_bytes response = { (const unsigned char *)text, strlen(text) };
    etg_bytes record;

    ck_assert_int_eq(etg_response_copy_pack(response, when, pool, &record),
                     APR_SUCCESS);
    return record;
}

START_TEST(test_a_copy_comes_back_with_its_time)
{
    static const apr_time_t times[] = { 0, 1, NOW, APR_INT64_MAX };
    static const char *const texts[] = { "", "a", "a response record" };

    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 3; j++) {
            etg_bytes back = { NULL, 99 };
            apr_time_t when = -1;

            ck_assert_int_eq(etg_response_copy_unpack(
                                 copy_of(texts[j], times[i]), &when, &back),
                             APR_SUCCESS);
            ck_assert_int_eq(when, times[i]);
            ck_assert_ptr_nonnull(back.data);
            ck_assert_uint_eq(back.length, strlen(texts[j]));
            ck_assert(!memcmp(back.data, texts[j], back.length));
        }
    }
}
END_TEST

START_TEST(test_the_response_is_as_aligned_as_its_copy)
{
    etg_bytes record = copy_of("response", NOW);
    etg_bytes back;
    apr_time_t when;

    ck_assert_int_eq(etg_response_copy_unpack(record, &when, &back),
                     APR_SUCCESS);
    ck_assert_int_eq((back.data - record.data) % 8, 0);
}
END_TEST

START_TEST(test_a_time_before_1970_is_refused)
{
    etg_bytes response = { (const unsigned char *)"r", 1 };
    etg_bytes record;

    ck_assert_int_eq(etg_response_copy_pack(response, -1, pool, &record),
                     APR_EINVAL);
}
END_TEST

START_TEST(test_what_is_too_long_for_a_record_is_refused)
{
    etg_bytes response = { NULL, ETG_RECORD_PAYLOAD_MAX };
    etg_bytes record;

    response.data = apr_pcalloc(pool, response.length);
    ck_assert_int_eq(etg_response_copy_pack(response, NOW, pool, &record),
                     APR_ENOSPC);
}
END_TEST

START_TEST(test_a_response_that_is_no_copy_is_refused)
{
    etg_record_writer writer;
    etg_bytes record;
    etg_bytes back;
    apr_time_t when;

    etg_record_begin(&writer, ETG_RECORD_RESPONSE, 1, 20, pool);
    etg_record_put_bytes(&writer, "01234567890123456789", 20);
    ck_assert_int_eq(etg_record_end(&writer, &record), APR_SUCCESS);
    ck_assert_int_eq(etg_response_copy_unpack(record, &when, &back),
                     APR_EINVAL);
}
END_TEST

START_TEST(test_a_cut_or_damaged_copy_is_refused)
{
    etg_bytes record = copy_of("a response record", NOW);
    apr_uint32_t state = 1;
    etg_bytes back;
    apr_time_t when;

    for (apr_size_t length = 0; length < record.length; length++) {
        etg_bytes cut = { record.data, length };

        ck_assert_int_eq(etg_response_copy_unpack(cut, &when, &back),
                         APR_EINVAL);
    }
    for (int i = 0; i < 10000; i++) {
        unsigned char *bytes = apr_pmemdup(pool, record.data, record.length);
        etg_bytes damaged = { bytes, record.length };

        damage(bytes, record.length, &state);
        if (memcmp(bytes, record.data, record.length) != 0) {
            ck_assert_int_eq(etg_response_copy_unpack(damaged, &when, &back),
                             APR_EINVAL);
        }
    }
}
END_TEST

START_TEST(test_a_made_up_copy_is_read_within_its_bounds)
{
    etg_bytes record = copy_of("a response record", NOW);
    apr_uint32_t state = 2;
    unsigned parsed = 0;

    for (int i = 0; i < 10000; i++) {
        unsigned char *bytes = apr_pmemdup(pool, record.data, record.length);
        etg_bytes made, back;
        apr_time_t when = -1;

        damage(bytes, record.length, &state);
        made = resealed(bytes, record.length, pool);
        if (etg_response_copy_unpack(made, &when, &back) == APR_SUCCESS) {
            parsed++;
            ck_assert_int_ge(when, 0);
            ck_assert(back.data + back.length <= made.data + made.length - 8);
        }
    }
    ck_assert_uint_gt(parsed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("response_copy");
    TCase *cases = tcase_create("response_copy");

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    tcase_add_test(cases, test_a_copy_comes_back_with_its_time);
    tcase_add_test(cases, test_the_response_is_as_aligned_as_its_copy);
    tcase_add_test(cases, test_a_time_before_1970_is_refused);
    tcase_add_test(cases, test_what_is_too_long_for_a_record_is_refused);
    tcase_add_test(cases, test_a_response_that_is_no_copy_is_refused);
    tcase_add_test(cases, test_a_cut_or_damaged_copy_is_refused);
    tcase_add_test(cases, test_a_made_up_copy_is_read_within_its_bounds);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
