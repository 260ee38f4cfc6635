/* SPDX-License-Identifier: Apache-2.0 */
/* cache_compress.h: the coding that a body gets on its way into the store. */
#ifndef ETG_CACHE_COMPRESS_H
#define ETG_CACHE_COMPRESS_H

#include "modules/cache/cache.h"

typedef enum etg_cache_coding_plan {
    ETG_CACHE_CODING_UNPLANNED,
    ETG_CACHE_CODING_KEEP,        /* store the bytes as they come */
    ETG_CACHE_CODING_MAKE,        /* gzip them, if that makes them shorter */
    ETG_CACHE_CODING_CHECK        /* the backend says they are gzip: store
                                   * them, and see whether that is so */
} etg_cache_coding_plan;

/* What is to be done with the body of this response. Unless it is KEEP, other
 * clients may get another coding of it than this one. Kept in ctx->save. */
etg_cache_coding_plan etg_cache_compress_plan(
    etg_cache_context *ctx, const etg_response_view *response);

/* Plans and prepares; ctx->save.writer is open then, begun with the length
 * that etg_cache_compress_expected gives (-1: not known). */
void etg_cache_compress_begin(etg_cache_context *ctx,
                              const etg_response_view *response);
apr_int64_t etg_cache_compress_expected(etg_cache_context *ctx,
                                        const etg_response_view *response);

/* The backend's bytes, to the writer sooner or later. A failure is the
 * writer's or zlib's: stop storing. */
apr_status_t etg_cache_compress_add(etg_cache_context *ctx, const char *data,
                                    apr_size_t length);

/* Gives the writer what is left, and the record what it says of the stored
 * bytes: body_length, coding, is_coded_here, plain_length, and the fields
 * without the coding if the record says it. */
apr_status_t etg_cache_compress_end(etg_cache_context *ctx);

/* The body is not stored after all. */
void etg_cache_compress_abandon(etg_cache_context *ctx);

#endif
