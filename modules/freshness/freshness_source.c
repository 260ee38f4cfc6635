/* SPDX-License-Identifier: Apache-2.0 */
/* freshness_source.c: the kinds of sources that are read before the backend,
 * and what all of them need. */
#include "freshness_source.h"

#include <apr_strings.h>

#include <stdarg.h>

static const etg_source_kind *kind_of(etg_from_kind kind);

const char *etg_source_configure(const etg_source_settings *settings,
                                 const etg_freshness_from *from,
                                 apr_pool_t *p, etg_source *source)
{
    const etg_source_kind *kind = kind_of(from->kind);
    etg_source made = { .kind = kind, .text = from->text };
    const char *wrong;

    if (kind == NULL) {
        return apr_psprintf(p, "%s is not a source that is read before the "
                            "backend is asked",
                            etg_from_kind_word(from->kind));
    }
    made.value_count = from->params == NULL ? 0 : from->params->nelts;
    wrong = kind->configure(settings, from, p, &made);
    if (wrong == NULL) {
        *source = made;
    }
    return wrong;
}

const char *etg_source_check(const etg_source *source, apr_pool_t *p)
{
    apr_pool_t *own;
    void *handle;
    const char *wrong;

    if (source->kind != &etg_source_sql) {
        return NULL;
    }
    apr_pool_create(&own, p);
    handle = source->kind->open(source, own);
    wrong = etg_source_sql_check(handle, source, p);
    source->kind->close(handle);
    apr_pool_destroy(own);
    return wrong;
}

etg_source_outcome etg_source_unknown(etg_source_look *look,
                                      const char *format, ...)
{
    va_list parts;

    va_start(parts, format);
    look->reason = apr_pvsprintf(look->pool, format, parts);
    va_end(parts);
    return ETG_SOURCE_UNKNOWN;
}

static const etg_source_kind *kind_of(etg_from_kind kind)
{
    static const etg_source_kind *const kinds[] = {
        &etg_source_sql, &etg_source_files, &etg_source_memcached
    };

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i]->kind == kind) {
            return kinds[i];
        }
    }
    return NULL;
}
