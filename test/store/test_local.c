/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_local.c: the embedded store in fair weather: the conformance list, the
 * URI, restarts, the size bound, sharing a folder.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"
#include "modules/store_local/local_store.h"
#include "store_rig.h"

static store_rig rig;

static const char *parse(const char *uri, const char **dir, uint64_t *size)
{
    static const etg_store_env env = {
        .default_dir = "/var/cache/x", .server_root = "/etc/apache2"
    };
    static apr_pool_t *p;
    if (p == NULL) {
        apr_initialize();
        apr_pool_create(&p, NULL);
    }
    return etg_local_uri_parse(uri, &env, p, dir, size);
}

static const struct {
    const char *uri;
    const char *dir;
    uint64_t size;
} good_uris[] = {
    { "local:", "/var/cache/x", 256ull << 20 },
    { "local:?size=8M", "/var/cache/x", 8ull << 20 },
    { "local:?size=8m", "/var/cache/x", 8ull << 20 },
    { "local:?size=512G", "/var/cache/x", 512ull << 30 },
    { "local:?size=8192K", "/var/cache/x", 8ull << 20 },
    { "local:?size=8388608", "/var/cache/x", 8ull << 20 },
    { "local:/srv/cache?size=2G", "/srv/cache", 2ull << 30 },
    { "local:/srv/cache//", "/srv/cache", 256ull << 20 },
    { "local:cache", "/etc/apache2/cache", 256ull << 20 },
    { "local:../cache", "/etc/cache", 256ull << 20 },
};

START_TEST(a_uri_names_folder_and_size)
{
    const char *dir = NULL;
    uint64_t size = 0;
    const char *problem = parse(good_uris[_i].uri, &dir, &size);
    ck_assert_msg(problem == NULL, "%s", problem);
    ck_assert_str_eq(dir, good_uris[_i].dir);
    ck_assert_uint_eq(size, good_uris[_i].size);
}
END_TEST

static const struct {
    const char *uri;
    const char *named;           /* must be in the sentence */
} bad_uris[] = {
    { "locale:", "local:" },
    { "local:?size=", "between 8M and 512G" },
    { "local:?size=7M", "\"7M\"" },
    { "local:?size=0", "between 8M and 512G" },
    { "local:?size=-9M", "\"-9M\"" },
    { "local:?size=513G", "\"513G\"" },
    { "local:?size=99999999999999999999", "between" },
    { "local:?size=18446744073709551615G", "between" },
    { "local:?size=10MB", "\"10MB\"" },
    { "local:?size=10T", "\"10T\"" },
    { "local:?size=ten", "\"ten\"" },
    { "local:?bytes=1G", "?size=" },
    { "local:/x?size=1G&y=1", "\"1G&y=1\"" },
    { "local:/", "may not be /" },
};

START_TEST(a_bad_uri_is_refused_with_the_part_that_is_wrong)
{
    const char *dir = NULL;
    uint64_t size = 0;
    const char *problem = parse(bad_uris[_i].uri, &dir, &size);
    ck_assert_msg(problem != NULL, "%s was taken", bad_uris[_i].uri);
    ck_assert_msg(strstr(problem, bad_uris[_i].named) != NULL, "%s",
                  problem);
    ck_assert_ptr_null(dir);
}
END_TEST

START_TEST(a_folder_name_that_is_too_long_is_refused)
{
    char uri[4096];
    const char *dir = NULL;
    uint64_t size = 0;
    memset(uri, 'a', sizeof(uri));
    memcpy(uri, "local:/", 7);
    uri[sizeof(uri) - 1] = '\0';
    ck_assert_ptr_nonnull(parse(uri, &dir, &size));
}
END_TEST

START_TEST(the_parts_of_every_size_fit_into_it)
{
    for (uint64_t size = 8ull << 20; size <= 512ull << 30;
         size += size / 7 + 4097) {
        etg_local_geometry geometry;
        etg_local_geometry_set(&geometry, size);
        uint64_t segments = (uint64_t)geometry.segment_count
                            * geometry.segment_bytes;
        ck_assert_uint_le(geometry.map_bytes + geometry.control_bytes
                          + geometry.body_bytes, size);
        ck_assert_uint_le(segments, geometry.body_bytes);
        ck_assert_uint_ge(geometry.segment_count, 8);
        ck_assert_uint_lt(geometry.segment_count, 0xff00);
        ck_assert_uint_ge(geometry.segment_bytes,
                          2 * ETG_LOCAL_PACKED_BYTES);
        ck_assert_uint_ge(geometry.map_bytes, size / 6);
    }
}
END_TEST

START_TEST(one_folder_configured_twice_is_one_store)
{
    etg_store *second = NULL;
    char uri[600];
    rig_init(&rig, &etg_local_provider, "?size=8M");
    snprintf(uri, sizeof(uri), "local:%s/?size=8M", rig.dir);
    ck_assert_ptr_null(etg_local_provider.configure(&second, uri, &rig.env,
                                                    rig.pconf));
    ck_assert_ptr_eq(second, rig.store);
    snprintf(uri, sizeof(uri), "local:%s?size=9M", rig.dir);
    const char *problem = etg_local_provider.configure(&second, uri,
                                                       &rig.env, rig.pconf);
    ck_assert_ptr_nonnull(problem);
    ck_assert_ptr_nonnull(strstr(problem, "another size"));
    rig_end(&rig);
}
END_TEST

START_TEST(a_folder_reached_by_two_names_is_refused_once)
{
    etg_store *second = NULL;
    char uri[600], link[300];
    rig_init(&rig, &etg_local_provider, "?size=8M");
    snprintf(link, sizeof(link), "%s.link", rig.dir);
    ck_assert_int_eq(symlink(rig.dir, link), 0);
    snprintf(uri, sizeof(uri), "local:%s?size=8M", link);
    ck_assert_ptr_null(etg_local_provider.configure(&second, uri, &rig.env,
                                                    rig.pconf));
    rig_open(&rig);
    ck_assert_int_ne(etg_local_provider.prepare(second, rig.pconf),
                     APR_SUCCESS);
    ck_assert_int_ne(etg_local_provider.open(second, rig.pchild),
                     APR_SUCCESS);
    ck_assert(rig_logged(&rig, "the same folder"));
    unlink(link);
    rig_end(&rig);
}
END_TEST

static void fill_some(void)
{
    for (unsigned int n = 0; n < 50; n++) {
        ck_assert_int_eq(rig_put(&rig, n, n, 330, 0), APR_TIMEUP);
        ck_assert_int_eq(rig_body_put(&rig, n, 3000 + n, NULL), APR_SUCCESS);
    }
    ck_assert_int_eq(rig_body_put(&rig, 99, 300000, NULL), APR_SUCCESS);
    rig_settle(&rig);
}

static void check_some(void)
{
    for (unsigned int n = 0; n < 50; n++) {
        ck_assert(rig_has(&rig, n));
        ck_assert(rig_body_has(&rig, n, 3000 + n));
    }
    ck_assert(rig_body_has(&rig, 99, 300000));
}

START_TEST(after_a_restart_all_is_still_there)
{
    rig_init(&rig, &etg_local_provider, "?size=16M");
    rig_open(&rig);
    fill_some();
    for (int i = 0; i < 3; i++) {
        rig_reopen(&rig);
        check_some();
    }
    ck_assert(!rig_logged(&rig, "damaged"));
    rig_end(&rig);
}
END_TEST

START_TEST(opening_twice_in_one_process_is_opening_once)
{
    rig_init(&rig, &etg_local_provider, "?size=16M");
    rig_open(&rig);
    ck_assert_int_eq(etg_local_provider.open(rig.store, rig.pchild),
                     APR_SUCCESS);
    fill_some();
    check_some();
    rig_end(&rig);
}
END_TEST

START_TEST(another_size_starts_empty_and_leaves_the_old_to_its_users)
{
    store_rig larger;
    char path[300];
    rig_init(&rig, &etg_local_provider, "?size=16M");
    rig_open(&rig);
    fill_some();
    rig_beside(&larger, &rig, "?size=20M");
    rig_open(&larger);
    ck_assert(rig_logged(&larger, "its size differs"));
    ck_assert(!rig_has(&larger, 1));
    check_some();
    rig_close(&rig);
    rig_reopen(&larger);
    snprintf(path, sizeof(path), "%s/store-1", rig.dir);
    ck_assert_int_ne(access(path, F_OK), 0);
    rig_close(&larger);
    rig_end(&rig);
}
END_TEST

static uint64_t on_disk;

static int disk_add(const char *path, const struct stat *info, int type,
                    struct FTW *where)
{
    (void)path;
    (void)type;
    (void)where;
    on_disk += (uint64_t)info->st_blocks * 512;
    return 0;
}

START_TEST(a_full_store_evicts_and_keeps_its_bound)
{
    static const apr_size_t lengths[] = { 500, 3000, 20000, 65536, 150000 };
    uint64_t bound = 8ull << 20;
    unsigned int there = 0;
    rig_init(&rig, &etg_local_provider, "?size=8M");
    rig_open(&rig);
    for (unsigned int n = 0; n < 4000; n++) {
        apr_size_t length = lengths[n % 5];
        apr_status_t rv = rig_body_put(&rig, n, length, NULL);
        ck_assert_msg(rv == APR_SUCCESS, "body %u: %d", n, rv);
        rv = rig_put(&rig, n, 0, 330, apr_time_from_sec(10));
        ck_assert_int_eq(rv, APR_SUCCESS);
        ck_assert(rig_body_has(&rig, n, length));
        if (n % 100 == 0) {
            on_disk = 0;
            nftw(rig.dir, disk_add, 16, FTW_PHYS);
            ck_assert_uint_le(on_disk, bound);
        }
    }
    ck_assert_uint_gt(rig_counter(&rig, "evicted_bodies"), 100);
    ck_assert_uint_gt(rig_counter(&rig, "evicted_records"), 100);
    ck_assert_uint_gt(rig_counter(&rig, "evicted_files"), 100);
    ck_assert_uint_eq(rig_counter(&rig, "dropped_writes"), 0);
    for (unsigned int n = 0; n < 4000; n++) {
        there += (unsigned int)rig_body_has(&rig, n, lengths[n % 5]);
    }
    ck_assert_uint_gt(there, 40);
    rig_end(&rig);
}
END_TEST

START_TEST(what_is_asked_for_outlives_what_is_not)
{
    rig_init(&rig, &etg_local_provider, "?size=8M");
    rig_open(&rig);
    for (unsigned int n = 0; n < 20; n++) {
        rig_body_put(&rig, n, 3000, NULL);
        rig_put(&rig, n, 0, 330, 0);
    }
    rig_settle(&rig);
    for (unsigned int n = 100; n < 12000; n++) {
        rig_body_put(&rig, n, 3000, NULL);
        rig_put(&rig, n, 0, 330, apr_time_from_sec(10));
        for (unsigned int hot = 0; n % 50 == 0 && hot < 20; hot++) {
            ck_assert_msg(rig_has(&rig, hot), "record %u at %u", hot, n);
            ck_assert_msg(rig_body_has(&rig, hot, 3000), "body %u at %u",
                          hot, n);
        }
    }
    ck_assert(!rig_body_has(&rig, 101, 3000));
    rig_end(&rig);
}
END_TEST

START_TEST(a_body_larger_than_half_the_room_is_refused)
{
    etg_entity_writer *writer;
    rig_init(&rig, &etg_local_provider, "?size=8M");
    rig_open(&rig);
    ck_assert_int_ne(etg_local_provider.entity_begin(rig.store, 7 << 20,
                                                     rig.p, &writer),
                     APR_SUCCESS);
    ck_assert_int_ne(rig_body_put(&rig, 1, 7 << 20, NULL), APR_SUCCESS);
    ck_assert_int_eq(rig_body_put(&rig, 2, 2 << 20, NULL), APR_SUCCESS);
    rig_settle(&rig);
    ck_assert(rig_body_has(&rig, 2, 2 << 20));
    ck_assert_uint_eq(rig_counter(&rig, "arriving_bytes"), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(large_bodies_take_the_room_of_small_ones)
{
    rig_init(&rig, &etg_local_provider, "?size=8M");
    rig_open(&rig);
    for (unsigned int n = 0; n < 3000; n++) {
        rig_body_put(&rig, n, 3000, NULL);
        if (n % 50 == 0) {
            rig_settle(&rig);
        }
    }
    for (unsigned int n = 0; n < 20; n++) {
        ck_assert_int_eq(rig_body_put(&rig, n, 1 << 20, NULL), APR_SUCCESS);
        rig_settle(&rig);
        ck_assert(rig_body_has(&rig, n, 1 << 20));
    }
    for (unsigned int n = 5000; n < 8000; n++) {
        ck_assert_int_eq(rig_body_put(&rig, n, 3000, NULL), APR_SUCCESS);
        rig_settle(&rig);
        ck_assert(rig_body_has(&rig, n, 3000));
    }
    rig_end(&rig);
}
END_TEST

static apr_status_t choose_variant(void *baton, etg_bytes primary,
                                   etg_store_key *next)
{
    (void)primary;
    *next = rig_key(*(unsigned int *)baton, 'v');
    return APR_SUCCESS;
}

static apr_status_t update_same(etg_store_write *write, etg_bytes old,
                                apr_pool_t *scratch, etg_bytes *fresh,
                                apr_time_t *expires_at)
{
    (void)old;
    (void)scratch;
    fresh->data = write->baton;
    fresh->length = 40;
    *expires_at = apr_time_from_sec(4000000000ll);
    return APR_SUCCESS;
}

/* The last response shares its primary's row, the others have their own. */
START_TEST(every_variant_of_a_key_is_kept)
{
    rig_init(&rig, &etg_local_provider, "?size=8M");
    rig_open(&rig);
    for (unsigned int i = 0; i < 60; i++) {
        unsigned int variant = i * 7 % 12;
        apr_allocator_t *allocator;
        apr_pool_t *pool;
        apr_allocator_create(&allocator);
        apr_pool_create_ex(&pool, NULL, NULL, allocator);
        apr_allocator_owner_set(allocator, pool);
        etg_store_write *write = apr_pcalloc(pool, sizeof(*write));
        write->pool = pool;
        write->primary_key = rig_key(1, 'p');
        write->response_key = rig_key(variant, 'v');
        write->update = update_same;
        write->baton = apr_pcalloc(pool, 40);
        write->response.data = (unsigned char *)apr_psprintf(
            pool, "%u of %0*u", variant, (int)(i % 5) * 30, i);
        write->response.length = strlen((char *)write->response.data) + 1;
        write->response_expires_at = apr_time_from_sec(4000000000ll);
        write->moment = rig_moment(&rig, 1);
        ck_assert_int_eq(etg_local_provider.meta_write(
                             rig.store, write, apr_time_from_sec(10)),
                         APR_SUCCESS);
    }
    for (unsigned int variant = 0; variant < 12; variant++) {
        etg_store_key key = rig_key(1, 'p');
        etg_store_found found = { .answer = ETG_STORE_MISS };
        ck_assert_int_eq(etg_local_provider.meta_lookup(
                             rig.store, &key, choose_variant, &variant,
                             ETG_STORE_NEAREST, rig.p, &found), APR_SUCCESS);
        ck_assert_int_eq(found.answer, ETG_STORE_HIT);
        ck_assert_int_eq(atoi((const char *)found.response.data), (int)variant);
    }
    ck_assert_uint_eq(rig_counter(&rig, "records"), 12);
    rig_end(&rig);
}
END_TEST

static int other_has_written(void *baton)
{
    return rig_has(&rig, 77) && rig_body_has(&rig, 77, *(apr_size_t *)baton);
}

START_TEST(two_processes_share_a_folder)
{
    apr_size_t length = 5000;
    int status, filled[2];
    char byte;
    rig_init(&rig, &etg_local_provider, "?size=16M");
    ck_assert_int_eq(pipe(filled), 0);
    pid_t pid = fork();        /* before there are threads */
    if (pid == 0) {
        store_rig other;
        ck_assert_int_eq(read(filled[0], &byte, 1), 1);
        rig_beside(&other, &rig, "?size=16M");
        rig_open(&other);
        int sees = rig_has(&other, 3) && rig_body_has(&other, 3, 3003);
        rig_body_put(&other, 77, length, NULL);
        rig_put(&other, 77, 0, 330, 0);
        rig_settle(&other);
        rig_close(&other);
        _exit(sees ? 0 : 1);
    }
    rig_open(&rig);
    fill_some();
    ck_assert_int_eq(write(filled[1], "x", 1), 1);
    ck_assert(rig_poll(other_has_written, &length));
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_some();
    rig_end(&rig);
}
END_TEST

static Suite *local_suite(void)
{
    Suite *suite = suite_create("local");
    TCase *tcase = tcase_create("fair weather");
    tcase_set_timeout(tcase, 240);
    tcase_add_loop_test(tcase, a_uri_names_folder_and_size, 0,
                        sizeof(good_uris) / sizeof(good_uris[0]));
    tcase_add_loop_test(tcase,
                        a_bad_uri_is_refused_with_the_part_that_is_wrong, 0,
                        sizeof(bad_uris) / sizeof(bad_uris[0]));
    tcase_add_test(tcase, a_folder_name_that_is_too_long_is_refused);
    tcase_add_test(tcase, the_parts_of_every_size_fit_into_it);
    tcase_add_test(tcase, one_folder_configured_twice_is_one_store);
    tcase_add_test(tcase, a_folder_reached_by_two_names_is_refused_once);
    tcase_add_test(tcase, after_a_restart_all_is_still_there);
    tcase_add_test(tcase, opening_twice_in_one_process_is_opening_once);
    tcase_add_test(tcase,
                   another_size_starts_empty_and_leaves_the_old_to_its_users);
    tcase_add_test(tcase, a_full_store_evicts_and_keeps_its_bound);
    tcase_add_test(tcase, what_is_asked_for_outlives_what_is_not);
    tcase_add_test(tcase, a_body_larger_than_half_the_room_is_refused);
    tcase_add_test(tcase, large_bodies_take_the_room_of_small_ones);
    tcase_add_test(tcase, every_variant_of_a_key_is_kept);
    tcase_add_test(tcase, two_processes_share_a_folder);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    static const conformance_subject subject = {
        .provider = &etg_local_provider, .query = "?size=32M",
        .is_persistent = 1
    };
    SRunner *runner = srunner_create(conformance_suite(&subject));
    srunner_add_suite(runner, local_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
