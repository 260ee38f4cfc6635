/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_run.h: what the parts of internal_request share.
 *
 *     internal_request.c      asks: from the ask to the answer
 *     internal_connection.c   the conn_rec without a client
 *     internal_answer.c       reads the response that its filter gets
 *     internal_deadline.c     who runs, until when, and how it is cut
 *     internal_hooks.c        what else httpd wants to know of it
 *
 * Nobody else includes this. Two of our modules may both be linked with it:
 * their filters have the same names, those registered last serve both, and
 * each finds the other's requests to be internal.
 */
#ifndef ETG_GLUE_INTERNAL_RUN_H
#define ETG_GLUE_INTERNAL_RUN_H

#include <pthread.h>

#include <httpd.h>
#include <http_config.h>

#include "modules/glue/internal_request.h"

/* Of the child_stopping hook, and of the pool of each of our connections. */
#define ETG_INTERNAL_KEY "etag-internal"
#define ETG_INTERNAL_NOTE "etag-internal"
#define ETG_INTERNAL_IN "ETAG_INTERNAL_IN"
#define ETG_INTERNAL_OUT "ETAG_INTERNAL_OUT"

/* Allocators that are kept for connections to come. */
#define ETG_INTERNAL_SPARE 64

typedef void etg_internal_count(conn_rec *c, apr_off_t bytes);

/* One request, on its caller's stack. */
typedef struct etg_internal_run {
    const etg_internal_ask *ask;
    etg_internal *internal;
    apr_pool_t *p;                /* of the answer */
    etg_internal_answer answer;

    /* deadline: under internal->lock */
    struct etg_internal_run *next;
    struct etg_internal_run **link;
    apr_time_t deadline;          /* of the monotonic clock */
    apr_time_t backend_deadline;  /* likewise, at the latest the deadline */
    int fd;                       /* a backend's that is being read; or -1 */
    apr_status_t cut;             /* why; also read without the lock */
    apr_status_t due;             /* why it is cut when nobody waits for it; */
    apr_time_t due_until;         /* or then */
    etg_internal_is_awaited *is_awaited;
    void *awaited_baton;
    int has_stand_in;
    int is_backend_cut;           /* also read without the lock */
    int is_answered;              /* a head was handed on; atomic */

    /* answer */
    char *line;
    apr_size_t line_bytes;
    apr_size_t line_room;
    apr_size_t head_bytes;
    int has_status_line;          /* of this head */
    int is_head_over;
    int has_ended;                /* EOS */
    int is_broken;
    int has_left;                 /* ask->take wants no more */
} etg_internal_run;

struct etg_internal {
    apr_pool_t *pool;
    conn_rec *master;             /* of all our connections; read only */
    apr_socket_t *socket;         /* never connected */
    etg_internal_count *count_out;  /* mod_logio's, or NULL */
    unsigned next_id;             /* atomic */
    etg_internal *other;          /* another module's in this child */

    pthread_mutex_t lock;         /* guards the rest */
    pthread_cond_t change;
    etg_internal_run *runs;
    apr_allocator_t *spare[ETG_INTERNAL_SPARE];
    unsigned spare_count;
    apr_time_t wakes_at;          /* the watching thread */
    int is_stopping;
    int is_watched;
    pthread_t watcher;
};

/* internal_connection.c */

/* The dummies, in internal->pool. */
apr_status_t etg_internal_master_make(etg_internal *internal, server_rec *s);
/* A connection of its own pool, ready for a request. */
apr_status_t etg_internal_connection_make(etg_internal_run *run,
                                          conn_rec **connection);
void etg_internal_connection_end(etg_internal *internal, conn_rec *c);
/* Is it what Require local would let in, on this connection? */
int etg_internal_address_is_own(apr_sockaddr_t *address,
                                apr_sockaddr_t *local);
void etg_internal_connection_register(void);

/* internal_answer.c */

apr_status_t etg_internal_answer_read(etg_internal_run *run, const char *data,
                                      apr_size_t length);
/* After the last byte. */
void etg_internal_answer_end(etg_internal_run *run);

/* internal_deadline.c */

apr_status_t etg_internal_deadline_open(etg_internal *internal);
/* APR_EOF: stopping. */
apr_status_t etg_internal_run_begin(etg_internal_run *run);
void etg_internal_run_end(etg_internal_run *run);
/* APR_SUCCESS, or why it is cut. */
apr_status_t etg_internal_run_cut(const etg_internal_run *run);
/* After etg_internal_stop: waits for the watching thread. */
void etg_internal_deadline_close(etg_internal *internal);
void etg_internal_deadline_register(void);

/* internal_hooks.c */

void etg_internal_hooks_register(void);

/* The run behind a connection, or NULL: a client's. */
etg_internal_run *etg_internal_run_of(const conn_rec *c);

#endif
