/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freshness_check.c: at a start, are the sources there?
 *
 * A statement that does not fit its tables shows when it is prepared. That is
 * done in processes of their own, as the children's user: SQLite leaves files
 * beside a database that belong to who read it, a database's library has
 * threads and locks that children would inherit, and one that hangs can be
 * ended. Sources of the same database are tried by one process, one after the
 * other; all have the same few seconds. What is wrong is said and no more: the
 * database may come later.
 */
#include "modules/freshness/freshness.h"

#include <apr_hash.h>

#include <errno.h>
#include <fcntl.h>
#include <mpm_common.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/steady_clock.h"

#define CHECK_SECONDS 3
#define PROBES_MAX 16
#define WORDS_BYTES 400

typedef struct check {
    const etg_freshness_line *line;
    const etg_source *source;
    unsigned probe;
    const char *wrong;          /* NULL: nothing */
} check;

/* A process. */
typedef struct probe {
    pid_t pid;                  /* 0: none */
    int answers;                /* a pipe's end; -1: closed */
} probe;

/* Small enough to be written, and so read, in one piece. */
typedef struct answer {
    int number;                 /* of the check */
    char words[WORDS_BYTES];    /* "": nothing is wrong */
} answer;

static apr_array_header_t *checks_of(server_rec *main, apr_pool_t *p);
static void probe_begin(probe *made, unsigned number,
                        apr_array_header_t *checks, server_rec *main,
                        apr_pool_t *p);
static void probe_run(unsigned number, apr_array_header_t *checks, int out,
                      server_rec *main, apr_pool_t *p);
static void answers_await(probe *probes, apr_array_header_t *checks,
                          apr_pool_t *p);
static void answer_read(probe *from, apr_array_header_t *checks,
                        apr_pool_t *p);
static void probe_end(probe *ended);

void etg_freshness_check_sources(server_rec *main, apr_pool_t *p)
{
    apr_array_header_t *checks = checks_of(main, p);
    probe probes[PROBES_MAX];

    for (unsigned i = 0; i < PROBES_MAX; i++) {
        probe_begin(&probes[i], i, checks, main, p);
    }
    answers_await(probes, checks, p);
    for (unsigned i = 0; i < PROBES_MAX; i++) {
        probe_end(&probes[i]);
    }
    for (int i = 0; i < checks->nelts; i++) {
        const check *done = &APR_ARRAY_IDX(checks, i, check);

        if (done->wrong != NULL) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, main,
                         ETGLOGNO(0180) "freshness: for \"%s\", at %s, "
                         "ETagFreshnessFrom %s cannot be read: %s; until it "
                         "can, the backend is asked",
                         done->line->section, done->line->place,
                         done->line->text, done->wrong);
        }
    }
}

/* Each SQL source once, however many servers have it. */
static apr_array_header_t *checks_of(server_rec *main, apr_pool_t *p)
{
    const apr_array_header_t *lines = etg_freshness_all_lines(
        main->process->pconf);
    apr_array_header_t *checks = apr_array_make(p, 8, sizeof(check));
    apr_hash_t *seen = apr_hash_make(p);
    apr_hash_t *probes = apr_hash_make(p);  /* shared text: one of them */

    for (server_rec *s = main; s != NULL; s = s->next) {
        const etg_freshness_server_conf *conf = ap_get_module_config(
            s->module_config, &etag_freshness_module);

        for (int i = 0; i < lines->nelts; i++) {
            const etg_source *source = conf->sources[i];
            const check *other;
            check *added;

            if (source == NULL || source->kind != &etg_source_sql
                || apr_hash_get(seen, &conf->sources[i], sizeof(source))) {
                continue;
            }
            other = apr_hash_get(probes, source->shared, APR_HASH_KEY_STRING);
            added = apr_array_push(checks);
            added->line = APR_ARRAY_IDX(lines, i, const etg_freshness_line *);
            added->source = source;
            added->probe = other != NULL ? other->probe
                                         : apr_hash_count(probes)
                                           % PROBES_MAX;
            added->wrong = "no answer within 3 seconds";
            apr_hash_set(seen, &conf->sources[i], sizeof(source), source);
            apr_hash_set(probes, source->shared, APR_HASH_KEY_STRING,
                         apr_pmemdup(p, added, sizeof(*added)));
        }
    }
    return checks;
}

/* Nothing, if there is nothing for it. */
static void probe_begin(probe *made, unsigned number,
                        apr_array_header_t *checks, server_rec *main,
                        apr_pool_t *p)
{
    int ends[2];
    int is_needed = 0;

    *made = (probe){ .answers = -1 };
    for (int i = 0; i < checks->nelts; i++) {
        is_needed |= APR_ARRAY_IDX(checks, i, check).probe == number;
    }
    if (!is_needed || pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    made->pid = fork();
    if (made->pid == 0) {
        probe_run(number, checks, ends[1], main, p);
        _exit(0);
    }
    close(ends[1]);
    made->answers = ends[0];
}

/* In the new process, which ends itself should nobody be left to do so. */
static void probe_run(unsigned number, apr_array_header_t *checks, int out,
                      server_rec *main, apr_pool_t *p)
{
    signal(SIGALRM, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    alarm(CHECK_SECONDS + 1);
    if (ap_run_drop_privileges(p, main) != OK) {
        return;
    }
    for (int i = 0; i < checks->nelts; i++) {
        const check *todo = &APR_ARRAY_IDX(checks, i, check);
        answer found = { .number = i };
        const char *wrong;

        if (todo->probe != number) {
            continue;
        }
        wrong = etg_source_check(todo->source, p);
        apr_cpystrn(found.words, wrong == NULL ? "" : wrong, WORDS_BYTES);
        if (write(out, &found, sizeof(found)) != sizeof(found)) {
            return;
        }
    }
}

static void answers_await(probe *probes, apr_array_header_t *checks,
                          apr_pool_t *p)
{
    apr_time_t end = etg_steady_now() + apr_time_from_sec(CHECK_SECONDS);
    struct pollfd ready[PROBES_MAX];
    int open;

    do {
        apr_interval_time_t left = end - etg_steady_now();

        open = 0;
        for (unsigned i = 0; i < PROBES_MAX; i++) {
            ready[i] = (struct pollfd){ probes[i].answers, POLLIN, 0 };
            open += probes[i].answers >= 0;
        }
        if (open == 0 || left <= 0
            || (poll(ready, PROBES_MAX, (int)apr_time_as_msec(left) + 1) < 0
                && errno != EINTR)) {
            return;
        }
        for (unsigned i = 0; i < PROBES_MAX; i++) {
            if (probes[i].answers >= 0 && ready[i].revents != 0) {
                answer_read(&probes[i], checks, p);
            }
        }
    } while (1);
}

static void answer_read(probe *from, apr_array_header_t *checks,
                        apr_pool_t *p)
{
    answer got;

    /* The end, or nothing that the process was to say. */
    if (read(from->answers, &got, sizeof(got)) != sizeof(got)
        || got.number < 0 || got.number >= checks->nelts) {
        close(from->answers);
        from->answers = -1;
        return;
    }
    got.words[WORDS_BYTES - 1] = '\0';
    APR_ARRAY_IDX(checks, got.number, check).wrong
        = got.words[0] == '\0' ? NULL : apr_pstrdup(p, got.words);
}

static void probe_end(probe *ended)
{
    if (ended->answers >= 0) {
        close(ended->answers);
    }
    if (ended->pid > 0) {
        kill(ended->pid, SIGKILL);
        while (waitpid(ended->pid, NULL, 0) < 0 && errno == EINTR) {
            continue;
        }
    }
}
