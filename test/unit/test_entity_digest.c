/* SPDX-License-Identifier: Apache-2.0 */
/* test_entity_digest.c: body digests against the vectors of FIPS 180-4. */
#include <string.h>

#include <check.h>

#include "lib/entity_digest.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define EMPTY \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC \
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION_A \
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static const char *hex_of(const unsigned char *bytes)
{
    char *text = apr_palloc(pool, 2 * ETG_ENTITY_ID_BYTES + 1);

    etg_hex(text, bytes, ETG_ENTITY_ID_BYTES);
    return text;
}

START_TEST(test_one_buffer_gives_the_published_digest)
{
    unsigned char digest[32];

    ck_assert_int_eq(etg_sha256("abc", 3, digest), APR_SUCCESS);
    ck_assert_str_eq(hex_of(digest), ABC);
    ck_assert_int_eq(etg_sha256(NULL, 0, digest), APR_SUCCESS);
    ck_assert_str_eq(hex_of(digest), EMPTY);
}
END_TEST

START_TEST(test_a_body_in_pieces_has_the_digest_of_the_whole)
{
    etg_entity_digest *digest = NULL;
    etg_entity_id id;
    char piece[997];
    unsigned left = 1000000;

    memset(piece, 'a', sizeof(piece));
    ck_assert_int_eq(etg_entity_digest_begin(&digest, pool), APR_SUCCESS);
    while (left > 0) {
        unsigned n = left < sizeof(piece) ? left : (unsigned)sizeof(piece);

        ck_assert_int_eq(etg_entity_digest_add(digest, piece, n),
                         APR_SUCCESS);
        ck_assert_int_eq(etg_entity_digest_add(digest, NULL, 0),
                         APR_SUCCESS);
        left -= n;
    }
    ck_assert_int_eq(etg_entity_digest_end(digest, &id), APR_SUCCESS);
    ck_assert_str_eq(hex_of(id.bytes), MILLION_A);
}
END_TEST

START_TEST(test_an_empty_body_has_the_digest_of_nothing)
{
    etg_entity_digest *digest = NULL;
    etg_entity_id id;

    ck_assert_int_eq(etg_entity_digest_begin(&digest, pool), APR_SUCCESS);
    ck_assert_int_eq(etg_entity_digest_end(digest, &id), APR_SUCCESS);
    ck_assert_str_eq(hex_of(id.bytes), EMPTY);
}
END_TEST

START_TEST(test_a_digest_ends_once)
{
    etg_entity_digest *digest = NULL;
    etg_entity_id id;
    etg_entity_id untouched;

    memset(&untouched, 7, sizeof(untouched));
    ck_assert_int_eq(etg_entity_digest_begin(&digest, pool), APR_SUCCESS);
    ck_assert_int_eq(etg_entity_digest_end(digest, &id), APR_SUCCESS);
    ck_assert_int_eq(etg_entity_digest_add(digest, "x", 1), APR_EINVAL);
    ck_assert_int_eq(etg_entity_digest_end(digest, &untouched), APR_EINVAL);
    ck_assert_int_eq(untouched.bytes[31], 7);
}
END_TEST

START_TEST(test_hexadecimal_is_lower_case_and_terminated)
{
    static const unsigned char bytes[] = { 0x00, 0x9f, 0xAB, 0xff };
    char hex[2 * sizeof(bytes) + 1];

    memset(hex, '!', sizeof(hex));
    etg_hex(hex, bytes, sizeof(bytes));
    ck_assert_str_eq(hex, "009fabff");
    etg_hex(hex, bytes, 0);
    ck_assert_str_eq(hex, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("entity_digest");
    TCase *cases = tcase_create("digest");

    tcase_add_checked_fixture(cases, open_pool, close_pool);
    tcase_add_test(cases, test_one_buffer_gives_the_published_digest);
    tcase_add_test(cases, test_a_body_in_pieces_has_the_digest_of_the_whole);
    tcase_add_test(cases, test_an_empty_body_has_the_digest_of_nothing);
    tcase_add_test(cases, test_a_digest_ends_once);
    tcase_add_test(cases, test_hexadecimal_is_lower_case_and_terminated);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
