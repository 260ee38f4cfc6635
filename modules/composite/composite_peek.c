/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_peek.c: what our cache holds of the parts, by its fields alone.
 *
 * On the request's own thread, before any part is asked for: each part's URL
 * goes the way of a request for it up to its handler (so with its own access
 * control), and there mod_etag_cache says whether it would answer with what is
 * fresh. Then the part is known as if it had said 304, without a request, a
 * thread or a body. Whatever else it is, is asked for.
 */
#include "modules/composite/composite.h"

#include "etg_cache.h"

typedef APR_OPTIONAL_FN_TYPE(etg_cache_held_fresh) held_fresh;

/* One look at one part. */
typedef struct glance {
    etg_composite *composite;
    etg_composite_had *part;
    held_fresh *held_fresh;
} glance;

static void see(void *baton, request_rec *r);

void etg_composite_peek(etg_composite *c)
{
    glance at = {
        .composite = c,
        .held_fresh = APR_RETRIEVE_OPTIONAL_FN(etg_cache_held_fresh),
    };
    etg_internal_ask ask;

    if (at.held_fresh == NULL || c->runtime->internal == NULL) {
        return;
    }
    etg_composite_ask_fill(c, &ask, c->r->pool);
    for (unsigned i = 0; i < c->count; i++) {
        at.part = &c->parts[i];
        if (!at.part->is_answered && at.part->url != NULL) {
            ask.target = at.part->url;
            /* Refused or not: who asks for it will hear. */
            etg_internal_look(c->runtime->internal, &ask, see, &at);
        }
    }
}

/* A composite is no part, and refuses it by itself. */
static void see(void *baton, request_rec *r)
{
    const glance *at = baton;
    const apr_table_t *fields;

    if ((r->handler != NULL && !strcmp(r->handler, ETG_COMPOSITE_HANDLER))
        || !at->held_fresh(r, &fields)) {
        return;
    }
    etg_composite_take(at->composite, at->part, &(etg_composite_result){
        .outcome = ETG_COMPOSITE_ANSWERED,
        .status = HTTP_NOT_MODIFIED,
        .fields = apr_table_clone(at->composite->r->pool, fields),
    });
    at->part->is_known = 1;
}
