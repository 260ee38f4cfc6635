/* SPDX-License-Identifier: Apache-2.0 */
/* fake_store.h: the smallest store that conforms, for tests of its users. */
#ifndef ETG_TEST_STORE_FAKE_H
#define ETG_TEST_STORE_FAKE_H

#include "etg_store.h"

extern const etg_store_provider etg_fake_provider;

/* While `down`, every call answers APR_EGENERAL. */
void etg_fake_set_down(etg_store *store, int down);

#endif
