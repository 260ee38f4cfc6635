/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_policy.c: the worst of what the parts allow.
 *
 * Each part is read as a cache would read it that received it just now
 * (freshness.c), and added to a sum: smallest numbers, flags of any and of
 * all. The fields are written from the sum. Called once for each composite,
 * on its request's thread.
 */
#include "lib/composite_policy.h"

#include <string.h>

#include <apr_strings.h>

#include "lib/field_list.h"
#include "lib/freshness.h"
#include "lib/http_date.h"
#include "lib/vary.h"

/* delta-seconds end here (RFC 9111 §1.2.2). */
#define SECONDS_MAX (APR_INT64_C(1) << 31)
#define NONE (-1)

/* Seconds; of what not all parts have, NONE is the smallest. */
typedef struct sum {
    unsigned any;                   /* ETG_CC_* */
    unsigned all;
    apr_int64_t left;               /* for everybody */
    apr_int64_t shared_left;        /* for shared caches */
    int has_shared;                 /* any part has s-maxage */
    apr_int64_t age;                /* the largest */
    int has_age;                    /* any part has the field */
    apr_int64_t revalidate;         /* stale-while-revalidate */
    apr_int64_t on_error;           /* stale-if-error */
    apr_time_t newest;              /* NONE: a part has no date */
} sum;

/* No heuristic, no default, no override. */
static const etg_policy plain = { .max_ttl = ETG_CC_ABSENT };

static void add_part(sum *all, const apr_table_t *fields, apr_time_t now,
                     apr_pool_t *p);
static int sets_cookie(const apr_table_t *fields,
                       const etg_cache_control *cc);
static apr_int64_t left_of(const etg_cache_control *cc,
                           const etg_response_view *response,
                           apr_int64_t *age, apr_pool_t *p);
static apr_int64_t window(apr_int64_t stated, apr_int64_t left);
static void lower(apr_int64_t *least, apr_int64_t value);
static void add_date(sum *all, const apr_table_t *fields, apr_time_t now);
static const char *cache_control(const sum *all, int is_private,
                                 apr_pool_t *p);
static const char *add_word(const char *list, const char *word,
                            apr_pool_t *p);
static const char *add_seconds(const char *list, const char *name,
                               apr_int64_t seconds, apr_pool_t *p);
static apr_int64_t aged(apr_int64_t left, apr_int64_t age);
static const char *vary_of(const apr_array_header_t *parts, apr_pool_t *p);
static int add_names(apr_array_header_t *names, const char *value,
                     apr_pool_t *p);
static int has_name(const apr_array_header_t *names, etg_bytes name);
static const char *date_text(apr_time_t when, apr_pool_t *p);

void etg_composite_policy_of(etg_composite_policy *policy,
                             const apr_array_header_t *parts, int is_private,
                             int is_incomplete, apr_time_t now, apr_pool_t *p)
{
    sum all = {
        .all = parts->nelts > 0 ? ~0u : 0,
        .left = parts->nelts > 0 ? SECONDS_MAX : 0,
        .shared_left = SECONDS_MAX,
        .revalidate = parts->nelts > 0 ? SECONDS_MAX : NONE,
        .on_error = parts->nelts > 0 ? SECONDS_MAX : NONE,
        .newest = parts->nelts > 0 ? 0 : NONE
    };

    for (int i = 0; i < parts->nelts; i++) {
        add_part(&all, APR_ARRAY_IDX(parts, i, const apr_table_t *), now, p);
    }
    policy->vary = vary_of(parts, p);
    policy->age = NONE;
    policy->last_modified = NULL;
    if (is_incomplete) {
        policy->cache_control = "no-store";
        return;
    }
    policy->cache_control = cache_control(&all, is_private, p);
    if (all.has_age || all.age > 0) {
        policy->age = all.age;
    }
    if (all.newest != NONE) {
        policy->last_modified = date_text(all.newest, p);
    }
}

static void add_part(sum *all, const apr_table_t *fields, apr_time_t now,
                     apr_pool_t *p)
{
    etg_response_view response = {
        .status = 200, .fields = fields,
        .requested_at = now, .received_at = now
    };
    etg_cache_control cc;
    apr_int64_t age = 0;
    apr_int64_t left;

    etg_governing_cache_control(&cc, &response, &plain, p);
    all->any |= cc.flags | (sets_cookie(fields, &cc) ? ETG_CC_PRIVATE : 0);
    all->all &= cc.flags;
    all->has_shared |= cc.s_maxage != ETG_CC_ABSENT;
    lower(&all->shared_left, left_of(&cc, &response, &age, p));
    cc.s_maxage = ETG_CC_ABSENT;
    left = left_of(&cc, &response, &age, p);
    lower(&all->left, left);
    lower(&all->revalidate, window(cc.stale_while_revalidate, left));
    lower(&all->on_error, window(cc.stale_if_error, left));
    all->has_age |= apr_table_get(fields, "Age") != NULL;
    if (age > all->age) {
        all->age = age;
    }
    add_date(all, fields, now);
}

/* Then it may be of the one who gets the cookie, and our cache would not keep
 * it (lib/storable.c). Without the field nobody could tell any more. */
static int sets_cookie(const apr_table_t *fields, const etg_cache_control *cc)
{
    return apr_table_get(fields, "Set-Cookie") != NULL
        && !etg_list_has_token(cc->private_fields, "set-cookie")
        && !etg_list_has_token(cc->no_cache_fields, "set-cookie");
}

/* Below 0: it is stale already. */
static apr_int64_t left_of(const etg_cache_control *cc,
                           const etg_response_view *response,
                           apr_int64_t *age, apr_pool_t *p)
{
    etg_freshness freshness;

    etg_freshness_of(&freshness, cc, ETG_CC_FROM_FIELD, cc, response, &plain,
                     p);
    *age = apr_time_sec(freshness.initial_age);
    if (*age > SECONDS_MAX) {
        *age = SECONDS_MAX;
    }
    return apr_time_sec(freshness.lifetime) - *age;
}

static apr_int64_t window(apr_int64_t stated, apr_int64_t left)
{
    if (stated == ETG_CC_ABSENT || left >= 0) {
        return stated;
    }
    return stated > -left ? stated + left : 0;
}

static void lower(apr_int64_t *least, apr_int64_t value)
{
    if (value < *least) {
        *least = value;
    }
}

static void add_date(sum *all, const apr_table_t *fields, apr_time_t now)
{
    apr_time_t when;

    if (etg_field_count(fields, "Last-Modified") != 1
        || !etg_http_date_parse(
               etg_bytes_of(apr_table_get(fields, "Last-Modified")), now,
               &when)
        || when < 0 || when > now) {
        all->newest = NONE;
    }
    else if (all->newest != NONE && when > all->newest) {
        all->newest = when;
    }
}

static const char *cache_control(const sum *all, int is_private,
                                 apr_pool_t *p)
{
    int is_checked = (all->any & (ETG_CC_MUST_REVALIDATE
                                  | ETG_CC_PROXY_REVALIDATE)) != 0;
    const char *list = "";

    is_private = is_private || (all->any & ETG_CC_PRIVATE);
    if (all->any & ETG_CC_NO_STORE) {
        return "no-store";
    }
    if (is_private || (all->all & ETG_CC_PUBLIC)) {
        list = is_private ? "private" : "public";
    }
    if (all->any & ETG_CC_NO_CACHE) {
        list = add_word(list, "no-cache", p);
    }
    if (is_checked) {
        list = add_word(list, "must-revalidate", p);
    }
    if (all->any & ETG_CC_NO_TRANSFORM) {
        list = add_word(list, "no-transform", p);
    }
    list = add_seconds(list, "max-age=", aged(all->left, all->age), p);
    if (all->has_shared && !is_private) {
        list = add_seconds(list, "s-maxage=",
                           aged(all->shared_left, all->age), p);
    }
    if (is_checked || (all->any & ETG_CC_NO_CACHE)) {
        return list;
    }
    if (all->revalidate > 0) {
        list = add_seconds(list, "stale-while-revalidate=", all->revalidate,
                           p);
    }
    return all->on_error > 0
        ? add_seconds(list, "stale-if-error=", all->on_error, p) : list;
}

static const char *add_word(const char *list, const char *word, apr_pool_t *p)
{
    return apr_pstrcat(p, list, *list != '\0' ? ", " : "", word, NULL);
}

static const char *add_seconds(const char *list, const char *name,
                               apr_int64_t seconds, apr_pool_t *p)
{
    return apr_psprintf(p, "%s%s%s%" APR_INT64_T_FMT, list,
                        *list != '\0' ? ", " : "", name, seconds);
}

/* What is left, counted from when the oldest part was new; nothing is 0 for
 * those, too, that do not look at Age. Never above SECONDS_MAX, as the oldest
 * part has no more left than SECONDS_MAX less its age. */
static apr_int64_t aged(apr_int64_t left, apr_int64_t age)
{
    return left > 0 ? left + age : 0;
}

static const char *vary_of(const apr_array_header_t *parts, apr_pool_t *p)
{
    apr_array_header_t *names = apr_array_make(p, 4, sizeof(const char *));
    const char *list = NULL;

    for (int i = 0; i < parts->nelts; i++) {
        const apr_table_t *fields = APR_ARRAY_IDX(parts, i,
                                                  const apr_table_t *);
        const char *value = etg_field_combined(fields, "Vary", p);

        if (value != NULL && !add_names(names, value, p)) {
            return "*";
        }
    }
    for (int i = 0; i < names->nelts; i++) {
        list = add_word(list != NULL ? list : "",
                        APR_ARRAY_IDX(names, i, const char *), p);
    }
    return list;
}

/* 0: a member that is no name, or too many names. */
static int add_names(apr_array_header_t *names, const char *value,
                     apr_pool_t *p)
{
    etg_bytes rest = etg_bytes_of(value);
    etg_bytes member;

    while (etg_list_next(&rest, &member)) {
        if (!etg_is_token(member) || etg_bytes_is(member, "*")) {
            return 0;
        }
        if (!has_name(names, member)) {
            if (names->nelts == ETG_VARY_NAMES_MAX) {
                return 0;
            }
            APR_ARRAY_PUSH(names, const char *)
                = apr_pstrmemdup(p, (const char *)member.data,
                                 member.length);
        }
    }
    return 1;
}

static int has_name(const apr_array_header_t *names, etg_bytes name)
{
    for (int i = 0; i < names->nelts; i++) {
        if (etg_bytes_is(name, APR_ARRAY_IDX(names, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

static const char *date_text(apr_time_t when, apr_pool_t *p)
{
    char *text = apr_palloc(p, APR_RFC822_DATE_LEN);

    return apr_rfc822_date(text, when) == APR_SUCCESS ? text : NULL;
}
