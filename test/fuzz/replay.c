/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c: runs a fuzz target on the files of its corpus, for `make check`.
 *
 * Without arguments the corpus is $srcdir/test/fuzz/corpus/<program name>;
 * arguments are folders to use instead. A missing or empty folder is a
 * failure. Every input gets a block of just its size, so that a sanitizer
 * build sees reads beyond it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_file_info.h>
#include <apr_file_io.h>

#include "test/fuzz/fuzz.h"

static void replay_file(const char *path, apr_size_t size, apr_pool_t *p)
{
    unsigned char *data = malloc(size > 0 ? size : 1);
    apr_file_t *file;

    FUZZ_CHECK(data != NULL);
    FUZZ_CHECK(apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY,
                             APR_FPROT_OS_DEFAULT, p) == APR_SUCCESS);
    FUZZ_CHECK(apr_file_read_full(file, data, size, NULL) == APR_SUCCESS);
    apr_file_close(file);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

/* How many files the folder held. */
static unsigned replay_folder(const char *folder, apr_pool_t *p)
{
    apr_dir_t *dir;
    apr_finfo_t entry;
    unsigned count = 0;

    if (apr_dir_open(&dir, folder, p) != APR_SUCCESS) {
        return 0;
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        const char *path = apr_pstrcat(p, folder, "/", entry.name, NULL);
        apr_finfo_t info;

        FUZZ_CHECK(apr_stat(&info, path, APR_FINFO_TYPE | APR_FINFO_SIZE, p)
                   == APR_SUCCESS);
        if (info.filetype == APR_REG) {
            replay_file(path, (apr_size_t)info.size, p);
            count++;
        }
    }
    apr_dir_close(dir);
    return count;
}

int main(int argc, char **argv)
{
    apr_pool_t *pool = fuzz_pool();
    const char *top = getenv("srcdir");
    const char *name = strrchr(argv[0], '/');
    const char *corpus = apr_pstrcat(pool, top != NULL ? top : ".",
                                     "/test/fuzz/corpus/",
                                     name != NULL ? name + 1 : argv[0], NULL);
    unsigned empty = 0;
    int i;

    for (i = 1; i < argc || i == 1; i++) {
        const char *folder = i < argc ? argv[i] : corpus;

        if (replay_folder(folder, pool) == 0) {
            fprintf(stderr, "%s: no inputs\n", folder);
            empty++;
        }
    }
    apr_pool_destroy(pool);
    return empty > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
