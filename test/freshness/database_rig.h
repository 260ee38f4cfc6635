/* SPDX-License-Identifier: Apache-2.0 */
/*
 * database_rig.h: databases of a test's own: a SQLite file, and a PostgreSQL
 * server on a socket in a temporary folder; and one look at a source.
 *
 * The server runs as the user postgres if the test is root's, and ends with
 * the process that started it.
 */
#ifndef ETG_TEST_DATABASE_RIG_H
#define ETG_TEST_DATABASE_RIG_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "freshness_source.h"

typedef struct test_database {
    const char *driver;
    const char *parameters;
} test_database;

/* A folder that goes with the pool. */
const char *rig_folder(apr_pool_t *p);

/* Is this driver of APR's to be had? */
int rig_has_driver(const char *driver, apr_pool_t *p);

/* A file with the products 1 to `rows`. */
test_database rig_sqlite(int rows, apr_pool_t *p);

/* Is there a PostgreSQL to be had? */
int rig_pgsql_is_installed(void);
/* Starts the server; 0: there is none to be had. Once per process. */
int rig_pgsql_start(apr_pool_t *p);
/* Its products are 1 to `rows` from now on. */
test_database rig_pgsql(int rows, apr_pool_t *p);
/* SIGSTOP and SIGCONT to the server and all its processes. */
void rig_pgsql_freeze(void);
void rig_pgsql_thaw(void);
/* Ends it at once, and starts it again in its place. */
void rig_pgsql_kill(void);
void rig_pgsql_restart(void);
void rig_pgsql_end(void);

/* Runs SQL over a connection of its own; fails the test if it fails. */
void rig_run(test_database database, const char *text, apr_pool_t *p);
/* The first column of the first row. */
const char *rig_ask(test_database database, const char *text, apr_pool_t *p);

/* A line of ETagFreshnessFrom, configured; fails the test if it cannot be. */
etg_source *rig_source(const etg_source_settings *settings, const char *line,
                       apr_pool_t *p);
etg_source *rig_sql_source(test_database database, const char *line,
                           apr_pool_t *p);

/* One look with a handle; *digest on ETG_SOURCE_READ. */
etg_source_outcome rig_look(const etg_source *source, void *handle,
                            const apr_array_header_t *values,
                            etg_data_digest *digest, const char **reason,
                            apr_pool_t *p);
/* With so much time, instead of plenty. */
etg_source_outcome rig_look_for(const etg_source *source, void *handle,
                                const apr_array_header_t *values,
                                apr_interval_time_t budget,
                                etg_data_digest *digest, const char **reason,
                                apr_pool_t *p);
/* const char * rows of the arguments, up to `count`. */
apr_array_header_t *rig_values(apr_pool_t *p, int count, ...);

#endif
