/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_value.h: the values a configuration is written in: durations, sizes,
 * whole numbers, fractions, switches and words out of a list.
 *
 * All parsers read the whole text, refuse everything else with 0 and leave
 * their result untouched then. The writers are for messages to the admin.
 */
#ifndef ETG_LIB_OPTION_VALUE_H
#define ETG_LIB_OPTION_VALUE_H

#include "etg_bytes.h"

/* Durations are microseconds, as in apr_interval_time_t. */
#define ETG_MILLISECOND APR_INT64_C(1000)
#define ETG_SECOND (APR_INT64_C(1000) * ETG_MILLISECOND)
#define ETG_MINUTE (60 * ETG_SECOND)
#define ETG_HOUR   (60 * ETG_MINUTE)
#define ETG_DAY    (24 * ETG_HOUR)
#define ETG_WEEK   (7 * ETG_DAY)
#define ETG_YEAR   (365 * ETG_DAY)

#define ETG_KIB (APR_INT64_C(1) << 10)
#define ETG_MIB (APR_INT64_C(1) << 20)
#define ETG_GIB (APR_INT64_C(1) << 30)

/* Room for what the writers below write, the final zero included. */
#define ETG_VALUE_TEXT_BYTES 32

/* "250ms", "10s", "5m", "1h", "30d", "2w", "1y"; a bare number is seconds.
 * Units are lower case; no sign, no fraction, no space. */
int etg_duration_parse(etg_bytes text, apr_int64_t *us);

/* "64K", "16M", "2G" (1024 each, either case); a bare number is bytes. */
int etg_size_parse(etg_bytes text, apr_int64_t *bytes);

/* Decimal digits with an optional '-'. */
int etg_integer_parse(etg_bytes text, apr_int64_t *number);

/* "0", "0.1", ".25", "1", "1.0": 0 to 1. */
int etg_fraction_parse(etg_bytes text, double *fraction);

/* The place of `text` in `words` (ends with NULL), in any case. */
int etg_word_parse(etg_bytes text, const char *const *words, int *place);

/* Write the shortest exact form ("90s", "1h", "64K") into `buffer` of
 * ETG_VALUE_TEXT_BYTES and return it. */
const char *etg_duration_write(char *buffer, apr_int64_t us);
const char *etg_size_write(char *buffer, apr_int64_t bytes);

#endif
