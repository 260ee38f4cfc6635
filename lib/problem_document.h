/* SPDX-License-Identifier: Apache-2.0 */
/* problem_document.h: errors as application/problem+json (RFC 9457). */
#ifndef ETG_LIB_PROBLEM_DOCUMENT_H
#define ETG_LIB_PROBLEM_DOCUMENT_H

#include <apr_pools.h>

typedef struct etg_problem {
    int status;
    const char *title;          /* a static sentence */
    const char *detail;         /* or NULL */
    const char *part;           /* member "part", or NULL */
} etg_problem;

/* The document, in `p`; "type" is about:blank. Texts are escaped; bytes that
 * are no UTF-8 become U+FFFD. */
const char *etg_problem_document(const etg_problem *problem, apr_pool_t *p);

#endif
