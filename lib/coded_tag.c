/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coded_tag.c: puts our suffix on a tag, finds it again and takes it off.
 *
 * A suffix is known by its exact form, for what the tag is: a strong tag of a
 * gzip-coded form carries 16 digits. One that was weakened on the way (proxies
 * that code again do so) still counts as ours, with its digits.
 */
#include "lib/coded_tag.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/entity_digest.h"
#include "lib/content_coding.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"

#define TAG_BYTES_MAX 1024

#define GZIP_SUFFIX ";etg-gzip"
#define PLAIN_SUFFIX ";etg-plain"
#define DEFLATE_SUFFIX "-gzip"    /* mod_deflate's */
#define DIGEST_BYTES 8

static const char *tag_text(int weak, etg_bytes opaque, const char *suffix,
                            apr_pool_t *p);
static int ends_with(etg_bytes text, const char *end);
static etg_bytes shortened(etg_bytes text, apr_size_t by);
static int take_suffix_off(etg_entity_tag *tag);
static void take_suffixes_off(etg_entity_tag *tag);
static etg_bytes without_digits(etg_bytes opaque);
static int same_base(const etg_entity_tag *member, etg_bytes base);
static const char *find_match(etg_bytes list, const char *etag,
                              apr_pool_t *p);
static const char *opaque(const char *tag);
static const char *map_list_back(const char *list, apr_pool_t *p);
static int list_has_ours(const char *list);

const char *etg_coded_tag(const char *tag, etg_coding coding,
                          const etg_entity_id *entity, apr_pool_t *p)
{
    char suffix[sizeof(GZIP_SUFFIX "-") + 2 * DIGEST_BYTES] = PLAIN_SUFFIX;
    etg_entity_tag parsed;
    const char *made;

    if (tag == NULL || !etg_entity_tag_parse(etg_bytes_of(tag), &parsed)) {
        return NULL;
    }
    if (coding == ETG_CODING_GZIP) {
        strcpy(suffix, GZIP_SUFFIX);
        if (!parsed.weak) {
            strcat(suffix, "-");
            etg_hex(suffix + strlen(suffix), entity->bytes, DIGEST_BYTES);
        }
    }
    made = tag_text(parsed.weak, parsed.opaque, suffix, p);
    return strlen(made) <= TAG_BYTES_MAX ? made : NULL;
}

int etg_coded_tag_strip(etg_bytes tag, apr_pool_t *p, const char **own)
{
    etg_entity_tag parsed;

    if (!etg_entity_tag_parse(tag, &parsed) || !take_suffix_off(&parsed)) {
        return 0;
    }
    *own = tag_text(parsed.weak, parsed.opaque, "", p);
    return 1;
}

const char *etg_coded_tag_plain(const char *tag, apr_pool_t *p)
{
    const char *own;
    etg_entity_tag parsed;

    if (etg_coded_tag_strip(etg_bytes_of(tag), p, &own)) {
        return own;
    }
    if (!etg_entity_tag_parse(etg_bytes_of(tag), &parsed)
        || !ends_with(parsed.opaque, DEFLATE_SUFFIX)) {
        return tag;
    }
    return tag_text(parsed.weak, shortened(parsed.opaque,
                                           strlen(DEFLATE_SUFFIX)), "", p);
}

etg_precondition etg_coded_precondition_decide(
    const apr_table_t *request_fields, int status, const char *etag,
    const char *last_modified, apr_time_t now, apr_pool_t *p,
    const char **matched)
{
    etg_precondition decision
        = etg_precondition_decide(request_fields, status, etag, last_modified,
                                  now, p);
    const char *list;
    const char *found;

    *matched = NULL;
    if (etag == NULL || status < 200 || status > 299
        || decision == ETG_PRECONDITION_FAILED) {
        return decision;
    }
    list = etg_field_combined(request_fields, "If-None-Match", p);
    if (list == NULL) {
        return decision;
    }
    found = find_match(etg_bytes_of(list), etag, p);
    if (found != NULL) {
        *matched = strcmp(opaque(found), opaque(etag)) != 0 ? found : NULL;
        return ETG_PRECONDITION_NOT_MODIFIED;
    }
    return decision;
}

/* A tag held weakly that is ours otherwise is answered as any server does. */
static const char *opaque(const char *tag)
{
    return strncmp(tag, "W/", 2) == 0 ? tag + 2 : tag;
}

apr_table_t *etg_coded_tags_map_back(const apr_table_t *request_fields,
                                     apr_pool_t *p)
{
    static const char *const lists[] = { "If-Match", "If-None-Match" };
    apr_table_t *fields = NULL;

    for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const char *list = etg_field_combined(request_fields, lists[i], p);

        if (list_has_ours(list)) {
            if (fields == NULL) {
                fields = apr_table_copy(p, request_fields);
            }
            apr_table_setn(fields, lists[i], map_list_back(list, p));
        }
    }
    if (list_has_ours(etg_field_combined(request_fields, "If-Range", p))) {
        if (fields == NULL) {
            fields = apr_table_copy(p, request_fields);
        }
        apr_table_unset(fields, "If-Range");
        apr_table_unset(fields, "Range");
    }
    return fields;
}

int etg_coded_part_is_possible(const apr_table_t *request_fields,
                               apr_pool_t *p)
{
    const char *condition = apr_table_get(request_fields, "If-Range");

    return condition != NULL && strchr(condition, '"') == NULL
        && etg_gzip_is_wanted(etg_field_combined(request_fields,
                                                 "Accept-Encoding", p));
}

static const char *tag_text(int weak, etg_bytes opaque, const char *suffix,
                            apr_pool_t *p)
{
    return apr_pstrcat(p, weak ? "W/\"" : "\"",
                       apr_pstrmemdup(p, (const char *)opaque.data,
                                      opaque.length), suffix, "\"", NULL);
}

static int ends_with(etg_bytes text, const char *end)
{
    apr_size_t length = strlen(end);

    return text.length >= length
           && memcmp(text.data + text.length - length, end, length) == 0;
}

static etg_bytes shortened(etg_bytes text, apr_size_t by)
{
    text.length -= by;
    return text;
}

/* 1: there was a suffix of ours, and tag->opaque ends before it. */
static int take_suffix_off(etg_entity_tag *tag)
{
    etg_bytes digitless = without_digits(tag->opaque);

    if (ends_with(tag->opaque, PLAIN_SUFFIX)) {
        tag->opaque = shortened(tag->opaque, strlen(PLAIN_SUFFIX));
    }
    else if (ends_with(digitless, GZIP_SUFFIX)
             && (tag->weak || digitless.length < tag->opaque.length)) {
        tag->opaque = shortened(digitless, strlen(GZIP_SUFFIX));
    }
    else {
        return 0;
    }
    return 1;
}

/* Caches may stand one behind the other. */
static void take_suffixes_off(etg_entity_tag *tag)
{
    while (take_suffix_off(tag)) {
    }
}

/* Without "-" and 16 digits at the end; as it is, if they are not there. */
static etg_bytes without_digits(etg_bytes opaque)
{
    apr_size_t length = 1 + 2 * DIGEST_BYTES;
    const unsigned char *at;

    if (opaque.length < length) {
        return opaque;
    }
    at = opaque.data + opaque.length - length;
    if (*at++ != '-') {
        return opaque;
    }
    for (; at < opaque.data + opaque.length; at++) {
        if ((*at < '0' || *at > '9') && (*at < 'a' || *at > 'f')) {
            return opaque;
        }
    }
    return shortened(opaque, length);
}

/* Is the member, ours or not, of the tag whose opaque part is `base`? */
static int same_base(const etg_entity_tag *member, etg_bytes base)
{
    static const char *const suffixes[] = { "", DEFLATE_SUFFIX, "-br" };

    for (unsigned i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        etg_entity_tag own = *member;

        if (!ends_with(own.opaque, suffixes[i])) {
            continue;
        }
        own.opaque = shortened(own.opaque, strlen(suffixes[i]));
        take_suffixes_off(&own);
        if (own.opaque.length == base.length
            && (base.length == 0
                || memcmp(own.opaque.data, base.data, base.length) == 0)) {
            return 1;
        }
    }
    return 0;
}

/* The member of the list that says the same as `etag`, in `p`: the very same
 * tag if it is there, else the first; NULL: none. */
static const char *find_match(etg_bytes list, const char *etag, apr_pool_t *p)
{
    etg_entity_tag wanted;
    etg_entity_tag member;
    const char *found = NULL;

    if (!etg_entity_tag_parse(etg_bytes_of(etag), &wanted)) {
        return NULL;
    }
    take_suffixes_off(&wanted);
    while (etg_entity_tag_next(&list, &member) == 1) {
        if (same_base(&member, wanted.opaque)) {
            const char *text = tag_text(member.weak, member.opaque, "", p);

            if (strcmp(text, etag) == 0) {
                return text;
            }
            found = found != NULL ? found : text;
        }
    }
    return found;
}

/* What cannot be read, and all behind it, stays as it is. */
static const char *map_list_back(const char *list, apr_pool_t *p)
{
    apr_array_header_t *parts = apr_array_make(p, 8, sizeof(const char *));
    etg_bytes rest = etg_bytes_of(list);
    etg_entity_tag member;

    while (etg_entity_tag_next(&rest, &member) == 1) {
        take_suffix_off(&member);
        APR_ARRAY_PUSH(parts, const char *)
            = tag_text(member.weak, member.opaque, "", p);
    }
    if (rest.length > 0) {
        APR_ARRAY_PUSH(parts, const char *) = (const char *)rest.data;
    }
    return apr_array_pstrcat(p, parts, ',');
}

static int list_has_ours(const char *list)
{
    etg_bytes rest = etg_bytes_of(list);
    etg_entity_tag member;

    while (etg_entity_tag_next(&rest, &member) == 1) {
        if (take_suffix_off(&member)) {
            return 1;
        }
    }
    return 0;
}
