/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_local_damage.c: the embedded store and what others did to its folder:
 * damaged, foreign, cut and missing files, another boot. Always: it opens or
 * says why not, and never hands out a wrong byte.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/entity_digest.h"
#include "modules/store_local/local_store.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define BODIES 60u
#define LARGE 200000

static store_rig rig;

static void begin(void)
{
    rig_init(&rig, &etg_local_provider, "?size=16M");
    rig_open(&rig);
    for (unsigned int n = 0; n < BODIES; n++) {
        etg_store_tag tag = n * 1000;
        unsigned int moved;
        rig.provider->mark(rig.store, &tag, 1, ETG_STORE_MARK_SOFT, 0,
                           &moved);
        rig_put(&rig, n, n, 330, 0);
        ck_assert_int_eq(rig_body_put(&rig, n, 3000, NULL), APR_SUCCESS);
    }
    ck_assert_int_eq(rig_body_put(&rig, 0, LARGE, NULL), APR_SUCCESS);
    rig_settle(&rig);
}

static void end(void)
{
    rig_end(&rig);
}

static int open_in(const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/store-1/%s", rig.dir, name);
    int fd = open(path, O_RDWR);
    ck_assert_msg(fd >= 0, "%s", path);
    return fd;
}

static off_t size_of(int fd)
{
    struct stat info;
    fstat(fd, &info);
    return info.st_size;
}

/* After whatever was done: it works, and what it answers is right. */
static unsigned int check_usable(void)
{
    unsigned int there = 0;
    for (unsigned int n = 0; n < BODIES; n++) {
        there += (unsigned int)rig_has(&rig, n);
        there += (unsigned int)rig_body_has(&rig, n, 3000);
    }
    there += (unsigned int)rig_body_has(&rig, 0, LARGE);
    ck_assert_int_eq(rig_body_put(&rig, 500, 3000, NULL), APR_SUCCESS);
    ck_assert_int_eq(rig_body_put(&rig, 501, LARGE, NULL), APR_SUCCESS);
    rig_put(&rig, 500, 0, 330, 0);
    rig_settle(&rig);
    ck_assert(rig_has(&rig, 500));
    ck_assert(rig_body_has(&rig, 500, 3000));
    ck_assert(rig_body_has(&rig, 501, LARGE));
    return there;
}

START_TEST(a_data_file_of_nonsense_is_replaced)
{
    char nonsense[8192];
    rig_close(&rig);
    int fd = open_in("data.mdb");
    memset(nonsense, 0x5a, sizeof(nonsense));
    ck_assert_int_gt(pwrite(fd, nonsense, sizeof(nonsense), 0), 0);
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
    ck_assert(rig_logged(&rig, "damaged"));
}
END_TEST

START_TEST(a_cut_data_file_is_replaced)
{
    rig_close(&rig);
    int fd = open_in("data.mdb");
    ck_assert_int_eq(ftruncate(fd, size_of(fd) / 2 / 4096 * 4096), 0);
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
    ck_assert(rig_logged(&rig, "damaged"));
}
END_TEST

START_TEST(an_empty_data_file_starts_empty)
{
    rig_close(&rig);
    int fd = open_in("data.mdb");
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
}
END_TEST

/* Pages overwritten with noise: LMDB may run into anything while the store is
 * checked; nothing of that may reach this process. */
START_TEST(noise_inside_the_data_file_is_survived)
{
    unsigned char noise[4096];
    rig_close(&rig);
    int fd = open_in("data.mdb");
    srandom((unsigned int)_i + 1);
    off_t pages = size_of(fd) / 4096;
    for (unsigned int i = 0; i < sizeof(noise); i++) {
        noise[i] = (unsigned char)random();
    }
    for (off_t page = 2 + _i % 3; page < pages; page += 2) {
        ck_assert_int_gt(pwrite(fd, noise, 16 + (size_t)random() % 4080,
                                page * 4096 + random() % 16), 0);
    }
    close(fd);
    rig_reopen(&rig);
    check_usable();
    ck_assert(rig_logged(&rig, "damaged"));
}
END_TEST

START_TEST(a_foreign_control_file_is_left_aside)
{
    rig_close(&rig);
    int fd = open_in("control");
    ck_assert_int_eq(pwrite(fd, "NOTOURS!", 8, 0), 8);
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
    ck_assert(rig_logged(&rig, "format is not ours"));
}
END_TEST

START_TEST(an_older_format_is_left_aside)
{
    uint32_t older = ETG_LOCAL_FORMAT - 1;
    rig_close(&rig);
    int fd = open_in("control");
    ck_assert_int_eq(pwrite(fd, &older, sizeof(older),
                            offsetof(etg_local_control, format)),
                     sizeof(older));
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
    ck_assert(rig_logged(&rig, "format is not ours"));
}
END_TEST

/* What the clock does not know of was not marked by it. */
START_TEST(a_clock_behind_its_marks_is_damage)
{
    uint64_t reading = (uint64_t)_i;
    rig_close(&rig);
    int fd = open_in("control");
    ck_assert_int_eq(pwrite(fd, &reading, sizeof(reading),
                            offsetof(etg_local_control, reading)),
                     sizeof(reading));
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
    ck_assert(rig_logged(&rig, "damaged"));
}
END_TEST

START_TEST(a_cut_control_file_is_left_aside)
{
    rig_close(&rig);
    int fd = open_in("control");
    ck_assert_int_eq(ftruncate(fd, _i == 0 ? 100 : 20000), 0);
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
}
END_TEST

START_TEST(a_file_where_a_folder_should_be_is_left_aside)
{
    char path[600];
    rig_close(&rig);
    snprintf(path, sizeof(path), "%s/store-7", rig.dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 2 * BODIES + 1);
}
END_TEST

START_TEST(files_of_others_in_the_folder_stay)
{
    char path[600];
    rig_close(&rig);
    snprintf(path, sizeof(path), "%s/precious", rig.dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    close(fd);
    fd = open_in("control");
    ck_assert_int_eq(pwrite(fd, "NOTOURS!", 8, 0), 8);
    close(fd);
    rig_reopen(&rig);
    rig_reopen(&rig);
    ck_assert_int_eq(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/store-1", rig.dir);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

static void boot_change(int clean)
{
    static const char id[40] = "00000000-1111-2222-3333-444444444444";
    uint32_t mark = (uint32_t)clean;
    int fd = open_in("control");
    ck_assert_int_eq(pwrite(fd, id, sizeof(id),
                            offsetof(etg_local_control, boot_id)),
                     sizeof(id));
    ck_assert_int_eq(pwrite(fd, &mark, sizeof(mark),
                            offsetof(etg_local_control, clean)),
                     sizeof(mark));
    close(fd);
}

START_TEST(after_another_boot_without_a_clean_stop_it_starts_empty)
{
    rig_close(&rig);
    boot_change(0);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 0);
    ck_assert(rig_logged(&rig, "without a clean stop"));
}
END_TEST

START_TEST(the_last_to_close_leaves_the_clean_mark)
{
    uint32_t mark = 0;
    rig_close(&rig);
    int fd = open_in("control");
    ck_assert_int_eq(pread(fd, &mark, sizeof(mark),
                           offsetof(etg_local_control, clean)),
                     sizeof(mark));
    ck_assert_uint_eq(mark, 1);
    close(fd);
    boot_change(1);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), 2 * BODIES + 1);
    fd = open_in("control");
    ck_assert_int_eq(pread(fd, &mark, sizeof(mark),
                           offsetof(etg_local_control, clean)),
                     sizeof(mark));
    ck_assert_uint_eq(mark, 0);
    close(fd);
}
END_TEST

START_TEST(a_cut_segment_file_loses_what_was_cut)
{
    rig_close(&rig);
    int fd = open_in("segments");
    ck_assert_int_eq(ftruncate(fd, 60000), 0);
    close(fd);
    rig_reopen(&rig);
    unsigned int there = check_usable();
    ck_assert_uint_lt(there, 2 * BODIES + 1);
    ck_assert_uint_gt(there, BODIES);
    ck_assert(rig_logged(&rig, "shorter than it should be"));
}
END_TEST

START_TEST(a_missing_segment_file_loses_all_small_bodies)
{
    char path[600];
    rig_close(&rig);
    snprintf(path, sizeof(path), "%s/store-1/segments", rig.dir);
    ck_assert_int_eq(unlink(path), 0);
    rig_reopen(&rig);
    ck_assert_uint_eq(check_usable(), BODIES + 1);
}
END_TEST

/* One bit anywhere in the first 60 bodies, while the store is open. */
START_TEST(a_flipped_bit_in_a_segment_is_a_miss_until_stored_again)
{
    unsigned char byte;
    int fd = open_in("segments");
    srandom((unsigned int)_i + 77);
    off_t at = random() % ((off_t)BODIES * 3040);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= (unsigned char)(1u << random() % 8);
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    unsigned int there = 0;
    for (unsigned int n = 0; n < BODIES; n++) {
        there += (unsigned int)rig_body_has(&rig, n, 3000);
    }
    /* Bytes 28 to 31 of a head are only when it expires. */
    ck_assert_uint_ge(there, BODIES - 1);
    ck_assert(there == BODIES - 1
              || (at % 3040 >= 28 && at % 3040 < 32));
    for (unsigned int n = 0; n < BODIES; n++) {
        ck_assert_int_eq(rig_body_put(&rig, n, 3000, NULL), APR_SUCCESS);
    }
    rig_settle(&rig);
    for (unsigned int n = 0; n < BODIES; n++) {
        ck_assert(rig_body_has(&rig, n, 3000));
    }
}
END_TEST

/* Heads overwritten: a segment that cannot be walked is recycled even so. */
START_TEST(a_segment_of_nonsense_is_recycled)
{
    char nonsense[4096];
    int fd = open_in("segments");
    memset(nonsense, 0xee, sizeof(nonsense));
    for (off_t at = 0; at < 100000; at += 4096) {
        ck_assert_int_gt(pwrite(fd, nonsense, sizeof(nonsense), at), 0);
    }
    close(fd);
    for (unsigned int n = 1000; n < 8000; n++) {
        ck_assert_int_eq(rig_body_put(&rig, n, 3000, NULL), APR_SUCCESS);
        if (n % 50 == 0) {
            rig_settle(&rig);
            ck_assert(rig_body_has(&rig, n, 3000));
        }
    }
    ck_assert(!rig_body_has(&rig, 1, 3000));
    rig_reopen(&rig);
    ck_assert(!rig_logged(&rig, "is damaged"));
    check_usable();
}
END_TEST

START_TEST(damage_while_open_kills_no_second_child)
{
    unsigned char noise[4096];
    int status;
    rig_close(&rig);           /* so that only the child has it open */
    int fd = open_in("data.mdb");
    off_t pages = size_of(fd) / 4096;
    srandom((unsigned int)_i + 5);
    for (unsigned int i = 0; i < sizeof(noise); i++) {
        noise[i] = (unsigned char)random();
    }
    for (off_t page = 2; page < pages; page++) {
        ck_assert_int_gt(pwrite(fd, noise, 4000, page * 4096 + 8 * _i), 0);
    }
    close(fd);
    pid_t pid = fork();        /* a child that was there before the damage */
    if (pid == 0) {
        apr_pool_create(&rig.pchild, NULL);
        etg_local_provider.open(rig.store, rig.pchild);
        raise(SIGKILL);
    }
    waitpid(pid, &status, 0);
    apr_pool_create(&rig.pchild, NULL);
    ck_assert_int_eq(etg_local_provider.open(rig.store, rig.pchild),
                     APR_SUCCESS);
    check_usable();
    ck_assert_msg(rig_logged(&rig, "damaged"), "%s",
                  rig.log);
}
END_TEST

static void large_path(char *path)
{
    etg_entity_id id;
    unsigned char *bytes = rig_body(rig.p, 0, LARGE);
    etg_sha256(bytes, LARGE, id.bytes);
    etg_local_file_path(rig.store, &id, path);
}

static void large_heals(void)
{
    ck_assert(!rig_body_has(&rig, 0, LARGE));
    ck_assert_int_eq(rig_body_put(&rig, 0, LARGE, NULL), APR_SUCCESS);
    rig_settle(&rig);
    ck_assert(rig_body_has(&rig, 0, LARGE));
}

START_TEST(a_changed_large_body_is_a_miss_until_stored_again)
{
    char path[ETG_LOCAL_PATH_BYTES + 96];
    large_path(path);
    if (_i == 1) {             /* changed after it was verified */
        ck_assert(rig_body_has(&rig, 0, LARGE));
    }
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "x", 1, 12345), 1);
    close(fd);
    large_heals();
}
END_TEST

START_TEST(a_cut_large_body_is_a_miss_until_stored_again)
{
    char path[ETG_LOCAL_PATH_BYTES + 96];
    large_path(path);
    ck_assert_int_eq(truncate(path, LARGE - 1), 0);
    large_heals();
}
END_TEST

START_TEST(a_missing_large_body_is_a_miss_until_stored_again)
{
    char path[ETG_LOCAL_PATH_BYTES + 96];
    large_path(path);
    ck_assert_int_eq(unlink(path), 0);
    large_heals();
}
END_TEST

START_TEST(files_that_nothing_names_are_removed_at_start)
{
    char path[700], name[65];
    rig_close(&rig);
    memset(name, 'a', 64);
    name[64] = '\0';
    snprintf(path, sizeof(path), "%s/store-1/body/aa", rig.dir);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/store-1/body/aa/%s", rig.dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    rig_reopen(&rig);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_uint_eq(check_usable(), 2 * BODIES + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local_damage");
    TCase *tcase = tcase_create("damage");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, a_data_file_of_nonsense_is_replaced);
    tcase_add_test(tcase, a_cut_data_file_is_replaced);
    tcase_add_test(tcase, an_empty_data_file_starts_empty);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* The process that checks reads anywhere, which is why it is one of its
     * own; a sanitizer would report just that. */
    tcase_add_loop_test(tcase, noise_inside_the_data_file_is_survived, 0, 20);
    tcase_add_loop_test(tcase, damage_while_open_kills_no_second_child, 0, 10);
#else
    (void)noise_inside_the_data_file_is_survived;
    (void)damage_while_open_kills_no_second_child;
#endif
    tcase_add_test(tcase, a_foreign_control_file_is_left_aside);
    tcase_add_test(tcase, an_older_format_is_left_aside);
    tcase_add_loop_test(tcase, a_clock_behind_its_marks_is_damage, 0, 2);
    tcase_add_loop_test(tcase, a_cut_control_file_is_left_aside, 0, 2);
    tcase_add_test(tcase, a_file_where_a_folder_should_be_is_left_aside);
    tcase_add_test(tcase, files_of_others_in_the_folder_stay);
    tcase_add_test(tcase,
                   after_another_boot_without_a_clean_stop_it_starts_empty);
    tcase_add_test(tcase, the_last_to_close_leaves_the_clean_mark);
    tcase_add_test(tcase, a_cut_segment_file_loses_what_was_cut);
    tcase_add_test(tcase, a_missing_segment_file_loses_all_small_bodies);
    tcase_add_loop_test(tcase,
                        a_flipped_bit_in_a_segment_is_a_miss_until_stored_again,
                        0, 20);
    tcase_add_test(tcase, a_segment_of_nonsense_is_recycled);
    tcase_add_loop_test(tcase,
                        a_changed_large_body_is_a_miss_until_stored_again, 0,
                        2);
    tcase_add_test(tcase, a_cut_large_body_is_a_miss_until_stored_again);
    tcase_add_test(tcase, a_missing_large_body_is_a_miss_until_stored_again);
    tcase_add_test(tcase, files_that_nothing_names_are_removed_at_start);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
