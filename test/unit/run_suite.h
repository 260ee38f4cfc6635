/* SPDX-License-Identifier: Apache-2.0 */
/* run_suite.h: what the main of a test program ends with. */
#ifndef ETG_TEST_UNIT_RUN_SUITE_H
#define ETG_TEST_UNIT_RUN_SUITE_H

#include <stdlib.h>

#include <check.h>

/* Runs the suite, frees it, and returns the program's exit status. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
