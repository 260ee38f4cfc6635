/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_byte_range.c: one byte picks a body's length, the rest is a Range. */
#include "lib/byte_range.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    etg_bytes value = { NULL, 0 };
    apr_uint64_t length;
    unsigned count;
    unsigned longer_count;
    etg_range_kind kind;
    etg_range_kind longer;

    if (size == 0) {
        return 0;
    }
    value.data = data + 1;
    value.length = size - 1;
    length = (APR_UINT64_C(1) << (data[0] & 63)) - 1;
    kind = etg_range_judge(value, length, &count);
    longer = etg_range_judge(value, length + 1, &longer_count);
    FUZZ_CHECK((kind == ETG_RANGE_NONE) == (count == 0));
    FUZZ_CHECK(count == longer_count && count <= size / 2);
    FUZZ_CHECK((kind == ETG_RANGE_NONE) == (longer == ETG_RANGE_NONE));
    if (kind == ETG_RANGE_SATISFIABLE) {
        FUZZ_CHECK(longer == ETG_RANGE_SATISFIABLE && length > 0);
    }
    return 0;
}
