/* SPDX-License-Identifier: Apache-2.0 */
/* test_workers.c: jobs are done once or dropped once; the end is in time. */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <check.h>

#include "lib/workers.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define MILLISECOND APR_TIME_C(1000)
#define SECOND APR_USEC_PER_SEC

/* What jobs and tests tell each other. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int is_open;                  /* gated jobs may end */
    int begun;
    int done;
    int gone;                     /* pools */
    int order[64];
    int signals_blocked;
} board = { .lock = PTHREAD_MUTEX_INITIALIZER,
            .change = PTHREAD_COND_INITIALIZER };

static etg_workers *workers;

static void set_up(void)
{
    open_pool();
    pthread_mutex_lock(&board.lock);
    board.is_open = board.begun = board.done = board.gone = 0;
    pthread_mutex_unlock(&board.lock);
}

static void open_gate(void)
{
    pthread_mutex_lock(&board.lock);
    board.is_open = 1;
    pthread_cond_broadcast(&board.change);
    pthread_mutex_unlock(&board.lock);
}

static void tear_down(void)
{
    open_gate();
    close_pool();
}

static void add(int *counter)
{
    pthread_mutex_lock(&board.lock);
    (*counter)++;
    pthread_cond_broadcast(&board.change);
    pthread_mutex_unlock(&board.lock);
}

static int value(const int *counter)
{
    int now;

    pthread_mutex_lock(&board.lock);
    now = *counter;
    pthread_mutex_unlock(&board.lock);
    return now;
}

/* Until *counter is `wanted`, or ten seconds. */
static void await(const int *counter, int wanted)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&board.lock);
    while (*counter < wanted
           && pthread_cond_timedwait(&board.change, &board.lock, &until)
                  == 0) {
    }
    ck_assert_int_eq(*counter, wanted);
    pthread_mutex_unlock(&board.lock);
}

static void simple(void *baton, apr_pool_t *p)
{
    (void)baton;
    ck_assert_ptr_nonnull(apr_palloc(p, 100000));
    add(&board.done);
}

static void gated(void *baton, apr_pool_t *p)
{
    (void)p;
    pthread_mutex_lock(&board.lock);
    board.order[board.begun++] = baton != NULL ? *(int *)baton : 0;
    pthread_cond_broadcast(&board.change);
    while (!board.is_open) {
        pthread_cond_wait(&board.change, &board.lock);
    }
    board.done++;
    pthread_cond_broadcast(&board.change);
    pthread_mutex_unlock(&board.lock);
}

static void see_signals(void *baton, apr_pool_t *p)
{
    sigset_t blocked;

    (void)baton;
    (void)p;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    pthread_mutex_lock(&board.lock);
    board.signals_blocked = sigismember(&blocked, SIGTERM)
        && sigismember(&blocked, SIGUSR1) && sigismember(&blocked, SIGHUP);
    pthread_mutex_unlock(&board.lock);
    add(&board.done);
}

static apr_status_t pool_goes(void *data)
{
    (void)data;
    add(&board.gone);
    return APR_SUCCESS;
}

static apr_pool_t *job_pool(void)
{
    apr_pool_t *p;

    ck_assert_int_eq(etg_job_pool_create(&p, "test-job"), APR_SUCCESS);
    apr_pool_cleanup_register(p, NULL, pool_goes, apr_pool_cleanup_null);
    return p;
}

static apr_status_t submit(etg_work *run, void *baton)
{
    return etg_workers_submit(workers, job_pool(), run, baton);
}

static apr_uint64_t counter(const char *name)
{
    apr_array_header_t *rows = etg_workers_counters(workers, pool);

    for (int i = 0; i < rows->nelts; i++) {
        etg_store_counter *row = &APR_ARRAY_IDX(rows, i, etg_store_counter);

        if (!strcmp(row->name, name)) {
            return row->value;
        }
    }
    ck_abort_msg("no counter %s", name);
    return 0;
}

static void create(unsigned threads, unsigned queue)
{
    ck_assert_int_eq(etg_workers_create(&workers, threads, queue, pool),
                     APR_SUCCESS);
}

START_TEST(test_numbers_out_of_range_are_refused)
{
    ck_assert_int_eq(etg_workers_create(&workers, 0, 1, pool), APR_EINVAL);
    ck_assert_int_eq(etg_workers_create(&workers, 65, 1, pool), APR_EINVAL);
    ck_assert_int_eq(etg_workers_create(&workers, 1, 0, pool), APR_EINVAL);
    ck_assert_int_eq(etg_workers_create(&workers, 1, 65537, pool),
                     APR_EINVAL);
    create(64, 65536);
}
END_TEST

START_TEST(test_no_thread_is_started_before_there_is_work)
{
    create(4, 10);
    ck_assert_uint_eq(counter("threads"), 0);
    ck_assert_int_eq(submit(simple, NULL), APR_SUCCESS);
    await(&board.gone, 1);
    ck_assert_uint_eq(counter("threads"), 1);
    ck_assert_int_eq(value(&board.done), 1);
}
END_TEST

START_TEST(test_each_job_is_done_once_and_its_pool_goes)
{
    create(4, 1000);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(submit(simple, NULL), APR_SUCCESS);
    }
    await(&board.gone, 1000);
    ck_assert_int_eq(value(&board.done), 1000);
    ck_assert_int_eq(etg_workers_stop(workers, SECOND), 0);
    ck_assert_uint_eq(counter("done"), 1000);
    ck_assert_uint_eq(counter("dropped"), 0);
}
END_TEST

START_TEST(test_as_many_jobs_run_at_once_as_there_are_threads)
{
    create(3, 10);
    for (int i = 0; i < 5; i++) {
        submit(gated, NULL);
    }
    await(&board.begun, 3);
    ck_assert_uint_eq(counter("threads"), 3);
    ck_assert_uint_eq(counter("running"), 3);
    ck_assert_uint_eq(counter("waiting"), 2);
    open_gate();
    await(&board.done, 5);
}
END_TEST

START_TEST(test_a_full_queue_drops_its_oldest)
{
    int numbers[] = { 0, 1, 2, 3, 4, 5 };

    create(1, 3);
    submit(gated, &numbers[0]);
    await(&board.begun, 1);
    for (int i = 1; i <= 5; i++) {
        ck_assert_int_eq(submit(gated, &numbers[i]), APR_SUCCESS);
    }
    ck_assert_int_eq(value(&board.gone), 2);     /* 1 and 2 */
    ck_assert_uint_eq(counter("dropped"), 2);
    ck_assert_uint_eq(counter("waiting"), 3);
    open_gate();
    await(&board.done, 4);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(board.order[i], i + 2);
    }
}
END_TEST

START_TEST(test_stopping_drops_what_waits_and_waits_for_what_runs)
{
    create(1, 10);
    submit(gated, NULL);
    await(&board.begun, 1);
    submit(gated, NULL);
    submit(gated, NULL);
    ck_assert(!etg_workers_are_stopping(workers));
    ck_assert_int_eq(etg_workers_stop(workers, 10 * MILLISECOND), 1);
    ck_assert(etg_workers_are_stopping(workers));
    ck_assert_int_eq(value(&board.gone), 2);
    open_gate();
    ck_assert_int_eq(etg_workers_stop(workers, 10 * SECOND), 0);
    ck_assert_int_eq(value(&board.done), 1);
    ck_assert_int_eq(value(&board.gone), 3);
    ck_assert_uint_eq(counter("dropped"), 2);
}
END_TEST

START_TEST(test_after_the_stop_a_job_is_dropped_and_said_so)
{
    create(2, 10);
    ck_assert_int_eq(etg_workers_stop(workers, SECOND), 0);
    ck_assert_int_eq(submit(simple, NULL), APR_EOF);
    ck_assert_int_eq(value(&board.gone), 1);
    ck_assert_int_eq(value(&board.done), 0);
}
END_TEST

START_TEST(test_the_pools_end_stops_them)
{
    apr_pool_t *child;

    apr_pool_create(&child, pool);
    ck_assert_int_eq(etg_workers_create(&workers, 2, 10, child), APR_SUCCESS);
    submit(simple, NULL);
    await(&board.gone, 1);
    apr_pool_destroy(child);
}
END_TEST

/* What a job uses lies in pools below the one that ends. */
START_TEST(test_the_pools_end_waits_before_its_children_go)
{
    apr_pool_t *parent, *child;

    apr_pool_create(&parent, pool);
    apr_pool_create(&child, parent);
    apr_pool_cleanup_register(child, NULL, pool_goes, apr_pool_cleanup_null);
    ck_assert_int_eq(etg_workers_create(&workers, 1, 10, parent),
                     APR_SUCCESS);
    submit(simple, NULL);
    await(&board.done, 1);
    apr_pool_destroy(parent);
    ck_assert_int_eq(value(&board.gone), 2);
}
END_TEST

START_TEST(test_a_job_that_does_not_end_does_not_hold_the_pools_end_up)
{
    apr_pool_t *child;
    apr_time_t began;

    apr_pool_create(&child, pool);
    ck_assert_int_eq(etg_workers_create(&workers, 1, 10, child), APR_SUCCESS);
    submit(gated, NULL);
    await(&board.begun, 1);
    began = apr_time_now();
    apr_pool_destroy(child);
    ck_assert_int_lt(apr_time_now() - began, 8 * SECOND);
    open_gate();
    await(&board.gone, 1);       /* and it may still end by itself */
    ck_assert_int_eq(etg_workers_stop(workers, 10 * SECOND), 0);
}
END_TEST

START_TEST(test_threads_get_no_signals)
{
    create(1, 10);
    submit(see_signals, NULL);
    await(&board.done, 1);
    ck_assert_int_eq(value(&board.signals_blocked), 1);
}
END_TEST

static void *submit_many(void *data)
{
    (void)data;
    for (int i = 0; i < 500; i++) {
        submit(simple, NULL);
    }
    return NULL;
}

START_TEST(test_many_threads_hand_over_while_it_is_stopped)
{
    pthread_t threads[4];

    create(4, 8);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, submit_many, NULL);
    }
    ck_assert_int_eq(etg_workers_stop(workers, 10 * SECOND), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    /* Done or dropped, no pool is left. */
    ck_assert_int_eq(value(&board.gone), 2000);
    ck_assert_int_eq((int)counter("done"), value(&board.done));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("workers");
    TCase *tests = tcase_create("workers");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_numbers_out_of_range_are_refused);
    tcase_add_test(tests, test_no_thread_is_started_before_there_is_work);
    tcase_add_test(tests, test_each_job_is_done_once_and_its_pool_goes);
    tcase_add_test(tests, test_as_many_jobs_run_at_once_as_there_are_threads);
    tcase_add_test(tests, test_a_full_queue_drops_its_oldest);
    tcase_add_test(tests,
                   test_stopping_drops_what_waits_and_waits_for_what_runs);
    tcase_add_test(tests, test_after_the_stop_a_job_is_dropped_and_said_so);
    tcase_add_test(tests, test_the_pools_end_stops_them);
    tcase_add_test(tests, test_the_pools_end_waits_before_its_children_go);
    tcase_add_test(tests,
        test_a_job_that_does_not_end_does_not_hold_the_pools_end_up);
    tcase_add_test(tests, test_threads_get_no_signals);
    tcase_add_test(tests, test_many_threads_hand_over_while_it_is_stopped);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
