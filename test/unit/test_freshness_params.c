/* SPDX-License-Identifier: Apache-2.0 */
/* test_freshness_params.c: params' values in a request, and keys of them. */
#include "http_views.h"

#include "lib/freshness_params.h"

typedef struct query_case {
    const char *param;
    const char *query;
    const char *value;      /* "(none)"; or "!" and a part of the refusal */
} query_case;

static const char *variable(void *baton, const char *name)
{
    return apr_table_get(baton, name);
}

static etg_params_view usual_view(void)
{
    static const char *const groups[] = { "/shop/eu/7", "eu", NULL };
    etg_params_view view = { .query = "page=2", .user = "ada" };
    apr_array_header_t *rows = apr_array_make(pool, 3, sizeof(char *));

    for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        APR_ARRAY_PUSH(rows, const char *) = groups[i];
    }
    view.groups = rows;
    view.fields = fields_of("X-Shop: a\nX-List: 1\nX-List: 2");
    view.variable = variable;
    view.baton = fields_of("TENANT: t1");
    return view;
}

static const apr_array_header_t *params_of(const char *words, int count)
{
    etg_freshness_from from;
    const char *text = "";
    const char *error;

    for (int i = 0; i < count; i++) {
        text = apr_pstrcat(pool, text, "%s", NULL);
    }
    error = etg_freshness_from_parse(apr_pstrcat(pool, "sql '-", text, "' ",
                                                 words, NULL), pool, &from);
    ck_assert_msg(error == NULL, "%s: %s", words, error);
    return from.params;
}

static const char *value_in(const etg_params_view *view, const char *word)
{
    const apr_array_header_t *values = NULL;
    const char *refused = etg_freshness_params(params_of(word, 1), view,
                                               pool, &values);
    const char *value;

    ck_assert((refused != NULL) == (values == NULL));
    if (refused != NULL) {
        return apr_pstrcat(pool, "!", refused, NULL);
    }
    ck_assert_int_eq(values->nelts, 1);
    value = APR_ARRAY_IDX(values, 0, const char *);
    return value != NULL ? value : "(none)";
}

static void check_all(const query_case *cases, size_t count)
{
    etg_params_view view = usual_view();

    for (size_t i = 0; i < count; i++) {
        const query_case *c = &cases[i];
        const char *value;

        view.query = c->query;
        value = value_in(&view, c->param);
        if (*c->value == '!') {
            ck_assert_msg(*value == '!' && strstr(value, c->value + 1),
                          "%s: %s", c->query, value);
        }
        else {
            ck_assert_msg(strcmp(value, c->value) == 0, "%s: \"%s\"",
                          c->query, value);
        }
    }
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof(cases[0]))

START_TEST(a_query_parameter_is_found_and_decoded)
{
    static const query_case cases[] = {
        { "query:page", "page=2", "2" },
        { "query:page", "a=1&page=2&b=3", "2" },
        { "query:page", "&&page=2&", "2" },
        { "query:page", "page=", "" },
        { "query:page", "page=a+b%20c%2Bd%2bd", "a b c+d+d" },
        { "query:page", "page=a=b", "a=b" },
        { "query:page", "page=%27%3B--", "';--" },
        { "query:page", "page=%C3%A9%ff%01", "\xc3\xa9\xff\x01" },
        { "query:page", "p%61ge=2", "2" },
        { "\"query:a b\"", "a+b=2", "2" },
        { "\"query:a b\"", "a%20b=2", "2" },
        { "query:f[x]", "f%5Bx%5D=2", "2" },
        { "query:f[x]", "f[x]=2", "2" },
        { "query:caf\xc3\xa9", "caf%C3%A9=2", "2" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(a_default_stands_for_an_absent_parameter_only)
{
    static const query_case cases[] = {
        { "query:page=1", NULL, "1" },
        { "query:page=1", "", "1" },
        { "query:page=1", "a=2", "1" },
        { "query:page=1", "pages=2", "1" },
        { "query:page=1", "pag=2", "1" },
        { "query:page=1", "apage=2", "1" },
        { "query:page=1", "page=", "" },
        { "query:page=1", "page=2", "2" },
        { "query:page=", "a=2", "" },
        { "query:page", NULL, "(none)" },
        { "query:page", "a=2", "(none)" },
        { "query:page", "page%=2&%=2&%p=2&pag%6=2", "(none)" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(what_backends_would_read_differently_is_refused)
{
    static const query_case cases[] = {
        { "query:page", "page=2&page=2&page=%32", "2" },
        { "query:page", "page=2&page=3", "!different values" },
        { "query:page", "page=2&p%61ge=3", "!different values" },
        { "query:page", "page=2&page=", "!different values" },
        { "query:page", "a=1;page=2", "!different values" },
        { "query:page", "page=2;a=1", "!different values" },
        { "query:page", "page=2;page=3", "!different values" },
        { "query:page", "a=1;b=2&page=2", "2" },
        { "query:page", "page=2&page", "!without a value" },
        { "query:page=1", "page", "!without a value" },
        { "query:page=1", "a;page", "!without a value" },
        { "query:page", "page=%", "!begins no escape" },
        { "query:page", "page=%2", "!begins no escape" },
        { "query:page", "page=%2&a=5", "!begins no escape" },
        { "query:page", "page=%zz", "!begins no escape" },
        { "query:page", "page=%2x", "!begins no escape" },
        { "query:page", "page=1%00", "!NUL" },
        { "query:page", "page=%00", "!NUL" },
        /* Names that some frameworks take for it. */
        { "query:page=1", "Page=2", "!different values" },
        { "query:page=1", "page[]=2", "!different values" },
        { "query:page=1", "page%5B0%5d=2", "!different values" },
        { "query:page=1", "page[a][b]=2", "!different values" },
        { "query:page=1", "page%5b", "!different values" },
        { "query:page=1", "+page=2", "!different values" },
        { "query:page=1", "%20+page=2", "!different values" },
        { "query:page=1", "page%00=2", "!different values" },
        { "query:page=1", "page%00x=2", "!different values" },
        { "query:page=1", "page=2&PAGE=3", "!different values" },
        { "query:page=1", "PAGE=2&page=2", "!different values" },
        { "query:page=1", "a;page[]=2", "!different values" },
        { "query:per_page=1", "per.page=2", "!different values" },
        { "query:per_page=1", "per+page=2", "!different values" },
        { "query:per_page=1", "per%20page=2", "!different values" },
        { "query:f[x]=1", "f_x]=2", "!different values" },
        { "query:f[x]=1", "f[y]=2&f=3&f[x", "1" },
        { "query:page=1", "++=2&+=2&pages[]=2&pag[]=2&[]=2&=2&%00=2", "1" },
        { "query:per_page=1", "per-page=2&perpage=2", "1" },
        /* Trouble elsewhere is none of ours. */
        { "query:page", "a=%zz&a=%00&a&page=2", "2" }
    };

    CHECK_ALL(cases);
}
END_TEST

START_TEST(every_kind_has_its_place)
{
    etg_params_view view = usual_view();

    ck_assert_str_eq(value_in(&view, "path:0"), "/shop/eu/7");
    ck_assert_str_eq(value_in(&view, "path:1"), "eu");
    ck_assert_str_eq(value_in(&view, "path:2"), "(none)");
    ck_assert_str_eq(value_in(&view, "path:3"), "(none)");
    ck_assert_str_eq(value_in(&view, "header:x-shop"), "a");
    ck_assert_str_eq(value_in(&view, "header:X-List"), "1, 2");
    ck_assert_str_eq(value_in(&view, "header:X-None"), "(none)");
    ck_assert_str_eq(value_in(&view, "env:TENANT"), "t1");
    ck_assert_str_eq(value_in(&view, "env:NONE"), "(none)");
    ck_assert_str_eq(value_in(&view, "user"), "ada");
}
END_TEST

START_TEST(a_request_may_have_nothing)
{
    static const char *const words[] = {
        "query:page", "path:0", "header:X-Shop", "env:TENANT", "user"
    };
    etg_params_view view = { .query = NULL };

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        ck_assert_str_eq(value_in(&view, words[i]), "(none)");
    }
}
END_TEST

START_TEST(values_stand_in_the_order_of_params)
{
    etg_params_view view = usual_view();
    const apr_array_header_t *values;

    ck_assert_ptr_null(etg_freshness_params(
        params_of("user query:a=1 path:1 query:b query:page", 5), &view,
        pool, &values));
    ck_assert_int_eq(values->nelts, 5);
    ck_assert_str_eq(APR_ARRAY_IDX(values, 0, const char *), "ada");
    ck_assert_str_eq(APR_ARRAY_IDX(values, 1, const char *), "1");
    ck_assert_str_eq(APR_ARRAY_IDX(values, 2, const char *), "eu");
    ck_assert_ptr_null(APR_ARRAY_IDX(values, 3, const char *));
    ck_assert_str_eq(APR_ARRAY_IDX(values, 4, const char *), "2");
    ck_assert_ptr_null(etg_freshness_params(params_of("", 0), &view, pool,
                                            &values));
    ck_assert_int_eq(values->nelts, 0);
}
END_TEST

static char *filled(const char *with, int count)
{
    apr_size_t length = strlen(with);
    char *text = apr_palloc(pool, length * (apr_size_t)count + 1);

    for (int i = 0; i < count; i++) {
        memcpy(text + length * (apr_size_t)i, with, length);
    }
    text[length * (apr_size_t)count] = '\0';
    return text;
}

START_TEST(long_values_are_refused)
{
    etg_params_view view = usual_view();
    const char *most = filled("x", ETG_PARAM_VALUE_MAX);
    const char *more = filled("x", ETG_PARAM_VALUE_MAX + 1);

    view.user = most;
    ck_assert_str_eq(value_in(&view, "user"), most);
    view.user = more;
    ck_assert_ptr_nonnull(strstr(value_in(&view, "user"), "4096"));
    view.query = apr_pstrcat(pool, "a=", filled("%78", ETG_PARAM_VALUE_MAX),
                             NULL);
    ck_assert_str_eq(value_in(&view, "query:a"), most);
    view.query = apr_pstrcat(pool, "a=", more, NULL);
    ck_assert_ptr_nonnull(strstr(value_in(&view, "query:a"), "4096"));
    view.query = apr_pstrcat(pool, "a=",
                             filled("%78", ETG_PARAM_VALUE_MAX + 1), NULL);
    ck_assert_ptr_nonnull(strstr(value_in(&view, "query:a"), "4096"));
}
END_TEST

static const char *key_of(const char *text, const char *first,
                          const char *second)
{
    apr_array_header_t *values = apr_array_make(pool, 2, sizeof(char *));

    APR_ARRAY_PUSH(values, const char *) = first;
    APR_ARRAY_PUSH(values, const char *) = second;
    return etg_freshness_key(text, values, pool);
}

START_TEST(keys_are_filled_with_escaped_values)
{
    static const struct {
        const char *text, *first, *second, *key;
    } cases[] = {
        { "version", NULL, NULL, "version" },
        { "p-%s", "2", NULL, "p-2" },
        { "p-%s/%s", "eu", "2", "p-eu/2" },
        { "%s%s", "a", "", "a" },
        { "100%%-%s", "5%", NULL, "100%-5%25" },
        { "%%s", NULL, NULL, "%s" },
        { "%s", "a b\r\nc", NULL, "a%20b%0D%0Ac" },
        { "%s", "\x01\x7f\x80\xff", NULL, "%01%7F%80%FF" },
        { "%s", "a:/?&=+~b", NULL, "a:/?&=+~b" },
        { "%s", "%s", NULL, "%25s" },
        { "caf\xc3\xa9", NULL, NULL, "caf\xc3\xa9" }
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *key = key_of(cases[i].text, cases[i].first,
                                 cases[i].second);

        ck_assert_msg(key != NULL, "%s", cases[i].text);
        ck_assert_str_eq(key, cases[i].key);
    }
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
    const char *most = filled("x", ETG_FRESHNESS_KEY_MAX);
    const char *more = filled("x", ETG_FRESHNESS_KEY_MAX + 1);

    ck_assert_ptr_null(key_of("p-%s", NULL, NULL));
    ck_assert_ptr_null(key_of("p-%s-%s", "a", NULL));
    ck_assert_ptr_null(key_of("%s%s%s", "a", "b"));
    ck_assert_ptr_null(key_of("%s", "", NULL));
    ck_assert_str_eq(key_of("%s", most, NULL), most);
    ck_assert_str_eq(key_of(most, NULL, NULL), most);
    ck_assert_ptr_null(key_of("%s", more, NULL));
    ck_assert_ptr_null(key_of(more, NULL, NULL));
    ck_assert_ptr_null(key_of("y%s", most, NULL));
    ck_assert_ptr_null(key_of("%sy", most, NULL));
    ck_assert_str_eq(key_of("%sy", most + 1, NULL),
                     apr_pstrcat(pool, most + 1, "y", NULL));
    ck_assert_str_eq(key_of("%s%s", most + 3, " "),
                     apr_pstrcat(pool, most + 3, "%20", NULL));
    ck_assert_ptr_null(key_of("%s%s", most + 2, " "));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_query_parameter_is_found_and_decoded,
        a_default_stands_for_an_absent_parameter_only,
        what_backends_would_read_differently_is_refused,
        every_kind_has_its_place,
        a_request_may_have_nothing,
        values_stand_in_the_order_of_params,
        long_values_are_refused,
        keys_are_filled_with_escaped_values,
        what_is_no_key_is_refused,
        NULL
    };

    return run_tests("freshness_params", tests);
}
