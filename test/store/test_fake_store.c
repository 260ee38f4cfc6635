/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fake_store.c: the conformance list on the fake store, and what tests
 * can do to it.
 */
#include <stdlib.h>

#include "conformance.h"
#include "fake_store.h"
#include "store_rig.h"

#define WAIT apr_time_from_sec(20)

static store_rig rig;

static void begin(void)
{
    rig_init(&rig, &etg_fake_provider, "");
    rig_open(&rig);
}

static void end(void)
{
    rig_end(&rig);
}

START_TEST(a_store_told_to_fail_fails_alone)
{
    store_rig other;
    etg_store_answer answer = ETG_STORE_MISS;
    rig_beside(&other, &rig, "");
    rig_open(&other);
    ck_assert_int_eq(rig_put(&rig, 1, 1, 100, WAIT), APR_SUCCESS);
    etg_fake_set_failure(rig.store, ETG_STORE_OPEN_BREAKER);
    ck_assert_int_eq(rig_get(&rig, 1, &answer, NULL),
                     ETG_STORE_OPEN_BREAKER);
    ck_assert_int_eq(rig_put(&rig, 1, 2, 100, WAIT), ETG_STORE_OPEN_BREAKER);
    ck_assert(rig_has(&other, 1));
    etg_fake_set_down(rig.store, 0);
    ck_assert(rig_has(&rig, 1));
    rig_end(&other);
}
END_TEST

START_TEST(calls_are_counted)
{
    unsigned int before = etg_fake_calls(rig.store, ETG_FAKE_LOOKUP);
    rig_has(&rig, 1);
    rig_has(&rig, 1);
    ck_assert_uint_eq(etg_fake_calls(rig.store, ETG_FAKE_LOOKUP),
                      before + 2);
    ck_assert_uint_eq(etg_fake_calls(rig.store, ETG_FAKE_WRITE), 0);
    rig_body_put(&rig, 1, 100, NULL);
    ck_assert_uint_eq(etg_fake_calls(rig.store, ETG_FAKE_ENTITY_FINISH), 1);
}
END_TEST

START_TEST(what_is_evicted_is_missing)
{
    static const etg_store_tag tag = 11;
    etg_store_moment moment = rig_moment(&rig, 1);
    etg_store_found found;
    rig_put_tagged(&rig, 1, 1, 100, WAIT, &moment, &tag, 1);
    etg_fake_evict_tag(rig.store, tag);
    ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_INVALID);
    etg_fake_evict(rig.store);
    ck_assert(!rig_has(&rig, 1));
}
END_TEST

START_TEST(a_lease_can_be_lost_behind_its_holders_back)
{
    etg_store_key key = rig_key(1, 'p');
    etg_store_lease lease, next;
    etg_store_lease_state state;
    etg_fake_provider.lease_take(rig.store, &key, &lease, &state);
    etg_fake_pass_time(rig.store, apr_time_from_sec(100));
    etg_fake_provider.lease_take(rig.store, &key, &next, &state);
    ck_assert_int_eq(state, ETG_STORE_LEASE_HELD);
    etg_fake_drop_leases(rig.store);
    etg_fake_provider.lease_take(rig.store, &key, &next, &state);
    ck_assert_int_eq(state, ETG_STORE_LEASE_TAKEN);
    etg_fake_provider.lease_release(rig.store, &lease, 0);
    etg_fake_provider.lease_take(rig.store, &key, &lease, &state);
    ck_assert_int_eq(state, ETG_STORE_LEASE_HELD);
}
END_TEST

static Suite *fake_suite(void)
{
    Suite *suite = suite_create("fake");
    TCase *tcase = tcase_create("what tests can do to it");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, a_store_told_to_fail_fails_alone);
    tcase_add_test(tcase, calls_are_counted);
    tcase_add_test(tcase, what_is_evicted_is_missing);
    tcase_add_test(tcase, a_lease_can_be_lost_behind_its_holders_back);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    static const conformance_subject subject = {
        .provider = &etg_fake_provider, .query = "", .is_persistent = 1,
        .is_shared = 1, .pass_time = etg_fake_pass_time
    };
    SRunner *runner = srunner_create(conformance_suite(&subject));
    srunner_add_suite(runner, fake_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
