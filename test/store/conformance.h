/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.h: what every store provider must do (include/etg_store.h).
 *
 * Each case gets an open, empty store. Its env->default_dir is an empty
 * folder of its own, so a provider that needs a fresh server or namespace per
 * case is tested as a copy of its table whose `configure` makes one from that
 * folder's name. Two stores configured with one default_dir and URI are on
 * one engine.
 */
#ifndef ETG_TEST_STORE_CONFORMANCE_H
#define ETG_TEST_STORE_CONFORMANCE_H

#include <check.h>

#include "etg_store.h"

/* A provider under test. */
typedef struct conformance_subject {
    const etg_store_provider *provider;
    const char *query;         /* behind the scheme and a colon */
    int is_persistent;         /* all is there after close and open */
    int is_shared;             /* a second store with the same default_dir and
                                * URI in this process is as on another host */
    /* Makes leases run out; NULL: time passes by itself. */
    void (*pass_time)(etg_store *store, apr_interval_time_t by);
} conformance_subject;

/* A suite that runs every case on a store of its own; those that need what
 * the subject has not pass. One subject per process; it must outlive the
 * suite. */
Suite *conformance_suite(const conformance_subject *subject);

#endif
