/* SPDX-License-Identifier: Apache-2.0 */
/* server_rig.c: see server_rig.h. */
#include "server_rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#define STARTS 5

static int connect_to(const test_server *server)
{
    struct sockaddr_in tcp = { .sin_family = AF_INET };
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    int has_path = server->path[0] != '\0';
    int fd = socket(has_path ? AF_UNIX : AF_INET,
                    SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    tcp.sin_port = htons((in_port_t)server->port);
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(path.sun_path, server->path, sizeof(server->path));
    if (connect(fd, has_path ? (struct sockaddr *)&path
                             : (struct sockaddr *)&tcp,
                has_path ? sizeof(path) : sizeof(tcp)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_on_any(int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)),
                     0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length),
                     0);
    ck_assert_int_eq(listen(fd, 16), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static int port_free(void)
{
    int port;

    close(listen_on_any(&port));
    return port;
}

static void spawn(test_server *server)
{
    char port[16];
    char megabytes[16];

    snprintf(port, sizeof(port), "%d", server->port);
    snprintf(megabytes, sizeof(megabytes), "%d", server->megabytes);
    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid == 0) {
        char *on_port[] = { "memcached", "-l", "127.0.0.1", "-p", port, "-U",
                            "0", "-m", megabytes, "-t", "2", NULL, NULL,
                            NULL };
        char *on_path[] = { "memcached", "-s", server->path, "-m", megabytes,
                            "-t", "2", NULL, NULL, NULL };
        char **arguments = server->path[0] != '\0' ? on_path : on_port;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (geteuid() == 0) {
            /* Another user would not end with its parent. */
            char **end = arguments;
            while (*end != NULL) {
                end++;
            }
            end[0] = "-u";
            end[1] = "root";
        }
        execvp("memcached", arguments);
        _exit(127);
    }
}

/* False: it ended, because another took the port meanwhile. */
static int answers(test_server *server)
{
    const struct timespec pause = { 0, 2000000L };
    apr_time_t deadline = apr_time_now() + apr_time_from_sec(10);

    while (apr_time_now() < deadline) {
        int fd;

        if (waitpid(server->pid, NULL, WNOHANG) != 0) {
            server->pid = 0;
            return 0;
        }
        fd = connect_to(server);
        if (fd >= 0) {
            close(fd);
            return 1;
        }
        nanosleep(&pause, NULL);
    }
    ck_abort_msg("memcached does not answer");
    return 0;
}

int server_is_installed(void)
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

void server_start(test_server *server, int megabytes)
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

void server_start_on_socket(test_server *server, int megabytes)
{
    const char *base = getenv("TMPDIR");

    memset(server, 0, sizeof(*server));
    server->megabytes = megabytes;
    snprintf(server->path, sizeof(server->path), "%s/etg-memcached-%ld.sock",
             base != NULL ? base : "/tmp", (long)getpid());
    spawn(server);
    ck_assert_msg(answers(server), "memcached does not start");
}

void server_restart(test_server *server)
{
    server_kill(server);
    spawn(server);
    ck_assert_msg(answers(server), "memcached does not start again");
}

void server_kill(test_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
    if (server->path[0] != '\0') {
        unlink(server->path);
    }
}

void server_freeze(const test_server *server)
{
    int status;

    ck_assert_int_eq(kill(server->pid, SIGSTOP), 0);
    /* Its threads go on until all have heard. */
    ck_assert_int_eq(waitpid(server->pid, &status, WUNTRACED), server->pid);
    ck_assert(WIFSTOPPED(status));
}

void server_thaw(const test_server *server)
{
    ck_assert_int_eq(kill(server->pid, SIGCONT), 0);
}

/* Not what was asked for, and no more will come: BUSY, while another list of
 * keys is made, or an error. */
static int is_refusal(const char *answer, apr_size_t length)
{
    static const char *const words[] = {
        "BUSY", "ERROR", "CLIENT_ERROR", "SERVER_ERROR", "NOT_STORED"
    };

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        apr_size_t word = strlen(words[i]);

        if (length > word + 1 && memcmp(answer, words[i], word) == 0
            && memcmp(answer + length - 2, "\r\n", 2) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Sends `head` and `value`, and reads until `end` is the answer's end, or the
 * server refuses. */
static char *ask(const test_server *server, const char *head,
                 etg_bytes value, const char *end, apr_size_t *length,
                 apr_pool_t *p)
{
    apr_size_t room = 8192;
    char *answer = apr_palloc(p, room + 1);
    apr_size_t got = 0;
    apr_size_t tail = strlen(end);
    FILE *stream;
    int fd = connect_to(server);

    ck_assert_int_ge(fd, 0);
    stream = fdopen(fd, "w");
    ck_assert_ptr_nonnull(stream);
    fputs(head, stream);
    if (value.data != NULL) {
        fwrite(value.data, 1, value.length, stream);
        fputs("\r\n", stream);
    }
    fflush(stream);
    while ((got < tail || memcmp(answer + got - tail, end, tail) != 0)
           && !is_refusal(answer, got)) {
        ssize_t n;

        if (got == room) {
            char *larger = apr_palloc(p, 2 * room + 1);

            memcpy(larger, answer, got);
            answer = larger;
            room *= 2;
        }
        n = read(fd, answer + got, room - got);
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
    return strcmp(((const server_key_row *)a)->key,
                  ((const server_key_row *)b)->key);
}

apr_array_header_t *server_keys(const test_server *server,
                                const char *prefix, apr_pool_t *p)
{
    apr_array_header_t *rows = apr_array_make(p, 16,
                                              sizeof(server_key_row));
    const etg_bytes none = { NULL, 0 };
    apr_size_t length;
    char *line;

    do {
        line = ask(server, "lru_crawler metadump all\r\n", none, "END\r\n",
                   &length, p);
    } while (strncmp(line, "BUSY", 4) == 0);
    for (line = strtok(line, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        server_key_row row = { NULL, 0, 0 };
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
            APR_ARRAY_PUSH(rows, server_key_row) = row;
        }
    }
    qsort(rows->elts, (size_t)rows->nelts, sizeof(server_key_row), by_key);
    return rows;
}

etg_bytes server_value(const test_server *server, const char *key,
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

void server_set(const test_server *server, const char *key,
                etg_bytes value)
{
    apr_pool_t *p;
    apr_size_t length;
    char *answer;

    apr_pool_create(&p, NULL);
    answer = ask(server, apr_psprintf(p, "set %s 0 0 %" APR_SIZE_T_FMT "\r\n",
                                      key, value.length), value,
                 "STORED\r\n", &length, p);
    ck_assert_str_eq(answer, "STORED\r\n");
    apr_pool_destroy(p);
}

void server_delete(const test_server *server, const char *key)
{
    const etg_bytes none = { NULL, 0 };
    apr_pool_t *p;
    apr_size_t length;

    apr_pool_create(&p, NULL);
    ask(server, apr_psprintf(p, "delete %s\r\n", key), none, "DELETED\r\n",
        &length, p);
    apr_pool_destroy(p);
}

apr_uint64_t server_stat(const test_server *server, const char *name)
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

/* What could be passed on, at most `most` bytes; 0: this is the end. */
static apr_size_t pass_on(int from, int to, apr_size_t most)
{
    char buffer[16384];
    ssize_t n = read(from, buffer, most < sizeof(buffer) ? most
                                                         : sizeof(buffer));

    return n > 0 && send(to, buffer, (size_t)n, MSG_NOSIGNAL) == n
           ? (apr_size_t)n : 0;
}

/* One connection; what is left of the budget. */
static apr_size_t relay_one(int client, int upstream, apr_size_t budget)
{
    while (budget > 0) {
        struct pollfd both[2] = { { client, POLLIN, 0 },
                                  { upstream, POLLIN, 0 } };
        apr_size_t passed = 1;

        if (poll(both, 2, -1) <= 0) {
            break;
        }
        if (both[0].revents != 0) {
            passed = pass_on(client, upstream, budget + 16384);
        }
        if (passed > 0 && both[1].revents != 0) {
            passed = pass_on(upstream, client, budget);
            budget -= passed;
        }
        if (passed == 0) {
            break;
        }
    }
    return budget;
}

static void relay(int fd, const test_server *server, apr_size_t budget)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (budget > 0) {
        int client = accept(fd, NULL, NULL);
        int upstream = connect_to(server);

        if (client < 0 || upstream < 0) {
            break;
        }
        budget = relay_one(client, upstream, budget);
        close(client);
        close(upstream);
    }
}

pid_t server_relay_start(const test_server *server, apr_size_t budget,
                         int *port)
{
    int fd = listen_on_any(port);
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        relay(fd, server, budget);
        _exit(0);
    }
    close(fd);
    return pid;
}
