/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field_words.h: the names, values and status lines that responses repeat,
 * as small codes for the records.
 *
 * The codes are part of the record format: rows are only ever appended.
 */
#ifndef ETG_LIB_FIELD_WORDS_H
#define ETG_LIB_FIELD_WORDS_H

#include <apr_time.h>

#include "etg_bytes.h"

#define ETG_DATE_BYTES 30   /* of an IMF-fixdate, terminator included */

/* The code of a field name in exactly this spelling (below 128), or 0. */
unsigned etg_name_code(const char *name);

/* The name of a code; NULL if there is none. Static. */
const char *etg_name_of(apr_uint64_t code);

/* The code of a whole field value (below 64), or 0. */
unsigned etg_value_code(const char *value);

/* The value of a code; NULL if there is none. Static. */
const char *etg_value_of(apr_uint64_t code);

/* The usual status line of a status ("200 OK"); NULL if there is none. */
const char *etg_status_line_of(int status);

/* Is the value an HTTP date in just the form etg_date_write makes? */
int etg_date_read(const char *value, apr_time_t *when);

/* Writes whole seconds of 1970 to 9999 as an IMF-fixdate with its
 * terminator. Returns 0 for other times, and writes nothing. */
int etg_date_write(char text[ETG_DATE_BYTES], apr_time_t when);

#endif
