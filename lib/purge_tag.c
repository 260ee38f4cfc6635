/* SPDX-License-Identifier: Apache-2.0 */
/*
 * purge_tag.c: words and groups to hashes.
 *
 * A tag is the XXH3-64 of its name, seeded with its kind and with the hash of
 * its origin. Stores keep these numbers: changing how they are made purges
 * nothing that is stored already, so it must come with a new record version.
 */
#include "lib/purge_tag.h"

#include <string.h>

#include <xxhash.h>

#include "lib/field_list.h"
#include "lib/structured_field.h"

#define HOST_PART 256

/* Seeds of the kinds; any three odd numbers. */
#define KIND_TAG        APR_UINT64_C(0x9e3779b97f4a7c15)
#define KIND_GROUP      APR_UINT64_C(0xc2b2ae3d27d4eb4f)
#define KIND_OVERTAGGED APR_UINT64_C(0x165667b19e3779f9)

static apr_uint64_t hash_lower(const char *text, apr_uint64_t seed);
static int is_separator(unsigned char byte);
static void add(etg_purge_tags *set, apr_uint64_t kind, const void *name,
                apr_size_t length);

void etg_purge_tags_init(etg_purge_tags *set, const char *scheme,
                         const char *host)
{
    memset(set, 0, sizeof(*set));
    set->origin = hash_lower(host, XXH3_64bits(scheme, strlen(scheme)));
}

/* Of `text` in lower case, a part after the other. */
static apr_uint64_t hash_lower(const char *text, apr_uint64_t seed)
{
    char part[HOST_PART];
    apr_size_t length;

    do {
        for (length = 0; length < HOST_PART && text[length] != '\0';
             length++) {
            part[length] = etg_lower((unsigned char)text[length]);
        }
        seed = XXH3_64bits_withSeed(part, length, seed);
        text += length;
    } while (length == HOST_PART);
    return seed;
}

void etg_purge_tags_add(etg_purge_tags *set, etg_bytes value)
{
    apr_size_t at = 0;

    while (at < value.length) {
        apr_size_t start = at;

        while (at < value.length && !is_separator(value.data[at])) {
            at++;
        }
        if (at > start) {
            add(set, KIND_TAG, value.data + start, at - start);
        }
        at++;
    }
}

static int is_separator(unsigned char byte)
{
    return byte == ' ' || byte == '\t' || byte == ',';
}

apr_status_t etg_purge_tags_add_groups(etg_purge_tags *set, etg_bytes value,
                                       apr_pool_t *p)
{
    apr_array_header_t *members;

    if (etg_sf_list(value, p, &members) != APR_SUCCESS) {
        return APR_EINVAL;
    }
    for (int i = 0; i < members->nelts; i++) {
        if (APR_ARRAY_IDX(members, i, etg_sf_member).type != ETG_SF_STRING) {
            return APR_EINVAL;
        }
    }
    for (int i = 0; i < members->nelts; i++) {
        const char *name = APR_ARRAY_IDX(members, i, etg_sf_member).text;

        add(set, KIND_GROUP, name, strlen(name));
    }
    return APR_SUCCESS;
}

static void add(etg_purge_tags *set, apr_uint64_t kind, const void *name,
                apr_size_t length)
{
    etg_store_tag tag;

    if (length > ETG_PURGE_TAG_BYTES_MAX) {
        set->excess++;
        return;
    }
    tag = XXH3_64bits_withSeed(name, length, set->origin ^ kind);
    for (unsigned i = 0; i < set->count; i++) {
        if (set->tags[i] == tag) {
            return;
        }
    }
    if (set->count == ETG_STORE_TAGS_MAX) {
        set->excess++;
        return;
    }
    set->tags[set->count++] = tag;
}

etg_store_tag etg_purge_tag_of_overtagged(const etg_purge_tags *set)
{
    return XXH3_64bits_withSeed("", 0, set->origin ^ KIND_OVERTAGGED);
}

void etg_purge_tags_settle(etg_purge_tags *set)
{
    if (set->excess > 0) {
        set->tags[0] = etg_purge_tag_of_overtagged(set);
        set->count = 1;
    }
}
