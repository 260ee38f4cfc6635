/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_tag.c: reads and compares entity tags.
 *
 * A tag is a view into the text it was read from; nothing is copied or
 * allocated. Lists are read from the front, member by member, because a
 * comma may be part of a tag.
 */
#include "lib/entity_tag.h"

#include <string.h>

#include "lib/field_list.h"

static apr_size_t tag_length(etg_bytes text, etg_entity_tag *tag);
static void skip_gaps(etg_bytes *rest);
static int ends_member(etg_bytes rest);
static int same_bytes(etg_bytes a, etg_bytes b);
static int list_has_bytes(etg_bytes list, etg_bytes wanted);

int etg_entity_tag_parse(etg_bytes text, etg_entity_tag *tag)
{
    etg_entity_tag found;

    if (text.length == 0 || tag_length(text, &found) != text.length) {
        return 0;
    }
    *tag = found;
    return 1;
}

int etg_entity_tag_equal_weak(const etg_entity_tag *a, const etg_entity_tag *b)
{
    return same_bytes(a->opaque, b->opaque);
}

int etg_entity_tag_equal_strong(const etg_entity_tag *a,
                                const etg_entity_tag *b)
{
    return !a->weak && !b->weak && same_bytes(a->opaque, b->opaque);
}

int etg_entity_tag_next(etg_bytes *rest, etg_entity_tag *tag)
{
    etg_entity_tag found;
    etg_bytes after;
    apr_size_t length;

    skip_gaps(rest);
    if (rest->length == 0) {
        return 0;
    }
    length = tag_length(*rest, &found);
    if (length == 0) {
        return -1;
    }
    after.data = rest->data + length;
    after.length = rest->length - length;
    if (!ends_member(after)) {
        return -1;
    }
    *rest = after;
    *tag = found;
    return 1;
}

int etg_entity_tag_is_any(etg_bytes list)
{
    list = etg_bytes_trim(list);
    return list.length == 1 && list.data[0] == '*';
}

int etg_entity_tag_list_has(etg_bytes list, const char *tag, int strong)
{
    etg_entity_tag wanted;
    etg_entity_tag member;

    if (!etg_entity_tag_parse(etg_bytes_of(tag), &wanted)) {
        return list_has_bytes(list, etg_bytes_of(tag));
    }
    while (etg_entity_tag_next(&list, &member) == 1) {
        if (strong ? etg_entity_tag_equal_strong(&member, &wanted)
                   : etg_entity_tag_equal_weak(&member, &wanted)) {
            return 1;
        }
    }
    return 0;
}

/* How long is the tag that `text` starts with? 0: there is none. */
static apr_size_t tag_length(etg_bytes text, etg_entity_tag *tag)
{
    apr_size_t at = 0;
    apr_size_t start;

    tag->weak = text.length >= 2 && text.data[0] == 'W'
                && text.data[1] == '/';
    if (tag->weak) {
        at = 2;
    }
    if (at >= text.length || text.data[at] != '"') {
        return 0;
    }
    start = ++at;
    while (at < text.length && text.data[at] != '"') {
        /* etagc: visible bytes and obs-text, neither space nor control. */
        if (text.data[at] <= ' ' || text.data[at] == 0x7f) {
            return 0;
        }
        at++;
    }
    if (at >= text.length) {
        return 0;
    }
    tag->opaque.data = text.data + start;
    tag->opaque.length = at - start;
    return at + 1;
}

/* White space and commas: also what surrounds empty members. */
static void skip_gaps(etg_bytes *rest)
{
    while (rest->length > 0 && (rest->data[0] == ',' || rest->data[0] == ' '
                                || rest->data[0] == '\t')) {
        rest->data++;
        rest->length--;
    }
}

static int ends_member(etg_bytes rest)
{
    rest = etg_bytes_trim(rest);
    return rest.length == 0 || rest.data[0] == ',';
}

static int same_bytes(etg_bytes a, etg_bytes b)
{
    return a.length == b.length
           && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static int list_has_bytes(etg_bytes list, etg_bytes wanted)
{
    etg_bytes member;

    while (etg_list_next(&list, &member)) {
        if (same_bytes(member, wanted)) {
            return 1;
        }
    }
    return 0;
}
