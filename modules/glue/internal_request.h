/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_request.h: a request that no client made, through all of the
 * admin's configuration (proxy, FastCGI, rewriting, access control, logs).
 *
 * Model. A request runs to its end on the calling thread, on a secondary
 * conn_rec of its own whose master is a dummy connection that lives as long
 * as the child; nothing of it touches a socket but the backend's. Callers run
 * on threads of their own (lib/workers.h), never on httpd's workers, but where
 * there are no threads.
 *
 * Identity. It comes from the address of the client that caused it, or from
 * 192.0.2.1 (RFC 5737) if nobody did or that address is this machine's:
 * what is open to local requests is not open to it. The scheme is the ask's,
 * for ap_ssl_conn_is_ssl as well; it has no client certificate.
 *
 * Ends. At its limit a request is cut: at once where it reads an HTTP
 * backend's response or hands on a byte of its own; a backend that is being
 * connected to, or asked by FastCGI or another protocol without mod_proxy's
 * create_req hook, holds it up to connectiontimeout and ProxyTimeout; what
 * waits in a module is that module's business (etg_internal_time_left).
 *
 * Others. Of an ask with an owner nobody waits on its thread: he may leave
 * first (etg_internal_cancel). Where a module says that others wait for what it
 * fetches (etg_internal_awaited_by), neither he nor the limit cuts it, but for
 * 30 seconds more at most: a follower has long lost patience by then.
 *
 * Known limits: SSLRequireSSL and Require ssl look at mod_ssl's connection,
 * which there is none of, so they refuse it.
 *
 * Without threads (prefork, or ThreadsPerChild 1) mod_proxy keeps one
 * connection per worker without a lock. So there a request is asked on the one
 * thread that the process answers its client on, and on no other; and not while
 * that client's request holds a backend's connection: a handler that asks is
 * none of mod_proxy's.
 */
#ifndef ETG_GLUE_INTERNAL_REQUEST_H
#define ETG_GLUE_INTERNAL_REQUEST_H

#include <httpd.h>
#include <apr_network_io.h>

/* What all internal requests of a child share. */
typedef struct etg_internal etg_internal;

/* How deep internal requests may cause others. */
#define ETG_INTERNAL_DEPTH_MAX 3

/* The purpose of a part of a response that is made of several, where our
 * modules differ by it: who asks is a server, which gets what caches get. */
#define ETG_INTERNAL_PART "composite"

/* Takes body bytes as they come. A status other than APR_SUCCESS ends the
 * request as if its client had left. */
typedef apr_status_t etg_internal_take(void *baton, const char *data,
                                       apr_size_t length);

/* What to ask. Lives as long as the call; strings in whatever pool, fields
 * are copied. */
typedef struct etg_internal_ask {
    server_rec *server;           /* the virtual host that answers */
    int is_https;
    const char *method;           /* "GET" */
    const char *target;           /* path and query, as on a request line */
    const apr_table_t *fields;    /* Host among them */
    const char *client_ip;        /* who caused it, or NULL */
    apr_sockaddr_t *local;        /* where that one was received; NULL: the
                                   * server's own address */
    const char *purpose;          /* "refresh", "prefetch", ...: a token, the
                                   * note and log mark `etag-internal` */
    unsigned depth;               /* 0: a client's request caused it; the
                                   * causing internal request's depth + 1 */
    apr_interval_time_t limit;    /* from the call to the last byte */
    apr_interval_time_t backend_limit; /* to the first byte of a response, if
                                   * a module has one that stands in for it
                                   * (etg_internal_stand_in); 0: the limit */
    int *owner;                   /* 0 until etg_internal_cancel; outlives the
                                   * call; NULL: the caller waits */
    etg_internal_take *take;      /* NULL: the body is dropped */
    void *take_baton;
    void *baton;                  /* the caller's own: see
                                   * etg_internal_ask_of */
} etg_internal_ask;

typedef struct etg_internal_answer {
    int status;                   /* of the response; 0: there was none */
    apr_table_t *fields;          /* as a client would have got them */
    apr_uint64_t body_bytes;
    int is_whole;                 /* came to its end */
    int is_backend_cut;           /* a backend was, at its limit: this is what
                                   * stands in for it, or an error */
} etg_internal_answer;

/* register_hooks: marks for logs, the scheme, the way to a backend's socket.
 * Works without mod_proxy and mod_ssl. */
void etg_internal_register(apr_pool_t *p);

/* Has a child more than one thread of the MPM's, so that threads of ours may
 * ask? From post_config on. */
int etg_internal_is_possible(void);

/* child_init, with threads and without. A cleanup on pchild is
 * etg_internal_stop; it runs before that of workers that were created before
 * this: create them first, or they wait for requests that nobody cuts. */
apr_status_t etg_internal_create(etg_internal **internal, server_rec *s,
                                 apr_pool_t *pchild);

/* Asks, and waits for the answer, which is in `p`. APR_SUCCESS: answered, with
 * whatever status. APR_TIMEUP: cut at its limit; APR_ECONNABORTED: cancelled;
 * APR_EOF: stopping; APR_EINVAL: no request (a target or field with a control
 * byte; too deep). */
apr_status_t etg_internal_request(etg_internal *internal,
                                  const etg_internal_ask *ask, apr_pool_t *p,
                                  etg_internal_answer *answer);

/* Gets a request_rec that would have its handler now; gone afterwards. */
typedef void etg_internal_see(void *baton, request_rec *r);

/* Goes the way of such a request up to its handler and no further: whoever
 * wants to know what is held of a URL, so asks with the same virtual host,
 * rewriting, variables and access control. (A subrequest has its main one's
 * variables and address, and none that request fields set.) Nothing is sent or
 * logged; the limit is not kept: only hooks may block. APR_SUCCESS: seen;
 * APR_EACCES: a hook refuses it, or answers by itself; APR_EINVAL as above.
 * May run on a thread of httpd's. */
apr_status_t etg_internal_look(etg_internal *internal,
                               const etg_internal_ask *ask,
                               etg_internal_see *see, void *baton);

/* The ask behind a request_rec (those that internal redirects and subrequests
 * make of it as well), or NULL: a client's. */
const etg_internal_ask *etg_internal_ask_of(const request_rec *r);

/* Its owner has left: sets *owner, and cuts all that run for him but those
 * that others wait for. None begins any more. Never blocks. */
void etg_internal_cancel(etg_internal *internal, int *owner);
/* The same, but who leads a fetch of our cache now goes on to its own limit:
 * what it gets may be kept. */
void etg_internal_cancel_but_leaders(etg_internal *internal, int *owner);

/* What modules say that take part in a request; for a client's, nothing is
 * done. All of them work on requests of other modules of ours as well. */

/* Does anybody but the asker wait for this request? Called under a lock, on
 * another thread: must not block. */
typedef int etg_internal_is_awaited(void *baton);

/* Whom to ask whether others wait; NULL takes it back, after which it is not
 * called any more. */
void etg_internal_awaited_by(const request_rec *r,
                             etg_internal_is_awaited *is_awaited, void *baton);

/* The module has a response for the case that the backend fails. */
void etg_internal_stand_in(const request_rec *r);

/* How long a module may wait for something other than the backend: `otherwise`
 * or less. With a response that stands in, it comes in time after that. 0: it
 * is too late. A client's: `otherwise`. */
apr_interval_time_t etg_internal_time_left(const request_rec *r,
                                           int has_stand_in,
                                           apr_interval_time_t otherwise);

/* Has it been cut? */
int etg_internal_is_cut(const request_rec *r);

/* Cuts all that run and refuses others. Never blocks. */
void etg_internal_stop(etg_internal *internal);

#endif
