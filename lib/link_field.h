/* SPDX-License-Identifier: Apache-2.0 */
/* link_field.h: the Link field (RFC 8288). */
#ifndef ETG_LIB_LINK_FIELD_H
#define ETG_LIB_LINK_FIELD_H

#include "etg_bytes.h"

/* Finds the first link of `relation` (in lower case) in a line of the field:
 * 1, and *target is what stands between its < and >. Of several rel parameters
 * of one link the first counts (§3.3); a link with an anchor speaks of
 * another page and is passed over. Read as leniently as Appendix B.3; a line
 * that goes wrong ends there. */
int etg_link_find(etg_bytes line, const char *relation, etg_bytes *target);

#endif
