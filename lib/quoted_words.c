/* SPDX-License-Identifier: Apache-2.0 */
/* quoted_words.c: takes a directive's line apart. Called while httpd reads its
 * configuration. */
#include "lib/quoted_words.h"

#include <apr_lib.h>
#include <apr_strings.h>

static const char *read_word(const char **line, apr_pool_t *p,
                             const char **word);
static apr_size_t word_length(const char *at, char quote);
static const char *unescaped(const char *at, apr_size_t length, char quote,
                             apr_pool_t *p);

const char *etg_quoted_words_read(const char *line, apr_pool_t *p,
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

const char *etg_quoted_word_at(const apr_array_header_t *words, int place)
{
    return place < words->nelts ? APR_ARRAY_IDX(words, place, const char *)
                                : NULL;
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
