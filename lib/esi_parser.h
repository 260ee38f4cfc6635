/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_parser.h: Edge Side Includes (ESI language 1.0) in a stream of HTML:
 * <esi:include src alt onerror/>, <esi:remove>...</esi:remove>,
 * <esi:comment text/>, and <!--esi ... -->, whose content is processed.
 *
 * Bytes go in as they come, in portions of any size; events come out in
 * order. Bytes that are no ESI come out as they are, without a copy where
 * they lie in the portion. What is kept between portions is at most one tag
 * (ETG_ESI_TAG_MAX): a longer or malformed one comes out as text, and is
 * counted. The parser never looks at HTML around it: a tag inside of a script
 * or comment is a tag, as in other implementations, but <!--esi is no nest.
 */
#ifndef ETG_LIB_ESI_PARSER_H
#define ETG_LIB_ESI_PARSER_H

#include <apr_pools.h>

#include "etg_bytes.h"

#define ETG_ESI_TAG_MAX 8192
#define ETG_ESI_URL_MAX 4096

typedef enum etg_esi_event_kind {
    ETG_ESI_TEXT,               /* text: bytes that pass */
    ETG_ESI_INCLUDE             /* src, alt, is_continue */
} etg_esi_event_kind;

typedef struct etg_esi_event {
    etg_esi_event_kind kind;
    etg_bytes text;             /* valid during the call only */
    const char *src;            /* entities (&amp; &quot; &lt; &gt; &apos;)
                                 * undone; in the parser's pool */
    const char *alt;            /* NULL: none */
    int is_continue;            /* onerror="continue" */
} etg_esi_event;

/* A status other than APR_SUCCESS ends the parsing and is returned. */
typedef apr_status_t etg_esi_take(void *baton, const etg_esi_event *event);

typedef struct etg_esi_parser etg_esi_parser;

etg_esi_parser *etg_esi_parser_make(etg_esi_take *take, void *baton,
                                    apr_pool_t *p);
apr_status_t etg_esi_parser_feed(etg_esi_parser *parser, etg_bytes portion);
/* The end of the stream: what was kept comes out as text; an <esi:remove>
 * that is not closed has removed nothing but its tag: what it swallowed is
 * gone only up to ETG_ESI_TAG_MAX bytes, and comes out otherwise. */
apr_status_t etg_esi_parser_end(etg_esi_parser *parser);
/* Tags that were malformed and passed as text; for the log. */
unsigned etg_esi_parser_malformed(const etg_esi_parser *parser);

#endif
