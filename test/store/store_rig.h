/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_rig.h: a store under test: a temporary folder, pools as httpd would
 * give them, the log as text, and short verbs.
 *
 * Records are made from numbers: primary n names response n, whose text says
 * so. Bodies are made from a number and a length; their digest is known.
 */
#ifndef ETG_TEST_STORE_RIG_H
#define ETG_TEST_STORE_RIG_H

#include <apr_pools.h>
#include <apr_strings.h>

#include "etg_store.h"

typedef struct store_rig {
    const etg_store_provider *provider;
    etg_store_env env;
    etg_store *store;
    apr_pool_t *pconf;
    apr_pool_t *pchild;          /* NULL: not open */
    apr_pool_t *p;               /* a request's */
    char dir[256];
    char uri[512];
    apr_time_t expires_at;       /* of responses that are put; 0: far off */
    char *log;                   /* shared with processes forked later */
} store_rig;

/* Makes the folder and pools and configures the store; `query` such as
 * "?size=8M" or "". */
void rig_init(store_rig *rig, const etg_store_provider *provider,
              const char *query);
/* Another rig in the same folder, as a second httpd would have. */
void rig_beside(store_rig *rig, const store_rig *other, const char *query);
/* prepare and open. */
apr_status_t rig_start(store_rig *rig);
void rig_open(store_rig *rig);            /* asserts success */
void rig_close(store_rig *rig);           /* as a child that ends */
void rig_reopen(store_rig *rig);          /* a restart of httpd */
/* Closes and removes everything. */
void rig_end(store_rig *rig);

void rig_remove_tree(const char *path);
int rig_logged(const store_rig *rig, const char *text);

/* Waits until `check` says yes, at most 10 s. */
int rig_poll(int (*check)(void *baton), void *baton);

etg_store_key rig_key(unsigned int n, char kind);
/* Looks primary n up; the result lives in rig->p until the next call. */
apr_status_t rig_look(store_rig *rig, unsigned int n, etg_store_depth depth,
                      etg_store_found *found);
/* Of a look-up now, as before a fetch. An old one if the store is down. */
etg_store_moment rig_moment(store_rig *rig, unsigned int n);
/* Writes primary n with a response of `length` bytes, as after a fetch that
 * began just now. */
apr_status_t rig_put(store_rig *rig, unsigned int n, unsigned int version,
                     apr_size_t length, apr_interval_time_t wait);
/* The same with a moment of its own and tags. */
apr_status_t rig_put_tagged(store_rig *rig, unsigned int n,
                            unsigned int version, apr_size_t length,
                            apr_interval_time_t wait,
                            const etg_store_moment *moment,
                            const etg_store_tag *tags, unsigned int count);
apr_status_t rig_remove(store_rig *rig, unsigned int n);
/* The response of primary n; *version is what it was written with. Asserts
 * that it is a response of n, whole. */
apr_status_t rig_get(store_rig *rig, unsigned int n, etg_store_answer *answer,
                     unsigned int *version);
int rig_has(store_rig *rig, unsigned int n);

/* A body of its own for every (n, length). Allocated in p. */
unsigned char *rig_body(apr_pool_t *p, unsigned int n, apr_size_t length);
apr_status_t rig_body_put(store_rig *rig, unsigned int n, apr_size_t length,
                          etg_entity_id *id);
/* Asserts that a hit is the body. */
apr_status_t rig_body_get(store_rig *rig, unsigned int n, apr_size_t length,
                          etg_store_answer *answer);
int rig_body_has(store_rig *rig, unsigned int n, apr_size_t length);
/* A write that waits, so everything before it is done. */
void rig_settle(store_rig *rig);
apr_uint64_t rig_counter(store_rig *rig, const char *name);

#endif
