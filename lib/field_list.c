/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field_list.c: field lines and the lists in them.
 *
 * A field is the ordered set of its lines in an apr_table_t; a list is a run
 * of bytes that shrinks from the front as members are taken off. Nothing is
 * copied but for a field of several lines. A cursor never moves past its
 * end, whatever the bytes are, so a terminator is not needed.
 */
#include "lib/field_list.h"

#include <string.h>

#include <apr_cstr.h>

#define DELTA_SECONDS_MAX (APR_INT64_C(1) << 31)

/* What one walk over a field's lines finds out. */
typedef struct field_lines {
    const char *first;
    apr_size_t length;      /* of all lines together */
    unsigned count;
} field_lines;

typedef struct field_writer {
    char *at;
    const char *separator;
    int later;              /* not the first line any more */
} field_writer;

static int measure_line(void *baton, const char *name, const char *value);
static int append_line(void *baton, const char *name, const char *value);
static apr_size_t member_length(etg_bytes text);

const char *etg_field_combined(const apr_table_t *fields, const char *name,
                               apr_pool_t *p)
{
    return etg_field_joined(fields, name, ", ", p);
}

/* apr_table_do with a name uses the table's index and key checksums, so an
 * absent field costs two loads, and a single line one comparison. */
const char *etg_field_joined(const apr_table_t *fields, const char *name,
                             const char *separator, apr_pool_t *p)
{
    field_lines lines = { NULL, 0, 0 };
    field_writer writer;
    char *joined;

    apr_table_do(measure_line, &lines, fields, name, NULL);
    if (lines.count <= 1) {
        return lines.first;
    }
    joined = apr_palloc(p, lines.length + 1
                           + (lines.count - 1) * strlen(separator));
    writer.at = joined;
    writer.separator = separator;
    writer.later = 0;
    apr_table_do(append_line, &writer, fields, name, NULL);
    *writer.at = '\0';
    return joined;
}

unsigned etg_field_count(const apr_table_t *fields, const char *name)
{
    field_lines lines = { NULL, 0, 0 };

    apr_table_do(measure_line, &lines, fields, name, NULL);
    return lines.count;
}

int etg_list_next(etg_bytes *rest, etg_bytes *member)
{
    while (rest->length > 0) {
        apr_size_t length = member_length(*rest);
        etg_bytes found = { rest->data, length };

        if (length < rest->length) {
            length++;       /* the comma */
        }
        rest->data += length;
        rest->length -= length;
        found = etg_bytes_trim(found);
        if (found.length > 0) {
            *member = found;
            return 1;
        }
    }
    return 0;
}

etg_bytes etg_bytes_of(const char *text)
{
    etg_bytes bytes = { (const unsigned char *)text,
                        text != NULL ? strlen(text) : 0 };

    return bytes;
}

etg_bytes etg_bytes_trim(etg_bytes text)
{
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && (text.data[text.length - 1] == ' '
                               || text.data[text.length - 1] == '\t')) {
        text.length--;
    }
    return text;
}

int etg_bytes_is(etg_bytes text, const char *word)
{
    return text.length == strlen(word)
           && apr_cstr_casecmpn((const char *)text.data, word,
                                text.length) == 0;
}

char etg_lower(unsigned char byte)
{
    return (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

int etg_list_has_token(const char *value, const char *token)
{
    etg_bytes rest = etg_bytes_of(value);
    etg_bytes member;

    while (etg_list_next(&rest, &member)) {
        if (etg_bytes_is(member, token)) {
            return 1;
        }
    }
    return 0;
}

int etg_is_token_byte(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')
           || (byte >= '0' && byte <= '9')
           || (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

int etg_is_token(etg_bytes text)
{
    apr_size_t i;

    for (i = 0; i < text.length; i++) {
        if (!etg_is_token_byte(text.data[i])) {
            return 0;
        }
    }
    return text.length > 0;
}

int etg_delta_seconds(etg_bytes text, apr_int64_t *seconds)
{
    apr_int64_t value = 0;
    apr_size_t i;

    for (i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
        value = value * 10 + (text.data[i] - '0');
        if (value > DELTA_SECONDS_MAX) {
            value = DELTA_SECONDS_MAX;
        }
    }
    if (text.length == 0) {
        return 0;
    }
    *seconds = value;
    return 1;
}

int etg_weight_read(etg_bytes text)
{
    int q;
    int unit = ETG_WEIGHT_ONE;
    apr_size_t i;

    if (text.length < 3 || text.length > 7 || text.data[1] != '='
        || etg_lower(text.data[0]) != 'q'
        || (text.data[2] != '0' && text.data[2] != '1')
        || (text.length > 3 && text.data[3] != '.')) {
        return -1;
    }
    q = (text.data[2] - '0') * ETG_WEIGHT_ONE;
    for (i = 4; i < text.length; i++) {
        unit /= 10;
        if (text.data[i] < '0' || text.data[i] > '9') {
            return -1;
        }
        q += (text.data[i] - '0') * unit;
    }
    return q <= ETG_WEIGHT_ONE ? q : -1;
}

static int measure_line(void *baton, const char *name, const char *value)
{
    field_lines *lines = baton;

    (void)name;
    if (lines->count == 0) {
        lines->first = value;
    }
    lines->length += strlen(value);
    lines->count++;
    return 1;
}

static int append_line(void *baton, const char *name, const char *value)
{
    field_writer *writer = baton;
    apr_size_t length = strlen(value);

    (void)name;
    if (writer->later) {
        apr_size_t gap = strlen(writer->separator);

        memcpy(writer->at, writer->separator, gap);
        writer->at += gap;
    }
    memcpy(writer->at, value, length);
    writer->at += length;
    writer->later = 1;
    return 1;
}

/* How many bytes come before the comma that ends the first member. */
static apr_size_t member_length(etg_bytes text)
{
    int quoted = 0;
    apr_size_t i;

    for (i = 0; i < text.length; i++) {
        unsigned char byte = text.data[i];

        if (quoted && byte == '\\' && i + 1 < text.length) {
            i++;
        }
        else if (byte == '"') {
            quoted = !quoted;
        }
        else if (byte == ',' && !quoted) {
            break;
        }
    }
    return i;
}
