/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storable.c: what may enter the store.
 *
 * A decision is a list of tests in a fixed order; the first that refuses
 * names the reason. storable.h lists them, test_storable.c pins them. Called
 * once per fetched response, when its fields are complete.
 */
#include "lib/storable.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/field_list.h"
#include "lib/invalidation.h"

#define OWN_TARGETED_FIELD "Etagere-Cache-Control"

/* Everything the tests look at. */
typedef struct storing_candidate {
    const etg_request_view *request;
    const etg_response_view *response;
    const etg_policy *policy;
    const char *method;         /* the one the request must have */
    etg_cache_control cc;       /* governs */
    etg_cc_source source;
    etg_cache_control own;      /* what the backend itself said */
} storing_candidate;

/* What keeps fields of one response out of the store. */
typedef struct field_sieve {
    const char *connection;        /* lists of names, or NULL */
    const char *private_fields;
    const char *no_cache_fields;
    int sets_cookie;
    int stores_cookie;
    int overridden;
} field_sieve;

static int status_is_understood(int status);
static int status_is_never_stored(int status);
static int status_is_refused(int status, const etg_policy *policy);
static int status_passes(int status);
static int names_set_cookie(const etg_cache_control *cc);
static int sets_cookie(const storing_candidate *candidate);
static int is_for_this_client(const storing_candidate *candidate,
                              const etg_freshness *freshness);
static int is_too_large(const storing_candidate *candidate);
static const char *refused_by_message(const storing_candidate *candidate);
static const char *refused_for_good(const storing_candidate *candidate,
                                    const char *vary);
static int has_validator(const etg_response_view *response);
static int has_stale_window(const etg_freshness *freshness);
static const char *refused_as_useless(const storing_candidate *candidate,
                                      const etg_freshness *freshness);
static void refuse(etg_storable *decision, const char *reason, int uncacheable);
static void decide(etg_storable *decision, const storing_candidate *candidate);
static void examine(storing_candidate *candidate, etg_storable *decision,
                    const etg_request_view *request,
                    const etg_response_view *response,
                    const etg_policy *policy, apr_pool_t *p);
static int is_about_target(const etg_response_view *response,
                           const char *scheme, const char *host,
                           const char *target, apr_pool_t *p);
static int is_one_of(const char *name, const char *const *names);
static int is_kept(const field_sieve *sieve, const char *name);
static void push(apr_array_header_t *rows, const char *name, const char *value);

void etg_storable_decide(etg_storable *decision,
                         const etg_request_view *request,
                         const etg_response_view *response,
                         const etg_policy *policy, apr_pool_t *p)
{
    storing_candidate candidate = { .method = "GET" };

    examine(&candidate, decision, request, response, policy, p);
    decide(decision, &candidate);
}

void etg_post_storable_decide(etg_storable *decision,
                              const etg_request_view *request,
                              const etg_response_view *response,
                              const etg_policy *policy, const char *scheme,
                              const char *host, const char *target,
                              apr_pool_t *p)
{
    storing_candidate candidate = { .method = "POST" };

    examine(&candidate, decision, request, response, policy, p);
    decide(decision, &candidate);
    decision->uncacheable = 0;
    if (!decision->yes) {
        return;
    }
    if (response->status != 200) {
        refuse(decision, "status", 0);
    }
    else if (candidate.source == ETG_CC_FROM_OVERRIDE
             || (decision->freshness.flags & ETG_FRESH_EXPLICIT) == 0
             || decision->freshness.lifetime == 0) {
        refuse(decision, "no-freshness", 0);
    }
    else if (!is_about_target(response, scheme, host, target, p)) {
        refuse(decision, "content-location", 0);
    }
}

int etg_may_serve_private(apr_uint32_t freshness_flags, unsigned privacy)
{
    if (privacy == 0) {
        return 1;
    }
    if (privacy & ~ETG_PRIVATE_AUTHORIZATION) {
        return (freshness_flags & ETG_FRESH_FOR_PRIVATE) != 0;
    }
    return (freshness_flags & ETG_FRESH_FOR_AUTHORIZATION) != 0;
}

int etg_field_is_hop_by_hop(const char *name)
{
    static const char *const names[] = {
        "Connection", "Keep-Alive", "Proxy-Authenticate",
        "Proxy-Authentication-Info", "Proxy-Authorization",
        "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
        NULL
    };

    return is_one_of(name, names);
}

apr_array_header_t *etg_storable_fields(const etg_response_view *response,
                                        const etg_cache_control *cc,
                                        etg_cc_source source,
                                        const etg_policy *policy,
                                        apr_pool_t *p)
{
    const apr_array_header_t *all = apr_table_elts(response->fields);
    apr_array_header_t *rows = apr_array_make(p, all->nelts + 1,
                                              sizeof(etg_field));
    field_sieve sieve = {
        .connection = etg_field_combined(response->fields, "Connection", p),
        .private_fields = cc->private_fields,
        .no_cache_fields = cc->no_cache_fields,
        .sets_cookie = apr_table_get(response->fields, "Set-Cookie") != NULL,
        .stores_cookie = policy->store_set_cookie,
        .overridden = source == ETG_CC_FROM_OVERRIDE
    };
    int said = !sieve.overridden;

    for (int i = 0; i < all->nelts; i++) {
        const apr_table_entry_t *field
            = &APR_ARRAY_IDX(all, i, apr_table_entry_t);

        if (field->key == NULL) {
            continue;
        }
        if (sieve.overridden && strcasecmp(field->key, "Cache-Control") == 0) {
            if (!said) {
                push(rows, field->key, policy->override);
            }
            said = 1;
        }
        else if (is_kept(&sieve, field->key)) {
            push(rows, field->key, field->val);
        }
    }
    if (!said) {
        push(rows, "Cache-Control", policy->override);
    }
    return rows;
}

/* Final statuses of the IANA registry: those we have rules for. */
static int status_is_understood(int status)
{
    return (status >= 200 && status <= 208)
           || status == 226
           || (status >= 300 && status <= 308)
           || (status >= 400 && status <= 417)
           || (status >= 421 && status <= 426)
           || status == 428 || status == 429 || status == 431 || status == 451
           || (status >= 500 && status <= 508)
           || status == 510 || status == 511;
}

/* Of one request (a range, its own validators), never of the resource. */
static int status_is_never_stored(int status)
{
    switch (status) {
    case 206: case 304: case 416:
        return 1;
    default:
        return status < 200 || status > 599;
    }
}

static int status_is_refused(int status, const etg_policy *policy)
{
    const apr_array_header_t *refused = policy->refused_statuses;

    for (int i = 0; refused != NULL && i < refused->nelts; i++) {
        if (atoi(APR_ARRAY_IDX(refused, i, const char *)) == status) {
            return 1;
        }
    }
    return 0;
}

/* Errors that are expected to pass say nothing of the next answer. */
static int status_passes(int status)
{
    return status >= 500 || status == 408 || status == 425 || status == 429;
}

static int names_set_cookie(const etg_cache_control *cc)
{
    return etg_list_has_token(cc->private_fields, "set-cookie")
           || etg_list_has_token(cc->no_cache_fields, "set-cookie");
}

static int sets_cookie(const storing_candidate *candidate)
{
    return apr_table_get(candidate->response->fields, "Set-Cookie") != NULL
           && !candidate->policy->strip_set_cookie
           && !names_set_cookie(&candidate->cc);
}

/* Cookies that everybody gets do not come out of somebody's own page. */
static int is_for_this_client(const storing_candidate *candidate,
                              const etg_freshness *freshness)
{
    unsigned privacy = candidate->request->privacy;

    return !etg_may_serve_private(freshness->flags, privacy)
           || (privacy != 0 && sets_cookie(candidate));
}

static int is_too_large(const storing_candidate *candidate)
{
    const char *length = apr_table_get(candidate->response->fields,
                                       "Content-Length");
    apr_int64_t limit = candidate->policy->max_object;

    if (length == NULL || limit <= 0
        || strspn(length, "0123456789") != strlen(length)) {
        return 0;
    }
    return apr_atoi64(length) > limit;
}

/* Tests of the status and of the request. NULL: passed. */
static const char *refused_by_message(const storing_candidate *candidate)
{
    int status = candidate->response->status;

    if (strcmp(candidate->request->method, candidate->method) != 0
        && !(strcmp(candidate->method, "GET") == 0
             && strcmp(candidate->request->method, "HEAD") == 0)) {
        return "method";
    }
    if (status_is_never_stored(status)
        || status_is_refused(status, candidate->policy)) {
        return "status";
    }
    if ((candidate->cc.flags & ETG_CC_MUST_UNDERSTAND)
        && !status_is_understood(status)) {
        return "must-understand";
    }
    if (candidate->request->cc.flags & ETG_CC_NO_STORE) {
        return "request-no-store";
    }
    return NULL;
}

/* What the backend forbids, or we do; the same next time. NULL: passed. */
static const char *refused_for_good(const storing_candidate *candidate,
                                    const char *vary)
{
    unsigned flags = candidate->cc.flags;

    if ((flags & ETG_CC_NO_STORE) && !(flags & ETG_CC_MUST_UNDERSTAND)) {
        return "no-store";
    }
    if (flags & ETG_CC_PRIVATE) {
        return "private";
    }
    if (!candidate->policy->store_set_cookie && sets_cookie(candidate)) {
        return "set-cookie";
    }
    if (vary == NULL) {
        return "vary-star";
    }
    if (is_too_large(candidate)) {
        return "too-large";
    }
    return NULL;
}

static int has_validator(const etg_response_view *response)
{
    return apr_table_get(response->fields, "ETag") != NULL
           || apr_table_get(response->fields, "Last-Modified") != NULL;
}

static int has_stale_window(const etg_freshness *freshness)
{
    return (freshness->stale_if_error > 0
            || freshness->stale_while_revalidate > 0)
           && (freshness->flags
               & (ETG_FRESH_NO_CACHE | ETG_FRESH_MUST_REVALIDATE)) == 0;
}

/* Is there any use in keeping it? NULL: yes. */
static const char *refused_as_useless(const storing_candidate *candidate,
                                      const etg_freshness *freshness)
{
    int status = candidate->response->status;
    int grounds = ETG_FRESH_EXPLICIT | ETG_FRESH_HEURISTIC;

    if (status == 200 && candidate->response->has_data) {
        return NULL;
    }
    if ((freshness->flags & ETG_FRESH_EXPLICIT) == 0
        && (candidate->cc.flags & ETG_CC_PUBLIC) == 0
        && !etg_status_is_heuristic(status)) {
        return "not-cacheable";
    }
    if (status >= 400
        && ((freshness->flags & grounds) == 0 || freshness->lifetime == 0)) {
        return "error";
    }
    if (freshness->lifetime == 0 && !has_validator(candidate->response)
        && !has_stale_window(freshness)) {
        return "no-freshness";
    }
    return NULL;
}

static void refuse(etg_storable *decision, const char *reason, int uncacheable)
{
    decision->yes = 0;
    decision->reason = reason;
    decision->uncacheable = uncacheable;
}

static void decide(etg_storable *decision, const storing_candidate *candidate)
{
    const char *reason = refused_by_message(candidate);

    if (reason != NULL) {
        refuse(decision, reason, 0);
        return;
    }
    reason = refused_for_good(candidate, decision->vary);
    if (reason != NULL) {
        refuse(decision, reason, 1);
        return;
    }
    if (is_for_this_client(candidate, &decision->freshness)) {
        refuse(decision, "private-request", 0);
        return;
    }
    reason = refused_as_useless(candidate, &decision->freshness);
    if (reason != NULL) {
        refuse(decision, reason, !status_passes(candidate->response->status));
        return;
    }
    decision->yes = 1;
    decision->reason = NULL;
    decision->uncacheable = 0;
}

/* Reads the response once for all tests. */
static void examine(storing_candidate *candidate, etg_storable *decision,
                    const etg_request_view *request,
                    const etg_response_view *response,
                    const etg_policy *policy, apr_pool_t *p)
{
    candidate->request = request;
    candidate->response = response;
    candidate->policy = policy;
    candidate->source = etg_governing_cache_control(&candidate->cc, response,
                                                    policy, p);
    if (candidate->source == ETG_CC_FROM_OVERRIDE) {
        etg_cache_control_of(&candidate->own, response->fields, 0, p);
    }
    else {
        candidate->own = candidate->cc;
    }
    etg_freshness_of(&decision->freshness, &candidate->cc, candidate->source,
                     &candidate->own, response, policy, p);
    decision->vary = etg_vary_names(response->fields, p);
}

static int is_about_target(const etg_response_view *response,
                           const char *scheme, const char *host,
                           const char *target, apr_pool_t *p)
{
    const char *location = apr_table_get(response->fields, "Content-Location");
    const char *meant;

    if (location == NULL
        || etg_field_count(response->fields, "Content-Location") != 1) {
        return 0;
    }
    meant = etg_target_resolve(location, scheme, host, target, p);
    return meant != NULL && strcmp(meant, target) == 0;
}

static int is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcasecmp(name, *names) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_kept(const field_sieve *sieve, const char *name)
{
    static const char *const never[] = {
        "Age", "Content-Length", OWN_TARGETED_FIELD, NULL
    };

    if (etg_field_is_hop_by_hop(name) || is_one_of(name, never)) {
        return 0;
    }
    if (sieve->sets_cookie && !sieve->stores_cookie
        && (strcasecmp(name, "Set-Cookie") == 0
            || strcasecmp(name, "Set-Cookie2") == 0)) {
        return 0;
    }
    if (sieve->overridden && (strcasecmp(name, "Expires") == 0
                              || strcasecmp(name, "Pragma") == 0)) {
        return 0;
    }
    return !etg_list_has_token(sieve->connection, name)
           && !etg_list_has_token(sieve->private_fields, name)
           && !etg_list_has_token(sieve->no_cache_fields, name);
}

static void push(apr_array_header_t *rows, const char *name, const char *value)
{
    etg_field *row = apr_array_push(rows);

    row->name = name;
    row->value = value;
}
