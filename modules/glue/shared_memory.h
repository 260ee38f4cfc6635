/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_memory.h: records that all children of httpd share, each for a while.
 *
 * A cache of httpd's shmcb provider, which drops the oldest when it is full,
 * with a mutex of its own. A graceful restart begins with a new one. What it
 * cannot give is not remembered: nothing waits for it longer than about a
 * millisecond.
 */
#ifndef ETG_GLUE_SHARED_MEMORY_H
#define ETG_GLUE_SHARED_MEMORY_H

#include <httpd.h>
#include <ap_socache.h>
#include <apr_time.h>

#include "etg_bytes.h"

/* What one is like; static, for the life of the module. */
typedef struct etg_shared_memory_kind {
    const char *name;             /* of its mutex's type, and of itself */
    struct ap_socache_hints hints;  /* the usual record and its key; shmcb
                                   * makes its index by them */
    unsigned record_max;          /* bytes */
    void (*say_lost)(server_rec *s);  /* logs that nothing is remembered any
                                   * more, as a child died in it */
} etg_shared_memory_kind;

typedef struct etg_shared_memory etg_shared_memory;

/* In pre_config. OK, or HTTP_INTERNAL_SERVER_ERROR. */
int etg_shared_memory_register(const etg_shared_memory_kind *kind,
                               apr_pool_t *pconf);

/* In post_config of a real start. APR_ENOTIMPL: mod_socache_shmcb is not
 * loaded. Any other status: there is no memory, and *wrong is what the
 * provider says of it, or NULL. */
apr_status_t etg_shared_memory_make(etg_shared_memory **memory,
                                    const etg_shared_memory_kind *kind,
                                    apr_int64_t size, server_rec *s,
                                    apr_pool_t *pconf, const char **wrong);

/* In child_init. Without success it must not be used in this child. */
apr_status_t etg_shared_memory_open(etg_shared_memory *memory,
                                    apr_pool_t *pchild);

/* For any thread of a child. APR_NOTFOUND: there is none; other statuses: the
 * memory does not answer. *record is in `p`. */
apr_status_t etg_shared_memory_get(etg_shared_memory *memory, etg_bytes key,
                                   apr_pool_t *p, etg_bytes *record);
apr_status_t etg_shared_memory_put(etg_shared_memory *memory, etg_bytes key,
                                   apr_time_t expires_at, etg_bytes record,
                                   apr_pool_t *p);

#endif
