/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tiers.c: several stores as one: the conformance list on two and three
 * tiers, and what is only theirs: trust, fills, and what happens while a tier
 * cannot be heard. Nothing here waits for trust to end: a copy is as old as
 * the moment it is written with says.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "lib/response_copy.h"
#include "modules/tiers/tiers.h"
#include "test/unit/run_suite.h"
#include "tiers_rig.h"

#define WAIT apr_time_from_sec(20)
#define TRUST apr_time_from_sec(5)
#define TRUSTING "2,5000000"
#define ASKING "2,0"

/* Two hosts that share a store. */
#define here tiers_here
#define there tiers_there

static void begin(void)
{
    tiers_rig_begin(TRUSTING);
}


static apr_status_t mark(store_rig *host, etg_store_mark kind)
{
    static const etg_store_tag tag = TIERS_RIG_TAG;
    unsigned int moved = 99;
    apr_status_t rv = host->provider->mark(host->store, &tag, 1, kind, WAIT,
                                           &moved);
    ck_assert_uint_eq(moved, rv == APR_SUCCESS ? 1 : moved);
    return rv;
}

/* ---- trust ---- */

START_TEST(test_a_near_hit_asks_nobody_else)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    unsigned int before = tiers_rig_asked(tiers_rig_shared(&here));
    etg_store_found found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.is_copy, 1);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_NONE);
    ck_assert_uint_ne(found.moment.of[0], 0);
    ck_assert_uint_eq(found.moment.of[1], 0);
    ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&here)), before);
    ck_assert_uint_eq(rig_counter(&here, "near_hits"), 1);
}
END_TEST

START_TEST(test_a_copy_past_its_trust_is_asked_for_and_trusted_anew)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, TRUST + 1), APR_SUCCESS);
    unsigned int before = tiers_rig_asked(tiers_rig_shared(&here));
    etg_store_found found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.is_copy, 0);
    ck_assert_uint_ne(found.moment.of[0], 0);
    ck_assert_uint_ne(found.moment.of[1], 0);
    ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&here)), before + 1);
    found = tiers_rig_look(&here, 1);
    ck_assert_int_eq(found.is_copy, 1);
    ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&here)), before + 1);
}
END_TEST

START_TEST(test_a_copy_from_before_the_clock_went_back_is_not_trusted)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, -apr_time_from_sec(3600)),
                     APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).is_copy, 0);
    ck_assert_int_eq(tiers_rig_look(&here, 1).is_copy, 1);   /* confirmed now */
}
END_TEST

START_TEST(test_without_trust_every_look_up_asks)
{
    tiers_rig_end();
    tiers_rig_begin(ASKING);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    unsigned int before = tiers_rig_asked(tiers_rig_shared(&here));
    unsigned int written = etg_fake_calls(tiers_rig_near(&here),
                                          ETG_FAKE_WRITE);
    for (unsigned int i = 1; i < 4; i++) {
        etg_store_found found = tiers_rig_look(&here, 1);
        ck_assert_uint_eq(tiers_rig_version(&found), 7);
        ck_assert_int_eq(found.is_copy, 0);
        ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&here)), before + i);
    }
    /* The same copy is not written each time. */
    ck_assert_uint_eq(etg_fake_calls(tiers_rig_near(&here), ETG_FAKE_WRITE),
                      written);
}
END_TEST

START_TEST(test_a_look_up_past_all_copies_asks_the_shared_tier)
{
    etg_store_found found;
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    unsigned int before = tiers_rig_asked(tiers_rig_shared(&here));
    ck_assert_int_eq(rig_look(&here, 1, ETG_STORE_SHARED, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.is_copy, 0);
    ck_assert_uint_ne(found.moment.of[0], 0);
    ck_assert_uint_ne(found.moment.of[1], 0);
    ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&here)), before + 1);
}
END_TEST

START_TEST(test_a_long_fetch_does_not_make_its_copy_outlive_a_purge)
{
    etg_store_moment moment = rig_moment(&here, 1);
    static const etg_store_tag tag = TIERS_RIG_TAG;
    /* knows the tag */
    ck_assert_int_eq(tiers_rig_put(&here, 2, 1, 0), APR_SUCCESS);
    moment.at -= 2 * TRUST;                  /* the fetch took that long */
    ck_assert_int_eq(mark(&there, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(rig_put_tagged(&here, 1, 7, 100, WAIT, &moment, &tag, 1),
                     APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).mark, ETG_STORE_MARK_INVALID);
}
END_TEST

/* ---- fills ---- */

START_TEST(test_what_another_host_stored_is_found_and_copied)
{
    here.expires_at = apr_time_from_sec(2000000000);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    etg_store_found first = tiers_rig_look(&there, 1);
    ck_assert_uint_eq(tiers_rig_version(&first), 7);
    ck_assert_int_eq(first.is_copy, 0);
    unsigned int before = tiers_rig_asked(tiers_rig_shared(&there));
    etg_store_found found = tiers_rig_look(&there, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.is_copy, 1);
    ck_assert_int_eq(found.expires_at, here.expires_at);
    ck_assert_uint_eq(found.tag_count, 1);
    ck_assert_uint_eq(found.tags[0], TIERS_RIG_TAG);
    ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&there)), before);
    ck_assert_uint_eq(rig_counter(&there, "fills"), 1);
}
END_TEST

START_TEST(test_what_another_host_replaced_replaces_the_copy)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_put(&there, 1, 8, 0), APR_SUCCESS);
    etg_store_found found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);   /* trusted */
    ck_assert_int_eq(rig_look(&here, 1, ETG_STORE_SHARED, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(tiers_rig_version(&found), 8);
    found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 8);
    ck_assert_int_eq(found.is_copy, 1);
}
END_TEST

/* Writes version 9 of primary 1 near by, as its choice is made far off. */
static apr_status_t choose_and_write(void *baton, etg_bytes primary,
                                     etg_store_key *next)
{
    store_rig *near = baton;
    etg_store_moment moment = rig_moment(near, 1);
    memcpy(next, primary.data, sizeof(*next));
    ck_assert_int_eq(rig_put_tagged(near, 1, 9, 100, WAIT, &moment, NULL, 0),
                     APR_SUCCESS);
    return APR_SUCCESS;
}

START_TEST(test_a_fill_leaves_alone_what_was_written_in_between)
{
    store_rig near = there;                  /* its near tier by itself */
    etg_store_key key = rig_key(1, 'p');
    etg_store_found found;
    near.provider = &etg_fake_provider;
    near.store = tiers_rig_near(&there);
    apr_pool_create(&near.p, there.p);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(there.provider->meta_lookup(there.store, &key,
                                                 choose_and_write, &near,
                                                 ETG_STORE_NEAREST, there.p,
                                                 &found), APR_SUCCESS);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(rig_look(&near, 1, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(tiers_rig_version(&found), 9);
}
END_TEST

START_TEST(test_a_marked_response_is_not_copied)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(mark(&here, ETG_STORE_MARK_SOFT), APR_SUCCESS);
    for (int i = 0; i < 2; i++) {
        etg_store_found found = tiers_rig_look(&there, 1);
        ck_assert_uint_eq(tiers_rig_version(&found), 7);
        ck_assert_int_eq(found.mark, ETG_STORE_MARK_SOFT);
        ck_assert_int_eq(found.is_copy, 0);
    }
    ck_assert_uint_eq(rig_counter(&there, "fills"), 0);
}
END_TEST

/* Since when the copy of primary 1 in a tier is trusted. */
static apr_time_t confirmed_at(store_rig *host, int tier)
{
    store_rig alone = *host;
    etg_store_found found = { .answer = ETG_STORE_MISS };
    etg_bytes response;
    apr_time_t when = 0;
    alone.provider = &etg_fake_provider;
    alone.store = tiers_rig_tier(host, tier);
    ck_assert_int_eq(rig_look(&alone, 1, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_int_eq(found.answer, ETG_STORE_HIT);
    ck_assert_int_eq(etg_response_copy_unpack(found.response, &when,
                                              &response), APR_SUCCESS);
    return when;
}

START_TEST(test_a_middle_tier_does_not_prolong_trust)
{
    tiers_rig_end();
    tiers_rig_begin("3,3600000000");
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, apr_time_from_sec(60)),
                     APR_SUCCESS);
    apr_time_t since = confirmed_at(&here, 1);
    etg_fake_evict(tiers_rig_near(&here));
    unsigned int before = tiers_rig_asked(tiers_rig_shared(&here));
    ck_assert_int_eq(tiers_rig_look(&here, 1).is_copy, 1);
    ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&here)), before);
    ck_assert_int_eq(confirmed_at(&here, 0), since);
}
END_TEST

/* ---- purges ---- */

START_TEST(test_a_purge_here_holds_here_at_once)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).is_copy, 1);
    ck_assert_int_eq(mark(&here, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).mark, ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(mark(&here, ETG_STORE_MARK_GONE), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).answer, ETG_STORE_MISS);
}
END_TEST

START_TEST(test_a_purge_there_holds_here_when_trust_ends)
{
    ck_assert_int_eq(tiers_rig_put(&there, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(mark(&there, ETG_STORE_MARK_SOFT), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&there, 1).mark, ETG_STORE_MARK_SOFT);
    /* trusted */
    ck_assert_int_eq(tiers_rig_look(&here, 1).mark, ETG_STORE_MARK_NONE);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, TRUST + 1), APR_SUCCESS);
    ck_assert_int_eq(mark(&there, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).mark, ETG_STORE_MARK_INVALID);
}
END_TEST

START_TEST(test_a_removal_there_is_a_miss_here_when_trust_ends)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, TRUST + 1), APR_SUCCESS);
    ck_assert_int_eq(rig_remove(&there, 1), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).answer, ETG_STORE_MISS);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 8, 0), APR_SUCCESS);
    etg_store_found found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 8);
}
END_TEST

START_TEST(test_a_purge_fails_if_the_shared_tier_does)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_set_failure(tiers_rig_shared(&here), APR_TIMEUP + 1);
    ck_assert_int_ne(mark(&here, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_ne(rig_remove(&here, 1), APR_SUCCESS);
    /* It is done where it could be. */
    ck_assert_int_eq(tiers_rig_look(&here, 1).answer, ETG_STORE_MISS);
}
END_TEST

START_TEST(test_a_purge_that_misses_a_near_tier_is_told_by_tag_only)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_set_down(tiers_rig_near(&here), 1);
    ck_assert_int_ne(mark(&here, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).mark, ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(rig_remove(&here, 1), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).answer, ETG_STORE_MISS);
}
END_TEST

static TCase *trust_cases(void)
{
    TCase *tcase = tcase_create("trust");
    tcase_add_checked_fixture(tcase, begin, tiers_rig_end);
    tcase_add_test(tcase, test_a_near_hit_asks_nobody_else);
    tcase_add_test(tcase,
                   test_a_copy_past_its_trust_is_asked_for_and_trusted_anew);
    tcase_add_test(tcase,
                   test_a_copy_from_before_the_clock_went_back_is_not_trusted);
    tcase_add_test(tcase, test_without_trust_every_look_up_asks);
    tcase_add_test(tcase, test_a_look_up_past_all_copies_asks_the_shared_tier);
    tcase_add_test(tcase,
                   test_a_long_fetch_does_not_make_its_copy_outlive_a_purge);
    tcase_add_test(tcase, test_what_another_host_stored_is_found_and_copied);
    tcase_add_test(tcase, test_what_another_host_replaced_replaces_the_copy);
    tcase_add_test(tcase,
                   test_a_fill_leaves_alone_what_was_written_in_between);
    tcase_add_test(tcase, test_a_marked_response_is_not_copied);
    tcase_add_test(tcase, test_a_middle_tier_does_not_prolong_trust);
    tcase_add_test(tcase, test_a_purge_here_holds_here_at_once);
    tcase_add_test(tcase, test_a_purge_there_holds_here_when_trust_ends);
    tcase_add_test(tcase, test_a_removal_there_is_a_miss_here_when_trust_ends);
    tcase_add_test(tcase, test_a_purge_fails_if_the_shared_tier_does);
    tcase_add_test(tcase,
                   test_a_purge_that_misses_a_near_tier_is_told_by_tag_only);
    return tcase;
}

int main(void)
{
    /* Where others write, nothing but asking is exact. */
    conformance_subject subjects[] = {
        { .query = ASKING, .is_shared = 1 }, { .query = TRUSTING },
        { .query = "3,0", .is_shared = 1 }, { .query = "3,5000000" },
        { .query = "4,5000000" }
    };
    Suite *own = suite_create("tiers");
    int failed = 0;
    suite_add_tcase(own, trust_cases());
    failed += run_suite(own);
    for (unsigned int i = 0; i < sizeof(subjects) / sizeof(*subjects); i++) {
        subjects[i].provider = tiers_rig_provider();
        subjects[i].is_persistent = 1;
        failed += run_suite(conformance_suite(&subjects[i]));
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
