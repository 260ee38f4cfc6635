/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_warnings.c: looks over the parsed configuration tree.
 *
 * Runs once per start, before children exist. A directive's reach is read off
 * its sections: the virtual host it stands in (none: all of them) and the
 * path of the innermost <Location> (none, or another section: "/").
 */
#include "modules/cache/cache_warnings.h"

#include <http_config.h>
#include <util_cfgtree.h>

#include "modules/cache/cache.h"

/* Where a directive holds. */
typedef struct reach {
    const ap_directive_t *directive;
    const ap_directive_t *host;      /* NULL: every virtual host */
    const char *path;
} reach;

static void collect(apr_array_header_t *found, const ap_directive_t *node,
                    const char *name, apr_pool_t *p);
static reach reach_of(const ap_directive_t *directive, apr_pool_t *p);
static const char *path_in(const char *args, apr_pool_t *p);
static const char *second_word(const char *args, apr_pool_t *p);
static int overlap(const reach *a, const reach *b);
static int is_off(const ap_directive_t *directive);

void etg_cache_warn_of_mod_cache(server_rec *s, apr_pool_t *ptemp)
{
    apr_array_header_t *theirs = apr_array_make(ptemp, 4, sizeof(reach));
    apr_array_header_t *ours = apr_array_make(ptemp, 4, sizeof(reach));

    collect(theirs, ap_conftree, "CacheEnable", ptemp);
    collect(ours, ap_conftree, "ETagCache", ptemp);
    for (int i = 0; i < theirs->nelts * ours->nelts; i++) {
        const reach *a = &APR_ARRAY_IDX(theirs, i / ours->nelts, reach);
        const reach *b = &APR_ARRAY_IDX(ours, i % ours->nelts, reach);

        if (!is_off(b->directive) && overlap(a, b)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         ETGLOGNO(0108) "CacheEnable (%s:%d) covers URLs that "
                         "ETagCache (%s:%d) covers too: mod_cache answers "
                         "first and hides what mod_etag_cache knows; remove "
                         "CacheEnable there", a->directive->filename,
                         a->directive->line_num, b->directive->filename,
                         b->directive->line_num);
            return;
        }
    }
}

int etg_cache_is_used(apr_pool_t *ptemp)
{
    apr_array_header_t *ours = apr_array_make(ptemp, 4, sizeof(reach));

    collect(ours, ap_conftree, "ETagCache", ptemp);
    for (int i = 0; i < ours->nelts; i++) {
        if (!is_off(APR_ARRAY_IDX(ours, i, reach).directive)) {
            return 1;
        }
    }
    return 0;
}

int etg_cache_is_configured(const char *directive, apr_pool_t *ptemp)
{
    apr_array_header_t *found = apr_array_make(ptemp, 4, sizeof(reach));

    collect(found, ap_conftree, directive, ptemp);
    return found->nelts > 0;
}

static void collect(apr_array_header_t *found, const ap_directive_t *node,
                    const char *name, apr_pool_t *p)
{
    for (; node != NULL; node = node->next) {
        if (!ap_cstr_casecmp(node->directive, name)) {
            APR_ARRAY_PUSH(found, reach) = reach_of(node, p);
        }
        collect(found, node->first_child, name, p);
    }
}

static reach reach_of(const ap_directive_t *directive, apr_pool_t *p)
{
    reach found = { directive, NULL, NULL };

    if (!ap_cstr_casecmp(directive->directive, "CacheEnable")) {
        found.path = second_word(directive->args, p);
    }
    for (const ap_directive_t *section = directive->parent; section != NULL;
         section = section->parent) {
        if (!ap_cstr_casecmp(section->directive, "<VirtualHost")) {
            found.host = section;
        }
        else if (found.path == NULL
                 && !ap_cstr_casecmp(section->directive, "<Location")) {
            found.path = path_in(section->args, p);
        }
    }
    if (found.path == NULL || *found.path != '/') {
        found.path = "/";
    }
    return found;
}

/* `"/path">` as it stands behind <Location. */
static const char *path_in(const char *args, apr_pool_t *p)
{
    char *path = ap_getword_conf(p, &args);
    apr_size_t length = strlen(path);

    if (length > 0 && path[length - 1] == '>') {
        path[length - 1] = '\0';
    }
    return path;
}

/* CacheEnable type [path] */
static const char *second_word(const char *args, apr_pool_t *p)
{
    const char *word;

    ap_getword_conf(p, &args);
    word = ap_getword_conf(p, &args);
    return *word != '\0' ? word : NULL;
}

static int overlap(const reach *a, const reach *b)
{
    if (a->host != NULL && b->host != NULL && a->host != b->host) {
        return 0;
    }
    return !strncmp(a->path, b->path, strlen(a->path))
        || !strncmp(a->path, b->path, strlen(b->path));
}

static int is_off(const ap_directive_t *directive)
{
    return directive->args != NULL && !ap_cstr_casecmp(directive->args, "off");
}
