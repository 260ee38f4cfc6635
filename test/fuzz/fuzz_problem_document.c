/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_problem_document.c: title, detail and part are lines of the input; what
 * comes out is JSON. */
#include <string.h>

#include "lib/field_list.h"
#include "lib/json_document.h"
#include "lib/problem_document.h"
#include "lib/utf8.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    etg_bytes rest = { data, size };
    etg_problem problem = { .status = 502 };
    const etg_json_document *document;
    etg_bytes text;

    problem.title = fuzz_line(&rest, p);
    problem.detail = fuzz_line(&rest, p);
    problem.part = fuzz_line(&rest, p);
    text = etg_bytes_of(etg_problem_document(&problem, p));
    FUZZ_CHECK(etg_is_utf8(text));
    FUZZ_CHECK(memchr(text.data, '\n', text.length)
               == text.data + text.length - 1);
    FUZZ_CHECK(etg_json_document_read(text, p, &document) == APR_SUCCESS);
    apr_pool_destroy(p);
    return 0;
}
