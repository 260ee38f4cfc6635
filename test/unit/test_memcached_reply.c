/* SPDX-License-Identifier: Apache-2.0 */
/* test_memcached_reply.c: lines that memcached servers say, and do not. */
#include <check.h>
#include <string.h>

#include "lib/memcached_reply.h"
#include "test/unit/run_suite.h"

static apr_status_t read_text(const char *text, etg_memcached_reply *reply,
                              apr_size_t *taken)
{
    etg_bytes bytes = { (const unsigned char *)text, strlen(text) };
    return etg_memcached_reply_read(bytes, reply, taken);
}

static const struct {
    const char *text;
    etg_memcached_reply_kind kind;
} lines[] = {
    { "END\r\n", ETG_MEMCACHED_REPLY_END },
    { "STORED\r\n", ETG_MEMCACHED_REPLY_STORED },
    { "NOT_STORED\r\n", ETG_MEMCACHED_REPLY_NOT_STORED },
    { "EXISTS\r\n", ETG_MEMCACHED_REPLY_EXISTS },
    { "NOT_FOUND\r\n", ETG_MEMCACHED_REPLY_NOT_FOUND },
    { "DELETED\r\n", ETG_MEMCACHED_REPLY_DELETED },
    { "TOUCHED\r\n", ETG_MEMCACHED_REPLY_TOUCHED },
    { "SERVER_ERROR object too large for cache\r\n",
      ETG_MEMCACHED_REPLY_NO_ROOM },
    { "SERVER_ERROR out of memory storing object\r\n",
      ETG_MEMCACHED_REPLY_NO_ROOM },
    { "SERVER_ERROR proxy: no upstream\r\n", ETG_MEMCACHED_REPLY_ERROR },
    { "SERVER_ERROR\r\n", ETG_MEMCACHED_REPLY_ERROR }
};

START_TEST(a_line_is_known_by_its_words)
{
    etg_memcached_reply reply;
    apr_size_t taken = 0;
    ck_assert_int_eq(read_text(lines[_i].text, &reply, &taken), APR_SUCCESS);
    ck_assert_int_eq(reply.kind, lines[_i].kind);
    ck_assert_uint_eq(taken, strlen(lines[_i].text));
}
END_TEST

START_TEST(a_value_has_a_key_a_length_and_perhaps_a_cas)
{
    etg_memcached_reply reply;
    apr_size_t taken;
    ck_assert_int_eq(read_text("VALUE a:1p:0f 0 12 99\r\nrest", &reply,
                               &taken), APR_SUCCESS);
    ck_assert_int_eq(reply.kind, ETG_MEMCACHED_REPLY_VALUE);
    ck_assert_uint_eq(reply.key.length, 7);
    ck_assert_int_eq(memcmp(reply.key.data, "a:1p:0f", 7), 0);
    ck_assert_uint_eq(reply.length, 12);
    ck_assert_uint_eq(reply.cas, 99);
    ck_assert_uint_eq(taken, 23);
    ck_assert_int_eq(read_text("VALUE k 4294967295 18446744073709551615\r\n",
                               &reply, &taken), APR_SUCCESS);
    ck_assert(reply.length == UINT64_MAX);
    ck_assert_uint_eq(reply.cas, 0);
}
END_TEST

static const char *const wrong[] = {
    "\r\n", "\n", "END\n", "END \r\n", " END\r\n", "end\r\n", "ENDX\r\n",
    "ERROR\r\n", "CLIENT_ERROR bad data chunk\r\n", "VERSION\r\n",
    "VERSION 1.6.18\r\n", "OK\r\n", "VALUE\r\n", "VALUE \r\n", "VALUE k\r\n",
    "VALUE k 0\r\n", "VALUE k 0 \r\n", "VALUE  k 0 1\r\n",
    "VALUE k  0 1\r\n", "VALUE k 0 1 2 3\r\n", "VALUE k 0 -1\r\n",
    "VALUE k 0 +1\r\n", "VALUE k 0 0x1\r\n", "VALUE k 0 1 2x\r\n",
    "VALUE k 0 1 \r\n", "VALUE k 0 18446744073709551616\r\n",
    "VALUE k 0 99999999999999999999999\r\n", "VALUE k\t0 1\r\n",
    "HTTP/1.1 400 Bad Request\r\n", "-ERR unknown command\r\n"
};

START_TEST(what_no_memcached_says_is_refused)
{
    etg_memcached_reply reply;
    etg_memcached_reply before;
    apr_size_t taken = 77;
    memset(&reply, 5, sizeof(reply));
    before = reply;
    ck_assert_int_eq(read_text(wrong[_i], &reply, &taken), APR_EGENERAL);
    ck_assert_int_eq(memcmp(&reply, &before, sizeof(reply)), 0);
    ck_assert_uint_eq(taken, 77);
}
END_TEST

START_TEST(a_line_that_has_not_ended_is_waited_for)
{
    static const char text[] = "VALUE key 0 12 99\r\n";
    etg_memcached_reply reply;
    apr_size_t taken;
    for (apr_size_t i = 0; i < sizeof(text) - 1; i++) {
        etg_bytes bytes = { (const unsigned char *)text, i };
        ck_assert_int_eq(etg_memcached_reply_read(bytes, &reply, &taken),
                         APR_INCOMPLETE);
    }
}
END_TEST

START_TEST(a_line_without_an_end_is_not_waited_for_for_ever)
{
    unsigned char text[ETG_MEMCACHED_LINE_MAX];
    etg_memcached_reply reply;
    apr_size_t taken;
    memset(text, 'x', sizeof(text));
    etg_bytes bytes = { text, sizeof(text) - 1 };
    ck_assert_int_eq(etg_memcached_reply_read(bytes, &reply, &taken),
                     APR_INCOMPLETE);
    bytes.length = sizeof(text);
    ck_assert_int_eq(etg_memcached_reply_read(bytes, &reply, &taken),
                     APR_EGENERAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memcached reply");
    TCase *tcase = tcase_create("lines");
    tcase_add_loop_test(tcase, a_line_is_known_by_its_words, 0,
                        sizeof(lines) / sizeof(lines[0]));
    tcase_add_test(tcase, a_value_has_a_key_a_length_and_perhaps_a_cas);
    tcase_add_loop_test(tcase, what_no_memcached_says_is_refused, 0,
                        sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(tcase, a_line_that_has_not_ended_is_waited_for);
    tcase_add_test(tcase, a_line_without_an_end_is_not_waited_for_for_ever);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
