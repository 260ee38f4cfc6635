/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etg_store.h: the contract between mod_etag_cache and its stores.
 *
 * Model. A store keeps three kinds of things:
 *
 *   primary record   one per cache key, small, read-modify-written:
 *                    which request fields Vary names, generation, rows
 *   response record  one per (key, generation, Vary values): status line,
 *                    fields, times, and the digest of its body
 *   entity           a body, addressed by the SHA-256 of its bytes
 *
 * The first two form the metastore, the third the entitystore; one provider
 * serves both and may be used for either. Records are opaque to the store:
 * it adds its own framing, if any, and never looks inside.
 *
 * Answers. HIT and MISS come only with APR_SUCCESS; any other status means
 * that the store could not answer: callers treat that as a network failure
 * (serve as if the cache were absent), never as a MISS that may be filled
 * blindly. No call blocks longer than the budget the store was given, except
 * reading a file from a local disk.
 *
 * Marks. A purge does not walk: it moves a generation, and what was stored
 * under an earlier one shows as marked when it is next looked up. Each store
 * (each server of one that has several) keeps a clock of its own that only
 * purges move: 64 bits, the µs since 1970 at the last purge, or one more than
 * the last reading if that is greater, so that it orders purges whatever the
 * hosts' wall clocks say. (Its unit is the store's: the memcached store has
 * 2^-11 µs, to tell a clock that was lost from the next.) Per purge tag it
 * keeps the clock's readings when the tag was last marked. A response carries
 * the clock's reading from *before* its fetch began, its moment, and its
 * tags; it is marked if any of its tags, or everything, was marked after that
 * moment. The store keeps moment and tags beside the response and does the
 * comparing.
 *
 * A store may forget a clock or a tag's readings (evicted, lost), never a
 * mark: what it may have forgotten counts as ETG_STORE_MARK_INVALID for every
 * response that is older than the loss, and need not for younger ones. When
 * a tag can have been forgotten is the store's own affair: one that has seen
 * all marks knows that a tag without readings was never marked; one that
 * cannot know makes the generation when a response with the tag is written.
 *
 * Tiers. A tiered store is a store made of others, nearest first. What a near
 * tier holds is a copy, trusted for a short time only.
 *
 * Threads. Every call below `open` may come from any thread of the child.
 *
 * Stores register one etg_store_provider per URI scheme with
 * ap_register_provider(p, ETG_STORE_PROVIDER_GROUP, "local",
 *                      ETG_STORE_PROVIDER_VERSION, &provider).
 * This header needs APR only, so that stores are tested without httpd.
 */
#ifndef ETG_STORE_H
#define ETG_STORE_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_file_io.h>
#include <apr_time.h>

#include "etg_bytes.h"
#include "etg_log.h"

#define ETG_STORE_PROVIDER_GROUP "etg-store"
#define ETG_STORE_PROVIDER_VERSION "2"

#define ETG_STORE_KEY_BYTES 16
#define ETG_ENTITY_ID_BYTES 32

/* A record's address. Collisions are the caller's business: every record
 * carries the full key it belongs to. */
typedef struct etg_store_key {
    unsigned char bytes[ETG_STORE_KEY_BYTES];
} etg_store_key;

/* SHA-256 of a body's bytes. */
typedef struct etg_entity_id {
    unsigned char bytes[ETG_ENTITY_ID_BYTES];
} etg_entity_id;

typedef enum etg_store_answer {
    ETG_STORE_MISS = 0,
    ETG_STORE_HIT
} etg_store_answer;

typedef struct etg_store etg_store;
typedef struct etg_entity_writer etg_entity_writer;
typedef struct etg_store_write etg_store_write;

/* What the host process gives a store when it is configured. */
typedef struct etg_store_env {
    const char *default_dir;   /* absolute; where `local:` without path goes */
    const char *server_root;   /* absolute; relative paths start here */
    apr_uid_t owner;           /* who the children run as */
    apr_gid_t group;
    etg_log log;               /* valid for the life of the configuration */
} etg_store_env;

/* A body as the store hands it out: either in memory or in a file. */
typedef struct etg_entity {
    apr_uint64_t length;       /* of the whole body, in bytes */
    const unsigned char *bytes;/* the body, in the caller's pool, or NULL */
    apr_file_t *file;          /* if bytes is NULL: opened in the pool */
    apr_off_t offset;          /* where the body starts in file */
} etg_entity;

/* A purge tag: a hash of the origin and the tag's name. Two names that share
 * one are purged together, which costs a fetch and nothing else. */
typedef apr_uint64_t etg_store_tag;

#define ETG_STORE_TAGS_MAX 64        /* per response and per purge */
#define ETG_STORE_TIERS_MAX 4

/* What a purge has done to a stored response; the strongest wins. */
typedef enum etg_store_mark {
    ETG_STORE_MARK_NONE = 0,
    ETG_STORE_MARK_SOFT,             /* stale, within the rules for stale */
    ETG_STORE_MARK_INVALID,          /* validate before any use */
    ETG_STORE_MARK_GONE              /* as if it were not there */
} etg_store_mark;

/* Readings of the clock, one per tier (a plain store uses the first). Only
 * the store that gave a moment can read it, and only for writes of the same
 * primary key. 0: not known; nothing can be stored under it. */
typedef struct etg_store_moment {
    apr_uint64_t of[ETG_STORE_TIERS_MAX];
    apr_time_t at;                   /* a tiered store's own: when it asked,
                                      * by this host's clock; else 0 */
} etg_store_moment;

/* How far a look-up goes in a tiered store; a plain store has one answer. */
typedef enum etg_store_depth {
    ETG_STORE_NEAREST,               /* the first tier that knows, if its copy
                                      * may still be trusted */
    ETG_STORE_SHARED                 /* past all copies */
} etg_store_depth;

/* What a look-up found. */
typedef struct etg_store_found {
    etg_store_answer answer;
    etg_bytes response;              /* HIT: a copy in the caller's pool,
                                      * 8-byte aligned */
    etg_store_mark mark;             /* HIT: never ETG_STORE_MARK_GONE */
    apr_time_t marked_at;            /* about when; 0 if mark is NONE */
    etg_store_moment moment;         /* HIT or MISS: from before the look-up */
    const etg_store_tag *tags;       /* HIT: as written, in the caller's
                                      * pool */
    unsigned tag_count;
    apr_time_t expires_at;           /* HIT: the record's, as written, or
                                      * rounded up to a second */
    int is_copy;                     /* a farther tier may know better */
    apr_status_t trouble;            /* why a farther tier was not heard;
                                      * APR_SUCCESS: there was no need, or it
                                      * was. A HIT with trouble is marked SOFT
                                      * at least */
} etg_store_found;

/* A cluster-wide lease on a key's fetch. */
typedef struct etg_store_lease {
    etg_store_key key;
    apr_uint64_t token;              /* 0: none */
} etg_store_lease;

typedef enum etg_store_lease_state {
    ETG_STORE_LEASE_TAKEN,           /* ours: release is owed */
    ETG_STORE_LEASE_HELD,            /* another's: ask again later */
    ETG_STORE_LEASE_UNCACHEABLE      /* the last holder's answer cannot be
                                      * shared: fetch for yourself */
} etg_store_lease_state;

/* A store that knows that it cannot be reached answers with this at once,
 * without trying: its breaker is open. */
#define ETG_STORE_OPEN_BREAKER (APR_OS_START_USERERR + 7001)

/* One named counter or gauge, for status and tests. */
typedef struct etg_store_counter {
    const char *name;          /* static: "entries", "bytes", "evicted", ... */
    apr_uint64_t value;
} etg_store_counter;

/*
 * Looks at a primary record and names the response record to read next.
 * `primary` points into the store's own memory and is valid only during the
 * call; copy what must stay. APR_SUCCESS: read *next. APR_NOTFOUND: no
 * variant fits or the record does not parse: the look-up is a MISS.
 * Must not block, allocate from a shared pool, or call the store.
 */
typedef apr_status_t etg_store_choose(void *baton, etg_bytes primary,
                                      etg_store_key *next);

/*
 * Makes a new primary record out of the present one. `old.data` is NULL if
 * there is none. Runs on any thread, possibly more than once (compare and
 * swap), so it depends on its arguments only. *fresh is allocated in
 * `scratch`. May set write->response_key. APR_SUCCESS: *fresh is written
 * until *expires_at (length 0: the record is removed) and the write's
 * response with it. Any other status: nothing of this write is done.
 */
typedef apr_status_t etg_store_update(etg_store_write *write, etg_bytes old,
                                      apr_pool_t *scratch, etg_bytes *fresh,
                                      apr_time_t *expires_at);

/*
 * One atomic change of the metastore: update of a primary record and,
 * optionally, one response record under it. `pool` is a root pool with an
 * allocator of its own that holds this struct and all it names; meta_write
 * takes it over and destroys it when the change is done or dropped.
 */
struct etg_store_write {
    apr_pool_t *pool;
    etg_store_key primary_key;
    etg_store_update *update;
    void *baton;               /* the update function's own data */
    etg_store_key response_key;
    etg_bytes response;        /* data NULL: no response record */
    apr_time_t response_expires_at; /* the store may drop it from then on */
    etg_store_moment moment;   /* of the look-up before the fetch: a response
                                * marked since is stored as marked, one of an
                                * unknown moment (0) is not stored; both are
                                * APR_SUCCESS */
    const etg_store_tag *tags; /* the response's, in the pool; no two alike */
    unsigned tag_count;        /* at most ETG_STORE_TAGS_MAX */
};

typedef struct etg_store_provider {
    /* The URI scheme, as registered. */
    const char *scheme;

    /* Configuration time, at every (re)start and in configtest: reads the
     * URI and makes *store in pconf. NULL, or a sentence that names the bad
     * part and its range. Touches no file. `env` lives as long as pconf. */
    const char *(*configure)(etg_store **store, const char *uri,
                             const etg_store_env *env, apr_pool_t *pconf);

    /* post_config of a real start, as root: makes folders and what children
     * share. On failure the store says why in the log and every later call
     * answers as if it were down. */
    apr_status_t (*prepare)(etg_store *store, apr_pool_t *pconf);

    /* child_init: opens what must not cross a fork; closed by a cleanup on
     * pchild, which joins the store's threads, or after a few seconds leaves
     * what is still in use to the end of the process. */
    apr_status_t (*open)(etg_store *store, apr_pool_t *pchild);

    /* Reads the primary record of `key`, asks `choose`, reads the response
     * record that it names, in one consistent view, and compares its tags'
     * generations. Fills *found on APR_SUCCESS only. */
    apr_status_t (*meta_lookup)(etg_store *store, const etg_store_key *key,
                                etg_store_choose *choose, void *baton,
                                etg_store_depth depth, apr_pool_t *p,
                                etg_store_found *found);

    /* Carries out `write`, at the latest when this store's earlier writes
     * (entities included) are done. Waits at most `wait` for the end:
     * APR_SUCCESS done (or given up by update), APR_TIMEUP still to come,
     * anything else: dropped and counted. */
    apr_status_t (*meta_write)(etg_store *store, etg_store_write *write,
                               apr_interval_time_t wait);

    /* Reads a body. HIT only if length and checksum hold. */
    apr_status_t (*entity_read)(etg_store *store, const etg_entity_id *id,
                                apr_uint64_t length, apr_pool_t *p,
                                etg_store_answer *answer, etg_entity *entity);

    /* Starts a body of `expected` bytes (-1: not known). The writer lives
     * in `p` and is abandoned by a cleanup on p unless it was finished. One
     * thread at a time. */
    apr_status_t (*entity_begin)(etg_store *store, apr_int64_t expected,
                                 apr_pool_t *p, etg_entity_writer **writer);

    /* Adds bytes. A failure is remembered: finish then fails as well. */
    apr_status_t (*entity_append)(etg_entity_writer *writer,
                                  const void *data, apr_size_t length);

    /* Makes the body readable under *id no later than any meta_write that
     * is handed in after this call returned; kept at least until
     * `expires_at` unless evicted. An equal body already there is reused. */
    apr_status_t (*entity_finish)(etg_entity_writer *writer,
                                  apr_time_t expires_at, etg_entity_id *id);

    /* Drops an unfinished body. */
    void (*entity_abandon)(etg_entity_writer *writer);

    /* Marks whatever carries one of the tags; `count` 0: everything. Waits
     * at most `wait` for the end: APR_SUCCESS done everywhere, APR_TIMEUP
     * still to come, anything else: not done, or not everywhere. *moved,
     * whatever the result: how many generations moved (tags, or 1 for
     * everything) somewhere, or with APR_TIMEUP are about to. Constant time
     * per tag and server. */
    apr_status_t (*mark)(etg_store *store, const etg_store_tag *tags,
                         unsigned count, etg_store_mark mark,
                         apr_interval_time_t wait, unsigned *moved);

    /* Asks for the lease on `key`. Any status but APR_SUCCESS: the store
     * cannot say; fetch without. A lease lasts a few seconds, and is renewed
     * by the store while this process lives, until it is released. NULL here
     * and below: no other host shares this store. */
    apr_status_t (*lease_take)(etg_store *store, const etg_store_key *key,
                               etg_store_lease *lease,
                               etg_store_lease_state *state);

    /* Gives the lease back once this store's earlier writes are done, and
     * clears *lease. `is_uncacheable`: those who wait for it on other hosts
     * hear so for a few seconds. Never blocks. */
    void (*lease_release)(etg_store *store, etg_store_lease *lease,
                          int is_uncacheable);

    /* All counters, as etg_store_counter rows in `p`. */
    apr_status_t (*counters)(etg_store *store, apr_pool_t *p,
                             apr_array_header_t **rows);
} etg_store_provider;

#endif
