/* SPDX-License-Identifier: Apache-2.0 */
/* memcached_server.c: see memcached_server.h. */
#include "memcached_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#define STARTS 5

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    address.sin_port = htons((in_port_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int port_free(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)),
                     0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length),
                     0);
    close(fd);
    return ntohs(address.sin_port);
}

static void spawn(memcached_server *server)
{
    char port[16];
    char megabytes[16];

    snprintf(port, sizeof(port), "%d", server->port);
    snprintf(megabytes, sizeof(megabytes), "%d", server->megabytes);
    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid == 0) {
        char *const arguments[] = { "memcached", "-l", "127.0.0.1", "-p",
                                    port, "-U", "0", "-m", megabytes, "-t",
                                    "2", "-u", geteuid() == 0 ? "nobody" : "",
                                    NULL };

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (geteuid() != 0) {
            ((char **)arguments)[11] = NULL;
        }
        execvp("memcached", arguments);
        _exit(127);
    }
}

/* False: it ended, because another took the port meanwhile. */
static int answers(memcached_server *server)
{
    const struct timespec pause = { 0, 2000000L };
    apr_time_t deadline = apr_time_now() + apr_time_from_sec(10);

    while (apr_time_now() < deadline) {
        int fd;

        if (waitpid(server->pid, NULL, WNOHANG) != 0) {
            server->pid = 0;
            return 0;
        }
        fd = connect_to(server->port);
        if (fd >= 0) {
            close(fd);
            return 1;
        }
        nanosleep(&pause, NULL);
    }
    ck_abort_msg("memcached does not answer");
    return 0;
}

int memcached_is_installed(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL) {
            _exit(127);
        }
        execlp("memcached", "memcached", "-V", (char *)NULL);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
           && WEXITSTATUS(status) == 0;
}

void memcached_start(memcached_server *server, int megabytes)
{
    int tries;

    memset(server, 0, sizeof(*server));
    server->megabytes = megabytes;
    for (tries = 0; tries < STARTS; tries++) {
        server->port = port_free();
        spawn(server);
        if (answers(server)) {
            return;
        }
    }
    ck_abort_msg("memcached does not start");
}

void memcached_restart(memcached_server *server)
{
    memcached_kill(server);
    spawn(server);
    ck_assert_msg(answers(server), "memcached does not start again");
}

void memcached_kill(memcached_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

void memcached_freeze(const memcached_server *server)
{
    ck_assert_int_eq(kill(server->pid, SIGSTOP), 0);
}

void memcached_thaw(const memcached_server *server)
{
    ck_assert_int_eq(kill(server->pid, SIGCONT), 0);
}

/* Sends `head` and `value`, and reads until `end` is the answer's end. */
static char *ask(const memcached_server *server, const char *head,
                 etg_bytes value, const char *end, apr_size_t *length,
                 apr_pool_t *p)
{
    apr_size_t room = 3 << 20;
    char *answer = apr_palloc(p, room + 1);
    apr_size_t got = 0;
    apr_size_t tail = strlen(end);
    FILE *stream;
    int fd = connect_to(server->port);

    ck_assert_int_ge(fd, 0);
    stream = fdopen(fd, "w");
    ck_assert_ptr_nonnull(stream);
    fputs(head, stream);
    if (value.data != NULL) {
        fwrite(value.data, 1, value.length, stream);
        fputs("\r\n", stream);
    }
    fflush(stream);
    while (got < tail || memcmp(answer + got - tail, end, tail) != 0) {
        ssize_t n = read(fd, answer + got, room - got);

        ck_assert_msg(n > 0, "memcached says \"%.*s\" to \"%s\"",
                      got > 80 ? 80 : (int)got, answer, head);
        got += (apr_size_t)n;
    }
    fclose(stream);
    answer[got] = '\0';
    *length = got;
    return answer;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const memcached_key_row *)a)->key,
                  ((const memcached_key_row *)b)->key);
}

apr_array_header_t *memcached_keys(const memcached_server *server,
                                   const char *prefix, apr_pool_t *p)
{
    apr_array_header_t *rows = apr_array_make(p, 16,
                                              sizeof(memcached_key_row));
    const etg_bytes none = { NULL, 0 };
    apr_size_t length;
    char *line = ask(server, "lru_crawler metadump all\r\n", none, "END\r\n",
                     &length, p);

    for (line = strtok(line, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        memcached_key_row row = { NULL, 0, 0 };
        char *key = strstr(line, "key=");
        char *expires = strstr(line, " exp=");
        char *bytes = strstr(line, " size=");

        if (key != line || expires == NULL || bytes == NULL) {
            continue;
        }
        *expires = '\0';
        /* The server writes a key as a URL would have it. */
        while ((key = strstr(key, "%3A")) != NULL) {
            *key = ':';
            memmove(key + 1, key + 3, strlen(key + 3) + 1);
        }
        row.key = line + 4;
        row.expires_s = strtoll(expires + 5, NULL, 10);
        row.bytes = strtoull(bytes + 6, NULL, 10);
        if (strncmp(row.key, prefix, strlen(prefix)) == 0) {
            APR_ARRAY_PUSH(rows, memcached_key_row) = row;
        }
    }
    qsort(rows->elts, (size_t)rows->nelts, sizeof(memcached_key_row), by_key);
    return rows;
}

etg_bytes memcached_value(const memcached_server *server, const char *key,
                          apr_pool_t *p)
{
    const etg_bytes none = { NULL, 0 };
    etg_bytes value = none;
    apr_size_t length;
    char *answer = ask(server, apr_psprintf(p, "get %s\r\n", key), none,
                       "END\r\n", &length, p);
    char *end = strstr(answer, "\r\n");

    if (strncmp(answer, "VALUE ", 6) == 0) {
        char *number = end;

        while (number[-1] != ' ') {
            number--;
        }
        value.data = (unsigned char *)end + 2;
        value.length = strtoul(number, NULL, 10);
        ck_assert_uint_eq(value.length + (apr_size_t)(end + 2 - answer) + 7,
                          length);
    }
    return value;
}

void memcached_set(const memcached_server *server, const char *key,
                   etg_bytes value)
{
    apr_pool_t *p;
    apr_size_t length;

    apr_pool_create(&p, NULL);
    ask(server, apr_psprintf(p, "set %s 0 0 %" APR_SIZE_T_FMT "\r\n", key,
                             value.length), value, "STORED\r\n", &length, p);
    apr_pool_destroy(p);
}

void memcached_delete_key(const memcached_server *server, const char *key)
{
    const etg_bytes none = { NULL, 0 };
    apr_pool_t *p;
    apr_size_t length;

    apr_pool_create(&p, NULL);
    ask(server, apr_psprintf(p, "delete %s\r\n", key), none, "DELETED\r\n",
        &length, p);
    apr_pool_destroy(p);
}

apr_uint64_t memcached_stat(const memcached_server *server, const char *name)
{
    const etg_bytes none = { NULL, 0 };
    apr_pool_t *p;
    apr_size_t length;
    apr_uint64_t number = 0;
    char *at;

    apr_pool_create(&p, NULL);
    at = ask(server, "stats\r\n", none, "END\r\n", &length, p);
    at = strstr(at, apr_psprintf(p, "STAT %s ", name));
    ck_assert_ptr_nonnull(at);
    number = strtoull(strchr(at + 5, ' '), NULL, 10);
    apr_pool_destroy(p);
    return number;
}
