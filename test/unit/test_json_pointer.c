/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_pointer.c: a string inside a JSON text. */
#include "http_views.h"

#include "lib/field_list.h"
#include "lib/json_pointer.h"

static const char *text_at(const char *json, const char *pointer)
{
    const char *text = "untouched";

    ck_assert_int_eq(etg_json_pointer_text(etg_bytes_of(json), pointer, pool,
                                           &text), APR_SUCCESS);
    return text;
}

START_TEST(a_pointer_walks_through_objects_and_arrays)
{
    static const char json[] =
        "{\"next\":\"/a\",\"links\":{\"next\":{\"href\":\"/b\"}},"
        "\"list\":[\"x\",[\"y\",{\"z\":\"/c\"}]],\"\":\"empty\"}";

    ck_assert_str_eq(text_at(json, "/next"), "/a");
    ck_assert_str_eq(text_at(json, "/links/next/href"), "/b");
    ck_assert_str_eq(text_at(json, "/list/0"), "x");
    ck_assert_str_eq(text_at(json, "/list/1/1/z"), "/c");
    ck_assert_str_eq(text_at(json, "/"), "empty");
    ck_assert_str_eq(text_at("[\"top\"]", "/0"), "top");
}
END_TEST

/* RFC 6901 §4 and §5. */
START_TEST(escapes_are_undone_once)
{
    static const char json[] =
        "{\"a/b\":\"1\",\"m~n\":\"2\",\"~1\":\"3\",\"c%d\":\"4\",\" \":\"5\"}";

    ck_assert_str_eq(text_at(json, "/a~1b"), "1");
    ck_assert_str_eq(text_at(json, "/m~0n"), "2");
    ck_assert_str_eq(text_at(json, "/~01"), "3");
    ck_assert_str_eq(text_at(json, "/c%d"), "4");
    ck_assert_str_eq(text_at(json, "/ "), "5");
}
END_TEST

START_TEST(what_is_no_string_is_none)
{
    static const char json[] =
        "{\"n\":null,\"i\":7,\"b\":true,\"o\":{},\"a\":[],\"s\":\"x\"}";
    static const char *const pointers[] = {
        "/n", "/i", "/b", "/o", "/a", "/missing", "/s/deeper", "/i/0",
        "/a/0", "/o/x/y", "/N"
    };

    for (unsigned i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
        ck_assert_msg(text_at(json, pointers[i]) == NULL, "%s", pointers[i]);
    }
    ck_assert_ptr_null(text_at("\"whole\"", "/0"));
    ck_assert_ptr_null(text_at("null", "/a"));
}
END_TEST

START_TEST(an_array_index_has_one_way_to_be_written)
{
    static const char *const none[] = {
        "/-", "/01", "/00", "/+1", "/ 1", "/1 ", "/2", "/", "/x", "/1e0",
        "/999999999", "/99999999999999999999", "/18446744073709551617"
    };

    ck_assert_str_eq(text_at("[\"a\",\"b\"]", "/1"), "b");
    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        ck_assert_msg(text_at("[\"a\",\"b\"]", none[i]) == NULL, "%s",
                      none[i]);
    }
}
END_TEST

START_TEST(what_is_no_json_is_refused)
{
    static const char *const texts[] = {
        "", "{", "<html>", "{\"a\":\"x\"", "{\"a\":\"x\"} trailing",
        "{\"a\":\"\\u0000\"}", "{\"a\":\"\xff\"}", "{'a':1}"
    };

    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *text = "untouched";

        ck_assert_msg(etg_json_pointer_text(etg_bytes_of(texts[i]), "/a",
                                            pool, &text) == APR_EINVAL,
                      "%s", texts[i]);
        ck_assert_str_eq(text, "untouched");
    }
}
END_TEST

START_TEST(a_text_of_more_than_a_megabyte_is_not_read)
{
    char *json = apr_palloc(pool, ETG_JSON_BYTES_MAX + 1);
    etg_bytes bytes = { (const unsigned char *)json, ETG_JSON_BYTES_MAX + 1 };
    const char *text = "untouched";

    memset(json, ' ', ETG_JSON_BYTES_MAX + 1);
    memcpy(json, "{\"a\":\"x\"}", 9);
    ck_assert_int_eq(etg_json_pointer_text(bytes, "/a", pool, &text),
                     APR_ENOSPC);
    ck_assert_str_eq(text, "untouched");
    bytes.length--;
    ck_assert_int_eq(etg_json_pointer_text(bytes, "/a", pool, &text),
                     APR_SUCCESS);
    ck_assert_str_eq(text, "x");
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
    apr_size_t depth = 100000;
    char *json = apr_palloc(pool, depth);
    etg_bytes bytes = { (const unsigned char *)json, depth };
    const char *text = NULL;

    memset(json, '[', depth);
    ck_assert_int_eq(etg_json_pointer_text(bytes, "/a", pool, &text),
                     APR_EINVAL);
}
END_TEST

START_TEST(pointers_are_judged)
{
    ck_assert(etg_json_pointer_is_valid("/"));
    ck_assert(etg_json_pointer_is_valid("/next"));
    ck_assert(etg_json_pointer_is_valid("/a/0/b~0c~1d"));
    ck_assert(!etg_json_pointer_is_valid(""));
    ck_assert(!etg_json_pointer_is_valid("next"));
    ck_assert(!etg_json_pointer_is_valid("#/next"));
    ck_assert(!etg_json_pointer_is_valid("/a~"));
    ck_assert(!etg_json_pointer_is_valid("/a~2"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_pointer_walks_through_objects_and_arrays,
        escapes_are_undone_once,
        what_is_no_string_is_none,
        an_array_index_has_one_way_to_be_written,
        what_is_no_json_is_refused,
        a_text_of_more_than_a_megabyte_is_not_read,
        deep_nesting_is_refused,
        pointers_are_judged,
        NULL
    };

    return run_tests("json_pointer", tests);
}
