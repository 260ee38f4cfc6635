/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_route.c: a composite's URL is its own, whatever ProxyPass covers.
 *
 * mod_proxy takes what lies below a ProxyPass before any handler is asked, so
 * the composite beside a "ProxyPass /" would be asked of the backend. By then
 * httpd knows the request's sections: where they name our handler, mod_proxy
 * is told to stand aside, as an admin would with SetEnvIf.
 */
#include "modules/composite/composite.h"

static int is_handled_here(request_rec *r);

/* A part is none (composite_handler.c refuses it): where it lies below its
 * composite's own section, it goes on to its backend. */
int etg_composite_keep_from_proxy(request_rec *r)
{
    const etg_composite_dir_conf *dir = ap_get_module_config(
        r->per_dir_config, &etag_composite_module);

    if (dir->plan != NULL && !etg_composite_is_part(r)
        && is_handled_here(r)) {
        apr_table_setn(r->subprocess_env, "no-proxy", "1");
    }
    return DECLINED;
}

/* As core will read SetHandler, which is an expression, later. */
static int is_handled_here(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(
        r->per_dir_config);
    const char *error = NULL;
    const char *name = core->expr_handler == NULL ? core->handler
        : ap_expr_str_exec(r, core->expr_handler, &error);

    return error == NULL && name != NULL
        && !ap_cstr_casecmp(name, ETG_COMPOSITE_HANDLER);
}
