/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_purge_tag.c: the input is a field of tags, and one of groups. */
#include <string.h>

#include "lib/field_list.h"
#include "lib/purge_tag.h"
#include "test/fuzz/fuzz.h"

static void check_sane(const etg_purge_tags *set)
{
    FUZZ_CHECK(set->count <= ETG_STORE_TAGS_MAX);
    for (unsigned i = 0; i < set->count; i++) {
        for (unsigned k = 0; k < i; k++) {
            FUZZ_CHECK(set->tags[k] != set->tags[i]);
        }
    }
}

/* The same words again, as a purge would name them, are the same tags. */
static void check_again(const etg_purge_tags *set, etg_bytes value)
{
    etg_purge_tags again;

    etg_purge_tags_init(&again, "http", "host");
    again.origin = set->origin;
    etg_purge_tags_add(&again, value);
    FUZZ_CHECK(again.count == set->count);
    FUZZ_CHECK(again.excess == set->excess);
    FUZZ_CHECK(!memcmp(again.tags, set->tags,
                       set->count * sizeof(set->tags[0])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes value = { data, size };
    etg_purge_tags set;
    etg_purge_tags before;

    etg_purge_tags_init(&set, "http", apr_pstrmemdup(p, (const char *)data,
                                                     size));
    etg_purge_tags_add(&set, value);
    check_sane(&set);
    check_again(&set, value);
    before = set;
    if (etg_purge_tags_add_groups(&set, value, p) == APR_SUCCESS) {
        check_sane(&set);
        FUZZ_CHECK(set.count >= before.count);
    }
    else {
        FUZZ_CHECK(!memcmp(&set, &before, sizeof(set)));
    }
    etg_purge_tags_settle(&set);
    FUZZ_CHECK(set.excess == 0 || set.count == 1);
    apr_pool_destroy(p);
    return 0;
}
