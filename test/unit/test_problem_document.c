/* SPDX-License-Identifier: Apache-2.0 */
/* test_problem_document.c: problems as JSON, and whatever their texts hold. */
#include "http_views.h"

#include <jansson.h>

#include "lib/problem_document.h"

typedef struct writing {
    const char *text;
    const char *read;       /* what a reader of JSON makes of it */
} writing;

static const char *document_of(int status, const char *title,
                               const char *detail, const char *part)
{
    etg_problem problem = { status, title, detail, part };

    return etg_problem_document(&problem, pool);
}

/* What member "detail" is to a reader. */
static const char *detail_read(const char *detail)
{
    json_t *whole = json_loads(document_of(502, "t", detail, NULL),
                               JSON_REJECT_DUPLICATES, NULL);
    const char *text;

    ck_assert_ptr_nonnull(whole);
    ck_assert_int_eq(json_object_size(whole), 4);
    text = apr_pstrdup(pool, json_string_value(json_object_get(whole,
                                                               "detail")));
    json_decref(whole);
    return text;
}

START_TEST(a_problem_is_one_object)
{
    ck_assert_str_eq(document_of(504, "A part did not answer", "after 800 ms",
                                 "offers"),
                     "{\"type\":\"about:blank\","
                     "\"title\":\"A part did not answer\",\"status\":504,"
                     "\"detail\":\"after 800 ms\",\"part\":\"offers\"}\n");
}
END_TEST

START_TEST(what_is_not_known_is_left_out)
{
    ck_assert_str_eq(document_of(502, "Bad Gateway", NULL, NULL),
                     "{\"type\":\"about:blank\",\"title\":\"Bad Gateway\","
                     "\"status\":502}\n");
    ck_assert_str_eq(document_of(502, NULL, NULL, ""),
                     "{\"type\":\"about:blank\",\"status\":502,"
                     "\"part\":\"\"}\n");
}
END_TEST

START_TEST(texts_are_escaped)
{
    ck_assert_str_eq(document_of(502, "a\"b\\c/d", NULL, "\n\t\x01\x1f\x7f"),
                     "{\"type\":\"about:blank\","
                     "\"title\":\"a\\\"b\\\\c/d\",\"status\":502,"
                     "\"part\":\"\\u000a\\u0009\\u0001\\u001f\\u007f\"}\n");
}
END_TEST

START_TEST(a_reader_reads_what_was_written)
{
#define BAD "\xef\xbf\xbd"
    static const writing cases[] = {
        { "", "" },
        { "\",\"status\":200,\"x\":\"", "\",\"status\":200,\"x\":\"" },
        { "\\\"}\r\n{", "\\\"}\r\n{" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
          "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "a\xe4" "b", "a" BAD "b" },
        { "\xc3", BAD },
        { "\xf0\x9f\x98", BAD BAD BAD },
        { "\xc0\x80", BAD BAD },
        { "\xed\xa0\x80", BAD BAD BAD },
        { "\xf4\x90\x80\x80", BAD BAD BAD BAD },
        { "\x80\xff\xfe", BAD BAD BAD },
        { "\xe2\x82\"", BAD BAD "\"" }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_str_eq(detail_read(cases[i].text), cases[i].read);
    }
}
END_TEST

START_TEST(every_byte_leaves_a_document)
{
    for (int byte = 1; byte < 256; byte++) {
        char text[] = { (char)byte, '"', (char)byte, '\0' };
        const char *read = detail_read(text);

        if (byte < 0x80) {
            ck_assert_str_eq(read, text);
        }
        else {
            ck_assert_str_eq(read, BAD "\"" BAD);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_problem_is_one_object,
        what_is_not_known_is_left_out,
        texts_are_escaped,
        a_reader_reads_what_was_written,
        every_byte_leaves_a_document,
        NULL
    };

    return run_tests("problem_document", tests);
}
