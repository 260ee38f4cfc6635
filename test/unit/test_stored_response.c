/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stored_response.c: the response record there and back, its limits, its
 * size, and what happens to records that were damaged or made up.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>
#include <xxhash.h>

#include "lib/field_words.h"
#include "lib/record.h"
#include "lib/stored_response.h"

#define KEY "https://shop.example/api/products?page=7"
#define NOW (APR_TIME_C(1763827200) * APR_USEC_PER_SEC + 345678)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_pool_t *pool;

/* What a JSON API behind Apache answers: six fields. */
static const etg_field usual_fields[] = {
    { "Date", "Sat, 22 Nov 2025 16:00:00 GMT" },
    { "Server", "Apache/2.4.62 (Debian) Phusion_Passenger/6.0.18" },
    { "Last-Modified", "Fri, 21 Nov 2025 08:15:42 GMT" },
    { "ETag", "W/\"2b61c1a1f3d9f06df1c8a6e3c87a1d0b\"" },
    { "Cache-Control", "public, max-age=120, stale-if-error=86400" },
    { "Content-Type", "application/json; charset=utf-8" },
};

static void set_up(void)
{
    ck_assert_int_eq(apr_initialize(), APR_SUCCESS);
    ck_assert_int_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

static etg_stored_response usual_response(void)
{
    etg_stored_response response;

    memset(&response, 0, sizeof(response));
    response.key = KEY;
    response.key_length = sizeof(KEY) - 1;
    response.generation = ((apr_uint64_t)NOW - 2500) << ETG_GENERATION_SHIFT;
    response.status = 200;
    response.status_line = "200 OK";
    response.requested_at = NOW - 180123;
    response.received_at = NOW;
    response.freshness.flags = ETG_FRESH_EXPLICIT | ETG_FRESH_FOR_PRIVATE;
    response.freshness.date = NOW - NOW % APR_USEC_PER_SEC;
    response.freshness.initial_age = 525801;
    response.freshness.lifetime = 120 * APR_USEC_PER_SEC;
    response.freshness.stale_if_error = 86400 * APR_USEC_PER_SEC;
    response.freshness.stale_while_revalidate = -1;
    response.has_body = 1;
    memset(response.entity.bytes, 0xA5, sizeof(response.entity.bytes));
    response.body_length = 3072;
    response.fields = usual_fields;
    response.field_count = ROWS(usual_fields);
    response.etag = usual_fields[3].value;
    response.last_modified = usual_fields[2].value;
    return response;
}

static void set_fields(etg_stored_response *response, const etg_field *fields,
                       unsigned count)
{
    response->fields = fields;
    response->field_count = count;
    response->etag = NULL;
    response->last_modified = NULL;
}

static etg_bytes packed(const etg_stored_response *response)
{
    etg_bytes record = { NULL, 0 };

    ck_assert_int_eq(etg_stored_response_pack(response, pool, &record),
                     APR_SUCCESS);
    return record;
}

static etg_stored_response there_and_back(const etg_stored_response *response)
{
    etg_stored_response back;

    memset(&back, 0x5A, sizeof(back));
    ck_assert_int_eq(etg_stored_response_unpack(packed(response), pool,
                                                &back),
                     APR_SUCCESS);
    return back;
}

static void assert_same_text(const char *one, const char *other)
{
    if (one == NULL) {
        ck_assert_ptr_null(other);
    }
    else {
        ck_assert_ptr_nonnull(other);
        ck_assert_str_eq(one, other);
    }
}

static void assert_same(const etg_stored_response *one,
                        const etg_stored_response *other)
{
    unsigned i;

    ck_assert_uint_eq(one->key_length, other->key_length);
    ck_assert_str_eq(one->key, other->key);
    ck_assert_uint_eq(one->generation, other->generation);
    ck_assert_mem_eq(&one->vary, &other->vary, sizeof(one->vary));
    ck_assert_int_eq(one->status, other->status);
    ck_assert_str_eq(one->status_line, other->status_line);
    ck_assert_int_eq(one->requested_at, other->requested_at);
    ck_assert_int_eq(one->received_at, other->received_at);
    ck_assert_uint_eq(one->freshness.flags, other->freshness.flags);
    ck_assert_int_eq(one->freshness.date, other->freshness.date);
    ck_assert_int_eq(one->freshness.initial_age,
                     other->freshness.initial_age);
    ck_assert_int_eq(one->freshness.lifetime, other->freshness.lifetime);
    ck_assert_int_eq(one->freshness.stale_if_error,
                     other->freshness.stale_if_error);
    ck_assert_int_eq(one->freshness.stale_while_revalidate,
                     other->freshness.stale_while_revalidate);
    ck_assert_int_eq(one->has_body, other->has_body);
    ck_assert_mem_eq(&one->entity, &other->entity, sizeof(one->entity));
    ck_assert_uint_eq(one->body_length, other->body_length);
    ck_assert_uint_eq(one->field_count, other->field_count);
    for (i = 0; i < one->field_count; i++) {
        ck_assert_str_eq(one->fields[i].name, other->fields[i].name);
        ck_assert_str_eq(one->fields[i].value, other->fields[i].value);
    }
    assert_same_text(one->etag, other->etag);
    assert_same_text(one->last_modified, other->last_modified);
}

/* A record that says what the bytes say, with a checksum that is right. */
static etg_bytes resealed(const unsigned char *bytes, apr_size_t length)
{
    unsigned char *copy = apr_pmemdup(pool, bytes, length);
    apr_uint64_t sum = XXH3_64bits(copy, length - 8);
    etg_bytes record = { copy, length };
    unsigned i;

    for (i = 0; i < 8; i++) {
        copy[length - 1 - i] = (unsigned char)(sum >> (8 * i));
    }
    return record;
}

static int parses(etg_bytes record)
{
    etg_stored_response back;
    apr_status_t rv = etg_stored_response_unpack(record, pool, &back);

    ck_assert(rv == APR_SUCCESS || rv == APR_EINVAL);
    return rv == APR_SUCCESS;
}

START_TEST(test_a_usual_response_comes_back_as_it_was)
{
    etg_stored_response response = usual_response();
    etg_stored_response back = there_and_back(&response);

    assert_same(&response, &back);
    /* They are the fields' values, not copies of them. */
    ck_assert_ptr_eq(back.etag, back.fields[3].value);
    ck_assert_ptr_eq(back.last_modified, back.fields[2].value);
}
END_TEST

START_TEST(test_a_usual_response_takes_little_room)
{
    etg_stored_response response = usual_response();

    ck_assert_uint_lt(packed(&response).length, 250 + response.key_length);
}
END_TEST

START_TEST(test_a_response_without_anything_comes_back)
{
    etg_stored_response response;
    etg_stored_response back;

    memset(&response, 0, sizeof(response));
    response.key = "";
    response.status = 204;
    response.status_line = "204 No Content";
    back = there_and_back(&response);
    assert_same(&response, &back);
    ck_assert_ptr_null(back.fields);
}
END_TEST

START_TEST(test_numbers_at_their_limits_come_back)
{
    static const apr_time_t times[] = {
        0, 1, -1, 999999, -999999, 1000000, -1000000, NOW,
        APR_TIME_C(253402300799000000), APR_TIME_C(1) << 60,
        -(APR_TIME_C(1) << 60),
    };
    static const apr_uint64_t generations[] = {
        1, 0x7f, APR_UINT64_C(1) << 63, ~APR_UINT64_C(0),
    };
    unsigned i;
    unsigned j;

    for (i = 0; i < ROWS(times); i++) {
        for (j = 0; j < ROWS(generations); j++) {
            etg_stored_response response = usual_response();
            etg_stored_response back;

            response.generation = generations[j];
            response.requested_at = times[i] / 2;
            response.received_at = times[i] / 2;
            response.freshness.date = times[(i + 1) % ROWS(times)] / 2;
            response.freshness.initial_age = times[i];
            response.freshness.lifetime = -times[i];
            response.freshness.flags = 0xffffffff;
            response.body_length = generations[j];
            back = there_and_back(&response);
            assert_same(&response, &back);
        }
    }
}
END_TEST

START_TEST(test_times_out_of_all_proportion_are_not_stored)
{
    etg_stored_response response = usual_response();
    etg_bytes record = { NULL, 0 };

    response.freshness.lifetime = APR_INT64_MAX;
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_EINVAL);
    response = usual_response();
    response.requested_at = APR_INT64_MIN;
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_EINVAL);
    ck_assert_ptr_null(record.data);
}
END_TEST

START_TEST(test_an_unusual_status_line_is_kept)
{
    static const struct {
        int status;
        const char *line;
    } cases[] = {
        { 200, "200 Fine" }, { 299, "299 Whatever" }, { 599, "599 " },
        { 404, "404 Not found" }, { 200, "200" }, { 999, "999 x" },
    };
    unsigned i;

    for (i = 0; i < ROWS(cases); i++) {
        etg_stored_response response = usual_response();
        etg_stored_response back;

        response.status = cases[i].status;
        response.status_line = cases[i].line;
        back = there_and_back(&response);
        assert_same(&response, &back);
    }
}
END_TEST

START_TEST(test_a_vary_hash_is_kept)
{
    etg_stored_response response = usual_response();
    etg_stored_response back;

    response.vary.bytes[15] = 1;
    back = there_and_back(&response);
    assert_same(&response, &back);
}
END_TEST

START_TEST(test_every_spelling_of_a_name_is_kept)
{
    static const etg_field fields[] = {
        { "ETag", "\"1\"" }, { "etag", "\"2\"" }, { "Etag", "\"3\"" },
        { "ETAG", "\"4\"" }, { "content-type", "text/html" },
        { "CONTENT-TYPE", "text/html" }, { "X-Own", "x" }, { "x-own", "" },
        { "!#$%&'*+-.^_`|~9", "all of tchar" },
    };
    etg_stored_response response = usual_response();
    etg_stored_response back;

    set_fields(&response, fields, ROWS(fields));
    response.etag = fields[1].value;
    back = there_and_back(&response);
    assert_same(&response, &back);
    ck_assert_ptr_eq(back.etag, back.fields[1].value);
}
END_TEST

START_TEST(test_repeated_fields_keep_their_order)
{
    static const etg_field fields[] = {
        { "Link", "</a>" }, { "X-A", "1" }, { "Link", "</b>" },
        { "Link", "</a>" }, { "X-A", "1" },
    };
    etg_stored_response response = usual_response();
    etg_stored_response back;

    set_fields(&response, fields, ROWS(fields));
    back = there_and_back(&response);
    assert_same(&response, &back);
}
END_TEST

START_TEST(test_values_of_every_length_and_byte_are_kept)
{
    etg_field fields[2] = { { "X-First", "" }, { "X-Last", "end" } };
    char value[300];
    unsigned length;

    for (length = 0; length < sizeof(value); length++) {
        etg_stored_response response = usual_response();
        etg_stored_response back;
        unsigned i;

        for (i = 0; i < length; i++) {
            value[i] = (char)(1 + (i * 7 + length) % 255);
            if (value[i] == '\r' || value[i] == '\n') {
                value[i] = '\t';
            }
        }
        value[length] = '\0';
        fields[0].value = value;
        set_fields(&response, fields, ROWS(fields));
        back = there_and_back(&response);
        assert_same(&response, &back);
    }
}
END_TEST

START_TEST(test_dates_come_back_letter_by_letter)
{
    static const char *const dates[] = {
        "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 29 Feb 2024 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:01 GMT",
        "Mon, 29 Feb 2024 23:59:59 GMT", "Thu, 29 Feb 2023 23:59:59 GMT",
        "Thu, 29 Feb 2024 23:59:59 UTC", "thu, 29 feb 2024 23:59:59 gmt",
        "Thu, 29 Feb 2024 24:59:59 GMT", "Thursday, 29-Feb-24 23:59:59 GMT",
        "Thu Feb 29 23:59:59 2024", "Wed, 31 Dec 1969 23:59:59 GMT",
        "Thu, 29 Feb 2024 23:59:60 GMT", "-1", "0", "never", "",
    };
    etg_field fields[2 * ROWS(dates)];
    etg_stored_response response = usual_response();
    etg_stored_response back;
    unsigned i;

    for (i = 0; i < ROWS(dates); i++) {
        fields[i].name = "Expires";
        fields[i].value = dates[i];
        fields[ROWS(dates) + i].name = "X-Other";
        fields[ROWS(dates) + i].value = dates[ROWS(dates) - 1 - i];
    }
    set_fields(&response, fields, ROWS(fields));
    back = there_and_back(&response);
    assert_same(&response, &back);
}
END_TEST

START_TEST(test_known_dates_and_words_are_short)
{
    static const etg_field fields[] = {
        { "Date", "Sat, 22 Nov 2025 16:00:00 GMT" },
        { "Content-Type", "text/html; charset=utf-8" },
    };
    etg_stored_response response = usual_response();
    apr_size_t with;

    set_fields(&response, fields, ROWS(fields));
    with = packed(&response).length;
    set_fields(&response, NULL, 0);
    ck_assert_uint_le(with - packed(&response).length, 5);
}
END_TEST

START_TEST(test_every_word_of_the_tables_has_its_own_code)
{
    unsigned code;

    ck_assert_ptr_null(etg_name_of(0));
    ck_assert_ptr_null(etg_value_of(0));
    ck_assert_uint_eq(etg_name_code("X-Not-There"), 0);
    ck_assert_uint_eq(etg_value_code("not there"), 0);
    ck_assert_uint_eq(etg_value_code(""), 0);
    for (code = 1; etg_name_of(code) != NULL; code++) {
        ck_assert_uint_eq(etg_name_code(etg_name_of(code)), code);
    }
    ck_assert_uint_gt(code, 100);
    ck_assert_uint_le(code, 128);
    for (code = 1; etg_value_of(code) != NULL; code++) {
        ck_assert_uint_eq(etg_value_code(etg_value_of(code)), code);
    }
    ck_assert_uint_gt(code, 50);
    ck_assert_uint_le(code, 64);
    ck_assert_ptr_null(etg_name_of(~APR_UINT64_C(0)));
    ck_assert_ptr_null(etg_value_of(~APR_UINT64_C(0)));
}
END_TEST

/* Codes are the format: a change here needs another version of it. */
START_TEST(test_codes_never_change_their_meaning)
{
    ck_assert_str_eq(etg_name_of(1), "Content-Type");
    ck_assert_str_eq(etg_name_of(4), "etag");
    ck_assert_str_eq(etg_name_of(121), "Sunset");
    ck_assert_str_eq(etg_value_of(1), "text/html; charset=utf-8");
    ck_assert_str_eq(etg_value_of(27), "Accept-Encoding");
    ck_assert_str_eq(etg_value_of(61), "max-age=31536000; includeSubDomains");
}
END_TEST

START_TEST(test_what_is_no_field_is_not_stored)
{
    static const etg_field bad[] = {
        { "", "x" }, { "X A", "x" }, { "X:", "x" }, { "X\n", "x" },
        { "X\xC3\xA4", "x" }, { "X", "a\rb" }, { "X", "a\nb" }, { "X", "\n" },
        { "X", "1234567890\n" }, { "X", "1234567\n" }, { "X", "12345678\r" },
    };
    unsigned i;

    for (i = 0; i < ROWS(bad); i++) {
        etg_stored_response response = usual_response();
        etg_bytes record = { NULL, 0 };

        set_fields(&response, &bad[i], 1);
        ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                         APR_EINVAL);
        ck_assert_ptr_null(record.data);
    }
}
END_TEST

START_TEST(test_a_bad_status_or_validator_is_not_stored)
{
    etg_stored_response response = usual_response();
    etg_bytes record;

    response.status_line = "200 O\nK";
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_EINVAL);
    response = usual_response();
    response.status = 1000;
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_EINVAL);
    response = usual_response();
    response.etag = "\"in no field\"";
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_EINVAL);
}
END_TEST

static char *filled(apr_size_t length)
{
    char *text = apr_palloc(pool, length + 1);

    memset(text, 'v', length);
    text[length] = '\0';
    return text;
}

START_TEST(test_the_limits_of_the_format_are_kept)
{
    etg_stored_response response = usual_response();
    etg_field *fields = apr_palloc(pool, 513 * sizeof(*fields));
    etg_field large = { "X", filled(65535) };
    etg_stored_response back;
    etg_bytes record;
    unsigned i;

    for (i = 0; i < 513; i++) {
        fields[i].name = "X-Row";
        fields[i].value = apr_itoa(pool, (int)i);
    }
    set_fields(&response, fields, 512);
    back = there_and_back(&response);
    assert_same(&response, &back);
    response.field_count = 513;
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_ENOSPC);
    set_fields(&response, &large, 1);
    back = there_and_back(&response);
    assert_same(&response, &back);
    large.value = filled(65536);
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_ENOSPC);
    response = usual_response();
    response.key = filled(16384);
    response.key_length = 16384;
    back = there_and_back(&response);
    assert_same(&response, &back);
    response.key = filled(16385);
    response.key_length = 16385;
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_ENOSPC);
}
END_TEST

START_TEST(test_no_part_of_a_record_parses)
{
    etg_stored_response response = usual_response();
    etg_bytes record = packed(&response);
    apr_size_t length;

    for (length = 0; length < record.length; length++) {
        /* A copy of exactly this size, so that a sanitizer sees a read
         * behind it. */
        unsigned char *copy = malloc(length + 1);
        etg_bytes part = { copy, length };

        memcpy(copy, record.data, length);
        ck_assert(!parses(part));
        free(copy);
    }
    ck_assert(!parses((etg_bytes){ NULL, 0 }));
    ck_assert(parses(record));
}
END_TEST

START_TEST(test_no_bit_can_flip_unseen)
{
    etg_stored_response response = usual_response();
    etg_bytes record = packed(&response);
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);
    apr_size_t bit;

    for (bit = 0; bit < 8 * record.length; bit++) {
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        ck_assert(!parses((etg_bytes){ copy, record.length }));
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}
END_TEST

START_TEST(test_a_refused_record_leaves_the_result_alone)
{
    etg_stored_response back;
    etg_stored_response untouched;

    memset(&back, 0x5A, sizeof(back));
    memset(&untouched, 0x5A, sizeof(untouched));
    ck_assert_int_eq(etg_stored_response_unpack(
                         (etg_bytes){ (const unsigned char *)"nothing", 7 },
                         pool, &back),
                     APR_EINVAL);
    ck_assert_mem_eq(&back, &untouched, sizeof(back));
}
END_TEST

/* The smallest record with one field, so that its bytes are easy to find. */
static etg_bytes one_field(const char *name, const char *value)
{
    etg_stored_response response = usual_response();
    etg_field *field = apr_palloc(pool, sizeof(*field));

    field->name = name;
    field->value = value;
    set_fields(&response, field, 1);
    return packed(&response);
}

static int parses_with(etg_bytes record, apr_size_t from_end,
                       unsigned char byte)
{
    unsigned char *copy = apr_pmemdup(pool, record.data, record.length);

    copy[record.length - 8 - from_end] = byte;
    return parses(resealed(copy, record.length));
}

START_TEST(test_a_made_up_record_cannot_split_a_response)
{
    /* ... 0 · 3 "X-Y" NUL · 2*3 "abc" NUL · checksum */
    etg_bytes record = one_field("X-Y", "abc");

    ck_assert(parses_with(record, 1, '\0'));
    ck_assert(!parses_with(record, 1, 'x'));   /* value not terminated */
    ck_assert(!parses_with(record, 2, '\0'));  /* terminated too early */
    ck_assert(!parses_with(record, 2, '\n'));
    ck_assert(!parses_with(record, 3, '\r'));
    ck_assert(parses_with(record, 3, '\t'));
    ck_assert(!parses_with(record, 5, 2 * 4)); /* beyond the payload */
    ck_assert(!parses_with(record, 5, 0xff));
    ck_assert(!parses_with(record, 5, 127));   /* no such value */
    ck_assert(!parses_with(record, 6, 'x'));   /* name not terminated */
    ck_assert(!parses_with(record, 7, ' '));
    ck_assert(!parses_with(record, 8, '\n'));
    ck_assert(!parses_with(record, 8, ':'));
    ck_assert(parses_with(record, 8, '_'));
    ck_assert(!parses_with(record, 10, 0));    /* no name at all */
    ck_assert(!parses_with(record, 11, 127));  /* no such name */
    ck_assert(!parses_with(record, 12, 2));    /* Last-Modified of no field */
    ck_assert(parses_with(record, 12, 1));
    ck_assert(!parses_with(record, 14, 2));    /* more dates than fields */
    ck_assert(!parses_with(record, 15, 0));    /* fewer fields than bytes */
    ck_assert(!parses_with(record, 15, 2));
}
END_TEST

START_TEST(test_a_date_needs_the_room_it_announced)
{
    /* ... fields 1 · dates 1 · 0 · 0 · code · head 1 · time · checksum */
    etg_bytes record = one_field("Date", "Sat, 22 Nov 2025 16:00:00 GMT");

    ck_assert(parses_with(record, 1, 4));      /* another whole second */
    ck_assert(!parses_with(record, 1, 5));     /* no whole second */
    ck_assert(!parses_with(record, 6, 0));
    ck_assert(parses_with(record, 6, 1));
}
END_TEST

static apr_uint32_t next_random(apr_uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void damage(unsigned char *bytes, apr_size_t length,
                   apr_uint32_t *state)
{
    unsigned edits = 1 + next_random(state) % 4;

    while (edits-- > 0) {
        unsigned char *at = bytes + next_random(state) % length;

        *at ^= (unsigned char)(1 + next_random(state) % 255);
    }
}

START_TEST(test_damaged_records_neither_crash_nor_parse)
{
    etg_stored_response response = usual_response();
    etg_bytes record = packed(&response);
    unsigned char *copy = malloc(record.length);
    apr_uint32_t state = 2509;
    unsigned parsed = 0;
    unsigned round;

    for (round = 0; round < 20000; round++) {
        memcpy(copy, record.data, record.length);
        damage(copy, record.length, &state);
        if (memcmp(copy, record.data, record.length) != 0) {
            parsed += parses((etg_bytes){ copy, record.length }) != 0;
        }
    }
    free(copy);
    ck_assert_uint_eq(parsed, 0);
}
END_TEST

START_TEST(test_made_up_records_are_refused_or_can_be_stored_again)
{
    etg_stored_response response = usual_response();
    etg_bytes record = packed(&response);
    apr_uint32_t state = 42;
    apr_pool_t *whole = pool;
    unsigned parsed = 0;
    unsigned round;

    ck_assert_int_eq(apr_pool_create(&pool, whole), APR_SUCCESS);
    for (round = 0; round < 20000; round++) {
        unsigned char *copy = apr_pmemdup(pool, record.data, record.length);
        etg_stored_response once;
        etg_bytes made_up;

        damage(copy + 6, record.length - 14, &state);
        made_up = resealed(copy, record.length);
        if (parses(made_up)) {
            etg_bytes again;

            parsed++;
            ck_assert_int_eq(etg_stored_response_unpack(made_up, pool, &once),
                             APR_SUCCESS);
            if (etg_stored_response_pack(&once, pool, &again)
                == APR_SUCCESS) {
                etg_stored_response twice = there_and_back(&once);

                assert_same(&once, &twice);
            }
        }
        apr_pool_clear(pool);
    }
    pool = whole;
    /* Otherwise nothing behind the checksum was tried. */
    ck_assert_uint_gt(parsed, 1000);
    ck_assert_uint_lt(parsed, 19000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stored_response");
    TCase *kept = tcase_create("kept");
    TCase *refused = tcase_create("refused");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(kept, set_up, tear_down);
    tcase_add_test(kept, test_a_usual_response_comes_back_as_it_was);
    tcase_add_test(kept, test_a_usual_response_takes_little_room);
    tcase_add_test(kept, test_a_response_without_anything_comes_back);
    tcase_add_test(kept, test_numbers_at_their_limits_come_back);
    tcase_add_test(kept, test_an_unusual_status_line_is_kept);
    tcase_add_test(kept, test_a_vary_hash_is_kept);
    tcase_add_test(kept, test_every_spelling_of_a_name_is_kept);
    tcase_add_test(kept, test_repeated_fields_keep_their_order);
    tcase_add_test(kept, test_values_of_every_length_and_byte_are_kept);
    tcase_add_test(kept, test_dates_come_back_letter_by_letter);
    tcase_add_test(kept, test_known_dates_and_words_are_short);
    tcase_add_test(kept, test_every_word_of_the_tables_has_its_own_code);
    tcase_add_test(kept, test_codes_never_change_their_meaning);
    suite_add_tcase(suite, kept);
    tcase_add_checked_fixture(refused, set_up, tear_down);
    tcase_add_test(refused, test_times_out_of_all_proportion_are_not_stored);
    tcase_add_test(refused, test_what_is_no_field_is_not_stored);
    tcase_add_test(refused, test_a_bad_status_or_validator_is_not_stored);
    tcase_add_test(refused, test_the_limits_of_the_format_are_kept);
    tcase_add_test(refused, test_no_part_of_a_record_parses);
    tcase_add_test(refused, test_no_bit_can_flip_unseen);
    tcase_add_test(refused, test_a_refused_record_leaves_the_result_alone);
    tcase_add_test(refused, test_a_made_up_record_cannot_split_a_response);
    tcase_add_test(refused, test_a_date_needs_the_room_it_announced);
    tcase_add_test(refused, test_damaged_records_neither_crash_nor_parse);
    tcase_add_test(refused,
                   test_made_up_records_are_refused_or_can_be_stored_again);
    tcase_set_timeout(refused, 60);
    suite_add_tcase(suite, refused);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
