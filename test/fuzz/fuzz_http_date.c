/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_http_date.c: the input is a date. */
#include "lib/field_list.h"
#include "lib/http_date.h"
#include "test/fuzz/fuzz.h"

#define YEAR_10000 APR_INT64_C(253402300800)

/* What was read reads the same after it was written as httpd writes it. */
static void check_round_trip(apr_time_t when, apr_time_t now)
{
    char text[APR_RFC822_DATE_LEN];
    apr_time_t again;

    if (apr_time_sec(when) >= YEAR_10000) {
        return;     /* a leap second at the very end */
    }
    apr_rfc822_date(text, when);
    FUZZ_CHECK(etg_http_date_parse(etg_bytes_of(text), now, &again));
    FUZZ_CHECK(again == when);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const apr_int64_t nows[] = {
        0, 951782400, 1700000000, 4102444799, YEAR_10000
    };
    etg_bytes text = { data, size };
    size_t i;

    for (i = 0; i < sizeof(nows) / sizeof(nows[0]); i++) {
        apr_time_t now = apr_time_from_sec(nows[i]);
        apr_time_t when;

        if (etg_http_date_parse(text, now, &when)) {
            FUZZ_CHECK(size >= 24);
            check_round_trip(when, now);
        }
    }
    return 0;
}
