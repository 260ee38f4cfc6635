/* SPDX-License-Identifier: Apache-2.0 */
/*
 * esi_parser.h: Edge Side Includes (ESI language 1.0) in a stream of HTML.
 *
 *   <esi:include src="/a" alt="/b" onerror="continue"/>     an event
 *   <esi:remove>what others show</esi:remove>               gone
 *   <esi:comment text="why"/>                               gone
 *   <!--esi <p>only here</p> -->                            its content
 *
 * Bytes go in as they come, in portions of any size; events come out in
 * order, and how the bytes were cut makes no difference. Bytes that are no
 * ESI come out as they are, without a copy where they lie in the portion.
 *
 * Tags are as in XML: names in lower case, attributes in any order, each with
 * a value in quotes of either kind, no "<" in it; attributes that are not
 * known are passed over. A "/" may lack in the first and third, and then
 * their end tag goes with them. Whatever is malformed or not known here comes
 * out as text, and is counted: a tag that does not end within
 * ETG_ESI_TAG_MAX, an end tag without a beginning, an include whose src lacks
 * or is no URL, a doubled attribute, <esi:remove> that is not closed within
 * ETG_ESI_REMOVE_MAX or at the end (with all that is in it, which is not
 * looked at). <!--esi alone is gone at once: at the end, one that was not
 * closed is counted.
 *
 * Neither nests: the first </esi:remove> ends the removal; the first "-->"
 * ends <!--esi, wherever it stands (as for any reader of HTML), and with it a
 * tag or a removal that is not closed. Behind <!--esi is white space or a
 * tag, or it is another comment. The parser never looks at HTML around it: a
 * tag inside of a script or comment is a tag, as in other implementations.
 */
#ifndef ETG_LIB_ESI_PARSER_H
#define ETG_LIB_ESI_PARSER_H

#include <apr_pools.h>

#include "etg_bytes.h"

/* From "<" to ">". What is kept between portions is no more than one tag, or
 * one removal. */
#define ETG_ESI_TAG_MAX 8192
/* From the "<" of its first tag to the ">" of its last. */
#define ETG_ESI_REMOVE_MAX 65536
#define ETG_ESI_URL_MAX 4096

typedef enum etg_esi_event_kind {
    ETG_ESI_TEXT,               /* text: bytes that pass, never none */
    ETG_ESI_INCLUDE             /* text, src, alt, is_continue */
} etg_esi_event_kind;

/* Valid during the call only. */
typedef struct etg_esi_event {
    etg_esi_event_kind kind;
    etg_bytes text;             /* of an include its tag, as it is written */
    const char *src;            /* 1 to ETG_ESI_URL_MAX bytes without white
                                 * space and controls; else of any kind, for
                                 * the taker to judge. Undone are &amp; &quot;
                                 * &lt; &gt; &apos; and numbers of printable
                                 * ASCII; another "&" is one */
    const char *alt;            /* the same; NULL: none, or empty */
    int is_continue;            /* onerror="continue" */
} etg_esi_event;

/* A status other than APR_SUCCESS ends the parsing and is returned, then and
 * ever after. */
typedef apr_status_t etg_esi_take(void *baton, const etg_esi_event *event);

typedef struct etg_esi_parser etg_esi_parser;

etg_esi_parser *etg_esi_parser_make(etg_esi_take *take, void *baton,
                                    apr_pool_t *p);
apr_status_t etg_esi_parser_feed(etg_esi_parser *parser, etg_bytes portion);
/* The end of the stream: what was kept comes out as text. */
apr_status_t etg_esi_parser_end(etg_esi_parser *parser);
/* What was malformed so far; for the log. */
unsigned etg_esi_parser_malformed(const etg_esi_parser *parser);

#endif
