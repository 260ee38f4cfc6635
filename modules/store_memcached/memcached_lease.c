/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_lease.c: who fetches a key, among all hosts.
 *
 * A lease is an item that only one can add, with a random token, for three
 * seconds. The writer's thread renews those that this child holds every
 * second, so that a lease outlives its holder by seconds only, and releases
 * them behind the writes they were taken for. Whatever it changes it changes
 * by compare and swap, and only if the token is still its own.
 *
 * One that is seen unchanged for longer than any lease lasts has a lifetime
 * that we did not give it. It is removed, or its key would be waited for each
 * time, or pass for uncacheable, for ever.
 */
#include "memcached_store.h"

#include <apr_general.h>

#include <stdlib.h>
#include <string.h>

#define LEASE_SECONDS 3
#define UNCACHEABLE_SECONDS 5
#define RENEW_EVERY apr_time_from_sec(1)
#define LEASES_MAX 4096
#define OVERDUE apr_time_from_sec(UNCACHEABLE_SECONDS + 2)
#define SIGHTINGS 256              /* by all bytes of the key as one */

/* No lease has this token. */
#define NOBODYS UINT64_MAX

typedef struct held_lease {
    struct held_lease *next;
    etg_store_lease lease;
    apr_time_t renew_at;
} held_lease;

/* A lease item of another, when it was first seen as it is. */
typedef struct sighting {
    etg_store_key key;
    apr_uint64_t cas;
    apr_time_t since;
} sighting;

struct etg_memcached_leases {
    pthread_mutex_t lock;
    held_lease *held;
    unsigned count;
    sighting seen[SIGHTINGS];
};

typedef struct release_job {
    etg_memcached_job job;
    etg_store_lease lease;
    int is_uncacheable;
} release_job;

/* A lease item as it was read. */
typedef struct lease_item {
    etg_memcached_key key;
    int is_there;
    apr_uint64_t cas;
    apr_uint64_t token;            /* 0: uncacheable, if it is there */
} lease_item;

static apr_status_t item_add(etg_memcached_call *call, apr_uint64_t token,
                             apr_pool_t *p, lease_item *item,
                             etg_memcached_outcome *outcome);
static apr_status_t item_read(etg_memcached_call *call, apr_pool_t *p,
                              lease_item *item);
static apr_status_t take_try(etg_memcached_call *call,
                             const etg_store_lease *lease, apr_pool_t *p,
                             lease_item *item, etg_store_lease_state *state);
static int is_overdue(etg_store *store, const etg_store_key *key,
                      apr_uint64_t cas);
static apr_status_t item_remove(etg_memcached_call *call,
                                const lease_item *item);
static int held_add(etg_store *store, const etg_store_lease *lease);
static void held_drop(etg_store *store, const etg_store_lease *lease);
static int due_next(etg_store *store, apr_time_t now, etg_store_lease *lease);
static apr_status_t renew(etg_store *store, const etg_store_lease *lease);
static apr_status_t lease_change(etg_store *store,
                                 const etg_store_lease *lease,
                                 apr_uint64_t token, apr_int64_t exptime,
                                 int must_be);
static apr_status_t release_run(etg_store *store, etg_memcached_job *job);
static void release_finish(etg_store *store, etg_memcached_job *job,
                           apr_status_t result);

apr_status_t etg_memcached_leases_open(etg_store *store)
{
    store->leases = calloc(1, sizeof(*store->leases));
    if (store->leases == NULL) {
        return APR_ENOMEM;
    }
    pthread_mutex_init(&store->leases->lock, NULL);
    return APR_SUCCESS;
}

void etg_memcached_leases_close(etg_store *store)
{
    held_lease *at = store->leases->held;
    while (at != NULL) {
        held_lease *next = at->next;
        free(at);
        at = next;
    }
    pthread_mutex_destroy(&store->leases->lock);
    free(store->leases);
    store->leases = NULL;
}

apr_status_t etg_memcached_lease_take(etg_store *store,
                                      const etg_store_key *key,
                                      etg_store_lease *lease,
                                      etg_store_lease_state *state)
{
    etg_memcached_call call;
    lease_item item;
    etg_store_lease_state found = ETG_STORE_LEASE_HELD;
    etg_store_lease made = { *key, 0 };
    apr_pool_t *scratch;
    if (!etg_memcached_is_up(store)) {
        return APR_EGENERAL;
    }
    apr_status_t rv = apr_generate_random_bytes((unsigned char *)&made.token,
                                                sizeof(made.token));
    if (rv == APR_SUCCESS && (made.token == 0 || made.token == NOBODYS)) {
        made.token = 1;
    }
    if (rv == APR_SUCCESS) {
        rv = etg_memcached_call_begin(
            store, etg_memcached_node_of(store, key->bytes,
                                         sizeof(key->bytes)), &call);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_memcached_key_of_lease(&item.key, store->at.name_space, key);
    apr_pool_create(&scratch, NULL);
    rv = take_try(&call, &made, scratch, &item, &found);
    apr_pool_destroy(scratch);
    etg_memcached_call_end(&call);
    if (rv == APR_SUCCESS && found == ETG_STORE_LEASE_TAKEN) {
        etg_memcached_count_add(store, ETG_MEMCACHED_LEASES_TAKEN, 1);
        if (!held_add(store, &made)) {
            return APR_ENOSPC;     /* not renewed: it runs out */
        }
        *lease = made;
    }
    if (rv == APR_SUCCESS) {
        *state = found;
    }
    return rv;
}

void etg_memcached_lease_release(etg_store *store, etg_store_lease *lease,
                                 int is_uncacheable)
{
    etg_store_lease released = *lease;
    memset(lease, 0, sizeof(*lease));
    if (released.token == 0 || !etg_memcached_is_up(store)) {
        return;
    }
    held_drop(store, &released);
    release_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return;                    /* not renewed any more: it runs out */
    }
    job->lease = released;
    job->is_uncacheable = is_uncacheable;
    job->job.run = release_run;
    job->job.finish = release_finish;
    job->job.bytes = sizeof(*job);
    etg_memcached_writer_run(store, &job->job, 0);
}

apr_interval_time_t etg_memcached_leases_renew(etg_store *store,
                                               apr_interval_time_t most)
{
    etg_store_lease lease;
    apr_time_t now = etg_memcached_now();
    while (due_next(store, now, &lease)) {
        renew(store, &lease);
    }
    pthread_mutex_lock(&store->leases->lock);
    for (const held_lease *at = store->leases->held; at != NULL;
         at = at->next) {
        if (at->renew_at - now < most) {
            most = at->renew_at - now;
        }
    }
    pthread_mutex_unlock(&store->leases->lock);
    return most > 0 ? most : 0;
}

/* One that ran out between the two questions is asked for once more. */
static apr_status_t take_try(etg_memcached_call *call,
                             const etg_store_lease *lease, apr_pool_t *p,
                             lease_item *item, etg_store_lease_state *state)
{
    etg_memcached_outcome outcome;
    for (int i = 0; i < 2; i++) {
        apr_status_t rv = item_add(call, lease->token, p, item, &outcome);
        if (rv != APR_SUCCESS || outcome == ETG_MEMCACHED_REFUSED) {
            return rv != APR_SUCCESS ? rv : APR_ENOSPC;
        }
        if (outcome == ETG_MEMCACHED_DONE) {
            *state = ETG_STORE_LEASE_TAKEN;
            return APR_SUCCESS;
        }
        rv = item_read(call, p, item);
        if (rv == APR_SUCCESS && item->is_there
            && is_overdue(call->store, &lease->key, item->cas)) {
            rv = item_remove(call, item);
            item->is_there = 0;
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (item->is_there && item->token == NOBODYS) {
            return APR_EGENERAL;
        }
        if (item->is_there) {
            *state = item->token == 0 ? ETG_STORE_LEASE_UNCACHEABLE
                                      : ETG_STORE_LEASE_HELD;
            return APR_SUCCESS;
        }
    }
    return APR_SUCCESS;
}

/* Who holds a lease changes the item each second. */
static int is_overdue(etg_store *store, const etg_store_key *key,
                      apr_uint64_t cas)
{
    etg_memcached_leases *leases = store->leases;
    unsigned char at = 0;
    apr_time_t now = etg_memcached_now();
    for (unsigned i = 0; i < sizeof(key->bytes); i++) {
        at ^= key->bytes[i];
    }
    sighting *seen = &leases->seen[at];
    pthread_mutex_lock(&leases->lock);
    if (seen->cas != cas || memcmp(&seen->key, key, sizeof(*key)) != 0) {
        seen->key = *key;
        seen->cas = cas;
        seen->since = now;
    }
    int is_due = now - seen->since > OVERDUE;
    pthread_mutex_unlock(&leases->lock);
    return is_due;
}

static apr_status_t item_remove(etg_memcached_call *call,
                                const lease_item *item)
{
    etg_bytes nothing = { (const unsigned char *)"", 0 };
    etg_memcached_outcome outcome;
    return etg_memcached_put(call, ETG_MEMCACHED_CAS, &item->key, nothing,
                             ETG_MEMCACHED_AT_ONCE, item->cas, &outcome);
}

static apr_status_t item_add(etg_memcached_call *call, apr_uint64_t token,
                             apr_pool_t *p, lease_item *item,
                             etg_memcached_outcome *outcome)
{
    etg_memcached_lease lease = { token };
    etg_bytes bytes;
    apr_status_t rv = etg_memcached_lease_pack(&lease, &item->key, p, &bytes);
    return rv != APR_SUCCESS ? rv
           : etg_memcached_put(call, ETG_MEMCACHED_ADD, &item->key, bytes,
                               token == 0 ? UNCACHEABLE_SECONDS
                                          : LEASE_SECONDS, 0, outcome);
}

/* What is damaged says nothing: nobody puts it over, or waits for it to run
 * out. */
static apr_status_t item_read(etg_memcached_call *call, apr_pool_t *p,
                              lease_item *item)
{
    const etg_memcached_key *keys[1] = { &item->key };
    etg_memcached_value value;
    etg_memcached_lease lease;
    apr_status_t rv = etg_memcached_get(call, keys, 1,
                                        ETG_MEMCACHED_ITEM_MAX, p, &value);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    item->is_there = value.bytes.data != NULL;
    item->cas = value.cas;
    item->token = NOBODYS;
    if (item->is_there
        && etg_memcached_lease_unpack(value.bytes, &item->key, &lease)
           == APR_SUCCESS) {
        item->token = lease.token;
    }
    return APR_SUCCESS;
}

static int held_add(etg_store *store, const etg_store_lease *lease)
{
    etg_memcached_leases *leases = store->leases;
    held_lease *made = malloc(sizeof(*made));
    if (made == NULL) {
        return 0;
    }
    made->lease = *lease;
    made->renew_at = etg_memcached_now() + RENEW_EVERY;
    pthread_mutex_lock(&leases->lock);
    int has_room = leases->count < LEASES_MAX;
    int was_empty = leases->held == NULL;
    if (has_room) {
        made->next = leases->held;
        leases->held = made;
        leases->count++;
    }
    pthread_mutex_unlock(&leases->lock);
    if (!has_room) {
        free(made);
    }
    else if (was_empty) {
        etg_memcached_writer_wake(store);
    }
    return has_room;
}

static void held_drop(etg_store *store, const etg_store_lease *lease)
{
    etg_memcached_leases *leases = store->leases;
    pthread_mutex_lock(&leases->lock);
    held_lease **at = &leases->held;
    while (*at != NULL && (*at)->lease.token != lease->token) {
        at = &(*at)->next;
    }
    held_lease *found = *at;
    if (found != NULL) {
        *at = found->next;
        leases->count--;
    }
    pthread_mutex_unlock(&leases->lock);
    free(found);
}

/* The next that is due; it is not due again for a while. */
static int due_next(etg_store *store, apr_time_t now, etg_store_lease *lease)
{
    etg_memcached_leases *leases = store->leases;
    pthread_mutex_lock(&leases->lock);
    held_lease *at = leases->held;
    while (at != NULL && at->renew_at > now) {
        at = at->next;
    }
    if (at != NULL) {
        at->renew_at = now + RENEW_EVERY;
        *lease = at->lease;
    }
    pthread_mutex_unlock(&leases->lock);
    return at != NULL;
}

static apr_status_t renew(etg_store *store, const etg_store_lease *lease)
{
    apr_status_t rv = lease_change(store, lease, lease->token, LEASE_SECONDS,
                                   1);
    if (rv == APR_NOTFOUND) {
        etg_memcached_count_add(store, ETG_MEMCACHED_LEASES_LOST, 1);
        held_drop(store, lease);
    }
    return rv;
}

/* Puts another token or lifetime in the place of our lease; where there is
 * nothing, only if something must be. APR_NOTFOUND: it is another's. */
static apr_status_t lease_change(etg_store *store,
                                 const etg_store_lease *lease,
                                 apr_uint64_t token, apr_int64_t exptime,
                                 int must_be)
{
    etg_memcached_call call;
    etg_memcached_lease content = { token };
    etg_memcached_outcome outcome = ETG_MEMCACHED_DONE;
    lease_item item;
    etg_bytes bytes;
    apr_pool_t *scratch;
    apr_status_t rv = etg_memcached_call_begin(
        store, etg_memcached_node_of(store, lease->key.bytes,
                                     sizeof(lease->key.bytes)), &call);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    etg_memcached_key_of_lease(&item.key, store->at.name_space, &lease->key);
    apr_pool_create(&scratch, NULL);
    rv = item_read(&call, scratch, &item);
    if (rv == APR_SUCCESS && item.is_there && item.token != lease->token) {
        rv = APR_NOTFOUND;
    }
    if (rv == APR_SUCCESS && item.is_there) {
        rv = etg_memcached_lease_pack(&content, &item.key, scratch, &bytes);
        if (rv == APR_SUCCESS) {
            rv = etg_memcached_put(&call, ETG_MEMCACHED_CAS, &item.key, bytes,
                                   exptime, item.cas, &outcome);
        }
    }
    else if (rv == APR_SUCCESS && must_be) {
        rv = item_add(&call, token, scratch, &item, &outcome);
    }
    apr_pool_destroy(scratch);
    etg_memcached_call_end(&call);
    return rv != APR_SUCCESS ? rv
           : outcome == ETG_MEMCACHED_NOT_DONE ? APR_NOTFOUND : APR_SUCCESS;
}

static apr_status_t release_run(etg_store *store, etg_memcached_job *job)
{
    const release_job *release = (release_job *)job;
    apr_status_t rv = release->is_uncacheable
        ? lease_change(store, &release->lease, 0, UNCACHEABLE_SECONDS, 1)
        : lease_change(store, &release->lease, release->lease.token,
                       ETG_MEMCACHED_AT_ONCE, 0);
    if (rv == APR_NOTFOUND) {
        etg_memcached_count_add(store, ETG_MEMCACHED_LEASES_LOST, 1);
        return APR_SUCCESS;
    }
    return rv;
}

static void release_finish(etg_store *store, etg_memcached_job *job,
                           apr_status_t result)
{
    (void)store;
    (void)job;
    (void)result;
}
