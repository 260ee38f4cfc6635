/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_sql.c: rows of a database, through apr_dbd.
 *
 * Every column of every row, in order, goes into the digest, NULL, "" and
 * bytes after a NUL told apart; the column with the time's name as a time. A
 * statement is prepared once per connection and its values are bound. It is
 * one statement, so what it reads is one snapshot.
 *
 * A failure has one of three causes, and a look tries to mend what was not
 * new: the prepared statement (the schema has changed), the connection (the
 * server was restarted), or neither: the statement is wrong, and then the
 * connection, which others use, is kept.
 *
 * What the drivers of APR do, and what follows from it:
 *
 *   sqlite3   holds one lock of the process over each step, so SQLite
 *             look-ups of a child take turns. A busy database is tried again
 *             after 100 ms, 15 times; SQLite's own busy timeout comes before
 *             that, with the lock held, so it is short. A file that is not
 *             there would be made, and one that was replaced would be read
 *             on: the file is compared with the one opened.
 *   pgsql     blocks for as long as the server is silent. A statement ends
 *             itself with statement_timeout and a connection attempt after
 *             two seconds; only a frozen server, or one behind a dead
 *             network, holds the thread, which is there to be held.
 */
#include "freshness_source.h"

#include <apr_buckets.h>
#include <apr_dbd.h>
#include <apr_file_info.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include <ctype.h>
#include <string.h>

#include "lib/steady_clock.h"

#define TIME_COLUMN "updated_at"
#define BUSY_MAX apr_time_from_msec(25)
/* A connection ends after so many statements: those given up stay in it. */
#define STATEMENTS_MAX 256
/* Before the operator's, whose own words win. */
#define PGSQL_DEFAULTS "connect_timeout=2 keepalives_idle=5 " \
                       "keepalives_interval=2 keepalives_count=3 " \
                       "tcp_user_timeout=5000 "

typedef struct sql_source {
    const apr_dbd_driver_t *driver;
    const char *parameters;
    const char *file;           /* SQLite's; NULL: there is none to see */
    const char *const *setup;   /* what a new connection is told */
} sql_source;

typedef struct sql_statement {
    apr_dbd_prepared_t *prepared;
    int is_used;                /* it has worked */
} sql_statement;

typedef struct sql_handle {
    const sql_source *own;      /* of one of the sources that share it */
    apr_pool_t *pool;
    apr_bucket_alloc_t *buckets;
    apr_pool_t *connected;      /* NULL: not connected */
    apr_dbd_t *connection;
    apr_hash_t *statements;     /* of the source: sql_statement */
    unsigned prepared;          /* on this connection */
    apr_ino_t inode;            /* of the file that is open */
    apr_dev_t device;
} sql_handle;

static const char *configure(const etg_source_settings *settings,
                             const etg_freshness_from *from, apr_pool_t *p,
                             etg_source *source);
static void *open_handle(const etg_source *source, apr_pool_t *p);
static etg_source_outcome look_up(void *handle, etg_source_look *look);
static void close_handle(void *handle);
static const char *const *setup_make(const etg_source_settings *settings,
                                     apr_pool_t *p);
static const char *pgsql_parameters(const char *given, apr_pool_t *p);
static const char *connect_to(sql_handle *handle, apr_pool_t *p);
static const char *file_check(sql_handle *handle, apr_pool_t *p);
static void disconnect(sql_handle *handle);
static int run(sql_handle *handle, const char *text, apr_pool_t *p);
static const char *statement_get(sql_handle *handle, const etg_source *source,
                                 apr_pool_t *p, sql_statement **found);
static void statement_drop(sql_handle *handle, const etg_source *source);
static apr_dbd_results_t *rows_get(sql_handle *handle, etg_source_look *look,
                                   int *may_mend);
static void mend(sql_handle *handle, const etg_source *source,
                 apr_pool_t *p);
static etg_source_outcome rows_add(sql_handle *handle,
                                   apr_dbd_results_t *rows,
                                   etg_source_look *look);
static int row_add(sql_handle *handle, apr_dbd_row_t *row, int columns,
                   const char *is_time, etg_source_look *look);
static const char *trimmed(apr_pool_t *p, const char *text);

const etg_source_kind etg_source_sql = {
    ETG_FROM_SQL, configure, open_handle, look_up, close_handle
};

const char *etg_source_sql_check(void *handle, const etg_source *source,
                                 apr_pool_t *p)
{
    sql_statement *statement;
    const char *wrong = connect_to(handle, p);

    return wrong != NULL ? wrong
                         : statement_get(handle, source, p, &statement);
}

static const char *configure(const etg_source_settings *settings,
                             const etg_freshness_from *from, apr_pool_t *p,
                             etg_source *source)
{
    sql_source *own = apr_pcalloc(p, sizeof(*own));
    const char *driver = settings->driver;
    const char *at = settings->database;

    (void)from;
    if (driver == NULL || at == NULL) {
        return "sql needs a database: ETagFreshnessDatabase driver "
               "\"parameters\"";
    }
    if (apr_dbd_init(p) != APR_SUCCESS
        || apr_dbd_get_driver(p, driver, &own->driver) != APR_SUCCESS) {
        return apr_psprintf(p, "there is no database driver %s: on Debian "
                            "it is in the package libaprutil1-dbd-%s",
                            driver, driver);
    }
    own->parameters = apr_pstrdup(p, at);
    if (strcmp(driver, "pgsql") == 0) {
        own->parameters = pgsql_parameters(at, p);
    }
    else if (strcmp(driver, "sqlite3") == 0 && at[0] == '/') {
        own->file = own->parameters;
    }
    own->setup = setup_make(settings, p);
    source->own = own;
    source->shared = apr_psprintf(p, "%s %s %" APR_TIME_T_FMT, driver, at,
                                  settings->budget);
    return NULL;
}

static void *open_handle(const etg_source *source, apr_pool_t *p)
{
    sql_handle *handle = apr_pcalloc(p, sizeof(*handle));

    handle->own = source->own;
    handle->pool = p;
    handle->buckets = apr_bucket_alloc_create(p);
    return handle;
}

static void close_handle(void *handle)
{
    disconnect(handle);
}

/* Twice, if the first failed on something that was not new. */
static etg_source_outcome look_up(void *data, etg_source_look *look)
{
    sql_handle *handle = data;
    apr_dbd_results_t *rows;
    int may_mend = 0;

    if (look->values->nelts != look->source->value_count) {
        return etg_source_unknown(look, "%d values for %d placeholders",
                                  look->values->nelts,
                                  look->source->value_count);
    }
    rows = rows_get(handle, look, &may_mend);
    if (rows == NULL && may_mend && etg_steady_now() < look->deadline) {
        rows = rows_get(handle, look, &may_mend);
    }
    return rows == NULL ? ETG_SOURCE_UNKNOWN : rows_add(handle, rows, look);
}

static const char *const *setup_make(const etg_source_settings *settings,
                                     apr_pool_t *p)
{
    apr_interval_time_t budget = settings->budget > 0 ? settings->budget
                                                      : ETG_SOURCE_BUDGET;
    apr_interval_time_t busy = budget / 2 < BUSY_MAX ? budget / 2 : BUSY_MAX;
    const char **setup = apr_pcalloc(p, 5 * sizeof(*setup));

    if (strcmp(settings->driver, "pgsql") == 0) {
        setup[0] = "SET TIME ZONE 'UTC'";
        setup[1] = "SET DateStyle TO ISO";
        setup[2] = "SET default_transaction_read_only TO on";
        setup[3] = apr_psprintf(p, "SET statement_timeout TO %"
                                APR_TIME_T_FMT, apr_time_as_msec(budget) + 1);
    }
    else if (strcmp(settings->driver, "sqlite3") == 0) {
        setup[0] = "PRAGMA query_only = ON";
        setup[1] = apr_psprintf(p, "PRAGMA busy_timeout = %" APR_TIME_T_FMT,
                                apr_time_as_msec(busy));
    }
    return setup;
}

/* A URI has no place for words in front of it. */
static const char *pgsql_parameters(const char *given, apr_pool_t *p)
{
    if (strncmp(given, "postgres://", 11) == 0
        || strncmp(given, "postgresql://", 13) == 0) {
        if (strstr(given, "connect_timeout=") != NULL) {
            return apr_pstrdup(p, given);
        }
        return apr_pstrcat(p, given, strchr(given, '?') ? "&" : "?",
                           "connect_timeout=2", NULL);
    }
    return apr_pstrcat(p, PGSQL_DEFAULTS, given, NULL);
}

/* Makes sure that there is a connection. NULL, or why there is none. */
static const char *connect_to(sql_handle *handle, apr_pool_t *p)
{
    const sql_source *own = handle->own;
    const char *wrong = file_check(handle, p);
    const char *error = NULL;

    if (wrong != NULL || handle->connected != NULL) {
        return wrong;
    }
    apr_pool_create(&handle->connected, handle->pool);
    handle->statements = apr_hash_make(handle->connected);
    handle->prepared = 0;
    if (apr_dbd_open_ex(own->driver, handle->connected, own->parameters,
                        &handle->connection, &error) != APR_SUCCESS) {
        error = trimmed(p, error == NULL ? "no connection" : error);
        apr_pool_destroy(handle->connected);
        handle->connected = NULL;
        return error;
    }
    for (const char *const *each = own->setup; *each != NULL; each++) {
        int failed = run(handle, *each, p);

        if (failed != 0) {
            error = trimmed(p, apr_dbd_error(own->driver, handle->connection,
                                             failed));
            disconnect(handle);
            return error;
        }
    }
    return NULL;
}

/* Another file under the name is another database. */
static const char *file_check(sql_handle *handle, apr_pool_t *p)
{
    apr_finfo_t file;

    if (handle->own->file == NULL) {
        return NULL;
    }
    if (apr_stat(&file, handle->own->file, APR_FINFO_IDENT, p)
        != APR_SUCCESS) {
        disconnect(handle);
        return apr_pstrcat(p, "there is no file ", handle->own->file, NULL);
    }
    if (handle->connected != NULL && (file.inode != handle->inode
                                      || file.device != handle->device)) {
        disconnect(handle);
    }
    handle->inode = file.inode;
    handle->device = file.device;
    return NULL;
}

static void disconnect(sql_handle *handle)
{
    if (handle->connected != NULL) {
        apr_dbd_close(handle->own->driver, handle->connection);
        apr_pool_destroy(handle->connected);
        handle->connected = NULL;
    }
}

/* A select, as some settings answer with a row. */
static int run(sql_handle *handle, const char *text, apr_pool_t *p)
{
    apr_dbd_results_t *rows = NULL;

    return apr_dbd_select(handle->own->driver, p, handle->connection, &rows,
                          text, 1);
}

static const char *statement_get(sql_handle *handle, const etg_source *source,
                                 apr_pool_t *p, sql_statement **found)
{
    const apr_dbd_driver_t *driver = handle->own->driver;
    sql_statement *statement = apr_hash_get(handle->statements, &source,
                                            sizeof(source));
    const etg_source **key;
    const char *label;
    int failed;

    if (statement == NULL) {
        label = apr_psprintf(handle->connected, "etg_%u", handle->prepared++);
        statement = apr_pcalloc(handle->connected, sizeof(*statement));
        failed = apr_dbd_prepare(driver, handle->connected,
                                 handle->connection, source->text, label,
                                 &statement->prepared);
        if (failed != 0) {
            return trimmed(p, apr_dbd_error(driver, handle->connection,
                                            failed));
        }
        key = apr_palloc(handle->connected, sizeof(*key));
        *key = source;
        apr_hash_set(handle->statements, key, sizeof(*key), statement);
    }
    *found = statement;
    return NULL;
}

static void statement_drop(sql_handle *handle, const etg_source *source)
{
    if (handle->connected != NULL) {
        apr_hash_set(handle->statements, &source, sizeof(source), NULL);
    }
}

/* NULL: failed, with the reason; *may_mend: something older than this call
 * did, and was given up. All rows are here when it returns, so nothing has
 * been added to the digest when it fails. */
static apr_dbd_results_t *rows_get(sql_handle *handle, etg_source_look *look,
                                   int *may_mend)
{
    const apr_dbd_driver_t *driver = handle->own->driver;
    const char **values = (const char **)look->values->elts;
    apr_dbd_results_t *rows = NULL;
    sql_statement *statement = NULL;
    int is_old, failed;

    look->reason = connect_to(handle, look->pool);
    if (look->reason != NULL) {
        *may_mend = 0;
        return NULL;
    }
    is_old = handle->prepared > 0;
    look->reason = statement_get(handle, look->source, look->pool,
                                 &statement);
    if (look->reason == NULL) {
        failed = apr_dbd_pselect(driver, look->pool, handle->connection,
                                 &rows, statement->prepared, 1,
                                 look->source->value_count, values);
        if (failed == 0) {
            statement->is_used = 1;
            return rows;
        }
        look->reason = trimmed(look->pool,
                               apr_dbd_error(driver, handle->connection,
                                             failed));
    }
    /* What has worked before may do so again. */
    *may_mend = is_old && statement != NULL && statement->is_used;
    mend(handle, look->source, look->pool);
    *may_mend |= is_old && handle->connected == NULL;
    return NULL;
}

/* Gives the statement up, and the connection unless it answers. */
static void mend(sql_handle *handle, const etg_source *source, apr_pool_t *p)
{
    statement_drop(handle, source);
    if (handle->prepared >= STATEMENTS_MAX || run(handle, "SELECT 1", p) != 0) {
        disconnect(handle);
    }
}

static etg_source_outcome rows_add(sql_handle *handle,
                                   apr_dbd_results_t *rows,
                                   etg_source_look *look)
{
    const apr_dbd_driver_t *driver = handle->own->driver;
    const char *time_column = look->time_column == NULL ? TIME_COLUMN
                                                        : look->time_column;
    int columns = apr_dbd_num_cols(driver, rows);
    char *is_time = apr_pcalloc(look->pool, (apr_size_t)columns + 1);
    apr_dbd_row_t *row = NULL;

    /* Before the rows: they may take the names with them. */
    for (int i = 0; i < columns; i++) {
        const char *name = apr_dbd_get_name(driver, rows, i);

        is_time[i] = name != NULL && strcmp(name, time_column) == 0;
    }
    while (apr_dbd_get_row(driver, look->pool, rows, &row, -1) == 0) {
        if (!row_add(handle, row, columns, is_time, look)) {
            return etg_source_unknown(look, "a value could not be read");
        }
    }
    return ETG_SOURCE_READ;
}

/* As BLOBs, for that is how their lengths are to be had. */
static int row_add(sql_handle *handle, apr_dbd_row_t *row, int columns,
                   const char *is_time, etg_source_look *look)
{
    apr_bucket_brigade *holder = apr_brigade_create(look->pool,
                                                    handle->buckets);

    etg_data_digest_begin_member(look->builder);
    for (int i = 0; i < columns; i++) {
        etg_bytes value = { NULL, 0 };
        const char *data = NULL;
        apr_size_t length = 0;
        apr_status_t rv = apr_dbd_datum_get(handle->own->driver, row, i,
                                            APR_DBD_TYPE_BLOB, holder);

        if (rv == APR_SUCCESS) {
            rv = apr_bucket_read(APR_BRIGADE_FIRST(holder), &data, &length,
                                 APR_BLOCK_READ);
            if (rv != APR_SUCCESS) {
                return 0;
            }
            value.data = length == 0 ? (const unsigned char *)""
                                     : (const unsigned char *)data;
            value.length = length;
        }
        else if (rv != APR_ENOENT) {
            return 0;
        }
        if (is_time[i]) {
            etg_data_digest_add_time(look->builder, value);
        }
        else {
            etg_data_digest_add_value(look->builder, value);
        }
        apr_brigade_cleanup(holder);
    }
    etg_data_digest_end_member(look->builder);
    apr_brigade_destroy(holder);
    return 1;
}

/* A driver's message on one line, and not on one without end. */
static const char *trimmed(apr_pool_t *p, const char *text)
{
    char *line = apr_pstrndup(p, text == NULL ? "failed" : text, 300);
    apr_size_t length = strlen(line);

    while (length > 0 && isspace((unsigned char)line[length - 1])) {
        line[--length] = '\0';
    }
    for (char *at = line; *at != '\0'; at++) {
        if (iscntrl((unsigned char)*at)) {
            *at = ' ';
        }
    }
    return line;
}
