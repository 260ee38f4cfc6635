/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_entity_tag.c: the first line is a tag, the rest a list of tags. */
#include <string.h>

#include "lib/entity_tag.h"
#include "lib/field_list.h"
#include "test/fuzz/fuzz.h"

/* A tag's own text, as a field would carry it. */
static const char *text_of(const etg_entity_tag *tag, apr_pool_t *p)
{
    return apr_pstrcat(p, tag->weak ? "W/\"" : "\"",
                       apr_pstrmemdup(p, (const char *)tag->opaque.data,
                                      tag->opaque.length), "\"", NULL);
}

static void check_list(etg_bytes list, apr_pool_t *p)
{
    etg_bytes rest = list;
    etg_entity_tag tag;
    etg_entity_tag again;

    while (etg_entity_tag_next(&rest, &tag) == 1) {
        const char *text = text_of(&tag, p);

        FUZZ_CHECK(tag.opaque.data >= list.data);
        FUZZ_CHECK(tag.opaque.data + tag.opaque.length
                   < list.data + list.length);
        FUZZ_CHECK(etg_entity_tag_parse(etg_bytes_of(text), &again));
        FUZZ_CHECK(etg_entity_tag_equal_weak(&tag, &again));
        FUZZ_CHECK(etg_entity_tag_equal_strong(&tag, &again) == !tag.weak);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes rest = { data, size };
    const char *tag = fuzz_line(&rest, p);

    if (etg_entity_tag_list_has(rest, tag, 1)) {
        FUZZ_CHECK(etg_entity_tag_list_has(rest, tag, 0));
    }
    FUZZ_CHECK(!etg_entity_tag_list_has(rest, NULL, 0));
    /* Long lists cost time, not insight. */
    if (rest.length <= 4096) {
        check_list(rest, p);
    }
    (void)etg_entity_tag_is_any(rest);
    apr_pool_destroy(p);
    return 0;
}
