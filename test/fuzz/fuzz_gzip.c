/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_gzip.c: the first byte says how large the pieces are, the rest is the
 * coded body; and the same bytes coded and inflated again. */
#include <string.h>

#include "lib/gzip.h"
#include "test/fuzz/fuzz.h"

#define LIMIT 200000

typedef struct sum {
    apr_uint64_t length;
    apr_uint64_t hash;
    apr_size_t largest;
    unsigned char *kept;        /* NULL: only counted */
} sum;

static apr_status_t count(void *baton, const void *data, apr_size_t length)
{
    sum *to = baton;
    const unsigned char *bytes = data;

    for (apr_size_t i = 0; i < length; i++) {
        to->hash = (to->hash ^ bytes[i]) * 0x100000001b3ull;
    }
    if (to->kept != NULL) {
        memcpy(to->kept + to->length, data, length);
    }
    to->length += length;
    to->largest = length > to->largest ? length : to->largest;
    return APR_SUCCESS;
}

/* What becomes of it in pieces of this size. */
static apr_status_t inflate_all(const uint8_t *data, size_t size,
                                size_t piece, sum *result, apr_pool_t *p)
{
    etg_inflater *inflater;
    apr_status_t rv = APR_SUCCESS;

    memset(result, 0, sizeof(*result));
    FUZZ_CHECK(etg_inflater_begin(&inflater, LIMIT, count, result, p)
               == APR_SUCCESS);
    for (size_t at = 0; rv == APR_SUCCESS && at < size; at += piece) {
        size_t part = size - at < piece ? size - at : piece;

        rv = etg_inflater_add(inflater, data + at, part);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_inflater_end(inflater);
    }
    else {
        FUZZ_CHECK(etg_inflater_end(inflater) == rv);
    }
    FUZZ_CHECK(etg_inflater_written(inflater) == result->length);
    FUZZ_CHECK(result->length <= LIMIT);
    FUZZ_CHECK(result->largest <= 16384);
    FUZZ_CHECK(rv == APR_SUCCESS || rv == APR_EINVAL || rv == APR_ENOSPC
               || rv == APR_EOF);
    return rv;
}

static void there_and_back(const uint8_t *data, size_t size, size_t piece,
                           apr_pool_t *p)
{
    sum coded = { .kept = apr_palloc(p, size + size / 100 + 100) };
    sum plain = { 0 };
    sum back;
    etg_deflater *deflater;

    FUZZ_CHECK(etg_deflater_begin(&deflater, 1 + (int)(size % 9), count,
                                  &coded, p) == APR_SUCCESS);
    for (size_t at = 0; at < size; at += piece) {
        size_t part = size - at < piece ? size - at : piece;

        FUZZ_CHECK(etg_deflater_add(deflater, data + at, part)
                   == APR_SUCCESS);
    }
    FUZZ_CHECK(etg_deflater_end(deflater) == APR_SUCCESS);
    count(&plain, data, size);
    FUZZ_CHECK(inflate_all(coded.kept, coded.length, piece, &back, p)
               == APR_SUCCESS);
    FUZZ_CHECK(back.length == plain.length && back.hash == plain.hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    size_t piece = size > 0 ? 1u + data[0] : 1;
    sum whole;
    sum pieces;

    if (size > 0) {
        apr_status_t rv = inflate_all(data + 1, size - 1, size, &whole, p);

        FUZZ_CHECK(inflate_all(data + 1, size - 1, piece, &pieces, p) == rv);
        /* Where it fails, more may have come out before. */
        FUZZ_CHECK(rv != APR_SUCCESS || (whole.length == pieces.length
                                         && whole.hash == pieces.hash));
    }
    there_and_back(data, size, piece, p);
    apr_pool_destroy(p);
    return 0;
}
