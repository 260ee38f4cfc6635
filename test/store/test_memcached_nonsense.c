/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memcached_nonsense.c: something that is no memcached, or a broken one,
 * where the memcached store expects a server: never an answer, never for
 * long, never a byte of memory for what is only announced.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "modules/store_memcached/memcached_store.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define SOON apr_time_from_sec(5)

static store_rig rig;

static apr_status_t ask(unsigned n)
{
    etg_store_answer answer;
    return rig_get(&rig, n, &answer, NULL);
}

static int is_open_breaker(void *baton)
{
    apr_status_t rv = ask(*(unsigned *)baton);
    ck_assert_int_ne(rv, APR_SUCCESS);
    return rv == ETG_STORE_OPEN_BREAKER;
}

/* What is said on the port instead of memcached's protocol. `%s` stands for
 * the first key that was asked for. */
typedef struct nonsense {
    const char *says;
    unsigned again;                /* times */
    int drips;                     /* a byte now and then */
    int is_an_answer;              /* to "add", at least */
} nonsense;

static const nonsense nonsenses[] = {
    { "", 1, 0, 0 },
    { "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 1, 0, 0 },
    { "VERSION\r\n", 1, 0, 0 },
    { "VERSION 1.6.18\r\n", 1, 0, 0 },
    { "ERROR\r\n", 1, 0, 0 },
    { "SERVER_ERROR out of memory\r\n", 1, 0, 0 },
    { "CLIENT_ERROR bad command line format\r\n", 1, 0, 0 },
    { "x", 5000000, 0, 0 },
    { "\r\n", 100, 0, 0 },
    { "STORED\r\n", 1, 0, 1 },
    { "VALUE other 0 3 1\r\nabc\r\nEND\r\n", 1, 0, 0 },
    { "VALUE %s 0 3 1\r\nabcdef\r\nEND\r\n", 1, 0, 0 },
    { "VALUE %s 0 -1 1\r\n\r\nEND\r\n", 1, 0, 0 },
    { "VALUE %s 0 18446744073709551615 1\r\nabc", 1, 0, 0 },
    { "VALUE %s 0 18446744073709551616 1\r\nabc", 1, 0, 0 },
    { "VALUE %s 0 4294967296 1\r\nabc", 1, 0, 0 },
    { "VALUE %s 0 900000 1\r\nabc", 1, 0, 0 },
    { "VALUE %s 0 3 1\r\nabc\r\nVALUE %s 0 3 1\r\nabc\r\nEND\r\n", 1, 0, 0 },
    { "VALUE %s%s%s%s%s%s%s%s%s%s 0 3 1\r\nabc\r\nEND\r\n", 1, 0, 0 },
    { "VALUE %s 0 500 1\r\n"
      "0123456789012345678901234567890123456789012345678901234567890", 1, 1,
      0 },
    { "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE", 1, 1,
      0 },
};

static void drip(int fd, const char *text, size_t length)
{
    const struct timespec pause = { 0, 10000000L };
    while (length > 0 && send(fd, text, 1, MSG_NOSIGNAL) == 1) {
        text++;
        length--;
        nanosleep(&pause, NULL);
    }
}

/* Expands the text for one question. */
static size_t answer_make(char *text, size_t room, const nonsense *what,
                          const char *question)
{
    char key[300] = "k";
    size_t length = 0;
    sscanf(question, "%*s %299s", key);
    for (const char *at = what->says; *at != '\0' && length < room - 300;
         at++) {
        if (at[0] == '%' && at[1] == 's') {
            length += (size_t)sprintf(text + length, "%s", key);
            at++;
        }
        else {
            text[length++] = *at;
        }
    }
    return length;
}

static void nonsense_serve(int listener, const nonsense *what)
{
    char question[4096], text[8192];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        ssize_t got;
        while ((got = recv(fd, question, sizeof(question) - 1, 0)) > 0) {
            question[got] = '\0';
            size_t length = answer_make(text, sizeof(text), what, question);
            if (what->drips) {
                drip(fd, text, length);
                continue;
            }
            for (unsigned i = 0; i < what->again && length > 0; i++) {
                if (send(fd, text, length, MSG_NOSIGNAL) < 0) {
                    break;
                }
            }
        }
        close(fd);
    }
}

START_TEST(nonsense_is_a_failure_in_time)
{
    const nonsense *what = &nonsenses[_i];
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t length = sizeof(at);
    char query[100];
    etg_store_lease lease;
    etg_store_lease_state state;
    etg_store_key key = rig_key(1, 'p');
    unsigned n = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listener, 64), 0);
    getsockname(listener, (struct sockaddr *)&at, &length);
    pid_t pid = fork();
    if (pid == 0) {
        nonsense_serve(listener, what);
    }
    sprintf(query, "//127.0.0.1:%d/test", ntohs(at.sin_port));
    rig_init(&rig, &etg_memcached_provider, query);
    rig_open(&rig);
    apr_time_t began = apr_time_now();
    ck_assert_int_ne(ask(n), APR_SUCCESS);
    ck_assert_int_eq(rig.provider->lease_take(rig.store, &key, &lease,
                                              &state) == APR_SUCCESS,
                     what->is_an_answer);
    ck_assert_int_ne(rig_remove(&rig, n), APR_SUCCESS);
    ck_assert_int_lt(apr_time_now() - began, SOON);
    ck_assert(rig_poll(is_open_breaker, &n));
    rig_end(&rig);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memcached nonsense");
    TCase *tcase = tcase_create("nonsense");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, nonsense_is_a_failure_in_time, 0,
                        sizeof(nonsenses) / sizeof(nonsenses[0]));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
