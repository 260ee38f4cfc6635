/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_document.h: a JSON text (RFC 8259) that was read, and walks to places
 * in it (RFC 6901, and "*").
 */
#ifndef ETG_LIB_JSON_DOCUMENT_H
#define ETG_LIB_JSON_DOCUMENT_H

#include <apr_pools.h>

#include "etg_bytes.h"

/* Longer texts are not read: parsed they take many times their length. */
#define ETG_JSON_BYTES_MAX (1024 * 1024)

typedef enum etg_json_kind {
    ETG_JSON_ABSENT,    /* nothing; no visitor sees it */
    ETG_JSON_STRING,    /* text: with its escapes undone */
    ETG_JSON_NUMBER,    /* text: exactly as it is written, however long */
    ETG_JSON_BOOLEAN,   /* "true", "false" */
    ETG_JSON_NULL,      /* "null" */
    ETG_JSON_CONTAINER  /* array or object; no text */
} etg_json_kind;

typedef struct etg_json_value {
    etg_json_kind kind;
    etg_bytes text;     /* lives as long as the document */
} etg_json_value;

/* What one "*" stands for at present, and those left of it. */
typedef struct etg_json_place {
    const struct etg_json_place *outer;     /* NULL: the first "*" */
    etg_bytes name;     /* a member's; data NULL: an element */
    apr_size_t index;   /* the element's */
} etg_json_place;

typedef struct etg_json_document etg_json_document;

/* Called for each value that a walk comes to, with its place (NULL: the
 * pointer has no "*"); 0 ends the walk. */
typedef int etg_json_visitor(void *baton, const etg_json_place *place,
                             const etg_json_value *value);

typedef enum etg_json_stars {
    ETG_JSON_STAR_IS_NAME,      /* RFC 6901 to the letter */
    ETG_JSON_STAR_IS_EACH       /* a "*" between slashes is each element of
                                 * an array, or each member of an object, in
                                 * the order they have in the text */
} etg_json_stars;

/* Reads a whole text, UTF-8, nested up to 2048 deep (jansson's limit), without
 * U+0000; of members with the same name the last one counts. The document
 * lives in `p`. APR_ENOSPC: longer than ETG_JSON_BYTES_MAX; APR_EINVAL: no
 * JSON. */
apr_status_t etg_json_document_read(etg_bytes text, apr_pool_t *p,
                                    const etg_json_document **document);

/* Visits what a pointer leads to, if it is there, in order; the pointer is
 * one that etg_json_pointer_is_valid. Returns 0 if the visitor ended it. */
int etg_json_document_visit(const etg_json_document *document,
                            const char *pointer, etg_json_stars stars,
                            etg_json_visitor *visitor, void *baton);

/* What the stars stand for, as the part of a pointer ("17", "a~1b/0"): how
 * long that is, and writes just as much. No place is "". */
apr_size_t etg_json_place_length(const etg_json_place *place);
void etg_json_place_write(const etg_json_place *place, char *text);

#endif
