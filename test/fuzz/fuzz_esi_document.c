/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_esi_document.c: a Surrogate-Control field, a line whose bytes are the
 * lengths of portions, and documents with a line "--" between them: the first
 * is the page, and fragment N is what is behind its number in turn. The page
 * is the same whole and in portions; nothing outside the prefix is asked for;
 * limits hold; what is put together ends.
 */
#include <string.h>

#include "lib/esi_document.h"
#include "lib/field_list.h"
#include "test/fuzz/fuzz.h"

#define DOCUMENTS_MAX 8
#define ROOM 65536

typedef struct sum {
    apr_uint64_t hash;
    apr_uint64_t texts;
    apr_uint64_t bytes;
} sum;

static apr_status_t take(void *baton, etg_bytes text)
{
    sum *all = baton;

    FUZZ_CHECK(text.length > 0);
    all->texts++;
    all->bytes += text.length;
    for (apr_size_t i = 0; i < text.length && all->bytes < 10 * ROOM; i++) {
        all->hash = all->hash * 31 + text.data[i];
    }
    return APR_SUCCESS;
}

static etg_esi_page *make(apr_pool_t *p)
{
    apr_array_header_t *prefixes = apr_array_make(p, 1, sizeof(const char *));
    etg_esi_origin origin = { "http", "x.org", "/p", prefixes };

    APR_ARRAY_PUSH(prefixes, const char *) = "/f";
    return etg_esi_page_make(&origin, ROOM, p);
}

static void feed(etg_esi_page *page, etg_bytes text, const char *steps)
{
    apr_size_t count = strlen(steps);
    apr_size_t turn = 0;

    while (text.length > 0) {
        apr_size_t length = count > 0
            ? 1u + (unsigned char)steps[turn++ % count] : text.length;
        etg_bytes portion = { text.data, length };

        if (portion.length > text.length) {
            portion.length = text.length;
        }
        FUZZ_CHECK(etg_esi_page_feed(page, portion) == APR_SUCCESS);
        text.data += portion.length;
        text.length -= portion.length;
    }
    FUZZ_CHECK(etg_esi_page_end(page) == APR_SUCCESS);
}

static void fill(etg_esi_page *page, const etg_bytes *documents,
                 unsigned count)
{
    for (int i = 0; i < page->fragments->nelts && count > 1; i++) {
        etg_esi_fragment *row = &APR_ARRAY_IDX(page->fragments, i,
                                               etg_esi_fragment);
        apr_status_t rv;

        row->is_from_alt = row->alt != NULL && i % 2;
        rv = etg_esi_fragment_fill(page, (unsigned)i,
                                   documents[1 + (unsigned)i % (count - 1)],
                                   i % 5 != 4);
        FUZZ_CHECK(rv == APR_SUCCESS || rv == APR_ENOSPC);
    }
}

static void check_target(const char *target)
{
    FUZZ_CHECK(target != NULL && !strncmp(target, "/f", 2)
               && (target[2] == '\0' || strchr("/?", target[2]) != NULL));
}

static void check_rows(const etg_esi_page *page)
{
    unsigned depth = 1;

    FUZZ_CHECK(page->fragments->nelts <= ETG_ESI_FRAGMENTS_MAX);
    for (int i = 0; i < page->fragments->nelts; i++) {
        const etg_esi_fragment *row = &APR_ARRAY_IDX(page->fragments, i,
                                                     etg_esi_fragment);

        check_target(row->target);
        if (row->alt != NULL) {
            check_target(row->alt);
        }
        FUZZ_CHECK(row->depth >= depth && row->depth <= ETG_ESI_DEPTH_MAX);
        depth = row->depth;
    }
    FUZZ_CHECK((page->refused > 0) == (page->refused_url != NULL));
}

static sum run(const etg_bytes *documents, unsigned count, const char *steps,
               apr_pool_t *p)
{
    etg_esi_page *page = make(p);
    sum all = { .hash = 0 };
    apr_status_t rv;

    feed(page, documents[0], steps);
    fill(page, documents, count);
    check_rows(page);
    rv = etg_esi_page_assemble(page, take, &all);
    FUZZ_CHECK(rv == APR_SUCCESS || (rv == APR_ENOSPC && all.texts == 0));
    FUZZ_CHECK(all.texts <= 2 * ETG_ESI_TEXTS_MAX);
    all.texts = page->refused * 1000 + page->malformed;
    return all;
}

/* Takes what stands before the next line "--". */
static etg_bytes take_document(etg_bytes *rest)
{
    etg_bytes document = *rest;

    for (apr_size_t i = 0; i + 4 <= rest->length; i++) {
        if (!memcmp(rest->data + i, "\n--\n", 4)) {
            document.length = i;
            rest->data += i + 4;
            rest->length -= i + 4;
            return document;
        }
    }
    rest->length = 0;
    return document;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes rest = { data, size < ROOM ? size : ROOM };
    etg_bytes documents[DOCUMENTS_MAX];
    const char *field = fuzz_line(&rest, p);
    const char *steps = fuzz_line(&rest, p);
    unsigned count = 0;

    if (etg_esi_is_announced(field)) {
        FUZZ_CHECK(strchr(field, '"') != NULL);
    }
    etg_esi_is_html(field);
    do {
        documents[count++] = take_document(&rest);
    } while (rest.length > 0 && count < DOCUMENTS_MAX);
    {
        sum whole = run(documents, count, "", p);
        sum cut = run(documents, count, steps != NULL ? steps : "", p);

        FUZZ_CHECK(whole.hash == cut.hash && whole.bytes == cut.bytes
                   && whole.texts == cut.texts);
    }
    apr_pool_destroy(p);
    return 0;
}
