/* SPDX-License-Identifier: Apache-2.0 */
/* entity_tag.h: entity tags and lists of them (RFC 9110 §8.8.3, §13.1). */
#ifndef ETG_LIB_ENTITY_TAG_H
#define ETG_LIB_ENTITY_TAG_H

#include "etg_bytes.h"

typedef struct etg_entity_tag {
    int weak;
    etg_bytes opaque;   /* between the quotes; points into the input */
} etg_entity_tag;

/* Reads one tag, whole input. 0: not a tag (unquoted, a space or control
 * byte inside, `w/` instead of `W/`, text around it). */
int etg_entity_tag_parse(etg_bytes text, etg_entity_tag *tag);

/* Weak comparison ignores W/; strong wants both strong. */
int etg_entity_tag_equal_weak(const etg_entity_tag *a, const etg_entity_tag *b);
int etg_entity_tag_equal_strong(const etg_entity_tag *a,
                                const etg_entity_tag *b);

/* Takes the next tag of a list off *rest. 1: a tag; 0: end; -1: the rest is
 * malformed (nothing more can be read from it). Empty members are skipped. */
int etg_entity_tag_next(etg_bytes *rest, etg_entity_tag *tag);

/* Is the whole value "*"? */
int etg_entity_tag_is_any(etg_bytes list);

/* Does the list name `tag` (text form, quotes included; NULL: no)? Members
 * before a malformed one count, those after do not. A `tag` that is itself
 * no valid tag matches only a member of the very same bytes, strong or
 * not. Allocates nothing. */
int etg_entity_tag_list_has(etg_bytes list, const char *tag, int strong);

#endif
