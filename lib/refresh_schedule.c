/* SPDX-License-Identifier: Apache-2.0 */
/* refresh_schedule.c: reading and timing of scheduled fetches; pure. */
#include "lib/refresh_schedule.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "lib/option_value.h"

#define EVERY_LEAST ETG_SECOND
#define EVERY_MOST ETG_DAY
/* What `jitter` is if the line does not say: this part of `every`. */
#define JITTER_PART 15
/* For the caller's tick and its queue. */
#define ROOM_LEAST apr_time_from_msec(500)
#define RETRY_FIRST ETG_SECOND
#define RETRY_DOUBLINGS 16

static int next_word(etg_bytes *rest, etg_bytes *word);
static int begins(etg_bytes text, const char *with);
static void skip(etg_bytes *text, apr_size_t length);
static const char *parse_url(etg_refresh_rule *rule, etg_bytes url,
                             apr_pool_t *p);
static const char *parse_origin(etg_refresh_rule *rule, etg_bytes *url,
                                apr_pool_t *p);
static int is_authority(etg_bytes text);
static int is_port(etg_bytes text);
static void drop_default_port(etg_bytes *authority, int is_https);
static const char *parse_option(etg_refresh_rule *rule, etg_bytes word);
static const char *check_times(etg_refresh_rule *rule);
static apr_interval_time_t room_for(const etg_refresh_result *result);
static apr_time_t retry_at(const etg_refresh_schedule *schedule,
                           const etg_refresh_rule *rule,
                           const etg_refresh_result *result,
                           apr_uint32_t random);
static apr_interval_time_t part_of(apr_interval_time_t whole,
                                   apr_uint32_t random);

const char *etg_refresh_rule_parse(etg_refresh_rule *rule, etg_bytes line,
                                   apr_pool_t *p)
{
    etg_refresh_rule made = { .every = -1, .jitter = -1 };
    const char *problem;
    etg_bytes word;

    if (!next_word(&line, &word)) {
        return "names no URL";
    }
    problem = parse_url(&made, word, p);
    while (problem == NULL && next_word(&line, &word)) {
        problem = parse_option(&made, word);
    }
    if (problem == NULL) {
        problem = check_times(&made);
    }
    if (problem == NULL) {
        *rule = made;
    }
    return problem;
}

/* Up to a blank; with quotes around it, up to the second. */
static int next_word(etg_bytes *rest, etg_bytes *word)
{
    apr_size_t length = 0;
    int is_quoted;

    while (rest->length > 0 && apr_isspace(rest->data[0])) {
        skip(rest, 1);
    }
    is_quoted = rest->length > 0 && rest->data[0] == '"'
             && memchr(rest->data + 1, '"', rest->length - 1) != NULL;
    skip(rest, is_quoted);
    while (length < rest->length && (is_quoted ? rest->data[length] != '"'
                                     : !apr_isspace(rest->data[length]))) {
        length++;
    }
    word->data = rest->data;
    word->length = length;
    skip(rest, length + is_quoted);
    return length > 0 || is_quoted;
}

static int begins(etg_bytes text, const char *with)
{
    apr_size_t length = strlen(with);

    return text.length >= length
        && strncasecmp((const char *)text.data, with, length) == 0;
}

static void skip(etg_bytes *text, apr_size_t length)
{
    text->data += length;
    text->length -= length;
}

static const char *parse_url(etg_refresh_rule *rule, etg_bytes url,
                             apr_pool_t *p)
{
    if (url.length == 0 || url.data[0] != '/') {
        const char *problem = parse_origin(rule, &url, p);

        if (problem != NULL) {
            return problem;
        }
    }
    for (apr_size_t i = 0; i < url.length; i++) {
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f
            || url.data[i] == '#') {
            return "has a URL with a character that has to be encoded";
        }
    }
    if (url.length > 0 && url.data[0] == '?') {
        rule->target = apr_psprintf(p, "/%.*s", (int)url.length, url.data);
    }
    else {
        rule->target = url.length == 0
            ? "/" : apr_pstrmemdup(p, (const char *)url.data, url.length);
    }
    return NULL;
}

static const char *parse_origin(etg_refresh_rule *rule, etg_bytes *url,
                                apr_pool_t *p)
{
    etg_bytes authority;
    char *host;

    rule->is_https = begins(*url, "https://");
    if (!rule->is_https && !begins(*url, "http://")) {
        return "names neither a path that begins with / nor an http or https "
               "URL";
    }
    skip(url, strlen(rule->is_https ? "https://" : "http://"));
    authority = *url;
    while (url->length > 0 && !strchr("/?#", url->data[0])) {
        skip(url, 1);
    }
    authority.length -= url->length;
    if (!is_authority(authority)) {
        return "has a URL without a proper host";
    }
    drop_default_port(&authority, rule->is_https);
    host = apr_pstrmemdup(p, (const char *)authority.data, authority.length);
    for (char *c = host; *c != '\0'; c++) {
        *c = (char)apr_tolower(*c);
    }
    rule->host = host;
    return NULL;
}

/* A name or address, in brackets if it has colons; perhaps a port. */
static int is_authority(etg_bytes text)
{
    const char *more = "-._~";
    int in_brackets = text.length > 0 && text.data[0] == '[';
    apr_size_t length = 0;

    if (in_brackets) {
        skip(&text, 1);
        more = ":.";
    }
    while (length < text.length && text.data[length] != '\0'
           && (apr_isalnum(text.data[length])
               || strchr(more, text.data[length]))) {
        length++;
    }
    if (length == 0 || (in_brackets && (length == text.length
                                        || text.data[length] != ']'))) {
        return 0;
    }
    skip(&text, length + in_brackets);
    return text.length == 0 || is_port(text);
}

static int is_port(etg_bytes text)
{
    apr_int64_t port = 0;

    if (text.data[0] != ':') {
        return 0;
    }
    skip(&text, 1);
    return text.length > 0 && apr_isdigit(text.data[0])
        && etg_integer_parse(text, &port) && port >= 1 && port <= 65535;
}

static void drop_default_port(etg_bytes *authority, int is_https)
{
    const char *port = is_https ? ":443" : ":80";
    apr_size_t length = strlen(port);

    if (authority->length > length
        && memcmp(authority->data + authority->length - length, port,
                  length) == 0) {
        authority->length -= length;
    }
}

static const char *parse_option(etg_refresh_rule *rule, etg_bytes word)
{
    int is_every = begins(word, "every=");
    apr_interval_time_t *time = is_every ? &rule->every : &rule->jitter;

    if (!is_every && !begins(word, "jitter=")) {
        return "has something else than every= and jitter= after its URL";
    }
    if (*time >= 0) {
        return is_every ? "says every= twice" : "says jitter= twice";
    }
    skip(&word, strlen(is_every ? "every=" : "jitter="));
    if (!etg_duration_parse(word, time)) {
        return is_every ? "has an every= that is not a duration"
                        : "has a jitter= that is not a duration";
    }
    return NULL;
}

static const char *check_times(etg_refresh_rule *rule)
{
    if (rule->every < 0) {
        return "does not say every= how long";
    }
    if (rule->every < EVERY_LEAST || rule->every > EVERY_MOST) {
        return "has an every= that is not between 1s and 1d";
    }
    if (rule->jitter < 0) {
        rule->jitter = rule->every / JITTER_PART;
    }
    if (rule->jitter >= rule->every) {
        return "has a jitter= that is not shorter than its every=";
    }
    return NULL;
}

int etg_refresh_schedule_is_due(const etg_refresh_schedule *schedule,
                                const etg_refresh_rule *rule, apr_time_t now)
{
    return now >= schedule->due || schedule->due - now > rule->every;
}

void etg_refresh_schedule_next(etg_refresh_schedule *schedule,
                               const etg_refresh_rule *rule,
                               const etg_refresh_result *result,
                               apr_uint32_t random)
{
    apr_time_t due = result->began + rule->every
                   - part_of(rule->jitter, random);

    if (result->outcome == ETG_REFRESH_FAILED) {
        schedule->failures++;
        schedule->due = retry_at(schedule, rule, result, random);
        return;
    }
    schedule->failures = 0;
    if (result->outcome == ETG_REFRESH_STORED && result->ttl > 0
        && result->ttl < rule->every) {
        apr_time_t early = result->ended + result->ttl - room_for(result);

        if (early < due) {
            due = early;
        }
    }
    if (due < result->ended + ETG_REFRESH_REST_LEAST) {
        due = result->ended + ETG_REFRESH_REST_LEAST;
    }
    schedule->due = due;
}

/* What the next fetch may need: twice what the last one did, but at least a
 * quarter of the lifetime is used. */
static apr_interval_time_t room_for(const etg_refresh_result *result)
{
    apr_interval_time_t took = result->ended > result->began
        ? result->ended - result->began : 0;
    apr_interval_time_t most = result->ttl / 4 * 3;

    return took < (most - ROOM_LEAST) / 2 ? 2 * took + ROOM_LEAST : most;
}

static apr_time_t retry_at(const etg_refresh_schedule *schedule,
                           const etg_refresh_rule *rule,
                           const etg_refresh_result *result,
                           apr_uint32_t random)
{
    unsigned doublings = schedule->failures - 1;
    apr_interval_time_t pause = RETRY_FIRST
        << (doublings < RETRY_DOUBLINGS ? doublings : RETRY_DOUBLINGS);

    if (pause > rule->every) {
        pause = rule->every;
    }
    return result->ended + pause - part_of(pause / 4, random);
}

static apr_interval_time_t part_of(apr_interval_time_t whole,
                                   apr_uint32_t random)
{
    return (apr_interval_time_t)((double)whole * random / APR_UINT32_MAX);
}
