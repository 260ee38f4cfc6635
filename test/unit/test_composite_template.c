/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_composite_template.c: templates, and what they become. A template that
 * was read is written as its text with <name> in the places; random ones are
 * made together with what they have to become (ETG_TEST_SEED gives others).
 */
#include "http_views.h"

#include "lib/composite_template.h"
#include "lib/entity_digest.h"
#include "lib/field_list.h"

#define RANDOM_TEMPLATES 5000
#define DEPTH_MAX 5
#define MEMBERS_MAX 4

typedef struct templating {
    const char *text;
    const char *becomes;
} templating;

typedef struct refusal {
    const char *text;
    const char *sentence;       /* a part of it */
} refusal;

static apr_uint64_t seed;

/* xorshift64*: the same sequence everywhere. */
static unsigned below(size_t limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * APR_UINT64_C(2685821657736338717)) >> 33)
           % (unsigned)limit;
}

static const char *const part_names[] = { "products", "user", "a.b_c-1" };
#define PARTS (sizeof(part_names) / sizeof(part_names[0]))

static const apr_array_header_t *names_of(size_t count)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));

    for (size_t i = 0; i < count; i++) {
        APR_ARRAY_PUSH(names, const char *) = part_names[i];
    }
    return names;
}

static const char *written(const etg_composite_template *read)
{
    const char *text = "";

    for (int i = 0; i < read->pieces->nelts; i++) {
        const etg_composite_piece *piece
            = &APR_ARRAY_IDX(read->pieces, i, etg_composite_piece);

        ck_assert(piece->text.length > 0 || piece->part >= 0);
        ck_assert_int_lt(piece->part, (int)PARTS);
        text = apr_pstrcat(pool, text,
                           apr_pstrmemdup(pool,
                                          (const char *)piece->text.data,
                                          piece->text.length),
                           piece->part >= 0 ? "<" : "",
                           piece->part >= 0 ? part_names[piece->part] : "",
                           piece->part >= 0 ? ">" : "", NULL);
    }
    return text;
}

/* Its text is gone when it is looked at. */
static const char *becomes(const char *text)
{
    size_t length = strlen(text);
    unsigned char *exact = malloc(length > 0 ? length : 1);
    etg_bytes bytes = { exact, length };
    etg_composite_template read;
    const char *error;

    memcpy(exact, text, length);
    error = etg_composite_template_parse(bytes, names_of(PARTS), pool, &read);
    memset(exact, 'x', length);
    free(exact);
    ck_assert_msg(error == NULL, "%s: %s", text, error);
    return written(&read);
}

START_TEST(places_are_replaced_and_all_else_stays)
{
    static const templating cases[] = {
        { "{\"$part\":\"user\"}", "<user>" },
        { " {\"$part\":\"user\"}\n", " <user>\n" },
        { "{\"p\":{\"$part\":\"products\"},\"u\":{ \"$part\" : \"user\" }}",
          "{\"p\":<products>,\"u\":<user>}" },
        { "[{\"$part\":\"user\"},{\"$part\":\"user\"}]", "[<user>,<user>]" },
        { "{\"n\": 1.50, \"e\": 1e400, \"s\": \"\\u00e9\"}",
          "{\"n\": 1.50, \"e\": 1e400, \"s\": \"\\u00e9\"}" },
        { "{\"a\":[[{\"x\":{\"$part\":\"a.b_c-1\"}}]]}",
          "{\"a\":[[{\"x\":<a.b_c-1>}]]}" },
        { "{\"\\u0024part\":\"\\u0075ser\"}", "<user>" },
        { "17", "17" },
        { "[]", "[]" }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_str_eq(becomes(cases[i].text), cases[i].becomes);
    }
}
END_TEST

START_TEST(only_a_members_name_makes_a_place)
{
    static const char *const texts[] = {
        "\"$part\"", "[\"$part\",\"user\"]", "{\"a\":\"$part\"}",
        "{\"$parts\":\"user\"}", "{\"part\":\"user\"}", "{\"$PART\":\"user\"}",
        "{\"a\":\"{\\\"$part\\\":\\\"user\\\"}\"}", "{\"\":{}}"
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_str_eq(becomes(texts[i]), texts[i]);
    }
}
END_TEST

START_TEST(bad_templates_are_refused)
{
    static const refusal cases[] = {
        { "", "line 1 of the template: no JSON, or more than 512 deep, from "
          "byte 1 on" },
        { "{\n\"a\": 1,\n}", "line 3 of the template: no JSON, or more than "
          "512 deep, from byte 11 on" },
        { "[] []", "from byte 4 on" },
        { "\xef\xbb\xbf{}", "from byte 1 on" },
        { "{\"$part\":", "from byte 10 on" },
        { "{\"$part\":\"user\"", "from byte 16 on" },
        { "{\"$part\":\"user\"]", "from byte 16 on" },
        { "{\"$part\" \"user\"}", "no JSON" },
        { "[\n{\"$part\":\"offers\"}]", "line 2 of the template: \"$part\" is "
          "\"offers\", which is not the name of a part" },
        { "{\"$part\":\"User\"}", "not the name of a part" },
        { "{\"$part\":\"\"}", "not the name of a part" },
        { "{\"$part\":0}", "\"$part\" is 0, which is not the name" },
        { "{\"$part\":null}", "not the name of a part" },
        { "{\"$part\":[\"user\"]}", "not the name of a part" },
        { "{\"$part\":{\"$part\":\"user\"}}", "not the name of a part" },
        { "{\"$part\":\"user\",\"a\":1}", "beside other members" },
        { "{\"a\":1,\"$part\":\"user\"}", "beside other members" },
        { "{\"a\":{},\"$part\":\"user\"}", "beside other members" },
        { "{\"$part\":\"user\",\"$part\":\"user\"}", "beside other members" }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        etg_composite_template read = { .pieces = NULL };
        const char *error = etg_composite_template_parse(
            etg_bytes_of(cases[i].text), names_of(PARTS), pool, &read);

        ck_assert_msg(error != NULL, "%s", cases[i].text);
        ck_assert_msg(strstr(error, cases[i].sentence) != NULL, "%s: %s",
                      cases[i].text, error);
        ck_assert_ptr_null(read.pieces);
    }
}
END_TEST

START_TEST(a_long_wrong_name_is_quoted_in_part)
{
    char *text = apr_palloc(pool, 5000);
    etg_composite_template read;
    const char *error;

    memset(text, 'a', 5000);
    memcpy(text, "{\"$part\":\"", 10);
    memcpy(text + 4997, "\"}", 3);
    error = etg_composite_template_parse(etg_bytes_of(text), names_of(PARTS),
                                         pool, &read);
    ck_assert_ptr_nonnull(error);
    ck_assert_uint_lt(strlen(error), 200);
}
END_TEST

START_TEST(templates_are_bounded)
{
    char *text = apr_palloc(pool, ETG_COMPOSITE_TEMPLATE_MAX + 2);
    etg_bytes bytes = { (unsigned char *)text, ETG_COMPOSITE_TEMPLATE_MAX };
    etg_composite_template read;
    const char *error;

    memset(text, ' ', ETG_COMPOSITE_TEMPLATE_MAX + 1);
    memcpy(text, "[]", 2);
    ck_assert_ptr_null(etg_composite_template_parse(bytes, names_of(0), pool,
                                                    &read));
    bytes.length++;
    error = etg_composite_template_parse(bytes, names_of(0), pool, &read);
    ck_assert_str_eq(error, "the template is longer than 1048576 bytes");
}
END_TEST

START_TEST(the_default_has_a_member_per_part_in_order)
{
    static const char *const texts[] = {
        "{}", "{\"products\":<products>}",
        "{\"products\":<products>,\"user\":<user>}",
        "{\"products\":<products>,\"user\":<user>,\"a.b_c-1\":<a.b_c-1>}"
    };

    for (size_t i = 0; i <= PARTS; i++) {
        etg_composite_template read;

        ck_assert_ptr_null(etg_composite_template_default(names_of(i), pool,
                                                          &read));
        ck_assert_str_eq(written(&read), texts[i]);
    }
}
END_TEST

START_TEST(the_digest_is_of_the_text)
{
    const char *text = "{\"products\":{\"$part\":\"products\"}}";
    etg_composite_template read;
    unsigned char digest[32];

    ck_assert_int_eq(etg_sha256(text, strlen(text), digest), APR_SUCCESS);
    ck_assert_ptr_null(etg_composite_template_parse(
        etg_bytes_of(text), names_of(1), pool, &read));
    ck_assert_mem_eq(read.digest, digest, sizeof(digest));
    memset(&read, 0, sizeof(read));
    ck_assert_ptr_null(etg_composite_template_default(names_of(1), pool,
                                                      &read));
    ck_assert_mem_eq(read.digest, digest, sizeof(digest));
    ck_assert_ptr_null(etg_composite_template_default(names_of(2), pool,
                                                      &read));
    ck_assert_mem_ne(read.digest, digest, sizeof(digest));
}
END_TEST

/* `instead` NULL: it stays. */
static void put(templating *made, const char *text, const char *instead)
{
    made->text = apr_pstrcat(pool, made->text, text, NULL);
    made->becomes = apr_pstrcat(pool, made->becomes,
                                instead != NULL ? instead : text, NULL);
}

static const char *space(void)
{
    static const char *const spaces[] = { "", " ", "\n\t" };

    return spaces[below(3)];
}

static void put_random_value(templating *made, unsigned depth)
{
    static const char *const values[] = {
        "1.50", "\"$part\"", "null", "\"}\"", "{}", "[ ]",
        "\"\\u0024part\"", "-0e1", "{\"user\":\"$part\"}"
    };
    unsigned kind = below(depth > 0 ? 5 : 3);

    put(made, space(), NULL);
    if (kind == 0) {
        const char *name = part_names[below(PARTS)];

        put(made, apr_pstrcat(pool, "{", space(), "\"$part\":", space(), "\"",
                              name, "\"", space(), "}", NULL),
            apr_pstrcat(pool, "<", name, ">", NULL));
    }
    else if (kind < 3) {
        put(made, values[below(sizeof(values) / sizeof(values[0]))], NULL);
    }
    else {
        put(made, kind == 3 ? "{" : "[", NULL);
        for (unsigned i = below(MEMBERS_MAX + 1); i > 0; i--) {
            put(made, kind == 3 ? "\"a\":" : "", NULL);
            put_random_value(made, depth - 1);
            put(made, i > 1 ? "," : "", NULL);
        }
        put(made, kind == 3 ? "}" : "]", NULL);
    }
    put(made, space(), NULL);
}

START_TEST(random_templates_become_what_they_were_made_to)
{
    const char *wanted = getenv("ETG_TEST_SEED");
    apr_pool_t *whole = pool;

    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : 20261123;
    seed += seed == 0;
    for (unsigned i = 0; i < RANDOM_TEMPLATES; i++) {
        templating made = { "", "" };

        apr_pool_create(&pool, whole);
        put_random_value(&made, DEPTH_MAX);
        ck_assert_str_eq(becomes(made.text), made.becomes);
        apr_pool_destroy(pool);
    }
    pool = whole;
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        places_are_replaced_and_all_else_stays,
        only_a_members_name_makes_a_place,
        bad_templates_are_refused,
        a_long_wrong_name_is_quoted_in_part,
        templates_are_bounded,
        the_default_has_a_member_per_part_in_order,
        the_digest_is_of_the_text,
        random_templates_become_what_they_were_made_to,
        NULL
    };

    return run_tests("composite_template", tests);
}
