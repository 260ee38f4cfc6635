/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_document.h: pages with ESI as what they are made of: pieces of text and
 * places of fragments, which may be pages with ESI themselves.
 *
 * Model. An etg_esi_page is the whole of one answer: the list of all fragments
 * that are asked for, each once however often it stands somewhere, and the
 * document of the page. When a fragment has come, its text is fed to a document
 * of its own, which may add fragments of the next depth. Text is copied into
 * the page's pool, up to a limit of bytes. Nothing is asked for here.
 */
#ifndef ETG_LIB_ESI_DOCUMENT_H
#define ETG_LIB_ESI_DOCUMENT_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "etg_bytes.h"

/* How deep fragments may stand: 1 is the page's own. */
#define ETG_ESI_DEPTH_MAX 3
/* Of one page, all depths together; and the places they stand at. */
#define ETG_ESI_FRAGMENTS_MAX 128
#define ETG_ESI_PLACES_MAX 4096
/* Texts that a page is put together from, each as often as it stands there. */
#define ETG_ESI_TEXTS_MAX 65536

/* What we are called in Surrogate-Capability and Surrogate-Control. */
#define ETG_ESI_DEVICE "etagere"

typedef struct etg_esi_document etg_esi_document;

/* What the references of a page may be; see lib/allowed_target.h. */
typedef struct etg_esi_origin {
    const char *scheme;         /* "http" or "https" */
    const char *host;           /* as in Host */
    const char *target;         /* of the page, on the request line */
    const apr_array_header_t *prefixes;     /* const char * rows */
} etg_esi_origin;

typedef struct etg_esi_fragment {
    const char *target;         /* path and query to ask for */
    const char *alt;            /* if that fails; NULL: none */
    int is_continue;            /* if both fail it is left out; else the page
                                 * fails */
    unsigned depth;             /* 1 to ETG_ESI_DEPTH_MAX: the lowest it
                                 * stands at */
    int is_from_alt;            /* what has come is alt's: set by the caller,
                                 * for references in it */
    etg_esi_document *document; /* what has come for it; NULL: nothing has,
                                 * and nothing stands in its place */
} etg_esi_fragment;

/* A piece of a document: text, then maybe a fragment. */
typedef struct etg_esi_piece {
    etg_bytes text;             /* length 0: none */
    int fragment;               /* a row of the page's fragments; -1: none */
    etg_bytes markup;           /* of the fragment: stands there where it would
                                 * stand too deep */
} etg_esi_piece;

typedef struct etg_esi_page {
    apr_pool_t *pool;
    etg_esi_origin origin;
    apr_uint64_t room;          /* bytes of text it may still hold */
    apr_uint64_t most;          /* bytes that it may come to */
    apr_array_header_t *fragments;      /* etg_esi_fragment rows */
    etg_esi_document *document; /* the page's own */
    unsigned malformed;         /* markup that passed as it is; */
    unsigned refused;           /* includes that did, since no URL of theirs
                                 * is allowed, there are too many of them,
                                 * or they stand too deep */
    const char *refused_url;    /* the first of those, for the log; or NULL */
    unsigned places;            /* that fragments have */
    apr_pool_t *whole_pool;     /* the one it was made in */
    struct etg_esi_reading *reading;    /* of the page itself */
} etg_esi_page;

struct etg_esi_document {
    apr_array_header_t *pieces; /* etg_esi_piece rows */
};

/* A page with room for `room` bytes of text, in `p`; *origin is copied, what
 * it points to stays. */
etg_esi_page *etg_esi_page_make(const etg_esi_origin *origin,
                                apr_uint64_t room, apr_pool_t *p);

/* Text of the page as it comes. APR_ENOSPC: there is no room; what was fed
 * before is there (but a tag that was cut), and nothing of this portion. */
apr_status_t etg_esi_page_feed(etg_esi_page *page, etg_bytes portion);
/* After that: what is there has been put together and is forgotten, with its
 * fragments; the next portions make a new document with `room`, in `p`. The
 * pool of the page has to stay, the one given here until the next call. */
void etg_esi_page_go_on(etg_esi_page *page, apr_uint64_t room, apr_pool_t *p);
/* The page has come whole. */
apr_status_t etg_esi_page_end(etg_esi_page *page);

/* The fragment's whole text has come: with ESI in it (is_esi), or to be put
 * in as it is (then it is not copied, and has to stay). Fragments that it adds
 * come last in page->fragments, one deeper; rows may move in memory: fill all
 * of a depth before those of the next. An include of what it stands in ends by
 * its depth: the markup stands there. APR_ENOSPC: there is no room, and the
 * fragment is left as it was. */
apr_status_t etg_esi_fragment_fill(etg_esi_page *page, unsigned fragment,
                                   etg_bytes text, int is_esi);

/* Puts the page together: calls `take` with each text of it in order, those of
 * fragments in their places, as often as they stand there; stops at a status
 * that is not APR_SUCCESS, and returns it. APR_ENOSPC without a call: there
 * would be more than ETG_ESI_TEXTS_MAX, or (as a fragment in thousands of
 * places would make gigabytes of a few) more bytes than twice the room that
 * the page was given, and 72 KB. */
typedef apr_status_t etg_esi_take_text(void *baton, etg_bytes text);
apr_status_t etg_esi_page_assemble(const etg_esi_page *page,
                                   etg_esi_take_text *take, void *baton);

/* Does a Surrogate-Control field say that what it comes with has ESI in it:
 * content="ESI/1.0", among other words, for any or for this surrogate? What
 * is malformed says nothing. NULL: no field. (Edge Architecture Specification
 * 1.0, §2.3) */
int etg_esi_is_announced(const char *surrogate_control);

/* Is an HTML document (text/html, application/xhtml+xml) what this
 * Content-Type means? */
int etg_esi_is_html(const char *content_type);

#endif
