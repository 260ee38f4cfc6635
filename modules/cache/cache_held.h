/* SPDX-License-Identifier: Apache-2.0 */
/* cache_held.h: what we hold, for other modules (include/etg_cache.h). */
#ifndef ETG_CACHE_HELD_H
#define ETG_CACHE_HELD_H

/* register_hooks: the optional function. */
void etg_cache_held_register(void);

#endif
