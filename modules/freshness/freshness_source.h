/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_source.h: the contract of a source that is read before the
 * backend is asked: a kind of source is one file and one table of calls.
 *
 * configure   once, at configuration: a line of ETagFreshnessFrom becomes an
 *             etg_source, read-only from then on, for all threads
 * open        a handle: what a look-up needs that one thread can use at a
 *             time. It is opened when it is first needed and kept; sources
 *             with the same `shared` text share handles
 * look        reads the source and adds its members to a digest
 * close       gives the handle up
 *
 * A look blocks at most as long as its source does: it runs on a thread that
 * nobody depends on (freshness_lookup.h), and the deadline is a hint not to
 * begin what nobody will wait for. What it reads it reads after it was
 * called, never from a copy: the order of reading is what the module rests
 * on. Free of httpd.h.
 */
#ifndef ETG_FRESHNESS_SOURCE_H
#define ETG_FRESHNESS_SOURCE_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "lib/data_digest.h"
#include "lib/freshness_from.h"

typedef enum etg_source_outcome {
    ETG_SOURCE_UNKNOWN,         /* nothing is known; there is a reason */
    ETG_SOURCE_READ             /* its members, perhaps none, were added */
} etg_source_outcome;

/* What directives say. All may be NULL or 0: not said. */
typedef struct etg_source_settings {
    const char *driver;         /* of apr_dbd: sqlite3, pgsql... */
    const char *database;       /* the driver's parameters */
    const char *memcached;      /* host[:port], or a socket's path */
    unsigned files_max;         /* 0: ETG_SOURCE_FILES_MAX */
    apr_interval_time_t budget; /* of a look; 0: ETG_SOURCE_BUDGET */
} etg_source_settings;

#define ETG_SOURCE_BUDGET apr_time_from_msec(50)
#define ETG_SOURCE_FILES_MAX 10000

typedef struct etg_source_kind etg_source_kind;

typedef struct etg_source {
    const etg_source_kind *kind;
    const char *text;           /* statement, pattern, key */
    int value_count;            /* as many as a look is given */
    const char *shared;         /* names what handles are for */
    void *own;                  /* the kind's */
} etg_source;

/* One look. */
typedef struct etg_source_look {
    const etg_source *source;
    const apr_array_header_t *values;   /* const char * rows, NULL: none */
    const char *time_column;            /* NULL: updated_at */
    apr_time_t deadline;                /* by etg_steady_now */
    etg_data_digest_builder *builder;
    apr_pool_t *pool;                   /* for the look alone */
    const char *reason;                 /* out, in `pool`: why unknown */
} etg_source_look;

struct etg_source_kind {
    etg_from_kind kind;
    /* NULL, or a sentence for the admin; what it makes lives in `p`. */
    const char *(*configure)(const etg_source_settings *settings,
                             const etg_freshness_from *from, apr_pool_t *p,
                             etg_source *source);
    /* Makes a handle, which has `p` for itself. Talks to nobody yet. */
    void *(*open)(const etg_source *source, apr_pool_t *p);
    /* After ETG_SOURCE_UNKNOWN the builder is of no more use. A handle that
     * failed mends itself in a later look. */
    etg_source_outcome (*look)(void *handle, etg_source_look *look);
    void (*close)(void *handle);
};

/* By freshness_source.c: finds the kind and configures. NULL, or a sentence;
 * kinds that are read from the response are refused. */
const char *etg_source_configure(const etg_source_settings *settings,
                                 const etg_freshness_from *from,
                                 apr_pool_t *p, etg_source *source);

/* Does the source take this, as far as one can tell beforehand? Prepares the
 * statement with a handle of its own, which may block as long as a connection
 * does. NULL, or why not, in `p`. To be called as the user who will look:
 * SQLite may leave files beside the database that belong to who read it. */
const char *etg_source_check(const etg_source *source, apr_pool_t *p);

/* Says why, in printf's way, and returns ETG_SOURCE_UNKNOWN. */
etg_source_outcome etg_source_unknown(etg_source_look *look,
                                      const char *format, ...)
    __attribute__((format(printf, 2, 3)));

extern const etg_source_kind etg_source_sql;
extern const etg_source_kind etg_source_files;
extern const etg_source_kind etg_source_memcached;

/* The statement is prepared, and no more; of etg_source_sql's handles. */
const char *etg_source_sql_check(void *handle, const etg_source *source,
                                 apr_pool_t *p);

#endif
