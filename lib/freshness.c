/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness.c: how long a response is fresh and how old it is.
 *
 * All that a response's fields say of reuse is worked out here once, when it
 * is stored; what is left for a hit is arithmetic on etg_freshness. Called by
 * storable.c (store time) and reuse.c (every hit; nothing below the public
 * readers allocates or parses).
 */
#include "lib/freshness.h"

#include <string.h>
#include <strings.h>

#include "lib/field_list.h"
#include "lib/http_date.h"

/* delta-seconds end here (RFC 9111 §1.2.2), so lifetimes do as well. */
#define LIFETIME_MAX apr_time_from_sec(APR_INT64_C(2147483648))

static int read_targeted(etg_cache_control *cc,
                         const etg_response_view *response,
                         const etg_policy *policy, apr_pool_t *p);
static int date_field(const apr_table_t *fields, const char *name,
                      apr_time_t now, apr_time_t *when);
static apr_interval_time_t bounded(apr_interval_time_t lifetime);
static apr_interval_time_t seconds(apr_int64_t count);
static int explicit_lifetime(const etg_cache_control *cc, etg_cc_source source,
                             const etg_response_view *response,
                             apr_time_t date, apr_interval_time_t *lifetime);
static int heuristic_lifetime(const etg_response_view *response,
                              const etg_policy *policy, apr_time_t date,
                              apr_interval_time_t *lifetime);
static void set_lifetime(etg_freshness *freshness, const etg_cache_control *cc,
                         etg_cc_source source,
                         const etg_response_view *response,
                         const etg_policy *policy);
static apr_interval_time_t initial_age(const etg_response_view *response,
                                       apr_time_t date);
static apr_uint32_t reuse_flags(const etg_cache_control *cc);
static apr_uint32_t granted_flags(const etg_cache_control *own,
                                  etg_cc_source source);
static apr_interval_time_t window(apr_int64_t directive);
static apr_interval_time_t stale_window(const etg_stored_response *stored,
                                        apr_interval_time_t stated,
                                        apr_interval_time_t policy_window);

etg_cc_source etg_governing_cache_control(etg_cache_control *cc,
                                          const etg_response_view *response,
                                          const etg_policy *policy,
                                          apr_pool_t *p)
{
    if (read_targeted(cc, response, policy, p)) {
        return ETG_CC_FROM_TARGETED;
    }
    if (policy->override != NULL && response->status < 400) {
        etg_cache_control_init(cc);
        etg_cache_control_parse(cc, etg_bytes_of(policy->override), p);
        cc->present = 1;
        return ETG_CC_FROM_OVERRIDE;
    }
    etg_cache_control_of(cc, response->fields, 0, p);
    if (!cc->present
        && etg_list_has_token(etg_field_combined(response->fields, "Pragma",
                                                 p), "no-cache")) {
        cc->flags |= ETG_CC_NO_CACHE;
    }
    return ETG_CC_FROM_FIELD;
}

int etg_status_is_heuristic(int status)
{
    switch (status) {
    case 200: case 203: case 204:
    case 300: case 301: case 308:
    case 404: case 405: case 410: case 414:
    case 501:
        return 1;
    default:
        return 0;
    }
}

void etg_freshness_of(etg_freshness *freshness, const etg_cache_control *cc,
                      etg_cc_source source, const etg_cache_control *own,
                      const etg_response_view *response,
                      const etg_policy *policy, apr_pool_t *p)
{
    (void)p;
    freshness->flags = reuse_flags(cc) | granted_flags(own, source);
    if (!date_field(response->fields, "Date", response->received_at,
                    &freshness->date)) {
        freshness->date = response->received_at;
    }
    freshness->initial_age = initial_age(response, freshness->date);
    set_lifetime(freshness, cc, source, response, policy);
    freshness->stale_if_error = window(cc->stale_if_error);
    freshness->stale_while_revalidate = window(cc->stale_while_revalidate);
}

apr_interval_time_t etg_age_of(const etg_stored_response *stored,
                               apr_time_t now)
{
    apr_interval_time_t resident = now - stored->received_at;

    /* A clock that was set back must not make a response younger. */
    return stored->freshness.initial_age + (resident > 0 ? resident : 0);
}

apr_interval_time_t etg_lifetime_of(const etg_stored_response *stored,
                                    const etg_policy *policy)
{
    if (policy->max_ttl >= 0
        && stored->freshness.lifetime > policy->max_ttl) {
        return policy->max_ttl;
    }
    return stored->freshness.lifetime;
}

int etg_may_be_stale(const etg_stored_response *stored)
{
    return (stored->freshness.flags
            & (ETG_FRESH_NO_CACHE | ETG_FRESH_MUST_REVALIDATE)) == 0
           && stored->status < 500;
}

apr_interval_time_t etg_error_window(const etg_stored_response *stored,
                                     const etg_policy *policy)
{
    return stale_window(stored, stored->freshness.stale_if_error,
                        policy->stale_if_error);
}

apr_interval_time_t etg_revalidate_window(const etg_stored_response *stored,
                                          const etg_policy *policy)
{
    return stale_window(stored, stored->freshness.stale_while_revalidate,
                        policy->stale_while_revalidate);
}

apr_time_t etg_keep_until(const etg_stored_response *stored,
                          const etg_policy *policy)
{
    apr_interval_time_t on_error = etg_error_window(stored, policy);
    apr_interval_time_t meanwhile = etg_revalidate_window(stored, policy);
    apr_time_t until = stored->received_at + etg_lifetime_of(stored, policy)
                       - stored->freshness.initial_age
                       + (on_error > meanwhile ? on_error : meanwhile)
                       + (policy->keep > 0 ? policy->keep : 0);
    apr_time_t trusted_until = etg_fetched_at(stored) + policy->data_trust;

    return stored->has_data && policy->data_trust > 0
           && trusted_until > until ? trusted_until : until;
}

apr_time_t etg_fetched_at(const etg_stored_response *stored)
{
    return stored->fetched_at != 0 ? stored->fetched_at
                                   : stored->requested_at;
}

static int read_targeted(etg_cache_control *cc,
                         const etg_response_view *response,
                         const etg_policy *policy, apr_pool_t *p)
{
    if (policy->targeted == NULL) {
        return 0;
    }
    for (int i = 0; i < policy->targeted->nelts; i++) {
        const char *name = APR_ARRAY_IDX(policy->targeted, i, const char *);

        if (etg_cache_control_targeted(cc, response->fields, name, p)) {
            return 1;
        }
    }
    return 0;
}

/* A field that is one date; repeated lines count as one if they are equal. */
static int date_field(const apr_table_t *fields, const char *name,
                      apr_time_t now, apr_time_t *when)
{
    const char *first = apr_table_get(fields, name);
    const apr_array_header_t *rows = apr_table_elts(fields);

    if (first == NULL) {
        return 0;
    }
    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row
            = &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        if (row->key != NULL && strcasecmp(row->key, name) == 0
            && strcmp(row->val, first) != 0) {
            return 0;
        }
    }
    return etg_http_date_parse(etg_bytes_of(first), now, when);
}

static apr_interval_time_t bounded(apr_interval_time_t lifetime)
{
    if (lifetime < 0) {
        return 0;
    }
    return lifetime < LIFETIME_MAX ? lifetime : LIFETIME_MAX;
}

static apr_interval_time_t seconds(apr_int64_t count)
{
    return count < 0 ? 0 : bounded(apr_time_from_sec(count));
}

/* RFC 9111 §4.2.1. Returns 0 if nothing was stated. */
static int explicit_lifetime(const etg_cache_control *cc, etg_cc_source source,
                             const etg_response_view *response,
                             apr_time_t date, apr_interval_time_t *lifetime)
{
    apr_time_t expires = 0;

    if (cc->s_maxage != ETG_CC_ABSENT) {
        *lifetime = seconds(cc->s_maxage);
        return 1;
    }
    if (cc->max_age != ETG_CC_ABSENT) {
        *lifetime = seconds(cc->max_age);
        return 1;
    }
    if (source != ETG_CC_FROM_FIELD
        || apr_table_get(response->fields, "Expires") == NULL) {
        return 0;
    }
    if (!date_field(response->fields, "Expires", response->received_at,
                    &expires)) {
        *lifetime = 0;
        return 1;
    }
    *lifetime = bounded(expires - date);
    return 1;
}

/* RFC 9111 §4.2.2. Returns 0 if there is nothing to guess from. */
static int heuristic_lifetime(const etg_response_view *response,
                              const etg_policy *policy, apr_time_t date,
                              apr_interval_time_t *lifetime)
{
    apr_time_t modified;

    if (policy->heuristic_fraction <= 0 || response->is_last_modified_ours
        || !date_field(response->fields, "Last-Modified",
                       response->received_at, &modified)
        || modified >= date) {
        return 0;
    }
    double guess = (double)(date - modified) * policy->heuristic_fraction;
    *lifetime = bounded(guess < (double)LIFETIME_MAX
                        ? (apr_interval_time_t)guess : LIFETIME_MAX);
    if (policy->heuristic_max >= 0 && *lifetime > policy->heuristic_max) {
        *lifetime = policy->heuristic_max;
    }
    return 1;
}

static void set_lifetime(etg_freshness *freshness, const etg_cache_control *cc,
                         etg_cc_source source,
                         const etg_response_view *response,
                         const etg_policy *policy)
{
    freshness->lifetime = 0;
    if (explicit_lifetime(cc, source, response, freshness->date,
                          &freshness->lifetime)) {
        freshness->flags |= ETG_FRESH_EXPLICIT;
        return;
    }
    if (!etg_status_is_heuristic(response->status)
        && (cc->flags & ETG_CC_PUBLIC) == 0) {
        return;
    }
    if (heuristic_lifetime(response, policy, freshness->date,
                           &freshness->lifetime)) {
        freshness->flags |= ETG_FRESH_HEURISTIC;
    }
    else if (response->status < 400 && policy->default_ttl > 0) {
        freshness->lifetime = bounded(policy->default_ttl);
    }
}

apr_interval_time_t etg_age_field(const apr_table_t *fields)
{
    const char *value = apr_table_get(fields, "Age");
    etg_bytes rest;
    etg_bytes member;
    apr_int64_t age;

    if (value == NULL) {
        return 0;
    }
    rest = etg_bytes_of(value);
    if (!etg_list_next(&rest, &member) || !etg_delta_seconds(member, &age)) {
        return 0;
    }
    return seconds(age);
}

/* RFC 9111 §4.2.3. Date has whole seconds: what it cuts off is no age, or a
 * response with max-age=1 would be born stale. */
static apr_interval_time_t initial_age(const etg_response_view *response,
                                       apr_time_t date)
{
    apr_interval_time_t apparent = 0;
    apr_interval_time_t corrected = etg_age_field(response->fields);

    if (response->received_at > response->requested_at) {
        corrected += response->received_at - response->requested_at;
    }
    if (date < response->received_at) {
        apparent = apr_time_from_sec(apr_time_sec(response->received_at)
                                     - apr_time_sec(date));
    }
    return apparent > corrected ? apparent : corrected;
}

static apr_uint32_t reuse_flags(const etg_cache_control *cc)
{
    apr_uint32_t flags = 0;

    if (cc->flags & ETG_CC_NO_CACHE) {
        flags |= ETG_FRESH_NO_CACHE;
    }
    if ((cc->flags & (ETG_CC_MUST_REVALIDATE | ETG_CC_PROXY_REVALIDATE))
        || cc->s_maxage != ETG_CC_ABSENT) {
        flags |= ETG_FRESH_MUST_REVALIDATE;
    }
    if (cc->flags & ETG_CC_NO_TRANSFORM) {
        flags |= ETG_FRESH_NO_TRANSFORM;
    }
    if (cc->flags & ETG_CC_IMMUTABLE) {
        flags |= ETG_FRESH_IMMUTABLE;
    }
    return flags;
}

static apr_uint32_t granted_flags(const etg_cache_control *own,
                                  etg_cc_source source)
{
    int replaced = source == ETG_CC_FROM_OVERRIDE;
    /* A malformed s-maxage reads as 0 and is no grant either. */
    apr_int64_t least
        = replaced || (own->flags & ETG_CC_MALFORMED) ? 1 : 0;

    if (own->flags & (ETG_CC_PRIVATE | ETG_CC_NO_STORE)) {
        return 0;
    }
    if ((own->flags & ETG_CC_PUBLIC) || own->s_maxage >= least) {
        return ETG_FRESH_FOR_PRIVATE | ETG_FRESH_FOR_AUTHORIZATION;
    }
    if ((own->flags & ETG_CC_MUST_REVALIDATE) && !replaced) {
        return ETG_FRESH_FOR_AUTHORIZATION;
    }
    return 0;
}

static apr_interval_time_t window(apr_int64_t directive)
{
    return directive == ETG_CC_ABSENT ? -1 : seconds(directive);
}

static apr_interval_time_t stale_window(const etg_stored_response *stored,
                                        apr_interval_time_t stated,
                                        apr_interval_time_t policy_window)
{
    apr_interval_time_t length = stated >= 0 ? stated : policy_window;

    return length > 0 && etg_may_be_stale(stored) ? length : 0;
}
