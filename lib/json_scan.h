/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_scan.h: a JSON text (RFC 8259, UTF-8) token by token, where it lies,
 * in constant memory; so of any length, and with numbers of any form.
 */
#ifndef ETG_LIB_JSON_SCAN_H
#define ETG_LIB_JSON_SCAN_H

#include "etg_bytes.h"

#define ETG_JSON_DEPTH_MAX 512

typedef enum etg_json_token {
    ETG_JSON_TOKEN_WRONG,       /* this is no JSON; nothing follows */
    ETG_JSON_TOKEN_END,         /* of a whole text; nothing follows */
    ETG_JSON_TOKEN_OBJECT,
    ETG_JSON_TOKEN_OBJECT_END,
    ETG_JSON_TOKEN_ARRAY,
    ETG_JSON_TOKEN_ARRAY_END,
    ETG_JSON_TOKEN_NAME,        /* of a member; its value follows */
    ETG_JSON_TOKEN_STRING,
    ETG_JSON_TOKEN_NUMBER,
    ETG_JSON_TOKEN_WORD         /* true, false, null */
} etg_json_token;

typedef enum etg_json_expected {
    ETG_JSON_EXPECT_VALUE,
    ETG_JSON_EXPECT_VALUE_OR_END,
    ETG_JSON_EXPECT_NAME,
    ETG_JSON_EXPECT_NAME_OR_END,
    ETG_JSON_EXPECT_MORE_OR_END,
    ETG_JSON_EXPECT_NOTHING     /* it was wrong */
} etg_json_expected;

typedef struct etg_json_scan {
    etg_bytes token;            /* as it is written, with its quotes; where
                                 * it is wrong, from there on */
    etg_bytes rest;
    unsigned depth;             /* containers that are open */
    etg_json_expected expected;
    unsigned char is_object[ETG_JSON_DEPTH_MAX / 8];    /* of them; bits */
} etg_json_scan;

void etg_json_scan_begin(etg_json_scan *scan, etg_bytes text);
etg_json_token etg_json_scan_next(etg_json_scan *scan);

/* The next value whole, whatever it is; after an object's or array's last
 * value its end is consumed. data NULL: there is none. */
etg_bytes etg_json_scan_value(etg_json_scan *scan);

/* Is it one whole JSON text, at most ETG_JSON_DEPTH_MAX deep? A byte order
 * mark is none of it, and any escape is (of U+0000, of half a pair). */
int etg_json_is_valid(etg_bytes text);

/* Does a token that is a name or a string stand for this text? */
int etg_json_string_is(etg_bytes token, etg_bytes text);

/* The length of the number that `text` begins with (§6); 0: none. */
apr_size_t etg_json_number_length(etg_bytes text);

#endif
