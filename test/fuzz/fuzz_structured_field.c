/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_structured_field.c: the input is a dictionary. */
#include <string.h>

#include "lib/field_list.h"
#include "lib/structured_field.h"
#include "test/fuzz/fuzz.h"

#define MEMBER(members, i) (&APR_ARRAY_IDX(members, i, etg_sf_member))

/* A string that was read reads the same after it was written. */
static void check_round_trip(const char *text, apr_pool_t *p)
{
    apr_size_t size = strlen(text) * 2 + 4;
    apr_size_t used = 2;
    char *buffer = malloc(size);
    etg_bytes written;
    apr_array_header_t *members;

    FUZZ_CHECK(buffer != NULL);
    memcpy(buffer, "a=", 2);
    FUZZ_CHECK(etg_sf_put_string(buffer, size, &used, text));
    written.data = (unsigned char *)buffer;
    written.length = used;
    FUZZ_CHECK(etg_sf_dictionary(written, p, &members) == APR_SUCCESS);
    FUZZ_CHECK(members->nelts == 1);
    FUZZ_CHECK(strcmp(MEMBER(members, 0)->text, text) == 0);
    free(buffer);
}

static void check_member(const etg_sf_member *member, apr_pool_t *p)
{
    int has_text = member->type == ETG_SF_STRING
                   || member->type == ETG_SF_TOKEN
                   || member->type == ETG_SF_BYTES
                   || member->type == ETG_SF_DISPLAY;

    FUZZ_CHECK(member->key[0] != '\0');
    FUZZ_CHECK(has_text == (member->text != NULL));
    FUZZ_CHECK(member->number <= APR_INT64_C(999999999999999));
    FUZZ_CHECK(member->number >= APR_INT64_C(-999999999999999));
    if (member->type == ETG_SF_STRING) {
        check_round_trip(member->text, p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes value = { data, size };
    apr_array_header_t *members = NULL;

    if (etg_sf_dictionary(value, p, &members) == APR_SUCCESS) {
        int i;

        FUZZ_CHECK(members->nelts <= ETG_SF_KEYS_MAX);
        for (i = 0; i < members->nelts; i++) {
            check_member(MEMBER(members, i), p);
        }
    }
    else {
        FUZZ_CHECK(members == NULL);
    }
    apr_pool_destroy(p);
    return 0;
}
