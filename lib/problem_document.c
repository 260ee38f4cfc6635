/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problem_document.c: writes a problem as JSON.
 *
 * The texts may hold anything, such as what a backend sent; what comes out is
 * always JSON in UTF-8. It is measured first and then written, by the same
 * functions. Called on request threads.
 */
#include "lib/problem_document.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"  /* U+FFFD */

/* `at` NULL: it is only measured. */
typedef struct document {
    char *at;
    apr_size_t length;
} document;

static void write_problem(document *to, const etg_problem *problem);
static void put_member(document *to, const char *name, const char *text);
static apr_size_t put_character(document *to, etg_bytes rest);
static void put_escape(document *to, unsigned char byte);
static void put_text(document *to, const char *text);
static void put(document *to, const char *bytes, apr_size_t length);

const char *etg_problem_document(const etg_problem *problem, apr_pool_t *p)
{
    document to = { NULL, 0 };
    char *text;

    write_problem(&to, problem);
    text = to.at = apr_palloc(p, to.length + 1);
    write_problem(&to, problem);
    *to.at = '\0';
    return text;
}

static void write_problem(document *to, const etg_problem *problem)
{
    char status[32];

    put_text(to, "{\"type\":\"about:blank\"");
    put_member(to, "title", problem->title);
    apr_snprintf(status, sizeof(status), ",\"status\":%d", problem->status);
    put_text(to, status);
    put_member(to, "detail", problem->detail);
    put_member(to, "part", problem->part);
    put_text(to, "}\n");
}

static void put_member(document *to, const char *name, const char *text)
{
    etg_bytes rest = etg_bytes_of(text);

    if (text == NULL) {
        return;
    }
    put_text(to, ",\"");
    put_text(to, name);
    put_text(to, "\":\"");
    while (rest.length > 0) {
        apr_size_t length = put_character(to, rest);

        rest.data += length;
        rest.length -= length;
    }
    put_text(to, "\"");
}

/* Returns how many bytes of the text it stands for. */
static apr_size_t put_character(document *to, etg_bytes rest)
{
    apr_size_t length = etg_utf8_length(rest);
    unsigned char byte = rest.data[0];

    if (length == 0) {
        put_text(to, REPLACEMENT);
        return 1;
    }
    if (byte < ' ' || byte == '"' || byte == '\\' || byte == 0x7f) {
        put_escape(to, byte);
    }
    else {
        put(to, (const char *)rest.data, length);
    }
    return length;
}

static void put_escape(document *to, unsigned char byte)
{
    char text[8];

    if (byte == '"' || byte == '\\') {
        apr_snprintf(text, sizeof(text), "\\%c", byte);
    }
    else {
        apr_snprintf(text, sizeof(text), "\\u%04x", (unsigned)byte);
    }
    put_text(to, text);
}

static void put_text(document *to, const char *text)
{
    put(to, text, strlen(text));
}

static void put(document *to, const char *bytes, apr_size_t length)
{
    if (to->at == NULL) {
        to->length += length;
        return;
    }
    memcpy(to->at, bytes, length);
    to->at += length;
}
