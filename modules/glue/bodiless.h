/* SPDX-License-Identifier: Apache-2.0 */
/* bodiless.h: an answer whose status says that it has no body of its own:
 * 304 and 412. */
#ifndef ETG_GLUE_BODILESS_H
#define ETG_GLUE_BODILESS_H

#include <httpd.h>

/* Turns r, whose head has not gone out, into the 304 or 412 (`status`) in
 * place of a stored or just received response: without the fields that speak
 * of a body. To see that no body follows is the caller's part. */
void etg_bodiless_make(request_rec *r, int status);

#endif
