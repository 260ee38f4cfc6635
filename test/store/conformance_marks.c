/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_marks.c: the clock, marks of everything and by tag, and what a
 * response keeps beside its bytes.
 *
 * A tag that a store has not seen may count as marked (etg_store.h). Where a
 * case tells kinds of marks apart, each tag is therefore written once before.
 */
#include "conformance_cases.h"

#include <pthread.h>
#include <string.h>

#define rig conformance_rig
#define tested conformance_tested->provider
#define WARM 9000u              /* a response that only carries tags */

static const etg_store_mark kinds[] = {
    ETG_STORE_MARK_SOFT, ETG_STORE_MARK_INVALID, ETG_STORE_MARK_GONE
};

static apr_time_t mark_began;

static void put(unsigned int n, const etg_store_tag *tags,
                unsigned int count)
{
    etg_store_moment moment = rig_moment(&rig, n);
    ck_assert_int_eq(rig_put_tagged(&rig, n, 1, 200, WAIT, &moment, tags,
                                    count), APR_SUCCESS);
}

/* A tag that was never written anywhere is not known: it is made known, on
 * whatever the store's keys are spread over. */
static void warm(etg_store_tag tag)
{
    for (unsigned int i = 0; i < 48; i++) {
        put(WARM + i, &tag, 1);
    }
}

static void mark(const etg_store_tag *tags, unsigned int count,
                 etg_store_mark kind)
{
    unsigned int moved = 99;
    mark_began = apr_time_now();
    ck_assert_int_eq(tested->mark(rig.store, tags, count, kind, WAIT, &moved),
                     APR_SUCCESS);
    ck_assert_uint_eq(moved, count == 0 ? 1 : count);
}

static void check_found(const etg_store_found *found, etg_store_mark kind)
{
    if (kind == ETG_STORE_MARK_GONE) {
        ck_assert_int_eq(found->answer, ETG_STORE_MISS);
    }
    else {
        ck_assert_int_eq(found->answer, ETG_STORE_HIT);
        ck_assert_int_eq(found->mark, kind);
        ck_assert_int_eq(found->marked_at != 0, kind != ETG_STORE_MARK_NONE);
        ck_assert_uint_eq(found->response.length, 200);
    }
    ck_assert_uint_ne(found->moment.of[0], 0);
    ck_assert_int_eq(found->trouble, APR_SUCCESS);
}

/* What every depth says of primary n. */
static void check(unsigned int n, etg_store_mark kind)
{
    etg_store_found found;
    memset(&found, 0xff, sizeof(found));
    ck_assert_int_eq(rig_look(&rig, n, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    check_found(&found, kind);
    memset(&found, 0xff, sizeof(found));
    ck_assert_int_eq(rig_look(&rig, n, ETG_STORE_SHARED, &found),
                     APR_SUCCESS);
    check_found(&found, kind);
}

static void a_fresh_response_is_not_marked(void)
{
    static const etg_store_tag tags[] = { 11, 12, 13 };
    put(1, NULL, 0);
    put(2, tags, 3);
    check(1, ETG_STORE_MARK_NONE);
    check(2, ETG_STORE_MARK_NONE);
}

static void a_mark_of_everything_reaches_all_that_is_stored(void)
{
    static const etg_store_tag tag = 11;
    for (unsigned int i = 0; i < 3; i++) {
        put(1, NULL, 0);
        put(2, &tag, 1);
        mark(NULL, 0, kinds[i]);
        check(1, kinds[i]);
        check(2, kinds[i]);
    }
}

static void a_mark_by_tag_reaches_what_carries_it(void)
{
    static const etg_store_tag tags[] = { 11, 12, 13 };
    for (unsigned int i = 0; i < 3; i++) {
        put(1, tags, 3);
        put(2, tags, 1);
        mark(&tags[i], 1, kinds[i]);
        check(1, kinds[i]);
        check(2, i == 0 ? kinds[i] : ETG_STORE_MARK_NONE);
    }
}

static void a_response_with_other_tags_is_untouched(void)
{
    static const etg_store_tag near[] = { 0x100000000ull, 2, 3 };
    static const etg_store_tag far[] = { 0x200000000ull, 4, 0 };
    put(1, near, 3);
    put(2, far, 3);
    put(3, NULL, 0);
    for (unsigned int i = 0; i < 3; i++) {
        mark(&near[i], 1, ETG_STORE_MARK_GONE);
        check(2, ETG_STORE_MARK_NONE);
        check(3, ETG_STORE_MARK_NONE);
    }
    mark(far, 3, ETG_STORE_MARK_INVALID);
    check(1, ETG_STORE_MARK_GONE);
    check(2, ETG_STORE_MARK_INVALID);
    check(3, ETG_STORE_MARK_NONE);
}

/* In either order, whether of everything or by tag. */
static void the_strongest_mark_wins(void)
{
    static const etg_store_tag tags[] = { 11, 12 };
    unsigned int n = 1;
    for (unsigned int how = 0; how < 4; how++) {
        for (unsigned int first = 0; first < 3; first++) {
            for (unsigned int then = 0; then < 3; then++) {
                put(++n, tags, 2);
                mark(&tags[0], how & 1, kinds[first]);
                mark(&tags[1], how >> 1, kinds[then]);
                check(n, kinds[first > then ? first : then]);
            }
        }
    }
}

static void a_mark_before_the_look_up_does_not_count(void)
{
    static const etg_store_tag tag = 11;
    put(1, &tag, 1);
    for (unsigned int i = 0; i < 3; i++) {
        mark(&tag, 1, kinds[i]);
        mark(NULL, 0, kinds[i]);
        put(1, &tag, 1);
        check(1, ETG_STORE_MARK_NONE);
    }
}

/* The purge came while the origin was being asked. */
static void a_fetch_that_began_before_a_mark_is_stored_as_marked(void)
{
    static const etg_store_tag tag = 11;
    warm(tag);
    for (unsigned int i = 0; i < 6; i++) {
        etg_store_moment moment = rig_moment(&rig, i);
        mark(&tag, i / 3, kinds[i % 3]);
        ck_assert_int_eq(rig_put_tagged(&rig, i, 1, 200, WAIT, &moment, &tag,
                                        1), APR_SUCCESS);
        check(i, kinds[i % 3]);
    }
}

static void marks_do_not_wear_off(void)
{
    static const etg_store_tag tags[] = { 11, 12 };
    put(1, &tags[0], 1);
    put(2, &tags[1], 1);
    mark(&tags[0], 1, ETG_STORE_MARK_SOFT);
    for (unsigned int n = 10; n < 40; n++) {
        put(n, tags, 2);
        mark(&tags[1], 1, kinds[n % 3]);
        check(1, ETG_STORE_MARK_SOFT);
    }
    check(2, ETG_STORE_MARK_GONE);
}

static void sixty_four_tags_are_kept_and_compared(void)
{
    etg_store_tag tags[ETG_STORE_TAGS_MAX];
    etg_store_found found;
    for (unsigned int i = 0; i < ETG_STORE_TAGS_MAX; i++) {
        tags[i] = (i + 1) * 0x9e3779b97f4a7c15ull;
    }
    for (unsigned int i = 0; i < ETG_STORE_TAGS_MAX; i += 21) {
        put(1, tags, ETG_STORE_TAGS_MAX);
        ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                         APR_SUCCESS);
        ck_assert_uint_eq(found.tag_count, ETG_STORE_TAGS_MAX);
        ck_assert_int_eq(memcmp(found.tags, tags, sizeof(tags)), 0);
        check(1, ETG_STORE_MARK_NONE);
        mark(&tags[i], 1, ETG_STORE_MARK_SOFT);
        check(1, ETG_STORE_MARK_SOFT);
    }
    put(1, &tags[5], 1);
    put(2, &tags[63], 1);
    mark(tags, ETG_STORE_TAGS_MAX, ETG_STORE_MARK_INVALID);
    check(1, ETG_STORE_MARK_INVALID);
    check(2, ETG_STORE_MARK_INVALID);
}

static void tags_are_found_as_written_last(void)
{
    static const etg_store_tag tags[] = { 0xfedcba9876543210ull, 7 };
    etg_store_found found;
    put(1, tags, 2);
    put(1, NULL, 0);
    ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(found.tag_count, 0);
    mark(tags, 2, ETG_STORE_MARK_GONE);
    check(1, ETG_STORE_MARK_NONE);
    put(1, &tags[1], 1);
    ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(found.tag_count, 1);
    ck_assert(found.tags[0] == tags[1]);
}

static void a_response_of_an_unknown_moment_is_not_stored(void)
{
    static const etg_store_moment unknown = { .of = { 0 } };
    unsigned int version = 0;
    etg_store_answer answer;
    ck_assert_int_eq(rig_put_tagged(&rig, 1, 1, 200, WAIT, &unknown, NULL, 0),
                     APR_SUCCESS);
    rig_settle(&rig);
    ck_assert(!rig_has(&rig, 1));
    ck_assert_int_eq(rig_put(&rig, 1, 7, 200, WAIT), APR_SUCCESS);
    ck_assert_int_eq(rig_put_tagged(&rig, 1, 8, 200, WAIT, &unknown, NULL, 0),
                     APR_SUCCESS);
    rig_settle(&rig);
    ck_assert_int_eq(rig_get(&rig, 1, &answer, &version), APR_SUCCESS);
    ck_assert_int_eq(answer, ETG_STORE_HIT);
    ck_assert_uint_eq(version, 7);
}

static void marked_at_is_about_the_time_of_the_mark(void)
{
    static const etg_store_tag tag = 11;
    put(1, &tag, 1);
    for (unsigned int i = 0; i < 4; i++) {
        etg_store_found found;
        put(1, &tag, 1);
        mark(&tag, i / 2, kinds[i % 2]);
        ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                         APR_SUCCESS);
        ck_assert_int_ge(found.marked_at,
                         mark_began - apr_time_from_sec(1));
        ck_assert_int_le(found.marked_at,
                         apr_time_now() + apr_time_from_sec(1));
    }
}

static void the_clock_moves_with_marks_only(void)
{
    static const etg_store_tag tag = 11;
    put(1, &tag, 1);
    etg_store_moment first = rig_moment(&rig, 1);
    put(1, &tag, 1);
    etg_store_moment second = rig_moment(&rig, 1);
    ck_assert(memcmp(first.of, second.of, sizeof(first.of)) == 0);
    for (unsigned int i = 0; i < 20; i++) {
        mark(&tag, i % 2, kinds[i % 3]);
        second = rig_moment(&rig, 1);
        ck_assert_uint_gt(second.of[0], first.of[0]);
        first = second;
    }
}

static void expires_at_is_as_written(void)
{
    etg_store_found found;
    rig.expires_at = apr_time_now() + apr_time_from_sec(1000);
    put(1, NULL, 0);
    ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    ck_assert_int_ge(found.expires_at, rig.expires_at);
    ck_assert_int_lt(found.expires_at,
                     rig.expires_at + apr_time_from_sec(1));
}

static apr_status_t choose_variant(void *baton, etg_bytes primary,
                                   etg_store_key *next)
{
    (void)primary;
    *next = rig_key(*(unsigned int *)baton, 'v');
    return APR_SUCCESS;
}

static apr_status_t update_variants(etg_store_write *write, etg_bytes old,
                                    apr_pool_t *scratch, etg_bytes *fresh,
                                    apr_time_t *expires_at)
{
    (void)write;
    (void)old;
    fresh->data = apr_pcalloc(scratch, 60);
    fresh->length = 60;
    *expires_at = FAR;
    return APR_SUCCESS;
}

/* Primary 1 written anew, and nothing else. */
static etg_store_write *primary_write(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
    write->pool = pool;
    write->primary_key = rig_key(1, 'p');
    write->update = update_variants;
    return write;
}

/* A response of its own under primary 1 that carries its number as a tag;
 * tags beyond that make rows of any length. */
static void variant_put(unsigned int variant, unsigned int tag_count)
{
    etg_store_write *write = primary_write();
    apr_pool_t *pool = write->pool;
    etg_store_tag *tags = apr_pcalloc(pool, tag_count * sizeof(*tags));
    for (unsigned int i = 0; i < tag_count; i++) {
        tags[i] = 100 + variant + i * 1000;
    }
    write->response_key = rig_key(variant, 'v');
    write->response.data = apr_pmemdup(pool, &variant, sizeof(variant));
    write->response.length = sizeof(variant);
    write->response_expires_at = FAR;
    write->moment = rig_moment(&rig, 1);
    write->tags = tags;
    write->tag_count = tag_count;
    ck_assert_int_eq(tested->meta_write(rig.store, write, WAIT),
                     APR_SUCCESS);
}

/* ETG_STORE_MARK_GONE for a miss. */
static etg_store_mark variant_mark(unsigned int variant)
{
    etg_store_key key = rig_key(1, 'p');
    etg_store_found found;
    unsigned int named;
    ck_assert_int_eq(tested->meta_lookup(rig.store, &key, choose_variant,
                                         &variant, ETG_STORE_NEAREST, rig.p,
                                         &found), APR_SUCCESS);
    if (found.answer == ETG_STORE_MISS) {
        return ETG_STORE_MARK_GONE;
    }
    memcpy(&named, found.response.data, sizeof(named));
    ck_assert_uint_eq(named, variant);
    ck_assert_uint_gt(found.tag_count, 0);
    ck_assert(found.tags[0] == 100 + variant);
    return found.mark;
}

static void each_variant_has_its_own_tags_and_moment(void)
{
    mark(NULL, 0, ETG_STORE_MARK_INVALID);
    for (unsigned int round = 0; round < 4; round++) {
        for (unsigned int variant = 0; variant < 6; variant++) {
            variant_put(variant, 1 + (variant * 7 + round * 5) % 20);
        }
        for (unsigned int i = 0; i < 3; i++) {
            etg_store_tag tag = 100 + i;
            mark(&tag, 1, kinds[i]);
        }
        for (unsigned int variant = 0; variant < 6; variant++) {
            ck_assert_int_eq(variant_mark(variant), variant < 3
                             ? kinds[variant] : ETG_STORE_MARK_NONE);
        }
        variant_put(1, 2);
        ck_assert_int_eq(variant_mark(0), ETG_STORE_MARK_SOFT);
        ck_assert_int_eq(variant_mark(1), ETG_STORE_MARK_NONE);
        ck_assert_int_eq(variant_mark(2), ETG_STORE_MARK_GONE);
    }
}

static void a_primary_written_alone_leaves_its_responses_as_they_are(void)
{
    static const etg_store_tag tag = 100;
    mark(NULL, 0, ETG_STORE_MARK_INVALID);
    for (unsigned int i = 0; i < 2; i++) {
        variant_put(i, 3);
    }
    ck_assert_int_eq(tested->meta_write(rig.store, primary_write(), WAIT),
                     APR_SUCCESS);
    ck_assert_int_eq(variant_mark(0), ETG_STORE_MARK_NONE);
    ck_assert_int_eq(variant_mark(1), ETG_STORE_MARK_NONE);
    mark(&tag, 1, ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(tested->meta_write(rig.store, primary_write(), WAIT),
                     APR_SUCCESS);
    ck_assert_int_eq(variant_mark(0), ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(variant_mark(1), ETG_STORE_MARK_NONE);
}

static void marks_are_still_there_after_a_restart(void)
{
    static const etg_store_tag tags[] = { 11, 12, 13 };
    if (!conformance_tested->is_persistent) {
        return;
    }
    for (unsigned int i = 0; i < 3; i++) {
        put(i, &tags[i], 1);
        put(10 + i, &tags[i], 1);
    }
    etg_store_moment before = rig_moment(&rig, 20);
    for (unsigned int i = 0; i < 3; i++) {
        mark(&tags[i], 1, kinds[i]);
    }
    put(0, &tags[0], 1);
    rig_reopen(&rig);
    check(0, ETG_STORE_MARK_NONE);
    for (unsigned int i = 0; i < 3; i++) {
        check(10 + i, kinds[i]);
    }
    ck_assert_uint_gt(rig_moment(&rig, 20).of[0], before.of[0]);
    mark(NULL, 0, ETG_STORE_MARK_INVALID);
    rig_reopen(&rig);
    check(0, ETG_STORE_MARK_INVALID);
    put(0, NULL, 0);
    check(0, ETG_STORE_MARK_NONE);
}

static void what_cannot_be_marked_is_refused(void)
{
    static const etg_store_tag tag = 11;
    unsigned int moved = 99;
    ck_assert_int_ne(tested->mark(rig.store, &tag, 1, ETG_STORE_MARK_NONE,
                                  WAIT, &moved), APR_SUCCESS);
    ck_assert_uint_eq(moved, 0);
}

/* Marks by a tag of its own, which are invalid, while all the others mark
 * theirs and everything softly. */
static void *marker(void *data)
{
    store_rig mine = rig;
    unsigned int n = *(unsigned int *)data;
    etg_store_tag tag = 500 + n;
    apr_pool_create_unmanaged_ex(&mine.p, NULL, NULL);
    for (unsigned int i = 0; i < 60; i++) {
        etg_store_found found;
        unsigned int moved;
        etg_store_moment moment = rig_moment(&mine, n);
        ck_assert_int_eq(rig_put_tagged(&mine, n, i, 200, WAIT, &moment,
                                        &tag, 1), APR_SUCCESS);
        ck_assert_int_eq(rig_look(&mine, n, ETG_STORE_NEAREST, &found),
                         APR_SUCCESS);
        ck_assert_int_eq(found.answer, ETG_STORE_HIT);
        ck_assert_int_ne(found.mark, ETG_STORE_MARK_INVALID);
        ck_assert_int_eq(tested->mark(mine.store, &tag, 1,
                                      ETG_STORE_MARK_INVALID, WAIT, &moved),
                         APR_SUCCESS);
        ck_assert_int_eq(rig_look(&mine, n, ETG_STORE_NEAREST, &found),
                         APR_SUCCESS);
        ck_assert_int_eq(found.answer, ETG_STORE_HIT);
        ck_assert_int_eq(found.mark, ETG_STORE_MARK_INVALID);
        if (i % 5 == n % 5) {
            ck_assert_int_eq(tested->mark(mine.store, NULL, 0,
                                          ETG_STORE_MARK_SOFT, WAIT, &moved),
                             APR_SUCCESS);
        }
    }
    apr_pool_destroy(mine.p);
    return NULL;
}

static void threads_mark_and_write_at_once(void)
{
    unsigned int numbers[6] = { 0, 1, 2, 3, 4, 5 };
    pthread_t threads[6];
    for (unsigned int i = 0; i < 6; i++) {
        warm(500 + i);
    }
    for (unsigned int i = 0; i < 6; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, marker,
                                        &numbers[i]), 0);
    }
    for (unsigned int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned int i = 0; i < 6; i++) {
        check(i, ETG_STORE_MARK_INVALID);
    }
}

static const conformance_case cases[] = {
    CASE(a_fresh_response_is_not_marked),
    CASE(a_mark_of_everything_reaches_all_that_is_stored),
    CASE(a_mark_by_tag_reaches_what_carries_it),
    CASE(a_response_with_other_tags_is_untouched),
    CASE(the_strongest_mark_wins),
    CASE(a_mark_before_the_look_up_does_not_count),
    CASE(a_fetch_that_began_before_a_mark_is_stored_as_marked),
    CASE(marks_do_not_wear_off),
    CASE(sixty_four_tags_are_kept_and_compared),
    CASE(tags_are_found_as_written_last),
    CASE(a_response_of_an_unknown_moment_is_not_stored),
    CASE(marked_at_is_about_the_time_of_the_mark),
    CASE(the_clock_moves_with_marks_only),
    CASE(expires_at_is_as_written),
    CASE(each_variant_has_its_own_tags_and_moment),
    CASE(a_primary_written_alone_leaves_its_responses_as_they_are),
    CASE(marks_are_still_there_after_a_restart),
    CASE(what_cannot_be_marked_is_refused),
    CASE(threads_mark_and_write_at_once)
};

const conformance_cases conformance_mark_cases = CASES(cases);
