/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_stored_response.c: the input as a record, and, since no fuzzer guesses
 * a checksum, as the payload of one that is framed rightly. */
#include <string.h>

#include "lib/field_list.h"
#include "lib/record.h"
#include "lib/stored_response.h"
#include "test/fuzz/fuzz.h"

static int is_text(const char *text)
{
    return text != NULL && strpbrk(text, "\r\n") == NULL;
}

static int is_same_text(const char *one, const char *other)
{
    return one == NULL ? other == NULL
                       : other != NULL && strcmp(one, other) == 0;
}

/* What every reader of a response relies on. */
static void check(const etg_stored_response *response)
{
    unsigned i;

    FUZZ_CHECK(strlen(response->key) == response->key_length);
    FUZZ_CHECK(response->status >= 100 && response->status <= 999);
    FUZZ_CHECK(is_text(response->status_line));
    FUZZ_CHECK(response->coding == ETG_CODING_GZIP
               || (response->plain_length == 0 && !response->is_coded_here));
    FUZZ_CHECK(response->has_body || response->coding == ETG_CODING_IDENTITY);
    FUZZ_CHECK(response->etag == NULL || is_text(response->etag));
    FUZZ_CHECK(response->backend_etag == NULL
               || (response->is_etag_ours
                   && is_text(response->backend_etag)));
    FUZZ_CHECK(response->backend_last_modified == NULL
               || (response->is_last_modified_ours
                   && is_text(response->backend_last_modified)));
    for (i = 0; i < response->field_count; i++) {
        FUZZ_CHECK(etg_is_token(etg_bytes_of(response->fields[i].name)));
        FUZZ_CHECK(is_text(response->fields[i].value));
    }
}

/* What was read can be stored and read again (unless the made-up numbers or
 * validators are beyond what pack takes). */
static void check_again(const etg_stored_response *once, apr_pool_t *p)
{
    etg_stored_response twice;
    etg_bytes record;
    unsigned i;

    if (etg_stored_response_pack(once, p, &record) != APR_SUCCESS) {
        return;
    }
    FUZZ_CHECK(etg_stored_response_unpack(record, p, &twice) == APR_SUCCESS);
    FUZZ_CHECK(once->generation == twice.generation);
    FUZZ_CHECK(once->status == twice.status);
    FUZZ_CHECK(once->received_at == twice.received_at);
    FUZZ_CHECK(once->requested_at == twice.requested_at);
    FUZZ_CHECK(once->body_length == twice.body_length);
    FUZZ_CHECK(once->coding == twice.coding);
    FUZZ_CHECK(once->is_coded_here == twice.is_coded_here);
    FUZZ_CHECK(once->plain_length == twice.plain_length);
    FUZZ_CHECK(once->has_data == twice.has_data);
    FUZZ_CHECK(memcmp(once->data, twice.data, sizeof(twice.data)) == 0);
    FUZZ_CHECK(once->fetched_at == twice.fetched_at
               || (once->fetched_at == 0
                   && twice.fetched_at == twice.requested_at));
    FUZZ_CHECK(once->is_etag_ours == twice.is_etag_ours);
    FUZZ_CHECK(once->is_last_modified_ours == twice.is_last_modified_ours);
    FUZZ_CHECK(is_same_text(once->backend_etag, twice.backend_etag));
    FUZZ_CHECK(is_same_text(once->backend_last_modified,
                            twice.backend_last_modified));
    FUZZ_CHECK(memcmp(&once->freshness, &twice.freshness,
                      sizeof(twice.freshness)) == 0);
    FUZZ_CHECK(memcmp(&once->vary, &twice.vary, sizeof(twice.vary)) == 0);
    FUZZ_CHECK(strcmp(once->status_line, twice.status_line) == 0);
    FUZZ_CHECK(once->field_count == twice.field_count);
    for (i = 0; i < twice.field_count; i++) {
        FUZZ_CHECK(strcmp(once->fields[i].name, twice.fields[i].name) == 0);
        FUZZ_CHECK(strcmp(once->fields[i].value, twice.fields[i].value) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes record = { data, size };
    etg_record_writer writer;
    etg_stored_response response;

    memset(&response, 0, sizeof(response));
    if (etg_stored_response_unpack(record, p, &response) == APR_SUCCESS) {
        check(&response);
    }
    etg_record_begin(&writer, ETG_RECORD_RESPONSE,
                     ETG_STORED_RESPONSE_VERSION, size, p);
    etg_record_put_bytes(&writer, data, size);
    FUZZ_CHECK(etg_record_end(&writer, &record) == APR_SUCCESS);
    if (etg_stored_response_unpack(record, p, &response) == APR_SUCCESS) {
        check(&response);
        check_again(&response, p);
    }
    apr_pool_destroy(p);
    return 0;
}
