/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamp_list.c: members of `timestamp` or `id=timestamp`.
 *
 * The list is walked by etg_list_next, which knows quotes. A member is parted
 * at its last "=", and if the time then is a weekday's name alone, the member
 * is stretched to the end of the next one: the two are neighbours in the same
 * bytes. Nothing is copied but what has escapes to undo.
 */
#include "lib/stamp_list.h"

#include "lib/field_list.h"

static int read_stamp(etg_bytes member, etg_bytes *rest, apr_pool_t *p,
                      etg_stamp *stamp);
static apr_size_t parting(etg_bytes member);
static int is_weekday(etg_bytes text);
static int unquote(etg_bytes *text, apr_pool_t *p);
static int unescape(etg_bytes *text, apr_pool_t *p);

int etg_stamp_list_parse(etg_bytes value, apr_pool_t *p,
                         const apr_array_header_t **stamps)
{
    apr_array_header_t *found = apr_array_make(p, 16, sizeof(etg_stamp));
    etg_bytes member;

    while (etg_list_next(&value, &member)) {
        etg_stamp stamp;

        if (found->nelts == ETG_STAMPS_MAX
            || !read_stamp(member, &value, p, &stamp)) {
            return 0;
        }
        APR_ARRAY_PUSH(found, etg_stamp) = stamp;
    }
    if (found->nelts == 0) {
        return 0;
    }
    *stamps = found;
    return 1;
}

/* May take a second member off *rest. */
static int read_stamp(etg_bytes member, etg_bytes *rest, apr_pool_t *p,
                      etg_stamp *stamp)
{
    apr_size_t at = parting(member);
    etg_bytes none = { NULL, 0 };

    stamp->id = none;
    stamp->time = member;
    if (at < member.length) {
        stamp->id.data = member.data;
        stamp->id.length = at;
        stamp->id = etg_bytes_trim(stamp->id);
        stamp->time.data = member.data + at + 1;
        stamp->time.length = member.length - at - 1;
        stamp->time = etg_bytes_trim(stamp->time);
        if (!unquote(&stamp->id, p)) {
            return 0;
        }
    }
    if (is_weekday(stamp->time)) {
        if (!etg_list_next(rest, &member)) {
            return 0;
        }
        stamp->time.length = (apr_size_t)(member.data + member.length
                                          - stamp->time.data);
    }
    return unquote(&stamp->time, p);
}

/* Where the last "=" outside of quotes is; the length if there is none. */
static apr_size_t parting(etg_bytes member)
{
    apr_size_t found = member.length;
    int quoted = 0;

    for (apr_size_t i = 0; i < member.length; i++) {
        unsigned char byte = member.data[i];

        if (quoted && byte == '\\' && i + 1 < member.length) {
            i++;
        }
        else if (byte == '"') {
            quoted = !quoted;
        }
        else if (byte == '=' && !quoted) {
            found = i;
        }
    }
    return found;
}

static int is_weekday(etg_bytes text)
{
    static const char *const names[] = {
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
        "Sunday"
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (etg_bytes_is(text, names[i])) {
            return 1;
        }
    }
    return 0;
}

/* Takes the quotes off. Returns 0 for nothing, and for a quote elsewhere. */
static int unquote(etg_bytes *text, apr_pool_t *p)
{
    if (text->length > 0 && text->data[0] == '"') {
        return unescape(text, p);
    }
    for (apr_size_t i = 0; i < text->length; i++) {
        if (text->data[i] == '"') {
            return 0;
        }
    }
    return text->length > 0;
}

/* A quoted string (RFC 9110 §5.6.4) and nothing behind it. */
static int unescape(etg_bytes *text, apr_pool_t *p)
{
    unsigned char *plain = apr_palloc(p, text->length);
    apr_size_t length = 0;
    apr_size_t i = 1;

    for (; i < text->length && text->data[i] != '"'; i++) {
        if (text->data[i] == '\\' && i + 1 < text->length) {
            i++;
        }
        plain[length++] = text->data[i];
    }
    if (i + 1 != text->length || length == 0) {
        return 0;
    }
    text->data = plain;
    text->length = length;
    return 1;
}
