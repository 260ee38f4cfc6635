/* SPDX-License-Identifier: Apache-2.0 */
/* tiers_rig.c: see tiers_rig.h. */
#include "tiers_rig.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "modules/tiers/tiers.h"

#define HOSTS 16
#define HELD 16
#define WAIT apr_time_from_sec(20)

typedef struct spied {
    etg_store *fake;
    apr_status_t late;
    int holds;
    etg_store_write *held[HELD];
    unsigned int held_count;
    apr_interval_time_t wait;
} spied;

typedef struct tiered {
    etg_store *store;
    unsigned int count;
    spied tiers[ETG_STORE_TIERS_MAX];
} tiered;

/* Configured anew by each test; threads of a test only read. */
static tiered hosts[HOSTS];
static unsigned int host_count;
static etg_store_provider provider;
static etg_store_provider spy;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

store_rig tiers_here;
store_rig tiers_there;

static const tiered *host_of(const etg_store *store)
{
    for (unsigned int i = 0; i < HOSTS; i++) {
        if (hosts[i].store == store) {
            return &hosts[i];
        }
    }
    return NULL;
}

static spied *spied_of(const etg_store *fake)
{
    for (unsigned int i = 0; i < HOSTS; i++) {
        for (unsigned int j = 0; j < hosts[i].count; j++) {
            if (hosts[i].tiers[j].fake == fake) {
                return &hosts[i].tiers[j];
            }
        }
    }
    return NULL;
}

static apr_status_t spy_lookup(etg_store *store, const etg_store_key *key,
                               etg_store_choose *choose, void *baton,
                               etg_store_depth depth, apr_pool_t *p,
                               etg_store_found *found)
{
    etg_store_found seen;
    apr_status_t late = spied_of(store)->late;
    apr_status_t rv = etg_fake_provider.meta_lookup(store, key, choose, baton,
                                                    depth, p, &seen);
    if (late != APR_SUCCESS) {
        return late;
    }
    if (rv == APR_SUCCESS) {
        *found = seen;
    }
    return rv;
}

static apr_status_t spy_write(etg_store *store, etg_store_write *write,
                              apr_interval_time_t wait)
{
    spied *s = spied_of(store);
    apr_time_t end = apr_time_now() + wait;
    pthread_mutex_lock(&lock);
    s->wait = wait;
    int holds = s->holds && s->held_count < HELD;
    if (holds) {
        s->held[s->held_count++] = write;
    }
    pthread_mutex_unlock(&lock);
    if (!holds) {
        return etg_fake_provider.meta_write(store, write, wait);
    }
    while (apr_time_now() < end) {
        /* as a store that is frozen */
    }
    return APR_TIMEUP;
}

/* Those of tests before this one, whose memory this host now has. */
static void forget_dead(const etg_store *store, const tiered *made)
{
    for (unsigned int i = 0; i < HOSTS; i++) {
        tiered *old = &hosts[i];
        int is_dead = old != made && old->store == store;
        for (unsigned int j = 0; old != made && j < old->count; j++) {
            for (unsigned int k = 0; k < made->count; k++) {
                is_dead |= old->tiers[j].fake == made->tiers[k].fake;
            }
        }
        if (is_dead) {
            memset(old, 0, sizeof(*old));
        }
    }
}

static const char *rig_configure(etg_store **store, const char *uri,
                                 const etg_store_env *env, apr_pool_t *pconf)
{
    const etg_store_provider *unused;
    etg_tier tiers[ETG_STORE_TIERS_MAX];
    long long trust;
    tiered *made = &hosts[host_count % HOSTS];
    memset(made, 0, sizeof(*made));
    if (sscanf(uri, "tiers:%u,%lld", &made->count, &trust) != 2
        || made->count > ETG_STORE_TIERS_MAX) {
        return "not a tiers_rig URI";
    }
    for (unsigned int i = 0; i < made->count; i++) {
        const char *name = i == made->count - 1
            ? "fake:shared"
            : apr_psprintf(pconf, "fake:%u.%u", host_count, i);
        const char *problem = etg_fake_provider.configure(
            &made->tiers[i].fake, name, env, pconf);
        if (problem != NULL) {
            return problem;
        }
        tiers[i].provider = &spy;
        tiers[i].store = made->tiers[i].fake;
    }
    etg_tiers_make(&unused, store, tiers, made->count, trust, pconf);
    forget_dead(*store, made);
    made->store = *store;
    host_count++;
    return NULL;
}

static apr_status_t rig_prepare(etg_store *store, apr_pool_t *pconf)
{
    const tiered *h = host_of(store);
    apr_status_t rv = APR_SUCCESS;
    for (unsigned int i = 0; rv == APR_SUCCESS && i < h->count; i++) {
        rv = etg_fake_provider.prepare(h->tiers[i].fake, pconf);
    }
    return rv;
}

static apr_status_t rig_open_tiers(etg_store *store, apr_pool_t *pchild)
{
    const tiered *h = host_of(store);
    apr_status_t rv = APR_SUCCESS;
    for (unsigned int i = 0; rv == APR_SUCCESS && i < h->count; i++) {
        rv = etg_fake_provider.open(h->tiers[i].fake, pchild);
    }
    return rv;
}

const etg_store_provider *tiers_rig_provider(void)
{
    etg_tier two[2] = { { &etg_fake_provider, NULL },
                        { &etg_fake_provider, NULL } };
    const etg_store_provider *made;
    etg_store *unused;
    apr_pool_t *p;
    if (provider.scheme == NULL) {
        apr_initialize();
        apr_pool_create(&p, NULL);
        etg_tiers_make(&made, &unused, two, 2, 0, p);
        provider = *made;
        provider.configure = rig_configure;
        provider.prepare = rig_prepare;
        provider.open = rig_open_tiers;
        spy = etg_fake_provider;
        spy.meta_lookup = spy_lookup;
        spy.meta_write = spy_write;
        apr_pool_destroy(p);
    }
    return &provider;
}

etg_store *tiers_rig_tier(const store_rig *rig, int tier)
{
    const tiered *h = host_of(rig->store);
    return h->tiers[tier < 0 ? (int)h->count + tier : tier].fake;
}

void tiers_rig_fail_late(etg_store *fake, apr_status_t status)
{
    spied_of(fake)->late = status;
}

void tiers_rig_hold_writes(etg_store *fake)
{
    spied_of(fake)->holds = 1;
}

void tiers_rig_let_writes_go(etg_store *fake)
{
    spied *s = spied_of(fake);
    s->holds = 0;
    for (unsigned int i = 0; i < s->held_count; i++) {
        etg_fake_provider.meta_write(fake, s->held[i], 0);
    }
    s->held_count = 0;
}

apr_interval_time_t tiers_rig_last_wait(etg_store *fake)
{
    return spied_of(fake)->wait;
}

void tiers_rig_begin(const char *query)
{
    rig_init(&tiers_here, tiers_rig_provider(), query);
    rig_open(&tiers_here);
    rig_beside(&tiers_there, &tiers_here, query);
    rig_open(&tiers_there);
}

void tiers_rig_end(void)
{
    rig_close(&tiers_there);
    apr_pool_destroy(tiers_there.p);
    apr_pool_destroy(tiers_there.pconf);
    rig_end(&tiers_here);
}

etg_store *tiers_rig_near(const store_rig *host)
{
    return tiers_rig_tier(host, 0);
}

etg_store *tiers_rig_shared(const store_rig *host)
{
    return tiers_rig_tier(host, -1);
}

unsigned int tiers_rig_asked(etg_store *fake)
{
    return etg_fake_calls(fake, ETG_FAKE_LOOKUP);
}

etg_store_found tiers_rig_look(store_rig *host, unsigned int n)
{
    etg_store_found found = { .answer = ETG_STORE_MISS };
    ck_assert_int_eq(rig_look(host, n, ETG_STORE_NEAREST, &found),
                     APR_SUCCESS);
    return found;
}

unsigned int tiers_rig_version(const etg_store_found *found)
{
    unsigned int version;
    ck_assert_int_eq(found->answer, ETG_STORE_HIT);
    memcpy(&version, found->response.data + 4, 4);
    return version;
}

apr_status_t tiers_rig_put(store_rig *host, unsigned int n,
                           unsigned int version, apr_interval_time_t ago)
{
    static const etg_store_tag tag = TIERS_RIG_TAG;
    etg_store_moment moment = rig_moment(host, n);
    ck_assert_int_ne(moment.at, 0);
    moment.at -= ago;
    return rig_put_tagged(host, n, version, 100, WAIT, &moment, &tag, 1);
}
