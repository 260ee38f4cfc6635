/* SPDX-License-Identifier: Apache-2.0 */
/* test_memcached_item.c: what goes into an item comes out of it, and nothing
 * comes out of one that is damaged or another's. */
#include <string.h>

#include <apr_strings.h>
#include <check.h>

#include "lib/record.h"
#include "modules/store_memcached/memcached_item.h"
#include "test/unit/damaged_record.h"
#include "test/unit/pool_fixture.h"
#include "test/unit/run_suite.h"

#define NOW APR_TIME_C(1763827200345678)
#define DAY APR_TIME_C(86400000000)

static etg_store_key store_key;
static etg_entity_id id;
static etg_memcached_generation generation;
static etg_memcached_key key;
static etg_memcached_key other_key;

static void set_up(void)
{
    unsigned i;

    open_pool();
    for (i = 0; i < ETG_ENTITY_ID_BYTES; i++) {
        id.bytes[i] = (unsigned char)(0xf0 + i);
    }
    memcpy(store_key.bytes, id.bytes, sizeof(store_key.bytes));
    memcpy(generation.bytes, id.bytes + 16, sizeof(generation.bytes));
    etg_memcached_key_of_primary(&key, "shop", &store_key);
    etg_memcached_key_of_primary(&other_key, "shop2", &store_key);
}

static etg_bytes bytes_of(const char *text)
{
    etg_bytes bytes = { (const unsigned char *)text, strlen(text) };

    return bytes;
}

static void check_bytes(etg_bytes bytes, const char *text)
{
    ck_assert_uint_eq(bytes.length, strlen(text));
    ck_assert_mem_eq(bytes.data, text, strlen(text));
}

/* `count` bytes. */
static etg_bytes filled(apr_size_t count)
{
    unsigned char *data = apr_palloc(pool, count + 1);
    etg_bytes bytes = { data, count };

    memset(data, 'x', count);
    return bytes;
}

static etg_memcached_response response_make(unsigned tag_count)
{
    etg_store_tag tags[ETG_STORE_TAGS_MAX + 1];
    etg_memcached_response response;
    unsigned i;

    memset(&response, 0, sizeof(response));
    for (i = 0; i < tag_count; i++) {
        tags[i] = APR_UINT64_C(0x0123456789abcdef) + i;
    }
    memset(response.key.bytes, 0x33, sizeof(response.key.bytes));
    response.response = bytes_of("a response record");
    response.moment = APR_UINT64_C(1763827200345000);
    response.tags = etg_memcached_tags_pack(tags, tag_count, pool);
    response.expires_at = NOW + DAY;
    return response;
}

static void check_response(const etg_memcached_response *found,
                           unsigned tag_count)
{
    etg_memcached_response made = response_make(tag_count);
    const etg_store_tag *tags;
    unsigned count;

    ck_assert_mem_eq(&found->key, &made.key, sizeof(made.key));
    check_bytes(found->response, "a response record");
    ck_assert_uint_eq(found->moment, made.moment);
    ck_assert_int_eq(found->expires_at, made.expires_at);
    tags = etg_memcached_tags_unpack(found->tags, pool, &count);
    ck_assert_uint_eq(count, tag_count);
    if (count > 0) {
        ck_assert_uint_eq(tags[0], APR_UINT64_C(0x0123456789abcdef));
        ck_assert_uint_eq(tags[count - 1],
                          APR_UINT64_C(0x0123456789abcdef) + count - 1);
        ck_assert_uint_eq(etg_memcached_tag_at(found->tags, count - 1),
                          tags[count - 1]);
    }
}

START_TEST(test_keys_name_namespace_kind_and_hash)
{
    etg_memcached_key_of_primary(&key, "shop", &store_key);
    ck_assert_str_eq(key.text, "shop:1p:f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    ck_assert_uint_eq(key.length, strlen(key.text));
    etg_memcached_key_of_response(&key, "shop", &store_key);
    ck_assert_str_eq(key.text, "shop:1r:f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    etg_memcached_key_of_lease(&key, "shop", &store_key);
    ck_assert_str_eq(key.text, "shop:1l:f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    etg_memcached_key_of_clock(&key, "shop");
    ck_assert_str_eq(key.text, "shop:1c");
    ck_assert_uint_eq(key.length, 7);
    etg_memcached_key_of_tag(&key, "shop", APR_UINT64_C(0x0123456789abcdef));
    ck_assert_str_eq(key.text, "shop:1t:0123456789abcdef");
    etg_memcached_key_of_body(&key, "shop", &id);
    ck_assert_str_eq(key.text, "shop:1e:f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
                               "000102030405060708090a0b0c0d0e0f");
    etg_memcached_key_of_chunk(&key, "shop", &generation, 0x1234);
    ck_assert_str_eq(key.text, "shop:1k:000102030405060708090a0b0c0d0e0f:"
                               "00001234");
    ck_assert_uint_eq(key.length, strlen(key.text));
}
END_TEST

START_TEST(test_the_longest_key_is_within_the_protocols_limit)
{
    char name_space[100];

    memset(name_space, 'n', sizeof(name_space));
    name_space[99] = '\0';
    etg_memcached_key_of_body(&key, name_space, &id);
    ck_assert_uint_eq(key.length, strlen(key.text));
    ck_assert_uint_eq(key.length, 64 + 3 + 1 + 64);
    ck_assert_uint_lt(key.length, 250);
}
END_TEST

START_TEST(test_a_primary_comes_back_with_the_response_written_last)
{
    etg_memcached_primary made;
    etg_memcached_primary found;
    etg_bytes item;

    memset(&made, 0, sizeof(made));
    made.primary = bytes_of("a primary record");
    made.expires_at = NOW + 2 * DAY + 1;
    made.has_response = 1;
    made.response = response_make(3);
    ck_assert_int_eq(etg_memcached_primary_pack(&made, &key, pool, &item),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_primary_unpack(item, &key, &found),
                     APR_SUCCESS);
    check_bytes(found.primary, "a primary record");
    ck_assert_int_eq(found.expires_at, made.expires_at);
    ck_assert_int_eq(found.has_response, 1);
    check_response(&found.response, 3);
    /* Nothing was copied. */
    ck_assert(found.primary.data > item.data
              && found.primary.data < item.data + item.length);
}
END_TEST

START_TEST(test_a_primary_may_stand_alone)
{
    etg_memcached_primary made;
    etg_memcached_primary found;
    etg_bytes item;

    memset(&made, 0, sizeof(made));
    made.primary = bytes_of("a primary record");
    made.expires_at = NOW;
    made.response.response = bytes_of("not to be written");
    ck_assert_int_eq(etg_memcached_primary_pack(&made, &key, pool, &item),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_primary_unpack(item, &key, &found),
                     APR_SUCCESS);
    check_bytes(found.primary, "a primary record");
    ck_assert_int_eq(found.has_response, 0);
    ck_assert_uint_eq(found.response.response.length, 0);
}
END_TEST

START_TEST(test_a_response_comes_back_with_its_tags)
{
    static const unsigned counts[] = { 0, 1, ETG_STORE_TAGS_MAX };
    unsigned i;

    for (i = 0; i < 3; i++) {
        etg_memcached_response made = response_make(counts[i]);
        etg_memcached_response found;
        etg_bytes item;

        ck_assert_int_eq(etg_memcached_response_pack(&made, &key, pool,
                                                     &item), APR_SUCCESS);
        ck_assert_int_eq(etg_memcached_response_unpack(item, &key, &found),
                         APR_SUCCESS);
        check_response(&found, counts[i]);
    }
}
END_TEST

START_TEST(test_more_tags_than_the_contract_allows_are_refused)
{
    etg_memcached_response made = response_make(ETG_STORE_TAGS_MAX + 1);
    etg_bytes item;

    ck_assert_int_eq(etg_memcached_response_pack(&made, &key, pool, &item),
                     APR_EINVAL);
    made.tags.length = 12;
    ck_assert_int_eq(etg_memcached_response_pack(&made, &key, pool, &item),
                     APR_EINVAL);
}
END_TEST

START_TEST(test_clock_and_marks_come_back)
{
    etg_memcached_clock made = { APR_INT64_MAX - 1, { 1, 2, 3 } };
    etg_memcached_clock clock;
    etg_memcached_marks marks = { 0, ~APR_UINT64_C(0), 7 };
    etg_memcached_marks found;
    etg_bytes item;

    ck_assert_int_eq(etg_memcached_clock_pack(&made, &key, pool, &item),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_clock_unpack(item, &key, &clock),
                     APR_SUCCESS);
    ck_assert_mem_eq(&clock, &made, sizeof(made));
    ck_assert_int_eq(etg_memcached_marks_pack(&marks, &key, pool, &item),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_marks_unpack(item, &key, &found),
                     APR_SUCCESS);
    ck_assert_mem_eq(&found, &marks, sizeof(marks));
}
END_TEST

START_TEST(test_a_lease_comes_back)
{
    etg_memcached_lease made = { APR_UINT64_C(0xfedcba9876543210) };
    etg_memcached_lease found = { 0 };
    etg_bytes item;

    ck_assert_int_eq(etg_memcached_lease_pack(&made, &key, pool, &item),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_lease_unpack(item, &key, &found),
                     APR_SUCCESS);
    ck_assert_uint_eq(found.token, made.token);
}
END_TEST

START_TEST(test_a_body_comes_back_whole)
{
    static const apr_size_t lengths[] = { 0, 1, ETG_MEMCACHED_SINGLE_MAX };
    unsigned i;

    for (i = 0; i < 3; i++) {
        etg_memcached_body made = { .expires_at = NOW };
        etg_memcached_body found;
        etg_bytes item;

        made.bytes = filled(lengths[i]);
        ck_assert_int_eq(etg_memcached_body_pack(&made, &key, pool, &item),
                         APR_SUCCESS);
        ck_assert_uint_le(item.length, ETG_MEMCACHED_ITEM_MAX);
        ck_assert_int_eq(etg_memcached_body_unpack(item, &key, &found),
                         APR_SUCCESS);
        ck_assert(!found.is_chunked);
        ck_assert_uint_eq(found.length, lengths[i]);
        ck_assert_ptr_nonnull(found.bytes.data);
        ck_assert_uint_eq(found.bytes.length, lengths[i]);
        ck_assert(memcmp(found.bytes.data, made.bytes.data, lengths[i]) == 0);
        ck_assert_int_eq(found.expires_at, NOW);
    }
}
END_TEST

START_TEST(test_a_manifest_names_length_and_generation)
{
    etg_memcached_body made = { .length = 20000001, .expires_at = NOW,
                                .is_chunked = 1,
                                .chunk_bytes = ETG_MEMCACHED_CHUNK_BYTES };
    etg_memcached_body found;
    etg_bytes item;

    made.generation = generation;
    ck_assert_int_eq(etg_memcached_body_pack(&made, &key, pool, &item),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_body_unpack(item, &key, &found),
                     APR_SUCCESS);
    ck_assert(found.is_chunked);
    ck_assert_ptr_null(found.bytes.data);
    ck_assert_uint_eq(found.length, 20000001);
    ck_assert_uint_eq(found.chunk_bytes, ETG_MEMCACHED_CHUNK_BYTES);
    ck_assert_mem_eq(&found.generation, &generation, sizeof(generation));
}
END_TEST

START_TEST(test_a_manifest_that_makes_no_sense_is_refused)
{
    static const struct {
        apr_uint64_t length;
        apr_uint32_t chunk_bytes;
    } cases[] = {
        { 0, ETG_MEMCACHED_CHUNK_BYTES },
        { ETG_MEMCACHED_BODY_MAX + 1, ETG_MEMCACHED_CHUNK_BYTES },
        { ~APR_UINT64_C(0), ETG_MEMCACHED_CHUNK_BYTES },
        { 2000000, 0 },
        { 2000000, ETG_MEMCACHED_CHUNK_MIN - 1 },
        { 2000000, ETG_MEMCACHED_SINGLE_MAX + 1 },
    };
    unsigned i;

    for (i = 0; i < 6; i++) {
        etg_memcached_body body = { .length = cases[i].length,
                                    .is_chunked = 1,
                                    .chunk_bytes = cases[i].chunk_bytes };
        etg_bytes item;

        ck_assert_int_eq(etg_memcached_body_pack(&body, &key, pool, &item),
                         APR_SUCCESS);
        ck_assert_int_eq(etg_memcached_body_unpack(item, &key, &body),
                         APR_EINVAL);
    }
}
END_TEST

START_TEST(test_a_chunk_is_only_itself)
{
    etg_memcached_generation another = generation;
    etg_memcached_key chunk_key;
    etg_bytes bytes;
    etg_bytes item;

    another.bytes[15] ^= 1;
    etg_memcached_key_of_chunk(&chunk_key, "shop", &generation, 7);
    ck_assert_int_eq(etg_memcached_chunk_pack(&generation, 7,
                                              bytes_of("part"), &chunk_key,
                                              pool, &item), APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_chunk_unpack(item, &chunk_key, &generation,
                                                7, &bytes), APR_SUCCESS);
    check_bytes(bytes, "part");
    ck_assert_int_eq(etg_memcached_chunk_unpack(item, &chunk_key, &generation,
                                                8, &bytes), APR_EINVAL);
    ck_assert_int_eq(etg_memcached_chunk_unpack(item, &chunk_key, &another, 7,
                                                &bytes), APR_EINVAL);
    ck_assert_int_eq(etg_memcached_chunk_unpack(item, &key, &generation, 7,
                                                &bytes), APR_EINVAL);
    /* An empty one cannot be a part of anything. */
    ck_assert_int_eq(etg_memcached_chunk_pack(&generation, 7, bytes_of(""),
                                              &chunk_key, pool, &item),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_memcached_chunk_unpack(item, &chunk_key, &generation,
                                                7, &bytes), APR_EINVAL);
}
END_TEST

START_TEST(test_what_does_not_fit_is_not_packed)
{
    etg_bytes untouched = { NULL, 7 };
    etg_bytes item = untouched;
    etg_memcached_primary primary = { .primary = filled(10) };
    etg_memcached_response response = response_make(0);
    etg_memcached_body body = { .bytes = filled(1000990) };

    response.response = filled(1000990);
    ck_assert_int_eq(etg_memcached_response_pack(&response, &key, pool,
                                                 &item), APR_ENOSPC);
    primary.has_response = 1;
    primary.response = response;
    ck_assert_int_eq(etg_memcached_primary_pack(&primary, &key, pool, &item),
                     APR_ENOSPC);
    ck_assert_int_eq(etg_memcached_body_pack(&body, &key, pool, &item),
                     APR_ENOSPC);
    /* Not even read: there are not so many bytes. */
    body.bytes.length = (apr_size_t)1 << 40;
    ck_assert_int_eq(etg_memcached_body_pack(&body, &key, pool, &item),
                     APR_ENOSPC);
    ck_assert_int_eq(etg_memcached_chunk_pack(&generation, 0, body.bytes,
                                              &key, pool, &item), APR_ENOSPC);
    ck_assert_mem_eq(&item, &untouched, sizeof(item));
}
END_TEST

/* How many of the readers take it. */
static unsigned readers_of(etg_bytes item, const etg_memcached_key *of)
{
    etg_memcached_primary primary;
    etg_memcached_response response;
    etg_memcached_clock clock;
    etg_memcached_marks marks;
    etg_memcached_body body;
    etg_memcached_lease lease;
    etg_bytes bytes;

    return (etg_memcached_primary_unpack(item, of, &primary) == APR_SUCCESS)
           + (etg_memcached_response_unpack(item, of, &response)
              == APR_SUCCESS)
           + (etg_memcached_clock_unpack(item, of, &clock) == APR_SUCCESS)
           + (etg_memcached_marks_unpack(item, of, &marks) == APR_SUCCESS)
           + (etg_memcached_body_unpack(item, of, &body) == APR_SUCCESS)
           + (etg_memcached_lease_unpack(item, of, &lease) == APR_SUCCESS)
           + (etg_memcached_chunk_unpack(item, of, &generation, 0, &bytes)
              == APR_SUCCESS);
}

/* One item of each kind, all under `key`. */
static unsigned items_make(etg_bytes items[8])
{
    etg_memcached_primary primary = { .primary = bytes_of("primary") };
    etg_memcached_response response = response_make(2);
    etg_memcached_clock clock = { 5, { 1, 2, 3 } };
    etg_memcached_body single = { .bytes = bytes_of("body") };
    etg_memcached_body manifest = { .length = 2000000, .is_chunked = 1,
                                    .chunk_bytes = 500000 };
    etg_memcached_lease lease = { 9 };
    apr_status_t rv;

    primary.has_response = 1;
    primary.response = response;
    rv = etg_memcached_primary_pack(&primary, &key, pool, &items[0]);
    rv |= etg_memcached_response_pack(&response, &key, pool, &items[1]);
    rv |= etg_memcached_clock_pack(&clock, &key, pool, &items[2]);
    rv |= etg_memcached_marks_pack(&clock.all, &key, pool, &items[3]);
    rv |= etg_memcached_body_pack(&single, &key, pool, &items[4]);
    rv |= etg_memcached_body_pack(&manifest, &key, pool, &items[5]);
    rv |= etg_memcached_lease_pack(&lease, &key, pool, &items[6]);
    rv |= etg_memcached_chunk_pack(&generation, 0, bytes_of("part"), &key,
                                   pool, &items[7]);
    ck_assert_int_eq(rv, APR_SUCCESS);
    return 8;
}

START_TEST(test_an_item_is_read_as_its_own_kind_and_key_only)
{
    etg_bytes items[8];
    unsigned count = items_make(items);
    unsigned i;

    for (i = 0; i < count; i++) {
        ck_assert_msg(readers_of(items[i], &key) == 1, "item %u", i);
        ck_assert_msg(readers_of(items[i], &other_key) == 0, "item %u", i);
    }
}
END_TEST

START_TEST(test_an_item_that_is_cut_or_longer_is_not_read)
{
    etg_bytes items[8];
    unsigned count = items_make(items);
    unsigned i;

    for (i = 0; i < count; i++) {
        unsigned char *longer = apr_pcalloc(pool, items[i].length + 1);
        etg_bytes part = items[i];

        memcpy(longer, items[i].data, items[i].length);
        for (part.length = 0; part.length < items[i].length; part.length++) {
            ck_assert_uint_eq(readers_of(part, &key), 0);
        }
        part.data = longer;
        part.length++;
        ck_assert_uint_eq(readers_of(part, &key), 0);
    }
}
END_TEST

START_TEST(test_a_changed_byte_is_noticed)
{
    etg_bytes items[8];
    unsigned count = items_make(items);
    unsigned i;
    apr_size_t at;

    for (i = 0; i < count; i++) {
        unsigned char *copy = apr_pmemdup(pool, items[i].data,
                                          items[i].length);
        etg_bytes changed = { copy, items[i].length };

        for (at = 0; at < items[i].length; at++) {
            copy[at] ^= 0x10;
            ck_assert_uint_eq(readers_of(changed, &key), 0);
            copy[at] ^= 0x10;
        }
        ck_assert_uint_eq(readers_of(changed, &key), 1);
    }
}
END_TEST

START_TEST(test_made_up_payloads_with_a_right_checksum_do_no_harm)
{
    etg_bytes items[8];
    unsigned count = items_make(items);
    apr_uint32_t state = 1;
    unsigned turn;

    for (turn = 0; turn < 40000; turn++) {
        etg_bytes item = items[turn % count];
        unsigned char copy[512];

        ck_assert_uint_lt(item.length, sizeof(copy));
        memcpy(copy, item.data, item.length);
        damage(copy + 6, item.length - 6 - 8, &state);
        readers_of(resealed(copy, item.length, pool), &key);
        if (turn % 1000 == 0) {
            apr_pool_clear(pool);
            count = items_make(items);
        }
    }
}
END_TEST

START_TEST(test_lifetimes_are_relative_up_to_thirty_days)
{
    static const struct {
        apr_time_t after;
        apr_uint32_t exptime;
    } cases[] = {
        { 1, 1 }, { APR_USEC_PER_SEC, 1 }, { APR_USEC_PER_SEC + 1, 2 },
        { DAY, 86400 }, { 30 * DAY - 1, 2592000 }, { 30 * DAY, 2592000 },
        { 30 * DAY + 1, 1763827201 + 2592000 },
        { 365 * DAY, 1763827201 + 31536000 },
        { APR_INT64_MAX - NOW, 0x7fffffff },
    };
    apr_uint32_t exptime;
    unsigned i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        exptime = 0;
        ck_assert(etg_memcached_exptime(NOW + cases[i].after, NOW, &exptime));
        ck_assert_uint_eq(exptime, cases[i].exptime);
    }
}
END_TEST

START_TEST(test_what_has_expired_is_not_written)
{
    apr_uint32_t exptime = 77;

    ck_assert(!etg_memcached_exptime(NOW, NOW, &exptime));
    ck_assert(!etg_memcached_exptime(NOW - 1, NOW, &exptime));
    ck_assert(!etg_memcached_exptime(0, NOW, &exptime));
    ck_assert_uint_eq(exptime, 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memcached_item");
    TCase *cases = tcase_create("item");

    tcase_add_checked_fixture(cases, set_up, close_pool);
    tcase_add_test(cases, test_keys_name_namespace_kind_and_hash);
    tcase_add_test(cases,
                   test_the_longest_key_is_within_the_protocols_limit);
    tcase_add_test(cases,
                   test_a_primary_comes_back_with_the_response_written_last);
    tcase_add_test(cases, test_a_primary_may_stand_alone);
    tcase_add_test(cases, test_a_response_comes_back_with_its_tags);
    tcase_add_test(cases,
                   test_more_tags_than_the_contract_allows_are_refused);
    tcase_add_test(cases, test_clock_and_marks_come_back);
    tcase_add_test(cases, test_a_lease_comes_back);
    tcase_add_test(cases, test_a_body_comes_back_whole);
    tcase_add_test(cases, test_a_manifest_names_length_and_generation);
    tcase_add_test(cases, test_a_manifest_that_makes_no_sense_is_refused);
    tcase_add_test(cases, test_a_chunk_is_only_itself);
    tcase_add_test(cases, test_what_does_not_fit_is_not_packed);
    tcase_add_test(cases,
                   test_an_item_is_read_as_its_own_kind_and_key_only);
    tcase_add_test(cases, test_an_item_that_is_cut_or_longer_is_not_read);
    tcase_add_test(cases, test_a_changed_byte_is_noticed);
    tcase_add_test(cases,
                   test_made_up_payloads_with_a_right_checksum_do_no_harm);
    tcase_add_test(cases, test_lifetimes_are_relative_up_to_thirty_days);
    tcase_add_test(cases, test_what_has_expired_is_not_written);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
