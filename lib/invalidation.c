/* SPDX-License-Identifier: Apache-2.0 */
/*
 * invalidation.c: which stored responses a write makes invalid.
 *
 * References in the answer are resolved by hand instead of apr_uri_parse,
 * which does not resolve, and which reads "//host" as a path. Only the same
 * origin counts: one site's answer must not clear another's pages.
 */
#include "lib/invalidation.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

static apr_size_t scheme_length(const char *reference);
static apr_size_t significant(const char *authority, apr_size_t length,
                              const char *scheme);
static int same_authority(const char *a, apr_size_t a_length, const char *b,
                          const char *scheme);
static apr_size_t path_length(const char *text);
static apr_size_t shortened(const char *path, apr_size_t length);
static apr_size_t without_dots(char *path, apr_size_t length);
static const char *assembled(char *path, const char *query, apr_pool_t *p);
static const char *resolve_path(const char *reference, const char *target,
                                apr_pool_t *p);
static void add_target(apr_array_header_t *targets, const char *target);

int etg_method_is_safe(const char *method)
{
    static const char *const safe[] = {
        "GET", "HEAD", "OPTIONS", "TRACE", "PRI", "PROPFIND", "QUERY",
        "REPORT", "SEARCH", NULL
    };

    for (const char *const *name = safe; *name != NULL; name++) {
        if (strcmp(method, *name) == 0) {
            return 1;
        }
    }
    return 0;
}

const char *etg_target_resolve(const char *reference, const char *scheme,
                               const char *host, const char *target,
                               apr_pool_t *p)
{
    apr_size_t length = scheme_length(reference);

    if (length > 0) {
        if (length - 1 != strlen(scheme)
            || strncasecmp(reference, scheme, length - 1) != 0
            || strncmp(reference + length, "//", 2) != 0) {
            return NULL;
        }
        reference += length;
    }
    if (strncmp(reference, "//", 2) != 0) {
        return resolve_path(reference, target, p);
    }
    reference += 2;
    length = strcspn(reference, "/?#");
    if (!same_authority(reference, length, host, scheme)) {
        return NULL;
    }
    reference += length;
    /* http://host and http://host?q mean the path "/". */
    return *reference == '/'
           ? resolve_path(reference, target, p)
           : apr_pstrcat(p, "/",
                         apr_pstrmemdup(p, reference, strcspn(reference, "#")),
                         NULL);
}

apr_array_header_t *etg_invalidation_targets(const char *method, int status,
                                             const apr_table_t *response_fields,
                                             const char *scheme,
                                             const char *host,
                                             const char *target,
                                             apr_pool_t *p)
{
    static const char *const names[] = { "Location", "Content-Location" };
    apr_array_header_t *targets = apr_array_make(p, 3, sizeof(const char *));

    if (etg_method_is_safe(method) || status < 200 || status > 399) {
        return targets;
    }
    add_target(targets, target);
    for (int i = 0; i < 2; i++) {
        const char *reference = apr_table_get(response_fields, names[i]);
        const char *meant;

        if (reference == NULL) {
            continue;
        }
        meant = etg_target_resolve(reference, scheme, host, target, p);
        if (meant != NULL) {
            add_target(targets, meant);
        }
    }
    return targets;
}

/* The length of "scheme:", 0 if the reference has none. */
static apr_size_t scheme_length(const char *reference)
{
    apr_size_t length = strspn(reference, "abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789+-.");

    return length > 0 && reference[length] == ':' ? length + 1 : 0;
}

/* How much of an authority is left without the scheme's own port. */
static apr_size_t significant(const char *authority, apr_size_t length,
                              const char *scheme)
{
    const char *port = strcasecmp(scheme, "https") == 0 ? ":443" : ":80";
    apr_size_t size = strlen(port);

    if (length > size
        && memcmp(authority + length - size, port, size) == 0) {
        return length - size;
    }
    if (length > 0 && authority[length - 1] == ':') {
        return length - 1;
    }
    return length;
}

static int same_authority(const char *a, apr_size_t a_length, const char *b,
                          const char *scheme)
{
    apr_size_t a_size = significant(a, a_length, scheme);
    apr_size_t b_size = significant(b, strlen(b), scheme);

    return a_size == b_size && strncasecmp(a, b, a_size) == 0;
}

/* The length of the path in a target or a reference without authority. */
static apr_size_t path_length(const char *text)
{
    return strcspn(text, "?#");
}

/* Drops the last segment of a path: "/a/b" -> "/a". */
static apr_size_t shortened(const char *path, apr_size_t length)
{
    while (length > 0 && path[length - 1] != '/') {
        length--;
    }
    return length > 0 ? length - 1 : 0;
}

/* remove_dot_segments (RFC 3986 §5.2.4) on an absolute path, in place. */
static apr_size_t without_dots(char *path, apr_size_t length)
{
    apr_size_t in = 0;
    apr_size_t out = 0;

    while (in < length) {
        apr_size_t end = in + 1;

        while (end < length && path[end] != '/') {
            end++;
        }
        apr_size_t size = end - in;
        int one = size == 2 && path[in + 1] == '.';
        int two = size == 3 && path[in + 1] == '.' && path[in + 2] == '.';

        if (two) {
            out = shortened(path, out);
        }
        if (!one && !two) {
            memmove(path + out, path + in, size);
            out += size;
        }
        else if (end == length) {
            path[out++] = '/';
        }
        in = end;
    }
    return out;
}

/* Puts an absolute path (dots removed) and the query after it together. */
static const char *assembled(char *path, const char *query, apr_pool_t *p)
{
    apr_size_t length = without_dots(path, strlen(path));

    return apr_pstrcat(p, length > 0 ? apr_pstrmemdup(p, path, length) : "/",
                       apr_pstrmemdup(p, query, strcspn(query, "#")), NULL);
}

/* A reference that has no scheme and no authority (any more). */
static const char *resolve_path(const char *reference, const char *target,
                                apr_pool_t *p)
{
    apr_size_t length = path_length(reference);
    const char *query = reference + length;
    apr_size_t base = path_length(target);

    if (length == 0) {
        /* Empty, "?query" or "#fragment": the target's own path. */
        return *query == '?'
               ? apr_pstrcat(p, apr_pstrmemdup(p, target, base),
                             apr_pstrmemdup(p, query, strcspn(query, "#")),
                             NULL)
               : apr_pstrmemdup(p, target, strcspn(target, "#"));
    }
    if (*reference == '/') {
        return assembled(apr_pstrmemdup(p, reference, length), query, p);
    }
    base = shortened(target, base);
    return assembled(apr_pstrcat(p, apr_pstrmemdup(p, target, base), "/",
                                 apr_pstrmemdup(p, reference, length), NULL),
                     query, p);
}

static void add_target(apr_array_header_t *targets, const char *target)
{
    for (int i = 0; i < targets->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(targets, i, const char *), target) == 0) {
            return;
        }
    }
    APR_ARRAY_PUSH(targets, const char *) = target;
}
