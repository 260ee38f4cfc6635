/* SPDX-License-Identifier: Apache-2.0 */
/* test_memcached_uri.c: which servers a URI names, and what is refused. */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "modules/store_memcached/memcached_uri.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static etg_memcached_uri uri;

static void set_up(void)
{
    open_pool();
    memset(&uri, 0, sizeof(uri));
}

static void parse(const char *text)
{
    const char *problem = etg_memcached_uri_parse(text, pool, &uri);

    ck_assert_msg(problem == NULL, "%s", problem);
}

/* Refused, with a sentence that has `words` in it and the URI. */
static void refused(const char *text, const char *words)
{
    etg_memcached_uri untouched;
    const char *problem;

    memset(&untouched, 7, sizeof(untouched));
    uri = untouched;
    problem = etg_memcached_uri_parse(text, pool, &uri);
    ck_assert_msg(problem != NULL, "%s is taken", text);
    ck_assert_msg(strstr(problem, words) != NULL, "%s: %s", text, problem);
    ck_assert_msg(strstr(problem, text) != NULL, "%s: %s", text, problem);
    ck_assert_mem_eq(&uri, &untouched, sizeof(uri));
}

static void check_server(unsigned at, const char *host, apr_port_t port,
                         const char *name)
{
    ck_assert_uint_lt(at, uri.server_count);
    ck_assert_str_eq(uri.servers[at].host, host);
    ck_assert_uint_eq(uri.servers[at].port, port);
    ck_assert_str_eq(uri.servers[at].name, name);
}

START_TEST(test_one_server_has_the_default_port_and_limits)
{
    parse("memcached://cache1/shop");
    ck_assert_uint_eq(uri.server_count, 1);
    check_server(0, "cache1", 11211, "cache1:11211");
    ck_assert_str_eq(uri.name_space, "shop");
    ck_assert_int_eq(uri.timeout, 30 * 1000);
    ck_assert_int_eq(uri.connect_timeout, 50 * 1000);
    ck_assert_uint_eq(uri.pool, 64);
}
END_TEST

START_TEST(test_servers_keep_their_order_and_ports)
{
    parse("memcached://10.0.0.3:11212,10.0.0.1,b_ox-1.Example:65535,c:1/a.B_"
          "-9");
    ck_assert_uint_eq(uri.server_count, 4);
    check_server(0, "10.0.0.3", 11212, "10.0.0.3:11212");
    check_server(1, "10.0.0.1", 11211, "10.0.0.1:11211");
    check_server(2, "b_ox-1.example", 65535, "b_ox-1.example:65535");
    check_server(3, "c", 1, "c:1");
    ck_assert_str_eq(uri.name_space, "a.B_-9");
}
END_TEST

START_TEST(test_ipv6_addresses_stand_in_brackets)
{
    parse("memcached://[::1],[2001:DB8::2]:11300,[::ffff:10.0.0.1]/shop");
    ck_assert_uint_eq(uri.server_count, 3);
    check_server(0, "::1", 11211, "[::1]:11211");
    check_server(1, "2001:db8::2", 11300, "[2001:db8::2]:11300");
    check_server(2, "::ffff:10.0.0.1", 11211, "[::ffff:10.0.0.1]:11211");
}
END_TEST

START_TEST(test_a_socket_is_a_path_before_the_namespace)
{
    parse("memcached:///run/memcached/shop,eu.sock/shop?pool=2");
    ck_assert_uint_eq(uri.server_count, 1);
    check_server(0, "/run/memcached/shop,eu.sock", 0,
                 "/run/memcached/shop,eu.sock");
    ck_assert_str_eq(uri.name_space, "shop");
    ck_assert_uint_eq(uri.pool, 2);
}
END_TEST

START_TEST(test_parameters_come_in_any_order)
{
    parse("memcached://a/n?timeout=1ms&pool=1024&connect-timeout=10s");
    ck_assert_int_eq(uri.timeout, 1000);
    ck_assert_int_eq(uri.connect_timeout, 10 * APR_USEC_PER_SEC);
    ck_assert_uint_eq(uri.pool, 1024);
    parse("memcached://a/n?connect-timeout=250ms");
    ck_assert_int_eq(uri.timeout, 30 * 1000);
    ck_assert_int_eq(uri.connect_timeout, 250 * 1000);
    ck_assert_uint_eq(uri.pool, 64);
}
END_TEST

static const struct {
    const char *text;
    const char *words;
} refusals[] = {
    { "", "does not begin with memcached://" },
    { "local:", "does not begin with memcached://" },
    { "memcached:a/n", "does not begin with memcached://" },
    { "memcached://", "no /namespace" },
    { "memcached://a", "no /namespace" },
    { "memcached://a?pool=1", "no /namespace" },
    { "memcached:///n", "neither a server nor the absolute path" },
    { "memcached://a/b/n", "only one / may follow" },
    { "memcached://a/n/", "only one / may follow" },
    { "memcached:////n", "\"/\" is not the path of a socket" },
    { "memcached:///x//n", "is not the path of a socket" },
    { "memcached://a,/n", "\"\" is not a host name" },
    { "memcached://,a/n", "\"\" is not a host name" },
    { "memcached://:11211/n", "\"\" is not a host name" },
    { "memcached://a b/n", "\"a b\" is not a host name" },
    { "memcached://user@a/n", "\"user@a\" is not a host name" },
    { "memcached://-a/n", "\"-a\" is not a host name" },
    { "memcached://a\r\n/n", "is not a host name" },
    { "memcached://a:/n", "port \"\" is not a number between 1 and 65535" },
    { "memcached://a:0/n", "port \"0\" is not" },
    { "memcached://a:65536/n", "port \"65536\" is not" },
    { "memcached://a:-1/n", "port \"-1\" is not" },
    { "memcached://a:11x/n", "port \"11x\" is not" },
    { "memcached://::1/n", "port \":1\" is not" },
    { "memcached://[::1/n", "is not an IPv6 address in brackets" },
    { "memcached://[::1]x/n", "is not an IPv6 address in brackets" },
    { "memcached://[a]/n", "\"[a]\" is not an IPv6 address" },
    { "memcached://[10.0.0.1]/n", "is not an IPv6 address" },
    { "memcached://[fe80::1%eth0]/n", "is not an IPv6 address" },
    { "memcached://[::1]:0/n", "port \"0\" is not" },
    { "memcached://a,b,A:11211/n", "server a:11211 is named twice" },
    { "memcached://[::1],[::1]/n", "server [::1]:11211 is named twice" },
    { "memcached://a/", "namespace \"\" is not 1 to 64" },
    { "memcached://a/n n", "namespace \"n n\" is not 1 to 64" },
    { "memcached://a/n\n", "is not 1 to 64" },
    { "memcached://a/n%20", "namespace \"n%20\" is not 1 to 64" },
    { "memcached://a/n?", "parameter \"\" is not known" },
    { "memcached://a/n?size=1", "parameter \"size\" is not known" },
    { "memcached://a/n?Pool=1", "parameter \"Pool\" is not known" },
    { "memcached://a/n?pool=1&", "parameter \"\" is not known" },
    { "memcached://a/n?pool=1&pool=1", "parameter pool is given twice" },
    { "memcached://a/n?timeout=1s&pool=1&timeout=2s",
      "parameter timeout is given twice" },
    { "memcached://a/n?pool", "pool \"\" is not a number between 1 and 1024" },
    { "memcached://a/n?pool=0", "pool \"0\" is not" },
    { "memcached://a/n?pool=1025", "pool \"1025\" is not" },
    { "memcached://a/n?pool=-1", "pool \"-1\" is not" },
    { "memcached://a/n?pool=4K", "pool \"4K\" is not" },
    { "memcached://a/n?timeout=0", "timeout \"0\" is not a duration between "
      "1ms and 10s" },
    { "memcached://a/n?timeout=11s", "timeout \"11s\" is not" },
    { "memcached://a/n?timeout=10001ms", "timeout \"10001ms\" is not" },
    { "memcached://a/n?timeout=fast", "timeout \"fast\" is not" },
    { "memcached://a/n?timeout=", "timeout \"\" is not" },
    { "memcached://a/n?connect-timeout=1m", "connect-timeout \"1m\" is not" },
};

START_TEST(test_what_is_wrong_is_named_with_its_range)
{
    refused(refusals[_i].text, refusals[_i].words);
}
END_TEST

START_TEST(test_a_namespace_has_at_most_64_bytes)
{
    char text[128] = "memcached://a/";
    apr_size_t at = strlen(text);

    memset(text + at, 'n', 64);
    parse(text);
    ck_assert_uint_eq(strlen(uri.name_space), 64);
    text[at + 64] = 'n';
    refused(text, "is not 1 to 64");
}
END_TEST

START_TEST(test_there_are_at_most_64_servers)
{
    const char *text = "memcached://h";
    int i;

    for (i = 1; i < 64; i++) {
        text = apr_psprintf(pool, "%s,h:%d", text, i);
    }
    parse(apr_pstrcat(pool, text, "/n", NULL));
    ck_assert_uint_eq(uri.server_count, 64);
    check_server(63, "h", 63, "h:63");
    refused(apr_pstrcat(pool, text, ",h:64/n", NULL), "more than 64 servers");
}
END_TEST

START_TEST(test_a_path_or_host_that_is_too_long_is_refused)
{
    char *name = apr_palloc(pool, 300);

    memset(name, 'x', 299);
    name[253] = '\0';
    parse(apr_pstrcat(pool, "memcached://", name, "/n", NULL));
    name[253] = 'x';
    name[254] = '\0';
    refused(apr_pstrcat(pool, "memcached://", name, "/n", NULL),
            "is not a host name");
    name[106] = '\0';
    parse(apr_pstrcat(pool, "memcached:///", name, "/n", NULL));
    name[106] = 'x';
    name[107] = '\0';
    refused(apr_pstrcat(pool, "memcached:///", name, "/n", NULL),
            "longer than 107 bytes");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memcached_uri");
    TCase *cases = tcase_create("uri");

    tcase_add_checked_fixture(cases, set_up, close_pool);
    tcase_add_test(cases, test_one_server_has_the_default_port_and_limits);
    tcase_add_test(cases, test_servers_keep_their_order_and_ports);
    tcase_add_test(cases, test_ipv6_addresses_stand_in_brackets);
    tcase_add_test(cases, test_a_socket_is_a_path_before_the_namespace);
    tcase_add_test(cases, test_parameters_come_in_any_order);
    tcase_add_loop_test(cases, test_what_is_wrong_is_named_with_its_range, 0,
                        ROWS(refusals));
    tcase_add_test(cases, test_a_namespace_has_at_most_64_bytes);
    tcase_add_test(cases, test_there_are_at_most_64_servers);
    tcase_add_test(cases, test_a_path_or_host_that_is_too_long_is_refused);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
