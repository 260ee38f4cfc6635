/* SPDX-License-Identifier: Apache-2.0 */
/* cache_config.h: the directives of mod_etag_cache as two structures. */
#ifndef ETG_CACHE_CONFIG_H
#define ETG_CACHE_CONFIG_H

#include <ap_expr.h>
#include <http_config.h>

#include "etg_store.h"
#include "lib/cache_key.h"
#include "modules/glue/option_table.h"

typedef enum etg_cache_mode {
    ETG_CACHE_OFF,
    ETG_CACHE_ON,
    ETG_CACHE_OBSERVE             /* decide and say, never serve */
} etg_cache_mode;

typedef enum etg_cache_set_cookie {
    ETG_CACHE_SET_COOKIE_REFUSE,
    ETG_CACHE_SET_COOKIE_STRIP,
    ETG_CACHE_SET_COOKIE_STORE    /* and replay: the same for everybody */
} etg_cache_set_cookie;

typedef enum etg_cache_status_mode {
    ETG_CACHE_STATUS_OFF,
    ETG_CACHE_STATUS_ON,
    ETG_CACHE_STATUS_KEY          /* On, and the key is shown */
} etg_cache_status_mode;

typedef enum etg_cache_purge_mode {
    ETG_CACHE_PURGE_OFF,
    ETG_CACHE_PURGE_LOCAL,        /* loopback without a proxy before us */
    ETG_CACHE_PURGE_ON            /* whoever Require lets through */
} etg_cache_purge_mode;

/* A provider with one of its instances. */
typedef struct etg_cache_store {
    const char *uri;              /* of a tiered one: all, nearest first */
    const etg_store_provider *provider;   /* NULL: there is no store */
    etg_store *instance;
    apr_interval_time_t trust;    /* tiered: how long in a copy */
} etg_cache_store;

struct etg_cache_runtime;

/* Server and virtual host. Everything below the options is worked out from
 * them in check_config. */
typedef struct etg_cache_server_conf {
    etg_options options;
    apr_array_header_t *meta_uris;
    apr_array_header_t *entity_uris;
    apr_array_header_t *ignore_query;
    apr_array_header_t *key_headers;
    apr_array_header_t *private_headers;
    apr_int64_t tier_ttl;
    apr_array_header_t *tag_fields;
    apr_array_header_t *refreshes;/* lines: url every=30s jitter=2s */
    const char *background;       /* the main server's counts */
    int sort_query;

    struct etg_cache_runtime *runtime;
    etg_cache_store meta;
    etg_cache_store entity;
    etg_key_rules key_rules;
} etg_cache_server_conf;

/* Directory, location and so on. Durations in µs, -1 for "none". */
typedef struct etg_cache_dir_conf {
    etg_options options;
    int mode;                     /* etg_cache_mode */
    int set_cookie;               /* etg_cache_set_cookie */
    int status;                   /* etg_cache_status_mode */
    int purge;                    /* etg_cache_purge_mode */
    int collapse;
    int allow_reload;
    int allow_revalidate;
    int expose_tags;
    int max_variants;
    int compress;                 /* 0: off, 1: gzip, n: gzip at level n - 1 */
    apr_int64_t default_ttl;
    apr_int64_t max_ttl;
    apr_int64_t stale_if_error;
    apr_int64_t stale_while_revalidate;
    apr_int64_t patience;         /* -1: off */
    apr_int64_t keep;
    apr_int64_t max_object;
    apr_int64_t collapse_wait;
    apr_int64_t heuristic_max;
    double heuristic_fraction;
    double refresh_ahead;         /* of the lifetime; 0: off */
    const char *prefetch;         /* NULL: off */
    apr_array_header_t *prefetch_allow;
    const char *override;
    ap_expr_info_t *bypass;
    apr_array_header_t *ignored_cookies;
    apr_array_header_t *targeted;
    apr_array_header_t *refused_statuses;
    apr_array_header_t *languages;
} etg_cache_dir_conf;

extern const command_rec etg_cache_commands[];

void *etg_cache_create_dir(apr_pool_t *p, char *where);
void *etg_cache_create_server(apr_pool_t *p, server_rec *s);

#endif
