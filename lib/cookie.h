/* SPDX-License-Identifier: Apache-2.0 */
/* cookie.h: the Cookie field, as far as ETagCacheIgnoreCookies needs it. */
#ifndef ETG_LIB_COOKIE_H
#define ETG_LIB_COOKIE_H

#include <apr_pools.h>
#include <apr_tables.h>

/* The Cookie value without the cookies whose name matches one of `patterns`
 * (const char * rows, shell patterns, case-sensitive; NULL: none), order
 * kept. NULL if no cookie is left or value is NULL; `value` itself if nothing
 * was removed. A cookie without "=" is a name. Several lines are to be joined
 * with "; " first (etg_field_joined); what httpd itself has joined with ", "
 * is kept, as a session may hide in it. */
const char *etg_cookie_without(const char *value,
                               const apr_array_header_t *patterns,
                               apr_pool_t *p);

#endif
