/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keepalive_load.c: many kept-alive connections that ask for one URL, and how
 * long each of their requests took, the slowest one included. (wrk says the
 * maximum of the whole run; here it is the part after the caches are warm.)
 *
 *     keepalive_load PORT TARGET CONNECTIONS SECONDS WARM_UP_MS PAUSE_MS
 *
 * A # in TARGET stands for the number of the request.
 *
 * One thread, epoll. A connection sends a request, reads the answer to its
 * end, waits for PAUSE_MS (0: not at all) and sends the next one. Requests
 * that began in the first WARM_UP_MS are not counted. A connection that is
 * closed is opened again, and counted; the request it was to answer counts as
 * lost only if bytes of the answer had come. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 8192
#define EVENTS 256

typedef struct client {
    int fd;
    int64_t asked_at;           /* µs; 0: waits for its next turn */
    int64_t turn_at;
    size_t head_length;         /* of the answer's head so far */
    int64_t body_left;          /* -1: still in the head */
    struct client *next;        /* in the line of those that wait */
    char head[HEAD_MAX + 1];
} client;

typedef struct run {
    int epoll;
    struct sockaddr_in address;
    char *before, *after;       /* what is before and after the number in
                                  * the target; all of it, and NULL */
    const char *port;
    size_t asked;
    int64_t counted_from, ends_at, pause;
    client *first, *last;       /* wait for their turn, soonest first */
    uint32_t *took;             /* µs of every counted request */
    size_t count, room;
    size_t all, lost, opened_again, not_200;
    int64_t slowest, slowest_at;
} run;

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void open_connection(run *load, client *who)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = who };
    int one = 1;

    who->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (who->fd < 0
        || connect(who->fd, (struct sockaddr *)&load->address,
                   sizeof(load->address)) != 0) {
        fail("connect");
    }
    setsockopt(who->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(who->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, who->fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

static void ask(run *load, client *who, int64_t now)
{
    char request[1024], number[24] = "";
    int length;

    if (load->after != NULL) {
        snprintf(number, sizeof(number), "%zu", load->asked++);
    }
    length = snprintf(request, sizeof(request),
                      "GET %s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n",
                      load->before, number,
                      load->after != NULL ? load->after : "", load->port);
    who->head_length = 0;
    who->body_left = -1;
    if (who->asked_at == 0) {
        who->asked_at = now;
    }
    /* A closed connection says so when it is read. */
    (void)!send(who->fd, request, (size_t)length, MSG_NOSIGNAL);
}

static void ask_later(run *load, client *who, int64_t now)
{
    who->asked_at = 0;
    if (load->pause == 0) {
        ask(load, who, now);
        return;
    }
    who->turn_at = now + load->pause;
    who->next = NULL;
    if (load->first == NULL) {
        load->first = who;
    }
    else {
        load->last->next = who;
    }
    load->last = who;
}

static void ask_those_whose_turn_it_is(run *load, int64_t now)
{
    while (load->first != NULL && load->first->turn_at <= now) {
        client *who = load->first;

        load->first = who->next;
        ask(load, who, now);
    }
}

static void count(run *load, const client *who, int64_t now)
{
    int64_t took = now - who->asked_at;

    load->all++;
    if (strncmp(who->head + 8, " 200", 4) != 0) {
        load->not_200++;
    }
    if (who->asked_at < load->counted_from) {
        return;
    }
    if (load->count == load->room) {
        load->room = load->room ? 2 * load->room : 1 << 20;
        load->took = realloc(load->took, load->room * sizeof(*load->took));
        if (load->took == NULL) {
            fail("realloc");
        }
    }
    load->took[load->count++] = (uint32_t)took;
    if (took > load->slowest) {
        load->slowest = took;
        load->slowest_at = who->asked_at;
    }
}

/* Its connection is closed: the request goes out again on another one, and
 * its time goes on. */
static void reopen(run *load, client *who)
{
    int waits = who->asked_at == 0;

    load->opened_again++;
    load->lost += !waits && who->head_length > 0;
    close(who->fd);
    open_connection(load, who);
    if (!waits) {
        ask(load, who, now_us());
    }
}

/* Looks for the end of the head; sets body_left. */
static void read_head(client *who, const char *data, size_t *length)
{
    size_t room = HEAD_MAX - who->head_length;
    size_t taken = *length < room ? *length : room;
    const char *end, *field;

    memcpy(who->head + who->head_length, data, taken);
    who->head_length += taken;
    who->head[who->head_length] = '\0';
    end = strstr(who->head, "\r\n\r\n");
    if (end == NULL) {
        if (who->head_length == HEAD_MAX) {
            fputs("keepalive_load: the head of an answer is too long\n",
                  stderr);
            exit(1);
        }
        *length = 0;
        return;
    }
    field = strcasestr(who->head, "\r\nContent-Length:");
    who->body_left = field != NULL && field < end ? atoll(field + 17) : 0;
    /* What follows the head of what was taken, and what was not. */
    *length -= taken - (size_t)(who->head + who->head_length - (end + 4));
}

static void read_answer(run *load, client *who)
{
    static char data[65536];

    for (;;) {
        ssize_t got = recv(who->fd, data, sizeof(data), 0);
        size_t left = got > 0 ? (size_t)got : 0;

        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (got <= 0) {
            reopen(load, who);
            return;
        }
        if (who->body_left < 0) {
            read_head(who, data, &left);
        }
        if (who->body_left >= 0) {
            who->body_left -= (int64_t)left;
            if (who->body_left <= 0) {
                int64_t now = now_us();

                count(load, who, now);
                ask_later(load, who, now);
                return;
            }
        }
    }
}

static int by_time(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static double quantile_ms(const run *load, double part)
{
    return load->count == 0 ? 0
        : load->took[(size_t)(part * (double)(load->count - 1))] / 1000.0;
}

static void report(run *load)
{
    double seconds = (double)(load->ends_at - load->counted_from) / 1e6;
    size_t over = 0;

    qsort(load->took, load->count, sizeof(*load->took), by_time);
    while (over < load->count
           && load->took[load->count - 1 - over] > 100000) {
        over++;
    }
    printf("{\"requests\": %zu, \"requests_per_second\": %.1f, "
           "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, "
           "\"max_ms\": %.3f, \"max_at_s\": %.3f, \"over_100_ms\": %zu, "
           "\"all\": %zu, \"not_200\": %zu, \"opened_again\": %zu, "
           "\"lost\": %zu}\n",
           load->count, (double)load->count / seconds,
           quantile_ms(load, 0.5), quantile_ms(load, 0.99),
           quantile_ms(load, 0.999), quantile_ms(load, 1),
           (double)(load->slowest_at - load->counted_from) / 1e6, over,
           load->all, load->not_200, load->opened_again, load->lost);
}

static void go(run *load)
{
    struct epoll_event events[EVENTS];
    int64_t now;

    while ((now = now_us()) < load->ends_at) {
        int timeout = load->first == NULL ? 100
            : load->first->turn_at <= now ? 0 : 1;
        int ready = epoll_wait(load->epoll, events, EVENTS, timeout);

        for (int i = 0; i < ready; i++) {
            read_answer(load, events[i].data.ptr);
        }
        ask_those_whose_turn_it_is(load, now_us());
    }
}

int main(int argc, char **argv)
{
    run load = { .address.sin_family = AF_INET };
    int connections = argc == 7 ? atoi(argv[3]) : 0;
    client *clients;
    int64_t now;

    if (connections <= 0) {
        fprintf(stderr, "usage: keepalive_load PORT TARGET CONNECTIONS "
                "SECONDS WARM_UP_MS PAUSE_MS\n");
        return 2;
    }
    load.address.sin_port = htons((uint16_t)atoi(argv[1]));
    load.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.pause = atoll(argv[6]) * 1000;
    load.port = argv[1];
    load.before = argv[2];
    load.after = strchr(argv[2], '#');
    if (load.after != NULL) {
        *load.after++ = '\0';
    }
    clients = calloc((size_t)connections, sizeof(*clients));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (clients == NULL || load.epoll < 0) {
        fail("start");
    }
    for (int i = 0; i < connections; i++) {
        open_connection(&load, &clients[i]);
    }
    now = now_us();
    load.ends_at = now + atoll(argv[4]) * 1000000;
    load.counted_from = now + atoll(argv[5]) * 1000;
    for (int i = 0; i < connections; i++) {
        ask(&load, &clients[i], now_us());
    }
    go(&load);
    report(&load);
    return 0;
}
