/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_wait.h: how often to ask for a lease that another host holds.
 *
 * Nobody tells a waiter that the lease is free, so it asks again and again:
 * often while little time has passed, since most fetches are short, and more
 * rarely later, so that what polling adds stays a small part of what was
 * waited. One thread per key and host polls.
 */
#ifndef ETG_LIB_LEASE_WAIT_H
#define ETG_LIB_LEASE_WAIT_H

#include <apr_time.h>

#define ETG_LEASE_WAIT_LEAST apr_time_from_msec(10)
#define ETG_LEASE_WAIT_MOST apr_time_from_msec(100)

/* How long to sleep before asking again, having waited `waited` of at most
 * `limit`: an eighth of that, and up to a quarter more by `random` (any
 * number), between LEAST and MOST, and never beyond the limit. 0: the limit is
 * reached. A clock that was set back counts as nothing waited. */
apr_interval_time_t etg_lease_wait_next(apr_interval_time_t waited,
                                        apr_interval_time_t limit,
                                        apr_uint32_t random);

#endif
