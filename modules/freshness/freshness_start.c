/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_start.c: from the configuration to look-ups in each child.
 *
 * A line of the main server may be used by each virtual host, with that one's
 * database; a line of a virtual host by that one alone. Servers with the same
 * settings have the same source of a line, so that they share its handles,
 * its prepared statement and its look-ups.
 */
#include "modules/freshness/freshness.h"

#include <apr_hash.h>

#include "lib/background.h"
#include "lib/field_list.h"
#include "modules/glue/kept_secret.h"

#define SECRET_KEY "etag-freshness-secret"

static int sources_configure(const etg_freshness_line *line, server_rec *main,
                             apr_hash_t *known, apr_pool_t *pconf);
static const char *source_make(const etg_freshness_line *line, server_rec *s,
                               apr_hash_t *known, apr_pool_t *pconf);
static int may_use(const server_rec *s, const server_rec *main,
                   const etg_freshness_line *line);
static void log_unknown(void *baton, etg_bytes route, const char *reason,
                        unsigned count);

static etg_freshness_server_conf *conf_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &etag_freshness_module);
}

int etg_freshness_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                               apr_pool_t *ptemp, server_rec *main)
{
    const apr_array_header_t *lines = etg_freshness_all_lines(pconf);
    etg_freshness_runtime *runtime = apr_pcalloc(pconf, sizeof(*runtime));
    apr_hash_t *known = apr_hash_make(ptemp);
    int result = OK;

    (void)plog;
    runtime->is_used = lines->nelts > 0;
    for (server_rec *s = main; s != NULL; s = s->next) {
        etg_freshness_server_conf *conf = conf_of(s);

        conf->runtime = runtime;
        conf->sources = apr_pcalloc(pconf, ((apr_size_t)lines->nelts + 1)
                                           * sizeof(*conf->sources));
    }
    for (int i = 0; i < lines->nelts; i++) {
        const etg_freshness_line *line = APR_ARRAY_IDX(
            lines, i, const etg_freshness_line *);

        if (etg_freshness_from_is_early(line->from.kind)
            && sources_configure(line, main, known, pconf) != OK) {
            result = !OK;
        }
    }
    return result;
}

/* An error only if no server at all can use the line: one that cannot may
 * never be asked for it. */
static int sources_configure(const etg_freshness_line *line, server_rec *main,
                             apr_hash_t *known, apr_pool_t *pconf)
{
    const char *wrong = NULL;
    int is_usable = 0;

    for (server_rec *s = main; s != NULL; s = s->next) {
        if (may_use(s, main, line)) {
            const char *here = source_make(line, s, known, pconf);

            is_usable |= here == NULL;
            wrong = here == NULL ? wrong : here;
        }
    }
    if (!is_usable) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, main,
                     ETGLOGNO(0181) "%s: ETagFreshnessFrom %s: %s",
                     line->place, line->text, wrong);
        return !OK;
    }
    return OK;
}

static int may_use(const server_rec *s, const server_rec *main,
                   const etg_freshness_line *line)
{
    return line->server == main || line->server == s;
}

/* NULL, or what is wrong; then the server has no source for the line. */
static const char *source_make(const etg_freshness_line *line, server_rec *s,
                               apr_hash_t *known, apr_pool_t *pconf)
{
    const etg_freshness_server_conf *conf = conf_of(s);
    etg_source_settings settings = {
        .driver = conf->driver,
        .database = conf->database,
        .memcached = conf->memcached,
        .budget = etg_freshness_longest_budget(pconf),
    };
    const char *name = apr_psprintf(
        pconf, "%u\n%s\n%s\n%s", line->number,
        conf->driver == NULL ? "" : conf->driver,
        conf->database == NULL ? "" : conf->database,
        conf->memcached == NULL ? "" : conf->memcached);
    etg_source *source = apr_hash_get(known, name, APR_HASH_KEY_STRING);
    const char *wrong = NULL;

    if (source == NULL) {
        source = apr_pcalloc(pconf, sizeof(*source));
        wrong = etg_source_configure(&settings, &line->from, pconf, source);
        if (wrong != NULL) {
            return wrong;
        }
        apr_hash_set(known, name, APR_HASH_KEY_STRING, source);
    }
    conf->sources[line->number] = source;
    return NULL;
}

/* As mod_etag_cache does: the dry run of the first start makes nothing. */
int etg_freshness_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *main)
{
    etg_freshness_server_conf *conf = conf_of(main);

    (void)plog;
    if (!conf->runtime->is_used
        || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    if (etg_kept_secret(conf->secret, SECRET_KEY, main->process->pool,
                        &conf->runtime->secret) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, main,
                     ETGLOGNO(0183) "freshness: no random bytes for a secret: "
                     "write an ETagFreshnessSecret");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    etg_freshness_check_sources(main, ptemp);
    return etg_freshness_memory_prepare(conf->runtime, conf->memory, pconf,
                                        main);
}

/* Without look-ups all data is unknown, and requests go their usual way. */
void etg_freshness_child_init(apr_pool_t *pchild, server_rec *main)
{
    etg_freshness_server_conf *conf = conf_of(main);
    etg_lookup_settings settings = { .log = log_unknown, .baton = main };
    etg_background_limits limits;
    apr_status_t rv;

    if (!conf->runtime->is_used
        || etg_background_limits_parse(&limits, etg_bytes_of(conf->threads))
           != NULL) {
        return;
    }
    settings.threads = limits.threads;
    settings.queue = limits.queue;
    rv = etg_lookups_create(&conf->runtime->lookups, &settings, pchild);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, main,
                     ETGLOGNO(0184) "freshness: this child makes no look-ups");
    }
    etg_freshness_memory_open(conf->runtime, pchild, main);
}

/* On whatever thread has asked. */
static void log_unknown(void *baton, etg_bytes route, const char *reason,
                        unsigned count)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, (server_rec *)baton,
                 ETGLOGNO(0185) "freshness: unknown for %u requests, the last "
                 "for \"%.*s\": %s", count, (int)route.length,
                 route.data == NULL ? "" : (const char *)route.data, reason);
}
