/* SPDX-License-Identifier: Apache-2.0 */
/* test_fake_store.c: the conformance list on the fake store. */
#include <stdlib.h>

#include "conformance.h"
#include "fake_store.h"

int main(void)
{
    static const conformance_subject subject = {
        .provider = &etg_fake_provider, .query = "", .is_persistent = 1,
        .is_shared = 1, .pass_time = etg_fake_pass_time
    };
    SRunner *runner = srunner_create(conformance_suite(&subject));
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
