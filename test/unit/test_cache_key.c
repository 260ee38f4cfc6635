/* SPDX-License-Identifier: Apache-2.0 */
/* test_cache_key.c: what makes two requests the same, and what never does. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/cache_key.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_table_t *fields;
static etg_key_rules rules;

static void set_up(void)
{
    open_pool();
    fields = apr_table_make(pool, 8);
    memset(&rules, 0, sizeof(rules));
}

static etg_cache_key key_of(const char *host, const char *target)
{
    etg_cache_key key;

    memset(&key, 0x5A, sizeof(key));
    etg_cache_key_make(&key, "http", host, target, fields, &rules, pool);
    ck_assert_uint_eq(key.length, strlen(key.text));
    return key;
}

/* The target the backend gets under `rules`. */
static const char *target_of(const char *target)
{
    return key_of("h", target).target;
}

static const apr_array_header_t *words(const char *first, const char *second)
{
    apr_array_header_t *array = apr_array_make(pool, 2, sizeof(const char *));

    APR_ARRAY_PUSH(array, const char *) = first;
    if (second != NULL) {
        APR_ARRAY_PUSH(array, const char *) = second;
    }
    return array;
}

static void assert_differ(etg_cache_key one, etg_cache_key other)
{
    ck_assert_str_ne(one.text, other.text);
    ck_assert_mem_ne(one.hash.bytes, other.hash.bytes, ETG_STORE_KEY_BYTES);
}

START_TEST(test_a_key_reads_like_its_url)
{
    static const struct {
        const char *host;
        const char *target;
        const char *text;
        const char *sent;
    } cases[] = {
        { "example.com", "/a?b=c", "http://example.com/a?b=c", "/a?b=c" },
        { "EXAMPLE.Com:8080", "/A", "http://example.com:8080/A", "/A" },
        { "example.com:80", "/", "http://example.com:80/", "/" },
        { "example.com", "/a#b", "http://example.com/a", "/a" },
        { "example.com", "/a?b#c?d", "http://example.com/a?b", "/a?b" },
        { "example.com", "/?", "http://example.com/?", "/?" },
        { "h", "http://other/a/b?c", "http://h/a/b?c", "/a/b?c" },
        { "h", "HTTP://other:80?c", "http://h/?c", "/?c" },
        { "h", "https://other", "http://h/", "/" },
        { "h", "http://o#f", "http://h/", "/" },
        { "h", "", "http://h/", "/" },
        { "h", NULL, "http://h/", "/" },
        { "h", "//other/a", "http://h//other/a", "//other/a" },
        { "h", "/http://o/a", "http://h/http://o/a", "/http://o/a" },
        { "[::1]:81", "/", "http://[::1]:81/", "/" },
        { NULL, "/a", "http:///a", "/a" },
        { "h", "*", "http:1:1://h*", "*" },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        etg_cache_key key = key_of(cases[i].host, cases[i].target);

        ck_assert_str_eq(key.text, cases[i].text);
        ck_assert_str_eq(key.target, cases[i].sent);
        ck_assert_int_eq(key.changed_query, 0);
    }
}
END_TEST

START_TEST(test_an_unchanged_target_is_not_copied)
{
    static const char target[] = "/a?b=c";

    rules.sort_query = 1;
    rules.ignore_query = words("utm_*", NULL);
    ck_assert_ptr_eq(target_of(target), target);
}
END_TEST

START_TEST(test_rules_may_be_missing)
{
    etg_cache_key key;

    etg_cache_key_make(&key, "https", "h", "/?b&a", fields, NULL, pool);
    ck_assert_str_eq(key.text, "https://h/?b&a");
}
END_TEST

START_TEST(test_schemes_hosts_ports_paths_and_cases_differ)
{
    etg_cache_key plain = key_of("h", "/a");
    etg_cache_key secure;

    etg_cache_key_make(&secure, "https", "h", "/a", fields, &rules, pool);
    assert_differ(plain, secure);
    assert_differ(plain, key_of("h:80", "/a"));
    assert_differ(plain, key_of("h.", "/a"));
    assert_differ(plain, key_of("h", "/A"));
    assert_differ(plain, key_of("h", "/a?"));
    assert_differ(plain, key_of("h", "/%61"));
    assert_differ(plain, key_of("h", "/a/"));
}
END_TEST

START_TEST(test_no_part_can_imitate_another)
{
    static const struct {
        const char *host;
        const char *target;
    } requests[] = {
        { "a", "/b/c" }, { "a/b", "/c" }, { "a/b/c", "*" }, { "a/b/c", "" },
        { "a", "b/c" }, { "ab", "/c" }, { "a", "*" }, { "a*", "x" },
        { "a", "*x" }, { "a", "/b\n/c" }, { "a\n", "/b/c" },
        { "a", "/b/c\nforwarded:1:x" }, { "a\nforwarded:1:x", "/b/c" },
        { "a", "/\nforwarded:1:x" }, { "", "/a/b/c" }, { "/", "a" },
        { "", "//a" }, { "/", "/a" },
    };
    etg_cache_key keys[2 * ROWS(requests)];
    unsigned i;
    unsigned j;

    for (i = 0; i < ROWS(requests); i++) {
        keys[i] = key_of(requests[i].host, requests[i].target);
    }
    apr_table_setn(fields, "Forwarded", "x");
    for (i = 0; i < ROWS(requests); i++) {
        keys[ROWS(requests) + i] = key_of(requests[i].host,
                                          requests[i].target);
    }
    for (i = 0; i < ROWS(keys); i++) {
        for (j = 0; j < i; j++) {
            assert_differ(keys[i], keys[j]);
        }
    }
}
END_TEST

START_TEST(test_fields_that_steer_backends_are_part_of_the_key)
{
    static const char *const names[] = {
        "X-Forwarded-Host", "x-forwarded-proto", "X-FORWARDED-SCHEME",
        "X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded",
        "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Ssl",
        "X-Forwarded-Protocol", "Front-End-Https", "X-Url-Scheme",
        "X_Forwarded_Host", "X-Forwarded_Host", "x_rewrite-url",
    };
    etg_cache_key keys[ROWS(names) + 1];
    unsigned i;
    unsigned j;

    keys[ROWS(names)] = key_of("h", "/");
    for (i = 0; i < ROWS(names); i++) {
        apr_table_clear(fields);
        apr_table_setn(fields, names[i], "v");
        keys[i] = key_of("h", "/");
        for (j = 0; j < i; j++) {
            assert_differ(keys[i], keys[j]);
        }
        assert_differ(keys[i], keys[ROWS(names)]);
    }
    apr_table_clear(fields);
    apr_table_setn(fields, "X-Forwarded-For", "192.0.2.7");
    apr_table_setn(fields, "User-Agent", "x");
    apr_table_setn(fields, "X_Forwarded_For", "192.0.2.7");
    apr_table_setn(fields, "X_Forwarded", "x");
    apr_table_setn(fields, "X_Forwarded_Hosts", "x");
    ck_assert_str_eq(key_of("h", "/").text, keys[ROWS(names)].text);
}
END_TEST

START_TEST(test_keyed_fields_are_framed_by_their_length)
{
    rules.headers = words("X-Shop", "X-Lang");
    apr_table_setn(fields, "X-Forwarded-Proto", "https");
    apr_table_setn(fields, "x-shop", "a\nx-lang:1:b");
    ck_assert_str_eq(key_of("h", "/").text,
                     "http://h/\nx-forwarded-proto:5:https"
                     "\nx-shop:12:a\nx-lang:1:b");
    apr_table_setn(fields, "x-shop", "a");
    apr_table_setn(fields, "x-lang", "b");
    ck_assert_str_eq(key_of("h", "/").text,
                     "http://h/\nx-forwarded-proto:5:https"
                     "\nx-shop:1:a\nx-lang:1:b");
}
END_TEST

START_TEST(test_an_empty_field_is_not_a_missing_one)
{
    etg_cache_key without = key_of("h", "/");

    apr_table_setn(fields, "Forwarded", "");
    assert_differ(without, key_of("h", "/"));
}
END_TEST

START_TEST(test_lines_of_a_field_are_one_value)
{
    etg_cache_key one;

    apr_table_setn(fields, "X-Forwarded-Host", "a, b");
    one = key_of("h", "/");
    apr_table_clear(fields);
    apr_table_addn(fields, "X-Forwarded-Host", "a");
    apr_table_addn(fields, "X-Forwarded-Host", "b");
    ck_assert_str_eq(key_of("h", "/").text, one.text);
    ck_assert_mem_eq(key_of("h", "/").hash.bytes, one.hash.bytes,
                     ETG_STORE_KEY_BYTES);
}
END_TEST

START_TEST(test_ignored_parameters_leave_the_rest_byte_for_byte)
{
    static const struct {
        const char *target;
        const char *rest;
    } cases[] = {
        { "/?utm_source=x", "/" },
        { "/?a=1&utm_source=x", "/?a=1" },
        { "/?utm_source=x&a=1", "/?a=1" },
        { "/?a=1&utm_source=x&b=2&utm_medium&c", "/?a=1&b=2&c" },
        { "/?a=1&utm_x=%zz&&b==2&", "/?a=1&&b==2&" },
        { "/?fbclid", "/" },
        { "/?fbclid=1&fbclid=2#x", "/" },
        { "/?%75tm_x=1&a", "/?a" },
        { "/?utm%5fx=1&a", "/?a" },
        { "/?%2575tm_x=1&a", "/?%2575tm_x=1&a" },
        { "/?%u0075tm_x=1", "/?%u0075tm_x=1" },
        { "/?%7", "/?%7" },
        { "/?fbclid%00=1", "/?fbclid%00=1" },
        { "/?UTM_x=1", "/?UTM_x=1" },
        { "/?a=utm_x", "/?a=utm_x" },
        { "/?a;utm_x=1", "/?a;utm_x=1" },
        { "/?xfbclid=1", "/?xfbclid=1" },
        { "/?fbclid2=1", "/?fbclid2=1" },
        { "/utm_x=1", "/utm_x=1" },
        { "/?", "/?" },
        { "/?&", "/?&" },
        { "/?a&utm_", "/?a" },
    };
    unsigned i;

    rules.ignore_query = words("utm_*", "fbclid");
    for (i = 0; i < ROWS(cases); i++) {
        etg_cache_key key = key_of("h", cases[i].target);

        ck_assert_str_eq(key.target, cases[i].rest);
        ck_assert_str_eq(key.text + 8, cases[i].rest);
        ck_assert_int_eq(key.changed_query,
                         strcmp(cases[i].target, cases[i].rest) != 0);
    }
}
END_TEST

START_TEST(test_a_pattern_may_name_what_is_encoded)
{
    rules.ignore_query = words("my name", "q?[0-9]");
    ck_assert_str_eq(target_of("/?my+name=1&my%20name=2&my=3"), "/?my=3");
    ck_assert_str_eq(target_of("/?qx1&qx&q%261=1"), "/?qx");
}
END_TEST

START_TEST(test_parameters_are_sorted_by_raw_name_and_stay_in_order)
{
    static const struct {
        const char *target;
        const char *sorted;
    } cases[] = {
        { "/?b=1&a=2", "/?a=2&b=1" },
        { "/?b=2&a=1&b=1", "/?a=1&b=2&b=1" },
        { "/?a=2&a=1", "/?a=2&a=1" },
        { "/?ab=1&a=2&a", "/?a=2&a&ab=1" },
        { "/?b&&a", "/?&a&b" },
        { "/?%62=1&a", "/?%62=1&a" },
        { "/?b&a#c", "/?a&b" },
        { "/?a", "/?a" },
    };
    unsigned i;

    rules.sort_query = 1;
    for (i = 0; i < ROWS(cases); i++) {
        etg_cache_key key = key_of("h", cases[i].target);

        ck_assert_str_eq(key.target, cases[i].sorted);
        ck_assert_str_eq(key.text + 8, cases[i].sorted);
    }
}
END_TEST

START_TEST(test_the_backends_query_is_the_keys)
{
    static const char *const queries[][2] = {
        { "a=1", "a=1" }, { "utm_x=1", NULL }, { "utm_x=1&a=1", "a=1" },
        { "a=1&utm_x&b=%20&%75tm_y=2", "a=1&b=%20" }, { "", "" },
        { "a&&utm_x", "a&" }, { "&", "&" }, { "utm_x&utm_y", NULL },
        { "utm_x&", "" }, { "a?utm_x&gid", "a?utm_x" },
    };
    unsigned i;

    rules.ignore_query = words("utm_*", "gid");
    for (i = 0; i < ROWS(queries); i++) {
        const char *query = queries[i][0];
        const char *got = etg_query_without(query, rules.ignore_query, pool);
        const char *target = target_of(apr_pstrcat(pool, "/p?", query, NULL));

        ck_assert_pstr_eq(got, queries[i][1]);
        ck_assert_str_eq(target, got == NULL
                                     ? "/p"
                                     : apr_pstrcat(pool, "/p?", got, NULL));
    }
    ck_assert_ptr_eq(etg_query_without(queries[0][0], rules.ignore_query,
                                       pool), queries[0][0]);
}
END_TEST

START_TEST(test_sorting_a_long_query_is_stable)
{
    char query[4000] = "/?";
    char want[4000] = "/?";
    char *to = query + 2;
    char *wanted = want + 2;
    int i;

    rules.sort_query = 1;
    for (i = 0; i < 200; i++) {
        to += sprintf(to, "%s%c=%d", i > 0 ? "&" : "", "ba"[i % 2], i);
    }
    for (i = 0; i < 200; i++) {
        wanted += sprintf(wanted, "%s%c=%d", i > 0 ? "&" : "",
                          "ab"[i / 100], i % 100 * 2 + (i < 100));
    }
    ck_assert_str_eq(target_of(query), want);
}
END_TEST

START_TEST(test_rules_and_fields_work_together)
{
    etg_cache_key key;

    rules.sort_query = 1;
    rules.ignore_query = words("x", NULL);
    apr_table_setn(fields, "Forwarded", "for=a");
    key = key_of("H", "http://o/p?c&x=1&a=2#f");
    ck_assert_str_eq(key.text, "http://h/p?a=2&c\nforwarded:5:for=a");
    ck_assert_str_eq(key.target, "/p?a=2&c");
    ck_assert_int_eq(key.changed_query, 1);
}
END_TEST

START_TEST(test_a_very_long_key_is_whole)
{
    char *target = apr_palloc(pool, 100001);
    etg_cache_key key;

    memset(target, 'x', 100000);
    target[0] = '/';
    target[100000] = '\0';
    key = key_of("h", target);
    ck_assert_uint_eq(key.length, 100008);
    ck_assert_str_eq(key.text + 8, target);
}
END_TEST

START_TEST(test_the_hash_is_that_of_the_text)
{
    /* Canonical XXH3-128, seed 0: what is stored must stay where it is. */
    static const unsigned char want[ETG_STORE_KEY_BYTES] = {
        0xe2, 0xf2, 0xda, 0x59, 0x1a, 0x4c, 0x78, 0x59,
        0x9d, 0x88, 0xb0, 0x70, 0xe5, 0x19, 0x74, 0x4e,
    };
    etg_cache_key key = key_of("h", "/");
    etg_store_key hash;

    etg_cache_key_hash(&hash, key.text, key.length);
    ck_assert_mem_eq(hash.bytes, key.hash.bytes, ETG_STORE_KEY_BYTES);
    ck_assert_mem_eq(hash.bytes, want, ETG_STORE_KEY_BYTES);
}
END_TEST

START_TEST(test_a_response_key_depends_on_all_its_parts)
{
    etg_store_key primary = { { 1 } };
    etg_vary_hash vary = { { 2 } };
    etg_store_key first;
    etg_store_key again;

    etg_response_key(&first, &primary, 3, &vary);
    etg_response_key(&again, &primary, 3, &vary);
    ck_assert_mem_eq(&first, &again, sizeof(first));
    ck_assert_mem_ne(&first, &primary, sizeof(first));
    etg_response_key(&again, &primary, 4, &vary);
    ck_assert_mem_ne(&first, &again, sizeof(first));
    etg_response_key(&again, &primary, APR_UINT64_C(3) << 56, &vary);
    ck_assert_mem_ne(&first, &again, sizeof(first));
    vary.bytes[15] = 1;
    etg_response_key(&again, &primary, 3, &vary);
    ck_assert_mem_ne(&first, &again, sizeof(first));
    vary.bytes[15] = 0;
    primary.bytes[15] = 1;
    etg_response_key(&again, &primary, 3, &vary);
    ck_assert_mem_ne(&first, &again, sizeof(first));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache_key");
    TCase *text = tcase_create("text");
    TCase *query = tcase_create("query");
    TCase *hash = tcase_create("hash");

    tcase_add_checked_fixture(text, set_up, close_pool);
    tcase_add_test(text, test_a_key_reads_like_its_url);
    tcase_add_test(text, test_an_unchanged_target_is_not_copied);
    tcase_add_test(text, test_rules_may_be_missing);
    tcase_add_test(text, test_schemes_hosts_ports_paths_and_cases_differ);
    tcase_add_test(text, test_no_part_can_imitate_another);
    tcase_add_test(text, test_fields_that_steer_backends_are_part_of_the_key);
    tcase_add_test(text, test_keyed_fields_are_framed_by_their_length);
    tcase_add_test(text, test_an_empty_field_is_not_a_missing_one);
    tcase_add_test(text, test_lines_of_a_field_are_one_value);
    tcase_add_test(text, test_a_very_long_key_is_whole);
    suite_add_tcase(suite, text);
    tcase_add_checked_fixture(query, set_up, close_pool);
    tcase_add_test(query,
                   test_ignored_parameters_leave_the_rest_byte_for_byte);
    tcase_add_test(query, test_a_pattern_may_name_what_is_encoded);
    tcase_add_test(query,
                   test_parameters_are_sorted_by_raw_name_and_stay_in_order);
    tcase_add_test(query, test_the_backends_query_is_the_keys);
    tcase_add_test(query, test_sorting_a_long_query_is_stable);
    tcase_add_test(query, test_rules_and_fields_work_together);
    suite_add_tcase(suite, query);
    tcase_add_checked_fixture(hash, set_up, close_pool);
    tcase_add_test(hash, test_the_hash_is_that_of_the_text);
    tcase_add_test(hash, test_a_response_key_depends_on_all_its_parts);
    suite_add_tcase(suite, hash);
    return run_suite(suite);
}
