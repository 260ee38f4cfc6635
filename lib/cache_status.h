/* SPDX-License-Identifier: Apache-2.0 */
/* cache_status.h: the Cache-Status field (RFC 9211) and the trace words. */
#ifndef ETG_LIB_CACHE_STATUS_H
#define ETG_LIB_CACHE_STATUS_H

#include <apr_pools.h>
#include <apr_time.h>

/* Static words; NULL where a parameter does not apply. */
typedef struct etg_cache_status {
    int hit;
    const char *forward;         /* "uri-miss", "vary-miss", "stale",
                                  * "method", "bypass", "request", "partial" */
    int forward_status;          /* 0: none; the backend's status */
    int stored;
    int collapsed;
    int has_ttl;
    apr_interval_time_t ttl;     /* negative when stale */
    const char *key;             /* shown if not NULL */
    const char *detail;          /* token or text */
} etg_cache_status;

/* One list member: "Etagere; hit; ttl=42", in `p`. Parameters in RFC order; a
 * hit has no fwd; the key as a String, cut at 1 KB; detail as a Token if it is
 * one, else as a String; ttl in whole seconds, rounded down. */
const char *etg_cache_status_format(const etg_cache_status *status,
                                    apr_pool_t *p);

#endif
