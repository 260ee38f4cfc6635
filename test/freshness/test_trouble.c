/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups while their database is locked, frozen, killed or away: unknown
 * within the budget, and known again without a restart. And what a look-up
 * costs: printed, not judged. */
#include <apr_dbd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "database_rig.h"
#include "freshness_lookup.h"
#include "lib/steady_clock.h"
#include "test/store/server_rig.h"
#include "test/unit/run_suite.h"

#define BUDGET apr_time_from_msec(50)
#define PATIENCE apr_time_from_sec(60)
#define PAGE "sql \"SELECT (SELECT count(*) FROM products), id, " \
             "updated_at FROM products ORDER BY id LIMIT 100 OFFSET " \
             "(CAST(%s AS INTEGER) - 1) * 100\" query:page=1"

static apr_pool_t *pool;
static etg_lookups *lookups;
static int has_pgsql;

static void setup(void)
{
    etg_lookup_settings settings = { 4, 64, NULL, NULL };

    apr_pool_create(&pool, NULL);
    ck_assert_int_eq(etg_lookups_create(&lookups, &settings, pool),
                     APR_SUCCESS);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

/* The server is each test's own, so that the test may wait for its end. */
static void setup_pgsql(void)
{
    setup();
    ck_assert(rig_pgsql_start(pool));
}

static void teardown_pgsql(void)
{
    rig_pgsql_end();
    teardown();
}

static etg_lookup_answer ask(const etg_source *source, const char *page,
                             apr_interval_time_t budget)
{
    apr_pool_t *p;
    etg_lookup_answer answer;
    etg_lookup_part part = { .source = source };
    etg_lookup_order order = {
        .key = { (const unsigned char *)page, strlen(page) },
        .parts = &part, .part_count = 1, .budget = budget
    };

    apr_pool_create(&p, pool);
    part.values = rig_values(p, source->value_count, page);
    etg_lookup_ask(lookups, &order, &answer);
    apr_pool_destroy(p);
    return answer;
}

/* As a site would: with the budget, until it is known. */
static etg_lookup_answer ask_until_read(const etg_source *source)
{
    apr_time_t until = etg_steady_now() + PATIENCE;
    etg_lookup_answer answer;

    do {
        answer = ask(source, "1", BUDGET);
        ck_assert_msg(etg_steady_now() < until, "%s", answer.reason);
    } while (answer.outcome != ETG_SOURCE_READ);
    return answer;
}

/* Unknown for all of many, none of which waited much longer than it may: the
 * machine may be busy, but not for seconds each time. */
static void ask_in_vain(const etg_source *source, int count)
{
    apr_time_t began = etg_steady_now();

    for (int i = 0; i < count; i++) {
        etg_lookup_answer answer = ask(source, apr_itoa(pool, i + 1),
                                       BUDGET);

        ck_assert_int_eq(answer.outcome, ETG_SOURCE_UNKNOWN);
    }
    ck_assert_int_lt(etg_steady_now() - began, count * PATIENCE / 60);
}

static int same(const etg_lookup_answer *left, const etg_lookup_answer *right)
{
    return memcmp(left->digest.sha256, right->digest.sha256,
                  ETG_DATA_DIGEST_BYTES) == 0;
}

START_TEST(a_locked_sqlite_is_unknown_until_it_is_free)
{
    test_database at = rig_sqlite(200, pool);
    etg_source *source = rig_sql_source(at, PAGE, pool);
    etg_lookup_answer before = ask_until_read(source), after;
    const apr_dbd_driver_t *driver;
    apr_dbd_t *writer;
    int rows;

    ck_assert_int_eq(apr_dbd_get_driver(pool, "sqlite3", &driver), 0);
    ck_assert_int_eq(apr_dbd_open(driver, pool, at.parameters, &writer), 0);
    ck_assert_int_eq(apr_dbd_query(driver, writer, &rows,
                                   "BEGIN EXCLUSIVE"), 0);
    ask_in_vain(source, 20);
    ck_assert_int_eq(apr_dbd_query(driver, writer, &rows, "UPDATE products "
                                   "SET name = 'x', updated_at = NULL "
                                   "WHERE id = 5"), 0);
    ck_assert_int_eq(apr_dbd_query(driver, writer, &rows, "COMMIT"), 0);
    after = ask_until_read(source);
    ck_assert(!same(&before, &after));
    apr_dbd_close(driver, writer);
}
END_TEST

START_TEST(a_frozen_pgsql_is_unknown_until_it_thaws)
{
    test_database at = rig_pgsql(200, pool);
    etg_source *source = rig_sql_source(at, PAGE, pool);
    test_database beside = rig_sqlite(3, pool);
    etg_source *other = rig_sql_source(beside, PAGE, pool);
    etg_lookup_answer before = ask_until_read(source), after;

    ask_until_read(other);
    rig_pgsql_freeze();
    ask_in_vain(source, 20);
    ask_until_read(other);
    rig_pgsql_thaw();
    after = ask_until_read(source);
    ck_assert(same(&before, &after));
    rig_run(at, "DELETE FROM products WHERE id = 200", pool);
    after = ask_until_read(source);
    ck_assert(!same(&before, &after));
}
END_TEST

START_TEST(a_frozen_pgsql_that_was_never_reached_is_unknown_until_it_thaws)
{
    etg_source *source = rig_sql_source(rig_pgsql(3, pool), PAGE, pool);

    rig_pgsql_freeze();
    ask_in_vain(source, 20);
    rig_pgsql_thaw();
    ask_until_read(source);
}
END_TEST

START_TEST(a_killed_pgsql_is_unknown_until_it_is_back)
{
    etg_source *source = rig_sql_source(rig_pgsql(200, pool), PAGE, pool);
    etg_lookup_answer before = ask_until_read(source), after;

    rig_pgsql_kill();
    ask_in_vain(source, 20);
    rig_pgsql_restart();
    after = ask_until_read(source);
    ck_assert(same(&before, &after));
}
END_TEST

START_TEST(a_restart_of_pgsql_between_two_requests_is_not_noticed)
{
    etg_source *source = rig_sql_source(rig_pgsql(200, pool), PAGE, pool);
    etg_lookup_answer answer = ask_until_read(source);

    rig_pgsql_kill();
    rig_pgsql_restart();
    answer = ask(source, "1", PATIENCE);
    ck_assert_msg(answer.outcome == ETG_SOURCE_READ, "%s", answer.reason);
}
END_TEST

START_TEST(a_slow_statement_is_ended_by_pgsql)
{
    test_database at = rig_pgsql(1, pool);
    etg_source *slow = rig_sql_source(at, "sql \"SELECT pg_sleep(1000)\"",
                                      pool);
    etg_source *quick = rig_sql_source(at, PAGE, pool);
    etg_lookup_answer answer = ask(slow, "", PATIENCE);

    ck_assert_int_eq(answer.outcome, ETG_SOURCE_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(answer.reason, "timeout"));
    ask_until_read(quick);
}
END_TEST

/* What malloc has given and not taken back, of all threads. */
static long in_use(void)
{
    struct mallinfo2 is = mallinfo2();

    return (long)(is.uordblks + is.hblkhd);
}

static int by_time(const void *left, const void *right)
{
    apr_interval_time_t a = *(const apr_interval_time_t *)left;
    apr_interval_time_t b = *(const apr_interval_time_t *)right;

    return a < b ? -1 : a > b;
}

/* Memory stays where it is; what a look-up takes is printed. */
static void ask_many(const etg_source *source, const char *what)
{
    enum { COUNT = 10000 };
    static apr_interval_time_t took[COUNT];
    long before = 0;

    for (int i = 0; i < COUNT + 1000; i++) {
        etg_lookup_answer answer = ask(source, "1", PATIENCE);

        ck_assert_msg(answer.outcome == ETG_SOURCE_READ, "%s",
                      answer.reason);
        if (i < 1000) {
            before = in_use();
        }
        else {
            took[i - 1000] = answer.took;
        }
    }
    ck_assert_int_lt(in_use() - before, 100 * 1024);
    qsort(took, COUNT, sizeof(took[0]), by_time);
    printf("%s: %ld us half, %ld us 99 of 100\n", what,
           (long)took[COUNT / 2], (long)took[COUNT / 100 * 99]);
    fflush(stdout);
}

static void ask_many_of(test_database at, const char *what)
{
    ask_many(rig_sql_source(at, PAGE, pool),
             apr_pstrcat(pool, what, ", 100 rows and count", NULL));
    ask_many(rig_sql_source(at, "sql \"SELECT id, updated_at FROM products "
                            "ORDER BY id LIMIT 100\"", pool),
             apr_pstrcat(pool, what, ", 100 rows", NULL));
    ask_many(rig_sql_source(at, "sql \"SELECT updated_at FROM products "
                            "WHERE id = 5\"", pool),
             apr_pstrcat(pool, what, ", 1 row", NULL));
}

START_TEST(memory_is_flat_over_ten_thousand_look_ups_of_sqlite)
{
    ask_many_of(rig_sqlite(10000, pool), "sqlite");
}
END_TEST

START_TEST(memory_is_flat_over_ten_thousand_look_ups_of_pgsql)
{
    ask_many_of(rig_pgsql(10000, pool), "pgsql");
}
END_TEST

START_TEST(memory_is_flat_over_ten_thousand_look_ups_of_memcached)
{
    static const char version[] = "1700000000";
    etg_source_settings settings = { 0 };
    test_server server;

    server_start_on_socket(&server, 8);
    server_set(&server, "version", (etg_bytes){
        (const unsigned char *)version, sizeof(version) - 1 });
    settings.memcached = server.path;
    ask_many(rig_source(&settings, "memcached version", pool), "memcached");
    server_freeze(&server);
    ask_in_vain(rig_source(&settings, "memcached version", pool), 20);
    server_thaw(&server);
    ask_until_read(rig_source(&settings, "memcached version", pool));
    server_kill(&server);
}
END_TEST

static Suite *trouble_suite(void)
{
    Suite *suite = suite_create("trouble");
    TCase *sqlite = tcase_create("sqlite3 and memcached");
    TCase *pgsql = tcase_create("pgsql");

    tcase_set_timeout(sqlite, 120);
    tcase_add_checked_fixture(sqlite, setup, teardown);
    tcase_add_test(sqlite, a_locked_sqlite_is_unknown_until_it_is_free);
    tcase_add_test(sqlite,
                   memory_is_flat_over_ten_thousand_look_ups_of_sqlite);
    if (server_is_installed()) {
        tcase_add_test(sqlite,
                       memory_is_flat_over_ten_thousand_look_ups_of_memcached);
    }
    tcase_set_timeout(pgsql, 120);
    tcase_add_checked_fixture(pgsql, setup_pgsql, teardown_pgsql);
    tcase_add_test(pgsql, a_frozen_pgsql_is_unknown_until_it_thaws);
    tcase_add_test(pgsql,
        a_frozen_pgsql_that_was_never_reached_is_unknown_until_it_thaws);
    tcase_add_test(pgsql, a_killed_pgsql_is_unknown_until_it_is_back);
    tcase_add_test(pgsql,
                   a_restart_of_pgsql_between_two_requests_is_not_noticed);
    tcase_add_test(pgsql, a_slow_statement_is_ended_by_pgsql);
    tcase_add_test(pgsql,
                   memory_is_flat_over_ten_thousand_look_ups_of_pgsql);
    suite_add_tcase(suite, sqlite);
    if (has_pgsql) {
        suite_add_tcase(suite, pgsql);
    }
    return suite;
}

int main(void)
{
    apr_pool_t *p;
    int status;

    apr_initialize();
    apr_pool_create(&p, NULL);
    if (!rig_has_driver("sqlite3", p)) {
        return 77;
    }
    has_pgsql = rig_has_driver("pgsql", p) && rig_pgsql_is_installed();
    status = run_suite(trouble_suite());
    apr_pool_destroy(p);
    return status;
}
