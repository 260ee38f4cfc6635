/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stored_response_refused.c: what is not stored, and records that were
 * damaged or made up.
 */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "test/unit/damaged_record.h"
#include "test/unit/run_suite.h"
#include "test/unit/usual_response.h"

static int parses(etg_bytes record)
{
    etg_stored_response back;
    apr_status_t rv = etg_stored_response_unpack(record, pool, &back);

    ck_assert(rv == APR_SUCCESS || rv == APR_EINVAL);
    return rv == APR_SUCCESS;
}

static char *filled(apr_size_t length)
{
    char *text = apr_palloc(pool, length + 1);

    memset(text, 'v', length);
    text[length] = '\0';
    return text;
}

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
    response = data_response();
    response.backend_etag = "\"a\"\nSet-Cookie: a=b";
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_EINVAL);
    response.backend_etag = filled(65536);
    ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                     APR_ENOSPC);
}
END_TEST

/* A coded response with one thing that does not go with the others. */
static etg_stored_response impossible(unsigned n)
{
    static const etg_field coded = { "content-encoding", "gzip" };
    etg_stored_response response = n < 2 ? usual_response()
                                         : coded_response();

    switch (n) {
    case 0: response.plain_length = 1; break;
    case 1: response.is_coded_here = 1; break;
    case 2: response.coding = (etg_coding)2; break;
    case 3: response.has_body = 0; break;
    case 4: response.body_length = 19; response.plain_length = 0; break;
    case 5: response.plain_length = 3073 * 1032; break;
    case 6: response.plain_length = APR_UINT64_MAX; break;
    default: set_fields(&response, &coded, 1); break;
    }
    return response;
}

START_TEST(test_a_coding_that_cannot_be_is_not_stored)
{
    unsigned i;

    for (i = 0; i < 8; i++) {
        etg_stored_response response = impossible(i);
        etg_bytes record = { NULL, 0 };

        ck_assert_int_eq(etg_stored_response_pack(&response, pool, &record),
                         APR_EINVAL);
        ck_assert_ptr_null(record.data);
    }
}
END_TEST

/* A record that says GZIP of `status_bits` and whatever behind the body. */
static etg_bytes made_up(apr_uint64_t bits, int has_body,
                         apr_uint64_t body_length, apr_uint64_t plain_length)
{
    etg_record_writer writer;
    etg_bytes record;
    etg_entity_id entity;
    unsigned i;

    memset(&entity, 1, sizeof(entity));
    etg_record_begin(&writer, ETG_RECORD_RESPONSE,
                     ETG_STORED_RESPONSE_VERSION, 512, pool);
    etg_record_put_number(&writer, 0);
    etg_record_put_number(&writer, 200 << 6 | bits);
    for (i = 0; i < 8; i++) {
        /* Times, flags and intervals, as short as they can be. */
        etg_record_put_number(&writer, 0);
    }
    if (has_body) {
        etg_record_put_bytes(&writer, entity.bytes, sizeof(entity.bytes));
        etg_record_put_number(&writer, body_length);
        if (bits & 8) {
            etg_record_put_number(&writer, plain_length);
        }
    }
    etg_record_put_text(&writer, "k", 1);
    for (i = 0; i < 4; i++) {
        etg_record_put_number(&writer, 0);
    }
    ck_assert_int_eq(etg_record_end(&writer, &record), APR_SUCCESS);
    return record;
}

START_TEST(test_a_made_up_coding_is_refused)
{
    /* 1: a body, 8: gzip, 16: by us */
    ck_assert(parses(made_up(0, 0, 0, 0)));
    ck_assert(parses(made_up(1, 1, 100, 0)));
    ck_assert(parses(made_up(1 | 8, 1, 100, 860)));
    ck_assert(parses(made_up(1 | 8 | 16, 1, 100, 860)));
    ck_assert(!parses(made_up(1 | 16, 1, 100, 0)));
    ck_assert(!parses(made_up(16, 0, 0, 0)));
    ck_assert(!parses(made_up(8, 0, 0, 0)));
    ck_assert(!parses(made_up(8 | 16, 0, 0, 0)));
    ck_assert(!parses(made_up(1 | 8 | 16, 1, 19, 0)));
    ck_assert(!parses(made_up(1 | 8 | 16, 1, 100, 101 * 1032)));
    ck_assert(!parses(made_up(1 | 8, 1, 100, APR_UINT64_MAX)));
}
END_TEST

/* A record that says `bits` of its origin, and then has `etags` values for
 * the backend's validators. */
static etg_bytes made_up_origin(unsigned bits, unsigned etags)
{
    etg_record_writer writer;
    etg_bytes record;
    unsigned i;

    etg_record_begin(&writer, ETG_RECORD_RESPONSE,
                     ETG_STORED_RESPONSE_VERSION, 512, pool);
    etg_record_put_number(&writer, 0);
    etg_record_put_number(&writer, 200 << 6 | 32);
    for (i = 0; i < 8; i++) {
        etg_record_put_number(&writer, 0);
    }
    etg_record_put_number(&writer, bits);
    for (i = 0; i < etags; i++) {
        etg_record_put_text(&writer, "\"a\"", 3);
    }
    etg_record_put_text(&writer, "k", 1);
    for (i = 0; i < 4; i++) {
        etg_record_put_number(&writer, 0);
    }
    ck_assert_int_eq(etg_record_end(&writer, &record), APR_SUCCESS);
    return record;
}

START_TEST(test_a_made_up_origin_is_refused)
{
    /* 4: the tag is ours, 8: the date is; 16 and 32: the backend's follow */
    ck_assert(parses(made_up_origin(4, 0)));
    ck_assert(parses(made_up_origin(8, 0)));
    ck_assert(parses(made_up_origin(4 | 16, 1)));
    ck_assert(parses(made_up_origin(4 | 8 | 16 | 32, 2)));
    ck_assert(!parses(made_up_origin(0, 0)));
    ck_assert(!parses(made_up_origin(16, 1)));
    ck_assert(!parses(made_up_origin(4 | 32, 1)));
    ck_assert(!parses(made_up_origin(8 | 16, 1)));
    ck_assert(!parses(made_up_origin(4 | 64, 0)));
    ck_assert(!parses(made_up_origin(4 | 16, 2)));
    ck_assert(!parses(made_up_origin(1, 0)));       /* no digest */
}
END_TEST

START_TEST(test_a_record_of_another_version_does_not_parse)
{
    etg_stored_response response = usual_response();
    etg_bytes record = packed(&response);
    unsigned version;

    for (version = 0; version < 6; version++) {
        etg_record_writer writer;
        etg_bytes other;

        etg_record_begin(&writer, ETG_RECORD_RESPONSE, version, 512, pool);
        etg_record_put_bytes(&writer, record.data + 6, record.length - 14);
        ck_assert_int_eq(etg_record_end(&writer, &other), APR_SUCCESS);
        ck_assert_uint_eq(other.length, record.length);
        ck_assert_int_eq(parses(other),
                         version == ETG_STORED_RESPONSE_VERSION);
    }
}
END_TEST

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
    etg_stored_response response = data_response();

    assert_no_part_parses(packed(&response), parses);
}
END_TEST

START_TEST(test_no_bit_can_flip_unseen)
{
    etg_stored_response response = data_response();

    assert_no_flipped_bit_parses(packed(&response), parses, pool);
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
    return parses(resealed(copy, record.length, pool));
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

START_TEST(test_damaged_records_neither_crash_nor_parse)
{
    etg_stored_response response = data_response();

    assert_no_damaged_record_parses(packed(&response), parses, 2509);
}
END_TEST

static void check_made_up_records(const etg_stored_response *response)
{
    etg_bytes record = packed(response);
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
        made_up = resealed(copy, record.length, pool);
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

START_TEST(test_made_up_records_are_refused_or_can_be_stored_again)
{
    etg_stored_response coded = coded_response();
    etg_stored_response data = data_response();

    check_made_up_records(&coded);
    check_made_up_records(&data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stored_response_refused");
    TCase *cases = tcase_create("stored_response_refused");

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_times_out_of_all_proportion_are_not_stored);
    tcase_add_test(cases, test_what_is_no_field_is_not_stored);
    tcase_add_test(cases, test_a_bad_status_or_validator_is_not_stored);
    tcase_add_test(cases, test_a_coding_that_cannot_be_is_not_stored);
    tcase_add_test(cases, test_a_made_up_coding_is_refused);
    tcase_add_test(cases, test_a_made_up_origin_is_refused);
    tcase_add_test(cases, test_a_record_of_another_version_does_not_parse);
    tcase_add_test(cases, test_the_limits_of_the_format_are_kept);
    tcase_add_test(cases, test_no_part_of_a_record_parses);
    tcase_add_test(cases, test_no_bit_can_flip_unseen);
    tcase_add_test(cases, test_a_refused_record_leaves_the_result_alone);
    tcase_add_test(cases, test_a_made_up_record_cannot_split_a_response);
    tcase_add_test(cases, test_a_date_needs_the_room_it_announced);
    tcase_add_test(cases, test_damaged_records_neither_crash_nor_parse);
    tcase_add_test(cases,
                   test_made_up_records_are_refused_or_can_be_stored_again);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
