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

START_TEST(a_gzip_that_we_undo_is_no_variant)
{
    static const struct {
        const char *fields;
        int undoes;
        const char *vary;
    } cases[] = {
        { "Content-Type: text/css\nContent-Encoding: gzip", 1, "x" },
        { "Content-Type: text/css\nContent-Encoding: x-gzip", 1, "x" },
        { "Content-Type: text/css\nContent-Encoding: gzip", 0,
          "accept-encoding,x" },
        { "Content-Type: text/css\nContent-Encoding: br", 1,
          "accept-encoding,x" },
        { "Content-Type: text/css\nContent-Encoding: gzip\n"
          "Repr-Digest: sha-256=:AA==:", 1, "accept-encoding,x" },
        { "Content-Type: text/css\nContent-Encoding: gzip\n"
          "Cache-Control: no-transform", 1, "accept-encoding,x" },
        { "Content-Type: application/x-tar\nContent-Encoding: gzip", 1,
          "accept-encoding,x" },
        { "Content-Type: text/css", 1, "x" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_policy policy = plain_policy();
        etg_request_view request = request_of("GET", "");
        etg_response_view response = response_of(200, apr_pstrcat(
            pool, "Cache-Control: max-age=60\nVary: X, Accept-Encoding\n",
            cases[i].fields, NULL));
        etg_storable decision;

        policy.undoes_gzip = cases[i].undoes;
        etg_storable_decide(&decision, &request, &response, &policy, pool);
        ck_assert_msg(strcmp(decision.vary, cases[i].vary) == 0,
                      "case %u: %s", i, decision.vary);
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
