/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h: what every fuzz target needs.
 *
 * A target is one file with one LLVMFuzzerTestOneInput. It reads the input,
 * calls the code as its callers do and checks what must hold for any input;
 * crashes and sanitizer reports find themselves.
 */
#ifndef ETG_TEST_FUZZ_H
#define ETG_TEST_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

#include "etg_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops with a core where the fuzzer can see it; never compiled out. */
#define FUZZ_CHECK(condition)                                            \
    do {                                                                 \
        if (!(condition)) {                                              \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,           \
                    #condition);                                         \
            abort();                                                     \
        }                                                                \
    } while (0)

/* A fresh pool for one input; the caller destroys it. */
static inline apr_pool_t *fuzz_pool(void)
{
    static int initialized;
    apr_pool_t *pool;

    if (!initialized) {
        apr_initialize();
        initialized = 1;
    }
    FUZZ_CHECK(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    return pool;
}

/* Takes one line (to '\n' or the end) off *rest, as terminated text; NULL if
 * nothing is left. An embedded NUL ends the text. */
static inline const char *fuzz_line(etg_bytes *rest, apr_pool_t *p)
{
    const unsigned char *start = rest->data;
    apr_size_t length = 0;

    if (rest->length == 0) {
        return NULL;
    }
    while (length < rest->length && start[length] != '\n') {
        length++;
    }
    rest->data += length;
    rest->length -= length;
    if (rest->length > 0) {
        rest->data++;
        rest->length--;
    }
    return apr_pstrmemdup(p, (const char *)start, length);
}

#endif
