/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json_slice.c: pieces of JSON texts, case by case; and of random
 * documents, each value of which is what jansson has in that place.
 * ETG_TEST_SEED gives other documents.
 */
#include "http_views.h"

#include <jansson.h>

#include "lib/field_list.h"
#include "lib/json_scan.h"
#include "lib/json_slice.h"

#define DOCUMENTS 3000
#define DEPTH_MAX 5
#define MEMBERS_MAX 4

typedef struct slicing {
    const char *text;
    const char *pointer;
    const char *slice;          /* NULL: there is none */
} slicing;

static apr_uint64_t seed;

/* xorshift64*: the same sequence everywhere. */
static unsigned below(size_t limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * APR_UINT64_C(2685821657736338717)) >> 33)
           % (unsigned)limit;
}

static void check_all(const slicing *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const slicing *c = &cases[i];
        etg_bytes slice = etg_json_slice(etg_bytes_of(c->text), c->pointer,
                                         pool);

        ck_assert_msg((slice.data != NULL) == (c->slice != NULL), "%s of %s",
                      c->pointer, c->text);
        if (c->slice != NULL) {
            ck_assert_str_eq(apr_pstrmemdup(pool, (const char *)slice.data,
                                            slice.length), c->slice);
        }
    }
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof(cases[0]))

START_TEST(a_slice_is_the_value_as_it_is_written)
{
    static const slicing cases[] = {
        { " { \"a\" : [ 1.50 , {\"b\" : 2} ] } ", "",
          "{ \"a\" : [ 1.50 , {\"b\" : 2} ] }" },
        { " 1e400 ", "", "1e400" },
        { "{\"a\" : [ 1.50 , {\"b\" : 2} ]}", "/a", "[ 1.50 , {\"b\" : 2} ]" },
        { "{\"a\" : [ 1.50 , {\"b\" : 2} ]}", "/a/0", "1.50" },
        { "{\"a\" : [ 1.50 , {\"b\" : 2} ]}", "/a/1", "{\"b\" : 2}" },
        { "{\"a\" : [ 1.50 , {\"b\" : 2} ]}", "/a/1/b", "2" },
        { "{\"a\":\"x\\u0020y\"}", "/a", "\"x\\u0020y\"" },
        { "{\"a\":null}", "/a", "null" },
        { "{\"a\":[]}", "/a", "[]" },
        { "{\"\":1}", "/", "1" },
        { "{\"\":{\"\":2}}", "//", "2" },
        { "[[],{},3]", "/2", "3" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(what_is_not_there_is_none)
{
    static const slicing cases[] = {
        { "{\"a\":1}", "/b", NULL },
        { "{\"a\":1}", "/A", NULL },
        { "{\"a\":1}", "/a/0", NULL },
        { "{\"a\":1}", "/a/", NULL },
        { "{}", "/a", NULL },
        { "[]", "/0", NULL },
        { "[1,2]", "/2", NULL },
        { "[1,2]", "/-", NULL },
        { "[1,2]", "/01", NULL },
        { "[1,2]", "/-1", NULL },
        { "[1,2]", "/", NULL },
        { "[1,2]", "/a", NULL },
        { "[1,2]", "/1 ", NULL },
        { "[1,2]", "/4294967296", NULL },
        { "[1,2]", "/18446744073709551616", NULL },
        { "\"a\"", "/0", NULL },
        { "null", "/a", NULL },
        { "{\"a\":{\"b\":1}}", "/b", NULL },
        { "{\"x\":\"a\",\"y\":1}", "/a", NULL }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(names_are_compared_without_their_escapes)
{
    static const slicing cases[] = {
        { "{\"a/b\":1}", "/a~1b", "1" },
        { "{\"a\\/b\":1}", "/a~1b", "1" },
        { "{\"a~b\":1}", "/a~0b", "1" },
        { "{\"~1\":1}", "/~01", "1" },
        { "{\"caf\\u00e9\":1}", "/caf\xc3\xa9", "1" },
        { "{\"\\ud83d\\ude00\":1}", "/\xf0\x9f\x98\x80", "1" },
        { "{\"a\\u0000\":1}", "/a", NULL },
        { "{\"0\":1}", "/0", "1" },
        { "{\"01\":1}", "/01", "1" },
        { "{\"-\":1}", "/-", "1" },
        { "{\"*\":1}", "/*", "1" },
        { "{\"a\":1}", "/*", NULL },
        { "{\"\\\"\":1}", "/\"", "1" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(the_last_of_equal_names_counts)
{
    static const slicing cases[] = {
        { "{\"a\":1,\"a\":2}", "/a", "2" },
        { "{\"a\":1,\"\\u0061\":2,\"b\":3}", "/a", "2" },
        { "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "/a/b", NULL },
        { "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "/a/c", "2" },
        { "{\"a\":{\"b\":1},\"a\":3}", "/a/b", NULL }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(names_and_brackets_in_strings_are_strings)
{
    static const slicing cases[] = {
        { "{\"x\":\"{\\\"a\\\":1}\",\"a\":2}", "/a", "2" },
        { "{\"x\":[\"]\",\"}\"],\"a\":2}", "/a", "2" },
        { "[\",\",\"[\",2]", "/2", "2" },
        { "{\"x\":\"\\\\\",\"a\":2}", "/a", "2" }
    };

    CHECK_ALL(cases);
}
END_TEST

/* No beginning of it is valid, so none has to have a slice; but none is read
 * beyond its end either. */
START_TEST(broken_texts_are_not_read_beyond_their_end)
{
    const char *text = "{\"a\":[1,{\"b\":\"\\ud83d\\ude00\xc3\xa9\"},-2.5e3]}";
    size_t length = strlen(text);

    for (size_t cut = 0; cut < length; cut++) {
        unsigned char *exact = malloc(cut > 0 ? cut : 1);
        etg_bytes bytes = { exact, cut };

        memcpy(exact, text, cut);
        ck_assert_ptr_null(etg_json_slice(bytes, "", pool).data);
        etg_json_slice(bytes, "/a/1/b", pool);
        etg_json_slice(bytes, "/a/2", pool);
        free(exact);
    }
}
END_TEST

static json_t *random_value(unsigned depth)
{
    static const char *const strings[] = {
        "", "a", "b", "a/b", "~", "\xc3\xa9", "\xf0\x9f\x98\x80", "}", "\"",
        "\n", "0", "1"
    };
    unsigned kind = below(depth > 0 ? 8 : 4);
    json_t *value = kind < 6 ? json_object() : json_array();

    if (kind < 4) {
        json_decref(value);
        return kind == 0 ? json_integer(below(1000)) : kind == 1 ? json_true()
               : kind == 2 ? json_null()
               : json_string(strings[below(sizeof(strings)
                                           / sizeof(strings[0]))]);
    }
    for (unsigned i = below(MEMBERS_MAX + 1); i > 0; i--) {
        if (kind < 6) {
            json_object_set_new(value, strings[below(sizeof(strings)
                                                     / sizeof(strings[0]))],
                                random_value(depth - 1));
        }
        else {
            json_array_append_new(value, random_value(depth - 1));
        }
    }
    return value;
}

static const char *escaped(const char *name)
{
    const char *text = "";

    for (; *name != '\0'; name++) {
        text = *name == '~' ? apr_pstrcat(pool, text, "~0", NULL)
               : *name == '/' ? apr_pstrcat(pool, text, "~1", NULL)
               : apr_psprintf(pool, "%s%c", text, *name);
    }
    return text;
}

/* Each place of it, as jansson has it; so many. */
static unsigned compare(etg_bytes text, const char *pointer, json_t *value)
{
    etg_bytes slice = etg_json_slice(text, pointer, pool);
    const char *name;
    json_t *read;
    json_t *inner;
    size_t index;
    unsigned places = 1;

    ck_assert_msg(slice.data != NULL, "%s of %.*s", pointer,
                  (int)text.length, (const char *)text.data);
    read = json_loadb((const char *)slice.data, slice.length,
                      JSON_DECODE_ANY, NULL);
    ck_assert_msg(json_equal(read, value), "%s of %.*s is %.*s", pointer,
                  (int)text.length, (const char *)text.data,
                  (int)slice.length, (const char *)slice.data);
    json_decref(read);
    json_object_foreach(value, name, inner) {
        places += compare(text, apr_pstrcat(pool, pointer, "/", escaped(name),
                                            NULL), inner);
    }
    json_array_foreach(value, index, inner) {
        places += compare(text, apr_psprintf(pool, "%s/%u", pointer,
                                             (unsigned)index), inner);
    }
    return places;
}

START_TEST(each_value_of_a_document_is_what_jansson_has_there)
{
    static const size_t looks[] = {
        JSON_COMPACT, JSON_INDENT(2), JSON_ENSURE_ASCII, JSON_ESCAPE_SLASH
    };
    const char *wanted = getenv("ETG_TEST_SEED");
    apr_pool_t *whole = pool;
    unsigned places = 0;

    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : 20261123;
    seed += seed == 0;
    for (unsigned i = 0; i < DOCUMENTS; i++) {
        json_t *value = random_value(DEPTH_MAX);
        char *text = json_dumps(value, JSON_ENCODE_ANY | looks[below(4)]);

        apr_pool_create(&pool, whole);
        ck_assert(etg_json_is_valid(etg_bytes_of(text)));
        places += compare(etg_bytes_of(text), "", value);
        apr_pool_destroy(pool);
        free(text);
        json_decref(value);
    }
    pool = whole;
    ck_assert_uint_gt(places, 2 * DOCUMENTS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_slice_is_the_value_as_it_is_written,
        what_is_not_there_is_none,
        names_are_compared_without_their_escapes,
        the_last_of_equal_names_counts,
        names_and_brackets_in_strings_are_strings,
        broken_texts_are_not_read_beyond_their_end,
        each_value_of_a_document_is_what_jansson_has_there,
        NULL
    };

    return run_tests("json_slice", tests);
}
