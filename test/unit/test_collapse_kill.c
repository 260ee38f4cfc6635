/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_collapse_kill.c: processes that are killed or stopped at the worst
 * moment hang nobody, and leave nothing behind in the collapse table.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/collapse_crew.h"
#include "test/unit/run_suite.h"

#define LONG_WAIT (60 * APR_USEC_PER_SEC)
#define WORKERS 4
#define WORKER_KEYS 4
#define KILLS 150

static crew *c;

static void set_up(void)
{
    c = crew_open(8, 8);
}

static void tear_down(void)
{
    crew_close(c);
}

/* A member that leads the key in baton and then only lives. */
static void lead_for_ever(crew *of, etg_collapse *table, void *baton)
{
    etg_collapse_ticket ticket;

    if (etg_collapse_join(table, baton, LONG_WAIT, &ticket)
        != ETG_COLLAPSE_LEAD) {
        _exit(5);
    }
    crew_show_ticket(of, &ticket);
    for (;;) {
        pause();
    }
}

static pid_t leader_of(etg_store_key *key, etg_collapse_ticket *ticket)
{
    pid_t pid;

    c->board->number = 0;
    pid = crew_spawn(c, lead_for_ever, key);
    crew_await((*ticket = crew_ticket(c)).number != 0);
    return pid;
}

static void must_be_free(unsigned slots)
{
    etg_collapse_ticket ticket;
    unsigned i;

    for (i = 0; i < slots; i++) {
        etg_store_key key = crew_key(5000 + i, 0);

        ck_assert_int_eq(etg_collapse_join(c->table, &key, 0, &ticket),
                         ETG_COLLAPSE_LEAD);
    }
}

/* The killed leader is a zombie until the test reaps it: dead all the same. */
START_TEST(test_when_the_leader_is_killed_one_follower_leads_and_all_are_done)
{
    crew_job job = { crew_key(1, 0), 25, LONG_WAIT, 99,
                     ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket;
    pid_t leader = leader_of(&job.key, &ticket), members[4];
    int i;

    for (i = 0; i < 4; i++) {
        members[i] = crew_join(c, &job);
    }
    crew_await(etg_collapse_followers(c->table, &ticket) == 100);
    ck_assert_int_eq(kill(leader, SIGKILL), 0);
    for (i = 0; i < 4; i++) {
        crew_reap(members[i]);
    }
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_LEAD], 1);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_DONE], 99);
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 1);
    ck_assert_uint_eq(crew_counter(c, "led"), 2);
    must_be_free(8);
}
END_TEST

START_TEST(test_when_followers_are_killed_the_others_are_released)
{
    crew_job job = { crew_key(1, 0), 25, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket;
    pid_t members[4];
    int i;

    ck_assert_int_eq(etg_collapse_join(c->table, &job.key, LONG_WAIT,
                                       &ticket), ETG_COLLAPSE_LEAD);
    for (i = 0; i < 4; i++) {
        members[i] = crew_join(c, &job);
    }
    crew_await(etg_collapse_followers(c->table, &ticket) == 100);
    crew_kill(members[0]);
    etg_collapse_finish(c->table, &ticket, ETG_COLLAPSE_STORED, 0);
    for (i = 1; i < 4; i++) {
        crew_reap(members[i]);
    }
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_DONE], 75);
    must_be_free(8);
}
END_TEST

START_TEST(test_a_count_left_by_killed_followers_ends_with_the_fetch)
{
    crew_job job = { crew_key(1, 0), 5, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket;
    pid_t member;
    int i;

    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(etg_collapse_join(c->table, &job.key, LONG_WAIT,
                                           &ticket), ETG_COLLAPSE_LEAD);
        ck_assert_uint_eq(etg_collapse_followers(c->table, &ticket), 0);
        member = crew_join(c, &job);
        crew_await(etg_collapse_followers(c->table, &ticket) == 5);
        crew_kill(member);
        etg_collapse_finish(c->table, &ticket, ETG_COLLAPSE_STORED, 0);
    }
    must_be_free(8);
}
END_TEST

START_TEST(test_slots_of_killed_leaders_make_room_for_other_keys)
{
    etg_collapse_ticket ticket;
    etg_store_key keys[8];
    pid_t leaders[8];
    int i;

    for (i = 0; i < 8; i++) {
        keys[i] = crew_key((apr_uint64_t)i, 0);
        leaders[i] = leader_of(&keys[i], &ticket);
    }
    for (i = 0; i < 8; i++) {
        crew_kill(leaders[i]);
    }
    crew_await(etg_collapse_join(c->table, &keys[0], 0, &ticket)
               == ETG_COLLAPSE_LEAD);
    must_be_free(7);
}
END_TEST

START_TEST(test_who_may_not_wait_leads_after_a_dead_leader)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket, old;
    pid_t leader = leader_of(&key, &old);

    ck_assert_int_eq(etg_collapse_join(c->table, &key, 0, &ticket),
                     ETG_COLLAPSE_ALONE);
    crew_kill(leader);
    crew_await(etg_collapse_join(c->table, &key, 0, &ticket)
               == ETG_COLLAPSE_LEAD);
    ck_assert_uint_eq(ticket.number, old.number + 1);
}
END_TEST

START_TEST(test_a_later_process_with_the_leaders_pid_is_not_the_leader)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket;
    pid_t leader = leader_of(&key, &ticket);

    ck_assert_uint_ne(c->table->slots[ticket.slot].leader_start, 0);
    c->table->slots[ticket.slot].leader_start--;
    ck_assert_int_eq(etg_collapse_join(c->table, &key, LONG_WAIT, &ticket),
                     ETG_COLLAPSE_LEAD);
    crew_kill(leader);
}
END_TEST

/* A child's exit: its pool goes, with fetches it never finished. */
static void lead_and_leave(crew *of, etg_collapse *table, void *baton)
{
    etg_collapse_ticket ticket;
    apr_pool_t *pool;

    if (apr_pool_create(&pool, NULL) != APR_SUCCESS
        || etg_collapse_attach(&table, of->memory, of->size, pool)
           != APR_SUCCESS
        || etg_collapse_join(table, baton, LONG_WAIT, &ticket)
           != ETG_COLLAPSE_LEAD) {
        _exit(5);
    }
    crew_show_ticket(of, &ticket);
    while (!crew_read(&of->board->stop)) {
        poll(NULL, 0, 1);
    }
    apr_pool_destroy(pool);
    for (;;) {
        pause();
    }
}

START_TEST(test_a_process_that_leaves_ends_its_fetches)
{
    crew_job job = { crew_key(1, 0), 10, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket;
    pid_t leader = crew_spawn(c, lead_and_leave, &job.key), member;

    crew_await((ticket = crew_ticket(c)).number != 0);
    member = crew_join(c, &job);
    crew_await(etg_collapse_followers(c->table, &ticket) == 10);
    __atomic_store_n(&c->board->stop, 1, __ATOMIC_SEQ_CST);
    crew_reap(member);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_FAILED], 10);
    ck_assert_uint_eq(crew_counter(c, "taken_over"), 0);
    crew_kill(leader);
}
END_TEST

/* Dies with the lock of stripe 0, after as much of a new fetch in slot 0 as
 * *baton says. */
enum { DIE_AT_ONCE, DIE_WITH_KEY, DIE_WITH_LEADER, DIE_BEGUN, DIE_STAGES };

static void die_in_lock(crew *of, etg_collapse *table, void *baton)
{
    etg_collapse_slot *slot = table->slots;
    int stage = *(int *)baton;

    (void)of;
    if (!etg_collapse_lock(table, 0)) {
        _exit(5);
    }
    if (stage >= DIE_WITH_KEY) {
        slot->key[0] = 77;
        slot->key[1] = 0;
    }
    if (stage >= DIE_WITH_LEADER) {
        slot->leader_pid = table->self.pid;
        slot->leader_start = table->self.start;
    }
    if (stage >= DIE_BEGUN) {
        slot->number++;
    }
    raise(SIGKILL);
}

START_TEST(test_a_process_killed_in_a_locked_section_leaves_a_whole_table)
{
    etg_store_key key = crew_key(77, 0);
    etg_collapse_ticket ticket;

    ck_assert_int_eq(waitpid(crew_spawn(c, die_in_lock, &_i), NULL, 0) > 0,
                     1);
    ck_assert_int_eq(etg_collapse_join(c->table, &key, 0, &ticket),
                     ETG_COLLAPSE_LEAD);
    etg_collapse_finish(c->table, &ticket, ETG_COLLAPSE_STORED, 0);
    must_be_free(8);
}
END_TEST

/* The old fetch is marked, the new one has not begun. */
static void die_taking_over(crew *of, etg_collapse *table, void *baton)
{
    etg_collapse_ticket ticket = crew_ticket(of);
    etg_collapse_slot *slot = &table->slots[ticket.slot];

    (void)baton;
    if (!etg_collapse_lock(table, 0)
        || !etg_collapse_end_fetch(slot, ticket.number,
                                   ETG_COLLAPSE_END_TAKEN_OVER)) {
        _exit(5);
    }
    raise(SIGKILL);
}

START_TEST(test_a_process_killed_while_it_takes_over_makes_followers_ask_anew)
{
    crew_job job = { crew_key(1, 0), 10, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket;
    pid_t leader = leader_of(&job.key, &ticket);
    pid_t member = crew_join(c, &job);

    crew_await(etg_collapse_followers(c->table, &ticket) == 10);
    ck_assert_int_eq(waitpid(crew_spawn(c, die_taking_over, NULL), NULL, 0)
                     > 0, 1);
    crew_reap(member);
    ck_assert_uint_eq(c->board->roles[ETG_COLLAPSE_FAILED], 10);
    crew_kill(leader);
    must_be_free(8);
}
END_TEST

static void stop_in_lock(crew *of, etg_collapse *table, void *baton)
{
    (void)baton;
    if (!etg_collapse_lock(table, 0)) {
        _exit(5);
    }
    crew_add(&of->board->ready);
    for (;;) {
        pause();
    }
}

START_TEST(test_a_process_stopped_in_a_locked_section_costs_only_collapsing)
{
    etg_store_key key = crew_key(1, 0);
    etg_collapse_ticket ticket;
    pid_t holder = crew_spawn(c, stop_in_lock, NULL);

    crew_await(crew_read(&c->board->ready) == 1);
    ck_assert_int_eq(etg_collapse_join(c->table, &key, LONG_WAIT, &ticket),
                     ETG_COLLAPSE_ALONE);
    crew_kill(holder);
    ck_assert_int_eq(etg_collapse_join(c->table, &key, LONG_WAIT, &ticket),
                     ETG_COLLAPSE_LEAD);
}
END_TEST

/* A follower is stopped while its fetch ends and the slot goes on: used
 * once more it still tells, later it says "look again". */
START_TEST(test_a_follower_that_slept_through_two_fetches_asks_anew)
{
    static const etg_collapse_role expected[] = {
        ETG_COLLAPSE_DONE, ETG_COLLAPSE_DONE, ETG_COLLAPSE_FAILED,
        ETG_COLLAPSE_FAILED
    };
    crew_job job = { crew_key(1, 0), 1, LONG_WAIT, 0, ETG_COLLAPSE_STORED };
    etg_collapse_ticket ticket, other;
    pid_t member;
    int i;

    ck_assert_int_eq(etg_collapse_join(c->table, &job.key, LONG_WAIT,
                                       &ticket), ETG_COLLAPSE_LEAD);
    must_be_free(7);
    member = crew_join(c, &job);
    crew_await(etg_collapse_followers(c->table, &ticket) == 1);
    /* It counts itself under the lock: not stopped in there. */
    crew_await(etg_collapse_lock(c->table, 0));
    etg_collapse_unlock(c->table, 0);
    ck_assert_int_eq(kill(member, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(member, NULL, WUNTRACED), member);
    etg_collapse_finish(c->table, &ticket, ETG_COLLAPSE_STORED, 0);
    for (i = 0; i < _i; i++) {
        etg_store_key key = crew_key(2000 + (apr_uint64_t)i, 0);

        ck_assert_int_eq(etg_collapse_join(c->table, &key, 0, &other),
                         ETG_COLLAPSE_LEAD);
        etg_collapse_finish(c->table, &other, ETG_COLLAPSE_NOT_SHAREABLE,
                            1000);
    }
    ck_assert_int_eq(kill(member, SIGCONT), 0);
    crew_reap(member);
    ck_assert_uint_eq(c->board->roles[expected[_i]], 1);
}
END_TEST

/* Whoever leads a key owns it, by start time and pid. An owner found there
 * must be dead: its process was killed while it led. */
static void own(crew *of, etg_collapse *table, unsigned at)
{
    apr_uint64_t self = table->self.start << 22
                      | (apr_uint64_t)table->self.pid;
    apr_uint64_t before = __atomic_exchange_n(&of->board->owners[at], self,
                                              __ATOMIC_SEQ_CST);
    etg_collapse_process owner = {
        .pid = (pid_t)(before & 0x3fffff), .start = before >> 22
    };

    memset(table->living, 0, sizeof(table->living));
    if (before != 0 && etg_collapse_is_alive(table, owner)) {
        crew_add(&of->board->wrong);
    }
}

static void work_until_stop(crew *of, etg_collapse *table, void *baton)
{
    unsigned *beat = &of->board->beats[*(unsigned *)baton];
    unsigned seed = (unsigned)getpid();

    while (!crew_read(&of->board->stop)) {
        unsigned at = (unsigned)rand_r(&seed) % WORKER_KEYS;
        etg_store_key key = crew_key(at, 0);
        etg_collapse_ticket ticket;
        etg_collapse_role role = etg_collapse_join(table, &key, LONG_WAIT,
                                                   &ticket);

        if (role == ETG_COLLAPSE_LEAD) {
            own(of, table, at);
            if (rand_r(&seed) % 8 == 0) {
                poll(NULL, 0, 1);
            }
            __atomic_store_n(&of->board->owners[at], 0, __ATOMIC_SEQ_CST);
            etg_collapse_finish(table, &ticket, ETG_COLLAPSE_STORED, 0);
        }
        else if (role == ETG_COLLAPSE_ALONE) {
            crew_add(&of->board->roles[role]);
        }
        crew_add(beat);
    }
}

static unsigned all_beats(void)
{
    unsigned sum = 0, i;

    for (i = 0; i < WORKERS; i++) {
        sum += crew_read(&c->board->beats[i]);
    }
    return sum;
}

/* The kill comes at a random moment after a sign of life of its victim, and
 * everybody has to go on before the next. */
START_TEST(test_random_kills_under_load_hang_nobody_and_leak_nothing)
{
    unsigned names[WORKERS], i, seed = 1;
    pid_t workers[WORKERS];

    for (i = 0; i < WORKERS; i++) {
        names[i] = i;
        workers[i] = crew_spawn(c, work_until_stop, &names[i]);
    }
    for (i = 0; i < KILLS; i++) {
        unsigned victim = (unsigned)rand_r(&seed) % WORKERS;
        unsigned beat = crew_read(&c->board->beats[victim]);
        unsigned sum;

        crew_await(crew_read(&c->board->beats[victim]) != beat);
        crew_kill(workers[victim]);
        sum = all_beats();
        workers[victim] = crew_spawn(c, work_until_stop, &names[victim]);
        crew_await(all_beats() - sum > 20);
    }
    __atomic_store_n(&c->board->stop, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < WORKERS; i++) {
        crew_reap(workers[i]);
    }
    ck_assert_uint_eq(c->board->wrong, 0);
    ck_assert_uint_eq(crew_counter(c, "full"), 0);
    must_be_free(8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("collapse_kill");
    TCase *kills = tcase_create("kills");

    tcase_add_checked_fixture(kills, set_up, tear_down);
    tcase_set_timeout(kills, 120);
    suite_add_tcase(suite, kills);
    tcase_add_test(kills,
        test_when_the_leader_is_killed_one_follower_leads_and_all_are_done);
    tcase_add_test(kills,
        test_when_followers_are_killed_the_others_are_released);
    tcase_add_test(kills,
        test_a_count_left_by_killed_followers_ends_with_the_fetch);
    tcase_add_test(kills,
        test_slots_of_killed_leaders_make_room_for_other_keys);
    tcase_add_test(kills, test_who_may_not_wait_leads_after_a_dead_leader);
    tcase_add_test(kills,
        test_a_later_process_with_the_leaders_pid_is_not_the_leader);
    tcase_add_test(kills, test_a_process_that_leaves_ends_its_fetches);
    tcase_add_loop_test(kills,
        test_a_process_killed_in_a_locked_section_leaves_a_whole_table,
        0, DIE_STAGES);
    tcase_add_test(kills,
        test_a_process_killed_while_it_takes_over_makes_followers_ask_anew);
    tcase_add_test(kills,
        test_a_process_stopped_in_a_locked_section_costs_only_collapsing);
    tcase_add_loop_test(kills,
        test_a_follower_that_slept_through_two_fetches_asks_anew, 0, 4);
    tcase_add_test(kills,
        test_random_kills_under_load_hang_nobody_and_leak_nothing);
    return run_suite(suite);
}
