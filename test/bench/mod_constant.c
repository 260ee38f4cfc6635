/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_constant.c: the least that a handler can do, for test/bench/hit.
 *
 * ConstantBody <file> <etag> in a <Location> makes its GETs answered from
 * memory, first of all handlers: what a cache hit can cost at best in this
 * server, under the same configuration, with about as many fields.
 */
#include <string.h>

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <apr_strings.h>

typedef struct constant_conf {
    const char *body;
    apr_size_t length;
    const char *etag;
} constant_conf;

module AP_MODULE_DECLARE_DATA constant_module;

static void *create_dir(apr_pool_t *p, char *dir)
{
    (void)dir;
    return apr_pcalloc(p, sizeof(constant_conf));
}

static const char *set_body(cmd_parms *cmd, void *dir, const char *path,
                            const char *etag)
{
    constant_conf *conf = dir;
    apr_file_t *file;
    apr_finfo_t info;
    char *body;

    if (apr_file_open(&file, path, APR_READ, APR_OS_DEFAULT, cmd->temp_pool)
        != APR_SUCCESS
        || apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "ConstantBody: cannot read %s", path);
    }
    conf->length = (apr_size_t)info.size;
    body = apr_palloc(cmd->pool, conf->length);
    if (apr_file_read_full(file, body, conf->length, NULL) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "ConstantBody: cannot read %s", path);
    }
    apr_file_close(file);
    conf->body = body;
    conf->etag = etag;
    return NULL;
}

static int constant_handler(request_rec *r)
{
    const constant_conf *conf = ap_get_module_config(r->per_dir_config,
                                                     &constant_module);
    apr_bucket_brigade *brigade;
    const char *known;

    if (conf->body == NULL || r->method_number != M_GET) {
        return DECLINED;
    }
    apr_table_setn(r->headers_out, "ETag", conf->etag);
    apr_table_setn(r->headers_out, "Cache-Control", "public, max-age=86400");
    apr_table_setn(r->headers_out, "Last-Modified",
                   "Mon, 02 Nov 2026 10:00:00 GMT");
    apr_table_setn(r->headers_out, "Age", "7");
    apr_table_setn(r->headers_out, "Cache-Status", "constant; hit; ttl=86393");
    known = apr_table_get(r->headers_in, "If-None-Match");
    if (known != NULL && strcmp(known, conf->etag) == 0) {
        return HTTP_NOT_MODIFIED;
    }
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)conf->length);
    brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(brigade,
        apr_bucket_immortal_create(conf->body, conf->length,
                                   brigade->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(brigade,
        apr_bucket_eos_create(brigade->bucket_alloc));
    return ap_pass_brigade(r->output_filters, brigade) == APR_SUCCESS
         ? OK : AP_FILTER_ERROR;
}

static const command_rec commands[] = {
    AP_INIT_TAKE2("ConstantBody", set_body, NULL, ACCESS_CONF,
                  "file with the body, and its entity-tag"),
    { NULL }
};

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(constant_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

module AP_MODULE_DECLARE_DATA constant_module = {
    STANDARD20_MODULE_STUFF,
    create_dir,
    NULL,
    NULL,
    NULL,
    commands,
    register_hooks,
    0
};
