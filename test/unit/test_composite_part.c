/* SPDX-License-Identifier: Apache-2.0 */
/* test_composite_part.c: lines of ETagCompositePart, and URLs made of them.
 * What was read is written as name <url>, each param, and each option. */
#include "http_views.h"

#include "lib/composite_part.h"

typedef struct reading {
    const char *line;
    const char *part;
} reading;

typedef struct refusal {
    const char *line;
    const char *sentence;   /* a part of it */
} refusal;

/* Values are parted by "|"; "-" alone is one that is missing. */
typedef struct request {
    const char *url;
    const char *values;
    const char *asked;      /* NULL: refused */
} request;

static const char *param_text(const etg_from_param *param)
{
    static const char *const kinds[] = { "query", "path", "header", "env",
                                         "user" };

    return apr_psprintf(pool, " %s(%s%s%s)", kinds[param->kind],
                        param->kind == ETG_PARAM_PATH
                        ? apr_itoa(pool, param->number)
                        : param->name != NULL ? param->name : "",
                        param->default_value != NULL ? "=" : "",
                        param->default_value != NULL ? param->default_value
                                                     : "");
}

static const char *part_text(const etg_composite_part *part)
{
    const char *text = apr_pstrcat(pool, part->name, " <", part->url, ">",
                                   NULL);

    for (int i = 0; i < part->params->nelts; i++) {
        text = apr_pstrcat(pool, text,
                           param_text(&APR_ARRAY_IDX(part->params, i,
                                                     etg_from_param)), NULL);
    }
    if (part->is_optional) {
        text = apr_pstrcat(pool, text, " optional", NULL);
    }
    if (part->default_value != NULL) {
        text = apr_pstrcat(pool, text, " default ", part->default_value,
                           NULL);
    }
    if (part->timeout != 0) {
        text = apr_psprintf(pool, "%s %dms", text,
                            (int)apr_time_as_msec(part->timeout));
    }
    if (part->pointer != NULL) {
        text = apr_pstrcat(pool, text, " at ", part->pointer, NULL);
    }
    return text;
}

static void check_readings(const reading *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        etg_composite_part part;
        const char *error = etg_composite_part_parse(cases[i].line, pool,
                                                     &part);

        ck_assert_msg(error == NULL, "%s: %s", cases[i].line, error);
        ck_assert_str_eq(part_text(&part), cases[i].part);
    }
}

static void check_refusals(const refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        etg_composite_part part = { .name = "untouched" };
        const char *error = etg_composite_part_parse(cases[i].line, pool,
                                                     &part);

        ck_assert_msg(error != NULL, "%s was read", cases[i].line);
        ck_assert_msg(strstr(error, cases[i].sentence) != NULL, "%s: %s",
                      cases[i].line, error);
        ck_assert_str_eq(part.name, "untouched");
    }
}

static const apr_array_header_t *values_of(const char *text)
{
    apr_array_header_t *values = apr_array_make(pool, 2,
                                                sizeof(const char *));

    while (text != NULL) {
        const char *bar = strchr(text, '|');
        const char *value = bar != NULL
            ? apr_pstrmemdup(pool, text, (apr_size_t)(bar - text)) : text;

        APR_ARRAY_PUSH(values, const char *) = strcmp(value, "-") != 0
            ? value : NULL;
        text = bar != NULL ? bar + 1 : NULL;
    }
    return values;
}

static const char *asked(const char *url, const char *values)
{
    const apr_array_header_t *rows = values_of(values);
    const char *line = apr_pstrcat(pool, "n ", url, NULL);
    etg_composite_part part;
    const char *error;

    for (int i = 0; i < rows->nelts; i++) {
        line = apr_pstrcat(pool, line, " user", NULL);
    }
    error = etg_composite_part_parse(line, pool, &part);
    ck_assert_msg(error == NULL, "%s: %s", line, error);
    return etg_composite_part_url(&part, rows, pool);
}

static void check_requests(const request *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *url = asked(cases[i].url, cases[i].values);

        ck_assert_msg((url == NULL) == (cases[i].asked == NULL),
                      "%s with %s: %s", cases[i].url, cases[i].values,
                      url != NULL ? url : "(refused)");
        if (url != NULL) {
            ck_assert_str_eq(url, cases[i].asked);
        }
    }
}

#define COUNT(cases) (sizeof(cases) / sizeof(cases[0]))
#define READINGS(cases) check_readings(cases, COUNT(cases))
#define REFUSALS(cases) check_refusals(cases, COUNT(cases))
#define REQUESTS(cases) check_requests(cases, COUNT(cases))

START_TEST(a_line_is_a_name_a_url_params_and_options)
{
    static const reading cases[] = {
        { "products \"/api/products?page=%s\" query:page=1",
          "products </api/products?page=%s> query(page=1)" },
        { "user /api/users/%s path:1 timeout=300ms",
          "user </api/users/%s> path(1) 300ms" },
        { "offers \"/shop/offers\" optional default=[]",
          "offers </shop/offers> optional default []" },
        { "p.q_r-1 / pointer=/items", "p.q_r-1 </> at /items" },
        { "a /%s/%s?c=%s&d=%s header:X-A user optional env:B TIMEOUT=1h "
          "query:d", "a </%s/%s?c=%s&d=%s> header(X-A) user() env(B) "
          "query(d) optional 3600000ms" },
        { "a / 'default={\"b\": \"c d\"}' OPTIONAL timeout=1ms pointer=/a~1b",
          "a </> optional default {\"b\": \"c d\"} 1ms at /a~1b" },
        { "a /b Optional default=null", "a </b> optional default null" },
        { "a \"/%%20/%%c3%%A4?b=100%%25\"", "a </%%20/%%c3%%A4?b=100%%25>" },
        { "a /a.b/..c/d../...", "a </a.b/..c/d../...>" },
        { "a /b?c=../..&d=/./", "a </b?c=../..&d=/./>" }
    };

    READINGS(cases);
}
END_TEST

START_TEST(bad_names_are_refused)
{
    static const refusal cases[] = {
        { "", "needs a name and a URL" },
        { "a", "needs a name and a URL" },
        { "\"\" /", "no name of a part" },
        { "a~b /", "no name of a part" },
        { "\"a b\" /", "no name of a part" },
        { "'a\"' /", "no name of a part" },
        { "\xc3\xa4 /", "no name of a part" },
        { "/api products", "no name of a part" },
        { "a123456789012345678901234567890123456789012345678901234567890123"
          "4 /", "more than 64" },
        { "a \"/", "not closed" }
    };

    REFUSALS(cases);
}
END_TEST

START_TEST(only_paths_of_this_server_are_urls)
{
    static const refusal cases[] = {
        { "a http://host/", "no path of this server" },
        { "a //host/", "no path of this server" },
        { "a /\\\\host/", "no path of this server" },
        { "a api", "no path of this server" },
        { "a \"\"", "no path of this server" },
        { "a %s user", "no path of this server" },
        { "a /b#c", "fragment" },
        { "a \"/b c\"", "%%20" },
        { "a /b|c", "%%7C" },
        { "a '/?b[]=1'", "%%5B" },
        { "a /\xc3\xa4", "%%C3" },
        { "a /..", "\"..\" in its path" },
        { "a /b/../c", "\"..\" in its path" },
        { "a /b/.", "\"..\" in its path" },
        { "a /b/..?c", "\"..\" in its path" },
        { "a /b/%%2e%%2E/c", "\"..\" in its path" },
        { "a /b/.%%2e", "\"..\" in its path" },
        { "a /b%%2f..%%2fc", "\"..\" in its path" },
        { "a /b%%5C..", "\"..\" in its path" },
        { "a /b/..;c/d", "\"..\" in its path" },
        { "a /b/..%%3Bc", "\"..\" in its path" },
        { "a /b/%%3F/../c", "\"..\" in its path" }
    };

    REFUSALS(cases);
}
END_TEST

/* A value must not be what completes an escape. */
START_TEST(a_percent_sign_begins_an_escape_or_a_place)
{
    static const refusal cases[] = {
        { "a /%20", "neither" },
        { "a /%d user", "neither" },
        { "a /b%", "neither" },
        { "a /100%%", "neither" },
        { "a /%%zz", "neither" },
        { "a /%%00", "neither" },
        { "a /%%2", "neither" },
        { "a /%%%s user", "neither" },
        { "a /%%2%s user", "neither" },
        { "a /%s", "there are 0 params" },
        { "a / user", "0 placeholders" },
        { "a /%s/%s user", "there is 1 param" }
    };

    REFUSALS(cases);
}
END_TEST

START_TEST(bad_options_are_refused)
{
    static const refusal cases[] = {
        { "a / default=[]", "not optional" },
        { "a / optional default=", "no JSON" },
        { "a / optional default=[1,]", "no JSON" },
        { "a / optional default='{}'", "quoted as a whole" },
        { "a / optional optional", "one too many" },
        { "a / optional default=1 Default=2", "one too many" },
        { "a / timeout=1s timeout=1s", "one too many" },
        { "a / timeout=0", "1ms to 1h" },
        { "a / timeout=61m", "1ms to 1h" },
        { "a / timeout=fast", "1ms to 1h" },
        { "a / timeout=", "1ms to 1h" },
        { "a / pointer=", "no JSON pointer" },
        { "a / pointer=items", "no JSON pointer" },
        { "a / pointer=/a~2", "no JSON pointer" },
        { "a / timeot=1s", "neither a param" },
        { "a / optional=1", "neither a param" },
        { "a / default", "neither a param" },
        { "a / cookie:b", "\"cookie:b\" is no param" },
        { "a /%s path:10", "names no match group" }
    };

    REFUSALS(cases);
}
END_TEST

START_TEST(values_are_encoded_whole)
{
    static const request cases[] = {
        { "/", NULL, "/" },
        { "/a%%20b", NULL, "/a%20b" },
        { "/a?b=%%25", NULL, "/a?b=%25" },
        { "/u/%s?p=%s", "7|2", "/u/7?p=2" },
        { "/u/%s", "a/b?c=d&e#f;g%h i+j",
          "/u/a%2Fb%3Fc%3Dd%26e%23f%3Bg%25h%20i%2Bj" },
        { "/?q=%s&r=1", "x&r=2#", "/?q=x%26r%3D2%23&r=1" },
        { "/u/%s", "AZaz09-._~", "/u/AZaz09-._~" },
        { "/u/%s", "\x01\r\n\x7f\x80\xff\xc3\xa4",
          "/u/%01%0D%0A%7F%80%FF%C3%A4" },
        { "/u/%s", "%2e%2e", "/u/%252e%252e" },
        { "/u/%s", "%s", "/u/%25s" },
        { "/?a=%s&b=%s", "|", "/?a=&b=" },
        { "/?a=%s", "../..", "/?a=..%2F.." },
        { "/%s", "http://host/", "/http%3A%2F%2Fhost%2F" },
        { "/a/%s", "...", "/a/..." },
        { "/a.%s", ".", "/a.." }
    };

    REQUESTS(cases);
}
END_TEST

START_TEST(values_that_lead_elsewhere_are_refused)
{
    static const request cases[] = {
        { "/u/%s", "-", NULL },
        { "/?q=%s", "-", NULL },
        { "/u/%s/x", "", NULL },
        { "/u/%s", ".", NULL },
        { "/u/%s", "..", NULL },
        { "/u/%s/x", "..", NULL },
        { "/u/%s?x", "..", NULL },
        { "/u/.%s", ".", NULL },
        { "/u/%s%s", ".|.", NULL },
        { "/u/%s%%2E", ".", NULL },
        { "/u/%s", "a/../b", NULL },
        { "/u/%s", "../b", NULL },
        { "/u/%s", "a/..", NULL },
        { "/u/%s", "a\\..\\b", NULL },
        { "/u/%s", "..;b", NULL },
        { "/u/%s", ".;/b", NULL }
    };

    REQUESTS(cases);
}
END_TEST

START_TEST(urls_are_bounded)
{
    char *most = apr_pcalloc(pool, ETG_COMPOSITE_URL_MAX);
    char *escaped = apr_pcalloc(pool, ETG_COMPOSITE_URL_MAX);
    const char *url;

    memset(most, 'a', ETG_COMPOSITE_URL_MAX - 4);
    url = asked("/?q=%s", most);
    ck_assert_ptr_nonnull(url);
    ck_assert_uint_eq(strlen(url), ETG_COMPOSITE_URL_MAX);
    ck_assert_ptr_null(asked("/?qq=%s", most));
    memset(escaped, '/', (ETG_COMPOSITE_URL_MAX - 5) / 3);
    ck_assert_ptr_nonnull(asked("/?qq=%s", escaped));
    strcat(escaped, "/");
    ck_assert_ptr_null(asked("/?qq=%s", escaped));
}
END_TEST

START_TEST(fewer_values_than_places_make_no_url)
{
    etg_composite_part part;

    ck_assert_ptr_null(etg_composite_part_parse("a /%s/%s user user", pool,
                                                &part));
    ck_assert_ptr_null(etg_composite_part_url(&part, values_of("1"), pool));
    ck_assert_str_eq(etg_composite_part_url(&part, values_of("1|2"), pool),
                     "/1/2");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_line_is_a_name_a_url_params_and_options,
        bad_names_are_refused,
        only_paths_of_this_server_are_urls,
        a_percent_sign_begins_an_escape_or_a_place,
        bad_options_are_refused,
        values_are_encoded_whole,
        values_that_lead_elsewhere_are_refused,
        urls_are_bounded,
        fewer_values_than_places_make_no_url,
        NULL
    };

    return run_tests("composite_part", tests);
}
