/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_config.c: every directive of mod_etag_cache, one row each.
 *
 * Rows with ACCESS_CONF live in the directory structure, the others in the
 * server's; the option table reads, checks, merges and defaults them.
 */
#include "modules/cache/cache_background.h"

#include "lib/cache_control.h"
#include "lib/field_list.h"
#include "lib/refresh_schedule.h"
#include "modules/cache/cache_prefetch.h"

#define EVERYWHERE (RSRC_CONF | ACCESS_CONF)
#define MAX_VARIANTS_LIMIT 1000

static const char *check_override(cmd_parms *cmd, const void *value);
static const char *check_field_name(cmd_parms *cmd, const void *value);
static const char *check_refresh(cmd_parms *cmd, const void *value);
static const char *check_status(cmd_parms *cmd, const void *value);

static const char *const modes[] = { "Off", "On", "Observe", NULL };
static const char *const set_cookie_modes[] = {
    "Refuse", "Strip", "Store", NULL
};
static const char *const status_modes[] = { "Off", "On", "Key", NULL };
static const char *const codings[] = {
    "Off", "gzip", "gzip:1", "gzip:2", "gzip:3", "gzip:4", "gzip:5", "gzip:6",
    "gzip:7", "gzip:8", "gzip:9", NULL
};
static const char *const purge_modes[] = { "Off", "Local", "On", NULL };

const command_rec etg_cache_commands[] = {
    AP_INIT_TAKE1("ETagCache", etg_option_set,
                  ETG_ENUM(etg_cache_dir_conf, mode, modes),
                  EVERYWHERE, "Off, On, or Observe: decide but never serve"),
    AP_INIT_ITERATE("ETagCacheMetaStore", etg_option_set,
                    ETG_STRINGS(etg_cache_server_conf, meta_uris,
                                .def_text = "local:"),
                    RSRC_CONF, "Where what is known of responses is kept"),
    AP_INIT_ITERATE("ETagCacheEntityStore", etg_option_set,
                    ETG_STRINGS(etg_cache_server_conf, entity_uris),
                    RSRC_CONF, "Where bodies are kept (the meta store)"),
    AP_INIT_TAKE1("ETagCacheTierTTL", etg_option_set,
                  ETG_DURATION(etg_cache_server_conf, tier_ttl,
                               .def = 5 * ETG_SECOND, .max = ETG_DAY),
                  RSRC_CONF, "How long the copy in a nearer store is trusted "
                  "without asking the shared one"),
    AP_INIT_TAKE1("ETagCacheDefaultTTL", etg_option_set,
                  ETG_DURATION(etg_cache_dir_conf, default_ttl,
                               .max = ETG_YEAR),
                  EVERYWHERE, "Freshness of responses that state none"),
    AP_INIT_TAKE1("ETagCacheMaxTTL", etg_option_set,
                  ETG_DURATION(etg_cache_dir_conf, max_ttl, .def = ETG_NONE,
                               .word = "none", .max = ETG_YEAR),
                  EVERYWHERE, "Upper bound on freshness lifetimes"),
    AP_INIT_TAKE12("ETagCacheHeuristic", etg_option_set2,
                   ETG_FRACTION(etg_cache_dir_conf, heuristic_fraction,
                                .word = "Off",
                                .then = ETG_DURATION(etg_cache_dir_conf,
                                                     heuristic_max,
                                                     .def = ETG_HOUR,
                                                     .max = ETG_YEAR)),
                   EVERYWHERE, "Off, or the fraction of the time since "
                   "Last-Modified that a response stays fresh, and at most "
                   "how long"),
    AP_INIT_TAKE1("ETagCacheStaleIfError", etg_option_set,
                  ETG_DURATION(etg_cache_dir_conf, stale_if_error,
                               .max = ETG_YEAR),
                  EVERYWHERE, "How long past expiry a response may stand in "
                  "for a failing backend"),
    AP_INIT_TAKE1("ETagCacheStaleWhileRevalidate", etg_option_set,
                  ETG_DURATION(etg_cache_dir_conf, stale_while_revalidate,
                               .max = ETG_YEAR),
                  EVERYWHERE, "How long past expiry a response may be served "
                  "while it is refreshed in the background"),
    AP_INIT_TAKE1("ETagCachePatience", etg_option_set,
                  ETG_DURATION(etg_cache_dir_conf, patience, .def = ETG_NONE,
                               .word = "off", .max = ETG_HOUR),
                  EVERYWHERE, "How long a client waits for a slow backend "
                  "before it gets the stale response"),
    AP_INIT_TAKE1("ETagCacheRefreshAhead", etg_option_set,
                  ETG_FRACTION(etg_cache_dir_conf, refresh_ahead,
                               .word = "Off"),
                  EVERYWHERE, "Off, or the fraction of its lifetime after "
                  "which a response in use is refreshed"),
    AP_INIT_RAW_ARGS("ETagCacheRefresh", etg_option_set,
                     ETG_STRINGS(etg_cache_server_conf, refreshes,
                                 .word = "none", .check = check_refresh),
                     RSRC_CONF, "A URL that is fetched on schedule: url "
                     "every=30s [jitter=2s]"),
    AP_INIT_TAKE1("ETagCachePrefetch", etg_option_set,
                  ETG_TEXT(etg_cache_dir_conf, prefetch, .word = "Off",
                           .check = etg_cache_prefetch_check),
                  EVERYWHERE, "Where the next page is named: Off, link, "
                  "json:pointer or query:parameter"),
    AP_INIT_ITERATE("ETagCachePrefetchAllow", etg_option_set,
                    ETG_STRINGS(etg_cache_dir_conf, prefetch_allow,
                                .word = "none",
                                .check = etg_cache_prefetch_check_prefix),
                    EVERYWHERE, "Path prefixes that may be prefetched"),
    AP_INIT_RAW_ARGS("ETagCacheBackground", etg_option_set,
                     ETG_TEXT(etg_cache_server_conf, background,
                              .def_text = "threads=4 queue=1024",
                              .check = etg_cache_background_check),
                     RSRC_CONF, "How much is fetched in the background: "
                     "threads=4 queue=1024"),
    AP_INIT_TAKE1("ETagCacheCompress", etg_option_set,
                  ETG_ENUM(etg_cache_dir_conf, compress, codings, .def = 1),
                  EVERYWHERE, "Off, or gzip[:level]: how text is kept"),
    AP_INIT_TAKE1("ETagCacheKeep", etg_option_set,
                  ETG_DURATION(etg_cache_dir_conf, keep, .def = ETG_HOUR,
                               .max = ETG_YEAR),
                  EVERYWHERE, "How long past expiry responses are kept to be "
                  "validated"),
    AP_INIT_TAKE1("ETagCacheOverride", etg_option_set,
                  ETG_TEXT(etg_cache_dir_conf, override, .word = "none",
                           .check = check_override),
                  EVERYWHERE, "Cache-Control in place of the backend's"),
    AP_INIT_TAKE1("ETagCacheMaxObject", etg_option_set,
                  ETG_SIZE(etg_cache_dir_conf, max_object,
                           .def = 16 * ETG_MIB, .min = 1,
                           .max = 64 * ETG_GIB),
                  EVERYWHERE, "Largest body that is stored"),
    AP_INIT_TAKE1("ETagCacheMaxVariants", etg_option_set,
                  ETG_INTEGER(etg_cache_dir_conf, max_variants, .def = 16,
                              .min = 1, .max = MAX_VARIANTS_LIMIT),
                  EVERYWHERE, "How many variants of a URL are kept"),
    AP_INIT_ITERATE("ETagCacheKeyIgnoreQuery", etg_option_set,
                    ETG_STRINGS(etg_cache_server_conf, ignore_query,
                                .word = "none"),
                    RSRC_CONF, "Query parameters that do not count"),
    AP_INIT_TAKE1("ETagCacheKeySortQuery", etg_option_set,
                  ETG_FLAG(etg_cache_server_conf, sort_query),
                  RSRC_CONF, "Whether the order of parameters counts not"),
    AP_INIT_ITERATE("ETagCacheKeyHeader", etg_option_set,
                    ETG_STRINGS(etg_cache_server_conf, key_headers,
                                .word = "none", .check = check_field_name),
                    RSRC_CONF, "Request fields that are part of the key"),
    AP_INIT_ITERATE("ETagCachePrivateHeaders", etg_option_set,
                    ETG_STRINGS(etg_cache_server_conf, private_headers,
                                .def_text = "Authorization Cookie",
                                .check = check_field_name),
                    RSRC_CONF, "Request fields that make a request private"),
    AP_INIT_ITERATE("ETagCacheIgnoreCookies", etg_option_set,
                    ETG_STRINGS(etg_cache_dir_conf, ignored_cookies,
                                .word = "none"),
                    EVERYWHERE, "Cookies the backend does not look at"),
    AP_INIT_TAKE1("ETagCacheBypass", etg_option_set,
                  ETG_EXPR(etg_cache_dir_conf, bypass, .word = "none"),
                  EVERYWHERE, "Expression: requests that go past the cache"),
    AP_INIT_TAKE1("ETagCacheSetCookie", etg_option_set,
                  ETG_ENUM(etg_cache_dir_conf, set_cookie, set_cookie_modes),
                  EVERYWHERE, "Responses with Set-Cookie: Refuse to store, "
                  "Strip the field, or Store and replay it"),
    AP_INIT_ITERATE("ETagCacheRefuseStatus", etg_option_set,
                    ETG_STRINGS(etg_cache_dir_conf, refused_statuses,
                                .def_text = "400 413 431", .word = "none",
                                .check = check_status),
                    EVERYWHERE, "Statuses that are never stored"),
    AP_INIT_TAKE1("ETagCacheAllowReload", etg_option_set,
                  ETG_FLAG(etg_cache_dir_conf, allow_reload),
                  EVERYWHERE, "Whether clients may ask for a reload"),
    AP_INIT_TAKE1("ETagCacheAllowRevalidate", etg_option_set,
                  ETG_FLAG(etg_cache_dir_conf, allow_revalidate),
                  EVERYWHERE, "Whether clients may set limits on age"),
    AP_INIT_TAKE1("ETagCacheCollapse", etg_option_set,
                  ETG_FLAG(etg_cache_dir_conf, collapse, .def = 1),
                  EVERYWHERE, "One fetch for all who ask at the same time"),
    AP_INIT_TAKE1("ETagCacheCollapseWait", etg_option_set,
                  ETG_DURATION(etg_cache_dir_conf, collapse_wait,
                               .def = 30 * ETG_SECOND, .max = ETG_HOUR),
                  EVERYWHERE, "How long to wait for another's fetch"),
    AP_INIT_TAKE1("ETagCacheStatus", etg_option_set,
                  ETG_ENUM(etg_cache_dir_conf, status, status_modes,
                           .def = ETG_CACHE_STATUS_ON),
                  EVERYWHERE, "The Cache-Status field: Off, On, or Key"),
    AP_INIT_ITERATE("ETagCacheTargeted", etg_option_set,
                    ETG_STRINGS(etg_cache_dir_conf, targeted,
                                .def_text = "Etagere-Cache-Control",
                                .word = "none", .check = check_field_name),
                    EVERYWHERE, "Targeted fields (RFC 9213), nearest first"),
    AP_INIT_ITERATE("ETagCacheAcceptLanguage", etg_option_set,
                    ETG_STRINGS(etg_cache_dir_conf, languages,
                                .word = "none"),
                    EVERYWHERE, "Languages that Accept-Language is reduced "
                    "to, best first"),
    AP_INIT_TAKE1("ETagCachePurge", etg_option_set,
                  ETG_ENUM(etg_cache_dir_conf, purge, purge_modes,
                           .def = ETG_CACHE_PURGE_LOCAL),
                  EVERYWHERE, "Who may purge: nobody, Local, or On: whoever "
                  "Require lets through"),
    AP_INIT_ITERATE("ETagCacheTag", etg_option_set,
                    ETG_STRINGS(etg_cache_server_conf, tag_fields,
                                .def_text = "Surrogate-Key Cache-Tag xkey",
                                .word = "none", .check = check_field_name),
                    RSRC_CONF, "Response fields that carry purge tags"),
    AP_INIT_TAKE1("ETagCacheTagExpose", etg_option_set,
                  ETG_FLAG(etg_cache_dir_conf, expose_tags),
                  EVERYWHERE, "Whether clients get the fields with tags"),
    { .name = NULL }
};

void *etg_cache_create_dir(apr_pool_t *p, char *where)
{
    (void)where;
    return etg_option_create(p, sizeof(etg_cache_dir_conf),
                             ETG_OPTION_DIRECTORY, etg_cache_commands,
                             &etag_cache_module);
}

void *etg_cache_create_server(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return etg_option_create(p, sizeof(etg_cache_server_conf),
                             ETG_OPTION_SERVER, etg_cache_commands,
                             &etag_cache_module);
}

/* It goes out to clients as it stands: every member is a directive. */
static const char *check_override(cmd_parms *cmd, const void *value)
{
    const char *text = *(const char *const *)value;
    etg_bytes rest = etg_bytes_of(text);
    etg_bytes member;
    etg_cache_control cc;

    while (etg_list_next(&rest, &member)) {
        const char *equals = memchr(member.data, '=', member.length);
        etg_bytes name = member;

        if (equals != NULL) {
            name.length = equals - (const char *)member.data;
        }
        if (!etg_is_token(name)) {
            return "is not a list of Cache-Control directives";
        }
    }
    etg_cache_control_init(&cc);
    etg_cache_control_parse(&cc, etg_bytes_of(text), cmd->temp_pool);
    if (cc.flags & ETG_CC_MALFORMED) {
        return "has a Cache-Control directive with a bad argument";
    }
    return NULL;
}

static const char *check_field_name(cmd_parms *cmd, const void *value)
{
    (void)cmd;
    return etg_is_token(etg_bytes_of(*(const char *const *)value))
        ? NULL : "is not a field name";
}

static const char *check_status(cmd_parms *cmd, const void *value)
{
    const char *text = *(const char *const *)value;

    (void)cmd;
    return strlen(text) == 3 && strspn(text, "0123456789") == 3
           && atoi(text) >= 200 && atoi(text) <= 599
        ? NULL : "is not a status from 200 to 599";
}

static const char *check_refresh(cmd_parms *cmd, const void *value)
{
    etg_refresh_rule rule;

    return etg_refresh_rule_parse(
        &rule, etg_bytes_of(*(const char *const *)value), cmd->temp_pool);
}
