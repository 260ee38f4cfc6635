/* SPDX-License-Identifier: Apache-2.0 */
/* steady_clock.c: CLOCK_MONOTONIC in APR's units; see steady_clock.h. */
#include "lib/steady_clock.h"

static apr_time_t read_clock(clockid_t clock);

apr_time_t etg_steady_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

struct timespec etg_steady_moment(apr_time_t when)
{
    return (struct timespec){
        .tv_sec = apr_time_sec(when),
        .tv_nsec = apr_time_usec(when) * 1000
    };
}

apr_status_t etg_steady_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t steady;
    int failed = pthread_condattr_init(&steady);

    if (failed == 0) {
        pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
        failed = pthread_cond_init(condition, &steady);
        pthread_condattr_destroy(&steady);
    }
    return failed;
}

int etg_lock_in_time(pthread_mutex_t *lock, apr_interval_time_t wait)
{
    struct timespec until = etg_steady_moment(read_clock(CLOCK_REALTIME)
                                              + wait);

    return pthread_mutex_timedlock(lock, &until) == 0;
}

static apr_time_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return apr_time_from_sec(now.tv_sec) + now.tv_nsec / 1000;
}
