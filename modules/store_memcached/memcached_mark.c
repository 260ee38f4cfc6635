/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_mark.c: purges, on the writer's thread.
 *
 * A mark moves the clock of every node first, by compare and swap, and then
 * sets the tags' generations to its new reading: a response looked up before
 * the clock moved is older than the mark, one looked up after it is newer.
 * Constant time per tag and node.
 *
 * A node that was not reached is owed the mark: it hears of it as soon as it
 * can be reached, and before this child calls a lost node healed. What a node
 * is owed is bounded: beyond that, everything is marked. It is lost if this
 * child ends first, which is logged.
 */
#include "memcached_store.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 32
#define OWED_MAX 256
#define OWED_AGAIN apr_time_from_sec(1)

/* What the caller learns; it may have left. */
typedef struct mark_result {
    _Atomic int holders;
    _Atomic unsigned moved;
} mark_result;

typedef struct mark_job {
    etg_memcached_job job;
    mark_result *result;
    etg_store_mark mark;
    unsigned count;
    etg_store_tag tags[ETG_STORE_TAGS_MAX];
} mark_job;

/* The clock's readings before and after a mark. */
typedef struct clock_step {
    apr_uint64_t from;
    apr_uint64_t to;
} clock_step;

struct etg_memcached_owed {
    etg_store_mark everything;
    unsigned count;
    struct {
        etg_store_tag tag;
        etg_store_mark mark;
    } tags[OWED_MAX];
};

static apr_status_t mark_run(etg_store *store, etg_memcached_job *job);
static void mark_finish(etg_store *store, etg_memcached_job *job,
                        apr_status_t result);
static void result_release(mark_result *result);
static apr_status_t node_mark(etg_store *store, etg_memcached_node *node,
                              const mark_job *job);
static apr_status_t call_mark(etg_memcached_call *call,
                              const etg_store_tag *tags, unsigned count,
                              etg_store_mark mark, apr_pool_t *p);
static apr_status_t clock_move(etg_memcached_call *call, int everything,
                               etg_store_mark mark, apr_pool_t *p,
                               clock_step *step);
static apr_status_t tags_move(etg_memcached_call *call,
                              const etg_store_tag *tags, unsigned count,
                              etg_store_mark mark, const clock_step *step,
                              apr_pool_t *p, etg_store_tag *left,
                              unsigned *left_count);
static void marks_set(etg_memcached_marks *marks, etg_store_mark mark,
                      apr_uint64_t reading);
static void owed_add(etg_memcached_owed *owed, const mark_job *job);

apr_status_t etg_memcached_mark(etg_store *store, const etg_store_tag *tags,
                                unsigned count, etg_store_mark mark,
                                apr_interval_time_t wait, unsigned *moved)
{
    *moved = 0;
    if (!etg_memcached_is_up(store)) {
        return APR_EGENERAL;
    }
    if (mark < ETG_STORE_MARK_SOFT || mark > ETG_STORE_MARK_GONE
        || count > ETG_STORE_TAGS_MAX) {
        return APR_EINVAL;
    }
    mark_job *job = calloc(1, sizeof(*job));
    mark_result *result = calloc(1, sizeof(*result));
    if (job == NULL || result == NULL) {
        free(job);
        free(result);
        return APR_ENOMEM;
    }
    atomic_store(&result->holders, 2);
    job->result = result;
    job->mark = mark;
    job->count = count;
    if (count > 0) {
        memcpy(job->tags, tags, count * sizeof(*tags));
    }
    job->job.run = mark_run;
    job->job.finish = mark_finish;
    job->job.bytes = sizeof(*job);
    job->job.is_urgent = 1;
    apr_status_t rv = etg_memcached_writer_run(store, &job->job, wait);
    *moved = APR_STATUS_IS_TIMEUP(rv) ? (count == 0 ? 1 : count)
                                      : atomic_load(&result->moved);
    result_release(result);
    return rv;
}

apr_status_t etg_memcached_owed_open(etg_store *store)
{
    store->owed = calloc(store->at.server_count, sizeof(*store->owed));
    return store->owed != NULL ? APR_SUCCESS : APR_ENOMEM;
}

void etg_memcached_owed_close(etg_store *store)
{
    for (unsigned i = 0; i < store->at.server_count; i++) {
        if (store->owed[i].everything != ETG_STORE_MARK_NONE
            || store->owed[i].count > 0) {
            etg_log_write(&store->host->log, ETG_LOG_WARNING, 0,
                          ETGLOGNO(0406) "memcached store: purges did not "
                          "reach %s before this child ended; purge again "
                          "when it is back, or restart that server",
                          store->at.servers[i].name);
        }
    }
    free(store->owed);
    store->owed = NULL;
}

apr_status_t etg_memcached_owed_tell(etg_memcached_call *call, apr_pool_t *p)
{
    unsigned index = etg_memcached_node_index(call->node);
    etg_memcached_owed *owed = &call->store->owed[index];
    etg_store_tag tags[OWED_MAX];
    apr_status_t rv = APR_SUCCESS;
    if (owed->everything != ETG_STORE_MARK_NONE) {
        rv = call_mark(call, NULL, 0, owed->everything, p);
    }
    for (int kind = ETG_STORE_MARK_SOFT; kind <= ETG_STORE_MARK_GONE
         && rv == APR_SUCCESS; kind++) {
        unsigned count = 0;
        for (unsigned i = 0; i < owed->count; i++) {
            if (owed->tags[i].mark == (etg_store_mark)kind) {
                tags[count++] = owed->tags[i].tag;
            }
        }
        for (unsigned i = 0; i < count && rv == APR_SUCCESS;
             i += ETG_STORE_TAGS_MAX) {
            unsigned some = count - i < ETG_STORE_TAGS_MAX
                            ? count - i : ETG_STORE_TAGS_MAX;
            rv = call_mark(call, tags + i, some, (etg_store_mark)kind, p);
        }
    }
    if (rv == APR_SUCCESS) {
        memset(owed, 0, sizeof(*owed));
    }
    return rv;
}

apr_interval_time_t etg_memcached_owed_tell_all(etg_store *store,
                                                apr_interval_time_t most)
{
    for (unsigned i = 0; i < store->at.server_count; i++) {
        const etg_memcached_owed *owed = &store->owed[i];
        etg_memcached_call call;
        apr_pool_t *scratch;
        if (owed->everything == ETG_STORE_MARK_NONE && owed->count == 0) {
            continue;
        }
        apr_status_t rv = etg_memcached_call_begin(
            store, etg_memcached_node_at(store, i), &call);
        if (rv == APR_SUCCESS) {
            apr_pool_create(&scratch, NULL);
            rv = etg_memcached_owed_tell(&call, scratch);
            apr_pool_destroy(scratch);
            etg_memcached_call_end(&call);
        }
        if (rv != APR_SUCCESS && most > OWED_AGAIN) {
            most = OWED_AGAIN;
        }
    }
    return most;
}

static apr_status_t mark_run(etg_store *store, etg_memcached_job *job)
{
    mark_job *mark = (mark_job *)job;
    apr_status_t result = APR_SUCCESS;
    etg_memcached_count_add(store, ETG_MEMCACHED_MARKS, 1);
    for (unsigned i = 0; i < store->at.server_count; i++) {
        apr_status_t rv = node_mark(store, etg_memcached_node_at(store, i),
                                    mark);
        if (rv == APR_SUCCESS) {
            atomic_store(&mark->result->moved,
                         mark->count == 0 ? 1 : mark->count);
        }
        else {
            result = result == APR_SUCCESS ? rv : result;
            owed_add(&store->owed[i], mark);
            etg_memcached_writer_wake(store);
        }
    }
    return result;
}

static void mark_finish(etg_store *store, etg_memcached_job *job,
                        apr_status_t result)
{
    (void)store;
    (void)result;
    result_release(((mark_job *)job)->result);
}

static void result_release(mark_result *result)
{
    if (atomic_fetch_sub(&result->holders, 1) == 1) {
        free(result);
    }
}

static apr_status_t node_mark(etg_store *store, etg_memcached_node *node,
                              const mark_job *job)
{
    etg_memcached_call call;
    apr_pool_t *scratch;
    apr_status_t rv = etg_memcached_call_begin(store, node, &call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&scratch, NULL);
    rv = call_mark(&call, job->tags, job->count, job->mark, scratch);
    apr_pool_destroy(scratch);
    etg_memcached_call_end(&call);
    return rv;
}

static apr_status_t call_mark(etg_memcached_call *call,
                              const etg_store_tag *tags, unsigned count,
                              etg_store_mark mark, apr_pool_t *p)
{
    etg_store_tag left[ETG_STORE_TAGS_MAX];
    clock_step step;
    apr_status_t rv = clock_move(call, count == 0, mark, p, &step);
    for (int i = 0; i < TRIES && rv == APR_SUCCESS && count > 0; i++) {
        rv = tags_move(call, tags, count, mark, &step, p, left, &count);
        tags = left;
        etg_memcached_call_renew(call);
    }
    return rv != APR_SUCCESS ? rv : count > 0 ? APR_EBUSY : APR_SUCCESS;
}

/* A clock that is not there is made, which marks everything invalid. */
static apr_status_t clock_move(etg_memcached_call *call, int everything,
                               etg_store_mark mark, apr_pool_t *p,
                               clock_step *step)
{
    etg_memcached_key key;
    const etg_memcached_key *keys[1] = { &key };
    etg_memcached_value value;
    etg_memcached_outcome outcome = ETG_MEMCACHED_NOT_DONE;
    etg_memcached_clock clock;
    etg_bytes item;
    etg_memcached_key_of_clock(&key, call->store->at.name_space);
    for (int i = 0; i < TRIES && outcome == ETG_MEMCACHED_NOT_DONE; i++) {
        etg_memcached_call_renew(call);
        apr_status_t rv = etg_memcached_get(call, keys, 1,
                                            ETG_MEMCACHED_ITEM_MAX, p,
                                            &value);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        int is_there = value.bytes.data != NULL
                       && etg_memcached_clock_unpack(value.bytes, &key,
                                                     &clock) == APR_SUCCESS;
        if (!is_there) {
            etg_memcached_clock_make(&clock);
        }
        step->from = clock.reading;
        clock.reading = etg_memcached_clock_next(clock.reading);
        if (everything) {
            marks_set(&clock.all, mark, clock.reading);
        }
        rv = etg_memcached_clock_pack(&clock, &key, p, &item);
        if (rv == APR_SUCCESS) {
            rv = etg_memcached_put(call, value.bytes.data != NULL
                                         ? ETG_MEMCACHED_CAS
                                         : ETG_MEMCACHED_ADD,
                                   &key, item, 0, value.cas, &outcome);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    step->to = clock.reading;
    return outcome == ETG_MEMCACHED_DONE ? APR_SUCCESS
           : outcome == ETG_MEMCACHED_REFUSED ? APR_ENOSPC : APR_EBUSY;
}

/* Those that another changed meanwhile are left; `left` may be `tags`. */
static apr_status_t tags_move(etg_memcached_call *call,
                              const etg_store_tag *tags, unsigned count,
                              etg_store_mark mark, const clock_step *step,
                              apr_pool_t *p, etg_store_tag *left,
                              unsigned *left_count)
{
    etg_memcached_marks marks[ETG_STORE_TAGS_MAX];
    etg_memcached_key keys[ETG_STORE_TAGS_MAX];
    etg_memcached_put_order orders[ETG_STORE_TAGS_MAX];
    apr_uint64_t cas[ETG_STORE_TAGS_MAX];
    unsigned kept = 0;
    apr_status_t rv = etg_memcached_tags_read(
        call, etg_memcached_tags_pack(tags, count, p), p, marks, cas);
    for (unsigned i = 0; i < count && rv == APR_SUCCESS; i++) {
        if (marks[i].soft == 0) {
            /* No purge before this one can have been forgotten by what is
             * as young as the clock's last step. */
            marks[i] = etg_memcached_marks_new(step->from);
        }
        marks_set(&marks[i], mark, step->to);
        etg_memcached_key_of_tag(&keys[i], call->store->at.name_space,
                                 tags[i]);
        orders[i].verb = cas[i] != 0 ? ETG_MEMCACHED_CAS : ETG_MEMCACHED_ADD;
        orders[i].key = &keys[i];
        orders[i].exptime = 0;
        orders[i].cas = cas[i];
        rv = etg_memcached_marks_pack(&marks[i], &keys[i], p,
                                      &orders[i].item);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_put_all(call, orders, count);
    }
    for (unsigned i = 0; i < count && rv == APR_SUCCESS; i++) {
        if (orders[i].outcome == ETG_MEMCACHED_REFUSED) {
            return APR_ENOSPC;
        }
        if (orders[i].outcome == ETG_MEMCACHED_NOT_DONE) {
            left[kept++] = tags[i];
        }
    }
    if (rv == APR_SUCCESS) {
        *left_count = kept;
    }
    return rv;
}

static void marks_set(etg_memcached_marks *marks, etg_store_mark mark,
                      apr_uint64_t reading)
{
    apr_uint64_t *at = mark == ETG_STORE_MARK_SOFT ? &marks->soft
                       : mark == ETG_STORE_MARK_INVALID ? &marks->invalid
                                                        : &marks->gone;
    if (*at < reading) {
        *at = reading;
    }
}

static void owed_add(etg_memcached_owed *owed, const mark_job *job)
{
    if (job->count == 0 || owed->count + job->count > OWED_MAX) {
        if (owed->everything < job->mark) {
            owed->everything = job->mark;
        }
        return;
    }
    for (unsigned i = 0; i < job->count; i++) {
        owed->tags[owed->count].tag = job->tags[i];
        owed->tags[owed->count].mark = job->mark;
        owed->count++;
    }
}
