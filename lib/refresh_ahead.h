/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_ahead.h: is a fresh response refreshed now, before it expires?
 *
 * Model. What counts is the time a response can spend here: a lifetime that
 * was half over when it came in is only the other half. After the configured
 * fraction of it every hit throws dice, with a chance that rises from none to
 * one by the middle of what is left: slowly at first, so that processes and
 * machines that get many hits do not act at once, and surely in the second
 * half, so that one that gets few does act.
 */
#ifndef ETG_LIB_REFRESH_AHEAD_H
#define ETG_LIB_REFRESH_AHEAD_H

#include <apr_time.h>

/* Fewer hits than these since it was stored: nobody will miss it. */
#define ETG_REFRESH_AHEAD_HITS 2
#define ETG_REFRESH_AHEAD_RANDOM_MOST 65535

typedef struct etg_refresh_ahead {
    apr_interval_time_t stay;     /* since it was received */
    apr_interval_time_t ttl;      /* until it expires */
    double fraction;              /* above 0, up to 1; 0: off */
    unsigned hits;                /* since it was stored, with this one */
} etg_refresh_ahead;

/* `random`: 0 to ETG_REFRESH_AHEAD_RANDOM_MOST. */
int etg_refresh_ahead_is_due(const etg_refresh_ahead *state,
                             unsigned random);

#endif
