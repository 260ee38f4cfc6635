/* SPDX-License-Identifier: Apache-2.0 */
/* from_param.c: reads params. Called while httpd reads its configuration. */
#include "lib/from_param.h"

#include <string.h>
#include <strings.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "lib/field_list.h"

#define PARAMS "query:name, query:name=default, path:N, header:name, " \
    "env:name or user"

static const char *read_kind(const char *word, apr_pool_t *p,
                             etg_from_param *param);
static const char *read_query(const char *word, const char *name,
                              apr_pool_t *p, etg_from_param *param);
static const char *read_group(const char *word, const char *number,
                              apr_pool_t *p, etg_from_param *param);
static const char *read_name(const char *word, const char *name,
                             apr_pool_t *p, etg_from_param *param);

const char *etg_from_param_read(const char *word, apr_pool_t *p,
                                etg_from_param *param)
{
    etg_from_param read = { ETG_PARAM_USER, NULL, NULL, 0 };
    const char *error = read_kind(word, p, &read);

    if (error == NULL) {
        *param = read;
    }
    return error;
}

const char *etg_from_params_check_count(const char *text, int placeholders,
                                        int params, apr_pool_t *p)
{
    return placeholders == params ? NULL
        : apr_psprintf(p, "\"%s\" has %d placeholder%s (%%s), but there %s %d "
                       "param%s behind it; a percent sign is written %%%%",
                       text, placeholders, placeholders == 1 ? "" : "s",
                       params == 1 ? "is" : "are", params,
                       params == 1 ? "" : "s");
}

static const char *read_kind(const char *word, apr_pool_t *p,
                             etg_from_param *param)
{
    if (strcasecmp(word, "user") == 0) {
        return NULL;
    }
    if (strncasecmp(word, "query:", 6) == 0) {
        return read_query(word, word + 6, p, param);
    }
    if (strncasecmp(word, "path:", 5) == 0) {
        return read_group(word, word + 5, p, param);
    }
    if (strncasecmp(word, "header:", 7) == 0) {
        param->kind = ETG_PARAM_HEADER;
        return read_name(word, word + 7, p, param);
    }
    if (strncasecmp(word, "env:", 4) == 0) {
        param->kind = ETG_PARAM_ENV;
        return read_name(word, word + 4, p, param);
    }
    return apr_psprintf(p, "\"%s\" is no param: " PARAMS, word);
}

static const char *read_query(const char *word, const char *name,
                              apr_pool_t *p, etg_from_param *param)
{
    apr_size_t length = strcspn(name, "=");

    if (length == 0) {
        return apr_psprintf(p, "\"%s\" has no name of a query parameter: "
                            "query:name or query:name=default", word);
    }
    param->kind = ETG_PARAM_QUERY;
    param->name = apr_pstrmemdup(p, name, length);
    param->default_value = name[length] == '=' ? name + length + 1 : NULL;
    if (param->default_value != NULL
        && strlen(param->default_value) > ETG_PARAM_VALUE_MAX) {
        return apr_psprintf(p, "the default of \"query:%s\" is longer than "
                            "%d bytes", param->name, ETG_PARAM_VALUE_MAX);
    }
    return NULL;
}

static const char *read_group(const char *word, const char *number,
                              apr_pool_t *p, etg_from_param *param)
{
    if (!apr_isdigit(number[0]) || number[1] != '\0') {
        return apr_psprintf(p, "\"%s\" names no match group: path:0 to "
                            "path:%d", word, ETG_PARAM_GROUP_MAX);
    }
    param->kind = ETG_PARAM_PATH;
    param->number = number[0] - '0';
    return NULL;
}

static const char *read_name(const char *word, const char *name,
                             apr_pool_t *p, etg_from_param *param)
{
    if (strchr(name, '=') != NULL) {
        return apr_psprintf(p, "\"%s\" cannot have a default: only "
                            "query:name=default can", word);
    }
    /* Variables are named by modules: not always by tokens. */
    if (param->kind == ETG_PARAM_HEADER ? !etg_is_token(etg_bytes_of(name))
                                        : *name == '\0') {
        return apr_psprintf(p, "\"%s\" has no name of a %s", word,
                            param->kind == ETG_PARAM_HEADER
                            ? "request field: header:name"
                            : "variable: env:name");
    }
    param->name = name;
    return NULL;
}
