/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_params.c: values of params, and keys made of them.
 *
 * The query is read as the backend's framework will read it; as frameworks
 * differ, what they would read differently is refused. Called for each
 * request, on its thread.
 */
#include "lib/freshness_params.h"

#include <string.h>

#include <apr_lib.h>

#include "lib/field_list.h"

#define DIFFERENT "has different values for a query parameter, or may have"
#define NO_VALUE "has a query parameter without a value"
#define BAD_ESCAPE "has a query parameter with a % that begins no escape"
#define NUL_BYTE "has a query parameter with a NUL byte"
#define TOO_LONG "has a value of more than 4096 bytes for a param"

static const char *value_of(const etg_from_param *param,
                            const etg_params_view *view, apr_pool_t *p,
                            const char **value);
static const char *query_value(const char *query, const char *name,
                               apr_pool_t *p, const char **value);
static const char *find_in_query(const char *query, const char *separators,
                                 const char *name, apr_pool_t *p,
                                 const char **value);
static int is_named(const char *text, apr_size_t length, const char *name);
static int is_like(const char *text, apr_size_t length, const char *name);
static int plain(int byte);
static int decode_one(const char **at, const char *end);
static const char *decoded(const char *text, apr_size_t length,
                           apr_pool_t *p, const char **value);
static int is_same(const char *a, const char *b);
static char *write_escaped(const char *value, char *to, const char *end);

const char *etg_freshness_params(const apr_array_header_t *params,
                                 const etg_params_view *view, apr_pool_t *p,
                                 const apr_array_header_t **values)
{
    apr_array_header_t *found = apr_array_make(p, params->nelts + 1,
                                               sizeof(const char *));

    for (int i = 0; i < params->nelts; i++) {
        const etg_from_param *param = &APR_ARRAY_IDX(params, i,
                                                     etg_from_param);
        const char *value = NULL;
        const char *refused = value_of(param, view, p, &value);

        if (refused != NULL) {
            return refused;
        }
        if (value == NULL) {
            value = param->default_value;
        }
        if (value != NULL && strlen(value) > ETG_PARAM_VALUE_MAX) {
            return TOO_LONG;
        }
        APR_ARRAY_PUSH(found, const char *) = value;
    }
    *values = found;
    return NULL;
}

const char *etg_freshness_key(const char *text,
                              const apr_array_header_t *values,
                              apr_pool_t *p)
{
    char *key = apr_palloc(p, ETG_FRESHNESS_KEY_MAX + 1);
    const char *end = key + ETG_FRESHNESS_KEY_MAX;
    char *to = key;
    int next = 0;

    for (; *text != '\0'; text++) {
        if (text[0] == '%' && text[1] == 's') {
            const char *value = next < values->nelts
                ? APR_ARRAY_IDX(values, next, const char *) : NULL;

            next++;
            to = value != NULL ? write_escaped(value, to, end) : NULL;
            if (to == NULL) {
                return NULL;
            }
            text++;
            continue;
        }
        text += text[0] == '%' && text[1] == '%';
        if (to == end) {
            return NULL;
        }
        *to++ = *text;
    }
    *to = '\0';
    return to > key ? key : NULL;
}

/* Leaves *value if there is none. */
static const char *value_of(const etg_from_param *param,
                            const etg_params_view *view, apr_pool_t *p,
                            const char **value)
{
    switch (param->kind) {
    case ETG_PARAM_QUERY:
        return view->query != NULL
            ? query_value(view->query, param->name, p, value) : NULL;
    case ETG_PARAM_PATH:
        if (view->groups != NULL && param->number < view->groups->nelts) {
            *value = APR_ARRAY_IDX(view->groups, param->number,
                                   const char *);
        }
        return NULL;
    case ETG_PARAM_HEADER:
        if (view->fields != NULL) {
            *value = etg_field_combined(view->fields, param->name, p);
        }
        return NULL;
    case ETG_PARAM_ENV:
        if (view->variable != NULL) {
            *value = view->variable(view->baton, param->name);
        }
        return NULL;
    default:
        *value = view->user;
        return NULL;
    }
}

/* Some backends take ";" for "&": what they find has to be the same. */
static const char *query_value(const char *query, const char *name,
                               apr_pool_t *p, const char **value)
{
    const char *otherwise = NULL;
    const char *refused = find_in_query(query, "&", name, p, value);

    if (refused == NULL && strchr(query, ';') != NULL) {
        refused = find_in_query(query, "&;", name, p, &otherwise);
        if (refused == NULL && !is_same(*value, otherwise)) {
            refused = DIFFERENT;
        }
    }
    return refused;
}

static const char *find_in_query(const char *query, const char *separators,
                                 const char *name, apr_pool_t *p,
                                 const char **value)
{
    const char *found = NULL;

    while (*query != '\0') {
        apr_size_t length = strcspn(query, separators);
        const char *equals = memchr(query, '=', length);
        apr_size_t named = equals != NULL ? (apr_size_t)(equals - query)
                                          : length;

        if (is_named(query, named, name)) {
            const char *one = NULL;
            const char *refused = equals == NULL ? NO_VALUE
                : decoded(equals + 1, length - named - 1, p, &one);

            if (refused == NULL && found != NULL && !is_same(found, one)) {
                refused = DIFFERENT;
            }
            if (refused != NULL) {
                return refused;
            }
            found = one;
        }
        else if (is_like(query, named, name)) {
            return DIFFERENT;
        }
        query += length;
        query += *query != '\0';
    }
    *value = found;
    return NULL;
}

/* One that has no right escapes is another. */
static int is_named(const char *text, apr_size_t length, const char *name)
{
    const char *end = text + length;

    while (text < end && *name != '\0') {
        if (decode_one(&text, end) != (unsigned char)*name) {
            return 0;
        }
        name++;
    }
    return text == end && *name == '\0';
}

/* Is it another name, and taken for this one by some? There are those that do
 * not look at case, that skip spaces before a name, that end it at a NUL, that
 * write '_' for what their variables may not have, and all have lists:
 * name[]. */
static int is_like(const char *text, apr_size_t length, const char *name)
{
    const char *end = text + length;
    const char *next = text;

    while (next < end && decode_one(&next, end) == ' ') {
        text = next;
    }
    for (; *name != '\0'; name++) {
        if (text == end
            || plain(decode_one(&text, end)) != plain((unsigned char)*name)) {
            return 0;
        }
    }
    if (text < end) {
        int byte = decode_one(&text, end);

        return byte == '[' || byte == '\0';
    }
    return 1;
}

static int plain(int byte)
{
    if (byte == '.' || byte == ' ' || byte == '[') {
        return '_';
    }
    return byte < 0 ? byte : etg_lower((unsigned char)byte);
}

/* Takes a byte off; -1: a "%" that begins no escape. */
static int decode_one(const char **at, const char *end)
{
    const char *from = *at;
    int byte = 0;

    if (*from != '%') {
        (*at)++;
        return *from == '+' ? ' ' : (unsigned char)*from;
    }
    if (end - from < 3) {
        return -1;
    }
    for (int i = 1; i < 3; i++) {
        if (!apr_isxdigit(from[i])) {
            return -1;
        }
        byte = byte * 16 + (apr_isdigit(from[i])
                            ? from[i] - '0'
                            : etg_lower((unsigned char)from[i]) - 'a' + 10);
    }
    *at += 3;
    return byte;
}

static const char *decoded(const char *text, apr_size_t length,
                           apr_pool_t *p, const char **value)
{
    const char *end = text + length;
    char *plain;
    char *to;

    if (length > 3 * ETG_PARAM_VALUE_MAX) {
        return TOO_LONG;
    }
    plain = apr_palloc(p, length + 1);
    to = plain;
    while (text < end) {
        int byte = decode_one(&text, end);

        if (byte <= 0) {
            return byte == 0 ? NUL_BYTE : BAD_ESCAPE;
        }
        *to++ = (char)byte;
    }
    *to = '\0';
    *value = plain;
    return NULL;
}

static int is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* NULL: there is no room. */
static char *write_escaped(const char *value, char *to, const char *end)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;
        int is_plain = byte > ' ' && byte < 0x7f && byte != '%';

        if (end - to < (is_plain ? 1 : 3)) {
            return NULL;
        }
        if (is_plain) {
            *to++ = (char)byte;
        }
        else {
            *to++ = '%';
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 0xf];
        }
    }
    return to;
}
