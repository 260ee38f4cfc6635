/* SPDX-License-Identifier: Apache-2.0 */
/* test_seen_response.c: what is remembered of a 200, for whom, and how long.
 */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/field_list.h"
#include "lib/seen_response.h"
#include "test/unit/damaged_record.h"
#include "test/unit/nobodys_scope.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define NOW APR_TIME_C(1763827200345678)
#define HOUR apr_time_from_sec(3600)

static etg_seen_key key;
static etg_seen_response seen;
static etg_data_tag_scope scope;
static apr_table_t *fields;
static etg_bytes url;

static void set_up(void)
{
    open_pool();
    url = etg_bytes_of("http!a:80 /products?page=1");
    etg_seen_url_key(&key, url);
    memset(&seen, 0, sizeof(seen));
    memset(seen.data, 7, sizeof(seen.data));
    seen.fetched_at = NOW;
    seen.etag = "W/\"abc\"";
    fields = apr_table_make(pool, 4);
    scope = nobodys_scope(fields, pool);
}

static void fill(void)
{
    seen.is_last_modified_ours = 1;
    seen.vary = "Accept, Accept-Encoding";
    seen.cache_control = "max-age=60, private";
    seen.content_location = "/products.json";
    seen.has_expires = 1;
    seen.expires_in = apr_time_from_sec(60);
}

static etg_bytes packed(void)
{
    etg_bytes record = { NULL, 0 };

    ck_assert_int_eq(etg_seen_pack(&key, &seen, pool, &record), APR_SUCCESS);
    return record;
}

static apr_status_t unpack(etg_bytes record, etg_seen_response *read)
{
    return etg_seen_unpack(record, &key, pool, read);
}

static etg_seen_key variant(void)
{
    etg_seen_key made;

    ck_assert(etg_seen_variant_key(&made, url, &scope, pool));
    return made;
}

static int is_same(etg_seen_key a, etg_seen_key b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static int answers(void)
{
    return etg_seen_answers(&seen, seen.data, HOUR, fields, NOW + 1, pool);
}

static int is_memorable(void)
{
    return etg_seen_is_memorable(fields, pool);
}

START_TEST(test_a_response_comes_back_as_it_was)
{
    etg_seen_response read;

    fill();
    ck_assert_int_eq(unpack(packed(), &read), APR_SUCCESS);
    ck_assert_mem_eq(read.data, seen.data, sizeof(read.data));
    ck_assert_int_eq(read.fetched_at, NOW);
    ck_assert_str_eq(read.etag, seen.etag);
    ck_assert(read.is_last_modified_ours);
    ck_assert_str_eq(read.vary, seen.vary);
    ck_assert_str_eq(read.cache_control, seen.cache_control);
    ck_assert_str_eq(read.content_location, seen.content_location);
    ck_assert(read.has_expires);
    ck_assert_int_eq(read.expires_in, seen.expires_in);
}
END_TEST

START_TEST(test_what_was_not_there_stays_away)
{
    etg_seen_response read;

    ck_assert_int_eq(unpack(packed(), &read), APR_SUCCESS);
    ck_assert_ptr_null(read.vary);
    ck_assert_ptr_null(read.cache_control);
    ck_assert_ptr_null(read.content_location);
    ck_assert(!read.has_expires);
    ck_assert(!read.is_last_modified_ours);
    seen.vary = "";
    ck_assert_int_eq(unpack(packed(), &read), APR_SUCCESS);
    ck_assert_str_eq(read.vary, "");
}
END_TEST

START_TEST(test_an_expires_of_the_past_comes_back)
{
    etg_seen_response read;

    seen.has_expires = 1;
    seen.expires_in = -apr_time_from_sec(1);
    ck_assert_int_eq(unpack(packed(), &read), APR_SUCCESS);
    ck_assert_int_eq(read.expires_in, -apr_time_from_sec(1));
}
END_TEST

START_TEST(test_a_value_that_breaks_a_line_is_not_kept)
{
    etg_bytes record;

    seen.cache_control = "a\r\nSet-Cookie: b=c";
    ck_assert_int_eq(etg_seen_pack(&key, &seen, pool, &record), APR_EINVAL);
    seen.cache_control = NULL;
    seen.etag = NULL;
    ck_assert_int_eq(etg_seen_pack(&key, &seen, pool, &record), APR_EINVAL);
    ck_assert_int_eq(etg_seen_pack_names(&key, "a\nb", pool, &record),
                     APR_EINVAL);
}
END_TEST

START_TEST(test_a_response_that_is_too_long_is_not_kept)
{
    etg_bytes record = { NULL, 1 };
    char *longest = apr_palloc(pool, ETG_SEEN_MAX + 1);

    memset(longest, 'a', ETG_SEEN_MAX);
    longest[ETG_SEEN_MAX] = '\0';
    seen.vary = longest;
    ck_assert_int_eq(etg_seen_pack(&key, &seen, pool, &record), APR_ENOSPC);
    ck_assert_int_eq(record.length, 1);
}
END_TEST

START_TEST(test_names_come_back_for_their_key_alone)
{
    etg_bytes record;
    etg_seen_key other;
    const char *names = NULL;

    ck_assert_int_eq(etg_seen_pack_names(&key, "accept,cookie", pool,
                                         &record), APR_SUCCESS);
    ck_assert_int_eq(etg_seen_unpack_names(record, &key, pool, &names),
                     APR_SUCCESS);
    ck_assert_str_eq(names, "accept,cookie");
    etg_seen_url_key(&other, etg_bytes_of("http!a:80 /products?page=2"));
    ck_assert_int_eq(etg_seen_unpack_names(record, &other, pool, &names),
                     APR_EINVAL);
}
END_TEST

START_TEST(test_a_record_of_another_key_or_kind_is_none)
{
    etg_seen_response read;
    etg_bytes record = packed();
    const char *names;

    ck_assert_int_eq(etg_seen_unpack_names(record, &key, pool, &names),
                     APR_EINVAL);
    key.bytes[31] ^= 1;
    ck_assert_int_eq(unpack(record, &read), APR_EINVAL);
}
END_TEST

START_TEST(test_nothing_is_kept_under_no_key)
{
    etg_bytes record;

    memset(&key, 0, sizeof(key));
    ck_assert_int_eq(etg_seen_pack(&key, &seen, pool, &record), APR_EINVAL);
    ck_assert_int_eq(etg_seen_pack_names(&key, "", pool, &record),
                     APR_EINVAL);
}
END_TEST

START_TEST(test_every_cut_of_a_record_is_none)
{
    etg_seen_response read;
    etg_bytes record;
    apr_size_t length;

    fill();
    record = packed();
    for (length = 0; length < record.length; length++) {
        etg_bytes cut = { apr_pmemdup(pool, record.data, length), length };

        ck_assert_int_eq(unpack(cut, &read), APR_EINVAL);
    }
}
END_TEST

START_TEST(test_damage_is_found_or_harmless)
{
    apr_uint32_t state = 1;
    etg_bytes record;
    apr_pool_t *turn;
    int round;

    fill();
    record = packed();
    apr_pool_create(&turn, pool);
    for (round = 0; round < 20000; round++) {
        unsigned char *bytes = apr_pmemdup(turn, record.data, record.length);
        etg_bytes made;
        etg_seen_response read;

        damage(bytes, record.length - 8, &state);
        made = resealed(bytes, record.length, turn);
        if (etg_seen_unpack(made, &key, turn, &read) == APR_SUCCESS) {
            ck_assert(strpbrk(read.etag, "\r\n") == NULL);
            ck_assert(read.fetched_at >= 0);
        }
        apr_pool_clear(turn);
    }
}
END_TEST

START_TEST(test_a_variant_is_of_its_fields_and_its_url)
{
    etg_seen_key before;

    scope.vary_names = "accept";
    apr_table_setn(fields, "Accept", "text/html");
    before = variant();
    ck_assert(is_same(before, variant()));
    apr_table_setn(fields, "User-Agent", "x");
    ck_assert(is_same(before, variant()));
    apr_table_setn(fields, "Accept", "application/json");
    ck_assert(!is_same(before, variant()));
    apr_table_setn(fields, "Accept", "text/html");
    url = etg_bytes_of("http!a:80 /products?page=2");
    ck_assert(!is_same(before, variant()));
    ck_assert(!is_same(before, key));
}
END_TEST

START_TEST(test_a_variant_of_one_user_is_nobody_elses)
{
    etg_seen_key everybody = variant();
    etg_seen_key alice, bob, session;

    scope.is_private = 1;
    scope.user = "alice";
    alice = variant();
    scope.user = "bob";
    bob = variant();
    apr_table_setn(fields, "Cookie", "session=1");
    session = variant();
    ck_assert(!is_same(everybody, alice));
    ck_assert(!is_same(alice, bob));
    ck_assert(!is_same(bob, session));
    apr_table_setn(fields, "Cookie", "session=2");
    ck_assert(!is_same(session, variant()));
    scope.key = etg_bytes_of("another key, 16+");
    apr_table_setn(fields, "Cookie", "session=1");
    ck_assert(!is_same(session, variant()));
}
END_TEST

START_TEST(test_there_is_no_variant_of_everything)
{
    etg_seen_key made;

    scope.vary_names = NULL;
    ck_assert(!etg_seen_variant_key(&made, url, &scope, pool));
    scope.vary_names = "";
    scope.is_private = 1;
    scope.key = etg_bytes_of("short");
    ck_assert(!etg_seen_variant_key(&made, url, &scope, pool));
}
END_TEST

START_TEST(test_a_tag_is_answered_while_the_data_holds)
{
    unsigned char moved[ETG_DATA_DIGEST_BYTES] = { 7 };

    apr_table_setn(fields, "If-None-Match", "W/\"abc\"");
    ck_assert(answers());
    ck_assert(!etg_seen_answers(&seen, moved, HOUR, fields, NOW + 1, pool));
}
END_TEST

START_TEST(test_trust_ends)
{
    apr_table_setn(fields, "If-None-Match", "W/\"abc\"");
    ck_assert(etg_seen_answers(&seen, seen.data, HOUR, fields,
                               NOW + HOUR - 1, pool));
    ck_assert(!etg_seen_answers(&seen, seen.data, HOUR, fields, NOW + HOUR,
                                pool));
    /* A clock that was put back. */
    ck_assert(!etg_seen_answers(&seen, seen.data, HOUR, fields, NOW - 1,
                                pool));
    ck_assert(!etg_seen_answers(&seen, seen.data, 0, fields, NOW, pool));
}
END_TEST

/* Which value, and is it answered? */
static const struct {
    const char *held;
    int is_answered;
} lists[] = {
    { "W/\"abc\"", 1 },
    { "\"abc\"", 1 },               /* weakly */
    { "\"x\", W/\"abc\", \"y\"", 1 },
    { "*", 1 },
    { "\"x\", \"y\"", 0 },
    { "W/\"abcd\"", 0 },
    { "W/\"ABC\"", 0 },
    { "abc", 0 },
    { "", 0 },
    { "\"x\", *", 0 }
};

START_TEST(test_if_none_match_is_a_list_that_compares_weakly)
{
    apr_table_setn(fields, "If-None-Match", lists[_i].held);
    ck_assert_int_eq(answers(), lists[_i].is_answered);
}
END_TEST

START_TEST(test_several_lines_are_one_list)
{
    apr_table_addn(fields, "If-None-Match", "\"x\"");
    apr_table_addn(fields, "If-None-Match", "\"abc\"");
    ck_assert(answers());
}
END_TEST

START_TEST(test_a_date_alone_is_never_answered)
{
    apr_table_setn(fields, "If-Modified-Since",
                   "Sat, 22 Nov 2036 16:00:00 GMT");
    ck_assert(!answers());
    /* Browsers send both; then the tag decides alone. */
    apr_table_setn(fields, "If-None-Match", "\"abc\"");
    ck_assert(answers());
    apr_table_setn(fields, "If-None-Match", "\"x\"");
    ck_assert(!answers());
}
END_TEST

static const char *const others[] = {
    "If-Match", "If-Unmodified-Since", "If-Range", "Range"
};

START_TEST(test_any_other_condition_is_the_backends)
{
    apr_table_setn(fields, "If-None-Match", "\"abc\"");
    apr_table_setn(fields, others[_i], "x");
    ck_assert(!answers());
}
END_TEST

START_TEST(test_without_a_condition_there_is_nothing_to_answer)
{
    ck_assert(!answers());
}
END_TEST

static const struct {
    const char *name;
    const char *value;
} unmemorable[] = {
    { "Set-Cookie", "a=b" },
    { "Cache-Control", "no-store" },
    { "Cache-Control", "max-age=60, No-Store" },
    { "Vary", "*" },
    { "Vary", "Accept, *" },
    { "ETag", "bare" },
    { "ETag", "w/\"lower\"" }
};

START_TEST(test_what_a_304_could_not_say_is_not_remembered)
{
    apr_table_setn(fields, "ETag", "\"a\"");
    ck_assert(is_memorable());
    apr_table_setn(fields, unmemorable[_i].name, unmemorable[_i].value);
    ck_assert(!is_memorable());
}
END_TEST

START_TEST(test_only_one_tag_is_remembered)
{
    ck_assert(!is_memorable());
    apr_table_addn(fields, "ETag", "\"a\"");
    apr_table_setn(fields, "Cache-Control", "private, no-cache");
    apr_table_setn(fields, "Vary", "Accept");
    ck_assert(is_memorable());
    apr_table_addn(fields, "ETag", "\"b\"");
    ck_assert(!is_memorable());
}
END_TEST

#define COUNT_OF(rows) ((int)(sizeof(rows) / sizeof(rows[0])))

static Suite *suite(void)
{
    Suite *s = suite_create("seen_response");
    TCase *t = tcase_create("seen_response");

    tcase_add_checked_fixture(t, set_up, close_pool);
    tcase_add_test(t, test_a_response_comes_back_as_it_was);
    tcase_add_test(t, test_what_was_not_there_stays_away);
    tcase_add_test(t, test_an_expires_of_the_past_comes_back);
    tcase_add_test(t, test_a_value_that_breaks_a_line_is_not_kept);
    tcase_add_test(t, test_a_response_that_is_too_long_is_not_kept);
    tcase_add_test(t, test_names_come_back_for_their_key_alone);
    tcase_add_test(t, test_a_record_of_another_key_or_kind_is_none);
    tcase_add_test(t, test_nothing_is_kept_under_no_key);
    tcase_add_test(t, test_every_cut_of_a_record_is_none);
    tcase_add_test(t, test_damage_is_found_or_harmless);
    tcase_add_test(t, test_a_variant_is_of_its_fields_and_its_url);
    tcase_add_test(t, test_a_variant_of_one_user_is_nobody_elses);
    tcase_add_test(t, test_there_is_no_variant_of_everything);
    tcase_add_test(t, test_a_tag_is_answered_while_the_data_holds);
    tcase_add_test(t, test_trust_ends);
    tcase_add_loop_test(t, test_if_none_match_is_a_list_that_compares_weakly,
                        0, COUNT_OF(lists));
    tcase_add_test(t, test_several_lines_are_one_list);
    tcase_add_test(t, test_a_date_alone_is_never_answered);
    tcase_add_loop_test(t, test_any_other_condition_is_the_backends, 0,
                        COUNT_OF(others));
    tcase_add_test(t, test_without_a_condition_there_is_nothing_to_answer);
    tcase_add_loop_test(t, test_what_a_304_could_not_say_is_not_remembered, 0,
                        COUNT_OF(unmemorable));
    tcase_add_test(t, test_only_one_tag_is_remembered);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
