/* SPDX-License-Identifier: Apache-2.0 */
/* test_option_value.c: what configuration values mean and what is refused. */
#include <string.h>

#include <check.h>

#include "lib/option_value.h"
#include "test/unit/run_suite.h"

typedef struct number_case {
    const char *text;
    apr_int64_t value;
} number_case;

typedef int number_parser(etg_bytes text, apr_int64_t *value);

#define UNTOUCHED APR_INT64_C(-77)

static etg_bytes bytes_of(const char *text)
{
    etg_bytes bytes = { (const unsigned char *)text, strlen(text) };

    return bytes;
}

static void check_accepted(number_parser *parse, const number_case *cases)
{
    for (const number_case *c = cases; c->text != NULL; ++c) {
        apr_int64_t value = UNTOUCHED;
        ck_assert_msg(parse(bytes_of(c->text), &value), "refused %s", c->text);
        ck_assert_msg(value == c->value, "%s became %lld", c->text,
                      (long long)value);
    }
}

static void check_refused(number_parser *parse, const char *const *texts)
{
    for (; *texts != NULL; ++texts) {
        apr_int64_t value = UNTOUCHED;
        ck_assert_msg(!parse(bytes_of(*texts), &value), "took %s", *texts);
        ck_assert_msg(value == UNTOUCHED, "%s touched the result", *texts);
    }
}

START_TEST(test_a_duration_has_a_unit_or_is_seconds)
{
    static const number_case cases[] = {
        { "0", 0 }, { "7", 7 * ETG_SECOND }, { "250ms", 250 * ETG_MILLISECOND },
        { "10s", 10 * ETG_SECOND }, { "5m", 5 * ETG_MINUTE },
        { "1h", ETG_HOUR }, { "30d", 30 * ETG_DAY }, { "2w", 14 * ETG_DAY },
        { "1y", ETG_YEAR }, { "0ms", 0 },
        { "9223372036854s", 9223372036854 * ETG_SECOND },
        { NULL, 0 }
    };

    check_accepted(etg_duration_parse, cases);
}
END_TEST

START_TEST(test_a_duration_that_is_none_is_refused)
{
    static const char *const texts[] = {
        "", "s", "-1", "+1", "1.5h", "1 h", " 1", "1h30m", "1H", "1M", "10us",
        "abc", "1hh", "9223372036855", "99999999999999999999", "400000y", NULL
    };

    check_refused(etg_duration_parse, texts);
}
END_TEST

START_TEST(test_a_size_has_a_unit_or_is_bytes)
{
    static const number_case cases[] = {
        { "0", 0 }, { "1000", 1000 }, { "64K", 64 * ETG_KIB },
        { "64k", 64 * ETG_KIB }, { "16M", 16 * ETG_MIB },
        { "16m", 16 * ETG_MIB }, { "2G", 2 * ETG_GIB }, { "2g", 2 * ETG_GIB },
        { "9223372036854775807", APR_INT64_MAX }, { NULL, 0 }
    };

    check_accepted(etg_size_parse, cases);
}
END_TEST

START_TEST(test_a_size_that_is_none_is_refused)
{
    static const char *const texts[] = {
        "", "K", "-1", "1.5M", "1 K", "1KB", "1T", "0x10", "64Kx",
        "9223372036854775808", "9007199254740992K", NULL
    };

    check_refused(etg_size_parse, texts);
}
END_TEST

START_TEST(test_an_integer_may_be_negative)
{
    static const number_case cases[] = {
        { "0", 0 }, { "-1", -1 }, { "16", 16 }, { "007", 7 },
        { "-9223372036854775807", -APR_INT64_MAX }, { NULL, 0 }
    };
    static const char *const texts[] = {
        "", "-", "--1", "+1", "1a", "1.0", "99999999999999999999", NULL
    };

    check_accepted(etg_integer_parse, cases);
    check_refused(etg_integer_parse, texts);
}
END_TEST

START_TEST(test_a_fraction_is_between_0_and_1)
{
    static const struct { const char *text; double value; } taken[] = {
        { "0", 0 }, { "0.0", 0 }, { "1", 1 }, { "1.0", 1 }, { "0.1", 0.1 },
        { ".25", 0.25 }, { "0.", 0 }, { "0.125", 0.125 }, { NULL, 0 }
    };
    static const char *const refused[] = {
        "", ".", "1.1", "2", "-0.1", "0,1", "10%", "0.1.1", "1e-1", "nan",
        NULL
    };

    for (int i = 0; taken[i].text != NULL; ++i) {
        double value = -7;
        ck_assert_msg(etg_fraction_parse(bytes_of(taken[i].text), &value),
                      "refused %s", taken[i].text);
        ck_assert_double_eq_tol(value, taken[i].value, 1e-12);
    }
    for (int i = 0; refused[i] != NULL; ++i) {
        double value = -7;
        ck_assert_msg(!etg_fraction_parse(bytes_of(refused[i]), &value),
                      "took %s", refused[i]);
        ck_assert_double_eq(value, -7);
    }
}
END_TEST

START_TEST(test_a_word_is_found_in_any_case_but_only_whole)
{
    static const char *const words[] = { "Off", "On", "Observe", NULL };
    int place = -7;

    ck_assert(etg_word_parse(bytes_of("observe"), words, &place));
    ck_assert_int_eq(place, 2);
    ck_assert(etg_word_parse(bytes_of("OFF"), words, &place));
    ck_assert_int_eq(place, 0);
    place = -7;
    ck_assert(!etg_word_parse(bytes_of("O"), words, &place));
    ck_assert(!etg_word_parse(bytes_of("Onn"), words, &place));
    ck_assert(!etg_word_parse(bytes_of(""), words, &place));
    ck_assert_int_eq(place, -7);
}
END_TEST

START_TEST(test_no_parser_reads_past_the_length)
{
    etg_bytes text = { (const unsigned char *)"10m5K", 2 };
    apr_int64_t value = UNTOUCHED;

    ck_assert(etg_duration_parse(text, &value));
    ck_assert(value == 10 * ETG_SECOND);
    text.length = 3;
    ck_assert(etg_size_parse(text, &value));
    ck_assert(value == 10 * ETG_MIB);
}
END_TEST

START_TEST(test_writing_takes_the_largest_exact_unit)
{
    char buffer[ETG_VALUE_TEXT_BYTES];

    ck_assert_str_eq(etg_duration_write(buffer, 0), "0s");
    ck_assert_str_eq(etg_duration_write(buffer, ETG_YEAR), "1y");
    ck_assert_str_eq(etg_duration_write(buffer, 90 * ETG_SECOND), "90s");
    ck_assert_str_eq(etg_duration_write(buffer, 30 * ETG_DAY), "30d");
    ck_assert_str_eq(etg_duration_write(buffer, 5 * ETG_MILLISECOND), "5ms");
    ck_assert_str_eq(etg_size_write(buffer, 0), "0");
    ck_assert_str_eq(etg_size_write(buffer, 1000), "1000");
    ck_assert_str_eq(etg_size_write(buffer, 64 * ETG_KIB), "64K");
    ck_assert_str_eq(etg_size_write(buffer, 3 * ETG_GIB), "3G");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("option_value");
    TCase *cases = tcase_create("values");

    tcase_add_test(cases, test_a_duration_has_a_unit_or_is_seconds);
    tcase_add_test(cases, test_a_duration_that_is_none_is_refused);
    tcase_add_test(cases, test_a_size_has_a_unit_or_is_bytes);
    tcase_add_test(cases, test_a_size_that_is_none_is_refused);
    tcase_add_test(cases, test_an_integer_may_be_negative);
    tcase_add_test(cases, test_a_fraction_is_between_0_and_1);
    tcase_add_test(cases, test_a_word_is_found_in_any_case_but_only_whole);
    tcase_add_test(cases, test_no_parser_reads_past_the_length);
    tcase_add_test(cases, test_writing_takes_the_largest_exact_unit);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
