/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_digest.c: SHA-256 of a body, through libcrypto's EVP interface.
 *
 * A digest is one EVP_MD_CTX whose life is tied to a pool by a cleanup; it is
 * used by the one thread that streams the body. A failure of libcrypto is
 * remembered, so that a body is never named by the digest of a part of it.
 */
#include "lib/entity_digest.h"

#include <string.h>

#include <openssl/evp.h>

struct etg_entity_digest {
    EVP_MD_CTX *context;
    apr_status_t failure;   /* first failure, or APR_SUCCESS */
};

static apr_status_t digest_free(void *data);

apr_status_t etg_entity_digest_begin(etg_entity_digest **digest,
                                     apr_pool_t *p)
{
    etg_entity_digest *fresh = apr_pcalloc(p, sizeof(*fresh));

    fresh->context = EVP_MD_CTX_new();
    if (fresh->context == NULL) {
        return APR_ENOMEM;
    }
    apr_pool_cleanup_register(p, fresh, digest_free, apr_pool_cleanup_null);
    if (EVP_DigestInit_ex(fresh->context, EVP_sha256(), NULL) != 1) {
        return APR_ENOMEM;
    }
    *digest = fresh;
    return APR_SUCCESS;
}

apr_status_t etg_entity_digest_add(etg_entity_digest *digest,
                                   const void *data, apr_size_t length)
{
    if (digest->failure == APR_SUCCESS && length > 0
        && EVP_DigestUpdate(digest->context, data, length) != 1) {
        digest->failure = APR_EGENERAL;
    }
    return digest->failure;
}

apr_status_t etg_entity_digest_end(etg_entity_digest *digest,
                                   etg_entity_id *id)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    apr_status_t rv = digest->failure;

    /* A second call must not name another body. */
    digest->failure = APR_EINVAL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (EVP_DigestFinal_ex(digest->context, bytes, NULL) != 1) {
        return APR_EGENERAL;
    }
    memcpy(id->bytes, bytes, sizeof(id->bytes));
    return APR_SUCCESS;
}

apr_status_t etg_sha256(const void *data, apr_size_t length,
                        unsigned char digest[32])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];

    if (EVP_Digest(length > 0 ? data : "", length, bytes, NULL, EVP_sha256(),
                   NULL) != 1) {
        return APR_EGENERAL;
    }
    memcpy(digest, bytes, ETG_ENTITY_ID_BYTES);
    return APR_SUCCESS;
}

void etg_hex(char *hex, const unsigned char *bytes, apr_size_t length)
{
    static const char digits[] = "0123456789abcdef";
    apr_size_t i;

    for (i = 0; i < length; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * length] = '\0';
}

static apr_status_t digest_free(void *data)
{
    etg_entity_digest *digest = data;

    EVP_MD_CTX_free(digest->context);
    return APR_SUCCESS;
}
