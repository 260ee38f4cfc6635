/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_prefetch.c: has the next page fetched behind the answer to this one.
 *
 * Runs on the client's thread, when all of the answer has been handed on. A
 * page is seen to once in a while only: its key (variant included) is
 * remembered for a moment beside the uncacheable keys, so that a hot page
 * costs one look into that table per hit. What the fields or the request name
 * is worked out here; a body is read by the job.
 */
#include "modules/cache/cache_prefetch.h"

#include "lib/allowed_target.h"
#include "lib/freshness.h"
#include "lib/json_pointer.h"
#include "lib/prefetch_ledger.h"
#include "lib/workers.h"
#include "modules/cache/cache_prefetch_job.h"

/* How long a page is not looked at again. */
#define LOOK_AGAIN apr_time_from_sec(1)
/* In place of a primary's generation, in keys that are for this alone. */
#define PAGE_KEY APR_UINT64_C(0x5046506167650000)

/* What is said at the child's end. */
typedef struct ending {
    etg_prefetch_ledger *ledger;
    server_rec *server;
    apr_pool_t *pool;
} ending;

static apr_status_t log_counters(void *data);
static void count_use(const etg_cache_context *ctx);
static apr_uint64_t ledger_hash(const etg_cache_context *ctx,
                                const etg_stored_response *stored);
static int may_prefetch(const etg_cache_context *ctx, const request_rec *r);
static const etg_stored_response *stored_page(const etg_cache_context *ctx);
static int is_seen_to(const etg_cache_context *ctx, etg_store_key *page);
static const char *named_by_request(const etg_cache_context *ctx,
                                    const request_rec *r,
                                    const etg_next_rule *rule);
static const char *find_link(const apr_table_t *fields, apr_pool_t *p);
static int has_readable_body(const etg_cache_context *ctx);
static etg_cache_prefetch_job *make_job(const etg_cache_context *ctx,
                                        request_rec *r, const char *next,
                                        apr_pool_t *p);
static void add_body(etg_cache_prefetch_job *job,
                     const etg_cache_context *ctx, const char *pointer,
                     apr_pool_t *p);
static const char *route_of(const etg_cache_context *ctx, apr_pool_t *p);
static apr_array_header_t *copy_words(const apr_array_header_t *words,
                                      apr_pool_t *p);
static const char *scheme_of(const etg_cache_context *ctx);
static const char *host_of(const etg_cache_context *ctx);

const char *etg_cache_prefetch_check(cmd_parms *cmd, const void *value)
{
    etg_next_rule rule;

    (void)cmd;
    return etg_next_rule_parse(*(const char *const *)value, &rule);
}

const char *etg_cache_prefetch_check_prefix(cmd_parms *cmd, const void *value)
{
    (void)cmd;
    return etg_allowed_prefix_is_valid(*(const char *const *)value)
        ? NULL : "is not a path prefix: it begins with / and has no query, "
                 "no dot segments and no encoded ones";
}

void etg_cache_prefetch_open(etg_cache_runtime *runtime, apr_pool_t *pchild,
                             server_rec *s)
{
    ending *end;

    if (runtime->ledger == NULL) {
        return;
    }
    end = apr_palloc(pchild, sizeof(*end));
    end->ledger = runtime->ledger;
    end->server = s;
    end->pool = pchild;
    apr_pool_cleanup_register(pchild, end, log_counters,
                              apr_pool_cleanup_null);
}

/* Of all children: the last one to end has the last word. */
static apr_status_t log_counters(void *data)
{
    const ending *end = data;
    apr_array_header_t *rows = etg_prefetch_ledger_counters(
        end->ledger, apr_time_now(), end->pool);
    apr_uint64_t total = 0;

    for (int i = 0; i < rows->nelts; i++) {
        total += APR_ARRAY_IDX(rows, i, etg_store_counter).value;
    }
    if (total > 0) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, end->server,
                     ETGLOGNO(0170) "prefetch, all children:%s",
                     etg_cache_counters_text(rows, end->pool));
    }
    return APR_SUCCESS;
}

void etg_cache_prefetch_mark(etg_cache_context *ctx,
                             etg_stored_response *record)
{
    apr_interval_time_t left;

    if (ctx->errand == NULL) {
        record->freshness.flags &= ~ETG_FRESH_PREFETCHED;
        return;
    }
    if (ctx->errand->purpose != ETG_CACHE_PREFETCH) {
        return;                      /* nobody has asked for it since */
    }
    record->freshness.flags |= ETG_FRESH_PREFETCHED;
    if (ctx->runtime->ledger != NULL) {
        apr_time_t now = apr_time_now();

        left = etg_lifetime_of(record, &ctx->policy) - etg_age_of(record, now);
        etg_prefetch_ledger_put(ctx->runtime->ledger,
                                ledger_hash(ctx, record), now + left, now);
    }
}

void etg_cache_prefetch_after(etg_cache_context *ctx, request_rec *r)
{
    etg_next_rule rule;
    etg_store_key page;
    const char *next = NULL;
    etg_cache_prefetch_job *job;
    apr_pool_t *pool;

    count_use(ctx);
    if (!may_prefetch(ctx, r) || is_seen_to(ctx, &page)
        || etg_next_rule_parse(ctx->dir->prefetch, &rule) != NULL) {
        return;
    }
    if (rule.way != ETG_NEXT_BY_JSON) {
        next = named_by_request(ctx, r, &rule);
        if (next == NULL) {
            return;
        }
    }
    else if (!has_readable_body(ctx)) {
        return;
    }
    if (etg_job_pool_create(&pool, "etag-cache-prefetch") != APR_SUCCESS) {
        return;
    }
    job = make_job(ctx, r, next, pool);
    job->page = page;
    if (next == NULL) {
        add_body(job, ctx, rule.name, pool);
    }
    etg_cache_background_submit(ctx->runtime, pool, etg_cache_prefetch_run,
                                job);
}

/* The flag says that somebody was the first to ask; the ledger, who. */
static void count_use(const etg_cache_context *ctx)
{
    const etg_stored_response *stored = ctx->found.stored;

    if (stored != NULL && ctx->plan == ETG_CACHE_SERVED
        && (stored->freshness.flags & ETG_FRESH_PREFETCHED)
        && ctx->errand == NULL && !ctx->is_head
        && ctx->runtime->ledger != NULL) {
        etg_prefetch_ledger_hit(ctx->runtime->ledger,
                                ledger_hash(ctx, stored));
    }
}

static apr_uint64_t ledger_hash(const etg_cache_context *ctx,
                                const etg_stored_response *stored)
{
    etg_store_key key;
    apr_uint64_t hash;

    etg_response_key(&key, &ctx->key.hash, PAGE_KEY, &stored->vary);
    memcpy(&hash, key.bytes, sizeof(hash));
    return hash;
}

/* What a private request got may be its client's alone; only a page that is
 * in the store is everybody's. */
static int may_prefetch(const etg_cache_context *ctx, const request_rec *r)
{
    return ctx->dir->prefetch != NULL && ctx->errand == NULL
        && ctx->dir->prefetch_allow->nelts > 0
        && !ctx->observe && !r->header_only && r->method_number == M_GET
        && (r->status == HTTP_OK || r->status == HTTP_NOT_MODIFIED)
        && etg_cache_background_is_on(ctx->runtime)
        && *ctx->first->unparsed_uri == '/'
        && (ctx->request.privacy == 0 || stored_page(ctx) != NULL);
}

/* What the client got, as it is in the store; NULL: it is not. */
static const etg_stored_response *stored_page(const etg_cache_context *ctx)
{
    if (ctx->found.stored != NULL
        && (ctx->plan == ETG_CACHE_SERVED || ctx->save.replaced)) {
        return ctx->found.stored;
    }
    return ctx->save.record.has_body ? &ctx->save.record : NULL;
}

/* Looks whether the page was seen to, and remembers that it is now. */
static int is_seen_to(const etg_cache_context *ctx, etg_store_key *page)
{
    etg_collapse *collapse = ctx->runtime->collapse;
    apr_time_t now = apr_time_now();
    etg_vary_hash vary;

    etg_vary_hash_of(&vary, ctx->found.spec, ctx->request.fields,
                     &ctx->vary_rules, ctx->pool);
    etg_response_key(page, &ctx->key.hash, PAGE_KEY, &vary);
    if (etg_collapse_is_uncacheable(collapse, page, now)) {
        return 1;
    }
    etg_collapse_remember(collapse, page, now + LOOK_AGAIN);
    return 0;
}

/* The target that the response's fields or the request itself lead to. */
static const char *named_by_request(const etg_cache_context *ctx,
                                    const request_rec *r,
                                    const etg_next_rule *rule)
{
    const char *target = ctx->first->unparsed_uri;
    const char *reference = rule->way == ETG_NEXT_BY_LINK
        ? find_link(r->headers_out, r->pool)
        : etg_next_by_query(target, rule->name, r->pool);
    const char *next = reference == NULL
        ? NULL : etg_allowed_target(reference, scheme_of(ctx), host_of(ctx),
                                    target, ctx->dir->prefetch_allow,
                                    r->pool);

    if (next == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      ETGLOGNO(0171) "no next page to prefetch: %s",
                      reference == NULL ? "none is named"
                      : apr_pstrcat(r->pool, "not allowed: ", reference,
                                    NULL));
    }
    return next;
}

static const char *find_link(const apr_table_t *fields, apr_pool_t *p)
{
    const apr_array_header_t *rows = apr_table_elts(fields);

    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row = &APR_ARRAY_IDX(rows, i,
                                                      apr_table_entry_t);
        const char *found = ap_cstr_casecmp(row->key, "Link")
            ? NULL : etg_next_by_link(row->val, p);

        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* Only what is stored can be read again; and not what would be refused. */
static int has_readable_body(const etg_cache_context *ctx)
{
    const etg_stored_response *stored = stored_page(ctx);

    return stored != NULL && stored->has_body && stored->body_length > 0
        && stored->body_length <= ETG_JSON_BYTES_MAX
        && (stored->coding == ETG_CODING_IDENTITY
            || stored->plain_length <= ETG_JSON_BYTES_MAX);
}

static etg_cache_prefetch_job *make_job(const etg_cache_context *ctx,
                                        request_rec *r, const char *next,
                                        apr_pool_t *p)
{
    etg_cache_prefetch_job *job = apr_pcalloc(p, sizeof(*job));
    const char *target = next != NULL ? next : ctx->first->unparsed_uri;

    job->runtime = ctx->runtime;
    job->server = ctx->server;
    job->route = route_of(ctx, p);
    job->ask = etg_cache_errand_ask(ctx, r, target, 0, p);
    if (next != NULL) {
        job->next = job->ask->target;
    }
    return job;
}

static void add_body(etg_cache_prefetch_job *job,
                     const etg_cache_context *ctx, const char *pointer,
                     apr_pool_t *p)
{
    const etg_stored_response *stored = stored_page(ctx);

    job->pointer = apr_pstrdup(p, pointer);
    job->scheme = apr_pstrdup(p, scheme_of(ctx));
    job->host = apr_pstrdup(p, host_of(ctx));
    job->target = job->ask->target;
    job->prefixes = copy_words(ctx->dir->prefetch_allow, p);
    job->entity = stored->entity;
    job->body_length = stored->body_length;
    job->coding = stored->coding;
    job->is_new = stored == &ctx->save.record;
}

static apr_array_header_t *copy_words(const apr_array_header_t *words,
                                      apr_pool_t *p)
{
    apr_array_header_t *copy = apr_array_make(p, words->nelts,
                                              sizeof(const char *));

    for (int i = 0; i < words->nelts; i++) {
        APR_ARRAY_PUSH(copy, const char *)
            = apr_pstrdup(p, APR_ARRAY_IDX(words, i, const char *));
    }
    return copy;
}

/* The virtual host, and what its directives say for this page: all pages for
 * which they say the same share two tickets. */
static const char *route_of(const etg_cache_context *ctx, apr_pool_t *p)
{
    const server_rec *s = ctx->first->server;

    return apr_psprintf(p, "prefetch %s:%u %s:%u %s %s",
                        s->server_hostname ? s->server_hostname : "",
                        s->addrs != NULL ? (unsigned)s->addrs->host_port : 0u,
                        s->defn_name ? s->defn_name : "",
                        s->defn_line_number, ctx->dir->prefetch,
                        apr_array_pstrcat(p, ctx->dir->prefetch_allow, ' '));
}

static const char *scheme_of(const etg_cache_context *ctx)
{
    return ap_http_scheme(ctx->first);
}

static const char *host_of(const etg_cache_context *ctx)
{
    const char *host = apr_table_get(ctx->request.fields, "Host");

    return host != NULL ? host : "";
}
