/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_call_log.c: what list pages of an API cost, stored as the cache does.
 *
 * Pages of a telephone provider's call log, 42 KB of JSON each: names and
 * words repeat, ids, numbers, dates, durations and prices are chance. Each is
 * coded by lib/gzip at level 6 and stored with its records through the local
 * store. Everything the store uses counts, its control file too.
 */
#include <stdio.h>
#include <string.h>

#include <check.h>

#include "lib/cache_key.h"
#include "lib/content_coding.h"
#include "lib/gzip.h"
#include "lib/primary_record.h"
#include "lib/stored_response.h"
#include "modules/store_local/local_store.h"
#include "store_rig.h"
#include "test/unit/run_suite.h"

#define PAGES 2000u
#define PAGE_BYTES 43008u
#define ROOM (2 * PAGE_BYTES)
#define SMALL_STORE "?size=25M"
#define SMALL_BYTES (25u << 20)
#define VARIES_ON "accept"
#define PATIENCE apr_time_from_sec(20)
#define SECOND APR_USEC_PER_SEC
#define NOW (APR_TIME_C(1763827200) * SECOND + 345678)
#define KEEP_UNTIL (NOW + apr_time_from_sec(4000000000ll))

typedef struct text {
    char *bytes;
    apr_size_t length;
} text;

/* What an update of a primary needs; in the write's pool. */
typedef struct change {
    const char *key;
    etg_primary_row row;
} change;

static store_rig rig;
static etg_entity_id bodies[2 * PAGES];
static apr_uint64_t lengths[2 * PAGES];

static apr_uint32_t chance(apr_uint64_t *state, apr_uint32_t below)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (apr_uint32_t)(*state >> 33) % below;
}

static void put_hex(char *to, unsigned digits, apr_uint64_t *state)
{
    while (digits-- > 0) {
        *to++ = "0123456789abcdef"[chance(state, 16)];
    }
    *to = '\0';
}

/* One call, `at` seconds of the day before midnight. */
static void put_call(text *page, unsigned day, unsigned at,
                     apr_uint64_t *state)
{
    static const char *const prefixes[] = {
        "+4930", "+4989", "+33142", "+44207", "+1212", "+81352"
    };
    static const char *const statuses[] = {
        "completed", "completed", "completed", "busy", "no-answer"
    };
    static const char *const names[] = {
        "Support", "Sales", "Front desk", "A. Meier", "K. Yilmaz", "Night"
    };
    unsigned seconds = chance(state, 30) * chance(state, 30);
    char id[33];

    put_hex(id, 32, state);
    page->length += (apr_size_t)snprintf(
        page->bytes + page->length, ROOM - page->length,
        "{\"sid\":\"CA%s\",\"account_sid\":\"AC4f0d9a71b2c3\",\"from\":"
        "\"+498912340\",\"to\":\"%s%07u\",\"caller_name\":\"%s\","
        "\"status\":\"%s\",\"start_time\":\"2025-%02u-%02uT%02u:%02u:%02uZ\","
        "\"duration\":\"%u\",\"price\":\"-%u.%05u\",\"price_unit\":\"EUR\","
        "\"direction\":\"%s\",\"uri\":\"/v1/Accounts/AC4f0d9a71b2c3/Calls/"
        "CA%s.json\"},", id, prefixes[chance(state, 6)],
        (unsigned)chance(state, 10000000), names[chance(state, 6)],
        statuses[chance(state, 5)], 1 + day / 28 % 12, 1 + day % 28,
        at / 3600, at / 60 % 60, at % 60, seconds, seconds / 400,
        seconds * 239 % 100000,
        chance(state, 2) ? "outbound-api" : "inbound", id);
}

/* Page n, the same every time, in the rig's pool. */
static text page_of(unsigned n, apr_pool_t *p)
{
    text page = { apr_palloc(p, ROOM), 0 };
    apr_uint64_t state = (n + 1) * 0x9e3779b97f4a7c15ull;
    unsigned at = 86399;

    page.length = (apr_size_t)snprintf(page.bytes, ROOM,
                                       "{\"page\":%u,\"calls\":[", n);
    while (page.length < PAGE_BYTES - 100) {
        at -= chance(&state, 600);
        put_call(&page, n, at, &state);
    }
    page.length += (apr_size_t)snprintf(
        page.bytes + page.length - 1, ROOM - page.length,
        "],\"next_page_uri\":\"/v1/Calls.json?Page=%u\"}", n + 1) - 1;
    return page;
}

static apr_status_t gather(void *baton, const void *data, apr_size_t length)
{
    text *to = baton;

    ck_assert_uint_le(to->length + length, ROOM);
    memcpy(to->bytes + to->length, data, length);
    to->length += length;
    return APR_SUCCESS;
}

static text coded(const text *page, apr_pool_t *p)
{
    text made = { apr_palloc(p, ROOM), 0 };
    etg_deflater *deflater;

    ck_assert_int_eq(etg_deflater_begin(&deflater, 6, gather, &made, p),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_add(deflater, page->bytes, page->length),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_deflater_end(deflater), APR_SUCCESS);
    ck_assert(etg_coding_pays(page->length, made.length));
    return made;
}

static const char *key_of(unsigned n, apr_pool_t *p)
{
    return apr_psprintf(p, "https://api.example:443/v1/Accounts/"
                        "AC4f0d9a71b2c3/Calls.json?PageSize=100&Page=%u", n);
}

static apr_status_t put_row(etg_store_write *write, etg_bytes old,
                            apr_pool_t *scratch, etg_bytes *fresh,
                            apr_time_t *expires_at)
{
    const change *c = write->baton;
    etg_primary primary;
    unsigned dropped;

    (void)old;
    etg_primary_init(&primary, c->key, strlen(c->key), NOW, 0);
    etg_primary_put(&primary, VARIES_ON, &c->row, 16, NOW, scratch, &dropped);
    etg_response_key(&write->response_key, &write->primary_key,
                     primary.generation, &c->row.vary);
    *expires_at = KEEP_UNTIL;
    return etg_primary_pack(&primary, scratch, fresh);
}

static apr_status_t choose_row(void *baton, etg_bytes record,
                               etg_store_key *next)
{
    const etg_store_key *key = baton;
    apr_pool_t *p;
    etg_primary primary;
    apr_status_t rv;

    apr_pool_create(&p, NULL);
    rv = etg_primary_unpack(record, p, &primary);
    if (rv == APR_SUCCESS) {
        etg_response_key(next, key, primary.generation,
                         &primary.rows[0].vary);
    }
    apr_pool_destroy(p);
    return rv;
}

static void look_up(unsigned n, etg_store_found *found)
{
    const char *name = key_of(n, rig.p);
    etg_store_key key;

    etg_cache_key_hash(&key, name, strlen(name));
    memset(found, 0, sizeof(*found));
    ck_assert_int_eq(rig.provider->meta_lookup(rig.store, &key, choose_row,
                                               &key, ETG_STORE_SHARED, rig.p,
                                               found), APR_SUCCESS);
}

static const char *etag_of(unsigned n, apr_pool_t *p)
{
    apr_uint64_t state = n;
    char hex[33];

    put_hex(hex, 32, &state);
    return apr_pstrcat(p, "W/\"", hex, "\"", NULL);
}

static etg_bytes record_of(unsigned n, const change *c, apr_pool_t *p)
{
    etg_field fields[] = {
        { "Date", "Sat, 22 Nov 2025 16:00:00 GMT" },
        { "Server", "Apache/2.4.62 (Debian)" },
        { "ETag", NULL },
        { "Cache-Control", "public, max-age=60, stale-while-revalidate=600" },
        { "Vary", "Accept, Accept-Encoding" },
        { "X-Request-Id", NULL },
        { "Content-Type", "application/json; charset=utf-8" },
    };
    etg_stored_response record;
    apr_uint64_t state = ~(apr_uint64_t)n;
    etg_bytes packed;
    char hex[33];

    put_hex(hex, 32, &state);
    fields[2].value = c->row.etag;
    fields[5].value = hex;
    memset(&record, 0, sizeof(record));
    record.key = c->key;
    record.key_length = strlen(c->key);
    record.vary = c->row.vary;
    record.status = 200;
    record.status_line = "200 OK";
    record.requested_at = NOW - 180123;
    record.received_at = NOW;
    record.freshness.date = NOW - NOW % SECOND;
    record.freshness.lifetime = 60 * SECOND;
    record.freshness.stale_if_error = -1;
    record.freshness.stale_while_revalidate = 600 * SECOND;
    record.has_body = 1;
    record.entity = bodies[n];
    record.body_length = lengths[n];
    record.coding = ETG_CODING_GZIP;
    record.is_coded_here = 1;
    record.plain_length = PAGE_BYTES;
    record.fields = fields;
    record.field_count = sizeof(fields) / sizeof(fields[0]);
    record.etag = fields[2].value;
    ck_assert_int_eq(etg_stored_response_pack(&record, p, &packed),
                     APR_SUCCESS);
    return packed;
}

static void store_records(unsigned n, apr_interval_time_t wait)
{
    etg_store_found found;
    apr_pool_t *pool;
    etg_store_write *write;
    change *c;
    apr_status_t rv;

    look_up(n, &found);
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    write = apr_pcalloc(pool, sizeof(*write));
    c = apr_pcalloc(pool, sizeof(*c));
    c->key = key_of(n, pool);
    memset(c->row.vary.bytes, 0x5a, sizeof(c->row.vary.bytes));
    c->row.etag = etag_of(n, pool);
    c->row.received_at = NOW;
    c->row.date = NOW - NOW % SECOND;
    c->row.expires_at = KEEP_UNTIL;
    write->pool = pool;
    write->baton = c;
    write->update = put_row;
    write->moment = found.moment;
    write->response = record_of(n, c, pool);
    write->response_expires_at = KEEP_UNTIL;
    etg_cache_key_hash(&write->primary_key, c->key, strlen(c->key));
    rv = rig.provider->meta_write(rig.store, write, wait);
    ck_assert_msg(rv == APR_SUCCESS || (wait == 0 && APR_STATUS_IS_TIMEUP(rv)),
                  "page %u: %d\n%s", n, rv, rig.log);
}

static void store_page(unsigned n)
{
    etg_entity_writer *writer;
    text page;
    text body;

    apr_pool_clear(rig.p);
    page = page_of(n, rig.p);
    body = coded(&page, rig.p);
    ck_assert_int_eq(rig.provider->entity_begin(rig.store, -1, rig.p,
                                                &writer), APR_SUCCESS);
    ck_assert_int_eq(rig.provider->entity_append(writer, body.bytes,
                                                 body.length), APR_SUCCESS);
    ck_assert_int_eq(rig.provider->entity_finish(writer, KEEP_UNTIL,
                                                 &bodies[n]), APR_SUCCESS);
    lengths[n] = body.length;
    store_records(n, n % 16 == 15 ? PATIENCE : 0);
}

/* Is page n there, and, inflated, what it was? */
static int has_page(unsigned n)
{
    text page;
    text back;
    etg_store_found found;
    etg_stored_response record;
    etg_store_answer answer;
    etg_entity entity;
    etg_inflater *inflater;

    apr_pool_clear(rig.p);
    look_up(n, &found);
    if (found.answer != ETG_STORE_HIT
        || etg_stored_response_unpack(found.response, rig.p, &record)
               != APR_SUCCESS
        || rig.provider->entity_read(rig.store, &record.entity,
                                     record.body_length, rig.p, &answer,
                                     &entity) != APR_SUCCESS
        || answer != ETG_STORE_HIT) {
        return 0;
    }
    ck_assert_ptr_nonnull(entity.bytes);
    page = page_of(n, rig.p);
    back.bytes = apr_palloc(rig.p, ROOM);
    back.length = 0;
    ck_assert_int_eq(etg_inflater_begin(&inflater, ROOM, gather, &back,
                                        rig.p), APR_SUCCESS);
    ck_assert_int_eq(etg_inflater_add(inflater, entity.bytes,
                                      (apr_size_t)entity.length),
                     APR_SUCCESS);
    ck_assert_int_eq(etg_inflater_end(inflater), APR_SUCCESS);
    ck_assert_uint_eq(back.length, page.length);
    ck_assert_mem_eq(back.bytes, page.bytes, page.length);
    return 1;
}

static unsigned count_pages(unsigned stored)
{
    unsigned there = 0;

    for (unsigned n = 0; n < stored; n++) {
        there += has_page(n) != 0;
    }
    return there;
}

START_TEST(a_page_takes_little_more_than_its_gzip)
{
    double coded_bytes = 0;
    double used;

    rig_init(&rig, &etg_local_provider, "?size=64M");
    ck_assert_int_eq(rig_start(&rig), APR_SUCCESS);
    for (unsigned n = 0; n < PAGES; n++) {
        store_page(n);
        coded_bytes += (double)lengths[n];
    }
    store_records(PAGES - 1, PATIENCE);
    ck_assert_uint_eq(count_pages(PAGES), PAGES);
    used = (double)(rig_counter(&rig, "metadata_bytes")
                    + rig_counter(&rig, "packed_bytes")
                    + rig_counter(&rig, "file_bytes")
                    + rig_counter(&rig, "control_bytes"));
    printf("%u pages of 42 KB: gzip %.1f, in the store %.1f bytes each: "
           "%.0f of them in 25 MB\n", PAGES, coded_bytes / PAGES,
           used / PAGES, SMALL_BYTES / (used / PAGES));
    ck_assert_msg(used / PAGES <= 1.05 * coded_bytes / PAGES + 700,
                  "%.1f bytes for %.1f", used / PAGES, coded_bytes / PAGES);
    rig_end(&rig);
}
END_TEST

START_TEST(a_small_store_keeps_many_pages)
{
    unsigned there;

    rig_init(&rig, &etg_local_provider, SMALL_STORE);
    ck_assert_int_eq(rig_start(&rig), APR_SUCCESS);
    for (unsigned n = 0; n < 2 * PAGES; n++) {
        store_page(n);
    }
    store_records(2 * PAGES - 1, PATIENCE);
    there = count_pages(2 * PAGES);
    printf("a store of 25 MB that has seen %u pages holds %u of them\n",
           2 * PAGES, there);
    /* Three times what would fit if they were stored plain. */
    ck_assert_uint_gt(there, 3 * (SMALL_BYTES / PAGE_BYTES));
    rig_end(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("call_log");
    TCase *cases = tcase_create("call_log");

    tcase_set_timeout(cases, 300);
    tcase_add_test(cases, a_page_takes_little_more_than_its_gzip);
    tcase_add_test(cases, a_small_store_keeps_many_pages);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
