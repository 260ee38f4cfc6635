/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cache_control.c: every line of the input is a line of Cache-Control
 * and of a targeted field. */
#include <string.h>

#include "lib/cache_control.h"
#include "lib/field_list.h"
#include "test/fuzz/fuzz.h"

static int is_seconds(apr_int64_t value)
{
    return value >= ETG_CC_ABSENT && value <= (APR_INT64_C(1) << 31);
}

static void check_sane(const etg_cache_control *cc)
{
    FUZZ_CHECK(is_seconds(cc->max_age) && is_seconds(cc->s_maxage));
    FUZZ_CHECK(is_seconds(cc->min_fresh) && is_seconds(cc->max_stale));
    FUZZ_CHECK(is_seconds(cc->stale_while_revalidate));
    FUZZ_CHECK(is_seconds(cc->stale_if_error));
    FUZZ_CHECK(cc->max_stale == ETG_CC_ABSENT
               || !(cc->flags & ETG_CC_MAX_STALE_ANY));
    FUZZ_CHECK(cc->private_fields == NULL || cc->private_fields[0] != '\0');
    FUZZ_CHECK(cc->no_cache_fields == NULL || cc->no_cache_fields[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    apr_table_t *fields = apr_table_make(p, 4);
    etg_bytes rest = { data, size };
    etg_cache_control cc;
    etg_cache_control strict;
    const char *line;

    etg_cache_control_init(&cc);
    etg_cache_control_parse(&cc, rest, p);
    check_sane(&cc);
    for (line = fuzz_line(&rest, p); line != NULL; line = fuzz_line(&rest, p)) {
        apr_table_addn(fields, "Cache-Control", line);
        apr_table_addn(fields, "CDN-Cache-Control", line);
    }
    if (!etg_cache_control_targeted(&strict, fields, "CDN-Cache-Control", p)) {
        FUZZ_CHECK(!strict.present && strict.flags == 0);
    }
    check_sane(&strict);
    /* Nothing that other lines say lifts a line of its own. */
    apr_table_addn(fields, "Cache-Control", "no-store, max-age=1");
    etg_cache_control_of(&cc, fields, 1, p);
    check_sane(&cc);
    FUZZ_CHECK(cc.present && (cc.flags & ETG_CC_NO_STORE));
    FUZZ_CHECK(cc.max_age == 0 || cc.max_age == 1);
    apr_pool_destroy(p);
    return 0;
}
