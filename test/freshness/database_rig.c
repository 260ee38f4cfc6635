/* SPDX-License-Identifier: Apache-2.0 */
/* database_rig.c: databases of a test's own. */
#include "database_rig.h"

#include <apr_dbd.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <dirent.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/steady_clock.h"

/* Outside of a test, too, where libcheck's own cannot be used. */
#define REQUIRE(what) required((what) != 0, #what)

#define TABLE "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, " \
              "updated_at %s)"

static struct {
    char programs[200];
    char folder[200];
    pid_t pid;
} server;

static void required(int is_so, const char *what);
static apr_status_t folder_remove(void *data);
static int programs_find(void);
static pid_t server_spawn(const char *const *words);
static void server_signal(int signal);
static int server_answers(void);
static apr_dbd_t *connected(test_database database, apr_pool_t *p,
                            const apr_dbd_driver_t **driver);

const char *rig_folder(apr_pool_t *p)
{
    const char *top = getenv("TMPDIR");
    char *folder = apr_pstrcat(p, top != NULL ? top : "/tmp",
                               "/freshness-XXXXXX", NULL);

    REQUIRE(mkdtemp(folder) != NULL);
    apr_pool_cleanup_register(p, folder, folder_remove,
                              apr_pool_cleanup_null);
    return folder;
}

int rig_has_driver(const char *name, apr_pool_t *p)
{
    const apr_dbd_driver_t *driver;

    apr_dbd_init(p);
    return apr_dbd_get_driver(p, name, &driver) == APR_SUCCESS;
}

test_database rig_sqlite(int rows, apr_pool_t *p)
{
    test_database made = { "sqlite3", apr_pstrcat(p, rig_folder(p),
                                                  "/db.sqlite3", NULL) };

    rig_run(made, apr_psprintf(p, TABLE, "TEXT"), p);
    rig_run(made, apr_psprintf(p, "WITH RECURSIVE n(i) AS (SELECT 1 UNION "
                               "ALL SELECT i + 1 FROM n WHERE i < %d) INSERT "
                               "INTO products SELECT i, 'name ' || i, "
                               "datetime(1700000000 + i, 'unixepoch') "
                               "FROM n WHERE i <= %d", rows, rows), p);
    return made;
}

int rig_pgsql_is_installed(void)
{
    return programs_find() && (geteuid() != 0
                                    || getpwnam("postgres") != NULL);
}

int rig_pgsql_start(apr_pool_t *p)
{
    struct passwd *user = getpwnam("postgres");
    char initdb[300];
    const char *folder = rig_folder(p);
    const char *words[] = {
        initdb, "-D", server.folder, "-A", "trust", "-U", "postgres",
        "--no-sync", "-E", "UTF8", "--locale=C", NULL
    };
    int status = -1;

    if (!rig_pgsql_is_installed()) {
        return 0;
    }
    snprintf(server.folder, sizeof(server.folder), "%s", folder);
    snprintf(initdb, sizeof(initdb), "%s/initdb", server.programs);
    if (geteuid() == 0) {
        REQUIRE(chown(folder, user->pw_uid, user->pw_gid) == 0);
    }
    waitpid(server_spawn(words), &status, 0);
    if (status != 0) {
        return 0;
    }
    rig_pgsql_restart();
    return 1;
}

test_database rig_pgsql(int rows, apr_pool_t *p)
{
    test_database made = { "pgsql", apr_psprintf(p, "host=%s user=postgres "
                                                 "dbname=postgres",
                                                 server.folder) };

    rig_run(made, "DROP TABLE IF EXISTS products", p);
    rig_run(made, apr_psprintf(p, TABLE, "TIMESTAMPTZ"), p);
    rig_run(made, apr_psprintf(p, "INSERT INTO products SELECT i, 'name ' || "
                               "i, to_timestamp(1700000000 + i) FROM "
                               "generate_series(1, %d) AS i", rows), p);
    return made;
}

void rig_pgsql_freeze(void)
{
    server_signal(SIGSTOP);
}

void rig_pgsql_thaw(void)
{
    server_signal(SIGCONT);
}

void rig_pgsql_kill(void)
{
    kill(server.pid, SIGQUIT);
    while (kill(server.pid, 0) == 0) {
        waitpid(server.pid, NULL, WNOHANG);
        usleep(1000);
    }
}

void rig_pgsql_restart(void)
{
    char postgres[300];
    const char *words[] = {
        postgres, "-D", server.folder, "-k", server.folder, "-F", "-c",
        "listen_addresses=", "-c", "log_min_messages=panic", NULL
    };
    apr_time_t until = etg_steady_now() + apr_time_from_sec(30);

    snprintf(postgres, sizeof(postgres), "%s/postgres", server.programs);
    server.pid = server_spawn(words);
    while (!server_answers()) {
        required(etg_steady_now() < until, "PostgreSQL");
        usleep(10000);
    }
}

void rig_pgsql_end(void)
{
    if (server.pid > 0) {
        rig_pgsql_thaw();
        rig_pgsql_kill();
    }
}

void rig_run(test_database database, const char *text, apr_pool_t *p)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *connection = connected(database, p, &driver);
    int rows = 0;
    int failed = apr_dbd_query(driver, connection, &rows, text);

    required(failed == 0, failed == 0 ? "" : apr_dbd_error(driver, connection,
                                                           failed));
    apr_dbd_close(driver, connection);
}

const char *rig_ask(test_database database, const char *text, apr_pool_t *p)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *connection = connected(database, p, &driver);
    apr_dbd_results_t *rows = NULL;
    apr_dbd_row_t *row = NULL;
    const char *value = NULL;

    REQUIRE(apr_dbd_select(driver, p, connection, &rows, text, 1) == 0);
    if (apr_dbd_get_row(driver, p, rows, &row, -1) == 0) {
        value = apr_pstrdup(p, apr_dbd_get_entry(driver, row, 0));
    }
    apr_dbd_close(driver, connection);
    return value;
}

etg_source *rig_source(const etg_source_settings *settings, const char *line,
                       apr_pool_t *p)
{
    etg_freshness_from from;
    etg_source *source = apr_palloc(p, sizeof(*source));
    const char *wrong = etg_freshness_from_parse(line, p, &from);

    if (wrong == NULL) {
        wrong = etg_source_configure(settings, &from, p, source);
    }
    required(wrong == NULL, wrong);
    return source;
}

etg_source *rig_sql_source(test_database database, const char *line,
                           apr_pool_t *p)
{
    etg_source_settings settings = {
        .driver = database.driver, .database = database.parameters,
        /* PostgreSQL ends statements after it: not those of a busy machine. */
        .budget = apr_time_from_sec(2)
    };

    return rig_source(&settings, line, p);
}

etg_source_outcome rig_look(const etg_source *source, void *handle,
                            const apr_array_header_t *values,
                            etg_data_digest *digest, const char **reason,
                            apr_pool_t *p)
{
    return rig_look_for(source, handle, values, apr_time_from_sec(5), digest,
                        reason, p);
}

etg_source_outcome rig_look_for(const etg_source *source, void *handle,
                                const apr_array_header_t *values,
                                apr_interval_time_t budget,
                                etg_data_digest *digest, const char **reason,
                                apr_pool_t *p)
{
    etg_source_look look = {
        .source = source, .values = values, .pool = p,
        .deadline = etg_steady_now() + budget
    };
    etg_source_outcome outcome;

    REQUIRE(etg_data_digest_begin(&look.builder, ETG_DATA_DIGEST_SHA256, p)
            == APR_SUCCESS);
    outcome = source->kind->look(handle, &look);
    if (outcome == ETG_SOURCE_READ) {
        REQUIRE(etg_data_digest_end(look.builder, digest) == APR_SUCCESS);
    }
    *reason = look.reason;
    return outcome;
}

apr_array_header_t *rig_values(apr_pool_t *p, int count, ...)
{
    apr_array_header_t *values = apr_array_make(p, 4, sizeof(const char *));
    va_list each;

    va_start(each, count);
    while (count-- > 0) {
        APR_ARRAY_PUSH(values, const char *) = va_arg(each, const char *);
    }
    va_end(each);
    return values;
}

static void required(int is_so, const char *what)
{
    if (!is_so) {
        fprintf(stderr, "failed: %s\n", what);
        abort();
    }
}

static apr_status_t folder_remove(void *data)
{
    const char *words[] = { "/bin/rm", "-rf", data, NULL };
    pid_t pid = fork();

    if (pid == 0) {
        execv(words[0], (char *const *)words);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    return APR_SUCCESS;
}

static int programs_find(void)
{
    glob_t found = { 0 };
    int failed = glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found);

    if (failed == 0) {
        snprintf(server.programs, sizeof(server.programs), "%.*s",
                 (int)(strlen(found.gl_pathv[0]) - strlen("/initdb")),
                 found.gl_pathv[0]);
    }
    globfree(&found);
    return failed == 0;
}

/* As postgres, if we are root; it goes when this process does. */
static pid_t server_spawn(const char *const *words)
{
    struct passwd *user = getpwnam("postgres");
    pid_t pid = fork();

    if (pid == 0) {
        if (geteuid() == 0 && (user == NULL || setgid(user->pw_gid) != 0
                               || setuid(user->pw_uid) != 0)) {
            _exit(126);
        }
        prctl(PR_SET_PDEATHSIG, SIGQUIT);
        if (chdir("/") != 0 || freopen("/dev/null", "w", stdout) == NULL
            || freopen("/dev/null", "w", stderr) == NULL) {
            _exit(126);
        }
        execv(words[0], (char *const *)words);
        _exit(127);
    }
    return pid;
}

/* Its processes are in groups of their own: they are found by their parent. */
static void server_signal(int signal)
{
    DIR *all = opendir("/proc");
    struct dirent *each;

    kill(server.pid, signal);
    while ((each = readdir(all)) != NULL) {
        char path[300], state;
        int parent = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%.20s/stat", each->d_name);
        file = atoi(each->d_name) > 0 ? fopen(path, "r") : NULL;
        if (file != NULL) {
            if (fscanf(file, "%*d (%*[^)]) %c %d", &state, &parent) == 2
                && parent == server.pid) {
                kill(atoi(each->d_name), signal);
            }
            fclose(file);
        }
    }
    closedir(all);
}

static int server_answers(void)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *connection;
    apr_pool_t *p;
    char parameters[300];
    int answers;

    apr_pool_create(&p, NULL);
    apr_dbd_init(p);
    snprintf(parameters, sizeof(parameters),
             "host=%s user=postgres dbname=postgres", server.folder);
    answers = apr_dbd_get_driver(p, "pgsql", &driver) == APR_SUCCESS
              && apr_dbd_open(driver, p, parameters, &connection)
                 == APR_SUCCESS;
    if (answers) {
        apr_dbd_close(driver, connection);
    }
    apr_pool_destroy(p);
    return answers;
}

static apr_dbd_t *connected(test_database database, apr_pool_t *p,
                            const apr_dbd_driver_t **driver)
{
    apr_dbd_t *connection;

    apr_dbd_init(p);
    REQUIRE(apr_dbd_get_driver(p, database.driver, driver) == APR_SUCCESS);
    REQUIRE(apr_dbd_open(*driver, p, database.parameters, &connection)
            == APR_SUCCESS);
    return connection;
}
