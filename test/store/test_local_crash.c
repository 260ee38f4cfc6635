/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_local_crash.c: the embedded store and processes that are killed or
 * stopped, disks that are full, folders that cannot be written.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "modules/store_local/local_store.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define KILLS 20
#define WRITERS 3
#define RANGE 400u
#define QUERY "?size=8M"

static store_rig rig;

static apr_size_t length_of(unsigned int n)
{
    return n % 40 == 0 ? 90000 + n * 11 : 200 + n * 37 % 9000;
}

/* Writes for ever, as a child under load does. */
static int writer_run(const char *seed)
{
    store_rig mine;
    rig_beside(&mine, &rig, QUERY);
    if (rig_start(&mine) != APR_SUCCESS) {
        return 2;
    }
    srandom((unsigned int)atoi(seed));
    for (;;) {
        unsigned int n = (unsigned int)random() % RANGE;
        etg_store_answer answer;
        etg_store_tag tag = n % 10;
        unsigned int moved;
        if (n % 8 == 0) {
            mine.provider->mark(mine.store, &tag, 1, ETG_STORE_MARK_SOFT, 0,
                                &moved);
        }
        if (rig_body_put(&mine, n, length_of(n), NULL) == APR_SUCCESS) {
            rig_put(&mine, n, (unsigned int)random(), 100 + n % 500,
                    apr_time_from_msec(10));
        }
        rig_body_get(&mine, n, length_of(n), &answer);
        rig_get(&mine, n, &answer, NULL);
    }
}

/* Another process of this program: what threads held when they were forked
 * would be nobody's to release, so it starts afresh. */
static pid_t role_spawn(const char *role, unsigned int number, int out)
{
    extern char **environ;
    char text[16];
    posix_spawn_file_actions_t actions;
    char *arguments[] = { "role", (char *)role, rig.dir, text, NULL };
    pid_t pid;
    snprintf(text, sizeof(text), "%u", number);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    ck_assert_int_eq(posix_spawn(&pid, "/proc/self/exe", &actions, NULL,
                                 arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static pid_t writer_spawn(unsigned int seed)
{
    return role_spawn("writer", seed, STDERR_FILENO);
}

static int reads_all(void)
{
    int hits = 0;
    for (unsigned int n = 0; n < RANGE; n++) {
        etg_store_answer answer = ETG_STORE_MISS;
        ck_assert_int_eq(rig_get(&rig, n, &answer, NULL), APR_SUCCESS);
        ck_assert_int_eq(rig_body_get(&rig, n, length_of(n), &answer),
                         APR_SUCCESS);
        hits += answer == ETG_STORE_HIT;
    }
    return hits;
}

static int is_busy(void *baton)
{
    (void)baton;
    return reads_all() > 20;
}

START_TEST(writers_killed_at_any_moment_leave_no_wrong_byte)
{
    pid_t writers[WRITERS];
    int status;
    rig_init(&rig, &etg_local_provider, QUERY);
    rig_open(&rig);
    for (unsigned int i = 0; i < WRITERS; i++) {
        writers[i] = writer_spawn(i);
    }
    ck_assert(rig_poll(is_busy, NULL));
    for (unsigned int i = 0; i < KILLS; i++) {
        unsigned int which = i % WRITERS;
        for (unsigned int n = 0; n <= i % 5; n++) {
            reads_all();
        }
        ck_assert_int_eq(kill(writers[which], SIGKILL), 0);
        waitpid(writers[which], &status, 0);
        ck_assert_msg(WIFSIGNALED(status), "writer ended: %d", status);
        writers[which] = writer_spawn(100 + i);
        rig_settle(&rig);
        ck_assert_int_eq(rig_body_put(&rig, 9999, 5000, NULL), APR_SUCCESS);
        rig_settle(&rig);
        ck_assert(rig_body_has(&rig, 9999, 5000));
    }
    for (unsigned int i = 0; i < WRITERS; i++) {
        kill(writers[i], SIGKILL);
        waitpid(writers[i], &status, 0);
    }
    ck_assert_int_gt(reads_all(), 0);
    ck_assert_uint_eq(rig_counter(&rig, "damaged_bodies"), 0);
    rig_reopen(&rig);
    ck_assert_int_gt(reads_all(), 0);
    ck_assert_msg(!rig_logged(&rig, "damaged"), "%s", rig.log);
    rig_end(&rig);
}
END_TEST

START_TEST(all_killed_at_once_is_survived_by_the_next_start)
{
    pid_t writers[WRITERS];
    int status;
    rig_init(&rig, &etg_local_provider, QUERY);
    for (unsigned int round = 0; round < 8; round++) {
        rig_open(&rig);
        for (unsigned int i = 0; i < WRITERS; i++) {
            writers[i] = writer_spawn(round * 10 + i);
        }
        ck_assert(rig_poll(is_busy, NULL));
        for (unsigned int i = 0; i < WRITERS; i++) {
            kill(writers[i], SIGKILL);
        }
        for (unsigned int i = 0; i < WRITERS; i++) {
            waitpid(writers[i], &status, 0);
        }
        rig_reopen(&rig);
        ck_assert_int_gt(reads_all(), 20);
        ck_assert_msg(!rig_logged(&rig, "damaged"), "%s", rig.log);
        rig_close(&rig);
    }
    rig_end(&rig);
}
END_TEST

static unsigned int temp_files(void)
{
    char path[700];
    unsigned int count = 0;
    snprintf(path, sizeof(path), "%s/store-1/tmp", rig.dir);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

START_TEST(what_a_killed_child_had_reserved_comes_back)
{
    int ready[2], status;
    char byte;
    rig_init(&rig, &etg_local_provider, QUERY);
    rig_open(&rig);
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = role_spawn("arriving", 0, ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_uint_ge(rig_counter(&rig, "arriving_bytes"), 1 << 20);
    ck_assert_uint_eq(temp_files(), 1);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    pid = role_spawn("visitor", 0, STDERR_FILENO); /* as httpd would */
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_uint_eq(rig_counter(&rig, "arriving_bytes"), 0);
    ck_assert_uint_eq(temp_files(), 0);
    rig_end(&rig);
}
END_TEST

/* A child that takes the write lock, or a view to read, and stops. */
static pid_t lock_holder(int with_reader)
{
    int status;
    pid_t pid = role_spawn("holder", (unsigned int)with_reader,
                           STDERR_FILENO);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
    return pid;
}

static int writes_again(void *baton)
{
    (void)baton;
    return rig_put(&rig, 9000, 1, 330, apr_time_from_sec(1)) == APR_SUCCESS;
}

START_TEST(a_stopped_child_with_the_write_lock_stops_writes_only)
{
    static const etg_store_tag tag = 1;
    unsigned int refused = 0, moved = 0;
    int status;
    rig_init(&rig, &etg_local_provider, QUERY);
    rig_open(&rig);
    rig_put(&rig, 1, 1, 330, 0);
    rig_body_put(&rig, 1, 3000, NULL);
    rig_settle(&rig);
    pid_t pid = lock_holder(0);
    for (unsigned int n = 0; n < 6000; n++) {
        apr_status_t rv = rig_put(&rig, n, 2, 330, n < 3 ? 10000 : 0);
        ck_assert(APR_STATUS_IS_TIMEUP(rv) || APR_STATUS_IS_EAGAIN(rv));
        refused += (unsigned int)APR_STATUS_IS_EAGAIN(rv);
    }
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(rig_counter(&rig, "dropped_writes"), 0);
    ck_assert_msg(rig_logged(&rig, "served but not stored"), "%s", rig.log);
    ck_assert(rig_has(&rig, 1));
    ck_assert(rig_body_has(&rig, 1, 3000));
    ck_assert_int_ne(rig.provider->mark(rig.store, &tag, 1,
                                        ETG_STORE_MARK_GONE, 1000, &moved),
                     APR_SUCCESS);
    ck_assert_int_eq(rig.provider->mark(rig.store, NULL, 0,
                                        ETG_STORE_MARK_GONE, 1000, &moved),
                     APR_SUCCESS);
    ck_assert(!rig_has(&rig, 1));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    ck_assert(rig_poll(writes_again, NULL));
    ck_assert(rig_has(&rig, 9000));
    rig_end(&rig);
}
END_TEST

START_TEST(a_child_ends_although_another_holds_the_write_lock)
{
    int status;
    rig_init(&rig, &etg_local_provider, QUERY);
    rig_open(&rig);
    pid_t pid = lock_holder(0);
    pid_t ending = role_spawn("visitor", 1, STDERR_FILENO);
    waitpid(ending, &status, 0);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    ck_assert(rig_poll(writes_again, NULL));
    rig_end(&rig);
}
END_TEST

START_TEST(a_stopped_reader_costs_writes_at_most)
{
    int status;
    rig_init(&rig, &etg_local_provider, QUERY);
    rig_open(&rig);
    rig_put(&rig, 1, 1, 330, 0);
    rig_settle(&rig);
    pid_t pid = lock_holder(1);
    for (unsigned int n = 0; n < 30000; n++) {
        rig_put(&rig, n % 100, n, 330, n % 20 == 0 ? 20000000 : 0);
    }
    ck_assert(rig_has(&rig, 1));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    ck_assert(rig_poll(writes_again, NULL));
    rig_end(&rig);
}
END_TEST

static void *read_from_a_new_thread(void *data)
{
    etg_store_answer answer;
    *(apr_status_t *)data = rig_get(&rig, 1, &answer, NULL);
    return NULL;
}

START_TEST(more_readers_than_slots_is_a_failure_not_a_miss)
{
    static MDB_txn *txns[ETG_LOCAL_READERS];
    apr_status_t rv = APR_SUCCESS;
    pthread_t thread;
    unsigned int count = 0;
    rig_init(&rig, &etg_local_provider, QUERY);
    rig_open(&rig);
    rig_put(&rig, 1, 1, 330, 0);
    rig_settle(&rig);
    while (count < ETG_LOCAL_READERS
           && mdb_txn_begin(rig.store->env, NULL, MDB_RDONLY, &txns[count])
              == MDB_SUCCESS) {
        count++;
    }
    pthread_create(&thread, NULL, read_from_a_new_thread, &rv);
    pthread_join(thread, NULL);
    ck_assert_int_ne(rv, APR_SUCCESS);
    while (count > 0) {
        mdb_txn_abort(txns[--count]);
    }
    pthread_create(&thread, NULL, read_from_a_new_thread, &rv);
    pthread_join(thread, NULL);
    ck_assert_int_eq(rv, APR_SUCCESS);
    rig_end(&rig);
}
END_TEST

static void check_down(void)
{
    etg_store_answer answer;
    apr_array_header_t *rows;
    ck_assert_int_ne(rig_get(&rig, 1, &answer, NULL), APR_SUCCESS);
    ck_assert_int_ne(rig_put(&rig, 1, 1, 330, 1000), APR_SUCCESS);
    ck_assert_int_ne(rig_body_put(&rig, 1, 3000, NULL), APR_SUCCESS);
    ck_assert_int_ne(rig_body_get(&rig, 1, 3000, &answer), APR_SUCCESS);
    ck_assert_int_ne(etg_local_provider.counters(rig.store, rig.p, &rows),
                     APR_SUCCESS);
}

START_TEST(a_folder_that_cannot_be_made_is_a_store_that_is_down)
{
    rig_init(&rig, &etg_local_provider, QUERY);
    rig_remove_tree(rig.dir);
    int fd = open(rig.dir, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_ne(rig_start(&rig), APR_SUCCESS);
    ck_assert_msg(rig_logged(&rig, "without this store"), "%s", rig.log);
    check_down();
    rig_end(&rig);
}
END_TEST

/* Root may write everywhere, so a process of its own gives that up. */
START_TEST(a_folder_that_cannot_be_written_is_a_store_that_is_down)
{
    int status;
    rig_init(&rig, &etg_local_provider, QUERY);
    chmod(rig.dir, 0500);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setuid(65534) != 0) {
            _exit(1);
        }
        ck_assert_int_ne(rig_start(&rig), APR_SUCCESS);
        ck_assert_msg(rig_logged(&rig, "without this store"), "%s", rig.log);
        check_down();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(as_root_the_folder_is_given_to_the_children)
{
    char path[600];
    struct stat info;
    if (geteuid() != 0) {
        return;
    }
    rig_init(&rig, &etg_local_provider, QUERY);
    chmod(rig.dir, 0755);
    rig.env.owner = 65534;
    rig.env.group = 65534;
    ck_assert_int_eq(etg_local_provider.prepare(rig.store, rig.pconf),
                     APR_SUCCESS);
    snprintf(path, sizeof(path), "%s/store-1/data.mdb", rig.dir);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_uid, 65534);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(rig.dir, &info), 0);
    ck_assert_uint_eq(info.st_uid, 65534);
    rig_end(&rig);
}
END_TEST

static int mount_small(const char *dir)
{
    return unshare(CLONE_NEWNS) == 0
        && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
        && mount("tmpfs", dir, "tmpfs", 0, "size=6m,mode=0700") == 0;
}

/* Only where a small file system can be mounted: as root. */
START_TEST(a_full_disk_costs_writes_only)
{
    unsigned int there = 0;
    rig_init(&rig, &etg_local_provider, "?size=64M");
    if (!mount_small(rig.dir)) {
        rig_end(&rig);
        return;
    }
    rig_open(&rig);
    for (unsigned int n = 0; n < 6000; n++) {
        apr_size_t length = n % 30 == 0 ? 100000 : 3000;
        rig_body_put(&rig, n, length, NULL);
        rig_put(&rig, n, 0, 330, n % 20 == 0 ? 10000000 : 0);
        etg_store_answer answer = ETG_STORE_MISS;
        ck_assert_int_eq(rig_get(&rig, n / 2, &answer, NULL), APR_SUCCESS);
        ck_assert_int_eq(rig_body_get(&rig, n, length, &answer),
                         APR_SUCCESS);
    }
    for (unsigned int n = 0; n < 6000; n++) {
        there += (unsigned int)rig_body_has(&rig, n, n % 30 == 0 ? 100000
                                                                 : 3000);
    }
    ck_assert_uint_gt(there, 20);
    ck_assert_msg(rig_logged(&rig, "served but not stored"), "%s", rig.log);
    rig_close(&rig);
    ck_assert_int_eq(umount(rig.dir), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(a_disk_too_full_to_begin_is_a_store_that_is_down)
{
    char path[600];
    rig_init(&rig, &etg_local_provider, "?size=64M");
    if (!mount_small(rig.dir)) {
        rig_end(&rig);
        return;
    }
    snprintf(path, sizeof(path), "%s/filler", rig.dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(posix_fallocate(fd, 0, (6 << 20) - 16384), 0);
    close(fd);
    ck_assert_int_ne(rig_start(&rig), APR_SUCCESS);
    ck_assert_msg(rig_logged(&rig, "without"), "%s", rig.log);
    check_down();
    rig_close(&rig);
    unlink(path);
    rig_reopen(&rig);
    ck_assert_int_eq(rig_body_put(&rig, 1, 3000, NULL), APR_SUCCESS);
    rig_settle(&rig);
    ck_assert(rig_body_has(&rig, 1, 3000));
    rig_close(&rig);
    umount(rig.dir);
    rig_end(&rig);
}
END_TEST

static int holder_run(const char *with_reader)
{
    store_rig mine;
    MDB_txn *txn;
    rig_beside(&mine, &rig, QUERY);
    rig_open(&mine);
    mdb_txn_begin(mine.store->env, NULL, atoi(with_reader) ? MDB_RDONLY : 0,
                  &txn);
    raise(SIGSTOP);
    return 0;
}

static int arriving_run(const char *unused)
{
    store_rig mine;
    etg_entity_writer *writer;
    (void)unused;
    rig_beside(&mine, &rig, QUERY);
    rig_open(&mine);
    etg_local_provider.entity_begin(mine.store, 1 << 20, mine.p, &writer);
    etg_local_provider.entity_append(writer, rig_body(mine.p, 1, 1 << 19),
                                     1 << 19);
    (void)!write(STDOUT_FILENO, "x", 1);
    pause();
    return 0;
}

/* Opens, writes if it is to, and closes. */
static int visitor_run(const char *writes)
{
    store_rig mine;
    rig_beside(&mine, &rig, QUERY);
    rig_open(&mine);
    if (atoi(writes)) {
        rig_put(&mine, 5, 1, 330, 1000);
    }
    rig_close(&mine);
    return atoi(writes) && !rig_logged(&mine, "left as it is");
}

static const struct {
    const char *name;
    int (*run)(const char *argument);
} roles[] = {
    { "writer", writer_run }, { "holder", holder_run },
    { "arriving", arriving_run }, { "visitor", visitor_run }
};

static char **role_arguments;

START_TEST(role)
{
    for (unsigned int i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i].name, role_arguments[1]) == 0) {
            _exit(roles[i].run(role_arguments[3]));
        }
    }
}
END_TEST

/* As a test of its own, so that assertions work. */
static int role_play(char **argv)
{
    Suite *suite = suite_create("role");
    TCase *tcase = tcase_create("role");
    role_arguments = argv;
    rig.provider = &etg_local_provider;
    snprintf(rig.dir, sizeof(rig.dir), "%s", argv[2]);
    apr_initialize();
    tcase_add_test(tcase, role);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    return 3;                  /* it ends in the role */
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[0], "role") == 0) {
        return role_play(argv);
    }
    Suite *suite = suite_create("local_crash");
    TCase *tcase = tcase_create("crash");
    tcase_set_timeout(tcase, 240);
    tcase_add_test(tcase, writers_killed_at_any_moment_leave_no_wrong_byte);
    tcase_add_test(tcase, all_killed_at_once_is_survived_by_the_next_start);
    tcase_add_test(tcase, what_a_killed_child_had_reserved_comes_back);
    tcase_add_test(tcase,
                   a_stopped_child_with_the_write_lock_stops_writes_only);
    tcase_add_test(tcase, a_child_ends_although_another_holds_the_write_lock);
    tcase_add_test(tcase, a_stopped_reader_costs_writes_at_most);
    tcase_add_test(tcase, more_readers_than_slots_is_a_failure_not_a_miss);
    tcase_add_test(tcase,
                   a_folder_that_cannot_be_made_is_a_store_that_is_down);
    tcase_add_test(tcase,
                   a_folder_that_cannot_be_written_is_a_store_that_is_down);
    tcase_add_test(tcase, as_root_the_folder_is_given_to_the_children);
    tcase_add_test(tcase, a_full_disk_costs_writes_only);
    tcase_add_test(tcase, a_disk_too_full_to_begin_is_a_store_that_is_down);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
