/* SPDX-License-Identifier: Apache-2.0 */
/* test_content_coding.c: what is kept coded, and who gets which form. */
#include "http_views.h"

#include "lib/content_coding.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

START_TEST(gzip_is_sent_to_who_asks_for_it)
{
    static const struct {
        const char *accepted;
        int wanted;
    } cases[] = {
        { NULL, 0 }, { "", 0 }, { " ", 0 }, { ",,", 0 },
        { "gzip", 1 }, { "GZIP", 1 }, { "x-gzip", 1 }, { "gzi", 0 },
        { "gzipx", 0 }, { "\"gzip\"", 0 }, { "br", 0 }, { "deflate", 0 },
        { "gzip, deflate, br, zstd", 1 }, { "br,gzip", 1 },
        { "gzip;q=1", 1 }, { "gzip;q=1.000", 1 }, { "gzip;Q=0.5", 1 },
        { "gzip ; q=0.001", 1 }, { "gzip;q=0", 0 }, { "gzip;q=0.000", 0 },
        { "gzip;q=0.", 0 }, { "gzip;q=1.", 1 },
        { "gzip;q=1.001", 0 }, { "gzip;q=0.0001", 0 }, { "gzip;q=2", 0 },
        { "gzip;q=-1", 0 }, { "gzip;q=", 0 }, { "gzip;", 0 },
        { "gzip;q=a", 0 }, { "gzip;level=9", 0 }, { "gzip;q = 1", 0 },
        { "gzip;q=1;q=0", 0 }, { ";q=1", 0 }, { "gzip q=1", 0 },
        { "*", 1 }, { "*;q=0.1", 1 }, { "*;q=0", 0 }, { "br, *", 1 },
        { "gzip;q=0, *", 0 }, { "*;q=0, gzip", 1 }, { "*, gzip;q=0", 0 },
        { "identity", 0 }, { "identity;q=0", 0 }, { "identity;q=0, gzip", 1 },
        { "identity;q=0, *;q=0", 0 }, { "identity;q=0, *", 1 },
        { "identity, gzip", 1 }, { "identity, gzip;q=0.9", 0 },
        { "identity;q=0.5, gzip;q=0.5", 1 },
        { "identity;q=0.5, gzip;q=0.4", 0 }, { "identity, *;q=0.5", 0 },
        { "gzip, gzip;q=0", 0 }, { "gzip;q=0, x-gzip", 0 },
        { "gzip;q=a, x-gzip;q=0.5", 1 }, { "\xff\xfe, gzip", 1 },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        ck_assert_msg(etg_gzip_is_wanted(cases[i].accepted)
                      == cases[i].wanted, "%s", cases[i].accepted);
    }
}
END_TEST

START_TEST(types_of_text_are_text_like)
{
    static const char *const yes[] = {
        "text/html", "TEXT/Plain", "text/html; charset=utf-8", "text/x",
        "application/json", "application/json;charset=utf-8",
        " application/json ;x", "application/vnd.api+json",
        "application/problem+JSON", "application/atom+xml", "image/svg+xml",
        "application/javascript", "text/javascript", "application/xml",
        "application/x-ndjson", "application/wasm", "font/ttf",
    };
    static const char *const no[] = {
        NULL, "", "text", "text/", "textual/html", "application/jsonx",
        "+json", "application/octet-stream", "image/png", "image/jpeg",
        "video/mp4", "application/gzip", "application/x-tar",
        "application/zip", "font/woff2", "text/event-stream",
        "text/event-stream; charset=utf-8", "application/pdf", ";",
        "application/octet-stream; x=text/html",
    };

    for (unsigned i = 0; i < ROWS(yes); i++) {
        ck_assert_msg(etg_type_is_text_like(yes[i]), "%s", yes[i]);
    }
    for (unsigned i = 0; i < ROWS(no); i++) {
        ck_assert_msg(!etg_type_is_text_like(no[i]), "%s", no[i]);
    }
}
END_TEST

START_TEST(long_plain_text_that_nobody_forbids_to_change_is_coded)
{
    static const struct {
        const char *fields;
        apr_uint32_t flags;
        apr_int64_t length;
        int suits;
    } cases[] = {
        { "Content-Type: text/html", 0, 860, 1 },
        { "Content-Type: text/html", 0, -1, 1 },
        { "Content-Type: text/html", 0, APR_INT64_MAX, 1 },
        { "Content-Type: text/html", 0, 859, 0 },
        { "Content-Type: text/html", 0, 0, 0 },
        { "Content-Type: image/png", 0, 9000, 0 },
        { "", 0, 9000, 0 },
        { "Content-Type: text/html\nContent-Encoding: br", 0, 9000, 0 },
        { "Content-Type: text/html\nContent-Encoding: identity", 0, 9000, 0 },
        { "Content-Type: text/html", ETG_FRESH_NO_TRANSFORM, 9000, 0 },
        { "Content-Type: text/html\nCache-Control: public, No-Transform", 0,
          9000, 0 },
        { "Content-Type: text/html\nCache-Control: x=\"no-transform\"", 0,
          9000, 1 },
        { "Content-Type: text/html\nContent-Digest: sha-256=:AA==:", 0, 9000,
          0 },
        { "Content-Type: text/html\nRepr-Digest: sha-256=:AA==:", 0, 9000,
          0 },
        { "Content-Type: text/html\nDigest: SHA-256=AA", 0, 9000, 0 },
        { "Content-Type: text/html\nContent-MD5: AA", 0, 9000, 0 },
        { "Content-Type: text/html\nWant-Repr-Digest: x=1", 0, 9000, 1 },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        ck_assert_msg(etg_coding_suits(fields_of(cases[i].fields),
                                       cases[i].flags, cases[i].length, pool)
                      == cases[i].suits, "case %u", i);
    }
}
END_TEST

START_TEST(a_tenth_must_be_saved)
{
    static const struct {
        apr_uint64_t plain;
        apr_uint64_t coded;
        int pays;
    } cases[] = {
        { 1000, 900, 1 }, { 1000, 901, 0 }, { 1000, 1000, 0 },
        { 1000, 2000, 0 }, { 1001, 900, 1 }, { 1001, 901, 0 },
        { 0, 20, 0 }, { APR_UINT64_MAX, APR_UINT64_MAX, 0 },
        { APR_UINT64_MAX, APR_UINT64_MAX / 2, 1 },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        ck_assert_msg(etg_coding_pays(cases[i].plain, cases[i].coded)
                      == cases[i].pays, "case %u", i);
    }
}
END_TEST

START_TEST(a_backends_gzip_of_text_can_be_undone)
{
    static const struct {
        const char *fields;
        etg_coding coding;
    } cases[] = {
        { "Content-Encoding: gzip", ETG_CODING_GZIP },
        { "Content-Encoding:  X-GZIP ", ETG_CODING_GZIP },
        { "", ETG_CODING_IDENTITY },
        { "Content-Encoding: identity", ETG_CODING_IDENTITY },
        { "Content-Encoding: br", ETG_CODING_IDENTITY },
        { "Content-Encoding: gzip, br", ETG_CODING_IDENTITY },
        { "Content-Encoding: gzip, gzip", ETG_CODING_IDENTITY },
        { "Content-Encoding: gzip\nContent-Encoding: gzip",
          ETG_CODING_IDENTITY },
        { "Content-Encoding: gzip\nCache-Control: no-transform",
          ETG_CODING_IDENTITY },
        { "Content-Encoding: gzip\nContent-Digest: x", ETG_CODING_IDENTITY },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        apr_table_t *fields = fields_of(cases[i].fields);

        apr_table_setn(fields, "Content-Type", "text/plain");
        ck_assert_msg(etg_coding_of_backend(fields, 0, pool)
                      == cases[i].coding, "case %u", i);
        ck_assert_int_eq(etg_coding_of_backend(fields, ETG_FRESH_NO_TRANSFORM,
                                               pool), ETG_CODING_IDENTITY);
        apr_table_setn(fields, "Content-Type", "application/x-tar");
        ck_assert_int_eq(etg_coding_of_backend(fields, 0, pool),
                         ETG_CODING_IDENTITY);
    }
}
END_TEST

/* 100 bytes of gzip for 1000 plain ones, or 100 plain ones. */
static etg_stored_response stored_as(etg_coding coding, int is_coded_here,
                                     const char *fields, apr_uint32_t flags)
{
    etg_stored_response stored = stored_of(flags);

    set_fields(&stored, fields);
    stored.has_body = 1;
    memset(stored.entity.bytes, 0xab, sizeof(stored.entity.bytes));
    stored.body_length = 100;
    stored.coding = coding;
    stored.is_coded_here = is_coded_here;
    stored.plain_length = coding == ETG_CODING_GZIP ? 1000 : 0;
    return stored;
}

#define SUFFIX "etg-gzip-abababababababab"
#define PLAIN ETG_CODING_IDENTITY
#define GZIP ETG_CODING_GZIP

typedef struct choice {
    etg_coding stored;
    int is_coded_here;
    const char *fields;
    const char *request;
    etg_representation chosen;
} choice;

static void check_choice(const choice *row, unsigned n, apr_uint32_t flags)
{
    etg_stored_response stored = stored_as(row->stored, row->is_coded_here,
                                           row->fields, flags);
    etg_representation got;

    etg_representation_choose(&stored, fields_of(row->request), pool, &got);
    ck_assert_msg(got.coding == row->chosen.coding, "case %u: coding", n);
    ck_assert_msg(got.is_inflated == row->chosen.is_inflated,
                  "case %u: inflated", n);
    ck_assert_msg(got.is_made == row->chosen.is_made, "case %u: made", n);
    ck_assert_msg(got.is_negotiated == row->chosen.is_negotiated,
                  "case %u: negotiated", n);
    ck_assert_msg(got.length == row->chosen.length, "case %u: length", n);
    ck_assert_pstr_eq(got.etag, row->chosen.etag);
}

START_TEST(each_client_gets_its_form_with_length_and_tag)
{
    static const choice cases[] = {
        { PLAIN, 0, "ETag: \"a\"", "Accept-Encoding: gzip",
          { PLAIN, 0, 0, 0, 100, "\"a\"" } },
        { PLAIN, 0, "", "", { PLAIN, 0, 0, 0, 100, NULL } },
        { GZIP, 1, "ETag: \"a\"", "Accept-Encoding: gzip",
          { GZIP, 0, 1, 1, 100, "\"a;" SUFFIX "\"" } },
        { GZIP, 1, "ETag: W/\"a\"", "Accept-Encoding: gzip",
          { GZIP, 0, 1, 1, 100, "W/\"a;etg-gzip\"" } },
        { GZIP, 1, "", "Accept-Encoding: gzip",
          { GZIP, 0, 1, 1, 100, NULL } },
        { GZIP, 1, "ETag: no-tag", "Accept-Encoding: gzip",
          { GZIP, 0, 1, 1, 100, NULL } },
        { GZIP, 1, "ETag: no-tag", "", { PLAIN, 1, 0, 1, 1000, "no-tag" } },
        { GZIP, 1, "ETag: \"a\"", "", { PLAIN, 1, 0, 1, 1000, "\"a\"" } },
        { GZIP, 1, "ETag: \"a\"", "Accept-Encoding: br\nAccept-Encoding: x",
          { PLAIN, 1, 0, 1, 1000, "\"a\"" } },
        { GZIP, 1, "ETag: \"a\"", "Accept-Encoding: br\nAccept-Encoding: gzip",
          { GZIP, 0, 1, 1, 100, "\"a;" SUFFIX "\"" } },
        { GZIP, 1, "ETag: \"a\"", "Accept-Encoding: identity;q=0, *;q=0",
          { PLAIN, 1, 0, 1, 1000, "\"a\"" } },
        { GZIP, 0, "ETag: \"a\"", "Accept-Encoding: gzip",
          { GZIP, 0, 0, 1, 100, "\"a\"" } },
        { GZIP, 0, "ETag: \"a\"", "",
          { PLAIN, 1, 1, 1, 1000, "\"a;etg-plain\"" } },
        { GZIP, 0, "ETag: W/\"a\"", "",
          { PLAIN, 1, 1, 1, 1000, "W/\"a;etg-plain\"" } },
        { GZIP, 0, "ETag: no-tag", "", { PLAIN, 1, 1, 1, 1000, NULL } },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        check_choice(&cases[i], i, 0);
    }
}
END_TEST

START_TEST(what_may_not_change_goes_out_as_the_backend_sent_it)
{
    static const choice cases[] = {
        { GZIP, 1, "ETag: \"a\"", "Accept-Encoding: gzip",
          { PLAIN, 1, 0, 0, 1000, "\"a\"" } },
        { GZIP, 1, "ETag: \"a\"", "", { PLAIN, 1, 0, 0, 1000, "\"a\"" } },
        { GZIP, 0, "ETag: \"a\"", "", { GZIP, 0, 0, 0, 100, "\"a\"" } },
        { GZIP, 0, "ETag: \"a\"", "Accept-Encoding: gzip",
          { GZIP, 0, 0, 0, 100, "\"a\"" } },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        choice digested = cases[i];

        check_choice(&cases[i], i, ETG_FRESH_NO_TRANSFORM);
        digested.fields = "ETag: \"a\"\nrepr-digest: sha-256=:AA==:";
        check_choice(&digested, i, 0);
    }
}
END_TEST

START_TEST(a_coding_is_taken_off_the_fields)
{
    apr_array_header_t *rows = apr_array_make(pool, 4, sizeof(etg_field));
    static const etg_field given[] = {
        { "content-encoding", "gzip" }, { "A", "1" },
        { "Content-Encoding", "gzip" }, { "B", "2" }
    };

    etg_coding_take_off(rows);
    ck_assert_int_eq(rows->nelts, 0);
    for (unsigned i = 0; i < ROWS(given); i++) {
        APR_ARRAY_PUSH(rows, etg_field) = given[i];
    }
    etg_coding_take_off(rows);
    ck_assert_int_eq(rows->nelts, 2);
    ck_assert_str_eq(APR_ARRAY_IDX(rows, 0, etg_field).name, "A");
    ck_assert_str_eq(APR_ARRAY_IDX(rows, 1, etg_field).name, "B");
}
END_TEST

START_TEST(vary_names_accept_encoding_once)
{
    static const char *const cases[][2] = {
        { "", "Vary: Accept-Encoding" },
        { "Vary: ", "Vary: Accept-Encoding" },
        { "Vary: X", "Vary: X, Accept-Encoding" },
        { "Vary: X\nVary: Y", "Vary: X, Y, Accept-Encoding" },
        { "Vary: accept-encoding", "Vary: accept-encoding" },
        { "Vary: X\nVary: Accept-Encoding",
          "Vary: X\nVary: Accept-Encoding" },
        { "Vary: *", "Vary: *" },
    };

    for (unsigned i = 0; i < ROWS(cases); i++) {
        apr_table_t *fields = fields_of(cases[i][0]);

        etg_vary_add_accept_encoding(fields, pool);
        ck_assert_str_eq(text_of(fields), cases[i][1]);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        gzip_is_sent_to_who_asks_for_it,
        types_of_text_are_text_like,
        long_plain_text_that_nobody_forbids_to_change_is_coded,
        a_tenth_must_be_saved,
        a_backends_gzip_of_text_can_be_undone,
        each_client_gets_its_form_with_length_and_tag,
        what_may_not_change_goes_out_as_the_backend_sent_it,
        a_coding_is_taken_off_the_fields,
        vary_names_accept_encoding_once,
        NULL
    };

    return run_tests("content_coding", tests);
}
