/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_composite_part.c: the first line is one of ETagCompositePart, the others
 * are values of its params. No value changes the shape of the URL. */
#include <string.h>

#include "lib/composite_part.h"
#include "lib/field_list.h"
#include "lib/json_pointer.h"
#include "lib/utf8.h"
#include "test/fuzz/fuzz.h"

static void check_part(const etg_composite_part *part)
{
    FUZZ_CHECK(*part->name != '\0');
    FUZZ_CHECK(strlen(part->name) <= ETG_COMPOSITE_NAME_MAX);
    FUZZ_CHECK(part->url[0] == '/' && part->url[1] != '/');
    FUZZ_CHECK(strlen(part->url) <= ETG_COMPOSITE_URL_MAX);
    FUZZ_CHECK(part->default_value == NULL
               || (part->is_optional
                   && etg_is_utf8(etg_bytes_of(part->default_value))));
    FUZZ_CHECK(part->timeout >= 0
               && part->timeout <= ETG_COMPOSITE_TIMEOUT_MAX);
    FUZZ_CHECK(part->pointer == NULL
               || etg_json_pointer_is_valid(part->pointer));
}

static void check_bytes(const char *url)
{
    for (; *url != '\0'; url++) {
        FUZZ_CHECK(*url > ' ' && *url < 0x7f && strchr("#\"<>\\^`{|}[]", *url)
                                                == NULL);
        if (*url == '%') {
            FUZZ_CHECK(strspn(url + 1, "0123456789ABCDEFabcdef") >= 2);
        }
    }
}

/* Without escapes, in the path, between slashes. */
static void check_steps(const char *url)
{
    apr_size_t path = strcspn(url, "?");

    for (apr_size_t i = 0; i < path; i++) {
        apr_size_t step = strcspn(url + i, "/?");

        FUZZ_CHECK(!(step == 1 && url[i] == '.' && url[i - 1] == '/'));
        FUZZ_CHECK(!(step == 2 && url[i] == '.' && url[i + 1] == '.'
                     && url[i - 1] == '/'));
    }
}

/* What separates, in its order. */
static const char *shape_of(const char *url, apr_pool_t *p)
{
    char *shape = apr_palloc(p, strlen(url) + 1);
    char *to = shape;

    for (; *url != '\0'; url++) {
        if (strchr("/?&=;:@!$'()*+,", *url) != NULL) {
            *to++ = *url;
        }
    }
    *to = '\0';
    return shape;
}

static void check_url(const etg_composite_part *part,
                      const apr_array_header_t *values, apr_pool_t *p)
{
    apr_array_header_t *plain = apr_array_make(p, 4, sizeof(const char *));
    const char *url = etg_composite_part_url(part, values, p);
    const char *other;

    for (int i = 0; i < part->params->nelts; i++) {
        APR_ARRAY_PUSH(plain, const char *) = "x";
    }
    if (url == NULL) {
        return;
    }
    FUZZ_CHECK(strlen(url) <= ETG_COMPOSITE_URL_MAX);
    FUZZ_CHECK(url[0] == '/' && url[1] != '/');
    check_bytes(url);
    check_steps(url);
    other = etg_composite_part_url(part, plain, p);
    FUZZ_CHECK(other != NULL);
    FUZZ_CHECK(strcmp(shape_of(url, p), shape_of(other, p)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    apr_array_header_t *values = apr_array_make(p, 4, sizeof(const char *));
    etg_bytes rest = { data, size };
    const char *line = fuzz_line(&rest, p);
    etg_composite_part part;
    const char *error = etg_composite_part_parse(line != NULL ? line : "", p,
                                                 &part);

    if (error != NULL) {
        FUZZ_CHECK(*error != '\0');
    }
    else {
        check_part(&part);
        for (line = fuzz_line(&rest, p); line != NULL;
             line = fuzz_line(&rest, p)) {
            APR_ARRAY_PUSH(values, const char *) = line;
        }
        check_url(&part, values, p);
    }
    apr_pool_destroy(p);
    return 0;
}
