/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cache_key.c: lines of the input are a Host, a target, a pattern of
 * ignored parameters and the values of keyed fields. The key is taken apart
 * again: it must say what went into it and nothing else. */
#include <string.h>

#include "lib/cache_key.h"
#include "test/fuzz/fuzz.h"

static apr_array_header_t *row(apr_pool_t *p, const char *text)
{
    apr_array_header_t *array = apr_array_make(p, 1, sizeof(const char *));

    APR_ARRAY_PUSH(array, const char *) = text;
    return array;
}

/* Takes `text` off the front. */
static const char *after(const char *at, const char *text)
{
    FUZZ_CHECK(strncmp(at, text, strlen(text)) == 0);
    return at + strlen(text);
}

static const char *after_lower(const char *at, const char *text)
{
    for (; *text != '\0'; text++, at++) {
        char c = *text;

        FUZZ_CHECK(*at == (c >= 'A' && c <= 'Z' ? c + 32 : c));
    }
    return at;
}

static const char *after_field(const char *at, const char *name,
                               const char *value, apr_pool_t *p)
{
    return after(at, apr_psprintf(p, "\n%s:%lu:%s", name,
                                  (unsigned long)strlen(value), value));
}

static int has(const char *text, char c)
{
    return strchr(text, c) != NULL;
}

/* Takes host and target off the key's front. */
static const char *after_origin(const char *at, const char *host,
                                const etg_cache_key *key, apr_pool_t *p)
{
    at = after(at, "http");
    if (has(host, '/') || has(host, '\n') || key->target[0] != '/'
        || has(key->target, '\n')) {
        at = after(at, apr_psprintf(p, ":%lu:%lu",
                                    (unsigned long)strlen(host),
                                    (unsigned long)strlen(key->target)));
    }
    at = after_lower(after(at, "://"), host);
    return after(at, key->target);
}

static void check_key(const char *host, const char *target,
                      const apr_table_t *request, const etg_key_rules *rules,
                      apr_pool_t *p)
{
    static const char *const names[] = { "forwarded", "x-shop" };
    etg_cache_key key;
    const char *at;
    unsigned i;

    etg_cache_key_make(&key, "http", host, target, request, rules, p);
    FUZZ_CHECK(strlen(key.text) == key.length);
    FUZZ_CHECK(strlen(key.target) <= strlen(target) + 1);
    FUZZ_CHECK(strchr(key.target, '#') == NULL);
    at = after_origin(key.text, host, &key, p);
    for (i = 0; i < 2; i++) {
        const char *value = apr_table_get(request, names[i]);

        if (value != NULL) {
            at = after_field(at, names[i], value, p);
        }
    }
    FUZZ_CHECK(*at == '\0');
    /* What the backend is sent makes the same key, and rules nothing more. */
    if (key.target[0] == '/') {
        etg_cache_key again;

        etg_cache_key_make(&again, "http", host, key.target, request, rules,
                           p);
        FUZZ_CHECK(strcmp(again.text, key.text) == 0);
        FUZZ_CHECK(!again.changed_query);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    apr_table_t *request = apr_table_make(p, 2);
    etg_bytes rest = { data, size };
    const char *host = fuzz_line(&rest, p);
    const char *target = fuzz_line(&rest, p);
    const char *pattern = fuzz_line(&rest, p);
    const char *forwarded = fuzz_line(&rest, p);
    etg_key_rules rules = { NULL, NULL, 0 };

    host = host == NULL ? "" : host;
    target = target == NULL ? "" : target;
    if (forwarded != NULL) {
        apr_table_setn(request, "Forwarded", forwarded);
    }
    check_key(host, target, request, &rules, p);
    rules.sort_query = 1;
    check_key(host, target, request, &rules, p);
    rules.ignore_query = row(p, pattern == NULL ? "utm_*" : pattern);
    rules.headers = row(p, "X-Shop");
    if (rest.length > 0) {
        /* The only value that may hold a LF. */
        apr_table_setn(request, "x-shop",
                       apr_pstrmemdup(p, (const char *)rest.data,
                                      rest.length));
    }
    check_key(host, target, request, &rules, p);
    rules.sort_query = 0;
    check_key(host, target, request, &rules, p);
    apr_pool_destroy(p);
    return 0;
}
