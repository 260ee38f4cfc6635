/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_config.c: every directive of mod_etag_freshness, one row each.
 *
 * ETagFreshnessFrom and ETagFreshnessSalt are lists of texts like others, and
 * beside the texts stands what was made of them: the two are set, replaced and
 * merged together.
 */
#include "modules/freshness/freshness.h"

#include <apr_dbd.h>

#include "lib/background.h"
#include "lib/field_list.h"

#define EVERYWHERE (RSRC_CONF | ACCESS_CONF)
#define LINES_KEY "etag-freshness-lines"
#define BUDGET_KEY "etag-freshness-budget"

static const char *set_from(cmd_parms *cmd, void *directory,
                            const char *args);
static const char *set_salt(cmd_parms *cmd, void *directory,
                            const char *text);
static const char *note_budget(cmd_parms *cmd, const void *value);
static const char *check_driver(cmd_parms *cmd, const void *value);
static const char *check_field_name(cmd_parms *cmd, const void *value);
static const char *check_secret(cmd_parms *cmd, const void *value);
static const char *check_threads(cmd_parms *cmd, const void *value);
static const char *check_is_main(cmd_parms *cmd, const void *value);
static apr_array_header_t *all_lines(apr_pool_t *pconf);
static int is_none(const apr_array_header_t *texts);

static const char *const digests[] = { "sha256", "rails", NULL };

const command_rec etg_freshness_commands[] = {
    AP_INIT_TAKE1("ETagFreshness", etg_option_set,
                  ETG_FLAG(etg_freshness_dir_conf, is_on),
                  EVERYWHERE, "Whether the data's times are looked at"),
    AP_INIT_TAKE1("ETagFreshnessOverride", etg_option_set,
                  ETG_FLAG(etg_freshness_dir_conf, is_override),
                  EVERYWHERE, "Whether our validators replace the backend's"),
    AP_INIT_RAW_ARGS("ETagFreshnessFrom", set_from,
                     ETG_STRINGS(etg_freshness_dir_conf, from,
                                 .word = "none"),
                     EVERYWHERE, "Where the data's times are read: sql, "
                     "files, memcached, json, header or body"),
    AP_INIT_TAKE1("ETagFreshnessTime", etg_option_set,
                  ETG_TEXT(etg_freshness_dir_conf, time_column,
                           .def_text = "updated_at"),
                  EVERYWHERE, "The column that has the time of a row"),
    AP_INIT_ITERATE("ETagFreshnessSalt", set_salt,
                    ETG_STRINGS(etg_freshness_dir_conf, salt,
                                .word = "none"),
                    EVERYWHERE, "Expressions that the digest covers as well"),
    AP_INIT_TAKE1("ETagFreshnessDigest", etg_option_set,
                  ETG_ENUM(etg_freshness_dir_conf, digest, digests),
                  EVERYWHERE, "What the tag is made by: sha256, or rails"),
    AP_INIT_TAKE1("ETagFreshnessShare", etg_option_set,
                  ETG_DURATION(etg_freshness_dir_conf, share,
                               .max = ETG_HOUR),
                  EVERYWHERE, "How old a look-up may be that a request "
                  "shares"),
    AP_INIT_TAKE1("ETagFreshnessTrust", etg_option_set,
                  ETG_DURATION(etg_freshness_dir_conf, trust,
                               .def = ETG_HOUR, .max = ETG_YEAR),
                  EVERYWHERE, "How long after a full fetch digests alone "
                  "decide"),
    AP_INIT_TAKE1("ETagFreshnessBudget", etg_option_set,
                  ETG_DURATION(etg_freshness_dir_conf, budget,
                               .def = 50 * ETG_MILLISECOND,
                               .min = ETG_MILLISECOND,
                               .max = 10 * ETG_SECOND,
                               .check = note_budget),
                  EVERYWHERE, "How long a request waits for a look-up"),
    AP_INIT_TAKE1("ETagFreshnessAllowEmpty", etg_option_set,
                  ETG_FLAG(etg_freshness_dir_conf, allows_empty),
                  EVERYWHERE, "Whether a source without a member is data, not "
                  "a mistake"),
    AP_INIT_TAKE1("ETagFreshnessMaxBody", etg_option_set,
                  ETG_SIZE(etg_freshness_dir_conf, max_body, .def = ETG_MIB,
                           .min = 1, .max = 64 * ETG_MIB),
                  EVERYWHERE, "Largest body that json and body read"),
    AP_INIT_ITERATE("ETagFreshnessIgnoreCookies", etg_option_set,
                    ETG_STRINGS(etg_freshness_dir_conf, ignored_cookies,
                                .word = "none"),
                    EVERYWHERE, "Cookies the backend does not look at"),
    AP_INIT_TAKE2("ETagFreshnessDatabase", etg_option_set2,
                  ETG_TEXT(etg_freshness_server_conf, driver,
                           .check = check_driver,
                           .then = ETG_TEXT(etg_freshness_server_conf,
                                            database)),
                  RSRC_CONF, "The driver of apr_dbd and its parameters"),
    AP_INIT_TAKE1("ETagFreshnessMemcached", etg_option_set,
                  ETG_TEXT(etg_freshness_server_conf, memcached),
                  RSRC_CONF, "The memcached that has the versions: "
                  "host[:port], or a socket's path"),
    AP_INIT_TAKE1("ETagFreshnessSecret", etg_option_set,
                  ETG_TEXT(etg_freshness_server_conf, secret,
                           .check = check_secret),
                  RSRC_CONF, "The secret of private requests' tags; the same "
                  "on machines that share clients"),
    AP_INIT_RAW_ARGS("ETagFreshnessThreads", etg_option_set,
                     ETG_TEXT(etg_freshness_server_conf, threads,
                              .def_text = "threads=4 queue=1024",
                              .check = check_threads),
                     RSRC_CONF, "Threads that look up, per database and "
                     "process: threads=4 queue=1024"),
    AP_INIT_TAKE1("ETagFreshnessMemory", etg_option_set,
                  ETG_SIZE(etg_freshness_server_conf, memory,
                           .def = 2 * ETG_MIB, .min = 65536,
                           .max = 32 * ETG_MIB, .check = check_is_main),
                  RSRC_CONF, "Shared memory for what the last responses were "
                  "like"),
    AP_INIT_ITERATE("ETagFreshnessPrivateHeaders", etg_option_set,
                    ETG_STRINGS(etg_freshness_server_conf, private_headers,
                                .def_text = "Authorization Cookie",
                                .check = check_field_name),
                    RSRC_CONF, "Request fields that make a request private"),
    { .name = NULL }
};

void *etg_freshness_create_dir(apr_pool_t *p, char *where)
{
    etg_freshness_dir_conf *conf;

    (void)where;
    conf = etg_option_create(p, sizeof(*conf), ETG_OPTION_DIRECTORY,
                             etg_freshness_commands, &etag_freshness_module);
    conf->lines = apr_array_make(p, 1, sizeof(etg_freshness_line *));
    conf->salts = apr_array_make(p, 1, sizeof(ap_expr_info_t *));
    return conf;
}

void *etg_freshness_create_server(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return etg_option_create(p, sizeof(etg_freshness_server_conf),
                             ETG_OPTION_SERVER, etg_freshness_commands,
                             &etag_freshness_module);
}

/* What was made of a list goes with the list. */
void *etg_freshness_merge_dir(apr_pool_t *p, void *base, void *added)
{
    etg_freshness_dir_conf *merged = etg_option_merge(p, base, added);
    const etg_freshness_dir_conf *inner = added;

    if (ETG_OPTION_IS_WRITTEN(inner, etg_freshness_dir_conf, from)) {
        merged->lines = inner->lines;
    }
    if (ETG_OPTION_IS_WRITTEN(inner, etg_freshness_dir_conf, salt)) {
        merged->salts = inner->salts;
    }
    return merged;
}

static const char *set_from(cmd_parms *cmd, void *directory, const char *args)
{
    etg_freshness_dir_conf *conf = directory;
    apr_array_header_t *all = all_lines(cmd->server->process->pconf);
    etg_freshness_line *line;
    const char *error = etg_option_set(cmd, directory, args);

    if (error != NULL) {
        return error;
    }
    if (is_none(conf->from)) {
        apr_array_clear(conf->lines);
        return NULL;
    }
    line = apr_pcalloc(cmd->pool, sizeof(*line));
    line->text = apr_pstrdup(cmd->pool, args);
    line->number = all->nelts;
    line->server = cmd->server;
    line->place = apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename,
                               cmd->directive->line_num);
    error = etg_freshness_from_parse(args, cmd->pool, &line->from);
    if (error == NULL) {
        line->section = cmd->path != NULL ? cmd->path : "";
        error = etg_section_path_read(cmd, line->from.params, &line->path);
    }
    if (error != NULL) {
        return apr_psprintf(cmd->pool, "ETagFreshnessFrom: %s", error);
    }
    APR_ARRAY_PUSH(all, etg_freshness_line *) = line;
    APR_ARRAY_PUSH(conf->lines, etg_freshness_line *) = line;
    return NULL;
}

static const char *set_salt(cmd_parms *cmd, void *directory, const char *text)
{
    etg_freshness_dir_conf *conf = directory;
    const char *error = etg_option_set(cmd, directory, text);
    ap_expr_info_t *salt;

    if (error != NULL) {
        return error;
    }
    if (is_none(conf->salt)) {
        apr_array_clear(conf->salts);
        return NULL;
    }
    salt = ap_expr_parse_cmd(cmd, text, AP_EXPR_FLAG_STRING_RESULT
                                        | AP_EXPR_FLAG_DONT_VARY,
                             &error, NULL);
    if (error != NULL) {
        return apr_psprintf(cmd->pool, "ETagFreshnessSalt: \"%s\": %s", text,
                            error);
    }
    APR_ARRAY_PUSH(conf->salts, ap_expr_info_t *) = salt;
    return NULL;
}

/* "none" was the last word: the list is empty again. */
static int is_none(const apr_array_header_t *texts)
{
    return texts->nelts == 0;
}

/* In pconf, as the next reading of the configuration begins anew. */
static apr_array_header_t *all_lines(apr_pool_t *pconf)
{
    void *lines = NULL;

    apr_pool_userdata_get(&lines, LINES_KEY, pconf);
    if (lines == NULL) {
        lines = apr_array_make(pconf, 8, sizeof(etg_freshness_line *));
        apr_pool_userdata_setn(lines, LINES_KEY, NULL, pconf);
    }
    return lines;
}

const apr_array_header_t *etg_freshness_all_lines(apr_pool_t *pconf)
{
    return all_lines(pconf);
}

/* In pconf, as lines are. */
static apr_int64_t *longest_budget(apr_pool_t *pconf)
{
    void *budget = NULL;

    apr_pool_userdata_get(&budget, BUDGET_KEY, pconf);
    if (budget == NULL) {
        budget = apr_pcalloc(pconf, sizeof(apr_int64_t));
        *(apr_int64_t *)budget = ETG_SOURCE_BUDGET;
        apr_pool_userdata_setn(budget, BUDGET_KEY, NULL, pconf);
    }
    return budget;
}

apr_interval_time_t etg_freshness_longest_budget(apr_pool_t *pconf)
{
    return *longest_budget(pconf);
}

static const char *note_budget(cmd_parms *cmd, const void *value)
{
    apr_int64_t *longest = longest_budget(cmd->server->process->pconf);
    apr_int64_t budget = *(const apr_int64_t *)value;

    *longest = budget > *longest ? budget : *longest;
    return NULL;
}

static const char *check_driver(cmd_parms *cmd, const void *value)
{
    const char *name = *(const char *const *)value;
    const apr_dbd_driver_t *driver;

    if (apr_dbd_init(cmd->server->process->pool) == APR_SUCCESS
        && apr_dbd_get_driver(cmd->server->process->pool, name, &driver)
           == APR_SUCCESS) {
        return NULL;
    }
    return apr_psprintf(cmd->pool, "is no driver of apr_dbd that is installed "
                        "(Debian: libaprutil1-dbd-%s)", name);
}

static const char *check_field_name(cmd_parms *cmd, const void *value)
{
    (void)cmd;
    return etg_is_token(etg_bytes_of(*(const char *const *)value))
        ? NULL : "is not a field name";
}

static const char *check_secret(cmd_parms *cmd, const void *value)
{
    return strlen(*(const char *const *)value) < ETG_DATA_TAG_KEY_MIN
        ? "is shorter than 16 characters" : check_is_main(cmd, value);
}

static const char *check_threads(cmd_parms *cmd, const void *value)
{
    etg_background_limits limits;
    const char *error = etg_background_limits_parse(
        &limits, etg_bytes_of(*(const char *const *)value));

    return error != NULL ? error : check_is_main(cmd, value);
}

/* What all servers share is said once. */
static const char *check_is_main(cmd_parms *cmd, const void *value)
{
    (void)value;
    return cmd->server->is_virtual
        ? "is for all servers, and belongs outside of <VirtualHost>" : NULL;
}
