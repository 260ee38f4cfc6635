/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_from.c: reads a line of ETagFreshnessFrom.
 *
 * The line becomes words; a table says of each source how many of them it
 * takes, and what is checked of its text. Sentences name the bad part first.
 * Called while httpd reads its configuration.
 */
#include "lib/freshness_from.h"

#include <string.h>
#include <strings.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/json_pointer.h"

#define SOURCES "sql, files, memcached, json, header or body"
#define PARAMS "query:name, query:name=default, path:N, header:name, " \
    "env:name or user"

typedef const char *(source_check)(const etg_freshness_from *from,
                                   int *placeholders, apr_pool_t *p);

/* A source; its row is at its kind's place. */
typedef struct source_row {
    const char *word;
    const char *form;       /* of the whole line, for sentences */
    int has_text;
    int has_ids;
    int has_params;
    source_check *check;    /* of text and ids; NULL: anything will do */
} source_row;

static source_check check_sql;
static source_check check_key;
static source_check check_pointers;
static source_check check_field;

static const source_row sources[] = {
    { "sql", "sql \"statement\" param...", 1, 0, 1, check_sql },
    { "files", "files \"glob\"", 1, 0, 0, NULL },
    { "memcached", "memcached \"key\" param...", 1, 0, 1, check_key },
    { "json", "json \"/pointer\" [\"/pointer of ids\"]", 1, 1, 0,
      check_pointers },
    { "header", "header \"Name\"", 1, 0, 0, check_field },
    { "body", "body", 0, 0, 0, NULL }
};
#define SOURCE_COUNT (sizeof(sources) / sizeof(sources[0]))

static const char *read_words(const char *line, apr_pool_t *p,
                              const apr_array_header_t **words);
static const char *read_word(const char **line, apr_pool_t *p,
                             const char **word);
static apr_size_t word_length(const char *at, char quote);
static const char *unescaped(const char *at, apr_size_t length, char quote,
                             apr_pool_t *p);
static const char *read_source(const apr_array_header_t *words,
                               apr_pool_t *p, etg_freshness_from *from);
static const char *read_params(const apr_array_header_t *words, int first,
                               apr_pool_t *p,
                               const apr_array_header_t **params);
static const char *read_param(const char *word, apr_pool_t *p,
                              etg_from_param *param);
static const char *read_query(const char *word, const char *name,
                              apr_pool_t *p, etg_from_param *param);
static const char *read_group(const char *word, const char *number,
                              apr_pool_t *p, etg_from_param *param);
static const char *read_name(const char *word, const char *name,
                             apr_pool_t *p, etg_from_param *param);
static const char *check_pointer(const char *pointer, apr_pool_t *p);
static const char *word_at(const apr_array_header_t *words, int place);

const char *etg_freshness_from_parse(const char *line, apr_pool_t *p,
                                     etg_freshness_from *from)
{
    const apr_array_header_t *words;
    etg_freshness_from read;
    const char *error = read_words(line, p, &words);
    int placeholders = 0;

    if (error == NULL) {
        error = read_source(words, p, &read);
    }
    if (error == NULL && sources[read.kind].check != NULL) {
        error = sources[read.kind].check(&read, &placeholders, p);
    }
    if (error == NULL && placeholders != read.params->nelts) {
        error = apr_psprintf(p, "\"%s\" has %d placeholder%s (%%s), but "
                             "there %s %d param%s behind it; a percent sign "
                             "is written %%%%",
                             read.text, placeholders,
                             placeholders == 1 ? "" : "s",
                             read.params->nelts == 1 ? "is" : "are",
                             read.params->nelts,
                             read.params->nelts == 1 ? "" : "s");
    }
    if (error == NULL) {
        *from = read;
    }
    return error;
}

int etg_freshness_from_is_early(etg_from_kind kind)
{
    return kind == ETG_FROM_SQL || kind == ETG_FROM_FILES
           || kind == ETG_FROM_MEMCACHED;
}

int etg_from_param_is_by_request(const etg_from_param *param)
{
    return param->kind != ETG_PARAM_QUERY && param->kind != ETG_PARAM_PATH;
}

const char *etg_from_kind_word(etg_from_kind kind)
{
    return sources[kind].word;
}

static const char *read_words(const char *line, apr_pool_t *p,
                              const apr_array_header_t **words)
{
    apr_array_header_t *found = apr_array_make(p, 4, sizeof(const char *));

    for (;;) {
        const char *error;

        while (apr_isspace(*line)) {
            line++;
        }
        if (*line == '\0') {
            break;
        }
        error = read_word(&line, p, apr_array_push(found));
        if (error != NULL) {
            return error;
        }
    }
    *words = found;
    return NULL;
}

/* As ap_getword_conf does, but for what it lets pass: a quote that is not
 * closed, and one that is closed within a word. */
static const char *read_word(const char **line, apr_pool_t *p,
                             const char **word)
{
    const char *at = *line;
    char quote = *at == '"' || *at == '\'' ? *at : '\0';
    apr_size_t length;

    at += quote != '\0';
    length = word_length(at, quote);
    *word = unescaped(at, length, quote, p);
    at += length;
    if (quote != '\0') {
        if (*at == '\0') {
            return apr_psprintf(p, "the quote before \"%s\" is not closed",
                                *word);
        }
        at++;
        if (*at != '\0' && !apr_isspace(*at)) {
            return apr_psprintf(p, "a space is missing behind the quote that "
                                "ends \"%s\" (a quote inside is written "
                                "\\%c)", *word, quote);
        }
    }
    *line = at;
    return NULL;
}

/* To its closing quote or, without one, to the next space. */
static apr_size_t word_length(const char *at, char quote)
{
    const char *end = at;

    while (*end != '\0'
           && (quote != '\0' ? *end != quote : !apr_isspace(*end))) {
        end += quote != '\0' && *end == '\\'
            && (end[1] == quote || end[1] == '\\') ? 2 : 1;
    }
    return (apr_size_t)(end - at);
}

static const char *unescaped(const char *at, apr_size_t length, char quote,
                             apr_pool_t *p)
{
    char *word = apr_palloc(p, length + 1);
    char *out = word;

    for (apr_size_t i = 0; i < length; i++) {
        if (at[i] == '\\' && i + 1 < length
            && (at[i + 1] == '\\'
                || (quote != '\0' && at[i + 1] == quote))) {
            i++;
        }
        *out++ = at[i];
    }
    *out = '\0';
    return word;
}

static const char *read_source(const apr_array_header_t *words,
                               apr_pool_t *p, etg_freshness_from *from)
{
    const char *word = word_at(words, 0);
    const source_row *row = sources;
    int used;

    if (word == NULL) {
        return "it needs a source: " SOURCES;
    }
    while (row < sources + SOURCE_COUNT && strcasecmp(row->word, word) != 0) {
        row++;
    }
    if (row == sources + SOURCE_COUNT) {
        return apr_psprintf(p, "\"%s\" is no source: " SOURCES, word);
    }
    from->kind = (etg_from_kind)(row - sources);
    from->text = row->has_text ? word_at(words, 1) : NULL;
    from->ids = row->has_ids ? word_at(words, 2) : NULL;
    from->params = NULL;
    if (row->has_text && (from->text == NULL || *from->text == '\0')) {
        return apr_psprintf(p, "%s needs more: %s", row->word, row->form);
    }
    used = 1 + (from->text != NULL) + (from->ids != NULL);
    if (words->nelts > used && !row->has_params) {
        return apr_psprintf(p, "\"%s\" is one word too many: %s",
                            word_at(words, used), row->form);
    }
    return read_params(words, used, p, &from->params);
}

static const char *read_params(const apr_array_header_t *words, int first,
                               apr_pool_t *p,
                               const apr_array_header_t **params)
{
    apr_array_header_t *found = apr_array_make(p, 2, sizeof(etg_from_param));

    for (int i = first; i < words->nelts; i++) {
        etg_from_param param = { ETG_PARAM_USER, NULL, NULL, 0 };
        const char *error = read_param(word_at(words, i), p, &param);

        if (error != NULL) {
            return error;
        }
        APR_ARRAY_PUSH(found, etg_from_param) = param;
    }
    *params = found;
    return NULL;
}

static const char *read_param(const char *word, apr_pool_t *p,
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

/* What apr_dbd finds in a statement: it takes any letter for a type. */
static const char *check_sql(const etg_freshness_from *from,
                             int *placeholders, apr_pool_t *p)
{
    for (const char *at = strchr(from->text, '%'); at != NULL;
         at = strchr(at, '%')) {
        at++;
        if (apr_isalpha(*at) && *at != 's') {
            return apr_psprintf(p, "\"%s\" has \"%%%c\": the only "
                                "placeholder is %%s, and a percent sign is "
                                "written %%%%", from->text, *at);
        }
        *placeholders += *at == 's';
        at += *at == '%';
    }
    return NULL;
}

static const char *check_key(const etg_freshness_from *from,
                             int *placeholders, apr_pool_t *p)
{
    for (const char *at = from->text; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || *at == '\177') {
            return apr_psprintf(p, "\"%s\" has a space or a control "
                                "character, which no key may", from->text);
        }
        if (*at == '%') {
            at++;
            if (*at != 's' && *at != '%') {
                return apr_psprintf(p, "\"%s\" has a \"%%\" that is neither "
                                    "%%s, for a param, nor %%%%, for a "
                                    "percent sign", from->text);
            }
            *placeholders += *at == 's';
        }
    }
    return NULL;
}

static const char *check_pointers(const etg_freshness_from *from,
                                  int *placeholders, apr_pool_t *p)
{
    const char *error = check_pointer(from->text, p);

    (void)placeholders;
    return error == NULL && from->ids != NULL ? check_pointer(from->ids, p)
                                              : error;
}

static const char *check_pointer(const char *pointer, apr_pool_t *p)
{
    return etg_json_pointer_is_valid(pointer) ? NULL
        : apr_psprintf(p, "\"%s\" is no JSON pointer (\"/list/*/time\"; * for "
                       "each, ~0 for ~, ~1 for /)", pointer);
}

static const char *check_field(const etg_freshness_from *from,
                               int *placeholders, apr_pool_t *p)
{
    (void)placeholders;
    return etg_is_token(etg_bytes_of(from->text)) ? NULL
        : apr_psprintf(p, "\"%s\" is no name of a response field",
                       from->text);
}

static const char *word_at(const apr_array_header_t *words, int place)
{
    return place < words->nelts ? APR_ARRAY_IDX(words, place, const char *)
                                : NULL;
}
