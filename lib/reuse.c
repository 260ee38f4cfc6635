/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reuse.c: the decision of every hit.
 *
 * A list of tests, most binding first; the first that speaks gives verdict
 * and reason (reuse.h). All inputs are numbers worked out when the response
 * was stored: this runs for every lookup and allocates nothing.
 */
#include "lib/reuse.h"

#include <string.h>

#include "lib/freshness.h"
#include "lib/storable.h"

static apr_time_t soft_mark(const etg_stored_response *stored,
                            const etg_reuse_marks *marks);
static int is_marked(const etg_stored_response *stored, apr_time_t mark);
static void set_verdict(etg_reuse *reuse, etg_reuse_verdict verdict,
                        const char *reason);
static int is_barred(etg_reuse *reuse, const etg_stored_response *stored,
                     const etg_reuse_marks *marks,
                     const etg_request_view *request);
static int may_be_anothers(const etg_stored_response *stored,
                           const etg_reuse_data *data);
static void refuse_stale(etg_reuse *reuse);
static int is_about_data(const etg_stored_response *stored,
                         const etg_reuse_marks *marks);
static int is_decided_by_data(etg_reuse *reuse,
                              const etg_stored_response *stored,
                              const etg_reuse_data *data,
                              const etg_request_view *request,
                              const etg_policy *policy, apr_time_t now);
static void hold_against_data(etg_reuse *reuse,
                              const etg_stored_response *stored,
                              const etg_reuse_data *data,
                              const etg_policy *policy, apr_time_t now);
static void set_by_data(etg_reuse *reuse, etg_reuse_verdict verdict,
                        const char *reason);
static int asks_for_reload(const etg_request_view *request,
                           const etg_policy *policy);
static const char *unmet_wish(const etg_reuse *reuse,
                              const etg_cache_control *cc);
static int is_within_max_stale(const etg_reuse *reuse,
                               const etg_cache_control *cc);
static int is_usable_on_error(const etg_reuse *reuse,
                              const etg_stored_response *stored,
                              const etg_request_view *request,
                              const etg_policy *policy);
static int is_new_for(const etg_stored_response *stored,
                      const etg_request_view *request);
static void decide_stale(etg_reuse *reuse, const etg_stored_response *stored,
                         const etg_request_view *request,
                         const etg_policy *policy, const char *why);
static void decide(etg_reuse *reuse, const etg_stored_response *stored,
                   const etg_request_view *request, const etg_policy *policy,
                   int soft_purged);

etg_reuse etg_reuse_decide(const etg_stored_response *stored,
                           const etg_reuse_marks *marks,
                           const etg_request_view *request,
                           const etg_policy *policy, apr_time_t now)
{
    apr_time_t soft_purged_at = soft_mark(stored, marks);
    etg_reuse reuse = { .age = etg_age_of(stored, now) };

    reuse.ttl = etg_lifetime_of(stored, policy) - reuse.age;
    if (soft_purged_at != 0) {
        apr_interval_time_t left = soft_purged_at - now;

        /* A mark set by a clock ahead of ours is due now. */
        left = left < 0 ? left : 0;
        reuse.ttl = reuse.ttl < left ? reuse.ttl : left;
    }
    if (!is_barred(&reuse, stored, marks, request)) {
        if (soft_purged_at != 0 || !is_about_data(stored, marks)
            || !is_decided_by_data(&reuse, stored, marks->data, request,
                                   policy, now)) {
            decide(&reuse, stored, request, policy, soft_purged_at != 0);
        }
        reuse.stale_on_error = is_usable_on_error(&reuse, stored, request,
                                                  policy);
        if (may_be_anothers(stored, marks->data)) {
            refuse_stale(&reuse);
        }
    }
    return reuse;
}

/* A response without Vary may be here for the data of one request alone,
 * which another of the same URL need not have. */
static int may_be_anothers(const etg_stored_response *stored,
                           const etg_reuse_data *data)
{
    static const etg_vary_hash no_vary;

    return stored->status == 200 && data != NULL && data->is_by_request
        && !memcmp(&stored->vary, &no_vary, sizeof(no_vary))
        && !(data->is_known && stored->has_data
             && !memcmp(stored->data, data->digest, sizeof(stored->data)));
}

static void refuse_stale(etg_reuse *reuse)
{
    reuse->stale_on_error = 0;
    if (reuse->verdict == ETG_REUSE_STALE) {
        set_by_data(reuse, ETG_REUSE_VALIDATE, "data-unknown");
    }
}

/* When the response was made stale, first; 0: it was not. */
static apr_time_t soft_mark(const etg_stored_response *stored,
                            const etg_reuse_marks *marks)
{
    apr_time_t at = is_marked(stored, marks->soft_purged_at)
        ? marks->soft_purged_at : 0;

    if (marks->mark != ETG_STORE_MARK_NONE
        && (at == 0 || marks->marked_at < at)) {
        at = marks->marked_at > 0 ? marks->marked_at : 1;
    }
    return at;
}

static int is_marked(const etg_stored_response *stored, apr_time_t mark)
{
    return mark != 0 && stored->requested_at <= mark;
}

static void set_verdict(etg_reuse *reuse, etg_reuse_verdict verdict,
                        const char *reason)
{
    reuse->verdict = verdict;
    reuse->reason = reason;
}

/* Tests that no request and no lifetime can soften. 1: decided. */
static int is_barred(etg_reuse *reuse, const etg_stored_response *stored,
                     const etg_reuse_marks *marks,
                     const etg_request_view *request)
{
    if (!etg_may_serve_private(stored->freshness.flags,
                                    request->privacy)) {
        set_verdict(reuse, ETG_REUSE_UNUSABLE, "private");
    }
    else if (is_marked(stored, marks->invalidated_at)
             || marks->mark >= ETG_STORE_MARK_INVALID) {
        set_verdict(reuse, ETG_REUSE_VALIDATE, "invalidated");
    }
    else {
        return 0;
    }
    return 1;
}

static int is_about_data(const etg_stored_response *stored,
                         const etg_reuse_marks *marks)
{
    return stored->status == 200 && marks->data != NULL
           && marks->data->is_known;
}

/* 0: trust in the digest has ended, and lifetimes decide. */
static int is_decided_by_data(etg_reuse *reuse,
                              const etg_stored_response *stored,
                              const etg_reuse_data *data,
                              const etg_request_view *request,
                              const etg_policy *policy, apr_time_t now)
{
    if (asks_for_reload(request, policy)) {
        set_verdict(reuse, ETG_REUSE_VALIDATE, "request-no-cache");
    }
    else if (!data->is_by_request
             && stored->requested_at >= request->arrived_at
             && stored->requested_at <= now) {
        set_by_data(reuse, ETG_REUSE_FRESH, "data-new");
    }
    else if (!stored->has_data) {
        set_by_data(reuse, ETG_REUSE_VALIDATE, "data-unknown");
    }
    else {
        hold_against_data(reuse, stored, data, policy, now);
    }
    return reuse->reason != NULL;
}

static void hold_against_data(etg_reuse *reuse,
                              const etg_stored_response *stored,
                              const etg_reuse_data *data,
                              const etg_policy *policy, apr_time_t now)
{
    apr_interval_time_t since = now - etg_fetched_at(stored);

    if (memcmp(stored->data, data->digest, ETG_STORED_DATA_BYTES) != 0) {
        set_by_data(reuse, ETG_REUSE_VALIDATE, "data-changed");
        reuse->ttl = reuse->ttl < 0 ? reuse->ttl : 0;
    }
    else if (since < data->trust && since > -data->trust) {
        /* (A clock that was set back must not make trust endless.) */
        set_by_data(reuse, ETG_REUSE_FRESH, "data");
        reuse->is_validated = 1;
        reuse->age = 0;
        reuse->ttl = etg_lifetime_of(stored, policy);
    }
    else {
        reuse->needs_full_fetch = 1;
    }
}

static void set_by_data(etg_reuse *reuse, etg_reuse_verdict verdict,
                        const char *reason)
{
    set_verdict(reuse, verdict, reason);
    reuse->is_by_data = 1;
}

static int asks_for_reload(const etg_request_view *request,
                           const etg_policy *policy)
{
    return policy->allow_reload && (request->cc.flags & ETG_CC_NO_CACHE);
}

/* max-age and min-fresh of the request: wishes for more than fresh. */
static const char *unmet_wish(const etg_reuse *reuse,
                              const etg_cache_control *cc)
{
    if (cc->max_age != ETG_CC_ABSENT
        && reuse->age > apr_time_from_sec(cc->max_age)) {
        return "request-max-age";
    }
    if (cc->min_fresh != ETG_CC_ABSENT && reuse->ttl > 0
        && reuse->ttl < apr_time_from_sec(cc->min_fresh)) {
        return "request-min-fresh";
    }
    return NULL;
}

static int is_within_max_stale(const etg_reuse *reuse,
                               const etg_cache_control *cc)
{
    return (cc->flags & ETG_CC_MAX_STALE_ANY)
           || (cc->max_stale != ETG_CC_ABSENT
               && -reuse->ttl <= apr_time_from_sec(cc->max_stale));
}

static int is_usable_on_error(const etg_reuse *reuse,
                              const etg_stored_response *stored,
                              const etg_request_view *request,
                              const etg_policy *policy)
{
    apr_interval_time_t staleness = -reuse->ttl;

    if (stored->freshness.flags & ETG_FRESH_NO_CACHE) {
        return 0;
    }
    if (staleness < 0) {
        return 1;
    }
    if (!etg_may_be_stale(stored)) {
        return 0;
    }
    return staleness < etg_error_window(stored, policy)
           || staleness < etg_revalidate_window(stored, policy)
           || (policy->allow_revalidate
               && request->cc.stale_if_error != ETG_CC_ABSENT
               && staleness < apr_time_from_sec(request->cc.stale_if_error));
}

static int is_new_for(const etg_stored_response *stored,
                      const etg_request_view *request)
{
    return request->collapsed && stored->received_at >= request->arrived_at;
}

/* The stale half: may it be used without asking? */
static void decide_stale(etg_reuse *reuse, const etg_stored_response *stored,
                         const etg_request_view *request,
                         const etg_policy *policy, const char *why)
{
    if (policy->refreshes_behind
        && -reuse->ttl < etg_revalidate_window(stored, policy)) {
        set_verdict(reuse, ETG_REUSE_STALE, "stale-while-revalidate");
    }
    else if (policy->allow_revalidate && etg_may_be_stale(stored)
             && is_within_max_stale(reuse, &request->cc)) {
        set_verdict(reuse, ETG_REUSE_STALE, "request-max-stale");
    }
    else {
        set_verdict(reuse, ETG_REUSE_VALIDATE, why);
    }
}

static void decide(etg_reuse *reuse, const etg_stored_response *stored,
                   const etg_request_view *request, const etg_policy *policy,
                   int soft_purged)
{
    const char *wish;

    if (stored->freshness.flags & ETG_FRESH_NO_CACHE) {
        set_verdict(reuse, ETG_REUSE_VALIDATE, "no-cache");
        return;
    }
    if (asks_for_reload(request, policy)) {
        set_verdict(reuse, ETG_REUSE_VALIDATE, "request-no-cache");
        return;
    }
    if (!soft_purged && is_new_for(stored, request)) {
        set_verdict(reuse, ETG_REUSE_FRESH, "collapsed");
        return;
    }
    wish = policy->allow_revalidate ? unmet_wish(reuse, &request->cc) : NULL;
    if (wish != NULL) {
        set_verdict(reuse, ETG_REUSE_VALIDATE, wish);
    }
    else if (reuse->ttl > 0) {
        set_verdict(reuse, ETG_REUSE_FRESH, NULL);
    }
    else {
        decide_stale(reuse, stored, request, policy,
                     soft_purged ? "soft-purged" : "stale");
    }
}
