/* SPDX-License-Identifier: Apache-2.0 */
/* conformance_cases.h: what the files of the conformance list share. */
#ifndef ETG_TEST_STORE_CONFORMANCE_CASES_H
#define ETG_TEST_STORE_CONFORMANCE_CASES_H

#include "conformance.h"
#include "store_rig.h"

#define WAIT apr_time_from_sec(20)
#define FAR apr_time_from_sec(4000000000ll)
#define CASE(name) { #name, name }

typedef struct conformance_case {
    const char *name;
    void (*run)(void);
} conformance_case;

/* A list of them. */
typedef struct conformance_cases {
    const conformance_case *cases;
    int count;
} conformance_cases;

#define CASES(rows) { rows, (int)(sizeof(rows) / sizeof((rows)[0])) }

extern const conformance_cases conformance_mark_cases;
extern const conformance_cases conformance_lease_cases;

/* The case's store, open and empty. */
extern store_rig conformance_rig;
extern const conformance_subject *conformance_tested;

#endif
