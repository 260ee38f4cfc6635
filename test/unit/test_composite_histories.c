/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_composite_histories.c: over random histories of a composite, its tag
 * is the same exactly when what it is made of is.
 *
 * Parts change, fail, expire, come back, and the composite is asked for by
 * one user and another. What may vary comes from small sets that were chosen
 * to look alike side by side, so that a history often comes back to where it
 * was, and often nearly so. The model of a composite is a plain record of
 * what its tag has to go by; all states of all histories are compared with
 * each other: sorted by tag, states of one tag must have the same record;
 * sorted by record, the same record must have one tag. ETG_TEST_SEED gives
 * another sequence.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <check.h>

#include "lib/composite_tag.h"
#include "lib/field_list.h"

#define HISTORIES 10000
#define EDITS 8
#define STATES (HISTORIES * (EDITS + 1))
#define PARTS_MAX 3
#define TAG_BYTES 40

#define COUNT(rows) (sizeof(rows) / sizeof(rows[0]))

static const char *const names[] = { "a", "ab", "b" };
static const char *const urls[] = { NULL, "/a", "/ab" };
/* Tags and bodies of a part's versions. */
static const char *const etags[] = { "\"\"", "\"a\"", "W/\"a\"", "\"ab\"",
                                     "\"b\"", "\"p\x80\"" };
#define BODIES 3
static const char *const templates[] = { NULL, "", "a", "ab" };
static const char *const users[] = { NULL, "", "a", "ab" };
static const char *const lines[] = { NULL, "", "a", "a, b", "b" };

/* What a part may have: the first are answers, the last are failures. */
static const int statuses[] = { 200, 203, 302, 404, 410, 304, 403, 500 };
#define ANSWERS 5
static const unsigned char classes[] = { 2, 2, 3, 4, 5 };

typedef enum form {
    WITH_ETAG = 1,
    WITH_DIGEST,
    WITH_DEFAULT,
    WITH_NOTHING
} form;

/* Indices into the sets. */
typedef struct part {
    unsigned char name;
    unsigned char url;
    unsigned char status;
    unsigned char form;
    unsigned char version;
} part;

typedef struct scene {
    unsigned char count;
    part parts[PARTS_MAX];
    unsigned char template;
    unsigned char is_private;
    unsigned char user;
    unsigned char cookie;
    unsigned char language;
} scene;

/* The model: what the tag goes by, and that alone; the rest is zeros. */
typedef struct record {
    unsigned char count;
    unsigned char parts[PARTS_MAX][5];
    unsigned char template;
    unsigned char owner[4];
} record;

typedef struct state {
    record made_of;
    char tag[TAG_BYTES];
} state;

static apr_pool_t *pool;
static state *states;
static size_t tagged;
static size_t failed;
static apr_uint64_t seed;

/* xorshift64*: the same sequence everywhere. */
static unsigned char below(size_t limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned char)(((seed * APR_UINT64_C(2685821657736338717)) >> 33)
                           % limit);
}

static void set_up(void)
{
    const char *wanted = getenv("ETG_TEST_SEED");

    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : 20261123;
    seed += seed == 0;
    ck_assert_int_eq(apr_initialize(), APR_SUCCESS);
    ck_assert_int_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    states = calloc(STATES, sizeof(*states));
    ck_assert_ptr_nonnull(states);
}

static void tear_down(void)
{
    free(states);
    apr_pool_destroy(pool);
    apr_terminate();
}

static void change_part(part *at)
{
    switch (below(8)) {
    case 0: at->status = below(ANSWERS); break;
    case 1: at->status = below(COUNT(statuses)); break; /* it may fail */
    case 2: at->form = (unsigned char)(WITH_ETAG + below(4)); break;
    case 3: at->url = below(COUNT(urls)); break;
    case 4: break;                          /* expired, and was as before */
    case 5: at->status = 0; at->form = WITH_ETAG; break;
    default: at->version = below(COUNT(etags));
    }
}

static void add_part(scene *at)
{
    part fresh = { below(COUNT(names)), 0, 0, WITH_ETAG,
                   below(COUNT(etags)) };

    if (at->count < PARTS_MAX) {
        at->parts[at->count++] = fresh;
    }
}

static void edit(scene *at)
{
    part *one = &at->parts[below(at->count > 0 ? at->count : 1)];
    part *other = &at->parts[below(at->count > 0 ? at->count : 1)];
    part kept = *one;

    switch (below(12)) {
    case 0: add_part(at); break;
    case 1: at->count -= at->count > 0; break;
    case 2: *one = *other; *other = kept; break;
    case 3: one->name = below(COUNT(names)); break;
    case 4: at->template = below(COUNT(templates)); break;
    case 5: at->is_private = below(2); break;
    case 6: at->user = below(COUNT(users)); break;
    case 7: at->cookie = below(COUNT(lines)); break;
    case 8: at->language = below(COUNT(lines)); break;
    default: change_part(one);
    }
}

/* 0: the part failed. */
static int record_part(unsigned char *made_of, const part *at)
{
    int is_definite = at->status < ANSWERS && statuses[at->status] >= 404;

    if (at->status >= ANSWERS || at->form == WITH_NOTHING
        || (at->form == WITH_DEFAULT && !is_definite)) {
        return 0;
    }
    made_of[0] = at->name;
    made_of[1] = at->url;
    made_of[2] = classes[at->status];
    made_of[3] = at->form;
    made_of[4] = at->form == WITH_ETAG ? at->version
        : at->form == WITH_DIGEST ? at->version % BODIES : 0;
    return 1;
}

static int record_of(const scene *at, record *made_of)
{
    memset(made_of, 0, sizeof(*made_of));
    for (unsigned i = 0; i < at->count; i++) {
        if (!record_part(made_of->parts[i], &at->parts[i])) {
            return 0;
        }
    }
    made_of->count = at->count;
    made_of->template = at->template;
    if (at->is_private) {
        made_of->owner[0] = 1;
        made_of->owner[1] = at->user;
        made_of->owner[2] = at->cookie;
        made_of->owner[3] = at->language;
    }
    return 1;
}

static int is_weak(const scene *at)
{
    for (unsigned i = 0; i < at->count; i++) {
        if (at->parts[i].form == WITH_ETAG
            && etags[at->parts[i].version][0] == 'W') {
            return 1;
        }
    }
    return 0;
}

static void set_field(apr_table_t *fields, const char *name, unsigned char at)
{
    if (lines[at] != NULL) {
        apr_table_setn(fields, name, lines[at]);
    }
}

static const char *tag_of(const scene *at, apr_pool_t *p)
{
    etg_composite_state parts[PARTS_MAX];
    apr_array_header_t *forwarded = apr_array_make(p, 2,
                                                   sizeof(const char *));
    apr_table_t *fields = apr_table_make(p, 2);
    etg_composite_scope scope = {
        .template_digest = etg_bytes_of(templates[at->template]),
        .forwarded = fields, .forwarded_names = forwarded,
        .user = users[at->user], .is_private = at->is_private,
        .key = etg_bytes_of("0123456789abcdef")
    };

    APR_ARRAY_PUSH(forwarded, const char *) = "Cookie";
    APR_ARRAY_PUSH(forwarded, const char *) = "Accept-Language";
    set_field(fields, "Cookie", at->cookie);
    set_field(fields, "Accept-Language", at->language);
    for (unsigned i = 0; i < at->count; i++) {
        const part *from = &at->parts[i];

        memset(&parts[i], 0, sizeof(parts[i]));
        parts[i].name = names[from->name];
        parts[i].url = urls[from->url];
        parts[i].status = statuses[from->status];
        parts[i].etag = from->form == WITH_ETAG ? etags[from->version] : NULL;
        parts[i].has_body_digest = from->form == WITH_DIGEST;
        parts[i].body_digest[31] = from->version % BODIES;
        parts[i].is_default = from->form == WITH_DEFAULT;
    }
    return etg_composite_tag(parts, at->count, &scope, p);
}

static void take_state(const scene *at)
{
    state *taken = &states[tagged];
    apr_pool_t *p;
    const char *tag;

    ck_assert_int_eq(apr_pool_create(&p, pool), APR_SUCCESS);
    tag = tag_of(at, p);
    ck_assert_int_eq(tag != NULL, record_of(at, &taken->made_of));
    if (tag == NULL) {
        failed++;
    }
    else {
        ck_assert_uint_lt(strlen(tag), TAG_BYTES);
        ck_assert_int_eq(tag[0] == 'W', is_weak(at));
        memset(taken->tag, 0, TAG_BYTES);
        memcpy(taken->tag, tag, strlen(tag));
        tagged++;
    }
    apr_pool_destroy(p);
}

static void play_histories(void)
{
    int i;
    int j;

    for (i = 0; i < HISTORIES; i++) {
        scene at;

        memset(&at, 0, sizeof(at));
        add_part(&at);
        add_part(&at);
        take_state(&at);
        for (j = 0; j < EDITS; j++) {
            edit(&at);
            take_state(&at);
        }
    }
}

static int order_by_record(const void *a, const void *b)
{
    return memcmp(&((const state *)a)->made_of, &((const state *)b)->made_of,
                  sizeof(record));
}

static int order_by_tag(const void *a, const void *b)
{
    return memcmp(((const state *)a)->tag, ((const state *)b)->tag,
                  TAG_BYTES);
}

/* How many neighbours are the same by `order`; both must then be wholly. */
static size_t check_neighbours(int (*order)(const void *, const void *))
{
    size_t same = 0;
    size_t i;

    qsort(states, tagged, sizeof(*states), order);
    for (i = 1; i < tagged; i++) {
        if (order(&states[i - 1], &states[i]) == 0) {
            ck_assert_msg(memcmp(&states[i - 1], &states[i],
                                 sizeof(state)) == 0,
                          "neighbours %d of %d: %s and %s", (int)i,
                          (int)tagged, states[i - 1].tag, states[i].tag);
            same++;
        }
    }
    return same;
}

START_TEST(test_tags_are_equal_exactly_when_composites_are)
{
    size_t same;

    play_histories();
    ck_assert_uint_eq(tagged + failed, STATES);
    same = check_neighbours(order_by_record);
    ck_assert_uint_eq(check_neighbours(order_by_tag), same);
    /* All of it happened often: states met again, states of their own, and
     * composites that failed. */
    ck_assert_uint_gt(same, STATES / 20);
    ck_assert_uint_lt(same, STATES - STATES / 20);
    ck_assert_uint_gt(failed, STATES / 20);
    ck_assert_uint_gt(tagged, STATES / 2);
}
END_TEST

/* No two private states with other users, cookies or languages have a tag in
 * common, whatever their parts; nor has a private one with a shared one. */
START_TEST(test_no_users_tag_is_anothers)
{
    size_t owners = 0;
    size_t i;

    play_histories();
    qsort(states, tagged, sizeof(*states), order_by_tag);
    for (i = 1; i < tagged; i++) {
        const state *one = &states[i - 1];
        const state *other = &states[i];

        if (memcmp(one->made_of.owner, other->made_of.owner, 4) != 0) {
            ck_assert_str_ne(one->tag, other->tag);
            owners++;
        }
    }
    ck_assert_uint_gt(owners, STATES / 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("composite_histories");
    TCase *tests = tcase_create("composite_histories");
    SRunner *runner;
    int failures;

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_tags_are_equal_exactly_when_composites_are);
    tcase_add_test(tests, test_no_users_tag_is_anothers);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
