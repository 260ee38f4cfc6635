/* SPDX-License-Identifier: Apache-2.0 */
/* test_local.c: the conformance list on the embedded store. */
#include <stdlib.h>

#include "conformance.h"
#include "modules/store_local/local_store.h"

int main(void)
{
    SRunner *runner = srunner_create(conformance_suite(&etg_local_provider,
                                                       "?size=32M"));
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
