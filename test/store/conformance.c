/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.c: the cases every provider must pass. One row of `cases` per
 * case; each gets an open, empty store. Here are records and bodies; marks
 * are in conformance_marks.c, leases in conformance_leases.c.
 */
#include "conformance_cases.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/entity_digest.h"

#define rig conformance_rig
#define tested conformance_tested->provider

const conformance_subject *conformance_tested;
store_rig conformance_rig;

static void a_key_never_written_is_a_miss(void)
{
    ck_assert(!rig_has(&rig, 1));
}

static void a_written_response_is_found(void)
{
    unsigned int version = 0;
    etg_store_answer answer;
    ck_assert_int_eq(rig_put(&rig, 1, 5, 330, WAIT), APR_SUCCESS);
    ck_assert_int_eq(rig_get(&rig, 1, &answer, &version), APR_SUCCESS);
    ck_assert_int_eq(answer, ETG_STORE_HIT);
    ck_assert_uint_eq(version, 5);
}

static void an_empty_response_record_is_kept(void)
{
    ck_assert_int_eq(rig_put(&rig, 1, 0, 0, WAIT), APR_SUCCESS);
    ck_assert(rig_has(&rig, 1));
}

static void a_rewritten_response_replaces_the_old(void)
{
    static const apr_size_t lengths[] = { 300, 300, 100, 3000, 20, 60000 };
    unsigned int version = 0;
    etg_store_answer answer;
    for (unsigned int i = 0; i < 6; i++) {
        ck_assert_int_eq(rig_put(&rig, 1, i, lengths[i], WAIT), APR_SUCCESS);
        ck_assert_int_eq(rig_get(&rig, 1, &answer, &version), APR_SUCCESS);
        ck_assert_int_eq(answer, ETG_STORE_HIT);
        ck_assert_uint_eq(version, i);
    }
}

static void many_keys_do_not_disturb_each_other(void)
{
    for (unsigned int n = 0; n < 2000; n++) {
        apr_status_t rv = rig_put(&rig, n, n, 8 + n % 400,
                                  n % 100 == 99 ? WAIT : 1);
        ck_assert(rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv));
    }
    rig_settle(&rig);
    for (unsigned int n = 0; n < 2000; n++) {
        ck_assert_msg(rig_has(&rig, n), "key %u", n);
    }
    ck_assert(!rig_has(&rig, 2000));
}

static void a_removed_primary_is_a_miss(void)
{
    ck_assert_int_eq(rig_put(&rig, 1, 0, 100, WAIT), APR_SUCCESS);
    ck_assert_int_eq(rig_put(&rig, 2, 0, 100, WAIT), APR_SUCCESS);
    ck_assert_int_eq(rig_remove(&rig, 1), APR_SUCCESS);
    ck_assert(!rig_has(&rig, 1));
    ck_assert(rig_has(&rig, 2));
    ck_assert_int_eq(rig_remove(&rig, 1), APR_SUCCESS);
    ck_assert_int_eq(rig_put(&rig, 1, 0, 100, WAIT), APR_SUCCESS);
    ck_assert(rig_has(&rig, 1));
}

static apr_status_t choose_none(void *baton, etg_bytes primary,
                                etg_store_key *next)
{
    *(apr_size_t *)baton = primary.length;
    (void)next;
    return APR_NOTFOUND;
}

static void a_choice_of_none_is_a_miss(void)
{
    etg_store_key key = rig_key(1, 'p');
    etg_store_found found = { .answer = ETG_STORE_HIT };
    apr_size_t seen = 0;
    ck_assert_int_eq(rig_put(&rig, 1, 0, 100, WAIT), APR_SUCCESS);
    ck_assert_int_eq(tested->meta_lookup(rig.store, &key, choose_none, &seen,
                                         ETG_STORE_NEAREST, rig.p, &found),
                     APR_SUCCESS);
    ck_assert_int_eq(found.answer, ETG_STORE_MISS);
    ck_assert_uint_eq(seen, ETG_STORE_KEY_BYTES);
}

static apr_status_t choose_missing(void *baton, etg_bytes primary,
                                   etg_store_key *next)
{
    (void)baton;
    (void)primary;
    *next = rig_key(77, 'x');
    return APR_SUCCESS;
}

static void a_choice_that_is_not_there_is_a_miss(void)
{
    etg_store_key key = rig_key(1, 'p');
    etg_store_found found = { .answer = ETG_STORE_HIT };
    ck_assert_int_eq(rig_put(&rig, 1, 0, 100, WAIT), APR_SUCCESS);
    ck_assert_int_eq(tested->meta_lookup(rig.store, &key, choose_missing,
                                         NULL, ETG_STORE_NEAREST, rig.p,
                                         &found),
                     APR_SUCCESS);
    ck_assert_int_eq(found.answer, ETG_STORE_MISS);
}

typedef struct count_update {
    int gives_up;
    apr_size_t old_length;
    int had_old;
} count_update;

static apr_status_t update_counting(etg_store_write *write, etg_bytes old,
                                    apr_pool_t *scratch, etg_bytes *fresh,
                                    apr_time_t *expires_at)
{
    count_update *baton = write->baton;
    baton->had_old = old.data != NULL;
    baton->old_length = old.length;
    if (baton->gives_up) {
        return APR_EGENERAL;
    }
    unsigned char *bytes = apr_palloc(scratch, old.length + 1);
    if (old.length > 0) {
        memcpy(bytes, old.data, old.length);
    }
    bytes[old.length] = (unsigned char)old.length;
    fresh->data = bytes;
    fresh->length = old.length + 1;
    *expires_at = FAR;
    return APR_SUCCESS;
}

static apr_status_t counting_write(count_update *baton,
                                   const char *response)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
    write->pool = pool;
    write->primary_key = rig_key(9, 'p');
    write->update = update_counting;
    write->baton = baton;
    if (response != NULL) {
        write->response_key = rig_key(9, 'r');
        write->response.data = (const unsigned char *)response;
        write->response.length = strlen(response);
        write->response_expires_at = FAR;
        write->moment = rig_moment(&rig, 9);
    }
    return tested->meta_write(rig.store, write, WAIT);
}

static apr_status_t choose_nine(void *baton, etg_bytes primary,
                                etg_store_key *next)
{
    *(apr_size_t *)baton = primary.length;
    *next = rig_key(9, 'r');
    return APR_SUCCESS;
}

static etg_store_answer nine(apr_size_t *primary_length, etg_bytes *response)
{
    etg_store_key key = rig_key(9, 'p');
    etg_store_found found = { .answer = ETG_STORE_MISS };
    ck_assert_int_eq(tested->meta_lookup(rig.store, &key, choose_nine,
                                         primary_length, ETG_STORE_NEAREST,
                                         rig.p, &found), APR_SUCCESS);
    *response = found.response;
    return found.answer;
}

static void an_update_sees_what_the_one_before_wrote(void)
{
    apr_size_t length = 0;
    etg_bytes response;
    for (apr_size_t i = 0; i < 300; i++) {
        count_update baton = { 0, 99, -1 };
        ck_assert_int_eq(counting_write(&baton, i == 0 ? "r" : NULL),
                         APR_SUCCESS);
        ck_assert_int_eq(baton.had_old, i > 0);
        ck_assert_uint_eq(baton.old_length, i);
    }
    ck_assert_int_eq(nine(&length, &response), ETG_STORE_HIT);
    ck_assert_uint_eq(length, 300);
}

static void an_update_that_gives_up_changes_nothing(void)
{
    count_update writes = { 0, 0, 0 };
    count_update gives_up = { 1, 0, 0 };
    apr_size_t length = 0;
    etg_bytes response;
    ck_assert_int_eq(counting_write(&writes, "first"), APR_SUCCESS);
    ck_assert_int_eq(counting_write(&gives_up, "second"), APR_SUCCESS);
    ck_assert_int_eq(nine(&length, &response), ETG_STORE_HIT);
    ck_assert_uint_eq(length, 1);
    ck_assert_uint_eq(response.length, 5);
    ck_assert_int_eq(memcmp(response.data, "first", 5), 0);
}

static void a_record_too_large_loses_itself_only(void)
{
    apr_status_t rv = rig_put(&rig, 1, 0, 900000, WAIT);
    (void)rv;                  /* a store may hold it */
    for (unsigned int n = 2; n < 50; n++) {
        rig_put(&rig, n, 0, 100, 0);
    }
    rig_put(&rig, 51, 0, 900000, 0);
    rig_settle(&rig);
    for (unsigned int n = 2; n < 50; n++) {
        ck_assert(rig_has(&rig, n));
    }
}

static void a_body_never_written_is_a_miss(void)
{
    ck_assert(!rig_body_has(&rig, 1, 100));
    ck_assert(!rig_body_has(&rig, 1, 0));
    ck_assert(!rig_body_has(&rig, 1, 100000));
}

static void bodies_of_every_size_come_back(void)
{
    static const apr_size_t lengths[] = {
        0, 1, 7, 8, 9, 4095, 4096, 42000, 65535, 65536, 65537, 200000, 1000000
    };
    for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        etg_entity_id id, expected;
        ck_assert_int_eq(rig_body_put(&rig, i, lengths[i], &id), APR_SUCCESS);
        unsigned char *bytes = rig_body(rig.p, i, lengths[i]);
        etg_sha256(bytes, lengths[i], expected.bytes);
        ck_assert_int_eq(memcmp(&id, &expected, sizeof(id)), 0);
        rig_settle(&rig);
        ck_assert_msg(rig_body_has(&rig, i, lengths[i]), "length %zu",
                      (size_t)lengths[i]);
    }
    for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        ck_assert(rig_body_has(&rig, i, lengths[i]));
    }
}

static void a_body_asked_for_with_another_length_is_a_miss(void)
{
    static const apr_size_t lengths[] = { 1000, 100000 };
    for (int i = 0; i < 2; i++) {
        etg_store_answer answer = ETG_STORE_HIT;
        etg_entity entity;
        etg_entity_id id;
        ck_assert_int_eq(rig_body_put(&rig, 1, lengths[i], &id), APR_SUCCESS);
        rig_settle(&rig);
        for (int by = -1; by <= 1; by += 2) {
            answer = ETG_STORE_HIT;
            ck_assert_int_eq(tested->entity_read(rig.store, &id,
                                                 lengths[i] + (apr_uint64_t)by,
                                                 rig.p, &answer, &entity),
                             APR_SUCCESS);
            ck_assert_int_eq(answer, ETG_STORE_MISS);
        }
        rig_settle(&rig);
        ck_assert(rig_body_has(&rig, 1, lengths[i]));
    }
}

static void a_body_written_twice_is_there_once_and_whole(void)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rig_body_put(&rig, 1, 5000, NULL), APR_SUCCESS);
        ck_assert_int_eq(rig_body_put(&rig, 1, 150000, NULL), APR_SUCCESS);
        rig_settle(&rig);
        ck_assert(rig_body_has(&rig, 1, 5000));
        ck_assert(rig_body_has(&rig, 1, 150000));
    }
}

static void the_size_expected_is_a_hint_only(void)
{
    static const apr_int64_t expected[] = { 10, 5000, 100000 };
    for (unsigned int i = 0; i < 3; i++) {
        etg_entity_writer *writer;
        etg_entity_id id;
        unsigned char *bytes = rig_body(rig.p, 20 + i, 5000);
        ck_assert_int_eq(tested->entity_begin(rig.store, expected[i], rig.p,
                                              &writer), APR_SUCCESS);
        ck_assert_int_eq(tested->entity_append(writer, bytes, 5000),
                         APR_SUCCESS);
        ck_assert_int_eq(tested->entity_finish(writer, FAR, &id),
                         APR_SUCCESS);
        rig_settle(&rig);
        ck_assert(rig_body_has(&rig, 20 + i, 5000));
    }
}

static void an_abandoned_body_is_not_stored(void)
{
    static const apr_size_t lengths[] = { 1000, 100000 };
    for (unsigned int i = 0; i < 2; i++) {
        etg_entity_writer *writer;
        apr_pool_t *p;
        apr_pool_create(&p, NULL);
        unsigned char *bytes = rig_body(p, i, lengths[i]);
        ck_assert_int_eq(tested->entity_begin(rig.store, -1, p, &writer),
                         APR_SUCCESS);
        ck_assert_int_eq(tested->entity_append(writer, bytes, lengths[i]),
                         APR_SUCCESS);
        if (i == 0) {
            tested->entity_abandon(writer);
        }
        apr_pool_destroy(p);   /* abandons the second */
        rig_settle(&rig);
        ck_assert(!rig_body_has(&rig, i, lengths[i]));
    }
}

static void a_body_is_readable_before_metadata_that_follows(void)
{
    for (unsigned int n = 0; n < 100; n++) {
        ck_assert_int_eq(rig_body_put(&rig, n, 3000 + n, NULL), APR_SUCCESS);
        ck_assert_int_eq(rig_put(&rig, n, 0, 330, WAIT), APR_SUCCESS);
        ck_assert(rig_body_has(&rig, n, 3000 + n));
    }
}

static void a_handed_out_body_outlives_its_neighbours(void)
{
    etg_store_answer answer;
    etg_entity entity;
    etg_entity_id id;
    apr_pool_t *p;
    apr_pool_create(&p, NULL);
    unsigned char *bytes = rig_body(p, 1, 120000);
    ck_assert_int_eq(rig_body_put(&rig, 1, 120000, &id), APR_SUCCESS);
    rig_settle(&rig);
    ck_assert_int_eq(tested->entity_read(rig.store, &id, 120000, p, &answer,
                                         &entity), APR_SUCCESS);
    ck_assert_int_eq(answer, ETG_STORE_HIT);
    for (unsigned int n = 2; n < 150; n++) {
        rig_body_put(&rig, n, 120000, NULL);
        if (n % 20 == 0) {
            rig_settle(&rig);
        }
    }
    rig_settle(&rig);
    if (entity.bytes == NULL) {
        unsigned char *read = apr_palloc(p, 120000);
        apr_off_t offset = entity.offset;
        apr_file_seek(entity.file, APR_SET, &offset);
        ck_assert_int_eq(apr_file_read_full(entity.file, read, 120000, NULL),
                         APR_SUCCESS);
        entity.bytes = read;
    }
    ck_assert_int_eq(memcmp(entity.bytes, bytes, 120000), 0);
    apr_pool_destroy(p);
}

static void the_counters_have_names(void)
{
    apr_array_header_t *rows;
    ck_assert_int_eq(tested->counters(rig.store, rig.p, &rows), APR_SUCCESS);
    ck_assert_int_gt(rows->nelts, 0);
    for (int i = 0; i < rows->nelts; i++) {
        etg_store_counter *row = &APR_ARRAY_IDX(rows, i, etg_store_counter);
        ck_assert_ptr_nonnull(row->name);
        ck_assert_uint_gt(strlen(row->name), 2);
    }
}

static void *crew_member(void *data)
{
    store_rig mine = rig;
    unsigned int base = *(unsigned int *)data;
    apr_pool_create_unmanaged_ex(&mine.p, NULL, NULL);
    for (unsigned int i = 0; i < 300; i++) {
        unsigned int n = (base + i) % 40;
        apr_size_t length = 500 + n * 37;
        etg_store_answer answer;
        if (rig_body_put(&mine, n, length, NULL) == APR_SUCCESS) {
            rig_put(&mine, n, i, 200 + i % 50, i % 3 == 0 ? 1000 : 0);
        }
        ck_assert_int_eq(rig_get(&mine, n, &answer, NULL), APR_SUCCESS);
        ck_assert_int_eq(rig_body_get(&mine, n, length, &answer),
                         APR_SUCCESS);
    }
    apr_pool_destroy(mine.p);
    return NULL;
}

static void threads_read_and_write_at_once(void)
{
    unsigned int bases[6] = { 0, 7, 13, 20, 28, 33 };
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crew_member,
                                        &bases[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
    rig_settle(&rig);
    for (unsigned int n = 0; n < 40; n++) {
        ck_assert(rig_has(&rig, n));
        ck_assert(rig_body_has(&rig, n, 500 + n * 37));
    }
}

static const conformance_case cases[] = {
    CASE(a_key_never_written_is_a_miss),
    CASE(a_written_response_is_found),
    CASE(an_empty_response_record_is_kept),
    CASE(a_rewritten_response_replaces_the_old),
    CASE(many_keys_do_not_disturb_each_other),
    CASE(a_removed_primary_is_a_miss),
    CASE(a_choice_of_none_is_a_miss),
    CASE(a_choice_that_is_not_there_is_a_miss),
    CASE(an_update_sees_what_the_one_before_wrote),
    CASE(an_update_that_gives_up_changes_nothing),
    CASE(a_record_too_large_loses_itself_only),
    CASE(a_body_never_written_is_a_miss),
    CASE(bodies_of_every_size_come_back),
    CASE(a_body_asked_for_with_another_length_is_a_miss),
    CASE(a_body_written_twice_is_there_once_and_whole),
    CASE(the_size_expected_is_a_hint_only),
    CASE(an_abandoned_body_is_not_stored),
    CASE(a_body_is_readable_before_metadata_that_follows),
    CASE(a_handed_out_body_outlives_its_neighbours),
    CASE(the_counters_have_names),
    CASE(threads_read_and_write_at_once)
};

/* All lists behind each other. */
static const conformance_case *case_at(int number)
{
    const conformance_cases lists[] = {
        CASES(cases), conformance_mark_cases, conformance_lease_cases
    };
    for (unsigned int i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (number < lists[i].count) {
            return &lists[i].cases[number];
        }
        number -= lists[i].count;
    }
    return NULL;
}

static void begin(void)
{
    rig_init(&rig, tested, conformance_tested->query);
    rig_open(&rig);
}

static void end(void)
{
    rig_end(&rig);
}

START_TEST(every_store_conforms)
{
    /* Named, so that a failure says which case it was. */
    const conformance_case *now = case_at(_i);
    fprintf(stderr, "%s: %s\n", tested->scheme, now->name);
    now->run();
}
END_TEST

Suite *conformance_suite(const conformance_subject *subject)
{
    int count = 0;
    Suite *suite = suite_create("conformance");
    TCase *tcase = tcase_create(subject->provider->scheme);
    conformance_tested = subject;
    while (case_at(count) != NULL) {
        count++;
    }
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, every_store_conforms, 0, count);
    suite_add_tcase(suite, tcase);
    return suite;
}
