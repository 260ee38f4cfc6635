/* SPDX-License-Identifier: Apache-2.0 */
/* validation.h: asking the backend whether a stored response still holds, and
 * what its answer does to it (RFC 9111 §3.2, §4.3). */
#ifndef ETG_LIB_VALIDATION_H
#define ETG_LIB_VALIDATION_H

#include "lib/http_view.h"
#include "lib/stored_response.h"

/* Fields of a fetch that may be stored: a copy of the client's in `p`,
 * without If-*, Range, with `stored`'s validators (NULL: none; `etags` adds
 * more tags for If-None-Match, NULL or a list) and identity coding. The
 * Connection field is reduced to hop tokens; cookies matched by `ignored`
 * are removed. */
apr_table_t *etg_fetch_fields(const apr_table_t *client_fields,
                              const etg_stored_response *stored,
                              const char *etags,
                              const apr_array_header_t *ignored_cookies,
                              apr_pool_t *p);

/* Does a 304 with these fields speak of `stored` (§4.3.4)? By strong tag, by
 * weak tag, by Last-Modified, or having no validator at all. */
int etg_validation_selects(const etg_stored_response *stored,
                           const apr_table_t *fields_304);

/* Stored fields updated by those of a 304, or of a HEAD's 200 (§3.2, §4.3.5):
 * every field of the new ones replaces all stored of that name, except
 * Content-Length, Content-Encoding, Content-Type, Content-Range, Transfer-
 * Encoding and hop-by-hop fields. Rows and result in `p`, as a table. */
apr_table_t *etg_validation_update(const etg_stored_response *stored,
                                   const apr_table_t *fresh_fields,
                                   apr_pool_t *p);

/* May a HEAD's 200 with these fields update the stored GET response, or does
 * it say that the stored one is outdated (another validator or length)? */
int etg_head_agrees(const etg_stored_response *stored,
                    const apr_table_t *head_fields);

#endif
