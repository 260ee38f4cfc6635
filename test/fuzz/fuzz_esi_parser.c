/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_esi_parser.c: a page behind a line whose bytes are the lengths of its
 * portions. What comes out of it, whole and in portions, is what comes out of
 * the reference.
 */
#include <string.h>

#include "lib/esi_parser.h"
#include "test/fuzz/esi_reference.h"
#include "test/fuzz/fuzz.h"

/* As the reference has it; never longer than the page. */
typedef struct outcome {
    unsigned char *log;
    apr_size_t logged;
    apr_size_t most;
    unsigned malformed;
} outcome;

static void put(outcome *out, const void *data, apr_size_t length)
{
    FUZZ_CHECK(out->logged + length <= out->most);
    memcpy(out->log + out->logged, data, length);
    out->logged += length;
}

static void put_url(outcome *out, const char *url)
{
    apr_size_t length = url != NULL ? strlen(url) : 0;

    FUZZ_CHECK(url == NULL || length > 0);
    FUZZ_CHECK(length <= ETG_ESI_URL_MAX);
    for (apr_size_t i = 0; i < length; i++) {
        FUZZ_CHECK((unsigned char)url[i] > ' ' && url[i] != 0x7f);
    }
    put(out, url != NULL ? url : "", length);
    put(out, "", 1);
}

static apr_status_t take(void *baton, const etg_esi_event *event)
{
    outcome *out = baton;

    if (event->kind == ETG_ESI_TEXT) {
        FUZZ_CHECK(event->text.length > 0);
        put(out, event->text.data, event->text.length);
    }
    else {
        FUZZ_CHECK(event->src != NULL);
        put(out, "", 1);
        put_url(out, event->src);
        put_url(out, event->alt);
        put(out, event->is_continue ? "!" : ".", 1);
    }
    return APR_SUCCESS;
}

static void feed(etg_esi_parser *parser, const unsigned char *data,
                 apr_size_t length)
{
    unsigned char *exact = malloc(length > 0 ? length : 1);
    etg_bytes portion = { exact, length };

    if (length > 0) {
        memcpy(exact, data, length);
    }
    FUZZ_CHECK(etg_esi_parser_feed(parser, portion) == APR_SUCCESS);
    free(exact);
}

/* In portions of these lengths, over and over. */
static outcome parse(etg_bytes page, const unsigned char *steps,
                     apr_size_t count, apr_pool_t *p)
{
    outcome out = {
        .log = apr_palloc(p, page.length), .most = page.length
    };
    etg_esi_parser *parser = etg_esi_parser_make(take, &out, p);
    apr_size_t turn = 0;

    while (page.length > 0) {
        apr_size_t portion = count > 0 ? 1u + steps[turn++ % count]
                                       : page.length;

        portion = portion < page.length ? portion : page.length;
        feed(parser, page.data, portion);
        page.data += portion;
        page.length -= portion;
    }
    FUZZ_CHECK(etg_esi_parser_end(parser) == APR_SUCCESS);
    out.malformed = etg_esi_parser_malformed(parser);
    return out;
}

static void check(const outcome *out, const esi_reference *expected)
{
    FUZZ_CHECK(out->logged == expected->logged);
    FUZZ_CHECK(memcmp(out->log, expected->log, expected->logged) == 0);
    FUZZ_CHECK(out->malformed == expected->malformed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    const unsigned char *line = size > 0 ? memchr(data, '\n', size) : NULL;
    apr_size_t steps = line != NULL ? (apr_size_t)(line - data) : 0;
    etg_bytes page = { data, size };
    esi_reference expected = { .logged = 0 };
    outcome whole;
    outcome cut;

    if (line != NULL) {
        page.data = line + 1;
        page.length = size - steps - 1;
    }
    expected.page = page.data;
    expected.log = apr_palloc(p, page.length);
    reference_page(&expected, 0, page.length, 0);
    whole = parse(page, NULL, 0, p);
    check(&whole, &expected);
    cut = parse(page, data, steps, p);
    check(&cut, &expected);
    apr_pool_destroy(p);
    return 0;
}
