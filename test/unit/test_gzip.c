/* SPDX-License-Identifier: Apache-2.0 */
/* test_gzip.c: coding and decoding, in whatever pieces the bytes come. */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/gzip.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define BODY_BYTES 300000

/* A sink that keeps what it gets. */
typedef struct heap {
    unsigned char *bytes;
    apr_size_t length;
    apr_size_t room;
    apr_size_t largest;     /* portion */
    apr_size_t stop_at;     /* refuses with APR_ECONNABORTED from here on */
} heap;

static heap new_heap(apr_size_t room)
{
    heap made = { apr_palloc(pool, room + 1), 0, room, 0, APR_SIZE_MAX };

    return made;
}

static apr_status_t keep(void *baton, const void *data, apr_size_t length)
{
    heap *to = baton;

    if (to->length + length > to->stop_at) {
        return APR_ECONNABORTED;
    }
    if (length == 0 || to->length + length > to->room) {
        return APR_EGENERAL;
    }
    memcpy(to->bytes + to->length, data, length);
    to->length += length;
    to->largest = length > to->largest ? length : to->largest;
    return APR_SUCCESS;
}

static apr_uint32_t next_random(apr_uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Words of a small vocabulary with numbers between them: it shrinks, with
 * matches near and far. */
static etg_bytes body_of(apr_size_t length)
{
    static const char *const words[] = {
        "shelf ", "\"id\": ", "board, ", "etagere ", "\n", "0049"
    };
    unsigned char *bytes = apr_palloc(pool, length + 16);
    etg_bytes body = { bytes, length };
    apr_uint32_t state = 7;
    apr_size_t at = 0;

    while (at < length) {
        unsigned n = next_random(&state) % 8;

        if (n < 6) {
            memcpy(bytes + at, words[n], strlen(words[n]));
            at += strlen(words[n]);
        }
        else {
            bytes[at++] = (unsigned char)next_random(&state);
        }
    }
    return body;
}

/* `piece` 0: odd sizes, from 0 bytes to 40 KB. */
static apr_size_t piece_of(apr_size_t piece, apr_size_t left,
                           apr_uint32_t *state)
{
    if (piece == 0) {
        piece = next_random(state) % (1u << next_random(state) % 16);
    }
    return piece < left ? piece : left;
}

static etg_bytes deflated(etg_bytes body, int level, apr_size_t piece)
{
    heap out = new_heap(body.length + 1000);
    etg_deflater *deflater;
    apr_uint32_t state = 3;
    apr_size_t at = 0;
    unsigned failures = 0;
    etg_bytes coded;

    ck_assert_int_eq(etg_deflater_begin(&deflater, level, keep, &out, pool),
                     APR_SUCCESS);
    while (at < body.length) {
        apr_size_t part = piece_of(piece, body.length - at, &state);

        failures += etg_deflater_add(deflater, body.data + at, part)
                    != APR_SUCCESS;
        failures += etg_deflater_written(deflater) < out.length;
        failures += etg_deflater_written(deflater) > out.length + 16384;
        at += part;
    }
    ck_assert_uint_eq(failures, 0);
    ck_assert_int_eq(etg_deflater_end(deflater), APR_SUCCESS);
    ck_assert_uint_eq(etg_deflater_written(deflater), out.length);
    ck_assert_uint_le(out.largest, 16384);
    coded.data = out.bytes;
    coded.length = out.length;
    return coded;
}

/* The first failure of add or end; `out` as far as it came. */
static apr_status_t inflate_into(heap *out, etg_bytes coded,
                                 apr_uint64_t limit, apr_size_t piece)
{
    etg_inflater *inflater;
    apr_uint32_t state = 5;
    apr_status_t rv = APR_SUCCESS;
    apr_status_t end;
    apr_size_t at = 0;

    ck_assert_int_eq(etg_inflater_begin(&inflater, limit, keep, out, pool),
                     APR_SUCCESS);
    while (rv == APR_SUCCESS && at < coded.length) {
        apr_size_t part = piece_of(piece, coded.length - at, &state);

        rv = etg_inflater_add(inflater, coded.data + at, part);
        at += part;
    }
    if (rv != APR_SUCCESS) {
        ck_assert_int_eq(etg_inflater_add(inflater, "x", 1), rv);
    }
    end = etg_inflater_end(inflater);
    ck_assert(rv == APR_SUCCESS || end == rv);
    ck_assert_uint_eq(etg_inflater_written(inflater), out->length);
    ck_assert_uint_le(out->largest, 16384);
    return end;
}

static apr_status_t inflated_status(etg_bytes coded)
{
    heap out = new_heap(BODY_BYTES * 2);

    return inflate_into(&out, coded, 0, 4096);
}

static etg_bytes joined(etg_bytes one, etg_bytes other)
{
    unsigned char *bytes = apr_palloc(pool, one.length + other.length + 1);
    etg_bytes both = { bytes, one.length + other.length };

    memcpy(bytes, one.data, one.length);
    memcpy(bytes + one.length, other.data, other.length);
    return both;
}

START_TEST(test_what_was_coded_comes_back_in_any_pieces)
{
    static const apr_size_t lengths[] = {
        0, 1, 859, 16383, 16384, 16385, BODY_BYTES
    };
    static const apr_size_t pieces[] = { 0, 1, 7, 16384, BODY_BYTES };
    unsigned i;
    unsigned j;

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        etg_bytes body = body_of(lengths[i]);
        etg_bytes coded = deflated(body, 6, 0);

        for (j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++) {
            heap out = new_heap(body.length);

            ck_assert_int_eq(inflate_into(&out, coded, 0, pieces[j]),
                             APR_SUCCESS);
            ck_assert_uint_eq(out.length, body.length);
            ck_assert_mem_eq(out.bytes, body.data, body.length);
        }
    }
}
END_TEST

START_TEST(test_equal_input_gives_equal_bytes_in_any_pieces)
{
    static const apr_size_t pieces[] = { 0, 1, 3, 4096, 16384, 65536, 70001 };
    etg_bytes body = body_of(BODY_BYTES);
    int level;
    unsigned i;

    for (level = 1; level <= 9; level++) {
        etg_bytes once = deflated(body, level, BODY_BYTES);

        ck_assert_uint_lt(once.length, body.length * 9 / 10);
        for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
            etg_bytes again = deflated(body, level, pieces[i]);

            ck_assert_msg(again.length == once.length, "level %d, piece %u",
                          level, i);
            ck_assert_mem_eq(again.data, once.data, once.length);
        }
    }
}
END_TEST

START_TEST(test_the_header_has_no_name_and_no_time)
{
    static const unsigned char head[8] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0 };
    etg_bytes coded = deflated(body_of(1000), 6, 0);

    ck_assert_mem_eq(coded.data, head, sizeof(head));
}
END_TEST

START_TEST(test_members_one_after_the_other_are_one_body)
{
    etg_bytes body = body_of(50000);
    etg_bytes coded = deflated(body, 6, 0);
    etg_bytes none = deflated((etg_bytes){ body.data, 0 }, 1, 0);
    etg_bytes all = joined(joined(none, coded), joined(none, coded));
    static const apr_size_t pieces[] = { 0, 1, 20, BODY_BYTES };
    unsigned i;

    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        heap out = new_heap(2 * body.length);

        ck_assert_int_eq(inflate_into(&out, all, 0, pieces[i]), APR_SUCCESS);
        ck_assert_uint_eq(out.length, 2 * body.length);
        ck_assert_mem_eq(out.bytes, body.data, body.length);
        ck_assert_mem_eq(out.bytes + body.length, body.data, body.length);
    }
}
END_TEST

START_TEST(test_a_body_that_ends_early_is_seen)
{
    etg_bytes coded = deflated(body_of(2000), 6, 0);
    etg_bytes two = joined(coded, coded);
    apr_size_t length;

    for (length = 0; length < coded.length; length++) {
        etg_bytes part = { coded.data, length };

        ck_assert_int_eq(inflated_status(part), APR_EOF);
    }
    for (length = coded.length + 1; length < two.length; length++) {
        etg_bytes part = { two.data, length };

        ck_assert_int_eq(inflated_status(part), APR_EOF);
    }
    ck_assert_int_eq(inflated_status(two), APR_SUCCESS);
}
END_TEST

START_TEST(test_a_damaged_body_is_seen)
{
    etg_bytes coded = deflated(body_of(2000), 6, 0);
    unsigned char *copy = apr_pmemdup(pool, coded.data, coded.length);
    apr_size_t at;

    /* But for time, extra flags and system, which say nothing. */
    for (at = 10; at < coded.length; at++) {
        apr_status_t rv;

        copy[at] ^= 0x10;
        rv = inflated_status((etg_bytes){ copy, coded.length });
        ck_assert_msg(rv == APR_EINVAL || rv == APR_EOF, "byte %u: %d",
                      (unsigned)at, rv);
        /* Checksum and length are just wrong. */
        ck_assert(at < coded.length - 8 || rv == APR_EINVAL);
        copy[at] ^= 0x10;
    }
    ck_assert_int_eq(inflated_status((etg_bytes){ copy, coded.length }),
                     APR_SUCCESS);
}
END_TEST

START_TEST(test_what_is_no_gzip_is_refused)
{
    static const char *const texts[] = {
        "plain text", "\x1f\x8b\x07\x01", "\x1f\x8c", "\x78\x9c\x03",
        "\x1f\x8b\x08\xe0"
    };
    unsigned i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        etg_bytes text = { (const unsigned char *)texts[i],
                           strlen(texts[i]) };

        ck_assert_msg(inflated_status(text) == APR_EINVAL, "text %u", i);
    }
}
END_TEST

START_TEST(test_garbage_behind_a_member_is_refused)
{
    static const char *const garbage[] = { "x!", "\x1f\x8c", "\xff\xff" };
    etg_bytes coded = deflated(body_of(2000), 6, 0);
    etg_bytes zeros = { (const unsigned char *)"\0\0\0\0", 4 };
    unsigned i;

    for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        etg_bytes tail = { (const unsigned char *)garbage[i], 2 };

        ck_assert_int_eq(inflated_status(joined(coded, tail)), APR_EINVAL);
    }
    ck_assert_int_eq(inflated_status(joined(coded, zeros)), APR_EINVAL);
}
END_TEST

START_TEST(test_a_bomb_is_stopped_at_the_limit)
{
    etg_bytes zeros = { apr_pcalloc(pool, 10000000), 10000000 };
    etg_bytes bomb = deflated(zeros, 9, 0);
    heap out = new_heap(100000);

    ck_assert_uint_lt(bomb.length, 20000);
    ck_assert_int_eq(inflate_into(&out, bomb, 100000, BODY_BYTES),
                     APR_ENOSPC);
    ck_assert_uint_le(out.length, 100000);
    out = new_heap(100000);
    ck_assert_int_eq(inflate_into(&out, bomb, 100000, 1), APR_ENOSPC);
    out = new_heap(10000000);
    ck_assert_int_eq(inflate_into(&out, bomb, 9999999, 0), APR_ENOSPC);
    out = new_heap(10000000);
    ck_assert_int_eq(inflate_into(&out, bomb, 10000000, 0), APR_SUCCESS);
    ck_assert_uint_eq(out.length, 10000000);
}
END_TEST

START_TEST(test_a_limit_counts_all_members)
{
    etg_bytes coded = deflated(body_of(20000), 6, 0);
    heap out = new_heap(40000);

    ck_assert_int_eq(inflate_into(&out, joined(coded, coded), 39999, 0),
                     APR_ENOSPC);
    out = new_heap(40000);
    ck_assert_int_eq(inflate_into(&out, joined(coded, coded), 40000, 0),
                     APR_SUCCESS);
}
END_TEST

START_TEST(test_a_sink_that_refuses_ends_it)
{
    etg_bytes body = body_of(BODY_BYTES);
    etg_bytes coded = deflated(body, 6, 0);
    heap out = new_heap(BODY_BYTES);
    etg_deflater *deflater;

    out.stop_at = 50000;
    ck_assert_int_eq(inflate_into(&out, coded, 0, 0), APR_ECONNABORTED);
    out = new_heap(BODY_BYTES);
    out.stop_at = 20000;
    ck_assert_int_eq(etg_deflater_begin(&deflater, 6, keep, &out, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_add(deflater, body.data, body.length),
                     APR_ECONNABORTED);
    ck_assert_int_eq(etg_deflater_add(deflater, body.data, 1),
                     APR_ECONNABORTED);
    ck_assert_int_eq(etg_deflater_end(deflater), APR_ECONNABORTED);
    /* At the end as well, with what is left. */
    out = new_heap(BODY_BYTES);
    out.stop_at = 5;
    ck_assert_int_eq(etg_deflater_begin(&deflater, 6, keep, &out, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_add(deflater, "abc", 3), APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_end(deflater), APR_ECONNABORTED);
}
END_TEST

START_TEST(test_nothing_is_taken_after_the_end)
{
    heap out = new_heap(1000);
    etg_deflater *deflater;
    etg_inflater *inflater;
    apr_pool_t *short_lived;

    ck_assert_int_eq(etg_deflater_begin(&deflater, 6, keep, &out, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_end(deflater), APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_add(deflater, "x", 1), APR_EINVAL);
    ck_assert_int_eq(etg_deflater_end(deflater), APR_EINVAL);
    ck_assert_int_eq(etg_inflater_begin(&inflater, 0, keep, &out, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_inflater_end(inflater), APR_EOF);
    ck_assert_int_eq(etg_inflater_end(inflater), APR_EOF);
    /* Without an end the pool frees zlib's memory (valgrind sees it). */
    ck_assert_int_eq(apr_pool_create(&short_lived, pool), APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_begin(&deflater, 9, keep, &out,
                                        short_lived), APR_SUCCESS);
    ck_assert_int_eq(etg_inflater_begin(&inflater, 0, keep, &out,
                                        short_lived), APR_SUCCESS);
    ck_assert_int_eq(etg_inflater_add(inflater, "\x1f\x8b", 2), APR_SUCCESS);
    apr_pool_destroy(short_lived);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gzip");
    TCase *cases = tcase_create("gzip");

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_what_was_coded_comes_back_in_any_pieces);
    tcase_add_test(cases, test_equal_input_gives_equal_bytes_in_any_pieces);
    tcase_add_test(cases, test_the_header_has_no_name_and_no_time);
    tcase_add_test(cases, test_members_one_after_the_other_are_one_body);
    tcase_add_test(cases, test_a_body_that_ends_early_is_seen);
    tcase_add_test(cases, test_a_damaged_body_is_seen);
    tcase_add_test(cases, test_what_is_no_gzip_is_refused);
    tcase_add_test(cases, test_garbage_behind_a_member_is_refused);
    tcase_add_test(cases, test_a_bomb_is_stopped_at_the_limit);
    tcase_add_test(cases, test_a_limit_counts_all_members);
    tcase_add_test(cases, test_a_sink_that_refuses_ends_it);
    tcase_add_test(cases, test_nothing_is_taken_after_the_end);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
