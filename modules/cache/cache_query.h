/* SPDX-License-Identifier: Apache-2.0 */
/* cache_query.h: the backend does not get what the key leaves out. */
#ifndef ETG_CACHE_QUERY_H
#define ETG_CACHE_QUERY_H

/* register_hooks. */
void etg_cache_query_register(void);

#endif
