/* SPDX-License-Identifier: Apache-2.0 */
/* test_allowed_target.c: may a URL that a backend has named be fetched? */
#include "http_views.h"

#include "lib/allowed_target.h"

static apr_array_header_t *prefixes_of(const char *words)
{
    apr_array_header_t *rows = apr_array_make(pool, 4, sizeof(const char *));
    char *state;
    char *text = apr_pstrdup(pool, words);

    for (char *word = apr_strtok(text, " ", &state); word != NULL;
         word = apr_strtok(NULL, " ", &state)) {
        APR_ARRAY_PUSH(rows, const char *) = word;
    }
    return rows;
}

static void is_same(const char *what, const char *found, const char *wanted)
{
    ck_assert_msg(wanted == NULL ? found == NULL
                  : found != NULL && !strcmp(found, wanted),
                  "%s: %s", what, found != NULL ? found : "none");
}

typedef struct pair {
    const char *given;
    const char *wanted;     /* NULL: none */
} pair;

static const char *target_of(const char *reference)
{
    return etg_allowed_target(reference, "http", "x.org:8080", "/api/calls?p=1",
                              prefixes_of("/api/calls /m/"), pool);
}

START_TEST(references_of_the_same_origin_are_targets)
{
    static const pair cases[] = {
        { "/api/calls?p=2", "/api/calls?p=2" },
        { "?p=2", "/api/calls?p=2" },
        { "calls?p=2", "/api/calls?p=2" },
        { "calls/2", "/api/calls/2" },
        { "./calls/./2", "/api/calls/2" },
        { "/api/calls/2/../3", "/api/calls/3" },
        { "/api/calls?p=2#list", "/api/calls?p=2" },
        { "http://x.org:8080/api/calls?p=2", "/api/calls?p=2" },
        { "HTTP://X.ORG:8080/api/calls?p=2", "/api/calls?p=2" },
        { "//x.org:8080/api/calls?p=2", "/api/calls?p=2" },
        { "/api/calls/a%20b", "/api/calls/a%20b" },
        { "/api/calls?u=%2e%2e%2f", "/api/calls?u=%2e%2e%2f" },
        { "/api/calls/v1.2/..x", "/api/calls/v1.2/..x" },
        { "/api/calls/;v=1", "/api/calls/;v=1" },
        { NULL, NULL }
    };

    for (const pair *each = cases; each->given != NULL; each++) {
        is_same(each->given, target_of(each->given), each->wanted);
    }
}
END_TEST

START_TEST(other_origins_and_schemes_are_none)
{
    static const char *const references[] = {
        "http://x.org/api/calls?p=2", "http://x.org:80/api/calls?p=2",
        "https://x.org:8080/api/calls?p=2", "http://y.org:8080/api/calls",
        "http://backend:3000/api/calls", "//y.org/api/calls",
        "http://u@x.org:8080/api/calls", "http://u:p@x.org:8080/api/calls",
        "//u@x.org:8080/api/calls", "javascript:alert(1)",
        "file:///api/calls", "data:,x", "http:/api/calls", "http:api/calls",
        "http:", "http://", "http:///api/calls", "///api/calls",
        "http://x.org:8080.evil/api/calls", "http://x.org:8080@evil/api/calls"
    };

    for (unsigned i = 0; i < sizeof(references) / sizeof(references[0]);
         i++) {
        is_same(references[i], target_of(references[i]), NULL);
    }
}
END_TEST

START_TEST(what_may_be_read_in_two_ways_is_none)
{
    static const char *const references[] = {
        "/api/calls/%2e%2e/admin", "/api/calls/%2E%2E/admin",
        "/api/calls/.%2e/admin", "/api/calls/%2e/x", "/api/calls/..%2fadmin",
        "/api/calls%2Fx", "/api/calls/..%5cadmin", "/api/calls/..\\admin",
        "\\\\evil/api/calls", "/api/calls/..;/admin", "/api/calls/..;x=1",
        "/api/calls/.;/x", "/api/calls/%252e%252e/admin", "/api/calls/%00",
        "/api/calls/%0d%0aX:1", "/api/calls/%7f", "/api/calls/%",
        "/api/calls/%2", "/api/calls/%zz", "/api/calls/a b",
        "/api/calls/a\tb", "/api/calls/a\r\nX: 1", "/api/calls/\x7f",
        "/api/calls/\xc3\xa4", "/api/calls/..%3bx/admin", "?p=\\", "?p=2 "
    };

    for (unsigned i = 0; i < sizeof(references) / sizeof(references[0]);
         i++) {
        is_same(references[i], target_of(references[i]), NULL);
    }
}
END_TEST

START_TEST(what_no_prefix_allows_is_none)
{
    static const char *const references[] = {
        "/", "/api", "/api/", "/api/callsx?p=2", "/api/calls2", "/api/Calls",
        "/admin", "/api/calls/../admin", "../../admin",
        "/api/calls/../../admin", "/api/callsx/../../m", "/m", "/m?x",
        "//api/calls", "/admin?/api/calls", "/admin#/api/calls"
    };

    for (unsigned i = 0; i < sizeof(references) / sizeof(references[0]);
         i++) {
        is_same(references[i], target_of(references[i]), NULL);
    }
    is_same("below", target_of("/m/"), "/m/");
    is_same("below", target_of("/m/x"), "/m/x");
    is_same("no prefix", etg_allowed_target("/a", "http", "h", "/b",
                                            prefixes_of(""), pool), NULL);
    is_same("all", etg_allowed_target("/a", "http", "h", "/b",
                                      prefixes_of("/"), pool), "/a");
}
END_TEST

START_TEST(the_page_itself_is_none)
{
    is_same("itself", target_of("/api/calls?p=1"), NULL);
    is_same("empty", target_of(""), NULL);
    is_same("fragment", target_of("#more"), NULL);
}
END_TEST

START_TEST(targets_are_of_bounded_length)
{
    char *text = apr_palloc(pool, ETG_ALLOWED_TARGET_MAX + 2);

    memset(text, 'x', ETG_ALLOWED_TARGET_MAX + 1);
    memcpy(text, "/api/calls/", 11);
    text[ETG_ALLOWED_TARGET_MAX + 1] = '\0';
    ck_assert_ptr_null(target_of(text));
    text[ETG_ALLOWED_TARGET_MAX] = '\0';
    ck_assert_ptr_nonnull(target_of(text));
    /* Short as a reference, long as a target. */
    ck_assert_ptr_null(etg_allowed_target("x", "http", "h",
                                          apr_pstrcat(pool, text, "/", NULL),
                                          prefixes_of("/"), pool));
}
END_TEST

START_TEST(prefixes_are_judged)
{
    static const char *const refused[] = {
        "", "api", "/a?b", "/a#b", "/a/../b", "/a/./b", "/..", "/%2e%2e",
        "/a\\b", "/a b", "http://x.org/a", "/a%2fb", "/\xc3\xa4"
    };

    ck_assert(etg_allowed_prefix_is_valid("/"));
    ck_assert(etg_allowed_prefix_is_valid("/api/calls"));
    ck_assert(etg_allowed_prefix_is_valid("/api/calls/"));
    ck_assert(etg_allowed_prefix_is_valid("/a%20b"));
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ck_assert_msg(!etg_allowed_prefix_is_valid(refused[i]), "%s",
                      refused[i]);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        references_of_the_same_origin_are_targets,
        other_origins_and_schemes_are_none,
        what_may_be_read_in_two_ways_is_none,
        what_no_prefix_allows_is_none,
        the_page_itself_is_none,
        targets_are_of_bounded_length,
        prefixes_are_judged,
        NULL
    };

    return run_tests("allowed_target", tests);
}
