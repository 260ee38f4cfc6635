/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allowed_target.c: may a URL that a backend has named be fetched, and what
 * is its target?
 *
 * References are resolved as those of invalidation are (etg_target_resolve);
 * what comes out is then looked at byte by byte, because it goes through
 * rewriting and to backends that decode it by rules of their own.
 */
#include "lib/allowed_target.h"

#include <apr_lib.h>
#include <string.h>

#include "lib/field_list.h"
#include "lib/invalidation.h"

static int is_plain_path(const char *path, apr_size_t length);
static int is_dots(const char *segment, apr_size_t length);
static int is_harmless_escape(const char *text, apr_size_t length);
static int is_below(const char *path, apr_size_t length, const char *prefix);

const char *etg_allowed_target(const char *reference, const char *scheme,
                            const char *host, const char *target,
                            const apr_array_header_t *prefixes,
                            apr_pool_t *p)
{
    const char *next;

    if (strlen(reference) > ETG_ALLOWED_TARGET_MAX
        || !etg_allowed_is_visible(reference) || *target != '/') {
        return NULL;
    }
    next = etg_target_resolve(reference, scheme, host, target, p);
    if (next == NULL || strlen(next) > ETG_ALLOWED_TARGET_MAX
        || !etg_allowed_is_visible(next) || !strncmp(next, "//", 2)
        || !strcmp(next, target)
        || !is_plain_path(next, strcspn(next, "?"))
        || !etg_allowed_is_below(next, prefixes)) {
        return NULL;
    }
    return next;
}

int etg_allowed_is_below(const char *target,
                        const apr_array_header_t *prefixes)
{
    apr_size_t length = strcspn(target, "?");

    for (int i = 0; i < prefixes->nelts; i++) {
        if (is_below(target, length,
                     APR_ARRAY_IDX(prefixes, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

/* "/a" holds /a, /a/ and /a/b; "/a/" not /a; "/" holds everything. */
static int is_below(const char *path, apr_size_t length, const char *prefix)
{
    apr_size_t size = strlen(prefix);

    return size > 0 && size <= length && !memcmp(path, prefix, size)
        && (prefix[size - 1] == '/' || size == length || path[size] == '/');
}

int etg_allowed_prefix_is_valid(const char *prefix)
{
    return *prefix == '/' && strlen(prefix) <= ETG_ALLOWED_TARGET_MAX
        && etg_allowed_is_visible(prefix) && strpbrk(prefix, "?#") == NULL
        && is_plain_path(prefix, strlen(prefix));
}

int etg_allowed_is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f || *text == '\\') {
            return 0;
        }
    }
    return 1;
}

/* A path that all read alike, whatever they decode and how often. */
static int is_plain_path(const char *path, apr_size_t length)
{
    apr_size_t start = 0;

    for (apr_size_t i = 0; i <= length; i++) {
        if (i == length || path[i] == '/') {
            if (is_dots(path + start, i - start)) {
                return 0;
            }
            start = i + 1;
        }
        else if (path[i] == '%'
                 && !is_harmless_escape(path + i, length - i)) {
            return 0;
        }
    }
    return 1;
}

/* "." or "..", also with a parameter that servlet containers cut off. */
static int is_dots(const char *segment, apr_size_t length)
{
    const char *parameter = memchr(segment, ';', length);

    if (parameter != NULL) {
        length = (apr_size_t)(parameter - segment);
    }
    return (length == 1 && segment[0] == '.')
        || (length == 2 && segment[0] == '.' && segment[1] == '.');
}

static int is_harmless_escape(const char *text, apr_size_t length)
{
    int byte = length > 2 ? etg_allowed_escape(text) : -1;

    return byte >= ' ' && byte != 0x7f && strchr("./\\%;", byte) == NULL;
}

int etg_allowed_escape(const char *text)
{
    int byte = 0;

    for (int i = 1; i < 3; i++) {
        char digit = etg_lower((unsigned char)text[i]);

        if (apr_isdigit(digit)) {
            byte = byte * 16 + (digit - '0');
        }
        else if (digit >= 'a' && digit <= 'f') {
            byte = byte * 16 + (digit - 'a' + 10);
        }
        else {
            return -1;
        }
    }
    return byte;
}
