/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h: well-formed UTF-8 (RFC 3629). */
#ifndef ETG_LIB_UTF8_H
#define ETG_LIB_UTF8_H

#include "etg_bytes.h"

/* The length of the character that `text` begins with; 0: it is empty, or
 * begins with none (an overlong form, a surrogate, a part of one). */
apr_size_t etg_utf8_length(etg_bytes text);

/* Is all of it well-formed? */
int etg_is_utf8(etg_bytes text);

#endif
