/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_esi.c: which requests may be answered by a page with ESI, and
 * what such a page is asked for with.
 *
 * A page is processed whole and plain, so it is asked for without the client's
 * preconditions and ranges, and of its codings with none but gzip, which can be
 * undone. The cache, too, sees nothing else; the filter puts the client's own
 * fields in place again.
 */
#include "modules/composite/composite_esi.h"

#include "lib/field_list.h"
#include "modules/glue/request_view.h"

static etg_composite_esi *found(const request_rec *r);
static etg_composite_esi *make(request_rec *r,
                               const etg_composite_dir_conf *dir);
static int is_ours(request_rec *r, const etg_composite_runtime *runtime);
static void keep_fields(etg_composite_esi *esi);
static void say_capability(apr_table_t *fields);

int etg_composite_esi_handler(request_rec *r)
{
    const etg_composite_dir_conf *dir = ap_get_module_config(
        r->per_dir_config, &etag_composite_module);
    etg_composite_esi *esi = found(r);
    int result;

    if (esi == NULL) {
        esi = dir->esi == ETG_COMPOSITE_ESI_OFF ? NULL : make(r, dir);
        if (esi == NULL) {
            return DECLINED;
        }
        keep_fields(esi);
        result = etg_request_may_be_looked_up(r)
            ? etg_composite_esi_recall(esi) : DECLINED;
        if (result != DECLINED) {
            return result;
        }
    }
    if (r->status != HTTP_OK) {
        /* An ErrorDocument, which is nobody's page. */
        etg_composite_esi_restore(esi, r);
        return DECLINED;
    }
    if (esi->client_fields != NULL) {
        etg_composite_esi_filter_insert(esi, r);
    }
    return DECLINED;
}

static etg_composite_esi *found(const request_rec *r)
{
    while (r->prev != NULL) {
        r = r->prev;
    }
    return ap_get_module_config(r->request_config, &etag_composite_module);
}

/* NULL: its answer is left as it is. */
static etg_composite_esi *make(request_rec *r,
                               const etg_composite_dir_conf *dir)
{
    const etg_composite_server_conf *server = ap_get_module_config(
        r->server->module_config, &etag_composite_module);
    const etg_internal_ask *ask = etg_internal_ask_of(r);
    etg_composite_esi *esi;

    if (!is_ours(r, server->runtime)) {
        return NULL;
    }
    if (ask != NULL) {
        /* A part is put in by whoever asked for it, and says so already;
         * what the cache asks for is kept as it comes. */
        if (strcmp(ask->purpose, ETG_INTERNAL_PART)) {
            say_capability(r->headers_in);
        }
        return NULL;
    }
    esi = apr_pcalloc(r->pool, sizeof(*esi));
    esi->first = r;
    esi->dir = dir;
    esi->runtime = server->runtime;
    ap_set_module_config(r->request_config, &etag_composite_module, esi);
    return esi;
}

/* Without threads a fragment would be asked for while the page's backend
 * connection, which mod_proxy has one of there, is in use. */
static int is_ours(request_rec *r, const etg_composite_runtime *runtime)
{
    return r->main == NULL && r->prev == NULL && r->status == HTTP_OK
        && r->proxyreq != PROXYREQ_PROXY && r->method_number == M_GET
        && runtime->workers != NULL && !etg_composite_is_loop(r)
        && !(r->handler != NULL
             && !strcmp(r->handler, ETG_COMPOSITE_HANDLER))
        && apr_table_get(r->headers_in, "Upgrade") == NULL;
}

/* A GET that a backend may take for another method (X-HTTP-Method-Override)
 * is done, or not, by its preconditions: those are the backend's alone. */
static void keep_fields(etg_composite_esi *esi)
{
    static const char *const conditions[] = {
        "If-Match", "If-Modified-Since", "If-None-Match",
        "If-Unmodified-Since", NULL
    };
    request_rec *r = esi->first;
    apr_table_t *without;

    esi->client_fields = r->headers_in;
    esi->page_fields = apr_table_copy(r->pool, r->headers_in);
    without = esi->page_fields;
    if (!etg_request_may_be_looked_up(r)) {
        esi->client_fields = apr_table_copy(r->pool, r->headers_in);
        without = esi->client_fields;
    }
    for (int i = 0; conditions[i] != NULL; i++) {
        apr_table_unset(without, conditions[i]);
    }
    apr_table_unset(esi->page_fields, "If-Range");
    apr_table_unset(esi->page_fields, "Range");
    etg_composite_esi_limit_codings(esi->page_fields, r->pool);
    say_capability(esi->page_fields);
    r->headers_in = esi->page_fields;
}

/* Behind what other surrogates before us say. */
static void say_capability(apr_table_t *fields)
{
    static const char name[] = "Surrogate-Capability";
    etg_bytes rest = etg_bytes_of(etg_field_combined(
        fields, name, apr_table_elts(fields)->pool));
    etg_bytes member;

    while (etg_list_next(&rest, &member)) {
        if (etg_bytes_is(member, ETG_COMPOSITE_CAPABILITY)) {
            return;
        }
    }
    apr_table_mergen(fields, name, ETG_COMPOSITE_CAPABILITY);
}

void etg_composite_esi_restore(etg_composite_esi *esi, request_rec *r)
{
    if (esi->client_fields == NULL) {
        return;
    }
    for (; r != NULL; r = r->prev) {
        if (r->headers_in == esi->page_fields) {
            r->headers_in = esi->client_fields;
        }
    }
    esi->client_fields = NULL;
}

void etg_composite_esi_restore_for_error(request_rec *r)
{
    etg_composite_esi *esi = found(r);

    if (esi != NULL) {
        etg_composite_esi_restore(esi, r);
    }
}

int etg_composite_esi_is_in(const etg_composite_dir_conf *dir,
                            const apr_table_t *fields)
{
    apr_pool_t *p = apr_table_elts(fields)->pool;

    return etg_esi_is_announced(etg_field_combined(
               fields, "Surrogate-Control", p))
        || (dir->esi == ETG_COMPOSITE_ESI_ALWAYS
            && etg_esi_is_html(apr_table_get(fields, "Content-Type")));
}
