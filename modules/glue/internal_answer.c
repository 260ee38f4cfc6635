/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_answer.c: reads a response as a client would get it.
 *
 * What comes is what httpd's own HTTP_HEADER filter (or a script that writes
 * its own head) sends to a client that closes the connection: a head in lines,
 * any 1xx before it, and bytes to the end.
 */
#include "modules/glue/internal_run.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define LINE_BYTES 256            /* room for the first */
#define HEAD_MAX (1 << 20)

static apr_status_t read_body(etg_internal_run *run, const char *data,
                              apr_size_t length);
static apr_status_t add_to_line(etg_internal_run *run, const char *data,
                                apr_size_t length);
static apr_status_t end_line(etg_internal_run *run);
static apr_status_t end_head(etg_internal_run *run);
static apr_status_t read_status(etg_internal_run *run);
static apr_status_t read_field(etg_internal_run *run);
static int length_fits(const etg_internal_run *run);

apr_status_t etg_internal_answer_read(etg_internal_run *run, const char *data,
                                      apr_size_t length)
{
    apr_status_t rv = APR_SUCCESS;

    while (!run->is_head_over && length > 0 && rv == APR_SUCCESS) {
        const char *end = memchr(data, '\n', length);
        apr_size_t part = end != NULL ? (apr_size_t)(end - data) : length;

        rv = add_to_line(run, data, part);
        if (end != NULL && rv == APR_SUCCESS) {
            part++;
            rv = end_line(run);
        }
        data += part;
        length -= part;
    }
    return rv == APR_SUCCESS && length > 0 ? read_body(run, data, length) : rv;
}

void etg_internal_answer_end(etg_internal_run *run)
{
    static const char *const hop[] = {
        "Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"
    };
    etg_internal_answer *answer = &run->answer;

    if (!run->is_head_over) {
        answer->status = 0;
        apr_table_clear(answer->fields);
    }
    /* A head of a script's own. */
    if (apr_table_get(answer->fields, "Transfer-Encoding") != NULL) {
        run->is_broken = 1;
    }
    for (size_t i = 0; i < sizeof(hop) / sizeof(hop[0]); i++) {
        apr_table_unset(answer->fields, hop[i]);
    }
    answer->is_whole = answer->status != 0 && run->has_ended
        && !run->is_broken && length_fits(run);
}

static apr_status_t read_body(etg_internal_run *run, const char *data,
                              apr_size_t length)
{
    apr_status_t rv = APR_SUCCESS;

    run->answer.body_bytes += length;
    if (run->ask->take != NULL) {
        rv = run->ask->take(run->ask->take_baton, data, length);
    }
    return rv == APR_SUCCESS ? rv : APR_ECONNABORTED;
}

static apr_status_t add_to_line(etg_internal_run *run, const char *data,
                                apr_size_t length)
{
    apr_size_t needed = run->line_bytes + length + 1;

    run->head_bytes += length + 1;
    if (run->head_bytes > HEAD_MAX) {
        return APR_ENOSPC;
    }
    if (needed > run->line_room) {
        apr_size_t room = needed > LINE_BYTES ? 2 * needed : LINE_BYTES;
        char *line = apr_palloc(run->p, room);

        if (run->line_bytes > 0) {
            memcpy(line, run->line, run->line_bytes);
        }
        run->line = line;
        run->line_room = room;
    }
    memcpy(run->line + run->line_bytes, data, length);
    run->line_bytes += length;
    return APR_SUCCESS;
}

static apr_status_t end_line(etg_internal_run *run)
{
    apr_status_t rv;

    if (run->line_bytes > 0 && run->line[run->line_bytes - 1] == '\r') {
        run->line_bytes--;
    }
    run->line[run->line_bytes] = '\0';
    if (run->line_bytes == 0) {
        rv = end_head(run);
    }
    else if (!run->has_status_line) {
        rv = read_status(run);
    }
    else {
        rv = read_field(run);
    }
    run->line_bytes = 0;
    return rv;
}

static apr_status_t end_head(etg_internal_run *run)
{
    if (!run->has_status_line || run->answer.status == 101) {
        return APR_EGENERAL;
    }
    if (run->answer.status < 200) {
        run->has_status_line = 0;
        run->answer.status = 0;
        apr_table_clear(run->answer.fields);
    }
    else {
        run->is_head_over = 1;
    }
    return APR_SUCCESS;
}

/* "HTTP/1.1 200 OK" */
static apr_status_t read_status(etg_internal_run *run)
{
    const char *code = run->line + sizeof("HTTP/1.1 ") - 1;

    if (run->line_bytes < sizeof("HTTP/1.1 200") - 1
        || strncmp(run->line, "HTTP/1.", 7) != 0 || code[-1] != ' '
        || code[0] < '1' || code[0] > '9' || !apr_isdigit(code[1])
        || !apr_isdigit(code[2])) {
        return APR_EGENERAL;
    }
    run->answer.status = (code[0] - '0') * 100 + (code[1] - '0') * 10
        + (code[2] - '0');
    run->has_status_line = 1;
    return APR_SUCCESS;
}

static apr_status_t read_field(etg_internal_run *run)
{
    char *colon = strchr(run->line, ':');
    char *value;

    if (colon == NULL || colon == run->line) {
        return APR_EGENERAL;
    }
    *colon = '\0';
    for (value = colon + 1; *value == ' ' || *value == '\t'; value++) {
    }
    apr_table_add(run->answer.fields, run->line, value);
    return APR_SUCCESS;
}

static int length_fits(const etg_internal_run *run)
{
    const etg_internal_answer *answer = &run->answer;
    const char *length = apr_table_get(answer->fields, "Content-Length");
    char *end;
    apr_int64_t bytes;

    if (length == NULL || strcmp(run->ask->method, "HEAD") == 0
        || answer->status == 304 || answer->status == 204) {
        return 1;
    }
    bytes = apr_strtoi64(length, &end, 10);
    return *end == '\0' && bytes >= 0
        && (apr_uint64_t)bytes == answer->body_bytes;
}
