/* SPDX-License-Identifier: Apache-2.0 */
/* conformance.h: what every store provider must do (include/etg_store.h). */
#ifndef ETG_TEST_STORE_CONFORMANCE_H
#define ETG_TEST_STORE_CONFORMANCE_H

#include <check.h>

#include "etg_store.h"

/* A suite that runs every case on a store of its own. `query` goes behind the
 * provider's scheme and a colon. One provider per process. */
Suite *conformance_suite(const etg_store_provider *provider,
                         const char *query);

#endif
