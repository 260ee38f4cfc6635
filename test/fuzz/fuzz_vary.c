/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_vary.c: lines of the input are, in turn, a Vary, an Accept-Language,
 * a Cookie and another field's value. */
#include <string.h>

#include "lib/field_list.h"
#include "lib/vary.h"
#include "test/fuzz/fuzz.h"

static apr_array_header_t *rows(apr_pool_t *p, const char *first,
                                const char *second)
{
    apr_array_header_t *array = apr_array_make(p, 2, sizeof(const char *));

    APR_ARRAY_PUSH(array, const char *) = first;
    APR_ARRAY_PUSH(array, const char *) = second;
    return array;
}

/* The normal form of a normal form is itself. */
static void check_names(const char *names, apr_pool_t *p)
{
    apr_table_t *fields = apr_table_make(p, 1);

    apr_table_setn(fields, "Vary", names);
    FUZZ_CHECK(strcmp(etg_vary_names(fields, p), names) == 0);
}

/* White space around the value never makes another variant. */
static void check_hash(const char *names, apr_table_t *request,
                       const etg_vary_rules *rules, apr_pool_t *p)
{
    static const char *const lists[] = { "Accept-Language", "Foo" };
    etg_vary_hash plain;
    etg_vary_hash spaced;
    size_t i;

    etg_vary_hash_of(&plain, names, request, rules, p);
    for (i = 0; i < 2; i++) {
        const char *value = apr_table_get(request, lists[i]);

        /* A quote left open would hold the white space, and setting the
         * field would drop its other lines. */
        if (etg_field_count(request, lists[i]) == 1
            && strchr(value, '"') == NULL) {
            apr_table_setn(request, lists[i],
                           apr_pstrcat(p, " \t", value, "\t ", NULL));
        }
    }
    etg_vary_hash_of(&spaced, names, request, rules, p);
    FUZZ_CHECK(memcmp(&plain, &spaced, sizeof(plain)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const fields[] = { "Accept-Language", "Cookie", "Foo" };
    apr_pool_t *p = fuzz_pool();
    apr_table_t *response = apr_table_make(p, 1);
    apr_table_t *request = apr_table_make(p, 4);
    etg_vary_rules rules = { rows(p, "de-CH", "en"), rows(p, "_ga*", "x?") };
    etg_bytes rest = { data, size };
    const char *line = fuzz_line(&rest, p);
    const char *names;
    unsigned i;

    if (line != NULL) {
        apr_table_addn(response, "Vary", line);
    }
    for (i = 0; (line = fuzz_line(&rest, p)) != NULL; i++) {
        apr_table_addn(request, fields[i % 3], line);
    }
    names = etg_vary_names(response, p);
    if (names != NULL) {
        check_names(names, p);
        check_hash(names, request, NULL, p);
    }
    check_hash("accept-language,cookie,foo", request, NULL, p);
    check_hash("accept-language,cookie,foo", request, &rules, p);
    apr_pool_destroy(p);
    return 0;
}
