/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_leases.c: two stores on one engine: what the one writes and
 * marks the other sees, and of those that ask for a lease one gets it. For
 * stores that other hosts share; the others pass.
 */
#include "conformance_cases.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define rig conformance_rig
#define tested conformance_tested->provider
#define CREW 8

static store_rig other;

static int other_begin(void)
{
    if (!conformance_tested->is_shared) {
        return 0;
    }
    rig_beside(&other, &rig, conformance_tested->query);
    rig_open(&other);
    return 1;
}

static void other_end(void)
{
    rig_close(&other);
    apr_pool_destroy(other.p);
    apr_pool_destroy(other.pconf);
}

static int leases_begin(void)
{
    return tested->lease_take != NULL && other_begin();
}

static etg_store_lease_state take(const store_rig *who, unsigned int n,
                                  etg_store_lease *lease)
{
    etg_store_key key = rig_key(n, 'p');
    etg_store_lease_state state = ETG_STORE_LEASE_HELD;
    ck_assert_int_eq(tested->lease_take(who->store, &key, lease, &state),
                     APR_SUCCESS);
    return state;
}

/* Asks until it is no longer held. */
typedef struct wish {
    const store_rig *who;
    unsigned int n;
    etg_store_lease_state unwanted;
    etg_store_lease lease;
    etg_store_lease_state state;
} wish;

static int is_answered(void *baton)
{
    wish *w = baton;
    w->state = take(w->who, w->n, &w->lease);
    return w->state != w->unwanted;
}

static wish get(const store_rig *who, unsigned int n,
                etg_store_lease_state unwanted)
{
    wish w = { who, n, unwanted, { { { 0 } }, 0 }, unwanted };
    ck_assert(rig_poll(is_answered, &w));
    return w;
}

static void time_passes(void)
{
    if (conformance_tested->pass_time != NULL) {
        conformance_tested->pass_time(rig.store, apr_time_from_sec(8));
    }
}

static void what_one_store_writes_the_other_finds(void)
{
    etg_store_answer answer = ETG_STORE_MISS;
    unsigned int version = 0;
    if (!other_begin()) {
        return;
    }
    ck_assert_int_eq(rig_body_put(&other, 1, 5000, NULL), APR_SUCCESS);
    ck_assert_int_eq(rig_body_put(&other, 2, 100000, NULL), APR_SUCCESS);
    ck_assert_int_eq(rig_put(&other, 1, 6, 330, WAIT), APR_SUCCESS);
    ck_assert_int_eq(rig_get(&rig, 1, &answer, &version), APR_SUCCESS);
    ck_assert_int_eq(answer, ETG_STORE_HIT);
    ck_assert_uint_eq(version, 6);
    ck_assert(rig_body_has(&rig, 1, 5000));
    rig_settle(&other);
    ck_assert(rig_body_has(&rig, 2, 100000));
    other_end();
}

static void what_one_store_marks_is_marked_in_the_other(void)
{
    static const etg_store_tag tag = 11;
    if (!other_begin()) {
        return;
    }
    for (unsigned int i = 0; i < 4; i++) {
        etg_store_found found;
        unsigned int moved;
        etg_store_mark kind = i % 2 == 0 ? ETG_STORE_MARK_SOFT
                                         : ETG_STORE_MARK_INVALID;
        etg_store_moment moment = rig_moment(&rig, 1);
        ck_assert_int_eq(rig_put_tagged(&rig, 1, 1, 200, WAIT, &moment, &tag,
                                        1), APR_SUCCESS);
        ck_assert_int_eq(tested->mark(other.store, &tag, i / 2, kind, WAIT,
                                      &moved), APR_SUCCESS);
        ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_SHARED, &found),
                         APR_SUCCESS);
        ck_assert_int_eq(found.answer, ETG_STORE_HIT);
        ck_assert_int_eq(found.mark, kind);
    }
    other_end();
}

static void a_lease_is_held_by_one(void)
{
    etg_store_lease lease = { { { 0 } }, 0 };
    etg_store_lease none = { { { 0 } }, 0 };
    if (!leases_begin()) {
        return;
    }
    ck_assert_int_eq(take(&rig, 1, &lease), ETG_STORE_LEASE_TAKEN);
    ck_assert(lease.token != 0);
    for (unsigned int i = 0; i < 3; i++) {
        ck_assert_int_eq(take(&other, 1, &none), ETG_STORE_LEASE_HELD);
        ck_assert_int_eq(take(&rig, 1, &none), ETG_STORE_LEASE_HELD);
    }
    ck_assert_int_eq(take(&other, 2, &none), ETG_STORE_LEASE_TAKEN);
    other_end();
}

static void a_released_lease_is_anothers(void)
{
    etg_store_lease lease = { { { 0 } }, 0 };
    if (!leases_begin()) {
        return;
    }
    ck_assert_int_eq(take(&rig, 1, &lease), ETG_STORE_LEASE_TAKEN);
    for (unsigned int i = 0; i < 5; i++) {
        tested->lease_release(rig.store, &lease, 0);
        ck_assert(lease.token == 0);
        wish theirs = get(&other, 1, ETG_STORE_LEASE_HELD);
        ck_assert_int_eq(theirs.state, ETG_STORE_LEASE_TAKEN);
        tested->lease_release(other.store, &theirs.lease, 0);
        wish ours = get(&rig, 1, ETG_STORE_LEASE_HELD);
        ck_assert_int_eq(ours.state, ETG_STORE_LEASE_TAKEN);
        lease = ours.lease;
    }
    other_end();
}

static void uncacheable_is_heard_and_forgotten(void)
{
    etg_store_lease lease = { { { 0 } }, 0 };
    if (!leases_begin()) {
        return;
    }
    ck_assert_int_eq(take(&rig, 1, &lease), ETG_STORE_LEASE_TAKEN);
    tested->lease_release(rig.store, &lease, 1);
    wish theirs = get(&other, 1, ETG_STORE_LEASE_HELD);
    ck_assert_int_eq(theirs.state, ETG_STORE_LEASE_UNCACHEABLE);
    time_passes();
    theirs = get(&other, 1, ETG_STORE_LEASE_UNCACHEABLE);
    ck_assert_int_eq(theirs.state, ETG_STORE_LEASE_TAKEN);
    other_end();
}

/* Who gets the lease finds what the last holder has written. */
static void a_lease_is_released_behind_earlier_writes(void)
{
    if (!leases_begin()) {
        return;
    }
    for (unsigned int i = 0; i < 50; i++) {
        etg_store_lease lease = { { { 0 } }, 0 };
        etg_store_found found;
        apr_size_t length = 2000 + i;
        ck_assert_int_eq(take(&rig, i, &lease), ETG_STORE_LEASE_TAKEN);
        ck_assert_int_eq(rig_body_put(&rig, i, length, NULL), APR_SUCCESS);
        apr_status_t rv = rig_put(&rig, i, i, 300, 0);
        ck_assert(rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv));
        tested->lease_release(rig.store, &lease, 0);
        wish theirs = get(&other, i, ETG_STORE_LEASE_HELD);
        ck_assert_int_eq(theirs.state, ETG_STORE_LEASE_TAKEN);
        ck_assert_int_eq(rig_look(&other, i, ETG_STORE_SHARED, &found),
                         APR_SUCCESS);
        ck_assert_int_eq(found.answer, ETG_STORE_HIT);
        ck_assert(rig_body_has(&other, i, length));
        tested->lease_release(other.store, &theirs.lease, 0);
    }
    other_end();
}

static void the_lease_of_a_host_that_is_gone_runs_out(void)
{
    etg_store_lease lease = { { { 0 } }, 0 };
    if (!leases_begin()) {
        return;
    }
    ck_assert_int_eq(take(&other, 1, &lease), ETG_STORE_LEASE_TAKEN);
    other_end();
    time_passes();
    wish ours = get(&rig, 1, ETG_STORE_LEASE_HELD);
    ck_assert_int_eq(ours.state, ETG_STORE_LEASE_TAKEN);
}

static atomic_uint taken[20];

static void *asker(void *data)
{
    const store_rig *who = data;
    for (unsigned int n = 0; n < 20; n++) {
        etg_store_lease lease;
        if (take(who, n, &lease) == ETG_STORE_LEASE_TAKEN) {
            taken[n]++;
        }
    }
    return NULL;
}

static void of_many_threads_one_takes_the_lease(void)
{
    pthread_t threads[CREW];
    if (!leases_begin()) {
        return;
    }
    for (unsigned int n = 0; n < 20; n++) {
        taken[n] = 0;          /* another subject of this process */
    }
    for (int i = 0; i < CREW; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, asker,
                                        i % 2 == 0 ? &rig : &other), 0);
    }
    for (int i = 0; i < CREW; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned int n = 0; n < 20; n++) {
        ck_assert_uint_eq(taken[n], 1);
    }
    other_end();
}

static const conformance_case cases[] = {
    CASE(what_one_store_writes_the_other_finds),
    CASE(what_one_store_marks_is_marked_in_the_other),
    CASE(a_lease_is_held_by_one),
    CASE(a_released_lease_is_anothers),
    CASE(uncacheable_is_heard_and_forgotten),
    CASE(a_lease_is_released_behind_earlier_writes),
    CASE(the_lease_of_a_host_that_is_gone_runs_out),
    CASE(of_many_threads_one_takes_the_lease)
};

const conformance_cases conformance_lease_cases = CASES(cases);
