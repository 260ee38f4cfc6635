/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_config.h: the directives of mod_etag_freshness as two structures,
 * and what is worked out from them at configuration. */
#ifndef ETG_FRESHNESS_CONFIG_H
#define ETG_FRESHNESS_CONFIG_H

#include <ap_expr.h>
#include <http_config.h>

#include "lib/freshness_from.h"
#include "modules/freshness/freshness_source.h"
#include "modules/glue/option_table.h"
#include "modules/glue/section_path.h"

/* One line of ETagFreshnessFrom, as it was read. In pconf. */
typedef struct etg_freshness_line {
    etg_freshness_from from;
    const char *text;             /* as it was written, for messages */
    const char *section;          /* the <Location>'s argument, or "" */
    const char *place;            /* file:line, for messages */
    const server_rec *server;     /* which it is written in */
    etg_section_path path;        /* what path:N counts */
    unsigned number;              /* 0, 1... over all lines of the process */
} etg_freshness_line;

struct etg_freshness_runtime;

/* Server and virtual host. Below the options: worked out in check_config. */
typedef struct etg_freshness_server_conf {
    etg_options options;
    const char *driver;           /* ETagFreshnessDatabase; NULL: none */
    const char *database;
    const char *memcached;
    const char *secret;           /* NULL: made at the first start */
    const char *threads;          /* the main server's counts */
    apr_int64_t memory;           /* likewise */
    apr_array_header_t *private_headers;

    struct etg_freshness_runtime *runtime;
    /* const etg_source * rows by etg_freshness_line.number; NULL: the line is
     * read from the response, or cannot be used on this server. */
    const etg_source **sources;
} etg_freshness_server_conf;

/* Directory, location and so on. Durations in µs. */
typedef struct etg_freshness_dir_conf {
    etg_options options;
    int is_on;
    int is_override;
    int allows_empty;
    int digest;                   /* etg_data_digest_kind */
    apr_int64_t share;
    apr_int64_t trust;
    apr_int64_t budget;
    apr_int64_t max_body;
    const char *time_column;
    apr_array_header_t *from;     /* lines as they were written */
    apr_array_header_t *salt;     /* likewise */
    apr_array_header_t *ignored_cookies;

    /* Merged with the two lists they were made of. */
    apr_array_header_t *lines;    /* etg_freshness_line * rows */
    apr_array_header_t *salts;    /* ap_expr_info_t * rows */
} etg_freshness_dir_conf;

extern const command_rec etg_freshness_commands[];

void *etg_freshness_create_dir(apr_pool_t *p, char *where);
void *etg_freshness_merge_dir(apr_pool_t *p, void *base, void *added);
void *etg_freshness_create_server(apr_pool_t *p, server_rec *s);

/* All lines that were read, etg_freshness_line * rows; of this reading of the
 * configuration. */
const apr_array_header_t *etg_freshness_all_lines(apr_pool_t *pconf);

/* The longest ETagFreshnessBudget that is written anywhere: databases are
 * told to give up after it. Budgets belong to directories, and connections,
 * which have a time-out of their own, to servers. */
apr_interval_time_t etg_freshness_longest_budget(apr_pool_t *pconf);

#endif
