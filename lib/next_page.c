/* SPDX-License-Identifier: Apache-2.0 */
/* next_page.c: which URL is the next page of a list? */
#include "lib/next_page.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#include "lib/allowed_target.h"
#include "lib/field_list.h"
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
            || !etg_allowed_is_visible(text + 6)) {
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
            int meant = etg_allowed_escape((const char *)text.data + i);

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
