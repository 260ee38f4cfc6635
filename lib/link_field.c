/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_field.c: the Link field, one cursor over a line.
 *
 * A target may hold commas and semicolons, and a quoted string all of them,
 * so the line is not split first. Nothing is copied.
 */
#include "lib/link_field.h"

#include <string.h>

#include "lib/field_list.h"

/* A parameter's value, still as it stands in the line. */
typedef struct parameter {
    etg_bytes name;
    etg_bytes value;
    int is_quoted;               /* value is without its quotes */
} parameter;

static int next_link(etg_bytes *rest, etg_bytes *target);
static int next_parameter(etg_bytes *rest, parameter *found);
static void take_value(etg_bytes *rest, parameter *found);
static void skip_link(etg_bytes *rest);
static int is_of(etg_bytes *rest, const char *relation);
static int has_word(const parameter *rel, const char *word);
static void skip(etg_bytes *rest, apr_size_t count);
static void skip_any(etg_bytes *rest, const char *bytes);
static etg_bytes take_until(etg_bytes *rest, const char *bytes);

int etg_link_find(etg_bytes line, const char *relation, etg_bytes *target)
{
    etg_bytes candidate;

    while (next_link(&line, &candidate)) {
        if (is_of(&line, relation)) {
            *target = candidate;
            return 1;
        }
        skip_link(&line);
    }
    return 0;
}

/* Takes the next link's target; its parameters are left in *rest. */
static int next_link(etg_bytes *rest, etg_bytes *target)
{
    skip_any(rest, " \t,");
    if (rest->length == 0 || rest->data[0] != '<') {
        return 0;
    }
    skip(rest, 1);
    *target = take_until(rest, ">");
    if (rest->length == 0) {
        return 0;
    }
    skip(rest, 1);
    return 1;
}

/* Reads the link's parameters. */
static int is_of(etg_bytes *rest, const char *relation)
{
    int seen = 0;
    int fits = 0;
    int is_elsewhere = 0;
    parameter each;

    while (next_parameter(rest, &each)) {
        if (etg_bytes_is(each.name, "anchor")) {
            is_elsewhere = 1;
        }
        else if (!seen && etg_bytes_is(each.name, "rel")) {
            seen = 1;
            fits = has_word(&each, relation);
        }
    }
    return fits && !is_elsewhere;
}

static int next_parameter(etg_bytes *rest, parameter *found)
{
    skip_any(rest, " \t");
    if (rest->length == 0 || rest->data[0] != ';') {
        return 0;
    }
    skip_any(rest, " \t;");
    found->name = take_until(rest, "=;, \t");
    found->value.data = rest->data;
    found->value.length = 0;
    found->is_quoted = 0;
    skip_any(rest, " \t");
    if (rest->length > 0 && rest->data[0] == '=') {
        skip(rest, 1);
        skip_any(rest, " \t");
        take_value(rest, found);
    }
    return 1;
}

/* A quote left open runs to the end. */
static void take_value(etg_bytes *rest, parameter *found)
{
    apr_size_t length = 0;

    if (rest->length == 0 || rest->data[0] != '"') {
        found->value = take_until(rest, ";, \t");
        return;
    }
    skip(rest, 1);
    found->is_quoted = 1;
    while (length < rest->length && rest->data[length] != '"') {
        length += rest->data[length] == '\\' ? 2 : 1;
    }
    if (length > rest->length) {
        length = rest->length;
    }
    found->value.data = rest->data;
    found->value.length = length;
    skip(rest, length);
    if (rest->length > 0) {
        skip(rest, 1);
    }
}

/* To the comma before the next link; what is left here is malformed. */
static void skip_link(etg_bytes *rest)
{
    take_until(rest, ",");
}

/* Is `word` among the words of a rel parameter? */
static int has_word(const parameter *rel, const char *word)
{
    apr_size_t length = strlen(word);
    apr_size_t at = 0;
    int fits = 1;

    for (apr_size_t i = 0; i < rel->value.length; i++) {
        unsigned char byte = rel->value.data[i];

        if (byte == '\\' && rel->is_quoted && i + 1 < rel->value.length) {
            byte = rel->value.data[++i];
        }
        if (byte != ' ' && byte != '\t') {
            fits = fits && at < length
                && etg_lower(byte) == (unsigned char)word[at];
            at++;
        }
        else if (fits && at == length) {
            return 1;
        }
        else {
            fits = 1;
            at = 0;
        }
    }
    return fits && at == length;
}

static void skip(etg_bytes *rest, apr_size_t count)
{
    rest->data += count;
    rest->length -= count;
}

static void skip_any(etg_bytes *rest, const char *bytes)
{
    while (rest->length > 0 && rest->data[0] != '\0'
           && strchr(bytes, rest->data[0]) != NULL) {
        skip(rest, 1);
    }
}

/* What stands before the first of `bytes`, or all. */
static etg_bytes take_until(etg_bytes *rest, const char *bytes)
{
    etg_bytes taken = { rest->data, 0 };

    while (taken.length < rest->length
           && (rest->data[taken.length] == '\0'
               || strchr(bytes, rest->data[taken.length]) == NULL)) {
        taken.length++;
    }
    skip(rest, taken.length);
    return taken;
}
