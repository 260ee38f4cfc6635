/* SPDX-License-Identifier: Apache-2.0 */
/*
 * section_path.c: groups of a pattern, or segments behind a path.
 *
 * Segments are counted strictly, as in the path that the backend gets: of two
 * slashes in a row the segment between is empty, and has no value; a path that
 * httpd takes for the section's only by merging slashes is refused.
 */
#include "modules/glue/section_path.h"

#include <string.h>

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <http_core.h>

#include "lib/freshness_params.h"

static const char *read_pattern(cmd_parms *cmd, int number,
                                etg_section_path *section);
static const char *read_prefix(cmd_parms *cmd, int number,
                               etg_section_path *section);
static int is_pattern(cmd_parms *cmd);
static int find_groups(const ap_regex_t *pattern, const char *path,
                       apr_array_header_t *texts);
static int find_segments(const char *prefix, const char *path,
                         apr_array_header_t *texts);

const char *etg_section_path_read(cmd_parms *cmd,
                                  const apr_array_header_t *params,
                                  etg_section_path *section)
{
    const char *error = NULL;

    for (int i = 0; error == NULL && params != NULL && i < params->nelts;
         i++) {
        const etg_from_param *param = &APR_ARRAY_IDX(params, i,
                                                     const etg_from_param);

        if (param->kind == ETG_PARAM_PATH) {
            error = is_pattern(cmd)
                ? read_pattern(cmd, param->number, section)
                : read_prefix(cmd, param->number, section);
        }
    }
    return error;
}

static const char *read_pattern(cmd_parms *cmd, int number,
                                etg_section_path *section)
{
    section->pattern = ap_pregcomp(cmd->pool, cmd->path, AP_REG_EXTENDED);
    if (section->pattern == NULL) {
        return apr_psprintf(cmd->pool, "\"%s\" is no pattern", cmd->path);
    }
    if (number > (int)section->pattern->re_nsub) {
        return apr_psprintf(cmd->pool, "path:%d, but \"%s\" has %d groups",
                            number, cmd->path,
                            (int)section->pattern->re_nsub);
    }
    return NULL;
}

static const char *read_prefix(cmd_parms *cmd, int number,
                               etg_section_path *section)
{
    const ap_directive_t *parent = cmd->directive->parent;
    apr_size_t length;

    if (parent == NULL || ap_cstr_casecmp(parent->directive, "<Location")
        || cmd->path == NULL || cmd->path[0] != '/'
        || apr_fnmatch_test(cmd->path)) {
        return "path:N needs a <LocationMatch>, whose groups it counts, or a "
               "<Location> without wildcards, behind which it counts segments";
    }
    if (number == 0) {
        return "path:0 needs a <LocationMatch>: behind a <Location>, segments "
               "are counted from 1";
    }
    length = strlen(cmd->path);
    if (cmd->path[length - 1] == '/') {
        length--;
    }
    section->prefix = apr_pstrmemdup(cmd->pool, cmd->path, length);
    return NULL;
}

/* <LocationMatch ...> or <Location ~ ...>. */
static int is_pattern(cmd_parms *cmd)
{
    const ap_directive_t *parent = cmd->directive->parent;
    const char *args;

    if (parent == NULL || cmd->path == NULL) {
        return 0;
    }
    args = parent->args;
    return !ap_cstr_casecmp(parent->directive, "<LocationMatch")
        || (!ap_cstr_casecmp(parent->directive, "<Location")
            && !strcmp(ap_getword_conf(cmd->temp_pool, &args), "~"));
}

const char *etg_section_path_values(const etg_section_path *section,
                                    const char *path, apr_pool_t *p,
                                    const apr_array_header_t **values)
{
    apr_array_header_t *texts;

    if (section->pattern == NULL && section->prefix == NULL) {
        return NULL;
    }
    texts = apr_array_make(p, ETG_PARAM_GROUP_MAX + 1, sizeof(const char *));
    if (!(section->pattern != NULL
          ? find_groups(section->pattern, path, texts)
          : find_segments(section->prefix, path, texts))) {
        return "has a path that was changed after its section was found";
    }
    *values = texts;
    return NULL;
}

static int find_groups(const ap_regex_t *pattern, const char *path,
                       apr_array_header_t *texts)
{
    ap_regmatch_t found[ETG_PARAM_GROUP_MAX + 1];

    if (ap_regexec(pattern, path, ETG_PARAM_GROUP_MAX + 1, found, 0) != 0) {
        return 0;
    }
    for (int i = 0; i <= ETG_PARAM_GROUP_MAX; i++) {
        APR_ARRAY_PUSH(texts, const char *) = found[i].rm_so < 0
            ? NULL : apr_pstrmemdup(texts->pool, path + found[i].rm_so,
                                    (apr_size_t)(found[i].rm_eo
                                                 - found[i].rm_so));
    }
    return 1;
}

static int find_segments(const char *prefix, const char *path,
                         apr_array_header_t *texts)
{
    apr_size_t length = strlen(prefix);
    const char *at = path + length;

    if (strncmp(path, prefix, length) || (*at != '/' && *at != '\0')) {
        return 0;
    }
    APR_ARRAY_PUSH(texts, const char *) = path;
    while (*at == '/' && texts->nelts <= ETG_PARAM_GROUP_MAX) {
        const char *segment = at + 1;

        at = segment + strcspn(segment, "/");
        APR_ARRAY_PUSH(texts, const char *) = at == segment
            ? NULL : apr_pstrmemdup(texts->pool, segment,
                                    (apr_size_t)(at - segment));
    }
    return 1;
}
