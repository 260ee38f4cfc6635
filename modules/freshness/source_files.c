/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_files.c: names, sizes and times of the files that a pattern matches,
 * sorted by name, byte by byte.
 *
 * File systems take a file's time from a clock that ticks every few
 * milliseconds (some: every two seconds), so a file that has just changed may
 * change again without showing it: its time, and its size perhaps, stay. Such
 * a file is unknown until its time is old enough to be its own.
 *
 * A name that no longer leads to a file counts with its name alone.
 */
#include "freshness_source.h"

#include <apr_strings.h>

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/field_list.h"

#define NS_PER_SEC APR_INT64_C(1000000000)
#define TICK_NS (50 * APR_INT64_C(1000000))
#define COARSE_TICK_NS (2 * NS_PER_SEC)     /* of times without a fraction */

static const char *configure(const etg_source_settings *settings,
                             const etg_freshness_from *from, apr_pool_t *p,
                             etg_source *source);
static void *open_handle(const etg_source *source, apr_pool_t *p);
static etg_source_outcome look_up(void *handle, etg_source_look *look);
static void close_handle(void *handle);
static int by_bytes(const void *left, const void *right);
static etg_source_outcome files_add(const glob_t *found,
                                    etg_source_look *look);
static const char *file_add(const char *name, apr_int64_t now_ns,
                            etg_source_look *look);
static void text_add(etg_source_look *look, const char *text);

const etg_source_kind etg_source_files = {
    ETG_FROM_FILES, configure, open_handle, look_up, close_handle
};

static const char *configure(const etg_source_settings *settings,
                             const etg_freshness_from *from, apr_pool_t *p,
                             etg_source *source)
{
    unsigned *most = apr_palloc(p, sizeof(*most));

    if (from->text[0] != '/') {
        return "the pattern of files begins with \"/\"";
    }
    *most = settings->files_max > 0 ? settings->files_max
                                    : ETG_SOURCE_FILES_MAX;
    source->own = most;
    source->shared = "files";
    return NULL;
}

static void *open_handle(const etg_source *source, apr_pool_t *p)
{
    (void)source;
    return p;
}

static void close_handle(void *handle)
{
    (void)handle;
}

static etg_source_outcome look_up(void *handle, etg_source_look *look)
{
    const unsigned *most = look->source->own;
    etg_source_outcome outcome;
    glob_t found = { 0 };
    int failed = glob(look->source->text, GLOB_ERR | GLOB_NOSORT, NULL,
                      &found);

    (void)handle;
    if (failed != 0 && failed != GLOB_NOMATCH) {
        outcome = etg_source_unknown(look, failed == GLOB_NOSPACE
                                     ? "no memory for the files' names"
                                     : "a folder cannot be read");
    }
    else if (failed == 0 && found.gl_pathc > *most) {
        outcome = etg_source_unknown(look, "more than %u files", *most);
    }
    else {
        outcome = files_add(&found, look);
    }
    globfree(&found);
    return outcome;
}

static int by_bytes(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static etg_source_outcome files_add(const glob_t *found,
                                    etg_source_look *look)
{
    struct timespec now;
    apr_int64_t now_ns;

    if (found->gl_pathc > 0) {
        qsort(found->gl_pathv, found->gl_pathc, sizeof(char *), by_bytes);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    now_ns = (apr_int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec;
    for (apr_size_t i = 0; i < found->gl_pathc; i++) {
        const char *wrong = file_add(found->gl_pathv[i], now_ns, look);

        if (wrong != NULL) {
            return etg_source_unknown(look, "%s: %s", wrong,
                                      found->gl_pathv[i]);
        }
    }
    return ETG_SOURCE_READ;
}

/* `now_ns` was read before the file's time was, so a file that changes while
 * we look is one of those that have just changed. */
static const char *file_add(const char *name, apr_int64_t now_ns,
                            etg_source_look *look)
{
    char digits[32];
    struct stat file;
    int is_there = stat(name, &file) == 0;
    apr_int64_t changed_ns, tick_ns;

    if (!is_there && errno != ENOENT) {
        return "a file cannot be looked at";
    }
    etg_data_digest_begin_member(look->builder);
    text_add(look, name);
    if (is_there) {
        changed_ns = (apr_int64_t)file.st_mtim.tv_sec * NS_PER_SEC
                     + file.st_mtim.tv_nsec;
        tick_ns = file.st_mtim.tv_nsec == 0 ? COARSE_TICK_NS : TICK_NS;
        if (changed_ns > now_ns - tick_ns && changed_ns < now_ns + tick_ns) {
            return "a file has just changed";
        }
        apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT,
                     (apr_int64_t)file.st_size);
        text_add(look, digits);
        apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT, changed_ns);
        text_add(look, digits);
        apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT,
                     (apr_int64_t)file.st_mtim.tv_sec);
        etg_data_digest_add_time(look->builder, etg_bytes_of(digits));
    }
    etg_data_digest_end_member(look->builder);
    return NULL;
}

static void text_add(etg_source_look *look, const char *text)
{
    etg_data_digest_add_value(look->builder, etg_bytes_of(text));
}
