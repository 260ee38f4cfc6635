/* SPDX-License-Identifier: Apache-2.0 */
/*
 * precondition.c: 200, 304 or 412?
 *
 * The same order as the RFC's list: what protects a write first, then what
 * saves a transfer; a tag beats a date in both. On the hit path: a field that
 * is absent costs one look-up, a date equal in text to Last-Modified is read
 * once only.
 */
#include "lib/precondition.h"

#include <string.h>

#include "lib/entity_tag.h"
#include "lib/field_list.h"
#include "lib/http_date.h"

static int list_matches(const char *list, const char *etag, int strong);
static int is_modified_since(const apr_table_t *fields, const char *name,
                             const char *last_modified, apr_time_t now);

etg_precondition etg_precondition_decide(const apr_table_t *request_fields,
                                         int status, const char *etag,
                                         const char *last_modified,
                                         apr_time_t now, apr_pool_t *p)
{
    const char *list;

    if (status < 200 || status > 299) {
        return ETG_PRECONDITION_PASS;
    }
    list = etg_field_combined(request_fields, "If-Match", p);
    if (list != NULL) {
        if (!list_matches(list, etag, 1)) {
            return ETG_PRECONDITION_FAILED;
        }
    }
    else if (is_modified_since(request_fields, "If-Unmodified-Since",
                               last_modified, now) == 1) {
        return ETG_PRECONDITION_FAILED;
    }
    list = etg_field_combined(request_fields, "If-None-Match", p);
    if (list != NULL) {
        return list_matches(list, etag, 0) ? ETG_PRECONDITION_NOT_MODIFIED
                                           : ETG_PRECONDITION_PASS;
    }
    return is_modified_since(request_fields, "If-Modified-Since",
                             last_modified, now) == 0
           ? ETG_PRECONDITION_NOT_MODIFIED : ETG_PRECONDITION_PASS;
}

const char *etg_precondition_date(const char *last_modified, int is_ours,
                                  const char *date, int has_data)
{
    if (is_ours) {
        return NULL;
    }
    return last_modified != NULL || has_data ? last_modified : date;
}

int etg_if_range_holds(const apr_table_t *request_fields, const char *etag,
                       const char *last_modified, apr_time_t date,
                       apr_time_t now)
{
    const char *value = apr_table_get(request_fields, "If-Range");
    etg_entity_tag wanted;
    etg_entity_tag held;
    apr_time_t since;
    apr_time_t modified;

    if (value == NULL) {
        return 1;
    }
    if (etg_field_count(request_fields, "If-Range") != 1) {
        return 0;
    }
    if (etg_entity_tag_parse(etg_bytes_of(value), &wanted)) {
        return etag != NULL && etg_entity_tag_parse(etg_bytes_of(etag), &held)
               && etg_entity_tag_equal_strong(&wanted, &held);
    }
    return last_modified != NULL
           && etg_http_date_parse(etg_bytes_of(value), now, &since)
           && etg_http_date_parse(etg_bytes_of(last_modified), now, &modified)
           && since == modified
           && date - modified >= apr_time_from_sec(1);
}

int etg_is_conditional(const apr_table_t *request_fields)
{
    static const char *const names[] = {
        "If-None-Match", "If-Modified-Since", "Range", "If-Range",
        "If-Match", "If-Unmodified-Since"
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (apr_table_get(request_fields, names[i]) != NULL) {
            return 1;
        }
    }
    return 0;
}

static int list_matches(const char *list, const char *etag, int strong)
{
    etg_bytes bytes = etg_bytes_of(list);

    return etg_entity_tag_is_any(bytes)
           || (etag != NULL && etg_entity_tag_list_has(bytes, etag, strong));
}

/* Is last_modified later than the date in field `name`? -1: no such date. */
static int is_modified_since(const apr_table_t *fields, const char *name,
                             const char *last_modified, apr_time_t now)
{
    const char *value = apr_table_get(fields, name);
    apr_time_t since;
    apr_time_t modified;

    if (value == NULL || last_modified == NULL
        || etg_field_count(fields, name) != 1
        || !etg_http_date_parse(etg_bytes_of(value), now, &since)) {
        return -1;
    }
    if (strcmp(value, last_modified) == 0) {
        return 0;
    }
    if (!etg_http_date_parse(etg_bytes_of(last_modified), now, &modified)) {
        return -1;
    }
    return modified > since;
}
