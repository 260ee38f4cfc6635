/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_seen_response.c: the input as a record of either kind, and, since no
 * fuzzer guesses a checksum or a key, as what follows the key in one that is
 * framed rightly. */
#include <string.h>

#include "lib/record.h"
#include "lib/seen_response.h"
#include "test/fuzz/fuzz.h"

static const etg_seen_key key = { "a key, and not all zeros" };

static void check_line(const char *value)
{
    FUZZ_CHECK(value == NULL || strpbrk(value, "\r\n") == NULL);
}

static void check_response(etg_bytes record, apr_pool_t *p)
{
    etg_seen_response seen, again;
    etg_bytes packed;

    if (etg_seen_unpack(record, &key, p, &seen) != APR_SUCCESS) {
        return;
    }
    FUZZ_CHECK(seen.etag != NULL && seen.fetched_at >= 0);
    check_line(seen.etag);
    check_line(seen.vary);
    check_line(seen.cache_control);
    check_line(seen.content_location);
    /* Unless its made-up times are beyond what pack takes. */
    if (etg_seen_pack(&key, &seen, p, &packed) != APR_SUCCESS) {
        return;
    }
    FUZZ_CHECK(etg_seen_unpack(packed, &key, p, &again) == APR_SUCCESS);
    FUZZ_CHECK(again.fetched_at == seen.fetched_at);
    FUZZ_CHECK(strcmp(again.etag, seen.etag) == 0);
    FUZZ_CHECK(again.has_expires == seen.has_expires
               && again.expires_in == seen.expires_in);
}

static void check_names(etg_bytes record, apr_pool_t *p)
{
    const char *names;
    etg_bytes packed;

    if (etg_seen_unpack_names(record, &key, p, &names) != APR_SUCCESS) {
        return;
    }
    check_line(names);
    FUZZ_CHECK(etg_seen_pack_names(&key, names, p, &packed) == APR_SUCCESS);
}

static etg_bytes framed(etg_record_kind kind, const uint8_t *data,
                        size_t size, apr_pool_t *p)
{
    etg_record_writer writer;
    etg_bytes record;

    etg_record_begin(&writer, kind, 1, size + sizeof(key), p);
    etg_record_put_bytes(&writer, key.bytes, sizeof(key.bytes));
    etg_record_put_bytes(&writer, data, size);
    FUZZ_CHECK(etg_record_end(&writer, &record) == APR_SUCCESS);
    return record;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes record = { data, size };

    check_response(record, p);
    check_names(record, p);
    check_response(framed(ETG_RECORD_SEEN, data, size, p), p);
    check_names(framed(ETG_RECORD_SEEN_NAMES, data, size, p), p);
    apr_pool_destroy(p);
    return 0;
}
