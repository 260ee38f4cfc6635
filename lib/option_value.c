/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_value.c: parsers and writers for configuration values.
 *
 * A value is digits and a unit; a unit is a row of a table that both the
 * parser and the writer read. Every product is checked for overflow before
 * it is made. Called while httpd reads its configuration, and by tests.
 */
#include "option_value.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

typedef struct unit {
    const char *name;
    apr_int64_t factor;
} unit;

/* Ascending: the writer takes the last one that divides the value. */
static const unit duration_units[] = {
    { "ms", ETG_MILLISECOND }, { "s", ETG_SECOND }, { "m", ETG_MINUTE },
    { "h", ETG_HOUR }, { "d", ETG_DAY }, { "w", ETG_WEEK }, { "y", ETG_YEAR },
    { NULL, 0 }
};

static const unit size_units[] = {
    { "", 1 }, { "K", ETG_KIB }, { "M", ETG_MIB }, { "G", ETG_GIB },
    { NULL, 0 }
};

static apr_size_t parse_digits(etg_bytes text, apr_int64_t *number);
static int scale(apr_int64_t number, apr_int64_t factor, apr_int64_t *result);
static const char *write_value(char *buffer, const unit *units,
                               apr_int64_t value);

int etg_duration_parse(etg_bytes text, apr_int64_t *us)
{
    apr_int64_t number;
    apr_size_t digits = parse_digits(text, &number);
    apr_size_t rest = text.length - digits;

    if (digits == 0) {
        return 0;
    }
    if (rest == 0) {
        return scale(number, ETG_SECOND, us);
    }
    for (const unit *u = duration_units; u->name != NULL; ++u) {
        if (strlen(u->name) == rest
            && memcmp(text.data + digits, u->name, rest) == 0) {
            return scale(number, u->factor, us);
        }
    }
    return 0;
}

int etg_size_parse(etg_bytes text, apr_int64_t *bytes)
{
    apr_int64_t number;
    apr_size_t digits = parse_digits(text, &number);

    if (digits == 0 || text.length > digits + 1) {
        return 0;
    }
    if (text.length == digits) {
        *bytes = number;
        return 1;
    }
    switch (text.data[digits]) {
    case 'k':
    case 'K':
        return scale(number, ETG_KIB, bytes);
    case 'm':
    case 'M':
        return scale(number, ETG_MIB, bytes);
    case 'g':
    case 'G':
        return scale(number, ETG_GIB, bytes);
    default:
        return 0;
    }
}

int etg_integer_parse(etg_bytes text, apr_int64_t *number)
{
    apr_int64_t magnitude;
    int negative = text.length > 0 && text.data[0] == '-';

    if (negative) {
        ++text.data;
        --text.length;
    }
    if (text.length == 0 || parse_digits(text, &magnitude) != text.length) {
        return 0;
    }
    *number = negative ? -magnitude : magnitude;
    return 1;
}

int etg_fraction_parse(etg_bytes text, double *fraction)
{
    double value = 0, place = 1;
    apr_size_t digits = 0;
    int point = 0;

    for (apr_size_t i = 0; i < text.length; ++i) {
        unsigned char c = text.data[i];
        if (c == '.' && !point) {
            point = 1;
            continue;
        }
        if (c < '0' || c > '9') {
            return 0;
        }
        ++digits;
        place = point ? place / 10 : 1;
        value = point ? value + (c - '0') * place : value * 10 + (c - '0');
    }
    if (digits == 0 || value > 1) {
        return 0;
    }
    *fraction = value;
    return 1;
}

int etg_word_parse(etg_bytes text, const char *const *words, int *place)
{
    for (int i = 0; words[i] != NULL; ++i) {
        if (strlen(words[i]) == text.length
            && strncasecmp(words[i], (const char *)text.data,
                           text.length) == 0) {
            *place = i;
            return 1;
        }
    }
    return 0;
}

const char *etg_duration_write(char *buffer, apr_int64_t us)
{
    return us == 0 ? strcpy(buffer, "0s")
                   : write_value(buffer, duration_units, us);
}

const char *etg_size_write(char *buffer, apr_int64_t bytes)
{
    return write_value(buffer, size_units, bytes);
}

/* How many leading digits there are; 0 if none or if they overflow. */
static apr_size_t parse_digits(etg_bytes text, apr_int64_t *number)
{
    apr_int64_t value = 0;
    apr_size_t i;

    for (i = 0; i < text.length; ++i) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9) {
            break;
        }
        if (value > (APR_INT64_MAX - digit) / 10) {
            return 0;
        }
        value = value * 10 + digit;
    }
    *number = value;
    return i;
}

static int scale(apr_int64_t number, apr_int64_t factor, apr_int64_t *result)
{
    if (number > APR_INT64_MAX / factor) {
        return 0;
    }
    *result = number * factor;
    return 1;
}

static const char *write_value(char *buffer, const unit *units,
                               apr_int64_t value)
{
    const unit *best = units;

    for (const unit *u = units; u->name != NULL; ++u) {
        if (value != 0 && value % u->factor == 0) {
            best = u;
        }
    }
    apr_snprintf(buffer, ETG_VALUE_TEXT_BYTES, "%" APR_INT64_T_FMT "%s",
                 value / best->factor, best->name);
    return buffer;
}
