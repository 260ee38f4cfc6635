/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vary.c: from Vary and a request to the address of a variant.
 *
 * Two requests get the same hash only if every named field has the same
 * normal form in both; normal forms keep everything a backend could look at
 * but white space around commas, and for Accept-Language letter case and the
 * order of equal members. What is hashed is unambiguous: name and NUL, then
 * "-" or "+" with the value and NUL.
 */
#include "lib/vary.h"

#include <stdlib.h>
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <xxhash.h>

#include "lib/cookie.h"
#include "lib/field_list.h"

#define Q_ONE ETG_WEIGHT_ONE

/* One member of Accept-Language. */
typedef struct language_range {
    etg_bytes range;
    int q;              /* in thousandths; -1: not readable */
} language_range;

static int is_encoded(const apr_table_t *response_fields);
static int add_name(etg_bytes *names, unsigned *count, etg_bytes member,
                    apr_pool_t *p);
static int order_names(const void *a, const void *b);
static const char *join_names(etg_bytes *names, unsigned count,
                              apr_pool_t *p);
static void add_part(apr_array_header_t *parts, const char *bytes,
                     apr_size_t length);
static void add_value(apr_array_header_t *parts, const char *value);
static const char *normal_value(const char *name,
                                const apr_table_t *request_fields,
                                const etg_vary_rules *rules, apr_pool_t *p);
static const char *normal_list(const char *value, apr_pool_t *p);
static char *without_blanks(const char *start, char *end);
static const char *normal_languages(const char *value, apr_pool_t *p);
static char *put_range(char *at, const language_range *found);
static language_range read_range(etg_bytes member);
static int order_ranges(const void *a, const void *b);
static int find_language(etg_bytes range, const apr_array_header_t *languages);
static void hash_bytes(etg_vary_hash *hash, const void *bytes,
                       apr_size_t length);

const char *etg_vary_names(const apr_table_t *response_fields, apr_pool_t *p)
{
    etg_bytes names[ETG_VARY_NAMES_MAX];
    unsigned count = 0;
    const char *value = etg_field_combined(response_fields, "Vary", p);
    etg_bytes rest = etg_bytes_of(value);
    int encoded = is_encoded(response_fields);
    etg_bytes member;

    while (etg_list_next(&rest, &member)) {
        /* "*" is a token as well. */
        if (etg_bytes_is(member, "*") || !etg_is_token(member)) {
            return NULL;
        }
        if ((encoded || !etg_bytes_is(member, "Accept-Encoding"))
            && !add_name(names, &count, member, p)) {
            return NULL;
        }
    }
    return join_names(names, count, p);
}

void etg_vary_hash_of(etg_vary_hash *hash, const char *names,
                      const apr_table_t *request_fields,
                      const etg_vary_rules *rules, apr_pool_t *p)
{
    etg_bytes rest = etg_bytes_of(names);
    etg_bytes member;
    apr_array_header_t *parts;
    apr_size_t length;
    const char *bytes;

    memset(hash, 0, sizeof(*hash));
    if (rest.length == 0) {
        return;
    }
    parts = apr_array_make(p, 16, sizeof(struct iovec));
    while (etg_list_next(&rest, &member)) {
        const char *name = apr_pstrmemdup(p, (const char *)member.data,
                                          member.length);

        add_part(parts, name, member.length + 1);
        add_value(parts, normal_value(name, request_fields, rules, p));
    }
    bytes = apr_pstrcatv(p, (struct iovec *)parts->elts, parts->nelts,
                         &length);
    hash_bytes(hash, bytes, length);
}

const char *etg_language_choose(const char *accept_language,
                                const apr_array_header_t *languages,
                                apr_pool_t *p)
{
    etg_bytes rest = etg_bytes_of(accept_language);
    etg_bytes member;
    int best = -1;
    int best_q = 0;

    (void)p;
    while (languages != NULL && etg_list_next(&rest, &member)) {
        language_range wish = read_range(member);
        int found;

        if (wish.q <= 0 || wish.q < best_q) {
            continue;
        }
        found = find_language(wish.range, languages);
        if (found >= 0 && (best < 0 || wish.q > best_q || found < best)) {
            best = found;
            best_q = wish.q;
        }
    }
    return best >= 0 ? APR_ARRAY_IDX(languages, best, const char *) : NULL;
}

/* A fetch asks for identity, so a coded answer was chosen before the fetch, by
 * the client's own Accept-Encoding (MultiViews, rewriting to name.gz). */
static int is_encoded(const apr_table_t *response_fields)
{
    const char *coding = apr_table_get(response_fields, "Content-Encoding");

    return coding != NULL && apr_cstr_casecmp(coding, "identity") != 0;
}

/* Adds one name in lower case, unless it is there already; 0: no room. */
static int add_name(etg_bytes *names, unsigned *count, etg_bytes member,
                    apr_pool_t *p)
{
    char *name;
    apr_size_t i;

    for (i = 0; i < *count; i++) {
        if (names[i].length == member.length
            && apr_cstr_casecmpn((const char *)names[i].data,
                                 (const char *)member.data,
                                 member.length) == 0) {
            return 1;
        }
    }
    if (*count == ETG_VARY_NAMES_MAX) {
        return 0;
    }
    name = apr_palloc(p, member.length);
    for (i = 0; i < member.length; i++) {
        name[i] = etg_lower(member.data[i]);
    }
    names[*count].data = (const unsigned char *)name;
    names[*count].length = member.length;
    ++*count;
    return 1;
}

static int order_bytes(etg_bytes a, etg_bytes b)
{
    apr_size_t common = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.data, b.data, common);

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int order_names(const void *a, const void *b)
{
    return order_bytes(*(const etg_bytes *)a, *(const etg_bytes *)b);
}

static const char *join_names(etg_bytes *names, unsigned count,
                              apr_pool_t *p)
{
    apr_size_t length = 0;
    char *joined;
    char *at;
    unsigned i;

    if (count == 0) {
        return "";
    }
    qsort(names, count, sizeof(*names), order_names);
    for (i = 0; i < count; i++) {
        length += names[i].length + 1;
    }
    joined = apr_palloc(p, length);
    at = joined;
    for (i = 0; i < count; i++) {
        memcpy(at, names[i].data, names[i].length);
        at += names[i].length;
        *at++ = ',';
    }
    at[-1] = '\0';
    return joined;
}

static void add_part(apr_array_header_t *parts, const char *bytes,
                     apr_size_t length)
{
    struct iovec *part = apr_array_push(parts);

    part->iov_base = (void *)bytes;
    part->iov_len = length;
}

static void add_value(apr_array_header_t *parts, const char *value)
{
    if (value == NULL) {
        add_part(parts, "-", 1);
    }
    else {
        add_part(parts, "+", 1);
        add_part(parts, value, strlen(value) + 1);
    }
}

/* The value that counts for a field; NULL if the request lacks it. */
static const char *normal_value(const char *name,
                                const apr_table_t *request_fields,
                                const etg_vary_rules *rules, apr_pool_t *p)
{
    const char *value;

    if (apr_cstr_casecmp(name, "cookie") == 0) {
        value = etg_field_joined(request_fields, name, "; ", p);
        return rules != NULL && rules->ignored_cookies != NULL
               ? etg_cookie_without(value, rules->ignored_cookies, p) : value;
    }
    value = etg_field_combined(request_fields, name, p);
    if (value == NULL) {
        return NULL;
    }
    if (apr_cstr_casecmp(name, "accept-language") != 0) {
        return normal_list(value, p);
    }
    if (rules == NULL || rules->languages == NULL
        || rules->languages->nelts == 0) {
        return normal_languages(value, p);
    }
    value = etg_language_choose(value, rules->languages, p);
    return value != NULL ? value : "";
}

/* The value without white space around commas and at its ends; what quoted
 * strings hold stays. */
static const char *normal_list(const char *value, apr_pool_t *p)
{
    char *normal = apr_palloc(p, strlen(value) + 1);
    char *at = normal;
    int quoted = 0;

    for (; *value != '\0'; value++) {
        int is_blank = *value == ' ' || *value == '\t';

        if (is_blank && !quoted && (at == normal || at[-1] == ',')) {
            continue;
        }
        if (*value == ',' && !quoted) {
            at = without_blanks(normal, at);
        }
        else if (*value == '"') {
            quoted = !quoted;
        }
        else if (quoted && *value == '\\' && value[1] != '\0') {
            *at++ = *value++;
        }
        *at++ = *value;
    }
    if (!quoted) {
        at = without_blanks(normal, at);
    }
    *at = '\0';
    return normal;
}

/* The end of [start, end) moved before the blanks there. */
static char *without_blanks(const char *start, char *end)
{
    while (end > start && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    return end;
}

/* "de;1000,en;500": lower case, the most wanted first. A value with a member
 * that cannot be read stays as it is, behind a mark that no normal form
 * starts with. */
static const char *normal_languages(const char *value, apr_pool_t *p)
{
    apr_array_header_t *ranges = apr_array_make(p, 8, sizeof(language_range));
    etg_bytes rest = etg_bytes_of(value);
    etg_bytes member;
    char *normal;
    char *at;
    int i;

    while (etg_list_next(&rest, &member)) {
        language_range found = read_range(member);

        if (found.q < 0) {
            return apr_pstrcat(p, "?", normal_list(value, p), NULL);
        }
        APR_ARRAY_PUSH(ranges, language_range) = found;
    }
    qsort(ranges->elts, ranges->nelts, sizeof(language_range), order_ranges);
    /* A member shrinks to itself, or "de" grows by ";1000" and a comma. */
    normal = apr_palloc(p, strlen(value) + ranges->nelts * 6 + 1);
    at = normal;
    for (i = 0; i < ranges->nelts; i++) {
        at = put_range(at, &APR_ARRAY_IDX(ranges, i, language_range));
    }
    *at = '\0';
    return normal;
}

static char *put_range(char *at, const language_range *found)
{
    apr_size_t i;

    for (i = 0; i < found->range.length; i++) {
        *at++ = etg_lower(found->range.data[i]);
    }
    *at++ = ';';
    for (i = Q_ONE; i > 0; i /= 10) {
        *at++ = (char)('0' + found->q / (int)i % 10);
    }
    *at++ = ',';
    return at;
}

/* language-range [ OWS ";" OWS "q=" qvalue ] */
static language_range read_range(etg_bytes member)
{
    language_range found = { member, Q_ONE };
    const unsigned char *semicolon = memchr(member.data, ';', member.length);
    apr_size_t i;

    if (semicolon != NULL) {
        etg_bytes weight = { semicolon + 1, 0 };

        found.range.length = semicolon - member.data;
        found.range = etg_bytes_trim(found.range);
        weight.length = member.data + member.length - weight.data;
        found.q = etg_weight_read(etg_bytes_trim(weight));
    }
    for (i = 0; i < found.range.length; i++) {
        if (!etg_is_token_byte(found.range.data[i])) {
            found.q = -1;
        }
    }
    if (found.range.length == 0) {
        found.q = -1;
    }
    return found;
}

/* By falling q, then by name in lower case. */
static int order_ranges(const void *a, const void *b)
{
    const language_range *left = a;
    const language_range *right = b;
    apr_size_t common = left->range.length < right->range.length
                        ? left->range.length : right->range.length;
    int order = right->q - left->q;

    if (order == 0) {
        order = apr_cstr_casecmpn((const char *)left->range.data,
                                  (const char *)right->range.data, common);
    }
    if (order == 0) {
        order = (left->range.length > right->range.length)
                - (left->range.length < right->range.length);
    }
    return order;
}

/* The row that is the range, or the range with its last subtags cut off one
 * by one; -1: none. */
static int find_language(etg_bytes range, const apr_array_header_t *languages)
{
    while (range.length > 0) {
        int i;

        for (i = 0; i < languages->nelts; i++) {
            if (etg_bytes_is(range, APR_ARRAY_IDX(languages, i,
                                                  const char *))) {
                return i;
            }
        }
        while (range.length > 0 && range.data[range.length - 1] != '-') {
            range.length--;
        }
        if (range.length > 0) {
            range.length--;
        }
        /* A single letter or digit only introduces what was cut off. */
        if (range.length >= 2 && range.data[range.length - 2] == '-') {
            range.length -= 2;
        }
    }
    return -1;
}

/* Should libcrypto be unable to answer, another hash must do: it leads to a
 * miss, where a constant would lead to a foreign body. */
static void hash_bytes(etg_vary_hash *hash, const void *bytes,
                       apr_size_t length)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(bytes, length, digest, NULL, EVP_sha256(), NULL) != 1) {
        XXH128_canonicalFromHash((XXH128_canonical_t *)digest,
                                 XXH3_128bits(bytes, length));
    }
    memcpy(hash->bytes, digest, sizeof(hash->bytes));
}
