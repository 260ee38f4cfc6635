/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_store.h: the smallest store that conforms, for tests of its users.
 *
 * What is behind it, the engine, lives in this process's memory until it
 * ends. Stores with the same `default_dir` and URI ("fake:" and any name)
 * have one engine, as if they were on two hosts: so one can be closed, or
 * told to fail, and the other not. Leases and the clock are the engine's.
 */
#ifndef ETG_TEST_STORE_FAKE_H
#define ETG_TEST_STORE_FAKE_H

#include "etg_store.h"

extern const etg_store_provider etg_fake_provider;

/* Until APR_SUCCESS is set, every call of this store answers `status`. */
void etg_fake_set_failure(etg_store *store, apr_status_t status);
/* The same with APR_EGENERAL. */
void etg_fake_set_down(etg_store *store, int down);

typedef enum etg_fake_call {
    ETG_FAKE_LOOKUP = 0,
    ETG_FAKE_WRITE,
    ETG_FAKE_ENTITY_READ,
    ETG_FAKE_ENTITY_BEGIN,
    ETG_FAKE_ENTITY_FINISH,
    ETG_FAKE_MARK,
    ETG_FAKE_LEASE_TAKE,
    ETG_FAKE_LEASE_RELEASE,
    ETG_FAKE_CALLS
} etg_fake_call;

/* How often it was called through this store, failures included. */
unsigned int etg_fake_calls(etg_store *store, etg_fake_call call);

/* Forgets all records and bodies, as a cache does that is full. The clock
 * and the tags stay. */
void etg_fake_evict(etg_store *store);
/* Forgets when a tag was marked. */
void etg_fake_evict_tag(etg_store *store, etg_store_tag tag);

/* Leases run out as if `by` had passed; those that an open store holds are
 * renewed. */
void etg_fake_pass_time(etg_store *store, apr_interval_time_t by);
/* What the holder does not know of: its lease is gone, as after a restart of
 * the engine. */
void etg_fake_drop_leases(etg_store *store);

#endif
