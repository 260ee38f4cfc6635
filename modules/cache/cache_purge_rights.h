/* SPDX-License-Identifier: Apache-2.0 */
/* cache_purge_rights.h: who may purge, and how the request is read. */
#ifndef ETG_CACHE_PURGE_RIGHTS_H
#define ETG_CACHE_PURGE_RIGHTS_H

#include <httpd.h>

#include "etg_bytes.h"

/* Local: connection and client address are loopback and nothing says that a
 * proxy stands before us. On: access control has decided. */
int etg_cache_may_purge(request_rec *r, int mode);

/* The next word of a list separated by commas or white space. */
int etg_purge_word(etg_bytes *rest, etg_bytes *word);

#endif
