/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_part.c: reads a line of ETagCompositePart, and makes URLs of it.
 *
 * A URL is checked twice. As it is configured, every byte of it is one that a
 * URL may have there, and every "%" begins a whole escape; so what is put in
 * place of a "%s", encoded, is always a whole piece of a step or of the query.
 * With its values, the steps of the path are looked at once more, as the most
 * liberal backend would read them.
 */
#include "lib/composite_part.h"

#include <string.h>
#include <strings.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/json_pointer.h"
#include "lib/json_scan.h"
#include "lib/quoted_words.h"

#define UNRESERVED "-._~"
#define IN_URL "!$&'()*+,;=:@/?"    /* beside the unreserved */
/* Backends that undo escapes, or know parameters of steps, end a step here. */
#define ENDS_STEP "/\\;"

/* Reads a word's rest behind "name=" (or "" for a switch). */
typedef const char *(option_read)(const char *value, apr_pool_t *p,
                                  etg_composite_part *part);

typedef struct option_row {
    const char *word;       /* with its "=" if it has a value */
    option_read *read;
} option_row;

static option_read read_optional;
static option_read read_default;
static option_read read_timeout;
static option_read read_pointer;

static const option_row options[] = {
    { "optional", read_optional },
    { "default=", read_default },
    { "timeout=", read_timeout },
    { "pointer=", read_pointer }
};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

/* Where a URL is written to. */
typedef struct url_writer {
    char *at;
    const char *end;
} url_writer;

static const char *check_name(const char *name, apr_pool_t *p);
static const char *check_url(const char *url, apr_pool_t *p,
                             int *placeholders);
static const char *check_bytes(const char *url, apr_pool_t *p,
                               int *placeholders);
static const char *read_rest(const apr_array_header_t *words, apr_pool_t *p,
                             etg_composite_part *part);
static const char *read_param(const char *word, apr_pool_t *p,
                              etg_from_param *param);
static const option_row *find_option(const char *word, const char **value);
static int is_unreserved(unsigned char byte);
static int hex_pair(const char *at);
static int has_dot_step(const char *path);
static int next_byte(const char **at);
static int put_value(url_writer *to, const char *value);
static int put(url_writer *to, char byte);

const char *etg_composite_part_parse(const char *line, apr_pool_t *p,
                                     etg_composite_part *part)
{
    const apr_array_header_t *words;
    etg_composite_part read = { .params = NULL };
    const char *error = etg_quoted_words_read(line, p, &words);
    int placeholders = 0;

    if (error == NULL && words->nelts < 2) {
        error = "it needs a name and a URL: name \"/path?query\" param... "
            "optional default=json timeout=time pointer=/place";
    }
    if (error == NULL) {
        read.name = etg_quoted_word_at(words, 0);
        read.url = etg_quoted_word_at(words, 1);
        error = check_name(read.name, p);
    }
    if (error == NULL) {
        error = check_url(read.url, p, &placeholders);
    }
    if (error == NULL) {
        error = read_rest(words, p, &read);
    }
    if (error == NULL) {
        error = etg_from_params_check_count(read.url, placeholders,
                                            read.params->nelts, p);
    }
    if (error == NULL && read.default_value != NULL && !read.is_optional) {
        error = apr_psprintf(p, "part \"%s\" has a default, but is not "
                             "optional", read.name);
    }
    if (error == NULL) {
        *part = read;
    }
    return error;
}

const char *etg_composite_part_url(const etg_composite_part *part,
                                   const apr_array_header_t *values,
                                   apr_pool_t *p)
{
    char *url = apr_palloc(p, ETG_COMPOSITE_URL_MAX + 1);
    url_writer to = { url, url + ETG_COMPOSITE_URL_MAX };
    int is_path = 1;
    int next = 0;

    for (const char *at = part->url; *at != '\0'; at++) {
        int is_written;

        is_path = is_path && *at != '?';
        if (at[0] == '%' && at[1] == 's') {
            const char *value = next < values->nelts
                ? APR_ARRAY_IDX(values, next, const char *) : NULL;

            next++;
            at++;
            is_written = value != NULL && (!is_path || *value != '\0')
                && put_value(&to, value);
        }
        else {
            at += *at == '%';
            is_written = put(&to, *at);
        }
        if (!is_written) {
            return NULL;
        }
    }
    *to.at = '\0';
    return has_dot_step(url) ? NULL : url;
}

static const char *check_name(const char *name, apr_pool_t *p)
{
    apr_size_t length = strlen(name);

    if (length > ETG_COMPOSITE_NAME_MAX) {
        return apr_psprintf(p, "\"%s\" is a name of more than %d bytes", name,
                            ETG_COMPOSITE_NAME_MAX);
    }
    for (apr_size_t i = 0; i < length; i++) {
        if (!is_unreserved((unsigned char)name[i]) || name[i] == '~') {
            length = 0;
        }
    }
    return length > 0 ? NULL
        : apr_psprintf(p, "\"%s\" is no name of a part: letters, digits, "
                       "\"_\", \"-\" and \".\"", name);
}

static const char *check_url(const char *url, apr_pool_t *p,
                             int *placeholders)
{
    const char *error;

    if (url[0] != '/' || url[1] == '/' || url[1] == '\\') {
        return apr_psprintf(p, "\"%s\" is no path of this server: it begins "
                            "with one \"/\"", url);
    }
    if (strlen(url) > ETG_COMPOSITE_URL_MAX) {
        return apr_psprintf(p, "the URL is longer than %d bytes",
                            ETG_COMPOSITE_URL_MAX);
    }
    error = check_bytes(url, p, placeholders);
    if (error == NULL && has_dot_step(url)) {
        error = apr_psprintf(p, "\"%s\" has a \".\" or \"..\" in its path",
                             url);
    }
    return error;
}

static const char *check_bytes(const char *url, apr_pool_t *p,
                               int *placeholders)
{
    for (const char *at = url; *at != '\0'; at++) {
        if (*at == '#') {
            return apr_psprintf(p, "\"%s\" has a fragment (#), which no "
                                "server is asked for", url);
        }
        if (*at == '%' && at[1] == 's') {
            (*placeholders)++;
            at++;
        }
        else if (*at == '%') {
            if (at[1] != '%' || hex_pair(at + 2) <= 0) {
                return apr_psprintf(p, "\"%s\" has a \"%%\" that is neither "
                                    "%%s, for a param, nor begins an escape, "
                                    "written %%%%20 for %%20", url);
            }
            at += 3;
        }
        else if (!is_unreserved((unsigned char)*at)
                 && strchr(IN_URL, *at) == NULL) {
            return apr_psprintf(p, "\"%s\" has a byte that a URL does not "
                                "have: it is written %%%%%02X", url,
                                (unsigned)(unsigned char)*at);
        }
    }
    return NULL;
}

/* Params and options. */
static const char *read_rest(const apr_array_header_t *words, apr_pool_t *p,
                             etg_composite_part *part)
{
    apr_array_header_t *params = apr_array_make(p, 2, sizeof(etg_from_param));
    unsigned seen = 0;

    for (int i = 2; i < words->nelts; i++) {
        const char *word = etg_quoted_word_at(words, i);
        const char *value;
        const option_row *row = find_option(word, &value);
        const char *error;

        if (row == NULL) {
            error = read_param(word, p, apr_array_push(params));
        }
        else if (seen & 1u << (row - options)) {
            error = apr_psprintf(p, "\"%s\" is one too many: an option is "
                                 "given once", word);
        }
        else {
            seen |= 1u << (row - options);
            error = row->read(value, p, part);
        }
        if (error != NULL) {
            return error;
        }
    }
    part->params = params;
    return NULL;
}

/* What has no colon is no param, and may have been meant for an option. */
static const char *read_param(const char *word, apr_pool_t *p,
                              etg_from_param *param)
{
    if (strchr(word, ':') == NULL && strcasecmp(word, "user") != 0) {
        return apr_psprintf(p, "\"%s\" is neither a param (query:name, "
                            "query:name=default, path:N, header:name, "
                            "env:name, user) nor an option (optional, "
                            "default=json, timeout=time, pointer=/place)",
                            word);
    }
    return etg_from_param_read(word, p, param);
}

static const option_row *find_option(const char *word, const char **value)
{
    for (apr_size_t i = 0; i < OPTION_COUNT; i++) {
        apr_size_t length = strlen(options[i].word);

        if (strncasecmp(word, options[i].word, length) == 0
            && (options[i].word[length - 1] == '=' || word[length] == '\0')) {
            *value = word + length;
            return &options[i];
        }
    }
    return NULL;
}

static const char *read_optional(const char *value, apr_pool_t *p,
                                 etg_composite_part *part)
{
    (void)value;
    (void)p;
    part->is_optional = 1;
    return NULL;
}

static const char *read_default(const char *value, apr_pool_t *p,
                                etg_composite_part *part)
{
    part->default_value = value;
    return etg_json_is_valid(etg_bytes_of(value)) ? NULL
        : apr_psprintf(p, "default \"%s\" is no JSON (one with quotes is "
                       "quoted as a whole: 'default={\"a\": 1}')", value);
}

static const char *read_timeout(const char *value, apr_pool_t *p,
                                etg_composite_part *part)
{
    return etg_duration_parse(etg_bytes_of(value), &part->timeout)
           && part->timeout >= ETG_COMPOSITE_TIMEOUT_MIN
           && part->timeout <= ETG_COMPOSITE_TIMEOUT_MAX ? NULL
        : apr_psprintf(p, "timeout \"%s\" is no time from 1ms to 1h", value);
}

static const char *read_pointer(const char *value, apr_pool_t *p,
                                etg_composite_part *part)
{
    part->pointer = value;
    return etg_json_pointer_is_valid(value) ? NULL
        : apr_psprintf(p, "pointer \"%s\" is no JSON pointer (\"/list/0\"; "
                       "~0 for ~, ~1 for /)", value);
}

static int is_unreserved(unsigned char byte)
{
    return byte < 0x80 && byte != '\0'
           && (apr_isalnum(byte) || strchr(UNRESERVED, byte) != NULL);
}

/* The byte that two digits stand for; -1: they are none. */
static int hex_pair(const char *at)
{
    int byte = 0;

    for (int i = 0; i < 2; i++) {
        if (!apr_isxdigit(at[i])) {
            return -1;
        }
        byte = byte * 16 + (apr_isdigit(at[i])
                            ? at[i] - '0'
                            : etg_lower((unsigned char)at[i]) - 'a' + 10);
    }
    return byte;
}

/* Up to the query; each step without what follows a semicolon. Takes URLs as
 * they are sent, and with their "%s" and "%%": both begin with no digit. */
static int has_dot_step(const char *path)
{
    int dots = 0;       /* the step's so far; -1: there are other bytes */

    for (;;) {
        int byte = next_byte(&path);
        int is_end = byte == '\0' || byte == '?';

        if (is_end || strchr(ENDS_STEP, byte) != NULL) {
            if (dots == 1 || dots == 2) {
                return 1;
            }
            dots = 0;
        }
        else {
            dots = byte == '.' && dots >= 0 ? dots + 1 : -1;
        }
        if (is_end) {
            return 0;
        }
    }
}

/* An escape is what it stands for; a "?" that was escaped ends no path. */
static int next_byte(const char **at)
{
    const char *from = *at;
    int byte = (unsigned char)*from;

    if (byte == '%') {
        from += from[1] == '%';
        byte = hex_pair(from + 1);
        *at = from + (byte < 0 ? 1 : 3);
        return byte <= 0 || byte == '?' ? '%' : byte;
    }
    *at = from + 1;
    return byte;
}

static int put_value(url_writer *to, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;

        if (is_unreserved(byte)) {
            if (!put(to, (char)byte)) {
                return 0;
            }
        }
        else if (!put(to, '%') || !put(to, digits[byte >> 4])
                 || !put(to, digits[byte & 0xf])) {
            return 0;
        }
    }
    return 1;
}

static int put(url_writer *to, char byte)
{
    if (to->at == to->end) {
        return 0;
    }
    *to->at++ = byte;
    return 1;
}
