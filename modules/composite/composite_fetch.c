/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_fetch.c: parts in parallel, each on a thread of its own, or
 * without threads one after another.
 *
 * Model. The request's thread fills the gathering's pool and sends the asks;
 * from then on jobs only read there. Each job has its answer in a root pool
 * of its own, which it hands over under the lock, or destroys if nobody waits
 * for it any more. The job's own pool ends with the job, done or dropped, and
 * its cleanup lets go of the gathering.
 *
 * Whoever gives up cancels what still runs. That goes on only for others who
 * wait for it in our cache, and its thread with it. Where a part's failure ends
 * it all, though, those that lead a fetch of our cache come to their ends: a
 * client asks again, and finds what could be kept. Cut each time, a slow one
 * would be asked for ever, and never be there.
 */
#include "modules/composite/composite_fetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <apr_thread_mutex.h>

#include "lib/steady_clock.h"

#define FIRST_ROOM 4096
#define KEPT_BYTES (1024 * 1024)
/* At most, for a stale response in place of a part that is late. */
#define STAND_IN_TIME apr_time_from_msec(100)
/* How often it is asked whether anybody waits. */
#define LOOK_EVERY apr_time_from_msec(50)

typedef struct slot {
    etg_composite_gathering *gathering;
    etg_internal *internal;
    etg_internal_ask ask;
    apr_time_t until;
    etg_composite_result result;  /* its outcome: under the lock, but for
                                   * taking; the rest once it is there */
    apr_pool_t *pool;             /* of the answer, NULL: there is none */
    int is_judged;                /* the waiting thread's */
    int is_in_turn;               /* asked for by the waiting thread */
} slot;

struct etg_composite_gathering {
    apr_pool_t *pool;
    pthread_mutex_t lock;         /* guards all below */
    pthread_cond_t change;
    unsigned holders;             /* the request, and jobs */
    int is_given_up;              /* owner of the asks; atomic */
    int are_leaders_left;         /* to come to their ends; atomic */
    etg_internal *internal;       /* NULL: nothing was sent */
    apr_int64_t room;             /* atomic: bytes that bodies may still have */
    unsigned count;
    slot *slots;
    apr_allocator_t *memory;
};

/* A body as it comes, malloc'ed: it grows. */
typedef struct reception {
    slot *slot;
    unsigned char *data;
    apr_size_t length;
    apr_size_t room;
    int is_too_long;
} reception;

static apr_status_t make_pool(apr_pool_t **pool, apr_allocator_t *memory,
                              const char *tag);
static apr_status_t give_up(void *data);
static void cancel(etg_composite_gathering *g);
static int are_leaders_left(const etg_composite_gathering *g);
static void let_go(etg_composite_gathering *g);
static void run(void *baton, apr_pool_t *pool);
static apr_status_t end_job(void *data);
static void drop_pending(slot *s);
static int ask_in_turn(etg_composite_gathering *g,
                       etg_composite_is_fatal *is_fatal,
                       etg_composite_is_gone *is_gone, void *baton);
static void set_until(slot *s);
static etg_composite_outcome ask(slot *s, reception *body, apr_pool_t *p,
                                 etg_internal_answer *answer);
static apr_status_t take(void *baton, const char *data, apr_size_t length);
static int grow(reception *body, apr_size_t length);
static apr_status_t free_body(void *data);
static void give_back(reception *body);
static void hand_over(slot *s, const etg_composite_result *result,
                      apr_pool_t *pool);
static int is_awaited(const slot *s);
static int has_ended(etg_composite_gathering *g,
                     etg_composite_is_fatal *is_fatal, void *baton,
                     int *ended);
static int judge(etg_composite_gathering *g, etg_composite_is_fatal *is_fatal,
                 void *baton);
static int end_late_ones(etg_composite_gathering *g, apr_time_t *next);
static void set_outcome(slot *s, etg_composite_outcome outcome);

apr_status_t etg_composite_memory_make(apr_allocator_t **memory)
{
    apr_thread_mutex_t *lock;
    apr_pool_t *pool;
    apr_status_t rv = apr_allocator_create(memory);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = apr_pool_create_unmanaged_ex(&pool, NULL, *memory);
    if (rv == APR_SUCCESS) {
        rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pool);
    }
    if (rv == APR_SUCCESS) {
        apr_allocator_max_free_set(*memory, KEPT_BYTES);
        apr_allocator_mutex_set(*memory, lock);
    }
    return rv;
}

/* Nobody's child: any thread may fill and destroy it. */
static apr_status_t make_pool(apr_pool_t **pool, apr_allocator_t *memory,
                              const char *tag)
{
    apr_status_t rv = apr_pool_create_unmanaged_ex(pool, NULL, memory);

    if (rv == APR_SUCCESS) {
        apr_pool_tag(*pool, tag);
    }
    return rv;
}

apr_status_t etg_composite_gathering_make(etg_composite_gathering **gathering,
                                          unsigned count, apr_uint64_t room,
                                          apr_allocator_t *memory,
                                          apr_pool_t *p)
{
    etg_composite_gathering *g;
    apr_pool_t *pool;
    apr_status_t rv = make_pool(&pool, memory, "etag-composite");

    if (rv != APR_SUCCESS) {
        return rv;
    }
    g = apr_pcalloc(pool, sizeof(*g));
    g->pool = pool;
    g->memory = memory;
    g->count = count;
    g->room = (apr_int64_t)room;
    g->holders = 1;
    g->slots = apr_pcalloc(pool, count * sizeof(*g->slots));
    rv = etg_steady_condition_init(&g->change);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    pthread_mutex_init(&g->lock, NULL);
    for (unsigned i = 0; i < count; i++) {
        g->slots[i].gathering = g;
    }
    apr_pool_cleanup_register(p, g, give_up, apr_pool_cleanup_null);
    *gathering = g;
    return APR_SUCCESS;
}

apr_pool_t *etg_composite_gathering_pool(etg_composite_gathering *gathering)
{
    return gathering->pool;
}

void etg_composite_gathering_send(etg_composite_gathering *gathering,
                                  unsigned place, const etg_internal_ask *asked,
                                  apr_time_t until, etg_internal *internal,
                                  etg_workers *workers)
{
    slot *s = &gathering->slots[place];
    apr_pool_t *pool;

    s->ask = *asked;
    s->until = until;
    s->internal = internal;
    gathering->internal = internal;
    s->is_in_turn = workers == NULL;
    if (s->is_in_turn) {
        set_outcome(s, ETG_COMPOSITE_PENDING);
        return;
    }
    s->ask.owner = &gathering->is_given_up;
    set_until(s);
    if (make_pool(&pool, gathering->memory, "etag-composite-job")
        != APR_SUCCESS) {
        s->result.outcome = ETG_COMPOSITE_DROPPED;
        return;
    }
    pthread_mutex_lock(&gathering->lock);
    gathering->holders++;
    set_outcome(s, ETG_COMPOSITE_PENDING);
    pthread_mutex_unlock(&gathering->lock);
    apr_pool_cleanup_register(pool, s, end_job, apr_pool_cleanup_null);
    /* Refused, it is dropped with its pool, and end_job says so. */
    etg_workers_submit(workers, pool, run, s);
}

int etg_composite_gathering_wait(etg_composite_gathering *gathering,
                                 etg_composite_is_fatal *is_fatal,
                                 etg_composite_is_gone *is_gone, void *baton)
{
    etg_composite_gathering *g = gathering;
    int has_left_some = 0;
    int ended = ask_in_turn(g, is_fatal, is_gone, baton);

    pthread_mutex_lock(&g->lock);
    while (ended == ETG_COMPOSITE_ALL_ENDED
           && !has_ended(g, is_fatal, baton, &ended)) {
        pthread_mutex_unlock(&g->lock);
        if (is_gone(baton)) {
            ended = ETG_COMPOSITE_GONE;
            pthread_mutex_lock(&g->lock);
            break;
        }
        pthread_mutex_lock(&g->lock);
    }
    for (unsigned i = 0; i < g->count; i++) {
        if (g->slots[i].result.outcome == ETG_COMPOSITE_PENDING) {
            set_outcome(&g->slots[i], ETG_COMPOSITE_LATE);
            has_left_some = 1;
        }
    }
    pthread_mutex_unlock(&g->lock);
    if (ended >= 0) {
        __atomic_store_n(&g->are_leaders_left, 1, __ATOMIC_RELEASE);
    }
    if (has_left_some) {
        cancel(g);
    }
    return ended;
}

/* Returns what the waiting does; all have ended where there are none to be
 * asked for in turn. */
static int ask_in_turn(etg_composite_gathering *g,
                       etg_composite_is_fatal *is_fatal,
                       etg_composite_is_gone *is_gone, void *baton)
{
    int ended = ETG_COMPOSITE_ALL_ENDED;

    for (unsigned i = 0; i < g->count && ended == ETG_COMPOSITE_ALL_ENDED;
         i++) {
        slot *s = &g->slots[i];

        if (!s->is_in_turn) {
            continue;
        }
        if (is_gone(baton)) {
            return ETG_COMPOSITE_GONE;
        }
        set_until(s);
        run(s, NULL);
        drop_pending(s);
        pthread_mutex_lock(&g->lock);
        ended = judge(g, is_fatal, baton);
        pthread_mutex_unlock(&g->lock);
    }
    return ended;
}

/* From now on it has the time that it may take. */
static void set_until(slot *s)
{
    apr_time_t own = etg_steady_now() + s->ask.limit;

    if (s->ask.limit > 0 && own < s->until) {
        s->until = own;
    }
}

/* Under the lock: waits until all or a fatal one have ended, but not for
 * long. 0: not yet. */
static int has_ended(etg_composite_gathering *g,
                     etg_composite_is_fatal *is_fatal, void *baton, int *ended)
{
    apr_time_t look = etg_steady_now() + LOOK_EVERY;
    int has_time = 1;

    for (;;) {
        apr_time_t next = look;
        int waiting = end_late_ones(g, &next);
        struct timespec moment = etg_steady_moment(next < look ? next : look);

        *ended = judge(g, is_fatal, baton);
        if (*ended >= 0 || !waiting) {
            return 1;
        }
        if (!has_time) {
            return 0;
        }
        pthread_cond_timedwait(&g->change, &g->lock, &moment);
        has_time = etg_steady_now() < look;
    }
}

const etg_composite_result *etg_composite_gathering_result(
    const etg_composite_gathering *gathering, unsigned place)
{
    return &gathering->slots[place].result;
}

/* Under the lock: gives up what is late. Returns how many are waited for;
 * *next: when the first of them is late. */
static int end_late_ones(etg_composite_gathering *g, apr_time_t *next)
{
    apr_time_t now = etg_steady_now();
    int waiting = 0;

    for (unsigned i = 0; i < g->count; i++) {
        slot *s = &g->slots[i];

        if (s->result.outcome != ETG_COMPOSITE_PENDING) {
            continue;
        }
        if (s->until <= now) {
            set_outcome(s, ETG_COMPOSITE_LATE);
        }
        else if (waiting++ == 0 || s->until < *next) {
            *next = s->until;
        }
    }
    return waiting;
}

static int judge(etg_composite_gathering *g, etg_composite_is_fatal *is_fatal,
                 void *baton)
{
    for (unsigned i = 0; i < g->count; i++) {
        slot *s = &g->slots[i];

        if (s->result.outcome <= ETG_COMPOSITE_PENDING || s->is_judged) {
            continue;
        }
        s->is_judged = 1;
        if (is_fatal(baton, i, &s->result)) {
            return (int)i;
        }
    }
    return ETG_COMPOSITE_ALL_ENDED;
}

/* The end of the request. */
static apr_status_t give_up(void *data)
{
    etg_composite_gathering *g = data;
    int has_jobs;

    pthread_mutex_lock(&g->lock);
    has_jobs = g->holders > 1;
    pthread_mutex_unlock(&g->lock);
    if (has_jobs) {
        cancel(g);
    }
    let_go(g);
    return APR_SUCCESS;
}

/* Not under our lock. What is late only is cut at its own limit. */
static void cancel(etg_composite_gathering *g)
{
    if (are_leaders_left(g)) {
        etg_internal_cancel_but_leaders(g->internal, &g->is_given_up);
    }
    else {
        etg_internal_cancel(g->internal, &g->is_given_up);
    }
}

static int are_leaders_left(const etg_composite_gathering *g)
{
    return __atomic_load_n(&g->are_leaders_left, __ATOMIC_ACQUIRE);
}

static void let_go(etg_composite_gathering *g)
{
    unsigned left;

    pthread_mutex_lock(&g->lock);
    left = --g->holders;
    pthread_mutex_unlock(&g->lock);
    if (left > 0) {
        return;
    }
    for (unsigned i = 0; i < g->count; i++) {
        if (g->slots[i].pool != NULL) {
            apr_pool_destroy(g->slots[i].pool);
        }
    }
    pthread_cond_destroy(&g->change);
    pthread_mutex_destroy(&g->lock);
    apr_pool_destroy(g->pool);
}

/* On one of the workers' threads, or the waiting one. */
static void run(void *baton, apr_pool_t *pool)
{
    slot *s = baton;
    etg_composite_result result = { .outcome = ETG_COMPOSITE_DROPPED };
    reception body = { .slot = s };
    etg_internal_answer answer = { .status = 0 };
    apr_pool_t *kept;

    (void)pool;
    if (!is_awaited(s)
        || make_pool(&kept, s->gathering->memory, "etag-composite-answer")
           != APR_SUCCESS) {
        return;
    }
    result.outcome = ask(s, &body, kept, &answer);
    if (result.outcome != ETG_COMPOSITE_ANSWERED) {
        give_back(&body);
    }
    if (body.data != NULL) {
        apr_pool_cleanup_register(kept, body.data, free_body,
                                  apr_pool_cleanup_null);
    }
    result.status = answer.status;
    result.fields = answer.fields;
    result.body = (etg_bytes){ body.data, body.length };
    hand_over(s, &result, kept);
}

/* Done, or dropped before it began. */
static apr_status_t end_job(void *data)
{
    slot *s = data;
    etg_composite_gathering *g = s->gathering;

    drop_pending(s);
    let_go(g);
    return APR_SUCCESS;
}

static void drop_pending(slot *s)
{
    etg_composite_gathering *g = s->gathering;

    pthread_mutex_lock(&g->lock);
    if (s->result.outcome == ETG_COMPOSITE_PENDING) {
        set_outcome(s, ETG_COMPOSITE_DROPPED);
        pthread_cond_signal(&g->change);
    }
    pthread_mutex_unlock(&g->lock);
}

apr_interval_time_t etg_composite_stand_in_time(apr_interval_time_t whole)
{
    return whole / 10 < STAND_IN_TIME ? whole / 10 : STAND_IN_TIME;
}

static etg_composite_outcome ask(slot *s, reception *body, apr_pool_t *p,
                                 etg_internal_answer *answer)
{
    etg_internal_ask asked = s->ask;
    apr_interval_time_t margin;
    apr_status_t rv;

    asked.limit = s->until - etg_steady_now();
    margin = s->ask.backend_limit > 0 ? s->ask.backend_limit
        : etg_composite_stand_in_time(asked.limit);
    asked.backend_limit = asked.limit > margin ? asked.limit - margin : 1;
    asked.take = take;
    asked.take_baton = body;
    if (asked.limit <= 0) {
        return ETG_COMPOSITE_LATE;
    }
    rv = etg_internal_request(s->internal, &asked, p, answer);
    if (body->is_too_long) {
        return ETG_COMPOSITE_TOO_LONG;
    }
    if (APR_STATUS_IS_TIMEUP(rv)
        || (rv == APR_SUCCESS && answer->is_backend_cut
            && (!answer->is_whole
                || ap_is_HTTP_SERVER_ERROR(answer->status)))) {
        return ETG_COMPOSITE_LATE;
    }
    return rv == APR_SUCCESS && answer->is_whole ? ETG_COMPOSITE_ANSWERED
                                                 : ETG_COMPOSITE_BROKEN;
}

static apr_status_t take(void *baton, const char *data, apr_size_t length)
{
    reception *body = baton;
    etg_composite_gathering *g = body->slot->gathering;

    if (!is_awaited(body->slot)) {
        return are_leaders_left(g) ? APR_SUCCESS : APR_EOF;
    }
    if (__atomic_sub_fetch(&g->room, (apr_int64_t)length, __ATOMIC_RELAXED)
        < 0) {
        body->is_too_long = 1;
        __atomic_add_fetch(&g->room, (apr_int64_t)length, __ATOMIC_RELAXED);
        return APR_ENOSPC;
    }
    if (!grow(body, length)) {
        return APR_ENOMEM;
    }
    memcpy(body->data + body->length, data, length);
    body->length += length;
    return APR_SUCCESS;
}

static int grow(reception *body, apr_size_t length)
{
    apr_size_t needed = body->length + length;
    apr_size_t room = body->room > 0 ? body->room : FIRST_ROOM;
    unsigned char *data;

    if (needed <= body->room) {
        return 1;
    }
    while (room < needed) {
        room *= 2;
    }
    data = realloc(body->data, room);
    if (data == NULL) {
        return 0;
    }
    body->data = data;
    body->room = room;
    return 1;
}

static apr_status_t free_body(void *data)
{
    free(data);
    return APR_SUCCESS;
}

/* Of what has failed nothing is kept: its room is the others'. */
static void give_back(reception *body)
{
    __atomic_add_fetch(&body->slot->gathering->room,
                       (apr_int64_t)body->length, __ATOMIC_RELAXED);
    free(body->data);
    body->data = NULL;
    body->length = 0;
}

static void hand_over(slot *s, const etg_composite_result *result,
                      apr_pool_t *pool)
{
    etg_composite_gathering *g = s->gathering;
    int is_wanted;

    pthread_mutex_lock(&g->lock);
    is_wanted = s->result.outcome == ETG_COMPOSITE_PENDING && !g->is_given_up;
    if (is_wanted) {
        s->result.status = result->status;
        s->result.fields = result->fields;
        s->result.body = result->body;
        s->pool = pool;
        set_outcome(s, result->outcome);
        pthread_cond_signal(&g->change);
    }
    pthread_mutex_unlock(&g->lock);
    if (!is_wanted) {
        apr_pool_destroy(pool);
    }
}

/* Without the lock, between two reads of a body. */
static int is_awaited(const slot *s)
{
    return !__atomic_load_n(&s->gathering->is_given_up, __ATOMIC_ACQUIRE)
        && __atomic_load_n(&s->result.outcome, __ATOMIC_ACQUIRE)
           == ETG_COMPOSITE_PENDING;
}

static void set_outcome(slot *s, etg_composite_outcome outcome)
{
    __atomic_store_n(&s->result.outcome, outcome, __ATOMIC_RELEASE);
}
