/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etg_cache.h: what mod_etag_cache holds, for other modules: optional
 * functions (apr_optional.h), looked up in post_config or later. Without that
 * module they are not there.
 */
#ifndef ETG_CACHE_H_PUBLIC
#define ETG_CACHE_H_PUBLIC

#include <httpd.h>
#include <apr_optional.h>

/*
 * Would mod_etag_cache answer `r`, a GET, with a stored 200 that is fresh by
 * time alone, now, without asking anybody? 1: then *fields are that 200's, as
 * its client would get them (Age, ETag of the form this client gets, Vary,
 * ...), in r->pool. 0: it would not, or not for sure: a store that does not
 * answer, a route whose data is read first, ETagCache Observe, ...
 *
 * r has passed access control and fixups: a client's request in its handler
 * phase, or a subrequest that was looked up and is not run. Its request fields
 * are those that count (preconditions and Range do not). No body is read, r
 * stays as it was, and whatever a hit would set going (refresh ahead) is.
 */
APR_DECLARE_OPTIONAL_FN(int, etg_cache_held_fresh,
                        (request_rec *r, const apr_table_t **fields));

/*
 * Do other clients wait for what mod_etag_cache has `r` fetched for? Then it
 * goes on when r's own client has left. For r's own thread; never blocks.
 */
APR_DECLARE_OPTIONAL_FN(int, etg_cache_is_followed, (request_rec *r));

#endif
