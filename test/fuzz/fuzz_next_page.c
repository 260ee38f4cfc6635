/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_next_page.c: a line of Link, a line with a target, a JSON pointer, and
 * a body. Whatever they say, nothing outside the prefix becomes a target. */
#include <string.h>

#include "lib/allowed_target.h"
#include "lib/field_list.h"
#include "lib/json_pointer.h"
#include "lib/next_page.h"
#include "test/fuzz/fuzz.h"

static void check_target(const char *reference, const char *target,
                         apr_pool_t *p)
{
    apr_array_header_t *prefixes = apr_array_make(p, 1, sizeof(const char *));
    const char *next;
    const char *path;

    APR_ARRAY_PUSH(prefixes, const char *) = "/api";
    next = etg_allowed_target(reference, "http", "x.org", target, prefixes, p);
    if (next == NULL) {
        return;
    }
    FUZZ_CHECK(!strncmp(next, "/api", 4)
               && (next[4] == '\0' || next[4] == '/' || next[4] == '?'));
    FUZZ_CHECK(strlen(next) <= ETG_ALLOWED_TARGET_MAX);
    FUZZ_CHECK(strcspn(next, "\\# \t\r\n") == strlen(next));
    path = apr_pstrcat(p, apr_pstrmemdup(p, next, strcspn(next, "?")), "/",
                       NULL);
    FUZZ_CHECK(strstr(path, "/../") == NULL && strstr(path, "/./") == NULL);
    /* It is its own reference. */
    FUZZ_CHECK(!strcmp(etg_allowed_target(next, "http", "x.org", "/other",
                                          prefixes, p), next));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes rest = { data, size };
    const char *line = fuzz_line(&rest, p);
    const char *target = fuzz_line(&rest, p);
    const char *pointer = fuzz_line(&rest, p);
    const char *reference;
    const char *text = NULL;

    if (line != NULL && target != NULL && pointer != NULL) {
        reference = etg_next_by_link(line, p);
        if (reference != NULL) {
            check_target(reference, target, p);
        }
        check_target(line, target, p);
        reference = etg_next_by_query(target, "page", p);
        if (reference != NULL) {
            check_target(reference, target, p);
        }
        if (etg_json_pointer_is_valid(pointer)
            && etg_json_pointer_text(rest, pointer, p, &text) == APR_SUCCESS
            && text != NULL) {
            check_target(text, target, p);
        }
    }
    apr_pool_destroy(p);
    return 0;
}
