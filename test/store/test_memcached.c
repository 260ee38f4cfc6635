/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memcached.c: the list that every provider must pass, against real
 * memcached servers: one over TCP, one over a socket, and three, all at the
 * same time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"
#include "memcached_subject.h"

static const struct {
    const char *name;
    unsigned count;
    int is_on_socket;
} places[] = {
    { "one server", 1, 0 },
    { "a socket", 1, 1 },
    { "three servers", 3, 0 }
};

#define PLACES (sizeof(places) / sizeof(places[0]))

/* In a process of its own: one subject per process. */
static int place_run(unsigned place)
{
    static const conformance_subject subject = {
        .provider = &subject_provider,
        .query = "?timeout=5s&connect-timeout=5s",
        .is_persistent = 1, .is_shared = 1
    };
    printf("memcached: %s\n", places[place].name);
    fflush(stdout);
    subject_server_count = places[place].count;
    subject_is_on_socket = places[place].is_on_socket;
    SRunner *runner = srunner_create(conformance_suite(&subject));
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void)
{
    pid_t pids[PLACES];
    int failed = 0;
    if (!server_is_installed()) {
        printf("memcached is not installed\n");
        return 77;
    }
    for (unsigned i = 0; i < PLACES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            exit(place_run(i));
        }
    }
    for (unsigned i = 0; i < PLACES; i++) {
        int status = 0;
        failed |= waitpid(pids[i], &status, 0) != pids[i] || status != 0;
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
