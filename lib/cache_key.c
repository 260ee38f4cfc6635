/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_key.c: the text that identifies a resource, and its hashes.
 *
 * A key reads like the URL it stands for, with a line per keyed field:
 *
 *   http://example.com:8080/path?query
 *   \nx-forwarded-proto:5:https
 *
 * Two different requests never make the same text. A usual host has no '/', a
 * usual target begins with one, and neither has a LF: so the first '/' divides
 * them and the first LF ends them. What is unusual has its lengths in front
 * ("http:5:9://..."). Fields say their length before their value.
 *
 * This is on the path of every hit: one pass over the parts, which are
 * measured first, and one allocation. Only query rules and repeated or
 * configured fields take more.
 */
#include "lib/cache_key.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <xxhash.h>

#include "lib/field_list.h"

#define STEERING 12
#define NUMBER_BYTES 20

/* Fields that backends read to learn which site was asked, as in the key. */
static const char *const steering[STEERING] = {
    "forwarded", "front-end-https", "x-forwarded-host", "x-forwarded-port",
    "x-forwarded-prefix", "x-forwarded-proto", "x-forwarded-protocol",
    "x-forwarded-scheme", "x-forwarded-ssl", "x-original-url",
    "x-rewrite-url", "x-url-scheme",
};

/* A keyed field that the request has. */
typedef struct keyed_field {
    const char *name;
    apr_size_t name_length;
    const char *value;
    apr_size_t value_length;
} keyed_field;

typedef struct key_parts {
    etg_bytes scheme;
    etg_bytes host;
    etg_bytes path;
    etg_bytes query;            /* with its '?'; length 0: none */
    const keyed_field *fields;
    unsigned field_count;
} key_parts;

typedef struct parameter {
    etg_bytes text;
    apr_size_t name_length;
} parameter;

static int divide_target(key_parts *parts, const char *target);
static apr_size_t authority_end(const char *target);
static int apply_rules(etg_bytes *query, const etg_key_rules *rules,
                       apr_pool_t *p);
static apr_array_header_t *read_parameters(etg_bytes query, apr_pool_t *p);
static void drop_ignored(apr_array_header_t *parameters,
                         const apr_array_header_t *patterns, apr_pool_t *p);
static int is_ignored(const parameter *one,
                      const apr_array_header_t *patterns, apr_pool_t *p);
static unsigned hex_digit(char c);
static char *decoded_name(const parameter *one, apr_pool_t *p);
static int order_parameters(const void *a, const void *b);
static etg_bytes joined(const apr_array_header_t *parameters,
                        apr_size_t at_most, apr_pool_t *p);
static unsigned steering_of(const apr_table_t *request_fields,
                            unsigned *disguised);
static int steers_as(const char *name, const char *steering_name);
static unsigned add_disguised(keyed_field *fields, unsigned count,
                              const apr_table_t *request_fields);
static unsigned add_field(keyed_field *fields, unsigned count,
                          const char *name, const apr_table_t *request_fields,
                          apr_pool_t *p);
static void write_text(etg_cache_key *key, const key_parts *parts,
                       apr_size_t *path_at, apr_pool_t *p);
static int is_usual(const key_parts *parts);
static int has(etg_bytes text, char c);
static char *put(char *to, etg_bytes text);
static char *put_lower(char *to, const char *text, apr_size_t length);
static char *put_number(char *to, apr_size_t number);

void etg_cache_key_make(etg_cache_key *key, const char *scheme,
                        const char *host, const char *target,
                        const apr_table_t *request_fields,
                        const etg_key_rules *rules, apr_pool_t *p)
{
    static const etg_key_rules no_rules;
    keyed_field usual_fields[STEERING];
    keyed_field *fields = usual_fields;
    key_parts parts;
    apr_size_t path_at;
    unsigned disguised;
    unsigned steers;
    int is_same;
    int i;

    rules = rules == NULL ? &no_rules : rules;
    parts.scheme = etg_bytes_of(scheme);
    parts.host = etg_bytes_of(host == NULL ? "" : host);
    is_same = divide_target(&parts, target);
    key->changed_query = apply_rules(&parts.query, rules, p);
    parts.field_count = 0;
    steers = steering_of(request_fields, &disguised);
    i = rules->headers != NULL ? rules->headers->nelts : 0;
    if (i > 0 || disguised > 0) {
        fields = apr_palloc(p, ((apr_size_t)i + disguised + STEERING)
                                   * sizeof(*fields));
    }
    for (i = 0; steers >> i != 0; i++) {
        if (steers >> i & 1) {
            parts.field_count = add_field(fields, parts.field_count,
                                          steering[i], request_fields, p);
        }
    }
    if (disguised > 0) {
        parts.field_count = add_disguised(fields, parts.field_count,
                                          request_fields);
    }
    for (i = 0; rules->headers != NULL && i < rules->headers->nelts; i++) {
        parts.field_count = add_field(
            fields, parts.field_count,
            APR_ARRAY_IDX(rules->headers, i, const char *), request_fields,
            p);
    }
    parts.fields = fields;
    write_text(key, &parts, &path_at, p);
    if (is_same && !key->changed_query) {
        key->target = target;
    }
    else {
        key->target = apr_pstrmemdup(p, key->text + path_at,
                                     parts.path.length + parts.query.length);
    }
    etg_cache_key_hash(&key->hash, key->text, key->length);
}

void etg_cache_key_hash(etg_store_key *hash, const char *text,
                        apr_size_t length)
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(text, length));
    memcpy(hash->bytes, canonical.digest, ETG_STORE_KEY_BYTES);
}

void etg_response_key(etg_store_key *out, const etg_store_key *primary,
                      apr_uint64_t generation, const etg_vary_hash *vary)
{
    unsigned char text[ETG_STORE_KEY_BYTES + 8 + ETG_VARY_HASH_BYTES];
    unsigned i;

    memcpy(text, primary->bytes, ETG_STORE_KEY_BYTES);
    for (i = 0; i < 8; i++) {
        text[ETG_STORE_KEY_BYTES + i] =
            (unsigned char)(generation >> (56 - 8 * i));
    }
    memcpy(text + ETG_STORE_KEY_BYTES + 8, vary->bytes, ETG_VARY_HASH_BYTES);
    etg_cache_key_hash(out, (const char *)text, sizeof(text));
}

const char *etg_query_without(const char *query,
                              const apr_array_header_t *patterns,
                              apr_pool_t *p)
{
    apr_array_header_t *parameters;
    etg_bytes rest;
    int count;

    if (*query == '\0') {
        return query;
    }
    rest = etg_bytes_of(query);
    parameters = read_parameters(rest, p);
    count = parameters->nelts;
    drop_ignored(parameters, patterns, p);
    if (parameters->nelts == count) {
        return query;
    }
    if (parameters->nelts == 0) {
        return NULL;
    }
    rest = joined(parameters, rest.length + 1, p);
    return apr_pstrmemdup(p, (const char *)rest.data + 1, rest.length - 1);
}

/* Finds path and query. Returns whether they are all of the target. */
static int divide_target(key_parts *parts, const char *target)
{
    apr_size_t start;
    apr_size_t length;
    apr_size_t all;

    target = target == NULL ? "" : target;
    start = authority_end(target);
    target += start;
    length = strcspn(target, "?#");
    all = length + strcspn(target + length, "#");
    parts->path.data = (const unsigned char *)target;
    parts->path.length = length;
    parts->query.data = (const unsigned char *)target + length;
    parts->query.length = all - length;
    if (length == 0) {
        parts->path = etg_bytes_of("/");
    }
    return start == 0 && length > 0 && target[all] == '\0';
}

/* Where "scheme://authority" ends; 0 for a target in origin form. */
static apr_size_t authority_end(const char *target)
{
    apr_size_t length = 0;

    if (target[0] == '/') {
        return 0;
    }
    while (apr_isalnum(target[length]) || target[length] == '+'
           || target[length] == '-' || target[length] == '.') {
        length++;
    }
    if (length == 0 || strncmp(target + length, "://", 3) != 0) {
        return 0;
    }
    length += 3;
    return length + strcspn(target + length, "/?#");
}

/* Drops and orders parameters. Returns whether that changed the query. */
static int apply_rules(etg_bytes *query, const etg_key_rules *rules,
                       apr_pool_t *p)
{
    int drops = rules->ignore_query != NULL && rules->ignore_query->nelts > 0;
    apr_array_header_t *parameters;
    etg_bytes fresh;

    if (query->length < 2 || (!drops && !rules->sort_query)) {
        return 0;
    }
    fresh.data = query->data + 1;
    fresh.length = query->length - 1;
    parameters = read_parameters(fresh, p);
    if (drops) {
        drop_ignored(parameters, rules->ignore_query, p);
    }
    if (rules->sort_query) {
        qsort(parameters->elts, (size_t)parameters->nelts, sizeof(parameter),
              order_parameters);
    }
    fresh = joined(parameters, query->length, p);
    if (fresh.length == query->length
        && memcmp(fresh.data, query->data, fresh.length) == 0) {
        return 0;
    }
    *query = fresh;
    return 1;
}

/* Of a query without its '?'. */
static apr_array_header_t *read_parameters(etg_bytes query, apr_pool_t *p)
{
    apr_array_header_t *parameters = apr_array_make(p, 16, sizeof(parameter));
    const unsigned char *end = query.data + query.length;
    const unsigned char *at = query.data;

    for (;;) {
        const unsigned char *stop = memchr(at, '&', (size_t)(end - at));
        parameter *one = &APR_ARRAY_PUSH(parameters, parameter);
        const unsigned char *equals;

        one->text.data = at;
        one->text.length = (apr_size_t)((stop == NULL ? end : stop) - at);
        equals = memchr(at, '=', one->text.length);
        one->name_length = equals == NULL ? one->text.length
                                          : (apr_size_t)(equals - at);
        if (stop == NULL) {
            return parameters;
        }
        at = stop + 1;
    }
}

static void drop_ignored(apr_array_header_t *parameters,
                         const apr_array_header_t *patterns, apr_pool_t *p)
{
    int kept = 0;
    int i;

    for (i = 0; i < parameters->nelts; i++) {
        parameter *one = &APR_ARRAY_IDX(parameters, i, parameter);

        if (!is_ignored(one, patterns, p)) {
            APR_ARRAY_IDX(parameters, kept++, parameter) = *one;
        }
    }
    parameters->nelts = kept;
}

static int is_ignored(const parameter *one,
                      const apr_array_header_t *patterns, apr_pool_t *p)
{
    const char *name = decoded_name(one, p);
    int i;

    for (i = 0; name != NULL && i < patterns->nelts; i++) {
        if (apr_fnmatch(APR_ARRAY_IDX(patterns, i, const char *), name, 0)
            == APR_SUCCESS) {
            return 1;
        }
    }
    return 0;
}

/* Percent signs that begin no code stay. NULL for a name with a NUL, which
 * would match as if it ended there. */
static char *decoded_name(const parameter *one, apr_pool_t *p)
{
    const char *from = (const char *)one->text.data;
    const char *end = from + one->name_length;
    char *name = apr_palloc(p, one->name_length + 1);
    char *to = name;

    while (from < end) {
        char c = *from++;

        if (c == '+') {
            c = ' ';
        }
        else if (c == '%' && end - from >= 2 && hex_digit(from[0]) < 16
                 && hex_digit(from[1]) < 16) {
            c = (char)(hex_digit(from[0]) << 4 | hex_digit(from[1]));
            from += 2;
        }
        if (c == '\0') {
            return NULL;
        }
        *to++ = c;
    }
    *to = '\0';
    return name;
}

/* 16 for what is no hexadecimal digit. */
static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* By raw name, then as they stood. */
static int order_parameters(const void *a, const void *b)
{
    const parameter *one = a;
    const parameter *other = b;
    apr_size_t shorter = one->name_length < other->name_length
                             ? one->name_length
                             : other->name_length;
    int order = memcmp(one->text.data, other->text.data, shorter);

    if (order != 0) {
        return order;
    }
    if (one->name_length != other->name_length) {
        return one->name_length < other->name_length ? -1 : 1;
    }
    return one->text.data < other->text.data ? -1 : 1;
}

/* The query of these parameters with its '?'; nothing for none at all. */
static etg_bytes joined(const apr_array_header_t *parameters,
                        apr_size_t at_most, apr_pool_t *p)
{
    char *text = apr_palloc(p, at_most);
    char *to = text;
    etg_bytes query;
    int i;

    for (i = 0; i < parameters->nelts; i++) {
        *to++ = i == 0 ? '?' : '&';
        to = put(to, APR_ARRAY_IDX(parameters, i, parameter).text);
    }
    query.data = (const unsigned char *)text;
    query.length = (apr_size_t)(to - text);
    return query;
}

/* Which rows of `steering` the request has, as bits: one look at each field
 * instead of a search for each row, as most requests have none. Those with a
 * '_' where the row has a '-' are counted apart: backends that make
 * environment variables of fields take one for the other. */
static unsigned steering_of(const apr_table_t *request_fields,
                            unsigned *disguised)
{
    const apr_array_header_t *rows = apr_table_elts(request_fields);
    unsigned found = 0;
    int i;

    *disguised = 0;
    for (i = 0; i < rows->nelts; i++) {
        const char *name = APR_ARRAY_IDX(rows, i, apr_table_entry_t).key;
        unsigned row;

        if ((name[0] | 0x20) != 'f' && (name[0] | 0x20) != 'x') {
            continue;
        }
        for (row = 0; row < STEERING; row++) {
            if (strcasecmp(name, steering[row]) == 0) {
                found |= 1u << row;
            }
            else if (steers_as(name, steering[row])) {
                ++*disguised;
            }
        }
    }
    return found;
}

/* Are the names the same but for '_' and '-'? */
static int steers_as(const char *name, const char *steering_name)
{
    while (*name != '\0'
           && (apr_tolower(*name) == *steering_name
               || (*name == '_' && *steering_name == '-'))) {
        name++;
        steering_name++;
    }
    return *name == *steering_name;
}

/* Adds what steering_of() counted as disguised, each line as it is. */
static unsigned add_disguised(keyed_field *fields, unsigned count,
                              const apr_table_t *request_fields)
{
    const apr_array_header_t *rows = apr_table_elts(request_fields);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row
            = &APR_ARRAY_IDX(rows, i, apr_table_entry_t);
        unsigned k;

        for (k = 0; strchr(row->key, '_') != NULL && k < STEERING; k++) {
            if (steers_as(row->key, steering[k])) {
                fields[count].name = row->key;
                fields[count].name_length = strlen(row->key);
                fields[count].value = row->val;
                fields[count].value_length = strlen(row->val);
                count++;
            }
        }
    }
    return count;
}

/* Adds the field if the request has it. Returns how many there are then. */
static unsigned add_field(keyed_field *fields, unsigned count,
                          const char *name, const apr_table_t *request_fields,
                          apr_pool_t *p)
{
    const char *value = etg_field_combined(request_fields, name, p);

    if (value == NULL) {
        return count;
    }
    fields[count].name = name;
    fields[count].name_length = strlen(name);
    fields[count].value = value;
    fields[count].value_length = strlen(value);
    return count + 1;
}

/* Fills in text and length; *path_at is where the path begins. */
static void write_text(etg_cache_key *key, const key_parts *parts,
                       apr_size_t *path_at, apr_pool_t *p)
{
    apr_size_t target = parts->path.length + parts->query.length;
    apr_size_t most = parts->scheme.length + parts->host.length + target
                      + 2 * (1 + NUMBER_BYTES) + sizeof("://");
    char *text;
    char *to;
    unsigned i;

    for (i = 0; i < parts->field_count; i++) {
        most += parts->fields[i].name_length + parts->fields[i].value_length
                + NUMBER_BYTES + 3;
    }
    text = apr_palloc(p, most);
    to = put(text, parts->scheme);
    if (!is_usual(parts)) {
        *to++ = ':';
        to = put_number(to, parts->host.length);
        *to++ = ':';
        to = put_number(to, target);
    }
    memcpy(to, "://", 3);
    to = put_lower(to + 3, (const char *)parts->host.data,
                   parts->host.length);
    *path_at = (apr_size_t)(to - text);
    to = put(put(to, parts->path), parts->query);
    for (i = 0; i < parts->field_count; i++) {
        const keyed_field *field = &parts->fields[i];

        *to++ = '\n';
        to = put_lower(to, field->name, field->name_length);
        *to++ = ':';
        to = put_number(to, field->value_length);
        *to++ = ':';
        memcpy(to, field->value, field->value_length);
        to += field->value_length;
    }
    *to = '\0';
    key->text = text;
    key->length = (apr_size_t)(to - text);
}

/* Can the parts be told from each other without lengths? */
static int is_usual(const key_parts *parts)
{
    return parts->path.data[0] == '/' && !has(parts->host, '/')
           && !has(parts->host, '\n') && !has(parts->path, '\n')
           && !has(parts->query, '\n');
}

static int has(etg_bytes text, char c)
{
    return text.length > 0 && memchr(text.data, c, text.length) != NULL;
}

static char *put(char *to, etg_bytes text)
{
    memcpy(to, text.data, text.length);
    return to + text.length;
}

static char *put_lower(char *to, const char *text, apr_size_t length)
{
    apr_size_t i;

    for (i = 0; i < length; i++) {
        char c = text[i];

        to[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return to + length;
}

static char *put_number(char *to, apr_size_t number)
{
    char digits[NUMBER_BYTES];
    unsigned count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}
