/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_deadline.c: who runs, until when, and how it is cut.
 *
 * Model. Running requests stand in a list under a lock; one thread per child,
 * started with the first of them, sleeps until the earliest deadline. To cut
 * a request is to say why in run->cut and to shut its backend's socket down.
 * The request's own thread does the rest: its next write fails, and so does
 * the read it was blocked in. A request that is due (late, or cancelled) and
 * that others wait for is looked after by the same thread until they have gone.
 *
 * A backend alone is cut at its own limit, if it has not answered and something
 * stands in for it: then only reads fail, and the request goes on.
 *
 * The socket. mod_proxy's create_req hook lets us put a filter before a
 * backend's response; while its reads are under way, and only then, the
 * socket stands in the run. Nobody closes it or gives it back to mod_proxy's
 * pool during that time, so what is shut down is never another request's.
 */
#include "modules/glue/internal_run.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include <apr_optional_hooks.h>
#include <apr_portable.h>
#include <http_core.h>
#include <mod_proxy.h>
#include <util_filter.h>

#include "lib/steady_clock.h"

#define BACKEND_FILTER "ETAG_INTERNAL_BACKEND"
#define NEVER APR_INT64_MAX
#define LOCK_WAIT apr_time_from_sec(1)
/* Those who wait for what is due: how often they are looked for, and for how
 * long it may go on for them. */
#define LOOK_EVERY apr_time_from_msec(100)
#define DUE_MAX apr_time_from_sec(30)

static int watch_backend(request_rec *r, request_rec *backend);
static apr_status_t read_backend(ap_filter_t *f, apr_bucket_brigade *bb,
                                 ap_input_mode_t mode, apr_read_type_e block,
                                 apr_off_t bytes);
static void set_fd(etg_internal_run *run, int fd);
static void start_watcher(etg_internal *internal);
static void *watch(void *data);
static apr_time_t cut_late(etg_internal *internal, apr_time_t now);
static apr_time_t look_after(etg_internal_run *run, apr_time_t now);
static void make_due(etg_internal_run *run, apr_status_t why, apr_time_t now);
static int goes_on(const etg_internal_run *run, apr_time_t now);
static void cancel(etg_internal *internal, int *owner, int are_leaders_left);
static void cut(etg_internal_run *run, apr_status_t why);
static void cut_backend(etg_internal_run *run);
static int may_read(const etg_internal_run *run);

void etg_internal_deadline_register(void)
{
    ap_register_input_filter(BACKEND_FILTER, read_backend, NULL,
                             AP_FTYPE_PROTOCOL);
    APR_OPTIONAL_HOOK(proxy, create_req, watch_backend, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

apr_status_t etg_internal_deadline_open(etg_internal *internal)
{
    apr_status_t rv = etg_steady_condition_init(&internal->change);

    if (rv == APR_SUCCESS) {
        rv = pthread_mutex_init(&internal->lock, NULL);
    }
    internal->wakes_at = NEVER;
    return rv;
}

apr_status_t etg_internal_run_begin(etg_internal_run *run)
{
    etg_internal *internal = run->internal;
    const etg_internal_ask *ask = run->ask;
    apr_time_t now = etg_steady_now();
    apr_status_t rv = APR_SUCCESS;

    run->deadline = now + ask->limit;
    run->backend_deadline = now
        + (ask->backend_limit > 0 && ask->backend_limit < ask->limit
           ? ask->backend_limit : ask->limit);
    pthread_mutex_lock(&internal->lock);
    if (internal->is_stopping) {
        rv = APR_EOF;
    }
    else if (ask->owner != NULL
             && __atomic_load_n(ask->owner, __ATOMIC_ACQUIRE)) {
        rv = APR_ECONNABORTED;
    }
    else {
        run->next = internal->runs;
        run->link = &internal->runs;
        if (run->next != NULL) {
            run->next->link = &run->next;
        }
        internal->runs = run;
        start_watcher(internal);
        if (run->backend_deadline < internal->wakes_at) {
            internal->wakes_at = run->backend_deadline;
            pthread_cond_signal(&internal->change);
        }
        if (!internal->is_watched) {
            rv = APR_ENOMEM;
        }
    }
    pthread_mutex_unlock(&internal->lock);
    if (rv == APR_ENOMEM) {
        etg_internal_run_end(run);
    }
    return rv;
}

void etg_internal_run_end(etg_internal_run *run)
{
    etg_internal *internal = run->internal;

    pthread_mutex_lock(&internal->lock);
    *run->link = run->next;
    if (run->next != NULL) {
        run->next->link = run->link;
    }
    pthread_mutex_unlock(&internal->lock);
}

apr_status_t etg_internal_run_cut(const etg_internal_run *run)
{
    return __atomic_load_n(&run->cut, __ATOMIC_ACQUIRE);
}

/* Also called by httpd's child in a signal handler, which may have come out
 * of our own lock: it does not wait for long. */
void etg_internal_stop(etg_internal *internal)
{
    if (!etg_lock_in_time(&internal->lock, LOCK_WAIT)) {
        return;
    }
    internal->is_stopping = 1;
    for (etg_internal_run *run = internal->runs; run; run = run->next) {
        cut(run, APR_EOF);
    }
    pthread_cond_signal(&internal->change);
    pthread_mutex_unlock(&internal->lock);
}

void etg_internal_cancel(etg_internal *internal, int *owner)
{
    cancel(internal, owner, 0);
}

void etg_internal_cancel_but_leaders(etg_internal *internal, int *owner)
{
    cancel(internal, owner, 1);
}

static void cancel(etg_internal *internal, int *owner, int are_leaders_left)
{
    apr_time_t now = etg_steady_now();
    int are_left = 0;

    pthread_mutex_lock(&internal->lock);
    __atomic_store_n(owner, 1, __ATOMIC_RELEASE);
    for (etg_internal_run *run = internal->runs; run; run = run->next) {
        if (run->ask->owner == owner
            && !(are_leaders_left && run->is_awaited != NULL)) {
            make_due(run, APR_ECONNABORTED, now);
            are_left |= look_after(run, now) != NEVER;
        }
    }
    if (are_left) {
        pthread_cond_signal(&internal->change);
    }
    pthread_mutex_unlock(&internal->lock);
}

void etg_internal_awaited_by(const request_rec *r,
                             etg_internal_is_awaited *is_awaited, void *baton)
{
    etg_internal_run *run = etg_internal_run_of(r->connection);

    if (run != NULL) {
        pthread_mutex_lock(&run->internal->lock);
        run->is_awaited = is_awaited;
        run->awaited_baton = baton;
        pthread_mutex_unlock(&run->internal->lock);
    }
}

void etg_internal_stand_in(const request_rec *r)
{
    etg_internal_run *run = etg_internal_run_of(r->connection);

    if (run != NULL) {
        pthread_mutex_lock(&run->internal->lock);
        run->has_stand_in = 1;
        look_after(run, etg_steady_now());
        pthread_mutex_unlock(&run->internal->lock);
    }
}

/* Both deadlines are never changed. */
apr_interval_time_t etg_internal_time_left(const request_rec *r,
                                           int has_stand_in,
                                           apr_interval_time_t otherwise)
{
    const etg_internal_run *run = etg_internal_run_of(r->connection);
    apr_interval_time_t left;

    if (run == NULL) {
        return otherwise;
    }
    left = (has_stand_in ? run->backend_deadline : run->deadline)
         - etg_steady_now();
    if (left <= 0 || etg_internal_run_cut(run) != APR_SUCCESS) {
        return 0;
    }
    return left < otherwise ? left : otherwise;
}

int etg_internal_is_cut(const request_rec *r)
{
    const etg_internal_run *run = etg_internal_run_of(r->connection);

    return run != NULL && etg_internal_run_cut(run) != APR_SUCCESS;
}

void etg_internal_deadline_close(etg_internal *internal)
{
    int is_watched;

    if (etg_lock_in_time(&internal->lock, LOCK_WAIT)) {
        is_watched = internal->is_watched && internal->is_stopping;
        pthread_mutex_unlock(&internal->lock);
        if (is_watched) {
            pthread_join(internal->watcher, NULL);
        }
    }
}

/* Under the lock. Without the thread there is no limit, so no request. */
static void start_watcher(etg_internal *internal)
{
    sigset_t all, before;

    if (internal->is_watched) {
        return;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    internal->is_watched = pthread_create(&internal->watcher, NULL, watch,
                                          internal) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *watch(void *data)
{
    etg_internal *internal = data;

    pthread_mutex_lock(&internal->lock);
    while (!internal->is_stopping) {
        apr_time_t until = cut_late(internal, etg_steady_now());
        struct timespec at = etg_steady_moment(until);

        internal->wakes_at = until;
        if (until == NEVER) {
            pthread_cond_wait(&internal->change, &internal->lock);
        }
        else {
            pthread_cond_timedwait(&internal->change, &internal->lock, &at);
        }
    }
    pthread_mutex_unlock(&internal->lock);
    return NULL;
}

/* Returns when to look again. Under the lock. */
static apr_time_t cut_late(etg_internal *internal, apr_time_t now)
{
    apr_time_t next = NEVER;

    for (etg_internal_run *run = internal->runs; run; run = run->next) {
        apr_time_t look = look_after(run, now);

        if (look < next) {
            next = look;
        }
    }
    return next;
}

/* Under the lock. Returns when to do so again. */
static apr_time_t look_after(etg_internal_run *run, apr_time_t now)
{
    if (run->cut != APR_SUCCESS) {
        return NEVER;
    }
    if (run->deadline <= now) {
        make_due(run, APR_TIMEUP, now);
    }
    if (run->due != APR_SUCCESS) {
        if (goes_on(run, now)) {
            return now + LOOK_EVERY;
        }
        cut(run, run->due);
        return NEVER;
    }
    if (run->backend_deadline > now) {
        return run->backend_deadline;
    }
    if (run->has_stand_in) {
        cut_backend(run);
    }
    return run->deadline;
}

/* Under the lock. */
static void make_due(etg_internal_run *run, apr_status_t why, apr_time_t now)
{
    if (run->due == APR_SUCCESS) {
        run->due = why;
        run->due_until = now + DUE_MAX;
    }
}

/* Under the lock. */
static int goes_on(const etg_internal_run *run, apr_time_t now)
{
    return run->ask->owner != NULL && run->is_awaited != NULL
        && now < run->due_until && run->is_awaited(run->awaited_baton);
}

/* Under the lock. */
static void cut(etg_internal_run *run, apr_status_t why)
{
    if (run->cut == APR_SUCCESS) {
        __atomic_store_n(&run->cut, why, __ATOMIC_RELEASE);
        if (run->fd >= 0) {
            shutdown(run->fd, SHUT_RDWR);
        }
    }
}

/* Under the lock. What has begun to come is worth its while to the end. */
static void cut_backend(etg_internal_run *run)
{
    if (!run->is_backend_cut
        && !__atomic_load_n(&run->is_answered, __ATOMIC_RELAXED)) {
        __atomic_store_n(&run->is_backend_cut, 1, __ATOMIC_RELEASE);
        if (run->fd >= 0) {
            shutdown(run->fd, SHUT_RDWR);
        }
    }
}

static int may_read(const etg_internal_run *run)
{
    return etg_internal_run_cut(run) == APR_SUCCESS
        && !__atomic_load_n(&run->is_backend_cut, __ATOMIC_ACQUIRE);
}

static int watch_backend(request_rec *r, request_rec *backend)
{
    etg_internal_run *run = etg_internal_run_of(r->connection);

    if (run != NULL) {
        ap_add_input_filter(BACKEND_FILTER, run, backend,
                            backend->connection);
    }
    return OK;
}

static apr_status_t read_backend(ap_filter_t *f, apr_bucket_brigade *bb,
                                 ap_input_mode_t mode, apr_read_type_e block,
                                 apr_off_t bytes)
{
    etg_internal_run *run = f->ctx;
    apr_socket_t *socket = ap_get_conn_socket(f->c);
    apr_os_sock_t fd = -1;
    apr_status_t rv;

    if (socket != NULL) {
        apr_os_sock_get(&fd, socket);
    }
    set_fd(run, fd);
    rv = may_read(run) ? ap_get_brigade(f->next, bb, mode, block, bytes)
                       : APR_EOF;
    set_fd(run, -1);
    if (!may_read(run)) {
        apr_brigade_cleanup(bb);
        rv = APR_ECONNABORTED;       /* an end would pass for a whole body's */
    }
    return rv;
}

static void set_fd(etg_internal_run *run, int fd)
{
    pthread_mutex_lock(&run->internal->lock);
    run->fd = fd;
    pthread_mutex_unlock(&run->internal->lock);
}
