/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_config.c: every directive of mod_etag_composite, one row each.
 */
#include "modules/composite/composite.h"

#include "lib/allowed_target.h"
#include "lib/background.h"
#include "lib/field_list.h"

#define ESI_KEY "etag-composite-esi"
#define EVERYWHERE (RSRC_CONF | ACCESS_CONF)

static const char *set_part(cmd_parms *cmd, void *directory,
                            const char *args);
static const char *set_template(cmd_parms *cmd, void *directory,
                                const char *file);
static const char *set_esi(cmd_parms *cmd, void *directory,
                           const char *word);
static const char *check_prefix(cmd_parms *cmd, const void *value);
static const char *check_forward(cmd_parms *cmd, const void *value);
static const char *check_threads(cmd_parms *cmd, const void *value);
static const char *check_secret(cmd_parms *cmd, const void *value);
static const char *check_memory(cmd_parms *cmd, const void *value);
static const char *check_is_main(cmd_parms *cmd);

static const char *const esi_modes[] = { "Off", "On", "Always", NULL };

const command_rec etg_composite_commands[] = {
    AP_INIT_RAW_ARGS("ETagCompositePart", set_part,
                     ETG_STRINGS(etg_composite_dir_conf, parts,
                                 .word = "none"),
                     ACCESS_CONF, "A part: its name, its URL on this server, "
                     "the URL's params, and options"),
    AP_INIT_TAKE1("ETagCompositeTemplate", set_template,
                  ETG_TEXT(etg_composite_dir_conf, template_file),
                  ACCESS_CONF, "The JSON document that parts are put into"),
    AP_INIT_TAKE1("ETagCompositeDeadline", etg_option_set,
                  ETG_DURATION(etg_composite_dir_conf, deadline,
                               .def = 30 * ETG_SECOND,
                               .min = ETG_MILLISECOND, .max = ETG_HOUR),
                  EVERYWHERE, "How long all parts together may take"),
    AP_INIT_ITERATE("ETagCompositeForward", etg_option_set,
                    ETG_STRINGS(etg_composite_dir_conf, forward,
                                .def_text = "Authorization Cookie "
                                            "Accept-Language",
                                .check = check_forward),
                    EVERYWHERE, "The client's request fields that parts are "
                    "asked with"),
    AP_INIT_TAKE1("ETagCompositeMaxBytes", etg_option_set,
                  ETG_SIZE(etg_composite_dir_conf, max_bytes,
                           .def = 16 * ETG_MIB, .min = 1, .max = ETG_GIB),
                  EVERYWHERE, "Largest sum of all parts' bodies"),
    AP_INIT_TAKE1("ETagCompositeESI", set_esi,
                  ETG_ENUM(etg_composite_dir_conf, esi, esi_modes,
                           .def = ETG_COMPOSITE_ESI_OFF),
                  EVERYWHERE, "Off, On (pages that say so) or Always (all "
                  "HTML): where ESI is processed"),
    AP_INIT_ITERATE("ETagCompositeESIAllow", etg_option_set,
                    ETG_STRINGS(etg_composite_dir_conf, esi_allow,
                                .word = "none", .check = check_prefix),
                    EVERYWHERE, "Path prefixes that ESI may include"),
    AP_INIT_RAW_ARGS("ETagCompositeThreads", etg_option_set,
                     ETG_TEXT(etg_composite_server_conf, threads,
                              .def_text = "threads=32 queue=256",
                              .check = check_threads),
                     RSRC_CONF, "Threads per process that ask for parts: "
                     "threads=32 queue=256"),
    AP_INIT_TAKE1("ETagCompositeESIMemory", etg_option_set,
                  ETG_SIZE(etg_composite_server_conf, esi_memory,
                           .def = ETG_MIB, .max = 32 * ETG_MIB,
                           .check = check_memory),
                  RSRC_CONF, "Shared memory for which fragments pages with "
                  "ESI have; 0: none"),
    AP_INIT_TAKE1("ETagCompositeSecret", etg_option_set,
                  ETG_TEXT(etg_composite_server_conf, secret,
                           .check = check_secret),
                  RSRC_CONF, "The secret of private composites' tags; the "
                  "same on machines that share clients"),
    { .name = NULL }
};

void *etg_composite_create_dir(apr_pool_t *p, char *where)
{
    (void)where;
    return etg_option_create(p, sizeof(etg_composite_dir_conf),
                             ETG_OPTION_DIRECTORY, etg_composite_commands,
                             &etag_composite_module);
}

void *etg_composite_create_server(apr_pool_t *p, server_rec *s)
{
    (void)s;
    return etg_option_create(p, sizeof(etg_composite_server_conf),
                             ETG_OPTION_SERVER, etg_composite_commands,
                             &etag_composite_module);
}

/* A plan is replaced as a whole. */
void *etg_composite_merge_dir(apr_pool_t *p, void *base, void *added)
{
    etg_composite_dir_conf *merged = etg_option_merge(p, base, added);
    const etg_composite_dir_conf *inner = added;

    if (ETG_OPTION_IS_WRITTEN(inner, etg_composite_dir_conf, parts)) {
        merged->plan = inner->plan;
    }
    return merged;
}

static const char *set_part(cmd_parms *cmd, void *directory, const char *args)
{
    etg_composite_dir_conf *conf = directory;
    etg_composite_plan *plan;
    const char *error = etg_option_set(cmd, directory, args);

    if (error != NULL) {
        return error;
    }
    plan = etg_composite_plan_of(cmd, conf);
    if (conf->parts->nelts == 0) {
        apr_array_clear(plan->lines);
        return NULL;
    }
    error = etg_composite_plan_add(cmd, plan, args);
    return error == NULL ? NULL
        : apr_psprintf(cmd->pool, "ETagCompositePart: %s", error);
}

static const char *set_template(cmd_parms *cmd, void *directory,
                                const char *file)
{
    etg_composite_dir_conf *conf = directory;
    const char *error = etg_option_set(cmd, directory, file);

    if (error != NULL) {
        return error;
    }
    error = etg_composite_plan_read(cmd, etg_composite_plan_of(cmd, conf),
                                    conf->template_file);
    return error == NULL ? NULL
        : apr_psprintf(cmd->pool, "ETagCompositeTemplate: \"%s\" %s", file,
                       error);
}

/* Threads are only made where there is anything for them to do. */
static const char *set_esi(cmd_parms *cmd, void *directory, const char *word)
{
    const etg_composite_dir_conf *conf = directory;
    const char *error = etg_option_set(cmd, directory, word);

    if (error == NULL && conf->esi != ETG_COMPOSITE_ESI_OFF) {
        apr_pool_userdata_setn(cmd->server, ESI_KEY, NULL,
                               cmd->server->process->pconf);
    }
    return error;
}

int etg_composite_esi_is_written(apr_pool_t *pconf)
{
    void *written = NULL;

    apr_pool_userdata_get(&written, ESI_KEY, pconf);
    return written != NULL;
}

static const char *check_prefix(cmd_parms *cmd, const void *value)
{
    (void)cmd;
    return etg_allowed_prefix_is_valid(*(const char *const *)value)
        ? NULL : "is no path that a URL could begin with: an absolute one, "
                 "without query, dot segments and encoded dots or slashes";
}

/* Fields that speak of the client's own message or of the one answer that it
 * wants would make parts of the parts. */
static const char *check_forward(cmd_parms *cmd, const void *value)
{
    static const char *const refused[] = {
        "Accept-Encoding", "Connection", "Content-Length", "Content-Type",
        "Expect", "Host", "If-Match", "If-Modified-Since", "If-None-Match",
        "If-Range", "If-Unmodified-Since", "Keep-Alive",
        "Proxy-Authorization", "Proxy-Connection", "Range",
        "Surrogate-Capability", "TE", "Trailer", "Transfer-Encoding",
        "Upgrade", NULL
    };
    const char *name = *(const char *const *)value;

    (void)cmd;
    for (int i = 0; refused[i] != NULL; i++) {
        if (!ap_cstr_casecmp(name, refused[i])) {
            return "is a field of the client's own message, which no part is "
                   "asked with";
        }
    }
    return etg_is_token(etg_bytes_of(name)) ? NULL : "is not a field name";
}

static const char *check_threads(cmd_parms *cmd, const void *value)
{
    etg_background_limits limits;
    const char *error = etg_background_limits_parse(
        &limits, etg_bytes_of(*(const char *const *)value));

    return error != NULL ? error : check_is_main(cmd);
}

static const char *check_secret(cmd_parms *cmd, const void *value)
{
    return strlen(*(const char *const *)value) < ETG_DATA_TAG_KEY_MIN
        ? "is shorter than 16 characters" : check_is_main(cmd);
}

static const char *check_memory(cmd_parms *cmd, const void *value)
{
    apr_int64_t size = *(const apr_int64_t *)value;

    return size != 0 && size < 65536
        ? "is neither 0 nor from 64K to 32M" : check_is_main(cmd);
}

/* What all servers share is said once. */
static const char *check_is_main(cmd_parms *cmd)
{
    return cmd->server->is_virtual
        ? "is for all servers, and belongs outside of <VirtualHost>" : NULL;
}
