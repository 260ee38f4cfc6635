/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_store.h: what the parts of the embedded store share. Private to
 * modules/store_local and its tests; free of httpd.h.
 *
 * One store is one folder `<dir>/store-<n>` holding
 *
 *   in-use     every child that has the folder open holds a shared flock on it
 *   control    mmapped: geometry, boot id, clock, segment table, tag slots,
 *              hit marks
 *   data.mdb   LMDB: `records` and `records-old` (sequence -> a record or a
 *              pair of them, in order of writing), `index` (hash prefix ->
 *              place, 10 bytes an item),
 *              `files` (sequence -> large body, in order of writing),
 *              `tags` and `tag-order` (what was purged by tag)
 *   segments   one sparse file cut into segments; bodies up to 64 KiB, packed
 *   body/xx/   larger bodies, named after the SHA-256 of their bytes
 *   tmp/       large bodies that are still arriving: <pid>.<number>
 *
 * Everything that changes data.mdb, the segment table or body/ happens on a
 * store thread that holds the LMDB write lock. Readers hold nothing: they
 * copy out and check what they copied.
 */
#ifndef ETG_LOCAL_STORE_H
#define ETG_LOCAL_STORE_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "etg_store.h"

#define ETG_LOCAL_FORMAT 2
#define ETG_LOCAL_MAGIC "ETGLOCAL"
#define ETG_LOCAL_PATH_BYTES 1280
#define ETG_LOCAL_DIR_BYTES 1024
#define ETG_LOCAL_READERS 8192
#define ETG_LOCAL_PACKED_BYTES 65536
#define ETG_LOCAL_CHILD_SLOTS 1024
#define ETG_LOCAL_FILE_OVERHEAD 4096
#define ETG_LOCAL_MARK_MAX 15
#define ETG_LOCAL_VERIFIED_SLOTS 4096
#define ETG_LOCAL_BYTES_PER_TAG 1024   /* of the map: a tenth, when full */

/* How `size=` is divided. */
typedef struct etg_local_geometry {
    uint64_t size;             /* all of it */
    uint64_t map_bytes;        /* LMDB map */
    uint64_t control_bytes;    /* the control file */
    uint64_t body_bytes;       /* segments and files together */
    uint32_t segment_bytes;
    uint32_t segment_count;    /* the most there can be */
    uint32_t mark_count;       /* bytes; a power of two */
    uint32_t ghost_bytes;      /* eight bits each; a power of two */
    uint32_t tag_slots;        /* eight bytes each; a power of two */
    uint32_t pad;
} etg_local_geometry;

typedef enum etg_local_segment_state {
    ETG_LOCAL_SEGMENT_HOLE = 0,  /* no disk space behind it */
    ETG_LOCAL_SEGMENT_FREE,
    ETG_LOCAL_SEGMENT_ACTIVE,
    ETG_LOCAL_SEGMENT_SEALED
} etg_local_segment_state;

/* New bodies are young: they have a tenth of the room and leave it first.
 * Those that are asked for meanwhile, or come back soon after they left, are
 * old: one big fetch-once crawl does not push them out. */
typedef enum etg_local_age {
    ETG_LOCAL_YOUNG = 0,
    ETG_LOCAL_OLD,
    ETG_LOCAL_AGES
} etg_local_age;

/* A row of the segment table: written under the LMDB write lock. */
typedef struct etg_local_segment {
    _Atomic uint64_t order;      /* rises with every segment begun */
    _Atomic uint32_t generation; /* rises when it is about to be rewritten */
    _Atomic uint32_t used;       /* bytes appended */
    _Atomic uint16_t state;
    _Atomic uint16_t age;        /* etg_local_age */
    uint32_t pad;
} etg_local_segment;

/* What a child has reserved for bodies that are still arriving. */
typedef struct etg_local_child {
    _Atomic uint64_t bytes;
    _Atomic uint32_t pid;
    uint32_t pad;
} etg_local_child;

typedef enum etg_local_count {
    ETG_LOCAL_EVICTED_RECORDS,
    ETG_LOCAL_EVICTED_BODIES,
    ETG_LOCAL_EVICTED_FILES,
    ETG_LOCAL_KEPT_RECORDS,      /* given a second chance */
    ETG_LOCAL_KEPT_BODIES,
    ETG_LOCAL_DROPPED_WRITES,
    ETG_LOCAL_FAILED_READS,
    ETG_LOCAL_DAMAGED_BODIES,
    ETG_LOCAL_RECYCLED_SEGMENTS,
    ETG_LOCAL_EVICTED_TAGS,
    ETG_LOCAL_COUNTS
} etg_local_count;

/* What a purge does: etg_store_mark without NONE. */
enum {
    ETG_LOCAL_PURGE_SOFT = 0,
    ETG_LOCAL_PURGE_INVALID,
    ETG_LOCAL_PURGE_GONE,
    ETG_LOCAL_PURGES
};

/* The head of the control file. Mapped by every child; offsets only. */
typedef struct etg_local_control {
    char magic[8];
    uint32_t format;
    uint32_t head_bytes;         /* of this struct */
    etg_local_geometry geometry;
    char boot_id[40];
    _Atomic uint32_t clean;      /* synced after the last child had closed */
    _Atomic uint32_t damaged;    /* down; next start makes a new one */
    _Atomic int64_t walked_at;   /* last check because of deaths */
    _Atomic uint64_t reading;    /* of the clock that purges move */
    _Atomic uint64_t all_marked[ETG_LOCAL_PURGES];
    _Atomic uint64_t tag_floor;  /* no mark later than this was forgotten */
    _Atomic uint64_t record_seq; /* last used; write lock */
    _Atomic uint64_t file_seq;
    _Atomic uint64_t segment_order;
    _Atomic uint64_t file_bytes[ETG_LOCAL_AGES]; /* with overhead */
    _Atomic uint32_t active[ETG_LOCAL_AGES]; /* segment number + 1 */
    _Atomic uint32_t allocated;  /* segments with disk space behind them */
    _Atomic uint32_t ghost_hand; /* the byte that fades next */
    _Atomic uint64_t used_pages; /* of the LMDB map, when last measured */
    _Atomic uint64_t counts[ETG_LOCAL_COUNTS];
    etg_local_child children[ETG_LOCAL_CHILD_SLOTS];
    etg_local_segment segments[];
} etg_local_control;

_Static_assert(sizeof(etg_local_geometry) == 56, "layout of the control file");
_Static_assert(sizeof(etg_local_segment) == 24, "layout of the control file");

typedef struct etg_local_reader etg_local_reader;
typedef struct etg_local_writer etg_local_writer;
typedef struct etg_local_job etg_local_job;

struct etg_store {
    /* configure */
    const char *uri;
    const char *dir;
    const etg_store_env *host;
    etg_local_geometry geometry;
    etg_store *next;             /* the other stores of this configuration */

    /* prepare */
    dev_t dir_device;
    ino_t dir_inode;
    int refused;                 /* same folder as another store's */

    /* open: this child's */
    pid_t opened_by;             /* 0: not open */
    _Atomic int down;
    char folder[ETG_LOCAL_PATH_BYTES];
    int in_use_fd;
    int control_fd;
    etg_local_control *control;
    _Atomic uint64_t *tag_slots; /* readings no earlier than any tag's mark */
    _Atomic unsigned char *marks;
    _Atomic unsigned char *ghosts;
    int segments_fd;
    const unsigned char *segments; /* mapped read-only */
    etg_local_child *child;
    unsigned int deaths;         /* children found dead at open */
    MDB_env *env;
    MDB_dbi records[2];          /* by etg_local_age */
    MDB_dbi index;
    MDB_dbi files;
    MDB_dbi tags;
    MDB_dbi tag_order;
    _Atomic uint64_t *verified;  /* files whose SHA-256 was checked */

    /* readers */
    pthread_key_t reader_key;
    pthread_mutex_t reader_lock; /* guards the list */
    etg_local_reader *readers;
    _Atomic int paused;          /* no new read transactions, please */
    _Atomic int remap;           /* the store thread must adopt a map size */
    int cannot_punch;            /* store thread: the file system says so */

    etg_local_writer *writer;
    _Atomic unsigned int temp_number;
    _Atomic apr_time_t complained_at;
};

/* One thread's read transaction, renewed for every read. */
struct etg_local_reader {
    etg_store *store;
    etg_local_reader *previous;
    etg_local_reader *next;
    MDB_txn *txn;
    MDB_cursor *index;
    _Atomic int busy;
};

/* One write transaction. */
typedef struct etg_local_batch {
    etg_store *store;
    MDB_txn *txn;
    uint32_t now_s;
    int64_t file_bytes_delta[ETG_LOCAL_AGES]; /* applied after the commit */
    int64_t freed;               /* segment to be free after the commit, -1 */
} etg_local_batch;

/* ---- local_uri.c ---- */

/* Reads "local:[dir][?size=n]". NULL, or a sentence in p. */
const char *etg_local_uri_parse(const char *uri, const etg_store_env *host,
                                apr_pool_t *p, const char **dir,
                                uint64_t *size);
/* Divides `size`. */
void etg_local_geometry_set(etg_local_geometry *geometry, uint64_t size);

/* ---- local_folder.c: choosing, making and removing folders ---- */

/* Picks the newest usable folder under store->dir or makes one, maps its
 * control file and holds its in-use lock; removes folders nobody uses. With
 * `condemn` the present one is marked damaged first. Says in the log what it
 * discards and why. */
apr_status_t etg_local_folder_open(etg_store *store, int condemn);
/* Lets go; the last one out syncs and leaves the clean mark. */
void etg_local_folder_close(etg_store *store);
/* True if no other process has the folder open; the dir lock is not held. */
int etg_local_folder_is_alone(etg_store *store);

/* ---- local_control.c: the control file ---- */

typedef enum etg_local_verdict {
    ETG_LOCAL_USABLE = 0,
    ETG_LOCAL_NO_CONTROL,
    ETG_LOCAL_OTHER_FORMAT,
    ETG_LOCAL_OTHER_SIZE,
    ETG_LOCAL_OTHER_BOOT,
    ETG_LOCAL_DAMAGED
} etg_local_verdict;

apr_status_t etg_local_control_make(const char *folder,
                                    const etg_local_geometry *geometry);
/* Opens and maps; *verdict says whether the folder may be used. The map is
 * set only if it is. */
apr_status_t etg_local_control_map(etg_store *store, const char *folder,
                                   etg_local_verdict *verdict);
void etg_local_control_unmap(etg_store *store);
/* Takes a row in the child table and resets those of dead children; returns
 * how many of these there were. */
unsigned int etg_local_control_enter(etg_store *store);
/* Bytes that arriving bodies have reserved, all children. */
uint64_t etg_local_control_arriving(const etg_store *store);
void etg_local_boot_id(char id[40]);
void etg_local_count_add(etg_store *store, etg_local_count what, uint64_t n);

/* ---- local_check.c ---- */

/* Reads the whole store in a process of its own, which becomes the children's
 * user first: a damaged data.mdb may kill it without harm. Makes the folder
 * if there is none, and a new one if the present one is damaged. */
apr_status_t etg_local_check(etg_store *store);
/* After children died: the same walk beside those that live, in a process of
 * its own. Marks the folder damaged if that dies, too. */
void etg_local_check_beside(etg_store *store);

/* ---- local_env.c ---- */

apr_status_t etg_local_env_open(etg_store *store);
void etg_local_env_close(etg_store *store);
/* An apr_status_t for an LMDB result; marks the store damaged where it is. */
apr_status_t etg_local_env_status(etg_store *store, int code);
/* Pages of the map in use as of the last commit. */
int etg_local_env_used_pages(etg_store *store, MDB_txn *txn, uint64_t *pages);
/* Adopts a map size another process has set. Store thread only. */
void etg_local_env_remap(etg_store *store);
/* At most one message a minute per store. */
int etg_local_may_complain(etg_store *store);

/* ---- local_reader.c ---- */

apr_status_t etg_local_readers_open(etg_store *store);
/* False: some thread is still reading; leave the environment open. */
int etg_local_readers_close(etg_store *store);
apr_status_t etg_local_read_begin(etg_store *store, etg_local_reader **reader);
void etg_local_read_end(etg_local_reader *reader);
/* Waits until nobody reads (bounded) and keeps it so until resumed. */
int etg_local_readers_pause(etg_store *store);
void etg_local_readers_resume(etg_store *store);

/* ---- local_index.c: hash prefix -> place ---- */

#define ETG_LOCAL_ITEM_BYTES 10

typedef enum etg_local_kind {
    ETG_LOCAL_RECORD = 'r',
    ETG_LOCAL_ENTITY = 'e'
} etg_local_kind;

/* MDB_SUCCESS: the thing at `place` is the one looked for. MDB_NOTFOUND: it is
 * not, or there is nothing. An error ends the search: a page that cannot be
 * read makes a write transaction useless, whatever is done in it later. */
typedef int etg_local_is_it(void *baton, uint64_t place);

uint64_t etg_local_key_hash(const etg_store_key *key);
uint64_t etg_local_id_hash(const etg_entity_id *id);
/* MDB_SUCCESS, MDB_NOTFOUND or an error. */
int etg_local_index_find(MDB_cursor *cursor, etg_local_kind kind,
                         uint64_t hash, etg_local_is_it *is_it, void *baton,
                         uint64_t *place);
int etg_local_index_find_in(etg_local_batch *batch, etg_local_kind kind,
                            uint64_t hash, etg_local_is_it *is_it,
                            void *baton, uint64_t *place);
int etg_local_index_add(etg_local_batch *batch, etg_local_kind kind,
                        uint64_t hash, uint64_t place);
int etg_local_index_drop(etg_local_batch *batch, etg_local_kind kind,
                         uint64_t hash, uint64_t place);
/* Drops every entity item that points into a segment (after damage). */
int etg_local_index_purge(etg_local_batch *batch, uint32_t segment);
/* Hit marks. */
unsigned int etg_local_mark(const etg_store *store, uint64_t hash);
void etg_local_mark_hit(etg_store *store, uint64_t hash);
void etg_local_mark_set(etg_store *store, uint64_t hash, unsigned int mark);
/* Remembers for a while that something was evicted. Ghosts are the store
 * thread's. */
void etg_local_ghost_set(etg_store *store, uint64_t hash);
/* Is there one? It is gone afterwards. */
int etg_local_ghost_take(etg_store *store, uint64_t hash);
/* Forgets ghosts as `bytes` of bodies are recycled. */
void etg_local_ghosts_fade(etg_store *store, uint64_t bytes);

/* Which of those that are looked at together stay: the most used, within a
 * limit. */
typedef struct etg_local_keep {
    unsigned int above;          /* marks above this all stay */
    uint64_t left;               /* for those with just this mark */
} etg_local_keep;

void etg_local_keep_plan(etg_local_keep *keep,
                         const uint64_t with_mark[ETG_LOCAL_MARK_MAX + 1],
                         uint64_t limit);
int etg_local_keep_is(etg_local_keep *keep, unsigned int mark,
                      uint64_t cost);

/* ---- local_record.c: metadata ---- */

#define ETG_LOCAL_ROW_HEAD 32
#define ETG_LOCAL_ROW_OLD 0x800000000000ull

/* A response as it is in the map, as long as the transaction. */
typedef struct etg_local_response {
    etg_bytes bytes;
    uint32_t expires_s;
    uint64_t moment;             /* the clock's reading before its fetch */
    const unsigned char *tags;   /* eight bytes each, not aligned */
    unsigned int tag_count;
} etg_local_response;

/* A row: one record, or a primary with one of its responses. */
typedef struct etg_local_row {
    uint64_t place;
    apr_size_t bytes;            /* that it takes where it is */
    etg_store_key key;
    etg_bytes first;             /* in the map, as long as the transaction */
    uint32_t first_expires_s;
    uint32_t second_expires_s;
    etg_store_key second_key;
    etg_bytes second;            /* data NULL: not a pair */
    uint64_t moment;             /* of the response that is in it */
    const unsigned char *tags;
    unsigned int tag_count;
} etg_local_row;

int etg_local_row_find(etg_store *store, MDB_txn *txn, MDB_cursor *index,
                       const etg_store_key *key, etg_local_row *row);
/* The response named `key`: in the primary's row or in one of its own. */
int etg_local_row_response(etg_store *store, MDB_txn *txn, MDB_cursor *index,
                           const etg_local_row *primary,
                           const etg_store_key *key,
                           etg_local_response *response);
/* Update of a primary record with its response. */
int etg_local_record_write(etg_local_batch *batch, etg_store_write *write);
/* Frees pages: looks at up to `rows` of the oldest rows, keeps the most used
 * half at most. */
int etg_local_record_evict(etg_local_batch *batch, unsigned int rows);

/* ---- local_purge.c: marks ---- */

/* The provider's mark. */
apr_status_t etg_local_purge(etg_store *store, const etg_store_tag *tags,
                             unsigned count, etg_store_mark mark,
                             apr_interval_time_t wait, unsigned *moved);
/* What purges since its moment have done to a response; any may be the
 * result, ETG_STORE_MARK_GONE too. An LMDB result. */
int etg_local_purge_compare(etg_store *store, MDB_txn *txn,
                            const etg_local_response *response,
                            etg_store_mark *mark, apr_time_t *marked_at);

/* ---- local_segment.c: packed bodies ---- */

#define ETG_LOCAL_BODY_HEAD 40

typedef struct etg_local_body {
    etg_entity_id id;
    const unsigned char *bytes;
    uint32_t length;
    uint32_t expires_s;
    uint64_t check;
} etg_local_body;

/* Opens and maps the file; restores its length if it was cut. */
apr_status_t etg_local_segments_open(etg_store *store);
void etg_local_segments_close(etg_store *store);
uint64_t etg_local_body_check(const etg_entity_id *id, const void *bytes,
                              apr_size_t length);
int etg_local_place_is_file(uint64_t place);
/* True if a body of that length can be appended without a new segment or one
 * is ready. */
int etg_local_segment_has_room(etg_store *store, uint32_t length);
int etg_local_segment_append(etg_local_batch *batch, etg_local_age age,
                             const etg_local_body *body, uint64_t *place);
/* Puts a body and its index item; an equal one there is kept. */
int etg_local_body_put(etg_local_batch *batch, const etg_local_body *body);
/* Does the head at `place` say it is this id? Shape as etg_local_is_it;
 * baton is an etg_local_body_probe. */
typedef struct etg_local_body_probe {
    etg_store *store;
    MDB_txn *txn;
    const etg_entity_id *id;
} etg_local_body_probe;
int etg_local_body_is(void *baton, uint64_t place);
/* Copies the body out and checks it. APR_INCOMPLETE: not what it should be;
 * APR_NOTFOUND: another length. */
apr_status_t etg_local_body_copy(etg_store *store, const etg_entity_id *id,
                                 uint64_t place, void *bytes,
                                 uint32_t length);
/* Drops the item of a body, if the index still says `place`. */
int etg_local_body_drop(etg_local_batch *batch, const etg_entity_id *id,
                        uint64_t place);
/* Reads a head; false: there cannot be one. */
int etg_local_body_head(const etg_store *store, uint64_t place,
                        etg_local_body *body, uint32_t *space);
/* Moves what is worth keeping out of a sealed segment and drops the rest. */
int etg_local_segment_recycle(etg_local_batch *batch, uint32_t number);
/* Sealed first, or -1. */
int64_t etg_local_segment_oldest(const etg_store *store, etg_local_age age);
/* Bytes of segments that hold bodies of that age. */
uint64_t etg_local_segment_bytes(const etg_store *store, etg_local_age age);
uint32_t etg_local_segment_free_count(const etg_store *store);
/* Gives a hole disk space; ENOSPC if there is none. */
int etg_local_segment_allocate(etg_store *store);
/* Gives a free segment's disk space back; ENOENT if none is free. */
int etg_local_segment_release(etg_store *store);

/* ---- local_file.c: large bodies ---- */

#define ETG_LOCAL_FILE_PLACE 0xff0000000000ull
#define ETG_LOCAL_FILE_OLD 0x008000000000ull

typedef struct etg_local_file_row {
    etg_entity_id id;
    uint64_t length;
    uint32_t expires_s;
    uint32_t stored_at;          /* segment_order when it was written */
} etg_local_file_row;

uint64_t etg_local_file_cost(uint64_t length);
void etg_local_file_path(const etg_store *store, const etg_entity_id *id,
                         char *path);
int etg_local_file_row_get(MDB_txn *txn, MDB_dbi files, uint64_t place,
                           etg_local_file_row *row);
/* Names the finished temp file after its id and indexes it. */
int etg_local_file_put(etg_local_batch *batch, const etg_entity_id *id,
                       uint64_t length, uint32_t expires_s,
                       const char *temp_path);
int etg_local_file_drop(etg_local_batch *batch, const etg_entity_id *id,
                        uint64_t place);
/* Written first; MDB_NOTFOUND if there is none. */
int etg_local_file_oldest(etg_local_batch *batch, etg_local_age age,
                          uint64_t *place, etg_local_file_row *row);
etg_local_age etg_local_file_age(uint64_t place);
int etg_local_file_evict(etg_local_batch *batch, uint64_t place,
                         const etg_local_file_row *row);
/* Opens a body for reading, verified. APR_INCOMPLETE: damaged or gone. */
apr_status_t etg_local_file_open(etg_store *store, const etg_entity_id *id,
                                 uint64_t length, apr_pool_t *p,
                                 apr_file_t **file);
/* Removes temp files of children that are gone. */
void etg_local_file_sweep(etg_store *store);

/* ---- local_evict.c: keeping the bound ---- */

/* Bytes of segments and files, those arriving included. */
uint64_t etg_local_body_bytes_used(const etg_store *store);
/* Makes room, in transactions of its own: metadata under the watermark, a
 * spare segment, and `wanted` bytes for large bodies. Store thread only. */
void etg_local_evict(etg_store *store, uint64_t wanted);

/* ---- local_batch.c: one write transaction ---- */

/* Blocks for the LMDB write lock: store thread only. */
int etg_local_batch_begin(etg_store *store, etg_local_batch *batch);
/* Also carries out what waited for the commit. */
int etg_local_batch_commit(etg_local_batch *batch);
void etg_local_batch_abort(etg_local_batch *batch);

/* ---- local_writer.c: the store thread ---- */

struct etg_local_job {
    etg_local_job *next;
    int (*run)(etg_local_batch *batch, etg_local_job *job);
    /* Frees what the job holds; `result` 0: it was done. */
    void (*finish)(etg_store *store, etg_local_job *job, int result);
    apr_size_t bytes;            /* counted against the queue's limit */
    int is_metadata;
    uint32_t packed_bytes;       /* space it needs in a segment */
    /* writer's */
    pthread_cond_t done;
    int has_waiter;
    int is_done;
    apr_status_t result;
};

apr_status_t etg_local_writer_start(etg_store *store);
/* Runs what is queued and joins the thread. False: it hangs in the LMDB write
 * lock; leave everything open. */
int etg_local_writer_stop(etg_store *store);
/* Hands a job (malloced; the writer frees it) over. Full queue: runs its
 * finish and returns APR_EAGAIN. Waits up to `wait` for the end. */
apr_status_t etg_local_writer_run(etg_store *store, etg_local_job *job,
                                  apr_interval_time_t wait);
/* Asks for room for arriving bodies and waits a little for it. */
void etg_local_writer_make_room(etg_store *store, uint64_t bytes,
                                apr_interval_time_t wait);

/* ---- local_write.c, local_entity.c, local_lookup.c, local_counters.c:
 * the provider's calls, as etg_store.h says ---- */

/* Open, not down, not damaged. */
int etg_local_is_up(const etg_store *store);

apr_status_t etg_local_meta_lookup(etg_store *store, const etg_store_key *key,
                                   etg_store_choose *choose, void *baton,
                                   etg_store_depth depth, apr_pool_t *p,
                                   etg_store_found *found);
apr_status_t etg_local_meta_write(etg_store *store, etg_store_write *write,
                                  apr_interval_time_t wait);
apr_status_t etg_local_entity_read(etg_store *store, const etg_entity_id *id,
                                   apr_uint64_t length, apr_pool_t *p,
                                   etg_store_answer *answer,
                                   etg_entity *entity);
apr_status_t etg_local_entity_begin(etg_store *store, apr_int64_t expected,
                                    apr_pool_t *p,
                                    etg_entity_writer **writer);
apr_status_t etg_local_entity_append(etg_entity_writer *writer,
                                     const void *data, apr_size_t length);
apr_status_t etg_local_entity_finish(etg_entity_writer *writer,
                                     apr_time_t expires_at,
                                     etg_entity_id *id);
void etg_local_entity_abandon(etg_entity_writer *writer);
apr_status_t etg_local_counters(etg_store *store, apr_pool_t *p,
                                apr_array_header_t **rows);

/* Seconds for the store's frames, rounded up and clamped. */
uint32_t etg_local_seconds(apr_time_t at);

extern const etg_store_provider etg_local_provider;

#endif
