/* SPDX-License-Identifier: Apache-2.0 */
/*
 * validation.c: a stored response meets its backend again.
 *
 * Outwards: the request fields that ask "still the same?". Inwards: does the
 * answer speak of what we hold, what does it change, and is the result still
 * storable? Runs once per fetch or validation, never on a hit.
 */
#include "lib/validation.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

#include "lib/cookie.h"
#include "lib/entity_tag.h"
#include "lib/field_list.h"

static int length_agrees(const etg_stored_response *stored,
                         const apr_table_t *fields, apr_uint64_t length);
static const char *reduced_connection(const char *value, apr_pool_t *p);
static void set_or_unset(apr_table_t *fields, const char *name,
                         const char *value);
static int etag_agrees(const char *held, const char *said);
static int is_updated_by(const char *connection, const char *name);
static int is_either(const char *name, const char *const kept[2]);
static int strengthens(const etg_stored_response *stored,
                       const apr_table_t *fresh_fields);
static int has_directives(const apr_table_t *fields, const etg_policy *policy);
static void renew(etg_freshness *freshness, const etg_stored_response *stored,
                  const etg_response_view *fresh,
                  const etg_response_view *merged, const etg_policy *policy,
                  apr_pool_t *p);

apr_table_t *etg_fetch_fields(const apr_table_t *client_fields,
                              const etg_stored_response *stored,
                              const char *etags,
                              const apr_array_header_t *ignored_cookies,
                              apr_pool_t *p)
{
    static const char *const removed[] = {
        "If-Match", "If-None-Match", "If-Modified-Since",
        "If-Unmodified-Since", "If-Range", "Range"
    };
    apr_table_t *fields = apr_table_copy(p, client_fields);
    const char *connection = etg_field_combined(client_fields, "Connection",
                                                p);

    for (unsigned i = 0; i < sizeof(removed) / sizeof(removed[0]); i++) {
        apr_table_unset(fields, removed[i]);
    }
    if (connection != NULL) {
        set_or_unset(fields, "Connection", reduced_connection(connection, p));
    }
    if (ignored_cookies != NULL && ignored_cookies->nelts > 0) {
        /* HTTP/2 clients may send several (RFC 9113 §8.2.3). */
        const char *cookies = etg_field_joined(client_fields, "Cookie", "; ",
                                               p);

        set_or_unset(fields, "Cookie",
                     etg_cookie_without(cookies, ignored_cookies, p));
    }
    apr_table_setn(fields, "Accept-Encoding", "identity");
    if (stored != NULL && stored->status >= 200 && stored->status <= 299) {
        const char *own = etg_stored_backend_etag(stored);

        if (own != NULL) {
            etags = etags == NULL ? own
                                  : apr_pstrcat(p, own, ", ", etags, NULL);
        }
        set_or_unset(fields, "If-Modified-Since",
                     etg_stored_backend_last_modified(stored));
    }
    set_or_unset(fields, "If-None-Match", etags);
    return fields;
}

int etg_validation_selects(const etg_stored_response *stored,
                           const apr_table_t *fields_304)
{
    const char *etag = apr_table_get(fields_304, "ETag");
    const char *modified = apr_table_get(fields_304, "Last-Modified");
    const char *own_etag = etg_stored_backend_etag(stored);
    const char *own_modified = etg_stored_backend_last_modified(stored);

    if (etag != NULL && own_etag != NULL) {
        return etag_agrees(own_etag, etag);
    }
    if (modified != NULL && own_modified != NULL) {
        return strcmp(modified, own_modified) == 0;
    }
    /* A tag alone, and nothing here to hold it against: of something else. */
    return etag == NULL;
}

apr_table_t *etg_validation_update(const etg_stored_response *stored,
                                   const apr_table_t *fresh_fields,
                                   apr_pool_t *p)
{
    const apr_array_header_t *rows = apr_table_elts(fresh_fields);
    const char *connection = etg_field_combined(fresh_fields, "Connection", p);
    apr_table_t *fields = apr_table_make(p, (int)stored->field_count + 4);
    int keeps_etag = stored->is_etag_ours || strengthens(stored, fresh_fields);
    const char *const kept[] = {
        keeps_etag ? "ETag" : "",
        stored->is_last_modified_ours ? "Last-Modified" : ""
    };

    for (unsigned i = 0; i < stored->field_count; i++) {
        const etg_field *field = &stored->fields[i];

        if (strcasecmp(field->name, "Date") != 0
            && (!is_updated_by(connection, field->name)
                || is_either(field->name, kept)
                || apr_table_get(fresh_fields, field->name) == NULL)) {
            apr_table_addn(fields, field->name, field->value);
        }
    }
    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row
            = &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        if (row->key != NULL && is_updated_by(connection, row->key)
            && !is_either(row->key, kept)) {
            apr_table_addn(fields, row->key, row->val);
        }
    }
    return fields;
}

void etg_validation_renew_backend(etg_stored_response *updated,
                                  const apr_table_t *fields_304)
{
    const char *etag = apr_table_get(fields_304, "ETag");
    const char *modified = apr_table_get(fields_304, "Last-Modified");

    if (updated->is_etag_ours && etag != NULL
        && !strengthens(updated, fields_304)) {
        updated->backend_etag = etag;
    }
    if (updated->is_last_modified_ours && modified != NULL) {
        updated->backend_last_modified = modified;
    }
}

void etg_validation_decide(etg_storable *decision,
                           const etg_stored_response *stored,
                           const etg_request_view *request,
                           const etg_response_view *fresh,
                           const apr_table_t *updated,
                           const etg_policy *policy, apr_pool_t *p)
{
    etg_response_view merged = *fresh;

    merged.status = stored->status;
    merged.fields = updated;
    merged.has_data |= stored->has_data;
    merged.is_last_modified_ours |= stored->is_last_modified_ours;
    if (has_directives(fresh->fields, policy)) {
        etg_storable_decide(decision, request, &merged, policy, p);
        return;
    }
    renew(&decision->freshness, stored, fresh, &merged, policy, p);
    decision->vary = etg_vary_names(updated, p);
    decision->uncacheable = 0;
    decision->reason = NULL;
    if (request->cc.flags & ETG_CC_NO_STORE) {
        decision->reason = "request-no-store";
    }
    else if (decision->vary == NULL) {
        decision->reason = "vary-star";
        decision->uncacheable = 1;
    }
    else if (!etg_may_serve_private(decision->freshness.flags,
                                    request->privacy)) {
        decision->reason = "private-request";
    }
    decision->yes = decision->reason == NULL;
}

int etg_head_agrees(const etg_stored_response *stored,
                    const apr_table_t *head_fields)
{
    const char *etag = apr_table_get(head_fields, "ETag");
    const char *modified = apr_table_get(head_fields, "Last-Modified");
    const char *length = apr_table_get(head_fields, "Content-Length");

    if (etag != NULL && !etag_agrees(stored->etag, etag)) {
        return 0;
    }
    if (modified != NULL
        && (stored->last_modified == NULL
            || strcmp(modified, stored->last_modified) != 0)) {
        return 0;
    }
    return length == NULL
           || (strspn(length, "0123456789") == strlen(length)
               && length_agrees(stored, head_fields, apr_atoi64(length)));
}

/* Is it the length of the form that these fields speak of? */
static int length_agrees(const etg_stored_response *stored,
                         const apr_table_t *fields, apr_uint64_t length)
{
    const char *coding = apr_table_get(fields, "Content-Encoding");

    if (stored->coding == ETG_CODING_IDENTITY) {
        return length == stored->body_length;
    }
    if (coding == NULL || strcasecmp(coding, "identity") == 0) {
        return length == stored->plain_length;
    }
    return !stored->is_coded_here
           && (strcasecmp(coding, "gzip") == 0
               || strcasecmp(coding, "x-gzip") == 0)
           && length == stored->body_length;
}

static int is_either(const char *name, const char *const kept[2])
{
    return strcasecmp(name, kept[0]) == 0 || strcasecmp(name, kept[1]) == 0;
}

/* Does it name, strongly, bytes that ours need not be? A server that codes its
 * answers says W/"a" on them, and "a" in a 304 of what it coded. */
static int strengthens(const etg_stored_response *stored,
                       const apr_table_t *fresh_fields)
{
    const char *said = apr_table_get(fresh_fields, "ETag");
    const char *own = etg_stored_backend_etag(stored);
    etg_entity_tag tag;

    return said != NULL && etg_entity_tag_parse(etg_bytes_of(said), &tag)
        && !tag.weak
        && !etg_entity_tag_list_has(etg_bytes_of(said), own, 1);
}

static const char *reduced_connection(const char *value, apr_pool_t *p)
{
    static const char *const kept[] = {
        "close", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"
    };
    const char *result = NULL;

    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (etg_list_has_token(value, kept[i])) {
            result = result == NULL
                     ? kept[i] : apr_pstrcat(p, result, ", ", kept[i], NULL);
        }
    }
    return result;
}

static void set_or_unset(apr_table_t *fields, const char *name,
                         const char *value)
{
    if (value != NULL) {
        apr_table_setn(fields, name, value);
    }
    else {
        apr_table_unset(fields, name);
    }
}

static int etag_agrees(const char *held, const char *said)
{
    return held != NULL
           && etg_entity_tag_list_has(etg_bytes_of(said), held, 0);
}

static int is_updated_by(const char *connection, const char *name)
{
    static const char *const kept[] = {
        "Content-Length", "Content-Encoding", "Content-Type", "Set-Cookie",
        "Set-Cookie2"
    };

    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (strcasecmp(name, kept[i]) == 0) {
            return 0;
        }
    }
    return !etg_field_is_hop_by_hop(name)
           && !etg_list_has_token(connection, name);
}

static int has_directives(const apr_table_t *fields, const etg_policy *policy)
{
    int count = policy->targeted != NULL ? policy->targeted->nelts : 0;

    for (int i = 0; i < count; i++) {
        if (apr_table_get(fields, APR_ARRAY_IDX(policy->targeted, i,
                                                const char *)) != NULL) {
            return 1;
        }
    }
    return apr_table_get(fields, "Cache-Control") != NULL;
}

/* The freshness of an updated response whose 304 had no directives. */
static void renew(etg_freshness *freshness, const etg_stored_response *stored,
                  const etg_response_view *fresh,
                  const etg_response_view *merged, const etg_policy *policy,
                  apr_pool_t *p)
{
    const apr_uint32_t granted = ETG_FRESH_FOR_AUTHORIZATION
                                 | ETG_FRESH_FOR_PRIVATE;
    etg_cache_control cc;
    etg_cache_control own;
    etg_cc_source source = etg_governing_cache_control(&cc, merged, policy, p);

    etg_cache_control_init(&own);
    etg_freshness_of(freshness, &cc, source, &own, merged, policy, p);
    freshness->flags |= stored->freshness.flags & granted;
    if (source != ETG_CC_FROM_OVERRIDE
        && apr_table_get(fresh->fields, "Expires") == NULL
        && (stored->freshness.flags & ETG_FRESH_HEURISTIC) == 0) {
        freshness->flags = stored->freshness.flags;
        freshness->lifetime = stored->freshness.lifetime;
        freshness->stale_if_error = stored->freshness.stale_if_error;
        freshness->stale_while_revalidate
            = stored->freshness.stale_while_revalidate;
    }
}
