/* SPDX-License-Identifier: Apache-2.0 */
/* esi_tag.h: what is written in one whole tag of ESI. */
#ifndef ETG_LIB_ESI_TAG_H
#define ETG_LIB_ESI_TAG_H

#include <apr_pools.h>

#include "etg_bytes.h"
#include "lib/esi_parser.h"

typedef enum etg_esi_element {
    ETG_ESI_UNKNOWN,
    ETG_ESI_INCLUDE_TAG,
    ETG_ESI_REMOVE_TAG,
    ETG_ESI_COMMENT_TAG
} etg_esi_element;

/* Values are as they are written; data NULL: there is none. */
typedef struct etg_esi_tag {
    etg_esi_element element;
    int is_end;                 /* "</" */
    int is_empty;               /* "/>" */
    unsigned attributes;
    int is_doubled;             /* one of those below is */
    etg_bytes src;
    etg_bytes alt;
    etg_bytes onerror;
} etg_esi_tag;

/* Reads a tag that has the right form, from its "<" to its ">". */
etg_esi_tag etg_esi_tag_read(etg_bytes text);

/* The event of a whole <esi:include>, its URLs in `p`, without its text. 0: it
 * is malformed, and *event is left. */
int etg_esi_tag_include(const etg_esi_tag *tag, apr_pool_t *p,
                        etg_esi_event *event);

/* What stands between attributes; what names are made of. */
int etg_esi_is_space(unsigned char byte);
int etg_esi_is_name_byte(unsigned char byte);

#endif
