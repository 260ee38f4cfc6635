/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_data_histories.c: over random histories of a collection, its digest is
 * the same exactly when its rows are.
 *
 * Rows are few and their values short, from small sets that were chosen to
 * look alike when they are put side by side (empty, NULL, the bytes of our
 * own framing, a time), so that a history often comes back to where it was,
 * and often nearly so. All states of all histories are compared with each
 * other: sorted by digest, states of one digest must have the same rows;
 * sorted by rows, the same rows must have one digest. ETG_TEST_SEED gives
 * another sequence.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>
#include <check.h>

#include "lib/data_digest.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define HISTORIES 4000
#define EDITS 16
#define STATES (HISTORIES * (EDITS + 1))
#define ROWS_MAX 5
#define COLUMNS 3
#define TIME_COLUMN 2

/* An index into values[] or times[] for each column; all of a state. */
typedef struct row {
    unsigned char column[COLUMNS];
} row;

typedef struct state {
    unsigned char rows;         /* the rest of row[] is zeros */
    unsigned char first;        /* rows of the first of two sources */
    row row[ROWS_MAX];
    unsigned char digest[ETG_DATA_DIGEST_BYTES];
} state;

#define ROWS_BYTES offsetof(state, digest)

static const etg_bytes values[] = {
#define VALUE(text) { (const unsigned char *)(text), sizeof(text) - 1 }
    { NULL, 0 }, VALUE(""), VALUE("a"), VALUE("ab"), VALUE("b"), VALUE("0"),
    VALUE("\0"), VALUE("\0\0\0\0\0\0\0\0"), VALUE("n\0\0\0\0\0\0\0\0"),
    VALUE("v\0\0\0\0\0\0\0\0"), VALUE("2026-11-22 22:05:00"),
    VALUE("v\0\0\0\0\0\0\0\1a"), VALUE("av\0\0\0\0\0\0\0\1b"),
    VALUE(")\0\0\0\0\0\0\0\3(\0\0\0\0\0\0\0\1"),
#undef VALUE
};
#define VALUES (sizeof(values) / sizeof(values[0]))
#define MISSING VALUES      /* members need not be of one length */

/* The clock that rows are stamped with, in either direction. */
static const char *const times[] = {
    "2026-11-22 22:05:00", "2026-11-22 22:05:00.000001",
    "2026-11-22 22:05:01", "2026-11-22 22:05:02", "2026-11-22 22:05:03",
    "2026-11-22 22:05:03+00",
};
#define TIMES (sizeof(times) / sizeof(times[0]))

static state *states;
static apr_uint64_t seed;

/* xorshift64*: the same sequence everywhere. */
static unsigned below(size_t limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * APR_UINT64_C(2685821657736338717)) >> 33)
           % (unsigned)limit;
}

static void set_up(void)
{
    const char *wanted = getenv("ETG_TEST_SEED");

    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : 20261122;
    seed += seed == 0;
    open_pool();
    states = calloc(STATES, sizeof(*states));
    ck_assert_ptr_nonnull(states);
}

static void tear_down(void)
{
    free(states);
    close_pool();
}

static row random_row(unsigned now)
{
    row fresh = { { (unsigned char)below(VALUES),
                    (unsigned char)below(MISSING + 1), (unsigned char)now } };

    return fresh;
}

static void insert_row(state *at, unsigned now)
{
    unsigned place = below(at->rows + 1u);

    if (at->rows < ROWS_MAX) {
        memmove(at->row + place + 1, at->row + place,
                (at->rows - place) * sizeof(row));
        at->row[place] = random_row(now);
        at->rows++;
        at->first += place < at->first || below(2);
    }
}

static void delete_row(state *at)
{
    if (at->rows > 0) {
        unsigned place = below(at->rows);

        at->rows--;
        memmove(at->row + place, at->row + place + 1,
                (at->rows - place) * sizeof(row));
        memset(at->row + at->rows, 0, sizeof(row));
        at->first -= place < at->first;
    }
}

static void update_row(state *at, unsigned now)
{
    if (at->rows > 0) {
        row *changed = at->row + below(at->rows);
        unsigned column = below(TIME_COLUMN);

        changed->column[column] = (unsigned char)below(VALUES + column);
        changed->column[TIME_COLUMN] = (unsigned char)now;
    }
}

/* Two rows, or two values in a column: what a sum does not see. */
static void swap_rows(state *at)
{
    if (at->rows > 0) {
        row *one = at->row + below(at->rows);
        row *other = at->row + below(at->rows);
        row kept = *one;
        unsigned column = below(COLUMNS + 1);

        if (column == COLUMNS) {
            *one = *other;
            *other = kept;
        }
        else {
            one->column[column] = other->column[column];
            other->column[column] = kept.column[column];
        }
    }
}

static void edit(state *at, unsigned *now)
{
    switch (below(8)) {
    case 0: case 1: insert_row(at, *now); break;
    case 2: delete_row(at); break;
    case 3: case 4: update_row(at, *now); break;
    case 5: swap_rows(at); break;
    case 6: at->first = (unsigned char)below(at->rows + 1u); break;
    default: *now = below(TIMES);   /* forward, or back */
    }
    if (at->first > at->rows) {
        at->first = at->rows;
    }
}

static void add_rows(etg_data_digest_builder *builder, const row *rows,
                     unsigned count)
{
    for (; count > 0; count--, rows++) {
        const char *text = times[rows->column[TIME_COLUMN]];
        etg_bytes time = { (const unsigned char *)text, strlen(text) };

        etg_data_digest_begin_member(builder);
        etg_data_digest_add_value(builder, values[rows->column[0]]);
        if (rows->column[1] != MISSING) {
            etg_data_digest_add_value(builder, values[rows->column[1]]);
        }
        etg_data_digest_add_time(builder, time);
        etg_data_digest_end_member(builder);
    }
}

static void digest_state(state *at)
{
    etg_data_digest_builder *builder;
    etg_data_digest digest;
    apr_pool_t *p;

    ck_assert_int_eq(apr_pool_create(&p, pool), APR_SUCCESS);
    ck_assert_int_eq(etg_data_digest_begin(&builder, ETG_DATA_DIGEST_SHA256,
                                           p), APR_SUCCESS);
    add_rows(builder, at->row, at->first);
    etg_data_digest_next_source(builder);
    add_rows(builder, at->row + at->first, at->rows - at->first);
    ck_assert_int_eq(etg_data_digest_end(builder, &digest), APR_SUCCESS);
    ck_assert_int_eq(digest.members, at->rows);
    ck_assert_int_eq(digest.is_timed, at->rows > 0);
    memcpy(at->digest, digest.sha256, sizeof(at->digest));
    apr_pool_destroy(p);
}

static int order_by_rows(const void *a, const void *b)
{
    return memcmp(a, b, ROWS_BYTES);
}

static int order_by_digest(const void *a, const void *b)
{
    return memcmp(((const state *)a)->digest, ((const state *)b)->digest,
                  ETG_DATA_DIGEST_BYTES);
}

static void play_histories(void)
{
    int i;

    for (i = 0; i < STATES; i++) {
        static unsigned now;

        if (i % (EDITS + 1) != 0) {
            memcpy(&states[i], &states[i - 1], sizeof(states[i]));
            edit(&states[i], &now);
        }
        digest_state(&states[i]);
    }
}

/* How many neighbours are the same by `order`; both must then be wholly. */
static int check_neighbours(int (*order)(const void *, const void *))
{
    int same = 0;
    int i;

    qsort(states, STATES, sizeof(*states), order);
    for (i = 1; i < STATES; i++) {
        if (order(&states[i - 1], &states[i]) == 0) {
            ck_assert_msg(memcmp(&states[i - 1], &states[i],
                                 sizeof(state)) == 0,
                          "neighbours %d of %d", i, STATES);
            same++;
        }
    }
    return same;
}

START_TEST(test_digests_are_equal_exactly_when_rows_are)
{
    int same;

    play_histories();
    same = check_neighbours(order_by_rows);
    ck_assert_int_eq(check_neighbours(order_by_digest), same);
    /* Both happened often: a state met again, and a state of its own. */
    ck_assert_int_gt(same, STATES / 20);
    ck_assert_int_lt(same, STATES - STATES / 20);
}
END_TEST

START_TEST(test_every_edit_that_changes_a_row_moves_the_digest)
{
    int moved = 0;
    int i;

    play_histories();
    for (i = 1; i < STATES; i++) {
        if (i % (EDITS + 1) != 0) {
            int is_same = order_by_rows(&states[i - 1], &states[i]) == 0;

            ck_assert_int_eq(order_by_digest(&states[i - 1], &states[i]) == 0,
                             is_same);
            moved += !is_same;
        }
    }
    ck_assert_int_gt(moved, STATES / 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_histories");
    TCase *tests = tcase_create("data_histories");

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_digests_are_equal_exactly_when_rows_are);
    tcase_add_test(tests,
                   test_every_edit_that_changes_a_row_moves_the_digest);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
