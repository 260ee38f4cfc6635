/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_memcached_reply.c: the input as what a server says, line by line. What
 * is read lies inside the input, and more of the input changes nothing. */
#include <string.h>

#include "lib/memcached_reply.h"
#include "test/fuzz/fuzz.h"

static void check_line(etg_bytes bytes, const etg_memcached_reply *reply,
                       apr_size_t taken)
{
    etg_bytes line = { bytes.data, taken };
    etg_bytes less = { bytes.data, taken - 1 };
    etg_memcached_reply again;
    apr_size_t again_taken;

    FUZZ_CHECK(taken >= 2 && taken <= bytes.length
               && taken <= ETG_MEMCACHED_LINE_MAX);
    FUZZ_CHECK(bytes.data[taken - 1] == '\n' && bytes.data[taken - 2] == '\r');
    FUZZ_CHECK(etg_memcached_reply_read(line, &again, &again_taken)
               == APR_SUCCESS && again_taken == taken
               && again.kind == reply->kind && again.cas == reply->cas
               && again.length == reply->length);
    FUZZ_CHECK(etg_memcached_reply_read(less, &again, &again_taken)
               == APR_INCOMPLETE);
    if (reply->kind == ETG_MEMCACHED_REPLY_VALUE) {
        FUZZ_CHECK(reply->key.length > 0 && reply->key.data > bytes.data
                   && reply->key.data + reply->key.length
                      < bytes.data + taken);
        FUZZ_CHECK(memchr(reply->key.data, ' ', reply->key.length) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes bytes = { apr_pmemdup(p, data, size), size };
    etg_memcached_reply reply;
    apr_size_t taken;

    while (etg_memcached_reply_read(bytes, &reply, &taken) == APR_SUCCESS) {
        check_line(bytes, &reply, taken);
        bytes.data += taken;
        bytes.length -= taken;
    }
    apr_pool_destroy(p);
    return 0;
}
