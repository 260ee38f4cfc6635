/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_group.c: the threads and handles of sources that belong together.
 *
 * A handle lies in a pool of its own, which only the thread it is lent to
 * touches. Handles are closed at the end: there are few, and a connection
 * that is not used costs little.
 */
#include "freshness_group.h"

#include <apr_hash.h>
#include <apr_strings.h>

#include "lib/steady_clock.h"

#define LOCK_WAIT apr_time_from_sec(1)

typedef struct handle {
    struct handle *next;
    const etg_source_kind *kind;
    apr_pool_t *pool;           /* it lies in it */
    void *own;
} handle;

struct etg_lookup_group {
    etg_lookup_group *next;
    etg_lookup_groups *all;
    etg_workers *threads;
    handle *idle;               /* the last one used first */
    unsigned handles;
    etg_lookup_run *running;    /* looks at this group's sources */
};

struct etg_lookup_groups {
    pthread_mutex_t *lock;
    apr_pool_t *pool;
    unsigned threads;
    unsigned queue;
    apr_hash_t *by_name;
    etg_lookup_group *first;
};

static handle *borrow(etg_lookup_group *group, const etg_source *source);
static void run_end(etg_lookup_group *group, etg_lookup_run *run);

etg_lookup_groups *etg_lookup_groups_make(pthread_mutex_t *lock,
                                          unsigned threads, unsigned queue,
                                          apr_pool_t *p)
{
    etg_lookup_groups *groups = apr_pcalloc(p, sizeof(*groups));

    groups->lock = lock;
    groups->pool = p;
    groups->threads = threads;
    groups->queue = queue;
    groups->by_name = apr_hash_make(p);
    return groups;
}

etg_lookup_group *etg_lookup_group_of(etg_lookup_groups *groups,
                                      const etg_source *source)
{
    etg_lookup_group *group = apr_hash_get(groups->by_name, source->shared,
                                           APR_HASH_KEY_STRING);

    if (group != NULL) {
        return group;
    }
    group = apr_pcalloc(groups->pool, sizeof(*group));
    group->all = groups;
    if (etg_workers_create(&group->threads, groups->threads, groups->queue,
                           groups->pool) != APR_SUCCESS) {
        return NULL;
    }
    group->next = groups->first;
    groups->first = group;
    apr_hash_set(groups->by_name, apr_pstrdup(groups->pool, source->shared),
                 APR_HASH_KEY_STRING, group);
    return group;
}

int etg_lookup_group_hangs(const etg_lookup_group *group)
{
    apr_time_t now = etg_steady_now();
    unsigned overdue = 0;

    for (const etg_lookup_run *at = group->running; at != NULL;
         at = at->next) {
        overdue += at->deadline < now;
    }
    return overdue >= group->all->threads;
}

etg_workers *etg_lookup_group_threads(etg_lookup_group *group)
{
    return group->threads;
}

etg_source_outcome etg_lookup_group_look(etg_lookup_group *group,
                                         etg_lookup_run *run,
                                         etg_source_look *look)
{
    pthread_mutex_t *lock = group->all->lock;
    etg_source_outcome outcome = ETG_SOURCE_UNKNOWN;
    handle *lent = NULL;
    int hangs;

    pthread_mutex_lock(lock);
    hangs = etg_lookup_group_hangs(group);
    if (!hangs) {
        run->next = group->running;
        group->running = run;
        lent = group->idle;
        if (lent != NULL) {
            group->idle = lent->next;
        }
        else {
            group->handles++;
        }
    }
    pthread_mutex_unlock(lock);
    if (hangs) {
        return etg_source_unknown(look, "earlier look-ups still hang");
    }
    if (lent == NULL) {
        lent = borrow(group, look->source);
    }
    if (lent != NULL) {
        outcome = look->source->kind->look(lent->own, look);
    }
    pthread_mutex_lock(lock);
    if (lent != NULL) {
        lent->next = group->idle;
        group->idle = lent;
    }
    else {
        group->handles--;
    }
    run_end(group, run);
    pthread_mutex_unlock(lock);
    return outcome;
}

unsigned etg_lookup_groups_handles(const etg_lookup_groups *groups)
{
    unsigned count = 0;

    for (const etg_lookup_group *at = groups->first; at != NULL;
         at = at->next) {
        count += at->handles;
    }
    return count;
}

int etg_lookup_groups_stop(etg_lookup_groups *groups,
                           apr_interval_time_t wait)
{
    apr_time_t until = etg_steady_now() + wait;
    etg_lookup_group *first;
    int left = 0;

    /* None is made any more: nobody is let in. */
    if (!etg_lock_in_time(groups->lock, LOCK_WAIT)) {
        return 1;
    }
    first = groups->first;
    pthread_mutex_unlock(groups->lock);
    for (etg_lookup_group *at = first; at != NULL; at = at->next) {
        etg_workers_stop(at->threads, 0);
    }
    for (etg_lookup_group *at = first; at != NULL; at = at->next) {
        apr_interval_time_t rest = until - etg_steady_now();

        left += etg_workers_stop(at->threads, rest > 0 ? rest : 0);
    }
    return left;
}

void etg_lookup_groups_close(etg_lookup_groups *groups)
{
    for (etg_lookup_group *at = groups->first; at != NULL; at = at->next) {
        while (at->idle != NULL) {
            handle *idle = at->idle;

            at->idle = idle->next;
            idle->kind->close(idle->own);
            apr_pool_destroy(idle->pool);
            at->handles--;
        }
    }
}

/* A new one. */
static handle *borrow(etg_lookup_group *group, const etg_source *source)
{
    apr_pool_t *p;
    handle *made;

    (void)group;
    if (etg_job_pool_create(&p, "freshness handle") != APR_SUCCESS) {
        return NULL;
    }
    made = apr_pcalloc(p, sizeof(*made));
    made->pool = p;
    made->kind = source->kind;
    made->own = source->kind->open(source, p);
    return made;
}

static void run_end(etg_lookup_group *group, etg_lookup_run *run)
{
    etg_lookup_run **at = &group->running;

    while (*at != run) {
        at = &(*at)->next;
    }
    *at = run->next;
}
