/* SPDX-License-Identifier: Apache-2.0 */
/* nobodys_scope.h: a request of nobody, for a response that is everybody's. */
#ifndef ETG_TEST_NOBODYS_SCOPE_H
#define ETG_TEST_NOBODYS_SCOPE_H

#include "lib/data_tag.h"
#include "lib/field_list.h"

static inline etg_data_tag_scope nobodys_scope(const apr_table_t *fields,
                                               apr_pool_t *p)
{
    apr_array_header_t *names = apr_array_make(p, 2, sizeof(const char *));

    APR_ARRAY_PUSH(names, const char *) = "Authorization";
    APR_ARRAY_PUSH(names, const char *) = "Cookie";
    return (etg_data_tag_scope){
        .request_fields = fields,
        .vary_names = "",
        .private_names = names,
        .key = etg_bytes_of("0123456789abcdef"),
    };
}

#endif
