/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_freshness_params.c: a line of ETagFreshnessFrom, a line that is field,
 * variable, user and match group, and a query. */
#include <string.h>

#include "lib/freshness_params.h"
#include "test/fuzz/fuzz.h"

static const char *variable(void *baton, const char *name)
{
    return *name == 'a' ? baton : NULL;
}

static int is_in_query(const etg_from_param *param, const char *value)
{
    return param->kind == ETG_PARAM_QUERY && value != NULL
           && value != param->default_value;
}

/* A value that came by the query comes by another that says it in full. */
static void check_query_value(const etg_from_param *param, const char *value,
                              apr_pool_t *p)
{
    apr_array_header_t *params = apr_array_make(p, 1, sizeof(*param));
    const apr_array_header_t *values;
    etg_params_view view = { .query = "" };
    const char *query = "";
    const char *parts[] = { param->name, value };

    for (int i = 0; i < 2; i++) {
        char *text = apr_palloc(p, strlen(parts[i]) * 3 + 1);
        char *to = text;

        for (const char *at = parts[i]; *at != '\0'; at++, to += 3) {
            apr_snprintf(to, 4, "%%%02X", (unsigned)(unsigned char)*at);
        }
        *to = '\0';
        query = apr_pstrcat(p, query, i > 0 ? "=" : "", text, NULL);
    }
    view.query = query;
    APR_ARRAY_PUSH(params, etg_from_param) = *param;
    FUZZ_CHECK(etg_freshness_params(params, &view, p, &values) == NULL);
    FUZZ_CHECK(!strcmp(APR_ARRAY_IDX(values, 0, const char *), value));
}

static void check_key(const char *text, const apr_array_header_t *values,
                      apr_pool_t *p)
{
    const char *key = etg_freshness_key(text, values, p);

    if (key != NULL) {
        FUZZ_CHECK(*key != '\0' && strlen(key) <= ETG_FRESHNESS_KEY_MAX);
        for (; *key != '\0'; key++) {
            FUZZ_CHECK((unsigned char)*key > ' ' && *key != '\177');
        }
    }
}

static void check_values(const etg_freshness_from *from,
                         const apr_array_header_t *values, apr_pool_t *p)
{
    FUZZ_CHECK(values->nelts == from->params->nelts);
    for (int i = 0; i < values->nelts; i++) {
        const etg_from_param *param
            = &APR_ARRAY_IDX(from->params, i, etg_from_param);
        const char *value = APR_ARRAY_IDX(values, i, const char *);

        FUZZ_CHECK(value != NULL || param->default_value == NULL);
        FUZZ_CHECK(value == NULL || strlen(value) <= ETG_PARAM_VALUE_MAX);
        if (is_in_query(param, value)) {
            check_query_value(param, value, p);
        }
    }
    if (from->kind == ETG_FROM_MEMCACHED) {
        check_key(from->text, values, p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes rest = { data, size };
    const char *line = fuzz_line(&rest, p);
    const char *other = fuzz_line(&rest, p);
    apr_array_header_t *groups = apr_array_make(p, 2, sizeof(char *));
    etg_params_view view = { .variable = variable };
    const apr_array_header_t *values;
    etg_freshness_from from;

    if (line != NULL && other != NULL
        && etg_freshness_from_parse(line, p, &from) == NULL) {
        APR_ARRAY_PUSH(groups, const char *) = other;
        APR_ARRAY_PUSH(groups, const char *) = NULL;
        view.query = apr_pstrmemdup(p, rest.length > 0
                                    ? (const char *)rest.data : "",
                                    rest.length);
        view.groups = groups;
        view.fields = apr_table_make(p, 1);
        apr_table_setn((apr_table_t *)view.fields, "a", other);
        view.baton = (void *)other;
        view.user = other;
        if (etg_freshness_params(from.params, &view, p, &values) == NULL) {
            check_values(&from, values, p);
        }
    }
    apr_pool_destroy(p);
    return 0;
}
