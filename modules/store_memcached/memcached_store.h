/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_store.h: what the parts of the memcached store share. Private to
 * modules/store_memcached and its tests; free of httpd.h.
 *
 * Where things are. libmemcached's ketama names one server, a node, per
 * primary key and per entity id:
 *
 *   primary key's node   the primary item, its response items
 *   every node           the clock item and the items of all tags: a mark is
 *                        written to all, a look-up asks the node of its key
 *   entity id's node     the body, or its manifest and chunks
 *   lease key's node     the lease: what is fetched by one is a variant of a
 *                        primary key, and has a key of its own
 *
 * Who talks to servers. A request's thread borrows a connection for a call
 * (look-up, body read, lease), which ends at a deadline whatever the server
 * does. All that is written goes through the writer, one thread per child,
 * in the order it was handed in. The writer also renews leases, resolves
 * host names and probes nodes whose breaker is open.
 *
 * The connections are our own, not libmemcached's: its parser of replies
 * writes past its buffers and reads through NULL if a server sends nonsense,
 * and its time limits start anew with every byte. Here the limit is on the
 * call, and a reply is read by memcached_reply.c.
 *
 * After anything but a clean answer the connection is closed: a late reply
 * is never read as another's. Nothing here crosses a fork.
 */
#ifndef ETG_MEMCACHED_STORE_H
#define ETG_MEMCACHED_STORE_H

#include <libmemcached/memcached.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "etg_store.h"
#include "lib/memcached_link.h"
#include "memcached_item.h"
#include "memcached_uri.h"

typedef struct etg_memcached_node etg_memcached_node;
typedef struct etg_memcached_writer etg_memcached_writer;
typedef struct etg_memcached_job etg_memcached_job;
typedef struct etg_memcached_hints etg_memcached_hints;
typedef struct etg_memcached_leases etg_memcached_leases;
typedef struct etg_memcached_owed etg_memcached_owed;

/* What this child counts. memcached_counters.c has their names. */
typedef enum etg_memcached_count {
    ETG_MEMCACHED_LOOKUPS,
    ETG_MEMCACHED_BODY_READS,
    ETG_MEMCACHED_PARKED_BODIES,   /* of those: came with the look-up */
    ETG_MEMCACHED_WRITES,
    ETG_MEMCACHED_FAILED_CALLS,    /* no clean answer in time */
    ETG_MEMCACHED_SPARED_CALLS,    /* not tried: the breaker was open */
    ETG_MEMCACHED_POOL_WAITS,      /* all connections were in use */
    ETG_MEMCACHED_CONNECTS,
    ETG_MEMCACHED_DAMAGED_ITEMS,   /* did not unpack, or another's */
    ETG_MEMCACHED_TORN_BODIES,     /* a chunk was missing or wrong */
    ETG_MEMCACHED_DROPPED_WRITES,  /* queue full, node down, or refused */
    ETG_MEMCACHED_REFUSED_ITEMS,   /* the server had no room for them */
    ETG_MEMCACHED_CONFLICTS,       /* compare and swap had to try again */
    ETG_MEMCACHED_MARKS,
    ETG_MEMCACHED_MADE_CLOCKS,     /* a server had lost its clock */
    ETG_MEMCACHED_LEASES_TAKEN,
    ETG_MEMCACHED_LEASES_LOST,     /* gone before they were released */
    ETG_MEMCACHED_BREAKERS_OPENED,
    ETG_MEMCACHED_BREAKERS_CLOSED,
    ETG_MEMCACHED_PROBES,
    ETG_MEMCACHED_COUNTS
} etg_memcached_count;

struct etg_store {
    /* configure: read-only afterwards */
    const char *uri;
    const etg_store_env *host;
    etg_memcached_uri at;
    etg_store *next;               /* the other stores of this configuration */

    /* open: this child's */
    _Atomic int is_open;
    etg_memcached_hints *hints;
    memcached_st *ring;            /* names nodes; never connects */
    etg_memcached_node *nodes;     /* at.server_count */
    etg_memcached_writer *writer;
    etg_memcached_leases *leases;
    etg_memcached_owed *owed;      /* per node; the writer's thread's */
    _Atomic uint64_t counts[ETG_MEMCACHED_COUNTS];
};

void etg_memcached_count_add(etg_store *store, etg_memcached_count what,
                             uint64_t n);
/* Open in this process. */
int etg_memcached_is_up(const etg_store *store);

/* ---- memcached_node.c: a server as this child sees it: address, breaker,
 * connections ---- */

apr_status_t etg_memcached_nodes_open(etg_store *store);
void etg_memcached_nodes_close(etg_store *store);
/* Is no connection borrowed? */
int etg_memcached_nodes_are_idle(etg_store *store);
/* The node of a primary key or an entity id. */
etg_memcached_node *etg_memcached_node_of(etg_store *store, const void *id,
                                          apr_size_t length);
etg_memcached_node *etg_memcached_node_at(etg_store *store, unsigned index);
unsigned etg_memcached_node_index(const etg_memcached_node *node);

/* Does a call to this node have a chance? */
int etg_memcached_node_is_up(etg_memcached_node *node);

/* Writer thread: asks the name service for the nodes that have names. */
void etg_memcached_nodes_resolve(etg_store *store);
/* Writer thread: probes the nodes that are due. Returns µs until the next is
 * due, or `most` if that is later or none is down. */
apr_interval_time_t etg_memcached_nodes_probe(etg_store *store,
                                              apr_interval_time_t most);
/* For counters. */
unsigned etg_memcached_node_connections(etg_memcached_node *node);

/* ---- memcached_call.c: a borrowed connection with a deadline ----
 *
 *     etg_memcached_call call;
 *     rv = etg_memcached_call_begin(store, node, &call);
 *     if (rv != APR_SUCCESS) return rv;
 *     rv = etg_memcached_get(&call, ...);
 *     ...
 *     etg_memcached_call_end(&call);
 *
 * One thread, one call at a time; the connection is nobody else's between
 * begin and end. After a failure the rest of the call fails with the same
 * status at once, so it is enough to look at the end.
 */
typedef struct etg_memcached_call {
    etg_store *store;
    etg_memcached_node *node;
    etg_memcached_link *link;      /* NULL only after a failure */
    apr_time_t deadline;           /* by etg_memcached_now */
    apr_status_t failure;          /* the first one */
    int is_probe;
    int is_untried;                /* the connection may have been closed */
} etg_memcached_call;

/* Borrows a connection, or makes one; all of the call together may take the
 * store's timeout (with a new connection: the greater of both timeouts).
 * ETG_STORE_OPEN_BREAKER: not tried. Only after APR_SUCCESS is an end owed. */
apr_status_t etg_memcached_call_begin(etg_store *store,
                                      etg_memcached_node *node,
                                      etg_memcached_call *call);
/* One more timeout from now, for calls that move much: only after a clean
 * answer. */
void etg_memcached_call_renew(etg_memcached_call *call);
/* Before something is written: makes sure that the connection was not closed
 * while it idled, or makes another. A failure shows in call->failure. */
void etg_memcached_call_prove(etg_memcached_call *call);
/* After a question failed: true if that was because the connection had been
 * closed while it idled, and there is another: ask again. */
int etg_memcached_call_again(etg_memcached_call *call, apr_status_t failure);
/* Gives the connection back, or closes it after a failure; tells the breaker
 * how it went. */
void etg_memcached_call_end(etg_memcached_call *call);

/* ---- memcached_client.c: one request and its answer each ---- */

#define ETG_MEMCACHED_GET_MAX 80   /* keys at a time */

typedef struct etg_memcached_value {
    etg_bytes bytes;               /* in the pool, 8-byte aligned; data NULL:
                                    * not there */
    apr_uint64_t cas;
} etg_memcached_value;

/* Reads `count` keys in one round trip. A value of more than `most` bytes
 * shows as not there. Memory is only taken up to `most` bytes per key. */
apr_status_t etg_memcached_get(etg_memcached_call *call,
                               const etg_memcached_key *const *keys,
                               unsigned count, apr_size_t most,
                               apr_pool_t *p, etg_memcached_value *values);

typedef enum etg_memcached_verb {
    ETG_MEMCACHED_SET,
    ETG_MEMCACHED_ADD,             /* only if there is none */
    ETG_MEMCACHED_CAS              /* only if it is still the one read */
} etg_memcached_verb;

typedef enum etg_memcached_outcome {
    ETG_MEMCACHED_DONE,
    ETG_MEMCACHED_NOT_DONE,        /* add: there is one; cas: another, or
                                    * none; delete: none */
    ETG_MEMCACHED_REFUSED          /* no room, or too large for the server */
} etg_memcached_outcome;

/* Expired when it is written: with cas, deletes just what was read. */
#define ETG_MEMCACHED_AT_ONCE (-1)

/* One thing to write. */
typedef struct etg_memcached_put_order {
    etg_memcached_verb verb;
    const etg_memcached_key *key;
    etg_bytes item;
    apr_int64_t exptime;           /* as etg_memcached_exptime makes it; 0:
                                    * for ever */
    apr_uint64_t cas;              /* for ETG_MEMCACHED_CAS: as it was read */
    etg_memcached_outcome outcome; /* set on APR_SUCCESS */
} etg_memcached_put_order;

/* Writes all, sixteen in a round trip, in this order. */
apr_status_t etg_memcached_put_all(etg_memcached_call *call,
                                   etg_memcached_put_order *orders,
                                   unsigned count);
/* Writes one. */
apr_status_t etg_memcached_put(etg_memcached_call *call,
                               etg_memcached_verb verb,
                               const etg_memcached_key *key, etg_bytes item,
                               apr_int64_t exptime, apr_uint64_t cas,
                               etg_memcached_outcome *outcome);
apr_status_t etg_memcached_delete(etg_memcached_call *call,
                                  const etg_memcached_key *key,
                                  etg_memcached_outcome *outcome);

/* Gives what is there another lifetime. NOT_DONE: there is none. */
apr_status_t etg_memcached_touch(etg_memcached_call *call,
                                 const etg_memcached_key *key,
                                 apr_int64_t exptime,
                                 etg_memcached_outcome *outcome);

/* ---- memcached_writer.c: the one thread that writes ---- */

struct etg_memcached_job {
    etg_memcached_job *next;
    /* On the writer's thread; may make calls. */
    apr_status_t (*run)(etg_store *store, etg_memcached_job *job);
    /* Frees what the job holds; `result`: of run, or why it never ran. Once,
     * on the writer's thread or (queue full) on the caller's. */
    void (*finish)(etg_store *store, etg_memcached_job *job,
                   apr_status_t result);
    apr_size_t bytes;              /* counted against the queue's limit */
    int is_urgent;                 /* goes before what is queued */
    int is_fill;                   /* of a response: not tried on a node that
                                    * fell silent after it was queued */
    /* writer's */
    pthread_cond_t done;
    apr_time_t queued_at;
    int has_waiter;
    int is_done;
    apr_status_t result;
};

apr_status_t etg_memcached_writer_start(etg_store *store);
/* Runs what is queued for at most about a second, drops the rest, joins; what
 * is handed over from then on is dropped. False: the thread hangs (in the
 * resolver); leave everything as it is. */
int etg_memcached_writer_stop(etg_store *store);
/* After stop, when no thread is in a call any more. */
void etg_memcached_writer_free(etg_store *store);
/* Hands a job (malloced; the writer frees it) over. Full queue: runs its
 * finish and returns APR_EAGAIN. Waits up to `wait` for the end: its result,
 * or APR_TIMEUP if it is still to come. */
apr_status_t etg_memcached_writer_run(etg_store *store,
                                      etg_memcached_job *job,
                                      apr_interval_time_t wait);
int etg_memcached_writer_is_me(etg_store *store);
/* Writer thread: was the job that runs now, a fill, queued before `at`? */
int etg_memcached_writer_is_behind(etg_store *store, apr_time_t at);
void etg_memcached_writer_wake(etg_store *store);
void etg_memcached_writer_load(etg_store *store, apr_uint64_t *jobs,
                               apr_uint64_t *bytes);

/* ---- memcached_clock.c: clock and marks of one node ----
 *
 * A reading is a time in µs and, in its lowest bits, a number that the clock
 * has drawn when it was made: a host behind others may make a clock that is
 * behind the one that was lost, and moments of that are told by the number.
 */

#define ETG_MEMCACHED_CLOCK_BITS 11

/* A clock as of now, by which all that there is must be validated. */
void etg_memcached_clock_make(etg_memcached_clock *clock);
/* The next reading of the same clock. */
apr_uint64_t etg_memcached_clock_next(apr_uint64_t reading);
/* Is the moment one of the clock that reads so now? */
int etg_memcached_moment_counts(apr_uint64_t moment, apr_uint64_t reading);

/* The clock out of what was read under its key; a node that has none is
 * given one, by which all it holds must be validated. */
apr_status_t etg_memcached_clock_read(etg_memcached_call *call,
                                      const etg_memcached_value *value,
                                      apr_pool_t *p,
                                      etg_memcached_clock *clock);
/* As a new tag's: what carried it before must be validated. */
etg_memcached_marks etg_memcached_marks_new(apr_uint64_t reading);
/* Raises found's mark to the strongest made after `moment`. */
void etg_memcached_marks_compare(const etg_memcached_marks *marks,
                                 apr_uint64_t moment,
                                 etg_store_found *found);
/* Reads the marks of `count` packed tags; marks[i].soft 0: not there. cas
 * (NULL: not wanted) is 0 then, too, unless something damaged is there. */
apr_status_t etg_memcached_tags_read(etg_memcached_call *call,
                                     etg_bytes tags, apr_pool_t *p,
                                     etg_memcached_marks *marks,
                                     apr_uint64_t *cas);
/* The marks of one tag's item; all zero if it is not there or damaged. */
void etg_memcached_tag_unpack(etg_store *store,
                              const etg_memcached_value *value,
                              const etg_memcached_key *key,
                              etg_memcached_marks *marks);

/* ---- memcached_mark.c: purges; and those that a node has still to be told
 * of, because it was not reached ---- */

apr_status_t etg_memcached_owed_open(etg_store *store);
void etg_memcached_owed_close(etg_store *store);
/* Writer thread: tells the node all it is owed, before it is called healed. */
apr_status_t etg_memcached_owed_tell(etg_memcached_call *call, apr_pool_t *p);
/* Writer thread: tells nodes that are up; µs until it is to be tried again,
 * at most `most`. */
apr_interval_time_t etg_memcached_owed_tell_all(etg_store *store,
                                                apr_interval_time_t most);

/* ---- memcached_lease.c ---- */

apr_status_t etg_memcached_leases_open(etg_store *store);
void etg_memcached_leases_close(etg_store *store);
/* Writer thread: renews what is due; µs until the next, at most `most`. */
apr_interval_time_t etg_memcached_leases_renew(etg_store *store,
                                               apr_interval_time_t most);

/* ---- memcached_lookup.c, memcached_write.c, memcached_mark.c,
 * memcached_lease.c, memcached_counters.c: the provider's calls, as
 * etg_store.h says; memcached_entity.h has those of bodies ---- */

apr_status_t etg_memcached_meta_lookup(etg_store *store,
                                       const etg_store_key *key,
                                       etg_store_choose *choose, void *baton,
                                       etg_store_depth depth, apr_pool_t *p,
                                       etg_store_found *found);
apr_status_t etg_memcached_meta_write(etg_store *store,
                                      etg_store_write *write,
                                      apr_interval_time_t wait);
apr_status_t etg_memcached_mark(etg_store *store, const etg_store_tag *tags,
                                unsigned count, etg_store_mark mark,
                                apr_interval_time_t wait, unsigned *moved);
apr_status_t etg_memcached_lease_take(etg_store *store,
                                      const etg_store_key *key,
                                      etg_store_lease *lease,
                                      etg_store_lease_state *state);
void etg_memcached_lease_release(etg_store *store, etg_store_lease *lease,
                                 int is_uncacheable);
apr_status_t etg_memcached_counters(etg_store *store, apr_pool_t *p,
                                    apr_array_header_t **rows);

extern const etg_store_provider etg_memcached_provider;

#endif
