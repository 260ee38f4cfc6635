/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached_subject.h: the memcached store under test, on servers of the
 * test's own process: they start when the first store is configured and end
 * with the process.
 */
#ifndef ETG_TEST_MEMCACHED_SUBJECT_H
#define ETG_TEST_MEMCACHED_SUBJECT_H

#include "etg_store.h"
#include "server_rig.h"

#define SUBJECT_SERVERS_MAX 3

/* Set before the first store is configured. */
extern unsigned subject_server_count;
extern int subject_is_on_socket;
extern int subject_megabytes;

extern test_server subject_servers[SUBJECT_SERVERS_MAX];

/* The provider: `configure` takes the servers above, a namespace named after
 * env->default_dir, and what stands behind a "?" in the URI. */
extern etg_store_provider subject_provider;

#endif
