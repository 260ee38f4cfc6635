/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_group.h: sources that share handles: their threads, their handles
 * and how many of their looks are overdue. Private to freshness_lookup.c,
 * whose lock it uses; what is called with it held says so.
 */
#ifndef ETG_FRESHNESS_GROUP_H
#define ETG_FRESHNESS_GROUP_H

#include <pthread.h>

#include "freshness_source.h"
#include "lib/workers.h"

typedef struct etg_lookup_groups etg_lookup_groups;
typedef struct etg_lookup_group etg_lookup_group;

/* A look-up that is being made, as groups see it. */
typedef struct etg_lookup_run {
    struct etg_lookup_run *next;
    apr_pool_t *pool;           /* the job's */
    apr_time_t deadline;
} etg_lookup_run;

/* In `p`, which it has for itself. */
etg_lookup_groups *etg_lookup_groups_make(pthread_mutex_t *lock,
                                          unsigned threads, unsigned queue,
                                          apr_pool_t *p);

/* Locked. The source's group, made if it is new; NULL: it cannot be. */
etg_lookup_group *etg_lookup_group_of(etg_lookup_groups *groups,
                                      const etg_source *source);

/* Locked. Are as many looks overdue as the group has threads? */
int etg_lookup_group_hangs(const etg_lookup_group *group);

/* Any time. */
etg_workers *etg_lookup_group_threads(etg_lookup_group *group);

/* Not locked: one look, with a handle of the group, as part of `run`. */
etg_source_outcome etg_lookup_group_look(etg_lookup_group *group,
                                         etg_lookup_run *run,
                                         etg_source_look *look);

/* Locked. Handles that are open or lent. */
unsigned etg_lookup_groups_handles(const etg_lookup_groups *groups);

/* Not locked. Stops all threads; how many are left after `wait`. */
int etg_lookup_groups_stop(etg_lookup_groups *groups,
                           apr_interval_time_t wait);

/* After a stop that left none. */
void etg_lookup_groups_close(etg_lookup_groups *groups);

#endif
