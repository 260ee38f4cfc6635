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
#include "lib/quoted_words.h"

#define SOURCES "sql, files, memcached, json, header or body"

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

static const char *read_source(const apr_array_header_t *words,
                               apr_pool_t *p, etg_freshness_from *from);
static const char *read_params(const apr_array_header_t *words, int first,
                               apr_pool_t *p,
                               const apr_array_header_t **params);
static const char *check_pointer(const char *pointer, apr_pool_t *p);

const char *etg_freshness_from_parse(const char *line, apr_pool_t *p,
                                     etg_freshness_from *from)
{
    const apr_array_header_t *words;
    etg_freshness_from read;
    const char *error = etg_quoted_words_read(line, p, &words);
    int placeholders = 0;

    if (error == NULL) {
        error = read_source(words, p, &read);
    }
    if (error == NULL && sources[read.kind].check != NULL) {
        error = sources[read.kind].check(&read, &placeholders, p);
    }
    if (error == NULL) {
        error = etg_from_params_check_count(read.text, placeholders,
                                            read.params->nelts, p);
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

static const char *read_source(const apr_array_header_t *words,
                               apr_pool_t *p, etg_freshness_from *from)
{
    const char *word = etg_quoted_word_at(words, 0);
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
    from->text = row->has_text ? etg_quoted_word_at(words, 1) : NULL;
    from->ids = row->has_ids ? etg_quoted_word_at(words, 2) : NULL;
    from->params = NULL;
    if (row->has_text && (from->text == NULL || *from->text == '\0')) {
        return apr_psprintf(p, "%s needs more: %s", row->word, row->form);
    }
    used = 1 + (from->text != NULL) + (from->ids != NULL);
    if (words->nelts > used && !row->has_params) {
        return apr_psprintf(p, "\"%s\" is one word too many: %s",
                            etg_quoted_word_at(words, used), row->form);
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
        const char *error = etg_from_param_read(etg_quoted_word_at(words, i),
                                                p, &param);

        if (error != NULL) {
            return error;
        }
        APR_ARRAY_PUSH(found, etg_from_param) = param;
    }
    *params = found;
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
