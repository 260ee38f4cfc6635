/* SPDX-License-Identifier: Apache-2.0 */
/* test_freshness_from.c: lines of ETagFreshnessFrom. What was read is written
 * as its source, <text>, <ids>, and each param. */
#include "http_views.h"

#include "lib/freshness_from.h"

typedef struct reading {
    const char *line;
    const char *source;
} reading;

typedef struct refusal {
    const char *line;
    const char *bad;        /* both are parts of the sentence */
    const char *allowed;
} refusal;

static const char *param_text(const etg_from_param *param)
{
    static const char *const kinds[] = { "query", "path", "header", "env",
                                         "user" };

    if (param->kind == ETG_PARAM_PATH) {
        return apr_psprintf(pool, " path(%d)", param->number);
    }
    ck_assert_int_eq(param->number, 0);
    return apr_pstrcat(pool, " ", kinds[param->kind], "(",
                       param->name != NULL ? param->name : "",
                       param->default_value != NULL ? "=<" : "",
                       param->default_value != NULL ? param->default_value
                                                    : "",
                       param->default_value != NULL ? ">)" : ")", NULL);
}

static const char *source_text(const etg_freshness_from *from)
{
    const char *text = etg_from_kind_word(from->kind);

    if (from->text != NULL) {
        text = apr_pstrcat(pool, text, " <", from->text, ">", NULL);
    }
    if (from->ids != NULL) {
        text = apr_pstrcat(pool, text, " <", from->ids, ">", NULL);
    }
    for (int i = 0; i < from->params->nelts; i++) {
        text = apr_pstrcat(pool, text,
                           param_text(&APR_ARRAY_IDX(from->params, i,
                                                     etg_from_param)), NULL);
    }
    return text;
}

static void check_readings(const reading *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        etg_freshness_from from;
        const char *error = etg_freshness_from_parse(cases[i].line, pool,
                                                     &from);

        ck_assert_msg(error == NULL, "%s: %s", cases[i].line, error);
        ck_assert_str_eq(source_text(&from), cases[i].source);
    }
}

static void check_refusals(const refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        etg_freshness_from from = { .text = "untouched" };
        const char *error = etg_freshness_from_parse(cases[i].line, pool,
                                                     &from);

        ck_assert_msg(error != NULL, "%s was read", cases[i].line);
        ck_assert_msg(strstr(error, cases[i].bad) != NULL
                      && strstr(error, cases[i].allowed) != NULL,
                      "%s: %s", cases[i].line, error);
        ck_assert_str_eq(from.text, "untouched");
    }
}

#define READINGS(cases) check_readings(cases, sizeof(cases) / sizeof(cases[0]))
#define REFUSALS(cases) check_refusals(cases, sizeof(cases) / sizeof(cases[0]))

START_TEST(every_source_is_read)
{
    static const reading cases[] = {
        { "sql \"SELECT id, updated_at FROM p LIMIT 9 OFFSET "
          "(CAST(%s AS INTEGER) - 1) * 9\" query:page=1",
          "sql <SELECT id, updated_at FROM p LIMIT 9 OFFSET "
          "(CAST(%s AS INTEGER) - 1) * 9> query(page=<1>)" },
        { "sql \"SELECT 1\"", "sql <SELECT 1>" },
        { "files \"/srv/shop/*.md\"", "files </srv/shop/*.md>" },
        { "memcached products-%s-%s query:page=1 user",
          "memcached <products-%s-%s> query(page=<1>) user()" },
        { "memcached version", "memcached <version>" },
        { "json \"/products/*/updated_at\"",
          "json </products/*/updated_at>" },
        { "json /p/*/t /p/*/id", "json </p/*/t> </p/*/id>" },
        { "header X-Updated-At", "header <X-Updated-At>" },
        { "body", "body" },
        { "BODY", "body" },
        { "  \tbody  ", "body" }
    };

    READINGS(cases);
}
END_TEST

START_TEST(every_param_is_read)
{
    static const reading cases[] = {
        { "sql '%s%s%s%s%s%s%s' query:a query:b= query:c=d=e path:0 path:9 "
          "header:X-Shop env:TENANT",
          "sql <%s%s%s%s%s%s%s> query(a) query(b=<>) query(c=<d=e>) path(0) "
          "path(9) header(X-Shop) env(TENANT)" },
        { "sql %s USER", "sql <%s> user()" },
        { "sql %s \"query:page number=1 2\"",
          "sql <%s> query(page number=<1 2>)" },
        { "sql %s query:filter[brand]", "sql <%s> query(filter[brand])" }
    };

    READINGS(cases);
}
END_TEST

START_TEST(words_are_quoted_as_in_httpd)
{
    static const reading cases[] = {
        { "sql 'SELECT \"id\" FROM p'", "sql <SELECT \"id\" FROM p>" },
        { "sql \"SELECT \\\"id\\\" FROM p\"", "sql <SELECT \"id\" FROM p>" },
        { "sql \"WHERE a = 'b'\"", "sql <WHERE a = 'b'>" },
        { "sql 'WHERE a = \\'b\\''", "sql <WHERE a = 'b'>" },
        /* Backslashes stand only before a quote of the kind and another. */
        { "files \"a\\nb\\'c\\\\d\"", "files <a\\nb\\'c\\d>" },
        { "files a\\\\b\\\"c", "files <a\\b\\\"c>" },
        { "files \"a\\\\\"", "files <a\\>" },
        { "files a'b\"c", "files <a'b\"c>" },
        { "files 'a b'\t", "files <a b>" }
    };

    READINGS(cases);
}
END_TEST

START_TEST(quotes_have_two_ends)
{
    static const refusal cases[] = {
        { "sql \"SELECT", "SELECT", "not closed" },
        { "sql 'SELECT \\'", "SELECT '", "not closed" },
        { "sql \"", "quote", "not closed" },
        { "sql \"SELECT \"id\" FROM p\"", "\"SELECT \"", "written \\\"" },
        { "sql 'a'b", "\"a\"", "space is missing" }
    };

    REFUSALS(cases);
}
END_TEST

START_TEST(placeholders_are_as_many_as_params)
{
    static const reading read[] = {
        { "sql \"a LIKE 'b%%' AND c = %s\" user",
          "sql <a LIKE 'b%%' AND c = %s> user()" },
        { "sql \"10 % 3 = 1 AND '%' = '%'\"",
          "sql <10 % 3 = 1 AND '%' = '%'>" },
        { "sql %%s", "sql <%%s>" },
        { "sql %%%s user", "sql <%%%s> user()" },
        { "memcached a%%b%sc user", "memcached <a%%b%sc> user()" }
    };
    static const refusal refused[] = {
        { "sql \"id = %s\"", "1 placeholder (%s)", "there are 0 params" },
        { "sql \"id = %s\" user path:1", "1 placeholder ", "are 2 params" },
        { "sql \"%s %s\" user", "2 placeholders", "there is 1 param " },
        { "sql \"id\" user", "0 placeholders", "is 1 param " },
        { "sql \"a LIKE '%shop%%'\"", "1 placeholder", "written %%" },
        { "memcached \"k\" user", "0 placeholders", "is 1 param" },
        { "memcached %s", "1 placeholder ", "are 0 params" }
    };

    READINGS(read);
    REFUSALS(refused);
}
END_TEST

START_TEST(only_percent_s_is_a_placeholder)
{
    static const refusal cases[] = {
        { "sql \"id = %d\" user", "%d", "%s" },
        { "sql \"a LIKE '%P'\"", "%P", "%%" },
        { "sql \"%pDt\" user", "%p", "%s" },
        { "memcached \"k-%d\" user", "k-%d", "%%" },
        { "memcached \"k-%\"", "k-%", "%%" },
        { "memcached \"k-%-\"", "k-%-", "%%" }
    };

    REFUSALS(cases);
}
END_TEST

START_TEST(sentences_name_the_bad_part_and_what_is_allowed)
{
    static const refusal cases[] = {
        { "", "needs a source", "sql, files, memcached, json, header or body" },
        { "  ", "needs a source", "sql" },
        { "mysql \"SELECT\"", "\"mysql\"", "sql, files, memcached" },
        { "sql", "sql needs more", "sql \"statement\" param..." },
        { "sql \"\"", "sql needs more", "sql \"statement\"" },
        { "files", "files needs more", "files \"glob\"" },
        { "memcached", "memcached needs more", "memcached \"key\"" },
        { "json", "json needs more", "json \"/pointer\"" },
        { "header", "header needs more", "header \"Name\"" },
        { "files /a /b", "\"/b\" is one word too many", "files \"glob\"" },
        { "files /a user", "\"user\"", "files \"glob\"" },
        { "json /a /b /c", "\"/c\"", "json \"/pointer\" [" },
        { "header A B", "\"B\"", "header \"Name\"" },
        { "body x", "\"x\"", "one word too many: body" },
        { "json a", "\"a\" is no JSON pointer", "/list/*/time" },
        { "json /a b", "\"b\" is no JSON pointer", "~0 for ~" },
        { "json /a~2", "\"/a~2\"", "~1 for /" },
        { "json /a \"\"", "\"\" is no JSON pointer", "*" },
        { "header \"X Y\"", "\"X Y\"", "response field" },
        { "header X:", "\"X:\"", "response field" },
        { "memcached \"a b\"", "\"a b\"", "space" },
        { "memcached \"a\x7f\"", "a\x7f", "control" }
    };

    REFUSALS(cases);
}
END_TEST

START_TEST(sentences_name_the_bad_param)
{
    static const refusal cases[] = {
        { "sql %s page", "\"page\" is no param", "query:name=default, path:N" },
        { "sql %s cookie:a", "\"cookie:a\"", "env:name or user" },
        { "sql %s query:", "\"query:\"", "query:name" },
        { "sql %s query:=1", "\"query:=1\"", "query:name=default" },
        { "sql %s path:", "\"path:\"", "path:0 to path:9" },
        { "sql %s path:10", "\"path:10\"", "path:0 to path:9" },
        { "sql %s path:-1", "\"path:-1\"", "path:0 to path:9" },
        { "sql %s path:x", "\"path:x\"", "path:0 to path:9" },
        { "sql %s header:", "\"header:\"", "header:name" },
        { "sql %s \"header:a b\"", "\"header:a b\"", "header:name" },
        { "sql %s env:", "\"env:\"", "env:name" },
        { "sql %s header:a=b", "\"header:a=b\"", "only query:name=default" },
        { "sql %s env:a=b", "\"env:a=b\"", "only query:name=default" },
        { "sql %s user=guest", "\"user=guest\"", "or user" },
        { "sql %s \"\"", "\"\" is no param", "user" }
    };

    REFUSALS(cases);
}
END_TEST

START_TEST(a_default_has_a_limit)
{
    char *fill = apr_palloc(pool, ETG_PARAM_VALUE_MAX + 2);
    etg_freshness_from from;
    const char *error;

    memset(fill, 'x', ETG_PARAM_VALUE_MAX + 1);
    fill[ETG_PARAM_VALUE_MAX + 1] = '\0';
    error = etg_freshness_from_parse(
        apr_pstrcat(pool, "sql %s query:a=", fill, NULL), pool, &from);
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, "\"query:a\" is longer than 4096"));
    ck_assert_ptr_null(etg_freshness_from_parse(
        apr_pstrcat(pool, "sql %s query:a=", fill + 1, NULL), pool, &from));
}
END_TEST

START_TEST(three_sources_come_before_the_backend)
{
    ck_assert(etg_freshness_from_is_early(ETG_FROM_SQL));
    ck_assert(etg_freshness_from_is_early(ETG_FROM_FILES));
    ck_assert(etg_freshness_from_is_early(ETG_FROM_MEMCACHED));
    ck_assert(!etg_freshness_from_is_early(ETG_FROM_JSON));
    ck_assert(!etg_freshness_from_is_early(ETG_FROM_HEADER));
    ck_assert(!etg_freshness_from_is_early(ETG_FROM_BODY));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_source_is_read,
        every_param_is_read,
        words_are_quoted_as_in_httpd,
        quotes_have_two_ends,
        placeholders_are_as_many_as_params,
        only_percent_s_is_a_placeholder,
        sentences_name_the_bad_part_and_what_is_allowed,
        sentences_name_the_bad_param,
        a_default_has_a_limit,
        three_sources_come_before_the_backend,
        NULL
    };

    return run_tests("freshness_from", tests);
}
