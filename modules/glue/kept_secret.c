/* SPDX-License-Identifier: Apache-2.0 */
/* kept_secret.c: makes a secret at the first start and finds it at the next. */
#include "modules/glue/kept_secret.h"

#include <apr_general.h>

#include "lib/field_list.h"

#define SECRET_BYTES 32

apr_status_t etg_kept_secret(const char *written, const char *key,
                             apr_pool_t *process, etg_bytes *secret)
{
    void *made = NULL;
    apr_status_t rv;

    if (written != NULL) {
        *secret = etg_bytes_of(written);
        return APR_SUCCESS;
    }
    apr_pool_userdata_get(&made, key, process);
    if (made == NULL) {
        made = apr_palloc(process, SECRET_BYTES);
        rv = apr_generate_random_bytes(made, SECRET_BYTES);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        /* The key is copied: that of a module goes with it at a reload. */
        apr_pool_userdata_set(made, key, NULL, process);
    }
    *secret = (etg_bytes){ made, SECRET_BYTES };
    return APR_SUCCESS;
}
