/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field_words.c: the tables behind the codes of stored fields, and dates.
 *
 * All tables are constant. A name has two spellings, as HTTP/1.1 software
 * writes it and in lower case, because a stored response keeps the spelling
 * of its backend. New rows go to the end: a code that was ever written keeps
 * its meaning.
 */
#include "lib/field_words.h"

#include <string.h>

#include <apr_date.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define LAST_SECOND APR_TIME_C(253402300799) /* 9999-12-31T23:59:59Z */

typedef struct name_row {
    const char *title;
    const char *lower;
} name_row;

typedef struct status_row {
    int status;
    const char *line;
} status_row;

/* Code of row i: 2 * i + 1, and one more in lower case. */
static const name_row names[] = {
    { "Content-Type", "content-type" },
    { "ETag", "etag" },
    { "Last-Modified", "last-modified" },
    { "Cache-Control", "cache-control" },
    { "Date", "date" },
    { "Vary", "vary" },
    { "Server", "server" },
    { "Expires", "expires" },
    { "Content-Encoding", "content-encoding" },
    { "Content-Length", "content-length" },
    { "Accept-Ranges", "accept-ranges" },
    { "Content-Language", "content-language" },
    { "Content-Location", "content-location" },
    { "Content-Disposition", "content-disposition" },
    { "Location", "location" },
    { "Link", "link" },
    { "X-Powered-By", "x-powered-by" },
    { "X-Frame-Options", "x-frame-options" },
    { "X-Content-Type-Options", "x-content-type-options" },
    { "X-XSS-Protection", "x-xss-protection" },
    { "X-Request-Id", "x-request-id" },
    { "X-Runtime", "x-runtime" },
    { "X-Download-Options", "x-download-options" },
    { "X-Permitted-Cross-Domain-Policies",
      "x-permitted-cross-domain-policies" },
    { "Referrer-Policy", "referrer-policy" },
    { "Strict-Transport-Security", "strict-transport-security" },
    { "Content-Security-Policy", "content-security-policy" },
    { "Access-Control-Allow-Origin", "access-control-allow-origin" },
    { "Access-Control-Allow-Methods", "access-control-allow-methods" },
    { "Access-Control-Allow-Headers", "access-control-allow-headers" },
    { "Access-Control-Allow-Credentials",
      "access-control-allow-credentials" },
    { "Access-Control-Expose-Headers", "access-control-expose-headers" },
    { "Access-Control-Max-Age", "access-control-max-age" },
    { "Pragma", "pragma" },
    { "Retry-After", "retry-after" },
    { "Surrogate-Control", "surrogate-control" },
    { "Surrogate-Key", "surrogate-key" },
    { "CDN-Cache-Control", "cdn-cache-control" },
    { "Etagere-Cache-Control", "etagere-cache-control" },
    { "Cache-Tag", "cache-tag" },
    { "Via", "via" },
    { "Warning", "warning" },
    { "Allow", "allow" },
    { "Alt-Svc", "alt-svc" },
    { "Permissions-Policy", "permissions-policy" },
    { "Server-Timing", "server-timing" },
    { "Timing-Allow-Origin", "timing-allow-origin" },
    { "X-Robots-Tag", "x-robots-tag" },
    { "X-UA-Compatible", "x-ua-compatible" },
    { "WWW-Authenticate", "www-authenticate" },
    { "Content-Digest", "content-digest" },
    { "Repr-Digest", "repr-digest" },
    { "Cross-Origin-Opener-Policy", "cross-origin-opener-policy" },
    { "Cross-Origin-Resource-Policy", "cross-origin-resource-policy" },
    { "Cross-Origin-Embedder-Policy", "cross-origin-embedder-policy" },
    { "X-Pingback", "x-pingback" },
    { "X-Generator", "x-generator" },
    { "Set-Cookie", "set-cookie" },
    { "Etag", "eTag" },
    { "Deprecation", "deprecation" },
    { "Sunset", "sunset" },
};

_Static_assert(ROWS(names) <= 63, "a name's code takes one byte");

/* Code of row i: i + 1. */
static const char *const values[] = {
    "text/html; charset=utf-8",
    "text/html; charset=UTF-8",
    "text/html;charset=UTF-8",
    "text/html",
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    "text/css",
    "text/css; charset=utf-8",
    "text/javascript",
    "text/javascript; charset=utf-8",
    "application/javascript",
    "application/javascript; charset=utf-8",
    "text/plain",
    "text/plain; charset=utf-8",
    "application/xml",
    "application/xml; charset=utf-8",
    "application/rss+xml; charset=UTF-8",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/svg+xml",
    "font/woff2",
    "application/pdf",
    "application/octet-stream",
    "Accept-Encoding",
    "accept-encoding",
    "Accept",
    "Accept, Accept-Encoding",
    "Accept-Language",
    "Origin",
    "Cookie",
    "Accept-Encoding,Cookie",
    "gzip",
    "br",
    "bytes",
    "en",
    "public",
    "no-cache",
    "max-age=0, private, must-revalidate",
    "public, max-age=60",
    "public, max-age=300",
    "public, max-age=3600",
    "public, max-age=86400",
    "public, max-age=31536000",
    "public, max-age=31536000, immutable",
    "max-age=60",
    "max-age=300",
    "max-age=3600",
    "max-age=86400",
    "nosniff",
    "SAMEORIGIN",
    "DENY",
    "0",
    "1; mode=block",
    "*",
    "none",
    "noopen",
    "strict-origin-when-cross-origin",
    "max-age=31536000; includeSubDomains",
};

_Static_assert(ROWS(values) <= 63, "a value's code takes one byte");

static const status_row statuses[] = {
    { 200, "200 OK" },
    { 201, "201 Created" },
    { 203, "203 Non-Authoritative Information" },
    { 204, "204 No Content" },
    { 300, "300 Multiple Choices" },
    { 301, "301 Moved Permanently" },
    { 302, "302 Found" },
    { 303, "303 See Other" },
    { 307, "307 Temporary Redirect" },
    { 308, "308 Permanent Redirect" },
    { 403, "403 Forbidden" },
    { 404, "404 Not Found" },
    { 405, "405 Method Not Allowed" },
    { 410, "410 Gone" },
    { 500, "500 Internal Server Error" },
    { 501, "501 Not Implemented" },
    { 503, "503 Service Unavailable" },
};

static void put_two(char *to, unsigned number);
static void put_day(char *text, unsigned days);

unsigned etg_name_code(const char *name)
{
    unsigned i;

    for (i = 0; i < ROWS(names); i++) {
        if (names[i].title[0] == name[0]
            && strcmp(names[i].title, name) == 0) {
            return 2 * i + 1;
        }
        if (names[i].lower[0] == name[0]
            && strcmp(names[i].lower, name) == 0) {
            return 2 * i + 2;
        }
    }
    return 0;
}

const char *etg_name_of(apr_uint64_t code)
{
    apr_uint64_t row = (code - 1) / 2;

    if (code == 0 || row >= ROWS(names)) {
        return NULL;
    }
    return code & 1 ? names[row].title : names[row].lower;
}

unsigned etg_value_code(const char *value)
{
    unsigned i;

    for (i = 0; i < ROWS(values); i++) {
        if (values[i][0] == value[0]
            && strcmp(values[i], value) == 0) {
            return i + 1;
        }
    }
    return 0;
}

const char *etg_value_of(apr_uint64_t code)
{
    return code == 0 || code > ROWS(values) ? NULL : values[code - 1];
}

const char *etg_status_line_of(int status)
{
    unsigned i;

    for (i = 0; i < ROWS(statuses); i++) {
        if (statuses[i].status == status) {
            return statuses[i].line;
        }
    }
    return NULL;
}

int etg_date_read(const char *value, apr_time_t *when)
{
    char again[ETG_DATE_BYTES];
    apr_time_t read;

    if (strlen(value) != ETG_DATE_BYTES - 1) {
        return 0;
    }
    read = apr_date_parse_http(value);
    /* The parser is lenient; the text must come back byte for byte. */
    if (!etg_date_write(again, read) || strcmp(again, value) != 0) {
        return 0;
    }
    *when = read;
    return 1;
}

int etg_date_write(char text[ETG_DATE_BYTES], apr_time_t when)
{
    apr_int64_t seconds = when / APR_USEC_PER_SEC;
    unsigned of_day;

    if (when < 0 || when % APR_USEC_PER_SEC != 0 || seconds > LAST_SECOND) {
        return 0;
    }
    of_day = (unsigned)(seconds % 86400);
    memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", ETG_DATE_BYTES);
    put_day(text, (unsigned)(seconds / 86400));
    put_two(text + 17, of_day / 3600);
    put_two(text + 20, of_day / 60 % 60);
    put_two(text + 23, of_day % 60);
    return 1;
}

static void put_two(char *to, unsigned number)
{
    to[0] = (char)('0' + number / 10);
    to[1] = (char)('0' + number % 10);
}

/* Weekday, day, month and year of a day after 1970-01-01, by own arithmetic:
 * gmtime_r takes a process-wide lock, and this runs on every hit. Years are
 * counted from March, so that the leap day is a year's last. */
static void put_day(char *text, unsigned days)
{
    unsigned since = days + 719468;              /* 0000-03-01 */
    unsigned century = (4 * since + 3) / 146097;
    unsigned of_century = since - century * 146097 / 4;
    unsigned years = (4 * of_century + 3) / 1461;
    unsigned of_year = of_century - years * 1461 / 4;
    unsigned month = (5 * of_year + 2) / 153;    /* 0 is March */
    unsigned year = century * 100 + years + (month >= 10);

    memcpy(text, &"ThuFriSatSunMonTueWed"[days % 7 * 3], 3);
    put_two(text + 5, of_year - (153 * month + 2) / 5 + 1);
    memcpy(text + 8, &"MarAprMayJunJulAugSepOctNovDecJanFeb"[month * 3], 3);
    put_two(text + 12, year / 100);
    put_two(text + 14, year % 100);
}
