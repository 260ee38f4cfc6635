/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_numbers.c: turns the numbers of a JSON text into strings.
 *
 * jansson, like most readers, makes a double or 64 bits of a number, and two
 * that differ may become the same. Where a digest is taken of them that is a
 * change unseen, so they are kept as text: before jansson reads it, each
 * number becomes a string. All strings begin with a mark then, or a string
 * could pass for a number.
 *
 * Only strings and numbers are looked at, and a number only if what follows
 * it may follow a number and not a member's name. All else is for jansson to
 * judge.
 */
#include "lib/json_numbers.h"

#include <string.h>

#include "lib/json_scan.h"

/* What is read and what is written. */
typedef struct marker {
    etg_bytes rest;
    char *to;
} marker;

static int take_number(marker *m);
static void take_string(marker *m);
static int may_follow_number(etg_bytes rest);
static void take(marker *m, apr_size_t length);

etg_bytes etg_json_numbers_mark(etg_bytes text, apr_pool_t *p)
{
    /* Three bytes come to a number; the shortest is one byte, and one byte
     * is between two of them. */
    char *marked = apr_palloc(p, text.length / 2 * 5 + 8);
    marker m = { text, marked };
    etg_bytes result = { NULL, 0 };

    while (m.rest.length > 0) {
        unsigned char byte = m.rest.data[0];

        if (byte == '"') {
            take_string(&m);
        }
        else if (byte == '-' || (byte >= '0' && byte <= '9')) {
            if (!take_number(&m)) {
                return result;
            }
        }
        else {
            take(&m, 1);
        }
    }
    result.data = (const unsigned char *)marked;
    result.length = (apr_size_t)(m.to - marked);
    return result;
}

static int take_number(marker *m)
{
    apr_size_t length = etg_json_number_length(m->rest);

    if (length == 0) {
        return 0;
    }
    *m->to++ = '"';
    *m->to++ = ETG_JSON_MARK_NUMBER;
    take(m, length);
    *m->to++ = '"';
    return may_follow_number(m->rest);
}

/* To its closing quote, or to the end. */
static void take_string(marker *m)
{
    apr_size_t length = 0;

    take(m, 1);
    *m->to++ = ETG_JSON_MARK_STRING;
    while (length < m->rest.length && m->rest.data[length] != '"') {
        length += m->rest.data[length] == '\\'
            && length + 1 < m->rest.length ? 2 : 1;
    }
    take(m, length + (length < m->rest.length));
}

static int may_follow_number(etg_bytes rest)
{
    while (rest.length > 0 && memchr(" \t\r\n", rest.data[0], 4) != NULL) {
        rest.data++;
        rest.length--;
    }
    return rest.length == 0 || memchr(",]}", rest.data[0], 3) != NULL;
}

static void take(marker *m, apr_size_t length)
{
    memcpy(m->to, m->rest.data, length);
    m->to += length;
    m->rest.data += length;
    m->rest.length -= length;
}
