/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_esi_fragments.c: asks for the fragments of a page, and for those
 * that they have themselves, round by round.
 *
 * Model. Fragment n of the page is part n + 1 of the composite. A round asks
 * at once for all that are not answered: those of one depth, and in place of
 * what has failed in the round before what stands in for it (alt). What comes
 * is put in, by which there may be more of them.
 */
#include "modules/composite/composite_esi.h"

#include "lib/steady_clock.h"

/* A fragment's row of `asked`. */
typedef struct fragment_state {
    int is_settled;               /* nothing more will come of it */
} fragment_state;

static void extend(etg_composite_page *page);
static void begin_part(etg_composite_page *page, int place);
static const etg_composite_line *line_of(etg_composite_page *page,
                                         const etg_esi_fragment *fragment,
                                         const char *target, int has_alt);
static int is_pending(const etg_composite *c);
static int turn_to_alts(etg_composite_page *page);
static const etg_composite_had *put_in_all(etg_composite_page *page);
static void ask_for_alt(etg_composite_page *page, int place);
static const etg_composite_had *put_in(etg_composite_page *page, int place);
static int is_incomplete(const etg_composite *c);

/* What has been sent is still of the last pool, if anybody keeps it. */
void etg_composite_esi_begin(etg_composite_page *page)
{
    etg_composite *c = &page->c;

    if (c->pool != NULL) {
        apr_pool_destroy(c->pool);
    }
    apr_pool_create(&c->pool, c->r->pool);
    apr_pool_tag(c->pool, "etag-composite-page");
    c->parts = &page->itself;
    c->count = 1;
    c->body_bytes = 0;
    c->others = apr_array_make(c->pool, 1, sizeof(const apr_table_t *));
    page->bytes = 0;
    page->asked = apr_array_make(c->pool, 4, sizeof(fragment_state));
    etg_esi_page_go_on(page->esi, (apr_uint64_t)c->dir->max_bytes, c->pool);
}

const etg_composite_had *etg_composite_esi_gather(etg_composite_page *page)
{
    etg_composite *c = &page->c;
    const etg_composite_had *failed = NULL;

    extend(page);
    if (c->count > 1 && c->forwarded == NULL) {
        etg_composite_forward(c);
    }
    c->held_bytes = page->is_long ? 0 : page->bytes;
    if (page->is_long) {
        page->esi->room = (apr_uint64_t)c->dir->max_bytes;
    }
    while (failed == NULL && !c->has_left && is_pending(c)) {
        failed = etg_composite_ask(c);
        if (failed == NULL && !c->has_left && !turn_to_alts(page)) {
            failed = put_in_all(page);
        }
    }
    c->is_incomplete = is_incomplete(c);
    return failed;
}

/* Parts for the fragments that have been added. */
static void extend(etg_composite_page *page)
{
    etg_composite *c = &page->c;
    unsigned count = (unsigned)page->esi->fragments->nelts + 1;
    etg_composite_had *parts;
    unsigned before = c->count;

    if (count == before) {
        return;
    }
    parts = apr_pcalloc(c->pool, count * sizeof(*parts));
    memcpy(parts, c->parts, before * sizeof(*parts));
    c->parts = parts;
    c->count = count;
    for (unsigned i = before; i < count; i++) {
        begin_part(page, (int)i - 1);
    }
}

static void begin_part(etg_composite_page *page, int place)
{
    etg_composite_had *part = &page->c.parts[place + 1];
    const etg_esi_fragment *fragment = &APR_ARRAY_IDX(
        page->esi->fragments, place, etg_esi_fragment);
    fragment_state *state = apr_array_push(page->asked);

    memset(state, 0, sizeof(*state));
    part->line = line_of(page, fragment, fragment->target,
                         fragment->alt != NULL);
    part->url = fragment->target;
}

/* Where there is an alt the first failure ends nothing, and leaves it half of
 * the time. */
static const etg_composite_line *line_of(etg_composite_page *page,
                                         const etg_esi_fragment *fragment,
                                         const char *target, int has_alt)
{
    apr_pool_t *p = page->c.pool;
    etg_composite_line *line = apr_pcalloc(p, sizeof(*line));
    apr_interval_time_t left = page->c.until - etg_steady_now();

    line->part.name = etg_composite_esi_name_of(target, p);
    line->part.url = target;
    line->part.is_optional = has_alt || fragment->is_continue;
    line->part.default_value = "";
    line->part.timeout = has_alt && left > 1 ? left / 2 : 0;
    return line;
}

/* It stands in a quoted string. In one pass: whoever writes the page chooses
 * how many quotes there are. */
const char *etg_composite_esi_name_of(const char *target, apr_pool_t *p)
{
    apr_size_t quotes = 0;
    char *name;
    char *to;

    for (const char *at = target; *at != '\0'; at++) {
        quotes += *at == '"';
    }
    if (quotes == 0) {
        return target;
    }
    name = to = apr_palloc(p, strlen(target) + 2 * quotes + 1);
    for (const char *at = target; *at != '\0'; at++) {
        if (*at == '"') {
            memcpy(to, "%22", 3);
            to += 3;
        }
        else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return name;
}

static int is_pending(const etg_composite *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (!c->parts[i].is_answered) {
            return 1;
        }
    }
    return 0;
}

/* All of one depth are there before any of the next is asked for. Returns how
 * many are to be asked for once more. */
static int turn_to_alts(etg_composite_page *page)
{
    int count = 0;

    for (int i = 0; i < page->asked->nelts; i++) {
        fragment_state *state = &APR_ARRAY_IDX(page->asked, i,
                                               fragment_state);
        const etg_esi_fragment *fragment = &APR_ARRAY_IDX(
            page->esi->fragments, i, etg_esi_fragment);

        if (!state->is_settled && !fragment->is_from_alt
            && page->c.parts[i + 1].is_default && fragment->alt != NULL) {
            ask_for_alt(page, i);
            count++;
        }
    }
    return count;
}

/* What a fragment brings along comes behind all there are. */
static const etg_composite_had *put_in_all(etg_composite_page *page)
{
    const etg_composite_had *failed = NULL;
    int count = page->asked->nelts;

    for (int i = 0; i < count && failed == NULL; i++) {
        fragment_state *state = &APR_ARRAY_IDX(page->asked, i,
                                               fragment_state);

        if (!state->is_settled) {
            state->is_settled = 1;
            failed = page->c.parts[i + 1].is_default ? NULL
                                                     : put_in(page, i);
        }
    }
    extend(page);
    return failed;
}

/* How long that is known to hold depends on what it stands in for. */
static void ask_for_alt(etg_composite_page *page, int place)
{
    etg_composite_had *part = &page->c.parts[place + 1];
    etg_esi_fragment *fragment = &APR_ARRAY_IDX(page->esi->fragments, place,
                                                etg_esi_fragment);

    fragment->is_from_alt = 1;
    APR_ARRAY_PUSH(page->c.others, const apr_table_t *)
        = part->failure == NULL ? part->fields
                                : apr_table_make(page->c.pool, 1);
    memset(part, 0, sizeof(*part));
    part->line = line_of(page, fragment, fragment->alt, 0);
    part->url = fragment->alt;
}

static const etg_composite_had *put_in(etg_composite_page *page, int place)
{
    etg_composite *c = &page->c;
    etg_composite_had *part = &c->parts[place + 1];

    if (etg_esi_fragment_fill(page->esi, (unsigned)place, part->body,
                              etg_composite_esi_is_in(c->dir, part->fields))
        == APR_SUCCESS) {
        return NULL;
    }
    etg_composite_fail(c, part, HTTP_BAD_GATEWAY,
                       "the page is longer than ETagCompositeMaxBytes");
    return APR_ARRAY_IDX(page->esi->fragments, place,
                         etg_esi_fragment).is_continue ? NULL : part;
}

static int is_incomplete(const etg_composite *c)
{
    for (unsigned i = 1; i < c->count; i++) {
        if (c->parts[i].failure != NULL) {
            return 1;
        }
    }
    return 0;
}
