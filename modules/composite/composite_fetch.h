/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_fetch.h: asking for several URLs at once, and waiting for them
 * with one deadline.
 *
 * A gathering belongs to its request and to its jobs: whoever lets go last
 * frees it, so that a job whose request has gone on still has all it uses.
 * What comes too late is dropped. Without threads (prefork) they are asked for
 * one after another, by whoever waits.
 */
#ifndef ETG_COMPOSITE_FETCH_H
#define ETG_COMPOSITE_FETCH_H

#include "etg_bytes.h"
#include "lib/workers.h"
#include "modules/glue/internal_request.h"

typedef enum etg_composite_outcome {
    ETG_COMPOSITE_UNASKED,
    ETG_COMPOSITE_PENDING,
    ETG_COMPOSITE_ANSWERED,     /* whole, with whatever status */
    ETG_COMPOSITE_LATE,
    ETG_COMPOSITE_BROKEN,       /* no answer, or one that was cut */
    ETG_COMPOSITE_TOO_LONG,     /* bodies together */
    ETG_COMPOSITE_DROPPED       /* no thread came to it */
} etg_composite_outcome;

typedef struct etg_composite_result {
    etg_composite_outcome outcome;
    int status;
    const apr_table_t *fields;
    etg_bytes body;             /* data NULL: no byte came */
} etg_composite_result;

typedef struct etg_composite_gathering etg_composite_gathering;

/* Does this result end the waiting for all others? Under a lock. */
typedef int etg_composite_is_fatal(void *baton, unsigned place,
                                   const etg_composite_result *result);

/* Memory that gatherings of a child may share (with a lock), so that it is not
 * asked of the kernel each time. Stays until the process ends: jobs may. */
apr_status_t etg_composite_memory_make(apr_allocator_t **memory);

/* For up to `count` answers with up to `room` bytes of bodies. A cleanup on p
 * lets go of it; results are there until then. */
apr_status_t etg_composite_gathering_make(etg_composite_gathering **gathering,
                                          unsigned count, apr_uint64_t room,
                                          apr_allocator_t *memory,
                                          apr_pool_t *p);

/* Its pool: what asks point to belongs there. To be filled by the request's
 * thread only, and only before the first ask is sent. */
apr_pool_t *etg_composite_gathering_pool(etg_composite_gathering *gathering);

/* Sends the ask (copied; take and owner are ours) for a place, which was not
 * asked for before. `until`: by the steady clock; ask->limit: how long it may
 * take in any case, 0: as long as that; ask->backend_limit: how long before its
 * end what may stand in for its backend is due, 0: by what it may take.
 * Workers NULL: it is asked for in the waiting, and its limit counts from then.
 */
void etg_composite_gathering_send(etg_composite_gathering *gathering,
                                  unsigned place, const etg_internal_ask *ask,
                                  apr_time_t until, etg_internal *internal,
                                  etg_workers *workers);

/* How much of `whole` is kept for what stands in for a late backend. */
apr_interval_time_t etg_composite_stand_in_time(apr_interval_time_t whole);

/* Has who waits for all this left? Asked now and then. */
typedef int etg_composite_is_gone(void *baton);

#define ETG_COMPOSITE_ALL_ENDED (-1)
#define ETG_COMPOSITE_GONE (-2)

/* Waits until all have ended, each at its own `until` at the latest, or one is
 * fatal, or nobody waits any more: then the rest is given up. Returns the fatal
 * one's place, or one of the above. */
int etg_composite_gathering_wait(etg_composite_gathering *gathering,
                                 etg_composite_is_fatal *is_fatal,
                                 etg_composite_is_gone *is_gone, void *baton);

/* After the waiting. */
const etg_composite_result *etg_composite_gathering_result(
    const etg_composite_gathering *gathering, unsigned place);

#endif
