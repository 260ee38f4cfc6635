/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collapse_crew.h: real processes with threads around one collapse table,
 * for the tests of lib/collapse.h.
 *
 * The test opens a crew (table, score board, its own view of the table) and
 * spawns members: processes with a view of their own. Members write on the
 * board; the test polls it with a deadline. A member dies with the test.
 */
#ifndef ETG_TEST_COLLAPSE_CREW_H
#define ETG_TEST_COLLAPSE_CREW_H

#include <poll.h>
#include <sys/types.h>

#include <check.h>

#include "lib/collapse_table.h"

#define CREW_PATIENCE (20 * APR_USEC_PER_SEC)
#define CREW_ROLES 5

/* Polls until `condition` holds; the test fails after CREW_PATIENCE. */
#define crew_await(condition)                                            \
    do {                                                                 \
        apr_time_t give_up_ = etg_collapse_clock() + CREW_PATIENCE;      \
        while (!(condition)) {                                           \
            ck_assert_msg(etg_collapse_clock() < give_up_,               \
                          "never came true: %s", #condition);            \
            poll(NULL, 0, 1);                                            \
        }                                                                \
    } while (0)

/* Shared by all members; atomic, sequentially consistent. */
typedef struct crew_board {
    unsigned roles[CREW_ROLES];      /* how often join gave each role */
    unsigned ready;                  /* members that came to their point */
    unsigned stop;                   /* set by the test */
    apr_uint32_t slot;               /* the latest leader's ticket */
    apr_uint64_t number;
    apr_uint64_t shortest_alone;     /* microseconds in join; 0: none */
    unsigned beats[64];              /* signs of life, per worker */
    unsigned wrong;                  /* broken promises seen by members */
    apr_uint64_t owners[16];         /* who leads a key, 0: nobody */
} crew_board;

typedef struct crew {
    void *memory;
    apr_size_t size;
    crew_board *board;
    apr_pool_t *pool;
    etg_collapse *table;             /* the test's own view */
} crew;

/* What a process of joining threads does. */
typedef struct crew_job {
    etg_store_key key;
    unsigned threads;
    apr_interval_time_t wait;
    int gather;                      /* a leader finishes when so many
                                      * follow; -1: not before board->stop */
    etg_collapse_outcome outcome;
} crew_job;

typedef void crew_work(crew *c, etg_collapse *table, void *baton);

/* Memory begins 8 bytes off a cache line, as apr_shm's does. */
crew *crew_open(unsigned slots, unsigned remembered);
void crew_close(crew *c);

/* A key; equal `bucket`s share one. */
etg_store_key crew_key(apr_uint64_t name, apr_uint64_t bucket);

/* Runs `work` in a new process, which then exits with 0. */
pid_t crew_spawn(crew *c, crew_work *work, void *baton);

/* A process whose threads all join job->key; roles go to the board. */
pid_t crew_join(crew *c, const crew_job *job);

/* Waits until the process has exited with 0. */
void crew_reap(pid_t pid);

/* kill -9, and waits for its end. */
void crew_kill(pid_t pid);

unsigned crew_read(const unsigned *number);
unsigned crew_add(unsigned *number);
etg_collapse_ticket crew_ticket(crew *c);
void crew_show_ticket(crew *c, const etg_collapse_ticket *ticket);
apr_uint64_t crew_counter(crew *c, const char *name);

#endif
