/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_composite_policy.c: lines of fields, parts between empty lines. The
 * whole allows no more than any of its parts. */
#include <string.h>

#include "lib/cache_control.h"
#include "lib/composite_policy.h"
#include "lib/field_list.h"
#include "test/fuzz/fuzz.h"

#define NOW (APR_TIME_C(1767225600) * APR_USEC_PER_SEC)
#define SECONDS_MAX (APR_INT64_C(1) << 31)

static etg_cache_control read_again(const etg_composite_policy *policy,
                                    apr_pool_t *p)
{
    apr_table_t *fields = apr_table_make(p, 1);
    etg_cache_control cc;

    apr_table_setn(fields, "Cache-Control", policy->cache_control);
    etg_cache_control_of(&cc, fields, 0, p);
    FUZZ_CHECK(cc.present && !(cc.flags & ETG_CC_MALFORMED));
    return cc;
}

static void check_part(const etg_composite_policy *policy,
                       const etg_cache_control *whole,
                       const apr_table_t *fields, apr_pool_t *p)
{
    apr_int64_t age = policy->age > 0 ? policy->age : 0;
    etg_cache_control cc;

    etg_cache_control_of(&cc, fields, 0, p);
    if (whole->flags & ETG_CC_NO_STORE) {
        return;
    }
    FUZZ_CHECK(!(cc.flags & ETG_CC_NO_STORE));
    FUZZ_CHECK(!(cc.flags & ETG_CC_PRIVATE)
               || (whole->flags & ETG_CC_PRIVATE));
    FUZZ_CHECK(!(cc.flags & ETG_CC_NO_CACHE)
               || (whole->flags & ETG_CC_NO_CACHE));
    FUZZ_CHECK(!(cc.flags & ETG_CC_MUST_REVALIDATE)
               || (whole->flags & ETG_CC_MUST_REVALIDATE));
    FUZZ_CHECK(!(whole->flags & ETG_CC_PUBLIC) || (cc.flags & ETG_CC_PUBLIC));
    if (cc.max_age != ETG_CC_ABSENT) {
        FUZZ_CHECK(whole->max_age == 0 || whole->max_age - age <= cc.max_age);
    }
    if (whole->s_maxage > 0 && cc.s_maxage != ETG_CC_ABSENT) {
        FUZZ_CHECK(whole->s_maxage - age <= cc.s_maxage);
    }
    FUZZ_CHECK(policy->last_modified == NULL
               || apr_table_get(fields, "Last-Modified") != NULL);
    FUZZ_CHECK(apr_table_get(fields, "Vary") == NULL || policy->vary != NULL
               || strspn(etg_field_combined(fields, "Vary", p), ", \t")
                  == strlen(etg_field_combined(fields, "Vary", p)));
}

static void check_whole(const apr_array_header_t *parts, int is_private,
                        apr_pool_t *p)
{
    etg_composite_policy policy;
    etg_cache_control whole;

    etg_composite_policy_of(&policy, parts, is_private, 0, NOW, p);
    whole = read_again(&policy, p);
    FUZZ_CHECK(policy.age >= -1 && policy.age <= SECONDS_MAX);
    FUZZ_CHECK(whole.max_age <= SECONDS_MAX && whole.s_maxage <= SECONDS_MAX);
    FUZZ_CHECK(!is_private
               || (whole.flags & (ETG_CC_PRIVATE | ETG_CC_NO_STORE)));
    FUZZ_CHECK(!is_private || whole.s_maxage == ETG_CC_ABSENT);
    for (int i = 0; i < parts->nelts; i++) {
        check_part(&policy, &whole,
                   APR_ARRAY_IDX(parts, i, const apr_table_t *), p);
    }
    etg_composite_policy_of(&policy, parts, is_private, 1, NOW, p);
    FUZZ_CHECK(strcmp(policy.cache_control, "no-store") == 0);
    FUZZ_CHECK(policy.age == -1 && policy.last_modified == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    apr_array_header_t *parts = apr_array_make(p, 4,
                                               sizeof(const apr_table_t *));
    apr_table_t *fields = apr_table_make(p, 4);
    etg_bytes rest = { data, size };

    APR_ARRAY_PUSH(parts, const apr_table_t *) = fields;
    for (const char *line = fuzz_line(&rest, p); line != NULL;
         line = fuzz_line(&rest, p)) {
        const char *colon = strchr(line, ':');

        if (*line == '\0') {
            fields = apr_table_make(p, 4);
            APR_ARRAY_PUSH(parts, const apr_table_t *) = fields;
        }
        else if (colon != NULL) {
            apr_table_addn(fields, apr_pstrmemdup(p, line, (apr_size_t)
                                                  (colon - line)),
                           colon + 1 + strspn(colon + 1, " "));
        }
    }
    check_whole(parts, 0, p);
    check_whole(parts, 1, p);
    apr_pool_destroy(p);
    return 0;
}
