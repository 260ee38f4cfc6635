/* SPDX-License-Identifier: Apache-2.0 */
/* kept_secret.h: a secret that tags are made with. */
#ifndef ETG_GLUE_KEPT_SECRET_H
#define ETG_GLUE_KEPT_SECRET_H

#include <apr_pools.h>

#include "etg_bytes.h"

/* In post_config: what is written, or (NULL) 32 random bytes that are made
 * once and kept in the process's pool under `key`, so that tags outlive a
 * reload. Another status than APR_SUCCESS: there are no random bytes. */
apr_status_t etg_kept_secret(const char *written, const char *key,
                             apr_pool_t *process, etg_bytes *secret);

#endif
