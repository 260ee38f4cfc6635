/* SPDX-License-Identifier: Apache-2.0 */
/* response_copy.c: see the header. */
#include "lib/response_copy.h"

#include "lib/record.h"

#define COPY_VERSION 1
#define HEAD_BYTES 10

apr_status_t etg_response_copy_pack(etg_bytes response,
                                    apr_time_t confirmed_at, apr_pool_t *p,
                                    etg_bytes *record)
{
    etg_record_writer writer;

    etg_record_begin(&writer, ETG_RECORD_COPY, COPY_VERSION,
                     HEAD_BYTES + response.length, p);
    if (confirmed_at < 0) {
        etg_record_fail(&writer, APR_EINVAL);
    }
    etg_record_put_fixed64(&writer, (apr_uint64_t)confirmed_at);
    etg_record_put_bytes(&writer, "\0", 2);
    etg_record_put_bytes(&writer, response.data, response.length);
    return etg_record_end(&writer, record);
}

apr_status_t etg_response_copy_unpack(etg_bytes record,
                                      apr_time_t *confirmed_at,
                                      etg_bytes *response)
{
    etg_record_reader reader;
    apr_uint64_t when;
    const unsigned char *padding;
    const unsigned char *bytes;
    apr_size_t length;
    apr_status_t rv = etg_record_open(&reader, record, ETG_RECORD_COPY,
                                      COPY_VERSION);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    when = etg_record_fixed64(&reader);
    padding = etg_record_bytes(&reader, 2);
    if (padding == NULL || padding[0] != 0 || padding[1] != 0
        || when > APR_INT64_MAX) {
        return APR_EINVAL;
    }
    length = etg_record_left(&reader);
    bytes = etg_record_bytes(&reader, length);
    *confirmed_at = (apr_time_t)when;
    response->data = bytes;
    response->length = length;
    return APR_SUCCESS;
}
