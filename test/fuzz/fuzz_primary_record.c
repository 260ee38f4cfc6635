/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_primary_record.c: the input as a record, and, since no fuzzer guesses
 * a checksum, as the payload of one that is framed rightly. */
#include <string.h>

#include "lib/primary_record.h"
#include "lib/record.h"
#include "test/fuzz/fuzz.h"

#define NOW APR_TIME_C(1763827200345678)

/* What every reader of a primary relies on. */
static void check(const etg_primary *primary)
{
    unsigned i;

    FUZZ_CHECK(strlen(primary->key) == primary->key_length);
    FUZZ_CHECK(primary->generation != 0);
    FUZZ_CHECK(primary->invalidated_at >= 0 && primary->purged_at >= 0);
    FUZZ_CHECK(primary->row_count <= ETG_PRIMARY_ROWS_MAX);
    FUZZ_CHECK(primary->spec_count <= ETG_PRIMARY_SPECS_MAX);
    for (i = 0; i < primary->spec_count; i++) {
        FUZZ_CHECK(strlen(primary->specs[i]) < 1 << 24);
    }
    for (i = 0; i < primary->row_count; i++) {
        const char *etag = primary->rows[i].etag;

        FUZZ_CHECK(primary->rows[i].spec < primary->spec_count);
        FUZZ_CHECK(etag == NULL || strpbrk(etag, "\r\n") == NULL);
    }
}

static void check_choice(const etg_primary *primary, apr_pool_t *p)
{
    apr_table_t *request = apr_table_make(p, 2);
    const etg_primary_row *row;

    apr_table_setn(request, "Accept", "text/html");
    apr_table_setn(request, "Cookie", "a=b");
    row = etg_primary_choose(primary, request, NULL, p);
    FUZZ_CHECK(row == NULL
               || (row >= primary->rows
                   && row < primary->rows + primary->row_count));
}

/* What was read can be changed, stored and read again (unless its made-up
 * times are beyond what pack takes). */
static void check_change(etg_primary *primary, apr_pool_t *p)
{
    etg_primary_row row = { .received_at = NOW, .expires_at = NOW + 1,
                            .date = NOW, .etag = "\"a\"" };
    etg_primary again;
    etg_bytes record;
    unsigned before = primary->row_count;
    unsigned dropped;
    unsigned i;

    FUZZ_CHECK(etg_primary_put(primary, "accept", &row, 16, NOW, p, &dropped)
               == APR_SUCCESS);
    FUZZ_CHECK(primary->row_count >= 1 && primary->row_count <= 16);
    FUZZ_CHECK(primary->row_count + dropped <= before + 1);
    if (etg_primary_pack(primary, p, &record) != APR_SUCCESS) {
        return;
    }
    FUZZ_CHECK(etg_primary_unpack(record, p, &again) == APR_SUCCESS);
    check(&again);
    FUZZ_CHECK(again.row_count == primary->row_count);
    FUZZ_CHECK(strcmp(again.specs[0], "accept") == 0);
    for (i = 0; i < again.row_count; i++) {
        FUZZ_CHECK(again.rows[i].received_at == primary->rows[i].received_at);
        FUZZ_CHECK(again.rows[i].expires_at == primary->rows[i].expires_at);
        FUZZ_CHECK(again.rows[i].date == primary->rows[i].date);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes record = { data, size };
    etg_record_writer writer;
    etg_primary primary;

    memset(&primary, 0, sizeof(primary));
    if (etg_primary_unpack(record, p, &primary) == APR_SUCCESS) {
        check(&primary);
    }
    etg_record_begin(&writer, ETG_RECORD_PRIMARY, ETG_PRIMARY_VERSION, size,
                     p);
    etg_record_put_bytes(&writer, data, size);
    FUZZ_CHECK(etg_record_end(&writer, &record) == APR_SUCCESS);
    if (etg_primary_unpack(record, p, &primary) == APR_SUCCESS) {
        check(&primary);
        check_choice(&primary, p);
        check_change(&primary, p);
    }
    apr_pool_destroy(p);
    return 0;
}
