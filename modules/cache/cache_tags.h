/* SPDX-License-Identifier: Apache-2.0 */
/* cache_tags.h: the tags of responses, and what is done by tag. */
#ifndef ETG_CACHE_TAGS_H
#define ETG_CACHE_TAGS_H

#include "lib/purge_tag.h"
#include "modules/cache/cache.h"

/* Registers the filter that keeps tags from clients (register_hooks). */
void etg_cache_tags_register(void);

/* Puts the tags that `stored`'s fields name into its write. */
void etg_cache_tags_put(etg_cache_context *ctx,
                        const etg_stored_response *stored,
                        etg_store_write *write);

/* Reads what a PURGE wants purged by tag or group. APR_NOTFOUND: it has no
 * such field. APR_EINVAL: Cache-Groups is malformed. APR_ENOTIMPL: nothing has
 * tags here. What does not fit is counted in set->excess. */
apr_status_t etg_cache_tags_of_purge(const etg_cache_context *ctx,
                                     request_rec *r, etg_purge_tags *set);

/* Marks what carries one of the tags, and what carries too many to tell.
 * *moved: how many of the tags' generations moved, whatever the result. */
apr_status_t etg_cache_tags_mark(const etg_cache_context *ctx,
                                 const etg_purge_tags *set,
                                 etg_store_mark mark,
                                 apr_interval_time_t wait, unsigned *moved);

/* Invalidates the groups that the answer to an unsafe request names in
 * Cache-Group-Invalidation. */
void etg_cache_invalidate_groups(etg_cache_context *ctx,
                                 const apr_table_t *fields);

#endif
