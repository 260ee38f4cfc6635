/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_plan.c: from the lines of a section to what a request follows.
 *
 * Lines come in any order, the template before its parts or behind them, so a
 * plan is finished when all of the configuration has been read.
 */
#include "modules/composite/composite.h"

#include <apr_file_io.h>

#include "lib/entity_digest.h"

#define PLANS_KEY "etag-composite-plans"

static apr_array_header_t *all_plans(apr_pool_t *pconf);
static const char *read_file(const char *path, apr_pool_t *p,
                             etg_bytes *text);
static apr_status_t digest(etg_composite_plan *plan, apr_pool_t *p);
static void digest_text(etg_entity_digest *stream, const char *text);

etg_composite_plan *etg_composite_plan_of(cmd_parms *cmd,
                                          etg_composite_dir_conf *conf)
{
    etg_composite_plan *plan = conf->plan;

    if (plan == NULL) {
        plan = apr_pcalloc(cmd->pool, sizeof(*plan));
        plan->server = cmd->server;
        plan->place = apr_psprintf(cmd->pool, "%s:%d",
                                   cmd->directive->filename,
                                   cmd->directive->line_num);
        plan->lines = apr_array_make(cmd->pool, 4,
                                     sizeof(etg_composite_line));
        APR_ARRAY_PUSH(all_plans(cmd->server->process->pconf),
                       etg_composite_plan *) = plan;
        conf->plan = plan;
    }
    return plan;
}

/* In pconf, as the next reading of the configuration begins anew. */
static apr_array_header_t *all_plans(apr_pool_t *pconf)
{
    void *plans = NULL;

    apr_pool_userdata_get(&plans, PLANS_KEY, pconf);
    if (plans == NULL) {
        plans = apr_array_make(pconf, 4, sizeof(etg_composite_plan *));
        apr_pool_userdata_setn(plans, PLANS_KEY, NULL, pconf);
    }
    return plans;
}

const apr_array_header_t *etg_composite_all_plans(apr_pool_t *pconf)
{
    return all_plans(pconf);
}

const char *etg_composite_plan_add(cmd_parms *cmd, etg_composite_plan *plan,
                                   const char *text)
{
    etg_composite_line line = { .path = { NULL, NULL } };
    const char *error = etg_composite_part_parse(text, cmd->pool, &line.part);

    if (error == NULL) {
        error = etg_section_path_read(cmd, line.part.params, &line.path);
    }
    if (error != NULL) {
        return error;
    }
    if (plan->lines->nelts >= ETG_COMPOSITE_PARTS_MAX) {
        return "a composite has 32 parts at most";
    }
    for (int i = 0; i < plan->lines->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(plan->lines, i, etg_composite_line)
                        .part.name, line.part.name)) {
            return apr_psprintf(cmd->pool, "there is a part \"%s\" already",
                                line.part.name);
        }
    }
    APR_ARRAY_PUSH(plan->lines, etg_composite_line) = line;
    return NULL;
}

const char *etg_composite_plan_read(cmd_parms *cmd, etg_composite_plan *plan,
                                    const char *file)
{
    plan->template_text = (etg_bytes){ NULL, 0 };
    plan->template_file = NULL;
    if (file == NULL) {
        return NULL;                  /* "none" */
    }
    plan->template_file = ap_server_root_relative(cmd->pool, file);
    if (plan->template_file == NULL) {
        return "is no path";
    }
    return read_file(plan->template_file, cmd->pool, &plan->template_text);
}

/* NULL, or how the sentence about the file ends. */
static const char *read_file(const char *path, apr_pool_t *p, etg_bytes *text)
{
    apr_size_t room = ETG_COMPOSITE_TEMPLATE_MAX + 1;
    apr_size_t length = 0;
    apr_file_t *file;
    apr_finfo_t info;
    char *data;
    char why[120];
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ,
                                    APR_OS_DEFAULT, p);

    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE, file);
    }
    if (rv != APR_SUCCESS) {
        return apr_psprintf(p, "cannot be read: %s",
                            apr_strerror(rv, why, sizeof(why)));
    }
    room = info.size < (apr_off_t)room ? (apr_size_t)info.size : room;
    data = apr_palloc(p, room + 1);
    rv = apr_file_read_full(file, data, room, &length);
    apr_file_close(file);
    if (rv != APR_SUCCESS && rv != APR_EOF) {
        return apr_psprintf(p, "cannot be read: %s",
                            apr_strerror(rv, why, sizeof(why)));
    }
    *text = (etg_bytes){ (const unsigned char *)data, length };
    return NULL;
}

const char *etg_composite_plan_finish(etg_composite_plan *plan, apr_pool_t *p)
{
    apr_array_header_t *names = apr_array_make(p, plan->lines->nelts + 1,
                                               sizeof(const char *));
    const char *error;

    for (int i = 0; i < plan->lines->nelts; i++) {
        APR_ARRAY_PUSH(names, const char *)
            = APR_ARRAY_IDX(plan->lines, i, etg_composite_line).part.name;
    }
    if (plan->template_text.data == NULL) {
        error = etg_composite_template_default(names, p, &plan->layout);
    }
    else if (plan->lines->nelts == 0) {
        error = "stands in the section of its ETagCompositePart lines, and "
                "there are none";
    }
    else {
        error = etg_composite_template_parse(plan->template_text, names, p,
                                             &plan->layout);
    }
    if (error != NULL) {
        return error;
    }
    return digest(plan, p) == APR_SUCCESS ? NULL : "libcrypto failed";
}

/* What else than its parts' tags a composite depends on. */
static apr_status_t digest(etg_composite_plan *plan, apr_pool_t *p)
{
    etg_entity_digest *stream;
    etg_entity_id id;
    apr_status_t rv = etg_entity_digest_begin(&stream, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_entity_digest_add(stream, plan->layout.digest,
                          sizeof(plan->layout.digest));
    for (int i = 0; i < plan->lines->nelts; i++) {
        const etg_composite_part *part = &APR_ARRAY_IDX(
            plan->lines, i, etg_composite_line).part;

        digest_text(stream, part->name);
        digest_text(stream, part->is_optional ? "optional" : "");
        digest_text(stream, part->default_value);
        digest_text(stream, part->pointer);
    }
    rv = etg_entity_digest_end(stream, &id);
    if (rv == APR_SUCCESS) {
        memcpy(plan->digest, id.bytes, sizeof(plan->digest));
    }
    return rv;
}

/* With its terminator; none is another than the empty one. */
static void digest_text(etg_entity_digest *stream, const char *text)
{
    etg_entity_digest_add(stream, text == NULL ? "0" : "1", 1);
    if (text != NULL) {
        etg_entity_digest_add(stream, text, strlen(text) + 1);
    }
}
