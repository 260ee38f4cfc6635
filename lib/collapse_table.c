/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collapse_table.c: lays out, opens and repairs the table that
 * collapse_table.h describes, and the steps that all of its users share.
 *
 * Locks are robust mutexes, one per stripe, held for a few hundred
 * instructions. The order of writes keeps every slot meaningful at any
 * moment, so repair after a holder's death only ends the fetches of the dead.
 * A holder that was stopped, not killed, costs others 100 ms and then their
 * collapsing, never more.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#include "lib/collapse_table.h"

#define TABLE_MAGIC 0x45544743u          /* "ETGC" */
#define TABLE_VERSION 1
#define TABLE_MOST (1u << 24)
#define LOCK_WAIT_NS 100000000L

static apr_size_t bytes_for(apr_uint32_t slots, apr_uint32_t remembered);
static apr_uint32_t round_up(unsigned n);
static void *aligned(void *memory);
static void lay_over(etg_collapse *collapse, void *memory);
static apr_status_t make_stripes(etg_collapse_stripe *stripes);
static apr_status_t leave_table(void *baton);
static int wait_for(pthread_mutex_t *mutex);
static void sweep_slot(etg_collapse *collapse, etg_collapse_slot *slot,
                       const etg_collapse_process *leader);

apr_size_t etg_collapse_size(unsigned slots, unsigned remembered)
{
    return bytes_for(round_up(slots), round_up(remembered));
}

apr_status_t etg_collapse_format(void *memory, apr_size_t size,
                                 unsigned slots, unsigned remembered)
{
    etg_collapse_header *header = aligned(memory);
    apr_status_t rv;

    if (size < etg_collapse_size(slots, remembered)) {
        return APR_EINVAL;
    }
    rv = make_stripes((etg_collapse_stripe *)(header + 1));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    header->version = TABLE_VERSION;
    header->slots = round_up(slots);
    header->remembered = round_up(remembered);
    header->magic = TABLE_MAGIC;
    return APR_SUCCESS;
}

apr_status_t etg_collapse_attach(etg_collapse **collapse, void *memory,
                                 apr_size_t size, apr_pool_t *p)
{
    const etg_collapse_header *header = aligned(memory);
    etg_collapse *view;

    if (size < bytes_for(ETG_COLLAPSE_WAYS, ETG_COLLAPSE_WAYS)
        || header->magic != TABLE_MAGIC || header->version != TABLE_VERSION
        || header->slots != round_up(header->slots)
        || header->remembered != round_up(header->remembered)
        || size < bytes_for(header->slots, header->remembered)) {
        return APR_EINVAL;
    }
    view = apr_pcalloc(p, sizeof(*view));
    lay_over(view, aligned(memory));
    view->self = etg_collapse_self();
    apr_pool_cleanup_register(p, view, leave_table, apr_pool_cleanup_null);
    *collapse = view;
    return APR_SUCCESS;
}

apr_array_header_t *etg_collapse_counters(etg_collapse *collapse,
                                          apr_pool_t *p)
{
    static const char *const names[ETG_COLLAPSE_COUNTS] = {
        "led", "followed", "taken_over", "alone", "remembered", "full"
    };
    apr_array_header_t *rows = apr_array_make(p, ETG_COLLAPSE_COUNTS,
                                              sizeof(etg_store_counter));
    int i;

    for (i = 0; i < ETG_COLLAPSE_COUNTS; i++) {
        etg_store_counter *row = apr_array_push(rows);

        row->name = names[i];
        row->value = __atomic_load_n(&collapse->header->counts[i],
                                     __ATOMIC_RELAXED);
    }
    return rows;
}

void etg_collapse_add(etg_collapse *collapse, etg_collapse_count which)
{
    __atomic_add_fetch(&collapse->header->counts[which], 1,
                       __ATOMIC_RELAXED);
}

void etg_collapse_halves(const etg_store_key *key, apr_uint64_t halves[2])
{
    memcpy(halves, key->bytes, 2 * sizeof(halves[0]));
}

unsigned etg_collapse_stripe_of(apr_uint32_t slot)
{
    return slot / ETG_COLLAPSE_WAYS % ETG_COLLAPSE_STRIPES;
}

int etg_collapse_lock(etg_collapse *collapse, unsigned stripe)
{
    pthread_mutex_t *mutex = &collapse->stripes[stripe].mutex;
    int error = pthread_mutex_trylock(mutex);

    if (error == EBUSY) {
        error = wait_for(mutex);
    }
    if (error == EOWNERDEAD) {
        pthread_mutex_consistent(mutex);
        etg_collapse_sweep(collapse, stripe, NULL);
        error = 0;
    }
    return error == 0;
}

void etg_collapse_unlock(etg_collapse *collapse, unsigned stripe)
{
    pthread_mutex_unlock(&collapse->stripes[stripe].mutex);
}

etg_collapse_end etg_collapse_ended(const etg_collapse_slot *slot,
                                    apr_uint64_t number)
{
    apr_uint64_t ended = __atomic_load_n(&slot->ended[number & 1],
                                         __ATOMIC_SEQ_CST);

    if (ended >> 3 == number) {
        return ended & 7;
    }
    return ended >> 3 < number ? ETG_COLLAPSE_OPEN : ETG_COLLAPSE_END_LOST;
}

int etg_collapse_is_open(const etg_collapse_slot *slot)
{
    apr_uint64_t number = __atomic_load_n(&slot->number, __ATOMIC_ACQUIRE);

    return number != 0
        && etg_collapse_ended(slot, number) == ETG_COLLAPSE_OPEN;
}

int etg_collapse_end_fetch(etg_collapse_slot *slot, apr_uint64_t number,
                           etg_collapse_end how)
{
    apr_uint64_t *ended = &slot->ended[number & 1];
    apr_uint64_t before = __atomic_load_n(ended, __ATOMIC_SEQ_CST);

    while (before >> 3 < number) {
        if (__atomic_compare_exchange_n(ended, &before, number << 3 | how, 0,
                                        __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
            return 1;
        }
    }
    return 0;
}

etg_collapse_process etg_collapse_leader(const etg_collapse_slot *slot)
{
    etg_collapse_process leader = {
        .pid = slot->leader_pid, .start = slot->leader_start
    };

    return leader;
}

void etg_collapse_sweep(etg_collapse *collapse, unsigned stripe,
                        const etg_collapse_process *leader)
{
    apr_uint32_t bucket, way;

    for (bucket = stripe; bucket <= collapse->buckets_mask;
         bucket += ETG_COLLAPSE_STRIPES) {
        for (way = 0; way < ETG_COLLAPSE_WAYS; way++) {
            sweep_slot(collapse,
                       &collapse->slots[bucket * ETG_COLLAPSE_WAYS + way],
                       leader);
        }
    }
}

static void sweep_slot(etg_collapse *collapse, etg_collapse_slot *slot,
                       const etg_collapse_process *leader)
{
    etg_collapse_process led_by = etg_collapse_leader(slot);
    apr_uint64_t number = slot->number;

    if (!etg_collapse_is_open(slot)) {
        return;
    }
    if (leader != NULL
        ? led_by.pid != leader->pid || led_by.start != leader->start
        : etg_collapse_is_alive(collapse, led_by)) {
        return;
    }
    if (etg_collapse_end_fetch(slot, number, ETG_COLLAPSE_END_NOT_STORED)) {
        etg_collapse_wake(slot, number);
    }
}

/* The first line is what alignment may use up. */
static apr_size_t bytes_for(apr_uint32_t slots, apr_uint32_t remembered)
{
    return ETG_COLLAPSE_LINE + sizeof(etg_collapse_header)
        + ETG_COLLAPSE_STRIPES * sizeof(etg_collapse_stripe)
        + (apr_size_t)slots * sizeof(etg_collapse_slot)
        + (apr_size_t)remembered / ETG_COLLAPSE_WAYS
          * sizeof(etg_collapse_memory);
}

static apr_uint32_t round_up(unsigned n)
{
    apr_uint32_t power = ETG_COLLAPSE_WAYS;

    while (power < n && power < TABLE_MOST) {
        power *= 2;
    }
    return power;
}

/* APR's shared memory starts 8 or 16 bytes into a page, in all processes. */
static void *aligned(void *memory)
{
    return (void *)APR_ALIGN((apr_uintptr_t)memory, ETG_COLLAPSE_LINE);
}

static void lay_over(etg_collapse *collapse, void *memory)
{
    etg_collapse_header *header = memory;

    collapse->header = header;
    collapse->stripes = (etg_collapse_stripe *)(header + 1);
    collapse->slots =
        (etg_collapse_slot *)(collapse->stripes + ETG_COLLAPSE_STRIPES);
    collapse->memory =
        (etg_collapse_memory *)(collapse->slots + header->slots);
    collapse->buckets_mask = header->slots / ETG_COLLAPSE_WAYS - 1;
    collapse->memory_mask = header->remembered / ETG_COLLAPSE_WAYS - 1;
}

static apr_status_t make_stripes(etg_collapse_stripe *stripes)
{
    pthread_mutexattr_t kind;
    int i, error;

    error = pthread_mutexattr_init(&kind);
    if (error != 0) {
        return error;
    }
    error = pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    if (error == 0) {
        error = pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    }
    for (i = 0; i < ETG_COLLAPSE_STRIPES && error == 0; i++) {
        error = pthread_mutex_init(&stripes[i].mutex, &kind);
    }
    pthread_mutexattr_destroy(&kind);
    return error;
}

/* Child exit. A fork of the process that attached leads nothing itself. */
static apr_status_t leave_table(void *baton)
{
    etg_collapse *collapse = baton;
    unsigned stripe;

    if (collapse->self.pid != getpid()) {
        return APR_SUCCESS;
    }
    for (stripe = 0; stripe < ETG_COLLAPSE_STRIPES; stripe++) {
        if (etg_collapse_lock(collapse, stripe)) {
            etg_collapse_sweep(collapse, stripe, &collapse->self);
            etg_collapse_unlock(collapse, stripe);
        }
    }
    return APR_SUCCESS;
}

static int wait_for(pthread_mutex_t *mutex)
{
    struct timespec limit;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_nsec += LOCK_WAIT_NS;
    if (limit.tv_nsec >= 1000000000L) {
        limit.tv_sec++;
        limit.tv_nsec -= 1000000000L;
    }
    return pthread_mutex_timedlock(mutex, &limit);
}
