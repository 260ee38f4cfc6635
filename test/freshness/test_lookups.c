/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups: who shares one, who waits how long, and what becomes of threads
 * that hang. With a source that answers when it is told to. */
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "freshness_lookup.h"
#include "lib/steady_clock.h"
#include "test/unit/run_suite.h"

#define LONG apr_time_from_sec(20)
#define SHORT apr_time_from_msec(50)
#define THREADS 3

static apr_pool_t *pool;
static etg_lookups *lookups;

/* The source: a look takes the value there is when it begins, and ends when
 * it is let go. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int value;
    int began;
    int held;                   /* looks wait */
    const char *held_text;      /* of the sources that do, or NULL: all */
    int waiting;
    int open;                   /* handles */
    int closed;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .moved = PTHREAD_COND_INITIALIZER };

static void *fake_open(const etg_source *source, apr_pool_t *p)
{
    (void)source;
    pthread_mutex_lock(&fake.lock);
    fake.open++;
    pthread_mutex_unlock(&fake.lock);
    return p;
}

static void fake_close(void *handle)
{
    (void)handle;
    fake.closed++;
}

static etg_source_outcome fake_look(void *handle, etg_source_look *look)
{
    char digits[20];

    (void)handle;
    pthread_mutex_lock(&fake.lock);
    apr_snprintf(digits, sizeof(digits), "%d", fake.value);
    fake.began++;
    pthread_cond_broadcast(&fake.moved);
    __atomic_add_fetch(&fake.waiting, 1, __ATOMIC_RELAXED);
    while (fake.held && (fake.held_text == NULL
                         || !strcmp(fake.held_text, look->source->text))) {
        pthread_cond_wait(&fake.moved, &fake.lock);
    }
    __atomic_sub_fetch(&fake.waiting, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&fake.lock);
    if (strcmp(look->source->text, "broken") == 0) {
        return etg_source_unknown(look, "it is broken");
    }
    if (strcmp(look->source->text, "empty") == 0) {
        return ETG_SOURCE_READ;
    }
    etg_data_digest_begin_member(look->builder);
    if (look->time_column != NULL) {
        digits[0] = look->time_column[0];
    }
    etg_data_digest_add_value(look->builder,
                              (etg_bytes){ (unsigned char *)digits,
                                           strlen(digits) });
    etg_data_digest_end_member(look->builder);
    return ETG_SOURCE_READ;
}

static const etg_source_kind fake_kind = {
    .open = fake_open, .look = fake_look, .close = fake_close
};
static const etg_source fake_source = {
    .kind = &fake_kind, .text = "", .shared = "fake"
};
static const etg_source empty_source = {
    .kind = &fake_kind, .text = "empty", .shared = "fake"
};
static const etg_source broken_source = {
    .kind = &fake_kind, .text = "broken", .shared = "fake"
};

static void hold(int is_held)
{
    pthread_mutex_lock(&fake.lock);
    fake.held = is_held;
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
}

static void set_value(int value)
{
    pthread_mutex_lock(&fake.lock);
    fake.value = value;
    pthread_mutex_unlock(&fake.lock);
}

static void hold_only(const char *text)
{
    fake.held_text = text;
    hold(1);
}

/* Looks that wait. */
static int held_now(void)
{
    return __atomic_load_n(&fake.waiting, __ATOMIC_RELAXED);
}

static void await_began(int count)
{
    pthread_mutex_lock(&fake.lock);
    while (fake.began < count) {
        pthread_cond_wait(&fake.moved, &fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
}

/* A request on a thread of its own. */
typedef struct request {
    pthread_t thread;
    char key[20];
    const etg_source *source;
    apr_interval_time_t budget;
    apr_interval_time_t share;
    apr_time_t arrived;
    etg_lookup_answer answer;
} request;

static void ask(request *of)
{
    etg_lookup_part part = { .source = of->source != NULL ? of->source
                                                          : &fake_source };
    etg_lookup_order order = {
        .key = { (unsigned char *)of->key, strlen(of->key) },
        .route = { (const unsigned char *)"/route", 6 },
        .parts = &part, .part_count = 1, .budget = of->budget,
        .share = of->share, .arrived = of->arrived
    };

    etg_lookup_ask(lookups, &order, &of->answer);
}

static void *ask_on(void *data)
{
    ask(data);
    return NULL;
}

static void begin(request *of)
{
    ck_assert_int_eq(pthread_create(&of->thread, NULL, ask_on, of), 0);
}

static void end(request *of)
{
    pthread_join(of->thread, NULL);
}

static etg_lookup_counts counted(void)
{
    etg_lookup_counts counts;

    etg_lookups_counts(lookups, &counts);
    return counts;
}

static void await_asked(unsigned count)
{
    while (counted().asked < count) {
        apr_thread_yield();
    }
}

static struct {
    int calls;
    unsigned count;
    char reason[ETG_LOOKUP_REASON];
    char route[20];
} logged;

static void log_it(void *baton, etg_bytes route, const char *reason,
                   unsigned count)
{
    (void)baton;
    apr_cpystrn(logged.route, (const char *)route.data, route.length + 1);
    logged.calls++;
    logged.count += count;
    apr_cpystrn(logged.reason, reason, sizeof(logged.reason));
}

static void setup(void)
{
    etg_lookup_settings settings = { THREADS, 8, log_it, NULL };

    fake.value = fake.began = fake.open = fake.closed = 0;
    fake.held_text = NULL;
    memset(&logged, 0, sizeof(logged));
    apr_pool_create(&pool, NULL);
    ck_assert_int_eq(etg_lookups_create(&lookups, &settings, pool),
                     APR_SUCCESS);
}

static void teardown(void)
{
    hold(0);
    apr_pool_destroy(pool);
    ck_assert_int_eq(fake.open, fake.closed);
}

static int same(const request *left, const request *right)
{
    ck_assert_int_eq(left->answer.outcome, ETG_SOURCE_READ);
    ck_assert_int_eq(right->answer.outcome, ETG_SOURCE_READ);
    return memcmp(left->answer.digest.sha256, right->answer.digest.sha256,
                  ETG_DATA_DIGEST_BYTES) == 0;
}

START_TEST(a_request_does_not_share_a_look_up_that_began_before_it)
{
    request first = { .key = "k", .budget = LONG };
    request second = { .key = "k", .budget = LONG };

    hold(1);
    begin(&first);
    await_began(1);
    set_value(1);
    begin(&second);
    await_began(2);
    hold(0);
    end(&first);
    end(&second);
    ck_assert(!same(&first, &second));
    ck_assert(!second.answer.is_shared);
}
END_TEST

START_TEST(requests_that_wait_for_a_thread_share_one_look_up)
{
    request busy[THREADS] = { 0 };
    request same_key[5] = { 0 };

    hold(1);
    for (int i = 0; i < THREADS; i++) {
        busy[i] = (request){ .key = { (char)('a' + i) }, .budget = LONG };
        begin(&busy[i]);
    }
    await_began(THREADS);
    for (int i = 0; i < 5; i++) {
        same_key[i] = (request){ .key = "k", .budget = LONG };
        begin(&same_key[i]);
    }
    await_asked(THREADS + 5);
    set_value(1);
    hold(0);
    for (int i = 0; i < 5; i++) {
        end(&same_key[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        end(&busy[i]);
    }
    ck_assert_int_eq(fake.began, THREADS + 1);
    ck_assert_int_eq(counted().shared, 4);
    ck_assert(same(&same_key[0], &same_key[4]));
    ck_assert(!same(&same_key[0], &busy[0]));
}
END_TEST

START_TEST(a_look_up_that_began_after_the_request_arrived_is_shared)
{
    request first = { .key = "k", .budget = LONG };
    request second = { .key = "k", .budget = LONG,
                       .arrived = etg_steady_now() - 1 };

    hold(1);
    begin(&first);
    await_began(1);
    begin(&second);
    await_asked(2);
    hold(0);
    end(&first);
    end(&second);
    ck_assert(second.answer.is_shared);
    ck_assert(same(&first, &second));
    ck_assert_int_eq(fake.began, 1);
}
END_TEST

START_TEST(share_lets_a_request_take_an_older_one_but_not_one_too_old)
{
    request first = { .key = "k", .budget = LONG, .share = LONG };
    request second = first, other = first, later = first;

    strcpy(other.key, "other");
    ask(&first);
    ask(&second);
    ask(&other);
    ck_assert(second.answer.is_shared);
    ck_assert(!other.answer.is_shared);
    later.arrived = etg_steady_now() + LONG + apr_time_from_sec(1);
    ask(&later);
    ck_assert(!later.answer.is_shared);
    second.share = 0;
    second.arrived = etg_steady_now() + 1;
    ask(&second);
    ck_assert(!second.answer.is_shared);
}
END_TEST

START_TEST(the_budget_holds_while_every_thread_hangs)
{
    request hanging[THREADS] = { 0 };
    request after = { .key = "after", .budget = SHORT };
    int began;

    hold(1);
    for (int i = 0; i < THREADS; i++) {
        hanging[i] = (request){ .key = { (char)('a' + i) },
                                .budget = SHORT };
        begin(&hanging[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        end(&hanging[i]);
        ck_assert_int_eq(hanging[i].answer.outcome, ETG_SOURCE_UNKNOWN);
        ck_assert_int_ge(hanging[i].answer.took, SHORT);
    }
    await_began(THREADS);
    began = fake.began;
    ask(&after);
    ck_assert_int_eq(after.answer.outcome, ETG_SOURCE_UNKNOWN);
    ck_assert_str_eq(after.answer.reason, "earlier look-ups still hang");
    ck_assert_int_eq(counted().spared, 1);
    ck_assert_int_eq(counted().late, THREADS);
    ck_assert_int_eq(fake.began, began);
    hold(0);
    do {
        ask(&after);
    } while (after.answer.outcome != ETG_SOURCE_READ);
}
END_TEST

START_TEST(another_source_is_not_held_up)
{
    static const etg_source other_source = {
        .kind = &fake_kind, .text = "broken", .shared = "other"
    };
    request hanging[THREADS] = { 0 };
    request other = { .key = "o", .budget = LONG, .source = &other_source };

    hold(1);
    for (int i = 0; i < THREADS; i++) {
        hanging[i] = (request){ .key = { (char)('a' + i) },
                                .budget = LONG };
        begin(&hanging[i]);
    }
    await_began(THREADS);
    begin(&other);
    await_began(THREADS + 1);
    hold(0);
    end(&other);
    for (int i = 0; i < THREADS; i++) {
        end(&hanging[i]);
    }
    ck_assert_str_eq(other.answer.reason, "it is broken");
}
END_TEST

/* Also where one look-up reads both. */
START_TEST(a_source_that_hangs_takes_no_thread_of_one_read_before_it)
{
    static const etg_source other_source = {
        .kind = &fake_kind, .text = "held", .shared = "other"
    };
    etg_lookup_part parts[] = { { .source = &fake_source },
                                { .source = &other_source } };
    request beside = { .key = "beside", .budget = LONG };
    etg_lookup_answer answer;

    hold_only("held");
    for (int i = 0; i < THREADS; i++) {
        etg_lookup_order order = {
            .key = { (const unsigned char *)"abc" + i, 1 },
            .route = { (const unsigned char *)"/route", 6 },
            .parts = parts, .part_count = 2, .budget = SHORT
        };

        do {
            etg_lookup_ask(lookups, &order, &answer);
            ck_assert_int_eq(answer.outcome, ETG_SOURCE_UNKNOWN);
        } while (held_now() < i + 1);
    }
    ask(&beside);
    ck_assert_int_eq(beside.answer.outcome, ETG_SOURCE_READ);
    ck_assert_int_le((int)counted().handles, 2 * THREADS);
}
END_TEST

START_TEST(a_late_result_is_dropped)
{
    request late = { .key = "k", .budget = SHORT, .share = LONG };
    request next = { .key = "k", .budget = LONG, .share = 0 };

    hold(1);
    ask(&late);
    ck_assert_int_eq(late.answer.outcome, ETG_SOURCE_UNKNOWN);
    await_began(1);
    set_value(1);
    hold(0);
    next.arrived = etg_steady_now() + 1;
    ask(&next);
    ck_assert_int_eq(next.answer.outcome, ETG_SOURCE_READ);
    ck_assert(!next.answer.is_shared);
}
END_TEST

START_TEST(a_full_queue_makes_the_oldest_unknown)
{
    request all[THREADS + 9] = { 0 };
    int unknown = 0;

    hold(1);
    for (int i = 0; i < THREADS + 9; i++) {
        all[i] = (request){ .key = { (char)('a' + i) }, .budget = LONG };
        begin(&all[i]);
        if (i < THREADS) {
            await_began(i + 1);
        }
        await_asked((unsigned)i + 1);
    }
    while (counted().unknown < 1) {
        apr_thread_yield();
    }
    hold(0);
    for (int i = 0; i < THREADS + 9; i++) {
        end(&all[i]);
        if (all[i].answer.outcome == ETG_SOURCE_UNKNOWN) {
            ck_assert_str_eq(all[i].answer.reason, "too many look-ups wait");
            unknown++;
        }
    }
    ck_assert_int_eq(unknown, 1);
}
END_TEST

START_TEST(unknown_is_logged_once_a_second_with_a_count)
{
    request broken = { .key = "k", .budget = LONG,
                       .source = &broken_source };
    apr_time_t began = etg_steady_now();
    unsigned asked = 0;

    do {
        ask(&broken);
        asked++;
        ck_assert_str_eq(broken.answer.reason, "it is broken");
    } while (logged.calls < 2);
    ck_assert_int_ge(etg_steady_now() - began, apr_time_from_sec(1));
    ck_assert_uint_eq(logged.count, asked);
    ck_assert_str_eq(logged.reason, "it is broken");
    ck_assert_str_eq(logged.route, "/route");
}
END_TEST

START_TEST(a_source_without_a_member_is_unknown_unless_that_is_allowed)
{
    etg_lookup_part parts[] = { { .source = &fake_source },
                                { .source = &empty_source } };
    etg_lookup_order order = {
        .key = { (const unsigned char *)"k", 1 }, .parts = parts,
        .part_count = 2, .budget = LONG
    };
    etg_lookup_answer answer;

    etg_lookup_ask(lookups, &order, &answer);
    ck_assert_int_eq(answer.outcome, ETG_SOURCE_READ);
    ck_assert_uint_eq(answer.digest.empty_sources, 1);
    order.refuses_empty = 1;
    etg_lookup_ask(lookups, &order, &answer);
    ck_assert_int_eq(answer.outcome, ETG_SOURCE_UNKNOWN);
    order.part_count = 1;
    etg_lookup_ask(lookups, &order, &answer);
    ck_assert_int_eq(answer.outcome, ETG_SOURCE_READ);
}
END_TEST

START_TEST(a_look_is_told_its_own_time_column)
{
    etg_lookup_part part = { .source = &fake_source };
    etg_lookup_order order = {
        .key = { (const unsigned char *)"k", 1 }, .parts = &part,
        .part_count = 1, .budget = LONG
    };
    etg_lookup_answer answers[3];
    const char *const columns[] = { "a", "b", "a" };

    for (int i = 0; i < 3; i++) {
        part.time_column = columns[i];
        etg_lookup_ask(lookups, &order, &answers[i]);
    }
    ck_assert_mem_eq(answers[0].digest.sha256, answers[2].digest.sha256,
                     ETG_DATA_DIGEST_BYTES);
    ck_assert_mem_ne(answers[0].digest.sha256, answers[1].digest.sha256,
                     ETG_DATA_DIGEST_BYTES);
}
END_TEST

START_TEST(there_are_no_more_handles_than_threads)
{
    request all[20] = { 0 };

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 20; i++) {
            all[i] = (request){ .key = { (char)('a' + i) },
                                .budget = LONG };
            begin(&all[i]);
        }
        for (int i = 0; i < 20; i++) {
            end(&all[i]);
        }
    }
    ck_assert_int_le(fake.open, THREADS);
    ck_assert_uint_eq(counted().handles, (unsigned)fake.open);
}
END_TEST

START_TEST(after_a_stop_all_is_unknown_and_a_hanging_thread_is_left)
{
    request hanging = { .key = "a", .budget = SHORT };
    request after = { .key = "k", .budget = LONG };

    hold(1);
    ask(&hanging);
    await_began(1);
    ck_assert_int_eq(etg_lookups_stop(lookups, apr_time_from_msec(10)), 1);
    ask(&after);
    ck_assert_int_eq(after.answer.outcome, ETG_SOURCE_UNKNOWN);
    hold(0);
    ck_assert_int_eq(etg_lookups_stop(lookups, LONG), 0);
}
END_TEST

static Suite *lookups_suite(void)
{
    Suite *suite = suite_create("look-ups");
    TCase *cases = tcase_create("look-ups");

    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases,
                   a_request_does_not_share_a_look_up_that_began_before_it);
    tcase_add_test(cases,
                   requests_that_wait_for_a_thread_share_one_look_up);
    tcase_add_test(cases,
                   a_look_up_that_began_after_the_request_arrived_is_shared);
    tcase_add_test(cases,
                   share_lets_a_request_take_an_older_one_but_not_one_too_old);
    tcase_add_test(cases, the_budget_holds_while_every_thread_hangs);
    tcase_add_test(cases, another_source_is_not_held_up);
    tcase_add_test(cases,
        a_source_that_hangs_takes_no_thread_of_one_read_before_it);
    tcase_add_test(cases, a_late_result_is_dropped);
    tcase_add_test(cases, a_full_queue_makes_the_oldest_unknown);
    tcase_add_test(cases, unknown_is_logged_once_a_second_with_a_count);
    tcase_add_test(
        cases, a_source_without_a_member_is_unknown_unless_that_is_allowed);
    tcase_add_test(cases, a_look_is_told_its_own_time_column);
    tcase_add_test(cases, there_are_no_more_handles_than_threads);
    tcase_add_test(cases,
                   after_a_stop_all_is_unknown_and_a_hanging_thread_is_left);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    apr_initialize();
    return run_suite(lookups_suite());
}
