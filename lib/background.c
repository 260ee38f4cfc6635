/* SPDX-License-Identifier: Apache-2.0 */
/*
 * background.c: the background's budget as text, and the rules for what comes
 * back from there.
 *
 * Words are read one after the other from the text as it stands in the
 * configuration; nothing is copied.
 */
#include "lib/background.h"

#include <string.h>

static int next_word(etg_bytes *rest, etg_bytes *word);
static int value_of(etg_bytes word, const char *name, etg_bytes *value);
static int read_count(etg_bytes digits, unsigned max, unsigned *count);

const char *etg_background_limits_parse(etg_background_limits *limits,
                                        etg_bytes text)
{
    etg_background_limits read = { .threads = 4, .queue = 1024 };
    etg_bytes word;
    etg_bytes value;

    while (next_word(&text, &word)) {
        if (value_of(word, "threads=", &value)) {
            if (!read_count(value, ETG_BACKGROUND_THREADS_MAX,
                            &read.threads)) {
                return "does not say threads=1 to threads=64";
            }
        }
        else if (value_of(word, "queue=", &value)) {
            if (!read_count(value, ETG_BACKGROUND_QUEUE_MAX, &read.queue)) {
                return "does not say queue=1 to queue=65536";
            }
        }
        else {
            return "is not threads=number queue=number";
        }
    }
    *limits = read;
    return NULL;
}

static int next_word(etg_bytes *rest, etg_bytes *word)
{
    const unsigned char *at = rest->data;
    const unsigned char *end = at + rest->length;

    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    word->data = at;
    while (at < end && *at != ' ' && *at != '\t') {
        at++;
    }
    word->length = at - word->data;
    rest->data = at;
    rest->length = end - at;
    return word->length > 0;
}

static int value_of(etg_bytes word, const char *name, etg_bytes *value)
{
    apr_size_t length = strlen(name);

    if (word.length < length || memcmp(word.data, name, length) != 0) {
        return 0;
    }
    value->data = word.data + length;
    value->length = word.length - length;
    return 1;
}

/* A whole number from 1 to `max`, all of it digits. */
static int read_count(etg_bytes digits, unsigned max, unsigned *count)
{
    const unsigned char *at = digits.data;
    unsigned value = 0;

    for (apr_size_t i = 0; i < digits.length; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return 0;
        }
        value = value * 10 + (unsigned)(at[i] - '0');
        if (value > max) {
            return 0;
        }
    }
    if (value == 0) {
        return 0;
    }
    *count = value;
    return 1;
}

etg_background_effect etg_background_effect_of(int status, int is_storable,
                                               int leads_to_itself)
{
    if (status == 401 || status == 403 || status == 407 || status >= 500
        || leads_to_itself) {
        return ETG_BACKGROUND_NOTHING;
    }
    if (!is_storable
        && (status / 100 == 2 || status == 404 || status == 410)) {
        return ETG_BACKGROUND_INVALIDATE;
    }
    return ETG_BACKGROUND_STORE;
}
