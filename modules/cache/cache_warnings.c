/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_warnings.c: looks over the parsed configuration tree.
 *
 * Runs once per start, before children exist.
 */
#include "modules/cache/cache_warnings.h"

#include <http_config.h>
#include <util_cfgtree.h>

#include "modules/cache/cache.h"

static const ap_directive_t *find_directive(const ap_directive_t *node,
                                            const char *name,
                                            const char *not_args);

void etg_cache_warn_of_mod_cache(server_rec *s)
{
    const ap_directive_t *theirs = find_directive(ap_conftree, "CacheEnable",
                                                  NULL);

    if (theirs == NULL || !etg_cache_is_used()) {
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 ETGLOGNO(0108) "CacheEnable (%s:%d) and ETagCache are both "
                 "on: where they cover the same URLs, mod_cache answers "
                 "first and hides what mod_etag_cache knows; remove "
                 "CacheEnable", theirs->filename, theirs->line_num);
}

int etg_cache_is_used(void)
{
    return find_directive(ap_conftree, "ETagCache", "off") != NULL;
}

/* The first directive of that name, in any section, whose arguments are not
 * `not_args`. */
static const ap_directive_t *find_directive(const ap_directive_t *node,
                                            const char *name,
                                            const char *not_args)
{
    for (; node != NULL; node = node->next) {
        const ap_directive_t *inner;

        if (!ap_cstr_casecmp(node->directive, name)
            && (not_args == NULL || node->args == NULL
                || ap_cstr_casecmp(node->args, not_args))) {
            return node;
        }
        inner = find_directive(node->first_child, name, not_args);
        if (inner != NULL) {
            return inner;
        }
    }
    return NULL;
}
