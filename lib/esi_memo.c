/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_memo.c: packs and unpacks which fragments a page with ESI has.
 *
 * Payload (items of record.h): the 32 bytes of the key, the number of targets,
 * and each as a text.
 */
#include "lib/esi_memo.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/allowed_target.h"
#include "lib/entity_digest.h"
#include "lib/esi_document.h"
#include "lib/record.h"

#define VERSION 1

static int is_target(const char *text);

/* Framed as a record, so that no two lists give the same bytes. */
int etg_esi_memo_key_make(etg_esi_memo_key *key, etg_bytes url,
                          const char *etag,
                          const apr_array_header_t *prefixes, int is_always,
                          apr_pool_t *p)
{
    etg_record_writer writer;
    etg_bytes all;

    etg_record_begin(&writer, ETG_RECORD_ESI, VERSION, 512, p);
    etg_record_put_number(&writer, is_always != 0);
    etg_record_put_number(&writer, url.length);
    etg_record_put_bytes(&writer, url.data, url.length);
    etg_record_put_text(&writer, etag, strlen(etag));
    for (int i = 0; i < prefixes->nelts; i++) {
        const char *prefix = APR_ARRAY_IDX(prefixes, i, const char *);

        etg_record_put_text(&writer, prefix, strlen(prefix));
    }
    return etg_record_end(&writer, &all) == APR_SUCCESS
        && etg_sha256(all.data, all.length, key->bytes) == APR_SUCCESS;
}

apr_status_t etg_esi_memo_pack(const etg_esi_memo_key *key,
                               const apr_array_header_t *targets,
                               apr_pool_t *p, etg_bytes *record)
{
    etg_record_writer writer;
    etg_bytes made;
    apr_status_t rv;

    if (targets->nelts > ETG_ESI_FRAGMENTS_MAX) {
        return APR_EINVAL;
    }
    etg_record_begin(&writer, ETG_RECORD_ESI, VERSION, 512, p);
    etg_record_put_bytes(&writer, key->bytes, sizeof(key->bytes));
    etg_record_put_number(&writer, (apr_uint64_t)targets->nelts);
    for (int i = 0; i < targets->nelts; i++) {
        const char *target = APR_ARRAY_IDX(targets, i, const char *);

        if (!is_target(target)) {
            return APR_EINVAL;
        }
        etg_record_put_text(&writer, target, strlen(target));
    }
    rv = etg_record_end(&writer, &made);
    if (rv == APR_SUCCESS && made.length > ETG_ESI_MEMO_MAX) {
        rv = APR_ENOSPC;
    }
    if (rv == APR_SUCCESS) {
        *record = made;
    }
    return rv;
}

apr_status_t etg_esi_memo_unpack(etg_bytes record,
                                 const etg_esi_memo_key *key, apr_pool_t *p,
                                 apr_array_header_t **targets)
{
    etg_record_reader reader;
    const unsigned char *bytes;
    apr_array_header_t *read;
    unsigned count;

    if (record.length > ETG_ESI_MEMO_MAX
        || etg_record_open(&reader, record, ETG_RECORD_ESI, VERSION)
           != APR_SUCCESS) {
        return APR_EINVAL;
    }
    bytes = etg_record_bytes(&reader, sizeof(key->bytes));
    if (bytes == NULL || memcmp(bytes, key->bytes, sizeof(key->bytes)) != 0) {
        return APR_EINVAL;
    }
    count = etg_record_count(&reader, ETG_ESI_FRAGMENTS_MAX);
    read = apr_array_make(p, (int)count + 1, sizeof(const char *));
    for (unsigned i = 0; i < count; i++) {
        const char *target = etg_record_text(&reader, NULL);

        if (!is_target(target)) {
            return APR_EINVAL;
        }
        APR_ARRAY_PUSH(read, const char *) = apr_pstrdup(p, target);
    }
    if (!etg_record_is_done(&reader)) {
        return APR_EINVAL;
    }
    *targets = read;
    return APR_SUCCESS;
}

static int is_target(const char *text)
{
    return text[0] == '/' && text[1] != '/'
        && strlen(text) <= ETG_ALLOWED_TARGET_MAX
        && etg_allowed_is_visible(text);
}
