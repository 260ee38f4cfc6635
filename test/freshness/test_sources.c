/* SPDX-License-Identifier: Apache-2.0 */
/* What sources read: rows of SQLite and PostgreSQL alike, and files. With
 * databases that the test makes itself. */
#include <apr_dbd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "database_rig.h"
#include "test/store/server_rig.h"
#include "test/unit/run_suite.h"

#define PAGE "sql \"SELECT (SELECT count(*) FROM products), id, name, " \
             "updated_at FROM products ORDER BY id LIMIT 10 OFFSET " \
             "(CAST(%s AS INTEGER) - 1) * 10\" query:page=1"
#define BY_NAME "sql \"SELECT id FROM products WHERE name = %s\" query:name"

static apr_pool_t *pool;
static const char *driver;      /* of the suite */
static int has_pgsql;

static test_database database_make(int rows)
{
    return strcmp(driver, "pgsql") == 0 ? rig_pgsql(rows, pool)
                                        : rig_sqlite(rows, pool);
}

typedef struct subject {
    test_database at;
    etg_source *source;
    void *handle;
    etg_data_digest digest;
    const char *reason;
} subject;

static subject subject_of(etg_source *source)
{
    return (subject){ .source = source,
                      .handle = source->kind->open(source, pool) };
}

static subject subject_make(test_database at, const char *line)
{
    subject made = subject_of(rig_sql_source(at, line, pool));

    made.at = at;
    return made;
}

static void subject_end(subject *of)
{
    of->source->kind->close(of->handle);
}

static etg_source_outcome look(subject *of, const char *value)
{
    return rig_look(of->source, of->handle,
                    rig_values(pool, of->source->value_count, value),
                    &of->digest, &of->reason, pool);
}

/* A look that fails the test if it reads nothing. */
static etg_data_digest read_now(subject *of, const char *value)
{
    ck_assert_int_eq(look(of, value), ETG_SOURCE_READ);
    return of->digest;
}

static int same(const etg_data_digest *left, const etg_data_digest *right)
{
    return memcmp(left->sha256, right->sha256, ETG_DATA_DIGEST_BYTES) == 0;
}

/* What is read now is other than `before`, and is returned. */
static etg_data_digest read_moved(subject *of, const char *value,
                                  const etg_data_digest *before)
{
    read_now(of, value);
    ck_assert(!same(before, &of->digest));
    return of->digest;
}

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void setup_sqlite(void)
{
    setup();
    driver = "sqlite3";
}

static void setup_pgsql(void)
{
    setup();
    driver = "pgsql";
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

START_TEST(rows_are_members_with_the_newest_time)
{
    subject of = subject_make(database_make(25), PAGE);

    read_now(&of, "1");
    ck_assert_uint_eq(of.digest.members, 10);
    ck_assert(of.digest.is_timed);
    ck_assert_int_eq(apr_time_sec(of.digest.newest), 1700000010);
    subject_end(&of);
}
END_TEST

START_TEST(the_digest_moves_with_what_the_page_shows_and_only_with_it)
{
    subject of = subject_make(database_make(25), PAGE);
    etg_data_digest before;

    before = read_now(&of, "1");
    rig_run(of.at, "UPDATE products SET name = 'x' WHERE id = 15", pool);
    read_now(&of, "1");
    ck_assert(same(&before, &of.digest));
    rig_run(of.at, "UPDATE products SET name = 'x' WHERE id = 5", pool);
    before = read_moved(&of, "1", &before);
    rig_run(of.at, "DELETE FROM products WHERE id = 25", pool);
    read_moved(&of, "1", &before);
    subject_end(&of);
}
END_TEST

START_TEST(null_and_empty_text_are_told_apart)
{
    subject of = subject_make(database_make(1), PAGE);
    etg_data_digest before;

    rig_run(of.at, "UPDATE products SET name = ''", pool);
    before = read_now(&of, "1");
    rig_run(of.at, "UPDATE products SET name = NULL", pool);
    read_moved(&of, "1", &before);
    subject_end(&of);
}
END_TEST

START_TEST(no_rows_are_an_empty_collection)
{
    subject of = subject_make(database_make(0), PAGE);

    read_now(&of, "1");
    ck_assert_uint_eq(of.digest.members, 0);
    ck_assert(!of.digest.is_timed);
    subject_end(&of);
}
END_TEST

START_TEST(a_dropped_table_is_unknown_until_it_is_back)
{
    subject of = subject_make(database_make(3), PAGE);
    etg_data_digest before;

    before = read_now(&of, "1");
    rig_run(of.at, "ALTER TABLE products RENAME TO gone", pool);
    ck_assert_int_eq(look(&of, "1"), ETG_SOURCE_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(of.reason, "products"));
    rig_run(of.at, "ALTER TABLE gone RENAME TO products", pool);
    read_now(&of, "1");
    ck_assert(same(&before, &of.digest));
    subject_end(&of);
}
END_TEST

START_TEST(another_column_does_not_stop_a_prepared_statement)
{
    subject of = subject_make(database_make(3),
                              "sql \"SELECT * FROM products\"");
    etg_data_digest before;

    before = read_now(&of, NULL);
    rig_run(of.at, "ALTER TABLE products ADD COLUMN price INTEGER", pool);
    read_moved(&of, NULL, &before);
    subject_end(&of);
}
END_TEST

START_TEST(bad_sql_is_found_beforehand_and_leaves_the_connection_alone)
{
    test_database at = database_make(3);
    subject bad = subject_make(at, "sql \"SELEKT 1\"");
    subject good = subject_make(at, PAGE);

    ck_assert_ptr_nonnull(etg_source_check(bad.source, pool));
    ck_assert_ptr_null(etg_source_check(good.source, pool));
    for (int i = 0; i < 600; i++) {
        bad.handle = good.handle;       /* sources of a database share it */
        ck_assert_int_eq(look(&bad, NULL), ETG_SOURCE_UNKNOWN);
        ck_assert_ptr_nonnull(strstr(bad.reason, "SELEKT"));
        read_now(&good, "1");
    }
    subject_end(&good);
}
END_TEST

START_TEST(values_are_bound_whatever_they_say)
{
    static const char *const attempts[] = {
        "'; DROP TABLE products; --", "1); DELETE FROM products; --",
        "x' OR '1'='1", "\\'; DROP TABLE products; --", "%s%n%d", "$1",
        "?1", "\"", "\xbf' OR 1=1 --", "/*", "name 1\n; DROP TABLE products",
        "1 UNION SELECT 1"
    };
    unsigned count = sizeof(attempts) / sizeof(attempts[0]);
    subject of = subject_make(database_make(3), BY_NAME);
    const char *state = "SELECT count(*) || ' ' || sum(id) || ' ' || "
                        "min(name) || max(name) FROM products";
    const char *before = rig_ask(of.at, state, pool);

    for (unsigned i = 0; i < 10000; i++) {
        apr_pool_t *p;
        const char *value;

        apr_pool_create(&p, pool);
        value = i < count ? attempts[i]
                          : apr_psprintf(p, "%s%u%s", attempts[i % count], i,
                                         attempts[i / count % count]);
        if (rig_look(of.source, of.handle, rig_values(p, 1, value),
                     &of.digest, &of.reason, p) == ETG_SOURCE_READ) {
            ck_assert_uint_eq(of.digest.members, 0);
        }
        apr_pool_destroy(p);
    }
    ck_assert_str_eq(rig_ask(of.at, state, pool), before);
    read_now(&of, "name 2");
    ck_assert_uint_eq(of.digest.members, 1);
    subject_end(&of);
}
END_TEST

START_TEST(a_statement_that_writes_is_refused)
{
    subject of = subject_make(database_make(3),
                              "sql \"DELETE FROM products\"");

    ck_assert_int_eq(look(&of, NULL), ETG_SOURCE_UNKNOWN);
    ck_assert_str_eq(rig_ask(of.at, "SELECT count(*) FROM products", pool),
                     "3");
    subject_end(&of);
}
END_TEST

START_TEST(a_missing_value_is_null)
{
    subject of = subject_make(database_make(3), "sql \"SELECT id FROM "
                              "products WHERE %s IS NULL\" query:name");

    read_now(&of, NULL);
    ck_assert_uint_eq(of.digest.members, 3);
    read_now(&of, "");
    ck_assert_uint_eq(of.digest.members, 0);
    subject_end(&of);
}
END_TEST

START_TEST(bytes_behind_a_nul_count)
{
    subject of = subject_make(database_make(1),
                              "sql \"SELECT data FROM blobs\"");
    etg_data_digest before;

    rig_run(of.at, "CREATE TABLE blobs (data BLOB)", pool);
    rig_run(of.at, "INSERT INTO blobs VALUES (x'610062')", pool);
    before = read_now(&of, NULL);
    rig_run(of.at, "UPDATE blobs SET data = x'610063'", pool);
    before = read_moved(&of, NULL, &before);
    rig_run(of.at, "UPDATE blobs SET data = x''", pool);
    before = read_now(&of, NULL);
    rig_run(of.at, "UPDATE blobs SET data = NULL", pool);
    read_moved(&of, NULL, &before);
    subject_end(&of);
}
END_TEST

START_TEST(a_missing_file_is_not_made_and_a_replaced_one_is_noticed)
{
    subject of = subject_make(database_make(3), PAGE);
    test_database other = database_make(7);
    etg_data_digest before;

    before = read_now(&of, "1");
    ck_assert_int_eq(rename(other.parameters, of.at.parameters), 0);
    read_moved(&of, "1", &before);
    ck_assert_uint_eq(of.digest.members, 7);
    ck_assert_int_eq(unlink(of.at.parameters), 0);
    ck_assert_int_eq(look(&of, "1"), ETG_SOURCE_UNKNOWN);
    ck_assert_int_ne(access(of.at.parameters, F_OK), 0);
    subject_end(&of);
}
END_TEST

START_TEST(an_unknown_driver_is_refused)
{
    etg_source_settings settings = {
        .driver = "nosuchthing", .database = "x"
    };
    etg_freshness_from from;
    etg_source source;

    ck_assert_ptr_null(etg_freshness_from_parse("sql \"SELECT 1\"", pool,
                                                &from));
    ck_assert_ptr_nonnull(etg_source_configure(&settings, &from, pool,
                                               &source));
    ck_assert_ptr_null(etg_freshness_from_parse("body", pool, &from));
    ck_assert_ptr_nonnull(etg_source_configure(&settings, &from, pool,
                                               &source));
}
END_TEST

static const char *file_make(const char *folder, const char *name,
                             const char *text, long seconds, long ns)
{
    const char *path = apr_pstrcat(pool, folder, "/", name, NULL);
    struct timespec times[2] = { { seconds, ns }, { seconds, ns } };
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
    ck_assert_int_eq(futimens(fd, times), 0);
    close(fd);
    return path;
}

START_TEST(files_count_by_name_size_and_nanosecond)
{
    etg_source_settings settings = { .files_max = 3 };
    const char *folder = rig_folder(pool);
    subject of = subject_of(rig_source(&settings, apr_pstrcat(
        pool, "files \"", folder, "/*.txt\"", NULL), pool));
    etg_data_digest before;

    read_now(&of, NULL);
    ck_assert_uint_eq(of.digest.members, 0);
    file_make(folder, "b.txt", "b", 1700000000, 5);
    file_make(folder, "a.txt", "a", 1600000000, 5);
    file_make(folder, "a.other", "a", 1600000000, 5);
    read_now(&of, NULL);
    ck_assert_uint_eq(of.digest.members, 2);
    ck_assert_int_eq(apr_time_sec(of.digest.newest), 1700000000);
    before = of.digest;
    file_make(folder, "a.txt", "a", 1600000000, 6);
    before = read_moved(&of, NULL, &before);
    file_make(folder, "a.txt", "aa", 1600000000, 6);
    read_moved(&of, NULL, &before);
    file_make(folder, "c.txt", "c", 1600000000, 6);
    file_make(folder, "d.txt", "d", 1600000000, 6);
    ck_assert_int_eq(look(&of, NULL), ETG_SOURCE_UNKNOWN);
    ck_assert_str_eq(of.reason, "more than 3 files");
}
END_TEST

static void memcached_say(const test_server *server, const char *key,
                          const char *text)
{
    server_set(server, key, (etg_bytes){ (const unsigned char *)text,
                                         strlen(text) });
}

/* Once per port and once per socket. */
static void memcached_look(test_server *server, const char *at)
{
    etg_source_settings settings = { .memcached = at };
    subject of = subject_of(rig_source(
        &settings, "memcached \"shop/%s\" path:1", pool));
    apr_array_header_t *values = rig_values(pool, 1, "a b");
    etg_data_digest before;

    ck_assert_int_eq(look(&of, "a b"), ETG_SOURCE_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(of.reason, "no value"));
    memcached_say(server, "shop/a%20b", "7");
    before = read_now(&of, "a b");
    ck_assert_uint_eq(of.digest.members, 1);
    memcached_say(server, "shop/a%20b", "8");
    read_moved(&of, "a b", &before);
    server_freeze(server);
    ck_assert_int_eq(rig_look_for(of.source, of.handle, values,
                                  apr_time_from_msec(50), &of.digest,
                                  &of.reason, pool), ETG_SOURCE_UNKNOWN);
    server_thaw(server);
    read_now(&of, "a b");
    server_restart(server);
    memcached_say(server, "shop/a%20b", "7");
    read_now(&of, "a b");
    ck_assert(same(&before, &of.digest));
    server_kill(server);
    ck_assert_int_eq(look(&of, "a b"), ETG_SOURCE_UNKNOWN);
    subject_end(&of);
}

START_TEST(a_version_on_memcached_is_a_member)
{
    test_server server;

    server_start(&server, 8);
    memcached_look(&server, apr_psprintf(pool, "127.0.0.1:%d", server.port));
}
END_TEST

START_TEST(memcached_may_be_on_a_socket)
{
    test_server server;

    server_start_on_socket(&server, 8);
    memcached_look(&server, server.path);
}
END_TEST

START_TEST(a_file_that_has_just_changed_and_a_folder_gone_are_unknown)
{
    etg_source_settings settings = { 0 };
    const char *folder = rig_folder(pool);
    subject of = subject_of(rig_source(&settings, apr_pstrcat(
        pool, "files \"", folder, "/*\"", NULL), pool));
    const char *path = file_make(folder, "a", "a", 1600000000, 5);
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += 1000;         /* on whole seconds the tick is larger */
    file_make(folder, "a", "a", now.tv_sec, 5);
    read_now(&of, NULL);
    ck_assert_int_eq(utimensat(AT_FDCWD, path, NULL, 0), 0);
    /* Unless this takes longer than the tick: then it is old enough. */
    if (look(&of, NULL) != ETG_SOURCE_READ) {
        ck_assert_ptr_nonnull(strstr(of.reason, "just changed"));
    }
    clock_gettime(CLOCK_REALTIME, &now);
    file_make(folder, "a", "a", now.tv_sec, 0);
    ck_assert_int_eq(look(&of, NULL), ETG_SOURCE_UNKNOWN);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
    ck_assert_int_eq(look(&of, NULL), ETG_SOURCE_UNKNOWN);
}
END_TEST

static void add_database_tests(TCase *to)
{
    tcase_set_timeout(to, 120);
    tcase_add_test(to, rows_are_members_with_the_newest_time);
    tcase_add_test(to,
                   the_digest_moves_with_what_the_page_shows_and_only_with_it);
    tcase_add_test(to, null_and_empty_text_are_told_apart);
    tcase_add_test(to, no_rows_are_an_empty_collection);
    tcase_add_test(to, a_dropped_table_is_unknown_until_it_is_back);
    tcase_add_test(to, another_column_does_not_stop_a_prepared_statement);
    tcase_add_test(to,
                   bad_sql_is_found_beforehand_and_leaves_the_connection_alone);
    tcase_add_test(to, values_are_bound_whatever_they_say);
    tcase_add_test(to, a_statement_that_writes_is_refused);
    tcase_add_test(to, a_missing_value_is_null);
}

static Suite *sources_suite(void)
{
    Suite *suite = suite_create("sources");
    TCase *sqlite = tcase_create("sqlite3");
    TCase *pgsql = tcase_create("pgsql");
    TCase *others = tcase_create("others");

    tcase_add_checked_fixture(sqlite, setup_sqlite, teardown);
    add_database_tests(sqlite);
    tcase_add_test(sqlite, bytes_behind_a_nul_count);
    tcase_add_test(sqlite,
                   a_missing_file_is_not_made_and_a_replaced_one_is_noticed);
    tcase_add_checked_fixture(pgsql, setup_pgsql, teardown);
    add_database_tests(pgsql);
    tcase_add_checked_fixture(others, setup, teardown);
    tcase_add_test(others, an_unknown_driver_is_refused);
    tcase_add_test(others, files_count_by_name_size_and_nanosecond);
    tcase_add_test(others,
                   a_file_that_has_just_changed_and_a_folder_gone_are_unknown);
    if (server_is_installed()) {
        tcase_add_test(others, a_version_on_memcached_is_a_member);
        tcase_add_test(others, memcached_may_be_on_a_socket);
    }
    suite_add_tcase(suite, others);
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
    has_pgsql = rig_has_driver("pgsql", p) && rig_pgsql_start(p);
    status = run_suite(sources_suite());
    rig_pgsql_end();
    apr_pool_destroy(p);
    return status;
}
