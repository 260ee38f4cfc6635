/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_lookup.h: look-ups on threads of their own, for callers that wait
 * no longer than their budget.
 *
 * A caller asks by key: the route and the values of its params. It gets the
 * digest of what the sources said, or that it is unknown: after its budget at
 * the latest, whatever the sources do. A result that comes later is dropped.
 *
 * Two requests share a look-up only if it began after both had arrived, so
 * that no request is answered by data older than itself; or up to `share`
 * before, if the operator allows that. One that still waits for its turn is
 * anybody's.
 *
 * lib/workers does the work: its threads come with need, its queue is
 * bounded and drops the oldest. Each group of sources that share handles (a
 * database) has threads of its own, so one that hangs takes no other's; and
 * while all of them are overdue, requests are not made to wait for it. A
 * handle is lent to one thread at a time, the last one given back first, so
 * there are never more than threads.
 */
#ifndef ETG_FRESHNESS_LOOKUP_H
#define ETG_FRESHNESS_LOOKUP_H

#include <apr_pools.h>
#include <apr_time.h>

#include "freshness_source.h"

#define ETG_LOOKUP_REASON 320

typedef struct etg_lookups etg_lookups;

typedef struct etg_lookup_settings {
    unsigned threads;           /* per group of sources; 1 to 64 */
    unsigned queue;             /* per group: look-ups waiting for a thread */
    /* Called at most once a second, on a thread that has asked: so many
     * were unknown since the last call, the last one, for `route`, because of
     * `reason`. */
    void (*log)(void *baton, etg_bytes route, const char *reason,
                unsigned count);
    void *baton;
} etg_lookup_settings;

typedef struct etg_lookup_part {
    const etg_source *source;           /* stays as long as the look-ups */
    const apr_array_header_t *values;   /* const char * rows */
    const char *time_column;            /* NULL: updated_at */
} etg_lookup_part;

typedef struct etg_lookup_order {
    etg_bytes key;              /* equal keys: equal in all that follows, up
                                 * to `arrived` */
    etg_data_digest_kind digest;
    etg_bytes route;
    const etg_bytes *salts;
    unsigned salt_count;
    const etg_lookup_part *parts;       /* digested in this order */
    unsigned part_count;                /* at least 1 */
    int refuses_empty;          /* a part without a member: unknown */
    apr_time_t arrived;         /* the request, by etg_steady_now; 0: now */
    apr_interval_time_t budget;
    apr_interval_time_t share;
} etg_lookup_order;

typedef struct etg_lookup_answer {
    etg_source_outcome outcome;
    etg_data_digest digest;     /* of ETG_SOURCE_READ */
    apr_interval_time_t took;   /* waited */
    int is_shared;              /* another asked first */
    char reason[ETG_LOOKUP_REASON];     /* of ETG_SOURCE_UNKNOWN */
} etg_lookup_answer;

typedef struct etg_lookup_counts {
    apr_uint64_t asked;
    apr_uint64_t shared;
    apr_uint64_t unknown;
    apr_uint64_t late;          /* of those: no answer within the budget */
    apr_uint64_t spared;        /* of those: not tried, the source hangs */
    unsigned handles;           /* open or lent */
} etg_lookup_counts;

/* One per child, after it was forked. A cleanup on p is etg_lookups_stop with
 * a little over two seconds. */
apr_status_t etg_lookups_create(etg_lookups **lookups,
                                const etg_lookup_settings *settings,
                                apr_pool_t *p);

/* Fills *answer; from any thread. */
void etg_lookup_ask(etg_lookups *lookups, const etg_lookup_order *order,
                    etg_lookup_answer *answer);

/* Answers unknown from now on, and waits up to `wait` for the look-ups that
 * are being made; what does not end is left to the end of the process.
 * Returns how many threads that are. */
int etg_lookups_stop(etg_lookups *lookups, apr_interval_time_t wait);

void etg_lookups_counts(etg_lookups *lookups, etg_lookup_counts *counts);

#endif
