/* SPDX-License-Identifier: Apache-2.0 */
/* test_fake_store.c: the conformance list on the fake store. */
#include <stdlib.h>

#include "conformance.h"
#include "fake_store.h"

int main(void)
{
    SRunner *runner = srunner_create(conformance_suite(&etg_fake_provider,
                                                       ""));
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
