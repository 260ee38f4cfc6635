/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_schedule.h: URLs that are fetched on schedule: how a line of
 * configuration names one, and when its next fetch is due.
 *
 * Model. A rule is what the admin wrote; a schedule is what one process knows
 * of it: when the next fetch begins. After a fetch that stored something that
 * is `every`, less a random part of `jitter`, after it began; or, if what was
 * stored expires earlier, so long before that as the fetch needs. A fetch that
 * failed is tried again after a second, two, four, up to `every`. All pure;
 * randomness and time come from the caller.
 */
#ifndef ETG_LIB_REFRESH_SCHEDULE_H
#define ETG_LIB_REFRESH_SCHEDULE_H

#include <apr_pools.h>
#include <apr_time.h>

#include "etg_bytes.h"

/* However soon a response expires, its next fetch begins no earlier than this
 * after the last one ended. */
#define ETG_REFRESH_REST_LEAST apr_time_from_msec(500)

typedef struct etg_refresh_rule {
    const char *host;             /* as in the field Host, its default port
                                   * left out; NULL: the line has a path */
    int is_https;                 /* valid with a host */
    const char *target;           /* path and query */
    apr_interval_time_t every;
    apr_interval_time_t jitter;   /* below every */
} etg_refresh_rule;

typedef enum etg_refresh_outcome {
    ETG_REFRESH_STORED,           /* a fresh response is stored now */
    ETG_REFRESH_NOT_STORED,       /* the backend's answer is nothing to keep */
    ETG_REFRESH_FAILED            /* no answer, or nobody asked */
} etg_refresh_outcome;

typedef struct etg_refresh_result {
    etg_refresh_outcome outcome;
    apr_time_t began;
    apr_time_t ended;
    apr_interval_time_t ttl;      /* STORED: from `ended` on */
} etg_refresh_result;

/* All zeros: due at once. */
typedef struct etg_refresh_schedule {
    apr_time_t due;
    unsigned failures;            /* in a row */
} etg_refresh_schedule;

/* Reads `url every=30s [jitter=2s]`; the url, perhaps in quotes, is a path or
 * http[s]://host[:port]/path. NULL; or, *rule untouched, how a sentence ends
 * that begins with the line. In `p`. */
const char *etg_refresh_rule_parse(etg_refresh_rule *rule, etg_bytes line,
                                   apr_pool_t *p);

/* A due time beyond `every` from now, since the clock was set back, has
 * come. */
int etg_refresh_schedule_is_due(const etg_refresh_schedule *schedule,
                                const etg_refresh_rule *rule, apr_time_t now);

/* `random`: any number. */
void etg_refresh_schedule_next(etg_refresh_schedule *schedule,
                               const etg_refresh_rule *rule,
                               const etg_refresh_result *result,
                               apr_uint32_t random);

#endif
