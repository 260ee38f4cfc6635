/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_reference.h: what comes out of a page with ESI, found out in another
 * way than lib/esi_parser.c does: with the whole page at hand, by looking
 * ahead. The log of what comes out is text as it is, and for each include a
 * zero byte, its URLs with one behind each, and "!" or ".".
 */
#ifndef ETG_TEST_FUZZ_ESI_REFERENCE_H
#define ETG_TEST_FUZZ_ESI_REFERENCE_H

#include <stdlib.h>
#include <string.h>

#include "lib/esi_parser.h"

typedef struct esi_reference {
    const unsigned char *page;
    unsigned char *log;         /* as long as the page */
    size_t logged;
    unsigned malformed;
    char unclosed;              /* 'i', 'c', or 0 */
} esi_reference;

/* Of attributes: where the value begins, and its length. */
typedef struct reference_tag {
    size_t length;              /* 0: it has not the form of a tag */
    char element;               /* its first letter, or 0 */
    int is_end;
    int is_empty;
    unsigned attributes;
    unsigned seen[3];
    size_t at[3];
    size_t lengths[3];
} reference_tag;

static const char *const reference_attributes[] = { "src", "alt", "onerror" };

static inline void reference_text(esi_reference *r, size_t at, size_t length)
{
    memcpy(r->log + r->logged, r->page + at, length);
    r->logged += length;
}

static inline int reference_has(const esi_reference *r, size_t at, size_t end,
                                const char *text)
{
    return end - at >= strlen(text)
           && memcmp(r->page + at, text, strlen(text)) == 0;
}

/* How many bytes of these kinds there are. */
static inline size_t reference_run(const esi_reference *r, size_t at,
                                   size_t end, const char *kinds)
{
    size_t length = 0;

    while (at + length < end && r->page[at + length] != '\0'
           && strchr(kinds, r->page[at + length]) != NULL) {
        length++;
    }
    return length;
}

#define REFERENCE_SPACE " \t\r\n"
#define REFERENCE_NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
                       "0123456789-_.:"

/* An attribute with its value; its length, or 0. */
static inline size_t reference_attribute(const esi_reference *r, size_t begin,
                                         size_t end, reference_tag *tag)
{
    size_t name = reference_run(r, begin, end, REFERENCE_NAME);
    size_t at = begin + name;
    size_t value;

    at += reference_run(r, at, end, REFERENCE_SPACE);
    if (name == 0 || at >= end || r->page[at] != '=') {
        return 0;
    }
    at++;
    at += reference_run(r, at, end, REFERENCE_SPACE);
    if (at >= end || (r->page[at] != '"' && r->page[at] != '\'')) {
        return 0;
    }
    value = at + 1;
    for (at = value; at < end && r->page[at] != r->page[value - 1]; at++) {
        if (r->page[at] == '<') {
            return 0;
        }
    }
    if (at == end) {
        return 0;
    }
    tag->attributes++;
    for (unsigned i = 0; i < 3; i++) {
        if (name == strlen(reference_attributes[i])
            && reference_has(r, begin, end, reference_attributes[i])) {
            tag->seen[i]++;
            tag->at[i] = value;
            tag->lengths[i] = at - value;
        }
    }
    return at + 1 - begin;
}

static inline reference_tag reference_read(const esi_reference *r,
                                           size_t begin, size_t end)
{
    static const char *const elements[] = { "include", "remove", "comment" };
    reference_tag tag = { .is_end = r->page[begin + 1] == '/' };
    reference_tag none = { .length = 0 };
    size_t at = begin + 5 + (size_t)tag.is_end;
    size_t name = reference_run(r, at, end, REFERENCE_NAME);

    for (unsigned i = 0; i < 3; i++) {
        if (name == strlen(elements[i])
            && reference_has(r, at, end, elements[i])) {
            tag.element = *elements[i];
        }
    }
    at += name;
    for (;;) {
        size_t space = reference_run(r, at, end, REFERENCE_SPACE);
        size_t attribute;

        at += space;
        tag.is_empty = reference_has(r, at, end, "/>");
        if (tag.is_empty || reference_has(r, at, end, ">")) {
            tag.length = at + (size_t)tag.is_empty + 1 - begin;
            return tag.length <= ETG_ESI_TAG_MAX ? tag : none;
        }
        attribute = space > 0 ? reference_attribute(r, at, end, &tag) : 0;
        if (attribute == 0) {
            return none;
        }
        at += attribute;
    }
}

/* One character of a URL; how many bytes it is written in. */
static inline size_t reference_character(const char *text, char *byte)
{
    static const char *const names[] = {    /* and what they stand for */
        "&amp;&", "&quot;\"", "&lt;<", "&gt;>", "&apos;'"
    };
    const char *end = strchr(text, ';');
    size_t length = end != NULL ? (size_t)(end - text) + 1 : 0;
    char *digits_end;
    long number;

    *byte = *text;
    if (*text != '&' || length < 4) {
        return 1;
    }
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (length == strlen(names[i]) - 1
            && memcmp(names[i], text, length) == 0) {
            *byte = names[i][length];
            return length;
        }
    }
    if (text[1] != '#') {
        return 1;
    }
    text += (text[2] | 0x20) == 'x' ? 3 : 2;
    if (strchr("0123456789abcdefABCDEF", *text) == NULL
        || (text[1] | 0x20) == 'x') {
        return 1;
    }
    number = strtol(text, &digits_end, text[-1] == '#' ? 10 : 16);
    if (digits_end != end || number <= ' ' || number >= 0x7f) {
        return 1;
    }
    *byte = (char)number;
    return length;
}

/* Into `url`, of ETG_ESI_TAG_MAX bytes; is it one? */
static inline int reference_url(const esi_reference *r,
                                const reference_tag *tag, unsigned which,
                                char *url)
{
    char text[ETG_ESI_TAG_MAX] = "";
    size_t at = 0;
    size_t length = 0;

    memcpy(text, r->page + tag->at[which], tag->lengths[which]);
    while (at < tag->lengths[which]) {
        char *byte = &url[length++];

        at += text[at] != '\0' ? reference_character(text + at, byte) : 1;
        if (text[at - 1] == '\0' || (unsigned char)*byte <= ' '
            || *byte == 0x7f) {
            return 0;
        }
    }
    url[length] = '\0';
    return length <= ETG_ESI_URL_MAX;
}

static inline int reference_include(esi_reference *r,
                                    const reference_tag *tag)
{
    char urls[2][ETG_ESI_TAG_MAX] = { "", "" };

    for (unsigned i = 0; i < 3; i++) {
        if (tag->seen[i] > 1
            || (i < 2 && tag->seen[i] > 0
                && !reference_url(r, tag, i, urls[i]))) {
            return 0;
        }
    }
    if (urls[0][0] == '\0') {
        return 0;
    }
    r->log[r->logged++] = '\0';
    for (unsigned i = 0; i < 2; i++) {
        memcpy(r->log + r->logged, urls[i], strlen(urls[i]) + 1);
        r->logged += strlen(urls[i]) + 1;
    }
    r->log[r->logged++] = tag->lengths[2] == strlen("continue")
        && memcmp(r->page + tag->at[2], "continue", tag->lengths[2]) == 0
        ? '!' : '.';
    return 1;
}

/* What has the form of a tag does something. */
static inline int reference_obey(esi_reference *r, const reference_tag *tag)
{
    if (tag->is_end) {
        int is_one = tag->element != 0 && tag->element == r->unclosed
                     && tag->attributes == 0 && !tag->is_empty;

        r->unclosed = is_one ? 0 : r->unclosed;
        return is_one;
    }
    if (tag->element == 0
        || (tag->element == 'i' && !reference_include(r, tag))) {
        return 0;
    }
    if (!tag->is_empty && tag->element != 'r') {
        r->unclosed = tag->element;
    }
    return 1;
}

/* Where what is removed ends; 0: nowhere. */
static inline size_t reference_removed(const esi_reference *r, size_t begin,
                                       size_t at, size_t end)
{
    for (; at < end; at++) {
        if (reference_has(r, at, end, "</esi:remove")) {
            size_t last = at + strlen("</esi:remove");

            last += reference_run(r, last, end, REFERENCE_SPACE);
            if (last < end && r->page[last] == '>') {
                return last + 1 - begin <= ETG_ESI_REMOVE_MAX ? last + 1 : 0;
            }
        }
    }
    return 0;
}

/* Where it goes on behind a tag that begins here. */
static inline size_t reference_markup(esi_reference *r, size_t at, size_t end)
{
    reference_tag tag = reference_read(r, at, end);
    size_t behind = at + (tag.length > 0 ? tag.length : 1);

    if (tag.length == 0 || !reference_obey(r, &tag)) {
        r->malformed++;
        reference_text(r, at, behind - at);
    }
    else if (tag.element == 'r' && !tag.is_empty && !tag.is_end) {
        behind = reference_removed(r, at, behind, end);
        if (behind == 0) {
            behind = end - at > ETG_ESI_REMOVE_MAX ? at + ETG_ESI_REMOVE_MAX
                                                   : end;
            r->malformed++;
            reference_text(r, at, behind - at);
        }
    }
    return behind;
}

static inline void reference_page(esi_reference *r, size_t at, size_t end,
                                  int is_in_comment)
{
    while (at < end) {
        size_t behind = at + strlen("<!--esi");

        if (reference_has(r, at, end, "<esi:")
            || reference_has(r, at, end, "</esi:")) {
            at = reference_markup(r, at, end);
        }
        else if (reference_has(r, at, end, "<!--esi") && behind < end
                 && reference_run(r, behind, end, REFERENCE_SPACE "<") > 0) {
            size_t close = behind;

            if (is_in_comment) {
                r->malformed++;
                reference_text(r, at, behind - at);
                at = behind;
                continue;
            }
            while (close < end && !reference_has(r, close, end, "-->")) {
                close++;
            }
            reference_page(r, behind, close, 1);
            r->malformed += close == end;
            at = close < end ? close + strlen("-->") : end;
        }
        else {
            reference_text(r, at++, 1);
        }
    }
}

#endif
