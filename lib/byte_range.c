/* SPDX-License-Identifier: Apache-2.0 */
/*
 * byte_range.c: judges a Range field without looking at a body.
 *
 * One malformed member makes the whole field malformed (RFC 9110 §14.2 lets
 * a server ignore it then, which is what httpd does).
 */
#include "lib/byte_range.h"

#include "lib/field_list.h"

#define POSITION_MAX ((apr_uint64_t)APR_INT64_MAX)

/* first-last, first- (has_last 0) or -suffix (has_first 0). */
typedef struct range_spec {
    int has_first;
    int has_last;
    apr_uint64_t first;
    apr_uint64_t last;      /* or the suffix length */
} range_spec;

static int strip_unit(etg_bytes *value);
static int read_spec(etg_bytes text, range_spec *spec);
static int read_position(etg_bytes *rest, apr_uint64_t *position);
static int overlaps(const range_spec *spec, apr_uint64_t length);

etg_range_kind etg_range_judge(etg_bytes value, apr_uint64_t length,
                               unsigned *count)
{
    etg_range_kind kind = ETG_RANGE_UNSATISFIABLE;
    etg_bytes member;
    unsigned found = 0;

    *count = 0;
    if (!strip_unit(&value)) {
        return ETG_RANGE_NONE;
    }
    while (etg_list_next(&value, &member)) {
        range_spec spec;

        if (!read_spec(member, &spec)) {
            return ETG_RANGE_NONE;
        }
        if (overlaps(&spec, length)) {
            kind = ETG_RANGE_SATISFIABLE;
        }
        found++;
    }
    if (found == 0) {
        return ETG_RANGE_NONE;
    }
    *count = found;
    return kind;
}

/* Takes "bytes=" off the front. Unit names know no case (§14.1). */
static int strip_unit(etg_bytes *value)
{
    const apr_size_t length = sizeof("bytes=") - 1;
    etg_bytes unit = { value->data, length };

    if (value->length < length || !etg_bytes_is(unit, "bytes=")) {
        return 0;
    }
    value->data += length;
    value->length -= length;
    return 1;
}

static int read_spec(etg_bytes text, range_spec *spec)
{
    spec->has_first = read_position(&text, &spec->first);
    if (text.length == 0 || text.data[0] != '-') {
        return 0;
    }
    text.data++;
    text.length--;
    spec->has_last = read_position(&text, &spec->last);
    if (text.length > 0 || (!spec->has_first && !spec->has_last)) {
        return 0;
    }
    return !spec->has_first || !spec->has_last || spec->first <= spec->last;
}

/* Takes the digits off the front; 0 if there are none. */
static int read_position(etg_bytes *rest, apr_uint64_t *position)
{
    apr_uint64_t value = 0;
    apr_size_t i;

    for (i = 0; i < rest->length; i++) {
        unsigned digit = rest->data[i] - (unsigned)'0';

        if (digit > 9) {
            break;
        }
        value = value > (POSITION_MAX - digit) / 10 ? POSITION_MAX
                                                    : value * 10 + digit;
    }
    rest->data += i;
    rest->length -= i;
    *position = value;
    return i > 0;
}

static int overlaps(const range_spec *spec, apr_uint64_t length)
{
    if (spec->has_first) {
        return spec->first < length;
    }
    return spec->last > 0 && length > 0;
}
