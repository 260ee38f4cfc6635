/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_status.c: writes the Cache-Status member of a response (RFC 9211).
 *
 * It is on the path of every response, so the parts are appended to one
 * buffer that is large enough from the start; only the two texts of variable
 * length, key and detail, are measured.
 */
#include "lib/cache_status.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/structured_field.h"

#define CACHE_NAME "Etagere"
/* Everything but key and detail, with the longest numbers and words. */
#define FIXED_BYTES 192
/* Longer keys are cut: clients have limits, and the start says enough. */
#define KEY_BYTES_MAX 1024

typedef struct text_buffer {
    char *bytes;
    apr_size_t size;
    apr_size_t used;
} text_buffer;

static void put(text_buffer *buffer, const char *text);
static void put_number(text_buffer *buffer, apr_int64_t number);
static void put_key(text_buffer *buffer, const char *key, apr_pool_t *p);
static void put_detail(text_buffer *buffer, const char *detail);
static int is_sf_token(const char *text);
static apr_int64_t whole_seconds(apr_interval_time_t interval);

const char *etg_cache_status_format(const etg_cache_status *status,
                                    apr_pool_t *p)
{
    text_buffer buffer = { NULL, FIXED_BYTES, 0 };

    buffer.size += status->key != NULL ? 2 * KEY_BYTES_MAX : 0;
    buffer.size += status->forward != NULL ? strlen(status->forward) : 0;
    buffer.size += status->detail != NULL ? 2 * strlen(status->detail) : 0;
    buffer.bytes = apr_palloc(p, buffer.size);
    put(&buffer, CACHE_NAME);
    if (status->hit) {
        put(&buffer, "; hit");
    }
    else if (status->forward != NULL) {
        put(&buffer, "; fwd=");
        put(&buffer, status->forward);
        if (status->forward_status > 0) {
            put(&buffer, "; fwd-status=");
            put_number(&buffer, status->forward_status);
        }
    }
    if (status->has_ttl) {
        put(&buffer, "; ttl=");
        put_number(&buffer, whole_seconds(status->ttl));
    }
    if (status->stored) {
        put(&buffer, "; stored");
    }
    if (status->collapsed) {
        put(&buffer, "; collapsed");
    }
    if (status->key != NULL) {
        put_key(&buffer, status->key, p);
    }
    if (status->detail != NULL) {
        put_detail(&buffer, status->detail);
    }
    buffer.bytes[buffer.used] = '\0';
    return buffer.bytes;
}

static void put(text_buffer *buffer, const char *text)
{
    apr_size_t length = strlen(text);

    memcpy(buffer->bytes + buffer->used, text, length);
    buffer->used += length;
}

static void put_number(text_buffer *buffer, apr_int64_t number)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    apr_uint64_t rest = number < 0 ? -(apr_uint64_t)number
                                   : (apr_uint64_t)number;

    *--at = '\0';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        *--at = '-';
    }
    put(buffer, at);
}

static void put_key(text_buffer *buffer, const char *key, apr_pool_t *p)
{
    if (strnlen(key, KEY_BYTES_MAX) == KEY_BYTES_MAX) {
        key = apr_pstrmemdup(p, key, KEY_BYTES_MAX - 1);
    }
    put(buffer, "; key=");
    etg_sf_put_string(buffer->bytes, buffer->size, &buffer->used, key);
}

static void put_detail(text_buffer *buffer, const char *detail)
{
    put(buffer, "; detail=");
    if (is_sf_token(detail)) {
        put(buffer, detail);
    }
    else {
        etg_sf_put_string(buffer->bytes, buffer->size, &buffer->used, detail);
    }
}

/* RFC 9651 §3.3.4: tchar, ':' and '/' after a letter or '*'. */
static int is_sf_token(const char *text)
{
    if (!apr_isalpha(*text) && *text != '*') {
        return 0;
    }
    while (*text != '\0') {
        etg_bytes one = { (const unsigned char *)text, 1 };

        if (*text != ':' && *text != '/' && !etg_is_token(one)) {
            return 0;
        }
        text++;
    }
    return 1;
}

/* Downwards, so that what is stale by less than a second is below zero. */
static apr_int64_t whole_seconds(apr_interval_time_t interval)
{
    apr_int64_t seconds = interval / APR_USEC_PER_SEC;

    return interval % APR_USEC_PER_SEC < 0 ? seconds - 1 : seconds;
}
