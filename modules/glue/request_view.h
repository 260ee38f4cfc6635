/* SPDX-License-Identifier: Apache-2.0 */
/* request_view.h: httpd's request_rec as the plain views that lib/ decides
 * on. */
#ifndef ETG_GLUE_REQUEST_VIEW_H
#define ETG_GLUE_REQUEST_VIEW_H

#include <httpd.h>

#include "lib/http_view.h"

/* The request_rec the client's own request made: the start of r->prev. */
request_rec *etg_first_request(request_rec *r);

/* What stands for the scheme in r's cache key: "http" or "https" and, where a
 * virtual host answers, its name and port. Two of them may answer the same
 * Host differently (by port or address), and a client may send any port in
 * Host. */
const char *etg_key_scheme_of(request_rec *r);

/* Fills *view from r: `fields` is r->headers_in itself. `private_fields`
 * (const char * rows) make a request private when present; Cookie counts
 * without the cookies matched by `ignored_cookies`. */
void etg_request_view_of(etg_request_view *view, request_rec *r,
                         const apr_array_header_t *private_fields,
                         const apr_array_header_t *ignored_cookies);

/* The response's fields as httpd would send them now: headers_out with
 * err_headers_out laid over, Content-Type, Content-Encoding and
 * Content-Language from the request_rec. A new table in r->pool. */
apr_table_t *etg_response_fields_of(request_rec *r);

/* Has its client shown a certificate? */
int etg_request_has_certificate(request_rec *r);

/* Does the request have a body? */
int etg_request_has_body(request_rec *r);

/* Does a GET or HEAD ask for nothing but a resource? A body, a protocol
 * change or a method in disguise makes it something else; without Host
 * nothing says whose resource it is. */
int etg_request_may_be_looked_up(request_rec *r);

/* Takes a Range away that an If-Range allows by a date alone: where dates are
 * ours, two responses that have the same one may differ, and a part of one
 * must not be put to a part of another. */
void etg_request_forget_range_by_date(request_rec *r);

#endif
