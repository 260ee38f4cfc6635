/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steady_clock.h: the clock that nobody sets, and waiting by it.
 *
 * APR's conditions and locks wait by the time of day: a clock that is set
 * back would make a wait of a second one of an hour.
 */
#ifndef ETG_LIB_STEADY_CLOCK_H
#define ETG_LIB_STEADY_CLOCK_H

#include <pthread.h>
#include <time.h>

#include <apr_errno.h>
#include <apr_time.h>

/* Microseconds since some moment before this machine's processes began. */
apr_time_t etg_steady_now(void);

/* A moment of that clock (0 or later) as pthread_cond_timedwait wants it. */
struct timespec etg_steady_moment(apr_time_t when);

/* A condition whose timed waits are by this clock. */
apr_status_t etg_steady_condition_init(pthread_cond_t *condition);

/* Takes a lock that may never come free: its holder may be what a signal
 * handler has interrupted. 0: not within `wait` (by the time of day, which is
 * all that pthreads has for locks everywhere). */
int etg_lock_in_time(pthread_mutex_t *lock, apr_interval_time_t wait);

#endif
