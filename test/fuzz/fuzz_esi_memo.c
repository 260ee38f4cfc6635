/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_esi_memo.c: the input as a record, and, since no fuzzer guesses a
 * checksum or a key, as what follows the key in one that is framed rightly. */
#include <string.h>

#include "lib/esi_document.h"
#include "lib/esi_memo.h"
#include "lib/record.h"
#include "test/fuzz/fuzz.h"

static const etg_esi_memo_key key = { "a key" };

static void check(etg_bytes record, apr_pool_t *p)
{
    apr_array_header_t *targets;
    etg_bytes again;

    if (etg_esi_memo_unpack(record, &key, p, &targets) != APR_SUCCESS) {
        return;
    }
    FUZZ_CHECK(targets->nelts <= ETG_ESI_FRAGMENTS_MAX);
    for (int i = 0; i < targets->nelts; i++) {
        const char *target = APR_ARRAY_IDX(targets, i, const char *);

        FUZZ_CHECK(target[0] == '/' && target[1] != '/');
        FUZZ_CHECK(strpbrk(target, " \t\r\n\\") == NULL);
    }
    /* What was read differs from what is written in its numbers' lengths at
     * most. */
    FUZZ_CHECK(etg_esi_memo_pack(&key, targets, p, &again) == APR_SUCCESS);
    FUZZ_CHECK(again.length <= record.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes record = { data, size };
    etg_record_writer writer;

    check(record, p);
    etg_record_begin(&writer, ETG_RECORD_ESI, 1, size + sizeof(key), p);
    etg_record_put_bytes(&writer, key.bytes, sizeof(key.bytes));
    etg_record_put_bytes(&writer, data, size);
    FUZZ_CHECK(etg_record_end(&writer, &record) == APR_SUCCESS);
    check(record, p);
    apr_pool_destroy(p);
    return 0;
}
