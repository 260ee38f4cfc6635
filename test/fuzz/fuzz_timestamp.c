/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_timestamp.c: the input is a timestamp. */
#include <string.h>

#include "lib/field_list.h"
#include "lib/timestamp.h"
#include "test/fuzz/fuzz.h"

#define FIRST_US APR_INT64_C(253402300800000)

static void check_same(const char *text, apr_time_t when)
{
    apr_time_t again;

    FUZZ_CHECK(etg_timestamp_parse(etg_bytes_of(text), &again));
    FUZZ_CHECK(again == when);
}

/* However it was written, it is the same moment written otherwise. */
static void check_other_forms(apr_time_t when)
{
    apr_time_exp_t exploded;
    char text[64];

    FUZZ_CHECK(apr_time_exp_gmt(&exploded, when) == APR_SUCCESS);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
             exploded.tm_year + 1900, exploded.tm_mon + 1, exploded.tm_mday,
             exploded.tm_hour, exploded.tm_min, exploded.tm_sec,
             exploded.tm_usec);
    check_same(text, when);
    text[10] = ' ';
    text[26] = '\0';
    check_same(text, when);
    snprintf(text, sizeof(text), "%" APR_INT64_T_FMT ".%06d",
             apr_time_sec(when), (int)apr_time_usec(when));
    check_same(text, when);
    if (when >= FIRST_US) {
        snprintf(text, sizeof(text), "%" APR_INT64_T_FMT, when);
        check_same(text, when);
    }
}

/* Nothing may stand around it. */
static void check_strict(const uint8_t *data, size_t size)
{
    static const char strangers[] = { ' ', '\0', '\n', 'x', ',' };
    unsigned char *longer = malloc(size + 1);
    size_t i;

    FUZZ_CHECK(longer != NULL);
    for (i = 0; i < sizeof(strangers); i++) {
        etg_bytes text = { longer, size + 1 };
        apr_time_t when;

        memcpy(longer, data, size);
        longer[size] = strangers[i];
        FUZZ_CHECK(!etg_timestamp_parse(text, &when));
        memcpy(longer + 1, data, size);
        longer[0] = strangers[i];
        FUZZ_CHECK(!etg_timestamp_parse(text, &when));
    }
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    etg_bytes text = { data, size };
    apr_time_t when = -77;

    if (!etg_timestamp_parse(text, &when)) {
        FUZZ_CHECK(when == -77);
        return 0;
    }
    FUZZ_CHECK(when >= 0 && when <= ETG_TIMESTAMP_MAX);
    check_other_forms(when);
    check_strict(data, size);
    return 0;
}
