/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_local_purge.c: marks in the embedded store beyond what every store
 * does: how many purged tags it remembers and what it says of those it has
 * forgotten, marks from other processes, and who does not wait.
 */
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "modules/store_local/local_store.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define WAIT apr_time_from_sec(20)

static store_rig rig;

static void begin(void)
{
    rig_init(&rig, &etg_local_provider, "?size=8M");
    rig_open(&rig);
}

static void end(void)
{
    rig_end(&rig);
}

static void put(store_rig *where, unsigned int n, const etg_store_tag *tags,
                unsigned int count)
{
    etg_store_moment moment = rig_moment(where, n);
    ck_assert_int_eq(rig_put_tagged(where, n, 1, 200, WAIT, &moment, tags,
                                    count), APR_SUCCESS);
}

static void mark(store_rig *where, const etg_store_tag *tags,
                 unsigned int count, etg_store_mark kind)
{
    unsigned int moved = 99;
    ck_assert_int_eq(etg_local_provider.mark(where->store, tags, count, kind,
                                             WAIT, &moved), APR_SUCCESS);
    ck_assert_uint_eq(moved, count == 0 ? 1 : count);
}

/* ETG_STORE_MARK_GONE for a miss. */
static etg_store_mark mark_of(store_rig *where, unsigned int n)
{
    etg_store_found found = { .answer = ETG_STORE_MISS };
    ck_assert_int_eq(rig_look(where, n, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    return found.answer == ETG_STORE_HIT ? found.mark : ETG_STORE_MARK_GONE;
}

/* Purges `count` tags that nothing carries. */
static void others_mark(uint64_t first, uint64_t count)
{
    etg_store_tag tags[ETG_STORE_TAGS_MAX];
    unsigned int full = 0;
    for (uint64_t i = 0; i < count; i++) {
        tags[full++] = (first + i) * 0x9e3779b97f4a7c15ull;
        if (full == ETG_STORE_TAGS_MAX || i + 1 == count) {
            mark(&rig, tags, full, ETG_STORE_MARK_SOFT);
            full = 0;
        }
    }
}

START_TEST(tags_that_nobody_purged_take_no_room)
{
    for (unsigned int n = 0; n < 100; n++) {
        etg_store_tag tags[] = { n, n + 1000 };
        put(&rig, n, tags, 2);
    }
    ck_assert_uint_eq(rig_counter(&rig, "purged_tags"), 0);
    mark(&rig, NULL, 0, ETG_STORE_MARK_SOFT);
    ck_assert_uint_eq(rig_counter(&rig, "purged_tags"), 0);
    for (unsigned int i = 0; i < 3; i++) {
        etg_store_tag tags[] = { 5, 1005 };
        mark(&rig, tags, 2, ETG_STORE_MARK_INVALID);
    }
    ck_assert_uint_eq(rig_counter(&rig, "purged_tags"), 2);
}
END_TEST

/* The oldest marks are forgotten. What was stored before a forgotten mark,
 * and carries a tag of which nothing is known, is invalid; all else is as it
 * was. */
START_TEST(a_forgotten_mark_counts_as_one)
{
    static const etg_store_tag soft = 1, gone = 2, never = 3, kept = 4;
    etg_store_tag both[] = { 4, 5 };
    uint64_t limit = rig.store->geometry.map_bytes / ETG_LOCAL_BYTES_PER_TAG;
    put(&rig, 1, &soft, 1);
    put(&rig, 2, &gone, 1);
    put(&rig, 3, &never, 1);
    put(&rig, 4, &kept, 1);
    put(&rig, 5, NULL, 0);
    mark(&rig, &soft, 1, ETG_STORE_MARK_SOFT);
    mark(&rig, &gone, 1, ETG_STORE_MARK_GONE);
    others_mark(1, limit - 2);
    ck_assert_uint_eq(rig_counter(&rig, "evicted_tags"), 0);
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(mark_of(&rig, 2), ETG_STORE_MARK_GONE);
    ck_assert_int_eq(mark_of(&rig, 3), ETG_STORE_MARK_NONE);
    mark(&rig, &kept, 1, ETG_STORE_MARK_SOFT);
    ck_assert_uint_eq(rig_counter(&rig, "evicted_tags"), 1);
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_INVALID);
    others_mark(1000000, 1);
    ck_assert_int_eq(mark_of(&rig, 2), ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(mark_of(&rig, 3), ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(mark_of(&rig, 4), ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(mark_of(&rig, 5), ETG_STORE_MARK_NONE);
    ck_assert_uint_eq(rig_counter(&rig, "purged_tags"), limit);
    put(&rig, 3, both, 2);     /* newer than all that was forgotten */
    ck_assert_int_eq(mark_of(&rig, 3), ETG_STORE_MARK_NONE);
    /* A row made anew does not make the old response valid again. */
    mark(&rig, &soft, 1, ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_INVALID);
}
END_TEST

/* Tags fall into slots, and a slot that was not touched has lost nothing. */
START_TEST(forgotten_marks_of_other_slots_do_no_harm)
{
    static const etg_store_tag never = 3;
    uint64_t limit = rig.store->geometry.map_bytes / ETG_LOCAL_BYTES_PER_TAG;
    put(&rig, 1, &never, 1);
    for (uint64_t i = 0; i < 2 * limit; i += ETG_STORE_TAGS_MAX) {
        etg_store_tag tags[ETG_STORE_TAGS_MAX];
        for (unsigned int k = 0; k < ETG_STORE_TAGS_MAX; k++) {
            tags[k] = (i + k) * rig.store->geometry.tag_slots;
        }
        mark(&rig, tags, ETG_STORE_TAGS_MAX, ETG_STORE_MARK_GONE);
    }
    ck_assert_uint_ge(rig_counter(&rig, "evicted_tags"), limit);
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_NONE);
    mark(&rig, &never, 1, ETG_STORE_MARK_SOFT);
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_SOFT);
}
END_TEST

/* Marked again and again, a tag has one row, and it is a young one. */
START_TEST(a_tag_marked_again_is_remembered_anew)
{
    static const etg_store_tag tag = 1;
    uint64_t limit = rig.store->geometry.map_bytes / ETG_LOCAL_BYTES_PER_TAG;
    put(&rig, 1, &tag, 1);
    for (unsigned int i = 0; i < 4; i++) {
        mark(&rig, &tag, 1, ETG_STORE_MARK_SOFT);
        others_mark(1 + i * limit, limit / 2);
    }
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_SOFT);
    ck_assert_uint_le(rig_counter(&rig, "purged_tags"), limit);
    ck_assert_uint_gt(rig_counter(&rig, "evicted_tags"), limit / 2);
    rig_reopen(&rig);
    ck_assert(!rig_logged(&rig, "damaged"));
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_SOFT);
}
END_TEST

static int is_marked(void *baton)
{
    return mark_of(&rig, 1) == *(etg_store_mark *)baton;
}

/* The clock says when, as far as the wall's has not gone back. */
START_TEST(the_clock_catches_up_and_never_goes_back)
{
    uint64_t now = (uint64_t)apr_time_now();
    uint64_t hour = (uint64_t)apr_time_from_sec(3600);
    static const etg_store_tag tag = 1;
    for (unsigned int count = 0; count < 2; count++) {
        etg_store_found found;
        atomic_store(&rig.store->control->reading, now - hour);
        put(&rig, 1, &tag, 1);
        mark(&rig, &tag, count, ETG_STORE_MARK_SOFT);
        ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                         APR_SUCCESS);
        ck_assert_int_ge(found.marked_at, (apr_time_t)now);
        atomic_store(&rig.store->control->reading, now + hour);
        put(&rig, 1, &tag, 1);
        mark(&rig, &tag, count, ETG_STORE_MARK_SOFT);
        ck_assert_int_eq(rig_look(&rig, 1, ETG_STORE_NEAREST, &found),
                         APR_SUCCESS);
        ck_assert_int_eq(found.marked_at, (apr_time_t)(now + hour + 1));
    }
}
END_TEST

START_TEST(who_does_not_wait_is_told_that_it_is_to_come)
{
    static const etg_store_tag tag = 1;
    etg_store_mark expected = ETG_STORE_MARK_INVALID;
    unsigned int moved = 99;
    put(&rig, 1, &tag, 1);
    ck_assert_int_eq(etg_local_provider.mark(rig.store, &tag, 1, expected, 0,
                                             &moved), APR_TIMEUP);
    ck_assert_uint_eq(moved, 1);
    ck_assert(rig_poll(is_marked, &expected));
    expected = ETG_STORE_MARK_GONE;
    ck_assert_int_eq(etg_local_provider.mark(rig.store, NULL, 0, expected, 0,
                                             &moved), APR_SUCCESS);
    ck_assert_int_eq(mark_of(&rig, 1), expected);
}
END_TEST

START_TEST(a_store_that_is_not_open_marks_nothing)
{
    static const etg_store_tag tag = 1;
    unsigned int moved = 99;
    rig_close(&rig);
    for (unsigned int count = 0; count < 2; count++) {
        ck_assert_int_ne(etg_local_provider.mark(
                             rig.store, &tag, count, ETG_STORE_MARK_GONE,
                             WAIT, &moved), APR_SUCCESS);
        ck_assert_uint_eq(moved, 0);
    }
}
END_TEST

START_TEST(a_write_with_too_many_tags_harms_nobody)
{
    etg_store_tag tags[ETG_STORE_TAGS_MAX + 1] = { 0 };
    etg_store_moment moment = rig_moment(&rig, 1);
    unsigned int moved;
    put(&rig, 2, NULL, 0);
    ck_assert_int_ne(rig_put_tagged(&rig, 1, 1, 200, WAIT, &moment, tags,
                                    ETG_STORE_TAGS_MAX + 1), APR_SUCCESS);
    ck_assert_int_ne(etg_local_provider.mark(
                         rig.store, tags, ETG_STORE_TAGS_MAX + 1,
                         ETG_STORE_MARK_GONE, WAIT, &moved), APR_SUCCESS);
    ck_assert(!rig_has(&rig, 1));
    ck_assert_int_eq(mark_of(&rig, 2), ETG_STORE_MARK_NONE);
}
END_TEST

/* Of processes that share a folder, one marks what the other has stored, and
 * is killed as soon as it has. */
START_TEST(a_mark_by_another_process_outlives_it)
{
    static const etg_store_tag tag = 1;
    int status, filled[2], done[2];
    char byte;
    rig_close(&rig);           /* before there are threads */
    ck_assert_int_eq(pipe(filled), 0);
    ck_assert_int_eq(pipe(done), 0);
    pid_t pid = fork();
    if (pid == 0) {
        store_rig other;
        rig_beside(&other, &rig, "?size=8M");
        rig_open(&other);
        ck_assert_int_eq(read(filled[0], &byte, 1), 1);
        mark(&other, &tag, 1, ETG_STORE_MARK_INVALID);
        mark(&other, NULL, 0, ETG_STORE_MARK_SOFT);
        (void)!write(done[1], "x", 1);
        pause();
    }
    rig_open(&rig);
    put(&rig, 1, &tag, 1);
    put(&rig, 2, NULL, 0);
    ck_assert_int_eq(write(filled[1], "x", 1), 1);
    ck_assert_int_eq(read(done[0], &byte, 1), 1);
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(mark_of(&rig, 2), ETG_STORE_MARK_SOFT);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    ck_assert(WIFSIGNALED(status));
    rig_reopen(&rig);
    ck_assert_int_eq(mark_of(&rig, 1), ETG_STORE_MARK_INVALID);
    ck_assert_int_eq(mark_of(&rig, 2), ETG_STORE_MARK_SOFT);
}
END_TEST

/* What is asked for a second time moves to the old records with its moment
 * and tags. */
START_TEST(a_record_that_is_kept_keeps_its_tags)
{
    static const etg_store_tag tag = 77;
    for (unsigned int n = 0; n < 20; n++) {
        put(&rig, n, &tag, 1);
    }
    for (unsigned int n = 1000; rig_counter(&rig, "kept_records") < 20; n++) {
        ck_assert_uint_lt(n, 100000);
        rig_put(&rig, n, 1, 330, n % 64 == 0 ? WAIT : 0);
        for (unsigned int hot = 0; n % 50 == 0 && hot < 20; hot++) {
            ck_assert_int_eq(mark_of(&rig, hot), ETG_STORE_MARK_NONE);
        }
    }
    mark(&rig, &tag, 1, ETG_STORE_MARK_SOFT);
    for (unsigned int n = 0; n < 20; n++) {
        ck_assert_int_eq(mark_of(&rig, n), ETG_STORE_MARK_SOFT);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local_purge");
    TCase *tcase = tcase_create("purge");
    tcase_set_timeout(tcase, 240);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, tags_that_nobody_purged_take_no_room);
    tcase_add_test(tcase, a_forgotten_mark_counts_as_one);
    tcase_add_test(tcase, forgotten_marks_of_other_slots_do_no_harm);
    tcase_add_test(tcase, a_tag_marked_again_is_remembered_anew);
    tcase_add_test(tcase, the_clock_catches_up_and_never_goes_back);
    tcase_add_test(tcase, who_does_not_wait_is_told_that_it_is_to_come);
    tcase_add_test(tcase, a_store_that_is_not_open_marks_nothing);
    tcase_add_test(tcase, a_write_with_too_many_tags_harms_nobody);
    tcase_add_test(tcase, a_mark_by_another_process_outlives_it);
    tcase_add_test(tcase, a_record_that_is_kept_keeps_its_tags);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
