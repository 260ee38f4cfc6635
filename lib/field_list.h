/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field_list.h: field values that are comma-separated lists (RFC 9110 §5.6.1).
 */
#ifndef ETG_LIB_FIELD_LIST_H
#define ETG_LIB_FIELD_LIST_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

/* All lines of field `name` joined by ", " in order (RFC 9110 §5.3); NULL if
 * there is none. One line is returned as it stands, without a copy; several
 * are joined in `p`. */
const char *etg_field_combined(const apr_table_t *fields, const char *name,
                               apr_pool_t *p);

/* The same with another separator, for fields that are no comma-separated
 * lists (Cookie: "; "). */
const char *etg_field_joined(const apr_table_t *fields, const char *name,
                             const char *separator, apr_pool_t *p);

/* How many lines the field has. */
unsigned etg_field_count(const apr_table_t *fields, const char *name);

/* Takes the next non-empty member off *rest (which shrinks), white space
 * around it removed. Commas inside quoted strings do not separate. Returns 0
 * at the end. Unterminated quotes run to the end. */
int etg_list_next(etg_bytes *rest, etg_bytes *member);

/* Terminated text as bytes, NULL as none: where a cursor for etg_list_next
 * starts. */
etg_bytes etg_bytes_of(const char *text);

/* `text` without the white space (SP, HTAB) around it. */
etg_bytes etg_bytes_trim(etg_bytes text);

/* Is `text` this word, in any letter case? */
int etg_bytes_is(etg_bytes text, const char *word);

/* An ASCII letter in lower case, any other byte as it is: no locale. */
char etg_lower(unsigned char byte);

/* Does the list hold `token`, case-insensitively? NULL value: no. */
int etg_list_has_token(const char *value, const char *token);

/* A token (RFC 9110 §5.6.2)? Length 0 is none. */
int etg_is_token(etg_bytes text);

/* The same for one byte. */
int etg_is_token_byte(unsigned char byte);

/* delta-seconds (RFC 9111 §1.2.2): digits only, capped at 2^31; returns 0
 * for anything else (sign, fraction, empty, trailing text). */
int etg_delta_seconds(etg_bytes text, apr_int64_t *seconds);

/* A weight (RFC 9110 §12.4.2), "q=" and 0 to 1 with at most three decimals, in
 * thousandths; -1 for anything else. */
#define ETG_WEIGHT_ONE 1000
int etg_weight_read(etg_bytes text);

#endif
