/* SPDX-License-Identifier: Apache-2.0 */
/* json_pointer.c: a string inside a JSON text: a walk to one place. */
#include "lib/json_pointer.h"

#include <apr_strings.h>

/* More digits are beyond any array. */
#define INDEX_DIGITS_MAX 9

/* What the walk finds. */
typedef struct finding {
    apr_pool_t *pool;
    const char *text;
} finding;

static int keep_string(void *baton, const etg_json_place *place,
                       const etg_json_value *value);

int etg_json_pointer_is_valid(const char *pointer)
{
    if (*pointer != '/') {
        return 0;
    }
    for (; *pointer != '\0'; pointer++) {
        if (*pointer == '~' && pointer[1] != '0' && pointer[1] != '1') {
            return 0;
        }
    }
    return 1;
}

int etg_json_pointer_index(const char *token, apr_size_t length,
                           apr_size_t *index)
{
    apr_size_t value = 0;

    if (length == 0 || length > INDEX_DIGITS_MAX
        || (token[0] == '0' && length > 1)) {
        return 0;
    }
    for (apr_size_t i = 0; i < length; i++) {
        if (token[i] < '0' || token[i] > '9') {
            return 0;
        }
        value = value * 10 + (apr_size_t)(token[i] - '0');
    }
    *index = value;
    return 1;
}

apr_status_t etg_json_pointer_text(etg_bytes json, const char *pointer,
                                   apr_pool_t *p, const char **text)
{
    const etg_json_document *document;
    finding found = { p, NULL };
    apr_pool_t *scratch;
    apr_status_t rv;

    apr_pool_create(&scratch, p);
    rv = etg_json_document_read(json, scratch, &document);
    if (rv == APR_SUCCESS) {
        etg_json_document_visit(document, pointer, ETG_JSON_STAR_IS_NAME,
                                keep_string, &found);
        *text = found.text;
    }
    apr_pool_destroy(scratch);
    return rv;
}

static int keep_string(void *baton, const etg_json_place *place,
                       const etg_json_value *value)
{
    finding *found = baton;

    (void)place;
    if (value->kind == ETG_JSON_STRING) {
        found->text = apr_pstrmemdup(found->pool,
                                     (const char *)value->text.data,
                                     value->text.length);
    }
    return 1;
}
