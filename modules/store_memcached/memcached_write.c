/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_write.c: changing the metastore, on the writer's thread.
 *
 * The primary item is read, changed and put back by compare and swap, again
 * and again until nobody else was faster. It carries the response written
 * last; the one that it carried before is put under a key of its own first,
 * and generations for tags that have none before both: whoever sees the new
 * item finds the rest.
 */
#include "memcached_store.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 16

typedef struct write_job {
    etg_memcached_job job;
    etg_store_write *write;
} write_job;

/* One try. */
typedef struct attempt {
    etg_memcached_call *call;
    etg_store_write *write;
    apr_pool_t *pool;
    etg_memcached_key key;
    etg_memcached_value value;     /* of the primary item */
    etg_memcached_clock clock;
    int has_old;
    etg_memcached_primary old;
    etg_memcached_primary fresh;
} attempt;

static apr_status_t write_run(etg_store *store, etg_memcached_job *job);
static void write_finish(etg_store *store, etg_memcached_job *job,
                         apr_status_t result);
static apr_status_t write_try(attempt *try, etg_memcached_outcome *outcome);
static apr_status_t old_read(attempt *try);
static apr_status_t response_place(attempt *try);
static apr_status_t old_response_part(attempt *try);
static apr_status_t generations_need(attempt *try, etg_bytes tags);
static int are_possible(const etg_memcached_marks *marks, unsigned count,
                        const etg_memcached_clock *clock);
static apr_status_t clock_ask_again(attempt *try);
static apr_status_t primary_put(attempt *try, etg_memcached_outcome *outcome);
static int is_refused(apr_status_t rv, etg_memcached_outcome outcome);
static apr_status_t mark_put_alone(attempt *try,
                                   etg_memcached_outcome *outcome);
static apr_status_t primary_remove(attempt *try,
                                   etg_memcached_outcome *outcome);

apr_status_t etg_memcached_meta_write(etg_store *store,
                                      etg_store_write *write,
                                      apr_interval_time_t wait)
{
    write_job *job = NULL;
    if (etg_memcached_is_up(store)) {
        job = calloc(1, sizeof(*job));
    }
    if (job == NULL) {
        apr_pool_destroy(write->pool);
        return APR_EGENERAL;
    }
    job->write = write;
    job->job.run = write_run;
    job->job.finish = write_finish;
    job->job.bytes = sizeof(*job) + write->response.length + 1024;
    job->job.is_fill = write->response.data != NULL;
    return etg_memcached_writer_run(store, &job->job, wait);
}

static apr_status_t write_run(etg_store *store, etg_memcached_job *job)
{
    etg_store_write *write = ((write_job *)job)->write;
    etg_memcached_call call;
    etg_memcached_outcome outcome = ETG_MEMCACHED_NOT_DONE;
    etg_memcached_count_add(store, ETG_MEMCACHED_WRITES, 1);
    if (write->response.data != NULL && write->moment.of[0] == 0) {
        return APR_SUCCESS;
    }
    apr_status_t rv = etg_memcached_call_begin(
        store, etg_memcached_node_of(store, write->primary_key.bytes,
                                     sizeof(write->primary_key.bytes)),
        &call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < TRIES && rv == APR_SUCCESS
         && outcome == ETG_MEMCACHED_NOT_DONE; i++) {
        attempt try = { .call = &call, .write = write };
        apr_pool_create(&try.pool, write->pool);
        etg_memcached_call_renew(&call);
        rv = write_try(&try, &outcome);
        apr_pool_destroy(try.pool);
        if (rv == APR_SUCCESS && outcome == ETG_MEMCACHED_NOT_DONE) {
            etg_memcached_count_add(store, ETG_MEMCACHED_CONFLICTS, 1);
        }
    }
    etg_memcached_call_end(&call);
    if (rv == APR_SUCCESS && outcome != ETG_MEMCACHED_DONE) {
        rv = outcome == ETG_MEMCACHED_REFUSED ? APR_ENOSPC : APR_EBUSY;
    }
    return rv;
}

static void write_finish(etg_store *store, etg_memcached_job *job,
                         apr_status_t result)
{
    (void)store;
    (void)result;
    apr_pool_destroy(((write_job *)job)->write->pool);
}

static apr_status_t write_try(attempt *try, etg_memcached_outcome *outcome)
{
    etg_bytes none = { NULL, 0 };
    etg_bytes fresh = { NULL, 0 };
    apr_status_t rv = old_read(try);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = try->write->update(try->write,
                            try->has_old ? try->old.primary : none,
                            try->pool, &fresh, &try->fresh.expires_at);
    if (rv != APR_SUCCESS) {
        *outcome = ETG_MEMCACHED_DONE;     /* it has given up */
        return APR_SUCCESS;
    }
    if (fresh.length == 0) {
        return primary_remove(try, outcome);
    }
    try->fresh.primary = fresh;
    rv = response_place(try);
    if (rv == APR_SUCCESS) {
        rv = primary_put(try, outcome);
    }
    return try->write->response.data == NULL && is_refused(rv, *outcome)
           ? mark_put_alone(try, outcome) : rv;
}

/* What is there is either the item or is put over. */
static apr_status_t old_read(attempt *try)
{
    const char *name_space = try->call->store->at.name_space;
    etg_memcached_key clock_key;
    const etg_memcached_key *keys[2] = { &try->key, &clock_key };
    etg_memcached_value values[2];
    etg_memcached_key_of_primary(&try->key, name_space,
                                 &try->write->primary_key);
    etg_memcached_key_of_clock(&clock_key, name_space);
    apr_status_t rv = etg_memcached_get(try->call, keys, 2,
                                        ETG_MEMCACHED_ITEM_MAX, try->pool,
                                        values);
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_clock_read(try->call, &values[1], try->pool,
                                      &try->clock);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    try->value = values[0];
    if (values[0].bytes.data != NULL) {
        try->has_old = etg_memcached_primary_unpack(values[0].bytes,
                                                    &try->key, &try->old)
                       == APR_SUCCESS
                       && try->old.expires_at > apr_time_now();
    }
    return APR_SUCCESS;
}

/* The response into the new pair: the write's, or the one that was there. */
static apr_status_t response_place(attempt *try)
{
    const etg_store_write *write = try->write;
    etg_memcached_response *response = &try->fresh.response;
    if (write->response.data == NULL) {
        try->fresh.has_response = try->has_old && try->old.has_response;
        if (try->fresh.has_response) {
            *response = try->old.response;
        }
        return APR_SUCCESS;
    }
    try->fresh.has_response = 1;
    response->key = write->response_key;
    response->response = write->response;
    response->moment = write->moment.of[0];
    response->tags = etg_memcached_tags_pack(write->tags, write->tag_count,
                                             try->pool);
    response->expires_at = write->response_expires_at;
    apr_status_t rv = generations_need(try, response->tags);
    if (rv == APR_SUCCESS && try->has_old && try->old.has_response
        && memcmp(&try->old.response.key, &response->key,
                  sizeof(response->key)) != 0) {
        rv = old_response_part(try);
    }
    return rv;
}

/* Under its own key an older one may still be: it goes, whatever happens. */
static apr_status_t old_response_part(attempt *try)
{
    const etg_memcached_response *old = &try->old.response;
    etg_memcached_key key;
    etg_memcached_outcome outcome;
    etg_bytes item;
    apr_uint32_t exptime;
    etg_memcached_key_of_response(&key, try->call->store->at.name_space,
                                  &old->key);
    if (etg_memcached_exptime(old->expires_at, apr_time_now(), &exptime)
        && etg_memcached_response_pack(old, &key, try->pool, &item)
           == APR_SUCCESS) {
        apr_status_t rv = etg_memcached_put(try->call, ETG_MEMCACHED_SET,
                                            &key, item, exptime, 0, &outcome);
        if (rv != APR_SUCCESS || outcome == ETG_MEMCACHED_DONE) {
            return rv;
        }
    }
    return etg_memcached_delete(try->call, &key, &outcome);
}

static apr_status_t generations_need(attempt *try, etg_bytes tags)
{
    etg_memcached_marks marks[ETG_STORE_TAGS_MAX];
    etg_memcached_key keys[ETG_STORE_TAGS_MAX];
    etg_memcached_put_order orders[ETG_STORE_TAGS_MAX];
    apr_uint64_t cas[ETG_STORE_TAGS_MAX];
    etg_memcached_marks fresh;
    unsigned count = try->write->tag_count;
    unsigned missing = 0;
    apr_status_t rv = etg_memcached_tags_read(try->call, tags, try->pool,
                                              marks, cas);
    if (rv == APR_SUCCESS && !are_possible(marks, count, &try->clock)) {
        rv = clock_ask_again(try);
    }
    fresh = etg_memcached_marks_new(try->clock.reading);
    for (unsigned i = 0; i < count && rv == APR_SUCCESS; i++) {
        etg_memcached_put_order *order = &orders[missing];
        etg_memcached_key *key = &keys[missing];
        if (marks[i].soft != 0 && are_possible(&marks[i], 1, &try->clock)) {
            continue;
        }
        etg_memcached_key_of_tag(key, try->call->store->at.name_space,
                                 try->write->tags[i]);
        order->verb = cas[i] != 0 ? ETG_MEMCACHED_CAS : ETG_MEMCACHED_ADD;
        order->key = key;
        order->exptime = 0;
        order->cas = cas[i];
        rv = etg_memcached_marks_pack(&fresh, key, try->pool, &order->item);
        missing++;
    }
    /* One that is there by now was made by another: as good. */
    return rv != APR_SUCCESS ? rv
           : etg_memcached_put_all(try->call, orders, missing);
}

/* The clock moves before the tags do. */
static int are_possible(const etg_memcached_marks *marks, unsigned count,
                        const etg_memcached_clock *clock)
{
    for (unsigned i = 0; i < count; i++) {
        if (marks[i].soft > clock->reading
            || marks[i].invalid > clock->reading
            || marks[i].gone > clock->reading) {
            return 0;
        }
    }
    return 1;
}

/* It may have moved since. A tag that is ahead of it even so was marked by a
 * clock that was lost, or by nobody: it would outlive every moment. */
static apr_status_t clock_ask_again(attempt *try)
{
    etg_memcached_key key;
    const etg_memcached_key *keys[1] = { &key };
    etg_memcached_value value;
    etg_memcached_key_of_clock(&key, try->call->store->at.name_space);
    apr_status_t rv = etg_memcached_get(try->call, keys, 1,
                                        ETG_MEMCACHED_ITEM_MAX, try->pool,
                                        &value);
    return rv != APR_SUCCESS ? rv
           : etg_memcached_clock_read(try->call, &value, try->pool,
                                      &try->clock);
}

static apr_status_t primary_put(attempt *try, etg_memcached_outcome *outcome)
{
    etg_bytes item;
    apr_uint32_t exptime;
    if (!etg_memcached_exptime(try->fresh.expires_at, apr_time_now(),
                               &exptime)) {
        return primary_remove(try, outcome);
    }
    apr_status_t rv = etg_memcached_primary_pack(&try->fresh, &try->key,
                                                 try->pool, &item);
    return rv != APR_SUCCESS ? rv
           : etg_memcached_put(try->call, try->value.bytes.data != NULL
                                          ? ETG_MEMCACHED_CAS
                                          : ETG_MEMCACHED_ADD,
                               &try->key, item, exptime, try->value.cas,
                               outcome);
}

static int is_refused(apr_status_t rv, etg_memcached_outcome outcome)
{
    return rv == APR_ENOSPC
           || (rv == APR_SUCCESS && outcome == ETG_MEMCACHED_REFUSED);
}

/* A mark for which there is no room must not leave what it marks as it was:
 * first the response goes, then all. In the latter case fetches that began
 * before are not kept from being stored, so that is no success. */
static apr_status_t mark_put_alone(attempt *try,
                                   etg_memcached_outcome *outcome)
{
    try->fresh.has_response = 0;
    apr_status_t rv = primary_put(try, outcome);
    if (!is_refused(rv, *outcome)) {
        return rv;
    }
    rv = primary_remove(try, outcome);
    return rv == APR_SUCCESS && *outcome == ETG_MEMCACHED_DONE ? APR_ENOSPC
                                                               : rv;
}

static apr_status_t primary_remove(attempt *try,
                                   etg_memcached_outcome *outcome)
{
    etg_bytes nothing = { (const unsigned char *)"", 0 };
    if (try->value.bytes.data == NULL) {
        *outcome = ETG_MEMCACHED_DONE;
        return APR_SUCCESS;
    }
    return etg_memcached_put(try->call, ETG_MEMCACHED_CAS, &try->key, nothing,
                             ETG_MEMCACHED_AT_ONCE, try->value.cas, outcome);
}
