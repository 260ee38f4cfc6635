/* SPDX-License-Identifier: Apache-2.0 */
/*
 * structured_field.c: a recursive-descent reader of Structured Fields
 * dictionaries and lists, one function per rule of RFC 9651 §4.2, named after
 * it.
 *
 * Every reader takes the cursor, moves it past what it read and returns 0 at
 * the first byte that does not belong there. Items inside parameters and
 * inner lists are read like any other and dropped, so that an error in them
 * counts. Nothing recurses: inner lists hold no lists.
 */
#include "lib/structured_field.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/utf8.h"

#define INTEGER_DIGITS_MAX 15
#define DECIMAL_DIGITS_MAX 12
#define FRACTION_DIGITS_MAX 3

typedef struct sf_cursor {
    const unsigned char *at;
    const unsigned char *end;
    apr_pool_t *p;
} sf_cursor;

typedef int read_function(sf_cursor *in, apr_array_header_t *members);

static apr_status_t parse(etg_bytes value, apr_pool_t *p,
                          read_function *read_one,
                          apr_array_header_t **members);
static int read_members(sf_cursor *in, apr_array_header_t *members,
                        read_function *read_one);
static int read_dictionary_member(sf_cursor *in, apr_array_header_t *members);
static int read_list_member(sf_cursor *in, apr_array_header_t *members);
static int read_value(sf_cursor *in, etg_sf_member *member);
static int put_member(apr_array_header_t *members,
                      const etg_sf_member *member);
static int read_key(sf_cursor *in, const char **key);
static int read_inner_list(sf_cursor *in);
static int read_parameters(sf_cursor *in);
static int read_bare_item(sf_cursor *in, etg_sf_member *item);
static int read_number(sf_cursor *in, etg_sf_member *item);
static int read_fraction(sf_cursor *in, etg_sf_member *item);
static int read_string(sf_cursor *in, etg_sf_member *item);
static int read_token(sf_cursor *in, etg_sf_member *item);
static int read_bytes(sf_cursor *in, etg_sf_member *item);
static int read_boolean(sf_cursor *in, etg_sf_member *item);
static int read_date(sf_cursor *in, etg_sf_member *item);
static int read_display(sf_cursor *in, etg_sf_member *item);

/* The byte at the cursor, or -1 at the end. */
static int peek(const sf_cursor *in)
{
    return in->at < in->end ? *in->at : -1;
}

static int take(sf_cursor *in, unsigned char byte)
{
    if (peek(in) != byte) {
        return 0;
    }
    in->at++;
    return 1;
}

static void skip_sp(sf_cursor *in)
{
    while (peek(in) == ' ') {
        in->at++;
    }
}

static void skip_ows(sf_cursor *in)
{
    while (peek(in) == ' ' || peek(in) == '\t') {
        in->at++;
    }
}

apr_status_t etg_sf_dictionary(etg_bytes value, apr_pool_t *p,
                               apr_array_header_t **members)
{
    return parse(value, p, read_dictionary_member, members);
}

apr_status_t etg_sf_list(etg_bytes value, apr_pool_t *p,
                         apr_array_header_t **members)
{
    return parse(value, p, read_list_member, members);
}

static apr_status_t parse(etg_bytes value, apr_pool_t *p,
                          read_function *read_one,
                          apr_array_header_t **members)
{
    apr_array_header_t *found = apr_array_make(p, 4, sizeof(etg_sf_member));

    if (value.length > 0) {
        sf_cursor in = { value.data, value.data + value.length, p };

        skip_sp(&in);
        if (in.at < in.end && !read_members(&in, found, read_one)) {
            return APR_EINVAL;
        }
    }
    *members = found;
    return APR_SUCCESS;
}

int etg_sf_put_string(char *buffer, apr_size_t size, apr_size_t *used,
                      const char *text)
{
    apr_size_t length = 2;
    const char *from;
    char *at;

    for (from = text; *from != '\0'; from++) {
        length += *from == '"' || *from == '\\' ? 2 : 1;
    }
    if (*used > size || length > size - *used) {
        return 0;
    }
    at = buffer + *used;
    *at++ = '"';
    for (from = text; *from != '\0'; from++) {
        if (*from == '"' || *from == '\\') {
            *at++ = '\\';
        }
        *at++ = *from >= ' ' && *from <= '~' ? *from : '?';
    }
    *at = '"';
    *used += length;
    return 1;
}

/* A dictionary or list from its first member to the end of the field. */
static int read_members(sf_cursor *in, apr_array_header_t *members,
                        read_function *read_one)
{
    for (;;) {
        if (!read_one(in, members)) {
            return 0;
        }
        skip_ows(in);
        if (in->at == in->end) {
            return 1;
        }
        if (!take(in, ',')) {
            return 0;
        }
        skip_ows(in);       /* a comma at the end is an error: no member */
    }
}

static int read_dictionary_member(sf_cursor *in, apr_array_header_t *members)
{
    etg_sf_member member = { .type = ETG_SF_BOOLEAN, .number = 1 };

    if (!read_key(in, &member.key)
        || (take(in, '=') && !read_value(in, &member))
        || !read_parameters(in)) {
        return 0;
    }
    return put_member(members, &member);
}

static int read_list_member(sf_cursor *in, apr_array_header_t *members)
{
    etg_sf_member member = { .key = NULL };

    if (members->nelts >= ETG_SF_KEYS_MAX || !read_value(in, &member)
        || !read_parameters(in)) {
        return 0;
    }
    APR_ARRAY_PUSH(members, etg_sf_member) = member;
    return 1;
}

/* An item or an inner list. */
static int read_value(sf_cursor *in, etg_sf_member *member)
{
    if (peek(in) == '(') {
        member->type = ETG_SF_INNER_LIST;
        member->number = 1;
        return read_inner_list(in);
    }
    return read_bare_item(in, member);
}

static int put_member(apr_array_header_t *members,
                      const etg_sf_member *member)
{
    int i;

    for (i = 0; i < members->nelts; i++) {
        etg_sf_member *row = &APR_ARRAY_IDX(members, i, etg_sf_member);

        if (strcmp(row->key, member->key) == 0) {
            *row = *member;
            return 1;
        }
    }
    if (members->nelts >= ETG_SF_KEYS_MAX) {
        return 0;
    }
    APR_ARRAY_PUSH(members, etg_sf_member) = *member;
    return 1;
}

static int is_key_byte(int byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9')
           || byte == '_' || byte == '-' || byte == '.' || byte == '*';
}

/* `key` NULL: checked and dropped. */
static int read_key(sf_cursor *in, const char **key)
{
    const unsigned char *start = in->at;

    if (!(peek(in) >= 'a' && peek(in) <= 'z') && peek(in) != '*') {
        return 0;
    }
    while (is_key_byte(peek(in))) {
        in->at++;
    }
    if (key != NULL) {
        *key = apr_pstrmemdup(in->p, (const char *)start, in->at - start);
    }
    return 1;
}

static int read_inner_list(sf_cursor *in)
{
    in->at++;
    for (;;) {
        etg_sf_member item;

        skip_sp(in);
        if (take(in, ')')) {
            return 1;
        }
        if (!read_bare_item(in, &item) || !read_parameters(in)
            || (peek(in) != ' ' && peek(in) != ')')) {
            return 0;
        }
    }
}

static int read_parameters(sf_cursor *in)
{
    while (take(in, ';')) {
        etg_sf_member item;

        skip_sp(in);
        if (!read_key(in, NULL)
            || (take(in, '=') && !read_bare_item(in, &item))) {
            return 0;
        }
    }
    return 1;
}

static int is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static int read_bare_item(sf_cursor *in, etg_sf_member *item)
{
    int first = peek(in);

    item->text = NULL;
    item->number = 0;
    switch (first) {
    case '"':
        return read_string(in, item);
    case ':':
        return read_bytes(in, item);
    case '?':
        return read_boolean(in, item);
    case '@':
        return read_date(in, item);
    case '%':
        return read_display(in, item);
    default:
        if (first == '-' || is_digit(first)) {
            return read_number(in, item);
        }
        return read_token(in, item);
    }
}

static int read_number(sf_cursor *in, etg_sf_member *item)
{
    int negative = take(in, '-');
    int digits = 0;

    item->type = ETG_SF_INTEGER;
    item->number = 0;
    while (is_digit(peek(in))) {
        if (++digits > INTEGER_DIGITS_MAX) {
            return 0;
        }
        item->number = item->number * 10 + (*in->at++ - '0');
    }
    if (digits == 0) {
        return 0;
    }
    if (take(in, '.')
        && (digits > DECIMAL_DIGITS_MAX || !read_fraction(in, item))) {
        return 0;
    }
    if (negative) {
        item->number = -item->number;
    }
    return 1;
}

/* The part after the point; turns the number into thousandths. */
static int read_fraction(sf_cursor *in, etg_sf_member *item)
{
    int digits = 0;

    item->type = ETG_SF_DECIMAL;
    while (is_digit(peek(in))) {
        if (++digits > FRACTION_DIGITS_MAX) {
            return 0;
        }
        item->number = item->number * 10 + (*in->at++ - '0');
    }
    if (digits == 0) {
        return 0;
    }
    for (; digits < FRACTION_DIGITS_MAX; digits++) {
        item->number *= 10;
    }
    return 1;
}

static int read_string(sf_cursor *in, etg_sf_member *item)
{
    const unsigned char *start = ++in->at;
    char *text;
    apr_size_t length = 0;

    while (peek(in) >= ' ' && peek(in) <= '~' && peek(in) != '"') {
        if (take(in, '\\') && peek(in) != '"' && peek(in) != '\\') {
            return 0;
        }
        in->at++;
    }
    if (peek(in) != '"') {
        return 0;
    }
    text = apr_palloc(in->p, in->at - start + 1);
    for (; start < in->at; start++) {
        if (*start == '\\') {
            start++;
        }
        text[length++] = (char)*start;
    }
    text[length] = '\0';
    in->at++;
    item->type = ETG_SF_STRING;
    item->text = text;
    return 1;
}

static int is_alpha(int byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static int read_token(sf_cursor *in, etg_sf_member *item)
{
    const unsigned char *start = in->at;

    if (peek(in) != '*' && !is_alpha(peek(in))) {
        return 0;
    }
    while (in->at < in->end && (etg_is_token_byte(*in->at)
                                || *in->at == ':' || *in->at == '/')) {
        in->at++;
    }
    item->type = ETG_SF_TOKEN;
    item->text = apr_pstrmemdup(in->p, (const char *)start, in->at - start);
    return 1;
}

/* Padding may be absent (RFC 9651 §4.2.7), but no byte may hang over. */
static int read_bytes(sf_cursor *in, etg_sf_member *item)
{
    const unsigned char *start = ++in->at;
    apr_size_t digits;
    apr_size_t padding;

    while (is_alpha(peek(in)) || is_digit(peek(in)) || peek(in) == '+'
           || peek(in) == '/') {
        in->at++;
    }
    digits = in->at - start;
    while (take(in, '=')) {
        ;
    }
    padding = in->at - start - digits;
    if (peek(in) != ':' || digits % 4 == 1 || padding > 2
        || (padding > 0 && (digits + padding) % 4 != 0)) {
        return 0;
    }
    item->type = ETG_SF_BYTES;
    item->text = apr_pstrmemdup(in->p, (const char *)start, in->at - start);
    in->at++;
    return 1;
}

static int read_boolean(sf_cursor *in, etg_sf_member *item)
{
    in->at++;
    if (peek(in) != '0' && peek(in) != '1') {
        return 0;
    }
    item->type = ETG_SF_BOOLEAN;
    item->number = *in->at++ - '0';
    return 1;
}

static int read_date(sf_cursor *in, etg_sf_member *item)
{
    in->at++;
    if (!read_number(in, item) || item->type != ETG_SF_INTEGER) {
        return 0;
    }
    item->type = ETG_SF_DATE;
    return 1;
}

/* The value of a lower-case hexadecimal digit, or -1. */
static int hex_value(int byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static int read_display(sf_cursor *in, etg_sf_member *item)
{
    unsigned char *text;
    apr_size_t length = 0;

    in->at++;
    if (!take(in, '"')) {
        return 0;
    }
    text = apr_palloc(in->p, in->end - in->at + 1);
    while (!take(in, '"')) {
        int byte = peek(in);

        if (byte < ' ' || byte > '~') {
            return 0;
        }
        in->at++;
        if (byte == '%') {
            int high = hex_value(peek(in));
            int low = high >= 0 && in->end - in->at > 1 ? hex_value(in->at[1])
                                                        : -1;

            if (low < 0) {
                return 0;
            }
            byte = high * 16 + low;
            in->at += 2;
        }
        text[length++] = (unsigned char)byte;
    }
    text[length] = '\0';
    item->type = ETG_SF_DISPLAY;
    item->text = (const char *)text;
    return etg_is_utf8((etg_bytes){ text, length });
}
