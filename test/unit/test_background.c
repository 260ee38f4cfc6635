/* SPDX-License-Identifier: Apache-2.0 */
/* test_background.c: the background's budget, and what its answers may do. */
#include <string.h>

#include <check.h>

#include "lib/background.h"
#include "lib/field_list.h"
#include "test/unit/run_suite.h"

static const struct {
    const char *text;
    unsigned threads;
    unsigned queue;
} good[] = {
    { "threads=4 queue=1024", 4, 1024 },
    { "queue=1 threads=64", 64, 1 },
    { "  threads=1\tqueue=65536  ", 1, 65536 },
    { "threads=007", 7, 1024 },
    { "queue=9", 4, 9 },
    { "", 4, 1024 },
    { "threads=2 threads=3", 3, 1024 }
};

START_TEST(test_counts_are_read_in_any_order)
{
    etg_background_limits limits = { 0, 0 };

    ck_assert_ptr_null(etg_background_limits_parse(
        &limits, etg_bytes_of(good[_i].text)));
    ck_assert_uint_eq(limits.threads, good[_i].threads);
    ck_assert_uint_eq(limits.queue, good[_i].queue);
}
END_TEST

static const struct {
    const char *text;
    const char *says;
} bad[] = {
    { "threads=0", "threads=1 to" },
    { "threads=65", "threads=1 to" },
    { "threads=", "threads=1 to" },
    { "threads=-1", "threads=1 to" },
    { "threads=4294967300", "threads=1 to" },
    { "threads=4x", "threads=1 to" },
    { "queue=65537", "queue=1 to" },
    { "queue=0 threads=4", "queue=1 to" },
    { "thread=4", "is not threads=number" },
    { "4", "is not threads=number" },
    { "Threads=4", "is not threads=number" },
    { "threads = 4", "is not threads=number" }
};

START_TEST(test_what_is_out_of_range_or_unknown_is_refused_with_a_reason)
{
    etg_background_limits limits = { 11, 12 };
    const char *error = etg_background_limits_parse(
        &limits, etg_bytes_of(bad[_i].text));

    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, bad[_i].says));
    ck_assert_uint_eq(limits.threads, 11);
    ck_assert_uint_eq(limits.queue, 12);
}
END_TEST

START_TEST(test_the_text_need_not_end)
{
    etg_bytes text = etg_bytes_of("threads=48");
    etg_background_limits limits;

    text.length = 9;
    ck_assert_ptr_null(etg_background_limits_parse(&limits, text));
    ck_assert_uint_eq(limits.threads, 4);
}
END_TEST

static const struct {
    int status;
    int is_storable;
    int leads_to_itself;
    etg_background_effect effect;
} answers[] = {
    { 200, 1, 0, ETG_BACKGROUND_STORE },
    { 200, 0, 0, ETG_BACKGROUND_INVALIDATE },
    { 203, 0, 0, ETG_BACKGROUND_INVALIDATE },
    { 206, 0, 0, ETG_BACKGROUND_INVALIDATE },
    { 404, 1, 0, ETG_BACKGROUND_STORE },
    { 404, 0, 0, ETG_BACKGROUND_INVALIDATE },
    { 410, 1, 0, ETG_BACKGROUND_STORE },
    { 410, 0, 0, ETG_BACKGROUND_INVALIDATE },
    { 301, 1, 0, ETG_BACKGROUND_STORE },
    { 302, 0, 0, ETG_BACKGROUND_STORE },
    { 301, 1, 1, ETG_BACKGROUND_NOTHING },
    { 302, 0, 1, ETG_BACKGROUND_NOTHING },
    { 401, 1, 0, ETG_BACKGROUND_NOTHING },
    { 401, 0, 0, ETG_BACKGROUND_NOTHING },
    { 403, 1, 0, ETG_BACKGROUND_NOTHING },
    { 407, 1, 0, ETG_BACKGROUND_NOTHING },
    { 400, 0, 0, ETG_BACKGROUND_STORE },
    { 429, 0, 0, ETG_BACKGROUND_STORE },
    { 500, 1, 0, ETG_BACKGROUND_NOTHING },
    { 502, 0, 0, ETG_BACKGROUND_NOTHING },
    { 503, 1, 0, ETG_BACKGROUND_NOTHING },
    { 599, 1, 0, ETG_BACKGROUND_NOTHING }
};

START_TEST(test_an_answer_about_the_background_itself_does_nothing)
{
    ck_assert_int_eq(etg_background_effect_of(answers[_i].status,
                                              answers[_i].is_storable,
                                              answers[_i].leads_to_itself),
                     answers[_i].effect);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("background");
    TCase *tcase = tcase_create("background");

    tcase_add_loop_test(tcase, test_counts_are_read_in_any_order, 0,
                        sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(
        tcase, test_what_is_out_of_range_or_unknown_is_refused_with_a_reason,
        0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tcase, test_the_text_need_not_end);
    tcase_add_loop_test(
        tcase, test_an_answer_about_the_background_itself_does_nothing, 0,
        sizeof(answers) / sizeof(answers[0]));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
