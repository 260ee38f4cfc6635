/* SPDX-License-Identifier: Apache-2.0 */
/* background.h: how much is fetched in the background, and what the answer to
 * such a fetch does. */
#ifndef ETG_LIB_BACKGROUND_H
#define ETG_LIB_BACKGROUND_H

#include "etg_bytes.h"

#define ETG_BACKGROUND_THREADS_MAX 64
#define ETG_BACKGROUND_QUEUE_MAX 65536

typedef struct etg_background_limits {
    unsigned threads;             /* 1 to 64, D 4 */
    unsigned queue;               /* 1 to 65536, D 1024 */
} etg_background_limits;

/* Reads "threads=8 queue=4096" in any order; what is not said is the default.
 * NULL, or what is wrong with the text, to be said behind the directive's
 * name; *limits is untouched then. */
const char *etg_background_limits_parse(etg_background_limits *limits,
                                        etg_bytes text);

typedef enum etg_background_effect {
    ETG_BACKGROUND_STORE,         /* as any other response */
    ETG_BACKGROUND_NOTHING,       /* as if nobody had asked */
    ETG_BACKGROUND_INVALIDATE     /* what is stored must be validated by the
                                   * next client: it may be gone, or no longer
                                   * for everybody */
} etg_background_effect;

/*
 * What a response to a background fetch does, other than a 304 to our
 * validators. NOTHING for what may be about the background's request alone:
 * 401, 403, 407, server errors, a redirect to the key it came from (a login, a
 * cookie test); INVALIDATE for 404, 410 and 2xx that may not be stored.
 */
etg_background_effect etg_background_effect_of(int status, int is_storable,
                                               int leads_to_itself);

#endif
