/* SPDX-License-Identifier: Apache-2.0 */
/* collapse_crew.c: see collapse_crew.h. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "test/unit/collapse_crew.h"

#define MISALIGNED 8

typedef struct thread_job {
    crew *crew;
    etg_collapse *table;
    const crew_job *job;
} thread_job;

static void *shared_memory(apr_size_t size);
static void run_threads(crew *c, etg_collapse *table, void *baton);
static void *join_once(void *baton);
static void lead_until_gathered(const thread_job *t,
                                etg_collapse_ticket *ticket);
static void note_alone(crew_board *board, apr_uint64_t waited);

crew *crew_open(unsigned slots, unsigned remembered)
{
    crew *c = calloc(1, sizeof(*c));

    ck_assert_int_eq(apr_initialize(), APR_SUCCESS);
    ck_assert_int_eq(apr_pool_create(&c->pool, NULL), APR_SUCCESS);
    c->size = etg_collapse_size(slots, remembered);
    c->memory = (char *)shared_memory(c->size + MISALIGNED) + MISALIGNED;
    c->board = shared_memory(sizeof(*c->board));
    ck_assert_int_eq(etg_collapse_format(c->memory, c->size, slots,
                                         remembered), APR_SUCCESS);
    ck_assert_int_eq(etg_collapse_attach(&c->table, c->memory, c->size,
                                         c->pool), APR_SUCCESS);
    return c;
}

void crew_close(crew *c)
{
    apr_pool_destroy(c->pool);
    munmap((char *)c->memory - MISALIGNED, c->size + MISALIGNED);
    munmap(c->board, sizeof(*c->board));
    free(c);
    apr_terminate();
}

etg_store_key crew_key(apr_uint64_t name, apr_uint64_t bucket)
{
    etg_store_key key;

    memcpy(key.bytes, &name, sizeof(name));
    memcpy(key.bytes + sizeof(name), &bucket, sizeof(bucket));
    return key;
}

pid_t crew_spawn(crew *c, crew_work *work, void *baton)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    etg_collapse *table = NULL;
    apr_pool_t *pool = NULL;

    ck_assert_int_ge(pid, 0);
    if (pid > 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent
        || apr_pool_create(&pool, NULL) != APR_SUCCESS
        || etg_collapse_attach(&table, c->memory, c->size, pool)
           != APR_SUCCESS) {
        _exit(3);
    }
    work(c, table, baton);
    _exit(0);
}

pid_t crew_join(crew *c, const crew_job *job)
{
    return crew_spawn(c, run_threads, (void *)job);
}

void crew_reap(pid_t pid)
{
    int status = 0;
    pid_t ended = 0;

    crew_await((ended = waitpid(pid, &status, WNOHANG)) != 0);
    ck_assert_int_eq(ended, pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                  "a member ended with status %d", status);
}

void crew_kill(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

unsigned crew_read(const unsigned *number)
{
    return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

unsigned crew_add(unsigned *number)
{
    return __atomic_add_fetch(number, 1, __ATOMIC_SEQ_CST);
}

etg_collapse_ticket crew_ticket(crew *c)
{
    etg_collapse_ticket ticket;

    ticket.number = __atomic_load_n(&c->board->number, __ATOMIC_SEQ_CST);
    ticket.slot = __atomic_load_n(&c->board->slot, __ATOMIC_SEQ_CST);
    return ticket;
}

void crew_show_ticket(crew *c, const etg_collapse_ticket *ticket)
{
    __atomic_store_n(&c->board->slot, ticket->slot, __ATOMIC_SEQ_CST);
    __atomic_store_n(&c->board->number, ticket->number, __ATOMIC_SEQ_CST);
}

apr_uint64_t crew_counter(crew *c, const char *name)
{
    apr_array_header_t *rows = etg_collapse_counters(c->table, c->pool);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        etg_store_counter *row = &APR_ARRAY_IDX(rows, i, etg_store_counter);

        if (strcmp(row->name, name) == 0) {
            return row->value;
        }
    }
    ck_abort_msg("no counter %s", name);
    return 0;
}

static void *shared_memory(apr_size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static void run_threads(crew *c, etg_collapse *table, void *baton)
{
    thread_job t = { c, table, baton };
    pthread_t threads[128];
    unsigned i;

    for (i = 0; i < t.job->threads; i++) {
        if (pthread_create(&threads[i], NULL, join_once, &t) != 0) {
            _exit(4);
        }
    }
    for (i = 0; i < t.job->threads; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void *join_once(void *baton)
{
    const thread_job *t = baton;
    etg_collapse_ticket ticket;
    apr_time_t began = etg_collapse_clock();
    etg_collapse_role role = etg_collapse_join(t->table, &t->job->key,
                                               t->job->wait, &ticket);

    if (role == ETG_COLLAPSE_LEAD) {
        crew_show_ticket(t->crew, &ticket);
    }
    if (role == ETG_COLLAPSE_ALONE) {
        note_alone(t->crew->board,
                   (apr_uint64_t)(etg_collapse_clock() - began));
    }
    crew_add(&t->crew->board->roles[role]);
    if (role == ETG_COLLAPSE_LEAD) {
        lead_until_gathered(t, &ticket);
    }
    return NULL;
}

static void lead_until_gathered(const thread_job *t,
                                etg_collapse_ticket *ticket)
{
    while (t->job->gather < 0
           ? !crew_read(&t->crew->board->stop)
           : etg_collapse_followers(t->table, ticket)
             < (unsigned)t->job->gather) {
        poll(NULL, 0, 1);
    }
    etg_collapse_finish(t->table, ticket, t->job->outcome,
                        apr_time_from_sec(120));
}

static void note_alone(crew_board *board, apr_uint64_t waited)
{
    apr_uint64_t shortest = __atomic_load_n(&board->shortest_alone,
                                            __ATOMIC_SEQ_CST);

    while ((shortest == 0 || waited < shortest)
           && !__atomic_compare_exchange_n(&board->shortest_alone, &shortest,
                                           waited, 0, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST)) {
    }
}
