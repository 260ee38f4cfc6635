/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_background.c: the child's background, and what clients' requests hand
 * over to it.
 *
 * A refresh is a job in a root pool of its own: the ask, the errand, and the
 * lead of the key's fetch, taken on the client's thread without waiting. So
 * of all who meet a stale response one makes a job, in all processes, and the
 * others go on. Whoever ends the pool, job done or job dropped, gives the lead
 * back. Nothing of the client's request is used on the background's thread.
 */
#include "modules/cache/cache_background.h"

#include "lib/background.h"
#include "lib/field_list.h"
#include "lib/workers.h"
#include "modules/cache/cache_warnings.h"

/* How long the background may take to end with its child. */
#define END_WAIT apr_time_from_sec(1)
/* How long a backend that failed a refresh is left alone with that key. */
#define PAUSE apr_time_from_sec(1)
/* What is remembered of a key, by what its bytes are changed with. */
#define PAUSED 0x5a
#define FAILED 0xa5
/* A request's fields as they came, in its pool's userdata. */
#define FIELDS_KEY "etag-cache-fields"

typedef struct refresh {
    etg_cache_runtime *runtime;
    etg_cache_errand errand;
    etg_internal_ask *ask;
} refresh;

/* What is said at the child's end. */
typedef struct ending {
    etg_cache_runtime *runtime;
    server_rec *server;
    apr_pool_t *pool;
} ending;

static int keep_fields(request_rec *r);
static int open_workers(etg_cache_runtime *runtime, apr_pool_t *pchild,
                        server_rec *s);
static apr_status_t end_background(void *data);
static etg_workers *workers_of(const etg_cache_runtime *runtime);
static void log_counters(const ending *end, int left);
static int submit_refresh(etg_cache_context *ctx, request_rec *r,
                          etg_collapse_ticket *ticket);
static void run_refresh(void *baton, apr_pool_t *pool);
static apr_status_t drop_refresh(void *data);
static int is_remembered(const etg_cache_context *ctx, unsigned char what);
static void pause_key(etg_store_key *key, const etg_store_key *collapse_key,
                      unsigned char what);
static const char *path_of(const char *target);
static const apr_table_t *client_fields(request_rec *r);
static void copy_fields(apr_table_t *to, const apr_table_t *from);
static int is_of_this_request(const char *name);

void etg_cache_background_register(void)
{
    ap_hook_post_read_request(keep_fields, NULL, NULL,
                              APR_HOOK_REALLY_FIRST);
}

/* mod_headers may change, add and take away fields, and would do so a second
 * time with the background's request. Which location this is for, and so
 * whether anything will ask for them, is not known yet; the copy is of
 * pointers, 0.1 us for a browser's dozen fields. */
static int keep_fields(request_rec *r)
{
    etg_cache_server_conf *conf = ap_get_module_config(
        r->server->module_config, &etag_cache_module);

    if (r->method_number == M_GET && conf->runtime != NULL
        && etg_cache_background_is_on(conf->runtime)
        && r->main == NULL && r->prev == NULL) {
        apr_pool_userdata_setn(apr_table_copy(r->pool, r->headers_in),
                               FIELDS_KEY, NULL, r->pool);
    }
    return DECLINED;
}

const char *etg_cache_background_check(cmd_parms *cmd, const void *value)
{
    etg_background_limits limits;

    (void)cmd;
    return etg_background_limits_parse(
        &limits, etg_bytes_of(*(const char *const *)value));
}

void etg_cache_background_prepare(apr_pool_t *ptemp, server_rec *s)
{
    static const char *const asking[] = {
        "ETagCacheStaleWhileRevalidate", "ETagCachePatience",
        "ETagCacheRefreshAhead", "ETagCacheRefresh", "ETagCachePrefetch", NULL
    };

    if (etg_internal_is_possible() || !etg_cache_is_used(ptemp)) {
        return;
    }
    for (int i = 0; asking[i] != NULL; i++) {
        if (etg_cache_is_configured(asking[i], ptemp)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         ETGLOGNO(0160) "%s needs an MPM with threads, "
                         "and more than one in a child (ThreadsPerChild): "
                         "nothing is fetched in the background, and stale "
                         "responses are validated first", asking[i]);
            return;
        }
    }
}

void etg_cache_background_open(etg_cache_runtime *runtime, apr_pool_t *pchild,
                               server_rec *s)
{
    ending *end;

    if (!runtime->is_used || runtime->collapse == NULL
        || !etg_internal_is_possible() || !open_workers(runtime, pchild, s)) {
        return;
    }
    end = apr_palloc(pchild, sizeof(*end));
    end->runtime = runtime;
    end->server = s;
    end->pool = pchild;
    /* The last one registered runs first: before those of the workers and of
     * internal requests, while all that jobs use is still there. */
    apr_pool_pre_cleanup_register(pchild, end, end_background);
}

static int open_workers(etg_cache_runtime *runtime, apr_pool_t *pchild,
                        server_rec *s)
{
    const etg_cache_server_conf *conf = ap_get_module_config(
        s->module_config, &etag_cache_module);
    etg_background_limits limits;
    apr_status_t rv;

    if (etg_background_limits_parse(&limits, etg_bytes_of(conf->background))
        != NULL) {
        return 0;                     /* refused when it was read */
    }
    rv = etg_workers_create(&runtime->workers, limits.threads, limits.queue,
                            pchild);
    if (rv == APR_SUCCESS) {
        rv = etg_internal_create(&runtime->internal, s, pchild);
    }
    if (rv != APR_SUCCESS) {
        runtime->workers = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     ETGLOGNO(0161) "this child fetches nothing in the "
                     "background");
    }
    return rv == APR_SUCCESS;
}

/* First everything that waits for a backend is cut, then the threads end. */
static apr_status_t end_background(void *data)
{
    const ending *end = data;
    int left;

    etg_internal_stop(end->runtime->internal);
    left = etg_workers_stop(end->runtime->workers, END_WAIT);
    log_counters(end, left);
    __atomic_store_n(&end->runtime->workers, NULL, __ATOMIC_RELEASE);
    return APR_SUCCESS;
}

static void log_counters(const ending *end, int left)
{
    const char *text = etg_cache_counters_text(
        etg_workers_counters(end->runtime->workers, end->pool), end->pool);

    ap_log_error(APLOG_MARK, APLOG_INFO, 0, end->server,
                 ETGLOGNO(0163) "background:%s%s", text,
                 left ? "; not all ended in time" : "");
}

const char *etg_cache_counters_text(const apr_array_header_t *rows,
                                    apr_pool_t *p)
{
    const char *text = "";

    for (int i = 0; i < rows->nelts; i++) {
        const etg_store_counter *row = &APR_ARRAY_IDX(rows, i,
                                                      etg_store_counter);

        text = apr_psprintf(p, "%s %s=%" APR_UINT64_T_FMT, text, row->name,
                            row->value);
    }
    return text;
}

int etg_cache_background_is_on(const etg_cache_runtime *runtime)
{
    return workers_of(runtime) != NULL && runtime->collapse != NULL;
}

int etg_cache_background_is_ending(const etg_cache_runtime *runtime)
{
    const etg_workers *workers = workers_of(runtime);

    return workers == NULL || etg_workers_are_stopping(workers);
}

apr_status_t etg_cache_background_submit(etg_cache_runtime *runtime,
                                         apr_pool_t *pool, etg_work *run,
                                         void *baton)
{
    etg_workers *workers = workers_of(runtime);

    if (workers == NULL) {
        apr_pool_destroy(pool);
        return APR_EOF;
    }
    return etg_workers_submit(workers, pool, run, baton);
}

/* A thread that did not end in time, or another module's, may ask while the
 * child's main thread ends the background. */
static etg_workers *workers_of(const etg_cache_runtime *runtime)
{
    return __atomic_load_n(&runtime->workers, __ATOMIC_ACQUIRE);
}

int etg_cache_refresh_behind(etg_cache_context *ctx, request_rec *r)
{
    etg_collapse_ticket ticket = { 0, 0 };

    if (!etg_cache_background_is_on(ctx->runtime) || ctx->errand != NULL
        || ctx->observe || ctx->found.stored == NULL) {
        return 0;
    }
    etg_cache_collapse_key_make(ctx);
    if (etg_cache_refresh_is_paused(ctx)) {
        return 0;
    }
    if (etg_collapse_join(ctx->runtime->collapse, &ctx->collapse_key, 0,
                          &ticket) != ETG_COLLAPSE_LEAD) {
        return 1;                     /* somebody fetches it */
    }
    return submit_refresh(ctx, r, &ticket);
}

static int submit_refresh(etg_cache_context *ctx, request_rec *r,
                          etg_collapse_ticket *ticket)
{
    apr_pool_t *pool;
    refresh *job;

    if (etg_job_pool_create(&pool, "etag-cache-refresh") != APR_SUCCESS) {
        etg_collapse_finish(ctx->runtime->collapse, ticket,
                            ETG_COLLAPSE_NOT_STORED, 0);
        return 0;
    }
    job = apr_pcalloc(pool, sizeof(*job));
    job->runtime = ctx->runtime;
    job->errand.purpose = ETG_CACHE_REFRESH;
    job->errand.asked_at = ctx->found.stored->received_at + 1;
    job->errand.ticket = *ticket;
    job->errand.collapse_key = ctx->collapse_key;
    apr_pool_cleanup_register(pool, job, drop_refresh, apr_pool_cleanup_null);
    job->ask = etg_cache_errand_ask(ctx, r, ctx->first->unparsed_uri, 1,
                                    pool);
    if (etg_cache_background_submit(ctx->runtime, pool, run_refresh, job)
        != APR_SUCCESS) {
        return 0;
    }
    etg_cache_trace(ctx, "refresh");
    return 1;
}

static void run_refresh(void *baton, apr_pool_t *pool)
{
    refresh *job = baton;
    etg_internal_answer answer;

    etg_cache_errand_run(job->runtime, &job->errand, job->ask, pool, &answer);
}

static apr_status_t drop_refresh(void *data)
{
    refresh *job = data;

    etg_cache_errand_end(job->runtime, &job->errand);
    return APR_SUCCESS;
}

void etg_cache_refresh_pause(etg_cache_runtime *runtime,
                             const etg_store_key *collapse_key, int failed)
{
    apr_time_t until = apr_time_now() + PAUSE;
    etg_store_key key;

    pause_key(&key, collapse_key, FAILED);
    etg_collapse_remember(runtime->collapse, &key, failed ? until : 0);
    pause_key(&key, collapse_key, PAUSED);
    etg_collapse_remember(runtime->collapse, &key, until);
}

int etg_cache_refresh_is_paused(const etg_cache_context *ctx)
{
    return is_remembered(ctx, PAUSED);
}

int etg_cache_refresh_has_failed(const etg_cache_context *ctx)
{
    return is_remembered(ctx, FAILED);
}

static int is_remembered(const etg_cache_context *ctx, unsigned char what)
{
    etg_store_key key;

    pause_key(&key, &ctx->collapse_key, what);
    return etg_collapse_is_uncacheable(ctx->runtime->collapse, &key,
                                       apr_time_now());
}

/* Pauses are kept beside the uncacheable keys, under keys of their own. */
static void pause_key(etg_store_key *key, const etg_store_key *collapse_key,
                      unsigned char what)
{
    for (apr_size_t i = 0; i < sizeof(key->bytes); i++) {
        key->bytes[i] = collapse_key->bytes[i] ^ what;
    }
}

etg_internal_ask *etg_cache_errand_ask(const etg_cache_context *ctx,
                                       request_rec *r, const char *target,
                                       int with_credentials, apr_pool_t *p)
{
    etg_internal_ask *ask = apr_pcalloc(p, sizeof(*ask));
    const etg_internal_ask *outer = etg_internal_ask_of(r);
    const apr_array_header_t *secret = ctx->server->private_headers;
    request_rec *first = ctx->first;
    apr_table_t *fields = apr_table_make(p, 16);

    copy_fields(fields, client_fields(first));
    if (!with_credentials) {
        apr_table_unset(fields, "Authorization");
        apr_table_unset(fields, "Cookie");
        for (int i = 0; i < secret->nelts; i++) {
            apr_table_unset(fields, APR_ARRAY_IDX(secret, i, const char *));
        }
    }
    ask->server = first->server;
    ask->is_https = !strcmp(ap_http_scheme(first), "https");
    ask->method = "GET";
    ask->target = apr_pstrcat(p, *path_of(target) == '/' ? "" : "/",
                              path_of(target), NULL);
    ask->fields = fields;
    ask->client_ip = apr_pstrdup(p, first->useragent_ip);
    if (apr_sockaddr_info_copy(&ask->local, first->connection->local_addr, p)
        != APR_SUCCESS) {
        ask->local = NULL;
    }
    ask->depth = outer == NULL ? 0 : outer->depth + 1;
    ask->limit = first->server->timeout;
    return ask;
}

/* Clients may name the whole URL; Host, which httpd sets by it, has the rest.
 * "http://host" and "http://host?q" mean the path "/". */
static const char *path_of(const char *target)
{
    const char *authority = *target == '/' ? NULL : strstr(target, "://");

    return authority == NULL ? target
                             : authority + 3 + strcspn(authority + 3, "/?");
}

/* As they came, so that the admin's rules apply to them once. Where
 * mod_remoteip has taken the client's address out of them, the rest: the
 * background's request comes from that address itself. */
static const apr_table_t *client_fields(request_rec *r)
{
    void *kept = NULL;

    if (r->useragent_addr != r->connection->client_addr) {
        return r->headers_in;
    }
    apr_pool_userdata_get(&kept, FIELDS_KEY, r->pool);
    return kept != NULL ? kept : r->headers_in;
}

static void copy_fields(apr_table_t *to, const apr_table_t *from)
{
    const apr_array_header_t *rows = apr_table_elts(from);

    for (int i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row = &APR_ARRAY_IDX(rows, i,
                                                      apr_table_entry_t);

        if (!is_of_this_request(row->key)
            && !etg_field_is_hop_by_hop(row->key)) {
            apr_table_add(to, row->key, row->val);
        }
    }
}

/* What speaks of the one answer that a client wants now. */
static int is_of_this_request(const char *name)
{
    static const char *const names[] = {
        "If-Match", "If-None-Match", "If-Modified-Since",
        "If-Unmodified-Since", "If-Range", "Range", "Cache-Control",
        "Pragma", "Content-Length", "Expect", "Max-Forwards", NULL
    };

    for (int i = 0; names[i] != NULL; i++) {
        if (!ap_cstr_casecmp(name, names[i])) {
            return 1;
        }
    }
    return 0;
}
