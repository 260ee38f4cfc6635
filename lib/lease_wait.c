/* SPDX-License-Identifier: Apache-2.0 */
/* lease_wait.c: the plan of polling for a lease; pure arithmetic. */
#include "lib/lease_wait.h"

/* The longest sleep is MOST with all of the jitter. */
#define BASE_MOST (ETG_LEASE_WAIT_MOST / 5 * 4)
#define JITTER_STEPS 1024

apr_interval_time_t etg_lease_wait_next(apr_interval_time_t waited,
                                        apr_interval_time_t limit,
                                        apr_uint32_t random)
{
    apr_interval_time_t sleep;

    if (waited < 0) {
        waited = 0;
    }
    if (waited >= limit) {
        return 0;
    }
    sleep = waited / 8;
    if (sleep < ETG_LEASE_WAIT_LEAST) {
        sleep = ETG_LEASE_WAIT_LEAST;
    }
    if (sleep > BASE_MOST) {
        sleep = BASE_MOST;
    }
    sleep += sleep / 4 * (random % JITTER_STEPS) / (JITTER_STEPS - 1);
    return sleep < limit - waited ? sleep : limit - waited;
}
