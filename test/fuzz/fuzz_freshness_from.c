/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_freshness_from.c: a line of ETagFreshnessFrom. What is read can be
 * written again, and is the same then. */
#include <string.h>

#include "lib/field_list.h"
#include "lib/freshness_from.h"
#include "lib/json_pointer.h"
#include "test/fuzz/fuzz.h"

static const char *quoted(const char *word, apr_pool_t *p)
{
    char *text = apr_palloc(p, 2 * strlen(word) + 4);
    char *to = text;

    *to++ = ' ';
    *to++ = '"';
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\') {
            *to++ = '\\';
        }
        *to++ = *word;
    }
    *to++ = '"';
    *to = '\0';
    return text;
}

static const char *param_text(const etg_from_param *param, apr_pool_t *p)
{
    switch (param->kind) {
    case ETG_PARAM_QUERY:
        return apr_pstrcat(p, "query:", param->name,
                           param->default_value != NULL ? "=" : "",
                           param->default_value, NULL);
    case ETG_PARAM_PATH:
        return apr_psprintf(p, "path:%d", param->number);
    case ETG_PARAM_HEADER:
        return apr_pstrcat(p, "header:", param->name, NULL);
    case ETG_PARAM_ENV:
        return apr_pstrcat(p, "env:", param->name, NULL);
    default:
        return "user";
    }
}

static const char *source_text(const etg_freshness_from *from, apr_pool_t *p)
{
    const char *text = etg_from_kind_word(from->kind);

    if (from->text != NULL) {
        text = apr_pstrcat(p, text, quoted(from->text, p), NULL);
    }
    if (from->ids != NULL) {
        text = apr_pstrcat(p, text, quoted(from->ids, p), NULL);
    }
    for (int i = 0; i < from->params->nelts; i++) {
        const etg_from_param *param
            = &APR_ARRAY_IDX(from->params, i, etg_from_param);

        text = apr_pstrcat(p, text, quoted(param_text(param, p), p), NULL);
    }
    return text;
}

static void check_source(const etg_freshness_from *from)
{
    FUZZ_CHECK((from->text == NULL) == (from->kind == ETG_FROM_BODY));
    FUZZ_CHECK(from->ids == NULL || from->kind == ETG_FROM_JSON);
    FUZZ_CHECK(from->params->nelts == 0 || from->kind == ETG_FROM_SQL
               || from->kind == ETG_FROM_MEMCACHED);
    if (from->kind == ETG_FROM_JSON) {
        FUZZ_CHECK(etg_json_pointer_is_valid(from->text));
    }
    if (from->kind == ETG_FROM_MEMCACHED) {
        FUZZ_CHECK(strcspn(from->text, " \t\r\n\v\f\177")
                   == strlen(from->text));
    }
    for (int i = 0; i < from->params->nelts; i++) {
        const etg_from_param *param
            = &APR_ARRAY_IDX(from->params, i, etg_from_param);

        FUZZ_CHECK(param->kind == ETG_PARAM_PATH
                   || param->kind == ETG_PARAM_USER
                   || *param->name != '\0');
        FUZZ_CHECK(param->number >= 0
                   && param->number <= ETG_PARAM_GROUP_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    const char *line = apr_pstrmemdup(p, size > 0 ? (const char *)data : "",
                                      size);
    etg_freshness_from from;
    etg_freshness_from again;
    const char *error = etg_freshness_from_parse(line, p, &from);

    if (error != NULL) {
        FUZZ_CHECK(*error != '\0');
    }
    else {
        const char *text = source_text(&from, p);

        check_source(&from);
        FUZZ_CHECK(etg_freshness_from_parse(text, p, &again) == NULL);
        FUZZ_CHECK(from.kind == again.kind);
        FUZZ_CHECK(strcmp(text, source_text(&again, p)) == 0);
    }
    apr_pool_destroy(p);
    return 0;
}
