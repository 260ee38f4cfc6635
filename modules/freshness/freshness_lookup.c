/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_lookup.c: asking, sharing and waiting.
 *
 * Model. A look-up (`lookup`) is WAITING in the queue of a group's threads,
 * then RUNNING, then DONE. It is counted by its users: who waits for it, its
 * job, and the table while it can be shared. One lock guards everything but
 * what a RUNNING look-up's thread alone touches: its order (a copy in the
 * job's pool) and its handles. It is held for a few instructions.
 *
 * Each source is read on its own group's threads, so that one that hangs
 * keeps no other's: where a look-up has parts of several groups it is handed
 * on from one to the next.
 *
 * When it began is noted under that lock before any source is read: whoever
 * has seen it WAITING arrived before.
 *
 * All is malloc'ed or in a pool of its own: a thread that hangs at the end
 * needs it longer than the child's pool lives.
 */
#include "freshness_lookup.h"

#include <apr_allocator.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "freshness_group.h"
#include "freshness_order.h"
#include "lib/steady_clock.h"
#include "lib/workers.h"

#define CHAINS 256              /* a power of two */
#define BLOCKS_KEPT 1048576     /* bytes that wait for the next one */
#define KEPT_MAX 4096           /* results that may still be shared */
#define LOCK_WAIT apr_time_from_sec(1)
/* apr_dbd's SQLite tries a locked database for two seconds: a thread that came
 * back while the process ends would find its driver gone. httpd's parent waits
 * three before it asks again. */
#define STOP_WAIT apr_time_from_msec(2100)
#define HANGING "earlier look-ups still hang"

typedef enum lookup_state { WAITING, RUNNING, DONE } lookup_state;

typedef struct lookup {
    struct lookup *next;        /* in its chain */
    etg_lookups *all;
    unsigned users;
    int is_listed;
    lookup_state state;
    apr_time_t started;
    apr_time_t deadline;        /* the last one's who waits */
    apr_interval_time_t share;
    pthread_cond_t done;
    etg_lookup_answer answer;   /* when DONE */

    etg_lookup_order order;     /* the job's thread; in the job's pool */
    etg_lookup_group **groups;  /* of the parts */
    etg_lookup_run run;
    etg_source_look look;
    unsigned part;              /* the next one to read */

    unsigned hash;
    apr_size_t key_length;
    unsigned char key[];
} lookup;

/* The parts of one group, read on its threads. */
typedef struct leg {
    lookup *made;
    int is_last;                /* the look-up's pool ends with it */
} leg;

struct etg_lookups {
    etg_lookup_settings settings;
    apr_pool_t *pool;           /* its own */
    apr_allocator_t *blocks;    /* of look-ups: the pool's own */
    pthread_mutex_t lock;
    int is_stopping;
    int is_stopped;
    etg_lookup_groups *groups;
    lookup *chains[CHAINS];
    unsigned kept;              /* DONE and listed */
    etg_lookup_counts counts;
    apr_time_t logged_at;
    unsigned unlogged;
};

static apr_status_t stop_at_last(void *data);
static apr_status_t keep_blocks(etg_lookups *all);
static lookup *shareable(etg_lookups *all, const etg_lookup_order *order,
                         unsigned hash);
static lookup *lookup_make(etg_lookups *all, const etg_lookup_order *order,
                           unsigned hash);
static lookup *begin(etg_lookups *all, const etg_lookup_order *order,
                     unsigned hash, const char **reason);
static void hand_on(lookup *made);
static apr_status_t leg_gone(void *data);
static void await(lookup *waited, apr_time_t deadline,
                  etg_lookup_answer *answer);
static void unknown(etg_lookup_answer *answer, const char *reason);
static void account(etg_lookups *all, const etg_lookup_order *order,
                    const etg_lookup_answer *answer);
static apr_status_t job_gone(void *data);
static void work(void *baton, apr_pool_t *pool);
static int read_parts(lookup *made, etg_lookup_answer *answer);
static void digest_end(lookup *made, etg_lookup_answer *answer);
static void finish(lookup *made, const etg_lookup_answer *answer);
static void unlist(lookup *listed);
static void leave(lookup *used);
static void sweep(etg_lookups *all, apr_time_t now);

apr_status_t etg_lookups_create(etg_lookups **lookups,
                                const etg_lookup_settings *settings,
                                apr_pool_t *p)
{
    etg_lookups *all = calloc(1, sizeof(*all));
    apr_status_t rv;

    if (all == NULL) {
        return APR_ENOMEM;
    }
    rv = etg_job_pool_create(&all->pool, "freshness");
    if (rv == APR_SUCCESS) {
        rv = keep_blocks(all);
    }
    if (rv != APR_SUCCESS) {
        if (all->pool != NULL) {
            apr_pool_destroy(all->pool);
        }
        free(all);
        return rv;
    }
    all->settings = *settings;
    pthread_mutex_init(&all->lock, NULL);
    all->groups = etg_lookup_groups_make(&all->lock, settings->threads,
                                         settings->queue, all->pool);
    apr_pool_pre_cleanup_register(p, all, stop_at_last);
    *lookups = all;
    return APR_SUCCESS;
}

/* Look-ups take their memory from here and give it back: an allocator of
 * each one's own would map and unmap it every time. */
static apr_status_t keep_blocks(etg_lookups *all)
{
    apr_thread_mutex_t *mutex;
    apr_status_t rv = apr_thread_mutex_create(&mutex,
                                              APR_THREAD_MUTEX_DEFAULT,
                                              all->pool);

    if (rv == APR_SUCCESS) {
        all->blocks = apr_pool_allocator_get(all->pool);
        apr_allocator_mutex_set(all->blocks, mutex);
        apr_allocator_max_free_set(all->blocks, BLOCKS_KEPT);
    }
    return rv;
}

void etg_lookup_ask(etg_lookups *all, const etg_lookup_order *order,
                    etg_lookup_answer *answer)
{
    apr_time_t asked = etg_steady_now();
    apr_time_t deadline = asked + order->budget;
    etg_lookup_order mine = *order;
    apr_ssize_t length = (apr_ssize_t)order->key.length;
    unsigned hash = apr_hashfunc_default((const char *)order->key.data,
                                         &length);
    const char *reason = NULL;
    lookup *found;
    int is_new;

    mine.arrived = order->arrived == 0 ? asked : order->arrived;
    pthread_mutex_lock(&all->lock);
    all->counts.asked++;
    found = shareable(all, &mine, hash);
    is_new = found == NULL;
    if (is_new) {
        found = begin(all, &mine, hash, &reason);
    }
    else if (found->state == WAITING
             && etg_lookup_group_hangs(found->groups[0])) {
        all->counts.spared++;
        reason = HANGING;
        found = NULL;
    }
    if (found != NULL) {
        found->users++;
        all->counts.shared += !is_new;
        if (found->deadline < deadline) {
            found->deadline = deadline;
        }
        if (is_new) {
            pthread_mutex_unlock(&all->lock);
            hand_on(found);
            pthread_mutex_lock(&all->lock);
        }
        await(found, deadline, answer);
        leave(found);
    }
    else {
        unknown(answer, reason);
    }
    answer->is_shared = !is_new;
    answer->took = etg_steady_now() - asked;
    account(all, order, answer);                         /* unlocks */
}

int etg_lookups_stop(etg_lookups *all, apr_interval_time_t wait)
{
    int left;

    /* Perhaps in a signal handler that came out of this very lock. */
    if (!etg_lock_in_time(&all->lock, LOCK_WAIT)) {
        return 1;
    }
    all->is_stopping = 1;
    pthread_mutex_unlock(&all->lock);
    left = etg_lookup_groups_stop(all->groups, wait);
    pthread_mutex_lock(&all->lock);
    all->is_stopped = left == 0;
    pthread_mutex_unlock(&all->lock);
    return left;
}

void etg_lookups_counts(etg_lookups *all, etg_lookup_counts *counts)
{
    pthread_mutex_lock(&all->lock);
    *counts = all->counts;
    counts->handles = etg_lookup_groups_handles(all->groups);
    pthread_mutex_unlock(&all->lock);
}

static apr_status_t stop_at_last(void *data)
{
    etg_lookups *all = data;

    if (etg_lookups_stop(all, all->is_stopping ? 0 : STOP_WAIT) != 0) {
        return APR_SUCCESS;
    }
    etg_lookup_groups_close(all->groups);
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < CHAINS; i++) {
        while (all->chains[i] != NULL) {
            unlist(all->chains[i]);
        }
    }
    pthread_mutex_unlock(&all->lock);
    apr_pool_destroy(all->pool);
    pthread_mutex_destroy(&all->lock);
    free(all);
    return APR_SUCCESS;
}

/* Under the lock, as all that follows but the job's own functions. */
static lookup *shareable(etg_lookups *all, const etg_lookup_order *order,
                         unsigned hash)
{
    apr_time_t now = etg_steady_now();
    lookup *next;

    for (lookup *at = all->chains[hash % CHAINS]; at != NULL; at = next) {
        next = at->next;
        if (at->state == DONE && at->started + at->share < now) {
            unlist(at);
            continue;
        }
        if (at->hash == hash && at->key_length == order->key.length
            && memcmp(at->key, order->key.data, at->key_length) == 0
            && (at->state == WAITING || at->started > order->arrived
                || (order->share > 0
                    && at->started >= order->arrived - order->share))) {
            return at;
        }
    }
    return NULL;
}

/* A new look-up, listed; its job is not handed over yet. */
static lookup *begin(etg_lookups *all, const etg_lookup_order *order,
                     unsigned hash, const char **reason)
{
    lookup *made;

    if (all->is_stopping) {
        *reason = "this process ends";
        return NULL;
    }
    made = lookup_make(all, order, hash);
    if (made == NULL) {
        *reason = "no memory or threads";
        return NULL;
    }
    for (unsigned i = 0; i < order->part_count; i++) {
        if (etg_lookup_group_hangs(made->groups[i])) {
            all->counts.spared++;
            *reason = HANGING;
            apr_pool_destroy(made->run.pool);
            return NULL;
        }
    }
    made->next = all->chains[hash % CHAINS];
    all->chains[hash % CHAINS] = made;
    made->is_listed = 1;
    made->users++;
    return made;
}

/* With one user: its job, which leaves when its pool goes. */
static lookup *lookup_make(etg_lookups *all, const etg_lookup_order *order,
                           unsigned hash)
{
    apr_pool_t *p;
    lookup *made;

    if (apr_pool_create_unmanaged_ex(&p, NULL, all->blocks) != APR_SUCCESS) {
        return NULL;
    }
    apr_pool_tag(p, "look-up");
    made = calloc(1, sizeof(*made) + order->key.length);
    if (made == NULL || etg_steady_condition_init(&made->done)
                        != APR_SUCCESS) {
        free(made);
        apr_pool_destroy(p);
        return NULL;
    }
    made->all = all;
    made->users = 1;
    made->share = order->share;
    made->hash = hash;
    made->key_length = order->key.length;
    memcpy(made->key, order->key.data, order->key.length);
    made->run.pool = p;
    apr_pool_cleanup_register(p, made, job_gone, apr_pool_cleanup_null);
    etg_lookup_order_copy(&made->order, order, p);
    made->look.pool = p;
    made->groups = apr_pcalloc(p, order->part_count
                                  * sizeof(*made->groups));
    for (unsigned i = 0; i < order->part_count; i++) {
        made->groups[i] = etg_lookup_group_of(all->groups,
                                              order->parts[i].source);
        if (made->groups[i] == NULL) {
            apr_pool_destroy(p);
            return NULL;
        }
    }
    return made;
}

/* To the threads of the next part's group. Without the lock: it may drop
 * another's job, or this one. */
static void hand_on(lookup *made)
{
    etg_workers *threads = etg_lookup_group_threads(made->groups[made->part]);
    apr_pool_t *p;
    leg *next;

    if (apr_pool_create_unmanaged_ex(&p, NULL, made->all->blocks)
        != APR_SUCCESS) {
        apr_pool_destroy(made->run.pool);
        return;
    }
    next = apr_palloc(p, sizeof(*next));
    *next = (leg){ made, 1 };
    apr_pool_cleanup_register(p, next, leg_gone, apr_pool_cleanup_null);
    etg_workers_submit(threads, p, work, next);
}

static apr_status_t leg_gone(void *data)
{
    const leg *gone = data;

    if (gone->is_last) {
        apr_pool_destroy(gone->made->run.pool);
    }
    return APR_SUCCESS;
}

static void await(lookup *waited, apr_time_t deadline,
                  etg_lookup_answer *answer)
{
    struct timespec until = etg_steady_moment(deadline);
    int failed = 0;

    while (waited->state != DONE && failed == 0) {
        failed = pthread_cond_timedwait(&waited->done, &waited->all->lock,
                                        &until);
    }
    if (waited->state == DONE) {
        *answer = waited->answer;
    }
    else {
        waited->all->counts.late++;
        unknown(answer, waited->state == RUNNING
                        ? "no answer within the budget"
                        : "no thread came free within the budget");
    }
}

static void unknown(etg_lookup_answer *answer, const char *reason)
{
    memset(answer, 0, sizeof(*answer));
    answer->outcome = ETG_SOURCE_UNKNOWN;
    apr_cpystrn(answer->reason, reason, sizeof(answer->reason));
}

/* Counts, and says so if it is time; the lock is let go. */
static void account(etg_lookups *all, const etg_lookup_order *order,
                    const etg_lookup_answer *answer)
{
    apr_time_t now = etg_steady_now();
    unsigned count = 0;

    if (answer->outcome == ETG_SOURCE_UNKNOWN) {
        all->counts.unknown++;
        all->unlogged++;
        if (all->logged_at == 0
            || now - all->logged_at >= apr_time_from_sec(1)) {
            count = all->unlogged;
            all->unlogged = 0;
            all->logged_at = now;
        }
    }
    pthread_mutex_unlock(&all->lock);
    if (count > 0 && all->settings.log != NULL) {
        all->settings.log(all->settings.baton, order->route, answer->reason,
                          count);
    }
}

/* The job's pool goes: it is done, or was dropped. Without the lock, unless
 * it never was handed over: then nobody else knows it. */
static apr_status_t job_gone(void *data)
{
    lookup *made = data;
    etg_lookups *all = made->all;
    etg_lookup_answer dropped;

    if (made->state == WAITING && !made->is_listed) {
        leave(made);
        return APR_SUCCESS;
    }
    pthread_mutex_lock(&all->lock);
    if (made->state != DONE) {
        unknown(&dropped, "too many look-ups wait");
        finish(made, &dropped);
    }
    leave(made);
    pthread_mutex_unlock(&all->lock);
    return APR_SUCCESS;
}

/* On a thread of the next part's group. */
static void work(void *baton, apr_pool_t *pool)
{
    leg *mine = baton;
    lookup *made = mine->made;
    etg_lookups *all = made->all;
    etg_lookup_answer answer;
    int is_wanted;

    (void)pool;
    pthread_mutex_lock(&all->lock);
    if (made->state == WAITING) {
        made->started = etg_steady_now();
        made->state = RUNNING;
        made->run.deadline = made->look.deadline = made->deadline;
    }
    is_wanted = etg_steady_now() < made->run.deadline;
    pthread_mutex_unlock(&all->lock);
    unknown(&answer, "nobody waits any more");
    if (is_wanted && read_parts(made, &answer)) {
        mine->is_last = 0;
        hand_on(made);
        return;
    }
    pthread_mutex_lock(&all->lock);
    finish(made, &answer);
    pthread_mutex_unlock(&all->lock);
}

/* Those of one group; 1: another's come next. */
static int read_parts(lookup *made, etg_lookup_answer *answer)
{
    const etg_lookup_order *order = &made->order;
    const etg_lookup_group *group = made->groups[made->part];
    etg_source_look *look = &made->look;

    if (made->part == 0
        && etg_lookup_order_begin(&look->builder, order, look->pool)
           != APR_SUCCESS) {
        unknown(answer, "no digest");
        return 0;
    }
    for (; made->part < order->part_count; made->part++) {
        const etg_lookup_part *part = &order->parts[made->part];

        if (made->groups[made->part] != group) {
            return 1;
        }
        if (made->part > 0) {
            etg_data_digest_next_source(look->builder);
        }
        look->source = part->source;
        look->values = part->values;
        look->time_column = part->time_column;
        if (etg_lookup_group_look(made->groups[made->part], &made->run, look)
            != ETG_SOURCE_READ) {
            unknown(answer, look->reason == NULL ? "failed" : look->reason);
            return 0;
        }
    }
    digest_end(made, answer);
    return 0;
}

static void digest_end(lookup *made, etg_lookup_answer *answer)
{
    if (etg_data_digest_end(made->look.builder, &answer->digest)
        != APR_SUCCESS) {
        unknown(answer, "no digest");
    }
    else if (made->order.refuses_empty && answer->digest.empty_sources > 0) {
        unknown(answer, "a source is empty, and ETagFreshnessAllowEmpty is "
                "off");
    }
    else {
        answer->outcome = ETG_SOURCE_READ;
        answer->reason[0] = '\0';
    }
}

/* Only what is known, and came in time, is worth keeping. */
static void finish(lookup *made, const etg_lookup_answer *answer)
{
    etg_lookups *all = made->all;
    apr_time_t now = etg_steady_now();

    made->answer = *answer;
    made->state = DONE;
    pthread_cond_broadcast(&made->done);
    if (!made->is_listed) {
        return;
    }
    all->kept++;
    if (all->kept > KEPT_MAX) {
        sweep(all, now);
    }
    if (made->is_listed
        && (made->share <= 0 || answer->outcome != ETG_SOURCE_READ
            || now > made->deadline || all->kept > KEPT_MAX)) {
        unlist(made);
    }
}

static void unlist(lookup *listed)
{
    etg_lookups *all = listed->all;
    lookup **at = &all->chains[listed->hash % CHAINS];

    while (*at != listed) {
        at = &(*at)->next;
    }
    *at = listed->next;
    listed->is_listed = 0;
    all->kept -= listed->state == DONE;
    leave(listed);
}

static void leave(lookup *used)
{
    used->users--;
    if (used->users == 0) {
        pthread_cond_destroy(&used->done);
        free(used);
    }
}

static void sweep(etg_lookups *all, apr_time_t now)
{
    for (unsigned i = 0; i < CHAINS; i++) {
        lookup *next;

        for (lookup *at = all->chains[i]; at != NULL; at = next) {
            next = at->next;
            if (at->state == DONE && at->started + at->share < now) {
                unlist(at);
            }
        }
    }
}
