/* SPDX-License-Identifier: Apache-2.0 */
/* test_hit_table.c: counting hits in shared memory, alone and together. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "lib/hit_table.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define SLOTS 1024
#define WAYS 8
/* Same bucket (the low bits), another tag. */
#define RIVAL(n) (0x77 + ((apr_uint64_t)(n) << 40))

static void *memory;
static apr_size_t size;
static etg_hit_table *table;

static void setup(void)
{
    open_pool();
    size = etg_hit_table_size(SLOTS);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(memory != MAP_FAILED);
    ck_assert_int_eq(etg_hit_table_format(memory, size, SLOTS), APR_SUCCESS);
    ck_assert_int_eq(etg_hit_table_attach(&table, memory, size, pool),
                     APR_SUCCESS);
}

static void teardown(void)
{
    munmap(memory, size);
    close_pool();
}

START_TEST(test_hits_are_counted_from_one)
{
    for (unsigned i = 1; i <= 5; i++) {
        ck_assert_uint_eq(etg_hit_table_count(table, 0x1234567), i);
    }
    ck_assert_uint_eq(etg_hit_table_count(table, 0x7654321), 1);
    ck_assert_uint_eq(etg_hit_table_count(table, 0x1234567), 6);
}
END_TEST

START_TEST(test_a_hash_of_zeros_counts_like_any)
{
    ck_assert_uint_eq(etg_hit_table_count(table, 0), 1);
    ck_assert_uint_eq(etg_hit_table_count(table, 0), 2);
}
END_TEST

START_TEST(test_a_count_stops_at_its_most)
{
    for (unsigned i = 1; i <= ETG_HIT_TABLE_MOST; i++) {
        ck_assert_uint_eq(etg_hit_table_count(table, 99), i);
    }
    for (unsigned i = 0; i < 300; i++) {
        ck_assert_uint_eq(etg_hit_table_count(table, 99),
                          ETG_HIT_TABLE_MOST);
    }
}
END_TEST

START_TEST(test_eight_share_a_bucket)
{
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < WAYS; i++) {
            ck_assert_uint_eq(etg_hit_table_count(table, RIVAL(i)), round);
        }
    }
}
END_TEST

START_TEST(test_the_ninth_takes_the_place_of_the_least_counted)
{
    for (unsigned i = 0; i < WAYS; i++) {
        etg_hit_table_count(table, RIVAL(i));
        etg_hit_table_count(table, RIVAL(i));
        if (i != 3) {
            etg_hit_table_count(table, RIVAL(i));
            etg_hit_table_count(table, RIVAL(i));
        }
    }
    ck_assert_uint_eq(etg_hit_table_count(table, RIVAL(WAYS)), 1);
    ck_assert_uint_eq(etg_hit_table_count(table, RIVAL(WAYS)), 2);
    /* The others lost half of their four. */
    ck_assert_uint_eq(etg_hit_table_count(table, RIVAL(0)), 3);
    ck_assert_uint_eq(etg_hit_table_count(table, RIVAL(7)), 3);
    ck_assert_uint_eq(etg_hit_table_count(table, RIVAL(3)), 1);
}
END_TEST

START_TEST(test_what_nobody_hits_goes_in_the_end)
{
    for (unsigned i = 0; i < WAYS; i++) {
        for (unsigned hit = 0; hit < ETG_HIT_TABLE_MOST; hit++) {
            etg_hit_table_count(table, RIVAL(i));
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        etg_hit_table_count(table, RIVAL(1000 + i));
        etg_hit_table_count(table, RIVAL(1000 + i));
    }
    for (unsigned i = 0; i < WAYS; i++) {
        ck_assert_uint_eq(etg_hit_table_count(table, RIVAL(i)), 1);
    }
}
END_TEST

START_TEST(test_children_count_together)
{
    enum { CHILDREN = 4, HITS = 50 };

    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            etg_hit_table *view;

            if (etg_hit_table_attach(&view, memory, size, pool)) {
                _exit(1);
            }
            for (int hit = 0; hit < HITS; hit++) {
                etg_hit_table_count(view, 0xabcdef);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status = -1;

        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    /* Two of them may have begun it in two places: at most once. */
    ck_assert_uint_ge(etg_hit_table_count(table, 0xabcdef),
                      (CHILDREN - 1) * HITS);
}
END_TEST

START_TEST(test_what_is_stored_anew_has_another_hash)
{
    etg_store_key key, other;

    memset(&key, 7, sizeof(key));
    memset(&other, 8, sizeof(other));
    ck_assert(etg_hit_table_hash(&key, 5) == etg_hit_table_hash(&key, 5));
    ck_assert(etg_hit_table_hash(&key, 5) != etg_hit_table_hash(&key, 6));
    ck_assert(etg_hit_table_hash(&key, 5) != etg_hit_table_hash(&other, 5));
}
END_TEST

START_TEST(test_what_is_no_table_is_refused)
{
    etg_hit_table *view = NULL;
    apr_size_t small = etg_hit_table_size(8);

    ck_assert_int_eq(etg_hit_table_attach(&view, memory, small, pool),
                     APR_EINVAL);
    ck_assert_int_eq(etg_hit_table_attach(&view, memory, 0, pool),
                     APR_EINVAL);
    ck_assert_int_eq(etg_hit_table_format(memory, small, SLOTS), APR_EINVAL);
    memset(memory, 0, size);
    ck_assert_int_eq(etg_hit_table_attach(&view, memory, size, pool),
                     APR_EINVAL);
    ck_assert_ptr_null(view);
}
END_TEST

START_TEST(test_any_number_of_slots_makes_a_table)
{
    static const unsigned numbers[] = { 0, 1, 8, 9, 1000, 1025 };

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        apr_size_t bytes = etg_hit_table_size(numbers[i]);
        /* Off by one word: mmap's is aligned, malloc's need not be. */
        void *space = apr_pcalloc(pool, bytes + 8);
        void *odd = (char *)space + 8;
        etg_hit_table *view;

        ck_assert_int_eq(etg_hit_table_format(odd, bytes, numbers[i]), 0);
        ck_assert_int_eq(etg_hit_table_attach(&view, odd, bytes, pool), 0);
        for (unsigned n = 0; n < 5000; n++) {
            etg_hit_table_count(view, n * APR_UINT64_C(0x9e3779b97f4a7c15));
        }
    }
}
END_TEST

static Suite *hit_table_suite(void)
{
    Suite *suite = suite_create("hit_table");
    TCase *counts = tcase_create("counts");

    tcase_add_checked_fixture(counts, setup, teardown);
    tcase_add_test(counts, test_hits_are_counted_from_one);
    tcase_add_test(counts, test_a_hash_of_zeros_counts_like_any);
    tcase_add_test(counts, test_a_count_stops_at_its_most);
    tcase_add_test(counts, test_eight_share_a_bucket);
    tcase_add_test(counts,
                   test_the_ninth_takes_the_place_of_the_least_counted);
    tcase_add_test(counts, test_what_nobody_hits_goes_in_the_end);
    tcase_add_test(counts, test_children_count_together);
    tcase_add_test(counts, test_what_is_stored_anew_has_another_hash);
    tcase_add_test(counts, test_what_is_no_table_is_refused);
    tcase_add_test(counts, test_any_number_of_slots_makes_a_table);
    suite_add_tcase(suite, counts);
    return suite;
}

int main(void)
{
    return run_suite(hit_table_suite());
}
