/* SPDX-License-Identifier: Apache-2.0 */
/*
 * composite_esi_memory.c: which fragments a page with ESI has, in shared
 * memory, so that a client whose copy still holds is told so by fields alone.
 *
 * A page is remembered when it has been put together of answers that are all
 * whole and have tags. When it is asked for again with a tag, and our cache
 * has it fresh, page and fragments are a composite in its first round: what
 * our cache has of them is looked at, the rest is asked for with
 * `If-None-Match: *`. If the tag of these is the client's, that is the 304.
 * All else is as if nothing were remembered. Why a record cannot do harm is
 * said in lib/esi_memo.h; so it is no matter how old one is. None is made of a
 * page that has an alt: a fragment that hangs would be waited for as long as
 * there is time, and then there is none for what stands in for it.
 */
#include "modules/composite/composite_esi.h"

#include "etg_cache.h"
#include "lib/allowed_target.h"
#include "lib/entity_tag.h"
#include "lib/esi_memo.h"
#include "lib/field_list.h"
#include "lib/steady_clock.h"
#include "modules/glue/shared_memory.h"

#define REMEMBERED_FOR apr_time_from_sec(86400)

static void say_lost(server_rec *s);

/* The usual record is a page of some ten fragments. */
static const etg_shared_memory_kind kind = {
    .name = "etag-composite",
    .hints = { ETG_ESI_MEMO_KEY_BYTES, 400, apr_time_from_sec(3600) },
    .record_max = ETG_ESI_MEMO_MAX,
    .say_lost = say_lost,
};

static int may_be_recalled(const etg_composite_esi *esi);
static int answer(etg_composite *c);
static const apr_table_t *held_page(etg_composite_esi *esi);
static apr_array_header_t *recall(etg_composite *c, const char *etag);
static int key_of(etg_composite *c, const char *etag, etg_esi_memo_key *key);
static void begin(etg_composite *c, etg_composite_esi *esi,
                  const apr_table_t *fields);
static void begin_part(etg_composite *c, etg_composite_had *part,
                       const char *name, const char *url);
static int ask(etg_composite *c, const apr_array_header_t *targets);
static int is_memorable(const etg_composite_page *page);

int etg_composite_esi_memory_register(apr_pool_t *pconf)
{
    return etg_shared_memory_register(&kind, pconf);
}

void etg_composite_esi_memory_make(etg_composite_runtime *runtime,
                                   apr_int64_t size, apr_pool_t *pconf,
                                   server_rec *s)
{
    const char *wrong;
    apr_status_t rv;

    if (!runtime->has_esi || size == 0) {
        return;
    }
    rv = etg_shared_memory_make(&runtime->esi_memory, &kind, size, s, pconf,
                                &wrong);
    if (APR_STATUS_IS_ENOTIMPL(rv)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     ETGLOGNO(0525) "composite: fragments are not remembered, "
                     "and pages with ESI are read for each 304, since "
                     "mod_socache_shmcb is not loaded");
    }
    else if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     ETGLOGNO(0526) "composite: fragments are not remembered, "
                     "and pages with ESI are read for each 304, since there "
                     "is no shared memory%s%s", wrong != NULL ? ": " : "",
                     wrong != NULL ? wrong : "");
    }
}

void etg_composite_esi_memory_open(etg_composite_runtime *runtime,
                                   apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv;

    if (runtime->esi_memory == NULL) {
        return;
    }
    rv = etg_shared_memory_open(runtime->esi_memory, pchild);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     ETGLOGNO(0527) "composite: the mutex %s cannot be "
                     "opened; this child remembers no fragments", kind.name);
        runtime->esi_memory = NULL;
    }
}

static void say_lost(server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 ETGLOGNO(0528) "composite: a child died while it changed "
                 "what is remembered of fragments; pages with ESI are read "
                 "for each 304 until the next restart");
}

int etg_composite_esi_recall(etg_composite_esi *esi)
{
    request_rec *r = esi->first;
    const apr_table_t *fields;
    const apr_array_header_t *targets;
    etg_composite c;
    int result = DECLINED;

    if (esi->runtime->esi_memory == NULL || !may_be_recalled(esi)) {
        return DECLINED;
    }
    fields = held_page(esi);
    if (fields == NULL) {
        return DECLINED;
    }
    begin(&c, esi, fields);
    targets = recall(&c, c.parts[0].etag);
    if (targets == NULL) {
        return DECLINED;
    }
    esi->asked_at = etg_steady_now();
    c.until = esi->asked_at + esi->dir->deadline;
    if (!ask(&c, targets)) {
        return DECLINED;
    }
    r->headers_in = esi->client_fields;
    if (c.has_left) {
        apr_table_setn(r->notes, "etag-composite", "left");
        result = OK;
    }
    else {
        c.tag = etg_composite_tag_of(&c);
        if (c.tag != NULL) {
            result = answer(&c);
        }
    }
    if (result == DECLINED) {
        r->headers_in = esi->page_fields;
    }
    return result;
}

/* With what a 304 repeats of the page's own fields (RFC 9110 §15.4.5). */
static int answer(etg_composite *c)
{
    static const char name[] = "Content-Location";
    apr_table_t *fields = c->r->headers_out;
    const char *location = apr_table_get(c->parts[0].fields, name);
    int result;

    if (location != NULL) {
        apr_table_setn(fields, name, location);
    }
    result = etg_composite_answer_conditions(c);
    if (result == DECLINED) {
        apr_table_unset(fields, name);
    }
    return result;
}

/* Whether any tag but the right one would do (If-None-Match: *), or it is held
 * against others, the page itself decides. */
static int may_be_recalled(const etg_composite_esi *esi)
{
    static const char *const names[] = {
        "If-Match", "If-Unmodified-Since", "If-Range", "Range"
    };
    const apr_table_t *fields = esi->client_fields;
    const char *held = etg_field_combined(fields, "If-None-Match",
                                          esi->first->pool);

    if (held == NULL || etg_entity_tag_is_any(etg_bytes_of(held))
        || esi->first->header_only) {
        return 0;
    }
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (apr_table_get(fields, names[i]) != NULL) {
            return 0;
        }
    }
    return 1;
}

/* The fields of the page; NULL: it has to be asked for, or it is none whose
 * fragments could be known. What a cookie sets, a 304 would not set. */
static const apr_table_t *held_page(etg_composite_esi *esi)
{
    APR_OPTIONAL_FN_TYPE(etg_cache_held_fresh) *held_fresh =
        APR_RETRIEVE_OPTIONAL_FN(etg_cache_held_fresh);
    const apr_table_t *fields;

    return held_fresh != NULL && held_fresh(esi->first, &fields)
           && etg_composite_esi_is_in(esi->dir, fields)
           && (apr_table_get(fields, "Content-Encoding") == NULL
               || etg_composite_esi_is_gzip(fields, esi->first->pool))
           && apr_table_get(fields, "Set-Cookie") == NULL
        ? fields : NULL;
}

static void begin(etg_composite *c, etg_composite_esi *esi,
                  const apr_table_t *fields)
{
    memset(c, 0, sizeof(*c));
    c->r = esi->first;
    c->pool = c->r->pool;
    c->dir = esi->dir;
    c->runtime = esi->runtime;
    c->is_round_one = 1;
    c->count = 1;
    c->parts = apr_pcalloc(c->pool, (1 + ETG_ESI_FRAGMENTS_MAX)
                                    * sizeof(*c->parts));
    begin_part(c, &c->parts[0], "page",
               etg_composite_esi_target_of(esi->first));
    c->parts[0].fields = fields;
    c->parts[0].status = HTTP_OK;
    c->parts[0].is_answered = 1;
    etg_composite_esi_take_tag(&c->parts[0], c->pool);
}

/* As the filter and its fragments begin theirs: names and URLs count for the
 * tag. */
static void begin_part(etg_composite *c, etg_composite_had *part,
                       const char *name, const char *url)
{
    etg_composite_line *line = apr_pcalloc(c->pool, sizeof(*line));

    line->part.name = name;
    line->part.url = url;
    part->line = line;
    part->url = url;
}

/* Targets that may still be asked for; NULL: none are known. */
static apr_array_header_t *recall(etg_composite *c, const char *etag)
{
    etg_esi_memo_key key;
    etg_bytes bytes = { key.bytes, sizeof(key.bytes) };
    etg_bytes record;
    apr_array_header_t *targets;

    if (etag == NULL || !key_of(c, etag, &key)
        || etg_shared_memory_get(c->runtime->esi_memory, bytes, c->pool,
                                 &record) != APR_SUCCESS
        || etg_esi_memo_unpack(record, &key, c->pool, &targets)
           != APR_SUCCESS) {
        return NULL;
    }
    for (int i = 0; i < targets->nelts; i++) {
        if (!etg_allowed_is_below(APR_ARRAY_IDX(targets, i, const char *),
                                  c->dir->esi_allow)) {
            return NULL;
        }
    }
    return targets;
}

static int key_of(etg_composite *c, const char *etag, etg_esi_memo_key *key)
{
    const char *host = apr_table_get(c->r->headers_in, "Host");
    const char *url = apr_pstrcat(
        c->r->pool, ap_http_scheme(c->r), "://",
        host != NULL ? host : ap_get_server_name(c->r), c->parts[0].url,
        NULL);

    return etg_esi_memo_key_make(key, etg_bytes_of(url), etag,
                                 c->dir->esi_allow,
                                 c->dir->esi == ETG_COMPOSITE_ESI_ALWAYS,
                                 c->r->pool);
}

/* 0: not all of them are known by their fields. */
static int ask(etg_composite *c, const apr_array_header_t *targets)
{
    c->count = 1 + (unsigned)targets->nelts;
    for (int i = 0; i < targets->nelts; i++) {
        const char *target = APR_ARRAY_IDX(targets, i, const char *);

        begin_part(c, &c->parts[1 + i],
                   etg_composite_esi_name_of(target, c->pool), target);
    }
    if (c->count == 1) {
        return 1;
    }
    etg_composite_forward(c);
    etg_composite_peek(c);
    return etg_composite_ask(c) == NULL;
}

void etg_composite_esi_remember(etg_composite_page *page)
{
    etg_composite *c = &page->c;
    apr_array_header_t *targets;
    etg_esi_memo_key key;
    etg_bytes bytes = { key.bytes, sizeof(key.bytes) };
    etg_bytes record;

    if (c->runtime->esi_memory == NULL || !is_memorable(page)
        || !key_of(c, c->parts[0].etag, &key)) {
        return;
    }
    targets = apr_array_make(c->pool, (int)c->count, sizeof(const char *));
    for (unsigned i = 1; i < c->count; i++) {
        APR_ARRAY_PUSH(targets, const char *) = c->parts[i].url;
    }
    if (etg_esi_memo_pack(&key, targets, c->pool, &record) == APR_SUCCESS) {
        etg_shared_memory_put(c->runtime->esi_memory, bytes,
                              apr_time_now() + REMEMBERED_FOR, record,
                              c->pool);
    }
}

/* Behind an internal redirect our cache has it as another page. */
static int is_memorable(const etg_composite_page *page)
{
    const etg_composite *c = &page->c;

    if (c->tag == NULL || c->r->prev != NULL) {
        return 0;
    }
    for (unsigned i = 0; i < c->count; i++) {
        if (c->parts[i].etag == NULL || c->parts[i].status != HTTP_OK
            || c->parts[i].is_default
            || (i > 0 && APR_ARRAY_IDX(page->esi->fragments, (int)i - 1,
                                       etg_esi_fragment).alt != NULL)) {
            return 0;
        }
    }
    return 1;
}
