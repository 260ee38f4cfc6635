/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_select.c: rows of times and ids out of JSON texts. A row is
 * written "place:kind:text", and " place:kind:text" of its id behind it. */
#include "http_views.h"

#include "lib/field_list.h"
#include "lib/json_numbers.h"
#include "lib/json_select.h"

typedef struct selecting {
    const char *json;
    const char *times;
    const char *ids;
    etg_json_selection outcome;
    const char *rows;           /* one per line */
} selecting;

static const char *match_text(const etg_json_match *match)
{
    static const char kinds[] = "-snbz";

    ck_assert_uint_lt(match->kind, sizeof(kinds) - 1);
    return apr_psprintf(pool, "%.*s:%c:%.*s", (int)match->place.length,
                        (const char *)match->place.data, kinds[match->kind],
                        (int)match->text.length,
                        (const char *)match->text.data);
}

static const char *rows_text(const apr_array_header_t *rows)
{
    const char *text = "";

    for (int i = 0; i < rows->nelts; i++) {
        const etg_json_row *row = &APR_ARRAY_IDX(rows, i, etg_json_row);

        text = apr_pstrcat(pool, text, *text != '\0' ? "\n" : "",
                           match_text(&row->time),
                           row->id.kind != ETG_JSON_ABSENT ? " " : "",
                           row->id.kind != ETG_JSON_ABSENT
                               ? match_text(&row->id) : "", NULL);
    }
    return text;
}

static etg_json_selection selected(etg_bytes json, const char *times,
                                   const char *ids,
                                   const apr_array_header_t **rows)
{
    unsigned char *exact = malloc(json.length + 1);
    etg_json_selection outcome;

    /* A block of its own size, gone when the rows are looked at. */
    memcpy(exact, json.data, json.length);
    json.data = exact;
    *rows = NULL;
    outcome = etg_json_select(json, times, ids, pool, rows);
    memset(exact, 'x', json.length);
    free(exact);
    ck_assert_int_eq(*rows != NULL, outcome == ETG_JSON_SELECTED);
    return outcome;
}

static void check_all(const selecting *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const selecting *c = &cases[i];
        const apr_array_header_t *rows;
        etg_json_selection outcome = selected(etg_bytes_of(c->json), c->times,
                                              c->ids, &rows);

        ck_assert_msg(outcome == c->outcome, "%s in %s: %s", c->times,
                      c->json, etg_json_selection_text(outcome));
        if (rows != NULL) {
            ck_assert_str_eq(rows_text(rows), c->rows);
        }
    }
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof(cases[0]))

START_TEST(a_star_is_each_element_in_order)
{
    static const selecting cases[] = {
        { "{\"products\":[{\"t\":\"b\"},{\"t\":\"a\"},{\"t\":\"c\"}]}",
          "/products/*/t", NULL, ETG_JSON_SELECTED, "0:s:b\n1:s:a\n2:s:c" },
        { "[1,2]", "/*", NULL, ETG_JSON_SELECTED, "0:n:1\n1:n:2" },
        { "[[1,2],[3]]", "/*/*", NULL, ETG_JSON_SELECTED,
          "0/0:n:1\n0/1:n:2\n1/0:n:3" },
        { "[[1,2],[3]]", "/*/0", NULL, ETG_JSON_SELECTED,
          "0:n:1\n1:n:3" },
        { "[[1,2],[3]]", "/0/*", NULL, ETG_JSON_SELECTED,
          "0:n:1\n1:n:2" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(a_star_is_each_member_in_the_order_of_the_text)
{
    static const selecting cases[] = {
        { "{\"z\":1,\"a\":2,\"m\":3,\"b\":4}", "/*", NULL,
          ETG_JSON_SELECTED, "z:n:1\na:n:2\nm:n:3\nb:n:4" },
        { "{\"a/b\":{\"~\":[5]}}", "/*/*/*", NULL, ETG_JSON_SELECTED,
          "a~1b/~0/0:n:5" },
        { "{\"\":{\"\":5}}", "/*/*", NULL, ETG_JSON_SELECTED, "/:n:5" },
        /* The last of two has the say, at the place of the first. */
        { "{\"a\":1,\"b\":2,\"a\":3}", "/*", NULL, ETG_JSON_SELECTED,
          "a:n:3\nb:n:2" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(a_star_is_a_star_only_when_it_is_alone)
{
    static const selecting cases[] = {
        { "{\"a*\":1,\"ab\":2}", "/a*", NULL, ETG_JSON_SELECTED, ":n:1" },
        { "{\"**\":1,\"ab\":2}", "/**", NULL, ETG_JSON_SELECTED, ":n:1" },
        { "{\"a\":1}", "/a", NULL, ETG_JSON_SELECTED, ":n:1" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(plain_values_are_told_apart_by_their_kind)
{
    static const selecting cases[] = {
        { "[\"7\",7,true,false,null,\"null\",\"true\",\"\"]", "/*", NULL,
          ETG_JSON_SELECTED,
          "0:s:7\n1:n:7\n2:b:true\n3:b:false\n4:z:null\n5:s:null\n6:s:true"
          "\n7:s:" },
        /* Marks within are no marks. */
        { "[\"n7\",\"s7\",\"\\u006e7\"]", "/*", NULL, ETG_JSON_SELECTED,
          "0:s:n7\n1:s:s7\n2:s:n7" },
        { "{\"n1\":\"a\",\"s1\":\"b\"}", "/*", NULL, ETG_JSON_SELECTED,
          "n1:s:a\ns1:s:b" },
        { "[\"\\u00e9\\n\\\"\\/\"]", "/*", NULL, ETG_JSON_SELECTED,
          "0:s:\xc3\xa9\n\"/" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(numbers_stay_as_they_are_written)
{
    static const selecting cases[] = {
        { "[0,-0,1.50,1.5,1E5,1e+5,-2.5e-7]", "/*", NULL, ETG_JSON_SELECTED,
          "0:n:0\n1:n:-0\n2:n:1.50\n3:n:1.5\n4:n:1E5\n5:n:1e+5\n"
          "6:n:-2.5e-7" },
        /* No double or 64 bits tell these apart. */
        { "[9007199254740993.1,9007199254740992.1,18446744073709551617,"
          "1e999]", "/*", NULL, ETG_JSON_SELECTED,
          "0:n:9007199254740993.1\n1:n:9007199254740992.1\n"
          "2:n:18446744073709551617\n3:n:1e999" },
        { " [ 1 , 2 ] ", "/*", NULL, ETG_JSON_SELECTED, "0:n:1\n1:n:2" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(ids_stand_beside_their_times)
{
    static const selecting cases[] = {
        { "{\"p\":[{\"id\":3,\"t\":\"x\"},{\"t\":\"y\",\"id\":\"4\"}]}",
          "/p/*/t", "/p/*/id", ETG_JSON_SELECTED,
          "0:s:x 0:n:3\n1:s:y 1:s:4" },
        { "{\"t\":[1,2],\"id\":[8,9]}", "/t/*", "/id/*", ETG_JSON_SELECTED,
          "0:n:1 0:n:8\n1:n:2 1:n:9" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(as_many_ids_as_times_are_needed)
{
    static const selecting cases[] = {
        { "[{\"t\":1,\"id\":1},{\"t\":2}]", "/*/t", "/*/id",
          ETG_JSON_COUNTS_DIFFER, NULL },
        { "[{\"t\":1,\"id\":1},{\"id\":2}]", "/*/t", "/*/id",
          ETG_JSON_COUNTS_DIFFER, NULL },
        { "[{\"t\":1}]", "/*/t", "/*/id", ETG_JSON_COUNTS_DIFFER, NULL },
        { "[{\"id\":1}]", "/*/t", "/*/id", ETG_JSON_NOTHING, NULL }
    };

    CHECK_ALL(cases);
}
END_TEST

/* Two members, one without an id and one without a time, are as many; their
 * places show it. */
START_TEST(places_show_which_member_lacks_a_value)
{
    static const selecting cases[] = {
        { "[{\"t\":1},{\"id\":2}]", "/*/t", "/*/id", ETG_JSON_SELECTED,
          "0:n:1 1:n:2" },
        { "[{},{\"t\":1}]", "/*/t", NULL, ETG_JSON_SELECTED, "1:n:1" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(what_is_not_there_is_nothing)
{
    static const selecting cases[] = {
        { "[]", "/*", NULL, ETG_JSON_NOTHING, NULL },
        { "{}", "/*", NULL, ETG_JSON_NOTHING, NULL },
        { "{\"p\":[]}", "/p/*/t", NULL, ETG_JSON_NOTHING, NULL },
        { "{\"p\":[{}]}", "/p/*/t", NULL, ETG_JSON_NOTHING, NULL },
        { "{\"p\":7}", "/p/*", NULL, ETG_JSON_NOTHING, NULL },
        { "{\"p\":\"abc\"}", "/p/*", NULL, ETG_JSON_NOTHING, NULL },
        { "[1]", "/p/*", NULL, ETG_JSON_NOTHING, NULL },
        { "7", "/*", NULL, ETG_JSON_NOTHING, NULL }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(an_array_or_an_object_is_no_value)
{
    static const selecting cases[] = {
        { "[1,[]]", "/*", NULL, ETG_JSON_NOT_PLAIN, NULL },
        { "[1,{}]", "/*", NULL, ETG_JSON_NOT_PLAIN, NULL },
        { "{\"p\":[1]}", "/p", NULL, ETG_JSON_NOT_PLAIN, NULL },
        { "[{\"t\":1,\"id\":[]}]", "/*/t", "/*/id", ETG_JSON_NOT_PLAIN,
          NULL }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(what_is_no_json_is_not_selected_from)
{
    static const char *const texts[] = {
        "", " ", "{", "[1", "[1,]", "[1 2]", "[1\"a\"]", "[\"a\"1]",
        "{1:2}", "{1 :2}", "{\"a\":1,2:3}", "[01]", "[-]", "[+1]", "[1.]",
        "[.5]", "[1e]", "[1e+]", "[--1]", "[-a]", "[0x1]", "[1a]", "[true1]",
        "[1true]", "[NaN]", "[Infinity]", "[-Infinity]", "[\"a", "[\"a\\",
        "[\"\\u0000\"]", "[\"\xff\"]", "[\"\t\"]", "['a']", "[1] x", "[1]1",
        "[1,\f2]", "[1\f,2]", "\xef\xbb\xbf[1]", "// c\n[1]", "<html>"
    };

    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const apr_array_header_t *rows;

        ck_assert_msg(selected(etg_bytes_of(texts[i]), "/*", NULL, &rows)
                      == ETG_JSON_NO_JSON, "%s", texts[i]);
    }
}
END_TEST

START_TEST(a_zero_byte_is_no_json)
{
    static const char *const texts[] = {
        "[1]@", "[1@]", "[1@,2]", "[true@]", "[@1]", "{\"a\"@:1}",
        "[\"@\"]", "@"
    };

    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *text = apr_pstrdup(pool, texts[i]);
        etg_bytes json = etg_bytes_of(text);
        const apr_array_header_t *rows;

        *strchr(text, '@') = '\0';
        ck_assert_msg(selected(json, "/*", NULL, &rows) == ETG_JSON_NO_JSON,
                      "%s", texts[i]);
    }
}
END_TEST

static etg_bytes repeated(const char *first, const char *each, int count,
                          const char *last)
{
    apr_size_t length = strlen(each);
    char *text = apr_palloc(pool, strlen(first) + length * (apr_size_t)count
                                  + strlen(last) + 1);
    char *to = text + strlen(first);

    strcpy(text, first);
    for (int i = 0; i < count; i++, to += length) {
        memcpy(to, each, length);
    }
    strcpy(to, last);
    return etg_bytes_of(text);
}

START_TEST(deep_nesting_is_no_json)
{
    const apr_array_header_t *rows;

    ck_assert_int_eq(selected(repeated("", "[", 100000, ""), "/*", NULL,
                              &rows), ETG_JSON_NO_JSON);
    ck_assert_int_eq(selected(repeated("", "[", 2047, "1"), "/*", NULL,
                              &rows), ETG_JSON_NO_JSON);
}
END_TEST

START_TEST(a_hundred_thousand_members_are_enough)
{
    const apr_array_header_t *rows;

    ck_assert_int_eq(selected(repeated("[", "1,", ETG_JSON_MATCHES_MAX - 1,
                                       "1]"), "/*", "/*", &rows),
                     ETG_JSON_SELECTED);
    ck_assert_int_eq(rows->nelts, ETG_JSON_MATCHES_MAX);
    ck_assert_str_eq(match_text(&APR_ARRAY_IDX(rows, 99999,
                                               etg_json_row).id),
                     "99999:n:1");
    ck_assert_int_eq(selected(repeated("[", "1,", ETG_JSON_MATCHES_MAX,
                                       "1]"), "/*", NULL, &rows),
                     ETG_JSON_TOO_MANY);
}
END_TEST

/* A place of 400 KB in each of ten rows. */
START_TEST(places_cannot_outgrow_the_text)
{
    etg_bytes text = repeated("{\"", "x", 400 * 1024,
                              "\":[1,1,1,1,1,1,1,1,1,1]}");
    const apr_array_header_t *rows;

    ck_assert_int_eq(selected(text, "/*/*", NULL, &rows),
                     ETG_JSON_SELECTED);
    text = repeated("{\"", "x", 400 * 1024, "\":[1,1,1,1,1,1,1,1,1,1,1]}");
    ck_assert_int_eq(selected(text, "/*/*", NULL, &rows),
                     ETG_JSON_TOO_MANY);
    ck_assert_int_eq(selected(text, "/*/0", NULL, &rows),
                     ETG_JSON_SELECTED);
}
END_TEST

START_TEST(a_text_of_more_than_a_megabyte_is_too_long)
{
    const apr_array_header_t *rows;

    ck_assert_int_eq(selected(repeated("[1", " ", ETG_JSON_BYTES_MAX - 3,
                                       "]"), "/*", NULL, &rows),
                     ETG_JSON_SELECTED);
    ck_assert_int_eq(selected(repeated("[1", " ", ETG_JSON_BYTES_MAX - 2,
                                       "]"), "/*", NULL, &rows),
                     ETG_JSON_TOO_LONG);
}
END_TEST

START_TEST(every_outcome_says_something_else)
{
    for (int a = ETG_JSON_SELECTED; a <= ETG_JSON_COUNTS_DIFFER; a++) {
        for (int b = ETG_JSON_SELECTED; b < a; b++) {
            ck_assert_str_ne(
                etg_json_selection_text((etg_json_selection)a),
                etg_json_selection_text((etg_json_selection)b));
        }
    }
}
END_TEST

/* The shortest numbers, which grow most. */
START_TEST(a_marked_text_has_room)
{
    etg_bytes marked = etg_json_numbers_mark(etg_bytes_of("[1,\"1\",2]"),
                                             pool);

    ck_assert_uint_eq(marked.length, strlen("[\"n1\",\"s1\",\"n2\"]"));
    ck_assert_mem_eq(marked.data, "[\"n1\",\"s1\",\"n2\"]", marked.length);
    for (int count = 0; count < 50; count++) {
        marked = etg_json_numbers_mark(repeated("", "1,", count, "1"), pool);
        ck_assert_uint_eq(marked.length, (unsigned)count * 5 + 4);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_star_is_each_element_in_order,
        a_star_is_each_member_in_the_order_of_the_text,
        a_star_is_a_star_only_when_it_is_alone,
        plain_values_are_told_apart_by_their_kind,
        numbers_stay_as_they_are_written,
        ids_stand_beside_their_times,
        as_many_ids_as_times_are_needed,
        places_show_which_member_lacks_a_value,
        what_is_not_there_is_nothing,
        an_array_or_an_object_is_no_value,
        what_is_no_json_is_not_selected_from,
        a_zero_byte_is_no_json,
        deep_nesting_is_no_json,
        a_hundred_thousand_members_are_enough,
        places_cannot_outgrow_the_text,
        a_text_of_more_than_a_megabyte_is_too_long,
        every_outcome_says_something_else,
        a_marked_text_has_room,
        NULL
    };

    return run_tests("json_select", tests);
}
