/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_control.h: Cache-Control (RFC 9111 §5.2, RFC 5861, RFC 8246) and
 * targeted fields (RFC 9213), read into one plain struct.
 */
#ifndef ETG_LIB_CACHE_CONTROL_H
#define ETG_LIB_CACHE_CONTROL_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

#define ETG_CC_NO_STORE          0x00000001u
#define ETG_CC_NO_CACHE          0x00000002u  /* without a field list */
#define ETG_CC_PRIVATE           0x00000004u  /* without a field list */
#define ETG_CC_PUBLIC            0x00000008u
#define ETG_CC_MUST_REVALIDATE   0x00000010u
#define ETG_CC_PROXY_REVALIDATE  0x00000020u
#define ETG_CC_MUST_UNDERSTAND   0x00000040u
#define ETG_CC_NO_TRANSFORM      0x00000080u
#define ETG_CC_IMMUTABLE         0x00000100u
#define ETG_CC_ONLY_IF_CACHED    0x00000200u  /* request */
#define ETG_CC_MAX_STALE_ANY     0x00000400u  /* request: max-stale alone */
/* A directive whose argument could not be read (max-age=abc): its seconds
 * field is 0 then, that is: stale, the safe side (RFC 9111 §4.2.1). Set with
 * ETG_CC_NO_STORE where a quote is open or misplaced: nobody can tell what
 * such a field forbids. */
#define ETG_CC_MALFORMED         0x00000800u

#define ETG_CC_ABSENT (-1)

typedef struct etg_cache_control {
    unsigned flags;                 /* ETG_CC_* */
    apr_int64_t max_age;            /* seconds, ETG_CC_ABSENT if absent */
    apr_int64_t s_maxage;
    apr_int64_t min_fresh;          /* request */
    apr_int64_t max_stale;          /* request, with an argument */
    apr_int64_t stale_while_revalidate;
    apr_int64_t stale_if_error;
    /* Names from private="..." and no-cache="...", comma-separated, lower
     * case, in the pool given; NULL if none. */
    const char *private_fields;
    const char *no_cache_fields;
    int present;                    /* was there a field at all? (Pragma is
                                     * none) */
} etg_cache_control;

/* Nothing said: flags 0, numbers absent, present 0. */
void etg_cache_control_init(etg_cache_control *cc);

/* Adds a Cache-Control value, read as liberally as RFC 9111 asks: unknown
 * directives are skipped, names are case-insensitive, token and quoted forms
 * of an argument mean the same. Of repeated directives the more restrictive
 * holds (smallest age; flags add up). A directive with a damaged argument or
 * junk behind its name ("private; max-age=1") counts if it forbids something,
 * is 0 seconds, or is skipped if it permits something. Lists of names over
 * 2 KB make their directive unqualified. Does not look at present. */
void etg_cache_control_parse(etg_cache_control *cc, etg_bytes value,
                             apr_pool_t *p);

/* Reads all lines of field Cache-Control; without one, a request's
 * `Pragma: no-cache` counts as no-cache when `is_request` (RFC 9111 §5.4). */
void etg_cache_control_of(etg_cache_control *cc, const apr_table_t *fields,
                          int is_request, apr_pool_t *p);

/* Reads a targeted field (RFC 9213 §2.1): a strict Structured Fields
 * Dictionary (RFC 9651), all its lines together. Returns 0, with *cc as by
 * init, if the field is absent, empty or does not parse as a whole: it is
 * ignored then. Parameters and unknown keys are ignored; of duplicate keys the
 * last holds. Seconds must be non-negative Integers and flags Boolean true,
 * names of fields a String or Token; a member of another type is as absent,
 * except that no-store, private and no-cache hold whatever their type unless
 * they are Boolean false. */
int etg_cache_control_targeted(etg_cache_control *cc,
                               const apr_table_t *fields, const char *name,
                               apr_pool_t *p);

#endif
