/* SPDX-License-Identifier: Apache-2.0 */
/* precondition.h: conditional requests against a stored response
 * (RFC 9110 §13.2.2, RFC 9111 §4.3.2). */
#ifndef ETG_LIB_PRECONDITION_H
#define ETG_LIB_PRECONDITION_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

typedef enum etg_precondition {
    ETG_PRECONDITION_PASS,          /* answer as if there were none */
    ETG_PRECONDITION_NOT_MODIFIED,  /* 304 */
    ETG_PRECONDITION_FAILED         /* 412 */
} etg_precondition;

/* Evaluates If-Match, If-Unmodified-Since, If-None-Match and
 * If-Modified-Since, in the RFC's order, for GET and HEAD on a response of
 * `status` (only 2xx have preconditions). `etag` and `last_modified` are
 * field values or NULL; for a response without Last-Modified a cache gives
 * its Date (RFC 9111 §4.3.2). If-None-Match decides alone. Dates that do not
 * parse are as absent; repeated If-*-Since fields as well. Allocates in `p`
 * only if a list field has several lines. */
etg_precondition etg_precondition_decide(const apr_table_t *request_fields,
                                         int status, const char *etag,
                                         const char *last_modified,
                                         apr_time_t now, apr_pool_t *p);

/* What a client's dates are held against, as `last_modified` for the two
 * functions here: Last-Modified or, where a response has none, its Date (RFC
 * 9111 §4.3.2). NULL: nothing. A Last-Modified that was made of the data's
 * times (`is_ours`) stays when a member goes, so no date is held against it;
 * and where the data is known (`has_data`) Date does not stand in, as it stays
 * while the data moves within its second. */
const char *etg_precondition_date(const char *last_modified, int is_ours,
                                  const char *date, int has_data);

/* Does If-Range hold (or is there none)? Strong comparison of a tag; a date
 * only if it is the very time of last_modified and that is strong: at least
 * one second before `date`, the response's Date (RFC 9110 §8.8.2.2).
 * `last_modified` is that field's value only, never a Date. A field that is
 * repeated, or neither tag nor date, does not hold. */
int etg_if_range_holds(const apr_table_t *request_fields, const char *etag,
                       const char *last_modified, apr_time_t date,
                       apr_time_t now);

/* Does the request carry any precondition or Range? */
int etg_is_conditional(const apr_table_t *request_fields);

#endif
