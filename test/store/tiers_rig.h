/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiers_rig.h: tiered stores over fakes, for a store_rig.
 *
 * The URI is "tiers:COUNT,TRUST" (µs). Each store that is configured is a
 * host: its last tier is the fake engine that all hosts of one folder share,
 * the others are its own. Between a tiered store and a fake stands a spy that
 * can make the fake late.
 */
#ifndef ETG_TEST_STORE_TIERS_RIG_H
#define ETG_TEST_STORE_TIERS_RIG_H

#include "fake_store.h"
#include "store_rig.h"

/* The tiered store's provider, with configure, prepare and open that make and
 * open the fakes. */
const etg_store_provider *tiers_rig_provider(void);

/* A host's fake, 0 being the nearest, -1 the shared one. */
etg_store *tiers_rig_tier(const store_rig *rig, int tier);

/* Look-ups of this fake answer `status`, after the caller has seen its
 * primary record; APR_SUCCESS ends it. */
void tiers_rig_fail_late(etg_store *fake, apr_status_t status);
/* Writes to this fake are kept, and answered by APR_TIMEUP when their wait is
 * over, until they are let go. */
void tiers_rig_hold_writes(etg_store *fake);
void tiers_rig_let_writes_go(etg_store *fake);
/* How long the last write to this fake was to wait. */
apr_interval_time_t tiers_rig_last_wait(etg_store *fake);

/* Two hosts that share a store; for a fixture. */
extern store_rig tiers_here;
extern store_rig tiers_there;
void tiers_rig_begin(const char *query);
void tiers_rig_end(void);

etg_store *tiers_rig_near(const store_rig *host);
etg_store *tiers_rig_shared(const store_rig *host);
/* Look-ups so far. */
unsigned int tiers_rig_asked(etg_store *fake);
/* Looks primary n up; asserts that there is an answer. */
etg_store_found tiers_rig_look(store_rig *host, unsigned int n);
/* Asserts that it is a hit. */
unsigned int tiers_rig_version(const etg_store_found *found);
/* Stores a response that carries TIERS_RIG_TAG, as after a fetch that began
 * `ago`: its copies are as old. */
#define TIERS_RIG_TAG APR_UINT64_C(0x1234)
apr_status_t tiers_rig_put(store_rig *host, unsigned int n,
                           unsigned int version, apr_interval_time_t ago);

#endif
