/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_uri.c: reads "local:[dir][?size=256M]" and divides the size.
 *
 * A fifth goes to LMDB (metadata and the index take about 600 bytes an entry,
 * and a fifth of the map stays empty, see local_evict.c), the rest, less the
 * control and lock files, to bodies.
 * Segments and large files share it and take it from each other by age.
 * Runs at configuration time and touches no file.
 */
#include "local_store.h"

#include <apr_file_info.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_DEFAULT (256ull << 20)
#define SIZE_MIN (8ull << 20)
#define SIZE_MAX_ (512ull << 30)
#define LOCK_FILE_BYTES 0x81000
#define SEGMENTS_WANTED 192
#define SEGMENT_MIN (256u << 10)
#define SEGMENT_MAX (8u << 20)
#define MARKS_MAX (16u << 20)

static int size_parse(const char *text, apr_size_t length, uint64_t *size);
static const char *dir_resolve(const char *uri, const char *dir,
                               const etg_store_env *host, apr_pool_t *p,
                               const char **resolved);
static uint32_t power_of_two_below(uint64_t n);

const char *etg_local_uri_parse(const char *uri, const etg_store_env *host,
                                apr_pool_t *p, const char **dir,
                                uint64_t *size)
{
    if (strncmp(uri, "local:", 6) != 0) {
        return apr_psprintf(p, "\"%s\" does not begin with local:", uri);
    }
    const char *path = uri + 6;
    const char *query = strchr(path, '?');
    uint64_t bytes = SIZE_DEFAULT;
    if (query != NULL) {
        if (strncmp(query, "?size=", 6) != 0) {
            return apr_psprintf(p, "\"%s\": \"%s\" is not known; only "
                                "?size= may follow the folder", uri, query);
        }
        const char *text = query + 6;
        if (!size_parse(text, strlen(text), &bytes)) {
            return apr_psprintf(p, "\"%s\": size \"%s\" is not a number with "
                                "K, M or G between 8M and 512G", uri, text);
        }
        path = apr_pstrmemdup(p, path, (apr_size_t)(query - path));
    }
    const char *problem = dir_resolve(uri, path, host, p, dir);
    if (problem == NULL) {
        *size = bytes;
    }
    return problem;
}

void etg_local_geometry_set(etg_local_geometry *geometry, uint64_t size)
{
    memset(geometry, 0, sizeof(*geometry));
    geometry->size = size;
    geometry->map_bytes = size / 5 / 65536 * 65536;
    uint32_t marks = power_of_two_below(size / 512);
    geometry->mark_count = marks < MARKS_MAX ? marks : MARKS_MAX;
    geometry->ghost_bytes = geometry->mark_count / 2;
    geometry->tag_slots = geometry->mark_count / 64;
    uint64_t tables = geometry->mark_count + geometry->ghost_bytes
                      + geometry->tag_slots * sizeof(uint64_t);

    uint64_t rest = size - geometry->map_bytes - LOCK_FILE_BYTES
                    - tables - sizeof(etg_local_control);
    uint32_t segment = power_of_two_below(rest / SEGMENTS_WANTED);
    segment = segment < SEGMENT_MIN ? SEGMENT_MIN : segment;
    segment = segment > SEGMENT_MAX ? SEGMENT_MAX : segment;
    geometry->segment_bytes = segment;
    geometry->segment_count = (uint32_t)(rest / segment);
    uint64_t head = sizeof(etg_local_control)
                    + geometry->segment_count * sizeof(etg_local_segment)
                    + tables;
    geometry->control_bytes = (head + 4095) / 4096 * 4096;
    geometry->body_bytes = size - geometry->map_bytes - LOCK_FILE_BYTES
                           - geometry->control_bytes;
    geometry->segment_count = (uint32_t)(geometry->body_bytes / segment);
}

static int size_parse(const char *text, apr_size_t length, uint64_t *size)
{
    if (length == 0 || length > 18 || !apr_isdigit(text[0])) {
        return 0;
    }
    char *end;
    errno = 0;
    uint64_t n = strtoull(text, &end, 10);
    unsigned int shift = 0;
    switch (apr_toupper(*end)) {
    case 'K': shift = 10; break;
    case 'M': shift = 20; break;
    case 'G': shift = 30; break;
    case '\0': break;
    default: return 0;
    }
    if (errno != 0 || (shift > 0 && end[1] != '\0') || n > SIZE_MAX_
        || n << shift < SIZE_MIN || n > SIZE_MAX_ >> shift) {
        return 0;
    }
    *size = n << shift;
    return 1;
}

static const char *dir_resolve(const char *uri, const char *dir,
                               const etg_store_env *host, apr_pool_t *p,
                               const char **resolved)
{
    char *path = NULL;
    if (dir[0] == '\0') {
        dir = host->default_dir;
    }
    apr_status_t rv = apr_filepath_merge(&path, host->server_root, dir, 0, p);
    if (rv != APR_SUCCESS || path == NULL || path[0] != '/') {
        return apr_psprintf(p, "\"%s\": \"%s\" is not a folder name", uri,
                            dir);
    }
    apr_size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        path[--length] = '\0';
    }
    if (length <= 1) {
        return apr_psprintf(p, "\"%s\": the folder may not be /", uri);
    }
    if (length > ETG_LOCAL_DIR_BYTES) {
        return apr_psprintf(p, "\"%s\": the folder name is longer than %d "
                            "bytes", uri, ETG_LOCAL_DIR_BYTES);
    }
    *resolved = path;
    return NULL;
}

static uint32_t power_of_two_below(uint64_t n)
{
    uint32_t power = 1;
    while (power < (1u << 31) && (uint64_t)power * 2 <= n) {
        power *= 2;
    }
    return power;
}
