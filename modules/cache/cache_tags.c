/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_tags.c: what a response is tagged with, and what is done by tag.
 *
 * A response keeps the fields that name its tags, so whatever writes its
 * record again (a 304, a HEAD) works the tags out again. The fields are for
 * caches: a filter behind all that could add them takes them out of every
 * response of a place where the cache is on, whoever made it.
 */
#include "modules/cache/cache_tags.h"

#include <apr_atomic.h>

#include "lib/field_list.h"
#include "modules/glue/internal_request.h"
#include "modules/glue/request_view.h"

/* Set when hooks are registered, before any thread. */
static ap_filter_rec_t *hide_handle;

static void insert_hide_filter(request_rec *r);
static int is_part(const request_rec *r);
static apr_status_t hide_filter(ap_filter_t *f, apr_bucket_brigade *bb);
static void init_tags(const etg_cache_context *ctx, etg_purge_tags *set);
static int is_tag_field(const etg_cache_context *ctx, const char *name);
static int add_field(etg_purge_tags *set, const request_rec *r,
                     const char *name);
static void tell_excess(etg_cache_context *ctx);

void etg_cache_tags_register(void)
{
    hide_handle = ap_register_output_filter("ETAG_CACHE_HIDE_TAGS",
                                            hide_filter, NULL,
                                            ETG_CACHE_FILTER_TYPE + 1);
    ap_hook_insert_filter(insert_hide_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(insert_hide_filter, NULL, NULL,
                                APR_HOOK_MIDDLE);
}

/* Goes by the place that the client asked for, as the cache does. Fields of a
 * subrequest, and of a part of a composite, reach no client. */
static void insert_hide_filter(request_rec *r)
{
    const etg_cache_dir_conf *dir = ap_get_module_config(
        etg_first_request(r)->per_dir_config, &etag_cache_module);
    const etg_cache_server_conf *server = ap_get_module_config(
        r->server->module_config, &etag_cache_module);

    if (dir->mode != ETG_CACHE_OFF && !dir->expose_tags && r->main == NULL
        && server->tag_fields->nelts > 0 && !is_part(r)) {
        ap_add_output_filter_handle(hide_handle, NULL, r, r->connection);
    }
}

static int is_part(const request_rec *r)
{
    const etg_internal_ask *ask = etg_internal_ask_of(r);

    return ask != NULL && !strcmp(ask->purpose, ETG_INTERNAL_PART);
}

static apr_status_t hide_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    const etg_cache_server_conf *server = ap_get_module_config(
        f->r->server->module_config, &etag_cache_module);

    for (int i = 0; i < server->tag_fields->nelts; i++) {
        const char *name = APR_ARRAY_IDX(server->tag_fields, i, const char *);

        apr_table_unset(f->r->headers_out, name);
        apr_table_unset(f->r->err_headers_out, name);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void etg_cache_tags_put(etg_cache_context *ctx,
                        const etg_stored_response *stored,
                        etg_store_write *write)
{
    const char *groups = NULL;
    etg_purge_tags set;

    init_tags(ctx, &set);
    for (unsigned i = 0; i < stored->field_count; i++) {
        const etg_field *field = &stored->fields[i];

        if (is_tag_field(ctx, field->name)) {
            etg_purge_tags_add(&set, etg_bytes_of(field->value));
        }
        else if (!ap_cstr_casecmp(field->name, "Cache-Groups")) {
            groups = groups == NULL
                ? field->value
                : apr_pstrcat(ctx->pool, groups, ", ", field->value, NULL);
        }
    }
    /* A malformed list names no group (RFC 9651 §4.2). */
    etg_purge_tags_add_groups(&set, etg_bytes_of(groups), ctx->pool);
    if (set.excess > 0) {
        tell_excess(ctx);
        etg_purge_tags_settle(&set);
    }
    write->tags = apr_pmemdup(write->pool, set.tags,
                              set.count * sizeof(set.tags[0]));
    write->tag_count = set.count;
}

static void init_tags(const etg_cache_context *ctx, etg_purge_tags *set)
{
    const char *scheme;
    const char *host;

    etg_cache_origin_of(ctx, &scheme, &host);
    etg_purge_tags_init(set, scheme, host);
}

static int is_tag_field(const etg_cache_context *ctx, const char *name)
{
    const apr_array_header_t *names = ctx->server->tag_fields;

    for (int i = 0; i < names->nelts; i++) {
        if (!ap_cstr_casecmp(name, APR_ARRAY_IDX(names, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

static void tell_excess(etg_cache_context *ctx)
{
    if (apr_atomic_inc32(&ctx->runtime->overtagged) == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, ctx->first,
                      ETGLOGNO(0123) "more than %d tags, or one of more than "
                      "%d bytes: every purge by tag of its origin takes %s "
                      "as well; said once per child", ETG_STORE_TAGS_MAX,
                      ETG_PURGE_TAG_BYTES_MAX, ctx->key.text);
    }
}

apr_status_t etg_cache_tags_of_purge(const etg_cache_context *ctx,
                                     request_rec *r, etg_purge_tags *set)
{
    const apr_array_header_t *names = ctx->server->tag_fields;
    const char *groups = etg_field_combined(r->headers_in, "Cache-Groups",
                                            r->pool);
    int found;

    init_tags(ctx, set);
    /* The usual word, whatever the backends' fields are called. */
    found = add_field(set, r, "Surrogate-Key");
    for (int i = 0; i < names->nelts; i++) {
        found |= add_field(set, r, APR_ARRAY_IDX(names, i, const char *));
    }
    if (found && names->nelts == 0) {
        return APR_ENOTIMPL;
    }
    if (groups != NULL) {
        return etg_purge_tags_add_groups(set, etg_bytes_of(groups), r->pool);
    }
    return found ? APR_SUCCESS : APR_NOTFOUND;
}

static int add_field(etg_purge_tags *set, const request_rec *r,
                     const char *name)
{
    const char *value = etg_field_combined(r->headers_in, name, r->pool);

    etg_purge_tags_add(set, etg_bytes_of(value));
    return value != NULL;
}

apr_status_t etg_cache_tags_mark(const etg_cache_context *ctx,
                                 const etg_purge_tags *set,
                                 etg_store_mark mark,
                                 apr_interval_time_t wait, unsigned *moved)
{
    const etg_cache_store *meta = &ctx->server->meta;
    etg_store_tag all[ETG_STORE_TAGS_MAX];
    etg_store_tag overtagged = etg_purge_tag_of_overtagged(set);
    unsigned count = set->count;
    unsigned apart = 0;
    apr_status_t rv;
    apr_status_t rv_apart = APR_SUCCESS;

    memcpy(all, set->tags, count * sizeof(all[0]));
    if (count < ETG_STORE_TAGS_MAX) {
        all[count++] = overtagged;
    }
    else {
        rv_apart = meta->provider->mark(meta->instance, &overtagged, 1, mark,
                                        wait, &apart);
    }
    *moved = 0;
    rv = meta->provider->mark(meta->instance, all, count, mark, wait, moved);
    if (rv == APR_SUCCESS) {
        rv = rv_apart;
    }
    *moved = *moved < set->count ? *moved : set->count;
    return rv;
}

void etg_cache_invalidate_groups(etg_cache_context *ctx,
                                 const apr_table_t *fields)
{
    const char *groups = etg_field_combined(
        fields, "Cache-Group-Invalidation", ctx->pool);
    etg_purge_tags set;
    unsigned moved;
    apr_status_t rv;

    if (groups == NULL) {
        return;
    }
    init_tags(ctx, &set);
    if (etg_purge_tags_add_groups(&set, etg_bytes_of(groups), ctx->pool)
        != APR_SUCCESS || set.count == 0) {
        return;
    }
    rv = etg_cache_tags_mark(ctx, &set, ETG_STORE_MARK_INVALID,
                             ETG_CACHE_COMMIT_WAIT, &moved);
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, rv, ctx->first,
                  ETGLOGNO(0124) "invalidated %u groups (%u left out) after "
                  "%s", moved, set.excess, ctx->key.text);
}
