/* SPDX-License-Identifier: Apache-2.0 */
/* timestamp.h: a moment as databases, JSON APIs and HTTP write it. */
#ifndef ETG_LIB_TIMESTAMP_H
#define ETG_LIB_TIMESTAMP_H

#include <apr_time.h>

#include "etg_bytes.h"

/* The last moment there is: 9999-12-31T23:59:59.999999Z. */
#define ETG_TIMESTAMP_MAX APR_INT64_C(253402300799999999)

/*
 * Reads a timestamp, in µs since 1970. The whole text is one of:
 *
 *   RFC 3339        2026-11-22T23:05:00.25+01:00; T, t or a space between,
 *                   Z, z or an offset of hours and minutes at the end
 *   SQL             2026-11-22 23:05:00.25+01; the offset is hours, with or
 *                   without minutes (+01, +0100, +01:00); none is UTC
 *   an HTTP-date    all three forms, see http_date.h; a year of two digits
 *                   is one of 1970-2069
 *   since the epoch a number without sign or leading zeros, whose size says
 *                   its unit:
 *                     0 to 253402300799                    seconds, also
 *                                                          with a fraction
 *                     253402300800 to 253402300799999      ms
 *                     253402300800000 and above            µs
 *                   so each unit reaches the end of 9999, and ms and µs
 *                   begin on 1978-01-11
 *
 * Fractions have any number of digits and are cut (not rounded) to µs. Both
 * the year as written and the moment in UTC are 1970-9999. A leap second is
 * the second after it, as for POSIX and HTTP-dates; it is read only where
 * there can be one, at the end of a day in UTC (in HTTP-dates at the end of
 * any minute).
 *
 * 0: anything else (white space around it, an impossible day, 24:00, a
 * fraction without digits, T without a zone, a zone's name, an exponent).
 * No time zone data base, no locale, no allocation.
 */
int etg_timestamp_parse(etg_bytes text, apr_time_t *us);

#endif
