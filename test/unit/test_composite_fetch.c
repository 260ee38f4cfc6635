/* SPDX-License-Identifier: Apache-2.0 */
/* test_composite_fetch.c: several asks at once: what is there, what is late,
 * who lets go last. The internal request is ours: targets are "/stand", which
 * waits until the gate is open, "/hang", which waits until it is cancelled,
 * "/fail", and the count of bytes to send. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>

#include "lib/steady_clock.h"
#include "modules/composite/composite_fetch.h"

#define LONG_TIME apr_time_from_sec(60)
#define PARTS 3

/* What the asked and tests tell each other. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int is_open;
    int begun;
    int ended;
    int refused;                  /* bytes that nobody took */
    int cancelled;
    int spared;                 /* leaders were */
} board = { .lock = PTHREAD_MUTEX_INITIALIZER,
            .change = PTHREAD_COND_INITIALIZER };

static apr_pool_t *pool;
static etg_workers *workers;
static apr_allocator_t *memory;

static void count(int *counter)
{
    pthread_mutex_lock(&board.lock);
    (*counter)++;
    pthread_cond_broadcast(&board.change);
    pthread_mutex_unlock(&board.lock);
}

static void wait_for(const int *counter, int least)
{
    pthread_mutex_lock(&board.lock);
    while (*counter < least) {
        pthread_cond_wait(&board.change, &board.lock);
    }
    pthread_mutex_unlock(&board.lock);
}

static apr_status_t send_bytes(const etg_internal_ask *ask, int length)
{
    char bytes[1000];

    memset(bytes, 'x', sizeof(bytes));
    while (length > 0) {
        int part = length < 1000 ? length : 1000;

        if (ask->take(ask->take_baton, bytes, (apr_size_t)part)
            != APR_SUCCESS) {
            count(&board.refused);
            return APR_ECONNABORTED;
        }
        length -= part;
    }
    return APR_SUCCESS;
}

/* In place of glue's. */
void etg_internal_cancel(etg_internal *internal, int *owner)
{
    (void)internal;
    __atomic_store_n(owner, 1, __ATOMIC_RELEASE);
    count(&board.cancelled);
}

void etg_internal_cancel_but_leaders(etg_internal *internal, int *owner)
{
    (void)internal;
    __atomic_store_n(owner, 1, __ATOMIC_RELEASE);
    count(&board.spared);
}

static void wait_for_cancel(const int *owner)
{
    pthread_mutex_lock(&board.lock);
    while (!__atomic_load_n(owner, __ATOMIC_ACQUIRE)) {
        pthread_cond_wait(&board.change, &board.lock);
    }
    pthread_mutex_unlock(&board.lock);
}

/* Likewise. */
apr_status_t etg_internal_request(etg_internal *internal,
                                  const etg_internal_ask *ask, apr_pool_t *p,
                                  etg_internal_answer *answer)
{
    apr_status_t rv;

    (void)internal;
    count(&board.begun);
    if (strcmp(ask->target, "/stand") == 0) {
        wait_for(&board.is_open, 1);
    }
    if (strcmp(ask->target, "/hang") == 0) {
        wait_for_cancel(ask->owner);
        count(&board.ended);
        return APR_ECONNABORTED;
    }
    rv = send_bytes(ask, strcmp(ask->target, "/stand") == 0
                         ? 10 : atoi(ask->target + 1));
    if (rv == APR_SUCCESS) {
        answer->status = strcmp(ask->target, "/fail") == 0 ? 500 : 200;
        answer->fields = apr_table_make(p, 1);
        apr_table_set(answer->fields, "Target", ask->target);
        answer->is_whole = 1;
    }
    count(&board.ended);
    return rv;
}

static void set_up(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    ck_assert_int_eq(etg_composite_memory_make(&memory), APR_SUCCESS);
    board.is_open = board.begun = board.ended = board.refused = 0;
    board.cancelled = 0;
    board.spared = 0;
    ck_assert_int_eq(etg_workers_create(&workers, 8, 64, pool), APR_SUCCESS);
}

static void tear_down(void)
{
    count(&board.is_open);
    ck_assert_int_eq(etg_workers_stop(workers, LONG_TIME), 0);
    apr_pool_destroy(pool);
    apr_terminate();
}

static int fails(void *baton, unsigned place,
                 const etg_composite_result *result)
{
    (void)baton;
    (void)place;
    return result->outcome != ETG_COMPOSITE_ANSWERED || result->status != 200;
}

static int never(void *baton, unsigned place,
                 const etg_composite_result *result)
{
    (void)baton;
    (void)place;
    (void)result;
    return 0;
}

static int stays(void *baton)
{
    (void)baton;
    return 0;
}

static int left(void *baton)
{
    (void)baton;
    return 1;
}

static etg_composite_gathering *make(apr_pool_t *p, apr_uint64_t room)
{
    etg_composite_gathering *gathering;

    ck_assert_int_eq(etg_composite_gathering_make(&gathering, PARTS, room,
                                                  memory, p), APR_SUCCESS);
    return gathering;
}

static void send_for(etg_composite_gathering *gathering, unsigned place,
                     const char *target, apr_interval_time_t time)
{
    etg_internal_ask ask = { .target = target };

    etg_composite_gathering_send(gathering, place, &ask,
                                 etg_steady_now() + time, NULL, workers);
}

static etg_composite_outcome outcome(const etg_composite_gathering *gathering,
                                     unsigned place)
{
    return etg_composite_gathering_result(gathering, place)->outcome;
}

START_TEST(all_answers_are_there_with_their_bodies)
{
    etg_composite_gathering *gathering = make(pool, 100000);
    const etg_composite_result *result;

    send_for(gathering, 0, "/0", LONG_TIME);
    send_for(gathering, 2, "/25000", LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, fails, stays,
                                                  NULL),
                     ETG_COMPOSITE_ALL_ENDED);
    ck_assert_int_eq(outcome(gathering, 1), ETG_COMPOSITE_UNASKED);
    result = etg_composite_gathering_result(gathering, 0);
    ck_assert_ptr_null(result->body.data);
    result = etg_composite_gathering_result(gathering, 2);
    ck_assert_int_eq(result->outcome, ETG_COMPOSITE_ANSWERED);
    ck_assert_uint_eq(result->body.length, 25000);
    ck_assert_int_eq(result->body.data[24999], 'x');
    ck_assert_str_eq(apr_table_get(result->fields, "Target"), "/25000");
}
END_TEST

START_TEST(a_fatal_one_ends_the_waiting)
{
    etg_composite_gathering *gathering = make(pool, 100000);

    send_for(gathering, 0, "/stand", LONG_TIME);
    send_for(gathering, 1, "/fail", LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, fails, stays,
                                                  NULL), 1);
    ck_assert_int_eq(outcome(gathering, 0), ETG_COMPOSITE_LATE);
    ck_assert_int_eq(board.cancelled, 0);
    ck_assert_int_ge(board.spared, 1);
}
END_TEST

START_TEST(a_late_one_is_given_up_alone)
{
    etg_composite_gathering *gathering = make(pool, 100000);

    send_for(gathering, 0, "/stand", APR_TIME_C(1000));
    send_for(gathering, 1, "/10", LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, never, stays,
                                                  NULL),
                     ETG_COMPOSITE_ALL_ENDED);
    ck_assert_int_eq(outcome(gathering, 0), ETG_COMPOSITE_LATE);
    ck_assert_int_eq(outcome(gathering, 1), ETG_COMPOSITE_ANSWERED);
}
END_TEST

START_TEST(whatever_is_given_up_is_cancelled)
{
    etg_composite_gathering *gathering = make(pool, 100000);

    send_for(gathering, 0, "/hang", LONG_TIME);
    send_for(gathering, 1, "/hang", LONG_TIME);
    send_for(gathering, 2, "/fail", LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, fails, stays,
                                                  NULL), 2);
    wait_for(&board.ended, board.begun);
    gathering = make(pool, 100000);
    send_for(gathering, 0, "/hang", LONG_TIME);
    etg_composite_gathering_wait(gathering, never, left, NULL);
    wait_for(&board.ended, board.begun);
}
END_TEST

START_TEST(what_has_ended_is_not_cancelled)
{
    apr_pool_t *request;
    etg_composite_gathering *gathering;

    apr_pool_create(&request, pool);
    gathering = make(request, 100000);
    send_for(gathering, 0, "/10", LONG_TIME);
    etg_composite_gathering_wait(gathering, fails, stays, NULL);
    ck_assert_int_eq(board.cancelled, 0);
    apr_pool_destroy(request);
}
END_TEST

START_TEST(what_runs_is_cancelled_when_the_request_ends)
{
    apr_pool_t *request;
    etg_composite_gathering *gathering;

    apr_pool_create(&request, pool);
    gathering = make(request, 100000);
    send_for(gathering, 0, "/hang", LONG_TIME);
    wait_for(&board.begun, 1);
    apr_pool_destroy(request);
    wait_for(&board.ended, 1);
}
END_TEST

/* Under a sanitizer this is where a use after free shows. */
START_TEST(what_comes_when_nobody_waits_is_dropped)
{
    apr_pool_t *request;
    etg_composite_gathering *gathering;

    apr_pool_create(&request, pool);
    gathering = make(request, 100000);
    send_for(gathering, 0, "/stand", LONG_TIME);
    send_for(gathering, 1, "/stand", LONG_TIME);
    wait_for(&board.begun, 2);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, never, left,
                                                  NULL), ETG_COMPOSITE_GONE);
    apr_pool_destroy(request);
    count(&board.is_open);
    wait_for(&board.ended, 2);
}
END_TEST

START_TEST(nobody_takes_bytes_that_nobody_waits_for)
{
    etg_composite_gathering *gathering = make(pool, 100000);

    send_for(gathering, 0, "/stand", LONG_TIME);
    wait_for(&board.begun, 1);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, never, left,
                                                  NULL),
                     ETG_COMPOSITE_GONE);
    count(&board.is_open);
    wait_for(&board.ended, 1);
    ck_assert_int_eq(board.refused, 1);
    ck_assert_int_eq(outcome(gathering, 0), ETG_COMPOSITE_LATE);
}
END_TEST

START_TEST(behind_a_fatal_one_bytes_are_taken_for_the_cache)
{
    etg_composite_gathering *gathering = make(pool, 100000);

    send_for(gathering, 0, "/fail", LONG_TIME);
    send_for(gathering, 1, "/stand", LONG_TIME);
    wait_for(&board.begun, 2);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, fails, stays,
                                                  NULL), 0);
    count(&board.is_open);
    wait_for(&board.ended, 2);
    ck_assert_int_eq(board.refused, 0);
    ck_assert_int_eq(outcome(gathering, 1), ETG_COMPOSITE_LATE);
    ck_assert_ptr_null(etg_composite_gathering_result(gathering,
                                                      1)->body.data);
}
END_TEST

START_TEST(bodies_together_have_a_limit)
{
    etg_composite_gathering *gathering = make(pool, 1999);

    send_for(gathering, 0, "/1000", LONG_TIME);
    send_for(gathering, 1, "/1000", LONG_TIME);
    etg_composite_gathering_wait(gathering, never, stays, NULL);
    ck_assert_int_eq(outcome(gathering, 0) + outcome(gathering, 1),
                     ETG_COMPOSITE_ANSWERED + ETG_COMPOSITE_TOO_LONG);
    gathering = make(pool, 2000);
    send_for(gathering, 0, "/1000", LONG_TIME);
    send_for(gathering, 1, "/1000", LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, fails, stays,
                                                  NULL),
                     ETG_COMPOSITE_ALL_ENDED);
}
END_TEST

START_TEST(without_threads_all_is_dropped_at_once)
{
    etg_composite_gathering *gathering = make(pool, 1000);

    etg_workers_stop(workers, LONG_TIME);
    send_for(gathering, 0, "/1", LONG_TIME);
    send_for(gathering, 1, "/1", LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, never, stays,
                                                  NULL),
                     ETG_COMPOSITE_ALL_ENDED);
    ck_assert_int_eq(outcome(gathering, 0), ETG_COMPOSITE_DROPPED);
    ck_assert_int_eq(outcome(gathering, 1), ETG_COMPOSITE_DROPPED);
}
END_TEST

/* As prefork has it: by whoever waits. */
static void send_in_turn(etg_composite_gathering *gathering, unsigned place,
                         const char *target, apr_interval_time_t limit,
                         apr_interval_time_t time)
{
    etg_internal_ask ask = { .target = target, .limit = limit };

    etg_composite_gathering_send(gathering, place, &ask,
                                 etg_steady_now() + time, NULL, NULL);
}

START_TEST(without_workers_who_waits_asks_for_one_after_another)
{
    etg_composite_gathering *gathering = make(pool, 1000);

    send_in_turn(gathering, 0, "/1", 0, LONG_TIME);
    send_in_turn(gathering, 2, "/2", 0, LONG_TIME);
    ck_assert_int_eq(board.begun, 0);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, fails, stays,
                                                  NULL),
                     ETG_COMPOSITE_ALL_ENDED);
    ck_assert_int_eq(board.ended, 2);
    ck_assert_int_eq(outcome(gathering, 1), ETG_COMPOSITE_UNASKED);
    ck_assert_uint_eq(etg_composite_gathering_result(gathering, 2)
                      ->body.length, 2);
}
END_TEST

START_TEST(in_turn_a_fatal_one_ends_it)
{
    etg_composite_gathering *gathering = make(pool, 1000);

    send_in_turn(gathering, 0, "/1", 0, LONG_TIME);
    send_in_turn(gathering, 1, "/fail", 0, LONG_TIME);
    send_in_turn(gathering, 2, "/1", 0, LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, fails, stays,
                                                  NULL), 1);
    ck_assert_int_eq(board.begun, 2);
    ck_assert_int_eq(outcome(gathering, 0), ETG_COMPOSITE_ANSWERED);
    ck_assert_int_eq(outcome(gathering, 2), ETG_COMPOSITE_LATE);
}
END_TEST

START_TEST(in_turn_a_late_one_is_not_asked_for)
{
    etg_composite_gathering *gathering = make(pool, 1000);

    send_in_turn(gathering, 0, "/1", 0, 0);
    send_in_turn(gathering, 1, "/2", LONG_TIME, 0);
    send_in_turn(gathering, 2, "/3", LONG_TIME, LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, never, stays,
                                                  NULL),
                     ETG_COMPOSITE_ALL_ENDED);
    ck_assert_int_eq(board.begun, 1);
    ck_assert_int_eq(outcome(gathering, 0), ETG_COMPOSITE_LATE);
    ck_assert_int_eq(outcome(gathering, 1), ETG_COMPOSITE_LATE);
    ck_assert_int_eq(outcome(gathering, 2), ETG_COMPOSITE_ANSWERED);
}
END_TEST

START_TEST(in_turn_nobody_is_asked_for_one_who_has_left)
{
    etg_composite_gathering *gathering = make(pool, 1000);

    send_in_turn(gathering, 0, "/1", 0, LONG_TIME);
    ck_assert_int_eq(etg_composite_gathering_wait(gathering, never, left,
                                                  NULL), ETG_COMPOSITE_GONE);
    ck_assert_int_eq(board.begun, 0);
}
END_TEST

static int is_ours(etg_bytes body)
{
    for (apr_size_t n = 0; n < body.length; n++) {
        if (body.data[n] != 'x') {
            return 0;
        }
    }
    return 1;
}

/* One of many at once: each with parts that are late by chance. */
static void *ask_often(void *data)
{
    unsigned seed = (unsigned)(apr_uintptr_t)data;

    for (int turn = 0; turn < 200; turn++) {
        apr_pool_t *request;
        etg_composite_gathering *gathering;

        apr_pool_create_unmanaged_ex(&request, NULL, NULL);
        gathering = make(request, 60000);
        for (unsigned i = 0; i < PARTS; i++) {
            send_for(gathering, i,
                     apr_itoa(etg_composite_gathering_pool(gathering),
                              -(rand_r(&seed) % 30000)), rand_r(&seed) % 300);
        }
        etg_composite_gathering_wait(gathering,
                                     rand_r(&seed) % 2 ? fails : never,
                                     rand_r(&seed) % 5 ? stays : left, NULL);
        for (unsigned i = 0; i < PARTS; i++) {
            const etg_composite_result *result
                = etg_composite_gathering_result(gathering, i);

            ck_assert_int_ne(result->outcome, ETG_COMPOSITE_PENDING);
            ck_assert(is_ours(result->body));
        }
        apr_pool_destroy(request);
    }
    return NULL;
}

START_TEST(many_at_once_keep_what_is_theirs)
{
    pthread_t threads[6];

    for (apr_uintptr_t i = 0; i < 6; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often,
                                        (void *)(i + 1)), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("composite_fetch");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, all_answers_are_there_with_their_bodies);
    tcase_add_test(tests, a_fatal_one_ends_the_waiting);
    tcase_add_test(tests, a_late_one_is_given_up_alone);
    tcase_add_test(tests, whatever_is_given_up_is_cancelled);
    tcase_add_test(tests, what_has_ended_is_not_cancelled);
    tcase_add_test(tests, what_runs_is_cancelled_when_the_request_ends);
    tcase_add_test(tests, what_comes_when_nobody_waits_is_dropped);
    tcase_add_test(tests, nobody_takes_bytes_that_nobody_waits_for);
    tcase_add_test(tests, behind_a_fatal_one_bytes_are_taken_for_the_cache);
    tcase_add_test(tests, bodies_together_have_a_limit);
    tcase_add_test(tests, without_threads_all_is_dropped_at_once);
    tcase_add_test(tests,
                   without_workers_who_waits_asks_for_one_after_another);
    tcase_add_test(tests, in_turn_a_fatal_one_ends_it);
    tcase_add_test(tests, in_turn_a_late_one_is_not_asked_for);
    tcase_add_test(tests, in_turn_nobody_is_asked_for_one_who_has_left);
    tcase_add_test(tests, many_at_once_keep_what_is_theirs);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
