/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_reply.c: see memcached_reply.h.
 *
 * Strict: single spaces, decimal numbers that fit, CR LF. What a server of
 * this protocol never sends is not guessed at; the connection is given up.
 */
#include "lib/memcached_reply.h"

#include <string.h>

/* What is left of a line. */
typedef struct line {
    const unsigned char *at;
    const unsigned char *end;
} line;

static int value_read(line *rest, etg_memcached_reply *reply);
static int word_read(line *rest, etg_bytes *word);
static int number_read(line *rest, apr_uint64_t *number);
static int is_prefix(const line *rest, const char *text);
static int is_just(const line *rest, const char *text);

apr_status_t etg_memcached_reply_read(etg_bytes bytes,
                                      etg_memcached_reply *reply,
                                      apr_size_t *taken)
{
    static const struct {
        const char *text;
        etg_memcached_reply_kind kind;
    } words[] = {
        { "END", ETG_MEMCACHED_REPLY_END },
        { "STORED", ETG_MEMCACHED_REPLY_STORED },
        { "NOT_STORED", ETG_MEMCACHED_REPLY_NOT_STORED },
        { "EXISTS", ETG_MEMCACHED_REPLY_EXISTS },
        { "NOT_FOUND", ETG_MEMCACHED_REPLY_NOT_FOUND },
        { "DELETED", ETG_MEMCACHED_REPLY_DELETED },
        { "TOUCHED", ETG_MEMCACHED_REPLY_TOUCHED },
    };
    apr_size_t most = bytes.length < ETG_MEMCACHED_LINE_MAX
                      ? bytes.length : ETG_MEMCACHED_LINE_MAX;
    const unsigned char *lf = most == 0 ? NULL
                              : memchr(bytes.data, '\n', most);
    if (lf == NULL) {
        return most == ETG_MEMCACHED_LINE_MAX ? APR_EGENERAL : APR_INCOMPLETE;
    }
    if (lf == bytes.data || lf[-1] != '\r') {
        return APR_EGENERAL;
    }
    line rest = { bytes.data, lf - 1 };
    etg_memcached_reply read = { ETG_MEMCACHED_REPLY_ERROR, { NULL, 0 }, 0,
                                 0 };
    if (is_prefix(&rest, "VALUE ")) {
        rest.at += sizeof("VALUE ") - 1;
        read.kind = ETG_MEMCACHED_REPLY_VALUE;
        if (!value_read(&rest, &read)) {
            return APR_EGENERAL;
        }
    }
    else if (is_prefix(&rest, "SERVER_ERROR object too large")
             || is_prefix(&rest, "SERVER_ERROR out of memory")) {
        read.kind = ETG_MEMCACHED_REPLY_NO_ROOM;
    }
    else if (!is_prefix(&rest, "SERVER_ERROR")) {
        unsigned i = 0;
        while (i < sizeof(words) / sizeof(words[0])
               && !is_just(&rest, words[i].text)) {
            i++;
        }
        if (i == sizeof(words) / sizeof(words[0])) {
            return APR_EGENERAL;
        }
        read.kind = words[i].kind;
    }
    *reply = read;
    *taken = (apr_size_t)(lf + 1 - bytes.data);
    return APR_SUCCESS;
}

/* "<key> <flags> <length>[ <cas>]" */
static int value_read(line *rest, etg_memcached_reply *reply)
{
    apr_uint64_t flags;
    if (!word_read(rest, &reply->key) || !number_read(rest, &flags)
        || !number_read(rest, &reply->length)) {
        return 0;
    }
    return rest->at == rest->end
           || (number_read(rest, &reply->cas) && rest->at == rest->end);
}

/* Up to the next space, which is taken as well; not empty, and the space is
 * not the last there is. */
static int word_read(line *rest, etg_bytes *word)
{
    const unsigned char *at = rest->at;
    while (at < rest->end && *at > ' ') {
        at++;
    }
    if (at == rest->at
        || (at < rest->end && (*at != ' ' || at + 1 == rest->end))) {
        return 0;
    }
    word->data = rest->at;
    word->length = (apr_size_t)(at - rest->at);
    rest->at = at < rest->end ? at + 1 : at;
    return 1;
}

static int number_read(line *rest, apr_uint64_t *number)
{
    etg_bytes word;
    apr_uint64_t sum = 0;
    if (!word_read(rest, &word)) {
        return 0;
    }
    for (apr_size_t i = 0; i < word.length; i++) {
        unsigned digit = (unsigned)word.data[i] - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10) {
            return 0;
        }
        sum = sum * 10 + digit;
    }
    *number = sum;
    return 1;
}

static int is_prefix(const line *rest, const char *text)
{
    apr_size_t length = strlen(text);
    return (apr_size_t)(rest->end - rest->at) >= length
           && memcmp(rest->at, text, length) == 0;
}

static int is_just(const line *rest, const char *text)
{
    return (apr_size_t)(rest->end - rest->at) == strlen(text)
           && is_prefix(rest, text);
}
