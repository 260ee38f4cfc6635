/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_tag.c: attributes of a tag, and URLs in them.
 *
 * That the tag has the right form lib/esi_parser.c has made sure of: a name,
 * attributes that each have a value in quotes, and an end.
 */
#include "lib/esi_tag.h"

#include <string.h>

#include <apr_lib.h>

static void read_attribute(etg_esi_tag *tag, etg_bytes name, etg_bytes value);
static etg_esi_element element_of(etg_bytes name);
static etg_bytes take_name(etg_bytes *text);
static etg_bytes take_value(etg_bytes *text);
static void skip_space(etg_bytes *text);
static const char *read_url(etg_bytes value, apr_pool_t *p);
static apr_size_t undo_entity(etg_bytes text, char *byte);
static apr_size_t undo_number(etg_bytes text, char *byte);
static int is_word(etg_bytes text, const char *word);
static void skip(etg_bytes *text, apr_size_t length);

etg_esi_tag etg_esi_tag_read(etg_bytes text)
{
    etg_esi_tag tag = { .is_end = text.data[1] == '/' };

    skip(&text, tag.is_end ? strlen("</esi:") : strlen("<esi:"));
    tag.element = element_of(take_name(&text));
    skip_space(&text);
    while (text.length > 0 && etg_esi_is_name_byte(text.data[0])) {
        etg_bytes name = take_name(&text);

        read_attribute(&tag, name, take_value(&text));
        tag.attributes++;
        skip_space(&text);
    }
    tag.is_empty = text.length > 0 && text.data[0] == '/';
    return tag;
}

int etg_esi_tag_include(const etg_esi_tag *tag, apr_pool_t *p,
                        etg_esi_event *event)
{
    etg_esi_event read = { .kind = ETG_ESI_INCLUDE };

    if (tag->is_doubled) {
        return 0;
    }
    read.src = read_url(tag->src, p);
    read.alt = read_url(tag->alt, p);
    if (read.src == NULL || (read.alt == NULL && tag->alt.length > 0)) {
        return 0;
    }
    read.is_continue = is_word(tag->onerror, "continue");
    *event = read;
    return 1;
}

static void read_attribute(etg_esi_tag *tag, etg_bytes name, etg_bytes value)
{
    etg_bytes *place = is_word(name, "src") ? &tag->src
                       : is_word(name, "alt") ? &tag->alt
                       : is_word(name, "onerror") ? &tag->onerror : NULL;

    if (place != NULL) {
        tag->is_doubled = tag->is_doubled || place->data != NULL;
        *place = value;
    }
}

static etg_esi_element element_of(etg_bytes name)
{
    return is_word(name, "include") ? ETG_ESI_INCLUDE_TAG
           : is_word(name, "remove") ? ETG_ESI_REMOVE_TAG
           : is_word(name, "comment") ? ETG_ESI_COMMENT_TAG
           : ETG_ESI_UNKNOWN;
}

static etg_bytes take_name(etg_bytes *text)
{
    etg_bytes name = { text->data, 0 };

    while (name.length < text->length
           && etg_esi_is_name_byte(text->data[name.length])) {
        name.length++;
    }
    skip(text, name.length);
    return name;
}

/* With what is in front of it and its quotes, which are no part of it. */
static etg_bytes take_value(etg_bytes *text)
{
    etg_bytes value = { NULL, 0 };
    const unsigned char *end;

    skip_space(text);
    skip(text, strlen("="));
    skip_space(text);
    value.data = text->data + 1;
    end = memchr(value.data, text->data[0], text->length - 1);
    value.length = (apr_size_t)(end - value.data);
    skip(text, value.length + 2);
    return value;
}

static void skip_space(etg_bytes *text)
{
    while (text->length > 0 && etg_esi_is_space(text->data[0])) {
        skip(text, 1);
    }
}

/* NULL: it is empty, too long, or none that could be asked for. */
static const char *read_url(etg_bytes value, apr_pool_t *p)
{
    char *url = apr_palloc(p, value.length + 1);
    apr_size_t length = 0;

    while (value.length > 0) {
        apr_size_t taken = undo_entity(value, &url[length]);

        if (taken == 0) {
            url[length] = (char)value.data[0];
            taken = 1;
        }
        if ((unsigned char)url[length] <= ' ' || url[length] == 0x7f) {
            return NULL;
        }
        length++;
        skip(&value, taken);
    }
    url[length] = '\0';
    return length > 0 && length <= ETG_ESI_URL_MAX ? url : NULL;
}

/* The length of the reference that `text` begins with; 0: it is none. */
static apr_size_t undo_entity(etg_bytes text, char *byte)
{
    static const struct {
        const char *text;
        char byte;
    } entities[] = {
        { "&amp;", '&' }, { "&quot;", '"' }, { "&lt;", '<' },
        { "&gt;", '>' }, { "&apos;", '\'' }
    };

    if (text.data[0] != '&') {
        return 0;
    }
    for (unsigned i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        etg_bytes start = { text.data, strlen(entities[i].text) };

        if (start.length <= text.length
            && is_word(start, entities[i].text)) {
            *byte = entities[i].byte;
            return start.length;
        }
    }
    return undo_number(text, byte);
}

/* &#38; or &#x26;, of printable ASCII; another is left as it is written. */
static apr_size_t undo_number(etg_bytes text, char *byte)
{
    static const char digits[] = "0123456789abcdef";
    unsigned base = text.length > 2 && (text.data[2] | 0x20) == 'x' ? 16 : 10;
    apr_size_t first = base == 16 ? 3 : 2;
    apr_size_t at = first;
    unsigned number = 0;

    if (text.length < 2 || text.data[1] != '#') {
        return 0;
    }
    for (; at < text.length && text.data[at] != ';'; at++) {
        const char *digit = memchr(digits, apr_tolower(text.data[at]), base);

        if (digit == NULL || number > 0x7f) {
            return 0;
        }
        number = number * base + (unsigned)(digit - digits);
    }
    if (at == text.length || at == first || number <= ' ' || number >= 0x7f) {
        return 0;
    }
    *byte = (char)number;
    return at + 1;
}

int etg_esi_is_space(unsigned char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

int etg_esi_is_name_byte(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')
           || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_'
           || byte == '.' || byte == ':';
}

static int is_word(etg_bytes text, const char *word)
{
    return text.length == strlen(word)
           && memcmp(text.data, word, text.length) == 0;
}

static void skip(etg_bytes *text, apr_size_t length)
{
    text->data += length;
    text->length -= length;
}
