/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next_page.c: which URL is the next page of a list, and may it be fetched?
 *
 * References are resolved as those of invalidation are (etg_target_resolve);
 * what comes out is then looked at byte by byte, because it goes through
 * rewriting and to backends that decode it by rules of their own.
 */
#include "lib/next_page.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "lib/field_list.h"
#include "lib/invalidation.h"
#include "lib/json_pointer.h"
#include "lib/link_field.h"

#define NUMBER_DIGITS_MAX 15

static int find_parameter(const char *query, const char *name,
                          etg_bytes *value);
static int is_name(etg_bytes text, const char *name);
static const char *added(const char *target, const char *name,
                         apr_pool_t *p);
static const char *encoded(const char *name, apr_pool_t *p);
static const char *increased(const char *target, etg_bytes value,
                             apr_pool_t *p);
static int is_visible(const char *text);
static int is_plain_path(const char *path, apr_size_t length);
static int is_dots(const char *segment, apr_size_t length);
static int is_harmless_escape(const char *text, apr_size_t length);
static int decoded(const char *text);
static int is_below(const char *path, apr_size_t length, const char *prefix);

const char *etg_next_rule_parse(const char *text, etg_next_rule *rule)
{
    if (!strcmp(text, "link")) {
        rule->way = ETG_NEXT_BY_LINK;
        rule->name = NULL;
        return NULL;
    }
    if (!strncmp(text, "json:", 5)) {
        if (!etg_json_pointer_is_valid(text + 5)) {
            return "has no JSON pointer (\"/next\"; ~0 for ~, ~1 for /)";
        }
        rule->way = ETG_NEXT_BY_JSON;
        rule->name = text + 5;
        return NULL;
    }
    if (!strncmp(text, "query:", 6)) {
        if (text[6] == '\0' || strpbrk(text + 6, "&=#+% ") != NULL
            || !is_visible(text + 6)) {
            return "has no name of a query parameter";
        }
        rule->way = ETG_NEXT_BY_QUERY;
        rule->name = text + 6;
        return NULL;
    }
    return "is not Off, link, json:/pointer or query:parameter";
}

const char *etg_next_by_link(const char *line, apr_pool_t *p)
{
    etg_bytes target;

    return etg_link_find(etg_bytes_of(line), "next", &target)
        ? apr_pstrmemdup(p, (const char *)target.data, target.length) : NULL;
}

const char *etg_next_by_query(const char *target, const char *name,
                              apr_pool_t *p)
{
    const char *query = strchr(target, '?');
    etg_bytes value;

    switch (find_parameter(query != NULL ? query + 1 : "", name, &value)) {
    case 0:
        return added(target, name, p);
    case 1:
        return increased(target, value, p);
    default:
        return NULL;              /* which one the backend reads is unknown */
    }
}

/* How many parameters have the name; *value is the last one's. */
static int find_parameter(const char *query, const char *name,
                          etg_bytes *value)
{
    int found = 0;

    while (*query != '\0') {
        apr_size_t length = strcspn(query, "&");
        const char *equals = memchr(query, '=', length);
        etg_bytes own = {
            (const unsigned char *)query,
            equals != NULL ? (apr_size_t)(equals - query) : length
        };

        if (is_name(own, name)) {
            value->data = own.data + own.length + (equals != NULL);
            value->length = length - own.length - (equals != NULL);
            found++;
        }
        query += length;
        query += *query == '&';
    }
    return found;
}

static int is_name(etg_bytes text, const char *name)
{
    for (apr_size_t i = 0; i < text.length; i++, name++) {
        int byte = text.data[i];

        if (byte == '%' && text.length - i > 2) {
            int meant = decoded((const char *)text.data + i);

            if (meant >= 0) {
                byte = meant;
                i += 2;
            }
        }
        if (byte == '\0' || byte != (unsigned char)*name) {
            return 0;
        }
    }
    return *name == '\0';
}

static const char *added(const char *target, const char *name,
                         apr_pool_t *p)
{
    const char *query = strchr(target, '?');
    const char *before = query == NULL ? "?" : query[1] != '\0' ? "&" : "";

    return apr_pstrcat(p, target, before, encoded(name, p), "=2", NULL);
}

/* As browsers and frameworks write it, so that it is the same key. */
static const char *encoded(const char *name, apr_pool_t *p)
{
    char *text = apr_pstrdup(p, apr_pescape_urlencoded(p, name));

    for (char *at = strchr(text, '%'); at != NULL; at = strchr(at, '%')) {
        at[1] = (char)apr_toupper(at[1]);
        at[2] = (char)apr_toupper(at[2]);
        at += 3;
    }
    return text;
}

/* `value` is a part of `target`. */
static const char *increased(const char *target, etg_bytes value,
                             apr_pool_t *p)
{
    const char *start = (const char *)value.data;
    apr_int64_t number = 0;

    if (value.length == 0 || value.length > NUMBER_DIGITS_MAX) {
        return NULL;
    }
    for (apr_size_t i = 0; i < value.length; i++) {
        if (!apr_isdigit(start[i])) {
            return NULL;
        }
        number = number * 10 + (start[i] - '0');
    }
    return apr_psprintf(p, "%.*s%" APR_INT64_T_FMT "%s",
                        (int)(start - target), target, number + 1,
                        start + value.length);
}

const char *etg_next_target(const char *reference, const char *scheme,
                            const char *host, const char *target,
                            const apr_array_header_t *prefixes,
                            apr_pool_t *p)
{
    const char *next;

    if (strlen(reference) > ETG_NEXT_TARGET_MAX || !is_visible(reference)
        || *target != '/') {
        return NULL;
    }
    next = etg_target_resolve(reference, scheme, host, target, p);
    if (next == NULL || strlen(next) > ETG_NEXT_TARGET_MAX
        || !is_visible(next) || !strncmp(next, "//", 2)
        || !strcmp(next, target)
        || !is_plain_path(next, strcspn(next, "?"))
        || !etg_next_is_allowed(next, prefixes)) {
        return NULL;
    }
    return next;
}

int etg_next_is_allowed(const char *target,
                        const apr_array_header_t *prefixes)
{
    apr_size_t length = strcspn(target, "?");

    for (int i = 0; i < prefixes->nelts; i++) {
        if (is_below(target, length,
                     APR_ARRAY_IDX(prefixes, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

/* "/a" holds /a, /a/ and /a/b; "/a/" not /a; "/" holds everything. */
static int is_below(const char *path, apr_size_t length, const char *prefix)
{
    apr_size_t size = strlen(prefix);

    return size > 0 && size <= length && !memcmp(path, prefix, size)
        && (prefix[size - 1] == '/' || size == length || path[size] == '/');
}

int etg_next_prefix_is_valid(const char *prefix)
{
    return *prefix == '/' && strlen(prefix) <= ETG_NEXT_TARGET_MAX
        && is_visible(prefix) && strpbrk(prefix, "?#") == NULL
        && is_plain_path(prefix, strlen(prefix));
}

/* Visible ASCII, and no backslash, which some read as a slash. */
static int is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f || *text == '\\') {
            return 0;
        }
    }
    return 1;
}

/* A path that all read alike, whatever they decode and how often. */
static int is_plain_path(const char *path, apr_size_t length)
{
    apr_size_t start = 0;

    for (apr_size_t i = 0; i <= length; i++) {
        if (i == length || path[i] == '/') {
            if (is_dots(path + start, i - start)) {
                return 0;
            }
            start = i + 1;
        }
        else if (path[i] == '%'
                 && !is_harmless_escape(path + i, length - i)) {
            return 0;
        }
    }
    return 1;
}

/* "." or "..", also with a parameter that servlet containers cut off. */
static int is_dots(const char *segment, apr_size_t length)
{
    const char *parameter = memchr(segment, ';', length);

    if (parameter != NULL) {
        length = (apr_size_t)(parameter - segment);
    }
    return (length == 1 && segment[0] == '.')
        || (length == 2 && segment[0] == '.' && segment[1] == '.');
}

static int is_harmless_escape(const char *text, apr_size_t length)
{
    int byte = length > 2 ? decoded(text) : -1;

    return byte >= ' ' && byte != 0x7f && strchr("./\\%;", byte) == NULL;
}

/* The byte that "%xx" means, or -1. */
static int decoded(const char *text)
{
    int byte = 0;

    for (int i = 1; i < 3; i++) {
        char digit = etg_lower((unsigned char)text[i]);

        if (apr_isdigit(digit)) {
            byte = byte * 16 + (digit - '0');
        }
        else if (digit >= 'a' && digit <= 'f') {
            byte = byte * 16 + (digit - 'a' + 10);
        }
        else {
            return -1;
        }
    }
    return byte;
}
