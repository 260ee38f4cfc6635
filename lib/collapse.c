/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collapse.c: leading, following and ending a fetch.
 *
 * Called on request threads. Joining takes the lock of the key's stripe once
 * to lead or to become a follower; a follower then sleeps on the slot's word
 * and takes the lock again only to take over or to move on to the fetch that
 * took over. Ending a fetch takes no lock and makes no system call if nobody
 * follows. Nothing here sleeps while it holds a lock. See collapse_table.h.
 */
#include <string.h>

#include "lib/collapse_table.h"

/* Whom a thread follows. */
typedef struct following {
    etg_collapse_slot *slot;
    apr_uint32_t index;
    apr_uint64_t number;
    etg_collapse_process leader;
    apr_interval_time_t wait;
    apr_time_t deadline;
    int extended;              /* the further wait has begun, or is none */
    int never_leads;
    etg_collapse_is_over *is_over; /* or NULL */
    void *baton;
} following;

typedef enum step {
    STEP_LEAD,
    STEP_FOLLOW,
    STEP_FAILED,
    STEP_ALONE
} step;

static step enter(etg_collapse *collapse, const apr_uint64_t halves[2],
                  following *f);
static step enter_locked(etg_collapse *collapse,
                         const apr_uint64_t halves[2], following *f);
static int find_key(etg_collapse *collapse, const apr_uint64_t halves[2],
                    following *f);
static int find_free(etg_collapse *collapse, const apr_uint64_t halves[2],
                     following *f);
static void lead(etg_collapse *collapse, following *f);
static void attend(following *f);
static etg_collapse_role follow(etg_collapse *collapse, following *f);
static step watch(etg_collapse *collapse, following *f, apr_uint32_t seen);
static step take_over(etg_collapse *collapse, following *f);
static step move_on(etg_collapse *collapse, following *f);
static void count_in(etg_collapse_slot *slot, apr_uint64_t number);
static void count_out(etg_collapse_slot *slot, apr_uint64_t number);
static etg_collapse_role role_of(etg_collapse *collapse, step what);
static int is_valid(etg_collapse *collapse,
                    const etg_collapse_ticket *ticket);

etg_collapse_role etg_collapse_join(etg_collapse *collapse,
                                    const etg_store_key *key,
                                    apr_interval_time_t wait,
                                    etg_collapse_ticket *ticket)
{
    return etg_collapse_join_until(collapse, key, wait, NULL, NULL, ticket);
}

etg_collapse_role etg_collapse_join_until(etg_collapse *collapse,
                                          const etg_store_key *key,
                                          apr_interval_time_t wait,
                                          etg_collapse_is_over *is_over,
                                          void *baton,
                                          etg_collapse_ticket *ticket)
{
    following f = { .wait = wait, .is_over = is_over, .baton = baton };
    apr_uint64_t halves[2];
    etg_collapse_role role;
    step what;

    etg_collapse_halves(key, halves);
    what = enter(collapse, halves, &f);
    if (what != STEP_FOLLOW) {
        role = role_of(collapse, what);
    }
    else if (wait <= 0) {
        role = etg_collapse_is_alive(collapse, f.leader)
               || take_over(collapse, &f) != STEP_LEAD
             ? ETG_COLLAPSE_ALONE : role_of(collapse, STEP_LEAD);
    }
    else {
        etg_collapse_add(collapse, ETG_COLLAPSE_FOLLOWED);
        role = follow(collapse, &f);
    }
    if (role == ETG_COLLAPSE_LEAD) {
        ticket->slot = f.index;
        ticket->number = f.number;
    }
    return role;
}

etg_collapse_role etg_collapse_follow(etg_collapse *collapse,
                                      const etg_store_key *key,
                                      apr_interval_time_t wait)
{
    return etg_collapse_follow_until(collapse, key, wait, NULL, NULL);
}

etg_collapse_role etg_collapse_follow_until(etg_collapse *collapse,
                                            const etg_store_key *key,
                                            apr_interval_time_t wait,
                                            etg_collapse_is_over *is_over,
                                            void *baton)
{
    following f = { .wait = wait, .extended = 1, .never_leads = 1,
                    .is_over = is_over, .baton = baton };
    apr_uint64_t halves[2];
    unsigned stripe;
    int is_fetched;

    etg_collapse_halves(key, halves);
    stripe = (halves[1] & collapse->buckets_mask) % ETG_COLLAPSE_STRIPES;
    if (wait <= 0 || !etg_collapse_lock(collapse, stripe)) {
        return ETG_COLLAPSE_ALONE;
    }
    is_fetched = find_key(collapse, halves, &f);
    if (is_fetched) {
        f.number = f.slot->number;
        attend(&f);
    }
    etg_collapse_unlock(collapse, stripe);
    if (!is_fetched) {
        return ETG_COLLAPSE_ALONE;
    }
    etg_collapse_add(collapse, ETG_COLLAPSE_FOLLOWED);
    return follow(collapse, &f);
}

void etg_collapse_finish(etg_collapse *collapse, etg_collapse_ticket *ticket,
                         etg_collapse_outcome outcome,
                         apr_interval_time_t remember)
{
    static const etg_collapse_end ends[] = {
        [ETG_COLLAPSE_STORED] = ETG_COLLAPSE_END_STORED,
        [ETG_COLLAPSE_NOT_STORED] = ETG_COLLAPSE_END_NOT_STORED,
        [ETG_COLLAPSE_NOT_SHAREABLE] = ETG_COLLAPSE_END_NOT_SHAREABLE
    };
    etg_collapse_slot *slot;
    apr_uint64_t halves[2];
    etg_store_key key;

    if (!is_valid(collapse, ticket)) {
        return;
    }
    slot = &collapse->slots[ticket->slot];
    /* Copied while it is surely ours; used only if it still was at the end. */
    halves[0] = __atomic_load_n(&slot->key[0], __ATOMIC_RELAXED);
    halves[1] = __atomic_load_n(&slot->key[1], __ATOMIC_RELAXED);
    if (etg_collapse_end_fetch(slot, ticket->number, ends[outcome])) {
        if (outcome == ETG_COLLAPSE_NOT_SHAREABLE) {
            memcpy(key.bytes, halves, sizeof(key.bytes));
            etg_collapse_remember(collapse, &key,
                                  apr_time_now() + remember);
        }
        etg_collapse_wake(slot, ticket->number);
    }
    ticket->number = 0;
}

unsigned etg_collapse_followers(etg_collapse *collapse,
                                const etg_collapse_ticket *ticket)
{
    const etg_collapse_slot *slot;
    apr_uint64_t followers;

    if (!is_valid(collapse, ticket)) {
        return 0;
    }
    slot = &collapse->slots[ticket->slot];
    if (etg_collapse_ended(slot, ticket->number) != ETG_COLLAPSE_OPEN) {
        return 0;                    /* who took it over is still counted */
    }
    followers = __atomic_load_n(&slot->followers, __ATOMIC_SEQ_CST);
    return followers >> 20 == ticket->number ? followers & 0xfffff : 0;
}

static int is_valid(etg_collapse *collapse,
                    const etg_collapse_ticket *ticket)
{
    return ticket->number != 0 && ticket->slot < collapse->header->slots;
}

static etg_collapse_role role_of(etg_collapse *collapse, step what)
{
    switch (what) {
    case STEP_LEAD:
        etg_collapse_add(collapse, ETG_COLLAPSE_LED);
        return ETG_COLLAPSE_LEAD;
    case STEP_FAILED:
        return ETG_COLLAPSE_FAILED;
    default:
        etg_collapse_add(collapse, ETG_COLLAPSE_WENT_ALONE);
        return ETG_COLLAPSE_ALONE;
    }
}

static step enter(etg_collapse *collapse, const apr_uint64_t halves[2],
                  following *f)
{
    unsigned stripe = (halves[1] & collapse->buckets_mask)
                    % ETG_COLLAPSE_STRIPES;
    step what;

    if (!etg_collapse_lock(collapse, stripe)) {
        return STEP_ALONE;
    }
    what = enter_locked(collapse, halves, f);
    if (what == STEP_ALONE) {
        /* Before it is said to be full, the fetches of the dead end. */
        etg_collapse_sweep(collapse, stripe, NULL);
        what = enter_locked(collapse, halves, f);
        if (what == STEP_ALONE) {
            etg_collapse_add(collapse, ETG_COLLAPSE_FULL);
        }
    }
    etg_collapse_unlock(collapse, stripe);
    return what;
}

static step enter_locked(etg_collapse *collapse,
                         const apr_uint64_t halves[2], following *f)
{
    if (find_key(collapse, halves, f)) {
        f->number = f->slot->number;
        attend(f);
        return STEP_FOLLOW;
    }
    if (find_free(collapse, halves, f)) {
        __atomic_store_n(&f->slot->key[0], halves[0], __ATOMIC_RELAXED);
        __atomic_store_n(&f->slot->key[1], halves[1], __ATOMIC_RELAXED);
        lead(collapse, f);
        return STEP_LEAD;
    }
    return STEP_ALONE;
}

static int find_key(etg_collapse *collapse, const apr_uint64_t halves[2],
                    following *f)
{
    apr_uint32_t first = (halves[1] & collapse->buckets_mask)
                       * ETG_COLLAPSE_WAYS;
    apr_uint32_t i;

    for (i = first; i < first + ETG_COLLAPSE_WAYS; i++) {
        etg_collapse_slot *slot = &collapse->slots[i];

        if (__atomic_load_n(&slot->key[0], __ATOMIC_RELAXED) == halves[0]
            && __atomic_load_n(&slot->key[1], __ATOMIC_RELAXED) == halves[1]
            && etg_collapse_is_open(slot)) {
            f->slot = slot;
            f->index = i;
            return 1;
        }
    }
    return 0;
}

/* The free slot that was used least: an ended fetch stays readable long. */
static int find_free(etg_collapse *collapse, const apr_uint64_t halves[2],
                     following *f)
{
    apr_uint32_t first = (halves[1] & collapse->buckets_mask)
                       * ETG_COLLAPSE_WAYS;
    apr_uint32_t i;

    f->slot = NULL;
    for (i = first; i < first + ETG_COLLAPSE_WAYS; i++) {
        etg_collapse_slot *slot = &collapse->slots[i];

        if ((f->slot == NULL || slot->number < f->slot->number)
            && !etg_collapse_is_open(slot)) {
            f->slot = slot;
            f->index = i;
        }
    }
    return f->slot != NULL;
}

/* This process leads the slot's next fetch. The lock is held, the key set
 * and the fetch before ended; with `number` the new one begins. */
static void lead(etg_collapse *collapse, following *f)
{
    etg_collapse_slot *slot = f->slot;

    f->number = slot->number + 1;
    slot->leader_pid = collapse->self.pid;
    slot->leader_start = collapse->self.start;
    __atomic_store_n(&slot->number, f->number, __ATOMIC_RELEASE);
}

/* Follows the slot's fetch f->number, its latest. The lock is held. */
static void attend(following *f)
{
    f->leader = etg_collapse_leader(f->slot);
    if (f->wait > 0) {
        count_in(f->slot, f->number);
    }
}

/* `seen` is read before the outcome, so that an end in between cuts the
 * sleep short. */
static etg_collapse_role follow(etg_collapse *collapse, following *f)
{
    step what = STEP_FOLLOW;

    f->deadline = etg_collapse_clock() + f->wait;
    while (what == STEP_FOLLOW) {
        apr_uint32_t seen = __atomic_load_n(&f->slot->word,
                                            __ATOMIC_SEQ_CST);

        switch (etg_collapse_ended(f->slot, f->number)) {
        case ETG_COLLAPSE_OPEN:
            what = watch(collapse, f, seen);
            break;
        case ETG_COLLAPSE_END_TAKEN_OVER:
            what = move_on(collapse, f);
            break;
        case ETG_COLLAPSE_END_STORED:
            count_out(f->slot, f->number);
            return ETG_COLLAPSE_DONE;
        case ETG_COLLAPSE_END_NOT_SHAREABLE:
            count_out(f->slot, f->number);
            return ETG_COLLAPSE_UNCACHEABLE;
        default:
            what = STEP_FAILED;
        }
    }
    if (what != STEP_LEAD) {
        count_out(f->slot, f->number);
    }
    return what == STEP_ALONE && f->never_leads
        ? ETG_COLLAPSE_ALONE : role_of(collapse, what);
}

static step watch(etg_collapse *collapse, following *f, apr_uint32_t seen)
{
    apr_time_t now = etg_collapse_clock();

    if (f->is_over != NULL && f->is_over(f->baton)) {
        return STEP_ALONE;
    }
    if (!etg_collapse_is_alive(collapse, f->leader)) {
        return f->never_leads ? STEP_FAILED : take_over(collapse, f);
    }
    if (now < f->deadline) {
        etg_collapse_sleep(&f->slot->word, seen, f->deadline - now);
        return STEP_FOLLOW;
    }
    return f->extended ? STEP_ALONE : take_over(collapse, f);
}

/* STEP_FOLLOW: the fetch has ended meanwhile; look how. */
static step take_over(etg_collapse *collapse, following *f)
{
    unsigned stripe = etg_collapse_stripe_of(f->index);
    int ended;

    if (!etg_collapse_lock(collapse, stripe)) {
        return STEP_ALONE;
    }
    ended = etg_collapse_end_fetch(f->slot, f->number,
                                   ETG_COLLAPSE_END_TAKEN_OVER);
    if (ended) {
        lead(collapse, f);
    }
    etg_collapse_unlock(collapse, stripe);
    if (!ended) {
        return STEP_FOLLOW;
    }
    etg_collapse_wake(f->slot, f->number - 1);
    etg_collapse_add(collapse, ETG_COLLAPSE_TAKEN_OVER);
    return STEP_LEAD;
}

/* From a fetch that was taken over to the one that did. If that has ended
 * as well, its outcome says how to go on. STEP_FAILED: whoever took over
 * died before it began. */
static step move_on(etg_collapse *collapse, following *f)
{
    unsigned stripe = etg_collapse_stripe_of(f->index);
    step what = STEP_FAILED;

    if (!f->extended) {
        f->extended = 1;
        f->deadline = etg_collapse_clock() + f->wait;
    }
    if (!etg_collapse_lock(collapse, stripe)) {
        return STEP_ALONE;
    }
    if (f->slot->number > f->number) {
        f->number++;
        if (f->slot->number == f->number) {
            attend(f);
        }
        what = STEP_FOLLOW;
    }
    etg_collapse_unlock(collapse, stripe);
    return what;
}

/* The count belongs to a fetch, so what a killed follower leaves behind
 * ends with that fetch. */
static void count_in(etg_collapse_slot *slot, apr_uint64_t number)
{
    apr_uint64_t before = __atomic_load_n(&slot->followers, __ATOMIC_SEQ_CST);
    apr_uint64_t after;

    do {
        after = before >> 20 == number ? before + 1 : (number << 20) + 1;
    } while (!__atomic_compare_exchange_n(&slot->followers, &before, after, 0,
                                          __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
}

static void count_out(etg_collapse_slot *slot, apr_uint64_t number)
{
    apr_uint64_t before = __atomic_load_n(&slot->followers, __ATOMIC_SEQ_CST);

    while (before >> 20 == number && (before & 0xfffff) > 0
           && !__atomic_compare_exchange_n(&slot->followers, &before,
                                           before - 1, 0, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST)) {
    }
}
