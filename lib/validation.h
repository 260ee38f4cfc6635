/* SPDX-License-Identifier: Apache-2.0 */
/* validation.h: asking the backend whether a stored response still holds, and
 * what its answer does to it (RFC 9111 §3.2, §4.3). */
#ifndef ETG_LIB_VALIDATION_H
#define ETG_LIB_VALIDATION_H

#include "lib/http_view.h"
#include "lib/storable.h"
#include "lib/stored_response.h"

/* Fields of a fetch that may be stored: a copy of the client's in `p`,
 * without If-* and Range, with the backend's own validators of `stored` (NULL:
 * none, it is asked in full; `etags` adds more tags for If-None-Match, NULL or
 * a list) and `Accept-Encoding: identity`. Validators go along only if the
 * stored status is 2xx: backends know preconditions for no other, and a 304 by
 * date could revive a stored error. Connection is reduced to its hop tokens, so
 * that no client takes a field away that is part of the key; cookies matched by
 * `ignored_cookies` are removed. */
apr_table_t *etg_fetch_fields(const apr_table_t *client_fields,
                              const etg_stored_response *stored,
                              const char *etags,
                              const apr_array_header_t *ignored_cookies,
                              apr_pool_t *p);

/* Does a 304 with these fields speak of `stored` (§4.3.4)? It is held against
 * the backend's own validators: its ETag decides, compared weakly; without one
 * (or with one where nothing is stored to compare) its Last-Modified; with
 * neither it does: it answers what we asked. */
int etg_validation_selects(const etg_stored_response *stored,
                           const apr_table_t *fields_304);

/* Stored fields updated by those of a 304, or of a HEAD's 200 (§3.2, §4.3.5):
 * every field of the new ones replaces all stored of that name, except
 * Content-Length, Content-Encoding and Content-Type (they belong to the body
 * we have; PHP puts its default type on every 304), Set-Cookie and -2 (of
 * that one client), a strong ETag that is not the stored one (our bytes were
 * never promised to be its), an ETag or Last-Modified where the stored one is
 * ours, and hop-by-hop fields. Date is the new one's, or gone if it has none. A
 * table in `p`; it may hold fields that etg_storable_fields takes out again
 * (Age, our targeted field). */
apr_table_t *etg_validation_update(const etg_stored_response *stored,
                                   const apr_table_t *fresh_fields,
                                   apr_pool_t *p);

/* The other half of the update by a 304: where a validator in `updated`'s
 * fields is ours, the one that the 304 brings becomes backend_etag or
 * backend_last_modified (a strong tag only if it is the one that is there).
 * The strings are the table's. `updated` is the copy of the stored response
 * that the update made. Not for a HEAD's 200: its fields have ours in them. */
void etg_validation_renew_backend(etg_stored_response *updated,
                                  const apr_table_t *fields_304);

/*
 * etg_storable_decide for a stored response that was updated: `fresh` is the
 * 304 (or HEAD's 200) as received, `updated` what etg_validation_update made
 * of it. Not the same as deciding on `updated` alone: the record has lost
 * what is never stored (our targeted field) and holds an override as if the
 * backend had said it. So where `fresh` carries no Cache-Control and no
 * targeted field, the stored permission for private requests and, unless an
 * override, a new Expires or the heuristic says otherwise, the stored
 * lifetime and flags stay. What has the digest of its data counts as having
 * it still. Whatever the answer, this request may be answered with the
 * response: it was just validated for it. If it is no, the update is not
 * stored, and if it is uncacheable the stored response must go as well
 * (otherwise only this request was in the way).
 */
void etg_validation_decide(etg_storable *decision,
                           const etg_stored_response *stored,
                           const etg_request_view *request,
                           const etg_response_view *fresh,
                           const apr_table_t *updated,
                           const etg_policy *policy, apr_pool_t *p);

/* May a HEAD's 200 with these fields update the stored GET response? No: it
 * says that the stored one is outdated, by another validator or length
 * (§4.3.5). The length is that of the form that the HEAD's Content-Encoding
 * names; of a form we made, a gzip of our own, the backend cannot speak. The
 * validators are those of the fields as stored: the HEAD's come with ours put
 * on in the same way. */
int etg_head_agrees(const etg_stored_response *stored,
                    const apr_table_t *head_fields);

#endif
