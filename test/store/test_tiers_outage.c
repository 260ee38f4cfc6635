/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tiers_outage.c: several stores as one while some of them fail, are
 * late or hold writes back; bodies, leases and counters.
 */
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "modules/store_local/local_store.h"
#include "modules/tiers/tiers.h"
#include "test/unit/run_suite.h"
#include "tiers_rig.h"

#define WAIT apr_time_from_sec(20)
#define TRUST apr_time_from_sec(5)
#define FAR apr_time_from_sec(4000000000ll)

/* Two hosts that share a store. */
#define here tiers_here
#define there tiers_there

static void begin(void)
{
    tiers_rig_begin("2,5000000");
}

/* ---- the shared tier cannot be heard ---- */

START_TEST(test_a_trusted_copy_does_not_notice)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_set_down(tiers_rig_shared(&here), 1);
    unsigned int before = tiers_rig_asked(tiers_rig_shared(&here));
    etg_store_found found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_NONE);
    ck_assert_int_eq(found.trouble, APR_SUCCESS);
    ck_assert_uint_eq(tiers_rig_asked(tiers_rig_shared(&here)), before);
}
END_TEST

START_TEST(test_a_copy_past_its_trust_is_stale_since_its_trust_ended)
{
    apr_time_t before = apr_time_now();
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 3 * TRUST), APR_SUCCESS);
    etg_fake_set_failure(tiers_rig_shared(&here), ETG_STORE_OPEN_BREAKER);
    etg_store_found found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_SOFT);
    ck_assert_int_ge(found.marked_at, before - 2 * TRUST);
    ck_assert_int_le(found.marked_at, apr_time_now() - 2 * TRUST);
    ck_assert_int_eq(found.is_copy, 0);
    ck_assert_int_eq(found.trouble, ETG_STORE_OPEN_BREAKER);
    ck_assert_uint_ne(found.moment.of[0], 0);
    ck_assert_uint_eq(found.moment.of[1], 0);
    ck_assert_uint_eq(rig_counter(&here, "unconfirmed"), 1);
}
END_TEST

START_TEST(test_a_purge_of_the_near_copy_holds_during_an_outage)
{
    static const etg_store_tag tag = TIERS_RIG_TAG;
    unsigned int moved;
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_set_down(tiers_rig_shared(&here), 1);
    ck_assert_int_ne(here.provider->mark(here.store, &tag, 1,
                                         ETG_STORE_MARK_INVALID, WAIT,
                                         &moved), APR_SUCCESS);
    etg_store_found found = tiers_rig_look(&here, 1);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_INVALID);
    ck_assert_int_ne(found.trouble, APR_SUCCESS);
}
END_TEST

START_TEST(test_a_look_up_past_all_copies_falls_back_on_a_copy)
{
    etg_store_found found;
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    etg_fake_set_down(tiers_rig_shared(&here), 1);
    ck_assert_int_eq(rig_look(&here, 1, ETG_STORE_SHARED, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_SOFT);
    ck_assert_int_ne(found.trouble, APR_SUCCESS);
    ck_assert_int_le(found.marked_at, apr_time_now());
}
END_TEST

START_TEST(test_the_near_tier_works_alone_until_the_shared_one_is_back)
{
    etg_store *shared = tiers_rig_shared(&here);
    etg_store_found found;
    etg_fake_set_down(shared, 1);
    found = tiers_rig_look(&here, 1);
    ck_assert_int_eq(found.answer, ETG_STORE_MISS);
    ck_assert_int_ne(found.trouble, APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    unsigned int before = tiers_rig_asked(shared);
    found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.mark, ETG_STORE_MARK_NONE);
    ck_assert_uint_eq(tiers_rig_asked(shared), before);
    /* Its trust ends, it is validated, and trusted again. */
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, TRUST + 1), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).mark, ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 8, 0), APR_SUCCESS);
    ck_assert_int_eq(tiers_rig_look(&here, 1).mark, ETG_STORE_MARK_NONE);
    /* Back: what is written now is written there. */
    etg_fake_set_down(shared, 0);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 9, 0), APR_SUCCESS);
    found = tiers_rig_look(&there, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 9);
    ck_assert_int_eq(found.trouble, APR_SUCCESS);
}
END_TEST

START_TEST(test_only_if_no_tier_answers_there_is_no_answer)
{
    etg_store_found found = { .answer = ETG_STORE_HIT };
    etg_fake_set_down(tiers_rig_near(&here), 1);
    etg_fake_set_failure(tiers_rig_shared(&here), ETG_STORE_OPEN_BREAKER);
    ck_assert_int_eq(rig_look(&here, 1, ETG_STORE_NEAREST, &found),
                     ETG_STORE_OPEN_BREAKER);
    ck_assert_int_eq(found.answer, ETG_STORE_HIT);   /* untouched */
}
END_TEST

START_TEST(test_a_near_tier_that_fails_is_passed_over)
{
    etg_store_found found;
    etg_fake_set_down(tiers_rig_near(&here), 1);
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    found = tiers_rig_look(&here, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
    ck_assert_int_eq(found.trouble, APR_SUCCESS);
    ck_assert_uint_eq(found.moment.of[0], 0);
    ck_assert_uint_ne(found.moment.of[1], 0);
    found = tiers_rig_look(&there, 1);
    ck_assert_uint_eq(tiers_rig_version(&found), 7);
}
END_TEST

typedef struct chosen {
    unsigned char last;          /* of the primary that was seen last */
    unsigned int count;
} chosen;

static apr_status_t choose_and_note(void *baton, etg_bytes primary,
                                    etg_store_key *next)
{
    chosen *c = baton;
    c->count++;
    c->last = primary.data[primary.length - 1];
    memcpy(next, primary.data, sizeof(*next));
    return APR_SUCCESS;
}

static apr_status_t add_byte(etg_store_write *write, etg_bytes old,
                             apr_pool_t *scratch, etg_bytes *fresh,
                             apr_time_t *expires_at)
{
    unsigned char *bytes = apr_palloc(scratch, sizeof(etg_store_key) + 1);
    memcpy(bytes, &write->response_key, sizeof(etg_store_key));
    bytes[sizeof(etg_store_key)] = old.data == NULL ? 1 : 2;
    fresh->data = bytes;
    fresh->length = sizeof(etg_store_key) + 1;
    *expires_at = FAR;
    return APR_SUCCESS;
}

/* A response of 16 bytes under primary 1, by way of `host`. */
static apr_status_t write_noted(store_rig *host, apr_interval_time_t ago)
{
    apr_pool_t *pool;
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
    write->pool = pool;
    write->primary_key = rig_key(1, 'p');
    write->response_key = rig_key(1, 'r');
    write->update = add_byte;
    write->moment = rig_moment(host, 1);
    write->moment.at -= ago;
    write->response.data = (const unsigned char *)"sixteen bytes...";
    write->response.length = 16;
    write->response_expires_at = FAR;
    return host->provider->meta_write(host->store, write, WAIT);
}

START_TEST(test_the_choice_ends_with_the_record_that_is_answered)
{
    etg_store_key key = rig_key(1, 'p');
    etg_store_found found;
    chosen c = { 0, 0 };
    /* The shared primary is changed twice, the near one once. */
    ck_assert_int_eq(write_noted(&there, 0), APR_SUCCESS);
    etg_fake_evict(tiers_rig_near(&there));
    ck_assert_int_eq(write_noted(&here, 3 * TRUST), APR_SUCCESS);
    tiers_rig_fail_late(tiers_rig_shared(&here), APR_TIMEUP);
    ck_assert_int_eq(here.provider->meta_lookup(here.store, &key,
                                                choose_and_note, &c,
                                                ETG_STORE_NEAREST, here.p,
                                                &found), APR_SUCCESS);
    ck_assert_int_eq(found.answer, ETG_STORE_HIT);
    ck_assert_int_eq(found.trouble, APR_TIMEUP);
    ck_assert_uint_eq(c.count, 3);           /* near, shared, near */
    ck_assert_uint_eq(c.last, 1);
    ck_assert_int_eq(memcmp(found.response.data, "sixteen bytes...", 16), 0);
}
END_TEST

/* ---- writes ---- */

START_TEST(test_a_response_that_one_side_takes_is_stored)
{
    etg_store_moment moment = rig_moment(&here, 1);
    etg_fake_set_down(tiers_rig_shared(&here), 1);
    ck_assert_int_eq(rig_put_tagged(&here, 1, 7, 100, WAIT, &moment, NULL, 0),
                     APR_SUCCESS);
    ck_assert(rig_has(&here, 1));
    etg_fake_set_down(tiers_rig_shared(&here), 0);
    moment = rig_moment(&here, 2);
    etg_fake_set_down(tiers_rig_near(&here), 1);
    ck_assert_int_eq(rig_put_tagged(&here, 2, 7, 100, WAIT, &moment, NULL, 0),
                     APR_SUCCESS);
    ck_assert(rig_has(&there, 2));
    etg_fake_set_failure(tiers_rig_shared(&here), APR_TIMEUP + 1);
    ck_assert_int_eq(rig_put_tagged(&here, 3, 7, 100, WAIT, &moment, NULL, 0),
                     APR_TIMEUP + 1);
}
END_TEST

static apr_status_t count_end(void *data)
{
    ++*(unsigned int *)data;
    return APR_SUCCESS;
}

START_TEST(test_a_write_ends_once_when_all_tiers_are_done)
{
    static const int holders[] = { 0, -1 };
    for (unsigned int i = 0; i < 2; i++) {
        etg_store *slow = tiers_rig_tier(&here, holders[i]);
        unsigned int ends = 0;
        apr_pool_t *pool;
        etg_store_write *write;
        etg_store_moment moment = rig_moment(&here, 1);
        apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
        write = apr_pcalloc(pool, sizeof(*write));
        write->pool = pool;
        write->primary_key = rig_key(1, 'p');
        write->response_key = rig_key(1, 'r');
        write->update = add_byte;
        write->moment = moment;
        write->response.data = apr_pmemdup(pool, "sixteen bytes...", 16);
        write->response.length = 16;
        write->response_expires_at = FAR;
        apr_pool_cleanup_register(pool, &ends, count_end,
                                  apr_pool_cleanup_null);
        tiers_rig_hold_writes(slow);
        ck_assert_int_eq(here.provider->meta_write(here.store, write, 0),
                         APR_TIMEUP);
        ck_assert_uint_eq(ends, 0);
        tiers_rig_let_writes_go(slow);
        ck_assert_uint_eq(ends, 1);
    }
}
END_TEST

START_TEST(test_nobody_waits_twice_for_a_frozen_tier)
{
    etg_store_moment moment = rig_moment(&here, 1);
    apr_interval_time_t wait = apr_time_from_msec(20);
    tiers_rig_hold_writes(tiers_rig_shared(&here));
    ck_assert_int_eq(rig_put_tagged(&here, 1, 7, 100, wait, &moment, NULL, 0),
                     APR_TIMEUP);
    ck_assert_int_le(tiers_rig_last_wait(tiers_rig_shared(&here)), wait);
    ck_assert_int_eq(tiers_rig_last_wait(tiers_rig_near(&here)), 0);
    /* The near tier has it already. */
    ck_assert_int_eq(tiers_rig_look(&here, 1).is_copy, 1);
    tiers_rig_let_writes_go(tiers_rig_shared(&here));
}
END_TEST

/* ---- bodies ---- */

static unsigned int body_reads(etg_store *fake)
{
    return etg_fake_calls(fake, ETG_FAKE_ENTITY_READ);
}

START_TEST(test_a_body_is_read_near_by_and_copied_there)
{
    ck_assert_int_eq(rig_body_put(&here, 1, 50000, NULL), APR_SUCCESS);
    ck_assert(rig_body_has(&here, 1, 50000));
    ck_assert_uint_eq(body_reads(tiers_rig_shared(&here)), 0);
    ck_assert(rig_body_has(&there, 1, 50000));
    ck_assert_uint_eq(body_reads(tiers_rig_shared(&there)), 1);
    ck_assert(rig_body_has(&there, 1, 50000));
    ck_assert_uint_eq(body_reads(tiers_rig_shared(&there)), 1);
    ck_assert(!rig_body_has(&there, 2, 50000));
}
END_TEST

START_TEST(test_a_body_goes_where_it_can)
{
    for (int tier = -1; tier <= 0; tier++) {
        etg_fake_set_down(tiers_rig_tier(&here, tier), 1);
        ck_assert_int_eq(rig_body_put(&here, 1, 50000, NULL), APR_SUCCESS);
        ck_assert(rig_body_has(&here, 1, 50000));
        etg_fake_set_down(tiers_rig_tier(&here, tier), 0);
        ck_assert(rig_body_has(&here, 1, 50000));
    }
    etg_fake_set_down(tiers_rig_near(&here), 1);
    etg_fake_set_down(tiers_rig_shared(&here), 1);
    ck_assert_int_ne(rig_body_put(&here, 1, 50000, NULL), APR_SUCCESS);
}
END_TEST

START_TEST(test_a_body_that_one_tier_loses_at_the_end_is_in_the_other)
{
    for (int tier = -1; tier <= 0; tier++) {
        etg_store *failing = tiers_rig_tier(&here, tier);
        unsigned int n = (unsigned int)(10 + tier);
        unsigned char *bytes = rig_body(here.p, n, 5000);
        etg_entity_writer *writer;
        etg_entity_id id;
        ck_assert_int_eq(here.provider->entity_begin(here.store, 5000, here.p,
                                                     &writer), APR_SUCCESS);
        ck_assert_int_eq(here.provider->entity_append(writer, bytes, 5000),
                         APR_SUCCESS);
        etg_fake_set_down(failing, 1);
        ck_assert_int_eq(here.provider->entity_finish(writer, FAR, &id),
                         APR_SUCCESS);
        ck_assert(rig_body_has(&here, n, 5000));
        etg_fake_set_down(failing, 0);
    }
}
END_TEST

START_TEST(test_a_body_that_the_shared_tier_cannot_tell_of_is_no_miss)
{
    etg_store_answer answer = ETG_STORE_HIT;
    etg_fake_set_down(tiers_rig_shared(&here), 1);
    ck_assert_int_ne(rig_body_get(&here, 1, 50000, &answer), APR_SUCCESS);
    etg_fake_set_down(tiers_rig_shared(&here), 0);
    etg_fake_set_down(tiers_rig_near(&here), 1);
    ck_assert(!rig_body_has(&here, 1, 50000));
}
END_TEST

/* A store whose large bodies are files, behind a fake. */
START_TEST(test_a_body_in_a_file_is_copied_and_stays_readable)
{
    store_rig local, tiered;
    const apr_size_t length = 300000;
    unsigned char *bytes, *read;
    etg_store_answer answer = ETG_STORE_MISS;
    etg_entity entity;
    etg_entity_id id;
    rig_init(&local, &etg_local_provider, "?size=16M");
    rig_open(&local);
    tiered = local;
    etg_tier tiers[2] = {
        { &etg_fake_provider, tiers_rig_near(&there) },
        { &etg_local_provider, local.store }
    };
    etg_tiers_make(&tiered.provider, &tiered.store, tiers, 2, TRUST,
                   local.pconf);
    ck_assert_int_eq(rig_body_put(&local, 1, length, &id), APR_SUCCESS);
    rig_settle(&local);
    ck_assert_int_eq(tiered.provider->entity_read(tiered.store, &id, length,
                                                  local.p, &answer, &entity),
                     APR_SUCCESS);
    ck_assert_int_eq(answer, ETG_STORE_HIT);
    ck_assert_ptr_null(entity.bytes);
    bytes = rig_body(local.p, 1, length);
    read = apr_palloc(local.p, length);
    apr_off_t offset = entity.offset;
    ck_assert_int_eq(apr_file_seek(entity.file, APR_SET, &offset),
                     APR_SUCCESS);
    ck_assert_int_eq(apr_file_read_full(entity.file, read, length, NULL),
                     APR_SUCCESS);
    ck_assert_int_eq(memcmp(read, bytes, length), 0);
    there.store = tiers_rig_near(&there);
    there.provider = &etg_fake_provider;
    ck_assert(rig_body_has(&there, 1, length));
    rig_end(&local);
}
END_TEST

/* ---- leases, counters, threads ---- */

START_TEST(test_a_lease_is_taken_in_the_farthest_tier_that_has_them)
{
    etg_store_key key = rig_key(1, 'p');
    etg_store_lease ours, theirs;
    etg_store_lease_state state;
    ck_assert_int_eq(here.provider->lease_take(here.store, &key, &ours,
                                               &state), APR_SUCCESS);
    ck_assert_int_eq(state, ETG_STORE_LEASE_TAKEN);
    ck_assert_int_eq(there.provider->lease_take(there.store, &key, &theirs,
                                                &state), APR_SUCCESS);
    ck_assert_int_eq(state, ETG_STORE_LEASE_HELD);
    here.provider->lease_release(here.store, &ours, 0);
    ck_assert_int_eq(there.provider->lease_take(there.store, &key, &theirs,
                                                &state), APR_SUCCESS);
    ck_assert_int_eq(state, ETG_STORE_LEASE_TAKEN);
    there.provider->lease_release(there.store, &theirs, 0);
}
END_TEST

START_TEST(test_stores_without_leases_make_one_without)
{
    etg_store_provider plain = etg_fake_provider;
    etg_tier tiers[2] = { { &plain, tiers_rig_near(&here) },
                          { &plain, tiers_rig_shared(&here) } };
    const etg_store_provider *made;
    etg_store *store;
    plain.lease_take = NULL;
    plain.lease_release = NULL;
    etg_tiers_make(&made, &store, tiers, 2, TRUST, here.pconf);
    ck_assert(made->lease_take == NULL && made->lease_release == NULL);
    tiers[0].provider = &etg_fake_provider;
    etg_tiers_make(&made, &store, tiers, 2, TRUST, here.pconf);
    ck_assert(made->lease_take != NULL && made->lease_release != NULL);
}
END_TEST

START_TEST(test_counters_of_one_name_are_a_sum)
{
    ck_assert_int_eq(tiers_rig_put(&here, 1, 7, 0), APR_SUCCESS);
    ck_assert_uint_eq(rig_counter(&here, "records"), 4);
    ck_assert_uint_eq(rig_counter(&here, "near_hits"), 0);
    ck_assert_uint_ge(rig_counter(&here, "shared_lookups"), 1);
}
END_TEST

static void *customer(void *data)
{
    store_rig mine = *(store_rig *)data;
    apr_pool_create_unmanaged_ex(&mine.p, NULL, NULL);
    for (unsigned int i = 0; i < 400; i++) {
        static const etg_store_tag tag = TIERS_RIG_TAG;
        unsigned int n = i % 5;
        unsigned int moved;
        etg_store_answer answer;
        ck_assert_int_eq(rig_get(&mine, n, &answer, NULL), APR_SUCCESS);
        if (i % 7 == 0) {
            tiers_rig_put(&mine, n, i, i % 3 == 0 ? 2 * TRUST : 0);
        }
        if (i % 50 == 49) {
            mine.provider->mark(mine.store, &tag, 1, ETG_STORE_MARK_SOFT,
                                WAIT, &moved);
        }
        if (i % 100 == 99) {
            etg_fake_set_down(tiers_rig_shared(&mine), i % 200 == 99);
        }
    }
    apr_pool_destroy(mine.p);
    return NULL;
}

START_TEST(test_threads_on_two_hosts_never_read_another_response)
{
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, customer,
                                        i % 2 == 0 ? &here : &there), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
}
END_TEST

static void add_outages(TCase *tcase)
{
    tcase_add_test(tcase, test_a_trusted_copy_does_not_notice);
    tcase_add_test(tcase,
                   test_a_copy_past_its_trust_is_stale_since_its_trust_ended);
    tcase_add_test(tcase,
                   test_a_purge_of_the_near_copy_holds_during_an_outage);
    tcase_add_test(tcase, test_a_look_up_past_all_copies_falls_back_on_a_copy);
    tcase_add_test(tcase,
                   test_the_near_tier_works_alone_until_the_shared_one_is_back);
    tcase_add_test(tcase, test_only_if_no_tier_answers_there_is_no_answer);
    tcase_add_test(tcase, test_a_near_tier_that_fails_is_passed_over);
    tcase_add_test(tcase,
                   test_the_choice_ends_with_the_record_that_is_answered);
    tcase_add_test(tcase, test_a_response_that_one_side_takes_is_stored);
    tcase_add_test(tcase, test_a_write_ends_once_when_all_tiers_are_done);
    tcase_add_test(tcase, test_nobody_waits_twice_for_a_frozen_tier);
}

static void add_others(TCase *tcase)
{
    tcase_add_test(tcase, test_a_body_is_read_near_by_and_copied_there);
    tcase_add_test(tcase, test_a_body_goes_where_it_can);
    tcase_add_test(tcase,
                   test_a_body_that_one_tier_loses_at_the_end_is_in_the_other);
    tcase_add_test(tcase,
                   test_a_body_that_the_shared_tier_cannot_tell_of_is_no_miss);
    tcase_add_test(tcase, test_a_body_in_a_file_is_copied_and_stays_readable);
    tcase_add_test(tcase,
                   test_a_lease_is_taken_in_the_farthest_tier_that_has_them);
    tcase_add_test(tcase, test_stores_without_leases_make_one_without);
    tcase_add_test(tcase, test_counters_of_one_name_are_a_sum);
    tcase_add_test(tcase,
                   test_threads_on_two_hosts_never_read_another_response);
}

int main(void)
{
    Suite *suite = suite_create("tiers");
    TCase *tcase = tcase_create("outage");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, begin, tiers_rig_end);
    add_outages(tcase);
    add_others(tcase);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
