/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json_scan.c: what is JSON and what is not, case by case and beside
 * jansson; and its tokens.
 *
 * The random texts are pieces of JSON in any order, and valid texts that were
 * damaged in a few places. ETG_TEST_SEED gives others.
 */
#include "http_views.h"

#include <jansson.h>

#include "lib/field_list.h"
#include "lib/json_scan.h"

#define RANDOM_TEXTS 60000
#define PIECES_MAX 12
#define DAMAGE_MAX 3
#define TEXT_BYTES 512

/* A text with its length, for zero bytes in it. */
#define TEXT(text) { (const unsigned char *)(text), sizeof(text) - 1 }

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

static void sow(void)
{
    const char *wanted = getenv("ETG_TEST_SEED");

    seed = wanted != NULL ? strtoull(wanted, NULL, 10) : 20261123;
    seed += seed == 0;
}

/* In a block of its own size, where a sanitizer sees reads beyond it. */
static int is_valid(etg_bytes text)
{
    unsigned char *exact = malloc(text.length > 0 ? text.length : 1);
    etg_bytes copy = { exact, text.length };
    int valid;

    memcpy(exact, text.data, text.length);
    valid = etg_json_is_valid(copy);
    free(exact);
    return valid;
}

static void check_all(const etg_bytes *texts, size_t count, int valid)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(is_valid(texts[i]) == valid, "%zu: %.*s", i,
                      (int)texts[i].length, (const char *)texts[i].data);
    }
}

#define CHECK_ALL(texts, valid) \
    check_all(texts, sizeof(texts) / sizeof(texts[0]), valid)

START_TEST(any_value_is_a_text)
{
    static const etg_bytes texts[] = {
        TEXT("null"), TEXT("true"), TEXT("false"), TEXT("0"), TEXT("\"\""),
        TEXT("[]"), TEXT("{}"), TEXT(" \t\r\n[] \t\r\n"), TEXT("[[]]"),
        TEXT("[{}]"), TEXT("{\"\":0}"), TEXT("[1,2]"), TEXT("[1 , 2]"),
        TEXT("{\"a\":{},\"b\":[]}"), TEXT("{ \"a\" : 1 , \"b\" : 2 }"),
        TEXT("{\"a\":1,\"a\":1}"), TEXT("[[],[[]],{\"a\":[{}]}]"),
        TEXT("[true,false,null]"), TEXT("\"a\"\n")
    };

    CHECK_ALL(texts, 1);
}
END_TEST

START_TEST(structure_is_judged)
{
    static const etg_bytes texts[] = {
        TEXT(""), TEXT(" "), TEXT("["), TEXT("]"), TEXT("{"), TEXT("}"),
        TEXT("[}"), TEXT("{]"), TEXT("[1,]"), TEXT("[,1]"), TEXT("[,]"),
        TEXT("[1,,2]"), TEXT("[1 2]"), TEXT("[1:2]"), TEXT("{\"a\"}"),
        TEXT("{\"a\":}"), TEXT("{\"a\" 1}"), TEXT("{:1}"), TEXT("{1:1}"),
        TEXT("{a:1}"), TEXT("{'a':1}"), TEXT("{\"a\":1,}"), TEXT("{,}"),
        TEXT("{\"a\":1 \"b\":2}"), TEXT("{\"a\":1:2}"), TEXT("{\"a\",1}"),
        TEXT("{\"a\"::1}"), TEXT("{null:1}"), TEXT("{[]:1}"), TEXT("[]]"),
        TEXT("{}}"), TEXT("[] []"), TEXT("1 2"), TEXT("1,2"), TEXT("1,"),
        TEXT(",1"), TEXT(":"), TEXT("[1"), TEXT("[1,"), TEXT("[\"a\""),
        TEXT("{\"a\""), TEXT("{\"a\":"), TEXT("{\"a\":1"), TEXT("{\"a\":1,"),
        TEXT("[[]"), TEXT("[{]}"), TEXT("[{}"), TEXT("{\"a\":[}]"),
        TEXT("[]x"), TEXT("[]/**/"), TEXT("/**/[]"), TEXT("[]//"),
        TEXT("[]#"), TEXT("[*]"), TEXT("<null>"), TEXT("{\"a\":1]"),
        TEXT("[\"a\":1]"), TEXT("{[1]}")
    };

    CHECK_ALL(texts, 0);
}
END_TEST

START_TEST(words_are_whole_and_in_lower_case)
{
    static const etg_bytes texts[] = {
        TEXT("nul"), TEXT("tru"), TEXT("fals"), TEXT("nulll"), TEXT("True"),
        TEXT("NULL"), TEXT("[nul]"), TEXT("truefalse"), TEXT("true false"),
        TEXT("undefined"), TEXT("NaN"), TEXT("Infinity"), TEXT("-Infinity"),
        TEXT("inf"), TEXT("nan"), TEXT("a"), TEXT("null\0"), TEXT("nul\0"),
        TEXT("[true1]"), TEXT("[1true]"), TEXT("\"a\"true")
    };

    CHECK_ALL(texts, 0);
}
END_TEST

START_TEST(numbers_are_of_any_size)
{
    static const etg_bytes texts[] = {
        TEXT("-0"), TEXT("-1"), TEXT("10"), TEXT("1.0"), TEXT("0.0"),
        TEXT("-0.0"), TEXT("1e1"), TEXT("1E1"), TEXT("1e+1"), TEXT("1e-1"),
        TEXT("0e0"), TEXT("0e00"), TEXT("1.00e0011"), TEXT("1e999999"),
        TEXT("-1e-999999"), TEXT("1234567890123456789012345678901234567890"),
        TEXT("0.000000000000000000000000000000000000000000000000000000001"),
        TEXT("[0,0]"), TEXT("[1 ]"), TEXT("{\"a\":-1}")
    };

    CHECK_ALL(texts, 1);
}
END_TEST

START_TEST(numbers_are_of_one_form)
{
    static const etg_bytes texts[] = {
        TEXT("-"), TEXT("+1"), TEXT("--1"), TEXT("01"), TEXT("-01"),
        TEXT("00"), TEXT("00.1"), TEXT("1."), TEXT(".1"), TEXT("-.1"),
        TEXT("1.e1"), TEXT("1.1.1"), TEXT("1e"), TEXT("1e+"), TEXT("1e-"),
        TEXT("1e1.1"), TEXT("1ee1"), TEXT("1e+-1"), TEXT("e1"), TEXT("0x1"),
        TEXT("0x"), TEXT("1a"), TEXT("1_000"), TEXT("1\xef\xbc\x91"),
        TEXT("\xef\xbc\x91"), TEXT("- 1"), TEXT("1 .0"), TEXT("1-1"),
        TEXT("[-]"), TEXT("[1.]"), TEXT("[.1]"), TEXT("[0e]"), TEXT("[-2.]"),
        TEXT("[1+2]"), TEXT("1\0"), TEXT("[1\0]"), TEXT("$1"), TEXT("[1a]")
    };

    CHECK_ALL(texts, 0);
}
END_TEST

START_TEST(strings_hold_any_character)
{
    static const etg_bytes texts[] = {
        TEXT("\"a\""), TEXT("\" \""), TEXT("\"\x7f\""), TEXT("\"\\\"\""),
        TEXT("\"\\\\\""), TEXT("\"\\/\""), TEXT("\"/\""),
        TEXT("\"\\b\\f\\n\\r\\t\""), TEXT("\"\\u0000\""),
        TEXT("\"\\u00e9\\u00E9\""), TEXT("\"\\ud83d\\ude00\""),
        /* Halves of pairs are in the grammar. */
        TEXT("\"\\ud800\""), TEXT("\"\\udc00\\ud800\""),
        TEXT("\"\\ud800\\n\""), TEXT("\"\\uFFFF\""), TEXT("\"\\\\u0000\""),
        TEXT("\"\xc3\xa9\""), TEXT("\"\xe2\x82\xac\""),
        TEXT("\"\xe2\x80\xa8\xe2\x80\xa9\""), TEXT("\"\xf0\x9f\x98\x80\""),
        TEXT("\"\xf4\x8f\xbf\xbf\""), TEXT("\"\xef\xbf\xbf\""),
        TEXT("\"\xef\xbb\xbf\""), TEXT("\"\xc2\x80\""), TEXT("\"/*x*/\""),
        TEXT("{\"\xc3\xa9\\n\":\"[{,:\"}")
    };

    CHECK_ALL(texts, 1);
}
END_TEST

START_TEST(strings_are_closed_and_well_escaped)
{
    static const etg_bytes texts[] = {
        TEXT("\""), TEXT("\"\\"), TEXT("\"\\\""), TEXT("\"a"), TEXT("a\""),
        TEXT("'a'"), TEXT("\"\\x00\""), TEXT("\"\\a\""), TEXT("\"\\'\""),
        TEXT("\"\\0\""), TEXT("\"\\U0000\""), TEXT("\"\\u\""),
        TEXT("\"\\u00\""), TEXT("\"\\u000\""), TEXT("\"\\u000"),
        TEXT("\"\\u000g\""), TEXT("\"\\u 000\""), TEXT("\"\\u+000\""),
        TEXT("\"\\ud800\\u\""), TEXT("\"\\\0\""), TEXT("\"\\u00\0\0\""),
        TEXT("\"\\ \""), TEXT("\"\\\n\""), TEXT("\"\n\""), TEXT("\"\t\""),
        TEXT("\"\0\""), TEXT("\"\x1f\""), TEXT("\"\\\xc3\xa9\""),
        TEXT("\\u0061"), TEXT("\"a\"b"), TEXT("\"a\"\"b\""),
        TEXT("\xe2\x80\x9c" "a\xe2\x80\x9d")
    };

    CHECK_ALL(texts, 0);
}
END_TEST

START_TEST(bytes_that_are_no_utf_8_are_no_json)
{
    static const etg_bytes texts[] = {
        TEXT("\"\xff\""), TEXT("\"\x80\""), TEXT("\"\xe9\""), TEXT("\"\xc3"),
        TEXT("\"\xc3\""), TEXT("\"\xc0\xaf\""), TEXT("\"\xc1\xbf\""),
        TEXT("\"\xe0\x80\xaf\""), TEXT("\"\xe2\x82\""),
        TEXT("\"\xed\xa0\x80\""), TEXT("\"\xed\xbf\xbf\""),
        TEXT("\"\xf0\x80\x80\xaf\""), TEXT("\"\xf4\x90\x80\x80\""),
        TEXT("\"\xf8\x88\x80\x80\x80\""), TEXT("\"\xfc\x83\xbf\xbf\xbf\xbf\""),
        TEXT("{\"\xff\":1}"), TEXT("\xff"), TEXT("[\xff]"),
        /* White space that is none here, and byte order marks. */
        TEXT("\xef\xbb\xbf[]"), TEXT("\xfe\xff\0[\0]"), TEXT("[\0\0\0]\0\0\0"),
        TEXT("[\f]"), TEXT("[\v]"), TEXT("[\xc2\xa0]"),
        TEXT("[\xe2\x81\xa0]"), TEXT("[]\0"), TEXT("\0"), TEXT("[\0]")
    };

    CHECK_ALL(texts, 0);
}
END_TEST

/* `depth` containers in each other. */
static etg_bytes nested(unsigned depth, int with_objects)
{
    const char *open = with_objects ? "{\"a\":" : "[";
    size_t step = strlen(open);
    char *text = apr_palloc(pool, depth * (step + 1) + 1);
    etg_bytes bytes = { (unsigned char *)text, depth * (step + 1) + 1 };

    for (unsigned i = 0; i < depth; i++) {
        memcpy(text + i * step, open, step);
    }
    text[depth * step] = '0';
    memset(text + depth * step + 1, with_objects ? '}' : ']', depth);
    return bytes;
}

START_TEST(nesting_has_an_end)
{
    for (int with_objects = 0; with_objects <= 1; with_objects++) {
        ck_assert(is_valid(nested(ETG_JSON_DEPTH_MAX, with_objects)));
        ck_assert(!is_valid(nested(ETG_JSON_DEPTH_MAX + 1, with_objects)));
        ck_assert(!is_valid(nested(100000, with_objects)));
    }
}
END_TEST

START_TEST(each_container_is_closed_by_its_own_bracket)
{
    char text[2 * ETG_JSON_DEPTH_MAX + 8 * ETG_JSON_DEPTH_MAX];
    char ends[ETG_JSON_DEPTH_MAX];
    etg_bytes bytes = { (unsigned char *)text, 0 };
    size_t wrong;

    sow();
    for (unsigned i = 0; i < ETG_JSON_DEPTH_MAX; i++) {
        int is_object = (int)below(2);

        bytes.length += (size_t)sprintf(text + bytes.length, "%s",
                                        is_object ? "{\"a\":" : "[");
        ends[i] = is_object ? '}' : ']';
    }
    text[bytes.length++] = '1';
    for (unsigned i = ETG_JSON_DEPTH_MAX; i-- > 0;) {
        text[bytes.length++] = ends[i];
    }
    ck_assert(is_valid(bytes));
    for (wrong = bytes.length - ETG_JSON_DEPTH_MAX; wrong < bytes.length;
         wrong++) {
        text[wrong] ^= ']' ^ '}';
        ck_assert(!is_valid(bytes));
        text[wrong] ^= ']' ^ '}';
    }
}
END_TEST

START_TEST(no_beginning_of_a_text_is_a_text)
{
    etg_bytes text = TEXT(" {\"a\":[1.5e+3,true,\"\\u00e9\xe2\x82\xac\",{}]}");
    size_t length = text.length;

    ck_assert(is_valid(text));
    for (text.length = 0; text.length < length; text.length++) {
        ck_assert(!is_valid(text));
    }
}
END_TEST

/* Where jansson has its own mind, or limits: numbers that are too large, zero
 * bytes, halves of pairs, its nesting. 1, 0, or -1: it does not say. */
static int jansson_says(etg_bytes text)
{
    json_error_t error;
    json_t *value = json_loadb((const char *)text.data, text.length,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    int is_json = value != NULL;

    json_decref(value);
    if (memchr(text.data, '\0', text.length) != NULL) {
        return -1;
    }
    if (!is_json && (json_error_code(&error) == json_error_numeric_overflow
                     || json_error_code(&error)
                        == json_error_null_byte_in_key)) {
        return -1;
    }
    return is_json;
}

static const char *const pieces[] = {
    "{", "}", "[", "]", ",", ":", "\"a\"", "\"\"", "0", "-1", "1.5", "01",
    "1e5", "1e", ".", "-", "true", "false", "null", "nul", " ", "\n",
    "\"a\":", "\"a\":1", "[]", "{}", "[1,2]", "{\"a\":[]}", "\"\\u00e9\"",
    "\"\\n\"", "\"\\x\"", "\"\xc3\xa9\"", "\"\xc3\"", "\"\x01\"", "\"",
    "\\", "\"\\", "e", "E+", "0", "9", "\"\\ud83d\\ude00\"", "\xef\xbb\xbf"
};
static const char *const valid_texts[] = {
    "{\"id\":17,\"tags\":[\"a\",\"b\"],\"price\":1.50,\"none\":null}",
    "[[1,2,[3,{\"a\":{\"b\":[]}}]],-0.5e-3,true,false,\"\\u00e9\\n\\\\\"]",
    " { \"caf\xc3\xa9\" : [ \"\xf0\x9f\x98\x80\" , { } ] } ",
    "[\"\\ud83d\\ude00\",1E+2,{\"\":\"\"},[[[[]]]]]"
};
/* No digits of escapes that could become half a pair. */
static const char damage[] = "{}[],:\"\\ \n0159-+.eEtrufalsn\x01\x7f\x80\xc3";

static etg_bytes random_text(unsigned char *text)
{
    etg_bytes made = { text, 0 };

    if (below(2)) {
        unsigned count = 1 + below(PIECES_MAX);

        for (unsigned i = 0; i < count; i++) {
            const char *piece = pieces[below(sizeof(pieces)
                                             / sizeof(pieces[0]))];

            memcpy(text + made.length, piece, strlen(piece));
            made.length += strlen(piece);
        }
        return made;
    }
    strcpy((char *)text, valid_texts[below(sizeof(valid_texts)
                                           / sizeof(valid_texts[0]))]);
    made.length = strlen((char *)text);
    for (unsigned i = below(DAMAGE_MAX + 1); i > 0; i--) {
        unsigned at = below(made.length);

        if (below(3) == 0) {
            memmove(text + at, text + at + 1, --made.length - at);
        }
        else {
            text[at] = (unsigned char)damage[below(sizeof(damage) - 1)];
        }
    }
    return made;
}

/* An escape of half a pair, as damage may leave one. */
static int has_surrogate(etg_bytes text)
{
    for (apr_size_t i = 0; i + 3 < text.length; i++) {
        if (text.data[i] == '\\' && text.data[i + 1] == 'u'
            && (text.data[i + 2] | 0x20) == 'd'
            && (text.data[i + 3] | 0x20) >= '8') {
            return 1;
        }
    }
    return 0;
}

START_TEST(jansson_is_of_the_same_mind)
{
    unsigned valid = 0;
    unsigned compared = 0;

    sow();
    for (unsigned i = 0; i < RANDOM_TEXTS; i++) {
        unsigned char room[TEXT_BYTES];
        etg_bytes text = random_text(room);
        int says = jansson_says(text);

        /* What it takes with a pair in it is JSON for us as well. */
        if (says == 1 || (says == 0 && !has_surrogate(text))) {
            ck_assert_msg(is_valid(text) == says, "%.*s", (int)text.length,
                          (const char *)text.data);
            compared++;
            valid += says == 1;
        }
    }
    /* Enough of both kinds, or the comparison would say nothing. */
    ck_assert_uint_gt(valid, compared / 20);
    ck_assert_uint_gt(compared - valid, compared / 20);
    ck_assert_uint_gt(compared, RANDOM_TEXTS / 2);
}
END_TEST

START_TEST(tokens_come_in_their_order)
{
    static const char letters[] = "!$OoAansdw";
    etg_json_scan scan;
    etg_json_token token;
    char seen[64] = "";

    etg_json_scan_begin(&scan, etg_bytes_of(
        " {\"a\" : [1, \"x\", null], \"b\":{}} "));
    do {
        size_t length = strlen(seen);

        token = etg_json_scan_next(&scan);
        sprintf(seen + length, "%c%.*s", letters[token],
                (int)scan.token.length, (const char *)scan.token.data);
    } while (token > ETG_JSON_TOKEN_END);
    ck_assert_str_eq(seen, "O{n\"a\"A[d1s\"x\"wnulla]n\"b\"O{o}o}$");
    ck_assert_int_eq(etg_json_scan_next(&scan), ETG_JSON_TOKEN_END);
}
END_TEST

START_TEST(where_it_is_wrong_is_where_it_stays)
{
    etg_bytes text = TEXT("[1, 2 3]");
    etg_json_scan scan;

    etg_json_scan_begin(&scan, text);
    while (etg_json_scan_next(&scan) > ETG_JSON_TOKEN_END) {
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(etg_json_scan_next(&scan), ETG_JSON_TOKEN_WRONG);
        ck_assert_ptr_eq(scan.token.data, text.data + 6);
        ck_assert_uint_eq(scan.token.length, 2);
    }
}
END_TEST

START_TEST(strings_are_compared_as_what_they_stand_for)
{
    static const struct {
        etg_bytes token;
        etg_bytes text;
        int is;
    } cases[] = {
        { TEXT("\"\""), TEXT(""), 1 },
        { TEXT("\"\""), TEXT("a"), 0 },
        { TEXT("\"a\""), TEXT(""), 0 },
        { TEXT("\"ab\""), TEXT("ab"), 1 },
        { TEXT("\"ab\""), TEXT("a"), 0 },
        { TEXT("\"a\""), TEXT("ab"), 0 },
        { TEXT("\"a\""), TEXT("A"), 0 },
        { TEXT("\"\\u0061\\u0062\""), TEXT("ab"), 1 },
        { TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), TEXT("\"\\/\b\f\n\r\t"),
          1 },
        { TEXT("\"\\u00e9\\u20AC\""), TEXT("\xc3\xa9\xe2\x82\xac"), 1 },
        { TEXT("\"\xc3\xa9\""), TEXT("\xc3\xa9"), 1 },
        { TEXT("\"\\ud83d\\uDE00\""), TEXT("\xf0\x9f\x98\x80"), 1 },
        { TEXT("\"\\u0000\""), TEXT("\0"), 1 },
        { TEXT("\"\\u0000\""), TEXT(""), 0 },
        { TEXT("\"a\\u0000b\""), TEXT("a"), 0 },
        { TEXT("\"\\ud800\""), TEXT("\xed\xa0\x80"), 0 },
        { TEXT("\"\\udc00\""), TEXT("\xed\xb0\x80"), 0 },
        { TEXT("\"\\ud800a\""), TEXT("a"), 0 },
        { TEXT("\"\\ud800\\u0061\""), TEXT("a"), 0 },
        { TEXT("\"\\ud800\\n\""), TEXT("\n"), 0 }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(etg_json_string_is(cases[i].token, cases[i].text)
                      == cases[i].is, "%s",
                      (const char *)cases[i].token.data);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        any_value_is_a_text,
        structure_is_judged,
        words_are_whole_and_in_lower_case,
        numbers_are_of_any_size,
        numbers_are_of_one_form,
        strings_hold_any_character,
        strings_are_closed_and_well_escaped,
        bytes_that_are_no_utf_8_are_no_json,
        nesting_has_an_end,
        each_container_is_closed_by_its_own_bracket,
        no_beginning_of_a_text_is_a_text,
        jansson_is_of_the_same_mind,
        tokens_come_in_their_order,
        where_it_is_wrong_is_where_it_stays,
        strings_are_compared_as_what_they_stand_for,
        NULL
    };

    return run_tests("json_scan", tests);
}
