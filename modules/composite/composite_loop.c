/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_loop.c: ends the loop of a part that leads back to its composite
 * through a proxy.
 *
 * Inside of httpd a part is known for one (etg_internal_ask); behind a proxy
 * it is anybody's request. With two parts in a loop each turn makes twice as
 * many, and faster than deadlines end them. So parts carry CDN-Loop (RFC
 * 8586), by which each composite on the way has its name in the list. A few
 * may be legitimate: composites on one machine of composites on another.
 */
#include "modules/composite/composite.h"

#include "lib/field_list.h"

#define FIELD "CDN-Loop"
#define TURNS_MAX 3

int etg_composite_is_loop(const request_rec *r)
{
    etg_bytes rest = etg_bytes_of(etg_field_combined(r->headers_in, FIELD,
                                                     r->pool));
    etg_bytes member;
    int turns = 0;

    while (etg_list_next(&rest, &member)) {
        turns += etg_bytes_is(member, ETG_COMPOSITE_LOOP_NAME);
    }
    return turns >= TURNS_MAX;
}

void etg_composite_loop_add(apr_table_t *fields, const request_rec *r)
{
    const char *list = etg_field_combined(r->headers_in, FIELD, r->pool);
    apr_pool_t *p = apr_table_elts(fields)->pool;

    apr_table_setn(fields, FIELD, list == NULL ? ETG_COMPOSITE_LOOP_NAME
                   : apr_pstrcat(p, list, ", " ETG_COMPOSITE_LOOP_NAME,
                                 NULL));
}
