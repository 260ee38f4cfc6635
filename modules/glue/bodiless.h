/* SPDX-License-Identifier: Apache-2.0 */
/* bodiless.h: an answer that has no body of its own: 304, 412, and that to a
 * HEAD. */
#ifndef ETG_GLUE_BODILESS_H
#define ETG_GLUE_BODILESS_H

#include <httpd.h>
#include <util_filter.h>

/* Turns r, whose head has not gone out, into the 304 or 412 (`status`) in
 * place of a stored or just received response: without the fields that speak
 * of a body. To see that no body follows is the caller's part. */
void etg_bodiless_make(request_rec *r, int status);

/* Ends such an answer, whose head `f` has before it, in place of its body (bb,
 * which is emptied): the client is not to wait until that has come. What else
 * comes to `f` is to be dropped. */
apr_status_t etg_bodiless_end(ap_filter_t *f, apr_bucket_brigade *bb);

#endif
