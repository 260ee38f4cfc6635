/* SPDX-License-Identifier: Apache-2.0 */
/* test_esi_memo.c: what is remembered of a page with ESI. */
#include "http_views.h"

#include "lib/esi_document.h"
#include "lib/esi_memo.h"

static apr_array_header_t *rows_of(const char *words)
{
    apr_array_header_t *rows = apr_array_make(pool, 4, sizeof(const char *));
    char *state;

    for (char *word = apr_strtok(apr_pstrdup(pool, words), " ", &state);
         word != NULL; word = apr_strtok(NULL, " ", &state)) {
        APR_ARRAY_PUSH(rows, const char *) = word;
    }
    return rows;
}

static etg_bytes bytes_of(const char *text)
{
    etg_bytes bytes = { (const unsigned char *)text, strlen(text) };

    return bytes;
}

static etg_esi_memo_key key_of(const char *url, const char *etag,
                               const char *prefixes, int is_always)
{
    etg_esi_memo_key key;

    memset(&key, 0, sizeof(key));
    ck_assert(etg_esi_memo_key_make(&key, bytes_of(url), etag,
                                    rows_of(prefixes), is_always, pool));
    return key;
}

static etg_bytes packed(const etg_esi_memo_key *key, const char *targets)
{
    etg_bytes record;

    ck_assert_int_eq(etg_esi_memo_pack(key, rows_of(targets), pool, &record),
                     APR_SUCCESS);
    return record;
}

START_TEST(a_list_comes_back_in_its_order)
{
    static const char *const lists[] = { "", "/", "/b /a /b?x=1&y=%20" };
    etg_esi_memo_key key = key_of("http://x.org/", "\"a\"", "/", 0);

    for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        etg_bytes record = packed(&key, lists[i]);
        apr_array_header_t *targets;

        ck_assert_int_eq(etg_esi_memo_unpack(record, &key, pool, &targets),
                         APR_SUCCESS);
        ck_assert_str_eq(apr_array_pstrcat(pool, targets, ' '), lists[i]);
    }
}
END_TEST

START_TEST(each_page_tag_and_configuration_has_a_key)
{
    const etg_esi_memo_key keys[] = {
        key_of("http://x.org/", "\"a\"", "/a /b", 0),
        key_of("http://x.org/b", "\"a\"", "/a /b", 0),
        key_of("http://x.org/", "W/\"a\"", "/a /b", 0),
        key_of("http://x.org/", "\"a\"", "/a /b", 1),
        key_of("http://x.org/", "\"a\"", "/a", 0),
        key_of("http://x.org/", "\"a\"", "/b /a", 0),
        key_of("http://x.org/", "\"a\"", "/a/b", 0),
        key_of("http://x.org/\"a\"", "", "/a /b", 0)
    };
    const unsigned count = sizeof(keys) / sizeof(keys[0]);

    for (unsigned i = 0; i < count; i++) {
        etg_bytes record = packed(&keys[i], "/a");
        apr_array_header_t *targets = NULL;

        for (unsigned n = 0; n < count; n++) {
            ck_assert_int_eq(etg_esi_memo_unpack(record, &keys[n], pool,
                                                 &targets),
                             n == i ? APR_SUCCESS : APR_EINVAL);
        }
    }
}
END_TEST

START_TEST(what_is_no_target_is_refused)
{
    static const char *const refused[] = {
        "a", "//y.org/", "http://x.org/", "/a\\b", "/\xc3\xa4", "/a\r\nB:",
        "?a", "/a\x7f"
    };
    etg_esi_memo_key key = key_of("http://x.org/", "\"a\"", "/", 0);
    etg_bytes record;

    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ck_assert_int_eq(etg_esi_memo_pack(&key, rows_of(refused[i]), pool,
                                           &record), APR_EINVAL);
    }
}
END_TEST

START_TEST(lists_are_bounded)
{
    etg_esi_memo_key key = key_of("http://x.org/", "\"a\"", "/", 0);
    apr_array_header_t *targets = rows_of("/a");
    char *longest = apr_palloc(pool, 4098);
    etg_bytes record;

    while (targets->nelts < ETG_ESI_FRAGMENTS_MAX) {
        APR_ARRAY_PUSH(targets, const char *) = "/b";
    }
    ck_assert_int_eq(etg_esi_memo_pack(&key, targets, pool, &record),
                     APR_SUCCESS);
    APR_ARRAY_PUSH(targets, const char *) = "/c";
    ck_assert_int_eq(etg_esi_memo_pack(&key, targets, pool, &record),
                     APR_EINVAL);
    memset(longest, '/', 1);
    memset(longest + 1, 'x', 4096);
    longest[4097] = '\0';
    ck_assert_int_eq(etg_esi_memo_pack(&key, rows_of(longest), pool,
                                       &record), APR_EINVAL);
    longest[4096] = '\0';
    targets = rows_of(longest);
    ck_assert_int_eq(etg_esi_memo_pack(&key, targets, pool, &record),
                     APR_SUCCESS);
    for (int i = 0; i < 3; i++) {
        APR_ARRAY_PUSH(targets, const char *) = longest;
    }
    ck_assert_int_eq(etg_esi_memo_pack(&key, targets, pool, &record),
                     APR_ENOSPC);
}
END_TEST

START_TEST(what_is_damaged_is_refused)
{
    etg_esi_memo_key key = key_of("http://x.org/", "\"a\"", "/", 0);
    etg_bytes record = packed(&key, "/a /b");
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);
    apr_array_header_t *targets = NULL;

    for (apr_size_t i = 0; i < record.length; i++) {
        etg_bytes cut = { copy, i };
        etg_bytes bent = { copy, record.length };

        ck_assert_int_eq(etg_esi_memo_unpack(cut, &key, pool, &targets),
                         APR_EINVAL);
        copy[i] ^= 0x40;
        ck_assert_int_eq(etg_esi_memo_unpack(bent, &key, pool, &targets),
                         APR_EINVAL);
        copy[i] ^= 0x40;
    }
    ck_assert_ptr_null(targets);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_list_comes_back_in_its_order,
        each_page_tag_and_configuration_has_a_key,
        what_is_no_target_is_refused,
        lists_are_bounded,
        what_is_damaged_is_refused,
        NULL
    };

    return run_tests("esi_memo", tests);
}
