/* SPDX-License-Identifier: Apache-2.0 */
/* http_date.h: HTTP-date (RFC 9110 §5.6.7), strictly. */
#ifndef ETG_LIB_HTTP_DATE_H
#define ETG_LIB_HTTP_DATE_H

#include <apr_time.h>

#include "etg_bytes.h"

/* Reads IMF-fixdate, RFC 850 or asctime form, all in GMT; anything else
 * (other zones, "UTC", missing comma, impossible day, one space too many,
 * trailing text) is refused with 0. The letter case of names and of GMT does
 * not matter, and a weekday that is not the date's own is tolerated if it is
 * one. Two-digit years more than 50 years ahead of `now` are in the past
 * century. */
int etg_http_date_parse(etg_bytes text, apr_time_t now, apr_time_t *when);

#endif
