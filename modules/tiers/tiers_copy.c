/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers_copy.c: a response record as a near tier keeps it: a record of
 * lib/record's form (magic, kind, version, length, checksum) around
 *
 *   fixed64   when the shared tier was asked, µs since 1970
 *   2 bytes   0, so that the response is as aligned as the record
 *   the rest  the response record
 *
 * The primary record stays as it is: rows and marks in it are no older than
 * the copies it leads to, and each of those says for itself since when.
 */
#include "modules/tiers/tiers_store.h"

#include "lib/record.h"

#define COPY_VERSION 1
#define HEAD_BYTES 10

apr_status_t etg_tiers_copy_pack(etg_bytes response, apr_time_t confirmed_at,
                                 apr_pool_t *p, etg_bytes *record)
{
    etg_record_writer writer;

    etg_record_begin(&writer, ETG_RECORD_COPY, COPY_VERSION,
                     HEAD_BYTES + response.length, p);
    etg_record_put_fixed64(&writer, (apr_uint64_t)confirmed_at);
    etg_record_put_bytes(&writer, "\0", 2);
    etg_record_put_bytes(&writer, response.data, response.length);
    return etg_record_end(&writer, record);
}

apr_status_t etg_tiers_copy_unpack(etg_bytes record, apr_time_t *confirmed_at,
                                   etg_bytes *response)
{
    etg_record_reader reader;
    apr_uint64_t when;
    apr_size_t length;
    const unsigned char *bytes;
    apr_status_t rv = etg_record_open(&reader, record, ETG_RECORD_COPY,
                                      COPY_VERSION);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    when = etg_record_fixed64(&reader);
    etg_record_bytes(&reader, 2);
    length = etg_record_left(&reader);
    bytes = etg_record_bytes(&reader, length);
    if (!etg_record_is_done(&reader) || when > APR_INT64_MAX) {
        return APR_EINVAL;
    }
    *confirmed_at = (apr_time_t)when;
    response->data = bytes;
    response->length = length;
    return APR_SUCCESS;
}
