/* SPDX-License-Identifier: Apache-2.0 */
/* test_storable_fields.c: which fields of a response are stored. */
#include "http_views.h"

#include <strings.h>

#include "lib/storable.h"

/* What the policy of a case has. */
enum { PLAIN = 0, STRIP = 1, OVERRIDDEN = 2, COOKIES = 4 };

static etg_policy policy_of(unsigned traits)
{
    etg_policy policy = plain_policy();

    policy.strip_set_cookie = (traits & STRIP) != 0;
    policy.store_set_cookie = (traits & COOKIES) != 0;
    policy.override = traits & OVERRIDDEN ? "max-age=60" : NULL;
    return policy;
}

static const char *stored_fields(const char *text, unsigned traits)
{
    etg_policy policy = policy_of(traits);
    etg_response_view response = response_of(200, text);
    etg_cache_control cc;
    etg_cc_source source = etg_governing_cache_control(&cc, &response, &policy,
                                                       pool);
    apr_array_header_t *rows = etg_storable_fields(&response, &cc, source,
                                                   &policy, pool);
    const char *result = "";

    for (int i = 0; i < rows->nelts; i++) {
        etg_field *row = &APR_ARRAY_IDX(rows, i, etg_field);

        result = apr_pstrcat(pool, result, i > 0 ? "\n" : "", row->name, ": ",
                             row->value, NULL);
    }
    return result;
}

START_TEST(fields_of_one_connection_or_one_answer_are_not_stored)
{
    static const struct {
        const char *given;
        unsigned traits;
        const char *kept;
    } cases[] = {
        { "Date: d\nA: 1\nb: 2\nA: 3", PLAIN, "Date: d\nA: 1\nb: 2\nA: 3" },
        { "Connection: a, B\nA: 1\nb: 2\nc: 3", PLAIN, "c: 3" },
        { "connection: a\nConnection: b\nA: 1\nb: 2\nc: 3", PLAIN, "c: 3" },
        { "Connection: close\nKeep-Alive: x\nProxy-Authenticate: x\n"
          "Proxy-Authentication-Info: x\nProxy-Authorization: x\n"
          "Proxy-Connection: x\nTE: x\nTrailer: x\nTransfer-Encoding: x\n"
          "Upgrade: x\nC: 3", PLAIN, "C: 3" },
        { "age: 1\nCache-Status: x; hit\nContent-Length: 3\nC: 3", PLAIN,
          "Cache-Status: x; hit\nC: 3" },
        { "Set-Cookie: a\nSet-Cookie2: b\nC: 3", STRIP, "C: 3" },
        { "Set-Cookie2: b", PLAIN, "Set-Cookie2: b" },
        { "Set-Cookie: a\nSet-Cookie: b\nC: 3", COOKIES,
          "Set-Cookie: a\nSet-Cookie: b\nC: 3" },
        { "Cache-Control: private=\"set-cookie\"\nSet-Cookie: a\nC: 3",
          COOKIES, "Cache-Control: private=\"set-cookie\"\nC: 3" },
        { "Etagere-Cache-Control: max-age=1\nCDN-Cache-Control: max-age=2",
          PLAIN, "CDN-Cache-Control: max-age=2" },
        { "Cache-Control: private=\"a\", no-cache=\"b, C\"\nA: 1\nB: 2\nc: 3\n"
          "d: 4", PLAIN, "Cache-Control: private=\"a\", no-cache=\"b, C\"\n"
          "d: 4" },
        { "Cache-Control: max-age=1\nExpires: 0\nPragma: x", PLAIN,
          "Cache-Control: max-age=1\nExpires: 0\nPragma: x" },
        { "A: 1\ncache-control: private\nB: 2\nCache-Control: no-store\n"
          "Expires: 0\nPragma: no-cache", OVERRIDDEN,
          "A: 1\ncache-control: max-age=60\nB: 2" },
        { "A: 1", OVERRIDDEN, "A: 1\nCache-Control: max-age=60" },
        { "Content-Range: x\nContent-Encoding: y\nETag: z\nVary: v", PLAIN,
          "Content-Range: x\nContent-Encoding: y\nETag: z\nVary: v" },
        { "", PLAIN, "" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_str_eq(stored_fields(cases[i].given, cases[i].traits),
                         cases[i].kept);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        fields_of_one_connection_or_one_answer_are_not_stored,
        NULL
    };

    return run_tests("storable_fields", tests);
}
