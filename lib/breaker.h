/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.h: a circuit breaker, which keeps callers from waiting for a
 * server that does not answer.
 *
 *   closed     calls go; three failures within ten seconds open it, unless
 *              thirty calls were answered from the first of them on
 *   open       no call goes; every two seconds (and the jitter) a probe is due
 *   half-open  one probe is under way: its success closes, its failure opens
 *
 * Only a probe closes an open breaker: the result of a call that began before
 * it opened says nothing about now. A few successes do not wipe out failures:
 * a server that fails every other call is to be left alone as well. Many do:
 * where both machines are at their limit some calls among thousands are late,
 * and to send all of them to the backend for that would make it worse.
 *
 * A breaker is a plain struct without a lock: all calls on one happen under
 * a lock of its owner. Times are the caller's; a clock that was set back
 * neither keeps failures alive nor delays a probe for longer than usual.
 */
#ifndef ETG_LIB_BREAKER_H
#define ETG_LIB_BREAKER_H

#include <apr_time.h>

#define ETG_BREAKER_FAILURES 3
#define ETG_BREAKER_ANSWERS 30
#define ETG_BREAKER_WINDOW (10 * APR_USEC_PER_SEC)
#define ETG_BREAKER_PROBE_EVERY (2 * APR_USEC_PER_SEC)

/* A greater jitter counts as this, a negative one as none. */
#define ETG_BREAKER_JITTER_MAX (1 * APR_USEC_PER_SEC)

typedef enum etg_breaker_state {
    ETG_BREAKER_CLOSED = 0,
    ETG_BREAKER_OPEN,
    ETG_BREAKER_HALF_OPEN
} etg_breaker_state;

/* What a report did: each of the last two is worth one line in the log. A
 * failed probe, which leaves the breaker open, is none of them. */
typedef enum etg_breaker_change {
    ETG_BREAKER_SAME = 0,
    ETG_BREAKER_OPENED,
    ETG_BREAKER_HEALED
} etg_breaker_change;

/* All zero is a closed breaker. */
typedef struct etg_breaker {
    etg_breaker_state state;
    unsigned failures;                           /* in failed_at */
    apr_time_t failed_at[ETG_BREAKER_FAILURES];  /* oldest first */
    apr_uint64_t answered[ETG_BREAKER_FAILURES]; /* calls until then */
    apr_time_t probe_at;                         /* if open */
} etg_breaker;

/* May a call go now? (Closed: always; else never.) */
int etg_breaker_may_call(const etg_breaker *breaker);

/* Reports a call that failed; `answered` is how many have not, ever. Does
 * nothing unless the breaker is closed. */
etg_breaker_change etg_breaker_fail(etg_breaker *breaker,
                                    apr_uint64_t answered, apr_time_t now,
                                    apr_interval_time_t jitter);

/* Is a probe due? */
int etg_breaker_is_probe_due(const etg_breaker *breaker, apr_time_t now);

/* When the next probe is due, for one who sleeps till then; 0 if closed or
 * if a probe is under way. May lie in the past. */
apr_time_t etg_breaker_probe_at(const etg_breaker *breaker);

/* Takes the probe that is due: 1, and the caller owes probe_end; 0 if none
 * is due (another has taken it). */
int etg_breaker_probe_begin(etg_breaker *breaker, apr_time_t now);

/* Reports the end of the probe that was taken. */
etg_breaker_change etg_breaker_probe_end(etg_breaker *breaker, int succeeded,
                                         apr_time_t now,
                                         apr_interval_time_t jitter);

#endif
