/* SPDX-License-Identifier: Apache-2.0 */
/* etg_bytes.h: a read-only run of bytes with its length. */
#ifndef ETG_BYTES_H
#define ETG_BYTES_H

#include <apr.h>

/* Not terminated; `data` NULL means "none", which differs from length 0. */
typedef struct etg_bytes {
    const unsigned char *data;
    apr_size_t length;
} etg_bytes;

#endif
