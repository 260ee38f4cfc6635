/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_date.c: the three forms of an HTTP-date.
 *
 * Each form is read against a picture of its own, byte by byte, and the
 * calendar is computed: no locale, no time zone data base, no allocation.
 */
#include "lib/http_date.h"

#include <string.h>

#include <apr_cstr.h>

/*
 * Pictures of what follows the weekday. D day, M month, Y and y year of four
 * and two digits, h m s time, _ a day with a space for the ten; the rest
 * stands for itself, in any case.
 */
#define IMF_FIXDATE ", DD MMM YYYY hh:mm:ss GMT"
#define ASCTIME     " MMM __ hh:mm:ss YYYY"
#define RFC_850     ", DD-MMM-yy hh:mm:ss GMT"

#define SHORT_WEEKDAY 3
#define SECONDS_A_DAY 86400
#define CENTURY 100
#define FUTURE_YEARS 50

/* What a picture yields. */
typedef struct calendar_time {
    int year;
    int month;      /* 0-11 */
    int day;        /* 1-31 */
    int hour;
    int minute;
    int second;
} calendar_time;

static int read_picture(etg_bytes text, const char *picture,
                        calendar_time *found);
static int read_digits(const unsigned char *at, int count, int *value);
static int read_name(const unsigned char *at, const char *names, int *index);
static apr_size_t skip_weekday(etg_bytes text);
static int is_possible(const calendar_time *found);
static int widen_year(const calendar_time *found, apr_time_t now);
static apr_time_t time_of(const calendar_time *found);
static apr_int64_t days_before(int year, int month);
static int year_of(apr_time_t when);

int etg_http_date_parse(etg_bytes text, apr_time_t now, apr_time_t *when)
{
    calendar_time found;
    apr_size_t weekday = skip_weekday(text);

    if (weekday == 0) {
        return 0;
    }
    text.data += weekday;
    text.length -= weekday;
    if (weekday == SHORT_WEEKDAY) {
        if (!read_picture(text, IMF_FIXDATE, &found)
            && !read_picture(text, ASCTIME, &found)) {
            return 0;
        }
    }
    else {
        if (!read_picture(text, RFC_850, &found)) {
            return 0;
        }
        found.year = widen_year(&found, now);
    }
    if (!is_possible(&found)) {
        return 0;
    }
    *when = time_of(&found);
    return 1;
}

static int read_picture(etg_bytes text, const char *picture,
                        calendar_time *found)
{
    const unsigned char *at = text.data;
    int ok = text.length == strlen(picture);

    while (ok && *picture != '\0') {
        int width = 2;

        switch (*picture) {
        case 'D': ok = read_digits(at, 2, &found->day); break;
        case 'h': ok = read_digits(at, 2, &found->hour); break;
        case 'm': ok = read_digits(at, 2, &found->minute); break;
        case 's': ok = read_digits(at, 2, &found->second); break;
        case 'y': ok = read_digits(at, 2, &found->year); break;
        case 'Y':
            width = 4;
            ok = read_digits(at, 4, &found->year);
            break;
        case '_':
            ok = at[0] == ' ' ? read_digits(at + 1, 1, &found->day)
                              : read_digits(at, 2, &found->day);
            break;
        case 'M':
            /* "GMT" holds an M as well: a month is a run of three. */
            if (picture[1] == 'M') {
                width = 3;
                ok = read_name(at, "janfebmaraprmayjunjulaugsepoctnovdec",
                               &found->month);
                break;
            }
            /* fall through */
        default:
            width = 1;
            ok = apr_cstr_casecmpn((const char *)at, picture, 1) == 0;
        }
        at += width;
        picture += width;
    }
    return ok;
}

static int read_digits(const unsigned char *at, int count, int *value)
{
    int sum = 0;

    while (count-- > 0) {
        if (*at < '0' || *at > '9') {
            return 0;
        }
        sum = sum * 10 + (*at++ - '0');
    }
    *value = sum;
    return 1;
}

/* Which of the three-letter `names` stands at `at`? */
static int read_name(const unsigned char *at, const char *names, int *index)
{
    int i;

    for (i = 0; names[i * 3] != '\0'; i++) {
        if (apr_cstr_casecmpn((const char *)at, names + i * 3, 3) == 0) {
            *index = i;
            return 1;
        }
    }
    return 0;
}

/* The length of the weekday in front: 3, that of a full name, or 0. */
static apr_size_t skip_weekday(etg_bytes text)
{
    static const char *const endings[] = {
        "day", "day", "sday", "nesday", "rsday", "day", "urday"
    };
    apr_size_t length;
    int index;

    if (text.length < 5
        || !read_name(text.data, "sunmontuewedthufrisat", &index)) {
        return 0;
    }
    if (text.data[3] == ',' || text.data[3] == ' ') {
        return SHORT_WEEKDAY;
    }
    length = strlen(endings[index]);
    if (text.length - 3 < length
        || apr_cstr_casecmpn((const char *)text.data + 3, endings[index],
                             length) != 0) {
        return 0;
    }
    return 3 + length;
}

static int is_possible(const calendar_time *found)
{
    apr_int64_t days = days_before(found->year, found->month + 1)
                       - days_before(found->year, found->month);

    /* 60: a leap second, which the grammar allows. */
    return found->day >= 1 && found->day <= days && found->hour <= 23
           && found->minute <= 59 && found->second <= 60;
}

/* The year of this number that is at most 50 years ahead. */
static int widen_year(const calendar_time *found, apr_time_t now)
{
    int this_year = year_of(now);
    int last = this_year + FUTURE_YEARS;
    calendar_time guess = *found;

    guess.year += last - last % CENTURY;
    if (guess.year > last) {
        guess.year -= CENTURY;
    }
    if (guess.year == last) {
        /* In the last year the day decides: has this year seen it? */
        guess.year = this_year;
        guess.year = time_of(&guess) > now ? last - CENTURY : last;
    }
    return guess.year;
}

static apr_time_t time_of(const calendar_time *found)
{
    apr_int64_t days = days_before(found->year, found->month)
                       + found->day - 1;

    return apr_time_from_sec(days * SECONDS_A_DAY + found->hour * 3600
                             + found->minute * 60 + found->second);
}

/* Days from 1970-01-01 to the first of a month (0-12) of the Gregorian
 * calendar; years are counted from March, so that leap days come last. */
static apr_int64_t days_before(int year, int month)
{
    apr_int64_t from_march = (month + 10) % 12;
    apr_int64_t y = (apr_int64_t)year + month / 12 - (month % 12 < 2);
    apr_int64_t century = y >= 0 ? y / 100 : -1;
    apr_int64_t leaps = (y >= 0 ? y / 4 : -1) - century
                        + (century >= 0 ? century / 4 : -1);

    return y * 365 + leaps + (from_march * 153 + 2) / 5 - 719468;
}

static int year_of(apr_time_t when)
{
    apr_int64_t days = apr_time_sec(when) / SECONDS_A_DAY;
    int year = (int)(1970 + days / 366);

    while (days_before(year + 1, 0) <= days) {
        year++;
    }
    return year;
}
