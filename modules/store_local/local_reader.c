/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_reader.c: one read transaction per thread, reset after every read and
 * renewed for the next.
 *
 * The object hangs on thread-specific data whose destructor ends it with the
 * thread, and on the store's list, so that closing the store can end those of
 * threads that still live. `busy` and `paused` form a handshake (each side
 * writes its own, then reads the other's): a paused store has no reader
 * inside once every busy flag has been seen down.
 */
#include "local_store.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define PAUSE_TRIES 1000
#define PAUSE_TRY_NS 1000000L

static apr_status_t reader_make(etg_store *store, etg_local_reader **made);
static int reader_renew(etg_local_reader *reader);
static void reader_end(void *data);

apr_status_t etg_local_readers_open(etg_store *store)
{
    store->readers = NULL;
    atomic_store(&store->paused, 0);
    int failed = pthread_mutex_init(&store->reader_lock, NULL);
    return failed != 0 ? failed
                       : pthread_key_create(&store->reader_key, reader_end);
}

int etg_local_readers_close(etg_store *store)
{
    if (!etg_local_readers_pause(store)) {
        return 0;
    }
    pthread_key_delete(store->reader_key);
    while (store->readers != NULL) {
        etg_local_reader *reader = store->readers;
        store->readers = reader->next;
        mdb_cursor_close(reader->index);
        mdb_txn_abort(reader->txn);
        free(reader);
    }
    pthread_mutex_destroy(&store->reader_lock);
    return 1;
}

apr_status_t etg_local_read_begin(etg_store *store, etg_local_reader **found)
{
    if (!etg_local_is_up(store)) {
        return APR_EGENERAL;
    }
    etg_local_reader *reader = pthread_getspecific(store->reader_key);
    if (reader == NULL) {
        apr_status_t rv = reader_make(store, &reader);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    atomic_store(&reader->busy, 1);
    if (atomic_load(&store->paused) != 0) {
        atomic_store(&reader->busy, 0);
        return APR_EAGAIN;
    }
    int rc = reader_renew(reader);
    if (rc != MDB_SUCCESS) {
        atomic_store(&reader->busy, 0);
        etg_local_count_add(store, ETG_LOCAL_FAILED_READS, 1);
        if (rc == MDB_MAP_RESIZED) {
            atomic_store(&store->remap, 1);
            etg_local_writer_make_room(store, 0, 0);
        }
        return etg_local_env_status(store, rc);
    }
    *found = reader;
    return APR_SUCCESS;
}

void etg_local_read_end(etg_local_reader *reader)
{
    mdb_txn_reset(reader->txn);
    atomic_store_explicit(&reader->busy, 0, memory_order_release);
}

int etg_local_readers_pause(etg_store *store)
{
    const struct timespec pause = { 0, PAUSE_TRY_NS };
    atomic_store(&store->paused, 1);
    for (int i = 0; i < PAUSE_TRIES; i++) {
        int busy = 0;
        if (pthread_mutex_trylock(&store->reader_lock) == 0) {
            for (etg_local_reader *reader = store->readers; reader != NULL;
                 reader = reader->next) {
                busy |= atomic_load(&reader->busy);
            }
            pthread_mutex_unlock(&store->reader_lock);
            if (!busy) {
                return 1;
            }
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

void etg_local_readers_resume(etg_store *store)
{
    atomic_store(&store->paused, 0);
}

/* Under the list's lock, so that a pause sees the new reader or prevents
 * it. */
static apr_status_t reader_make(etg_store *store, etg_local_reader **made)
{
    etg_local_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return APR_ENOMEM;
    }
    int dead;
    pthread_mutex_lock(&store->reader_lock);
    int rc = atomic_load(&store->paused) != 0 ? EAGAIN : MDB_SUCCESS;
    if (rc == MDB_SUCCESS) {
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &reader->txn);
    }
    if (rc == MDB_READERS_FULL) {
        mdb_reader_check(store->env, &dead);
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &reader->txn);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_open(reader->txn, store->index, &reader->index);
        mdb_txn_reset(reader->txn);
        if (rc != MDB_SUCCESS) {
            mdb_txn_abort(reader->txn);
        }
    }
    if (rc == MDB_SUCCESS) {
        reader->store = store;
        reader->next = store->readers;
        if (reader->next != NULL) {
            reader->next->previous = reader;
        }
        store->readers = reader;
        pthread_setspecific(store->reader_key, reader);
    }
    pthread_mutex_unlock(&store->reader_lock);
    if (rc != MDB_SUCCESS) {
        free(reader);
        etg_local_count_add(store, ETG_LOCAL_FAILED_READS, 1);
        return etg_local_env_status(store, rc);
    }
    *made = reader;
    return APR_SUCCESS;
}

static int reader_renew(etg_local_reader *reader)
{
    int rc = mdb_txn_renew(reader->txn);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_cursor_renew(reader->txn, reader->index);
    if (rc != MDB_SUCCESS) {
        mdb_txn_reset(reader->txn);
    }
    return rc;
}

/* Thread end. A closed store has deleted the key, so this one is open. */
static void reader_end(void *data)
{
    etg_local_reader *reader = data;
    etg_store *store = reader->store;
    pthread_mutex_lock(&store->reader_lock);
    if (reader->previous != NULL) {
        reader->previous->next = reader->next;
    }
    else {
        store->readers = reader->next;
    }
    if (reader->next != NULL) {
        reader->next->previous = reader->previous;
    }
    mdb_cursor_close(reader->index);
    mdb_txn_abort(reader->txn);
    pthread_mutex_unlock(&store->reader_lock);
    free(reader);
}
