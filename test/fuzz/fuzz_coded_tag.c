/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_coded_tag.c: the first line is a tag, the second an If-Range, the rest
 * a list of tags. */
#include <string.h>

#include "lib/coded_tag.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"
#include "test/fuzz/fuzz.h"

static const etg_entity_id entity = { { 0xfe, 0xdc, 0xba, 0x98 } };

/* What is put on comes off, and the result is a tag. */
static void check_made(const char *tag, etg_coding coding, apr_pool_t *p)
{
    const char *made = etg_coded_tag(tag, coding, &entity, p);
    const char *own = NULL;
    etg_entity_tag parsed;

    if (made == NULL) {
        return;
    }
    FUZZ_CHECK(strlen(made) <= 1024);
    FUZZ_CHECK(etg_entity_tag_parse(etg_bytes_of(made), &parsed));
    FUZZ_CHECK(etg_coded_tag_strip(etg_bytes_of(made), p, &own) == 1);
    FUZZ_CHECK(strcmp(own, tag) == 0);
}

static void check_decision(const apr_table_t *fields, const char *list,
                           const char *tag, apr_pool_t *p)
{
    const char *matched;
    etg_precondition coded
        = etg_coded_precondition_decide(fields, 200, tag, NULL, 0, p,
                                        &matched);
    etg_precondition usual
        = etg_precondition_decide(fields, 200, tag, NULL, 0, p);

    FUZZ_CHECK(usual != ETG_PRECONDITION_NOT_MODIFIED || coded == usual);
    FUZZ_CHECK((usual == ETG_PRECONDITION_FAILED)
               == (coded == ETG_PRECONDITION_FAILED));
    if (matched != NULL) {
        FUZZ_CHECK(coded == ETG_PRECONDITION_NOT_MODIFIED);
        FUZZ_CHECK(strcmp(matched, tag) != 0);
        FUZZ_CHECK(etg_entity_tag_list_has(etg_bytes_of(list), matched, 0));
    }
}

/* Nothing grows, and nothing but what is ours is taken away. */
static void check_mapped(const apr_table_t *fields, apr_pool_t *p)
{
    static const char *const names[] = { "If-Match", "If-None-Match" };
    apr_table_t *mapped = etg_coded_tags_map_back(fields, p);

    if (mapped == NULL) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        FUZZ_CHECK(strlen(apr_table_get(mapped, names[i]))
                   <= strlen(apr_table_get(fields, names[i])));
    }
    FUZZ_CHECK((apr_table_get(mapped, "Range") == NULL)
               == (apr_table_get(mapped, "If-Range") == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    apr_table_t *fields = apr_table_make(p, 4);
    etg_bytes rest = { data, size };
    const char *tag = fuzz_line(&rest, p);
    const char *range = fuzz_line(&rest, p);
    const char *list = apr_pstrmemdup(p, rest.length > 0
                                      ? (const char *)rest.data : "",
                                      rest.length);

    apr_table_setn(fields, "If-None-Match", list);
    if (tag != NULL) {
        check_made(tag, ETG_CODING_GZIP, p);
        check_made(tag, ETG_CODING_IDENTITY, p);
        check_decision(fields, list, tag, p);
    }
    apr_table_setn(fields, "If-Match", list);
    if (range != NULL) {
        apr_table_setn(fields, "If-Range", range);
        apr_table_setn(fields, "Range", "bytes=0-1");
    }
    check_mapped(fields, p);
    apr_pool_destroy(p);
    return 0;
}
