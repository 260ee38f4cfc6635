/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_scan.c: the grammar of JSON (RFC 8259) as a small machine.
 *
 * Between tokens there are few things that may be next (`expected`), and all
 * that has to be remembered of what is around is one bit for each container
 * that is open: whether it is an object. Tokens are runs of bytes of the text;
 * commas, colons and white space are none.
 */
#include "lib/json_scan.h"

#include <string.h>

#include "lib/utf8.h"

#define NONE (-1)

static void skip_space(etg_json_scan *scan);
static int peek(const etg_json_scan *scan);
static int is_in_object(const etg_json_scan *scan);
static etg_json_token close_container(etg_json_scan *scan);
static etg_json_token take_name(etg_json_scan *scan);
static etg_json_token take_value(etg_json_scan *scan);
static etg_json_token open_container(etg_json_scan *scan, int is_object);
static apr_size_t word_length(etg_bytes text);
static apr_size_t string_length(etg_bytes text);
static apr_size_t escape_length(etg_bytes text);
static apr_size_t digits(etg_bytes text, apr_size_t from);
static etg_json_token take(etg_json_scan *scan, apr_size_t length,
                           etg_json_token token);
static etg_json_token give_up(etg_json_scan *scan);
static apr_size_t take_character(etg_bytes *text, unsigned char *bytes);
static apr_size_t take_escape(etg_bytes *text, unsigned char *bytes);
static unsigned take_unit(etg_bytes *text);
static apr_size_t utf8_write(unsigned point, unsigned char *bytes);
static void skip(etg_bytes *text, apr_size_t length);

void etg_json_scan_begin(etg_json_scan *scan, etg_bytes text)
{
    memset(scan, 0, sizeof(*scan));
    scan->rest = text;
    scan->expected = ETG_JSON_EXPECT_VALUE;
}

etg_json_token etg_json_scan_next(etg_json_scan *scan)
{
    skip_space(scan);
    if (scan->expected == ETG_JSON_EXPECT_MORE_OR_END) {
        if (scan->depth == 0 && scan->rest.length == 0) {
            return take(scan, 0, ETG_JSON_TOKEN_END);
        }
        if (scan->depth == 0 || peek(scan) != ',') {
            return close_container(scan);
        }
        skip(&scan->rest, 1);
        skip_space(scan);
        scan->expected = is_in_object(scan) ? ETG_JSON_EXPECT_NAME
                                            : ETG_JSON_EXPECT_VALUE;
    }
    switch (scan->expected) {
    case ETG_JSON_EXPECT_NAME_OR_END:
        return peek(scan) == '}' ? close_container(scan) : take_name(scan);
    case ETG_JSON_EXPECT_VALUE_OR_END:
        return peek(scan) == ']' ? close_container(scan) : take_value(scan);
    case ETG_JSON_EXPECT_NAME:
        return take_name(scan);
    case ETG_JSON_EXPECT_VALUE:
        return take_value(scan);
    default:
        return give_up(scan);
    }
}

etg_bytes etg_json_scan_value(etg_json_scan *scan)
{
    unsigned depth = scan->depth;
    etg_json_token token = etg_json_scan_next(scan);
    etg_bytes value = scan->token;
    etg_bytes none = { NULL, 0 };

    while (scan->depth > depth && token != ETG_JSON_TOKEN_WRONG) {
        token = etg_json_scan_next(scan);
    }
    if (scan->depth != depth || token <= ETG_JSON_TOKEN_END) {
        return none;
    }
    value.length = (apr_size_t)(scan->token.data - value.data)
                   + scan->token.length;
    return value;
}

int etg_json_is_valid(etg_bytes text)
{
    etg_json_scan scan;
    etg_json_token token;

    etg_json_scan_begin(&scan, text);
    do {
        token = etg_json_scan_next(&scan);
    } while (token > ETG_JSON_TOKEN_END);
    return token == ETG_JSON_TOKEN_END;
}

int etg_json_string_is(etg_bytes token, etg_bytes text)
{
    etg_bytes rest = { token.data + 1, token.length - 2 };

    while (rest.length > 0) {
        unsigned char bytes[4];
        apr_size_t length = take_character(&rest, bytes);

        if (length == 0 || length > text.length
            || memcmp(text.data, bytes, length) != 0) {
            return 0;
        }
        skip(&text, length);
    }
    return text.length == 0;
}

apr_size_t etg_json_number_length(etg_bytes text)
{
    apr_size_t at = text.length > 0 && text.data[0] == '-';
    apr_size_t whole = digits(text, at);
    apr_size_t more;

    if (whole == 0 || (whole > 1 && text.data[at] == '0')) {
        return 0;
    }
    at += whole;
    if (at < text.length && text.data[at] == '.') {
        more = digits(text, at + 1);
        if (more == 0) {
            return 0;
        }
        at += 1 + more;
    }
    if (at < text.length && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (at < text.length
            && (text.data[at] == '+' || text.data[at] == '-')) {
            at++;
        }
        more = digits(text, at);
        if (more == 0) {
            return 0;
        }
        at += more;
    }
    return at;
}

static void skip_space(etg_json_scan *scan)
{
    etg_bytes rest = scan->rest;

    while (rest.length > 0
           && (rest.data[0] == ' ' || rest.data[0] == '\n'
               || rest.data[0] == '\t' || rest.data[0] == '\r')) {
        skip(&rest, 1);
    }
    scan->rest = rest;
}

static int peek(const etg_json_scan *scan)
{
    return scan->rest.length > 0 ? scan->rest.data[0] : NONE;
}

static int is_in_object(const etg_json_scan *scan)
{
    unsigned inner = scan->depth - 1;

    return scan->is_object[inner / 8] >> inner % 8 & 1;
}

static etg_json_token close_container(etg_json_scan *scan)
{
    int is_object;

    if (scan->depth == 0) {
        return give_up(scan);
    }
    is_object = is_in_object(scan);
    if (peek(scan) != (is_object ? '}' : ']')) {
        return give_up(scan);
    }
    scan->depth--;
    scan->expected = ETG_JSON_EXPECT_MORE_OR_END;
    return take(scan, 1, is_object ? ETG_JSON_TOKEN_OBJECT_END
                                   : ETG_JSON_TOKEN_ARRAY_END);
}

/* With its colon, which is no part of the token. */
static etg_json_token take_name(etg_json_scan *scan)
{
    etg_bytes name = { scan->rest.data, string_length(scan->rest) };

    if (name.length == 0) {
        return give_up(scan);
    }
    skip(&scan->rest, name.length);
    skip_space(scan);
    if (peek(scan) != ':') {
        return give_up(scan);
    }
    skip(&scan->rest, 1);
    scan->token = name;
    scan->expected = ETG_JSON_EXPECT_VALUE;
    return ETG_JSON_TOKEN_NAME;
}

static etg_json_token take_value(etg_json_scan *scan)
{
    int byte = peek(scan);

    if (byte == '{' || byte == '[') {
        return open_container(scan, byte == '{');
    }
    scan->expected = ETG_JSON_EXPECT_MORE_OR_END;
    if (byte == '"') {
        return take(scan, string_length(scan->rest), ETG_JSON_TOKEN_STRING);
    }
    if (byte == '-' || (byte >= '0' && byte <= '9')) {
        return take(scan, etg_json_number_length(scan->rest),
                    ETG_JSON_TOKEN_NUMBER);
    }
    return take(scan, word_length(scan->rest), ETG_JSON_TOKEN_WORD);
}

static etg_json_token open_container(etg_json_scan *scan, int is_object)
{
    unsigned char bit = (unsigned char)(1u << scan->depth % 8);

    if (scan->depth == ETG_JSON_DEPTH_MAX) {
        return give_up(scan);
    }
    if (is_object) {
        scan->is_object[scan->depth / 8] |= bit;
    }
    else {
        scan->is_object[scan->depth / 8] &= (unsigned char)~bit;
    }
    scan->depth++;
    scan->expected = is_object ? ETG_JSON_EXPECT_NAME_OR_END
                               : ETG_JSON_EXPECT_VALUE_OR_END;
    return take(scan, 1, is_object ? ETG_JSON_TOKEN_OBJECT
                                   : ETG_JSON_TOKEN_ARRAY);
}

static apr_size_t word_length(etg_bytes text)
{
    static const char *const words[] = { "true", "false", "null" };

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        apr_size_t length = strlen(words[i]);

        if (text.length >= length
            && memcmp(text.data, words[i], length) == 0) {
            return length;
        }
    }
    return 0;
}

/* With its quotes (§7); 0: there is none. */
static apr_size_t string_length(etg_bytes text)
{
    etg_bytes rest = text;

    if (rest.length == 0 || rest.data[0] != '"') {
        return 0;
    }
    skip(&rest, 1);
    while (rest.length > 0) {
        unsigned char byte = rest.data[0];
        apr_size_t length = 1;

        if (byte == '"') {
            return text.length - rest.length + 1;
        }
        if (byte == '\\') {
            length = escape_length(rest);
        }
        else if (byte < ' ' || byte >= 0x80) {
            length = byte < ' ' ? 0 : etg_utf8_length(rest);
        }
        if (length == 0) {
            return 0;
        }
        skip(&rest, length);
    }
    return 0;
}

static apr_size_t escape_length(etg_bytes text)
{
    if (text.length < 2) {
        return 0;
    }
    if (text.data[1] != 'u') {
        return text.data[1] != '\0'
               && strchr("\"\\/bfnrt", text.data[1]) != NULL ? 2 : 0;
    }
    for (apr_size_t i = 2; i < 6; i++) {
        if (i >= text.length || text.data[i] == '\0'
            || strchr("0123456789abcdefABCDEF", text.data[i]) == NULL) {
            return 0;
        }
    }
    return 6;
}

static apr_size_t digits(etg_bytes text, apr_size_t from)
{
    apr_size_t at = from;

    while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9') {
        at++;
    }
    return at - from;
}

/* Length 0 is only the end's. */
static etg_json_token take(etg_json_scan *scan, apr_size_t length,
                           etg_json_token token)
{
    if (length == 0 && token != ETG_JSON_TOKEN_END) {
        return give_up(scan);
    }
    scan->token.data = scan->rest.data;
    scan->token.length = length;
    skip(&scan->rest, length);
    return token;
}

static etg_json_token give_up(etg_json_scan *scan)
{
    scan->token = scan->rest;
    scan->expected = ETG_JSON_EXPECT_NOTHING;
    return ETG_JSON_TOKEN_WRONG;
}

/* What the next character of a valid string is in UTF-8; 0: it is none, but
 * half of a surrogate pair. */
static apr_size_t take_character(etg_bytes *text, unsigned char *bytes)
{
    if (text->data[0] == '\\') {
        return take_escape(text, bytes);
    }
    bytes[0] = text->data[0];
    skip(text, 1);
    return 1;
}

static apr_size_t take_escape(etg_bytes *text, unsigned char *bytes)
{
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    unsigned point;

    if (text->data[1] != 'u') {
        const char *letter = strchr(letters, text->data[1]);

        bytes[0] = letter != NULL ? (unsigned char)meanings[letter - letters]
                                  : text->data[1];
        skip(text, 2);
        return 1;
    }
    point = take_unit(text);
    if (point >= 0xd800 && point <= 0xdbff && text->length >= 6
        && text->data[0] == '\\' && text->data[1] == 'u') {
        unsigned low = take_unit(text);

        if (low < 0xdc00 || low > 0xdfff) {
            return 0;
        }
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    return point >= 0xd800 && point <= 0xdfff ? 0 : utf8_write(point, bytes);
}

/* Of \uXXXX. */
static unsigned take_unit(etg_bytes *text)
{
    unsigned unit = 0;

    for (apr_size_t i = 2; i < 6; i++) {
        unsigned byte = text->data[i];

        unit = unit << 4 | (byte <= '9' ? byte - '0'
                                        : (byte | 0x20) - 'a' + 10);
    }
    skip(text, 6);
    return unit;
}

static apr_size_t utf8_write(unsigned point, unsigned char *bytes)
{
    static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    apr_size_t length = point < 0x80 ? 1 : point < 0x800 ? 2
                        : point < 0x10000 ? 3 : 4;

    for (apr_size_t i = length; i-- > 1;) {
        bytes[i] = (unsigned char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    bytes[0] = (unsigned char)(leads[length] | point);
    return length;
}

static void skip(etg_bytes *text, apr_size_t length)
{
    text->data += length;
    text->length -= length;
}
