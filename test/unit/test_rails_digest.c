/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rails_digest.c: our `rails` digests are those that Ruby computes of
 * the same rows, and our timestamps are the moments that Ruby reads.
 *
 * Random collections are written to a file, rails_digest.rb reads them all
 * at once, and what it prints is compared line by line. Without /usr/bin/ruby
 * (Debian: ruby) the test is skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/data_digest.h"
#include "lib/field_list.h"
#include "lib/timestamp.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define RUBY "/usr/bin/ruby"
#define SKIPPED 77      /* as automake understands it */
#define COLLECTIONS 400
#define MEMBERS_MAX 40

static apr_uint64_t seed = 20261122;

/* xorshift64*: the same sequence everywhere. */
static apr_uint64_t below(apr_uint64_t limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return ((seed * APR_UINT64_C(2685821657736338717)) >> 16) % limit;
}

/* A day of 1978 to 2170, in `form`, with or without a fraction and a zone. */
static const char *random_time(void)
{
    static const char *const fractions[] = { "", ".5", ".123456", ".9999999" };
    static const char *const zones[] = { "Z", "+00:00", "+05:45", "-09:30" };
    static const char *const sql_zones[] = { "", "+00", "+0530", "-03:30" };
    apr_time_t us = (apr_time_t)(below(APR_UINT64_C(6000000000000000))
                                 + APR_UINT64_C(300000000000000));
    const char *fraction = fractions[below(4)];
    char *date = apr_palloc(pool, APR_RFC822_DATE_LEN);
    apr_time_exp_t at;

    apr_time_exp_gmt(&at, us);
    switch (below(5)) {
    case 0:
        apr_rfc822_date(date, us);
        return date;
    case 1:
        return apr_psprintf(pool, "%" APR_TIME_T_FMT "%s", apr_time_sec(us),
                            fraction);
    case 2:
        return "-";
    case 3:
        return apr_psprintf(pool, "%04d-%02d-%02dT%02d:%02d:%02d%s%s",
                            at.tm_year + 1900, at.tm_mon + 1, at.tm_mday,
                            at.tm_hour, at.tm_min, at.tm_sec, fraction,
                            zones[below(4)]);
    default:
        return apr_psprintf(pool, "%04d-%02d-%02d %02d:%02d:%02d%s%s",
                            at.tm_year + 1900, at.tm_mon + 1, at.tm_mday,
                            at.tm_hour, at.tm_min, at.tm_sec, fraction,
                            sql_zones[below(4)]);
    }
}

/* One line of what is expected: the digest, and each member's µs. */
static const char *expected_of(char *const *texts, unsigned count)
{
    etg_data_digest_builder *builder;
    etg_data_digest digest;
    const char *line = "";
    unsigned i;

    ck_assert_int_eq(etg_data_digest_begin(&builder, ETG_DATA_DIGEST_RAILS,
                                           pool), APR_SUCCESS);
    for (i = 0; i < count; i++) {
        int is_null = strcmp(texts[i], "-") == 0;
        etg_bytes text = etg_bytes_of(is_null ? NULL : texts[i]);
        apr_time_t us = 0;

        etg_data_digest_begin_member(builder);
        etg_data_digest_add_time(builder, text);
        etg_data_digest_end_member(builder);
        ck_assert_msg(is_null || etg_timestamp_parse(text, &us), "%s",
                      texts[i]);
        line = is_null ? apr_pstrcat(pool, line, " -", NULL)
                       : apr_psprintf(pool, "%s %" APR_TIME_T_FMT, line, us);
    }
    ck_assert_int_eq(etg_data_digest_end(builder, &digest), APR_SUCCESS);
    return apr_pstrcat(pool, digest.rails, line, "\n", NULL);
}

/* Writes the collections to `input` and what is expected to expected[]. */
static void write_collections(FILE *input, const char **expected)
{
    unsigned i;

    for (i = 0; i < COLLECTIONS; i++) {
        unsigned count = (unsigned)below(MEMBERS_MAX + 1);
        char *texts[MEMBERS_MAX];
        unsigned j;

        /* The first is the empty one. */
        count = i == 0 ? 0 : count;
        for (j = 0; j < count; j++) {
            texts[j] = apr_pstrdup(pool, random_time());
            fprintf(input, "%s%s", j > 0 ? "\t" : "", texts[j]);
        }
        fputc('\n', input);
        expected[i] = expected_of(texts, count);
    }
    ck_assert_int_eq(fflush(input), 0);
}

START_TEST(test_ruby_computes_the_same_digests)
{
    static char line[32 + MEMBERS_MAX * 24];
    const char *expected[COLLECTIONS];
    const char *top = getenv("srcdir");
    FILE *input = tmpfile();
    FILE *output;
    unsigned i;

    ck_assert_ptr_nonnull(input);
    write_collections(input, expected);
    /* Ruby finds the file as its standard input, from the start. */
    ck_assert_int_eq(lseek(fileno(input), 0, SEEK_SET), 0);
    ck_assert_int_ge(dup2(fileno(input), STDIN_FILENO), 0);
    ck_assert_int_eq(setenv("TZ", "UTC", 1), 0);
    output = popen(apr_psprintf(pool, "%s '%s/test/unit/rails_digest.rb'",
                                RUBY, top != NULL ? top : "."), "r");
    ck_assert_ptr_nonnull(output);
    for (i = 0; i < COLLECTIONS; i++) {
        ck_assert_msg(fgets(line, sizeof(line), output) != NULL,
                      "Ruby printed only %u lines", i);
        ck_assert_str_eq(line, expected[i]);
    }
    ck_assert_ptr_null(fgets(line, sizeof(line), output));
    ck_assert_int_eq(pclose(output), 0);
    fclose(input);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rails_digest");
    TCase *tests = tcase_create("rails_digest");

    if (access(RUBY, X_OK) != 0) {
        printf("%s is missing (Debian: apt install ruby)\n", RUBY);
        return SKIPPED;
    }
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, open_pool, close_pool);
    tcase_add_test(tests, test_ruby_computes_the_same_digests);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
