/* SPDX-License-Identifier: Apache-2.0 */
/* problem_document.h: errors as application/problem+json (RFC 9457). */
#ifndef ETG_LIB_PROBLEM_DOCUMENT_H
#define ETG_LIB_PROBLEM_DOCUMENT_H

#include <apr_pools.h>

typedef struct etg_problem {
    int status;
    const char *title;          /* a static sentence, or NULL */
    const char *detail;         /* or NULL */
    const char *part;           /* member "part", or NULL */
} etg_problem;

#define ETG_PROBLEM_TYPE "application/problem+json"

/* The document, in `p`, with a line's end; "type" is about:blank. Texts are
 * escaped; each byte that is of no UTF-8 becomes U+FFFD. */
const char *etg_problem_document(const etg_problem *problem, apr_pool_t *p);

#endif
