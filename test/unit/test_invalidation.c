/* SPDX-License-Identifier: Apache-2.0 */
/* test_invalidation.c: what a write makes invalid. */
#include "http_views.h"

#include "lib/invalidation.h"

START_TEST(every_method_not_known_to_be_safe_is_unsafe)
{
    static const char *const safe[] = {
        "GET", "HEAD", "OPTIONS", "TRACE", "PRI", "PROPFIND", "QUERY",
        "REPORT", "SEARCH"
    };
    static const char *const unsafe[] = {
        "POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "CONNECT", "PROPPATCH",
        "MKCOL", "LOCK", "FOO", "get", "GETX", "GE", ""
    };

    for (unsigned i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
        ck_assert_msg(etg_method_is_safe(safe[i]), "%s", safe[i]);
    }
    for (unsigned i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++) {
        ck_assert_msg(!etg_method_is_safe(unsafe[i]), "%s", unsafe[i]);
    }
}
END_TEST

typedef struct reference_case {
    const char *reference;
    const char *meant;      /* NULL: elsewhere */
} reference_case;

static void check_references(const char *scheme, const char *host,
                             const char *target, const reference_case *cases)
{
    for (; cases->reference != NULL; cases++) {
        const char *meant = etg_target_resolve(cases->reference, scheme, host,
                                               target, pool);

        ck_assert_msg(cases->meant == NULL ? meant == NULL
                      : meant != NULL && strcmp(meant, cases->meant) == 0,
                      "%s: %s", cases->reference, meant);
    }
}

/* RFC 3986 §5.4, on the base http://a/b/c/d;p?q. */
START_TEST(references_resolve_as_the_rfcs_examples_do)
{
    static const reference_case cases[] = {
        { "g:h", NULL }, { "g", "/b/c/g" }, { "./g", "/b/c/g" },
        { "g/", "/b/c/g/" }, { "/g", "/g" }, { "//g", NULL },
        { "?y", "/b/c/d;p?y" }, { "g?y", "/b/c/g?y" },
        { "#s", "/b/c/d;p?q" }, { "g#s", "/b/c/g" }, { "g?y#s", "/b/c/g?y" },
        { ";x", "/b/c/;x" }, { "g;x", "/b/c/g;x" },
        { "g;x?y#s", "/b/c/g;x?y" }, { "", "/b/c/d;p?q" }, { ".", "/b/c/" },
        { "./", "/b/c/" }, { "..", "/b/" }, { "../", "/b/" },
        { "../g", "/b/g" }, { "../..", "/" }, { "../../", "/" },
        { "../../g", "/g" }, { "../../../g", "/g" }, { "../../../../g", "/g" },
        { "/./g", "/g" }, { "/../g", "/g" }, { "g.", "/b/c/g." },
        { ".g", "/b/c/.g" }, { "g..", "/b/c/g.." }, { "..g", "/b/c/..g" },
        { "./../g", "/b/g" }, { "./g/.", "/b/c/g/" },
        { "g/./h", "/b/c/g/h" }, { "g/../h", "/b/c/h" },
        { "g;x=1/./y", "/b/c/g;x=1/y" }, { "g;x=1/../y", "/b/c/y" },
        { "g?y/./x", "/b/c/g?y/./x" }, { "g#s/../x", "/b/c/g" },
        { "http:g", NULL },
        { NULL, NULL }
    };

    check_references("http", "a", "/b/c/d;p?q", cases);
}
END_TEST

START_TEST(only_the_same_origin_is_meant)
{
    static const reference_case cases[] = {
        { "http://x.org/a", "/a" }, { "HTTP://X.ORG/a", "/a" },
        { "http://x.org:80/a", "/a" }, { "http://x.org:/a", "/a" },
        { "//x.org/a", "/a" }, { "http://x.org", "/" },
        { "http://x.org?q", "/?q" }, { "http://x.org#f", "/" },
        { "http://x.org/a/../b?c#d", "/b?c" }, { "http://x.org//b", "//b" },
        { "https://x.org/a", NULL }, { "http://x.org:8080/a", NULL },
        { "http://y.org/a", NULL }, { "http://x.org.evil/a", NULL },
        { "http://me@x.org/a", NULL }, { "http://x.or/a", NULL },
        { "//y.org/a", NULL }, { "ftp://x.org/a", NULL },
        { "mailto:x@x.org", NULL }, { "http:///a", NULL },
        { "data:,x", NULL }, { "data://x.org/a", NULL },
        { NULL, NULL }
    };
    static const reference_case with_port[] = {
        { "https://x.org:8443/a", "/a" }, { "https://x.org/a", NULL },
        { "https://x.org:443/a", NULL }, { "//x.org:8443/a", "/a" },
        { NULL, NULL }
    };
    static const reference_case default_port[] = {
        { "https://x.org/a", "/a" }, { "https://x.org:443/a", "/a" },
        { "https://x.org:80/a", NULL }, { NULL, NULL }
    };
    static const reference_case address[] = {
        { "http://[::1]:8080/a", "/a" }, { "http://[::1]/a", NULL },
        { NULL, NULL }
    };

    check_references("http", "x.org", "/t", cases);
    check_references("https", "x.org:8443", "/t", with_port);
    check_references("https", "x.org:443", "/t", default_port);
    check_references("http", "[::1]:8080", "/t", address);
}
END_TEST

START_TEST(odd_targets_resolve_within_bounds)
{
    static const reference_case at_root[] = {
        { "g", "/g" }, { "..", "/" }, { "", "/" }, { "?x", "/?x" },
        { NULL, NULL }
    };
    static const reference_case at_query[] = {
        { "g", "/a/g" }, { "", "/a/b?c/d" }, { NULL, NULL }
    };
    static const reference_case no_path[] = {
        { "g", "/g" }, { "..", "/" }, { "/g", "/g" }, { NULL, NULL }
    };

    check_references("http", "x.org", "/", at_root);
    check_references("http", "x.org", "/a/b?c/d", at_query);
    check_references("http", "x.org", "*", no_path);
    check_references("http", "x.org", "", no_path);
}
END_TEST

START_TEST(a_successful_write_invalidates_its_own_target_and_those_it_names)
{
    static const struct {
        const char *method;
        int status;
        const char *fields;
        const char *targets;    /* joined by spaces */
    } cases[] = {
        { "POST", 200, "", "/t?q" },
        { "POST", 204, "", "/t?q" },
        { "POST", 303, "Location: /new", "/t?q /new" },
        { "PUT", 201, "Location: new\nContent-Location: /other",
          "/t?q /new /other" },
        { "DELETE", 200, "Location: /x\nContent-Location: /x", "/t?q /x" },
        { "PATCH", 200, "Content-Location: /t?q", "/t?q" },
        { "M-SEARCH", 399, "", "/t?q" },
        { "FOO", 200, "Location: http://x.org/y", "/t?q /y" },
        { "POST", 200, "Location: http://y.org/y\nContent-Location: //z/z",
          "/t?q" },
        { "POST", 500, "Location: /new", "" },
        { "POST", 404, "", "" },
        { "POST", 199, "", "" },
        { "GET", 200, "Location: /new", "" },
        { "PROPFIND", 207, "", "" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_array_header_t *rows
            = etg_invalidation_targets(cases[i].method, cases[i].status,
                                       fields_of(cases[i].fields), "http",
                                       "x.org", "/t?q", pool);

        ck_assert_str_eq(apr_array_pstrcat(pool, rows, ' '),
                         cases[i].targets);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_method_not_known_to_be_safe_is_unsafe,
        references_resolve_as_the_rfcs_examples_do,
        only_the_same_origin_is_meant,
        odd_targets_resolve_within_bounds,
        a_successful_write_invalidates_its_own_target_and_those_it_names,
        NULL
    };

    return run_tests("invalidation", tests);
}
