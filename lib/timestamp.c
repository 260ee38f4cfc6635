/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timestamp.c: the one moment a text of one of many forms stands for.
 *
 * The first bytes say which form it has: a letter begins an HTTP-date, a
 * hyphen after four digits a calendar date, anything else is a number. A
 * reader takes what it knows off the front of the text; whoever is last asks
 * that nothing is left.
 */
#include "lib/timestamp.h"

#include <string.h>

#include "lib/http_date.h"

#define LAST_SECOND (ETG_TIMESTAMP_MAX / APR_USEC_PER_SEC)
#define LAST_MS (ETG_TIMESTAMP_MAX / 1000)
#define DAY_US (APR_USEC_PER_SEC * 86400)
#define EPOCH_DIGITS_MAX 18

/* 2019-12-31T23:59:59Z: two digits reach 50 years beyond, to 2069. */
#define TWO_DIGITS_NOW (APR_INT64_C(1577836799) * APR_USEC_PER_SEC)

static int read_calendar(etg_bytes rest, apr_time_t *found);
static int read_date(etg_bytes *rest, apr_time_exp_t *exploded);
static int read_clock(etg_bytes *rest, apr_time_exp_t *exploded);
static int read_zone(etg_bytes *rest, int is_sql, apr_int32_t *seconds);
static int read_offset(etg_bytes *rest, int is_sql, apr_int32_t *seconds);
static int read_epoch(etg_bytes rest, apr_time_t *found);
static int take_fraction(etg_bytes *rest, apr_int32_t *us);
static int take_number(etg_bytes *rest, int digits, apr_int32_t *value);
static int take_byte(etg_bytes *rest, const char *allowed);
static int days_of(int year, int month);
static int is_letter(unsigned char byte);
static int is_digit(unsigned char byte);

int etg_timestamp_parse(etg_bytes text, apr_time_t *us)
{
    apr_time_t found = 0;
    int ok;

    if (text.length == 0) {
        return 0;
    }
    if (is_letter(text.data[0])) {
        ok = etg_http_date_parse(text, TWO_DIGITS_NOW, &found);
    }
    else if (text.length > 4 && text.data[4] == '-') {
        ok = read_calendar(text, &found);
    }
    else {
        ok = read_epoch(text, &found);
    }
    if (!ok || found < 0 || found > ETG_TIMESTAMP_MAX) {
        return 0;
    }
    *us = found;
    return 1;
}

static int read_calendar(etg_bytes rest, apr_time_t *found)
{
    apr_time_exp_t exploded;
    int separator;

    memset(&exploded, 0, sizeof(exploded));
    if (!read_date(&rest, &exploded)) {
        return 0;
    }
    separator = take_byte(&rest, "Tt ");
    if (separator == 0 || !read_clock(&rest, &exploded)
        || !read_zone(&rest, separator == ' ', &exploded.tm_gmtoff)
        || rest.length > 0
        || apr_time_exp_gmt_get(found, &exploded) != APR_SUCCESS) {
        return 0;
    }
    return exploded.tm_sec < 60
           || (*found - exploded.tm_usec) % DAY_US == 0;
}

static int read_date(etg_bytes *rest, apr_time_exp_t *exploded)
{
    if (!take_number(rest, 4, &exploded->tm_year) || !take_byte(rest, "-")
        || !take_number(rest, 2, &exploded->tm_mon) || !take_byte(rest, "-")
        || !take_number(rest, 2, &exploded->tm_mday)
        || exploded->tm_year < 1970
        || exploded->tm_mon < 1 || exploded->tm_mon > 12
        || exploded->tm_mday < 1
        || exploded->tm_mday > days_of(exploded->tm_year, exploded->tm_mon)) {
        return 0;
    }
    exploded->tm_year -= 1900;
    exploded->tm_mon -= 1;
    return 1;
}

static int read_clock(etg_bytes *rest, apr_time_exp_t *exploded)
{
    return take_number(rest, 2, &exploded->tm_hour) && take_byte(rest, ":")
           && take_number(rest, 2, &exploded->tm_min) && take_byte(rest, ":")
           && take_number(rest, 2, &exploded->tm_sec)
           && exploded->tm_hour <= 23 && exploded->tm_min <= 59
           && exploded->tm_sec <= 60
           && take_fraction(rest, &exploded->tm_usec);
}

/* SQL's zone may be missing, or short. */
static int read_zone(etg_bytes *rest, int is_sql, apr_int32_t *seconds)
{
    int sign;

    if (is_sql && rest->length == 0) {
        return 1;
    }
    sign = take_byte(rest, "Zz+-");
    if (sign == 0 || sign == 'Z' || sign == 'z') {
        return sign != 0;
    }
    if (!read_offset(rest, is_sql, seconds)) {
        return 0;
    }
    if (sign == '-') {
        *seconds = -*seconds;
    }
    return 1;
}

static int read_offset(etg_bytes *rest, int is_sql, apr_int32_t *seconds)
{
    apr_int32_t hours;
    apr_int32_t minutes = 0;

    if (!take_number(rest, 2, &hours)) {
        return 0;
    }
    if (!is_sql || rest->length > 0) {
        if ((!take_byte(rest, ":") && !is_sql)
            || !take_number(rest, 2, &minutes)) {
            return 0;
        }
    }
    *seconds = hours * 3600 + minutes * 60;
    return hours <= 23 && minutes <= 59;
}

static int read_epoch(etg_bytes rest, apr_time_t *found)
{
    apr_int64_t number = 0;
    apr_int32_t us = 0;
    int digits = 0;
    int has_fraction;

    /* The bound of the loop leaves a longer number unread. */
    while (rest.length > 0 && is_digit(rest.data[0])
           && digits < EPOCH_DIGITS_MAX && (digits == 0 || number > 0)) {
        number = number * 10 + (rest.data[0] - '0');
        rest.data++;
        rest.length--;
        digits++;
    }
    has_fraction = rest.length > 0;
    if (digits == 0 || !take_fraction(&rest, &us) || rest.length > 0) {
        return 0;
    }
    if (number <= LAST_SECOND) {
        *found = apr_time_from_sec(number) + us;
        return 1;
    }
    *found = number <= LAST_MS ? number * 1000 : number;
    return !has_fraction;
}

/* Takes a fraction of a second, if there is one; 0: a dot without digits. */
static int take_fraction(etg_bytes *rest, apr_int32_t *us)
{
    apr_int32_t weight = APR_USEC_PER_SEC / 10;
    apr_int32_t sum = 0;

    if (!take_byte(rest, ".")) {
        return 1;
    }
    if (rest->length == 0 || !is_digit(rest->data[0])) {
        return 0;
    }
    while (rest->length > 0 && is_digit(rest->data[0])) {
        sum += weight * (rest->data[0] - '0');
        weight /= 10;
        rest->data++;
        rest->length--;
    }
    *us = sum;
    return 1;
}

static int take_number(etg_bytes *rest, int digits, apr_int32_t *value)
{
    apr_int32_t sum = 0;

    for (; digits > 0; digits--) {
        if (rest->length == 0 || !is_digit(rest->data[0])) {
            return 0;
        }
        sum = sum * 10 + (rest->data[0] - '0');
        rest->data++;
        rest->length--;
    }
    *value = sum;
    return 1;
}

/* Takes one of the bytes allowed, and says which; 0: the next is none. */
static int take_byte(etg_bytes *rest, const char *allowed)
{
    if (rest->length == 0 || rest->data[0] == '\0'
        || strchr(allowed, rest->data[0]) == NULL) {
        return 0;
    }
    rest->length--;
    return *rest->data++;
}

static int days_of(int year, int month)
{
    static const unsigned char days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };
    int is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && is_leap);
}

static int is_letter(unsigned char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static int is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}
