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
#include "modules/tiers/tiers.h"
#include "tiers_rig.h"

#define WAIT apr_time_from_sec(20)
#define TRUST apr_time_from_sec(5)
#define TRUSTING "2,5000000"
#define ASKING "2,0"
#define TAG APR_UINT64_C(0x1234)

static store_rig here;
static store_rig there;

static void hosts_begin(const char *query)
{
    rig_init(&here, tiers_rig_provider(), query);
    rig_open(&here);
    rig_beside(&there, &here, query);
    rig_open(&there);
}

static void begin(void)
{
    hosts_begin(TRUSTING);
}

static void end(void)
{
    rig_close(&there);
    apr_pool_destroy(there.p);
    apr_pool_destroy(there.pconf);
    rig_end(&here);
}

static etg_store *near_of(const store_rig *host)
{
    return tiers_rig_tier(host, 0);
}

static etg_store *shared_of(const store_rig *host)
{
    return tiers_rig_tier(host, -1);
}

static unsigned int asked(etg_store *fake)
{
    return etg_fake_calls(fake, ETG_FAKE_LOOKUP);
}

static etg_store_found look(store_rig *host, unsigned int n)
{
    etg_store_found found = { .answer = ETG_STORE_MISS };
    ck_assert_int_eq(rig_look(host, n, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    return found;
}

static unsigned int version_of(const etg_store_found *found)
{
    unsigned int version;
    ck_assert_int_eq(found->answer, ETG_STORE_HIT);
    memcpy(&version, found->response.data + 4, 4);
    return version;
}

/* As after a fetch that began `ago`. */
static apr_status_t put(store_rig *host, unsigned int n, unsigned int version,
                        apr_interval_time_t ago)
{
    static const etg_store_tag tag = TAG;
    etg_store_moment moment = rig_moment(host, n);
    ck_assert_int_ne(moment.at, 0);
    moment.at -= ago;
    return rig_put_tagged(host, n, version, 100, WAIT, &moment, &tag, 1);
}

static apr_status_t mark(store_rig *host, etg_store_mark kind)
{
    static const etg_store_tag tag = TAG;
    unsigned int moved = 99;
    apr_status_t rv = host->provider->mark(host->store, &tag, 1, kind, WAIT,
                                           &moved);
    ck_assert_uint_eq(moved, rv == APR_SUCCESS ? 1 : moved);
    return rv;
}

/* ---- trust ---- */

START_TEST(test_a_near_hit_asks_nobody_else)
{
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    unsigned int before = asked(shared_of(&here));
    etg_store_found found = look(&here, 1);
    ck_assert_uint_eq(version_of(&found), 7);
    ck_assert_int_eq(found.is_copy, 1);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_NONE);
    ck_assert_uint_ne(found.moment.of[0], 0);
    ck_assert_uint_eq(found.moment.of[1], 0);
    ck_assert_uint_eq(asked(shared_of(&here)), before);
    ck_assert_uint_eq(rig_counter(&here, "near_hits"), 1);
}
END_TEST

START_TEST(test_a_copy_past_its_trust_is_asked_for_and_trusted_anew)
{
    ck_assert_int_eq(put(&here, 1, 7, TRUST + 1), APR_SUCCESS);
    unsigned int before = asked(shared_of(&here));
    etg_store_found found = look(&here, 1);
    ck_assert_uint_eq(version_of(&found), 7);
    ck_assert_int_eq(found.is_copy, 0);
    ck_assert_uint_ne(found.moment.of[0], 0);
    ck_assert_uint_ne(found.moment.of[1], 0);
    ck_assert_uint_eq(asked(shared_of(&here)), before + 1);
    found = look(&here, 1);
    ck_assert_int_eq(found.is_copy, 1);
    ck_assert_uint_eq(asked(shared_of(&here)), before + 1);
}
END_TEST

START_TEST(test_a_copy_from_before_the_clock_went_back_is_not_trusted)
{
    ck_assert_int_eq(put(&here, 1, 7, -apr_time_from_sec(3600)), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).is_copy, 0);
    ck_assert_int_eq(look(&here, 1).is_copy, 1);   /* confirmed now */
}
END_TEST

START_TEST(test_without_trust_every_look_up_asks)
{
    end();
    hosts_begin(ASKING);
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    unsigned int before = asked(shared_of(&here));
    unsigned int written = etg_fake_calls(near_of(&here), ETG_FAKE_WRITE);
    for (unsigned int i = 1; i < 4; i++) {
        etg_store_found found = look(&here, 1);
        ck_assert_uint_eq(version_of(&found), 7);
        ck_assert_int_eq(found.is_copy, 0);
        ck_assert_uint_eq(asked(shared_of(&here)), before + i);
    }
    /* The same copy is not written each time. */
    ck_assert_uint_eq(etg_fake_calls(near_of(&here), ETG_FAKE_WRITE),
                      written);
}
END_TEST

START_TEST(test_a_look_up_past_all_copies_asks_the_shared_tier)
{
    etg_store_found found;
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    unsigned int before = asked(shared_of(&here));
    ck_assert_int_eq(rig_look(&here, 1, ETG_STORE_SHARED, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(version_of(&found), 7);
    ck_assert_int_eq(found.is_copy, 0);
    ck_assert_uint_ne(found.moment.of[0], 0);
    ck_assert_uint_ne(found.moment.of[1], 0);
    ck_assert_uint_eq(asked(shared_of(&here)), before + 1);
}
END_TEST

START_TEST(test_a_long_fetch_does_not_make_its_copy_outlive_a_purge)
{
    etg_store_moment moment = rig_moment(&here, 1);
    static const etg_store_tag tag = TAG;
    ck_assert_int_eq(put(&here, 2, 1, 0), APR_SUCCESS);   /* knows the tag */
    moment.at -= 2 * TRUST;                  /* the fetch took that long */
    ck_assert_int_eq(mark(&there, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(rig_put_tagged(&here, 1, 7, 100, WAIT, &moment, &tag, 1),
                     APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).mark, ETG_STORE_MARK_INVALID);
}
END_TEST

/* ---- fills ---- */

START_TEST(test_what_another_host_stored_is_found_and_copied)
{
    here.expires_at = apr_time_from_sec(2000000000);
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    etg_store_found first = look(&there, 1);
    ck_assert_uint_eq(version_of(&first), 7);
    ck_assert_int_eq(first.is_copy, 0);
    unsigned int before = asked(shared_of(&there));
    etg_store_found found = look(&there, 1);
    ck_assert_uint_eq(version_of(&found), 7);
    ck_assert_int_eq(found.is_copy, 1);
    ck_assert_int_eq(found.expires_at, here.expires_at);
    ck_assert_uint_eq(found.tag_count, 1);
    ck_assert_uint_eq(found.tags[0], TAG);
    ck_assert_uint_eq(asked(shared_of(&there)), before);
    ck_assert_uint_eq(rig_counter(&there, "fills"), 1);
}
END_TEST

START_TEST(test_what_another_host_replaced_replaces_the_copy)
{
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(put(&there, 1, 8, 0), APR_SUCCESS);
    etg_store_found found = look(&here, 1);
    ck_assert_uint_eq(version_of(&found), 7);   /* trusted */
    ck_assert_int_eq(rig_look(&here, 1, ETG_STORE_SHARED, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(version_of(&found), 8);
    found = look(&here, 1);
    ck_assert_uint_eq(version_of(&found), 8);
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
    near.store = near_of(&there);
    apr_pool_create(&near.p, there.p);
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(there.provider->meta_lookup(there.store, &key,
                                                 choose_and_write, &near,
                                                 ETG_STORE_NEAREST, there.p,
                                                 &found), APR_SUCCESS);
    ck_assert_uint_eq(version_of(&found), 7);
    ck_assert_int_eq(rig_look(&near, 1, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(version_of(&found), 9);
}
END_TEST

START_TEST(test_a_marked_response_is_not_copied)
{
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(mark(&here, ETG_STORE_MARK_SOFT), APR_SUCCESS);
    for (int i = 0; i < 2; i++) {
        etg_store_found found = look(&there, 1);
        ck_assert_uint_eq(version_of(&found), 7);
        ck_assert_int_eq(found.mark, ETG_STORE_MARK_SOFT);
        ck_assert_int_eq(found.is_copy, 0);
    }
    ck_assert_uint_eq(rig_counter(&there, "fills"), 0);
}
END_TEST

START_TEST(test_a_middle_tier_does_not_prolong_trust)
{
    end();
    hosts_begin("3,5000000");
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_evict(near_of(&here));
    unsigned int before = asked(shared_of(&here));
    etg_store_found found = look(&here, 1);
    ck_assert_int_eq(found.is_copy, 1);
    ck_assert_uint_eq(asked(shared_of(&here)), before);
    etg_fake_evict(tiers_rig_tier(&here, 1));
    ck_assert_int_eq(look(&here, 1).is_copy, 1);   /* from the nearest */
    ck_assert_uint_eq(asked(shared_of(&here)), before);
    /* A copy in the middle that is old fills nothing by itself. */
    ck_assert_int_eq(put(&here, 2, 7, TRUST + 1), APR_SUCCESS);
    etg_fake_evict(near_of(&here));
    before = asked(shared_of(&here));
    ck_assert_int_eq(look(&here, 2).is_copy, 0);
    ck_assert_uint_eq(asked(shared_of(&here)), before + 1);
}
END_TEST

/* ---- purges ---- */

START_TEST(test_a_purge_here_holds_here_at_once)
{
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).is_copy, 1);
    ck_assert_int_eq(mark(&here, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).mark, ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(mark(&here, ETG_STORE_MARK_GONE), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).answer, ETG_STORE_MISS);
}
END_TEST

START_TEST(test_a_purge_there_holds_here_when_trust_ends)
{
    ck_assert_int_eq(put(&there, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_int_eq(mark(&there, ETG_STORE_MARK_SOFT), APR_SUCCESS);
    ck_assert_int_eq(look(&there, 1).mark, ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(look(&here, 1).mark, ETG_STORE_MARK_NONE);   /* trusted */
    ck_assert_int_eq(put(&here, 1, 7, TRUST + 1), APR_SUCCESS);
    ck_assert_int_eq(mark(&there, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).mark, ETG_STORE_MARK_INVALID);
}
END_TEST

START_TEST(test_a_removal_there_is_a_miss_here_when_trust_ends)
{
    ck_assert_int_eq(put(&here, 1, 7, TRUST + 1), APR_SUCCESS);
    ck_assert_int_eq(rig_remove(&there, 1), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).answer, ETG_STORE_MISS);
    ck_assert_int_eq(put(&here, 1, 8, 0), APR_SUCCESS);
    etg_store_found found = look(&here, 1);
    ck_assert_uint_eq(version_of(&found), 8);
}
END_TEST

START_TEST(test_a_purge_fails_if_the_shared_tier_does)
{
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_set_failure(shared_of(&here), APR_TIMEUP + 1);
    ck_assert_int_ne(mark(&here, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_ne(rig_remove(&here, 1), APR_SUCCESS);
    /* It is done where it could be. */
    ck_assert_int_eq(look(&here, 1).answer, ETG_STORE_MISS);
}
END_TEST

START_TEST(test_a_purge_that_misses_a_near_tier_is_told_by_tag_only)
{
    ck_assert_int_eq(put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_set_down(near_of(&here), 1);
    ck_assert_int_ne(mark(&here, ETG_STORE_MARK_INVALID), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).mark, ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(rig_remove(&here, 1), APR_SUCCESS);
    ck_assert_int_eq(look(&here, 1).answer, ETG_STORE_MISS);
}
END_TEST

static TCase *trust_cases(void)
{
    TCase *tcase = tcase_create("trust");
    tcase_add_checked_fixture(tcase, begin, end);
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

static int run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
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
    failed += run(own);
    for (unsigned int i = 0; i < sizeof(subjects) / sizeof(*subjects); i++) {
        subjects[i].provider = tiers_rig_provider();
        subjects[i].is_persistent = 1;
        failed += run(conformance_suite(&subjects[i]));
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
