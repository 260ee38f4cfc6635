/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_response_copy.c: the input as a copy, and, since no fuzzer guesses a
 * checksum, as the payload of one that is framed rightly. */
#include <string.h>

#include "lib/record.h"
#include "lib/response_copy.h"
#include "test/fuzz/fuzz.h"

static void check(etg_bytes record, apr_pool_t *p)
{
    etg_bytes response;
    etg_bytes again;
    apr_time_t when;

    if (etg_response_copy_unpack(record, &when, &response) != APR_SUCCESS) {
        return;
    }
    FUZZ_CHECK(when >= 0);
    FUZZ_CHECK(response.data >= record.data);
    FUZZ_CHECK(response.data + response.length
               <= record.data + record.length);
    FUZZ_CHECK(etg_response_copy_pack(response, when, p, &again)
               == APR_SUCCESS);
    FUZZ_CHECK(again.length == record.length
               && !memcmp(again.data, record.data, record.length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes record = { data, size };
    etg_record_writer writer;

    check(record, p);
    etg_record_begin(&writer, ETG_RECORD_COPY, 1, size, p);
    etg_record_put_bytes(&writer, data, size);
    FUZZ_CHECK(etg_record_end(&writer, &record) == APR_SUCCESS);
    check(record, p);
    apr_pool_destroy(p);
    return 0;
}
