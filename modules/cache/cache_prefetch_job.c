/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_prefetch_job.c: fetches one next page, on one of the background's
 * threads.
 *
 * A ticket is the lead of a fetch under a key that is no resource's: the route
 * with a number. So there are at most as many prefetches of a route in all
 * processes as there are numbers, and those of a process that died are free
 * again.
 */
#include "modules/cache/cache_prefetch_job.h"

#include "lib/allowed_target.h"
#include "lib/gzip.h"
#include "lib/json_pointer.h"
#include "lib/prefetch_ledger.h"

/* How many of a route may be under way. */
#define TICKETS 2
/* How long a page whose next is in the store is not looked at again, at
 * most; and one that has no next. */
#define QUIET apr_time_from_sec(10)
/* How often, and how far apart, a body is looked for that is just being
 * written: its client may be faster than the store. */
#define TRIES 10
#define TRY_AGAIN apr_time_from_msec(20)
/* How long a backend that failed is left alone with that page. */
#define FAILED_FOR apr_time_from_sec(10)

typedef struct etg_cache_prefetch_job prefetch;

/* A body in memory. */
typedef struct text {
    unsigned char *bytes;
    apr_size_t length;
} text;

static const char *next_in_body(prefetch *job, apr_pool_t *pool);
static apr_status_t read_body(const prefetch *job, apr_pool_t *pool,
                              etg_bytes *body);
static apr_status_t read_entity(const prefetch *job, apr_pool_t *pool,
                                etg_bytes *stored);
static apr_status_t inflate(etg_bytes stored, apr_pool_t *pool,
                            etg_bytes *body);
static apr_status_t append(void *baton, const void *data, apr_size_t length);
static int take_ticket(const prefetch *job, apr_pool_t *pool,
                       etg_collapse_ticket *ticket);
static void fetch(prefetch *job, apr_pool_t *pool);
static void conclude(prefetch *job, const etg_cache_errand *errand,
                     int status, const etg_store_key *next_key);
static void next_key_of(const prefetch *job, apr_pool_t *pool,
                        etg_store_key *key);

void etg_cache_prefetch_run(void *baton, apr_pool_t *pool)
{
    prefetch *job = baton;
    etg_collapse *collapse = job->runtime->collapse;
    etg_collapse_ticket ticket = { 0, 0 };

    if (job->next == NULL) {
        job->next = next_in_body(job, pool);
        if (job->next == NULL) {
            return;
        }
        job->ask->target = job->next;
    }
    if (!take_ticket(job, pool, &ticket)) {
        if (job->runtime->ledger != NULL) {
            etg_prefetch_ledger_add(job->runtime->ledger,
                                    ETG_PREFETCH_SKIPPED);
        }
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, job->ask->server,
                     ETGLOGNO(0172) "%d prefetches of this route are under "
                     "way; skipped: %s", TICKETS, job->next);
        return;
    }
    fetch(job, pool);
    etg_collapse_finish(collapse, &ticket, ETG_COLLAPSE_NOT_STORED, 0);
}

/* The target that the stored body names, or NULL. */
static const char *next_in_body(prefetch *job, apr_pool_t *pool)
{
    const char *reference = NULL;
    const char *next = NULL;
    etg_bytes body;
    apr_status_t rv = read_body(job, pool, &body);

    if (rv == APR_NOTFOUND) {
        /* The next who gets the page has it looked at again. */
        etg_collapse_remember(job->runtime->collapse, &job->page, 0);
        return NULL;
    }
    if (rv == APR_SUCCESS) {
        rv = etg_json_pointer_text(body, job->pointer, pool, &reference);
    }
    if (reference != NULL) {
        next = etg_allowed_target(reference, job->scheme, job->host,
                                  job->target, job->prefixes, pool);
    }
    if (next == NULL) {
        ap_log_error(APLOG_MARK, APLOG_DEBUG, rv, job->ask->server,
                     ETGLOGNO(0173) "no next page to prefetch in %s: %s",
                     job->target, rv != APR_SUCCESS ? "its body is not read"
                     : reference == NULL ? "none is named"
                     : apr_pstrcat(pool, "not allowed: ", reference, NULL));
        etg_collapse_remember(job->runtime->collapse, &job->page,
                              apr_time_now() + QUIET);
    }
    return next;
}

/* In the backend's own, plain form. */
static apr_status_t read_body(const prefetch *job, apr_pool_t *pool,
                              etg_bytes *body)
{
    etg_bytes stored;
    apr_status_t rv = read_entity(job, pool, &stored);

    for (int i = 1; rv == APR_NOTFOUND && job->is_new && i < TRIES
         && !etg_cache_background_is_ending(job->runtime); i++) {
        apr_sleep(TRY_AGAIN);
        rv = read_entity(job, pool, &stored);
    }
    if (rv != APR_SUCCESS || job->coding == ETG_CODING_IDENTITY) {
        *body = stored;
        return rv;
    }
    return inflate(stored, pool, body);
}

static apr_status_t read_entity(const prefetch *job, apr_pool_t *pool,
                                etg_bytes *stored)
{
    const etg_cache_store *store = &job->server->entity;
    etg_store_answer answer = ETG_STORE_MISS;
    etg_entity entity;
    unsigned char *bytes;
    apr_off_t offset;
    apr_status_t rv = store->provider->entity_read(
        store->instance, &job->entity, job->body_length, pool, &answer,
        &entity);

    stored->data = NULL;
    stored->length = (apr_size_t)job->body_length;
    if (rv != APR_SUCCESS || answer != ETG_STORE_HIT) {
        return rv != APR_SUCCESS ? rv : APR_NOTFOUND;
    }
    if (entity.bytes != NULL) {
        stored->data = entity.bytes;
        return APR_SUCCESS;
    }
    bytes = apr_palloc(pool, stored->length);
    offset = entity.offset;
    rv = apr_file_seek(entity.file, APR_SET, &offset);
    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(entity.file, bytes, stored->length, NULL);
    }
    stored->data = bytes;
    return rv;
}

static apr_status_t inflate(etg_bytes stored, apr_pool_t *pool,
                            etg_bytes *body)
{
    text plain = { apr_palloc(pool, ETG_JSON_BYTES_MAX), 0 };
    etg_inflater *inflater;
    apr_status_t rv = etg_inflater_begin(&inflater, ETG_JSON_BYTES_MAX,
                                         append, &plain, pool);

    if (rv == APR_SUCCESS) {
        rv = etg_inflater_add(inflater, stored.data, stored.length);
    }
    if (rv == APR_SUCCESS) {
        rv = etg_inflater_end(inflater);
    }
    body->data = plain.bytes;
    body->length = plain.length;
    return rv;
}

/* An etg_gzip_sink into a buffer of ETG_JSON_BYTES_MAX. */
static apr_status_t append(void *baton, const void *data, apr_size_t length)
{
    text *plain = baton;

    if (length > ETG_JSON_BYTES_MAX - plain->length) {
        return APR_ENOSPC;
    }
    memcpy(plain->bytes + plain->length, data, length);
    plain->length += length;
    return APR_SUCCESS;
}

static int take_ticket(const prefetch *job, apr_pool_t *pool,
                       etg_collapse_ticket *ticket)
{
    for (int i = 0; i < TICKETS; i++) {
        const char *name = apr_psprintf(pool, "%s %d", job->route, i);
        etg_store_key key;

        etg_cache_key_hash(&key, name, strlen(name));
        if (etg_collapse_join(job->runtime->collapse, &key, 0, ticket)
            == ETG_COLLAPSE_LEAD) {
            return 1;
        }
    }
    return 0;
}

static void fetch(prefetch *job, apr_pool_t *pool)
{
    etg_cache_errand errand = {
        .purpose = ETG_CACHE_PREFETCH,
        .asked_at = apr_time_now()
    };
    etg_internal_answer answer;
    etg_store_key next_key;

    next_key_of(job, pool, &next_key);
    if (etg_collapse_is_uncacheable(job->runtime->collapse, &next_key,
                                    apr_time_now())) {
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, job->ask->server,
                     ETGLOGNO(0174) "could not be prefetched lately; left "
                     "alone: %s", job->next);
        return;
    }
    etg_cache_errand_run(job->runtime, &errand, job->ask, pool, &answer);
    if (errand.was_fetched && job->runtime->ledger != NULL) {
        etg_prefetch_ledger_add(job->runtime->ledger, ETG_PREFETCH_STARTED);
    }
    conclude(job, &errand, answer.status, &next_key);
}

/* What is there is not looked at again for a while; what cannot be had this
 * way, or goes past the cache, is not asked for again. (An errand that found
 * nothing to do says 204.) */
static void conclude(prefetch *job, const etg_cache_errand *errand,
                     int status, const etg_store_key *next_key)
{
    etg_collapse *collapse = job->runtime->collapse;
    apr_time_t now = apr_time_now();

    if (errand->is_stored && errand->ttl > 0) {
        etg_collapse_remember(collapse, &job->page,
                              now + (errand->ttl < QUIET ? errand->ttl
                                                         : QUIET));
    }
    else if (errand->was_fetched || status != HTTP_NO_CONTENT) {
        etg_collapse_remember(collapse, next_key,
                              now + (status == 0 || status >= 500
                                     ? FAILED_FOR
                                     : ETG_CACHE_UNCACHEABLE_FOR));
    }
}

/* Kept beside the uncacheable keys, under a key of its own. */
static void next_key_of(const prefetch *job, apr_pool_t *pool,
                        etg_store_key *key)
{
    const char *host = apr_table_get(job->ask->fields, "Host");
    const char *name = apr_psprintf(pool, "%s next %s %s", job->route,
                                    host != NULL ? host : "", job->next);

    etg_cache_key_hash(key, name, strlen(name));
}
