/* SPDX-License-Identifier: Apache-2.0 */
/* test_prefetch_ledger.c: what was prefetched, and whether it was of use. */
#include "http_views.h"

#include "lib/prefetch_ledger.h"

#define PLACES 64
/* Hashes of one bucket of the ledger above. */
#define TOGETHER(n) (((apr_uint64_t)(n) << 32) | 5)

static void *memory;
static apr_size_t memory_bytes;

static etg_prefetch_ledger *make(void)
{
    etg_prefetch_ledger *ledger = NULL;

    memory_bytes = etg_prefetch_ledger_size(PLACES);
    memory = apr_pcalloc(pool, memory_bytes + 64);
    /* As apr_shm gives it: 8 bytes into a page. */
    memory = (char *)APR_ALIGN((apr_uintptr_t)memory, 64) + 8;
    ck_assert_int_eq(etg_prefetch_ledger_format(memory, memory_bytes, PLACES),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_prefetch_ledger_attach(&ledger, memory, memory_bytes,
                                                pool), APR_SUCCESS);
    return ledger;
}

static apr_uint64_t count_at(etg_prefetch_ledger *ledger, const char *name,
                             apr_time_t now)
{
    apr_array_header_t *rows = etg_prefetch_ledger_counters(ledger, now, pool);

    for (int i = 0; i < rows->nelts; i++) {
        const etg_store_counter *row = &APR_ARRAY_IDX(rows, i,
                                                      etg_store_counter);

        if (!strcmp(row->name, name)) {
            return row->value;
        }
    }
    ck_abort_msg("no counter %s", name);
    return 0;
}

static apr_uint64_t count_of(etg_prefetch_ledger *ledger, const char *name)
{
    return count_at(ledger, name, NOW);
}

START_TEST(the_first_client_makes_it_useful)
{
    etg_prefetch_ledger *ledger = make();

    etg_prefetch_ledger_put(ledger, 77, NOW + SECOND, NOW);
    ck_assert_int_eq(count_of(ledger, "useful"), 0);
    ck_assert(etg_prefetch_ledger_hit(ledger, 77));
    ck_assert(!etg_prefetch_ledger_hit(ledger, 77));
    ck_assert(!etg_prefetch_ledger_hit(ledger, 78));
    ck_assert_int_eq(count_of(ledger, "useful"), 1);
    ck_assert_int_eq(count_at(ledger, "wasted", NOW + HOUR), 0);
}
END_TEST

START_TEST(what_expires_unasked_is_wasted_once)
{
    etg_prefetch_ledger *ledger = make();

    etg_prefetch_ledger_put(ledger, 77, NOW + SECOND, NOW);
    ck_assert_int_eq(count_of(ledger, "wasted"), 0);
    ck_assert_int_eq(count_at(ledger, "wasted", NOW + SECOND), 1);
    ck_assert_int_eq(count_at(ledger, "wasted", NOW + HOUR), 1);
    ck_assert(!etg_prefetch_ledger_hit(ledger, 77));
    ck_assert_int_eq(count_of(ledger, "useful"), 0);
}
END_TEST

START_TEST(a_late_client_still_has_use_of_it)
{
    etg_prefetch_ledger *ledger = make();

    /* Served stale: nobody has counted it as wasted yet. */
    etg_prefetch_ledger_put(ledger, 77, NOW - SECOND, NOW - HOUR);
    ck_assert(etg_prefetch_ledger_hit(ledger, 77));
    ck_assert_int_eq(count_of(ledger, "wasted"), 0);
}
END_TEST

START_TEST(prefetched_again_it_is_still_one)
{
    etg_prefetch_ledger *ledger = make();

    etg_prefetch_ledger_put(ledger, 77, NOW + SECOND, NOW);
    etg_prefetch_ledger_put(ledger, 77, NOW + HOUR, NOW);
    ck_assert_int_eq(count_at(ledger, "wasted", NOW + 2 * SECOND), 0);
    ck_assert(etg_prefetch_ledger_hit(ledger, 77));
    ck_assert_int_eq(count_at(ledger, "wasted", NOW + 2 * HOUR), 0);
}
END_TEST

START_TEST(prefetched_again_after_expiry_the_first_was_wasted)
{
    etg_prefetch_ledger *ledger = make();

    etg_prefetch_ledger_put(ledger, 77, NOW + SECOND, NOW);
    etg_prefetch_ledger_put(ledger, 77, NOW + HOUR, NOW + 2 * SECOND);
    ck_assert(etg_prefetch_ledger_hit(ledger, 77));
    ck_assert_int_eq(count_of(ledger, "wasted"), 1);
    ck_assert_int_eq(count_of(ledger, "useful"), 1);
}
END_TEST

START_TEST(a_full_bucket_gives_up_what_expires_first)
{
    etg_prefetch_ledger *ledger = make();

    for (int i = 0; i < 8; i++) {
        etg_prefetch_ledger_put(ledger, TOGETHER(i + 1),
                                NOW + (i == 3 ? 1 : 10 + i) * SECOND, NOW);
    }
    ck_assert_int_eq(count_of(ledger, "wasted"), 0);
    etg_prefetch_ledger_put(ledger, TOGETHER(9), NOW + HOUR, NOW);
    ck_assert_int_eq(count_of(ledger, "wasted"), 1);
    ck_assert(!etg_prefetch_ledger_hit(ledger, TOGETHER(4)));
    for (int i = 0; i < 9; i++) {
        ck_assert_int_eq(etg_prefetch_ledger_hit(ledger, TOGETHER(i + 1)),
                         i != 3);
    }
}
END_TEST

START_TEST(expired_ones_make_room_first)
{
    etg_prefetch_ledger *ledger = make();

    for (int i = 0; i < 8; i++) {
        etg_prefetch_ledger_put(ledger, TOGETHER(i + 1), NOW + SECOND, NOW);
    }
    etg_prefetch_ledger_put(ledger, TOGETHER(9), NOW + HOUR,
                            NOW + 2 * SECOND);
    ck_assert_int_eq(count_of(ledger, "wasted"), 8);
    ck_assert(etg_prefetch_ledger_hit(ledger, TOGETHER(9)));
}
END_TEST

START_TEST(a_hash_of_zero_is_a_hash)
{
    etg_prefetch_ledger *ledger = make();

    ck_assert(!etg_prefetch_ledger_hit(ledger, 0));
    etg_prefetch_ledger_put(ledger, 0, NOW + SECOND, NOW);
    ck_assert(etg_prefetch_ledger_hit(ledger, 0));
    ck_assert(!etg_prefetch_ledger_hit(ledger, 0));
}
END_TEST

START_TEST(all_views_count_together)
{
    etg_prefetch_ledger *ledger = make();
    etg_prefetch_ledger *other;

    ck_assert_int_eq(etg_prefetch_ledger_attach(&other, memory, memory_bytes,
                                                pool), APR_SUCCESS);
    etg_prefetch_ledger_add(ledger, ETG_PREFETCH_STARTED);
    etg_prefetch_ledger_add(other, ETG_PREFETCH_STARTED);
    etg_prefetch_ledger_add(other, ETG_PREFETCH_SKIPPED);
    etg_prefetch_ledger_put(ledger, 7, NOW + SECOND, NOW);
    ck_assert(etg_prefetch_ledger_hit(other, 7));
    ck_assert_int_eq(count_of(ledger, "started"), 2);
    ck_assert_int_eq(count_of(ledger, "skipped"), 1);
    ck_assert_int_eq(count_of(ledger, "useful"), 1);
}
END_TEST

START_TEST(memory_that_is_no_ledger_is_refused)
{
    etg_prefetch_ledger *ledger = make();
    etg_prefetch_ledger *untouched = ledger;

    ck_assert_int_eq(etg_prefetch_ledger_format(memory, memory_bytes - 1,
                                                PLACES), APR_ENOSPC);
    ck_assert_int_eq(etg_prefetch_ledger_attach(&ledger, memory,
                                                memory_bytes - 1, pool),
                     APR_EINVAL);
    ck_assert_int_eq(etg_prefetch_ledger_attach(&ledger, memory, 16, pool),
                     APR_EINVAL);
    memset(memory, 0xff, 128);
    ck_assert_int_eq(etg_prefetch_ledger_attach(&ledger, memory,
                                                memory_bytes, pool),
                     APR_EINVAL);
    ck_assert_ptr_eq(ledger, untouched);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_first_client_makes_it_useful,
        what_expires_unasked_is_wasted_once,
        a_late_client_still_has_use_of_it,
        prefetched_again_it_is_still_one,
        prefetched_again_after_expiry_the_first_was_wasted,
        a_full_bucket_gives_up_what_expires_first,
        expired_ones_make_room_first,
        a_hash_of_zero_is_a_hash,
        all_views_count_together,
        memory_that_is_no_ledger_is_refused,
        NULL
    };

    return run_tests("prefetch_ledger", tests);
}
