/* SPDX-License-Identifier: Apache-2.0 */
/* bodiless.c: takes what speaks of a body off a response's head. */
#include "modules/glue/bodiless.h"

#include <http_protocol.h>

void etg_bodiless_make(request_rec *r, int status)
{
    static const char *const of_the_body[] = {
        "Content-Encoding", "Content-Language", "Content-Length",
        "Content-Range", "Content-Type", "Transfer-Encoding", NULL
    };

    for (int i = 0; of_the_body[i] != NULL; i++) {
        apr_table_unset(r->headers_out, of_the_body[i]);
        apr_table_unset(r->err_headers_out, of_the_body[i]);
    }
    r->content_type = NULL;
    r->content_encoding = NULL;
    r->content_languages = NULL;
    r->status = status;
    r->status_line = NULL;
    if (status != HTTP_NOT_MODIFIED) {
        ap_set_content_length(r, 0);
    }
}

apr_status_t etg_bodiless_end(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_status_t rv;

    apr_brigade_cleanup(bb);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    rv = ap_pass_brigade(f->next, bb);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* The filter that writes heads takes flushes for a part of the body. */
    apr_brigade_cleanup(bb);
    return ap_fflush(f->r->connection->output_filters, bb);
}
